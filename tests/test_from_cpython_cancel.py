"""What CPython's own tests say of a Task's cancellation, and of `shield`.

Each test names the one of `test.test_asyncio` that it comes from; where a helper differs on
purpose, it says "unlike".
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any

import pytest

import virtual_time
import waitkit
from cancelling import current_task
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    Gauge,
    at,
    future,
    never,
    now,
    plain_values,
    run_helper,
    settle,
    value,
)

CANCEL_ARGUMENTS: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = [
    ((), ()),
    ((None,), ()),
    (("my message",), ("my message",)),
    ((5,), (5,)),
]


# --- a job that others cancel


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize(("given", "args"), CANCEL_ARGUMENTS)
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_message_of_a_cancelled_job_is_kept(
    name: str, given: tuple[Any, ...], args: tuple[Any, ...], started: bool
) -> None:
    """R13: any object, in the cause of the failure; also of a Task that has not begun.

    CPython: test_tasks.BaseTaskTests.test_cancel_with_message_then_future_result,
    test_cancel_with_message_then_future_exception, test_cancel_with_message_before_starting_task
    """
    task = asyncio.create_task(never())
    if started:
        await asyncio.sleep(0)
    task.cancel(*given)
    with pytest.raises(waitkit.JobCancelledError) as caught:
        await run_helper(name, [never(), task])
    cause = caught.value.__cause__
    assert type(cause) is asyncio.CancelledError
    assert cause.args == args
    assert cause.__context__ is None


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_job_that_turns_its_cancellation_into_an_error_has_failed(name: str) -> None:
    """R10: with that error as it is, its cause with it.

    CPython: test_tasks.BaseTaskTests.test_cancellation_exception_context
    """

    async def job() -> None:
        try:
            await never()
        except asyncio.CancelledError as cancelled:
            raise ValueError("cancelled") from cancelled

    task = asyncio.create_task(job())
    at(1, task.cancel, "msg")
    with pytest.raises(ValueError, match="cancelled") as caught:
        await run_helper(name, [never(), task])
    assert type(caught.value.__cause__) is asyncio.CancelledError
    assert caught.value.__cause__.args == ("msg",)


async def cancels_itself(*, awaits: bool) -> int:
    current_task().cancel()
    if awaits:
        await asyncio.sleep(100)
    return 12


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("awaits", [True, False])
@pytest.mark.parametrize("name", HELPERS)
async def test_job_that_cancels_itself_returns_nothing(name: str, awaits: bool) -> None:
    """R13, R29: asyncio drops what it returns even where it ends in that step, and so do helpers.

    CPython: test_tasks.BaseTaskTests.test_cancel_current_task, test_cancel_at_end
    """
    unclaimed: list[Any] = []
    jobs = [cancels_itself(awaits=awaits), *([value("b", 1)] if name in DATA else [])]
    if name in DATA:
        answer = await run_helper(name, jobs, dispose=unclaimed.append)
        assert list(answer.outcomes if isinstance(answer, waitkit.Partial) else answer) == [
            waitkit.Cancelled(0, 0, "external", True),
            waitkit.Success("b", 1, 1),
        ]
    else:
        kind = ExceptionGroup if name == "first_success" else waitkit.JobCancelledError
        with pytest.raises(kind):
            await run_helper(name, jobs, dispose=unclaimed.append)
    assert unclaimed == []
    assert current_task().cancelling() == 0


@pytest.mark.only("asyncio")
async def test_task_that_catches_its_cancellation_has_stopped_with_its_result() -> None:
    """R31: it is not among those that still run.

    CPython: test_tasks.BaseTaskTests.test_cancel_task_catching
    """
    waiting = future()

    async def catches() -> int:
        try:
            await waiting
        except asyncio.CancelledError:
            return 42
        return 0

    task = asyncio.create_task(catches())
    await settle()
    assert await waitkit.cancel_and_wait(task) == []
    assert waiting.cancelled()
    assert not task.cancelled()
    assert task.result() == 42


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("timeout", [None, 3])
async def test_task_that_ignores_its_cancellation_is_awaited(timeout: float | None) -> None:
    """R31: for as long as it runs, or is given back in time; its next await is not cancelled.

    CPython: test_tasks.BaseTaskTests.test_cancel_task_ignoring
    """
    first, second = future(), future()

    async def ignores() -> Any:
        with suppress(asyncio.CancelledError):
            await first
        return await second

    task = asyncio.create_task(ignores())
    await settle()
    at(5, second.set_result, 42)
    left = await waitkit.cancel_and_wait(task, timeout=timeout)
    assert (left, now()) == (([], 5) if timeout is None else ([task], 3))
    assert first.cancelled()
    assert await task == 42
    assert not second.cancelled()
    assert not task.cancelled()


@pytest.mark.parametrize("mode", virtual_time.ASYNCIO_MODES)
@pytest.mark.parametrize("name", HELPERS)
def test_exit_in_the_cleanup_of_a_job_leaves_the_loop(
    name: str, mode: virtual_time.AsyncioMode
) -> None:
    """R14: SystemExit that a job raises because it is cancelled; the others have cleaned up.

    CPython: test_tasks.BaseTaskTests.test_baseexception_during_cancel
    """
    error = SystemExit()
    ended: list[str] = []

    async def exits() -> None:
        try:
            await never()
        except asyncio.CancelledError:
            raise error from None

    async def other() -> None:
        try:
            await never()
        finally:
            ended.append("other")

    async def main() -> None:
        loop.call_later(1, current_task().cancel)
        await run_helper(name, [exits(), other()])

    loop = virtual_time.new_loop(mode)
    with pytest.raises(SystemExit) as caught, asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    assert caught.value is error
    assert ended == ["other"]
    assert not loop.complaints


# --- the caller's cancellation


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_caller_that_has_cancelled_itself_cancels_what_it_awaits(name: str) -> None:
    """R23: the Task that it gives to a helper, and the Future that this one waits for.

    CPython: test_tasks.BaseTaskTests.test_cancel_awaited_task
    """
    waiting = future()
    nested: list[asyncio.Task[Any]] = []

    async def wait() -> None:
        await waiting

    async def call() -> None:
        nested.append(asyncio.create_task(wait()))
        await asyncio.sleep(0)
        current_task().cancel()
        await run_helper(name, nested)

    caller = asyncio.create_task(call())
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert caller.cancelled()
    assert nested[0].cancelled()
    assert waiting.cancelled()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_uncancel_makes_the_next_cancellation_count_as_the_first(name: str) -> None:
    """R21: a caller takes one back and calls again; the next one comes out as if none had been.

    CPython: test_tasks.BaseTaskTests.test_uncancel_basic
    """
    gauge = Gauge()

    async def call() -> None:
        try:
            await run_helper(name, [gauge.job("first")])
        except asyncio.CancelledError:
            current_task().uncancel()
            await run_helper(name, [gauge.job("second")])

    caller = asyncio.create_task(call())
    await settle()
    for ended in (["first"], ["first", "second"]):
        assert caller.cancel()
        assert caller.cancelling() == 1
        await settle()
        assert gauge.ended == ended
        assert caller.cancelling() == (0 if ended == ["first"] else 1)
    assert caller.cancelled()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize(("seconds", "limit"), [(10.0, 0.1), (0.0, 10.0)])
@pytest.mark.parametrize("name", HELPERS)
async def test_time_limit_that_is_written_by_hand_works_around_a_helper(
    name: str, seconds: float, limit: float
) -> None:
    """R21: `uncancel` takes back to zero what its timer has counted, and it alone.

    CPython: test_tasks.BaseTaskTests.test_uncancel_structured_blocks
    """
    expired = finished = False

    def on_timeout() -> None:
        nonlocal expired
        expired = True
        current.cancel()

    current = current_task()
    timer = asyncio.get_running_loop().call_later(limit, on_timeout)
    try:
        await run_helper(name, [value("a", seconds)])
        finished = True
    except asyncio.CancelledError:
        assert expired
        assert current.uncancel() == 0
    finally:
        timer.cancel()
    await asyncio.sleep(0)
    assert (expired, finished) == ((True, False) if limit < seconds else (False, True))
    assert current.cancelling() == 0


@pytest.mark.only("asyncio")
@pytest.mark.skipif(sys.version_info < (3, 13), reason="before it, such a cancellation strikes")
@pytest.mark.parametrize("name", HELPERS)
async def test_cancellation_that_is_taken_back_in_time_never_was(name: str) -> None:
    """R21: a caller that is about to wake, cancelled and uncancelled, gets its result.

    CPython: test_tasks.BaseTaskTests.test_uncancel_resets_must_cancel (3.13)
    """
    for turns in range(1, 6):
        waiting = future()
        caller = asyncio.create_task(run_helper(name, [waiting]))
        await settle()
        waiting.set_result(42)
        for _ in range(turns):
            await asyncio.sleep(0)
        pending = caller._fut_waiter is not None and not caller._fut_waiter.done()  # type: ignore[attr-defined]
        if caller.done() or pending:  # what is awaited is cancelled at once, for good
            continue
        caller.cancel()
        assert caller.uncancel() == 0
        assert plain_values(await caller) == [42]
        break
    else:
        raise AssertionError("the caller never was about to wake")


# --- shield


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_helper_in_a_shield_goes_on_without_its_caller(name: str) -> None:
    """R21: the caller's cancellation does not reach it.

    CPython: test_tasks.BaseTaskTests.test_shield_gather, test_shield_effect
    """
    children = [future(), future()]
    helper = asyncio.create_task(run_helper(name, children))
    outer = asyncio.shield(helper)
    await settle()
    outer.cancel()
    await settle()
    assert outer.cancelled()
    assert not helper.done()
    children[0].set_result(1)
    if name in ("first_completed", "first_success"):
        assert await helper == 1
    else:
        children[1].set_result(2)
        assert plain_values(await helper) == [1, 2]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_shields_as_inputs_are_cancelled_and_what_is_behind_them_is_not(name: str) -> None:
    """R1: a shield is a Future of the caller's own, which is cancelled with the rest.

    CPython: test_tasks.BaseTaskTests.test_gather_shield
    """
    children = [future(), future()]
    shields = [asyncio.shield(child) for child in children]
    caller = asyncio.create_task(run_helper(name, shields))
    await settle()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert [shield.cancelled() for shield in shields] == [True, True]
    for child in children:
        assert not child.done()
        child.set_result(1)
    await settle()
