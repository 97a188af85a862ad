"""asyncio in virtual time: an event loop on `asyncio.BaseEventLoop` alone.

`BaseEventLoop` has all of a loop but its selector, which it asks once per turn what happens in the
next so many seconds. Here nothing ever does, so the answer is to move the clock: to the next timer,
at once. What follows from that:

- no selector, no sockets, no threads: the loop runs wherever Python does, and is never woken from
  outside. Whatever would need that is refused by name;
- the order is that of the callbacks alone, and so the same in every run;
- where no timer is left, nothing will ever happen again: that is a deadlock, and seen at once.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable
from functools import partialmethod
from typing import Any, NoReturn

from ._failures import DeadlockError, LivelockError, listing
from ._places import task_at, tasks_at

MOST_TURNS = 100_000  # while the clock stands still
PATIENCE = 1_000  # turns, until it moves by as little as it can


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

    def __init__(self, on_step: Callable[[], object]) -> None:
        super().__init__()
        self._on_step = on_step

    def popleft(self) -> Any:
        self._on_step()
        return super().popleft()


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose clock moves when there is nothing else to do."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        self.timers = 0  # that were set
        self.main: asyncio.Task[Any] | None = None  # told of first
        self.on_turn: Callable[[bool], object] | None = None
        """Called when a turn has ended; with whether nothing more happens before time moves on."""
        self.complaints: list[dict[str, Any]] = []
        self.collects_complaints = False
        """What the default exception handler would log becomes a complaint instead."""
        self._now = 0.0
        self._turns_at_now = 0
        self._selector = _Selector(self)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._now

    def before_each_step(self, on_step: Callable[[], object]) -> None:
        """Have a function called before each callback, a task's step or another."""
        self._ready = _Ready(on_step)  # where BaseEventLoop has its own

    def call_at(  # type: ignore[override]  # typeshed's has a TypeVarTuple, of no use here
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        self._check_closed()  # type: ignore[attr-defined]  # as BaseEventLoop, all of this
        timer = _Timer(when, callback, args, self, context)
        timer.turn = self.timers = self.timers + 1
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def run_forever(self) -> None:
        self._turns_at_now = 0  # who cleans up after a main has turns of its own
        super().run_forever()

    def turn(self, timeout: float | None) -> None:
        """Let time pass until the next timer, `timeout` seconds away; None: there is none."""
        if self.on_turn is not None:
            self.on_turn(timeout is None or timeout > 0)
            if self._ready:  # by now: no time passes before that
                timeout = 0
        self.turns += 1
        self._turns_at_now += 1
        if self._turns_at_now > MOST_TURNS:
            title = f"the loop has turned {MOST_TURNS:,} times at {self._now:g} s, with these tasks"
            raise LivelockError(listing(title, self._waiting()))
        if timeout == 0:
            if self._turns_at_now > PATIENCE and not self._ready:
                # A timer for this very moment, again and again: who has computed when to wake may
                # be a rounding error early, and counts on a clock that moves meanwhile.
                self._now += self._clock_resolution
            return
        scheduled = self._scheduled  # type: ignore[attr-defined]
        if timeout is None or scheduled[0].when() == math.inf:
            title = f"nothing is left to happen at {self._now:g} s, and these tasks wait"
            raise DeadlockError(listing(title, self._waiting()))
        self._now = scheduled[0].when()
        self._turns_at_now = 0
        # In some years a nanosecond is too little to move the clock by.
        self._clock_resolution = max(1e-9, math.ulp(self._now))

    def _waiting(self) -> list[str]:
        main = self.main
        first = [task_at(main)] if main is not None and not main.done() else []
        return first + tasks_at(task for task in asyncio.all_tasks(self) if task is not main)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        if self.collects_complaints:
            self.complaints.append(context)
        else:
            super().default_exception_handler(context)

    def _process_events(self, event_list: list[Any]) -> None: ...

    def _write_to_self(self) -> None: ...


_REFUSED = """
    run_in_executor set_default_executor getaddrinfo getnameinfo
    create_connection create_server create_unix_connection create_unix_server
    connect_accepted_socket create_datagram_endpoint sendfile start_tls
    connect_read_pipe connect_write_pipe subprocess_shell subprocess_exec
    add_reader remove_reader add_writer remove_writer
    sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendto
    sock_connect sock_accept sock_sendfile add_signal_handler remove_signal_handler
"""


def _refuse(self: VirtualLoop, name: str, *args: object, **options: object) -> NoReturn:
    raise RuntimeError(
        f"loop.{name}() was called in virtual time, which has no real I/O, threads, "
        "subprocesses or signals: put a fake that sleeps in the place of what calls it"
    )


for _name in _REFUSED.split():
    setattr(VirtualLoop, _name, partialmethod(_refuse, _name))
del _name


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make the event loop that `run` runs on, for whatever takes a factory of loops.

    For `asyncio.Runner`, and for what is built on it, such as anyio's pytest plugin. `run` does
    more: with the loop alone, leaks are cancelled in silence, and what nobody handles is logged, as
    by any loop.

    Returns:
        A new loop. Its clock is at 0 seconds, and moves when there is nothing else to do; then to
        the next timer, in no time.

    Raises:
        DeadlockError: by what runs the loop, not here: nothing is left to happen.
        LivelockError: by what runs the loop, not here: it has turned 100,000 times while the clock
            stood still.
        RuntimeError: by methods of the loop that need real I/O, threads, subprocesses or signals.

    Order: that of the callbacks. Timers for the same moment go off in the order in which they were
    set.

    Cancellation: as on any loop.

    Example::

        with asyncio.Runner(loop_factory=waitkit.testing.new_event_loop) as runner:
            runner.run(asyncio.sleep(3600))  # takes no time
    """
    return VirtualLoop()


new_event_loop.__module__ = "waitkit.testing"
