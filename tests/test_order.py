"""R7, R8, R9: the order in which results come out, each just once."""

from __future__ import annotations

import asyncio
import random
from itertools import permutations
from typing import Any

import anyio
import pytest

import waitkit
from jobs import (
    DATA,
    OUTCOME_STREAMS,
    RESULT_STREAMS,
    STREAMS,
    Broken,
    at,
    collect,
    done,
    fail,
    future,
    never,
    now,
    outside,
    plain_values,
    ready,
    refuse,
    resolve,
    run_helper,
    unshuffled,
    value,
)

COMPLETION_STREAMS = ("as_completed_results", "as_completed_outcomes")
INPUT_ORDER = ("in_order_results", "in_order_outcomes", "first_error", "gather_partial")


@pytest.mark.parametrize("name", COMPLETION_STREAMS)
async def test_completion_order_is_the_order_of_finishing(name: str) -> None:
    """R7: what finishes first comes out first, wherever it stands among the inputs."""
    answer = await run_helper(name, [value(after, after) for after in (3, 1, 4, 2, 5)])
    assert plain_values(answer) == [1, 2, 3, 4, 5]


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", COMPLETION_STREAMS)
@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_ties_in_one_tick_follow_the_loop(name: str, order: tuple[int, ...]) -> None:
    """R7: Futures that finish in one tick come out in the order in which they finished."""
    waiting = [outside() for _ in order]
    at(1, resolve, *((waiting[i], i) for i in order))
    assert plain_values(await run_helper(name, waiting)) == list(order)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", COMPLETION_STREAMS)
@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_ties_of_jobs_in_one_tick_follow_the_loop(name: str, order: tuple[int, ...]) -> None:
    """R7: coroutines that finish in one tick come out in the order in which they finished."""
    gates = [future() for _ in order]

    async def job(index: int) -> int:
        await gates[index]
        return index

    at(1, resolve, *((gates[i], None) for i in order))
    assert plain_values(await run_helper(name, [job(i) for i in range(3)])) == list(order)


@pytest.mark.parametrize("name", COMPLETION_STREAMS)
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50, None])
async def test_delivery_order_is_finishing_order_at_any_limit(name: str, limit: int | None) -> None:
    """R7: with many ties, at every limit, delivery equals the order in which jobs ended."""
    dice = random.Random(4)
    ended: list[int] = []

    async def job(index: int, after: float | None) -> int:
        await value(None, after)
        ended.append(index)
        return index

    delays = [dice.choice([None, 0, 1, 1, 2]) for _ in range(100)]
    jobs = (job(index, after) for index, after in enumerate(delays))
    answer = await run_helper(name, jobs, max_concurrency=limit)
    assert plain_values(answer) == ended
    assert sorted(ended) == list(range(100))


async def test_two_runs_of_one_schedule_agree() -> None:
    """R7: the order is the loop's, so it is the same each time; but for ties on Trio (R52)."""

    async def run() -> tuple[list[int], list[tuple[int, int]]]:
        dice = random.Random(7)
        afters = [dice.randrange(3) for _ in range(300)]
        jobs = [value((after, index), after) for index, after in enumerate(afters)]
        answer = plain_values(await run_helper("as_completed_results", jobs))
        return [after for after, _ in answer], unshuffled(answer)

    assert await run() == await run()


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", COMPLETION_STREAMS)
async def test_inputs_already_done_come_first_in_input_order(name: str) -> None:
    """R7: inputs that are done when the call starts come before all others, in input order."""
    inputs = [value("late", 1), ready("a"), value("later", 2), ready("b"), ready("c")]
    assert plain_values(await run_helper(name, inputs)) == ["a", "b", "c", "late", "later"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", COMPLETION_STREAMS)
async def test_a_coroutine_that_ends_at_once_follows_what_was_done(
    name: str, loop_mode: str
) -> None:
    """R7: an eager factory ends such a coroutine when it is taken; else it has a tick to go."""
    answer = plain_values(await run_helper(name, [value("at once"), done("a"), done("b")]))
    if loop_mode == "eager":
        assert answer == ["at once", "a", "b"]
    else:
        assert answer == ["a", "b", "at once"]


@pytest.mark.only("direct")
async def test_a_race_of_inputs_already_done_is_won_by_the_first() -> None:
    """R7: of several inputs that are done the first in input order wins the race."""
    for name in ("first_completed", "first_success"):
        inputs = (value("late", 1), ready("a"), ready("b"))
        assert await run_helper(name, inputs) == (1, "a")


@pytest.mark.only("direct")
async def test_first_error_of_inputs_already_failed_is_the_first() -> None:
    """R7: of several inputs that have failed the first in input order is the first failure."""
    errors = [Broken("a"), Broken("b")]
    waiting = [outside(), outside(), outside()]
    # The last input failed first; that was before the call, which sees them in input order.
    resolve((waiting[2], errors[1]), (waiting[1], errors[0]))
    with pytest.raises(Broken) as caught:
        await waitkit.first_error(waiting)
    assert caught.value is errors[0]


@pytest.mark.parametrize("name", INPUT_ORDER)
@pytest.mark.parametrize("limit", [1, 2, None])
async def test_input_order_is_kept_whatever_finishes_first(name: str, limit: int | None) -> None:
    """R7, R16: where input order is promised, finishing order has no say."""
    jobs = [value(after, after) for after in (3, 1, 4, 2, 5)]
    answer = await run_helper(name, jobs, max_concurrency=limit)
    assert plain_values(answer) == [3, 1, 4, 2, 5]


async def test_dicts_come_back_in_input_order() -> None:
    """R16: the keys of an answer are in input order, not in the order of finishing."""
    given = {"c": 3, "a": 1, "b": 2}
    assert list(await waitkit.first_error({k: value(k, s) for k, s in given.items()})) == [
        "c",
        "a",
        "b",
    ]
    partial = await waitkit.gather_partial({k: value(k, s) for k, s in given.items()})
    assert list(partial.results) == ["c", "a", "b"]


@pytest.mark.parametrize("name", [*STREAMS, "first_error", "gather_partial"])
@pytest.mark.parametrize("limit", [1, None])
async def test_a_thousand_in_one_tick_give_one_outcome_each(name: str, limit: int | None) -> None:
    """R8: however many finish in one tick, each input gives exactly one outcome."""
    jobs = [value(index) for index in range(1000)]
    answer = plain_values(await run_helper(name, jobs, max_concurrency=limit))
    assert sorted(answer) == list(range(1000))


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("limit", [1, 2, 3, None])
async def test_every_end_of_a_coroutine_gives_one_outcome(name: str, limit: int | None) -> None:
    """R8: success, failure and deadline, in one tick and at once, are one outcome each."""
    gate = future()

    async def gated(outcome: Any) -> Any:
        await gate
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    late, soon = Broken("late"), Broken("soon")
    inputs = [gated("late"), gated(late), gated("too"), value("soon"), fail(soon), never()]
    at(1, gate.set_result, None)
    answer = await run_helper(name, inputs, max_concurrency=limit, timeout=2)
    outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    assert sorted(outcomes, key=lambda outcome: outcome.index) == [
        waitkit.Success("late", 0, 0),
        waitkit.Failure(late, 1, 1),
        waitkit.Success("too", 2, 2),
        waitkit.Success("soon", 3, 3),
        waitkit.Failure(soon, 4, 4),
        waitkit.Cancelled(5, 5, "deadline", True),
    ]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("limit", [1, 2, 3, None])
async def test_every_way_to_end_gives_one_outcome(name: str, limit: int | None) -> None:
    """R8: success, failure and cancellation, in one tick and at once, are one outcome each."""
    gate = future()

    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def gated(outcome: Any) -> Any:
        await gate
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    dead = asyncio.create_task(never())
    dead.cancel()  # before its first step, where the factory is not eager
    inputs = [
        gated("late"),
        gated(Broken("late")),
        gated(asyncio.CancelledError()),
        value("soon"),
        fail(Broken("soon")),
        cancelled(),
        done("done"),
        dead,
    ]
    at(1, gate.set_result, None)
    answer = await run_helper(name, inputs, max_concurrency=limit)
    outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    kinds = {outcome.index: type(outcome).__name__ for outcome in outcomes}
    assert len(outcomes) == 8
    assert [kinds[index] for index in range(8)] == [
        *("Success", "Failure", "Cancelled", "Success", "Failure", "Cancelled", "Success"),
        "Cancelled",
    ]


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", OUTCOME_STREAMS)
async def test_the_same_future_twice_is_reported_at_both_places(name: str) -> None:
    """R8, R4: a Future at two places gives an outcome at each, also when it fails."""
    error = Broken()
    twice = outside()
    at(1, twice.set_exception, error)
    outcomes = await run_helper(name, [twice, value("x", 2), twice])
    assert outcomes == [
        waitkit.Failure(error, 0, 0),
        *(
            [waitkit.Failure(error, 2, 2), waitkit.Success("x", 1, 1)]
            if name == "as_completed_outcomes"
            else [waitkit.Success("x", 1, 1), waitkit.Failure(error, 2, 2)]
        ),
    ]


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_what_finished_before_the_failure_is_delivered_before(name: str) -> None:
    """R9: results that were there before the failure come out first, then the failure."""
    error = Broken()
    got: list[str] = []
    with pytest.raises(Broken) as caught:
        await collect(
            getattr(waitkit, name)([value("a", 1), value("b", 2), fail(error, 3), never()]), got
        )
    assert caught.value is error
    assert got == ["a", "b"]


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", RESULT_STREAMS)
@pytest.mark.parametrize("place", range(4))
async def test_a_failure_amid_a_tick_parts_what_is_delivered(name: str, place: int) -> None:
    """R9: in the failure's own tick, what finished before it is delivered and the rest is not."""
    waiting = [outside() for _ in range(4)]
    unclaimed: list[Any] = []
    at(1, resolve, *((w, Broken() if i == place else i) for i, w in enumerate(waiting)))
    got: list[Any] = []
    with pytest.raises(Broken):
        await collect(getattr(waitkit, name)(waiting, dispose=unclaimed.append), got)
    assert got == list(range(place))
    assert unclaimed == list(range(place + 1, 4))


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_a_slow_consumer_gets_all_that_finished_before_the_failure(name: str) -> None:
    """R9: results wait for a consumer that looks only long after the failure."""
    got: list[Any] = []
    jobs = [value(0, 1), value(1, 2), value(2, 3), fail(Broken(), 4), value(4, 5)]
    with pytest.raises(Broken):
        await collect(getattr(waitkit, name)(jobs), got, pause=100)
    assert got == [0, 1, 2]
    assert now() == 301


@pytest.mark.parametrize("kind", ["failure", "deadline"])
async def test_in_order_results_delivers_the_unbroken_run_from_the_front(kind: str) -> None:
    """R9: what stands behind a gap is not delivered before a failure or a deadline is raised."""
    unclaimed: list[int] = []
    got: list[int] = []
    last = fail(Broken(), 5) if kind == "failure" else value(5, 100)
    stream: waitkit.ResultStream[int] = waitkit.in_order_results(
        [value(0, 2), value(1, 1), value(2, 50), value(3, 1), last],
        timeout=5.5,
        dispose=unclaimed.append,
    )
    with pytest.raises(Broken if kind == "failure" else waitkit.DeadlineError):
        await collect(stream, got)
    assert got == [0, 1]
    assert unclaimed == [3]


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_a_failure_does_not_interrupt_the_consumer(name: str) -> None:
    """R9: the body of the loop goes on undisturbed while a job fails."""
    finished_at: list[float] = []

    async def consume() -> None:
        async with getattr(waitkit, name)([value(0, 1), fail(Broken(), 2)]) as stream:
            async for _ in stream:
                await anyio.sleep(10)
                finished_at.append(now())

    with pytest.raises(Broken):
        await consume()
    assert finished_at == [11]


async def test_a_value_returned_after_the_failure_is_not_delivered() -> None:
    """R9: a job that answers its cancellation with a value has finished after the failure."""
    for name in RESULT_STREAMS:
        got: list[Any] = []
        unclaimed: list[Any] = []
        inputs = [refuse("late"), fail(Broken(), 1)]
        with pytest.raises(Broken):
            await collect(getattr(waitkit, name)(inputs, dispose=unclaimed.append), got)
        assert (got, unclaimed) == ([], ["late"])


@pytest.mark.parametrize("limit", [1, 2, 3, None])
async def test_the_first_result_arrives_before_the_second_job_ends(limit: int | None) -> None:
    """R7: a stream delivers as it goes, and not when all have ended."""
    jobs = [value(index, 10) for index in range(3)]
    async with waitkit.as_completed_results(jobs, max_concurrency=limit) as stream:
        arrived = [(item, now()) async for item in stream]
    per_tick = limit or 3
    assert unshuffled(arrived) == [(index, 10.0 * (index // per_tick + 1)) for index in range(3)]
