"""The tests' own ways of running in virtual time, on what `waitkit.testing` has for everybody.

Theirs are the modes, a backend through anyio that checks the other two, and hooks at every turn and
step, by which a test looks on or strikes.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import pytest

import waitkit._calls
from anyio_backend import AnyioBackend
from waitkit.testing import DeadlockError as Deadlock
from waitkit.testing import LivelockError as Livelock
from waitkit.testing._loop import VirtualLoop
from waitkit.testing._on_asyncio import Spy, run_on_asyncio
from waitkit.testing._on_trio import run_on_trio
from waitkit.testing._run import new_loop as make_loop

__all__ = ["Deadlock", "Livelock", "Spy", "VirtualLoop"]  # and what is below

T = TypeVar("T")
OnTurn: TypeAlias = Callable[[bool], None]
AsyncioMode: TypeAlias = Literal["default", "debug", "eager"]
BlockMode: TypeAlias = Literal["trio", "anyio-asyncio", "anyio-trio"]
Mode: TypeAlias = AsyncioMode | BlockMode
ASYNCIO_MODES: tuple[AsyncioMode, ...] = (
    ("default", "debug", "eager") if sys.version_info >= (3, 12) else ("default", "debug")
)
# Those in which jobs live in a block: on Trio, and through anyio on either loop.
BLOCK_MODES: tuple[BlockMode, ...] = get_args(BlockMode)
MODES: tuple[Mode, ...] = ASYNCIO_MODES + BLOCK_MODES


def new_loop(mode: AsyncioMode = "default") -> VirtualLoop:
    """A loop of `waitkit.testing` that keeps what its exception handler is told."""
    loop = make_loop(debug=mode == "debug", eager=mode == "eager")
    loop.collects_complaints = True
    return loop


class _Running:
    mode: Mode = "default"


def in_block() -> bool:
    """Whether jobs live in a block here, and there are no Futures."""
    return _Running.mode in BLOCK_MODES


def on_trio() -> bool:
    return _Running.mode in ("trio", "anyio-trio")


def run(
    main: Callable[..., Coroutine[Any, Any, T]],
    *args: Any,
    mode: Mode = "default",
    on_turn: OnTurn | None = None,
    on_step: Callable[[], None] | None = None,
) -> T:
    """Run a coroutine function to its end; fail if it leaves a task, or the loop complains.

    Args:
        main: the coroutine function, and its arguments.
        mode: which loop it runs on, and how.
        on_turn: called when a turn of the loop has ended; with whether anything more happens
            before time moves on.
        on_step: called before each step that the loop takes, of a task or a callback.
    """
    _Running.mode = mode
    try:
        match mode:
            case "trio":
                return _run_on_trio(main, args, on_turn, on_step)
            case "anyio-trio":
                with through_anyio():
                    return _run_on_trio(main, args, on_turn, on_step)
            case "anyio-asyncio":
                with through_anyio():
                    return _run_on_asyncio(main, args, "default", on_turn, on_step)
            case _:
                return _run_on_asyncio(main, args, mode, on_turn, on_step)
    finally:
        _Running.mode = "default"


@contextmanager
def through_anyio() -> Iterator[None]:
    """Have the helpers run on the backend that is written for the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waitkit._calls, "current_backend", lambda: AnyioBackend)
        yield


def _run_on_trio(
    main: Callable[..., Coroutine[Any, Any, T]],
    args: tuple[Any, ...],
    on_turn: OnTurn | None,
    on_step: Callable[[], None] | None,
) -> T:
    return run_on_trio(main, args, on_turn=on_turn, on_step=on_step).unwrap()


def _run_on_asyncio(
    main: Callable[..., Coroutine[Any, Any, T]],
    args: tuple[Any, ...],
    mode: AsyncioMode,
    on_turn: OnTurn | None,
    on_step: Callable[[], None] | None,
) -> T:
    loop = new_loop(mode)
    loop.on_turn = on_turn
    if on_step is not None:
        loop.before_each_step(on_step)
    # In a context of its own, so that nothing leaks from one run to the next.
    return contextvars.Context().run(run_on_asyncio, loop, main, args).unwrap()
