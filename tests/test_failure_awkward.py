"""R10, R12: failures in great number, and exceptions that will not be handled like others."""

from __future__ import annotations

from typing import NoReturn

import anyio
import pytest

import waitkit
from jobs import (
    FAIL_FAST,
    Broken,
    at,
    fail,
    future,
    logged,
    never,
    notes,
    resolve,
    run_helper,
    spoil,
    unshuffled,
)


@pytest.mark.only("once")
@pytest.mark.parametrize("name", ["first_error", "as_completed_results"])
async def test_ten_thousand_failures_in_one_tick(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: at a cost that does not square, each is noted and logged."""
    waiting = [future() for _ in range(10_000)]
    errors = [Broken(index) for index in range(10_000)]
    at(1, resolve, *zip(waiting, errors, strict=True))
    with pytest.raises(Broken) as caught:
        await run_helper(name, waiting)
    assert len(notes(caught.value)) == 10_000
    told = [caught.value, *logged(caplog)]
    assert unshuffled(told, key=lambda error: error.args) == errors


@pytest.mark.only("once")
async def test_ten_thousand_failures_in_one_tick_as_data() -> None:
    """R15, R16: where failures are data, each is one, in input order."""
    waiting = [future() for _ in range(10_000)]
    errors = [Broken(index) for index in range(10_000)]
    at(1, resolve, *reversed(list(zip(waiting, errors, strict=True))))
    partial = await waitkit.gather_partial(waiting)
    assert list(partial.errors.values()) == errors


@pytest.mark.only("once")
async def test_ten_thousand_failures_in_one_tick_lose_a_race() -> None:
    """R18: the group of a race holds them all, in input order."""
    waiting = [future() for _ in range(10_000)]
    errors = [Broken(index) for index in range(10_000)]
    at(1, resolve, *reversed(list(zip(waiting, errors, strict=True))))
    with pytest.raises(ExceptionGroup) as caught:
        await waitkit.first_success(waiting)
    assert list(caught.value.exceptions) == errors


class Scanned(list[str]):
    """Notes that count how many of them were read."""

    read = 0

    def __contains__(self, note: object) -> bool:
        self.read += len(self)
        return super().__contains__(note)


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_further_failure_does_not_read_the_notes_of_all_before(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: telling of the thousandth failure costs no more than telling of the second."""
    waiting = [future() for _ in range(1000)]
    errors = [Broken(index) for index in range(1000)]
    for error in errors:
        error.__notes__ = Scanned()
    at(1, resolve, *zip(waiting, errors, strict=True))
    with pytest.raises(Broken) as caught:
        await run_helper(name, waiting)
    scanned = caught.value.__notes__
    assert isinstance(scanned, Scanned)
    assert len(scanned) == 1000
    assert scanned.read <= 10 * 1000


class NoNotes(Broken):
    def add_note(self, note: str) -> NoReturn:
        raise TypeError("no notes here")


class Frozen(Broken):
    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("frozen")


class Falsy(Broken):
    def __len__(self) -> int:
        return 0


class Unhashable(Broken):
    __hash__ = None  # type: ignore[assignment]  # as a dataclass with eq has it

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")


class Mute(Broken):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


class OddNotes(Broken):
    def __init__(self) -> None:
        self.__notes__ = 3  # type: ignore[assignment]  # which tracebacks put up with


AWKWARD = [NoNotes, Frozen, Falsy, Unhashable, Mute, OddNotes]


@pytest.mark.parametrize("name", FAIL_FAST)
@pytest.mark.parametrize("kind", AWKWARD)
async def test_awkward_exceptions_come_out_all_the_same(
    name: str, kind: type[Broken], caplog: pytest.LogCaptureFixture
) -> None:
    """R10, R12: an exception that takes no note, or no attribute, is raised and logged as is."""
    first, late = kind(), kind()
    with pytest.raises(Broken) as caught:
        await run_helper(name, {"a": spoil(late, 1), "b": fail(first, 1)})
    assert caught.value is first
    errors = logged(caplog)
    assert len(errors) == 1
    assert errors[0] is late


@pytest.mark.parametrize("kind", AWKWARD)
async def test_awkward_exceptions_are_data_like_others(kind: type[Broken]) -> None:
    """R15: what cannot be noted, compared or shown can still be collected."""
    error = kind()
    partial = await waitkit.gather_partial([fail(error, 1)])
    assert partial.errors[0] is error
    with pytest.raises(ExceptionGroup) as caught:
        await waitkit.first_success([fail(error)])
    assert caught.value.exceptions[0] is error


@pytest.mark.parametrize("kind", AWKWARD)
async def test_the_error_of_the_body_comes_out_whatever_it_is(
    kind: type[Broken], caplog: pytest.LogCaptureFixture
) -> None:
    """R12: a failure that is left behind never replaces what the body raised."""
    error, raised = Broken(), kind()

    async def body() -> None:
        async with waitkit.as_completed_results([fail(error, 1), never()]):
            await anyio.sleep(5)
            raise raised

    with pytest.raises(Broken) as caught:
        await body()
    assert caught.value is raised
    assert logged(caplog) == [error]
