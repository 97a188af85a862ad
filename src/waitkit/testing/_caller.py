"""`Caller`: whoever calls the code under test, and is cancelled meanwhile, as plain data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

from hypothesis.errors import HypothesisException

from ._failures import CancellationError
from ._job import JobBaseError, Terse
from ._on_either import on_trio, wait
from ._places import place_raised

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class CallerCancelledError(Exception):
    """A cancellation has come out of what a `Caller` ran.

    An ordinary error, so that a test can catch it on asyncio and Trio alike, and one that forgets
    to is shrunk by Hypothesis. On asyncio its ``__cause__`` is the ``CancelledError``.
    """


@dataclass(frozen=True, repr=False)
class Caller(Terse):
    """Who calls the code under test, and when it is cancelled.

    Attributes:
        cancels: a pair for each cancellation: how many seconds after the call, and then how many
            turns of the event loop later. Those that come when the call is over are not sent.

    Example::

        caller = Caller(cancels=((1, 0), (1, 2)))
        with pytest.raises(CallerCancelledError):
            await caller.run(asyncio.sleep, 3600)
    """

    cancels: tuple[tuple[float, int], ...] = ()

    async def run(
        self,
        func: Callable[[*Ts], Coroutine[Any, Any, T]],
        *args: *Ts,
        strict: bool = False,
    ) -> T:
        """Run an async function, and cancel it as drawn.

        On asyncio it runs in a task of its own, which is cancelled by ``Task.cancel(message)``,
        once for each time drawn; on Trio by a cancel scope around it, which goes on cancelling.

        Args:
            func: an async function.
            *args: its arguments.
            strict: check the cancellation, on asyncio: one that was sent has to come out, and none
                may come out that was not sent. (Code that awaits a job of kind
                ``"swallows_cancel"`` or ``"failing_cleanup"`` in the caller's own task cannot keep
                that promise. On Trio nothing is checked: a cancellation that comes after the last
                checkpoint, or together with a failure, is not raised there.)

        Returns:
            What ``func`` returns.

        Raises:
            CallerCancelledError: a cancellation came out of ``func``.
            CancellationError: with ``strict``, it is not as it should be; an `AssertionError`.
            BaseException: what ``func`` raises, bare.

        Cancellation: if whoever awaits this is cancelled, ``func`` is, and that comes out as the
        cancellation it is.
        """
        if on_trio():
            return await self._run_on_trio(func, args)
        return await self._run_on_asyncio(func, args, strict)

    async def _run_on_asyncio(
        self, func: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...], strict: bool
    ) -> T:
        loop = asyncio.get_running_loop()
        waiting = asyncio.current_task()
        assert waiting is not None
        sent, cancelled_before = 0, waiting.cancelling()

        def cancel(task: asyncio.Task[T], ticks: int, message: str) -> None:
            nonlocal sent
            if ticks:
                loop.call_soon(cancel, task, ticks - 1, message)
            else:
                sent += task.cancel(message)  # False once it is over

        async def call() -> T:
            task: Any = asyncio.current_task()
            timers = [
                loop.call_later(seconds, cancel, task, ticks, f"cancellation {number}, as drawn")
                for number, (seconds, ticks) in enumerate(self.cancels, 1)
            ]
            try:
                return await func(*args)
            finally:
                for timer in timers:
                    timer.cancel()

        task = loop.create_task(call())
        wrong: str | None = None
        cause: BaseException | None = None
        try:
            value = await task
            if not (strict and sent):
                return value
            wrong = f"the cancellation was swallowed: it returned {value!r}"
        except asyncio.CancelledError as error:
            if waiting.cancelling() > cancelled_before:
                raise
            if strict and task.cancelling() < sent:
                wrong = f"Task.cancelling() is {task.cancelling()}, not {sent}"
            elif strict and not task.cancelling():
                wrong = "a cancellation came out, and nobody had cancelled the caller"
            cause = error
        except HypothesisException:
            raise
        except (Exception, JobBaseError) as error:
            if not (strict and sent):
                raise
            wrong = f"the cancellation was turned into {error!r}{place_raised(error)}"
            cause = error
        try:
            if wrong is not None:
                raise CancellationError(wrong) from cause
            raise CallerCancelledError("the caller was cancelled, as drawn") from cause
        finally:
            del task, waiting, cause  # the traceback holds this frame

    async def _run_on_trio(
        self, func: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]
    ) -> T:
        import trio

        scope = trio.CancelScope()
        value: Any = None
        raised: BaseException | None = None

        async def cancel(seconds: float, ticks: int) -> None:
            await wait(seconds, ticks)
            scope.cancel()

        try:
            async with trio.open_nursery() as nursery:
                for each in self.cancels:
                    nursery.start_soon(cancel, *each)
                try:
                    with scope:
                        value = await func(*args)
                except BaseException as error:  # which the nursery would wrap in a group
                    raised = error
                nursery.cancel_scope.cancel()
        finally:
            try:
                if raised is not None:
                    raise raised
            finally:
                del raised  # the traceback holds this frame
        if scope.cancelled_caught:
            raise CallerCancelledError("the caller was cancelled, as drawn")
        result: T = value
        return result


CallerCancelledError.__module__ = Caller.__module__ = "waitkit.testing.strategies"
