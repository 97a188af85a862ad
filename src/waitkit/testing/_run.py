"""`run`: an async function, run to its end in virtual time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar, TypeVarTuple

from ._checks import check_call, check_options
from ._failures import Ending
from ._loop import VirtualLoop
from ._on_asyncio import run_on_asyncio
from ._watching import collecting_only_what_is_new

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run(
    main: Callable[[*Ts], Coroutine[Any, Any, T]],
    *args: *Ts,
    backend: Literal["asyncio", "trio"] = "asyncio",
    debug: bool = False,
    eager: bool = False,
) -> T:
    """Run an async function to its end in virtual time, and see to it that nothing is left behind.

    ``sleep(3600)`` takes no time: the clock of the event loop starts at 0 seconds, and moves when
    there is nothing else to do. There is no real I/O: what the function talks to has to be a fake.

    Args:
        main: an async function; it runs in a copy of the caller's context variables.
        *args: its arguments.
        backend: ``"asyncio"``, or ``"trio"`` for Trio with its ``trio.testing.MockClock``.
        debug: asyncio's debug mode. False leaves it as the environment has it.
        eager: asyncio's eager task factory: a task has its first step when it is made.

    Returns:
        What ``main`` returns.

    Raises:
        BaseException: what ``main`` raises, bare; what follows would then be notes on it.
        DeadlockError: nothing is left to happen. ``main`` has been cancelled and awaited.
        LivelockError: the event loop has turned 100,000 times while its clock stood still. ``main``
            has been cancelled and awaited.
        LeakError: ``main`` has returned, and tasks still ran. They have been cancelled and awaited.
            (Trio itself sees to that.)
        NeverAwaitedError: coroutines were neither awaited nor closed.
        UnhandledError: the event loop's exception handler was called, "Task exception was never
            retrieved" included. On Trio: an abandoned async generator has raised.
        TypeError, ValueError: bad arguments, before anything starts.
        RuntimeError: an event loop runs already, or ``eager`` is asked for before Python 3.12. From
            inside ``main``: it needs real I/O, threads, subprocesses or signals (on asyncio).
        ModuleNotFoundError: Trio is asked for, and not installed.

    Of several failures the first in this list is raised, and the others are notes on it.

    Order: on asyncio that of the callbacks, the same in every run; timers for the same moment go
    off in the order in which they were set. On Trio ties are Trio's to order, and it shuffles them.

    Cancellation: a `KeyboardInterrupt` strikes where the program is, as in code that is not async;
    what is left is then cancelled and awaited, and it comes out. On Trio it strikes as Trio has it.

    Example::

        async def main(seconds):
            await asyncio.sleep(seconds)
            return asyncio.get_running_loop().time()

        assert waitkit.testing.run(main, 3600) == 3600
    """
    __tracebackhide__ = True
    check_call("run", main, backend)
    check_options(backend, debug, eager)
    with collecting_only_what_is_new():
        ending: Ending[T]
        if backend == "trio":
            from ._on_trio import run_on_trio

            ending = run_on_trio(main, args)
        else:
            ending = run_on_asyncio(new_loop(debug=debug, eager=eager), main, args)
    return ending.unwrap()


run.__module__ = "waitkit.testing"


def new_loop(*, debug: bool, eager: bool) -> VirtualLoop:
    loop = VirtualLoop()
    if debug:
        loop.set_debug(True)
    if eager and sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop
