"""What a helper asks of its crew, in one place; nothing in the engine asks which helper it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Policy(NamedTuple):
    helper: str
    timeout: float | None  # seconds
    max_concurrency: int | None = None
    buffersize: int | None = None
    stagger: float | None = None  # seconds
    catch: tuple[type[Exception], ...] = ()  # failures that are data
    dispose: Callable[[Any], object] | None = None
    outcomes: bool = False  # keep Outcome values, not what the jobs returned
    ordered: bool = False  # keep what has finished by index, not in completion order
    race: bool = False  # the first value decides
    distinct: bool = False  # the keys have to fit a dict
