"""How inputs become jobs: never more than the limit, never fewer while inputs remain.

Three things hold a start back: no free slot (R2), no room for results that nobody has consumed
(R3), and the stagger after the last start (R19). What ends each of them calls back here.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Iterator, Sized
from itertools import repeat
from types import CoroutineType
from typing import Any, Final

from ._backends import Backend, Timer
from ._closable import close_unstarted
from ._inputs import check_distinct, split_input
from ._policy import Policy
from ._reports import Reporter
from ._roster import Roster, over
from ._sources import NOTHING, Intake

_UNLIMITED: Final = sys.maxsize  # no more fits into `repeat`


class _Never:
    """The timer of an infinite stagger: only a failure starts the next input."""

    def cancel(self) -> None: ...


_NEVER: Final = _Never()


class Starter:
    __slots__ = tuple(
        """
        filling held_back more stopped taken
        _backend _buffersize _finished _intake _limit _on_failure _pacing
        _given_up _plain _reporter _roster _seen _stagger _start
        """.split()  # noqa: SIM905  # a list of them takes twenty lines
    )

    def __init__(
        self,
        policy: Policy,
        backend: Backend,
        intake: Intake,
        roster: Roster,
        reporter: Reporter,
        finished: Sized,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._backend = backend
        self._intake = intake
        self._roster = roster
        self._start = roster.start
        self._reporter = reporter
        self._finished = finished  # and not delivered
        self._on_failure = on_failure
        self._plain = reporter.keys is None
        self._limit = min(policy.max_concurrency or _UNLIMITED, _UNLIMITED)
        self._buffersize = min(policy.buffersize or _UNLIMITED, _UNLIMITED)
        self._stagger = policy.stagger
        self._seen: set[Hashable] | None = set() if policy.distinct else None
        self.taken = 0  # inputs: the index of the next one
        self.more = True  # the intake may have something left
        self.stopped = False
        self._given_up = False  # and not only drained
        self.filling = False
        self.held_back = False
        self._pacing: Timer | None = None

    def refill(self) -> None:
        """`fill`, from outside of the call's context, which cannot be entered twice."""
        if not self.filling:
            self._backend.context.run(self.fill)

    def fill(self) -> None:
        """Take inputs and start them, as many as may be."""
        # A source, or the first step of an eager job, may come back here.
        if self.filling or self.stopped or self._pacing is not None:
            return
        self.filling = True
        running, intake = self._roster.running, self._intake
        queue = intake.queue
        busy = len(running) + self._roster.twins
        room = self._limit - busy
        if room > (space := self._buffersize - busy - len(self._finished)):
            room, self.held_back = space, True
        failure = None
        try:
            for _ in repeat(None, room):
                item = queue.popleft() if queue else intake.take()
                if item is NOTHING:
                    break
                if self._plain and type(item) is CoroutineType:
                    index = self.taken
                    self.taken = index + 1
                    try:
                        running[self._start(item)] = index
                    except BaseException:
                        close_unstarted([item])
                        raise
                else:
                    self._begin(item)
                if self.stopped:  # by that source, or that first step
                    break
                if self._stagger is not None:
                    never = self._stagger == math.inf
                    self._pacing = (
                        _NEVER if never else self._backend.timer(self._stagger, self.hurry)
                    )
                    break
        except BaseException as error:
            failure = error
        self.filling = False
        self.more = intake.head is not None or not intake.exhausted  # the usual case without a call
        if failure is not None:
            self._on_failure(failure)
        del failure  # its traceback holds this frame: R30
        if self._given_up:
            self._roster.cancel()  # what was begun meanwhile too

    def _begin(self, item: Any) -> None:
        """Start or adopt an input of any kind."""
        key, aw = split_input(item, self.taken, keyed=not self._plain)
        try:
            if self._seen is not None:
                check_distinct(key, self._seen)
            index = self.number(key)
            if type(aw) is CoroutineType or self._roster.adopt(aw, index) is None:
                self._roster.running[self._start(aw)] = index
        except BaseException:
            close_unstarted([aw])
            raise

    def number(self, key: Any) -> int:
        """Give an input its index, in the order of taking."""
        index = self.taken
        self.taken = index + 1
        if self._reporter.keys is not None:
            self._reporter.keys[index] = key
        return index

    def make_room(self) -> None:
        """Something was delivered that held the next start back (R3)."""
        self.held_back = False
        self.refill()

    def hurry(self) -> None:
        """Start the next input: the stagger has passed, or a job has failed (R19)."""
        if self._pacing is not None:
            self._pacing.cancel()
            self._pacing = None
            self.fill()

    def fed(self) -> None:
        """An async source has ended."""
        self.more = not self._intake.exhausted
        self.fill()

    def drain(self) -> Iterator[tuple[Any, Any]]:
        """Take no more; give back what was at hand."""
        return self._stop(everything=False)

    def give_up(self, *, everything: bool) -> Iterator[tuple[Any, Any]]:
        """The same for good, with what else there was in sized sources (R17)."""
        self._given_up = True
        return self._stop(everything=everything)

    def _stop(self, *, everything: bool) -> Iterator[tuple[Any, Any]]:
        self.stopped = True
        if self._pacing is not None:
            self._pacing.cancel()
            self._pacing = None
        left = self._intake.stop(everything=everything)
        self.more = not self._intake.exhausted  # a feeder that still has to end
        return left

    def disband(self) -> None:
        self._start = self._on_failure = over
