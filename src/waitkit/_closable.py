"""Awaitables that have to be closed if they never start (R27)."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable


def is_closable(aw: object) -> bool:
    """Whether it is a one-shot awaitable that has to be closed if it never starts.

    A coroutine as asyncio knows them, which the steps of an async generator are too. Until Python
    3.11 it takes every generator for one.
    """
    return asyncio.iscoroutine(aw) and not inspect.isgenerator(aw)


def close_unstarted(items: Iterable[object]) -> None:
    """Close what would otherwise be reported as never awaited; leave all else alone (R27)."""
    for item in items:
        if is_closable(item):
            item.close()  # type: ignore[attr-defined]  # that is what closable means
