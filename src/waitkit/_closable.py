"""Awaitables that have to be closed if they never start (R27)."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Iterable, Iterator
from types import CoroutineType


async def _nothing() -> AsyncGenerator[None, None]:
    yield


def _step_types() -> Iterator[type]:
    """The awaitables of an async generator, also through `anext` with a default."""
    generator = _nothing()
    for step in (generator.asend(None), generator.aclose(), anext(generator, None)):
        yield type(step)
        step.close()


# Awaitables that Python warns about when they are dropped unstarted (R27).
_CLOSABLE = (CoroutineType, *_step_types())


def is_closable(aw: object) -> bool:
    """Whether it is a one-shot awaitable that has to be closed if it never starts."""
    return isinstance(aw, _CLOSABLE) or (asyncio.iscoroutine(aw) and not inspect.isgenerator(aw))


def close_unstarted(items: Iterable[object]) -> None:
    """Close what would otherwise be reported as never awaited; leave all else alone (R27)."""
    for item in items:
        if is_closable(item):
            item.close()  # type: ignore[attr-defined]  # that is what closable means
