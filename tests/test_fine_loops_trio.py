"""R60: the loop of `waitkit.testing.run` on Trio, where no test had looked (see `mutation.py`)."""

from __future__ import annotations

import gc
import logging
import re
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.lowlevel

from test_fine_loops import (
    HUNG,
    KEPT,
    fails,
    failure,
)
from waitkit.testing import (
    DeadlockError,
    UnhandledError,
    run,
)

needs_an_outside = pytest.mark.skipif(
    sys.platform == "emscripten", reason="no threads or sockets in WebAssembly"
)


async def never() -> None:
    await trio.sleep_forever()


async def on_trio_ends() -> None:
    await never()


async def on_trio_raises() -> None:
    try:
        await never()
    finally:
        raise ValueError("x")


async def on_trio_waits_shielded(times: int = 1) -> None:
    for _ in range(times):
        with trio.CancelScope(shield=True):
            with pytest.raises(DeadlockError, match=r"^shielded$"):
                await never()
            await trio.sleep(1)


@pytest.mark.parametrize(
    ("main", "args", "then"),
    [
        (on_trio_ends, (), "ended"),
        (on_trio_raises, (), "raised ValueError('x'), raised at ..."),
        (on_trio_waits_shielded, (1,), "was shielded"),
        (on_trio_waits_shielded, (2,), "was shielded"),
        (on_trio_waits_shielded, (3,), "did not end"),
    ],
)
def test_run_on_trio_says_what_came_of_a_main_that_hung(
    main: Any, args: tuple[int, ...], then: str
) -> None:
    """R60: a wait that is shielded is ended by an error, but not for ever."""
    assert failure(main, *args, backend="trio") == (
        f"{HUNG}  {main.__name__}(), in never() at ...",
        f"when it was cancelled then, main {then}",
    )


def test_run_on_trio_ends_shielded_tasks_from_below() -> None:
    """R60: a task with a nursery waits for its children, which are ended first."""
    ended: list[str] = []

    async def wait(name: str) -> None:
        try:
            await never()
        except DeadlockError:
            ended.append(name)

    async def main() -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for name in ("first", "second"):
                    nursery.start_soon(wait, name)
        ended.append("main")

    assert failure(main, backend="trio") == (
        f"{HUNG}  main() at ...\n  wait(), in never() at ...",
        "when it was cancelled then, main was shielded",
    )
    assert sorted(ended[:2]) == ["first", "second"]
    assert ended[2:] == ["main"]


async def hangs() -> None:
    with trio.CancelScope(shield=True):
        await never()


async def leaves_a_generator(then: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await hangs()

    kept = numbers()
    await anext(kept)
    root = trio.lowlevel.current_root_task()
    assert root is not None
    root.context.run(KEPT.set, kept)  # as long as the run
    if then is not None:
        await then()


async def leaves_a_system_task() -> None:
    trio.lowlevel.spawn_system_task(hangs)


@pytest.mark.parametrize(
    ("main", "told"), [(leaves_a_generator, "numbers"), (leaves_a_system_task, "hangs")]
)
def test_run_on_trio_tells_of_what_hangs_when_main_has_ended(main: Any, told: str) -> None:
    """R60: a generator that cannot be closed, a system task; of Trio's own tasks it is silent."""
    expected = f"{HUNG}  {told}(), in never() at ...", "when main had ended"
    assert failure(main, backend="trio") == expected


def test_run_on_trio_raises_what_main_raises_though_something_hangs_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R60: bare, and the rest is a note on it; nothing falls to pieces after the run."""
    heard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    with pytest.raises(ValueError, match="x") as caught:
        run(leaves_a_generator, fails, backend="trio")
    (note,) = caught.value.__notes__
    assert note.startswith(f"waitkit.testing: {HUNG}  numbers(), in never() at ")
    del caught
    gc.unfreeze()  # from what an earlier test has frozen
    while gc.collect():
        continue
    assert not heard


def test_run_on_trio_tells_first_of_a_main_that_hung() -> None:
    """R60: and not of what hung when it had been cancelled."""
    told, note = failure(leaves_a_generator, never, backend="trio")
    assert told == f"{HUNG}  leaves_a_generator(), in never() at ..."
    assert note == "when it was cancelled then, main did not end"


def seconds_to_deadlock() -> float:
    started = time.perf_counter()
    with pytest.raises(DeadlockError):
        run(never, backend="trio")
    return time.perf_counter() - started


@needs_an_outside
def test_run_on_trio_waits_for_threads_for_a_second() -> None:
    """R60: a deadlock is seen at once only where nothing could still come from outside."""
    took = min(seconds_to_deadlock() for _ in range(2))  # a busy machine may be late once
    assert (took >= 1) == (threading.active_count() > 1)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert 1 <= seconds_to_deadlock() < 5
    finally:
        done.set()
        thread.join()


@needs_an_outside
@pytest.mark.parametrize("wait", [trio.lowlevel.wait_readable, trio.lowlevel.wait_writable])
def test_run_on_trio_waits_for_sockets_for_a_second(wait: Any) -> None:
    """R60: whoever has the other end may still be there."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                ours.send(bytes(100_000))

        async def main() -> None:
            await wait(ours)

        started = time.perf_counter()
        with pytest.raises(DeadlockError):
            run(main, backend="trio")
        assert 1 <= time.perf_counter() - started < 5


@needs_an_outside
def test_run_on_trio_waits_for_each_of_two_for_a_second() -> None:
    """R60: what comes in time may be waited for again."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        for _ in range(2):
            time.sleep(0.6)
            theirs.send(b"x")

    async def main() -> bytes:
        received = b""
        for _ in range(2):
            await trio.lowlevel.wait_readable(ours)
            received += ours.recv(1)
        return received

    with ours, theirs:
        thread = threading.Thread(target=send)
        thread.start()
        assert run(main, backend="trio") == b"xx"
        thread.join()


def test_run_on_trio_tells_of_generators_by_what_trio_logs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """R60: its message, and the error; that is not logged, and the logger is as it was."""
    logger = logging.getLogger("trio.async_generator_errors")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise ValueError("of a generator")

    async def main() -> None:
        logger.error("no error with it")
        await anext(kept)

    kept = numbers()
    with pytest.raises(UnhandledError) as caught:
        run(main, backend="trio")
    lines = str(caught.value).splitlines()
    assert lines[:2] == ["nobody but the event loop was told of:", "  no error with it"]
    assert re.match(
        r"  Exception ignored during finalization of async generator .*numbers.* -- surround your "
        r"use of the generator in .*: ValueError\('of a generator'\), raised at ",
        lines[2],
    )
    assert isinstance(caught.value.__cause__, ValueError)
    assert (logger.propagate, logger.handlers) == (True, [])
    assert not caplog.records


def test_run_on_trio_leaves_other_logs_alone(caplog: pytest.LogCaptureFixture) -> None:
    """R60: what a program logs is no failure."""

    async def main() -> None:
        logging.getLogger("trio.of_the_program").error("x")

    run(main, backend="trio")
    assert [record.getMessage() for record in caplog.records] == ["x"]


def test_deadlock_on_trio_names_main_first_and_siblings_in_order() -> None:
    """R60: the same each time, though Trio has them in a set."""

    async def a() -> None:
        await never()

    async def b() -> None:
        await never()

    async def c() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b)
            nursery.start_soon(a)

    async def d() -> None:
        await never()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for job in (d, b, a, c):
                nursery.start_soon(job)

    at = ["main() at", "a(), in never() at", "b(), in never() at", "c() at", "d(), in never() at"]
    lines = failure(main, backend="trio")[0].removeprefix(HUNG).splitlines()
    assert lines == [f"  {each} ..." for each in at]


def test_run_on_trio_lets_trios_own_failures_out() -> None:
    """R60: such as that of a system task."""

    async def main() -> None:
        trio.lowlevel.spawn_system_task(fails)
        await trio.sleep(1)

    with pytest.raises(trio.TrioInternalError) as caught:
        run(main, backend="trio")
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert caught.value.__cause__.subgroup(ValueError)
