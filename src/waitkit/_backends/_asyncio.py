"""The engine's needs, met by asyncio itself: a job is a Task or a Future."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from types import CoroutineType, ModuleType
from typing import Any, ClassVar, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from .._closable import is_closable

T = TypeVar("T")
OnDone: TypeAlias = Callable[[Any], None]

# Tasks that clean up after a dropped stream: the loop itself holds Tasks only weakly.
_cleaning: set[asyncio.Task[None]] = set()


class AsyncioBackend:
    __slots__ = ("_loop", "_of_threads", "context")

    CancelledError: type[BaseException] = asyncio.CancelledError
    in_block: ClassVar[bool] = False
    has_futures: ClassVar[bool] = True

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._of_threads: WeakValueDictionary[Any, asyncio.Future[Any]] = WeakValueDictionary()
        self.context = copy_context()

    @staticmethod
    def wrap_future(future: concurrent.futures.Future[T]) -> asyncio.Future[T]:
        return asyncio.wrap_future(future)

    @staticmethod
    def fail_after(seconds: float) -> asyncio.Timeout:
        return asyncio.timeout(seconds)

    @property
    def interrupted(self) -> bool:
        return False

    async def open(self, on_interrupt: Callable[[], None]) -> None: ...

    async def close(self) -> BaseException | None:
        return None

    def starter(self, on_done: OnDone) -> Callable[[Any], asyncio.Future[Any]]:
        create_task, context = self._loop.create_task, self.context

        def start(aw: Any) -> asyncio.Future[Any]:
            plain = type(aw) is CoroutineType or is_closable(aw)
            task = create_task(aw if plain else _awaiting(aw))
            # Without `context` asyncio would copy one per job: a tenth of a job's whole cost.
            task.add_done_callback(on_done, context=context)
            try:
                return task
            finally:
                del task  # of an eager one that failed, the traceback reaches this frame: R30

        return start

    def feeder(self, coro: Coroutine[Any, Any, None], on_done: OnDone) -> asyncio.Future[Any]:
        return self.starter(on_done)(coro)

    def future(self, aw: Any) -> asyncio.Future[Any] | None:
        if asyncio.isfuture(aw):
            if aw.get_loop() is not self._loop:
                raise ValueError(f"{aw!r} belongs to a different event loop")
            return aw
        if not isinstance(aw, concurrent.futures.Future):
            return None
        job = self._of_threads.get(aw)
        if job is None:  # else it stands at two places, and is one job (R4)
            job = self._of_threads[aw] = self._wrap(aw)
        return job

    def _wrap(self, future: concurrent.futures.Future[T]) -> asyncio.Future[T]:
        if not future.done():
            return asyncio.wrap_future(future, loop=self._loop)
        # asyncio would tell only in the next tick, and what is done already counts (R20).
        job: asyncio.Future[T] = self._loop.create_future()
        if future.cancelled():
            job.cancel()
        elif (error := future.exception()) is not None:
            job.set_exception(error)
        else:
            job.set_result(future.result())
        return job

    def watch(self, job: Any, on_done: OnDone) -> None:
        job.add_done_callback(on_done, context=self.context)

    def unwatch(self, job: Any, on_done: OnDone) -> None:
        job.remove_done_callback(on_done)

    def cancel(self, jobs: Iterable[Any]) -> None:
        for job in jobs:
            try:
                job.cancel()
            except Exception:  # what a job awaits may refuse; the others still have to hear
                logging.getLogger("waitkit").warning("could not cancel %r", job, exc_info=True)

    def current(self) -> asyncio.Task[Any] | None:
        return asyncio.current_task(self._loop)

    def timer(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds, callback, context=self.context)

    def event(self) -> asyncio.Future[None]:
        return self._loop.create_future()

    def notify(self, event: Any) -> None:
        if not event.done():  # whoever awaited it may have been cancelled
            event.set_result(None)

    async def outlast(self, until: Callable[[], Any]) -> BaseException | None:
        cancelled: BaseException | None = None
        event = until()
        if event is None:
            return None
        try:
            with _anyio_shield():
                while event is not None:
                    try:
                        await event
                    except asyncio.CancelledError as exc:
                        cancelled = exc
                    event = until()
            if cancelled is None:
                try:
                    await _anyio_checkpoint()
                except asyncio.CancelledError as exc:
                    cancelled = exc
            return cancelled
        finally:
            del cancelled  # its traceback holds this frame: R30

    async def shielded(self, coro: Coroutine[Any, Any, None]) -> BaseException | None:
        task = self._loop.create_task(coro)

        def until() -> asyncio.Future[None] | None:
            if task.done():
                return None
            event = self._loop.create_future()
            task.add_done_callback(lambda _: self.notify(event))
            return event

        cancelled = await self.outlast(until)
        error = None if task.cancelled() else task.exception()  # what `dispose` lets out
        return cancelled if error is None else error

    def later(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        def run() -> None:
            task = self._loop.create_task(make())
            _cleaning.add(task)
            task.add_done_callback(_cleaning.discard)

        if asyncio._get_running_loop() is self._loop:
            self._loop.call_soon(run)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(run)


def _anyio() -> ModuleType | None:
    """anyio, where cancel scopes of its can be: somebody has imported it, and this is a task."""
    return None if asyncio.current_task() is None else sys.modules.get("anyio")


def _anyio_shield() -> AbstractContextManager[Any]:
    """Keep the cancel scopes of anyio from cancelling again at every turn of the loop (R23)."""
    anyio = _anyio()
    return nullcontext() if anyio is None else anyio.CancelScope(shield=True)


async def _anyio_checkpoint() -> None:
    """Hear of a cancel scope that was cancelled while the shield was up (R23)."""
    if _anyio() is not None:
        from anyio.lowlevel import checkpoint_if_cancelled

        await checkpoint_if_cancelled()


async def _awaiting(aw: Any) -> Any:
    return await aw
