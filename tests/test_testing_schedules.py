"""R61: the jobs, fakes, callers and consumers that `waitkit.testing.strategies` draws, at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
import trio
from hypothesis.errors import UnsatisfiedAssumption

import virtual_time
from jobs import aiter_of, cancelled_error, now
from waitkit.testing import CancellationError, DeadlockError, LeakError, run
from waitkit.testing.strategies import (
    Caller,
    CallerCancelledError,
    Consumer,
    Job,
    JobBaseError,
    JobError,
    Kind,
    Schedule,
)

ONCE = Caller(cancels=((1, 0),))

LINKS = {"a": ["b"], "b": []}


# --- jobs


@pytest.mark.parametrize("kind", ["value", "slow_cleanup", "failing_cleanup", "swallows_cancel"])
async def test_job_returns_its_value(kind: Kind) -> None:
    """R61: after its delay, unless it is cancelled, whatever it would do then."""
    assert await Job(delay=2, kind=kind, ticks=2).run("page a") == "page a"
    assert now() == 2


async def test_job_fails_with_its_value() -> None:
    """R61: by JobError, or what is asked for; by a BaseException of its own, if that is drawn."""
    with pytest.raises(JobError, match=r"^page a$"):
        await Job(kind="error").run("page a")
    with pytest.raises(ConnectionError, match=r"^page a$"):
        await Job(delay=1, kind="error").run("page a", error=ConnectionError)
    with pytest.raises(JobBaseError, match=r"^page a$") as caught:
        await Job(delay=1, kind="base_error").run("page a", error=ConnectionError)
    assert not isinstance(caught.value, Exception)
    assert now() == 2


@pytest.mark.only("asyncio")
async def test_job_is_cancelled_from_elsewhere() -> None:
    """R13, R61: its task ends by a cancellation that none of those who wait for it has sent."""
    task = asyncio.create_task(Job(delay=1, kind="cancelled").run("page a"))
    await asyncio.wait([task])
    assert task.cancelled()
    assert now() == 1


@pytest.mark.only("trio")
async def test_job_on_trio_is_not_cancelled_but_fails() -> None:
    """R52, R61: where only scopes cancel, it raises its error."""
    with pytest.raises(JobError):
        await Job(kind="cancelled").run("page a")


async def cut_off(job: Job) -> tuple[str, float]:
    """How a job ends that is cancelled after a second, and when."""
    how = "not cancelled"
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                nonlocal how
                try:
                    how = await job.run("returned")
                except JobError:
                    how = "failed"
                except cancelled_error():
                    how = "cancelled"
                    raise

            group.start_soon(watch)
            await anyio.sleep(1)
            scope.cancel()
    return how, now()


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("value", ("cancelled", 1)),
        ("error", ("cancelled", 1)),
        ("base_error", ("cancelled", 1)),
        ("cancelled", ("cancelled", 1)),
        ("slow_cleanup", ("cancelled", 4)),
        ("failing_cleanup", ("failed", 1)),
        ("swallows_cancel", ("returned", 1)),
    ],
)
async def test_job_that_is_cancelled_does_as_its_kind_has_it(
    kind: Kind, ending: tuple[str, float]
) -> None:
    """R61: each kind deals with a cancellation in its way, also with one that goes on and on."""
    assert await cut_off(Job(delay=3, kind=kind, ticks=2)) == ending


async def test_slow_cleanup_takes_time_also_of_a_job_that_took_none() -> None:
    """R61: a second at least, or it would be as fast as any."""
    async with anyio.create_task_group() as group:
        group.start_soon(Job(kind="slow_cleanup", ticks=50).run, "page a")
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert now() == 1


@pytest.mark.only("asyncio")
async def test_cleanup_that_is_cancelled_again_is_cut_short() -> None:
    """R61: code that cancels its jobs twice is told from code that does not."""
    task = asyncio.create_task(Job(delay=5, kind="slow_cleanup").run("page a"))
    for _ in range(2):
        await asyncio.sleep(1)
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert now() == 2


@pytest.mark.only("asyncio")
async def test_job_takes_as_many_turns_to_clean_up() -> None:
    """R61: also one that has no more to do then, so that its siblings end before it does."""
    order: list[str] = []
    for ticks in (5, 0):
        task = asyncio.create_task(Job(delay=9, ticks=ticks).run("page a"), name=f"{ticks} turns")
        task.add_done_callback(lambda task: order.append(task.get_name()))
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(1)
    assert order == ["0 turns", "5 turns"]


async def test_job_takes_turns_of_the_loop() -> None:
    """R61: so many after its delay; without either it never gives way."""
    order: list[str] = []

    async def note(job: Job, name: str) -> None:
        order.append(await job.run(name))

    async with anyio.create_task_group() as group:
        group.start_soon(note, Job(delay=1, ticks=20), "after 1 s and 20 turns")
        group.start_soon(note, Job(delay=1), "after 1 s")
        group.start_soon(note, Job(ticks=20), "after 20 turns")
        group.start_soon(note, Job(), "at once")
    assert order == ["at once", "after 20 turns", "after 1 s", "after 1 s and 20 turns"]


# --- fakes


async def test_calls_of_a_fake_are_the_jobs_one_after_the_other() -> None:
    """R61: in the order in which calls are made; those behind the last job return at once."""
    fetch = Schedule(jobs=(Job(delay=2), Job(kind="error"))).fake(LINKS.__getitem__)
    first, second, third = fetch("a"), fetch("c"), fetch("b")
    assert await third == LINKS["b"]
    assert now() == 0
    with pytest.raises(JobError, match=r"^c$"):
        await second
    assert await first == LINKS["a"]
    assert now() == 2


async def test_each_fake_counts_its_own_calls() -> None:
    """R61: two fakes of one schedule know nothing of each other."""
    schedule = Schedule(jobs=(Job(kind="error"),))
    for _ in range(2):
        with pytest.raises(JobError):
            await schedule.fake(str.upper)("a")


async def test_fake_fails_with_the_arguments_of_the_call() -> None:
    """R61: by the error that the code under test expects."""

    def read(file: str, size: int) -> str:
        return f"{size} bytes of {file}"

    call = Schedule(jobs=(Job(kind="error"),)).fake(read, error=OSError)
    with pytest.raises(OSError) as caught:  # noqa: PT011  # its arguments are looked at
        await call("log", 3)
    assert caught.value.args == ("log", 3)
    assert await call("log", size=3) == "3 bytes of log"


async def test_fake_asks_for_the_value_when_its_job_ends() -> None:
    """R61: an answer that changes is that of the end, and a failing call asks for none."""
    asked: list[tuple[str, float]] = []
    jobs = (Job(delay=2), Job(kind="error"))
    call = Schedule(jobs=jobs).fake(lambda url: asked.append((url, now())))
    await call("a")
    with pytest.raises(JobError):
        await call("b")
    assert asked == [("a", 2)]


def test_fake_of_an_async_function_is_an_error() -> None:
    """R61: it would give back a coroutine for a value."""
    with pytest.raises(TypeError, match="plain function"):
        Schedule().fake(anyio.sleep)


def test_failure_names_the_call_of_a_fake() -> None:
    """R60, R61: what leaks or hangs is told by its arguments and its job."""

    async def main() -> None:
        fetch = Schedule(jobs=(Job(delay=2),)).fake(LINKS.get)
        tasks = {asyncio.create_task(fetch("a"))}
        await asyncio.sleep(1)
        tasks.add(asyncio.create_task(fetch("b")))

    with pytest.raises(LeakError) as caught:
        run(main)
    assert str(caught.value).splitlines()[1:] == [
        "  fake('a') as Job(delay=2)",
        "  fake('b') as Job(), not started yet",
    ]


# --- callers


async def count_cancellations(times: int) -> list[float]:
    """Swallow so many, and tell when each came."""
    came = []
    for _ in range(times):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            came.append(now())
    return came


async def test_caller_that_is_not_cancelled_gives_back_what_came() -> None:
    """R61: the function's value, or its error, bare."""
    assert await Caller().run(Job(delay=1).run, "page a") == "page a"
    with pytest.raises(JobError, match="page a"):
        await Caller().run(Job(kind="error").run, "page a")
    with pytest.raises(JobBaseError):
        await Caller(cancels=((5, 0),)).run(Job(delay=1, kind="base_error").run, "page a")
    assert now() == 2  # and nobody waits for a cancellation that is no longer due


async def test_caller_is_cancelled_at_its_time() -> None:
    """R61: an error that is the same on all loops tells that the cancellation came out."""
    with pytest.raises(CallerCancelledError) as caught:
        await ONCE.run(anyio.sleep, 100)
    assert now() == 1
    if not virtual_time.on_trio():
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_caller_is_cancelled_after_so_many_turns() -> None:
    """R61: turns of the loop come after the seconds, and a call that is faster is not cancelled."""
    caller = Caller(cancels=((1, 6),))
    assert await caller.run(Job(delay=1, ticks=1).run, "page a") == "page a"
    with pytest.raises(CallerCancelledError):
        await caller.run(Job(delay=1, ticks=20).run, "page a")
    assert now() == 2


@pytest.mark.only("asyncio")
async def test_caller_is_cancelled_many_times() -> None:
    """R61: once for each time drawn, in whatever order they stand."""
    caller = Caller(cancels=((3, 0), (1, 0), (2, 5)))
    assert await caller.run(count_cancellations, 3) == [1, 2, 3]


@pytest.mark.only("asyncio")
async def test_caller_is_not_cancelled_once_its_call_is_over() -> None:
    """R61: neither the next call nor whoever made this one gets what is left."""
    caller = Caller(cancels=((0, 3), (1, 0)))
    assert await caller.run(Job().run, "page a") == "page a"
    await asyncio.sleep(2)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_caller_leaves_no_timer_behind(backend: Literal["asyncio", "trio"]) -> None:
    """R60, R61: what waits for ever afterwards is found at once."""

    async def main() -> None:
        await Caller(cancels=((3, 0),)).run(Job().run, "page a")
        await anyio.Event().wait()

    with pytest.raises(DeadlockError, match="at 0 s"):
        run(main, backend=backend)


@pytest.mark.only("asyncio")
async def test_cancellation_of_whoever_awaits_a_caller_is_no_data() -> None:
    """R21, R61: it ends the call, and comes out as what it is."""
    ended = []

    async def call() -> None:
        try:
            await anyio.sleep(100)
        finally:
            ended.append(now())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await Caller(cancels=((2, 0),)).run(call)
    assert ended == [1]


@pytest.mark.only("trio")
async def test_cancellation_around_a_caller_on_trio_is_no_data() -> None:
    """R21, R61: the same where scopes cancel."""
    with trio.move_on_after(1) as scope:
        await Caller(cancels=((2, 0),)).run(trio.sleep, 100)
    assert scope.cancelled_caught
    assert now() == 1


@pytest.mark.only("trio")
async def test_caller_on_trio_raises_what_a_nursery_has_left() -> None:
    """R51, R61: of a group, the cancellation stays in its scope, and the failure comes out."""

    async def call() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Job(delay=9, kind="failing_cleanup").run, "page a")
            nursery.start_soon(trio.sleep, 100)

    with pytest.raises(ExceptionGroup) as caught:
        await ONCE.run(call)
    assert [type(error) for error in caught.value.exceptions] == [JobError]


async def swallow() -> str:
    await count_cancellations(1)
    return "all the same"


async def turn_into_error() -> None:
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        raise ConnectionError("no page") from None


async def turn_into_base_error() -> None:
    await swallow()
    raise JobBaseError("no page")


async def uncancel() -> None:
    try:
        await asyncio.sleep(100)
    finally:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()


async def invent() -> None:
    await asyncio.sleep(2)
    raise asyncio.CancelledError


@pytest.mark.only("asyncio")
@pytest.mark.parametrize(
    ("caller", "call", "complaint"),
    [
        (ONCE, swallow, "was swallowed: it returned 'all the same'"),
        (ONCE, turn_into_error, r"turned into ConnectionError\('no page'\), raised at .*\.py:"),
        (ONCE, turn_into_base_error, r"turned into JobBaseError\('no page'\), raised at "),
        (ONCE, uncancel, r"Task.cancelling\(\) is 0, not 1"),
        (Caller(), invent, "nobody had cancelled the caller"),
    ],
)
async def test_strict_caller_checks_the_cancellation(
    caller: Caller, call: Callable[[], Any], complaint: str
) -> None:
    """R23, R61: one that was sent comes out, and none else; a caller that is not strict tells."""
    with pytest.raises(CancellationError, match=complaint):
        await caller.run(call, strict=True)
    try:
        value = await caller.run(call)
    except (ConnectionError, JobBaseError, CallerCancelledError):
        assert call is not swallow
    else:
        assert value == "all the same"


@pytest.mark.only("asyncio")
async def test_strict_caller_lets_pass_what_is_right() -> None:
    """R61: a cancellation that comes out, an error before any, and Hypothesis' own errors."""
    with pytest.raises(CallerCancelledError):
        await ONCE.run(asyncio.sleep, 100, strict=True)
    with pytest.raises(JobError):
        await ONCE.run(Job(kind="error").run, "page a", strict=True)

    async def assume() -> None:
        await count_cancellations(1)
        raise UnsatisfiedAssumption

    with pytest.raises(UnsatisfiedAssumption):
        await ONCE.run(assume, strict=True)


# --- consumers


class Pages:
    """An async iterator that notes when it is asked, and can be added to and closed."""

    def __init__(self, *pages: str) -> None:
        self.pages = list(pages)
        self.asked: list[float] = []
        self.closed = False

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        self.asked.append(now())
        if self.closed or not self.pages:
            raise StopAsyncIteration
        if self.pages[0] == "broken":
            raise JobError
        return self.pages.pop(0)

    def add(self) -> None:
        self.pages.append("more")

    async def aclose(self) -> None:
        self.closed = True


async def test_consumer_reads_to_the_end() -> None:
    """R61: in order, and gives back a list."""
    assert await Consumer().run(aiter_of("abc")) == ["a", "b", "c"]


async def test_slow_consumer_pauses_after_each_item() -> None:
    """R61: it asks for the next when its time is over."""
    pages = Pages("a", "b")
    assert await Consumer(pause=2).run(pages) == ["a", "b"]
    assert pages.asked == [0, 2, 4]


async def test_consumer_breaks_off() -> None:
    """R61: after so many items, without a pause, and asks for no more."""
    pages = Pages("a", "b", "c")
    assert await Consumer(pause=1, breaks_after=2).run(pages) == ["a", "b"]
    assert pages.asked == [0, 1]
    assert now() == 1
    assert await Consumer(breaks_after=0).run(pages) == []
    assert pages.pages == ["c"]


async def test_consumer_closes_and_goes_on_asking() -> None:
    """R26, R61: after so many items; what still comes then, it takes."""
    pages = Pages("a", "b", "c")
    assert await Consumer(closes_after=2).run(pages) == ["a", "b"]
    assert pages.closed
    assert len(pages.asked) == 3


@pytest.mark.parametrize("waits", [False, True])
async def test_consumer_adds(waits: bool) -> None:
    """R61: one input behind each of its first items, by a function or an async function."""
    pages = Pages("a", "b", "c")

    async def add() -> None:
        await anyio.sleep(1)
        pages.add()

    how: Callable[[], object] = add if waits else pages.add
    assert await Consumer(adds=2).run(pages, add=how) == ["a", "b", "c", "more", "more"]
    assert now() == (2 if waits else 0)
    assert await Consumer(adds=2).run(Pages("a")) == ["a"]  # it was not told how


async def test_items_before_a_failure_are_seen() -> None:
    """R61: the list that is given has them, and the failure comes out bare."""
    items: list[str] = []
    with pytest.raises(JobError):
        await Consumer().run(Pages("a", "broken"), into=items)
    assert items == ["a"]
