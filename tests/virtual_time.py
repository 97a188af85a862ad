"""An event loop in virtual time, for tests: `sleep(3600)` takes none, and order is always the same.

It stands on `asyncio.BaseEventLoop` alone: no selector, no sockets, no threads. What would wait
for ever is an error that names the tasks and what they wait for.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import heapq
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeAlias, TypeVar

T = TypeVar("T")
Mode: TypeAlias = Literal["default", "debug", "eager"]
MODES: tuple[Mode, ...] = (
    ("default", "debug", "eager") if sys.version_info >= (3, 12) else ("default", "debug")
)


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


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
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

    def turn(self, timeout: float | None) -> None:
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


def new_loop(mode: Mode = "default") -> VirtualLoop:
    loop = VirtualLoop()
    loop.set_debug(mode == "debug")
    loop.slow_callback_duration = 1e9  # of no interest in debug mode here
    if mode == "eager":
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    return loop


def run(main: Callable[..., Coroutine[Any, Any, T]], *args: Any, mode: Mode = "default") -> T:
    """Run a coroutine function to its end; fail if it leaves a task, or the loop complains."""
    loop = new_loop(mode)
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
