"""R28, R32: iterables that raise, at each item, of each kind, whatever the limit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any

import anyio
import pytest

import waitkit
from jobs import FAIL_FAST, HELPERS, LIMITED, STREAMS, Gauge, fail, never, now, run_helper, value


class Trouble(Exception):
    """What sources fail with."""


Makers = list[Callable[[], Any]]


class Steps:
    """An iterator that raises behind its items; asked again, it goes on."""

    def __init__(self, items: list[Any], error: Exception) -> None:
        self._items = [*items, "end"]
        self._error = error

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> Any:
        item = self._items.pop(0)
        if item == "end":
            raise self._error
        return item


class AsyncSteps:
    """The same as an async iterator that is no generator; `late`: in a coroutine of its own."""

    def __init__(self, items: list[Any], error: Exception, *, late: bool) -> None:
        self._steps = Steps(items, error)
        self._late = late

    def __aiter__(self) -> AsyncSteps:
        return self

    def __anext__(self) -> Any:
        return self._later() if self._late else value(next(self._steps))

    async def _later(self) -> Any:
        await anyio.sleep(0.25)
        return next(self._steps)


class Sized(Collection[Any]):
    """A collection that raises while it is iterated."""

    def __init__(self, items: list[Any], error: Exception) -> None:
        self._items = items
        self._error = error

    def __len__(self) -> int:
        return len(self._items) + 1

    def __contains__(self, item: object) -> bool:
        raise AssertionError("nobody should ask")

    def __iter__(self) -> Iterator[Any]:
        yield from self._items
        raise self._error


class Mapped(Mapping[int, Any]):
    """A mapping that raises for its last key."""

    def __init__(self, items: list[Any], error: Exception) -> None:
        self._items = items
        self._error = error

    def __len__(self) -> int:
        return len(self._items) + 1

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __getitem__(self, key: int) -> Any:
        if key == len(self._items):
            raise self._error
        return self._items[key]


async def async_generator(items: list[Any], error: Exception) -> AsyncIterator[Any]:
    for item in items:
        yield item
    raise error


def generator(items: list[Any], error: Exception) -> Iterator[Any]:
    yield from items
    raise error


def made(items: Iterator[Any]) -> Iterator[Any]:
    return (make() for make in items)


def call(make: Callable[[], Any]) -> Any:
    return make()


SOURCES: dict[str, Callable[[Makers, Exception], Any]] = {
    "iterator": lambda makers, error: made(iter(Steps(makers, error))),
    "generator": lambda makers, error: made(generator(makers, error)),
    "keyed": lambda makers, error: waitkit.keyed(enumerate(made(generator(makers, error)))),
    "call_each": lambda makers, error: waitkit.call_each(call, Steps(makers, error)),
    "call_each, sized": lambda makers, error: waitkit.call_each(call, Sized(makers, error)),
    "async iterator": lambda makers, error: waitkit.call_each(
        call, AsyncSteps(makers, error, late=False)
    ),
    "slow async iterator": lambda makers, error: waitkit.call_each(
        call, AsyncSteps(makers, error, late=True)
    ),
    "async generator": lambda makers, error: waitkit.call_each(
        call, async_generator(makers, error)
    ),
}


def makers_for(helper: str, gauge: Gauge, count: int) -> Makers:
    """Jobs that leave the call open when they end, so that its source is asked again."""

    async def lose(index: int) -> None:
        await gauge.job(index, index + 1)
        raise ValueError(index)

    if helper == "first_success":
        return [partial(lose, index) for index in range(count)]
    after = 99 if helper == "first_completed" else 1
    return [partial(gauge.job, index, index + after) for index in range(count)]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(
    ("helper", "limit"),
    [*((name, None) for name in HELPERS), *product(LIMITED, (1, 2))],
)
async def test_source_that_raises_at_any_item_ends_the_call(
    helper: str, limit: int | None, kind: str
) -> None:
    """R28: the very error comes out, behind 0 to 3 inputs, when every job has ended."""
    options = {} if limit is None else {"max_concurrency": limit}
    for count in range(4):
        gauge, error = Gauge(), Trouble(count)
        source = SOURCES[kind](makers_for(helper, gauge, count), error)
        with pytest.raises(Trouble) as caught:
            await run_helper(helper, source, **options)
        assert caught.value is error
        assert gauge.running == 0
        assert sorted(gauge.ended) == sorted(gauge.started)
        assert gauge.peak <= (limit or count)


@pytest.mark.parametrize("kind", [Sized, Mapped])
@pytest.mark.parametrize("helper", HELPERS)
async def test_sized_input_that_raises_is_closed(helper: str, kind: Callable[..., Any]) -> None:
    """R28, R32: before anything starts; coroutines that it has given by then are closed."""
    for count in range(3):
        gauge, error = Gauge(), Trouble(count)
        with pytest.raises(Trouble) as caught:
            await run_helper(helper, kind([gauge.job(index) for index in range(count)], error))
        assert caught.value is error
        assert gauge.started == []


@pytest.mark.parametrize("kind", [Sized, generator, async_generator])
@pytest.mark.parametrize("helper", STREAMS)
async def test_source_that_raises_behind_another_ends_the_stream(
    helper: str, kind: Callable[..., Any]
) -> None:
    """R28: also where a stream was extended by it."""
    for count in range(3):
        gauge, error = Gauge(), Trouble(count)
        makers = makers_for(helper, gauge, count)
        async with getattr(waitkit, helper)(
            waitkit.call_each(call, [partial(value, "first", 1)]), max_concurrency=1
        ) as stream:
            stream.extend(waitkit.call_each(call, kind(makers, error)))
            for _ in range(1 + count):
                await anext(stream)
            with pytest.raises(Trouble) as caught:
                await anext(stream)
        assert caught.value is error
        assert gauge.running == 0


@pytest.mark.parametrize("helper", HELPERS)
async def test_async_source_that_gives_what_cannot_be_awaited(helper: str) -> None:
    """R28: an `__anext__` that returns no awaitable is a TypeError of the call."""

    class Wrong:
        def __aiter__(self) -> Wrong:
            return self

        def __anext__(self) -> Any:
            return 42

    with pytest.raises(TypeError, match="int"):
        await run_helper(helper, Wrong())


@pytest.mark.parametrize("helper", HELPERS)
async def test_async_source_that_cannot_begin(helper: str) -> None:
    """R28, R32: what `aiter` raises is raised by the call."""

    class Refusing:
        def __aiter__(self) -> Any:
            raise Trouble

    with pytest.raises(Trouble):
        await run_helper(helper, Refusing())


@pytest.mark.parametrize("helper", LIMITED)
async def test_async_source_that_raises_when_it_is_closed(
    helper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R28: a source that raises in its cleanup hides no failure, and is told of."""

    async def source() -> AsyncIterator[Any]:
        try:
            yield fail(ValueError("of a job"), 1)
            await never()
        finally:
            raise Trouble("of the source")

    with pytest.raises((ValueError, Trouble, waitkit.DeadlineError)) as caught:
        await run_helper(helper, source(), timeout=2)
    assert isinstance(caught.value, ValueError) == (helper in FAIL_FAST)
    told = f"{caught.value!r} {getattr(caught.value, '__notes__', ())} {caplog.text}"
    assert "of the source" in told


@pytest.mark.parametrize("helper", LIMITED)
async def test_items_that_misjudge_their_number_do_not_harm_a_deadline(helper: str) -> None:
    """R17, R20: an iterator whose `__length_hint__` raises has an unknown number left."""

    class Uncounted(Steps):
        def __length_hint__(self) -> int:
            raise Trouble

    class Items(Sized):
        def __iter__(self) -> Iterator[Any]:
            return Uncounted(self._items, self._error)

    gauge = Gauge()
    items = Items([partial(gauge.job, index) for index in range(3)], Trouble())
    with suppress(waitkit.DeadlineError, Trouble):
        await run_helper(helper, waitkit.call_each(call, items), max_concurrency=1, timeout=5)
    assert now() == 5
    assert gauge.running == 0
