"""The end of a call: its jobs are awaited, then what nobody will get is disposed of.

Whoever leaves awaits all jobs, however often it is cancelled meanwhile. A job that closes its own
stream cannot await itself: it waits until only jobs that do the same still run (R26).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from ._backends import Backend, Event, Job
from ._reports import Reporter
from ._sources import Intake, close_iterator

Discard: TypeAlias = Callable[[Any], None]


class Ending:
    __slots__ = (
        "_backend",
        "_dispose",
        "_disposing",
        "_intake",
        "_joiners",
        "_reporter",
        "_running",
        "_unclaimed",
    )

    def __init__(
        self,
        backend: Backend,
        running: dict[Job, int],
        intake: Intake,
        reporter: Reporter,
        dispose: Callable[[Any], object] | None,
    ) -> None:
        self._backend = backend
        self._running = running
        self._intake = intake
        self._reporter = reporter
        self._dispose = dispose
        self._unclaimed: list[Any] = []
        self._disposing: list[Awaitable[object]] = []
        self._joiners: dict[Job | None, Event] = {}

    def discard(self, value: Any) -> None:
        """Nobody will get this value: it goes to dispose, once, at the end (R29)."""
        if self._dispose is not None:
            self._unclaimed.append(value)

    def ended(self, joiner: Job | None) -> bool:
        """Whether all that `joiner` can await has ended."""
        feeder = self._intake.feeder
        if feeder is not None and feeder is not joiner:
            return False
        if joiner in self._running:
            return self._running.keys() <= self._joiners.keys()
        return not self._running

    def announce(self) -> None:
        """A job has ended: let those go for whom it was the last."""
        if len(self._running) <= len(self._joiners):  # so that 10,000 jobs cost no more each
            for joiner in [joiner for joiner in self._joiners if self.ended(joiner)]:
                self._backend.notify(self._joiners.pop(joiner))

    async def finish(
        self, forfeit: Callable[[Discard], None], *, leaving: bool
    ) -> BaseException | None:
        """Await all jobs and dispose of what is unclaimed; give back the last cancellation.

        `forfeit` gives up what was kept for the caller: at once if it is leaving, else when a
        cancellation takes it away before that could be handed over.
        """
        joiner = self._backend.current()
        waits = False

        def until() -> Event | None:
            nonlocal waits
            let_go = waits and joiner not in self._joiners
            if let_go or self.ended(joiner):
                return None
            waits = True
            event = self._joiners[joiner] = self._backend.event()
            self.announce()  # this joiner may be the last that another one waited for
            return event

        try:
            cancelled = await self._backend.outlast(until)
        finally:
            self._joiners.pop(joiner, None)
        try:
            if leaving or cancelled is not None:
                forfeit(self.discard)
            while self._unclaimed or self._disposing or self._intake.unbegun:
                stopped = self._call_dispose()
                if stopped is not None:
                    cancelled = stopped
                    forfeit(self.discard)
                if self._disposing or self._intake.unbegun:
                    again = await self._backend.shielded(self._await_disposals())
                    if again is not None:
                        cancelled = again
                        forfeit(self.discard)
            return cancelled
        finally:
            del cancelled  # its traceback holds this frame: R30

    def _call_dispose(self) -> BaseException | None:
        """Give back what is more than a failure: it comes out when all is disposed of."""
        stopped: BaseException | None = None
        assert self._dispose is not None or not self._unclaimed
        values, self._unclaimed = self._unclaimed, []
        for value in values:
            try:
                disposal = self._dispose(value)  # type: ignore[misc]  # asserted above
            except Exception as error:
                self._reporter.undisposed(error)
            except BaseException as error:
                stopped = error
            else:
                if inspect.isawaitable(disposal):
                    self._disposing.append(disposal)
        try:
            return stopped
        finally:
            del stopped  # its traceback holds this frame: R30

    async def _await_disposals(self) -> None:
        while self._disposing:
            await self._survive(self._disposing.pop(0))
        while self._intake.unbegun:
            await self._survive(close_iterator(self._intake.unbegun.pop()))

    async def _survive(self, disposal: Awaitable[object]) -> None:
        try:
            await disposal
        except (Exception, self._backend.CancelledError) as error:
            self._reporter.undisposed(error)
