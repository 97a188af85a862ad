"""`raise_everywhere`: a scenario, in which each operation that it has fails in its turn.

An operation is what sleeps: in a test the fakes do, in the place of what takes time. Each has two
moments at which it can fail, by their number: when it has begun, and when its time is over.

An error is not raised wherever a task is resumed, though that would be more. The locks and queues
of an event loop wait, too, and lose a wake-up when a wait of theirs ends by an error that no event
loop raises there; the failures that this finds are nobody's bugs.
"""

from __future__ import annotations

import asyncio
import asyncio.futures
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Literal

from ._checks import check_call
from ._failures import MaskedError, chained
from ._loop import VirtualLoop
from ._on_asyncio import run_on_asyncio
from ._places import place_raised, task_at
from ._striking import Run, Scenario, strike_everywhere

# What a timer calls that `asyncio.sleep` has set, and no other.
_WAKE_SLEEPER = getattr(asyncio.futures, "_set_result_unless_cancelled", None)


def raise_everywhere(
    make_main: Callable[[], Coroutine[Any, Any, object]],
    *,
    error: Callable[[], Exception] = ConnectionError,
    backend: Literal["asyncio", "trio"] = "asyncio",
) -> int:
    """Run a scenario again and again in virtual time, while another operation fails each time.

    An **operation** is what sleeps: a call of ``asyncio.sleep``, ``trio.sleep`` or ``anyio.sleep``
    for more than 0 seconds, in any task of the scenario, as its fakes of a server or a database do
    in order to take some time. First the scenario runs as it is. Then twice for each operation that
    this had: it raises an error as soon as it has begun (a turn of the event loop later), and it
    raises when its time is over. Each time:

    - that error comes out, or the scenario has handled it. One that was raised ``from`` it or
      ``from None``, or an exception group that holds it, is fine. Any other is a failure, also one
      that was raised while it was handled (as by a mistake in an ``except`` block);
    - nothing runs any more when the scenario ends;
    - there is nothing that `run` would complain about: no deadlock, no coroutine that was never
      awaited, no error that nobody but the event loop was told of.

    Only what sleeps fails. To raise at other awaits would be unsound: a lock or a queue of asyncio
    whose wait ended like that has lost a wake-up, and the deadlock is no bug of the scenario.
    ``sleep(0)`` and Trio's ``sleep_forever`` are no operations.

    Args:
        make_main: an async function without parameters, which makes all that it works on itself: it
            runs many times. It must not fail when no operation does. What it asserts has to hold
            when one has failed, too; other errors that belong to the scenario are caught in it.
        error: makes the error, a new one for each run: a class, or a function without parameters.
            A `ConnectionError` is what handlers of failed I/O look for, whether they name that, or
            `OSError`, or `Exception`.
        backend: ``"asyncio"`` or ``"trio"``.

    Returns:
        The number of runs: 1, and 2 for each operation.

    Raises:
        MaskedError: another error came out than the one that was raised.
        DeadlockError, LivelockError, LeakError, NeverAwaitedError, UnhandledError: as from `run`.
        BaseException: what the scenario raises when nothing fails, with a note that says so.
        ValueError: the scenario has no operation.
        TypeError: ``error`` does not make an `Exception`; or as from `run`.
        RuntimeError, ModuleNotFoundError: as from `run`.

    All of the errors of this package are `AssertionError`, and say which operation failed, out of
    how many, when, and where that was. The first failure ends it.

    Order: operations are tried in the order in which they begin. Runs on asyncio are the same each
    time; Trio shuffles ties, so there each run is one of several that are possible.

    Cancellation: a `KeyboardInterrupt` ends all of it.

    Example::

        async def scenario():
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(1))
                group.create_task(asyncio.sleep(2))

        assert waitkit.testing.raise_everywhere(scenario) == 5
    """
    __tracebackhide__ = True
    check_call("raise_everywhere", make_main, backend)
    _check_error(error)
    run_once: Callable[[Scenario, Exception, int | None], Run] = _run_on_asyncio
    if backend == "trio":
        from ._raising_on_trio import run_once_on_trio as run_once
    runs = strike_everywhere(
        lambda at: run_once(make_main, error(), at),
        by="raise_everywhere",
        untouched="in which nothing fails",
        headline=_headline,
        wrong_end=_wrong_end,
        mistake=MaskedError,
    )
    if runs == 1:
        raise ValueError(
            "main has no operation that could fail: none of its tasks sleeps. "
            "Let the fakes that it uses take time, with sleep(1)"
        )
    return runs


raise_everywhere.__module__ = "waitkit.testing"


def _check_error(make: Callable[[], Exception]) -> None:
    if not callable(make):
        raise TypeError(
            f"error must be a class or a function that makes an exception, not {make!r}: "
            "each run needs a new one. Write error=lambda: ..."
        )
    made: object = make()
    if not isinstance(made, Exception) or isinstance(made, StopIteration):
        raise TypeError(
            f"error must make an Exception, not {made!r}: what an operation can fail with"
        )


def _headline(run: Run, moment: int, moments: int) -> str:
    struck = run.struck or "did not come to fail"
    return f"operation {moment // 2 + 1} of {moments // 2} {struck}"


def _wrong_end(run: Run) -> str:
    """What is wrong with how main has ended.

    There are four cases: 1. it returned, and has handled the error if there was one; 2. nothing was
    raised in it; 3. what was raised has come out, or what was meant to tell of it; 4. another
    error has.
    """
    error = run.ending.error
    if error is None:
        return ""
    if run.struck is None:
        return f"nothing was raised in it, and {error!r} came out{place_raised(error)}"
    meant = any(each is run.error for each in chained(error, meant=True))
    if meant and not isinstance(error, asyncio.CancelledError):  # which nobody has asked for
        return ""
    return f"{run.error!r} was masked by what came out:\n  {error!r}{place_raised(error)}"


class _FailingLoop(VirtualLoop):
    """asyncio's event loop in virtual time, on which one sleep fails."""

    def __init__(self, error: Exception, at: int | None) -> None:
        super().__init__()
        self.moments = 0
        self.struck: str | None = None
        self._error = error
        self._at = at

    def call_at(  # type: ignore[override]  # as VirtualLoop's
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        if callback is _WAKE_SLEEPER and self.main is not None:
            task = asyncio.current_task()
            if self._at == self.moments:
                when, callback = self.time(), partial(self._fail, task, "at once")
            elif self._at == self.moments + 1:
                callback = partial(self._fail, task, f"after {when - self.time():g} s")
            self.moments += 2
        return super().call_at(when, callback, *args, context=context)

    def _fail(
        self, task: asyncio.Task[Any] | None, how: str, sleeper: asyncio.Future[Any], _: object
    ) -> None:
        if sleeper.done():  # it was cancelled
            return
        self.struck = f"failed {how}" + (f": {task_at(task)}" if task is not None else "")
        sleeper.set_exception(self._error)


def _run_on_asyncio(make_main: Scenario, error: Exception, at: int | None) -> Run:
    loop = _FailingLoop(error, at)
    ending = run_on_asyncio(loop, make_main, (), struck_by=None if at is None else (error,))
    return Run(ending, loop.moments, loop.struck, error)
