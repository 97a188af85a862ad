"""One run of `raise_everywhere` on Trio, in which one sleep fails.

Imported when a test asks for it, as Trio is then. Trio has no hook for its timers, so an instrument
looks at each task that has gone to wait, whether it does so in `trio.sleep_until`, which all of
`trio.sleep` goes through. A task is woken with an error by `trio.lowlevel.reschedule`, which is how
everything on Trio wakes a task.
"""

from __future__ import annotations

import outcome
import trio
import trio.lowlevel

from ._checks import checked_coroutine
from ._on_trio import run_on_trio
from ._places import coroutine_at, frames_of
from ._striking import Run, Scenario


class _FailingSleep(trio.abc.Instrument):
    def __init__(self, error: Exception, at: int | None) -> None:
        self.main: trio.lowlevel.Task | None = None  # while it runs
        self.moments = 0
        self.struck: str | None = None
        self._error = error
        self._at = at
        self._awake: set[trio.lowlevel.Task] = set()  # those that will have a step
        self._failing: trio.lowlevel.Task | None = None
        self._when: float  # when that one fails, and how
        self._how: str

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._awake.discard(task)

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        self._awake.add(task)
        if task is self._failing:  # it was cancelled
            self._failing = None

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.main is None or task in self._awake or not self._of_main(task):
            return
        until = _sleeps_until(task)
        if until is None:
            return
        now = trio.current_time()
        if self._at == self.moments:
            self._failing, self._when, self._how = task, now, "at once"
        elif self._at == self.moments + 1:
            self._failing, self._when, self._how = task, until, f"after {until - now:g} s"
        self.moments += 2

    def before_io_wait(self, timeout: float) -> None:
        # Time has moved on by now, and what it ends is not ended yet.
        task = self._failing
        if task is None or trio.current_time() < self._when:
            return
        self.struck = f"failed {self._how}: {coroutine_at(task.coro)}"
        trio.lowlevel.reschedule(task, outcome.Error(self._error))

    def let_go(self) -> None:
        """Hold no task of a run that is over."""
        self.main = self._failing = None
        self._awake.clear()

    def _of_main(self, task: trio.lowlevel.Task | None) -> bool:
        """Whether it is main, or runs in a nursery of main's or of one that does."""
        while task is not None and task is not self.main:
            task = task.parent_nursery.parent_task if task.parent_nursery else None
        return task is not None


def _sleeps_until(task: trio.lowlevel.Task) -> float | None:
    for frame in frames_of(task.coro):
        if frame.f_code is trio.sleep_until.__code__:
            until: float = frame.f_locals["deadline"]
            return until
    return None


def run_once_on_trio(make_main: Scenario, error: Exception, at: int | None) -> Run:
    failing = _FailingSleep(error, at)

    async def main() -> None:
        __tracebackhide__ = True
        failing.main = trio.lowlevel.current_task()
        trio.lowlevel.add_instrument(failing)
        try:
            await checked_coroutine(make_main())
        finally:
            failing.main = None

    struck_by = None if at is None else (error,)
    ending = run_on_trio(main, (), on_end=failing.let_go, struck_by=struck_by)
    return Run(ending, failing.moments, failing.struck, error)
