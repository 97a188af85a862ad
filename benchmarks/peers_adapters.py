"""What peers offer, brought to one form each for streams, for collectors and for races."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, NoReturn, TypeAlias

import aiometer
import aiostream
import aiotools
import anyio
import quattro

import waitkit

Call: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]  # one that has not been made yet
Stream: TypeAlias = Callable[
    [Iterable[Call], int | None], AbstractAsyncContextManager[AsyncIterator[Any]]
]
Collector: TypeAlias = Callable[[Iterable[Call], int | None], Awaitable[Any]]
Race: TypeAlias = Callable[[Iterable[Call]], Awaitable[Any]]


class NotThereError(Exception):
    """The peer has no such option."""


def not_there() -> NoReturn:
    raise NotThereError


async def call(make: Call) -> Any:
    return await make()


# --- streams: each opens to an iterator of values


@asynccontextmanager
async def asyncio_as_completed(
    calls: Iterable[Call], limit: int | None
) -> AsyncIterator[AsyncIterator[Any]]:
    async def values() -> AsyncIterator[Any]:
        for future in asyncio.as_completed([make() for make in calls]):
            yield await future

    if limit:
        not_there()
    yield values()


@asynccontextmanager
async def anyio_as_completed(
    calls: Iterable[Call], limit: int | None
) -> AsyncIterator[AsyncIterator[Any]]:
    if limit:
        not_there()
    async with anyio.as_completed(*[make() for make in calls]) as handles:
        yield (handle.return_value async for handle in handles)


@asynccontextmanager
async def aiotools_as_completed_safe(
    calls: Iterable[Call], limit: int | None
) -> AsyncIterator[AsyncIterator[Any]]:
    if limit:
        not_there()
    async with aclosing(aiotools.as_completed_safe([make() for make in calls])) as tasks:
        yield (await task async for task in tasks)


@asynccontextmanager
async def aiometer_amap(
    calls: Iterable[Call], limit: int | None
) -> AsyncIterator[AsyncIterator[Any]]:
    async with aiometer.amap(call, calls, max_at_once=limit) as values:
        yield aiter(values)


@asynccontextmanager
async def aiostream_map(
    calls: Iterable[Call], limit: int | None
) -> AsyncIterator[AsyncIterator[Any]]:
    source = aiostream.stream.iterate(calls)
    mapped = aiostream.stream.map(source, call, ordered=False, task_limit=limit)
    async with mapped.stream() as values:
        yield aiter(values)


@asynccontextmanager
async def waitkit_stream(
    calls: Iterable[Call], limit: int | None
) -> AsyncIterator[AsyncIterator[Any]]:
    inputs = (make() for make in calls)
    async with waitkit.as_completed_results(inputs, max_concurrency=limit) as values:
        yield aiter(values)


STREAMS: dict[str, Stream] = {
    "asyncio.as_completed": asyncio_as_completed,
    "anyio.as_completed": anyio_as_completed,
    "aiotools.as_completed_safe": aiotools_as_completed_safe,
    "aiometer.amap": aiometer_amap,
    "aiostream map": aiostream_map,
    "waitkit.as_completed_results": waitkit_stream,
}


# --- collectors: each gives all values in input order


async def asyncio_gather(calls: Iterable[Call], limit: int | None) -> Any:
    if limit:
        not_there()
    return await asyncio.gather(*[make() for make in calls])


async def asyncio_task_group(calls: Iterable[Call], limit: int | None) -> Any:
    if limit:
        not_there()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(make()) for make in calls]
    return [task.result() for task in tasks]


async def anyio_gather(calls: Iterable[Call], limit: int | None) -> Any:
    if limit:
        not_there()
    return await anyio.gather(*[make() for make in calls])


async def quattro_gather(calls: Iterable[Call], limit: int | None) -> Any:
    return await quattro.gather(*(make() for make in calls), concurrency_limit=limit)


async def aiometer_run_all(calls: Iterable[Call], limit: int | None) -> Any:
    return await aiometer.run_all(list(calls), max_at_once=limit)


async def waitkit_first_error(calls: Iterable[Call], limit: int | None) -> Any:
    return await waitkit.first_error((make() for make in calls), max_concurrency=limit)


COLLECTORS: dict[str, Collector] = {
    "asyncio.gather": asyncio_gather,
    "asyncio.TaskGroup": asyncio_task_group,
    "anyio.gather": anyio_gather,
    "quattro.gather": quattro_gather,
    "aiometer.run_all": aiometer_run_all,
    "waitkit.first_error": waitkit_first_error,
}


# --- races: each gives the first value


async def aiotools_race(calls: Iterable[Call]) -> Any:
    value, _ = await aiotools.race([make() for make in calls], continue_on_error=True)
    return value


async def aiometer_run_any(calls: Iterable[Call]) -> Any:
    return await aiometer.run_any(list(calls))


async def waitkit_first_success(calls: Iterable[Call]) -> Any:
    return await waitkit.first_success([make() for make in calls])


RACES: dict[str, Race] = {
    "aiotools.race": aiotools_race,
    "aiometer.run_any": aiometer_run_any,
    "waitkit.first_success": waitkit_first_success,
}
