"""The stream: how jobs end, one by one, while the others run."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, Generic, NoReturn, TypeVar, final

from ._backends import ki_protected
from ._calls import abandon, raise_cancelled, refuse_caller
from ._closable import close_unstarted
from ._crew import EACH, END, FRONT, Crew
from ._inputs import load, read_inputs
from ._sources import NOTHING
from ._typing import Input

T_co = TypeVar("T_co", covariant=True)
_NO_KEY: Final[Any] = object()


@final
class ResultStream(AsyncIterator[T_co], Generic[T_co]):
    """How jobs end, one by one: an async iterator, best used with ``async with``.

    Made by `as_completed_results`, `as_completed_outcomes`, `in_order_results` and
    `in_order_outcomes`. The jobs, and the clock of ``timeout``, start at ``async with`` or at
    the first ``anext``. The stream ends when nothing runs and nothing is left to take.

    Leaving the ``async with`` block, in whatever way, cancels the jobs that still run and
    awaits them. Inside it, cancelling an ``anext`` harms nothing: the next one goes on where it
    was. A bare ``async for`` has no block to clean up in: there the same cancellation closes the
    stream and awaits the jobs, and a ``break`` cancels them only when the stream is dropped, with
    a `ResourceWarning`. On Trio there is no bare ``async for``: the block is needed.

    Example::

        async with waitkit.as_completed_results(calls, max_concurrency=10) as results:
            async for result in results:
                print(result)
    """

    __slots__ = ("__weakref__", "_busy", "_crew", "_ended", "_entered")

    _crew: Crew
    _entered: bool
    _busy: bool
    _ended: bool

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._entered = False
        self._busy = False  # somebody awaits what comes next
        self._ended = False

    @property
    def timed_out(self) -> bool:
        """Whether the deadline has cut something off."""
        return self._crew.timed_out

    def __aiter__(self) -> ResultStream[T_co]:
        return self

    @ki_protected
    async def __anext__(self) -> T_co:
        """Wait for the next job to end, and give back its result or outcome.

        Raises:
            StopAsyncIteration: nothing runs and nothing is left to take, or the stream is closed.
            RuntimeError: another task is waiting for the next result already; or, on Trio, the
                stream was not entered (its inputs are closed).
            BaseException: the call's error, once all jobs have ended; see the function that made
                the stream.
        """
        crew = self._crew
        if self._busy:
            raise RuntimeError("another task is waiting for the next result of this stream")
        if not crew.started:
            if crew.backend.in_block and not self._ended:
                await self._refuse_bare_loop()
            crew.start()
        result = crew.deliver()
        if result is not NOTHING:
            return result  # type: ignore[no-any-return]  # the crew does not know T
        self._busy = True
        cancelled: BaseException | None = None
        try:
            try:
                while crew.live:
                    await crew.watch(FRONT if crew.policy.ordered else EACH)
                    result = crew.deliver()
                    if result is not NOTHING:
                        return result  # type: ignore[no-any-return]
                while self._entered and crew.closing and not crew.over:
                    await crew.watch(END)
            except BaseException as error:
                if self._entered or isinstance(error, GeneratorExit):
                    raise  # R24: the block will clean up, or go on
                cancelled = error
                crew.close()
            cancelled = await crew.finish(leaving=True) or cancelled
            if cancelled is not None:
                self._ended = not self._entered
                if self._ended:
                    crew.disband()
                # R24: inside the block the failure is still there for the next one.
                raise_cancelled(cancelled, None if self._entered else crew.log_unraised())
        finally:
            self._busy = False
            del cancelled  # its traceback holds this frame: R30
        self._ended = True
        crew.disband()
        failure = crew.take_verdict()
        if failure is None:
            raise StopAsyncIteration
        try:
            if isinstance(failure, StopAsyncIteration):  # it would end the loop silently (R10)
                raise RuntimeError("a job raised StopAsyncIteration") from failure
            raise failure
        finally:
            del failure  # R30

    async def _refuse_bare_loop(self) -> NoReturn:
        await self._leave(None)
        raise RuntimeError(
            "on Trio a stream needs a block to run its jobs in: "
            "write 'async with stream:', and 'async for item in stream:' inside it"
        )

    @ki_protected
    async def __aenter__(self) -> ResultStream[T_co]:
        if self._entered:
            raise RuntimeError("this stream has been entered already; make a new one")
        self._entered = True
        if not self._crew.started:
            try:
                await self._crew.backend.open(self._crew.interrupt)
                self._crew.start()
            except BaseException as error:  # a KeyboardInterrupt: there will be no `__aexit__`
                await self._leave_block(error)
                raise
        return self

    @ki_protected
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._leave_block(exc)

    @ki_protected
    async def aclose(self) -> None:
        """Cancel the jobs that still run and await them; what they return goes to ``dispose``.

        Closing twice does no harm. A job may close its own stream: it is not cancelled (on Trio
        it is, at its next checkpoint), and does not wait for itself. *Caution:* it has to do so
        itself, not in a Task that it then awaits, for each would wait for the other. A failure
        that has not been raised yet is logged.

        Raises:
            asyncio.CancelledError: the caller was cancelled meanwhile; the jobs have ended all
                the same. (On Trio that strikes at the caller's next checkpoint.)
        """
        await self._leave(None)

    async def _leave_block(self, error: BaseException | None) -> None:
        try:
            await self._leave(error)
        finally:
            stopped = await self._crew.backend.close()
            if stopped is not None:
                raise stopped

    async def _leave(self, error: BaseException | None) -> None:
        self._ended = True
        CancelledError = self._crew.backend.CancelledError
        self._crew.close()
        cancelled = await self._crew.finish(leaving=True)
        if self._crew.over:  # not so where a job closes its own stream
            self._crew.disband()
        failure = self._crew.log_unraised()
        try:
            # Where jobs live in a block, the block's own error comes first, as of a nursery (R51).
            own_first = error is not None and self._crew.backend.in_block
            if cancelled is not None and not (own_first and isinstance(cancelled, CancelledError)):
                raise_cancelled(cancelled, failure)
            if failure is not None and isinstance(error, CancelledError):
                error.__context__ = error.__context__ or failure  # it came meanwhile (R23)
        finally:
            del cancelled, failure, error  # R30

    @ki_protected
    def add(self, aw: Input[Any], /, *, key: Any = _NO_KEY) -> None:
        """Take one more input, at once if there is a free slot.

        It comes after the inputs of a sized iterable, and before the next item of an iterator.
        What is added after a failure or the deadline, before that has been delivered, is given
        up like everything else that was left then.

        Args:
            aw: an awaitable.
            key: its key; needed if the stream's inputs are keyed, else refused.

        Raises:
            TypeError: ``aw`` cannot be awaited; or ``key`` is missing, or out of place.
            ValueError: ``aw`` is the calling task.
            RuntimeError: the stream has ended, or `drain` was called. In all of these cases a
                coroutine is closed.

        Example::

            async with waitkit.as_completed_results({start: fetch(start)}) as pages:
                async for url, page in pages:
                    for link in new_links(page):
                        pages.add(fetch(link), key=link)
        """
        keyed = self._crew.keyed
        try:
            self._check_open("add")
            if keyed and key is _NO_KEY:
                raise TypeError("the inputs of this stream are keyed: write add(aw, key=key)")
            if not keyed and key is not _NO_KEY:
                raise TypeError("the inputs of this stream have no keys: write add(aw)")
            source = load([(key, aw)] if keyed else [aw], keyed=keyed)
            refuse_caller(source, self._crew.backend.current())
        except BaseException:
            close_unstarted([aw])
            raise
        self._crew.add(source)

    @ki_protected
    def extend(self, aws: Any, /) -> None:
        """Take more inputs, lazily, behind all that are there.

        Args:
            aws: whatever the function that made the stream takes; keyed if, and only if, the
                stream's inputs are keyed.

        Raises:
            TypeError, ValueError: as the function that made the stream raises them.
            RuntimeError: the stream has ended, or `drain` was called. In all of these cases
                the coroutines of a sized iterable are closed.

        Example::

            pages.extend(waitkit.call_each(fetch, links, timeout=10.0))
        """
        source = read_inputs("extend", aws, ())
        try:
            self._check_open("extend")
            if source.keyed and not self._crew.keyed:
                raise TypeError("the inputs of this stream have no keys, and those given have")
            if self._crew.keyed and not source.keyed:
                raise TypeError("the inputs of this stream are keyed, and those given are not")
            refuse_caller(source, self._crew.backend.current())
        except BaseException:
            source.close()
            raise
        self._crew.extend(source)

    def _check_open(self, what: str) -> None:
        if self._crew.drained:
            raise RuntimeError(f"{what}() after drain(): this stream takes no more inputs")
        if self._ended:
            raise RuntimeError(f"{what}() after the end: this stream is closed")

    @ki_protected
    def drain(self) -> None:
        """Take no more inputs, but let the jobs that run finish and deliver them.

        Inputs not taken are no outcomes: coroutines among those at hand are closed, Tasks
        are cancelled, and awaited before the stream ends; an iterator keeps what it has.
        """
        if self._crew.closing:
            self._crew.drained = True  # what was left has been given up
        else:
            self._crew.drain()

    def __repr__(self) -> str:
        crew = self._crew
        if not crew.started:
            stage = "not started"
        elif crew.over:
            stage = "ended"
        else:
            stage = "closing" if crew.closing else "open"
        return (
            f"<ResultStream of {crew.policy.helper}, {stage}: {crew.running} running, "
            f"{crew.taken - crew.running} finished ({len(crew.results.finished)} not delivered), "
            f"{crew.taken} taken>"
        )

    def __del__(self) -> None:
        crew: Crew | None = getattr(self, "_crew", None)
        if crew is None or not crew.started or (self._ended and crew.over):
            return  # R27: what never started leaves Python its own warning
        if crew.running:
            warnings.warn(
                f"{self!r} was dropped with jobs running: use 'async with', or await aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
        abandon(crew)


ResultStream.__module__ = "waitkit"  # what tracebacks and docs show is what users import
