"""Stopping tasks that other code has started."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from ._backends import Backend, Event, current_backend
from ._checks import check_seconds, kind, safe_repr
from ._closable import close_unstarted
from ._inputs import Borrowed
from ._reports import logger
from ._roster import PATIENCE


async def cancel_and_wait(
    tasks: Iterable[asyncio.Future[Any]] | asyncio.Future[Any],
    /,
    *others: Any,
    grace: float = 0,
    timeout: float | None = None,
) -> list[asyncio.Future[Any]]:
    """Cancel tasks that other code has started, and wait until they have stopped.

    What ``for task in tasks: task.cancel()`` and a wait are meant to do, without swallowing the
    caller's own cancellation, and without hanging on a task that ignores its own.

    Args:
        tasks: one Task or Future, or an iterable of them.
        grace: seconds in which the tasks may still finish by themselves before they are cancelled,
            each once. A cancellation of the caller ends it.
        timeout: seconds from the cancel after which those that still run are given up. None: wait
            until all have stopped.

    Returns:
        The tasks that still run, in input order; an empty list unless ``timeout`` has passed. A
        task that runs on for 10 seconds after its cancel is named on the ``waitkit`` logger too.

    Raises:
        TypeError: an input is no Task or Future; coroutines among them are closed.
        ValueError: the calling task is among them, or a number of seconds is NaN.
        RuntimeError: on Trio, which has no task objects to be stopped: cancel the scope of their
            nursery, and leave its block.
        asyncio.CancelledError: the caller was cancelled meanwhile; it comes out when the tasks have
            stopped.

    What a task raises after it was asked to stop is logged on the ``waitkit`` logger; what it had
    raised before is left for its owner to find.

    Example::

        still_running = await waitkit.cancel_and_wait(workers, grace=5.0, timeout=10.0)
    """
    if not current_backend().has_futures:
        close_unstarted([tasks, *(tasks if isinstance(tasks, list | tuple | set) else ()), *others])
        raise RuntimeError(
            "cancel_and_wait() works on asyncio alone: Trio has no Tasks to be stopped; "
            "call cancel() on the cancel_scope of their nursery, and leave its block"
        )
    chosen = _read_tasks(tasks, others)
    if grace is None:
        raise TypeError("grace must be a number of seconds, not None")
    patience = check_seconds("grace", grace)
    limit = check_seconds("timeout", timeout)
    backend = current_backend()()
    if backend.current() in chosen:
        raise ValueError("the calling task is among those to be stopped, and would await itself")
    return await _Stopping(backend, chosen).run(patience, limit)


def _read_tasks(tasks: Any, others: tuple[Any, ...]) -> list[asyncio.Future[Any]]:
    """Each task once, in input order."""
    if others:
        close_unstarted([tasks, *others])
        raise TypeError("cancel_and_wait() takes one task or one iterable of them: write [a, b]")
    if asyncio.isfuture(tasks):
        return [tasks]
    if isinstance(tasks, str | bytes) or not isinstance(tasks, Iterable):
        close_unstarted([tasks])
        raise TypeError(
            f"cancel_and_wait() takes a task or an iterable of tasks, not {kind(tasks)}"
        )
    chosen = list(tasks)
    for index, task in enumerate(chosen):
        if not asyncio.isfuture(task):
            close_unstarted(chosen)
            hint = "; what is borrowed is never cancelled" if isinstance(task, Borrowed) else ""
            raise TypeError(f"input {index} is {kind(task)}, not a Task or Future{hint}")
    return list(dict.fromkeys(chosen))


class _Stopping:
    """The tasks that still run, and one event for whoever waits until none does."""

    def __init__(self, backend: Backend, tasks: list[asyncio.Future[Any]]) -> None:
        self._backend = backend
        self._tasks = tasks
        self._running = {task for task in tasks if not task.done()}
        self._asked = False
        self._time_is_up = False
        self._event: Event | None = None

    async def run(self, grace: float | None, timeout: float | None) -> list[asyncio.Future[Any]]:
        cancelled: BaseException | None = None
        for task in self._running:
            self._backend.watch(task, self._on_done)
        try:
            cancelled = await self._wait_gracefully(grace)
            self._asked = True
            self._backend.cancel([task for task in self._tasks if task in self._running])
            cancelled = await self._wait(timeout) or cancelled
            if cancelled is not None:
                raise cancelled
        finally:
            for task in self._running:
                self._backend.unwatch(task, self._on_done)
            del cancelled  # its traceback holds this frame: R30
        return [task for task in self._tasks if task in self._running]

    async def _wait_gracefully(self, grace: float | None) -> BaseException | None:
        """Let the tasks end by themselves; the caller's cancellation ends the grace (R31)."""
        if not self._running or (grace is not None and grace <= 0):
            return None
        timer = None if grace is None else self._backend.timer(grace, self._wake)
        self._event = self._backend.event()
        try:
            await self._event
        except self._backend.CancelledError as cancelled:
            return cancelled
        finally:
            if timer is not None:
                timer.cancel()
        return None

    async def _wait(self, timeout: float | None) -> BaseException | None:
        if timeout is not None and timeout <= 0:
            return None
        timers = [self._backend.timer(PATIENCE, self._name_refusing)]
        if timeout is not None:
            timers.append(self._backend.timer(timeout, self._give_up))
        try:
            return await self._backend.outlast(self._until)
        finally:
            for timer in timers:
                timer.cancel()

    def _until(self) -> Event | None:
        if not self._running or self._time_is_up:
            return None
        self._event = self._backend.event()
        return self._event

    def _on_done(self, task: asyncio.Future[Any]) -> None:
        self._running.discard(task)
        # What it raised before it was asked is its owner's to find out (R31).
        error = task.exception() if self._asked and not task.cancelled() else None
        if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):  # R14
            logger.warning(
                "waitkit.cancel_and_wait: %s failed after it was asked to stop",
                safe_repr(task),
                exc_info=error,
            )
        if not self._running:
            self._wake()

    def _give_up(self) -> None:
        self._time_is_up = True
        self._wake()

    def _wake(self) -> None:
        if self._event is not None:
            self._backend.notify(self._event)

    def _name_refusing(self) -> None:
        for task in self._tasks:
            if task in self._running:
                logger.warning(
                    "waitkit.cancel_and_wait: %s has not ended %g seconds after it was cancelled",
                    safe_repr(task),
                    PATIENCE,
                )


cancel_and_wait.__module__ = "waitkit"  # what tracebacks and docs show is what users import
