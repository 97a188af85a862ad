"""Checks of the arguments, with messages that say what to write instead."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def check_call(name: str, main: object, backend: str) -> None:
    """Whether this function can be run on this backend, here."""
    if inspect.iscoroutine(main):
        main.close()
        raise TypeError(
            f"{name}() takes an async function and makes the coroutine itself: "
            "write it without the parentheses"
        )
    if not callable(main):
        raise TypeError(f"{name}() takes an async function, not {type(main).__name__}")
    if backend not in ("asyncio", "trio"):
        raise ValueError(f"backend must be 'asyncio' or 'trio', not {backend!r}")
    if _is_running():
        raise RuntimeError(
            f"waitkit.testing.{name}() cannot be called from a running event loop: "
            "it runs one of its own. Call it from a plain function"
        )
    if backend == "trio" and not _is_installed("trio"):
        raise ModuleNotFoundError(
            "backend='trio' needs Trio. Install it with: pip install trio", name="trio"
        )


def check_options(backend: str, debug: bool, eager: bool) -> None:
    if backend == "trio" and (debug or eager):
        raise ValueError("debug and eager are modes of asyncio: backend='trio' has neither")
    if eager and sys.version_info < (3, 12):
        raise RuntimeError("eager=True needs Python 3.12 or later, which has eager tasks")


def checked_coroutine(made: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """What main has made, if it can be awaited as a whole."""
    if not inspect.iscoroutine(made):
        raise TypeError(f"main must be an async function: it returned {type(made).__name__}")
    return made


def _is_running() -> bool:
    if asyncio._get_running_loop() is not None:
        return True
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def _is_installed(package: str) -> bool:
    if package in sys.modules:  # as a None, which keeps it from being imported
        return sys.modules[package] is not None
    return importlib.util.find_spec(package) is not None
