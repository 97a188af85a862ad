"""R13: a job that somebody else has cancelled is a failure, and never taken for the caller's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError as ThreadCancelledError
from typing import Any

import pytest

import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    Broken,
    Gauge,
    at,
    fail,
    future,
    never,
    notes,
    now,
    outside,
    run_helper,
    value,
)

# Ways to be cancelled that only asyncio has: on Trio scopes cancel, and keep that to themselves.


def cancelled_task() -> asyncio.Future[Any]:
    task = asyncio.create_task(never())
    at(1, task.cancel, "not you")
    return task


def cancelled_future() -> asyncio.Future[Any]:
    cancelled: asyncio.Future[Any] = future()
    cancelled.cancel("not you")
    return cancelled


async def raises_cancelled() -> None:
    raise asyncio.CancelledError("not you")


async def awaits_cancelled() -> None:
    await cancelled_task()


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("not you")
    await never()


LOST: list[Callable[[], Any]] = [
    cancelled_task,
    cancelled_future,
    raises_cancelled,
    awaits_cancelled,
    cancels_itself,
]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", FAIL_FAST)
@pytest.mark.parametrize("lost", LOST)
async def test_a_job_cancelled_from_elsewhere_is_a_failure(name: str, lost: Any) -> None:
    """R13: it is a `JobCancelledError` from the `CancelledError`, not the caller's cancellation."""
    gauge = Gauge()
    with pytest.raises(waitkit.JobCancelledError) as caught:
        await run_helper(name, {"a": gauge.job("a"), "b": lost()})
    error = caught.value
    assert type(error.__cause__) is asyncio.CancelledError
    assert error.__cause__.args == ("not you",)
    assert notes(error) == [f"waitkit.{name}: raised by input 1 (key 'b')"]
    caller = asyncio.current_task()
    assert caller is not None
    assert caller.cancelling() == 0
    assert gauge.running == 0


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_lost_job_at_two_places_is_one_failure(name: str) -> None:
    """R13, R4: a Task that is cancelled from elsewhere is reported once as the call's error."""
    task = cancelled_task()
    with pytest.raises(waitkit.JobCancelledError) as caught:
        await run_helper(name, [task, never(), task])
    assert notes(caught.value) == [f"waitkit.{name}: raised by input 0"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("lost", LOST)
async def test_a_lost_job_is_out_of_the_race_and_in_the_group(lost: Any) -> None:
    """R13: in `first_success` a lost job is one that did not succeed, whatever `catch` says."""
    assert await waitkit.first_success([lost(), value("a", 2)], catch=()) == "a"
    with pytest.raises(ExceptionGroup) as caught:
        await waitkit.first_success([lost(), fail(Broken(), 2)], catch=Broken)
    assert [type(error) for error in caught.value.exceptions] == [waitkit.JobCancelledError, Broken]
    assert type(caught.value.exceptions[0].__cause__) is asyncio.CancelledError


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("accepted", [Exception, ()])
async def test_a_lost_job_is_an_outcome_where_failures_are_data(
    name: str, lost: Any, accepted: Any
) -> None:
    """R13, R17: a lost job ends nothing there: it is `Cancelled`, with the reason "external"."""
    answer = await run_helper(name, [lost(), value("a", 2)], catch=accepted)
    outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    assert list(outcomes) == [
        waitkit.Cancelled(0, 0, "external", True),
        waitkit.Success("a", 1, 1),
    ]


def cancelled_outside() -> Any:
    doomed = outside()
    at(1, doomed.cancel)
    return doomed


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_future_that_its_owner_cancels_is_a_failure(name: str) -> None:
    """R13: on Trio, too, where it is a thread's."""
    gauge = Gauge()
    with pytest.raises(waitkit.JobCancelledError) as caught:
        await run_helper(name, {"a": gauge.job("a"), "b": cancelled_outside()})
    assert isinstance(caught.value.__cause__, asyncio.CancelledError | ThreadCancelledError)
    assert notes(caught.value) == [f"waitkit.{name}: raised by input 1 (key 'b')"]
    assert gauge.running == 0
    assert now() == 1


@pytest.mark.only("direct")
async def test_a_future_that_its_owner_cancels_is_out_of_the_race() -> None:
    """R13: in `first_success` it is in the group, whatever `catch` says."""
    assert await waitkit.first_success([cancelled_outside(), value("a", 2)], catch=()) == "a"
    with pytest.raises(ExceptionGroup) as caught:
        await waitkit.first_success([cancelled_outside(), fail(Broken(), 2)], catch=Broken)
    assert [type(error) for error in caught.value.exceptions] == [waitkit.JobCancelledError, Broken]


@pytest.mark.only("direct")
@pytest.mark.parametrize("name", DATA)
async def test_a_future_that_its_owner_cancels_is_an_outcome(name: str) -> None:
    """R13, R17: it is `Cancelled`, with the reason "external"."""
    answer = await run_helper(name, [cancelled_outside(), value("a", 2)], catch=())
    outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    assert list(outcomes) == [
        waitkit.Cancelled(0, 0, "external", True),
        waitkit.Success("a", 1, 1),
    ]
