"""Bugs that other libraries had, B16 to B25: references, anyio, reports, limits and sources."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from cancelling import USES, Ledger, cancel_at
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    LIMITED,
    STREAMS,
    at,
    fail,
    future,
    now,
    run_helper,
    value,
)

FAIL_FAST_USES = [use for use in USES if use.partition("-")[0] in FAIL_FAST]


# --- B16: references


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
        await asyncio.sleep(seconds)
        return Result()

    async with getattr(waitkit, name)([job(1), job(2)]) as stream:
        item = await anext(stream)
        seen = weakref.ref(item.value if isinstance(item, waitkit.Success) else item)
        del item
        await asyncio.sleep(0.5)
        gc.collect()
        assert seen() is None


# --- B17, B18: anyio


@pytest.mark.parametrize("use", USES)
async def test_b17_cleanup_is_not_cancelled_again_in_a_cancelled_scope(use: str) -> None:
    """B17: under `move_on_after` the children of asyncio.gather and aiostream had no cleanup."""
    ledger = Ledger()
    with anyio.move_on_after(1):
        await USES[use](ledger, [ledger.job("a", 9, cleanup=1), ledger.job("b", 9, cleanup=2)])
    ledger.check()
    assert now() == 3


@pytest.mark.parametrize("use", USES)
async def test_b18_the_loop_does_not_spin_meanwhile(use: str) -> None:
    """B18: anyio delivered its cancellation again at each turn, at 100 % CPU (anyio 695, 1111)."""
    ledger = Ledger()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, virtual_time.VirtualLoop)
    with anyio.move_on_after(1):
        await USES[use](ledger, [ledger.job("a", 9, cleanup=1000)])
    assert now() == 1001
    assert loop.turns < 50


# --- B19, B20, B21


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


@pytest.mark.parametrize("use", FAIL_FAST_USES)
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


# --- B22, B24, B25: limits, sources, clocks


@pytest.mark.parametrize("name", DATA)
async def test_b22_cancelled_jobs_neither_lower_nor_raise_the_limit(name: str) -> None:
    """B22: semaphores lost a wake-up when a waiter was cancelled (cpython 90155, anyio 1145)."""
    running = peak = 0

    async def job() -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        try:
            await asyncio.sleep(1)
        finally:
            running -= 1

    tasks: list[asyncio.Task[None]] = []

    def source() -> Iterator[Any]:
        for index in range(20):
            tasks.append(asyncio.ensure_future(job()))
            if index % 3 == 0:
                at(now() + index % 2 * 0.5, tasks[-1].cancel)
            yield tasks[-1]

    outcomes = await run_helper(name, source(), max_concurrency=4)
    if isinstance(outcomes, waitkit.Partial):
        outcomes = outcomes.outcomes
    assert len(outcomes) == 20
    assert peak == 4
    assert running == 0
    cancelled = [outcome for outcome in outcomes if isinstance(outcome, waitkit.Cancelled)]
    assert len(cancelled) == 7


@pytest.mark.parametrize("use", [use for use in USES if use.partition("-")[0] in LIMITED])
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

    cancel_at(0.5)
    with pytest.raises(asyncio.CancelledError):
        await USES[use](ledger, source(), max_concurrency=2)
    at_the_end = list(pulled)
    await asyncio.sleep(9)
    assert pulled == at_the_end
    assert len(pulled) <= 3
    assert closed == [0.5]


async def test_b24_a_stagger_of_zero_lets_others_run() -> None:
    """B24: a hedge delay of 0 made a busy loop that starved all else."""
    ticks = 0

    async def other() -> None:
        nonlocal ticks
        for _ in range(100):
            ticks += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    jobs = (value(index, 1 + index) for index in range(50))
    assert await waitkit.first_success(jobs, stagger=0) == 0
    assert now() == 1
    assert ticks == 100
    await task


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
