"""A plain model of a stream: what is left to take, runs, has finished, and was delivered.

It is told of everything that happens, and says what may and what must have happened. It knows
nothing of tasks, callbacks or turns of the loop.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf


@dataclass
class Segment:
    """Inputs that came together: there from the start, or asked for one by one."""

    lazy: bool
    jobs: deque[int]


@dataclass
class StreamModel:
    as_data: bool  # failures are
    in_order: bool
    limit: float = inf
    buffersize: float = inf

    segments: list[Segment] = field(default_factory=list)  # what is left to take
    taken: list[int] = field(default_factory=list)  # in this order: the place is the index
    running: set[int] = field(default_factory=set)
    finished: list[tuple[int, str]] = field(default_factory=list)  # and not delivered: job, how
    delivered: list[int] = field(default_factory=list)
    left: list[Segment] = field(default_factory=list)  # what will never be taken
    failure: tuple[int, str] | None = None  # to be raised when all before it is delivered
    drained: bool = False
    closing: bool = False  # the jobs were cancelled
    ended: bool = False  # and it was said so

    # --- what is done to it

    def add(self, job: int) -> None:
        """One more: behind what was there from the start, before what is asked for (R26)."""
        behind = 0
        while behind < len(self.segments) and not self.segments[behind].lazy:
            behind += 1
        self.extend(Segment(lazy=False, jobs=deque([job])), behind)

    def extend(self, segment: Segment, place: int | None = None) -> None:
        if self.closing:
            self.left.append(segment)
        else:
            self.segments.insert(len(self.segments) if place is None else place, segment)

    def drain(self) -> None:
        self.drained = True
        if not self.closing:
            self._give_up()

    def close(self) -> None:
        """Nobody wants anything any more."""
        self.closing = self.ended = True
        self._give_up()

    # --- what happens

    def take(self, count: int) -> None:
        for _ in range(count):
            job = self._next()
            assert job is not None, "something was taken that is not there"
            self.taken.append(job)
            self.running.add(job)

    def finish(self, job: int, how: str) -> None:
        """A job has ended."""
        self.running.discard(job)
        if self.closing:
            return
        if how == "value" or self.as_data:
            self.finished.append((job, how))
        else:
            self.failure = (job, how)
            self.closing = True
            self._give_up()

    def deliver(self, job: int, how: str) -> None:
        assert self.next_up() == (job, how), (self.next_up(), (job, how))
        self.finished.remove((job, how))
        self.delivered.append(job)

    def look_for_more(self) -> None:
        """There is room: sources that have no more are found out."""
        while self.segments and not self.segments[0].jobs:
            del self.segments[0]

    # --- what may be expected

    @property
    def room(self) -> float:
        """How many jobs may be started now (R2, R3)."""
        busy = len(self.running)
        return min(self.limit - busy, self.buffersize - busy - len(self.finished))

    @property
    def waiting(self) -> int:
        """How many inputs are left to take."""
        return sum(len(segment.jobs) for segment in self.segments)

    def next_up(self) -> tuple[int, str] | None:
        """What comes next, if it is there (R7, R9)."""
        if not self.in_order:
            return self.finished[0] if self.finished else None
        front = len(self.delivered)
        if front < len(self.taken):
            return next((each for each in self.finished if each[0] == self.taken[front]), None)
        return None

    @property
    def nothing_to_come(self) -> bool:
        over = self.closing or not (self.running or self.waiting)
        return self.ended or (self.failure is None and over and self.next_up() is None)

    def _next(self) -> int | None:
        self.look_for_more()
        return self.segments[0].jobs.popleft() if self.segments else None

    def _give_up(self) -> None:
        self.left.extend(self.segments)
        self.segments.clear()
