"""Tests of async code in virtual time: ``sleep(3600)`` takes none, and what is left behind is seen.

Needs nothing beyond the standard library, and Trio for ``backend="trio"``.
"""

from ._everywhere import cancel_everywhere
from ._failures import (
    CancellationError,
    DeadlockError,
    LeakError,
    LivelockError,
    MaskedError,
    NeverAwaitedError,
    UnhandledError,
)
from ._loop import new_event_loop
from ._raising import raise_everywhere
from ._run import run

__all__ = [
    "CancellationError",
    "DeadlockError",
    "LeakError",
    "LivelockError",
    "MaskedError",
    "NeverAwaitedError",
    "UnhandledError",
    "cancel_everywhere",
    "new_event_loop",
    "raise_everywhere",
    "run",
]
