"""R15, R16, R17: failures as data, and the values that tell of them."""

from __future__ import annotations

from typing import Any

import pytest

import waitkit
from jobs import (
    DATA,
    Broken,
    Gauge,
    at,
    fail,
    never,
    notes,
    now,
    outside,
    ready,
    refuse,
    run_helper,
    spoil,
    value,
)


class Sharp(Broken):
    """A subclass of what jobs fail with."""


def outcomes_of(answer: Any) -> list[Any]:
    """The outcomes that a helper gave, in input order."""
    given = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    return sorted(given, key=lambda outcome: outcome.index)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("limit", [1, 2, 3, None])
async def test_a_failing_job_ends_no_other(name: str, limit: int | None) -> None:
    """R15: where failures are data, the others run on to their own end."""
    gauge = Gauge()
    error = Broken()
    inputs = [gauge.job("a", 5), fail(error, 1), gauge.job("b", 5), fail(error), gauge.job("c", 1)]
    assert outcomes_of(await run_helper(name, inputs, max_concurrency=limit)) == [
        waitkit.Success("a", 0, 0),
        waitkit.Failure(error, 1, 1),
        waitkit.Success("b", 2, 2),
        waitkit.Failure(error, 3, 3),
        waitkit.Success("c", 4, 4),
    ]
    assert gauge.cancelled == []


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize(
    "catch", [Exception, Broken, (Broken,), (KeyError, Broken), (Broken, Sharp)]
)
async def test_catch_says_what_is_data(name: str, catch: Any) -> None:
    """R15: `catch` is a class or a tuple of them, and takes subclasses as `except` does."""
    error = Sharp()
    answer = await run_helper(name, [fail(error, 1)], catch=catch)
    assert outcomes_of(answer) == [waitkit.Failure(error, 0, 0)]


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("catch", [(), Sharp, (KeyError, Sharp), KeyError])
@pytest.mark.parametrize("limit", [1, 2, None])
async def test_what_catch_does_not_name_ends_the_call(
    name: str, catch: Any, limit: int | None
) -> None:
    """R15: any other failure is raised bare, with its note, when the rest have ended."""
    error = Broken()
    gauge = Gauge()
    inputs = {"a": fail(error, 1), "b": gauge.job("b"), "c": gauge.job("c")}
    with pytest.raises(Broken) as caught:
        await run_helper(name, inputs, catch=catch, max_concurrency=limit)
    assert caught.value is error
    assert notes(error) == [f"waitkit.{name}: raised by input 0 (key 'a')"]
    assert gauge.running == 0
    assert len(gauge.started) == (2 if limit is None else limit - 1)


@pytest.mark.parametrize("name", DATA)
async def test_a_failure_that_is_data_carries_no_note(name: str) -> None:
    """R11: an outcome names its input, so the error is left as the job raised it."""
    error = Broken()
    await run_helper(name, [fail(error, 1)])
    assert notes(error) == []


@pytest.mark.parametrize("name", [*DATA, "first_success"])
@pytest.mark.parametrize(
    "catch",
    [BaseException, KeyboardInterrupt, "Exception", None, Broken(), (Broken, int), [Broken]],
)
async def test_catch_takes_subclasses_of_exception_only(name: str, catch: Any) -> None:
    """R15, R14: what can never be data is refused at once, and nothing starts."""
    gauge = Gauge()
    with pytest.raises(TypeError, match="catch must be"):
        await run_helper(name, [gauge.job("a")], catch=catch)
    assert gauge.started == []


@pytest.mark.parametrize("name", ["as_completed_outcomes", "in_order_outcomes"])
async def test_a_stream_delivers_its_outcomes_then_the_failure(name: str) -> None:
    """R15, R9: outcomes from before the failure that ends the call come out first."""
    data, error = KeyError(), Broken()
    stream = getattr(waitkit, name)([value("a", 1), fail(data, 2), fail(error, 3)], catch=KeyError)
    async with stream:
        assert await anext(stream) == waitkit.Success("a", 0, 0)
        assert await anext(stream) == waitkit.Failure(data, 1, 1)
        with pytest.raises(Broken):
            await anext(stream)


@pytest.mark.only("direct")
async def test_partial_partitions_its_inputs_in_input_order() -> None:
    """R16: `results`, `errors` and `cancelled` have each input once, whatever finished first."""
    first, second = Broken(1), Broken(2)
    gone = outside()
    at(1, gone.cancel)
    partial = await waitkit.gather_partial(
        [value("a", 3), fail(first, 4), never(), value("b", 1), fail(second, 2), gone], timeout=5
    )
    assert list(partial.results.items()) == [(0, "a"), (3, "b")]
    assert list(partial.errors.items()) == [(1, first), (4, second)]
    assert partial.cancelled == (2, 5)
    assert partial.outcomes == (
        waitkit.Success("a", 0, 0),
        waitkit.Failure(first, 1, 1),
        waitkit.Cancelled(2, 2, "deadline", True),
        waitkit.Success("b", 3, 3),
        waitkit.Failure(second, 4, 4),
        waitkit.Cancelled(5, 5, "external", True),
    )
    assert partial.timed_out
    assert not partial.ok


async def test_partial_goes_by_key_where_there_are_keys() -> None:
    """R16: the keys of keyed inputs are those of the answer."""
    error = Broken()
    inputs = {"x": fail(error, 2), "y": value(1, 1), "z": never()}
    partial = await waitkit.gather_partial(inputs, timeout=3)
    assert partial.results == {"y": 1}
    assert partial.errors == {"x": error}
    assert partial.cancelled == ("z",)
    assert partial.outcomes[0] == waitkit.Failure(error, "x", 0)


async def test_partial_of_values_only_is_ok() -> None:
    """R16: `ok` says that every input gave a value; then there is nothing to raise."""
    partial = await waitkit.gather_partial([value("a", 1), value("b", 1)], timeout=2)
    assert partial.ok
    assert not partial.timed_out
    partial.raise_errors()
    assert (await waitkit.gather_partial([])).ok


async def test_raise_errors_raises_one_group_in_input_order() -> None:
    """R16: the group has the errors themselves; what was cancelled is no error."""
    first, second = Broken(1), Broken(2)
    partial = await waitkit.gather_partial(
        [fail(first, 2), value("a"), fail(second, 1), never()], timeout=3
    )
    for _ in range(2):
        with pytest.raises(ExceptionGroup, match="2 of 4 jobs failed") as caught:
            partial.raise_errors()
        assert caught.value.exceptions == (first, second)


async def test_cancelled_jobs_alone_raise_nothing() -> None:
    """R16: a partial whose jobs were cut off has no errors, and is not ok."""
    partial = await waitkit.gather_partial([never()], timeout=1)
    partial.raise_errors()
    assert not partial.ok


@pytest.mark.parametrize("name", DATA)
async def test_every_unfinished_job_is_cancelled_and_awaited(name: str) -> None:
    """R17: the call returns when the slowest cleanup is over."""
    inputs = [never(), refuse("late", 7), spoil(Broken(), 3)]
    answer = outcomes_of(await run_helper(name, inputs, timeout=1))
    assert [type(outcome).__name__ for outcome in answer] == ["Cancelled", "Success", "Failure"]
    assert now() == 8


@pytest.mark.parametrize("name", DATA)
async def test_inputs_of_a_list_that_never_started_are_reported(name: str) -> None:
    """R17: those still waiting for a slot at the deadline are `Cancelled` with started=False."""
    inputs = {"a": never(), "b": value(1), "c": value(2)}
    answer = await run_helper(name, inputs, timeout=1, max_concurrency=1)
    assert outcomes_of(answer) == [
        waitkit.Cancelled("a", 0, "deadline", True),
        waitkit.Cancelled("b", 1, "deadline", False),
        waitkit.Cancelled("c", 2, "deadline", False),
    ]


@pytest.mark.parametrize("name", DATA)
async def test_calls_over_a_list_that_were_never_made_are_reported(name: str) -> None:
    """R17: `call_each` over a sized input knows its items, and calls none of them for this."""
    gauge = Gauge()
    calls = waitkit.call_each(gauge.job, ["a", "b", "c"])
    answer = await run_helper(name, calls, timeout=1, max_concurrency=1)
    assert outcomes_of(answer) == [
        waitkit.Cancelled("a", 0, "deadline", True),
        waitkit.Cancelled("b", 1, "deadline", False),
        waitkit.Cancelled("c", 2, "deadline", False),
    ]
    assert gauge.started == ["a"]


@pytest.mark.parametrize("name", DATA)
async def test_what_an_iterator_still_had_is_left_in_it(name: str) -> None:
    """R17: of an iterator only what was taken is reported, and the rest can still be taken."""
    items = iter(["a", "b", "c"])
    gauge = Gauge()
    calls = waitkit.call_each(gauge.job, items)
    answer = await run_helper(name, calls, timeout=1, max_concurrency=1)
    assert outcomes_of(answer) == [waitkit.Cancelled("a", 0, "deadline", True)]
    assert list(items) == ["b", "c"]


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", DATA)
async def test_untaken_futures_at_the_deadline_are_what_they_are(name: str) -> None:
    """R17: a Future still waiting for a slot is cancelled; one that was done is what it was."""
    error = Broken()
    gone, pending = outside(), outside()
    gone.cancel()
    inputs = [never(), ready("ready"), ready(error), gone, pending]
    answer = outcomes_of(await run_helper(name, inputs, timeout=1, max_concurrency=1))
    assert answer[:3] == [
        waitkit.Cancelled(0, 0, "deadline", True),
        waitkit.Success("ready", 1, 1),
        waitkit.Failure(error, 2, 2),
    ]
    assert [outcome.reason for outcome in answer[3:]] == ["external", "deadline"]
    assert pending.cancelled()
