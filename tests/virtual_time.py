"""Event loops in virtual time, for tests: `sleep(3600)` takes none.

asyncio's stands on `asyncio.BaseEventLoop` alone: no selector, no sockets, no threads; its order is
always the same. Trio's is Trio itself with its `MockClock`. What would wait for ever is an error
that names the tasks and what they wait for.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import heapq
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import pytest
import trio
import trio.testing

import waitkit._calls
from anyio_backend import AnyioBackend

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


class Deadlock(BaseException):
    """Every task waits for something that nothing will bring about."""


class Livelock(BaseException):
    """The loop turns on and on, and time stands still."""


class _Selector:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        self._loop.turn(timeout)
        return []


class _Timer(asyncio.TimerHandle):
    """Of two for the same moment the one that was set first goes off first.

    In real time hardly two fall on the same moment; asyncio's heap leaves their order open.
    """

    turn = 0

    def __lt__(self, other: object) -> bool:
        assert isinstance(other, _Timer)
        return (self.when(), self.turn) < (other.when(), other.turn)


class _Ready(deque[Any]):
    """The loop's queue of callbacks, with a hook before each."""

    def __init__(self, on_step: Callable[[], None]) -> None:
        super().__init__()
        self._on_step = on_step

    def popleft(self) -> Any:
        self._on_step()
        return super().popleft()


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self.on_turn: OnTurn | None = None
        self._now = 0.0
        self._turns_at_now = 0
        self.turns = 0
        self.timers = 0
        self.complaints: list[dict[str, Any]] = []
        self._clock_resolution = 1e-9
        self._selector = _Selector(self)
        self.set_exception_handler(lambda _loop, context: self.complaints.append(context))

    def call_at(  # type: ignore[override]  # typeshed's has a TypeVarTuple, of no use here
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, context)
        timer.turn = self.timers = self.timers + 1
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]  # as BaseEventLoop
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def time(self) -> float:
        return self._now

    def before_each_step(self, on_step: Callable[[], None]) -> None:
        self._ready = _Ready(on_step)  # where BaseEventLoop has its own

    def turn(self, timeout: float | None) -> None:
        if self.on_turn is not None:
            self.on_turn(timeout is None or timeout > 0)
        self.turns += 1
        self._turns_at_now += 1
        if self._turns_at_now > 100_000:
            raise Livelock(f"100,000 turns of the loop at {self._now} s")
        if timeout is None:
            waiting = "\n".join(f"  {task!r}" for task in asyncio.all_tasks(self))
            raise Deadlock(
                f"at {self._now} s nothing is left to happen, and these wait:\n{waiting}"
            )
        if timeout > 0:
            self._now = self._scheduled[0]._when  # type: ignore[attr-defined]
            self._turns_at_now = 0

    def _process_events(self, event_list: list[Any]) -> None: ...

    def _write_to_self(self) -> None: ...


def new_loop(mode: AsyncioMode = "default") -> VirtualLoop:
    loop = VirtualLoop()
    loop.set_debug(mode == "debug")
    loop.slow_callback_duration = 1e9  # of no interest in debug mode here
    if mode == "eager":
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
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


class _Watchdog(trio.abc.Instrument):
    """Looks on at a Trio run; ends it where nothing is left to happen, or time stands still."""

    def __init__(
        self,
        clock: trio.testing.MockClock,
        on_turn: OnTurn | None,
        on_step: Callable[[], None] | None,
    ) -> None:
        self._clock = clock
        self._on_turn = on_turn
        self._on_step = on_step
        self._turns = self._idle = 0
        self._now = -1.0
        self.error: BaseException | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._idle = 0
        if self._on_step is not None:
            self._guarded(self._on_step)

    def before_io_wait(self, timeout: float) -> None:
        self._idle += 1
        self._turns += 1
        if self._clock.current_time() != self._now:
            self._now, self._turns = self._clock.current_time(), 0
        statistics = trio.lowlevel.current_statistics()
        if self._on_turn is not None:
            self._guarded(lambda: self._on_turn and self._on_turn(not statistics.tasks_runnable))
        if self._idle > 100 and statistics.seconds_to_next_deadline == math.inf:
            time.sleep(0.001)  # a thread may be at work on something
        if self._idle > 2_000 and statistics.seconds_to_next_deadline == math.inf:
            self._end(Deadlock(f"at {self._now} s nothing is left to happen"))
        elif self._turns > 100_000:
            self._end(Livelock(f"100,000 turns of the loop at {self._now} s"))

    def _guarded(self, look: Callable[[], object]) -> None:
        try:
            look()
        except BaseException as error:  # Trio would only drop the instrument
            self._end(error)

    def _end(self, error: BaseException) -> None:
        self.error = error

        def fail() -> float:
            raise error

        self._clock._real_clock = fail  # nothing else ends a run


def _run_on_trio(
    main: Callable[..., Coroutine[Any, Any, T]],
    args: tuple[Any, ...],
    on_turn: OnTurn | None,
    on_step: Callable[[], None] | None,
) -> T:
    clock = trio.testing.MockClock(autojump_threshold=0)
    watchdog = _Watchdog(clock, on_turn, on_step)
    try:
        return trio.run(main, *args, clock=clock, instruments=[watchdog])
    except trio.TrioInternalError:
        if watchdog.error is not None:
            raise watchdog.error from None
        raise
    finally:
        gc.collect()  # what was never awaited complains now


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
    asyncio.set_event_loop(loop)
    try:
        # A context of its own, so that nothing leaks from one run to the next.
        task = contextvars.Context().run(lambda: loop.create_task(main(*args)))
        result = loop.run_until_complete(task)
        left = asyncio.all_tasks(loop)
        assert not left, f"left running: {left}"
        loop.run_until_complete(loop.shutdown_asyncgens())
        gc.collect()  # what nobody retrieved complains now
        assert not loop.complaints, f"the loop's exception handler was called: {loop.complaints}"
        return result
    finally:
        asyncio.set_event_loop(None)
        loop.close()
