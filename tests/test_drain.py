"""`drain`, and a job that closes the stream it belongs to (R26)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from itertools import count
from typing import Any

import anyio
import pytest

import waitkit
from jobs import (
    RESULT_STREAMS,
    STREAMS,
    Gauge,
    aiter_of,
    at,
    cancelled_error,
    clean_up,
    make_stream,
    never,
    now,
    plain_values,
    rest,
    settle,
    unshuffled,
    value,
)


@pytest.mark.parametrize("wrap", [iter, aiter_of], ids=["iterator", "async"])
@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_takes_no_more(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R26: after `drain` the running jobs finish and are delivered, and no input is taken."""
    gauge = Gauge()
    given = (gauge.job(index, 1 + index % 2) for index in count())
    async with make_stream(helper, wrap(given), max_concurrency=2) as stream:
        await settle(20)
        assert unshuffled(gauge.started) == [0, 1]
        stream.drain()
        stream.drain()
        assert sorted(await rest(stream)) == [0, 1]
    assert gauge.cancelled == []
    if wrap is iter:  # it is left where it stands
        assert await next(given) == 2


@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_closes_coroutines(helper: str) -> None:
    """R26: inputs at hand are no outcomes, and coroutines are closed."""
    gauge = Gauge()
    given = [gauge.job("a", 2), value("b"), gauge.job("c", 1)]
    async with make_stream(helper, given, max_concurrency=1) as stream:
        await settle(3)
        stream.drain()
        assert await rest(stream) == ["a"]
        assert now() == 2
        assert gauge.started == ["a"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_closes_coroutines_and_cancels_tasks(helper: str) -> None:
    """R26: inputs at hand are no outcomes: coroutines are closed, Tasks cancelled and awaited."""
    gauge = Gauge()

    async def slow_to_stop() -> None:
        try:
            await gauge.job("task")
        finally:
            await clean_up(3)

    task = asyncio.create_task(slow_to_stop())
    done = asyncio.create_task(value("done"))
    owned = asyncio.create_task(value("owned", 9))
    given: list[Any] = [gauge.job("a", 2), value("b"), task, done, waitkit.borrowed(owned)]
    async with make_stream(helper, given, max_concurrency=1) as stream:
        await settle(3)
        stream.drain()
        assert await rest(stream) == ["a"]
        assert now() == 3
        assert task.cancelled()
        assert gauge.ended == ["task", "a"]
    assert await owned == "owned"


@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_before_the_start(helper: str) -> None:
    """R26: a stream drained before it started has nothing to give."""
    gauge = Gauge()
    async with make_stream(helper, [gauge.job("a")]) as never_started:
        pass
    assert never_started is not None
    gauge.started.clear()
    stream = make_stream(helper, [gauge.job("b")])
    stream.drain()
    async with stream:
        assert await rest(stream) == []
    assert gauge.started == []


@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_ends_an_anext_that_waits_for_the_source(helper: str) -> None:
    """R26: with nothing running, `drain` ends an `anext` that waits for an async source."""
    closed: list[str] = []

    async def source() -> Any:
        try:
            yield value("a")
            await never()
        finally:
            await clean_up(1)
            closed.append("source")

    async with make_stream(helper, source()) as stream:
        assert plain_values([await anext(stream)]) == ["a"]
        at(1, stream.drain)
        assert await rest(stream) == []
    assert closed == ["source"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_does_not_lift_the_deadline(helper: str) -> None:
    """R17, R20, R26: what still runs at the deadline is cut off, drained or not."""
    gauge = Gauge()
    async with make_stream(helper, [gauge.job("a"), gauge.job("b")], timeout=2) as stream:
        stream.drain()
        if helper in RESULT_STREAMS:
            with pytest.raises(waitkit.DeadlineError):
                await anext(stream)
        else:
            outcomes = [item async for item in stream]
            assert unshuffled(o.index for o in outcomes) == [0, 1]
            assert {o.reason for o in outcomes} == {"deadline"}
        assert stream.timed_out


@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_from_a_job(helper: str) -> None:
    """R26: a job may drain its own stream, in its first step too."""
    gauge = Gauge()

    async def job(index: int) -> int:
        if index == 2:
            stream.drain()
        return await gauge.job(index, 1)

    stream = make_stream(helper, (job(index) for index in count()), max_concurrency=2)
    async with stream:
        started = sorted(await rest(stream))
    assert started in ([0, 1, 2], [0, 1, 2, 3])
    assert gauge.cancelled == []


@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_from_the_source(helper: str) -> None:
    """R26: a source may drain the stream that takes from it; what it gives then is not run."""
    gauge = Gauge()

    def source() -> Any:
        yield gauge.job("a", 1)
        stream.drain()
        yield gauge.job("b", 2)
        yield gauge.job("c", 3)

    stream = make_stream(helper, source(), max_concurrency=3)
    async with stream:
        answer = await rest(stream)
    assert answer in (["a"], ["a", "b"])
    assert unshuffled(gauge.started) == answer


async def check_drain_when_all_is_over(helper: str, *, block: bool) -> None:
    stream = make_stream(helper, [value("a")])
    async with stream if block else nullcontext():
        assert await rest(stream) == ["a"]
        stream.drain()
    stream.drain()
    closed = make_stream(helper, [value("a")])
    await closed.aclose()
    closed.drain()
    async with closed if block else nullcontext():
        assert await rest(closed) == []


@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_when_all_is_over(helper: str) -> None:
    """R26: draining a stream that has ended or was closed does nothing."""
    await check_drain_when_all_is_over(helper, block=True)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_when_all_is_over_in_a_bare_stream(helper: str) -> None:
    """R26: the same without a block."""
    await check_drain_when_all_is_over(helper, block=False)


# a job and its own stream


@pytest.mark.only("asyncio")  # on Trio it is cancelled with the others: see test_trio.py
@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("helper", STREAMS)
async def test_job_closes_its_own_stream(helper: str, others: int) -> None:
    """R26: a job that closes its stream ends the others, and does not wait for itself."""
    gauge = Gauge()
    after: list[Any] = []

    async def closer() -> str:
        await anyio.sleep(1)
        await stream.aclose()
        after.append((now(), list(gauge.ended)))
        await anyio.sleep(1)
        after.append(now())
        return "closer"

    stream = make_stream(helper, [closer(), *(gauge.job(index) for index in range(others))])
    async with stream:
        assert await rest(stream) == []
        assert now() == 2
    assert after == [(1, list(range(others))), 2]


@pytest.mark.parametrize("helper", STREAMS)
async def test_several_jobs_close_their_stream(helper: str) -> None:
    """R26: jobs that close their stream wait for the others, and not for each other."""
    closing = 0

    async def closer() -> None:
        nonlocal closing
        await anyio.sleep(1)
        closing += 1
        await stream.aclose()

    async def slow_to_stop() -> None:
        try:
            await Gauge().job("slow")
        finally:
            await clean_up(3)

    stream = make_stream(helper, [closer(), slow_to_stop(), closer()])
    async with stream:
        assert await rest(stream) == []
    assert now() == 4
    assert closing >= 1


@pytest.mark.parametrize("helper", STREAMS)
async def test_job_that_closes_is_not_cancelled_by_one_that_closes_after_it(helper: str) -> None:
    """R26: `aclose` is idempotent: closing again, as cleanup may do, cancels nobody again."""
    gauge = Gauge()
    closed: list[Any] = []

    async def closer(name: str, after: float) -> None:
        try:
            await anyio.sleep(after)
        finally:
            await stream.aclose()
            closed.append(name)

    async def slow_to_stop() -> None:
        try:
            await gauge.job("slow")
        finally:
            await clean_up(3)

    stream = make_stream(helper, [closer("a", 1), closer("b", 1), closer("c", 9), slow_to_stop()])
    async with stream:
        assert await rest(stream) == []
    assert now() == 4
    assert sorted(closed) == ["a", "b", "c"]


@pytest.mark.only("asyncio")  # on Trio the first one is cancelled with the others
@pytest.mark.parametrize("helper", STREAMS)
async def test_jobs_that_close_their_stream_go_on_together(helper: str) -> None:
    """R26: none of them waits for what another one does after that, or for its end."""
    together = asyncio.Barrier(2)

    async def first() -> None:
        await anyio.sleep(1)
        await stream.aclose()
        await together.wait()

    async def second() -> None:
        try:
            await never()
        finally:
            await stream.aclose()
            await together.wait()

    stream = make_stream(helper, [first(), second()])
    async with stream:
        assert await rest(stream) == []
    assert now() == 1


@pytest.mark.only("asyncio")  # on Trio the first one is cancelled with the others
@pytest.mark.parametrize("helper", STREAMS)
async def test_job_that_closes_again_waits_for_one_that_has_closed_and_works_on(
    helper: str,
) -> None:
    """R26: jobs do not wait for each other while they close, but for what one does after that."""
    ends: dict[str, list[float]] = {"first": [], "second": []}

    async def first() -> None:
        await anyio.sleep(1)
        await stream.aclose()
        ends["first"].append(now())
        await anyio.sleep(5)

    async def second() -> None:
        try:
            await never()
        finally:
            for _ in range(2):
                await stream.aclose()
                ends["second"].append(now())
                await anyio.sleep(1)

    stream = make_stream(helper, [first(), second()])
    async with stream:
        assert await rest(stream) == []
    assert ends == {"first": [1], "second": [1, 6]}


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_job_closes_the_stream_that_a_bare_loop_waits_on(helper: str) -> None:
    """R26: without `async with` too: the consumer waits for that job, and does not cancel it."""
    after: list[str] = []

    async def closer() -> None:
        await anyio.sleep(1)
        await stream.aclose()
        await anyio.sleep(1)
        after.append("closer")

    stream = make_stream(helper, [closer(), Gauge().job("a")])
    assert await rest(stream) == []
    assert after == ["closer"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_job_closes_its_stream_in_its_first_step(helper: str) -> None:
    """R26: also before it has waited for anything; what was not started never is."""
    gauge = Gauge()
    ran: list[str] = []

    async def closer() -> None:
        await stream.aclose()
        ran.append("closer")

    stream = make_stream(helper, [closer(), gauge.job("a"), value("b")], max_concurrency=1)
    async with stream:
        assert await rest(stream) == []
    assert ran == ["closer"]
    assert gauge.started == []


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_stream_that_is_closed_while_it_takes_an_input_cancels_that_too(helper: str) -> None:
    """R22, R26: what the source gives last is cancelled as well, and not waited for to its end."""
    gauge = Gauge()
    closing: list[asyncio.Task[None]] = []

    def source() -> Iterator[Any]:
        yield gauge.job("a", 9)
        closing.append(asyncio.create_task(stream.aclose()))  # eager tasks: now
        yield gauge.job("b", 9)

    stream = make_stream(helper, source())
    async with stream:
        assert await rest(stream) == []
    await closing[0]
    assert now() == 0
    assert sorted(gauge.ended) == sorted(gauge.started)


@pytest.mark.parametrize("helper", STREAMS)
async def test_job_that_closes_in_its_first_step_is_awaited(helper: str) -> None:
    """R22, R26: it is not cancelled, and awaited, though an eager one is only being started."""
    ended: list[float] = []

    async def closer() -> None:
        await stream.aclose()
        await anyio.sleep(1)
        ended.append(now())

    stream = make_stream(helper, [closer()])
    async with stream:
        assert await rest(stream) == []
    assert ended == [1]


@pytest.mark.parametrize("helper", STREAMS)
async def test_value_of_the_job_that_closes_goes_to_dispose(helper: str) -> None:
    """R26, R29: nobody will get what a job returns once it has closed its stream."""
    disposed: list[Any] = []

    async def closer() -> str:
        await stream.aclose()
        return "closer"

    stream = make_stream(helper, [value("a"), closer()], max_concurrency=1, dispose=disposed.append)
    async with stream:
        await anyio.sleep(1)
    assert sorted(disposed) == ["a", "closer"]


@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_failure_of_the_job_that_closes_is_logged(
    helper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R26: what a job raises after it has closed its stream is logged, not raised."""
    error = KeyError("x")

    async def closer() -> None:
        await stream.aclose()
        raise error

    stream = make_stream(helper, [closer()])
    async with stream:
        assert await rest(stream) == []
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [error]


@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_from_an_async_source(helper: str) -> None:
    """R26: what an async source gives after it has drained the stream is given up, and closed."""
    gauge = Gauge()

    async def source() -> AsyncIterator[Any]:
        yield gauge.job("a", 1)
        stream.drain()
        yield gauge.job("b", 1)

    stream = make_stream(helper, source())
    async with stream:
        assert await rest(stream) == ["a"]
    assert gauge.started == ["a"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_of_a_source_that_gives_one_more(helper: str) -> None:
    """R26: an async source that answers its cancellation with one more item does not hang it."""
    gauge = Gauge()

    async def source() -> AsyncIterator[Any]:
        yield gauge.job("a", 1)
        try:
            await anyio.sleep(1000)
        except cancelled_error():
            yield gauge.job("b", 1)

    async with make_stream(helper, source()) as stream:
        await anyio.sleep(2)
        stream.drain()
        assert await rest(stream) == ["a"]
    assert gauge.started == ["a"]
