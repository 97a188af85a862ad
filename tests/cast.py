"""The jobs of a schedule and the source they come from, and a record of how each fared."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel

import waitkit
from jobs import cancelled_error, clean_up, now
from schedules import ITERATORS, KEYED, SLOW, Job, Schedule

Entry: TypeAlias = tuple[str, int]  # how an input ended, and its index


class JobError(Exception):
    """The failure of the job with this index."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Cast:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.count = len(schedule.jobs)
        self.made: dict[int, Coroutine[Any, Any, int]] = {}
        self.tasks: list[asyncio.Task[int]] = []  # if that is what is given
        self.source: Any = None  # the iterator, if it is one
        self.pulled = 0  # out of it
        self.left: list[int] = []  # what it gives afterwards
        self.begun: list[int] = []
        self.ended: list[Entry] = []  # in the order in which the jobs found themselves ending
        self.ended_at: list[float] = []
        self.errors: list[JobError] = []
        self.cancelled_again: list[int] = []  # while they cleaned up

    def key(self, index: int) -> str | int:
        return f"k{index}" if self.schedule.shape in KEYED else index

    def make(self, index: int) -> Coroutine[Any, Any, int]:
        if index in self.made:
            self.made[index].close()  # the oracle makes its own
        self.made[index] = job = self._job(index)
        return job

    async def _job(self, index: int) -> int:
        self.begun.append(index)
        how = "value"
        try:
            return await self._work(self.schedule.jobs[index], index)
        except cancelled_error():
            how = "cancelled"
            raise
        except JobError as error:
            how = "error"
            self.errors.append(error)
            raise
        finally:
            self.ended.append((how, index))
            self.ended_at.append(now())

    async def _work(self, job: Job, index: int) -> int:
        try:
            if job.delay:
                await anyio.sleep(job.delay)
            await _turns(job.ticks)
            if job.kind == "cancelled":
                await _be_cancelled()
        except cancelled_error():
            try:
                with anyio.CancelScope(
                    shield=True
                ):  # needed on Trio, no help against asyncio's own
                    await _turns(job.ticks)
                if job.kind == "slow":
                    await clean_up(job.delay or 1)
            except cancelled_error():
                self.cancelled_again.append(index)
            if job.kind == "fails":
                raise JobError(index) from None
            if job.kind == "swallows":
                return index
            raise
        if job.kind == "error":
            raise JobError(index)
        return index

    def inputs(self) -> Any:
        indexes = range(self.count)
        match self.schedule.shape:
            case "list":
                return [self.make(index) for index in indexes]
            case "tasks":
                self.tasks = [asyncio.create_task(self.make(index)) for index in indexes]
                return self.tasks
            case "tuple":
                return tuple(self.make(index) for index in indexes)
            case "mapping":
                return {self.key(index): self.make(index) for index in indexes}
            case "call_each":
                return waitkit.call_each(self._call, [self.key(index) for index in indexes])
            case "generator":
                self.source = self._iterate(self.make)
            case "keyed":
                self.source = self._iterate(lambda index: (self.key(index), self.make(index)))
                return waitkit.keyed(self.source)
            case "lazy call_each":
                self.source = self._iterate(self.key)
                return waitkit.call_each(self._call, self.source)
            case "async generator" | "slow async generator":
                self.source = self._generate(slow=self.schedule.shape in SLOW)
        return self.source

    def _call(self, key: Any) -> Coroutine[Any, Any, int]:
        return self.make(int(key[1:]))

    def _iterate(self, make: Callable[[int], Any]) -> Iterator[Any]:
        for index in range(self.count):
            self.pulled += 1
            yield make(index)

    async def _generate(self, *, slow: bool) -> AsyncIterator[Any]:
        for index in range(self.count):
            if slow:
                await anyio.sleep(1)
            self.pulled += 1
            yield self.make(index)

    def read_what_is_left(self) -> None:
        if self.source is not None and self.schedule.shape in ITERATORS:
            pulled = self.pulled
            for _ in self.source:
                self.left.append(self.pulled - 1)
            self.pulled = pulled

    def find_running(self) -> set[int]:
        return set(self.begun) - {index for _, index in self.ended}

    def find_unclosed(self) -> set[int]:
        unclosed = {
            i
            for i, job in self.made.items()
            if inspect.getcoroutinestate(job) != inspect.CORO_CLOSED
        }
        if inspect.isasyncgen(self.source) and self.source.ag_frame is not None:
            unclosed.add(-1)
        return unclosed


async def _turns(count: int) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def _be_cancelled() -> None:
    """Somebody else cancels the task."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
