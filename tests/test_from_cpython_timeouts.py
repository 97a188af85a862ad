"""What CPython's own tests say of `asyncio.timeout`, said of deadlines.

A helper has its own, `timeout=`, and may stand inside `asyncio.timeout`. Each test names the one of
`test.test_asyncio` that it comes from; where a helper differs on purpose, it says "unlike".
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from cancelling import current_task
from jobs import (
    FAIL_FAST,
    HELPERS,
    RESULT_STREAMS,
    Gauge,
    fail,
    logged,
    never,
    notes,
    now,
    run_helper,
    spoil,
    time_limit,
)

RAISING = (*FAIL_FAST, "first_success")  # which raise their deadline


async def overrun(name: str, aws: Any, timeout: float, **options: Any) -> BaseException | None:
    """Run a helper into its deadline; give back the error, where it raises one."""
    if name not in RAISING:
        await run_helper(name, aws, timeout=timeout, **options)
        return None
    with pytest.raises(waitkit.DeadlineError) as caught:
        await run_helper(name, aws, timeout=timeout, **options)
    return caught.value


# --- the helper's own deadline


@pytest.mark.parametrize("inner", RAISING)
@pytest.mark.parametrize("outer", RAISING)
async def test_of_two_deadlines_at_one_moment_the_outer_one_is_raised(
    outer: str, inner: str
) -> None:
    """R20: the inner call is cancelled by it like any other job.

    CPython: test_timeouts.TimeoutTests.test_nested_timeouts
    """
    gauge = Gauge()
    call = run_helper(inner, [gauge.job("inner")], timeout=0.01)
    error = await overrun(outer, [call], 0.01)
    assert str(error).startswith(f"waitkit.{outer}: ")
    assert now() == 0.01
    assert gauge.cancelled == ["inner"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_deadline_does_not_cancel_the_caller(name: str) -> None:
    """R21: nor does it leave a count of cancellations.

    CPython: test_timeouts.TimeoutTests.test_outer_task_is_not_cancelled
    """

    async def outer() -> int:
        await overrun(name, [never()], 0.001)
        return current_task().cancelling()

    caller = asyncio.create_task(outer())
    assert await caller == 0
    assert not caller.cancelled()


@pytest.mark.parametrize("name", [*FAIL_FAST, "first_success"])
async def test_failure_in_time_is_no_deadline(name: str) -> None:
    """R20: the job's error comes out, at its own time.

    CPython: test_timeouts.TimeoutTests.test_foreign_exception_passed
    """
    options: dict[str, Any] = {"catch": ()} if name == "first_success" else {}
    with pytest.raises(KeyError):
        await run_helper(name, [fail(KeyError()), never()], timeout=0.01, **options)
    assert now() == 0


@pytest.mark.parametrize("name", RAISING)
async def test_deadline_has_neither_cause_nor_context(name: str) -> None:
    """R20: unlike there, where it is from the CancelledError; jobs' cancellations are their own.

    CPython: test_timeouts.TimeoutTests.test_timeout_exception_context
    """

    async def job() -> None:
        try:
            raise ZeroDivisionError
        finally:
            await anyio.sleep(1)

    error = await overrun(name, [job()], 0.01)
    assert error is not None
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("name", RAISING)
async def test_error_in_cleanup_does_not_take_the_place_of_the_deadline(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R20: unlike there; it is a note on the deadline, and on the logger.

    CPython: test_timeouts.TimeoutTests.test_foreign_exception_on_timeout,
    test_waitfor.AsyncioWaitForTest.test_wait_for_reraises_exception_during_cancellation
    """
    in_cleanup = ZeroDivisionError("in cleanup")
    error = await overrun(name, [spoil(in_cleanup), never()], 0.01)
    assert error is not None
    assert len(notes(error)) == 1
    assert "in cleanup" in notes(error)[0]
    assert logged(caplog) == [in_cleanup]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_deadline_in_the_cleanup_after_a_cancellation(name: str) -> None:
    """R20, R21: one of zero or more is kept there too.

    CPython: test_timeouts.TimeoutTests.test_timeout_after_cancellation
    """
    for seconds in (0.0, 1.0):
        begun = now()
        try:
            current_task().cancel()
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            pass
        finally:
            await overrun(name, [never()], seconds)
        assert now() == begun + seconds


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_cancellation_in_the_cleanup_after_a_cancellation(name: str) -> None:
    """R20, R23: a second one comes out, and is not taken for the deadline.

    CPython: test_timeouts.TimeoutTests.test_cancel_in_timeout_after_cancellation,
    test_foreign_cancel_doesnt_timeout_if_not_expired
    """
    with suppress(asyncio.CancelledError):
        current_task().cancel()
        await asyncio.sleep(1)
    current_task().cancel("second")
    with pytest.raises(asyncio.CancelledError, match="second"):
        await run_helper(name, [never()], timeout=1.0)
    assert now() == 0


# --- a time limit around a helper


@pytest.mark.parametrize("name", HELPERS)
async def test_error_in_cleanup_does_not_take_the_place_of_a_time_limit(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R21: unlike there; the limit reports, and the error is on the logger.

    CPython: test_timeouts.TimeoutTests.test_foreign_exception_on_timeout_2
    """
    error = ZeroDivisionError()
    options: dict[str, Any] = {} if name in FAIL_FAST else {"catch": ()}  # else it may be data
    with pytest.raises(TimeoutError):
        async with time_limit(0.01):
            await run_helper(name, [spoil(error)], **options)
    assert logged(caplog) == [error]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_time_limit_around_a_block_whose_job_crashes_in_cleanup(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R21: unlike there; what the body was handling is the context of the cancellation.

    CPython: test_timeouts.TimeoutTests.test_timeout_taskgroup
    """
    crash = ZeroDivisionError()

    async def block() -> None:
        async with asyncio.timeout(0.01), getattr(waitkit, name)([spoil(crash)]):
            try:
                raise ValueError
            finally:
                await asyncio.sleep(1)

    with pytest.raises(TimeoutError) as caught:
        await block()
    assert type(caught.value.__cause__) is asyncio.CancelledError
    assert type(caught.value.__cause__.__context__) is ValueError
    assert logged(caplog) == [crash]
    assert current_task().cancelling() == 0


@pytest.mark.parametrize("name", HELPERS)
async def test_time_limit_and_deadline_one_in_the_cleanup_of_the_other(name: str) -> None:
    """R20, R21: each is kept, and each reports to its own place.

    CPython: test_timeouts.TimeoutTests.test_nested_timeout_in_finally
    """
    reached: list[str] = []

    async def block() -> None:
        async with time_limit(0.01):
            try:
                await never()
            finally:
                with anyio.CancelScope(shield=True):
                    await overrun(name, [never()], 0.01)
                reached.append("after the inner one")

    with pytest.raises(TimeoutError) as caught:
        await block()
    assert not isinstance(caught.value, waitkit.DeadlineError)
    assert reached == ["after the inner one"]
    assert now() == 0.02


def block_the_loop(seconds: float) -> None:
    """Take time as a function does that computes."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, virtual_time.VirtualLoop)
    loop._now += seconds


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("limit", [0.1, 0.002])
@pytest.mark.parametrize("name", HELPERS)
async def test_time_limit_and_deadline_that_both_passed_while_the_loop_was_busy(
    name: str, limit: float
) -> None:
    """R21, R23: whichever was to come first, the limit ends its block at once.

    CPython: test_timeouts.TimeoutTests.test_nested_timeouts_loop_busy,
    test_nested_timeouts_concurrent
    """
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 10  # else debug mode remarks on it

    async def job() -> None:
        block_the_loop(0.2)
        await never()

    async def block() -> None:
        async with asyncio.timeout(limit):
            with suppress(waitkit.DeadlineError):
                await run_helper(name, [job()], timeout=0.01)
            await asyncio.sleep(10)  # which the limit interrupts

    with pytest.raises(TimeoutError) as caught:
        await block()
    assert not isinstance(caught.value, waitkit.DeadlineError)
    assert now() == 0.2
    assert current_task().cancelling() == 0
