"""R16: the values that tell how a job ended."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import waitkit
from jobs import Broken, fail, value

ERROR = Broken("x")
ALL: list[waitkit.Outcome[str, int]] = [
    waitkit.Success(1, "a", 0),
    waitkit.Failure(ERROR, "a", 0),
    waitkit.Cancelled("a", 0, "deadline", True),
]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (waitkit.Success(1, "a", 0), "value 1 of a, 0"),
        (waitkit.Failure(ERROR, "b", 1), "error x of b, 1"),
        (waitkit.Cancelled("c", 2, "external", False), "external of c, 2, False"),
    ],
)
def test_outcomes_match_by_place(outcome: waitkit.Outcome[str, int], told: str) -> None:
    """R16: `match` tells the three apart, and binds their fields in the order documented."""
    match outcome:
        case waitkit.Success(value, key, index):
            text = f"value {value} of {key}, {index}"
        case waitkit.Failure(error, key, index):
            text = f"error {error} of {key}, {index}"
        case waitkit.Cancelled(key, index, reason, started):
            text = f"{reason} of {key}, {index}, {started}"
    assert text == told


def test_partial_matches_by_place() -> None:
    """R16: `match` takes a partial apart into results, errors and cancelled."""
    match waitkit.Partial((waitkit.Success(1, "a", 0), ALL[1]), False):
        case waitkit.Partial(results, errors, cancelled):
            assert (results, errors, cancelled) == ({"a": 1}, {"a": ERROR}, ())


def test_outcomes_are_equal_by_their_fields() -> None:
    """R16: equal fields, equal outcomes; another class or field is another outcome."""
    same: list[Any] = [
        waitkit.Success(1, "a", 0),
        waitkit.Failure(ERROR, "a", 0),
        waitkit.Cancelled("a", 0, "deadline", True),
    ]
    other: list[Any] = [
        waitkit.Success(2, "a", 0),
        waitkit.Success(1, "b", 0),
        waitkit.Success(1, "a", 1),
        waitkit.Failure(Broken("x"), "a", 0),
        waitkit.Cancelled("a", 0, "external", True),
        waitkit.Cancelled("a", 0, "deadline", False),
        (1, "a", 0),
        None,
    ]
    assert same == ALL
    assert [hash(outcome) for outcome in same] == [hash(outcome) for outcome in ALL]
    assert len({*same, *ALL}) == 3
    for outcome in ALL:
        assert all(outcome != another for another in other)


def test_an_outcome_of_an_unhashable_value_has_no_hash() -> None:
    """R16: as with a tuple, the hash needs that of the fields; equality does not."""
    outcome: waitkit.Success[int, list[int]] = waitkit.Success([], 0, 0)
    assert outcome == waitkit.Success([], 0, 0)
    with pytest.raises(TypeError):
        hash(outcome)


def test_outcomes_show_their_fields() -> None:
    """R16: a repr reads like the call that makes the value."""
    assert [repr(outcome) for outcome in ALL] == [
        "Success(value=1, key='a', index=0)",
        "Failure(error=Broken('x'), key='a', index=0)",
        "Cancelled(key='a', index=0, reason='deadline', started=True)",
    ]
    assert repr(waitkit.Partial(tuple(ALL[:1]), True)) == (
        "Partial(results={'a': 1}, errors={}, cancelled=(), timed_out=True)"
    )


def test_unwrap_returns_or_raises() -> None:
    """R16: the value of a success, the very error of a failure, and an error by the reason."""
    assert waitkit.Success(1, "a", 0).unwrap() == 1
    with pytest.raises(Broken) as caught:
        waitkit.Failure(ERROR, "a", 0).unwrap()
    assert caught.value is ERROR
    with pytest.raises(waitkit.DeadlineError, match="input 3"):
        waitkit.Cancelled("a", 3, "deadline", True).unwrap()
    with pytest.raises(waitkit.JobCancelledError, match="input 3"):
        waitkit.Cancelled("a", 3, "external", True).unwrap()


@pytest.mark.parametrize("outcome", [*ALL, waitkit.Partial(tuple(ALL), False)])
def test_outcomes_take_no_further_attributes(outcome: Any) -> None:
    """R16: they are small: slots, and no dict."""
    with pytest.raises(AttributeError):
        outcome.extra = 1
    assert not hasattr(outcome, "__dict__")


@pytest.mark.parametrize("outcome", ALL[::2])
def test_outcomes_survive_pickling(outcome: waitkit.Outcome[str, int]) -> None:
    """R16: plain values can be sent elsewhere."""
    assert pickle.loads(pickle.dumps(outcome)) == outcome


async def test_unkeyed_outcomes_have_their_index_as_key() -> None:
    """R16: without keys, the key is the index."""
    partial = await waitkit.gather_partial([value("a", 1), fail(ERROR)])
    assert [(outcome.key, outcome.index) for outcome in partial.outcomes] == [(0, 0), (1, 1)]


@pytest.mark.parametrize("name", sorted(set(waitkit.__all__) - {"Outcome"}))
def test_public_names_say_where_they_are_imported_from(name: str) -> None:
    """R16: tracebacks and reprs show what users import."""
    assert getattr(waitkit, name).__module__ == "waitkit"


def test_the_deadline_error_is_a_timeout_error() -> None:
    """R20: `except TimeoutError` takes it; a lost job is no `CancelledError`."""
    assert issubclass(waitkit.DeadlineError, TimeoutError)
    assert waitkit.JobCancelledError.__bases__ == (Exception,)
