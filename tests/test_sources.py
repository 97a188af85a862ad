"""Where inputs come from: what is closed, what is left, and sources that fail (R27, R28)."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

import virtual_time
import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    LIMITED,
    RESULT_STREAMS,
    STREAMS,
    Gauge,
    aiter_of,
    cancelled_error,
    clean_up,
    collect,
    fail,
    now,
    run_helper,
    settle,
    time_limit,
    value,
)


class Trouble(Exception):
    """What sources raise here."""


# R27: what is closed


@pytest.mark.parametrize("helper", [name for name in FAIL_FAST if name in LIMITED])
@pytest.mark.parametrize("wrap", [list, tuple, dict], ids=["list", "tuple", "mapping"])
async def test_unstarted_coroutines_of_a_sized_input_are_closed(
    helper: str, wrap: Callable[[Any], Any]
) -> None:
    """R27: coroutines, `anext` and `asend` objects that never started are closed: no warning."""
    aws = [
        fail(Trouble(), 1),
        value("a"),
        anext(aiter_of([1])),
        anext(aiter_of([1]), None),
        aiter_of([1]).asend(None),  # type: ignore[attr-defined]
    ]
    with pytest.raises(Trouble):
        await run_helper(helper, wrap(enumerate(aws) if wrap is dict else aws), max_concurrency=1)


@pytest.mark.parametrize("helper", HELPERS)
async def test_steps_of_an_async_generator_are_awaited(helper: str) -> None:
    """R1: `anext` and `asend` objects are inputs like any other."""
    steps = aiter_of(["a"])
    answer = await run_helper(helper, [anext(steps)])
    await steps.aclose()  # type: ignore[attr-defined]
    if isinstance(answer, waitkit.Partial):
        answer = list(answer.outcomes)
    assert answer in ("a", ["a"], [waitkit.Success("a", 0, 0)])


@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_steps_that_are_cancelled_before_they_start_are_closed(helper: str) -> None:
    """R27: also if their Task was made, and cancelled before its first step."""
    generator: Any = aiter_of([1])
    steps = [anext(generator), value("a")]

    def source() -> Iterator[Any]:
        yield from steps
        raise Trouble

    with pytest.raises(Trouble):
        await run_helper(helper, source())
    await generator.aclose()  # until Python 3.13 the end of its step was not its own


@pytest.mark.parametrize("wrap", [iter, aiter_of], ids=["iterator", "async"])
@pytest.mark.parametrize("helper", LIMITED)
async def test_plain_iterator_is_left_where_it_stands(
    helper: str, wrap: Callable[[Any], Any]
) -> None:
    """R27: an iterator that the call did not finish can be gone on with; none of it is closed."""
    items = iter([fail(Trouble(), 1), *(value(index) for index in range(4))])
    given = wrap(items)
    options = {"catch": ()} if helper in (*DATA, "first_success") else {}
    with pytest.raises(Trouble):
        await run_helper(helper, given, max_concurrency=1, **options)
    left = [await item for item in items]
    assert left == ([0, 1, 2, 3] if wrap is iter else left)
    assert left[-1] == 3


@pytest.mark.parametrize("helper", LIMITED)
async def test_generator_is_not_closed(helper: str) -> None:
    """R27: a plain generator is not closed either: its `finally` has not run."""
    closed: list[str] = []

    def source() -> Iterator[Any]:
        try:
            yield fail(Trouble(), 1)
            yield value("left")
        finally:
            closed.append("source")

    given = source()
    options = {"catch": ()} if helper in (*DATA, "first_success") else {}
    with pytest.raises(Trouble):
        await run_helper(helper, given, max_concurrency=1, **options)
    assert closed == []
    assert await next(given) == "left"


def current_task() -> object:
    return trio.lowlevel.current_task() if virtual_time.on_trio() else asyncio.current_task()


@asynccontextmanager
async def bound_to_the_task() -> AsyncIterator[None]:
    """Blocks that may only be left in the task that entered them."""
    if virtual_time.in_block():
        with anyio.fail_after(1000):
            async with anyio.create_task_group():
                yield
    else:
        async with asyncio.timeout(1000), asyncio.TaskGroup():
            yield


@pytest.mark.parametrize("how", ["end", "failure", "deadline", "cancelled"])
@pytest.mark.parametrize("helper", [*STREAMS, *LIMITED[4:]])
async def test_async_generator_is_closed_in_its_own_task(helper: str, how: str) -> None:
    """R27: an async generator is `aclose`d, in the task that iterated it, before the call ends."""
    tasks: list[Any] = []
    closed: list[str] = []

    async def source() -> AsyncIterator[Any]:
        tasks.append(current_task())
        try:
            async with bound_to_the_task():
                yield fail(Trouble(), 1) if how == "failure" else fail(Trouble(), 2)
                tasks.append(current_task())
                if how != "end":
                    await anyio.sleep(500)
        finally:
            await clean_up(1)
            tasks.append(current_task())
            closed.append("source")

    options: dict[str, Any] = {"timeout": 1} if how == "deadline" else {}
    if helper in (*DATA, "first_success"):
        options["catch"] = ()
    try:
        async with time_limit(1 if how == "cancelled" else None):
            await run_helper(helper, source(), **options)
    except (Trouble, TimeoutError):
        pass
    assert closed == ["source"]
    assert len(set(map(id, tasks))) == 1


@pytest.mark.parametrize("helper", STREAMS)
async def test_async_generators_that_never_began_are_closed(helper: str) -> None:
    """R27: those that waited behind others are closed with them."""
    sources: list[AsyncIterator[Any]] = [aiter_of([]) for _ in range(3)]
    async with getattr(waitkit, helper)([Gauge().job("a")], max_concurrency=1) as stream:
        for source in sources:
            stream.extend(source)
        await settle()
    for source in sources:
        with pytest.raises(StopAsyncIteration):
            await anext(source)


@pytest.mark.parametrize("helper", STREAMS)
def test_stream_never_started_leaves_python_s_own_warning(helper: str) -> None:
    """R27: what was made and never used is a bug of its caller's, which Python tells."""

    async def main() -> None:
        getattr(waitkit, helper)([value("a")])

    def forget() -> None:
        asyncio.run(main())
        gc.collect()

    with pytest.warns(RuntimeWarning, match="coroutine 'value' was never awaited"):
        forget()


# R28: sources that raise


def source_of(kind: str, makers: list[Callable[[], Any]]) -> Any:
    """A source that gives what the functions make, and then raises."""

    def plain() -> Iterator[Any]:
        yield from makers
        raise Trouble("source")

    async def later() -> AsyncIterator[Any]:
        for make in makers:
            yield make
            await anyio.lowlevel.checkpoint()
        raise Trouble("source")

    async def made_later() -> AsyncIterator[Any]:
        async for make in later():
            yield make()

    sources: dict[str, Callable[[], Any]] = {
        "iterator": lambda: (make() for make in plain()),
        "async": made_later,
        "keyed": lambda: waitkit.keyed((make, make()) for make in plain()),
        "call_each": lambda: waitkit.call_each(lambda make: make(), plain()),
        "call_each async": lambda: waitkit.call_each(lambda make: make(), later()),
    }
    return sources[kind]()


@pytest.mark.parametrize("kind", ["iterator", "async", "keyed", "call_each", "call_each async"])
@pytest.mark.parametrize("good", [0, 1, 3])
@pytest.mark.parametrize("helper", HELPERS)
async def test_source_that_raises_ends_the_call(helper: str, good: int, kind: str) -> None:
    """R28: what the source raises is the call's error, in every helper; nothing runs on."""
    gauge = Gauge()
    with pytest.raises(Trouble, match="source"):
        await run_helper(
            helper, source_of(kind, [partial(gauge.job, index) for index in range(good)])
        )
    assert gauge.running == 0
    assert sorted(gauge.cancelled) == sorted(gauge.started)


@pytest.mark.parametrize("kind", ["iterator", "async"])
@pytest.mark.parametrize("helper", LIMITED)
async def test_source_that_raises_later_ends_the_call(helper: str, kind: str) -> None:
    """R28: also when it is asked again because a job has ended; the rest are awaited first."""
    gauge = Gauge()

    async def slow_to_stop() -> None:
        try:
            await gauge.job("slow")
        finally:
            await clean_up(2)
            gauge.ended.append("cleaned up")

    # A failure leaves the race open, so that the source is asked again.
    fails = helper in (*DATA, "first_success")
    first: Callable[[], Any] = partial(fail, ValueError(), 1) if fails else partial(value, "a", 1)
    with pytest.raises(Trouble, match="source"):
        await run_helper(helper, source_of(kind, [slow_to_stop, first]), max_concurrency=2)
    if kind == "iterator":
        assert now() == 3
    assert gauge.ended == ["slow", "cleaned up"]


@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_results_before_the_source_raised_are_delivered(helper: str) -> None:
    """R9, R28: what had finished before the source raised is delivered before that is raised."""
    given = source_of("iterator", [partial(value, "a", 1), partial(value, "b", 2)])
    found: list[str] = []
    with pytest.raises(Trouble):
        await collect(getattr(waitkit, helper)(given, max_concurrency=1), found)
    assert found == ["a", "b"]


@pytest.mark.parametrize("helper", HELPERS)
async def test_stop_iteration_of_a_source_behind_map(helper: str) -> None:
    """R28: a source's RuntimeError for a leaked StopIteration is not taken for its end."""

    def leaking() -> Iterator[Any]:
        yield next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await run_helper(helper, leaking())


@pytest.mark.parametrize("helper", LIMITED)
async def test_source_behind_a_cancelled_call_is_not_asked_again(helper: str) -> None:
    """B24: after the call has ended no further input is taken from its source."""
    gauge = Gauge()
    taken: list[int] = []

    def source() -> Iterator[Any]:
        for index in count():
            taken.append(index)
            yield gauge.job(index)

    with pytest.raises(TimeoutError):
        async with time_limit(1):
            await run_helper(helper, source(), max_concurrency=3)
    assert taken == [0, 1, 2]
    assert sorted(gauge.ended) == [0, 1, 2]


@pytest.mark.parametrize("wrap", [iter, aiter_of], ids=["iterator", "async"])
@pytest.mark.parametrize("helper", STREAMS)
async def test_infinite_source_is_taken_lazily(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R2, R3: a stream over an infinite source gives results for as long as it is asked."""
    gauge = Gauge()
    jobs = (gauge.job(index, 1) for index in count())
    async with getattr(waitkit, helper)(wrap(jobs), max_concurrency=3) as stream:
        for _ in range(100):
            await anext(stream)
    assert gauge.peak == 3
    assert len(gauge.started) <= 106


@pytest.mark.parametrize("helper", ["gather_partial"])
async def test_infinite_source_ends_at_the_deadline(helper: str) -> None:
    """R17: what an iterator has left at the deadline stays in it, and is no outcome."""
    answer = await run_helper(
        helper, (value(index, 1) for index in count()), max_concurrency=2, timeout=2.5
    )
    assert answer.results == {0: 0, 1: 1, 2: 2, 3: 3}
    assert answer.cancelled == (4, 5)
    assert answer.timed_out


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", DATA)
async def test_generator_of_tasks(helper: str) -> None:
    """R1, R2: Tasks that a generator makes as it is asked are adopted, and count when taken."""
    gauge = Gauge()
    given = (asyncio.create_task(gauge.job(index, 1)) for index in range(5))
    await run_helper(helper, given, max_concurrency=2)
    assert gauge.peak == 2
    assert now() == 3


@pytest.mark.parametrize("helper", STREAMS)
async def test_async_source_slower_than_the_jobs(helper: str) -> None:
    """R7: results come as they finish, while the source still waits for its next item."""

    async def source() -> AsyncIterator[Any]:
        for index in range(3):
            await anyio.sleep(10)
            yield value(index, 1)

    times = []
    async with getattr(waitkit, helper)(source()) as stream:
        async for _ in stream:
            times.append(now())  # noqa: PERF401  # each at its own time
    assert times == [11, 21, 31]


@pytest.mark.parametrize("helper", HELPERS)
async def test_source_that_gives_one_more_after_the_deadline(helper: str) -> None:
    """R17, R22: what an async source gives when it is cancelled is closed; nothing hangs."""
    gauge = Gauge()

    async def source() -> AsyncIterator[Any]:
        yield gauge.job("a")
        try:
            await anyio.sleep(1000)
        except cancelled_error():
            yield gauge.job("b")

    if helper in DATA:
        await run_helper(helper, source(), timeout=1)
    else:
        with pytest.raises(waitkit.DeadlineError):
            await run_helper(helper, source(), timeout=1)
    assert now() == 1
    assert gauge.ended == ["a"]
