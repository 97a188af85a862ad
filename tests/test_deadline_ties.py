"""R20: what happens in the very tick in which the deadline passes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    OUTCOME_STREAMS,
    RACES,
    RESULT_STREAMS,
    STREAMS,
    Broken,
    at,
    collect,
    fail,
    future,
    logged,
    never,
    notes,
    now,
    outside,
    plain_values,
    ready,
    refuse,
    resolve,
    run_helper,
    spoil,
    unshuffled,
    value,
)

# All of these are in one tick: the resolution of the virtual clock is 1e-9 seconds.
BEFORE, DEADLINE, AFTER = 1 - 1e-10, 1.0, 1 + 1e-10
EARLIER = 1 - 2e-10


@pytest.mark.parametrize("name", [*STREAMS, "first_error", "gather_partial"])
async def test_the_last_to_finish_before_the_deadline_is_in_time(name: str) -> None:
    """R20: when all finish in the deadline's tick but before it, nothing is cut off."""
    waiting = [future(), future()]
    at(BEFORE, resolve, (waiting[0], "a"), (waiting[1], "b"))
    answer = await run_helper(name, waiting, timeout=DEADLINE)
    assert unshuffled(plain_values(answer)) == ["a", "b"]
    if isinstance(answer, waitkit.Partial):
        assert not answer.timed_out


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_a_result_of_the_tick_is_delivered_before_the_deadline(name: str) -> None:
    """R20, R9: what finished earlier in the tick counts; what finishes later in it does not."""
    early, late = future(), outside()
    at(BEFORE, early.set_result, "early")
    at(AFTER, late.cancel)  # too late: it has been cancelled
    got: list[Any] = []
    unclaimed: list[Any] = []
    stream = getattr(waitkit, name)([early, late], timeout=DEADLINE, dispose=unclaimed.append)
    with pytest.raises(waitkit.DeadlineError):
        await collect(stream, got)
    assert (got, unclaimed) == (["early"], [])


@pytest.mark.parametrize("name", RESULT_STREAMS)
@pytest.mark.parametrize("place", [EARLIER, BEFORE, AFTER])
async def test_a_consumer_that_comes_back_in_the_tick_misses_nothing(
    name: str, place: float
) -> None:
    """R20, R9: nor does it depend on when in the tick the consumer asks for it."""
    first, early = future(), future()
    back = future()
    first.set_result("first")
    at(place, back.set_result, None)
    at(BEFORE, early.set_result, "early")
    got: list[Any] = []
    unclaimed: list[Any] = []
    stream = getattr(waitkit, name)([first, early, never()], timeout=1, dispose=unclaimed.append)

    async def consume() -> None:
        async with stream:
            async for item in stream:
                got.append(item)
                await back

    with pytest.raises(waitkit.DeadlineError):
        await consume()
    assert (got, unclaimed) == (["first", "early"], [])


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_failure_before_the_deadline_in_its_tick_is_raised(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R20: a failure that came first is what ends the call, though in the deadline's tick."""
    error = Broken()
    waiting = future()
    at(BEFORE, waiting.set_exception, error)
    with pytest.raises(Broken) as caught:
        await run_helper(name, [waiting, never()], timeout=DEADLINE)
    assert caught.value is error
    assert notes(error) == [f"waitkit.{name}: raised by input 0"]
    assert logged(caplog) == []


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_two_failures_before_the_deadline_in_its_tick(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R20, R12: the first of them is raised, and the second noted and logged."""
    first, second = Broken("first"), Broken("second")
    waiting = [future(), future()]
    at(BEFORE, resolve, (waiting[1], first), (waiting[0], second))
    with pytest.raises(Broken) as caught:
        await run_helper(name, [*waiting, never()], timeout=DEADLINE)
    assert unshuffled([caught.value, *logged(caplog)], key=str) == [first, second]
    assert len(notes(caught.value)) == 2


class Slow(asyncio.Future[Any]):
    """A Future that does not end by being cancelled, but when its owner says so."""

    def cancel(self, msg: Any = None) -> bool:
        return False


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_failure_after_the_deadline_in_its_tick_is_a_further_one(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R20, R12: the deadline came first: the failure is a note on it, and on the logger."""
    error = Broken("late")
    waiting = Slow()
    at(AFTER, waiting.set_exception, error)
    with pytest.raises(waitkit.DeadlineError) as caught:
        await run_helper(name, [waiting, never()], timeout=DEADLINE)
    assert notes(caught.value) == [f"waitkit.{name}: then input 0 failed too: Broken('late')"]
    assert logged(caplog) == [error]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", [*FAIL_FAST, "first_success"])
async def test_a_value_after_the_deadline_in_its_tick_does_not_count(name: str) -> None:
    """R20: the deadline came first: the value goes to `dispose`."""
    waiting = Slow()
    at(AFTER, waiting.set_result, "late")
    unclaimed: list[Any] = []
    with pytest.raises(waitkit.DeadlineError):
        await run_helper(name, [waiting], timeout=DEADLINE, dispose=unclaimed.append)
    assert unclaimed == ["late"]


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_failure_by_the_deadline_is_a_further_one(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R20, R12: nor does a job come before the deadline that fails as soon as it is cancelled."""
    error = Broken("late")
    with pytest.raises(waitkit.DeadlineError) as caught:
        await run_helper(name, [spoil(error), never()], timeout=DEADLINE)
    assert notes(caught.value) == [f"waitkit.{name}: then input 0 failed too: Broken('late')"]
    assert logged(caplog) == [error]


@pytest.mark.parametrize("name", [*FAIL_FAST, "first_success"])
async def test_a_value_by_the_deadline_does_not_count(name: str) -> None:
    """R20: nor one that returns a value as soon as it is cancelled."""
    unclaimed: list[Any] = []
    with pytest.raises(waitkit.DeadlineError):
        await run_helper(name, [refuse("late")], timeout=DEADLINE, dispose=unclaimed.append)
    assert unclaimed == ["late"]
    assert now() == DEADLINE


@pytest.mark.parametrize("name", RACES)
async def test_a_race_won_before_the_deadline_in_its_tick_is_won(name: str) -> None:
    """R20: the winner came first: there is no deadline, and no second winner."""
    waiting = [future(), future()]
    at(BEFORE, resolve, (waiting[1], "1st"), (waiting[0], "2nd"))
    unclaimed: list[Any] = []
    inputs = (*waiting, never())
    answer = await run_helper(name, inputs, timeout=DEADLINE, dispose=unclaimed.append)
    assert answer in [(1, "1st"), (0, "2nd")]
    assert unshuffled([answer[1], *unclaimed]) == ["1st", "2nd"]


async def test_a_failure_of_the_tick_is_among_those_of_a_race() -> None:
    """R20: `first_success` chains it, as it came before the deadline."""
    error = Broken()
    waiting = future()
    at(BEFORE, waiting.set_exception, error)
    with pytest.raises(waitkit.DeadlineError) as caught:
        await waitkit.first_success([waiting, never()], timeout=DEADLINE)
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert caught.value.__cause__.exceptions == (error,)


async def test_a_race_whose_last_failure_is_in_the_tick_is_lost_in_time() -> None:
    """R20: when all have failed before the deadline, that is the error, and not the deadline."""
    error = Broken()
    waiting = future()
    at(BEFORE, waiting.set_exception, error)
    with pytest.raises(ExceptionGroup) as caught:
        await waitkit.first_success([waiting], timeout=DEADLINE)
    assert caught.value.exceptions == (error,)


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", DATA)
async def test_outcomes_of_the_deadlines_tick_are_what_they_are(name: str) -> None:
    """R20, R17: before the deadline an outcome counts as it is, also one from elsewhere."""
    error = Broken()
    waiting = [future(), future(), outside(), future()]
    at(BEFORE, resolve, (waiting[1], error), (waiting[0], "value"))
    at(BEFORE, waiting[2].cancel)
    answer = await run_helper(name, waiting, timeout=DEADLINE)
    outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    assert sorted(outcomes, key=lambda outcome: outcome.index) == [
        waitkit.Success("value", 0, 0),
        waitkit.Failure(error, 1, 1),
        waitkit.Cancelled(2, 2, "external", True),
        waitkit.Cancelled(3, 3, "deadline", True),
    ]


@pytest.mark.parametrize("name", DATA)
async def test_a_job_that_defies_the_deadline_is_what_it_then_is(name: str) -> None:
    """R17: a value returned in spite of it is a `Success`, an error in cleanup a `Failure`."""
    error = Broken()
    inputs = [refuse("late", 5), spoil(error, 3), never()]
    answer = await run_helper(name, inputs, timeout=DEADLINE)
    outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    assert sorted(outcomes, key=lambda outcome: outcome.index) == [
        waitkit.Success("late", 0, 0),
        waitkit.Failure(error, 1, 1),
        waitkit.Cancelled(2, 2, "deadline", True),
    ]


@pytest.mark.parametrize("name", DATA)
async def test_an_error_in_cleanup_outside_catch_ends_the_call(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R17, R15: at the deadline `catch` still says what is data, and R10 to R12 the rest."""
    bug, late = Broken("bug"), ZeroDivisionError("late")
    inputs = [spoil(bug, 3), spoil(late, 4), spoil(KeyError(), 2), refuse("lost", 5)]
    unclaimed: list[Any] = []
    with pytest.raises(Broken) as caught:
        await run_helper(
            name, inputs, timeout=DEADLINE, catch=LookupError, dispose=unclaimed.append
        )
    assert caught.value is bug
    assert logged(caplog) == [late]
    assert len(notes(bug)) == 2
    assert unclaimed == ["lost"]


@pytest.mark.parametrize("name", OUTCOME_STREAMS)
async def test_outcomes_before_an_error_in_cleanup_are_delivered_before_it(name: str) -> None:
    """R9: after the deadline too, what ended before the error comes out before it."""
    got: list[Any] = []
    inputs = [refuse("a", 1), never(), spoil(Broken(), 3)]
    stream = getattr(waitkit, name)(inputs, timeout=DEADLINE, catch=LookupError)
    with pytest.raises(Broken):
        await collect(stream, got)
    assert sorted(got, key=lambda outcome: outcome.index) == [
        waitkit.Success("a", 0, 0),
        waitkit.Cancelled(1, 1, "deadline", True),
    ]


@pytest.mark.parametrize("name", DATA)
async def test_a_failure_that_ends_the_call_comes_before_the_deadline(name: str) -> None:
    """R15, R20: in one tick with the deadline, a failure outside `catch` that came first wins."""
    error = Broken()
    waiting = future()
    at(BEFORE, waiting.set_exception, error)
    with pytest.raises(Broken) as caught:
        await run_helper(name, [waiting, never()], timeout=DEADLINE, catch=LookupError)
    assert caught.value is error


async def test_the_deadline_is_not_stretched_by_a_failure() -> None:
    """R20: a failure before it, whose cleanup outlasts it, is raised as what it is."""
    error = Broken()
    with pytest.raises(Broken) as caught:
        await waitkit.first_error([fail(error, 0.5), refuse("late", 10)], timeout=DEADLINE)
    assert caught.value is error
    assert notes(error) == ["waitkit.first_error: raised by input 0"]


@pytest.mark.only("direct")
async def test_what_was_done_comes_before_what_never_started() -> None:
    """R7, R17, R20: the deadline gives up what waits for a slot, behind what it found done."""
    inputs = [ready("a"), never(), value("b")]
    stream = waitkit.as_completed_outcomes(inputs, max_concurrency=2, timeout=0)
    async with stream:
        outcomes = [outcome async for outcome in stream]
    assert outcomes == [
        waitkit.Success("a", 0, 0),
        waitkit.Cancelled(2, 2, "deadline", False),
        waitkit.Cancelled(1, 1, "deadline", True),
    ]
    assert stream.timed_out
