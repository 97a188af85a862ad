"""What the tests share: jobs to give to the helpers, and one way to run any helper by its name.

All of it runs on every event loop that the tests run on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import re
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
import trio

import virtual_time
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
                await anyio.sleep(pause)


def plain_values(answer: Any) -> list[Any]:
    """The values in what `run_helper` gave for unkeyed inputs, in the order they are in."""
    if isinstance(answer, waitkit.Partial):
        answer = answer.outcomes
    if isinstance(answer, list | tuple):
        return [item.unwrap() if isinstance(item, waitkit.Success) else item for item in answer]
    return [answer]


def now() -> float:
    return trio.current_time() if virtual_time.on_trio() else asyncio.get_running_loop().time()


async def value(result: T, after: float | None = None) -> T:
    """A job that returns; without `after` it never gives way to the loop."""
    if after is not None:
        await anyio.sleep(after)
    return result


async def fail(error: BaseException, after: float | None = None) -> Any:
    """A job that raises; without `after` it never gives way to the loop."""
    if after is not None:
        await anyio.sleep(after)
    raise error


async def never() -> Any:
    """A job that never ends by itself."""
    await anyio.Event().wait()


def cancelled_error() -> type[BaseException]:
    """What a cancellation is on the loop that runs."""
    return anyio.get_cancelled_exc_class()


async def clean_up(seconds: float | None) -> None:
    """Take that time though the job is cancelled, as a job does whose loop cancels again."""
    if seconds is not None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(seconds)


async def refuse(result: T, after: float | None = None) -> T:
    """A job that never ends by itself, and returns a value in spite of its cancellation."""
    try:
        await never()
    except cancelled_error():
        await clean_up(after)
    return result


async def spoil(error: BaseException, after: float | None = None) -> Any:
    """A job that never ends by itself, and raises while it is being cancelled."""
    try:
        await never()
    finally:
        await clean_up(after)
        raise error


class Promise:
    """An awaitable that ends when it is told: what a Future is where there are none."""

    def __init__(self) -> None:
        self._told = anyio.Event()
        self._result: Any = None
        self._error: BaseException | None = None

    def set_result(self, result: Any) -> None:
        self._result = result
        self._told.set()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._told.set()

    def done(self) -> bool:
        return self._told.is_set()

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from self._told.wait().__await__()
        if self._error is not None:
            raise self._error
        return self._result


def future() -> Any:
    """A Future, or a `Promise` where Futures cannot be awaited."""
    return Promise() if virtual_time.in_block() else asyncio.get_running_loop().create_future()


def done(result: Any) -> Any:
    """A Future that has its result already."""
    ready = future()
    ready.set_result(result)
    return ready


def failed(error: BaseException) -> Any:
    """A Future that has failed already."""
    ready = future()
    ready.set_exception(error)
    return ready


def running(result: Any, after: float) -> Any:
    """A Task that somebody else has started, or a `Promise` where there are none."""
    if not virtual_time.in_block():
        return asyncio.create_task(value(result, after))
    promise = Promise()
    at(now() + after, promise.set_result, result)
    return promise


def outside() -> Any:
    """A Future that others end, or cancel: on Trio only a thread's can be.

    Not for the backend through anyio, which has none.
    """
    return concurrent.futures.Future() if virtual_time.on_trio() else future()


def ready(result: Any) -> Any:
    """One of those that is over when the call begins."""
    over = outside()
    resolve((over, result))
    return over


def resolve(*steps: tuple[Any, Any]) -> None:
    """End Futures one after the other in one tick: by a result, or by an exception."""
    for waiting, result in steps:
        if isinstance(result, BaseException):
            waiting.set_exception(result)
        else:
            waiting.set_result(result)


def at(when: float, callback: Callable[..., object], *args: Any) -> None:
    """Have something happen at that time of the loop's clock, in a callback of the loop."""
    if virtual_time.on_trio():

        async def wait() -> None:
            await trio.sleep_until(when)
            callback(*args)

        trio.lowlevel.spawn_system_task(wait)
    else:
        asyncio.get_running_loop().call_at(when, callback, *args)


@contextmanager
def cut_off(*times: float) -> Iterator[None]:
    """Have the caller cancelled at these times, and see that it comes out of this block.

    By a scope around it, where only scopes cancel; once cancelled, that goes on cancelling.
    """
    if virtual_time.in_block():
        with anyio.CancelScope(deadline=min(times)) as scope:
            yield
        assert scope.cancelled_caught
    else:
        caller = asyncio.current_task()
        assert caller is not None
        for when in times:
            at(when, caller.cancel)
        with pytest.raises(asyncio.CancelledError):
            yield


def unshuffled(tied: Iterable[Any], key: Callable[[Any], Any] | None = None) -> list[Any]:
    """What came in one tick, in the loop's order; sorted on Trio, whose order is shuffled (R52)."""
    return sorted(tied, key=key) if virtual_time.on_trio() else list(tied)


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
                await never()
            else:
                await anyio.sleep(after)
            return name
        except cancelled_error():
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


@asynccontextmanager
async def time_limit(seconds: float | None) -> AsyncIterator[None]:
    """A block that is cancelled after that time: `asyncio.timeout`, or where scopes cancel theirs.

    Raises a TimeoutError then.
    """
    if virtual_time.in_block():
        with anyio.fail_after(seconds):
            yield
    else:
        async with asyncio.timeout(seconds):
            yield


async def settle(turns: int = 5) -> None:
    """Let the loop turn a few times, while no time passes.

    No fewer than five where jobs live in a block: their first step comes a turn or two later there.
    """
    for _ in range(max(turns, 5) if virtual_time.in_block() else turns):
        await anyio.lowlevel.checkpoint()


def alone() -> bool:
    """Whether no task is left but the one that asks."""
    if virtual_time.on_trio():
        return not trio.lowlevel.current_task().child_nurseries
    return asyncio.all_tasks() == {asyncio.current_task()}


class Turns(trio.abc.Instrument):
    """Counts the turns of the loop from when it is made."""

    def __init__(self) -> None:
        self._on_trio = 0
        self._before = 0 if virtual_time.on_trio() else self._on_asyncio()
        if virtual_time.on_trio():
            trio.lowlevel.add_instrument(self)

    def before_io_wait(self, timeout: float) -> None:
        self._on_trio += 1

    def _on_asyncio(self) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualLoop)
        return loop.turns

    @property
    def count(self) -> int:
        return self._on_trio if virtual_time.on_trio() else self._on_asyncio() - self._before


def without_remarks(errors: str) -> str:
    """What a script wrote to stderr, less asyncio's remarks in debug mode on slow steps.

    On a busy machine any step is slow at times.
    """
    return re.sub(r"^Executing <.* took .* seconds\n", "", errors, flags=re.MULTILINE)


def make_stream(helper: str, aws: Any, **options: Any) -> waitkit.ResultStream[Any]:
    """The stream of a helper, by its name."""
    stream: waitkit.ResultStream[Any] = getattr(waitkit, helper)(aws, **options)
    return stream


async def rest(stream: waitkit.ResultStream[Any]) -> list[Any]:
    """What a stream still gives, less the outcomes around it."""
    return plain_values([item async for item in stream])
