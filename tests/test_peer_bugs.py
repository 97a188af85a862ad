"""Bugs that other libraries had, B1 to B15 less B14: leaving, failing, cancelling, ties.

One test or more for each, by the number it has in the project's survey; the others have a file of
their own. B23 is about threads, and no helper starts any.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from cancelling import USES, Ledger, cancel_at, current_task
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    LIMITED,
    STREAMS,
    alone,
    at,
    cut_off,
    fail,
    future,
    now,
    run_helper,
    settle,
    unshuffled,
    value,
)

BARE_USES = [use for use in USES if use.endswith("-bare")]  # which there are on asyncio alone
NEUTRAL_USES = [use for use in USES if use not in BARE_USES]
FAIL_FAST_USES = [use for use in USES if use.partition("-")[0] in FAIL_FAST]


# --- B1: leaving


@pytest.mark.parametrize("way", ["break", "body", "job", "deadline", "cancel"])
@pytest.mark.parametrize("name", STREAMS)
async def test_b1_nothing_runs_on_after_a_stream_was_left(name: str, way: str) -> None:
    """B1: jobs ran on after break, error or timeout: asyncio.as_completed, aioitertools, tqdm."""
    ledger = Ledger()
    jobs = [ledger.job("a", 1), *(ledger.job(job, 99, cleanup=1) for job in "bcd")]
    options: dict[str, Any] = {"dispose": ledger.dispose}
    if way == "job":
        jobs.append(ledger.job("e", 2, error=KeyError("e")))
        if "outcomes" in name:
            options["catch"] = ()
    elif way == "deadline":
        options["timeout"] = 2
    errors = contextlib.suppress(KeyError, waitkit.DeadlineError)
    with cut_off(2) if way == "cancel" else errors:
        async with getattr(waitkit, name)(jobs, **options) as stream:
            async for item in stream:
                ledger.take(item)
                if way == "break":
                    break
                if way == "body":
                    raise KeyError("body")
    assert alone()
    ledger.check()


# --- B2: a race that waits for its losers' work


@pytest.mark.parametrize("race", ["first_completed", "first_success"])
async def test_b2_the_winner_does_not_wait_for_the_losers_to_work(race: str) -> None:
    """B2: `aiometer.run_any` came back when the slowest had finished, and cancelled nothing."""
    ledger = Ledger()
    await USES[race](ledger, [ledger.job("quick", 0.05), ledger.job("slow", 10)])
    assert ledger.taken == ["quick"]
    assert ledger.cancelled["slow"] == 1
    assert now() == 0.05


# --- B3, B4, B12, B15: the caller's cancellation


@pytest.mark.only("asyncio")  # test_scopes.py has both where only scopes cancel
@pytest.mark.parametrize("use", USES)
async def test_b3_the_callers_cancellation_is_not_swallowed(use: str) -> None:
    """B3: `aioitertools.as_generated` took it for the end of the loop."""
    ledger = Ledger()
    cancel_at(1, "the caller's")
    with pytest.raises(asyncio.CancelledError, match="the caller's"):
        await USES[use](ledger, [ledger.job("a", 9)])
    task = current_task()
    assert task.cancelling() == 1


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", FAIL_FAST_USES)
async def test_b4_nor_while_a_cancelled_sibling_is_awaited(use: str) -> None:
    """B4: aiostream's `await task; except CancelledError: pass` lost it in the cleanup."""
    ledger = Ledger()
    cancel_at(1.1, "the caller's")
    fails = ledger.job("a", 1, error=ValueError("a"))
    with pytest.raises(asyncio.CancelledError, match="the caller's"):
        await USES[use](ledger, [fails, ledger.job("b", 9, cleanup=0.3)])
    ledger.check()
    assert now() == 1.3


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_b12_nothing_is_alive_when_the_cancelled_caller_returns(use: str) -> None:
    """B12: `staggered_race` of 3.13.0 left two tasks; here not even a second cancel leaves one."""
    ledger = Ledger()
    with cut_off(1, 2):
        await USES[use](ledger, [ledger.job(job, 9, cleanup=2) for job in "abc"])
    ledger.check()
    assert alone()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", BARE_USES)
async def test_b12_nor_when_a_cancelled_bare_loop_is_left(use: str) -> None:
    """B12: a bare `async for` awaits its jobs as well."""
    await test_b12_nothing_is_alive_when_the_cancelled_caller_returns(use)


@pytest.mark.parametrize("name", DATA)
async def test_b15_the_callers_cancellation_is_no_outcome(name: str) -> None:
    """B15: `gather(return_exceptions=True)` recorded it as a result (cpython 76865)."""
    with cut_off(1):
        await run_helper(name, [value("a", 1), future()])
        pytest.fail("it gave back an answer")


@pytest.mark.parametrize("exit_error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("name", DATA)
def test_b15_an_interrupt_is_no_outcome(name: str, exit_error: type[BaseException]) -> None:
    """B15: a job's KeyboardInterrupt or SystemExit leaves the loop, whatever is caught as data."""

    async def main() -> None:
        await run_helper(name, [fail(exit_error(), 1), value("a", 2)])

    loop = virtual_time.new_loop()
    task = loop.create_task(main())
    with pytest.raises(exit_error):
        loop.run_until_complete(task)
    with pytest.raises(exit_error):
        loop.run_until_complete(task)
    loop.close()


# --- B5, B6: failing early, with inputs that never start


@pytest.mark.parametrize("name", [name for name in FAIL_FAST if name in LIMITED])
async def test_b5_a_failure_in_the_first_wave_ends_its_siblings(name: str) -> None:
    """B5: `aioitertools.gather(limit=3)` raised with two siblings alive, and micropython's did."""
    ledger = Ledger()
    jobs = [
        ledger.job("a", 1, error=ValueError("a")),
        *(ledger.job(job, 9, cleanup=1) for job in "bcdef"),
    ]
    with pytest.raises(ValueError, match="a"):
        await run_helper(name, jobs, max_concurrency=3)
    ledger.check()
    assert unshuffled(ledger.started) == ["a", "b", "c"]


@pytest.mark.parametrize("name", LIMITED)
async def test_b6_no_coroutine_is_left_never_awaited(name: str) -> None:
    """B6: quattro left three unclosed when the first failed; anyio one, beside a non-awaitable."""
    ledger = Ledger()
    options: dict[str, Any] = {} if name in FAIL_FAST else {"catch": ()}
    jobs = [fail(ValueError("a"), 1), *(ledger.job(job) for job in "bcd")]
    with pytest.raises(ValueError, match="a"):
        await run_helper(name, jobs, max_concurrency=1, **options)
    wrong: list[Any] = [ledger.job("e"), 3, ledger.job("f")]
    with pytest.raises(TypeError, match="input 1 is an int"):
        await run_helper(name, wrong, max_concurrency=1)

    def source() -> Iterator[Any]:
        yield ledger.job("g", None)
        raise KeyError("source")

    with pytest.raises(KeyError, match="source"):
        await run_helper(name, source(), **({"max_concurrency": 2} | options))
    assert ledger.started in ([], ["g"])
    gc.collect()  # an unclosed coroutine would be a warning now, which is an error


# --- B7, B8: a job that is cancelled by itself


# On Trio only scopes cancel, and none is around a single job that is not its own (R52).


async def cancels_itself() -> None:
    raise asyncio.CancelledError("by itself")


async def awaits_a_cancelled_task() -> None:
    task = asyncio.ensure_future(asyncio.sleep(9))
    asyncio.get_running_loop().call_later(1, task.cancel)
    await task


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("job", [cancels_itself, awaits_a_cancelled_task])
@pytest.mark.parametrize("name", DATA)
async def test_b7_a_job_cancelled_by_another_is_one_outcome(
    name: str, job: Callable[[], Any]
) -> None:
    """B7: `anyio.as_completed` ended without error and lost the third; aiometer gave `[0]`."""
    outcomes = await run_helper(name, [value("a"), job(), value("c", 2)])
    if isinstance(outcomes, waitkit.Partial):
        outcomes = outcomes.outcomes
    by_index = {outcome.index: outcome for outcome in outcomes}
    assert by_index == {
        0: waitkit.Success("a", 0, 0),
        1: waitkit.Cancelled(1, 1, "external", True),
        2: waitkit.Success("c", 2, 2),
    }


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("job", [cancels_itself, awaits_a_cancelled_task])
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_b7_a_job_cancelled_by_another_is_a_failure(
    name: str, job: Callable[[], Any]
) -> None:
    """B7: and where failures end the call it is one, not the caller's cancellation."""
    with pytest.raises(waitkit.JobCancelledError):
        await run_helper(name, [job(), value("c", 5)])


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", DATA)
async def test_b8_each_input_gives_one_outcome_however_it_ends(name: str) -> None:
    """B8: streamable hung on a cancelled child; dask dropped it (distributed 2089, 2571)."""
    early: asyncio.Task[Any] = asyncio.ensure_future(asyncio.sleep(9))
    early.cancel()
    late: asyncio.Task[Any] = asyncio.ensure_future(asyncio.sleep(9))
    at(1, late.cancel)
    dead = future()
    dead.cancel()
    error = ValueError("b")
    outcomes = await run_helper(name, [value("a"), fail(error), early, late, dead, value("f", 2)])
    if isinstance(outcomes, waitkit.Partial):
        outcomes = outcomes.outcomes
    assert sorted(outcomes, key=lambda outcome: outcome.index) == [
        waitkit.Success("a", 0, 0),
        waitkit.Failure(error, 1, 1),
        *(waitkit.Cancelled(index, index, "external", True) for index in (2, 3, 4)),
        waitkit.Success("f", 5, 5),
    ]


# --- B9: an error that interrupts the consumer


async def take_slowly(name: str, ledger: Ledger, jobs: list[Any]) -> None:
    """Spend five seconds on each item, and meet the failure of one of the jobs."""
    options: dict[str, Any] = {"catch": ()} if "outcomes" in name else {}
    with pytest.raises(ValueError, match="c"):  # noqa: PT012
        async with getattr(waitkit, name)(jobs, **options) as stream:
            async for item in stream:
                await anyio.sleep(5)
                ledger.take(item)


@pytest.mark.parametrize("name", STREAMS)
async def test_b9_a_failure_does_not_interrupt_the_consumer(name: str) -> None:
    """B9: anyio cancelled the loop's body."""
    ledger = Ledger()
    jobs = [value("a", 1), value("b", 2), fail(ValueError("c"), 3), value("d", 9)]
    await take_slowly(name, ledger, jobs)
    assert ledger.taken == ["a", "b"]
    assert now() == 11


@pytest.mark.only("asyncio")  # on Trio either of the two may come first (R52)
@pytest.mark.parametrize("name", STREAMS)
async def test_b9_nor_does_it_drop_what_finished_in_its_own_tick(name: str) -> None:
    """B9: anyio did, besides."""
    ledger = Ledger()
    gate = future()

    async def after(gate: asyncio.Future[None], job: Any) -> Any:
        await gate
        return await job

    at(2, gate.set_result, None)
    same_tick = [after(gate, value("b")), after(gate, fail(ValueError("c")))]
    await take_slowly(name, ledger, [value("a", 1), *same_tick, value("d", 9)])
    assert ledger.taken == ["a", "b"]


# --- B10, B11, B13: ties


@pytest.mark.parametrize("race", ["first_completed", "first_success"])
async def test_b10_of_several_in_one_tick_one_wins_and_the_rest_are_closed(race: str) -> None:
    """B10: aiohappyeyeballs had two winners, and left the runner-up's socket open."""
    ledger = Ledger()
    gate = future()

    async def connect(name: str) -> str:
        await gate
        return await ledger.job(name, None)

    at(1, gate.set_result, None)
    await USES[race](ledger, [connect(name) for name in "abcd"])
    assert len(ledger.taken) == 1
    assert sorted(ledger.taken + ledger.disposed) == ["a", "b", "c", "d"]
    if not virtual_time.on_trio():  # where any of them may win
        assert ledger.taken == ["a"]


async def at_once(what: str) -> str:
    if what == "fails":
        raise ValueError(what)
    if what == "is cancelled":
        raise asyncio.CancelledError
    return what


@pytest.mark.parametrize("other", ["returns", "fails"])
@pytest.mark.parametrize("name", HELPERS)
async def test_b11_jobs_that_end_in_their_first_step(name: str, other: str) -> None:
    """B11: under eager tasks `staggered_race` failed an assertion, TaskGroup hung (cpython 124309,
    128550), and quattro's group raised a RuntimeError of its own.
    """
    jobs = [at_once(other), at_once("returns"), at_once("fails"), value("slow", 9)]
    failed = False
    try:
        await run_helper(name, jobs)
    except (ValueError, waitkit.JobCancelledError):
        failed = True
    if not (virtual_time.on_trio() and name == "first_completed"):  # any may be the first there
        assert failed == (name in FAIL_FAST and (name, other) != ("first_completed", "returns"))
    assert alone()


@pytest.mark.only("asyncio")  # on Trio none is cancelled by itself
@pytest.mark.parametrize("name", HELPERS)
async def test_b11_jobs_that_are_cancelled_in_their_first_step(name: str) -> None:
    """B11: that is a first step as well."""
    await test_b11_jobs_that_end_in_their_first_step(name, "is cancelled")


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_b13_a_value_that_comes_with_the_deadline_is_not_lost(use: str, early: bool) -> None:
    """B13: `wait_for` dropped a connection made in the tick of its timeout (asyncpg 468, 548)."""
    ledger = Ledger()
    gate = future()

    async def connect() -> str:
        await gate
        return await ledger.job("connection", None)

    async def main() -> None:
        try:
            await USES[use](ledger, [connect(), ledger.job("slow", 9)], timeout=1)
        except waitkit.DeadlineError:
            assert use.partition("-")[0] in (*FAIL_FAST, "first_success")

    def open_gate() -> None:
        if not gate.done():
            gate.set_result(None)

    if early:  # before the helper sets its timer
        at(1, open_gate)
        await main()
    else:
        async with anyio.create_task_group() as group:
            group.start_soon(main)
            await settle()
            at(1, open_gate)
    ledger.check()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("use", BARE_USES)
async def test_b13_nor_is_one_in_a_bare_loop(use: str, early: bool) -> None:
    """B13: there is no block to keep it."""
    await test_b13_a_value_that_comes_with_the_deadline_is_not_lost(use, early)
