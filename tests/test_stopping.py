"""R31: `cancel_and_wait`, which stops tasks that other code has started."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import virtual_time
import waitkit
from cancelling import Ledger, cancel_at, current_task
from jobs import at, now, settle, value

pytestmark = pytest.mark.only("asyncio")  # which alone has Tasks that could be stopped (R50)


async def start(*jobs: Any) -> list[asyncio.Task[Any]]:
    """Tasks of these jobs, each past its first step."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    await settle()
    return tasks


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "waitkit"]


# --- cancelling, and waiting


async def test_tasks_are_cancelled_and_their_cleanup_awaited() -> None:
    """R31: it returns when the last has stopped, and then nothing is left to give back."""
    ledger = Ledger()
    tasks = await start(ledger.job("a", 9, cleanup=1), ledger.job("b", 9, cleanup=2))
    assert await waitkit.cancel_and_wait(tasks) == []
    assert now() == 2
    assert [task.cancelled() for task in tasks] == [True, True]
    ledger.check()


@pytest.mark.parametrize("wrap", [list, tuple, set, iter, dict.fromkeys])
async def test_any_iterable_of_tasks_will_do(
    wrap: Callable[[Iterable[Any]], Iterable[Any]],
) -> None:
    """R31: it takes any iterable of tasks and futures."""
    ledger = Ledger()
    tasks = await start(ledger.job("a", 9), ledger.job("b", 9))
    assert await waitkit.cancel_and_wait(wrap(tasks)) == []
    assert [task.cancelled() for task in tasks] == [True, True]


async def test_one_task_needs_no_list() -> None:
    """R31: one task may be given as it is."""
    (task,) = await start(asyncio.sleep(9))
    assert await waitkit.cancel_and_wait(task) == []
    assert task.cancelled()


async def test_bare_future_is_cancelled() -> None:
    """R31: a Future that no task runs stops at once."""
    future = asyncio.get_running_loop().create_future()
    assert await waitkit.cancel_and_wait([future]) == []
    assert future.cancelled()
    assert now() == 0


async def test_nothing_to_stop_is_an_empty_list() -> None:
    """R31, R33: no tasks, or none that still runs, is nothing to wait for, whatever the grace."""
    (done,) = await start(asyncio.sleep(0))
    assert await waitkit.cancel_and_wait([], grace=5) == []
    assert await waitkit.cancel_and_wait([done, done], grace=5, timeout=5) == []
    assert not done.cancelled()
    assert now() == 0


async def test_task_given_twice_is_cancelled_once() -> None:
    """R31: a task that is given twice is one task."""
    ledger = Ledger()
    (task,) = await start(ledger.job("a", 9, refuses=5))
    assert await waitkit.cancel_and_wait([task, task], timeout=1) == [task]
    await task
    assert ledger.cancelled["a"] == 1


async def test_two_callers_may_stop_the_same_task() -> None:
    """R31: each of two callers waits until it has stopped."""
    (task,) = await start(asyncio.sleep(9))
    stops = [asyncio.ensure_future(waitkit.cancel_and_wait(task)) for _ in range(2)]
    assert [await stop for stop in stops] == [[], []]


# --- grace


async def test_grace_lets_tasks_finish_by_themselves() -> None:
    """R31: those that end within the grace are not cancelled, and the wait ends with the last."""
    ledger = Ledger()
    tasks = await start(ledger.job("a", 1), ledger.job("b", 2))
    assert await waitkit.cancel_and_wait(tasks, grace=5) == []
    assert now() == 2
    assert [task.result() for task in tasks] == ["a", "b"]


async def test_grace_ends_with_a_cancel_of_those_left() -> None:
    """R31: after the grace those that still run are cancelled, and no other."""
    ledger = Ledger()
    tasks = await start(ledger.job("a", 1), ledger.job("b", 9, cleanup=1))
    assert await waitkit.cancel_and_wait(tasks, grace=3) == []
    assert now() == 4
    assert [task.cancelled() for task in tasks] == [False, True]


async def test_no_grace_is_no_time_at_all() -> None:
    """R31: a task that would end by itself in the next turn of the loop is cancelled too."""
    event = asyncio.Event()
    (task,) = await start(event.wait())
    event.set()
    assert await waitkit.cancel_and_wait(task, grace=0) == []
    assert task.cancelled()


async def test_infinite_grace_waits_for_all() -> None:
    """R31: an infinite grace cancels nobody."""
    (task,) = await start(asyncio.sleep(10**6, "at last"))
    assert await waitkit.cancel_and_wait(task, grace=float("inf")) == []
    assert task.result() == "at last"


async def test_caller_cancelled_during_the_grace_ends_it() -> None:
    """R31: the tasks are cancelled at once then, awaited, and the cancellation comes out."""
    ledger = Ledger()
    tasks = await start(ledger.job("a", 9, cleanup=2))
    cancel_at(1, "hurry")
    with pytest.raises(asyncio.CancelledError, match="hurry"):
        await waitkit.cancel_and_wait(tasks, grace=5)
    assert now() == 3
    ledger.check()


async def test_caller_cancelled_during_the_wait_still_waits() -> None:
    """R23, R31: and reaches no task a second time."""
    ledger = Ledger()
    tasks = await start(ledger.job("a", 9, cleanup=3))
    task = current_task()
    at(1, task.cancel, "first")
    at(2, task.cancel, "second")
    with pytest.raises(asyncio.CancelledError, match="second"):
        await waitkit.cancel_and_wait(tasks)
    assert now() == 3
    assert task.cancelling() == 2
    ledger.check()


async def test_timeout_around_it_works_as_ever() -> None:
    """R21, R31: `asyncio.timeout` ends the grace, and reports when all tasks have stopped."""
    ledger = Ledger()
    tasks = await start(ledger.job("a", 9, cleanup=3))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await waitkit.cancel_and_wait(tasks, grace=5)
    assert now() == 4
    ledger.check()


# --- timeout


async def test_those_still_running_are_given_back_in_input_order() -> None:
    """R31: after `timeout` seconds it gives up on the rest, and tells which they are."""
    ledger = Ledger()
    names = "abcd"
    tasks = await start(*(ledger.job(name, 99, refuses=10 + ord(name)) for name in names))
    tasks[1:1] = await start(ledger.job("x", 99, cleanup=1))
    left = await waitkit.cancel_and_wait(reversed(tasks), timeout=5)
    assert now() == 5
    assert left == [tasks[4], tasks[3], tasks[2], tasks[0]]
    assert [await task for task in left] == ["d", "c", "b", "a"]


async def test_timeout_counts_from_the_cancel() -> None:
    """R31: the grace is not part of the timeout."""
    ledger = Ledger()
    tasks = await start(ledger.job("a", 99, refuses=9))
    assert await waitkit.cancel_and_wait(tasks, grace=1, timeout=1) == tasks
    assert now() == 2
    await tasks[0]


@pytest.mark.parametrize("timeout", [0, -1])
async def test_timeout_of_zero_only_cancels(timeout: float) -> None:
    """R31: it asks the tasks to stop, and waits for none."""
    ledger = Ledger()
    tasks = await start(ledger.job("a", 9, cleanup=1), ledger.job("b", 9))
    assert await waitkit.cancel_and_wait(tasks, timeout=timeout) == tasks
    assert [task.cancelling() for task in tasks] == [1, 1]
    await asyncio.sleep(2)
    ledger.check()


async def test_caller_cancelled_before_the_timeout_is_reached() -> None:
    """R23, R31: the cancellation comes out then, though tasks are left running."""
    ledger = Ledger()
    tasks = await start(ledger.job("a", 99, refuses=9))
    cancel_at(1)
    with pytest.raises(asyncio.CancelledError):
        await waitkit.cancel_and_wait(tasks, timeout=5)
    assert now() == 5
    await tasks[0]


async def test_task_that_refuses_is_named_once_after_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """R22, R31: one that has not stopped ten seconds after its cancel is named on the logger."""
    ledger = Ledger()
    tasks = await start(ledger.job("tough", 99, refuses=40), ledger.job("weak", 99, cleanup=9))
    tasks[0].set_name("the tough one")
    assert await waitkit.cancel_and_wait(tasks) == []
    (record,) = records(caplog)
    assert record.levelno == logging.WARNING
    assert re.fullmatch(
        r"waitkit\.cancel_and_wait: <Task \w+ name='the tough one' .* "
        "has not ended 10 seconds after it was cancelled",
        record.getMessage(),
    )


# --- what tasks raise


async def test_failure_after_the_cancel_is_logged_and_not_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """R12, R31: what a task raises once it was asked to stop goes to the logger, with traceback."""
    ledger = Ledger()
    failure = ValueError("in cleanup")
    (task,) = await start(ledger.job("a", 9, cleanup=1, cleanup_error=failure))
    task.set_name("a")
    assert await waitkit.cancel_and_wait(task) == []
    del task  # the failure has been told: the loop has nothing to complain of
    (record,) = records(caplog)
    assert record.levelno == logging.WARNING
    assert re.fullmatch(
        r"waitkit\.cancel_and_wait: <Task finished name='a' .* failed after it was asked to stop",
        record.getMessage(),
    )
    assert record.exc_info is not None
    assert record.exc_info[1] is failure


@pytest.mark.parametrize("seconds", [0, 1])
def test_failure_before_the_cancel_is_left_as_it_was(
    seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    """R31: what a task raises of itself, before the call or in the grace, its owner has to see."""

    async def fail() -> None:
        await asyncio.sleep(seconds)
        raise ValueError("of itself")

    async def stop() -> None:
        (task,) = await start(fail())
        assert await waitkit.cancel_and_wait(task, grace=5) == []

    loop = virtual_time.new_loop()
    loop.run_until_complete(stop())
    gc.collect()
    complaints = [str(complaint["exception"]) for complaint in loop.complaints]
    loop.close()
    assert complaints == ["of itself"]
    assert records(caplog) == []


def test_failure_of_a_task_that_was_given_back_is_its_owners() -> None:
    """R31: no callback is left on a task that was still running, and its failure is not hidden."""

    async def tough() -> None:
        try:
            await asyncio.sleep(99)
        except asyncio.CancelledError:
            await asyncio.sleep(9)
        raise ValueError("of itself")

    async def stop() -> None:
        (task,) = await start(tough())
        assert await waitkit.cancel_and_wait(task, timeout=1) == [task]
        del task
        await asyncio.sleep(20)

    loop = virtual_time.new_loop()
    loop.run_until_complete(stop())
    gc.collect()
    complaints = [str(complaint["exception"]) for complaint in loop.complaints]
    loop.close()
    assert complaints == ["of itself"]


# --- bad input


async def test_calling_task_is_refused() -> None:
    """R31: a task cannot await its own end; nothing is cancelled then."""
    (other,) = await start(asyncio.sleep(1))
    with pytest.raises(ValueError, match="calling task") as caught:
        await waitkit.cancel_and_wait([other, asyncio.current_task()])  # type: ignore[list-item]
    assert str(caught.value) == (
        "the calling task is among those to be stopped, and would await itself"
    )
    await other
    assert not other.cancelled()


def coroutine() -> Any:
    return asyncio.sleep(1)


TAKES = "cancel_and_wait() takes a task or an iterable of tasks, not"
BAD_INPUTS = [
    pytest.param(lambda task: coroutine(), f"{TAKES} a coroutine", id="coroutine"),
    pytest.param(lambda task: "tasks", f"{TAKES} a str", id="string"),
    pytest.param(lambda task: None, f"{TAKES} a NoneType", id="nothing"),
    pytest.param(
        lambda task: [task, coroutine()],
        "input 1 is a coroutine, not a Task or Future",
        id="item",
    ),
    pytest.param(lambda task: [task, 3], "input 1 is an int, not a Task or Future", id="number"),
    pytest.param(
        lambda task: [waitkit.borrowed(task)],
        "input 0 is a Borrowed, not a Task or Future; what is borrowed is never cancelled",
        id="borrowed",
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD_INPUTS)
async def test_bad_input_is_a_type_error(make: Callable[[Any], Any], message: str) -> None:
    """R32: it says what is wrong; coroutines are closed, and no task is cancelled."""
    (task,) = await start(asyncio.sleep(1))
    with pytest.raises(TypeError) as caught:
        await waitkit.cancel_and_wait(make(task))
    assert str(caught.value) == message
    await task


async def test_several_tasks_need_a_list() -> None:
    """R32: several positional tasks are a TypeError that says what to write."""
    tasks = await start(asyncio.sleep(1), asyncio.sleep(1))
    with pytest.raises(TypeError) as caught:
        await waitkit.cancel_and_wait(*tasks)
    assert str(caught.value) == (
        "cancel_and_wait() takes one task or one iterable of them: write [a, b]"
    )
    assert not any(task.cancelling() for task in tasks)
    await asyncio.sleep(2)


async def test_bad_times_are_refused() -> None:
    """R32: NaN is a ValueError, and a grace of None, which could mean none or any, a TypeError."""
    (task,) = await start(asyncio.sleep(1))
    for name in ("grace", "timeout"):
        with pytest.raises(ValueError, match=f"^{name} must be .*NaN"):
            await waitkit.cancel_and_wait(task, **{name: float("nan")})
    with pytest.raises(TypeError, match=r"^grace must be a number of seconds, not None$"):
        await waitkit.cancel_and_wait(task, grace=None)  # type: ignore[arg-type]
    await task


@pytest.mark.only("trio")
async def test_on_trio_it_is_refused() -> None:
    """R50: it says what to write instead, and closes the coroutines that were given."""
    given: list[Any] = [value("a"), [value("a"), value("b")]]
    for tasks in given:
        with pytest.raises(RuntimeError) as caught:
            await waitkit.cancel_and_wait(tasks)
        assert str(caught.value) == (
            "cancel_and_wait() works on asyncio alone: Trio has no Tasks to be stopped; "
            "call cancel() on the cancel_scope of their nursery, and leave its block"
        )
    with pytest.raises(RuntimeError, match="asyncio alone"):
        await waitkit.cancel_and_wait(value("a"), value("b"))  # type: ignore[arg-type]
