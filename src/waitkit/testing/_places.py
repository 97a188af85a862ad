"""Where a task waits, where an error was raised: one line of text, for messages.

A line of the user's own code, if there is one: that asyncio waits inside its locks is no news.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import linecache
import os
import re
import traceback
from collections.abc import Iterable, Iterator
from types import CoroutineType, FrameType
from typing import Any

# Frames of these are passed over for those of whoever called them.
LIBRARIES = frozenset({"anyio", "asyncio", "contextlib", "outcome", "trio", "waitkit"})
_DEFAULT_NAME = re.compile(r"Task-\d+")


def tasks_at(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """A line for each task, in an order that is the same each time."""
    return sorted(task_at(task) for task in tasks)


def task_at(task: asyncio.Task[Any]) -> str:
    name = task.get_name()
    coroutine = task.get_coro()
    at = coroutine_at(getattr(coroutine, "spied", coroutine))
    return at if _DEFAULT_NAME.fullmatch(name) else f"{name!r}: {at}"


def coroutine_at(coroutine: object) -> str:
    """Which coroutine it is, and the line that it waits at."""
    if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == "CORO_CREATED":
        name = coroutine.__qualname__
        return f"{name if _was_named(coroutine) else _short(name)}, not started yet"
    frames = list(frames_of(coroutine))
    own = [frame for frame in frames if not _of_library(frame)]
    if not own and inspect.iscoroutine(coroutine) and _was_named(coroutine):
        return coroutine.__qualname__
    if not own:
        outer = next((frame for frame in frames if not _of_testing(frame)), None)
        return f"{_module(outer)}.{_name(outer)}" if outer is not None else repr(coroutine)
    name, inner = _name(own[0]), own[-1]
    where = place(inner.f_code.co_filename, inner.f_lineno)
    return f"{name} at {where}" if inner is own[0] else f"{name}, in {_name(inner)} at {where}"


def place(filename: str, line: int) -> str:
    """``crawler.py:31: await fetch(url)``, without the code if it cannot be had."""
    code = linecache.getline(filename, line).strip()
    here = os.path.join(os.getcwd(), "")
    return f"{filename.removeprefix(here)}:{line}" + (f": {code}" if code else "")


def place_raised(error: BaseException) -> str:
    """Where an error was raised, if it was."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    lines = [line for _, line in traceback.walk_tb(error.__traceback__)]
    own = [i for i, frame in enumerate(frames) if not _of_library(frame)]
    if not own:
        return ""
    return f", raised at {place(frames[own[-1]].f_code.co_filename, lines[own[-1]])}"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _of_library(frame: FrameType) -> bool:
    return _module(frame).partition(".")[0] in LIBRARIES


def _of_testing(frame: FrameType) -> bool:
    return _module(frame).startswith("waitkit.testing.")


def _name(frame: FrameType) -> str:
    return _short(frame.f_code.co_qualname)


def _was_named(coroutine: CoroutineType[Any, Any, Any]) -> bool:
    """Whether it goes by another name than its function, as the calls of a fake do."""
    return " as " in coroutine.__qualname__


def _short(qualname: str) -> str:
    return f"{qualname.rpartition('<locals>.')[2]}()"


def frames_of(awaited: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine, and of what it awaits, down to the innermost."""
    while awaited is not None:
        if type(awaited).__name__ in ("async_generator_asend", "async_generator_athrow"):
            # Only the collector sees the generator behind them (cpython 76991).
            behind = [it for it in gc.get_referents(awaited) if inspect.isasyncgen(it)]
            awaited = behind[0] if behind else None
        elif type(awaited).__name__ == "coroutine_wrapper":  # what a coroutine's __await__() gives
            awaited = next(iter(gc.get_referents(awaited)), None)
        for kind, below in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
            frame = getattr(awaited, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                awaited = getattr(awaited, below)
                break
        else:
            return
