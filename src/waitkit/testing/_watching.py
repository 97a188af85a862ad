"""Sees the coroutines that a run leaves unawaited, and has what it leaves behind collected.

Python tells of such a coroutine by a RuntimeWarning when it is dropped. That warning alone is made
an error for the time of the run, which a destructor cannot raise: it goes to
`sys.unraisablehook`, together with the coroutine. All other warnings, and all other errors that go
there, take their usual way; and a test that looks for this very warning itself still sees it.
"""

from __future__ import annotations

import gc
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ._places import place

_NEVER_AWAITED = re.compile(r"(coroutine .*) was never awaited")
_ORIGIN = re.compile(r'File "(.*)", line (\d+), in ')  # from 3.14 on only the text tells where


@dataclass
class Watch:
    found: list[str] = field(default_factory=list)  # coroutines, and where they were made
    mute: bool = False  # what is dropped was given up, and makes what noise it can


@contextmanager
def watching_coroutines() -> Iterator[Watch]:
    """Note here, instead of by a warning, each coroutine that is dropped without an await."""
    watch = Watch()
    usual: Callable[[Any], object] = sys.unraisablehook

    def look(unraisable: sys.UnraisableHookArgs) -> None:
        told = _NEVER_AWAITED.match(str(unraisable.exc_value))
        if watch.mute:
            return
        if told is None or not isinstance(unraisable.exc_value, RuntimeWarning):
            usual(unraisable)
            return
        origins = _ORIGIN.findall(str(unraisable.exc_value))
        made = f", made at {place(origins[-1][0], int(origins[-1][1]))}" if origins else ""
        watch.found.append(told[1] + made)

    depth = sys.get_coroutine_origin_tracking_depth()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", _NEVER_AWAITED.pattern, RuntimeWarning)
        sys.unraisablehook = look
        sys.set_coroutine_origin_tracking_depth(max(depth, 1))  # the line that made it
        try:
            yield watch
        finally:
            sys.set_coroutine_origin_tracking_depth(depth)
            sys.unraisablehook = usual


IMMORTAL = 1_000  # more objects than Python 3.12 freezes by itself, when it collects


class _Frozen:
    by_others = False  # who have plans of their own for it; to count it takes a walk through it all


@contextmanager
def collecting_only_what_is_new() -> Iterator[None]:
    """Let the collections in this block look at nothing that was there before it.

    A collection of all that a test session holds takes longer than most runs. And what a test has
    dropped before a run is none of the run's doing.
    """
    if _Frozen.by_others or gc.get_freeze_count() > IMMORTAL:
        _Frozen.by_others = True
        gc.collect()
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
