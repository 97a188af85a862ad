"""A third backend, through anyio alone: it runs on both loops, and checks the other two.

Written apart from them and for clarity, not for speed: a task for each timer, a cancel scope for
each job. `virtual_time.run` puts it in the place of the backend that would be found.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future as ConcurrentFuture
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    suppress,
)
from contextvars import copy_context
from typing import Any, ClassVar, TypeVar

import anyio
import anyio.lowlevel
from anyio import CancelScope
from anyio.abc import TaskGroup

T = TypeVar("T")
OnDone = Callable[[Any], None]


class AnyioJob:
    def __init__(self, aw: Any) -> None:
        self.scope = CancelScope()
        self.asked = False
        self._aw: Any = aw
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._struck = False  # by a cancellation

    async def run(self) -> bool:
        """Await it to its end; tell whether somebody else than the engine has cancelled it."""
        aw: Any = self._aw
        self._aw = None
        cancelled_class = anyio.get_cancelled_exc_class()
        try:
            with self.scope:
                try:
                    self._value = await aw
                except BaseException as error:
                    self._error = error
                    if isinstance(error, BaseExceptionGroup):
                        with suppress(Exception):  # a group of somebody's own may refuse
                            struck, self._error = error.split(cancelled_class)
                            self._struck = struck is not None
                    elif isinstance(error, cancelled_class):
                        self._struck, self._error = True, None
        finally:
            self._done = True
        if self._error is not None:  # less this frame, which would hold it in a cycle
            trace = self._error.__traceback__
            # In a way that no exception can forbid.
            BaseException.with_traceback(self._error, trace and trace.tb_next)
            del trace
        by_others = self._struck and not self.asked
        del self  # the frames in the traceback still lead back to this one
        return by_others

    def never_run(self) -> None:
        if hasattr(self._aw, "close"):
            self._aw.close()
        self._aw = None
        self._done = self._struck = True

    def done(self) -> bool:
        return self._done

    def cancelled(self) -> bool:
        return self._struck and self._error is None

    def exception(self) -> BaseException | None:
        return self._error

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value


class AnyioEvent:
    def __init__(self) -> None:
        self._event = anyio.Event()

    def __await__(self) -> Any:
        return self._event.wait().__await__()

    def notify(self) -> None:
        self._event.set()


class AnyioBackend:
    CancelledError: type[BaseException]
    in_block: ClassVar[bool] = True
    has_futures: ClassVar[bool] = False

    def __init__(self) -> None:
        self.CancelledError = anyio.get_cancelled_exc_class()
        self.context = copy_context()
        self.interrupted = False
        self._on_interrupt: Callable[[], None] | None = None
        self._timers: TaskGroup | None = None
        self._rings: set[CancelScope] = set()  # those that have not gone off
        self._jobs: TaskGroup | None = None
        self._may_close = anyio.Event()
        self._by_task: dict[int, AnyioJob] = {}

    @staticmethod
    def wrap_future(future: ConcurrentFuture[T]) -> Awaitable[T]:
        raise AssertionError("the inputs ask the backend that was found")

    @staticmethod
    def fail_after(seconds: float) -> AbstractAsyncContextManager[Any]:
        @asynccontextmanager
        async def block() -> AsyncIterator[None]:
            with anyio.fail_after(seconds):
                yield

        return block()

    async def open(self, on_interrupt: Callable[[], None]) -> None:
        self._on_interrupt = on_interrupt
        self._timers = await anyio.create_task_group().__aenter__()
        opened = anyio.Event()
        self._timers.start_soon(self._host, opened)
        with CancelScope(shield=True):
            await opened.wait()

    async def close(self) -> BaseException | None:
        if self._timers is not None:
            self._on_interrupt = None
            self._may_close.set()
            timers, self._timers = self._timers, None
            timers.cancel_scope.cancel()
            for ring in self._rings:  # that of a job's patience may have seconds to go
                ring.cancel()
            # Of the scope that has just been cancelled, or told at the next checkpoint.
            with suppress(self.CancelledError):
                await timers.__aexit__(None, None, None)
        return None

    async def _host(self, opened: anyio.Event) -> None:
        async with anyio.create_task_group() as self._jobs:
            opened.set()
            with CancelScope(shield=True):
                await self._may_close.wait()

    def starter(self, on_done: OnDone) -> Callable[[Any], AnyioJob]:
        return lambda aw: self._start(aw, on_done)

    def feeder(self, coro: Coroutine[Any, Any, None], on_done: OnDone) -> AnyioJob:
        return self._start(coro, on_done)

    def _start(self, aw: Any, on_done: OnDone) -> AnyioJob:
        assert self._jobs is not None
        job = AnyioJob(aw)
        self._jobs.start_soon(self._run, job, on_done)
        return job

    async def _run(self, job: AnyioJob, on_done: OnDone) -> None:
        if job.asked:
            job.never_run()
        else:
            task = anyio.get_current_task().id
            self._by_task[task] = job
            struck = await job.run()
            del self._by_task[task]
            if struck and not self.interrupted and self._on_interrupt is not None:
                self.interrupted = True
                self._on_interrupt()
        self.context.run(on_done, job)
        del job, on_done  # R30: as in `AnyioJob.run`

    def future(self, aw: Any) -> AnyioJob | None:
        return None

    def watch(self, job: Any, on_done: OnDone) -> None:
        raise AssertionError("there are no Futures")

    unwatch = watch

    def cancel(self, jobs: Iterable[Any]) -> None:
        for job in jobs:
            job.asked = True
            job.scope.cancel()

    def current(self) -> Any:
        try:
            task = anyio.get_current_task()
        except RuntimeError:  # in a callback of asyncio's loop
            return None
        return self._by_task.get(task.id, task)

    def timer(self, seconds: float, callback: Callable[[], None]) -> CancelScope:
        scope = CancelScope(shield=True)

        async def ring() -> None:
            with scope:
                await anyio.sleep(seconds)
                self.context.run(callback)
            self._rings.discard(scope)

        self._rings.add(scope)
        assert self._timers is not None
        self._timers.start_soon(ring)
        return scope

    def event(self) -> AnyioEvent:
        return AnyioEvent()

    def notify(self, event: Any) -> None:
        event.notify()

    async def outlast(self, until: Callable[[], Any]) -> BaseException | None:
        with CancelScope(shield=True):
            while (event := until()) is not None:
                await event
        if self.interrupted:
            try:
                await anyio.lowlevel.checkpoint_if_cancelled()
            except self.CancelledError as error:
                return error
        return None

    async def shielded(self, coro: Coroutine[Any, Any, None]) -> BaseException | None:
        with CancelScope(shield=True):
            await coro
        return None

    def later(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        raise AssertionError("nothing is dropped in a block")
