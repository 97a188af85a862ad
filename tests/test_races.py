"""R18: races, and their one winner. For the stagger of R19: test_stagger."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import waitkit
from jobs import (
    RACES,
    Broken,
    Gauge,
    at,
    fail,
    future,
    logged,
    never,
    notes,
    now,
    ready,
    refuse,
    resolve,
    run_helper,
    settle,
    spoil,
    unshuffled,
    value,
)


@pytest.mark.parametrize("name", RACES)
async def test_the_first_value_wins(name: str) -> None:
    """R18: the first job to return wins, and the others are cancelled and awaited."""
    gauge = Gauge()
    jobs = [gauge.job("slow", 3), gauge.job("fast", 1), gauge.job("never")]
    assert await run_helper(name, jobs) == "fast"
    assert gauge.running == 0
    assert sorted(gauge.cancelled) == ["never", "slow"]
    assert now() == 1


@pytest.mark.parametrize("name", RACES)
async def test_a_winner_is_known_by_its_key_or_place(name: str) -> None:
    """R18: keyed inputs give (key, value), a tuple (index, value), all else the value."""
    assert await run_helper(name, {"a": never(), "b": value(1, 1)}) == ("b", 1)
    assert await run_helper(name, (never(), value(1, 1))) == (1, 1)
    assert await run_helper(name, [never(), value(1, 1)]) == 1
    calls = waitkit.call_each(lambda after: value("x", after), [3, 1, 2])
    assert await run_helper(name, calls) == (1, "x")
    pairs = waitkit.keyed([("same", never()), ("same", value(1, 1))])
    assert await run_helper(name, pairs) == ("same", 1)


@pytest.mark.parametrize("name", RACES)
@pytest.mark.parametrize("result", [None, False, Broken()])
async def test_any_value_can_win(name: str, result: Any) -> None:
    """R18: a value that is false, or an exception that was returned, is a value."""
    assert await run_helper(name, (never(), value(result, 1))) == (1, result)


@pytest.mark.parametrize("name", RACES)
async def test_there_is_one_winner_in_a_tick(name: str) -> None:
    """R18: of those that finish in one tick the first wins, and the rest go to `dispose`."""
    waiting = [future() for _ in range(4)]
    at(1, resolve, *((waiting[i], i) for i in (2, 0, 3, 1)))
    unclaimed: list[Any] = []
    index, won = await run_helper(name, tuple(waiting), dispose=unclaimed.append)
    assert index == won
    assert unshuffled([won, *unclaimed]) == unshuffled([2, 0, 3, 1])


@pytest.mark.parametrize("name", RACES)
async def test_a_loser_that_returns_all_the_same_is_disposed_of(name: str) -> None:
    """R18, R29: a loser's value goes to `dispose` before the winner is handed over."""
    unclaimed: list[Any] = []
    jobs = [refuse("late", 5), value("won", 1)]
    assert await run_helper(name, jobs, dispose=unclaimed.append) == "won"
    assert unclaimed == ["late"]
    assert now() == 6


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", RACES)
async def test_a_future_at_two_places_wins_at_the_first(name: str) -> None:
    """R18, R4: it is one value: it wins once, and is not disposed of as its own loser."""
    twice = future()
    at(1, twice.set_result, "x")
    unclaimed: list[Any] = []
    inputs = (never(), twice, twice)
    assert await run_helper(name, inputs, dispose=unclaimed.append) == (1, "x")
    assert unclaimed == []


@pytest.mark.parametrize("name", RACES)
@pytest.mark.parametrize("empty", [[], (), {}, iter(())])
async def test_a_race_of_nobody_is_refused(name: str, empty: Any) -> None:
    """R18: without an input there is no winner: `ValueError`."""
    with pytest.raises(ValueError, match="at least one input"):
        await run_helper(name, empty)


async def test_first_completed_is_decided_by_an_error() -> None:
    """R18: the first to finish decides, by its value or by its error."""
    error = Broken()
    unclaimed: list[Any] = []
    with pytest.raises(Broken) as caught:
        await waitkit.first_completed([refuse("value"), fail(error, 1)], dispose=unclaimed.append)
    assert caught.value is error
    assert unclaimed == ["value"]


# Which of two comes first in one tick is asyncio's to say: Trio shuffles them (R52).
@pytest.mark.only("asyncio")
@pytest.mark.parametrize("place", [0, 1])
async def test_first_completed_is_decided_by_an_error_in_a_tick(place: int) -> None:
    """R18: in one tick too the first to finish decides, by its value or by its error."""
    error = Broken()
    waiting = [future(), future()]
    at(1, resolve, (waiting[place], error), (waiting[1 - place], "value"))
    unclaimed: list[Any] = []
    with pytest.raises(Broken) as caught:
        await waitkit.first_completed(waiting, dispose=unclaimed.append)
    assert caught.value is error
    assert unclaimed == ["value"]


async def test_first_completed_has_a_winner_whatever_a_loser_raises(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """R18, R12: an error after the first value is logged and raised by nobody."""
    error = Broken()
    assert await waitkit.first_completed([spoil(error, 2), value("value", 1)]) == "value"
    assert logged(caplog) == [error]


@pytest.mark.only("asyncio")
async def test_first_completed_has_a_winner_that_came_before_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """R18, R12: an error after the first value, in its tick, is logged and raised by nobody."""
    error = Broken()
    waiting = [future(), future()]
    at(1, resolve, (waiting[1], "value"), (waiting[0], error))
    assert await waitkit.first_completed(waiting) == "value"
    assert logged(caplog) == [error]


@pytest.mark.only("asyncio")
async def test_first_completed_leaves_what_is_borrowed() -> None:
    """R18, R1: the loser that belongs to others runs on, and none of its callbacks is ours."""
    owned = asyncio.create_task(value("mine", 5))
    assert await waitkit.first_completed((value("fast", 1), waitkit.borrowed(owned))) == (0, "fast")
    assert not owned.cancelling()
    assert await owned == "mine"


async def test_first_success_passes_over_failures() -> None:
    """R18: the first success wins, after however many failures, in one tick with one too."""
    assert await waitkit.first_success([fail(Broken(), 1), fail(Broken()), value("a", 2)]) == "a"
    waiting = [future(), future(), future()]
    at(now() + 1, resolve, (waiting[0], Broken()), (waiting[2], "b"), (waiting[1], Broken()))
    assert await waitkit.first_success((*waiting, never())) == (2, "b")


async def test_first_success_raises_all_errors_if_none_wins() -> None:
    """R18, R11: an `ExceptionGroup` of all, in input order, each with its note."""
    errors = [Broken(index) for index in range(3)]
    jobs = {"a": fail(errors[0], 3), "b": fail(errors[1], 1), "c": fail(errors[2], 2)}
    with pytest.raises(ExceptionGroup) as caught:
        await waitkit.first_success(jobs)
    assert list(caught.value.exceptions) == errors
    assert [notes(error) for error in errors] == [
        [f"waitkit.first_success: raised by input {index} (key {key!r})"]
        for index, key in enumerate("abc")
    ]


async def test_first_success_of_one_raises_a_group_of_one() -> None:
    """R18: with one input that fails, it too raises a group, not the bare error."""
    error = Broken()
    with pytest.raises(ExceptionGroup) as caught:
        await waitkit.first_success([fail(error, 1)])
    assert caught.value.exceptions == (error,)


async def test_first_success_groups_an_error_once_per_place() -> None:
    """R18, R4: a failing Future at two places, or one object from two jobs, is there twice."""
    error = Broken()
    twice = future()
    at(1, twice.set_exception, error)
    with pytest.raises(ExceptionGroup) as caught:
        await waitkit.first_success([twice, fail(error, 2), twice])
    assert caught.value.exceptions == (error, error, error)
    assert sorted(notes(error)) == [f"waitkit.first_success: raised by input {i}" for i in range(3)]


@pytest.mark.parametrize("limit", [1, 2, 3, None])
async def test_a_failure_outside_catch_ends_the_race(limit: int | None) -> None:
    """R18: it is raised bare, though others could still have won."""
    bug = ZeroDivisionError()
    gauge = Gauge()
    jobs = [fail(Broken(), 1), fail(bug, 2), gauge.job("a", 5), gauge.job("b", 5)]
    with pytest.raises(ZeroDivisionError) as caught:
        await waitkit.first_success(jobs, catch=(Broken, KeyError), max_concurrency=limit)
    assert caught.value is bug
    assert notes(bug) == ["waitkit.first_success: raised by input 1"]
    assert gauge.running == 0


async def test_a_success_after_a_failure_outside_catch_is_no_winner() -> None:
    """R18: the race is over: what wins later goes to `dispose`."""
    bug = Broken()
    unclaimed: list[Any] = []
    inputs = [refuse("late", 1), fail(bug, 1)]
    with pytest.raises(Broken) as caught:
        await waitkit.first_success(inputs, catch=(), dispose=unclaimed.append)
    assert caught.value is bug
    assert unclaimed == ["late"]


@pytest.mark.only("asyncio")
async def test_a_success_in_the_tick_of_a_failure_outside_catch_is_no_winner() -> None:
    """R18: the race is over: what wins later in that tick goes to `dispose`."""
    bug = Broken()
    waiting = [future(), future()]
    at(1, resolve, (waiting[1], bug), (waiting[0], "late"))
    unclaimed: list[Any] = []
    with pytest.raises(Broken) as caught:
        await waitkit.first_success(waiting, catch=(), dispose=unclaimed.append)
    assert caught.value is bug
    assert unclaimed == ["late"]


@pytest.mark.parametrize("limit", [1, 2, 3, 10, None])
async def test_a_limited_race_takes_the_next_when_one_fails(limit: int | None) -> None:
    """R18, R2: a slot that a failure leaves is filled, and after a win nothing is taken."""
    gauge = Gauge()

    async def job(index: int) -> int:
        await gauge.job(index, 1 + index / 100)
        if index < 4:
            raise Broken(index)
        return index

    jobs = (job(index) for index in range(20))
    assert await waitkit.first_success(jobs, max_concurrency=limit) == 4
    assert unshuffled(gauge.started) == list(range(20 if limit is None else 4 + limit))
    assert gauge.peak == (limit or 20)
    assert gauge.running == 0


@pytest.mark.parametrize("name", RACES)
async def test_a_race_decided_in_a_first_step_leaves_nobody_running(name: str) -> None:
    """R18: a job that never gives way wins; the others that began, eager or not, are cancelled."""
    gauge = Gauge()
    jobs = (gauge.job("a"), value("won"), gauge.job("b"))
    assert await run_helper(name, jobs) == (1, "won")
    assert gauge.running == 0
    assert unshuffled(gauge.started) == unshuffled(gauge.cancelled)


async def race_of_races(name: str, gauge: Gauge, depth: int) -> Any:
    if not depth:
        return await gauge.job("leaf", 2)
    return await run_helper(name, [gauge.job("rival"), race_of_races(name, gauge, depth - 1)])


@pytest.mark.parametrize("name", RACES)
async def test_races_nest(name: str) -> None:
    """R18: a race in a race in a race: one winner, all else ended, no cancellation left over."""
    gauge = Gauge()
    assert await race_of_races(name, gauge, 3) == "leaf"
    assert gauge.running == 0
    assert gauge.cancelled == ["rival"] * 3
    await settle()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", RACES)
async def test_nested_races_leave_no_count_of_cancellations(name: str) -> None:
    """R18, R21: nor is any left in what `Task.cancelling` counts."""
    assert await race_of_races(name, Gauge(), 3) == "leaf"
    caller = asyncio.current_task()
    assert caller is not None
    assert caller.cancelling() == 0


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", RACES)
async def test_many_finish_in_one_tick_and_one_wins(name: str) -> None:
    """R18, R29: with a thousand values in a tick, all but the winner are disposed of once."""
    unclaimed: list[Any] = []
    inputs = [ready(index) for index in range(1000)]
    assert await run_helper(name, inputs, dispose=unclaimed.append) == 0
    assert unclaimed == list(range(1, 1000))
