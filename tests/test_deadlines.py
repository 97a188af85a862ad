"""R20: the deadline of a whole call. What happens in its own tick is in test_deadline_ties."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    LIMITED,
    OUTCOME_STREAMS,
    RACES,
    RESULT_STREAMS,
    STREAMS,
    Broken,
    Gauge,
    at,
    clean_up,
    collect,
    done,
    fail,
    never,
    now,
    outside,
    plain_values,
    ready,
    refuse,
    run_helper,
    spoil,
    unshuffled,
    value,
)

RAISING = (*FAIL_FAST, "first_success")


def by_index(outcome: Any) -> int:
    index: int = outcome.index
    return index


@pytest.mark.parametrize("name", HELPERS)
@pytest.mark.parametrize("timeout", [None, float("inf"), 1e9])
async def test_no_deadline_strikes_before_its_time(name: str, timeout: float | None) -> None:
    """R20: None and infinity are no limit; and one that was not reached leaves no trace."""
    answer = await run_helper(name, [value("a", 1e6)], timeout=timeout)
    assert plain_values(answer) == ["a"]
    assert now() == 1e6


@pytest.mark.parametrize("name", RAISING)
@pytest.mark.parametrize("timeout", [2, 2.5, 1e-3])
async def test_the_deadline_is_raised_after_cancelling_and_awaiting(
    name: str, timeout: float
) -> None:
    """R20: `DeadlineError`, a `TimeoutError`, comes when every job has ended."""
    ended: list[float] = []

    async def careful() -> None:
        try:
            await never()
        finally:
            await clean_up(10)
            ended.append(now())

    with pytest.raises(waitkit.DeadlineError) as caught:
        await run_helper(name, [careful(), careful()], timeout=timeout)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.__cause__ is None
    assert ended == [timeout + 10] * 2


@pytest.mark.parametrize("name", RAISING)
async def test_a_timeout_of_a_job_is_not_the_deadline(name: str) -> None:
    """R20: a job's own `TimeoutError` is its failure, and never a `DeadlineError`."""
    error = TimeoutError("mine")
    options = {"catch": ()} if name == "first_success" else {}
    with pytest.raises(TimeoutError) as caught:
        await run_helper(name, [never(), fail(error, 1)], timeout=2, **options)
    assert caught.value is error


async def test_the_deadline_of_a_nested_call_is_a_failure_of_the_outer_one() -> None:
    """R20: an inner `DeadlineError` passes an outer call like any failure, at its own time."""
    inner = waitkit.first_error([never()], timeout=1)
    stream = waitkit.as_completed_outcomes([inner, value("x", 2)], timeout=3)
    async with stream:
        outcomes = [outcome async for outcome in stream]
    assert [type(outcome).__name__ for outcome in outcomes] == ["Failure", "Success"]
    assert not stream.timed_out
    assert now() == 2


@pytest.mark.parametrize("name", [*STREAMS, "first_error", "gather_partial"])
async def test_the_clock_of_a_call_is_the_loops(name: str) -> None:
    """R20: the deadline is on the loop's clock, and a day of it need not last."""
    began = time.monotonic()
    try:
        await run_helper(name, [never()], timeout=86_400)
    except waitkit.DeadlineError:
        assert name not in DATA
    assert now() == 86_400
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("name", STREAMS)
async def test_the_clock_of_a_stream_starts_when_the_stream_does(name: str) -> None:
    """R6, R20: what passes before the first `anext` does not count."""
    stream = getattr(waitkit, name)([value("a", 5)], timeout=6)
    await anyio.sleep(100)
    got: list[Any] = []
    await collect(stream, got)
    assert plain_values(got) == ["a"]
    assert not stream.timed_out


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_a_stream_delivers_what_was_in_time_then_raises(name: str) -> None:
    """R9: what finished before the deadline comes out before `DeadlineError`."""
    got: list[Any] = []
    stream = getattr(waitkit, name)([value("a", 1), value("b", 2), never()], timeout=3)
    with pytest.raises(waitkit.DeadlineError):
        await collect(stream, got)
    assert got == ["a", "b"]
    assert stream.timed_out
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.parametrize("name", STREAMS)
async def test_a_slow_consumer_loses_nothing_that_was_in_time(name: str) -> None:
    """R9, R20: the deadline cuts off jobs, and not what waits for the consumer."""
    got: list[Any] = []
    stream = getattr(waitkit, name)([value(i, i) for i in range(4)], timeout=3.5)
    await collect(stream, got, pause=100)
    assert plain_values(got) == [0, 1, 2, 3]
    assert not stream.timed_out


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_a_slow_consumer_meets_the_deadline_after_the_results(name: str) -> None:
    """R9: long after the deadline, the results come first and then the error."""
    got: list[Any] = []
    gauge = Gauge()
    stream = getattr(waitkit, name)([value(0), value(1, 1), gauge.job("x")], timeout=2)
    with pytest.raises(waitkit.DeadlineError):
        await collect(stream, got, pause=50)
    assert got == [0, 1]
    assert gauge.cancelled == ["x"]


@pytest.mark.parametrize("name", OUTCOME_STREAMS)
async def test_an_outcome_stream_reports_the_deadline(name: str) -> None:
    """R17, R20: where failures are data, what was cut off is an outcome, and the stream ends."""
    stream = getattr(waitkit, name)([value("a", 1), never(), never()], timeout=2)
    got: list[Any] = []
    await collect(stream, got)
    assert got[0] == waitkit.Success("a", 0, 0)
    assert unshuffled(got[1:], by_index) == [
        waitkit.Cancelled(1, 1, "deadline", True),
        waitkit.Cancelled(2, 2, "deadline", True),
    ]
    assert stream.timed_out


async def test_jobs_are_cancelled_while_the_consumer_is_busy() -> None:
    """R20: the deadline strikes on time, not when the consumer next looks."""
    ended: list[float] = []

    async def job() -> None:
        try:
            await never()
        finally:
            ended.append(now())

    got: list[Any] = []
    await collect(waitkit.as_completed_outcomes([value("a"), job()], timeout=2), got, pause=50)
    assert ended == [2]


@pytest.mark.parametrize("name", [name for name in RAISING if name in LIMITED])
async def test_a_limited_source_is_left_at_the_deadline(name: str) -> None:
    """R20: at the deadline nothing more is taken, and what runs is cancelled."""
    gauge = Gauge()
    jobs = (gauge.job(index, 4) for index in range(100))
    with pytest.raises(waitkit.DeadlineError):
        await run_helper(name, jobs, max_concurrency=2, timeout=3)
    assert unshuffled(gauge.started) == unshuffled(gauge.cancelled) == [0, 1]


@pytest.mark.parametrize("name", RAISING)
async def test_a_value_in_spite_of_the_deadline_is_disposed_of(name: str) -> None:
    """R20, R29: where the deadline is raised, a value returned after it is no result."""
    unclaimed: list[Any] = []
    with pytest.raises(waitkit.DeadlineError):
        await run_helper(name, [refuse("late", 1)], timeout=1, dispose=unclaimed.append)
    assert unclaimed == ["late"]
    assert now() == 2


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_borrowed_runs_on_after_the_deadline(name: str) -> None:
    """R1, R20: at a deadline what is borrowed is let go at once, and not cancelled."""
    owned = asyncio.create_task(value("mine", 5))
    try:
        answer = await run_helper(name, [waitkit.borrowed(owned)], timeout=1)
    except waitkit.DeadlineError:
        assert name not in DATA
    else:
        outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
        assert list(outcomes) == [waitkit.Cancelled(0, 0, "deadline", True)]
    assert now() == 1
    assert await owned == "mine"


async def test_first_success_chains_the_failures_so_far() -> None:
    """R20: the cause of its `DeadlineError` is the group of the failures, in input order."""
    first, second = Broken("first"), Broken("second")
    with pytest.raises(waitkit.DeadlineError) as caught:
        await waitkit.first_success([fail(second, 2), never(), fail(first, 1)], timeout=3)
    cause = caught.value.__cause__
    assert isinstance(cause, ExceptionGroup)
    assert cause.exceptions == (second, first)


async def test_first_success_chains_no_failure_of_the_cleanup() -> None:
    """R20: what fails only because it is cancelled at the deadline is not one of those so far."""
    early, late = Broken("early"), Broken("late")
    with pytest.raises(waitkit.DeadlineError) as caught:
        await waitkit.first_success([spoil(late, 1), fail(early, 1)], timeout=3)
    cause = caught.value.__cause__
    assert isinstance(cause, ExceptionGroup)
    assert cause.exceptions == (early,)


async def test_first_success_lets_a_deadline_error_of_a_job_be() -> None:
    """R20: a `DeadlineError` outside `catch` that a job raised is not given a cause."""
    inner = waitkit.first_error([never()], timeout=2)
    with pytest.raises(waitkit.DeadlineError) as caught:
        await waitkit.first_success([fail(Broken(), 1), inner], catch=Broken, timeout=5)
    assert caught.value.__cause__ is None
    assert now() == 2


@pytest.mark.parametrize("name", HELPERS)
@pytest.mark.parametrize("timeout", [0, -1, float("-inf")])
async def test_a_timeout_of_zero_or_less_lets_nothing_run_on(name: str, timeout: float) -> None:
    """R20: at once past the deadline, no job gets beyond its first step."""
    steps: list[str] = []

    async def job() -> None:
        steps.append("first")
        await anyio.lowlevel.checkpoint()
        steps.append("second")

    try:
        answer = await run_helper(name, [job(), job()], timeout=timeout)
    except waitkit.DeadlineError:
        assert name not in DATA
    else:
        outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
        cut_off = [waitkit.Cancelled(i, i, "deadline", True) for i in range(2)]
        assert unshuffled(outcomes, by_index) == cut_off
    assert "second" not in steps
    assert now() == 0


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", [*STREAMS, "first_error", "gather_partial"])
@pytest.mark.parametrize("timeout", [0, -1])
@pytest.mark.parametrize("limit", [1, 2, None])
async def test_a_timeout_of_zero_takes_what_is_done(
    name: str, timeout: float, limit: int | None
) -> None:
    """R20: with all inputs done nothing is cut off, whatever the limit."""
    inputs = [ready("a"), ready("b"), ready("c")]
    answer = await run_helper(name, inputs, timeout=timeout, max_concurrency=limit)
    assert plain_values(answer) == ["a", "b", "c"]
    if isinstance(answer, waitkit.Partial):
        assert not answer.timed_out


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", RESULT_STREAMS)
@pytest.mark.parametrize("timeout", [0, -1])
async def test_a_timeout_of_zero_delivers_what_is_done_first(name: str, timeout: float) -> None:
    """R20, R9: what is done counts, and is delivered before `DeadlineError` is raised."""
    got: list[Any] = []
    unclaimed: list[Any] = []
    inputs = [ready("a"), ready("b"), never()]
    stream = getattr(waitkit, name)(inputs, timeout=timeout, dispose=unclaimed.append)
    with pytest.raises(waitkit.DeadlineError):
        await collect(stream, got)
    assert (got, unclaimed) == (["a", "b"], [])


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", RESULT_STREAMS)
@pytest.mark.parametrize("timeout", [0, -1])
async def test_a_timeout_of_zero_delivers_what_is_done_in_a_bare_loop(
    name: str, timeout: float
) -> None:
    """R20, R9: nor does that need a block."""
    got: list[Any] = []
    unclaimed: list[Any] = []
    inputs = [done("a"), done("b"), never()]

    async def consume() -> None:
        async for item in getattr(waitkit, name)(inputs, timeout=timeout, dispose=unclaimed.append):
            got.append(item)  # noqa: PERF401  # it is to be kept when the stream fails

    with pytest.raises(waitkit.DeadlineError):
        await consume()
    assert (got, unclaimed) == (["a", "b"], [])


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", DATA)
async def test_a_timeout_of_zero_reports_what_is_done_and_what_is_not(name: str) -> None:
    """R20: what is done is what it is, and the rest is `Cancelled`."""
    error = Broken()
    broken = ready(error)
    gone = outside()
    gone.cancel()
    answer = await run_helper(name, [never(), ready("a"), broken, gone], timeout=0)
    outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    assert sorted(outcomes, key=lambda outcome: outcome.index) == [
        waitkit.Cancelled(0, 0, "deadline", True),
        waitkit.Success("a", 1, 1),
        waitkit.Failure(error, 2, 2),
        waitkit.Cancelled(3, 3, "external", True),
    ]


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", RACES)
@pytest.mark.parametrize("timeout", [0, -1])
async def test_a_timeout_of_zero_lets_one_that_is_done_win(name: str, timeout: float) -> None:
    """R20: a race that is decided before it starts has a winner, and no deadline."""
    unclaimed: list[Any] = []
    inputs = (never(), ready("a"), ready("b"))
    answer = await run_helper(name, inputs, timeout=timeout, dispose=unclaimed.append)
    assert answer == (1, "a")
    assert unclaimed == ["b"]


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_timeout_of_zero_raises_what_has_failed(name: str) -> None:
    """R20: a failure that is there already counts, and comes before the deadline."""
    error = Broken()
    broken = ready(error)
    with pytest.raises(Broken) as caught:
        await run_helper(name, [never(), broken], timeout=0)
    assert caught.value is error


@pytest.mark.only("direct")
async def test_a_timeout_of_zero_chains_the_failures_that_are_there() -> None:
    """R20: in `first_success` they are the cause of the `DeadlineError`."""
    error = Broken()
    broken = ready(error)
    with pytest.raises(waitkit.DeadlineError) as caught:
        await waitkit.first_success([never(), broken], timeout=0)
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert caught.value.__cause__.exceptions == (error,)


@pytest.mark.parametrize("name", HELPERS)
async def test_no_input_meets_no_deadline(name: str) -> None:
    """R20, R33: with nothing to wait for, not even a timeout of zero strikes."""
    if name in RACES:
        with pytest.raises(ValueError, match="at least one"):
            await run_helper(name, [], timeout=0)
    else:
        assert plain_values(await run_helper(name, [], timeout=0)) == []


async def test_an_input_added_after_a_passed_deadline_is_given_up() -> None:
    """R20: a deadline that found nothing to cut off strikes what is added later."""
    stream = waitkit.as_completed_outcomes([value("a", 1)], timeout=2)
    async with stream:
        assert await anext(stream) == waitkit.Success("a", 0, 0)
        at(5, stream.add, never())
        await anyio.sleep(10)
        outcomes = [outcome async for outcome in stream]
    assert [type(outcome) for outcome in outcomes] == [waitkit.Cancelled]
    assert stream.timed_out
