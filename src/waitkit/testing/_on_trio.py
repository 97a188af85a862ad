"""One run on Trio with its mock clock, from a function to what there is to say about it.

Trio is imported here, so this module is imported when somebody asks for that backend. Trio has no
deadlocks of its own: it waits for the outside. So a watchdog looks on. Where nothing is left to
happen, or time stands still, it cancels main, so that its `finally` blocks run. Tasks that still
wait then are shielded: they get the error thrown in. If nothing helps, it breaks Trio's clock,
which no run survives.
"""

from __future__ import annotations

import gc
import logging
import math
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import outcome
import trio
import trio.testing

from ._checks import checked_coroutine
from ._failures import DeadlockError, Ending, LivelockError, listing
from ._loop import MOST_TURNS
from ._places import coroutine_at, place_raised
from ._watching import Watch, watching_coroutines

T = TypeVar("T")
PATIENCE = 3  # how often a run is ended that hangs all the same
GRACE = 1.0  # seconds of real time, for threads and sockets


class Watchdog(trio.abc.Instrument):
    """Looks on at a Trio run; ends it where nothing is left to happen, or time stands still."""

    def __init__(
        self,
        clock: trio.testing.MockClock,
        on_turn: Callable[[bool], object] | None = None,
        on_step: Callable[[], object] | None = None,
    ) -> None:
        self.error: BaseException | None = None
        self.broken_off = False
        self.is_late = False  # what is the matter came after the end of main
        self.scope: trio.CancelScope | None = None  # around main, while it runs
        self.main: trio.lowlevel.Task | None = None
        self.watch: Watch | None = None
        self._clock = clock
        self._on_turn = on_turn
        self._on_step = on_step
        self.turns = 0  # while time has stood still, in main or behind it
        self._idle = self._attempts = 0
        self._idle_since = 0.0
        self._now = -1.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._idle = 0
        if self._on_step is not None:
            self._guarded(self._on_step)

    def before_io_wait(self, timeout: float) -> None:
        self._idle += 1
        self.turns += 1
        now = self._clock.current_time()
        if now != self._now:
            self._now, self.turns = now, 0
        statistics = trio.lowlevel.current_statistics()
        if self._on_turn is not None:
            on_turn, moves = self._on_turn, not statistics.tasks_runnable
            self._guarded(lambda: on_turn(moves))
        if statistics.seconds_to_next_deadline != math.inf:
            self._idle = 0
        if self._idle > 3 and self._nothing_comes():
            title = f"nothing is left to happen at {now:g} s, and these tasks wait"
            self._end(DeadlockError(listing(title, self._waiting())))
        elif self.turns > MOST_TURNS:
            title = f"the loop has turned {MOST_TURNS:,} times at {now:g} s, with these tasks"
            self._end(LivelockError(listing(title, self._waiting())))

    def _nothing_comes(self) -> bool:
        """Whether nothing wakes the loop from outside, where there is an outside, for a while."""
        if self.error is not None:  # it has had its time
            return True
        if self._idle == 4:
            self._idle_since = time.perf_counter()
        io = trio.lowlevel.current_statistics().io_statistics
        # Of a kind that depends on the system. One reads always: Trio's own, for signals.
        sockets = getattr(io, "tasks_waiting_read", 9) + getattr(io, "tasks_waiting_write", 9)
        if sockets <= 1 and threading.active_count() == 1:
            return True
        time.sleep(0.001)
        return time.perf_counter() - self._idle_since > GRACE

    def _waiting(self) -> list[str]:
        if self.scope is not None:
            return [coroutine_at(task.coro) for task in _tree(self.main)]
        # Main has ended: what Trio has yet to end, less what is Trio's own.
        tasks = [coroutine_at(task.coro) for task in _tree(trio.lowlevel.current_root_task())]
        return [task for task in tasks if not task.startswith("trio.")]

    def what_came(self, error: BaseException | None) -> str:
        if self.broken_off:
            return "did not end"
        if self._attempts > 1:
            return "was shielded"
        return "ended" if error is None else f"raised {error!r}{place_raised(error)}"

    def _guarded(self, look: Callable[[], object]) -> None:
        try:
            look()
        except BaseException as error:  # Trio would only drop the instrument
            self._break_off(error)

    def _end(self, error: AssertionError) -> None:
        self.turns = self._idle = 0
        self._attempts += 1
        if self.scope is None:
            self.is_late = self.error is None
            self._break_off(error)
        elif self.error is None:
            self.error = error
            self.scope.cancel()
        elif isinstance(error, DeadlockError) and self._attempts <= PATIENCE:
            for task in [task for task in _tree(self.main) if not task.child_nurseries]:
                trio.lowlevel.reschedule(task, outcome.Error(DeadlockError("shielded")))
        else:
            self._break_off(error)

    def _break_off(self, error: BaseException) -> None:
        self.error = error = self.error or error
        self.broken_off = True
        if self.watch is not None:
            self.watch.mute = True  # all that Trio had falls to pieces now

        def fail() -> float:
            raise error

        self._clock._real_clock = fail  # nothing else ends a run


def run_on_trio(
    main: Callable[..., Coroutine[Any, Any, T]],
    args: tuple[Any, ...],
    *,
    on_turn: Callable[[bool], object] | None = None,
    on_step: Callable[[], object] | None = None,
    on_end: Callable[[], object] | None = None,
    struck_by: Sequence[BaseException] | None = None,
) -> Ending[T]:
    """Run a main to its end; leave nothing of it.

    Args:
        main: the async function, and its arguments.
        on_turn: called when a turn of the loop has ended; with whether anything more happens
            before time moves on.
        on_step: called before each step of a task.
        on_end: called when the run has ended, to let go of its tasks, whose pieces can be loud.
        struck_by: the errors by which somebody sees to it that main fails. Whatever comes out then
            is looked at, and what its traceback holds is let go.
    """
    __tracebackhide__ = True
    ending: Ending[T] = Ending()
    clock = trio.testing.MockClock(autojump_threshold=0)
    watchdog = Watchdog(clock, on_turn, on_step)

    async def call() -> None:
        __tracebackhide__ = True
        watchdog.main = trio.lowlevel.current_task()
        with trio.CancelScope() as scope:
            watchdog.scope = scope
            try:
                ending.value = await checked_coroutine(main(*args))
            except Exception as error:
                ending.error = error  # should Trio not come to raise it
                raise
            finally:
                watchdog.scope = None
                watchdog.turns = 0

    with watching_coroutines() as watch:
        watchdog.watch = watch
        with _errors_in_generators() as unhandled:
            try:
                trio.run(call, clock=clock, instruments=[watchdog])
            except trio.TrioInternalError as error:
                if watchdog.error is None:
                    ending.error = error
            except BaseException as error:
                ending.error = error
        watchdog.main = watchdog.scope = None
        if on_end is not None:
            on_end()
        if watchdog.error is not None:
            watchdog.error.__traceback__ = None  # it leads to all the tasks there were
        # What fell to pieces, or a coroutine, may be held by nothing else.
        if watchdog.broken_off or struck_by is not None:
            ending.let_go(struck_by or ())
        gc.collect()  # what was never awaited says so now
    if ending.interrupted():
        return ending
    found, watchdog.error = watchdog.error, None
    if isinstance(found, (DeadlockError, LivelockError)) and watchdog.is_late:
        found.add_note("when main had ended")
        ending.find(found)
    elif isinstance(found, (DeadlockError, LivelockError)):
        ending.find_hung(found, watchdog.what_came(ending.error))
        ending.error = None
    elif found is not None:  # an error of a hook
        ending.error = found
    ending.find_never_awaited(watch.found)
    ending.find_unhandled(unhandled)
    return ending


def _tree(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    """A task and all below it; of siblings, those that stand at the same line together."""
    if task is None:
        return
    yield task
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda child: coroutine_at(child.coro)):
            yield from _tree(child)


@contextmanager
def _errors_in_generators() -> Iterator[list[tuple[str, BaseException | None]]]:
    """What Trio logs, since nobody is there to raise it to."""
    errors: list[tuple[str, BaseException | None]] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            errors.append((record.getMessage(), error))

    logger, handler = logging.getLogger("trio.async_generator_errors"), Collect()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield errors
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
