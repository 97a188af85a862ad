"""Bugs that other libraries had where several awaitables are awaited: none of them is here.

One test or more for each, by the number it has in the project's survey (B1 to B25; B23 is about
threads, which no helper starts).
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from cancelling import USES, Ledger
from jobs import DATA, FAIL_FAST, HELPERS, LIMITED, STREAMS, at, fail, now, run_helper, value


def cancel_at(when: float, message: str | None = None) -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    at(when, task.cancel, message)
    return task


def forever() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


FAIL_FAST_USES = [use for use in USES if use.partition("-")[0] in FAIL_FAST]


# --- B1: leaving


@pytest.mark.parametrize("way", ["break", "body", "job", "deadline", "cancel"])
@pytest.mark.parametrize("name", STREAMS)
async def test_b1_nothing_runs_on_after_a_stream_was_left(name: str, way: str) -> None:
    """B1: jobs ran on after break, error or timeout (asyncio.as_completed, aioitertools, streamable,
    tqdm).
    """
    ledger = Ledger()
    jobs = [ledger.job("a", 1), *(ledger.job(job, 99, cleanup=1) for job in "bcd")]
    options: dict[str, Any] = {"dispose": ledger.dispose}
    if way == "job":
        jobs.append(ledger.job("e", 2, error=KeyError("e")))
        if "outcomes" in name:
            options["catch"] = ()
    elif way == "deadline":
        options["timeout"] = 2
    elif way == "cancel":
        cancel_at(2)
    try:
        async with getattr(waitkit, name)(jobs, **options) as stream:
            async for item in stream:
                ledger.take(item)
                if way == "break":
                    break
                if way == "body":
                    raise KeyError("body")
    except (KeyError, waitkit.DeadlineError, asyncio.CancelledError) as error:
        assert way != "break", error
    assert asyncio.all_tasks() == {asyncio.current_task()}
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


@pytest.mark.parametrize("use", USES)
async def test_b3_the_callers_cancellation_is_not_swallowed(use: str) -> None:
    """B3: `aioitertools.as_generated` took it for the end of the loop."""
    ledger = Ledger()
    task = cancel_at(1, "the caller's")
    with pytest.raises(asyncio.CancelledError, match="the caller's"):
        await USES[use](ledger, [ledger.job("a", 9)])
    assert task.cancelling() == 1


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


@pytest.mark.parametrize("use", USES)
async def test_b12_nothing_is_alive_when_the_cancelled_caller_returns(use: str) -> None:
    """B12: `staggered_race` of 3.13.0 left two tasks; here not even a second cancel leaves one."""
    ledger = Ledger()
    cancel_at(1)
    cancel_at(2)
    with pytest.raises(asyncio.CancelledError):
        await USES[use](ledger, [ledger.job(job, 9, cleanup=2) for job in "abc"])
    ledger.check()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("name", DATA)
async def test_b15_the_callers_cancellation_is_no_outcome(name: str) -> None:
    """B15: `gather(return_exceptions=True)` recorded it as a result (cpython 76865)."""
    cancel_at(1)
    with pytest.raises(asyncio.CancelledError):
        await run_helper(name, [value("a", 1), forever()])


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
    assert ledger.started == ["a", "b", "c"]


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


async def cancels_itself() -> None:
    raise asyncio.CancelledError("by itself")


async def awaits_a_cancelled_task() -> None:
    task = asyncio.ensure_future(asyncio.sleep(9))
    asyncio.get_running_loop().call_later(1, task.cancel)
    await task


@pytest.mark.parametrize("job", [cancels_itself, awaits_a_cancelled_task])
@pytest.mark.parametrize("name", DATA)
async def test_b7_a_job_cancelled_by_another_is_one_outcome(
    name: str, job: Callable[[], Any]
) -> None:
    """B7: `anyio.as_completed` ended there without error and lost the third; aiometer gave `[0]`."""
    outcomes = await run_helper(name, [value("a"), job(), value("c", 2)])
    if isinstance(outcomes, waitkit.Partial):
        outcomes = outcomes.outcomes
    by_index = {outcome.index: outcome for outcome in outcomes}
    assert by_index == {
        0: waitkit.Success("a", 0, 0),
        1: waitkit.Cancelled(1, 1, "external", True),
        2: waitkit.Success("c", 2, 2),
    }


@pytest.mark.parametrize("job", [cancels_itself, awaits_a_cancelled_task])
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_b7_a_job_cancelled_by_another_is_a_failure(
    name: str, job: Callable[[], Any]
) -> None:
    """B7: and where failures end the call it is one, not the caller's cancellation."""
    with pytest.raises(waitkit.JobCancelledError):
        await run_helper(name, [job(), value("c", 5)])


@pytest.mark.parametrize("name", DATA)
async def test_b8_each_input_gives_one_outcome_however_it_ends(name: str) -> None:
    """B8: streamable hung on a cancelled child; dask dropped it (distributed 2089, 2571)."""
    early: asyncio.Task[Any] = asyncio.ensure_future(asyncio.sleep(9))
    early.cancel()
    late: asyncio.Task[Any] = asyncio.ensure_future(asyncio.sleep(9))
    at(1, late.cancel)
    dead = forever()
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


@pytest.mark.parametrize("name", STREAMS)
async def test_b9_a_failure_does_not_interrupt_the_consumer(name: str) -> None:
    """B9: anyio cancelled the loop's body, and dropped what had finished in the same tick."""
    ledger = Ledger()
    jobs = [value("a", 1), value("b", 2), fail(ValueError("c"), 2), value("d", 9)]
    outcomes = "outcomes" in name
    options: dict[str, Any] = {"catch": ()} if outcomes else {}
    with pytest.raises(ValueError, match="c"):  # noqa: PT012
        async with getattr(waitkit, name)(jobs, **options) as stream:
            async for item in stream:
                await asyncio.sleep(5)
                ledger.take(item)
    assert ledger.taken == ["a", "b"]


# --- B10, B11, B13: ties


@pytest.mark.parametrize("race", ["first_completed", "first_success"])
async def test_b10_of_several_in_one_tick_one_wins_and_the_rest_are_closed(race: str) -> None:
    """B10: aiohappyeyeballs had two winners, and left the runner-up's socket open."""
    ledger = Ledger()
    gate = forever()

    async def connect(name: str) -> str:
        await gate
        return await ledger.job(name, None)

    at(1, gate.set_result, None)
    await USES[race](ledger, [connect(name) for name in "abcd"])
    assert ledger.taken == ["a"]
    assert sorted(ledger.disposed) == ["b", "c", "d"]


async def at_once(what: str) -> str:
    if what == "fails":
        raise ValueError(what)
    if what == "is cancelled":
        raise asyncio.CancelledError
    return what


@pytest.mark.parametrize("mode", virtual_time.MODES)
@pytest.mark.parametrize("other", ["returns", "fails", "is cancelled"])
@pytest.mark.parametrize("name", HELPERS)
def test_b11_jobs_that_end_in_their_first_step(
    name: str, other: str, mode: virtual_time.Mode
) -> None:
    """B11: under eager tasks `staggered_race` failed an assertion, TaskGroup hung (cpython 124309,
    128550), and quattro's group raised a RuntimeError of its own.
    """

    async def main() -> None:
        jobs = [at_once(other), at_once("returns"), at_once("fails"), value("slow", 9)]
        try:
            await run_helper(name, jobs)
        except (ValueError, waitkit.JobCancelledError) as error:
            assert name in FAIL_FAST
            assert str(error) == "fails" or isinstance(error, waitkit.JobCancelledError)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual_time.run(main, mode=mode)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("use", USES)
async def test_b13_a_value_that_comes_with_the_deadline_is_not_lost(use: str, early: bool) -> None:
    """B13: `wait_for` dropped a connection made in the tick of its timeout (asyncpg 468, 548)."""
    ledger = Ledger()
    gate = forever()

    async def connect() -> str:
        await gate
        return await ledger.job("connection", None)

    async def main() -> None:
        try:
            await USES[use](ledger, [connect(), ledger.job("slow", 9)], timeout=1)
        except waitkit.DeadlineError:
            assert use.partition("-")[0] in (*FAIL_FAST, "first_success")

    if early:  # before the helper sets its timer
        at(1, gate.set_result, None)
        await main()
    else:
        task = asyncio.ensure_future(main())
        await asyncio.sleep(0)
        at(1, gate.set_result, None)
        await task
    ledger.check()


# --- B14: nested scopes


async def test_b14_each_expiry_is_reported_by_its_own_scope() -> None:
    """B14: TaskGroup and timeouts swallowed each other's cancellation (cpython 116720, 95704)."""
    ledger = Ledger()

    async def innermost() -> str:
        async with asyncio.timeout(1):
            return await ledger.job("a", 9, cleanup=2)

    async def inner() -> list[str]:
        with pytest.raises(TimeoutError) as caught:
            await waitkit.first_error([innermost(), ledger.job("b", 9)])
        assert not isinstance(caught.value, waitkit.DeadlineError)
        some = await waitkit.gather_partial([ledger.job("c", 9, cleanup=1)], timeout=1)
        assert some.timed_out
        return await waitkit.first_error([ledger.job("d", 1, error=KeyError("d"))], timeout=9)

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with asyncio.timeout(50) as outer, asyncio.TaskGroup() as group:
            group.create_task(inner())
            await asyncio.sleep(40)
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert not outer.expired()
    assert sorted(ledger.ended) == ["a", "b", "c", "d"]


# --- B16: references


async def test_b16_a_thousand_races_leave_nothing_on_a_long_lived_future() -> None:
    """B16: `asyncio.wait` of 3.14 pinned every finished task on it (cpython 152569)."""
    stop = forever()
    finished: list[weakref.ref[asyncio.Task[Any]]] = []
    for _ in range(1000):
        task = asyncio.ensure_future(value("a", 1))
        finished.append(weakref.ref(task))
        assert await waitkit.first_completed([waitkit.borrowed(stop), task]) == "a"
        del task
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
        seen = weakref.ref(await anext(stream), None) if "results" in name else None
        if seen is None:
            seen = weakref.ref((await anext(stream)).value)
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
        while True:
            ticks += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    jobs = (value(index, 1) for index in range(50))
    assert await waitkit.first_success(jobs, stagger=0) == 0
    assert await waitkit.cancel_and_wait(task) == []
    assert ticks > 10


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
        await run_helper(name, [forever()], timeout=3600)
    except waitkit.DeadlineError:
        assert name not in DATA
    assert now() == 3600
