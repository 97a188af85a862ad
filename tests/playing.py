"""A schedule being played: one run of a helper in virtual time, and the record of what happened."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import anyio
import anyio.lowlevel

import virtual_time
import waitkit
from cast import Cast, Entry
from jobs import cancelled_error, now
from schedules import FAILURES_AS_DATA, KEYED, STREAMS, Schedule
from waitkit.testing.strategies import JobBaseError, JobError


class Tick(NamedTuple):
    """What had happened when a turn of the loop had ended."""

    quiet: bool  # nothing more happens before time moves on
    taken: int  # inputs; jobs that had their first step, where taking shows nowhere
    begun: int
    ended: int
    delivered: int


ALONE = 2**-10  # seconds: sooner than anything else, and exact

Conduct: TypeAlias = Callable[["Record"], Coroutine[Any, Any, None]]


class Record(Cast):
    """One run of a helper on a schedule: what its jobs did, and what came out."""

    def __init__(self, helper: str, schedule: Schedule, conduct: Conduct) -> None:
        super().__init__(schedule)
        self.helper = helper
        self._conduct = conduct
        self.delivered: list[Entry] = []
        self.woke_at: list[float] = []  # the consumer, from its pauses
        self.raised: BaseException | None = None
        self.disposed: list[int] = []
        self.timed_out = False
        self.given: Any = None
        self.partial: waitkit.Partial[Any, int] | None = None
        self.broke_off = False
        self.sent: list[str] = []  # cancellations of the caller, by message
        self.sent_at: float | None = None  # the first
        self.begun_when_sent = 0
        self.was_cancelled = False  # that is what came out
        self.cancelling = 0
        self.moments = 0  # at which the caller could have been struck
        self._caller: asyncio.Task[None] | None = None
        self._due: list[int] = []
        self.ticks: list[Tick] = []
        self.logged: list[BaseException] = []
        self.warned: list[str] = []
        self.running_at_return: set[int] = set()
        self.unclosed: set[int] = set()  # at return too; -1 is the source
        self.disposed_at_return: list[int] = []
        self.events_at_return = 0
        self.returned_at: float | None = None

    # --- what happened, for the properties

    @property
    def values(self) -> list[int]:
        """The jobs that returned, in that order."""
        return [index for how, index in self.ended if how == "value"]

    @property
    def delivered_values(self) -> list[int]:
        return [index for how, index in self.delivered if how == "value"]

    def verdict(self) -> str | None:
        """What was raised, in words; the input meant is told by the note that it carries."""
        error = self.raised
        if error is None:
            return None
        if isinstance(error, ExceptionGroup):
            return f"group of {[_input(each) for each in error.exceptions]}"
        if isinstance(error.__cause__, ExceptionGroup):
            inputs = [_input(each) for each in error.__cause__.exceptions]
            return f"{type(error).__name__} from group of {inputs}"
        if isinstance(error, JobError | JobBaseError):
            return f"error {_input(error)}"
        if isinstance(error, waitkit.JobCancelledError):
            return f"cancelled {_input(error)}"
        return type(error).__name__

    def answer(self) -> tuple[object, ...]:
        """What came out, to compare it with what came out elsewhere."""
        # Cleanups that take equally long may end in any order: which one depends on other timers.
        cut_off = [entry for entry in self.delivered if entry[0] == "deadline"]
        delivered = [entry for entry in self.delivered if entry not in cut_off]
        timed_out = self.timed_out if self.helper in FAILURES_AS_DATA else None
        return delivered, sorted(cut_off), self.verdict(), timed_out

    def agrees_with(self, other: Record) -> bool:
        """Whether the same came out, up to ties where those are Trio's own (R52)."""
        if "trio" in self.schedule.mode and self.timed_out:
            # What a deadline cuts off ends all at once.
            cut_off_alike = sorted(self.delivered) == sorted(other.delivered)
            return other.timed_out and (self.broke_off or cut_off_alike)
        return self.answer() == other.answer()

    def story(self) -> tuple[object, ...]:
        """All of it, to compare two runs."""
        return (
            self.begun,
            self.ended,
            self.ended_at,
            self.delivered,
            self.verdict(),
            self.disposed,
            self.sent,
            self.ticks,
            self.returned_at,
        )

    # --- the caller and its consumer

    async def main(self) -> None:
        if virtual_time.in_block():
            await self._in_scope()
        else:
            await asyncio.create_task(self._as_task())
        if self.schedule.mode == "eager":
            gc.collect()  # a first step that raises makes a cycle that holds a bare stream, too
        await anyio.sleep(100)  # what was left running would go on now
        if self.schedule.bare:  # which is cleaned up when the stream is dropped (R25)
            self.unclosed = self.find_unclosed()
            self.running_at_return = self.find_running()
            self.disposed_at_return = self.disposed
        self.read_what_is_left()
        for job in self.made.values():
            job.close()  # for a clear failure, instead of a warning at some other time

    async def _as_task(self) -> None:
        """The caller, cancelled as a Task is."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def cancel(hops: int, message: str) -> None:
            if self.returned_at is not None:
                return
            if hops:
                loop.call_soon(cancel, hops - 1, message)
            elif task.cancel(message):
                self._note_sent(message)

        self.given = self.inputs()
        if self.tasks:
            await asyncio.sleep(0)  # so that some are done already
        for number, (at, hops) in enumerate(self.schedule.caller.cancels):
            loop.call_later(at, cancel, hops, f"cancel {number}")
        self._caller = task
        await self._run_helper()
        self._caller = None
        self.cancelling = task.cancelling()

    async def _in_scope(self) -> None:
        """The caller, cancelled by a scope around it."""

        async def cancel(at: float, hops: int, message: str) -> None:
            await anyio.sleep(at)
            for _ in range(hops):
                await anyio.lowlevel.checkpoint()
            if self.returned_at is None:
                self._note_sent(message)
                scope.cancel()

        self.given = self.inputs()
        async with anyio.create_task_group() as others:
            for number, (at, hops) in enumerate(self.schedule.caller.cancels):
                others.start_soon(cancel, at, hops, f"cancel {number}")
            with anyio.CancelScope() as scope:
                await self._run_helper()
            others.cancel_scope.cancel()

    def _note_sent(self, message: str) -> None:
        self.sent.append(message)
        if len(self.sent) == 1:
            self.sent_at = now()
            self.begun_when_sent = len(self.begun)

    async def _run_helper(self) -> None:
        try:
            await self._conduct(self)
        except (Exception, JobBaseError, cancelled_error()) as error:
            self.raised = error
        for each in (self.raised, *self.errors):
            if each is not None:  # or the frames would keep a bare stream
                each.__traceback__ = None
        self.returned_at = now()
        self.was_cancelled = isinstance(self.raised, cancelled_error())
        self.running_at_return = self.find_running()
        self.unclosed = self.find_unclosed()
        self.disposed_at_return = list(self.disposed)
        self.events_at_return = len(self.begun) + len(self.ended)

    async def call_helper(self) -> None:
        schedule, helper = self.schedule, self.helper
        options: dict[str, Any] = {"timeout": schedule.timeout, "dispose": self.dispose}
        if schedule.slow_dispose:
            options["dispose"] = self.dispose_slowly
        if helper != "first_completed":
            options["max_concurrency"] = schedule.limit
        if helper in STREAMS:
            options["buffersize"] = schedule.buffersize
        called = getattr(waitkit, helper)(self.given, **options)
        if helper not in STREAMS:
            self._read_answer(await called)
        elif schedule.bare:
            await self._consume(called)
        else:
            async with called:
                await self._consume(called)

    async def _consume(self, stream: waitkit.ResultStream[Any]) -> None:
        consumer = self.schedule.consumer
        try:
            await consumer.run(_Noting(self, stream), into=self.delivered)
            self.broke_off = len(self.delivered) == consumer.breaks_after
        finally:
            self.timed_out = stream.timed_out

    def _read_answer(self, answer: Any) -> None:
        match self.helper:
            case "gather_partial":
                self.partial = answer
                self.timed_out = answer.timed_out
                self.delivered = [self.entry(outcome) for outcome in answer.outcomes]
            case "first_error" if self.schedule.shape in KEYED:
                self.delivered = [self.entry(pair) for pair in answer.items()]
            case "first_error":
                assert type(answer) is (tuple if self.schedule.shape == "tuple" else list)
                self.delivered = [("value", value) for value in answer]
            case _:
                if self.schedule.shape == "tuple":
                    assert answer[0] == answer[1]  # the winner's place, then its value
                    answer = answer[1]
                self.delivered = [self.entry(answer)]

    def entry(self, item: Any) -> Entry:
        match item:
            case waitkit.Success(value, key, index):
                assert (key, value) == (self.key(index), index)
                return "value", index
            case waitkit.Failure(JobError() as error, key, index):
                assert (key, error.args) == (self.key(index), (index,))
                return "error", index
            case waitkit.Cancelled(key, index, reason, started):
                assert key == self.key(index)
                return (reason if started else "never started"), index
            case (key, value):
                assert key == self.key(value)
                return "value", value
            case _:
                assert isinstance(item, int)
                assert self.schedule.shape not in KEYED
                return "value", item

    def dispose(self, value: int) -> None:
        self.disposed.append(value)

    async def dispose_slowly(self, value: int) -> None:
        await anyio.sleep(1)
        self.disposed.append(value)

    def look(self, quiet: bool) -> None:
        if self.returned_at is None and (self.source is not None or self.made or self.begun):
            taken = len(self.begun) if self.schedule.sized else self.pulled
            self.ticks.append(
                Tick(quiet, taken, len(self.begun), len(self.ended), len(self.delivered))
            )
        if self.returned_at is None and self._caller is not None:
            if self._due:
                self._strike(self._caller, self._due.pop())
            else:
                self._pass_moments(self._caller, quiet)

    def _pass_moments(self, caller: asyncio.Task[None], quiet: bool) -> None:
        """Cancel the caller if this is one of the moments for it.

        There is one moment behind each turn of the loop: what the loop waits for, if it waits, may
        come in the same turn. Before it waits there is one more, where nothing else comes.
        """
        if not self._strike(caller, self.moments) and quiet:
            if self.moments in self.schedule.strikes:
                self._due.append(self.moments)
                loop = caller.get_loop()
                loop.call_later(ALONE, loop.call_soon, lambda: None)
            self.moments += 1

    def _strike(self, caller: asyncio.Task[None], moment: int) -> bool:
        for number, strike in enumerate(self.schedule.strikes):
            if strike == moment and caller.cancel(f"cancel {number}"):
                self._note_sent(f"cancel {number}")
        self.moments += moment == self.moments
        return moment in self.schedule.strikes


class _Noting(AsyncIterator[Entry]):
    """A stream as its consumer sees it: entries for items, and a note of when it asks for more."""

    def __init__(self, record: Record, stream: waitkit.ResultStream[Any]) -> None:
        self._record = record
        self._stream = stream

    async def __anext__(self) -> Entry:
        if self._record.delivered and self._record.schedule.consumer.pause:
            self._record.woke_at.append(now())
        return self._record.entry(await anext(self._stream))


def _input(error: BaseException) -> int:
    found = re.search(r"raised by input (\d+)", "\n".join(getattr(error, "__notes__", ())))
    assert found, f"no note tells which input raised {error!r}"
    if isinstance(error, JobError | JobBaseError):
        assert error.args == (int(found[1]),)
    return int(found[1])


class _Collecting(logging.Handler):
    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._record.logged.append(record.exc_info[1])


_plays = count()


class _Heap:
    set_aside = False


@contextmanager
def heap_set_aside() -> Iterator[None]:
    """For thousands of plays: spare what there is now the collections that end them."""
    # Once: what is garbage when it is frozen stays, and every task that stays slows each play.
    gc.freeze()
    _Heap.set_aside = True
    try:
        yield
    finally:
        _Heap.set_aside = False
        gc.unfreeze()


def play(helper: str, schedule: Schedule, conduct: Conduct = Record.call_helper) -> Record:
    """Run a helper on a schedule; fail if it hangs, or leaves a task, or the loop complains.

    With `conduct`, run that in the helper's place.
    """
    record = Record(helper, schedule, conduct)
    logger, handler = logging.getLogger("waitkit"), _Collecting(record)
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False  # thousands of lines otherwise
    if not _Heap.set_aside and next(_plays) % 500:
        gc.freeze()  # so that the collection that ends a run is of what that run has made
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            virtual_time.run(record.main, mode=schedule.mode, on_turn=record.look)
        record.warned = [warning.category.__name__ for warning in warned]
        return record
    except (virtual_time.Deadlock, virtual_time.Livelock) as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error  # Hypothesis shrinks it
    finally:
        if not _Heap.set_aside:
            gc.unfreeze()
        logger.propagate = propagate
        logger.removeHandler(handler)
