"""The jobs of a schedule and the source they come from, and a record of how each fared."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeAlias

import anyio

import virtual_time
import waitkit
from jobs import cancelled_error, now
from schedules import ITERATORS, KEYED, SLOW, Schedule
from waitkit.testing.strategies import JobBaseError, JobError

Entry: TypeAlias = tuple[str, int]  # how an input ended, and its index


class _Watched(virtual_time.Spy[int]):
    """A coroutine that remembers which cancellations were thrown into it, awaited by another."""

    def __await__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)


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
        self.errors: list[JobError | JobBaseError] = []
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
        watched = _Watched(self.schedule.jobs[index].run(index))
        how = "value"
        try:
            value: int = await watched
            return value
        except cancelled_error():
            how = "cancelled"
            raise
        except (JobError, JobBaseError) as error:
            how = "error"
            self.errors.append(error)
            raise
        finally:
            self.ended.append((how, index))
            self.ended_at.append(now())
            if len(watched.thrown) > 1:
                self.cancelled_again.append(index)
            watched.thrown.clear()  # their tracebacks hold this frame

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
