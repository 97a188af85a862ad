"""A loop that turns by hand, and jobs that end when they are told: what a stream is made of."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import warnings
from collections import deque
from collections.abc import Coroutine, Iterator
from types import CoroutineType
from typing import Any, Literal, NamedTuple, TypeAlias

import virtual_time
import waitkit
from stream_model import Segment
from waitkit.testing.strategies import JobError

IfCancelled: TypeAlias = Literal["stops", "cleans up", "fails", "returns"]
IF_CANCELLED: tuple[IfCancelled, ...] = ("stops", "stops", "cleans up", "fails", "returns")


class StreamJob:
    def __init__(
        self, number: int, if_cancelled: IfCancelled, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.number = number
        self.if_cancelled = if_cancelled
        self.told: asyncio.Future[str] = loop.create_future()  # how to end
        self.cleaned_up: asyncio.Future[None] = loop.create_future()
        self.task: asyncio.Task[Any] | None = None
        self.coro: CoroutineType[Any, Any, int] | None = None
        self.cancelled = 0  # times
        self.cancelled_elsewhere = 0
        self.error: JobError | None = None

    @property
    def unstarted(self) -> bool:
        """Whether it will have no step any more, if it had none; a call may not even be made."""
        return self.task is None and (self.coro is None or self.coro.cr_frame is None)

    async def run(self, begun: list[int], ended: list[tuple[int, str]]) -> int:
        self.task = asyncio.current_task()
        begun.append(self.number)
        how = "cancelled"
        try:
            try:
                how = await self.told
            except asyncio.CancelledError:
                self.cancelled += 1
                how = {"fails": "error", "returns": "value"}.get(self.if_cancelled, how)
                if self.if_cancelled == "cleans up":
                    await self._clean_up()
                if how == "cancelled":
                    raise
            if how == "error":
                self.error = JobError(self.number)
                raise self.error
            return self.number
        finally:
            ended.append((self.number, how))

    async def _clean_up(self) -> None:
        while not self.cleaned_up.done():
            try:
                await asyncio.shield(self.cleaned_up)
            except asyncio.CancelledError:
                self.cancelled += 1


class Counts(NamedTuple):
    """What the repr of a stream tells."""

    running: int
    undelivered: int
    taken: int


class _Logged(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.errors.append(record.exc_info[1])


class Stage:
    """The loop, all jobs ever made, and the record of what they did."""

    def __init__(self) -> None:
        gc.freeze()  # so that the collection at the end is of what was made since
        self.loop = virtual_time.new_loop()
        asyncio.set_event_loop(self.loop)
        self._catching = warnings.catch_warnings(record=True)
        self.warned = self._catching.__enter__() or []
        warnings.simplefilter("always")
        self._logger, self.logged = logging.getLogger("waitkit"), _Logged()
        self._logger.addHandler(self.logged)
        self._propagate, self._logger.propagate = self._logger.propagate, False
        self.keyed = False
        self.jobs: list[StreamJob] = []
        self.begun: list[int] = []
        self.ended: list[tuple[int, str]] = []  # which and how, in that order
        self.disposed: list[int] = []
        self._lazy: list[tuple[Iterator[Any], Segment]] = []

    def strike_down(self) -> None:
        self._catching.__exit__(None, None, None)
        self._logger.removeHandler(self.logged)
        self._logger.propagate = self._propagate
        asyncio.set_event_loop(None)
        self.loop.close()
        gc.unfreeze()

    def turn(self) -> None:
        """Have the loop turn once: what is ready runs, and what that makes ready does not."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    # --- inputs

    def make(self, if_cancelled: IfCancelled) -> int:
        self.jobs.append(StreamJob(len(self.jobs), if_cancelled, self.loop))
        return len(self.jobs) - 1

    def begin(self, number: int) -> Coroutine[Any, Any, int]:
        job = self.jobs[number]
        coro = job.run(self.begun, self.ended)
        assert isinstance(coro, CoroutineType)
        job.coro = coro
        return coro

    def key(self, number: int) -> str:
        return f"k{number}"

    def inputs(self, kinds: list[IfCancelled], lazy: bool) -> tuple[Any, Segment]:
        """What a helper takes, and what the model has to know of it."""
        numbers = [self.make(kind) for kind in kinds]
        segment = Segment(lazy, deque(numbers))
        if not lazy:
            coros = {self.key(number): self.begin(number) for number in numbers}
            return (coros if self.keyed else list(coros.values())), segment
        given: Iterator[Any] = map(self.begin, numbers)
        if self.keyed and len(numbers) % 2:
            given = map(self.key, numbers)
        elif self.keyed:
            given = ((self.key(number), self.begin(number)) for number in numbers)
        self._lazy.append((given, segment))
        if self.keyed and len(numbers) % 2:
            return waitkit.call_each(lambda key: self.begin(int(key[1:])), given), segment
        return (waitkit.keyed(given) if self.keyed else given), segment

    def check_what_is_left(self) -> None:
        """R26, R27: iterators keep what was not taken."""
        for given, segment in self._lazy:
            left = list(given)
            assert len(left) == len(segment.jobs)
            for item in left:
                if not isinstance(item, str):
                    (item[1] if self.keyed else item).close()

    # --- jobs

    def at_work(self) -> list[StreamJob]:
        ended = {number for number, _ in self.ended}
        return [self.jobs[number] for number in self.begun if number not in ended]

    def untold(self) -> list[StreamJob]:
        return [job for job in self.at_work() if not (job.told.done() or job.cancelled)]

    def cleaning_up(self) -> list[StreamJob]:
        return [job for job in self.at_work() if job.cancelled and not job.cleaned_up.done()]


def read_counts(stream: waitkit.ResultStream[Any]) -> Counts:
    found = re.search(
        r": (\d+) running, (\d+) finished \((\d+) not delivered\), (\d+) taken>$", repr(stream)
    )
    assert found
    running, finished, undelivered, taken = map(int, found.groups())
    assert running + finished == taken
    return Counts(running, undelivered, taken)
