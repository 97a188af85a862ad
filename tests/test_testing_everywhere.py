"""R62: `waitkit.testing.cancel_everywhere` passes what is right, and sees each planted bug."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import anyio
import pytest
import trio
import trio.lowlevel

import waitkit
import waitkit.testing
from waitkit.testing import (
    CancellationError,
    DeadlockError,
    LeakError,
    LivelockError,
    NeverAwaitedError,
    UnhandledError,
    cancel_everywhere,
)

Scenario = Callable[[], Coroutine[Any, Any, object]]


async def work(seconds: float = 1) -> float:
    await anyio.sleep(seconds)
    return seconds


async def fail(seconds: float = 1) -> None:
    await anyio.sleep(seconds)
    raise ValueError("of a job")


# --- what is right


async def nothing() -> None: ...


async def task_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(work(1))
        group.create_task(work(2))


async def slow_cleanup() -> None:
    try:
        await work()
    finally:
        await asyncio.sleep(5)


async def own_timeout() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await work(9)


async def own_failure() -> None:
    with pytest.raises(ValueError, match="of a job"):
        await waitkit.first_error([work(1), fail(1), work(9)])


async def all_results() -> None:
    assert await waitkit.first_error([work(2), work(1)]) == [2, 1]


async def some_results() -> None:
    partial = await waitkit.gather_partial([work(9), fail(1), work(2)], timeout=5)
    assert list(partial.results) == [2]


async def stream() -> None:
    calls = waitkit.call_each(work, [3, 1, 2])
    async with waitkit.as_completed_results(calls, max_concurrency=2) as results:
        assert [key async for key, _ in results] == [1, 3, 2]


async def race() -> None:
    assert await waitkit.first_success([fail(1), work(2), work(9)]) == 2


async def locks() -> None:
    lock = asyncio.Lock()

    async def worker() -> None:
        async with lock:
            await asyncio.sleep(1)

    await waitkit.first_error([worker(), worker(), worker()])


@pytest.mark.parametrize(
    "scenario",
    [
        nothing,
        task_group,
        slow_cleanup,
        own_timeout,
        own_failure,
        all_results,
        some_results,
        stream,
        race,
        locks,
    ],
)
def test_cancel_everywhere_passes_what_is_right(scenario: Scenario) -> None:
    """R62: task groups and the helpers; cleanup that takes time; failures that are caught."""
    assert cancel_everywhere(scenario) > 1


async def on_trio_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, 1)
        nursery.start_soon(work, 2)


async def on_trio_cleanup() -> None:
    try:
        await work()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(5)


async def on_trio_own_timeout() -> None:
    with trio.move_on_after(1):
        await work(9)


@pytest.mark.parametrize(
    "scenario",
    [on_trio_nursery, on_trio_cleanup, on_trio_own_timeout, all_results, some_results, race],
)
def test_cancel_everywhere_passes_what_is_right_on_trio(scenario: Scenario) -> None:
    """R62: the same with a cancel scope around it."""
    assert cancel_everywhere(scenario, backend="trio") > 2


# --- what is wrong


async def swallows() -> str:
    try:
        await work()
    except asyncio.CancelledError:
        return "as if nothing had happened"
    return "done"


async def turns_it_into_an_error() -> None:
    try:
        await work()
    except asyncio.CancelledError:
        raise RuntimeError("work failed") from None


async def loses_the_message() -> None:
    try:
        await work()
    except asyncio.CancelledError:
        raise asyncio.CancelledError from None


async def uncancels() -> None:
    try:
        await work()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        raise


async def leaves_a_task() -> None:
    task = asyncio.get_running_loop().create_task(work())
    await asyncio.wait([task])  # which leaves it to its caller


async def gathers_and_leaves_siblings() -> None:
    async def cleans_up() -> None:
        try:
            await work(9)
        except asyncio.CancelledError:
            await work(5)

    tasks = [asyncio.get_running_loop().create_task(job) for job in (cleans_up(), fail(10))]
    with pytest.raises(ValueError, match="of a job"):
        await asyncio.gather(*tasks)


async def forgets_an_await() -> None:
    try:
        await work()
    except asyncio.CancelledError:
        work()  # type: ignore[unused-coroutine]
        raise


async def fails_unseen() -> None:
    async def fails() -> None:
        try:
            await work()
        finally:
            raise ValueError("in its cleanup")

    task = asyncio.get_running_loop().create_task(fails())
    try:
        await asyncio.wait([task])
        assert task.exception()
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        raise


async def spins() -> None:
    try:
        await work()
    except asyncio.CancelledError:
        while True:  # noqa: ASYNC110  # that is the bug
            await asyncio.sleep(0)


async def deadlocks() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    try:
        await work()
    except asyncio.CancelledError:
        async with lock:  # to clean up what it guards
            raise
    lock.release()


@pytest.mark.parametrize(
    ("scenario", "kind", "match"),
    [
        (swallows, CancellationError, "swallowed: it returned 'as if nothing had happened'"),
        (turns_it_into_an_error, CancellationError, r"turned into RuntimeError\('work failed'\)"),
        (loses_the_message, CancellationError, r"lost its message: CancelledError\(\) came out"),
        (uncancels, CancellationError, r"Task.cancelling\(\) is 0, not 1"),
        (leaves_a_task, LeakError, r"main has ended(.|\n)*work\(\) at "),
        (gathers_and_leaves_siblings, LeakError, r"cleans_up\(\), in work\(\) at "),
        (forgets_an_await, NeverAwaitedError, "coroutine 'work', made at "),
        (fails_unseen, UnhandledError, "in its cleanup"),
        (spins, LivelockError, "100,000 times"),
        (deadlocks, DeadlockError, r"deadlocks\(\) at .*: async with lock:"),
    ],
)
def test_cancel_everywhere_sees_what_is_wrong(
    scenario: Scenario, kind: type[AssertionError], match: str
) -> None:
    """R62, R22, R23: each planted bug is told of by its kind, with the tick and the line."""
    with pytest.raises(kind, match=match) as caught:
        cancel_everywhere(scenario)
    told = str(caught.value)
    assert told.startswith("cancelled at tick ")
    assert f"while it waited: {scenario.__name__}()" in told
    if scenario is turns_it_into_an_error:
        assert isinstance(caught.value.__cause__, RuntimeError)


async def on_trio_turns_it_into_an_error() -> None:
    try:
        await work()
    except trio.Cancelled:
        raise RuntimeError("work failed") from None


async def on_trio_forgets_an_await() -> None:
    try:
        await work()
    finally:
        work()  # type: ignore[unused-coroutine]


async def on_trio_deadlocks() -> None:
    try:
        await work()
    except trio.Cancelled:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


async def on_trio_spins() -> None:
    try:
        await work()
    except trio.Cancelled:
        with suppress(trio.Cancelled):
            while True:
                with trio.CancelScope(shield=True):
                    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        (on_trio_turns_it_into_an_error, CancellationError),
        (on_trio_deadlocks, DeadlockError),
        (on_trio_spins, LivelockError),
    ],
)
def test_cancel_everywhere_sees_what_is_wrong_on_trio(
    scenario: Scenario, kind: type[AssertionError]
) -> None:
    """R62: the same with a cancel scope, where nobody can say that a cancellation was swallowed."""
    with pytest.raises(kind, match=r"^cancelled at tick \d+ of \d+, (while it waited|before)"):
        cancel_everywhere(scenario, backend="trio")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancel_everywhere_wants_a_scenario_that_works(backend: Any) -> None:
    """R62: what is wrong without a cancellation comes out as it is, with a note that says so."""
    with pytest.raises(ValueError, match="of a job") as caught:
        cancel_everywhere(fail, backend=backend)
    assert "not cancelled" in caught.value.__notes__[-1]
    with pytest.raises(NeverAwaitedError):
        cancel_everywhere(on_trio_forgets_an_await, backend=backend)


def test_cancel_everywhere_strikes_at_every_moment() -> None:
    """R62: before the first step, between any two callbacks of a turn, and while time passes."""
    struck: set[str] = set()

    async def scenario() -> None:
        where = "at the start"
        try:
            for where in ("first", "second", "third"):
                await work(0 if where == "second" else 1)
            where = "the end"
        finally:
            struck.add(where)

    runs = cancel_everywhere(scenario)
    assert struck == {"first", "second", "third", "the end"}
    assert cancel_everywhere(scenario) == runs


def test_cancel_everywhere_finds_what_one_moment_hides() -> None:
    """R62: a value that arrives in the same turn as the cancellation is lost only at one tick."""
    opened: list[str] = []
    closed: list[str] = []

    async def connect() -> str:
        await asyncio.sleep(1)
        opened.append("connection")
        return "connection"

    async def leaky() -> None:
        closed.clear()
        opened.clear()
        task = asyncio.get_running_loop().create_task(connect())
        try:
            closed.append(await task)
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert closed == opened, "a connection is lost"

    with pytest.raises(CancellationError, match=r"turned into AssertionError.*connection is lost"):
        cancel_everywhere(leaky)


def test_cancel_everywhere_checks_what_it_is_given() -> None:
    """R62: a function that makes the coroutine, since there have to be many."""
    coro: Any = work()
    with pytest.raises(TypeError, match="without the parentheses"):
        cancel_everywhere(coro)
    with pytest.raises(TypeError, match="it returned int"):
        cancel_everywhere(int)  # type: ignore[arg-type]

    async def nested() -> None:
        with pytest.raises(RuntimeError, match="running event loop"):
            cancel_everywhere(work)

    waitkit.testing.run(nested)


def test_cancel_everywhere_lets_an_interrupt_out() -> None:
    """R62: Ctrl-C ends all of the runs, not one."""
    runs: list[int] = []

    async def scenario() -> None:
        runs.append(1)
        if len(runs) == 5:
            raise KeyboardInterrupt
        await work()

    with pytest.raises(KeyboardInterrupt):
        cancel_everywhere(scenario)
    assert len(runs) == 5
