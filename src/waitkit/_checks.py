"""Checks of the arguments that are no inputs, with messages that say what to pass (R32)."""

from __future__ import annotations

import math
from typing import Any


def kind(value: object) -> str:
    """``a coroutine``, ``an int``: for messages."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def safe_repr(value: object) -> str:
    """A short repr, even of what has none."""
    try:
        text = repr(value)
    except Exception:
        text = object.__repr__(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def check_seconds(name: str, seconds: Any) -> float | None:
    """A number of seconds; None and infinity mean no limit."""
    if seconds is None:
        return None
    try:
        unusable = math.isnan(seconds)
    except TypeError:
        raise TypeError(f"{name} must be a number of seconds, not {kind(seconds)}") from None
    if unusable:
        raise ValueError(f"{name} must be a number of seconds, not NaN")
    return None if seconds == math.inf else float(seconds)


def check_count(name: str, count: Any) -> int | None:
    if count is None:
        return None
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"{name} must be an int of 1 or more, or None, not {kind(count)}")
    if count < 1:
        raise ValueError(f"{name} must be 1 or more, not {count}")
    return count


def check_catch(catch: Any) -> tuple[type[Exception], ...]:
    classes = catch if isinstance(catch, tuple) else (catch,)
    for cls in classes:
        if not isinstance(cls, type) or not issubclass(cls, Exception):
            raise TypeError(
                "catch must be a subclass of Exception or a tuple of them, "
                f"not {safe_repr(cls)}; () collects none"
            )
    return classes


def check_dispose(dispose: object) -> None:
    if dispose is not None and not callable(dispose):
        raise TypeError(f"dispose must be a function of one value, not {kind(dispose)}")
