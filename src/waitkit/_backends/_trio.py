"""The engine's needs, met by Trio itself: a job is a task of a nursery, with a record of its own.

    the caller's task   opens and closes an outer nursery, which nothing ever cancels
      the host          a task in it, which holds the inner nursery and keeps the time
        the jobs        tasks of the inner nursery, which is cancelled to cancel them

Cancelling a nursery cancels the block it was opened in, too. Were there but one, a failure would
cancel the body of the consumer's loop (R9).

A job's task swallows whatever the job raises, and hands it to the engine with no checkpoint in
between, where no cancellation can strike; so no nursery ever has anything to raise. Jobs have no
cancel scopes of their own, which would double what a job costs: they are cancelled all together.
"""

from __future__ import annotations

import concurrent.futures
import heapq
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from contextvars import copy_context
from itertools import count
from typing import Any, ClassVar, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import trio
from trio.lowlevel import (
    checkpoint_if_cancelled,
    current_task,
    current_trio_token,
    disable_ki_protection,
    enable_ki_protection,
    spawn_system_task,
)

from .._checks import safe_repr
from .._closable import close_unstarted
from .._errors import JobCancelledError
from . import ki_protection

for _function, _protected in ki_protection.items():
    (enable_ki_protection if _protected else disable_ki_protection)(_function)

T = TypeVar("T")
OnDone: TypeAlias = Callable[[Any], None]


class TrioJob:
    """What became of a task: Trio's own tell nobody."""

    __slots__ = ("_cancelled", "_error", "_value", "name", "scope")

    def __init__(self, aw: Any, scope: trio.CancelScope | None = None) -> None:
        self.name = getattr(aw, "__qualname__", None) or safe_repr(aw)
        self.scope = scope  # the feeder's own
        self._cancelled = False
        self._value: Any = None
        self._error: BaseException | None = None

    def finish(self, value: Any) -> None:
        self._value = value

    def fail(self, error: BaseException) -> bool:
        """Enter what a job raised, less its cancellation; tell whether it had been cancelled."""
        struck, self._error = _split(error, trio.Cancelled)
        self._cancelled = self._error is None
        return struck is not None

    def never_start(self) -> None:
        self._cancelled = True

    def done(self) -> bool:
        return False  # whoever asks has not been told of its end yet, which is told at once

    def cancelled(self) -> bool:
        return self._cancelled

    def exception(self) -> BaseException | None:
        return self._error

    def result(self) -> Any:
        return self._value  # asked for where there is no error

    def __repr__(self) -> str:
        return f"<job {self.name}>"


class ThreadJob:
    """A `concurrent.futures.Future`: others work on it, and call back from threads of their own."""

    __slots__ = ("__weakref__", "_future", "_given_up", "_on_done", "_tell")

    def __init__(self, future: concurrent.futures.Future[Any], tell: Callable[[OnDone], None]):
        self._future = future
        self._tell = tell
        self._given_up = False
        self._on_done: OnDone | None = None

    def watch(self, on_done: OnDone) -> None:
        self._on_done = on_done
        self._future.add_done_callback(lambda _: self._tell(self._end))

    def cancel(self) -> None:
        """Cancel it; one that a thread is at work on cannot be, and is waited for no longer."""
        try:
            if self._future.cancel():
                return
        except Exception:  # what others have made may refuse
            logging.getLogger("waitkit").warning("could not cancel %r", self, exc_info=True)
        self._given_up = not self._future.done()
        self._tell(self._end)

    def _end(self, _: object) -> None:
        on_done, self._on_done = self._on_done, None
        if on_done is not None:
            on_done(self)

    def done(self) -> bool:
        return self._given_up or self._future.done()

    def cancelled(self) -> bool:
        return self._given_up or self._future.cancelled()

    def exception(self) -> BaseException | None:
        return self._future.exception()

    def result(self) -> Any:
        return self._future.result()

    def __repr__(self) -> str:
        return repr(self._future)


class TrioEvent:
    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._event.wait().__await__()

    def notify(self) -> None:
        self._event.set()


class TrioTimer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class TrioBackend:
    __slots__ = (
        "_alive",
        "_asked",
        "_bell",
        "_closed",
        "_exit",
        "_jobs",
        "_nap",
        "_of_threads",
        "_on_interrupt",
        "_order",
        "_outer",
        "_owner",
        "_tasks",
        "_timers",
        "_token",
        "_unspawned",
        "context",
        "interrupted",
    )

    CancelledError: type[BaseException] = trio.Cancelled
    in_block: ClassVar[bool] = True
    has_futures: ClassVar[bool] = False

    def __init__(self) -> None:
        self._token = current_trio_token()
        self._of_threads: WeakValueDictionary[Any, ThreadJob] = WeakValueDictionary()
        self.context = copy_context()
        self._owner: trio.lowlevel.Task | None = None  # who opened, and has to close
        self._outer: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._jobs: trio.Nursery | None = None  # the inner nursery, from the host's first step on
        self._unspawned: deque[tuple[TrioJob, Any, OnDone]] = deque()  # started before that
        self._alive = 0  # jobs that were started and have not ended
        self._tasks: dict[trio.lowlevel.Task, TrioJob] = {}  # those that have had their first step
        self._asked = False  # the engine has cancelled the jobs
        self.interrupted = False
        self._exit: BaseException | None = None  # a KeyboardInterrupt or SystemExit of a job
        self._on_interrupt: Callable[[], None] | None = None
        self._timers: list[tuple[float, int, TrioTimer]] = []  # a heap, by when they go off
        self._order = count()
        self._nap: trio.CancelScope | None = None  # in which the host waits for the next of them
        self._bell: trio.Event | None = None  # or for this
        self._closed = False

    @staticmethod
    async def wrap_future(future: concurrent.futures.Future[T]) -> T:
        event, token = trio.Event(), current_trio_token()

        def tell(_: object) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(event.set)

        future.add_done_callback(tell)
        try:
            await event.wait()
        except trio.Cancelled:
            future.cancel()
            raise
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise JobCancelledError("a concurrent.futures.Future was cancelled") from error

    @staticmethod
    def fail_after(seconds: float) -> AbstractAsyncContextManager[None]:
        return _fail_after(seconds)

    async def open(self, on_interrupt: Callable[[], None]) -> None:
        self._on_interrupt = on_interrupt
        self._owner = current_task()
        self._outer = trio.open_nursery()
        nursery = await self._outer.__aenter__()
        nursery.start_soon(self._host, name="waitkit")

    async def close(self) -> BaseException | None:
        if self._outer is None:
            return None
        self._closed = True
        self._on_interrupt = None
        self._wake()
        outer, self._outer = self._outer, None
        if current_task() is not self._owner:
            # An async generator that yields in the block, closed by whoever finalizes it. Trio
            # tells when the task that opened it ends; to close it here would wake that one.
            return None
        try:
            # Not told of an error: the jobs' are raised bare, and so is the one of the block (R51).
            await outer.__aexit__(None, None, None)
        except BaseExceptionGroup as group:  # of the KeyboardInterrupt that came just then
            return group.exceptions[0]
        except KeyboardInterrupt as error:  # the same, in a run without strict groups
            return error
        return None

    @enable_ki_protection
    async def _host(self) -> None:
        async with trio.open_nursery() as self._jobs:
            self.context.run(self._spawn_first, self._jobs)  # as the later ones (R5)
            try:
                await self._keep_time(lambda: self._closed or self._asked, shield=False)
            except trio.Cancelled:  # with its caller, or that is gone and has left its nursery
                self._interrupt()
            # Here, and not where the engine asks for it: what strikes a task has in its traceback
            # whoever cancelled, and would hold the engine and all results (R30).
            if self._asked:
                self._jobs.cancel_scope.cancel()
            await self._keep_time(lambda: self._closed or not self._alive, shield=True)

    async def _keep_time(self, over: Callable[[], bool], *, shield: bool) -> None:
        while not over():
            self._bell = trio.Event()
            with trio.CancelScope(shield=shield) as self._nap:
                self._nap.deadline = self._timers[0][0] if self._timers else math.inf
                await self._bell.wait()
            # One for each nap, or one that sets another for now would let nothing else run.
            if self._timers and self._timers[0][0] <= trio.current_time():
                callback = heapq.heappop(self._timers)[2].callback
                if callback is not None:
                    self.context.run(callback)

    def _wake(self) -> None:
        if self._bell is not None:
            self._bell.set()

    def _interrupt(self) -> None:
        if not (self._asked or self.interrupted):
            self.interrupted = True
            if self._on_interrupt is not None:
                self._on_interrupt()

    def starter(self, on_done: OnDone) -> Callable[[Any], TrioJob]:
        def start(aw: Any) -> TrioJob:
            return self._start(TrioJob(aw), aw, on_done)

        return start

    def feeder(self, coro: Coroutine[Any, Any, None], on_done: OnDone) -> TrioJob:
        return self._start(TrioJob(coro, trio.CancelScope()), coro, on_done)

    def _start(self, job: TrioJob, aw: Any, on_done: OnDone) -> TrioJob:
        if self._jobs is None:
            self._unspawned.append((job, aw, on_done))
        else:
            self._spawn(self._jobs, job, aw, on_done)
        self._alive += 1
        return job

    def _spawn_first(self, nursery: trio.Nursery) -> None:
        while self._unspawned:
            self._spawn(nursery, *self._unspawned.popleft())

    def _spawn(self, nursery: trio.Nursery, job: TrioJob, aw: Any, on_done: OnDone) -> None:
        nursery.start_soon(self._run, job, aw, on_done, name=job.name)

    @enable_ki_protection
    async def _run(self, job: TrioJob, aw: Any, on_done: OnDone) -> None:
        if self._asked:  # as an asyncio Task that is cancelled before its first step
            close_unstarted([aw])
            job.never_start()
        else:
            task = current_task()
            self._tasks[task] = job
            try:
                job.finish(await _interruptible(aw, job.scope))
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    close_unstarted([aw])  # it may come before the first step
                if job.fail(_without_own_frames(error)):
                    self._interrupt()
                # asyncio lets these out of the loop, whatever else happens (R14).
                if _split(error, (KeyboardInterrupt, SystemExit))[0] is not None:
                    self._exit = error
            del self._tasks[task]
        self._alive -= 1
        self.context.run(on_done, job)
        # An error reaches this frame through those of the job, and would hold itself (R30).
        del job, aw, on_done
        if not self._alive:
            self._wake()

    def future(self, aw: Any) -> ThreadJob | None:
        if not isinstance(aw, concurrent.futures.Future):
            return None
        job = self._of_threads.get(aw)
        if job is None:  # else it stands at two places, and is one job (R4)
            job = self._of_threads[aw] = ThreadJob(aw, self._soon)
        return job

    def _soon(self, callback: OnDone) -> None:
        """From whatever thread, have a callback run in the caller's context."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(lambda: self.context.run(callback, None))

    def watch(self, job: Any, on_done: OnDone) -> None:
        job.watch(on_done)

    def unwatch(self, job: Any, on_done: OnDone) -> None:
        raise AssertionError  # nothing is borrowed on Trio

    def cancel(self, jobs: Iterable[Any]) -> None:
        for job in jobs:
            if isinstance(job, ThreadJob):
                job.cancel()
            elif job.scope is not None:
                job.scope.cancel()
            else:
                self._asked = True
                self._wake()

    def current(self) -> Any:
        task = current_task()
        return self._tasks.get(task, task)

    def timer(self, seconds: float, callback: Callable[[], None]) -> TrioTimer:
        timer = TrioTimer(callback)
        when = trio.current_time() + seconds
        heapq.heappush(self._timers, (when, next(self._order), timer))
        if self._nap is not None:
            self._nap.deadline = self._timers[0][0]
        return timer

    def event(self) -> TrioEvent:
        return TrioEvent()

    def notify(self, event: Any) -> None:
        event.notify()

    async def outlast(self, until: Callable[[], Any]) -> BaseException | None:
        stopped: BaseException | None = None
        event = until()
        try:
            with trio.CancelScope(shield=True):
                while event is not None:
                    try:
                        await event
                    except KeyboardInterrupt as error:
                        stopped = error
                    event = until()
            # A cancellation that came while a failure was cleaned up is Trio's to tell, at the next
            # checkpoint (R52). But where jobs ended by it, there is nothing else to raise.
            if self.interrupted and stopped is None:
                try:
                    await checkpoint_if_cancelled()
                except (trio.Cancelled, KeyboardInterrupt) as error:
                    stopped = error
            if self._exit is not None:  # it gets out whatever else has happened (R14)
                stopped, self._exit = self._exit, None
            return stopped
        finally:
            del stopped  # its traceback holds this frame: R30

    async def shielded(self, coro: Coroutine[Any, Any, None]) -> BaseException | None:
        with trio.CancelScope(shield=True):
            try:
                await coro
            except BaseException as error:  # a KeyboardInterrupt, or what `dispose` lets out
                return error
        return None

    def later(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        def spawn(_: object) -> None:
            with suppress(RuntimeError):  # the run is at its very end, and starts nothing any more
                spawn_system_task(make, name="waitkit", context=self.context.copy())

        self._soon(spawn)


def _split(
    error: BaseException, kind: type[BaseException] | tuple[type[BaseException], ...]
) -> tuple[BaseException | None, BaseException | None]:
    """What of an error is of a kind, and the rest; a group of somebody's own may refuse."""
    if isinstance(error, kind):
        return error, None
    if isinstance(error, BaseExceptionGroup):
        with suppress(Exception):
            return error.split(kind)
    return None, error


def _without_own_frames(error: BaseException) -> BaseException:
    """Less those of `_run` and `_interruptible`."""
    trace = error.__traceback__
    for _ in range(2):
        trace = trace and trace.tb_next
    return BaseException.with_traceback(error, trace)  # whatever its own has become


@disable_ki_protection
async def _interruptible(aw: Any, scope: trio.CancelScope | None) -> Any:
    if scope is None:
        return await aw
    with scope:
        return await aw


@asynccontextmanager
async def _fail_after(seconds: float) -> AsyncIterator[None]:
    with trio.move_on_after(max(0, seconds)) as scope:
        yield
    if scope.cancelled_caught:  # Trio's own is no TimeoutError
        raise TimeoutError
