"""Cancel scopes around a helper and inside one, on every loop (R21, R23)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import virtual_time
import waitkit
from cancelling import USES, Ledger, current_task
from jobs import DATA, FAIL_FAST, RESULT_STREAMS, STREAMS, Turns, alone, never, now

BARE_USES = [use for use in USES if use.endswith("-bare")]  # which there are on asyncio alone
NEUTRAL_USES = [use for use in USES if use not in BARE_USES]
FAIL_FAST_USES = [use for use in NEUTRAL_USES if use.partition("-")[0] in FAIL_FAST]

# A wait that is cancelled again at every turn takes 100,000 of them, and is a Livelock then.
FEW_TURNS = 200


def slow_jobs(ledger: Ledger) -> list[Any]:
    return [
        ledger.job("a", 99, cleanup=2),
        ledger.job("b", 99, refuses=3),
        ledger.job("c", 99, cleanup=1, cleanup_error=ValueError("c")),
    ]


# --- scopes around a helper


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_move_on_after_around_a_helper(use: str) -> None:
    """R22, R23: the jobs finish their cleanup, then the block is left; the loop does not spin."""
    ledger = Ledger()
    turns = Turns()
    with anyio.move_on_after(1) as scope:
        await USES[use](ledger, slow_jobs(ledger))
    ledger.check()
    assert scope.cancelled_caught
    assert now() == 4
    assert turns.count < FEW_TURNS
    assert alone()
    assert virtual_time.on_trio() or current_task().cancelling() == 0


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_fail_after_around_a_helper(use: str) -> None:
    """R21, R23: `fail_after` raises its own TimeoutError when all jobs have ended."""
    ledger = Ledger()
    turns = Turns()
    with pytest.raises(TimeoutError) as caught, anyio.fail_after(1):
        await USES[use](ledger, slow_jobs(ledger))
    ledger.check()
    assert not isinstance(caught.value, waitkit.DeadlineError)
    assert now() == 4
    assert turns.count < FEW_TURNS


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_scope_that_is_not_cancelled_changes_nothing(use: str) -> None:
    """R21: a scope around a helper that ends in time catches nothing."""
    ledger = Ledger()
    with anyio.move_on_after(99) as scope:
        await USES[use](ledger, [ledger.job("a", 1)])
    assert not scope.cancelled_caught
    assert ledger.taken == ["a"]


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_scope_cancelled_before_the_call(use: str) -> None:
    """R23: inside a cancelled scope a helper starts nothing that it does not end."""
    ledger = Ledger()
    turns = Turns()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await USES[use](ledger, slow_jobs(ledger))
    ledger.check()
    assert scope.cancelled_caught
    assert turns.count < FEW_TURNS


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_scope_cancelled_by_a_job(use: str) -> None:
    """R23: a job may cancel the scope its caller is in, and is awaited like the others."""
    ledger = Ledger()
    turns = Turns()
    with anyio.CancelScope() as scope:

        async def cancels() -> str:
            await anyio.sleep(1)
            scope.cancel()
            return await ledger.job("d", 99, cleanup=1)

        await USES[use](ledger, [*slow_jobs(ledger), cancels()])
    ledger.check()
    assert scope.cancelled_caught
    assert turns.count < FEW_TURNS


@pytest.mark.parametrize("use", NEUTRAL_USES)
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


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_outer_scope_cancelled_during_the_cleanup_after_an_inner_one(use: str) -> None:
    """R21: of two that are cancelled one after the other the outer catches it, as without it."""
    ledger = Ledger()
    with anyio.move_on_after(2) as outer:
        with anyio.move_on_after(1) as inner:
            await USES[use](ledger, [ledger.job("a", 9, cleanup=2)])
        pytest.fail("the inner scope took the outer one's cancellation for its own")
    ledger.check()
    assert outer.cancelled_caught
    assert not inner.cancelled_caught
    assert now() == 3


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_cancelled_scope_inside_a_scope(use: str) -> None:
    """R21: one that is cancelled alone leaves the other as it was."""
    ledger = Ledger()
    with anyio.move_on_after(9) as outer:
        with anyio.move_on_after(1) as inner:
            await USES[use](ledger, slow_jobs(ledger))
        await anyio.sleep(1)
    ledger.check()
    assert inner.cancelled_caught
    assert not outer.cancelled_caught
    assert now() == 5


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_scope_and_deadline_at_the_same_time(use: str) -> None:
    """R20, R21: of a scope and the helper's own deadline one reports, and the other is over."""
    ledger = Ledger()
    helper = use.partition("-")[0]
    reported = False
    with anyio.move_on_after(1) as scope:
        try:
            await USES[use](ledger, [ledger.job("a", 9, cleanup=1)], timeout=1)
            reported = helper in DATA
        except waitkit.DeadlineError:
            reported = helper not in DATA
    assert reported or scope.cancelled_caught
    ledger.check()
    assert now() == 2
    await anyio.lowlevel.checkpoint()  # nor is a cancellation still to come


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_helper_in_the_cleanup_of_a_cancelled_scope(use: str) -> None:
    """R21: cleanup code that is shielded may use a helper like any other code."""
    ledger = Ledger()
    with anyio.move_on_after(1) as scope:
        try:
            await never()
        finally:
            with anyio.CancelScope(shield=True):
                await USES[use](ledger, [ledger.job("a", 1), ledger.job("b", 2)])
    ledger.check()
    assert scope.cancelled_caught
    assert ledger.taken[0] == "a"


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_task_group_that_fails_around_a_helper(use: str) -> None:
    """R21, R22: a failing sibling cancels the helper, and the group raises that failure alone."""
    ledger = Ledger()
    turns = Turns()

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
    assert turns.count < FEW_TURNS


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_slow_disposal_in_a_cancelled_scope(use: str) -> None:
    """R23, R29: an async `dispose` is shielded like the jobs."""
    ledger = Ledger()
    turns = Turns()
    with anyio.move_on_after(1) as scope:
        await USES[use](ledger, slow_jobs(ledger), dispose=ledger.dispose_slowly)
    ledger.check()
    assert ledger.disposed == ["b"]
    assert scope.cancelled_caught
    assert turns.count < FEW_TURNS


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_async_source_in_a_cancelled_scope(use: str) -> None:
    """R23, R27: an async generator given as input finishes its own cleanup as well."""
    ledger = Ledger()
    turns = Turns()

    async def source() -> AsyncIterator[Any]:
        ledger.started.append("source")
        try:
            yield ledger.job("a", 99, cleanup=1)
            await anyio.sleep(99)
        finally:
            await ledger.see_through("source", 2)
            ledger.ended.append("source")

    with anyio.move_on_after(1) as scope:
        await USES[use](ledger, source())
    ledger.check()
    assert ledger.cancelled == {"a": 1}
    assert scope.cancelled_caught
    assert now() == 3
    assert turns.count < FEW_TURNS


@pytest.mark.only("asyncio")
@pytest.mark.parametrize(
    "test",
    [
        test_move_on_after_around_a_helper,
        test_fail_after_around_a_helper,
        test_scope_that_is_not_cancelled_changes_nothing,
        test_scope_cancelled_before_the_call,
        test_scope_cancelled_by_a_job,
        test_scope_inside_a_cancelled_scope,
        test_outer_scope_cancelled_during_the_cleanup_after_an_inner_one,
        test_cancelled_scope_inside_a_scope,
        test_scope_and_deadline_at_the_same_time,
        test_helper_in_the_cleanup_of_a_cancelled_scope,
        test_task_group_that_fails_around_a_helper,
        test_slow_disposal_in_a_cancelled_scope,
        test_async_source_in_a_cancelled_scope,
    ],
)
@pytest.mark.parametrize("use", BARE_USES)
async def test_scopes_around_a_bare_loop(
    test: Callable[[str], Coroutine[Any, Any, None]], use: str
) -> None:
    """R21, R22, R23: all of it holds for a stream that has no block."""
    await test(use)


# --- scopes around an `anext`


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


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_anext_given_up_while_a_failure_is_cleaned_up(name: str) -> None:
    """R23, R24: in a block it need not wait for that; the next one raises the failure."""
    ledger = Ledger()
    failure = ValueError("a")
    jobs = [ledger.job("a", 1, error=failure), ledger.job("b", 9, cleanup=2)]
    async with getattr(waitkit, name)(jobs) as stream:
        with anyio.move_on_after(2) as scope:
            await anext(stream)
        assert scope.cancelled_caught
        assert now() == 2
        with pytest.raises(ValueError, match="a") as caught:
            await anext(stream)
        assert now() == 3
    assert caught.value is failure
    ledger.check()


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
    turns = Turns()

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
    assert turns.count < FEW_TURNS


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", [f"{name}-bare" for name in RESULT_STREAMS])
async def test_task_group_inside_a_job_of_a_bare_loop_is_cancelled_with_it(use: str) -> None:
    """R22: so it does where the stream has no block."""
    await test_task_group_inside_a_job_is_cancelled_with_it(use)


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
