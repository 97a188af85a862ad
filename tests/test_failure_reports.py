"""R11, R12: a failure says which input it came from, and no further failure is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    OUTCOME_STREAMS,
    RESULT_STREAMS,
    STREAMS,
    Broken,
    at,
    collect,
    fail,
    failed,
    future,
    logged,
    never,
    notes,
    outside,
    resolve,
    run_helper,
    spoil,
    value,
)


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_failure_names_its_input_by_index(name: str) -> None:
    """R11: the note on the failure names the helper and the index of the input."""
    with pytest.raises(Broken) as caught:
        await run_helper(name, [never(), never(), fail(Broken(), 1)])
    assert notes(caught.value) == [f"waitkit.{name}: raised by input 2"]


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_failure_names_its_input_by_key(name: str) -> None:
    """R11: where there is a key, the note names it too."""
    with pytest.raises(Broken) as caught:
        await run_helper(name, {"a": never(), "b": fail(Broken(), 1)})
    assert notes(caught.value) == [f"waitkit.{name}: raised by input 1 (key 'b')"]


@pytest.mark.parametrize("name", [*FAIL_FAST, *DATA, "first_success"])
async def test_calls_per_item_are_named_by_item(name: str) -> None:
    """R11: the key of a call of `call_each` is its item."""
    options = {} if name in FAIL_FAST else {"catch": ()}
    calls = waitkit.call_each(lambda item: fail(Broken(item), ord(item)), ["x", "y"])
    with pytest.raises(Broken) as caught:
        await run_helper(name, calls, **options)
    assert notes(caught.value)[0] == f"waitkit.{name}: raised by input 0 (key 'x')"


async def test_a_key_without_a_repr_does_not_hide_the_failure() -> None:
    """R11: naming an input never fails, whatever its key is."""

    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(Broken) as caught:
        await waitkit.first_error({Mute(): fail(Broken())})
    assert notes(caught.value)[0].startswith("waitkit.first_error: raised by input 0 (key ")


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_note_is_never_there_twice(name: str) -> None:
    """R11: one failed Future in call after call carries the same note once."""
    shared = failed(Broken())
    for _ in range(3):
        with pytest.raises(Broken) as caught:
            await run_helper(name, [shared])
    assert notes(caught.value) == [f"waitkit.{name}: raised by input 0"]


async def test_nested_calls_each_add_their_note() -> None:
    """R11: through three helpers the same object comes out, with a note from each."""
    error = Broken()

    async def inner() -> Any:
        return await waitkit.first_error([never(), never(), fail(error, 1)])

    async def middle() -> Any:
        await collect(waitkit.as_completed_results({"m": inner(), "n": never()}), [])

    with pytest.raises(Broken) as caught:
        await waitkit.first_completed((never(), middle()))
    assert caught.value is error
    assert notes(error) == [
        "waitkit.first_error: raised by input 2",
        "waitkit.as_completed_results: raised by input 0 (key 'm')",
        "waitkit.first_completed: raised by input 1",
    ]
    if not virtual_time.on_trio():
        caller = asyncio.current_task()
        assert caller is not None
        assert caller.cancelling() == 0


async def test_nested_calls_lose_no_further_failure(caplog: pytest.LogCaptureFixture) -> None:
    """R12: what fails while three helpers are being taken down is noted and logged once."""
    error, late = Broken("first"), Broken("late")

    async def inner() -> Any:
        return await waitkit.first_error([spoil(late, 1)])

    async def middle() -> Any:
        return await waitkit.first_error([never(), inner()])

    with pytest.raises(Broken) as caught:
        await waitkit.first_error([middle(), fail(error, 1)])
    assert caught.value is error
    assert notes(error) == ["waitkit.first_error: raised by input 1"]
    # The innermost was cancelled by its caller, and so raises that and logs the failure (R23).
    assert logged(caplog) == [late]


@pytest.mark.only("direct")
async def test_a_lost_job_of_a_nested_call_stays_an_exception() -> None:
    """R13: the `JobCancelledError` of an inner call is an ordinary failure of the outer one."""

    async def inner() -> Any:
        doomed = outside()
        at(1, doomed.cancel)
        return await waitkit.first_error([doomed])

    partial = await waitkit.gather_partial([inner(), value("x", 2)])
    assert partial.results == {1: "x"}
    assert type(partial.errors[0]) is waitkit.JobCancelledError
    with pytest.raises(waitkit.JobCancelledError):
        await waitkit.gather_partial([inner(), value("x", 2)], catch=Broken)


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_failure_in_cleanup_is_noted_and_logged(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: a job that raises while being cancelled never replaces the first failure."""
    first, late, later = Broken("first"), KeyError("late"), ZeroDivisionError("later")
    with pytest.raises(Broken) as caught:
        await run_helper(name, {"a": spoil(later, 2), "b": fail(first, 1), "c": spoil(late, 1)})
    assert caught.value is first
    assert notes(first) == [
        f"waitkit.{name}: raised by input 1 (key 'b')",
        f"waitkit.{name}: then input 2 (key 'c') failed too: KeyError('late')",
        f"waitkit.{name}: then input 0 (key 'a') failed too: ZeroDivisionError('later')",
    ]
    assert logged(caplog) == [late, later]
    assert not notes(late)


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_second_failure_of_the_tick_is_noted_and_logged(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: so is one that failed in the tick of the first, and not by being cancelled."""
    errors = [KeyError("a"), Broken("b")]
    waiting = [future(), future()]
    at(1, resolve, (waiting[1], errors[1]), (waiting[0], errors[0]))
    with pytest.raises((KeyError, Broken)) as caught:
        await run_helper(name, waiting)
    first = errors.index(caught.value)
    if not virtual_time.on_trio():  # where it may be the other one (R52)
        assert first == 1
    second = 1 - first
    assert notes(caught.value) == [
        f"waitkit.{name}: raised by input {first}",
        f"waitkit.{name}: then input {second} failed too: {errors[second]!r}",
    ]
    assert logged(caplog) == [errors[second]]


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_eager_failures_before_any_await_are_not_lost(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: jobs that fail in their first step, before their siblings start, are all told of."""
    errors: list[Broken] = []

    async def job(index: int) -> None:
        errors.append(Broken(index))
        raise errors[-1]

    with pytest.raises(Broken) as caught:
        await run_helper(name, [job(index) for index in range(3)])
    if not virtual_time.in_block():  # where the first failure keeps the others from starting
        assert [error.args for error in errors] == [(0,), (1,), (2,)]
    assert caught.value is errors[0]
    assert logged(caplog) == errors[1:]
    assert len(notes(errors[0])) == len(errors)


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_the_same_exception_from_two_jobs_is_told_once(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R11, R12: one object raised by two jobs is no further failure of itself."""
    error = Broken()
    with pytest.raises(Broken) as caught:
        await run_helper(name, [fail(error, 1), fail(error, 1), spoil(error, 1)])
    assert caught.value is error
    assert len(notes(error)) == 1
    assert logged(caplog) == []


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_further_failures_that_are_no_exceptions_are_told(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: a `BaseException` raised in cleanup neither replaces the first failure nor is lost."""

    class Abort(BaseException):
        pass

    first, late = Broken(), Abort()
    with pytest.raises(Broken) as caught:
        await run_helper(name, [spoil(late, 1), fail(first, 1)])
    assert caught.value is first
    assert logged(caplog) == [late]
    assert len(notes(first)) == 2


def leave(stream: waitkit.ResultStream[Any], way: str) -> Coroutine[Any, Any, None]:
    """Leave a stream in some way before a failure of second 1 was delivered."""

    async def by_block() -> None:
        async with stream:
            await anyio.sleep(5)

    async def by_body() -> None:
        async with stream:
            await anyio.sleep(5)
            raise ZeroDivisionError

    async def by_aclose() -> None:
        async with stream:
            await bare()

    async def bare() -> None:
        await anext(stream)
        await anyio.sleep(5)
        await stream.aclose()

    return {"block": by_block, "body": by_body, "aclose": by_aclose, "bare": bare}[way]()


@pytest.mark.parametrize("name", RESULT_STREAMS)
@pytest.mark.parametrize("way", ["block", "body", "aclose"])
async def test_a_failure_never_raised_is_logged(
    name: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: a failure whose stream was left before it could be raised goes to the logger."""
    error = Broken()
    stream = getattr(waitkit, name)([value("a"), fail(error, 1), never()])
    try:
        await leave(stream, way)
    except ZeroDivisionError:
        assert way == "body"
    assert logged(caplog) == [error]
    assert notes(error) == [f"waitkit.{name}: raised by input 1"]


@pytest.mark.parametrize("name", OUTCOME_STREAMS)
@pytest.mark.parametrize("way", ["block", "body", "aclose"])
async def test_an_undelivered_failure_that_is_data_is_dropped(
    name: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: an outcome that nobody looked at is no error."""
    stream = getattr(waitkit, name)([value("a"), fail(Broken(), 1), never()])
    try:
        await leave(stream, way)
    except ZeroDivisionError:
        assert way == "body"
    assert logged(caplog) == []


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("way", ["block", "body", "aclose"])
async def test_an_undelivered_deadline_is_dropped(
    name: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: a deadline that nobody looked at is no error either."""
    stream = getattr(waitkit, name)([value("a"), never()], timeout=1)
    try:
        await leave(stream, way)
    except ZeroDivisionError:
        assert way == "body"
    assert logged(caplog) == []


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", STREAMS)
async def test_what_a_stream_without_a_block_is_left_with_is_told_in_the_same_way(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: a failure is logged, if it is one, and a deadline is not."""
    if name in RESULT_STREAMS:
        await test_a_failure_never_raised_is_logged(name, "bare", caplog)
        caplog.clear()
    else:
        await test_an_undelivered_failure_that_is_data_is_dropped(name, "bare", caplog)
    await test_an_undelivered_deadline_is_dropped(name, "bare", caplog)


@pytest.mark.parametrize("name", ["first_completed", "first_success"])
async def test_a_loser_that_fails_is_logged(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """R12: what a loser raises while it is being cancelled is logged, and the winner wins."""
    late = Broken()
    assert await run_helper(name, [value("won", 1), spoil(late, 1)]) == "won"
    assert logged(caplog) == [late]


@pytest.mark.parametrize("name", STREAMS)
async def test_a_failure_in_the_cleanup_of_a_closed_stream_is_logged(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: a job that raises because its stream was left has nobody else to tell."""
    late = Broken()
    async with getattr(waitkit, name)([value("a"), spoil(late, 1)]) as stream:
        await anext(stream)
    assert logged(caplog) == [late]


@pytest.mark.parametrize("name", [*FAIL_FAST, "first_success"])
async def test_a_failure_in_cleanup_at_the_deadline_is_noted_and_logged(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R20: at a deadline that is raised, what fails in cleanup is one more note on it."""
    late = Broken("late")
    with pytest.raises(waitkit.DeadlineError) as caught:
        await run_helper(name, [spoil(late, 1), never()], timeout=1)
    assert notes(caught.value) == [f"waitkit.{name}: then input 0 failed too: Broken('late')"]
    assert logged(caplog) == [late]
