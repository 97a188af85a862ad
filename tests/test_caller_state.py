"""The caller's own cancellation state is never touched (R21), and what cancels it wins (R23).

By what only asyncio has: its counts of cancellations, timeouts, task groups. What of it holds for
scopes as well, on every loop, is in test_scopes.py.
"""

from __future__ import annotations

import asyncio
import logging

import pytest

import waitkit
from cancelling import USES, Ledger, cancel_at, current_task
from jobs import FAIL_FAST, RESULT_STREAMS, at, now

pytestmark = pytest.mark.only("asyncio")

FAIL_FAST_USES = [use for use in USES if use.partition("-")[0] in FAIL_FAST]


# --- timeouts


@pytest.mark.parametrize("use", USES)
async def test_timeout_around_a_helper_reports_its_own_expiry(use: str) -> None:
    """R21: `asyncio.timeout` around a helper raises its plain TimeoutError when all jobs ended."""
    ledger = Ledger()
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(2) as timeout:
            await USES[use](ledger, [ledger.job("a", 9, cleanup=1), ledger.job("b", 9)])
    ledger.check()
    assert type(caught.value) is TimeoutError
    assert timeout.expired()
    assert (now(), current_task().cancelling()) == (3, 0)


@pytest.mark.parametrize("use", USES)
async def test_wait_for_around_a_helper_reports_its_own_expiry(use: str) -> None:
    """R21: so does `asyncio.wait_for`, which in 3.11 runs the helper in a task of its own."""
    ledger = Ledger()
    with pytest.raises(TimeoutError) as caught:
        await asyncio.wait_for(USES[use](ledger, [ledger.job("a", 9, cleanup=1)]), 2)
    ledger.check()
    assert type(caught.value) is TimeoutError
    assert (now(), current_task().cancelling()) == (3, 0)


@pytest.mark.parametrize("use", USES)
async def test_timeout_that_does_not_expire_leaves_a_helper_alone(use: str) -> None:
    """R21: a timeout that is never reached changes nothing, and leaves no count behind."""
    ledger = Ledger()
    async with asyncio.timeout(99) as timeout:
        await USES[use](ledger, [ledger.job("a", 1), ledger.job("b", 1)])
    ledger.check()
    assert ledger.taken[0] == "a"
    assert not timeout.expired()
    assert current_task().cancelling() == 0


@pytest.mark.parametrize("use", USES)
async def test_outer_timeout_during_the_cleanup_after_an_inner_one(use: str) -> None:
    """R21: of two timeouts that expire one after the other, the outer reports, as without it."""
    ledger = Ledger()
    inner, outer = asyncio.timeout(1), asyncio.timeout(2)
    with pytest.raises(TimeoutError) as caught:  # noqa: PT012
        async with outer:
            try:
                async with inner:
                    await USES[use](ledger, [ledger.job("a", 9, cleanup=2)])
            except TimeoutError:
                pytest.fail("the inner timeout took the outer one's cancellation for its own")
    ledger.check()
    assert caught.value.__cause__ is not None
    assert inner.expired()
    assert outer.expired()
    assert (now(), current_task().cancelling()) == (3, 0)


@pytest.mark.parametrize("use", USES)
async def test_inner_timeout_alone_is_caught_by_the_inner_block(use: str) -> None:
    """R21: a timeout inside another reports its own expiry to its own block only."""
    ledger = Ledger()
    async with asyncio.timeout(9) as outer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await USES[use](ledger, [ledger.job("a", 9, cleanup=2)])
        await asyncio.sleep(1)
    ledger.check()
    assert not outer.expired()
    assert current_task().cancelling() == 0


@pytest.mark.parametrize("use", USES)
async def test_timeout_and_deadline_in_one_tick(use: str) -> None:
    """R20, R21: a timeout and the helper's own deadline at the same time: one of them reports."""
    ledger = Ledger()
    try:
        async with asyncio.timeout(1):
            await USES[use](ledger, [ledger.job("a", 9, cleanup=1)], timeout=1)
    except TimeoutError:
        pass
    ledger.check()
    assert (now(), current_task().cancelling()) == (2, 0)
    await asyncio.sleep(0)  # nor is a cancellation still to come


@pytest.mark.parametrize("use", FAIL_FAST_USES)
async def test_timeout_inside_a_job_is_that_jobs_failure(use: str) -> None:
    """R20, R21: a timeout inside a job expires in the job, and is no deadline of the call."""
    ledger = Ledger()

    async def impatient() -> str:
        async with asyncio.timeout(1):
            return await ledger.job("a", 9)

    with pytest.raises(TimeoutError) as caught:
        await USES[use](ledger, [impatient(), ledger.job("b", 9)], timeout=5)
    ledger.check()
    assert not isinstance(caught.value, waitkit.DeadlineError)
    assert now() == 1


@pytest.mark.parametrize("use", FAIL_FAST_USES)
async def test_task_group_inside_a_job_is_cancelled_with_it(use: str) -> None:
    """R21, R22: a job that is a task group passes its cancellation on to its own tasks."""
    ledger = Ledger()

    async def group() -> str:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ledger.job("b", 9, cleanup=1))
            tasks.create_task(ledger.job("c", 9, cleanup=2))
        return "never"

    with pytest.raises(ValueError, match="a"):
        await USES[use](ledger, [ledger.job("a", 1, error=ValueError("a")), group()])
    ledger.check()
    assert now() == 3


# --- task groups


@pytest.mark.parametrize("use", USES)
async def test_task_group_that_fails_around_a_helper(use: str) -> None:
    """R21: a failing sibling cancels the helper, and the group raises that failure alone."""
    ledger = Ledger()
    failure = ValueError("the sibling")

    async def sibling() -> None:
        await asyncio.sleep(1)
        raise failure

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with asyncio.TaskGroup() as group:
            group.create_task(sibling())
            await USES[use](ledger, [ledger.job("a", 9, cleanup=1)])
    ledger.check()
    assert caught.value.exceptions == (failure,)
    assert (now(), current_task().cancelling()) == (2, 0)


@pytest.mark.parametrize("use", USES)
async def test_task_group_that_runs_helpers_cancels_them_with_a_failure(use: str) -> None:
    """R21, R22: a helper in a task of a failing group ends its jobs before the group ends."""
    ledger = Ledger()
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with asyncio.TaskGroup() as group:
            group.create_task(USES[use](ledger, [ledger.job("a", 9, cleanup=1)]))
            group.create_task(USES[use](ledger, [ledger.job("b", 9, refuses=2)]))
            await asyncio.sleep(1)
            raise ValueError("the body")
    ledger.check()
    assert caught.group_contains(ValueError, match="the body")
    assert len(caught.value.exceptions) == 1
    assert now() == 3


# --- counts


@pytest.mark.parametrize("use", USES)
async def test_helper_works_in_a_task_that_was_cancelled(use: str) -> None:
    """R21: cleanup code that runs after a cancellation may use a helper like any other code."""
    ledger = Ledger()
    task = current_task()
    task.cancel()
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError:
        await USES[use](ledger, [ledger.job("a", 1), ledger.job("b", 1)])
    ledger.check()
    assert ledger.taken[0] == "a"
    assert task.uncancel() == 0


@pytest.mark.parametrize("use", USES)
async def test_uncancel_after_a_helper_was_cancelled(use: str) -> None:
    """R21: a caller that catches its cancellation and takes it back goes on as if none had been."""
    ledger = Ledger()
    task = current_task()
    at(1, task.cancel, "for a while")
    with pytest.raises(asyncio.CancelledError, match="for a while"):
        await USES[use](ledger, [ledger.job("a", 9, cleanup=1)])
    ledger.check()
    assert task.cancelling() == 1
    assert task.uncancel() == 0
    async with asyncio.timeout(99):
        await USES[use](ledger, [ledger.job("b", 1)])
    assert ledger.taken == ["b"]
    assert task.cancelling() == 0


# --- a failure that is being cleaned up when the cancellation comes


def unraised(caplog: pytest.LogCaptureFixture) -> list[BaseException | None]:
    """The failures on the log that were never raised."""
    records = [record for record in caplog.records if "never raised" in record.getMessage()]
    assert all(record.name == "waitkit" for record in records)
    assert all(record.levelno == logging.WARNING for record in records)
    return [record.exc_info and record.exc_info[1] for record in records]


@pytest.mark.parametrize("use", FAIL_FAST_USES)
async def test_cancellation_during_the_cleanup_of_a_failure(
    use: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R23: it comes out, and the failure it displaces is its context, and on the logger."""
    ledger = Ledger()
    failure = ValueError("a")
    cancel_at(2, "meanwhile")
    with pytest.raises(asyncio.CancelledError, match="meanwhile") as caught:
        await USES[use](ledger, [ledger.job("a", 1, error=failure), ledger.job("b", 9, cleanup=2)])
    ledger.check()
    assert now() == 3
    assert caught.value.__context__ is failure
    assert caught.value.__cause__ is None
    assert unraised(caplog) == [failure]


@pytest.mark.parametrize("use", [f"{name}-block" for name in RESULT_STREAMS])
async def test_cancellation_of_an_anext_during_the_cleanup_comes_out_at_once(use: str) -> None:
    """R23, R24: in a block the cancelled `anext` need not wait; the next one raises the failure."""
    ledger = Ledger()
    failure = ValueError("a")
    jobs = [ledger.job("a", 1, error=failure), ledger.job("b", 9, cleanup=2)]
    async with getattr(waitkit, use.partition("-")[0])(jobs) as stream:
        cancel_at(2)
        with pytest.raises(asyncio.CancelledError):
            await anext(stream)
        assert now() == 2
        current_task().uncancel()
        with pytest.raises(ValueError, match="a") as caught:
            await anext(stream)
        assert now() == 3
    assert caught.value is failure
    ledger.check()


@pytest.mark.parametrize("use", FAIL_FAST_USES)
async def test_deadline_that_a_cancellation_displaces(
    use: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R23: a deadline that is never raised is the context of the cancellation, and no news."""
    ledger = Ledger()
    cancel_at(2)
    with pytest.raises(asyncio.CancelledError) as caught:
        await USES[use](ledger, [ledger.job("a", 9, cleanup=2)], timeout=1)
    ledger.check()
    assert isinstance(caught.value.__context__, waitkit.DeadlineError)
    assert unraised(caplog) == []


@pytest.mark.parametrize("use", USES)
async def test_cancellation_of_caller_and_jobs_at_once(
    use: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R13, R23: when everything is cancelled, as `asyncio.run` does, the cancellation comes out."""
    ledger = Ledger()
    tasks = [asyncio.ensure_future(ledger.job(name, 9)) for name in "ab"]
    caller = current_task()

    def cancel_all() -> None:
        for task in (*tasks, caller):
            task.cancel("all")

    at(1, cancel_all)
    with pytest.raises(asyncio.CancelledError, match="all"):
        await USES[use](ledger, tasks)
    assert ledger.ended == ["a", "b"]
    assert unraised(caplog) == []
