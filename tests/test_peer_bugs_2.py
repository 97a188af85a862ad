"""Bugs that other libraries had, B14, B16 to B25: scopes, references, reports, limits, sources."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import waitkit
from cancelling import USES, Ledger
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    LIMITED,
    STREAMS,
    Gauge,
    Turns,
    at,
    cut_off,
    fail,
    future,
    now,
    run_helper,
    value,
)

BARE_USES = [use for use in USES if use.endswith("-bare")]  # which there are on asyncio alone
NEUTRAL_USES = [use for use in USES if use not in BARE_USES]


# --- B14: nested scopes


async def nest(ledger: Ledger, impatient: Coroutine[Any, Any, str]) -> list[str]:
    """Meet the timeout of a job, then a deadline, then a failure, and raise only that."""
    with pytest.raises(TimeoutError) as caught:
        await waitkit.first_error([impatient, ledger.job("b", 9)])
    assert not isinstance(caught.value, waitkit.DeadlineError)
    some = await waitkit.gather_partial([ledger.job("c", 9, cleanup=1)], timeout=1)
    assert some.timed_out
    return await waitkit.first_error([ledger.job("d", 1, error=KeyError("d"))], timeout=9)


@pytest.mark.only("asyncio")
async def test_b14_each_expiry_is_reported_by_its_own_timeout() -> None:
    """B14: TaskGroup and timeouts swallowed each other's cancellation (cpython 116720, 95704)."""
    ledger = Ledger()

    async def impatient() -> str:
        async with asyncio.timeout(1):
            return await ledger.job("a", 9, cleanup=2)

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with asyncio.timeout(50) as outer, asyncio.TaskGroup() as group:
            group.create_task(nest(ledger, impatient()))
            await asyncio.sleep(40)
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert not outer.expired()
    assert sorted(ledger.ended) == ["a", "b", "c", "d"]


async def test_b14_each_expiry_is_reported_by_its_own_scope() -> None:
    """B14: nor do helpers swallow the cancellation of anyio's scopes and groups."""
    ledger = Ledger()

    async def impatient() -> str:
        with anyio.fail_after(1):
            return await ledger.job("a", 9)

    with pytest.raises(ExceptionGroup) as caught, anyio.fail_after(50) as outer:  # noqa: PT012
        async with anyio.create_task_group() as group:
            group.start_soon(nest, ledger, impatient())
            await anyio.sleep(40)
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert not outer.cancelled_caught
    assert sorted(ledger.ended) == ["a", "b", "c", "d"]


# --- B16: references


@pytest.mark.only("asyncio")
async def test_b16_a_thousand_races_leave_nothing_on_a_long_lived_future() -> None:
    """B16: `asyncio.wait` of 3.14 pinned every finished task on it (cpython 152569)."""
    stop = future()
    finished: list[weakref.ref[asyncio.Task[Any]]] = []
    for _ in range(1000):
        task = asyncio.ensure_future(value("a", 1))
        finished.append(weakref.ref(task))
        aws: list[Any] = [waitkit.borrowed(stop), task]
        assert await waitkit.first_completed(aws) == "a"
        del task, aws
    assert not stop._callbacks
    gc.collect()
    assert not [task for task in finished if task() is not None]
    stop.cancel()


class Result:
    """Something that can be referred to weakly."""


@pytest.mark.parametrize("name", STREAMS)
async def test_b16_a_consumed_result_is_not_kept(name: str) -> None:
    """B16: `anyio.as_completed` kept all results to the end."""

    async def job(seconds: float) -> Result:
        await anyio.sleep(seconds)
        return Result()

    async with getattr(waitkit, name)([job(1), job(2)]) as stream:
        item = await anext(stream)
        seen = weakref.ref(item.value if isinstance(item, waitkit.Success) else item)
        del item
        await anyio.sleep(0.5)
        gc.collect()
        assert seen() is None


# --- B17, B18: anyio


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_b17_cleanup_is_not_cancelled_again_in_a_cancelled_scope(use: str) -> None:
    """B17: under `move_on_after` the children of asyncio.gather and aiostream had no cleanup."""
    ledger = Ledger()
    with anyio.move_on_after(1):
        await USES[use](ledger, [ledger.job("a", 9, cleanup=1), ledger.job("b", 9, cleanup=2)])
    ledger.check()
    assert now() == 3


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_b18_the_loop_does_not_spin_meanwhile(use: str) -> None:
    """B18: anyio delivered its cancellation again at each turn, at 100 % CPU (anyio 695, 1111)."""
    ledger = Ledger()
    turns = Turns()
    with anyio.move_on_after(1):
        await USES[use](ledger, [ledger.job("a", 9, cleanup=1000)])
    assert now() == 1001
    assert turns.count < 50


@pytest.mark.only("asyncio")
@pytest.mark.parametrize(
    "test",
    [
        test_b17_cleanup_is_not_cancelled_again_in_a_cancelled_scope,
        test_b18_the_loop_does_not_spin_meanwhile,
    ],
)
@pytest.mark.parametrize("use", BARE_USES)
async def test_b17_b18_hold_for_a_bare_loop(
    test: Callable[[str], Coroutine[Any, Any, None]], use: str
) -> None:
    """B17, B18: it has no block to be shielded in."""
    await test(use)


# --- B19, B20, B21


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", STREAMS)
async def test_b19_a_stream_that_is_dropped_says_so(name: str) -> None:
    """B19: `aiotools.as_completed_safe`, a generator round a task group, leaked until collected."""
    ledger = Ledger()

    async def consume() -> None:
        async for item in getattr(waitkit, name)([ledger.job("a", 1), ledger.job("b", 9)]):
            ledger.take(item)
            break

    with pytest.warns(ResourceWarning, match="async with"):
        await consume()
    await asyncio.sleep(0.1)
    assert sorted(ledger.ended) == ["a", "b"]


@pytest.mark.parametrize("name", HELPERS)
async def test_b20_a_failure_that_was_delivered_is_not_reported_as_unhandled(name: str) -> None:
    """B20: aiotools sent each consumed error to the loop's exception handler; conftest looks."""
    jobs = [fail(ValueError("a"), 1), fail(ValueError("b"), 1), fail(ValueError("c"), 2)]
    try:
        await run_helper(name, jobs)
    except* ValueError:
        pass
    gc.collect()


@pytest.mark.parametrize("use", [use for use in NEUTRAL_USES if use.partition("-")[0] in FAIL_FAST])
async def test_b21_a_stubborn_loser_does_not_mask_the_error(
    use: str, caplog: pytest.LogCaptureFixture
) -> None:
    """B21: trinity and aiojobs raised a timeout of their own in place of the failure."""
    ledger = Ledger()
    jobs = [ledger.job("a", 1, error=ValueError("the first")), ledger.job("b", 99, refuses=60)]
    with pytest.raises(ValueError, match="the first"):
        await USES[use](ledger, jobs)
    ledger.check()
    assert now() == 61
    assert ["input 1" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", [use for use in BARE_USES if use.partition("-")[0] in FAIL_FAST])
async def test_b21_nor_in_a_bare_loop(use: str, caplog: pytest.LogCaptureFixture) -> None:
    """B21: it waits for the loser as well."""
    await test_b21_a_stubborn_loser_does_not_mask_the_error(use, caplog)


# --- B22, B24, B25: limits, sources, clocks


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", DATA)
async def test_b22_cancelled_jobs_neither_lower_nor_raise_the_limit(name: str) -> None:
    """B22: semaphores lost a wake-up when a waiter was cancelled (cpython 90155, anyio 1145)."""
    gauge = Gauge()
    tasks: list[asyncio.Task[int]] = []

    def source() -> Iterator[Any]:
        for index in range(20):
            tasks.append(asyncio.ensure_future(gauge.job(index, 1)))
            if index % 3 == 0:
                at(now() + index % 2 * 0.5, tasks[-1].cancel)
            yield tasks[-1]

    outcomes = await run_helper(name, source(), max_concurrency=4)
    if isinstance(outcomes, waitkit.Partial):
        outcomes = outcomes.outcomes
    assert len(outcomes) == 20
    assert gauge.peak == 4
    assert gauge.running == 0
    cancelled = [outcome for outcome in outcomes if isinstance(outcome, waitkit.Cancelled)]
    assert len(cancelled) == 7


@pytest.mark.parametrize("name", DATA)
async def test_b22_nor_do_those_that_time_out(name: str) -> None:
    """B22: the timeout of a call cancels that call alone."""
    gauge = Gauge()
    calls = waitkit.call_each(
        lambda index: gauge.job(index, None if index % 3 == 0 else 1), range(20), timeout=1.5
    )
    outcomes = await run_helper(name, calls, max_concurrency=4)
    if isinstance(outcomes, waitkit.Partial):
        outcomes = outcomes.outcomes
    assert len(outcomes) == 20
    assert gauge.peak == 4
    assert gauge.running == 0
    failures = [outcome.error for outcome in outcomes if isinstance(outcome, waitkit.Failure)]
    assert [type(error) for error in failures] == [TimeoutError] * 7
    assert sorted(gauge.cancelled) == [0, 3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize("use", [use for use in NEUTRAL_USES if use.partition("-")[0] in LIMITED])
async def test_b24_no_input_is_pulled_after_the_end(use: str) -> None:
    """B24: p-map went on pulling from its source after it had failed."""
    ledger = Ledger()
    pulled: list[int] = []
    closed: list[float] = []

    async def source() -> AsyncIterator[Any]:
        try:
            for index in range(99):
                pulled.append(index)
                yield ledger.job(str(index), 1, cleanup=1)
        finally:
            closed.append(now())

    with cut_off(0.5):
        await USES[use](ledger, source(), max_concurrency=2)
    at_the_end = list(pulled)
    await anyio.sleep(9)
    assert pulled == at_the_end
    assert len(pulled) <= 3
    assert closed == [0.5]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", [use for use in BARE_USES if use.partition("-")[0] in LIMITED])
async def test_b24_nor_does_a_bare_loop_pull_one(use: str) -> None:
    """B24: it closes the source as well."""
    await test_b24_no_input_is_pulled_after_the_end(use)


async def test_b24_a_stagger_of_zero_lets_others_run() -> None:
    """B24: a hedge delay of 0 made a busy loop that starved all else."""
    ticks = 0

    async def other() -> None:
        nonlocal ticks
        for _ in range(100):
            ticks += 1
            await anyio.lowlevel.checkpoint()

    jobs = (value(index, 1 + index) for index in range(50))
    async with anyio.create_task_group() as group:
        group.start_soon(other)
        assert await waitkit.first_success(jobs, stagger=0) == 0
        assert now() == 1
        assert ticks == 100


@pytest.mark.parametrize("name", STREAMS)
async def test_b25_the_first_result_comes_before_the_second_job_ends(name: str) -> None:
    """B25: a modal client returned nothing until the full mapping was complete."""
    ledger = Ledger()
    async with getattr(waitkit, name)([ledger.job("a", 1), ledger.job("b", 9)]) as stream:
        ledger.take(await anext(stream))
        assert now() == 1
        assert ledger.ended == ["a"]


@pytest.mark.parametrize("name", HELPERS)
async def test_b25_deadlines_keep_to_the_clock_of_the_loop(name: str) -> None:
    """B25: aioitertools took `time.time()`, which jumps, and which virtual time does not move."""
    try:
        await run_helper(name, [future()], timeout=3600)
    except waitkit.DeadlineError:
        assert name not in DATA
    assert now() == 3600
