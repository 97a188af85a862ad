"""`cancel_everywhere`: a scenario, cancelled at each moment that it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Literal

from ._checks import check_call, checked_coroutine
from ._failures import CancellationError
from ._loop import VirtualLoop
from ._on_asyncio import run_on_asyncio
from ._places import place_raised, task_at
from ._striking import Run, Scenario, strike_everywhere

_MESSAGE = "cancelled by waitkit.testing.cancel_everywhere"


def cancel_everywhere(
    make_main: Callable[[], Coroutine[Any, Any, object]],
    *,
    backend: Literal["asyncio", "trio"] = "asyncio",
) -> int:
    """Run a scenario again and again in virtual time, cancelled at another moment each time.

    First it runs uncancelled. Then once for each **tick** that this took, cancelled at that tick by
    whoever called it: on asyncio by ``Task.cancel(message)``, at every turn of the event loop and
    before every callback in it; on Trio by a cancel scope around it, before every step of a task.
    Each time:

    - the cancellation comes out: it is not swallowed, it is not turned into another error, on
      asyncio its message survives, and ``Task.cancelling()`` is still 1;
    - nothing runs any more when it comes out;
    - there is nothing that `run` would complain about: no deadlock, no coroutine that was never
      awaited, no error that nobody but the event loop was told of.

    Where a run ends before its tick comes, that is fine. On Trio a scenario that returns is not
    said to have swallowed its cancellation: there one that comes after the last checkpoint is not
    raised, and one that was swallowed is raised again at the next.

    Args:
        make_main: an async function without parameters, which makes all that it works on itself: it
            runs many times. It must not fail when it is not cancelled; a failure that belongs to
            the scenario is caught in it.
        backend: ``"asyncio"`` or ``"trio"``.

    Returns:
        The number of runs.

    Raises:
        CancellationError: the cancellation did not come out as it should (on asyncio, R23); on
            Trio: another error came out.
        DeadlockError, LivelockError, LeakError, NeverAwaitedError, UnhandledError: as from `run`.
        BaseException: what the scenario raises when it is not cancelled, with a note that says so.
        TypeError, ValueError, RuntimeError, ModuleNotFoundError: as from `run`.

    All of the errors of this package are `AssertionError`, and say at which tick the scenario was
    cancelled, out of how many, and where it was. The first failure ends it.

    Order: ticks are tried from the first to the last. Runs on asyncio are the same each time; Trio
    shuffles ties, so there each run is one of several that are possible.

    Cancellation: a `KeyboardInterrupt` ends all of it.

    Example::

        async def scenario():
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(1))

        assert waitkit.testing.cancel_everywhere(scenario) > 1
    """
    __tracebackhide__ = True
    check_call("cancel_everywhere", make_main, backend)
    run_once = _run_on_trio if backend == "trio" else _run_on_asyncio
    return strike_everywhere(
        partial(run_once, make_main),
        by="cancel_everywhere",
        untouched="that is not cancelled",
        headline=_headline,
        wrong_end=partial(_wrong_end, on_asyncio=backend == "asyncio"),
        mistake=CancellationError,
    )


cancel_everywhere.__module__ = "waitkit.testing"


def _headline(run: Run, tick: int, ticks: int) -> str:
    return f"cancelled at tick {tick + 1} of {ticks}, {run.struck or 'when it had ended'}"


def _wrong_end(run: Run, *, on_asyncio: bool) -> str:
    """What is wrong with how main has ended.

    There are four cases: 1. it was not cancelled, for it had ended; 2. another error has come out;
    3. nothing has come out; 4. a cancellation.
    """
    ending, error = run.ending, run.ending.error
    if run.struck is None:
        if error is not None:
            return f"it was not cancelled, and raised {error!r}{place_raised(error)}"
    elif error is not None and not isinstance(error, asyncio.CancelledError):
        return f"the cancellation was turned into {error!r}{place_raised(error)}"
    elif not on_asyncio:
        return ""
    elif error is None:
        return f"the cancellation was swallowed: it returned {ending.value!r}"
    elif error.args not in ((_MESSAGE,), ending.thrown):  # where two come at once asyncio drops it
        return f"the cancellation has lost its message: {error!r} came out{place_raised(error)}"
    elif ending.cancelling != 1:
        return f"Task.cancelling() is {ending.cancelling}, not 1: somebody called uncancel()"
    return ""


def _run_on_asyncio(make_main: Scenario, at: int | None) -> Run:
    loop = VirtualLoop()
    ticks = 0
    struck: str | None = None

    def tick(_: object = None) -> None:
        nonlocal ticks, struck
        main = loop.main
        if main is None or main.done():
            return
        if ticks == at:
            struck = f"while it waited: {task_at(main)}"
            main.cancel(_MESSAGE)
        ticks += 1

    loop.on_turn = tick
    loop.before_each_step(tick)
    struck_by = None if at is None else ()
    return Run(run_on_asyncio(loop, make_main, (), struck_by=struck_by), ticks, struck)


def _run_on_trio(make_main: Scenario, at: int | None) -> Run:
    import trio

    from ._on_trio import run_on_trio
    from ._places import coroutine_at

    scope: trio.CancelScope | None = None
    task: trio.lowlevel.Task | None = None
    steps = 0
    struck: str | None = None

    def on_step() -> None:
        nonlocal steps, struck
        if scope is None or task is None:
            return
        if steps == at:
            struck = f"while it waited: {coroutine_at(task.coro)}" if steps else "before it started"
            scope.cancel()
        steps += 1

    async def main() -> None:
        nonlocal scope, task
        __tracebackhide__ = True
        task = trio.lowlevel.current_task()
        with trio.CancelScope() as around:
            scope = around
            on_step()  # the first step has begun
            try:
                await checked_coroutine(make_main())
            finally:
                scope = None

    def on_end() -> None:
        nonlocal scope, task
        scope = task = None

    return Run(run_on_trio(main, (), on_step=on_step, on_end=on_end), steps, struck)
