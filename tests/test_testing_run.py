"""R60: `waitkit.testing.run`, and the loop that it runs on, on which all other tests stand."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import waitkit
import waitkit.testing
from waitkit.testing import (
    DeadlockError,
    run,
)

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


async def work(seconds: float = 1) -> None:
    await asyncio.sleep(seconds)


async def fail(seconds: float = 1) -> None:
    await asyncio.sleep(seconds)
    raise ValueError("of a task")


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


# --- time, order, context


@pytest.mark.parametrize("seconds", [0, 0.1, 3600, 1e9, 1e15])
def test_run_takes_no_time(seconds: float) -> None:
    """R60: whatever it sleeps; the clock starts at 0, and moves by what was slept."""

    async def main(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return asyncio.get_running_loop().time()

    started = time.perf_counter()
    assert run(main, seconds) == seconds
    assert time.perf_counter() - started < 5


def test_run_on_trio_takes_no_time() -> None:
    """R60: the same on Trio, whose mock clock starts at 0 too."""

    async def main(seconds: float) -> float:
        await trio.sleep(seconds)
        return trio.current_time()

    assert run(main, 3600, backend="trio") == 3600


def test_run_keeps_the_order_of_timers() -> None:
    """R60: those for one moment go off in the order in which they were set."""

    async def main() -> list[int]:
        loop, order = asyncio.get_running_loop(), list[int]()
        for number in range(100):
            loop.call_at(5, order.append, number)
        await asyncio.sleep(6)
        return order

    assert run(main) == list(range(100))


def test_run_moves_the_clock_for_a_timer_that_rounds_down_to_now() -> None:
    """R60: who waits for less time than the clock can tell is not kept waiting for ever."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.4)
        start = loop.time()
        while loop.time() == start:
            tick = loop.create_future()
            loop.call_at(start + 1e-17, tick.set_result, None)
            await tick
        return loop.time() - start

    assert 0 < run(main) < 1e-6


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_run_copies_the_context(backend: Any) -> None:
    """R60: main sees the caller's context variables, and what it sets there stays there."""

    async def main() -> str:
        seen = VARIABLE.get()
        VARIABLE.set("by main")
        return seen

    VARIABLE.set("by the caller")
    assert run(main, backend=backend) == "by the caller"
    assert VARIABLE.get() == "by the caller"


def test_run_modes_are_asyncios() -> None:
    """R60: debug and eager do what they say, and Trio has neither."""

    async def debug() -> bool:
        return asyncio.get_running_loop().get_debug()

    async def eager() -> bool:
        started: list[bool] = []

        async def job() -> None:
            started.append(True)

        task = asyncio.get_running_loop().create_task(job())
        was_started = bool(started)
        await task
        return was_started

    assert run(debug, debug=True)
    assert not run(eager)
    if sys.version_info >= (3, 12):
        assert run(eager, eager=True)
    else:
        with pytest.raises(RuntimeError, match=r"needs Python 3\.12"):
            run(eager, eager=True)
    with pytest.raises(ValueError, match="modes of asyncio"):
        run(debug, debug=True, backend="trio")


def test_run_closes_async_generators() -> None:
    """R60: as `asyncio.run` does; one that was dropped is no leak either."""
    closed: list[str] = []

    async def numbers(name: str) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(1)
            closed.append(name)

    async def main() -> AsyncIterator[int]:
        async for _ in numbers("dropped"):
            break
        kept = numbers("kept")
        await anext(kept)
        return kept

    run(main)
    assert sorted(closed) == ["dropped", "kept"]


# --- bad use


@pytest.mark.parametrize(
    "use",
    [
        lambda loop: loop.run_in_executor(None, int),
        lambda loop: asyncio.to_thread(int),
        lambda loop: asyncio.open_connection("localhost", 1),
        lambda loop: asyncio.create_subprocess_exec("true"),
        lambda loop: loop.add_reader(0, int),
        lambda loop: loop.add_signal_handler(signal.SIGINT, int),
        lambda loop: loop.sock_connect(None, None),
    ],
)
def test_run_refuses_what_is_outside(use: Callable[[Any], Any]) -> None:
    """R60: I/O, threads, subprocesses and signals are a clear error where they are asked for."""

    async def main() -> None:
        await use(asyncio.get_running_loop())

    with pytest.raises(RuntimeError, match="virtual time, which has no real I/O, threads"):
        run(main)


def test_run_checks_what_it_is_given() -> None:
    """R60: a coroutine is closed; a running loop, or a function that is not async, is told of."""
    coro: Any = work()
    with pytest.raises(TypeError, match="without the parentheses"):
        run(coro)
    with pytest.raises(TypeError, match="async function, not int"):
        run(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="it returned int"):
        run(int)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'asyncio' or 'trio', not 'curio'"):
        run(work, backend="curio")  # type: ignore[arg-type]

    async def nested(backend: Any) -> None:
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            run(work, backend=backend)

    run(nested, "trio")
    run(nested, "asyncio", backend="trio")


def test_run_leaves_nothing_behind() -> None:
    """R60: not a thing of the interpreter's that it sets for itself, whatever happens."""

    def state() -> tuple[Any, ...]:
        return (
            sys.unraisablehook,
            list(warnings.filters),
            sys.get_coroutine_origin_tracking_depth(),
            sys.get_asyncgen_hooks(),
            signal.getsignal(signal.SIGINT),
            gc.isenabled(),
        )

    before = state()
    run(work)
    with pytest.raises(DeadlockError):
        run(work, float("inf"))
    assert state() == before


# --- in interpreters of their own


def script(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_run_needs_no_trio_and_waitkit_needs_no_testing() -> None:
    """R60: `import waitkit` does not import it; without Trio all but that backend works."""
    done = script(
        """
import sys, waitkit
assert "waitkit.testing" not in sys.modules
sys.modules["trio"] = None
import asyncio, waitkit.testing as testing
testing.run(asyncio.sleep, 3600)
assert testing.cancel_everywhere(lambda: asyncio.sleep(3600)) > 1
assert not {"anyio", "sniffio", "pytest"} & set(sys.modules)
try:
    testing.run(asyncio.sleep, 1, backend="trio")
except ModuleNotFoundError as error:
    print(error)
"""
    )
    assert done.stdout == "backend='trio' needs Trio. Install it with: pip install trio\n"
    assert done.stderr == ""


@pytest.mark.parametrize("froze", [False, True])
def test_run_freezes_nothing_for_good(froze: bool) -> None:
    """R60: what it keeps from the garbage collector is given back, and nobody else's."""
    done = script(
        f"""
import asyncio, gc
from waitkit.testing import run
if {froze}:
    gc.freeze()
before = gc.get_freeze_count()
run(asyncio.sleep, 1)
print(gc.get_freeze_count() - before)
"""
    )
    assert -1_000 < int(done.stdout) < 1_000  # CPython 3.12 freezes what is immortal by itself
    assert done.stderr == ""


@pytest.mark.parametrize("spin", ["pass", "await asyncio.sleep(1)"])
def test_interrupt_gets_out_of_a_test_that_spins(spin: str) -> None:
    """R60: Ctrl-C strikes where the program is, with and without an await; tasks are ended."""
    done = script(
        f"""
import asyncio, signal, threading, waitkit.testing
async def other():
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaned up")
async def main():
    task = asyncio.create_task(other())
    await asyncio.sleep(1)
    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    while True:
        {spin}
try:
    waitkit.testing.run(main)
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    assert done.stdout == "cleaned up\ninterrupted\n", done.stderr


PLUGIN = """
import anyio, asyncio, pytest
import waitkit.testing

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio", {"loop_factory": waitkit.testing.new_event_loop}

@pytest.fixture
async def started():
    await anyio.sleep(3600)
    yield asyncio.get_running_loop().time()
    await anyio.sleep(3600)

async def test_sleeps(started):
    await anyio.sleep(3600)
    assert asyncio.get_running_loop().time() == started + 3600

async def test_deadlocks():
    await anyio.Event().wait()

async def test_spins():
    while True:
        await anyio.lowlevel.checkpoint()

async def test_fails():
    raise LookupError
"""


def test_loop_works_in_the_plugin_of_anyio(tmp_path: Path) -> None:
    """R60: by a fixture that names the factory; deadlocks and livelocks fail their own test."""
    (tmp_path / "test_plugin.py").write_text(PLUGIN)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert "3 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "DeadlockError: nothing is left to happen" in done.stdout
    assert "LivelockError: the loop has turned" in done.stdout


def test_loop_works_in_a_runner() -> None:
    """R60: as a factory; what nobody handles is logged there, as by any loop."""
    with asyncio.Runner(loop_factory=waitkit.testing.new_event_loop) as runner:
        runner.run(work(3600))
        assert runner.get_loop().time() == 3600
        with pytest.raises(DeadlockError, match="work"):
            runner.run(work(float("inf")))


@pytest.mark.parametrize("name", waitkit.testing.__all__)
def test_public_name_says_where_it_is_from(name: str) -> None:
    """R60: tracebacks and docs show what users import; each has a docstring with an example."""
    value = getattr(waitkit.testing, name)
    assert value.__module__ == "waitkit.testing"
    assert "Example::" in value.__doc__
    if isinstance(value, type):
        assert issubclass(value, AssertionError)
