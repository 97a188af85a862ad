"""The seam between the engine and the event loop it runs on: one protocol, a file per loop.

The crew, the helpers and the inputs know only `Backend`. What a backend hands out as a job
is the reading half of a finished Future, which on asyncio the Task itself is.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future as ConcurrentFuture
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Any, ClassVar, Protocol, TypeVar

from ._asyncio import AsyncioBackend

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

# Functions, and whether they are protected from KeyboardInterrupt, where a backend can see to it.
ki_protection: dict[Callable[..., Any], bool] = {}


def ki_protected(function: F) -> F:
    """Mark a step of the engine: half done, it would leave jobs running (R22)."""
    ki_protection[function] = True
    return function


def ki_unprotected(function: F) -> F:
    """Mark what calls a caller's code from such a step, and can bear an interrupt."""
    ki_protection[function] = False
    return function


class Job(Protocol):
    """One input at work. Hashable by identity; the three answers are for when it is done."""

    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def exception(self) -> BaseException | None: ...
    def result(self) -> Any: ...
    def __hash__(self) -> int: ...


class Timer(Protocol):
    def cancel(self) -> None: ...


class Event(Awaitable[Any], Protocol):
    """Something to await once, until `Backend.notify`."""


class Backend(Protocol):
    """What the engine needs of an event loop, made anew for each call of a helper.

    The synchronous half never runs any callback before it returns.
    """

    CancelledError: type[BaseException]

    in_block: ClassVar[bool]
    """Jobs live in a block that the caller's task opens and closes: a stream has to be entered."""

    has_futures: ClassVar[bool]
    """There are Tasks and Futures, started by someone else, to be adopted or borrowed."""

    @staticmethod
    def wrap_future(future: ConcurrentFuture[T]) -> Awaitable[T]: ...

    @staticmethod
    def fail_after(seconds: float) -> AbstractAsyncContextManager[Any]:
        """Raise TimeoutError if the block takes longer."""
        ...

    @property
    def interrupted(self) -> bool:
        """Whether a cancellation of the caller has reached the jobs as well."""
        ...

    context: Context
    """The caller's variables: each job gets a copy of them (R5), and callbacks run in it."""

    async def open(self, on_interrupt: Callable[[], None]) -> None:
        """Before the first job: open what they live in.

        Where a cancellation reaches the jobs together with their caller, `on_interrupt` tells so
        before `on_done` tells how the first of them ended.
        """
        ...

    async def close(self) -> BaseException | None:
        """When all jobs have ended, in the task that opened; do nothing if none did.

        Gives back what `outlast` gives back.
        """
        ...

    def starter(self, on_done: Callable[[Any], None]) -> Callable[[Any], Job]:
        """A function that starts an awaitable as a job, and calls `on_done` with it at its end."""
        ...

    def feeder(self, coro: Coroutine[Any, Any, None], on_done: Callable[[Any], None]) -> Job:
        """Start a job that can be cancelled while others run on."""
        ...

    def future(self, aw: Any) -> Job | None:
        """The job that an awaitable is already, started by someone else; to be watched."""
        ...

    def watch(self, job: Job, on_done: Callable[[Any], None]) -> None:
        """Call `on_done` with an adopted job once it has ended."""
        ...

    def unwatch(self, job: Job, on_done: Callable[[Any], None]) -> None: ...

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Cancel these jobs, which are all that run, or the feeder, or adopted ones."""
        ...

    def current(self) -> Job | None:
        """The job or other task that is running now, if any."""
        ...

    def timer(self, seconds: float, callback: Callable[[], None]) -> Timer: ...

    def event(self) -> Event: ...

    def notify(self, event: Event) -> None:
        """Let whoever awaits the event go on; do nothing if nobody does any more."""
        ...

    async def outlast(self, until: Callable[[], Event | None]) -> BaseException | None:
        """Await the events that `until` gives, till it gives None, whatever cancels the caller.

        The only place where a cancellation is swallowed; the last one is given back, for the
        caller to raise (R23).
        """
        ...

    async def shielded(self, coro: Coroutine[Any, Any, None]) -> BaseException | None:
        """Run a coroutine to its end as `outlast` does."""
        ...

    def later(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """From whatever thread, have a coroutine made and run, if the loop still runs."""
        ...


def current_backend() -> type[Backend]:
    """The backend for the async library that is running: asyncio, unless Trio says it is Trio.

    Asked before asyncio is: in a Trio guest run, asyncio's loop runs too. Where nobody has
    imported Trio this costs one look-up.
    """
    if sys.modules.get("trio") is not None:
        from sniffio import thread_local  # a dependency of Trio, which sets it while it runs

        if thread_local.name == "trio":
            from ._trio import TrioBackend

            return TrioBackend
    return AsyncioBackend
