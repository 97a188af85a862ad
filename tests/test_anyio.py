"""R23 under anyio, whose cancelled scopes cancel again at every turn of the loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from cancelling import USES, Ledger, cancel_at_every_tick, current_task
from jobs import FAIL_FAST, STREAMS, at, now

FAIL_FAST_USES = [use for use in USES if use.partition("-")[0] in FAIL_FAST]

# A wait that is cancelled again at every turn takes 100,000 of them, and is a Livelock then.
FEW_TURNS = 200


def turns() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, virtual_time.VirtualLoop)
    return loop.turns


def slow_jobs(ledger: Ledger) -> list[Any]:
    return [
        ledger.job("a", 99, cleanup=2),
        ledger.job("b", 99, refuses=3),
        ledger.job("c", 99, cleanup=1, cleanup_error=ValueError("c")),
    ]


# --- scopes around a helper


@pytest.mark.parametrize("use", USES)
async def test_move_on_after_around_a_helper(use: str) -> None:
    """R22, R23: the jobs finish their cleanup, then the block is left; the loop does not spin."""
    ledger = Ledger()
    task = current_task()
    with anyio.move_on_after(1) as scope:
        await USES[use](ledger, slow_jobs(ledger))
    ledger.check()
    assert scope.cancelled_caught
    assert now() == 4
    assert turns() < FEW_TURNS
    assert asyncio.all_tasks() == {task}
    assert task.cancelling() == 0


@pytest.mark.parametrize("use", USES)
async def test_fail_after_around_a_helper(use: str) -> None:
    """R21, R23: `fail_after` raises its own TimeoutError when all jobs have ended."""
    ledger = Ledger()
    with pytest.raises(TimeoutError) as caught, anyio.fail_after(1):
        await USES[use](ledger, slow_jobs(ledger))
    ledger.check()
    assert not isinstance(caught.value, waitkit.DeadlineError)
    assert now() == 4
    assert turns() < FEW_TURNS


@pytest.mark.parametrize("use", USES)
async def test_scope_that_is_not_cancelled_changes_nothing(use: str) -> None:
    """R21: a scope around a helper that ends in time catches nothing."""
    ledger = Ledger()
    with anyio.move_on_after(99) as scope:
        await USES[use](ledger, [ledger.job("a", 1)])
    assert not scope.cancelled_caught
    assert ledger.taken == ["a"]


@pytest.mark.parametrize("use", USES)
async def test_scope_cancelled_before_the_call(use: str) -> None:
    """R23: inside a cancelled scope a helper starts nothing that it does not end."""
    ledger = Ledger()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await USES[use](ledger, slow_jobs(ledger))
    ledger.check()
    assert scope.cancelled_caught
    assert turns() < FEW_TURNS


@pytest.mark.parametrize("use", USES)
async def test_scope_cancelled_by_a_job(use: str) -> None:
    """R23: a job may cancel the scope its caller is in, and is awaited like the others."""
    ledger = Ledger()
    with anyio.CancelScope() as scope:

        async def cancels() -> str:
            await asyncio.sleep(1)
            scope.cancel()
            return await ledger.job("d", 99, cleanup=1)

        await USES[use](ledger, [*slow_jobs(ledger), cancels()])
    ledger.check()
    assert scope.cancelled_caught
    assert turns() < FEW_TURNS


@pytest.mark.parametrize("use", USES)
async def test_scope_inside_a_cancelled_scope(use: str) -> None:
    """R23: of nested scopes the one that was cancelled catches it."""
    ledger = Ledger()
    with anyio.move_on_after(1) as outer:
        with anyio.move_on_after(99) as inner:
            await USES[use](ledger, slow_jobs(ledger))
        pytest.fail("the outer scope was cancelled")
    ledger.check()
    assert outer.cancelled_caught
    assert not inner.cancelled_caught


@pytest.mark.parametrize("use", USES)
async def test_task_group_that_fails_around_a_helper(use: str) -> None:
    """R21, R22: a failing sibling cancels the helper, and the group raises that failure alone."""
    ledger = Ledger()

    async def sibling() -> None:
        await anyio.sleep(1)
        raise ValueError("the sibling")

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with anyio.create_task_group() as group:
            group.start_soon(USES[use], ledger, slow_jobs(ledger))
            group.start_soon(sibling)
    ledger.check()
    assert [str(error) for error in caught.value.exceptions] == ["the sibling"]
    assert now() == 4
    assert turns() < FEW_TURNS


@pytest.mark.parametrize("use", FAIL_FAST_USES)
async def test_scope_cancelled_while_a_failure_is_cleaned_up(use: str) -> None:
    """R23: the cancellation comes out, and the failure does not break through the scope."""
    ledger = Ledger()
    failure = ValueError("a")
    jobs = [ledger.job("a", 1, error=failure), ledger.job("b", 99, cleanup=3)]
    with anyio.move_on_after(2) as scope:
        await USES[use](ledger, jobs)
    ledger.check()
    assert scope.cancelled_caught
    assert now() == 4
    assert turns() < FEW_TURNS


@pytest.mark.parametrize("use", USES)
async def test_slow_disposal_in_a_cancelled_scope(use: str) -> None:
    """R23, R29: an async `dispose` is shielded like the jobs."""
    ledger = Ledger()
    with anyio.move_on_after(1) as scope:
        await USES[use](ledger, slow_jobs(ledger), dispose=ledger.dispose_slowly)
    ledger.check()
    assert ledger.disposed == ["b"]
    assert scope.cancelled_caught
    assert turns() < FEW_TURNS


@pytest.mark.parametrize("use", USES)
async def test_async_source_in_a_cancelled_scope(use: str) -> None:
    """R23, R27: an async generator given as input finishes its own cleanup as well."""
    ledger = Ledger()

    async def source() -> AsyncIterator[Any]:
        ledger.started.append("source")
        try:
            yield ledger.job("a", 99, cleanup=1)
            await anyio.sleep(99)
        finally:
            await anyio.sleep(2)
            ledger.ended.append("source")

    with anyio.move_on_after(1) as scope:
        await USES[use](ledger, source())
    ledger.check()
    assert scope.cancelled_caught
    assert now() == 3
    assert turns() < FEW_TURNS


@pytest.mark.parametrize("name", STREAMS)
async def test_anext_given_up_by_a_scope_in_a_block_harms_nothing(name: str) -> None:
    """R24: the next one goes on where it was."""
    ledger = Ledger()
    async with getattr(waitkit, name)([ledger.job("a", 1), ledger.job("b", 2)]) as stream:
        while len(ledger.taken) < 2:
            with anyio.move_on_after(0.25):
                ledger.take(await anext(stream))
    assert ledger.taken == ["a", "b"]
    assert not ledger.cancelled


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("mode", virtual_time.MODES)
def test_scope_cancelled_at_any_moment(use: str, mode: virtual_time.Mode) -> None:
    """R22, R23, R29: whenever the scope is cancelled, jobs and disposal are seen through."""

    async def run(ledger: Ledger) -> None:
        jobs = [ledger.job("d", 1), ledger.job("e", 1, error=ValueError("e"))]
        await USES[use](ledger, slow_jobs(ledger) + jobs, dispose=ledger.dispose_slowly)

    cancel_at_every_tick(run, mode=mode, scoped=True)


# --- native cancellation


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


@pytest.mark.parametrize("use", USES)
async def test_native_cancellation_after_a_scope_was_cancelled(use: str) -> None:
    """R23: it is not lost in the shield, though the scope had cancelled the helper already."""
    ledger = Ledger()
    task = current_task()
    at(2, task.cancel, "natively")
    with pytest.raises(asyncio.CancelledError, match="natively"):  # noqa: PT012
        with anyio.move_on_after(1):
            await USES[use](ledger, slow_jobs(ledger))
        await asyncio.sleep(0)
    ledger.check()
    assert task.cancelling() == 1
    assert turns() < FEW_TURNS


# --- anyio inside the jobs


async def test_jobs_may_use_scopes_of_their_own() -> None:
    """R21: a scope inside a job is the job's affair."""

    async def job(name: str, seconds: float) -> str:
        with anyio.move_on_after(1):
            await anyio.sleep(seconds)
            return name
        return f"{name} gave up"

    jobs = [job("a", 0.5), job("b", 9)]
    assert await waitkit.first_error(jobs) == ["a", "b gave up"]


async def test_job_whose_scope_times_out_has_failed() -> None:
    """R20: `fail_after` inside a job is that job's failure, and no deadline of the call."""

    async def job() -> None:
        with anyio.fail_after(1):
            await anyio.sleep(9)

    partial = await waitkit.gather_partial([job()], timeout=5)
    assert not partial.timed_out
    assert type(partial.errors[0]) is TimeoutError


@pytest.mark.parametrize("use", FAIL_FAST_USES)
async def test_task_group_inside_a_job_is_cancelled_with_it(use: str) -> None:
    """R22: a job that is an anyio task group ends its own tasks first."""
    ledger = Ledger()

    async def group() -> str:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 99)
            with anyio.CancelScope(shield=True):
                return await ledger.job("b", 2)
        return "never"

    jobs = [ledger.job("a", 1, error=ValueError("a")), group()]
    with pytest.raises(ValueError, match="a"):
        await USES[use](ledger, jobs)
    assert sorted(ledger.ended) == ["a", "b"]
    assert turns() < FEW_TURNS


async def test_helpers_in_helpers_under_scopes() -> None:
    """R21, R23: a scope in a job cancels the inner helper only."""
    ledger = Ledger()

    async def inner(seconds: float) -> str:
        with anyio.move_on_after(seconds) as scope:
            await USES["gather_partial"](ledger, [ledger.job(f"{seconds}", 2, cleanup=1)])
        return "cut" if scope.cancelled_caught else "full"

    with anyio.fail_after(9):
        assert await waitkit.first_error([inner(1), inner(5)]) == ["cut", "full"]
    ledger.check()


# --- cancel_and_wait


async def test_cancel_and_wait_in_a_cancelled_scope() -> None:
    """R23, R31: used to clean up, it waits for the tasks' cleanup, and does not spin."""
    ledger = Ledger()
    task = asyncio.ensure_future(ledger.job("a", 99, cleanup=3))
    with anyio.move_on_after(1) as scope:
        try:
            await anyio.sleep_forever()
        finally:
            assert await waitkit.cancel_and_wait(task) == []
    ledger.check()
    assert scope.cancelled_caught
    assert now() == 4
    assert turns() < FEW_TURNS


async def test_scope_that_is_cancelled_ends_the_grace() -> None:
    """R31: as a native cancellation does."""
    ledger = Ledger()
    task = asyncio.ensure_future(ledger.job("a", 99, cleanup=3))
    await asyncio.sleep(0)
    with anyio.move_on_after(1) as scope:
        await waitkit.cancel_and_wait(task, grace=50)
    ledger.check()
    assert scope.cancelled_caught
    assert now() == 4
    assert turns() < FEW_TURNS


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


# --- without anyio


def test_import_does_not_import_anyio() -> None:
    """R23: who has not imported anyio has none of its scopes, and need not pay for its import."""
    code = """
import asyncio, sys, waitkit
async def job(): await asyncio.sleep(0)
async def main():
    await waitkit.first_error([job()])
    await waitkit.first_completed([job(), job()])
    await waitkit.cancel_and_wait(asyncio.ensure_future(job()))
asyncio.run(main())
assert "anyio" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
