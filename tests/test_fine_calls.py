"""What a call says, to the letter: of bad arguments, of failures, and on the logger.

No test had looked at these words until mutants of the source survived them all (see `mutation.py`).
"""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import pytest

import waitkit
from jobs import Broken, fail, never, now, refuse, run_helper, value


@pytest.mark.only("once")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buffersize": 2}, "buffersize needs max_concurrency"),
        (
            {"max_concurrency": 3, "buffersize": 2},
            "buffersize (2) must not be below max_concurrency (3): slots would never be filled",
        ),
        (
            {"max_concurrency": 2.5},
            "max_concurrency must be an int of 1 or more, or None, not a float",
        ),
        ({"max_concurrency": -1}, "max_concurrency must be 1 or more, not -1"),
        ({"timeout": "1"}, "timeout must be a number of seconds, not a str"),
        (
            {"catch": (KeyError, 5)},
            "catch must be a subclass of Exception or a tuple of them, not 5; () collects none",
        ),
        ({"dispose": 1}, "dispose must be a function of one value, not an int"),
    ],
)
async def test_bad_arguments_are_told_in_full(options: dict[str, Any], message: str) -> None:
    """R32: what is wrong, by the name of the argument, and what to pass."""
    with pytest.raises((TypeError, ValueError)) as caught:
        waitkit.as_completed_outcomes([value("a")], **options)
    assert str(caught.value) == message


@pytest.mark.only("once")
async def test_iterator_beside_other_arguments_is_left_alone() -> None:
    """R27, R32: a generator is no coroutine, also where asyncio takes it for one."""
    numbers = (number for number in range(3))
    given: Any = numbers
    with pytest.raises(TypeError, match="takes one iterable"):
        await waitkit.first_error(given, value("b"))  # type: ignore[call-overload]
    assert list(numbers) == [0, 1, 2]


@pytest.mark.only("once")
async def test_groups_tell_how_many_have_failed() -> None:
    """R18, R20: the group of a race that nobody won, and the one that a deadline has as cause."""
    with pytest.raises(ExceptionGroup) as caught:
        await waitkit.first_success([fail(Broken()), fail(Broken(), 1)])
    assert caught.value.message == "no job succeeded, of 2"
    with pytest.raises(waitkit.DeadlineError) as late:
        await waitkit.first_success([fail(Broken()), never()], timeout=1)
    assert isinstance(late.value.__cause__, ExceptionGroup)
    assert late.value.__cause__.message == "failures before the deadline: 1"


@pytest.mark.parametrize("length", [200, 201])
async def test_long_key_is_cut_short(length: int) -> None:
    """R11: of what is longer than 200 characters a note has the first 197, and dots."""
    key = "k" * (length - 2)  # and two quotes
    shown = repr(key) if length == 200 else f"'{'k' * 196}..."
    with pytest.raises(Broken) as caught:
        await waitkit.first_error({key: fail(Broken())})
    assert caught.value.__notes__ == [f"waitkit.first_error: raised by input 0 (key {shown})"]


class Closed(Broken):
    """An exception that takes no note, and does not even tell of those it has."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__notes__":
            raise RuntimeError("no notes here")
        return super().__getattribute__(name)

    def add_note(self, note: str) -> NoReturn:
        raise TypeError("no notes here")


async def test_note_that_an_exception_refuses_is_on_the_logger(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """R11: at the level of debugging, with the type of the exception and the note."""
    caplog.set_level(logging.DEBUG, "waitkit")
    error = Closed()
    with pytest.raises(Closed) as caught:
        await waitkit.first_error({"a": fail(error)})
    assert caught.value is error
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.getMessage() == (
        "could not add a note to Closed: waitkit.first_error: raised by input 0 (key 'a')"
    )


def one_record(caplog: pytest.LogCaptureFixture) -> tuple[str, Any]:
    """The text of the only record there is, and its error, of which all three parts are there."""
    (record,) = caplog.records
    assert record.name == "waitkit"
    assert record.exc_info is not None
    kind, error, trace = record.exc_info
    assert error is not None
    assert kind is type(error)
    assert trace is error.__traceback__
    return record.getMessage(), error


@pytest.mark.only("direct")
async def test_failure_that_was_never_raised_is_logged_in_full(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """R12: by the helper's name."""
    error = Broken()
    async with waitkit.as_completed_results([value("a"), fail(error, 1), never()]) as stream:
        await anext(stream)
        await value(None, 2)
    assert one_record(caplog) == (
        "waitkit.as_completed_results: left with a failure that was never raised",
        error,
    )


@pytest.mark.only("direct")
async def test_dispose_that_fails_is_logged_in_full(caplog: pytest.LogCaptureFixture) -> None:
    """R29: by the helper's name, and the race has its winner."""
    error = Broken()

    def dispose(_: object) -> NoReturn:
        raise error

    race = [value("a", 1), refuse("b")]
    assert await run_helper("first_completed", race, dispose=dispose) == "a"
    assert one_record(caplog) == ("waitkit.first_completed: dispose failed", error)


@pytest.mark.only("direct")
async def test_job_that_refuses_to_end_is_logged_in_full(caplog: pytest.LogCaptureFixture) -> None:
    """R22: by the helper's name, the input, the seconds, and what the job is."""
    assert await waitkit.first_completed({"a": value("a", 1), "b": refuse("b", 20)}) == ("a", "a")
    assert now() == 21
    (record,) = caplog.records
    said, _, job = record.getMessage().partition(": <")
    assert said == (
        "waitkit.first_completed: input 1 (key 'b') has not ended 10 seconds after it was cancelled"
    )
    assert "refuse" in job
