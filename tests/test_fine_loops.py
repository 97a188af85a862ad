"""R60: the loops of `waitkit.testing.run`, where no test had looked (see `mutation.py`)."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import re
import sys
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
import trio
import trio.lowlevel

import virtual_time
import waitkit
from jobs import Turns, now, settle
from waitkit.testing import (
    LeakError,
    new_event_loop,
    run,
)
from waitkit.testing.strategies import Job

Backend = Literal["asyncio", "trio"]
PACKAGE = Path(waitkit.__file__).parent
HUNG = "DeadlockError: nothing is left to happen at 0 s, and these tasks wait:\n"
UNHANDLED = "UnhandledError: nobody but the event loop was told of:\n"
REFUSES = "waitkit.testing: LeakError: these tasks do not end when they are cancelled:\n"
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
KEPT = contextvars.ContextVar[object]("KEPT")
VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


async def forever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise ValueError("x")


async def spin(backend: Backend, start: float, turns: int) -> None:
    sleep = asyncio.sleep if backend == "asyncio" else trio.sleep
    turn = functools.partial(sleep, 0) if backend == "asyncio" else trio.lowlevel.checkpoint
    if start:
        await sleep(start)
    for _ in range(turns):
        await turn()


def failure(
    main: Callable[..., Coroutine[Any, Any, object]], *args: Any, backend: Backend = "asyncio"
) -> tuple[str, ...]:
    """What a run fails with, and the notes on that; without the lines of code."""
    with pytest.raises(AssertionError) as caught:
        run(main, *args, backend=backend)
    error = caught.value
    texts = f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())
    return tuple(re.sub(r"[^ ]*\.py:\d+: .*", "...", text) for text in texts)


# --- asyncio: the loop


def test_cleanup_has_turns_of_its_own() -> None:
    """R60: after a livelock it may take as many again."""

    async def main() -> None:
        try:
            await spin("asyncio", 0, 100_000)
        except asyncio.CancelledError:
            await spin("asyncio", 0, 99_990)

    assert failure(main)[1:] == ("when it was cancelled then, main returned",)


def test_timer_calls_in_the_context_that_it_is_given() -> None:
    """R60: as on any loop."""

    async def main() -> list[str]:
        loop, seen, context = asyncio.get_running_loop(), list[str](), contextvars.Context()
        context.run(VARIABLE.set, "of the timer")
        for given in (context, None):
            loop.call_later(1, lambda: seen.append(VARIABLE.get()), context=given)
        await asyncio.sleep(2)
        return seen

    assert run(main) == ["of the timer", "unset"]


def test_loop_lets_go_of_timers_that_were_cancelled() -> None:
    """R60: as any loop does where most of them were: hours of timeouts do not pile up."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.call_later(1800, print)
        timers = [loop.call_later(3600, print) for _ in range(200)]
        left = weakref.WeakSet(timers)
        for timer in timers:
            timer.cancel()
        del timers, timer
        await asyncio.sleep(1)
        return len(left)

    assert run(main) == 0


def test_loop_of_its_own_logs_what_nobody_handles(caplog: pytest.LogCaptureFixture) -> None:
    """R60: as any loop: only `run` has a place to tell it."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.get_loop().call_soon(int, "x")
        runner.run(asyncio.sleep(1))
    (record,) = caplog.records
    assert record.getMessage().startswith("Exception in callback int(")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


def test_run_says_what_to_do_about_real_io() -> None:
    """R60: the method, why not, and what instead."""

    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(RuntimeError) as caught:
        run(main)
    assert str(caught.value) == (
        "loop.run_in_executor() was called in virtual time, which has no real I/O, threads, "
        "subprocesses or signals: put a fake that sleeps in the place of what calls it"
    )


# --- asyncio: the run


def test_task_of_main_is_called_what_main_is() -> None:
    """R60: in the repr of the task, say, as debug mode logs it."""

    async def main() -> object:
        task = asyncio.current_task()
        assert task is not None
        coroutine = task.get_coro()
        assert inspect.iscoroutine(coroutine)
        return coroutine.__qualname__

    assert run(main) == main.__qualname__
    assert run(functools.partial(main)) == "main"


def test_deadlock_names_main_first() -> None:
    """R60: then the others, in an order that is the same each time."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(forever(), name=name) for name in ("b", "c", "a")]
        await asyncio.wait(tasks)

    lines = ["  main() at ...", *(f"  '{name}': forever() at ..." for name in "abc")]
    assert failure(main)[0] == HUNG + "\n".join(lines)


def test_interrupt_in_a_callback_comes_out_and_nothing_else() -> None:
    """R60: whoever wants out does not read what was left."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        loop = asyncio.get_running_loop()
        left.append(loop.create_task(forever()))
        loop.call_later(1, interrupt)
        await asyncio.sleep(2)

    left: list[Any] = []
    with pytest.raises(KeyboardInterrupt) as caught:
        run(main)
    assert not hasattr(caught.value, "__notes__")


async def ends() -> None:
    await forever()


async def returns() -> None:
    with suppress(asyncio.CancelledError):
        await forever()


async def raises() -> None:
    try:
        await forever()
    finally:
        raise ValueError("x")


async def refuses() -> None:
    while True:
        try:
            await forever()
        except BaseException:
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("main", "notes"),
    [
        (ends, ("when it was cancelled then, main ended",)),
        (returns, ("when it was cancelled then, main returned",)),
        (
            raises,
            ("when it was cancelled then, main raised ValueError('x'), raised at ...",),
        ),
        (
            refuses,
            (
                "when it was cancelled then, main did not end",
                f"{REFUSES}  refuses(), in forever() at ...",
            ),
        ),
    ],
)
def test_run_says_what_came_of_a_main_that_hung(
    main: Any, notes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R60: in notes; what is left of one that refuses to end falls to pieces in silence."""
    heard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    assert failure(main) == (f"{HUNG}  {main.__name__}(), in forever() at ...", *notes)
    gc.collect()
    assert not heard


def test_generator_that_is_being_closed_is_no_leak() -> None:
    """R60: the loop closes one that was dropped, in a task of its own, and is not interrupted."""
    closed: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(1)
            closed.append("numbers")

    async def main() -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(0.5)

    run(main)
    assert closed == ["numbers"]


async def waiting_generator() -> AsyncIterator[int]:
    try:
        yield 1
    finally:
        await forever()


def test_run_tells_of_a_generator_that_cannot_be_closed() -> None:
    """R60: an error like another, with when it was; after what is the matter with main."""
    kept: list[Any] = []

    async def main(then: Callable[[], Coroutine[Any, Any, None]]) -> None:
        kept.append(waiting_generator())
        await anext(kept[-1])
        await then()

    async def nothing() -> None: ...

    told = failure(main, nothing)
    assert told[0].startswith("DeadlockError: nothing is left to happen at 0 s, and these tasks")
    assert told[1:] == ("while async generators were being closed",)
    told = failure(main, forever)
    assert "main(), in forever() at" in told[0]
    assert told[1] == "when it was cancelled then, main ended"
    assert told[2].startswith("waitkit.testing: DeadlockError: nothing is left to happen at 0 s")
    assert len(told) == 3


def test_generators_are_closed_after_the_tasks_that_use_them() -> None:
    """R60: a generator that runs cannot be closed."""

    async def numbers() -> AsyncIterator[int]:
        yield 1
        await forever()

    async def read() -> None:
        async for _ in numbers():
            pass

    async def main() -> None:
        asyncio.get_running_loop().create_task(read())  # type: ignore[unused-awaitable]
        await asyncio.sleep(1)

    assert failure(main) == (
        "LeakError: main has ended, and these tasks still run:\n  read(), in forever() at ...",
    )


def test_task_that_a_generator_starts_while_it_is_closed_is_ended() -> None:
    """R60: nothing outlives the run."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(9)
        finally:
            ended.append("work")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            kept.append(asyncio.get_running_loop().create_task(work()))
            await asyncio.sleep(1)

    async def main() -> None:
        kept.append(numbers())
        await anext(kept[0])

    kept: list[Any] = []
    run(main)
    assert ended == ["work"]
    assert kept[1].cancelled()


def test_leaks_are_cancelled_once_and_awaited_no_longer_than_they_take() -> None:
    """R60: each has the time that its cleanup takes, and a timer that comes back is no task."""
    seen: list[tuple[str, float]] = []
    left: list[Any] = []

    async def work(name: str, cleanup: float) -> None:
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(cleanup)
            seen.append((name, asyncio.get_running_loop().time()))

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def beat() -> None:
            if loop.time() < 100:
                seen.append(("beat", loop.time()))
                loop.call_later(2, beat)

        beat()
        for name, cleanup in (("slow", 3), ("fast", 1)):
            left.append(loop.create_task(work(name, cleanup)))
        await asyncio.sleep(0.5)

    with pytest.raises(LeakError, match="main has ended"):
        run(main)
    assert seen == [("beat", 0), ("fast", 1.5), ("beat", 2), ("slow", 3.5)]


def test_leaks_that_hang_when_they_are_cancelled_are_cancelled_again() -> None:
    """R60: once more, and then each has the time for its cleanup again."""
    ended: list[str] = []

    async def work(name: str, cleanup: float) -> None:
        with suppress(asyncio.CancelledError):
            await forever()
        try:
            await forever()
        finally:
            await asyncio.sleep(cleanup)
            ended.append(name)

    async def main() -> None:
        for name, cleanup in (("slow", 3), ("fast", 1)):
            asyncio.get_running_loop().create_task(work(name, cleanup))  # type: ignore[unused-awaitable]
        await asyncio.sleep(1)

    with pytest.raises(LeakError, match="main has ended"):
        run(main)
    assert ended == ["fast", "slow"]


def test_run_tells_what_the_exception_handler_was_told_without_a_message() -> None:
    """R60: something is the matter all the same."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"exception": ValueError("x")})
        loop.call_exception_handler({})

    assert failure(main) == (
        f"{UNHANDLED}  an unhandled error: ValueError('x')\n  an unhandled error",
    )


def test_run_names_a_pending_task_that_was_dropped() -> None:
    """R60: asyncio's message tells only that there was one."""

    async def main() -> None:
        asyncio.get_running_loop().create_task(forever(), name="lost")  # type: ignore[unused-awaitable]
        await asyncio.sleep(1)
        gc.collect()

    told = "Task was destroyed but it is pending! 'lost': <coroutine object forever at "
    assert f"{UNHANDLED}  {told}" in "\n".join(failure(main))  # and from 3.14 on, more


def test_jobs_clean_up_where_nobody_has_imported_anyio(monkeypatch: pytest.MonkeyPatch) -> None:
    """R61: then there are no scopes that a cleanup would have to be shielded from."""
    monkeypatch.delitem(sys.modules, "anyio")

    async def main() -> tuple[str, float]:
        task = asyncio.create_task(Job(delay=2, kind="swallows_cancel", ticks=3).run("page a"))
        await asyncio.sleep(1)
        task.cancel()
        return await task, asyncio.get_running_loop().time()

    assert run(main) == ("page a", 1)


# --- both


@pytest.mark.parametrize(
    ("backend", "start", "turns"),
    [("asyncio", 0, 99_998), ("asyncio", 1, 99_998), ("trio", 1, 100_000)],
)
def test_run_allows_so_many_turns_while_the_clock_stands_still(
    backend: Backend, start: float, turns: int
) -> None:
    """R60: what the run itself takes to begin and to end is not counted among them."""
    run(spin, backend, start, turns, backend=backend)


@pytest.mark.parametrize(("backend", "start"), [("asyncio", 1), ("trio", 0)])
def test_run_allows_no_more_turns_while_the_clock_stands_still(
    backend: Backend, start: float
) -> None:
    """R60: it names who has taken them, and when that was."""
    title = f"the loop has turned 100,000 times at {start} s, with these tasks"
    assert failure(spin, backend, start, 100_001, backend=backend) == (
        f"LivelockError: {title}:\n  spin() at ...",
        "when it was cancelled then, main ended",
    )


@on_both
@pytest.mark.parametrize(
    "error",
    [ValueError("x"), RuntimeWarning("x"), ValueError("coroutine 'x' was never awaited")],
    ids=repr,
)
def test_what_a_destructor_raises_takes_its_usual_way(
    error: Exception, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R60: only the warning that a coroutine was never awaited is taken over."""

    class Fails:
        def __del__(self) -> None:
            raise error

    async def main() -> None:
        Fails()

    heard: list[object] = []

    def hook(unraisable: Any) -> None:
        heard.append(unraisable.exc_value)

    monkeypatch.setattr(sys, "unraisablehook", hook)
    run(main, backend=backend)
    assert heard == [error]
    assert sys.unraisablehook is hook


@on_both
def test_run_names_coroutines_that_were_made_before_it(backend: Backend) -> None:
    """R60: then nobody knows where."""
    kept = [forever()]

    async def main() -> None:
        kept.clear()

    assert failure(main, backend=backend) == (
        "NeverAwaitedError: these were neither awaited nor closed:\n  coroutine 'forever'",
    )


@on_both
def test_other_warnings_of_the_same_text_take_their_usual_way(backend: Backend) -> None:
    """R60: they are no errors."""

    async def main() -> None:
        warnings.warn("coroutine 'x' was never awaited", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="coroutine 'x'"):
        run(main, backend=backend)


@on_both
@pytest.mark.parametrize(("before", "within"), [(0, 1), (1, 1), (3, 3)])
def test_run_leaves_who_tracks_origins_as_they_are(
    before: int, within: int, backend: Backend
) -> None:
    """R60: it needs one line of them, and takes nothing from who wants more."""

    async def main() -> int:
        return sys.get_coroutine_origin_tracking_depth()

    usual = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(before)
    try:
        assert run(main, backend=backend) == within
        assert sys.get_coroutine_origin_tracking_depth() == before
    finally:
        sys.set_coroutine_origin_tracking_depth(usual)


@on_both
def test_run_leaves_what_others_froze_as_it_is(backend: Backend) -> None:
    """R60: a test session that keeps its objects from the garbage collector has its reasons."""
    gc.freeze()
    before = gc.get_freeze_count()
    run(asyncio.sleep if backend == "asyncio" else trio.sleep, 1, backend=backend)
    assert gc.get_freeze_count() > before / 2  # some of them may have been dropped


@on_both
def test_traceback_of_main_shows_no_frame_of_waitkit(backend: Backend) -> None:
    """R60: pytest leaves out those that say nothing of the code under test."""
    with pytest.raises(ValueError, match="x") as caught:
        run(fails, backend=backend)
    shown = caught.traceback.filter(caught)
    assert not [entry for entry in shown if PACKAGE in Path(entry.path).parents]
    assert shown[-1].name == "fails"


# --- what the tests of the package have of their own


@pytest.mark.parametrize("mode", virtual_time.MODES)
def test_hook_is_told_when_nothing_more_happens_before_time_moves(mode: virtual_time.Mode) -> None:
    """R60: the last look at a moment is of a loop that waits, unless main has ended."""
    last: dict[float, bool] = {}

    async def main() -> None:
        for seconds in (0, 0.5, 2):
            await anyio.sleep(seconds)

    def look(waits: bool) -> None:
        last[now()] = waits

    virtual_time.run(main, mode=mode, on_turn=look)
    assert last == {0: True, 0.5: True, 2.5: False}


@pytest.mark.parametrize("hook", ["on_turn", "on_step"])
@pytest.mark.parametrize("mode", virtual_time.ASYNCIO_MODES)  # on Trio it breaks, loudly
def test_error_of_a_hook_comes_out(mode: virtual_time.Mode, hook: str) -> None:
    """R60: bare, and at once."""
    error = ValueError("of a hook")
    began = False

    def look(*_: bool) -> None:
        if began:
            raise error

    async def main() -> None:
        nonlocal began
        began = True
        await anyio.sleep(1)

    with pytest.raises(ValueError, match="of a hook") as caught:
        virtual_time.run(main, mode=mode, **{hook: look})
    assert caught.value is error


async def test_turns_of_the_loop_are_counted() -> None:
    """R60: as many as somebody has waited for who waits for one at a time."""
    counted = Turns()
    await settle(5)
    assert counted.count == 5
