"""R23 under anyio, whose cancelled scopes cancel again at every turn: where the loops differ.

What holds for scopes on every loop is in test_scopes.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import virtual_time
import waitkit
from cancelling import USES, Ledger, cancel_at_every_tick, current_task
from jobs import FAIL_FAST, RESULT_STREAMS, Turns, at, cancelled_error, logged, now

FAIL_FAST_USES = [use for use in USES if use.partition("-")[0] in FAIL_FAST]

# A wait that is cancelled again at every turn takes 100,000 of them, and is a Livelock then.
FEW_TURNS = 200


def slow_jobs(ledger: Ledger) -> list[Any]:
    return [
        ledger.job("a", 99, cleanup=2),
        ledger.job("b", 99, refuses=3),
        ledger.job("c", 99, cleanup=1, cleanup_error=ValueError("c")),
    ]


# --- scopes around a helper, cancelled while a failure is cleaned up


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", FAIL_FAST_USES)
async def test_scope_cancelled_while_a_failure_is_cleaned_up(use: str) -> None:
    """R23: the cancellation comes out, and the failure does not break through the scope."""
    ledger = Ledger()
    turns = Turns()
    failure = ValueError("a")
    jobs = [ledger.job("a", 1, error=failure), ledger.job("b", 99, cleanup=3)]
    with anyio.move_on_after(2) as scope:
        await USES[use](ledger, jobs)
    ledger.check()
    assert scope.cancelled_caught
    assert now() == 4
    assert turns.count < FEW_TURNS


@pytest.mark.only("blocks")
@pytest.mark.parametrize("timeout", [None, 1])
@pytest.mark.parametrize("name", ["first_error", "first_completed"])
async def test_failure_comes_out_of_a_scope_that_was_cancelled_meanwhile(
    name: str, timeout: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """R52: it is raised, a deadline too, and the cancellation strikes at the next checkpoint."""
    ledger = Ledger()
    failure = ValueError("a")
    jobs = [ledger.job("b", 99, cleanup=3)]
    if timeout is None:
        jobs.append(ledger.job("a", 1, error=failure))
    with anyio.move_on_after(2) as scope:
        with pytest.raises((ValueError, waitkit.DeadlineError)) as caught:
            await USES[name](ledger, jobs, timeout=timeout)
        ledger.check()
        assert now() == 4
        await anyio.lowlevel.checkpoint()
        pytest.fail("the cancellation was lost")
    assert scope.cancelled_caught
    assert (caught.value is failure) == (timeout is None)
    assert logged(caplog) == []


@pytest.mark.only("blocks")
@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_stream_left_by_a_scope_while_a_failure_is_cleaned_up(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R23, R24: the `anext` is cancelled at once; the failure is its context, and logged."""
    ledger = Ledger()
    failure = ValueError("a")
    jobs = [ledger.job("a", 1, error=failure), ledger.job("b", 99, cleanup=3)]
    with anyio.move_on_after(2) as scope:
        with pytest.raises(cancelled_error()) as caught:
            await USES[f"{name}-block"](ledger, jobs)
        ledger.check()
        assert now() == 4
        raise caught.value
    assert scope.cancelled_caught
    assert caught.value.__context__ is failure
    assert logged(caplog) == [failure]


# --- scopes around a helper, cancelled at any moment


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("mode", virtual_time.ASYNCIO_MODES)
def test_scope_cancelled_at_any_moment(use: str, mode: virtual_time.AsyncioMode) -> None:
    """R22, R23, R29: whenever the scope is cancelled, jobs and disposal are seen through."""

    async def run(ledger: Ledger) -> None:
        jobs = [ledger.job("d", 1), ledger.job("e", 1, error=ValueError("e"))]
        await USES[use](ledger, slow_jobs(ledger) + jobs, dispose=ledger.dispose_slowly)

    cancel_at_every_tick(run, mode=mode, scoped=True)


# --- native cancellation


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", USES)
async def test_native_cancellation_inside_a_scope(use: str) -> None:
    """R23: asyncio's own cancellation passes through anyio's scopes, its message included."""
    ledger = Ledger()
    task = current_task()
    at(1, task.cancel, "natively")
    with pytest.raises(asyncio.CancelledError, match="natively"), anyio.CancelScope() as scope:
        await USES[use](ledger, slow_jobs(ledger))
    ledger.check()
    assert not scope.cancelled_caught
    assert task.cancelling() == 1
    assert now() == 4


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", USES)
async def test_native_cancellation_after_a_scope_was_cancelled(use: str) -> None:
    """R23: it is not lost in the shield, though the scope had cancelled the helper already."""
    ledger = Ledger()
    turns = Turns()
    task = current_task()
    at(2, task.cancel, "natively")
    with pytest.raises(asyncio.CancelledError, match="natively"):  # noqa: PT012
        with anyio.move_on_after(1):
            await USES[use](ledger, slow_jobs(ledger))
        await asyncio.sleep(0)
    ledger.check()
    assert task.cancelling() == 1
    assert turns.count < FEW_TURNS


# --- cancel_and_wait


@pytest.mark.only("asyncio")
async def test_cancel_and_wait_in_a_cancelled_scope() -> None:
    """R23, R31: used to clean up, it waits for the tasks' cleanup, and does not spin."""
    ledger = Ledger()
    turns = Turns()
    task = asyncio.ensure_future(ledger.job("a", 99, cleanup=3))
    with anyio.move_on_after(1) as scope:
        try:
            await anyio.sleep_forever()
        finally:
            assert await waitkit.cancel_and_wait(task) == []
    ledger.check()
    assert scope.cancelled_caught
    assert now() == 4
    assert turns.count < FEW_TURNS


@pytest.mark.only("asyncio")
async def test_scope_that_is_cancelled_ends_the_grace() -> None:
    """R31: as a native cancellation does."""
    ledger = Ledger()
    turns = Turns()
    task = asyncio.ensure_future(ledger.job("a", 99, cleanup=3))
    await asyncio.sleep(0)
    with anyio.move_on_after(1) as scope:
        await waitkit.cancel_and_wait(task, grace=50)
    ledger.check()
    assert scope.cancelled_caught
    assert now() == 4
    assert turns.count < FEW_TURNS


# --- as a web framework would


@pytest.mark.real_time
@pytest.mark.parametrize("use", USES)
async def test_client_that_goes_away_ends_the_helper_of_its_request(use: str) -> None:
    """R22, R23: as in Starlette: a listener cancels the task group that the endpoint runs in."""
    ledger = Ledger()
    busy = anyio.Event()

    async def query() -> str:
        busy.set()
        return await ledger.job("query", 99, cleanup=0.01)

    async def endpoint() -> None:
        await USES[use](ledger, [query(), ledger.job("cache", 99)])

    async def listen_for_disconnect(group: anyio.abc.TaskGroup) -> None:
        await busy.wait()
        group.cancel_scope.cancel()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(listen_for_disconnect, group)
            await endpoint()
    ledger.check()
    assert ledger.cancelled["query"] == 1


# --- no task, and so no scope


def drive(coro: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
    """Run a coroutine from callbacks alone, in no task."""
    loop = asyncio.get_running_loop()
    outcome = loop.create_future()

    def step(_: object = None) -> None:
        try:
            waits_for = coro.send(None)
        except StopIteration as returned:
            outcome.set_result(returned.value)
        except BaseException as error:
            outcome.set_exception(error)
        else:
            waits_for._asyncio_future_blocking = False
            waits_for.add_done_callback(step)

    loop.call_soon(step)
    return outcome


@pytest.mark.only("asyncio")
async def test_helper_that_is_awaited_in_no_task_awaits_its_jobs() -> None:
    """R10, R22: where there is no task there is no scope of anyio, and nothing to be shielded from.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_without_parent_task, which is refused.
    """
    ledger = Ledger()
    failure = ValueError("a")
    jobs = [ledger.job("a", 1, error=failure), ledger.job("b", 99, cleanup=3)]
    with pytest.raises(ValueError, match="a") as raised:
        await drive(waitkit.first_error(jobs))
    assert raised.value is failure
    ledger.check()
    assert now() == 4
