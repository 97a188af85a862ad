"""R10, R12, R15, R29: awaitables, results, errors and keys that misbehave wherever they can."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, NoReturn

import anyio
import pytest

import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    LIMITED,
    RACES,
    STREAMS,
    Broken,
    Gauge,
    cancelled_error,
    clean_up,
    fail,
    logged,
    never,
    now,
    refuse,
    run_helper,
    settle,
    spoil,
    value,
)

# --- awaitables


class RaisesAtOnce:
    """`__await__` itself raises."""

    def __await__(self) -> NoReturn:
        raise Broken


class RaisesInItsSteps:
    """It has waited three times by then."""

    def __await__(self) -> Generator[Any, Any, None]:
        for _ in range(3):
            yield from anyio.sleep(0.1).__await__()
        raise Broken


class IsNoIterator:
    """`__await__` returns what no iterator is, which is a TypeError of Python's."""

    def __await__(self) -> Any:
        return 42


class YieldsNonsense:
    """It gives the event loop what that cannot wait for."""

    def __await__(self) -> Iterator[Any]:
        yield 42


class HasNoThrow:
    """Its iterator is no generator."""

    def __await__(self) -> Any:
        return map(self._fail, [1])

    def _fail(self, _: int) -> NoReturn:
        raise Broken


FAULTY = [RaisesAtOnce, RaisesInItsSteps, IsNoIterator, YieldsNonsense, HasNoThrow]
ERRORS = (Broken, TypeError, RuntimeError)  # the last two are Python's and the event loop's


def by_call(aw: Any) -> Any:
    return waitkit.call_each(lambda _: aw, [0])


WAYS: dict[str, Callable[[Any], Any]] = {
    "list": lambda aw: [aw],
    "tuple": lambda aw: (aw,),
    "iterator": lambda aw: iter([aw]),
    "mapping": lambda aw: {"key": aw},
    "call_each": by_call,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", FAULTY)
@pytest.mark.parametrize("helper", HELPERS)
async def test_awaitable_that_fails_is_a_failure_like_any_other(
    helper: str, kind: Callable[[], Any], way: str
) -> None:
    """R10, R15, R18: raised bare, kept as data, or in the group, wherever the input stands."""
    aws = WAYS[way](kind())
    if helper in DATA:
        answer = await run_helper(helper, aws)
        (failure,) = answer if isinstance(answer, list) else answer.outcomes
        assert isinstance(failure, waitkit.Failure)
        assert isinstance(failure.error, ERRORS)
    elif helper == "first_success":
        with pytest.raises(ExceptionGroup) as group:
            await run_helper(helper, aws)
        assert isinstance(group.value.exceptions[0], ERRORS)
    else:
        with pytest.raises(ERRORS):
            await run_helper(helper, aws)


@pytest.mark.parametrize("kind", FAULTY)
@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_awaitable_that_fails_ends_the_others(helper: str, kind: Callable[[], Any]) -> None:
    """R10, R22: those before it and those behind it; nothing of it is left."""
    gauge = Gauge()
    with pytest.raises(ERRORS):
        await run_helper(helper, [gauge.job("a"), kind(), gauge.job("b")])
    assert gauge.running == 0
    assert now() < 1


class RaisesWhenCancelled:
    """It never ends by itself, and answers its cancellation by an error."""

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield from never().__await__()
        except cancelled_error():
            raise Broken("when cancelled") from None


class RefusesToBeCancelled:
    """It never ends by itself, and answers its cancellation by a value, later."""

    def __await__(self) -> Generator[Any, Any, str]:
        try:
            yield from never().__await__()
        except cancelled_error():
            yield from clean_up(2).__await__()
        return "in spite of it"


@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_awaitable_that_fails_when_it_is_cancelled(
    helper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R29: its error is logged and noted, its value disposed of; the first failure comes."""
    disposed: list[str] = []
    first = ValueError("first")
    aws = [RaisesWhenCancelled(), fail(first, 1), RefusesToBeCancelled()]
    with pytest.raises(ValueError, match="first") as caught:
        await run_helper(helper, aws, dispose=disposed.append)
    assert caught.value is first
    assert [str(error) for error in logged(caplog)] == ["when cancelled"]
    assert disposed == ["in spite of it"]
    assert now() == 3


class Opaque:
    """It can be awaited, and nothing else."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __await__(self) -> Generator[Any, Any, None]:
        return anyio.sleep(self._seconds).__await__()

    def _refuse(self, *_: object) -> NoReturn:
        raise RuntimeError("not that")

    __hash__ = __eq__ = __repr__ = __bool__ = __len__ = _refuse


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("helper", [name for name in LIMITED if name != "first_success"])
async def test_awaitable_that_can_only_be_awaited(helper: str, limit: int | None) -> None:
    """R1, R17, R27: it is neither hashed, compared nor printed, nor asked for its truth.

    Of those that a deadline finds unstarted, the coroutines are closed.
    """
    aws = [Opaque(1), Opaque(9), Opaque(9), value("never started" if limit else "started")]
    if helper in DATA:
        answer = await run_helper(helper, aws, max_concurrency=limit, timeout=5)
        outcomes = answer if isinstance(answer, list) else answer.outcomes
        cut_off = [each for each in outcomes if isinstance(each, waitkit.Cancelled)]
        assert len(outcomes) == 4
        assert len(cut_off) == (3 if limit else 2)
    else:
        with pytest.raises(waitkit.DeadlineError):
            await run_helper(helper, aws, max_concurrency=limit, timeout=5)
    assert now() == 5


# --- dispose


class Hostile:
    """What `dispose` may return: it can be awaited, and that raises."""

    def __await__(self) -> NoReturn:
        raise OSError("cannot close")


def raises(_: object) -> NoReturn:
    raise OSError("cannot close")


async def raises_later(_: object) -> None:
    await anyio.sleep(1)
    raise OSError("cannot close")


def is_hostile(_: object) -> Hostile:
    return Hostile()


@pytest.mark.parametrize("dispose", [raises, raises_later, is_hostile])
@pytest.mark.parametrize("helper", STREAMS)
async def test_dispose_that_fails_when_a_stream_is_left(
    helper: str, dispose: Callable[[object], object], caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R29: of three values each is disposed of and each error logged; nothing is raised."""
    jobs = [value("a", 1), refuse("b", 1), refuse("c", 1)]
    async with getattr(waitkit, helper)(jobs, dispose=dispose):
        await anyio.sleep(2)
    assert [str(error) for error in logged(caplog)] == ["cannot close"] * 3


@pytest.mark.parametrize("dispose", [raises, raises_later, is_hostile])
@pytest.mark.parametrize("helper", RACES)
async def test_dispose_that_fails_does_not_cost_the_winner(
    helper: str, dispose: Callable[[object], object], caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R29: the race has its answer."""
    assert await run_helper(helper, [refuse("late"), value("won", 1)], dispose=dispose) == "won"
    assert [str(error) for error in logged(caplog)] == ["cannot close"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", [*RACES, *FAIL_FAST[:-1]])
async def test_dispose_whose_task_is_cancelled(
    helper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R13, R29: as a shutdown does that cancels all tasks: it is logged, and the next is disposed.

    The caller is told of its own cancellation alone, if it had one.
    """
    disposed: list[str] = []

    async def dispose(given: str) -> None:
        if not disposed:
            disposed.append(given)
            await never()
        disposed.append(given)

    async def call() -> object:
        last = value("won", 1) if helper in RACES else fail(Broken(), 1)
        return await run_helper(helper, [refuse("a"), refuse("b"), last], dispose=dispose)

    caller = asyncio.create_task(call())
    await asyncio.sleep(2)
    (disposing,) = asyncio.all_tasks() - {asyncio.current_task(), caller}
    disposing.cancel()
    await asyncio.wait([caller])
    assert disposed[0] in disposed
    assert not caller.cancelled()
    if helper in RACES:
        assert caller.result() == "won"
    else:
        assert isinstance(caller.exception(), Broken)


# --- errors


class NoAttributes(Broken):
    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("frozen")

    def add_note(self, note: str) -> NoReturn:
        raise AttributeError("frozen")


class NotesThatRaise(Broken):
    @property
    def __notes__(self) -> NoReturn:  # type: ignore[override]  # that is the fault
        raise RuntimeError("no notes")


class NoTraceback(Broken):
    def with_traceback(self, trace: object) -> NoReturn:
        raise RuntimeError("no traceback")


class StubbornGroup(ExceptionGroup[Exception]):
    """A group that cannot be taken apart."""

    def split(self, *_: object) -> NoReturn:
        raise RuntimeError("no split")

    def subgroup(self, *_: object) -> NoReturn:
        raise RuntimeError("no subgroup")

    def derive(self, *_: object) -> NoReturn:
        raise RuntimeError("no derive")


def stubborn() -> Exception:
    return StubbornGroup("a group", [Broken()])


AWKWARD: list[Callable[[], Exception]] = [
    NoAttributes,
    NotesThatRaise,
    NoTraceback,
    stubborn,
]


@pytest.mark.parametrize("make", AWKWARD)
@pytest.mark.parametrize("helper", HELPERS)
async def test_awkward_error_of_a_job(helper: str, make: Callable[[], Exception]) -> None:
    """R10, R15, R18: it comes out as it is, or is data, or is in the group; the others end."""
    error, gauge = make(), Gauge()
    aws = {"bad": fail(error, 1), "other": gauge.job("other", 5)}
    if helper in FAIL_FAST:
        with pytest.raises(type(error)) as caught:
            await run_helper(helper, aws)
        assert caught.value is error
    else:
        answer = await run_helper(helper, aws)
        if helper in DATA:
            outcomes = answer if isinstance(answer, list) else answer.outcomes
            assert [each.error for each in outcomes if isinstance(each, waitkit.Failure)] == [error]
        else:
            assert answer == ("other", "other")
    assert gauge.running == 0


@pytest.mark.parametrize("make", AWKWARD)
@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_awkward_error_behind_another(
    helper: str, make: Callable[[], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """R12: an error of a job that is being cancelled hides nothing, and is logged."""
    first, late = Broken(), make()
    with caplog.at_level(logging.WARNING), pytest.raises(Broken) as caught:
        await run_helper(helper, {"late": spoil(late, 1), "first": fail(first, 1)})
    assert caught.value is first
    records = [record for record in caplog.records if record.name == "waitkit"]
    assert len(records) == 1
    assert records[0].exc_info is not None
    assert records[0].exc_info[1] is late


class Refusing(logging.Handler):
    def emit(self, record: logging.LogRecord) -> NoReturn:
        raise OSError("disk full")


@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_log_handler_that_raises(
    helper: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """R12, R22: it is told of on stderr, as logging does; the failure comes, when all has ended."""
    monkeypatch.setattr(logging.getLogger("waitkit"), "handlers", [Refusing()])
    first, gauge = ValueError("first"), Gauge()
    aws = [spoil(Broken(), 20), fail(first, 1), gauge.job("other")]
    with pytest.raises(ValueError, match="first") as caught:
        await run_helper(helper, aws)
    assert caught.value is first
    assert gauge.running == 0
    assert now() == 21
    assert capsys.readouterr().err.count("OSError: disk full") == 2  # for R22, and for R12


# --- keys


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class OddRepr:
    def __repr__(self) -> Any:
        return 3


class NoHash:
    def __hash__(self) -> int:
        raise RuntimeError("no hash")


class Equal:
    """Equal to everything, and with the same hash."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize("kind", [NoRepr, OddRepr, NoHash, Equal])
@pytest.mark.parametrize("helper", [*STREAMS, *RACES])
async def test_keys_are_only_handed_on(helper: str, kind: Callable[[], Any]) -> None:
    """R32: streams and races neither hash, compare nor print a key; it comes back as it was."""
    keys = [kind(), kind()]
    pairs = [(keys[0], value("a", 1)), (keys[1], value("b", 2))]
    answer = await run_helper(helper, waitkit.keyed(pairs))
    found = [answer] if helper in RACES else answer
    for item, key in zip(found, keys, strict=False):
        assert (item.key if isinstance(item, waitkit.Success) else item[0]) is key


@pytest.mark.parametrize("kind", [NoRepr, OddRepr, NoHash, Equal])
@pytest.mark.parametrize("helper", [*FAIL_FAST, "first_success"])
async def test_failure_is_told_whatever_its_key_is(
    helper: str, kind: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """R11, R12: by a note and on the logger, and what cannot be shown is shown by its type."""
    late, first = Broken("late"), ValueError("first")
    pairs = [(kind(), spoil(late)), ("key", fail(first, 1))]
    options = {"catch": ()} if helper == "first_success" else {}
    if kind is NoHash and helper == "first_error":
        with pytest.raises(RuntimeError, match="no hash"):
            await run_helper(helper, waitkit.keyed(pairs))
        return
    with pytest.raises(ValueError, match="first") as caught:
        await run_helper(helper, waitkit.keyed(pairs), **options)
    assert caught.value is first
    assert logged(caplog) == [late]
    if kind in (NoRepr, OddRepr):
        assert f".{kind.__name__} object at" in " ".join(first.__notes__)


@pytest.mark.parametrize("kind", [NoRepr, OddRepr])
async def test_refusing_job_is_named_whatever_its_key_is(
    kind: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """R22: after ten seconds, though its key cannot be shown."""
    async with waitkit.as_completed_results({kind(): refuse("a", 20)}):
        await settle()
    assert "has not ended 10 seconds after" in caplog.text
    assert now() == 20


# --- a source that is closed while a job fails


@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_failure_while_the_source_is_slow(helper: str) -> None:
    """R10, R27: the source has its cleanup, and then the failure comes."""
    cleaned: list[float] = []

    async def source() -> AsyncIterator[Any]:
        try:
            yield fail(Broken(), 1)
            await never()
        finally:
            await clean_up(2)
            cleaned.append(now())

    with pytest.raises(Broken):
        await run_helper(helper, source())
    assert cleaned == [3]
