"""What the tests share: jobs to give to the helpers, and one way to run any helper by its name."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeVar

import pytest

import waitkit

T = TypeVar("T")

RESULT_STREAMS = ("as_completed_results", "in_order_results")
OUTCOME_STREAMS = ("as_completed_outcomes", "in_order_outcomes")
STREAMS = RESULT_STREAMS + OUTCOME_STREAMS
COLLECTORS = ("first_error", "gather_partial")
RACES = ("first_completed", "first_success")
HELPERS = STREAMS + COLLECTORS + RACES
LIMITED = tuple(name for name in HELPERS if name != "first_completed")  # take max_concurrency
FAIL_FAST = (*RESULT_STREAMS, "first_error", "first_completed")
DATA = (*OUTCOME_STREAMS, "gather_partial")  # failures are data, and so is the deadline


class Broken(Exception):
    """What jobs fail with."""


async def run_helper(name: str, aws: Any, /, **options: Any) -> Any:
    """Run a helper to its end; of a stream, the list of what it delivered."""
    call = getattr(waitkit, name)(aws, **options)
    if not isinstance(call, waitkit.ResultStream):
        return await call
    async with call as stream:
        return [item async for item in stream]


async def collect(
    stream: waitkit.ResultStream[T], into: list[T], *, pause: float | None = None
) -> None:
    """Run a stream to its end; what it delivers is in the list, also where it ends by an error.

    The consumer takes `pause` seconds for each item.
    """
    async with stream:
        async for item in stream:
            into.append(item)
            if pause is not None:
                await asyncio.sleep(pause)


def plain_values(answer: Any) -> list[Any]:
    """The values in what `run_helper` gave for unkeyed inputs, in the order they are in."""
    if isinstance(answer, waitkit.Partial):
        answer = answer.outcomes
    if isinstance(answer, list | tuple):
        return [item.unwrap() if isinstance(item, waitkit.Success) else item for item in answer]
    return [answer]


def now() -> float:
    return asyncio.get_running_loop().time()


async def value(result: T, after: float | None = None) -> T:
    """A job that returns; without `after` it never gives way to the loop."""
    if after is not None:
        await asyncio.sleep(after)
    return result


async def fail(error: BaseException, after: float | None = None) -> Any:
    """A job that raises; without `after` it never gives way to the loop."""
    if after is not None:
        await asyncio.sleep(after)
    raise error


async def never() -> Any:
    """A job that never ends by itself."""
    await asyncio.get_running_loop().create_future()


async def refuse(result: T, after: float | None = None) -> T:
    """A job that never ends by itself, and returns a value in spite of its cancellation."""
    try:
        await never()
    except asyncio.CancelledError:
        if after is not None:
            await asyncio.sleep(after)
    return result


async def spoil(error: BaseException, after: float | None = None) -> Any:
    """A job that never ends by itself, and raises while it is being cancelled."""
    try:
        await never()
    finally:
        if after is not None:
            await asyncio.sleep(after)
        raise error


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def done(result: Any) -> asyncio.Future[Any]:
    """A Future that has its result already."""
    ready = future()
    ready.set_result(result)
    return ready


def failed(error: BaseException) -> asyncio.Future[Any]:
    """A Future that has failed already."""
    ready = future()
    ready.set_exception(error)
    return ready


def resolve(*steps: tuple[asyncio.Future[Any], Any]) -> None:
    """End Futures one after the other in one tick: by a result, or by an exception."""
    for waiting, result in steps:
        if isinstance(result, BaseException):
            waiting.set_exception(result)
        else:
            waiting.set_result(result)


def at(when: float, callback: Callable[..., object], *args: Any) -> None:
    """Have something happen at that time of the loop's clock, in a callback of the loop."""
    asyncio.get_running_loop().call_at(when, callback, *args)


def notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def logged(caplog: pytest.LogCaptureFixture) -> list[BaseException | None]:
    """The errors on the `waitkit` logger; nothing else may be there, and all are warnings."""
    records = [record for record in caplog.records if record.name == "waitkit"]
    assert all(record.levelno == logging.WARNING for record in records)
    assert all(record.exc_info for record in records), "a record without its traceback"
    return [record.exc_info[1] for record in records if record.exc_info]


class Gauge:
    """Jobs that tell how many of them run, and how each ended."""

    def __init__(self) -> None:
        self.running = 0
        self.peak = 0
        self.started: list[Any] = []
        self.ended: list[Any] = []  # in whatever way
        self.cancelled: list[Any] = []

    async def job(self, name: T, after: float | None = None) -> T:
        """Return the name after that time; None: never."""
        self.running += 1
        self.peak = max(self.peak, self.running)
        self.started.append(name)
        try:
            if after is None:
                await asyncio.get_running_loop().create_future()
            else:
                await asyncio.sleep(after)
            return name
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        finally:
            self.running -= 1
            self.ended.append(name)


async def aiter_of(items: Iterable[T]) -> AsyncIterator[T]:
    """The same items from an async generator."""
    for item in items:
        yield item


def counting(items: Iterable[T], taken: list[T]) -> Iterator[T]:
    """The same items from a generator, each put in `taken` when it is asked for."""
    for item in items:
        taken.append(item)
        yield item


async def settle(turns: int = 5) -> None:
    """Let the loop turn a few times, while no time passes."""
    for _ in range(turns):
        await asyncio.sleep(0)


def without_remarks(errors: str) -> str:
    """What a script wrote to stderr, less asyncio's remarks in debug mode on slow steps.

    On a busy machine any step is slow at times.
    """
    return re.sub(r"^Executing <.* took .* seconds\n", "", errors, flags=re.MULTILINE)
