"""Who is at work: the jobs that a call started, adopted or borrowed.

A Future may stand at several places (R4): it is one job with several indexes, watched by one
callback. What is borrowed is watched as well, and let go where others are cancelled (R1).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, Final

from ._backends import Backend, Job, Timer
from ._inputs import Borrowed
from ._reports import Reporter

PATIENCE: Final = 10.0  # seconds from the cancel of a job until it is named as refusing (R22)


def over(*_: object) -> Any:
    raise AssertionError("the call is over")


class Roster:
    __slots__ = (
        "_asked",
        "_backend",
        "_places",
        "_reporter",
        "_spared",
        "_timers",
        "lent",
        "on_done",
        "owner",
        "running",
        "start",
        "twins",
    )

    def __init__(
        self, backend: Backend, reporter: Reporter, on_done: Callable[[Any], None]
    ) -> None:
        self._backend = backend
        self._reporter = reporter
        self._timers: list[Timer] = []
        self.on_done = on_done
        self.start = backend.starter(on_done)
        self.running: dict[Job, int] = {}  # each with its index, in the order of taking
        self.twins = 0  # further places of the same jobs: each counts against the limit
        self.owner: Job | None = None  # who called: it cannot await itself
        self._places: dict[Job, list[int]] = {}
        self.lent: set[Job] = set()
        self._asked: set[Job] = set()  # to stop: each is cancelled once (R23)
        self._spared: set[Job] = set()  # they close their own stream, and go on (R26)

    def __len__(self) -> int:
        return len(self.running) + self.twins

    def adopt(self, aw: Any, index: int) -> Job | None:
        """Enter a Task or Future that somebody else started; None if it is none."""
        if isinstance(aw, Borrowed):
            self.lend([aw])
            aw = aw.future
        job = self._backend.future(aw)
        if job is None:
            return None
        if job is self.owner:
            raise ValueError(f"input {index} is the calling task, which would wait for itself")
        if job in self.running:
            self._places.setdefault(job, []).append(index)
            self.twins += 1
        else:
            self.running[job] = index
            self._backend.watch(job, self.on_done)
        return job

    def lend(self, aws: Iterable[Any]) -> None:
        """Spare what is borrowed, also where it is given plain as well."""
        self.lent.update(aw.future for aw in aws if isinstance(aw, Borrowed))

    def is_lent(self, aw: Any) -> bool:
        """Whether an input is borrowed, here or at another place."""
        if isinstance(aw, Borrowed):
            return True
        try:
            return aw in self.lent
        except Exception:  # it cannot be hashed or compared, and so is no Future
            return False

    def leave(self, job: Job) -> list[int]:
        """Strike off a job that has ended; give back its further places."""
        self._asked.discard(job)
        if not self.twins:
            return []
        places = self._places.pop(job, [])
        self.twins -= len(places)
        return places

    def spare(self, closer: Job | None, *, starting: bool) -> None:
        """Do not cancel a job for closing its own stream; anyone else means all jobs.

        An eager job is not entered yet while it is `starting`.
        """
        if closer is not None and (closer in self.running or starting):
            self._spared.add(closer)
        else:
            self._spared.clear()

    def cancel(self, jobs: Collection[Job | None] | None = None) -> None:
        """Cancel these jobs, or all, but for those that have been cancelled or must not be."""
        kept = self._asked | self.lent | self._spared
        among = self.running if jobs is None else jobs
        doomed = [job for job in among if job is not None and job not in kept]
        if doomed:
            self._asked.update(doomed)
            self._backend.cancel(doomed)
            refusing = partial(self._name_refusing, doomed)
            self._timers.append(self._backend.timer(PATIENCE, refusing))

    def _name_refusing(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job in self.running:
                self._reporter.refusing(job, self.running[job], PATIENCE)

    def disband(self) -> None:
        """All have ended."""
        self.owner = None
        self._spared.clear()
        self.on_done = self.start = over
        while self._timers:
            self._timers.pop().cancel()

    def release(self) -> Iterator[int]:
        """Let go of what is borrowed: leave no callback on it, and give back its places.

        Not of one that is done: its callback is on its way.
        """
        for job in [job for job in self.running if job in self.lent and not job.done()]:
            self._backend.unwatch(job, self.on_done)
            yield self.running.pop(job)
            yield from self.leave(job)
