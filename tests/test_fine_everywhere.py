"""R60, R62: the words of `cancel_everywhere` and `raise_everywhere`, and of where a task waits."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import re
import traceback
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
import trio
import trio.lowlevel

import waitkit.testing
from waitkit.testing import (
    CancellationError,
    DeadlockError,
    LeakError,
    MaskedError,
    cancel_everywhere,
    raise_everywhere,
    run,
)
from waitkit.testing.strategies import Job, Schedule

Scenario = Callable[[], Coroutine[Any, Any, object]]
Backend = Literal["asyncio", "trio"]
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
with_both = pytest.mark.parametrize("driver", [cancel_everywhere, raise_everywhere])

HERE = Path(__file__)
LINES = [line.strip() for line in HERE.read_text(encoding="utf-8").splitlines()]
STARTED: list[object] = []
VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


@pytest.fixture(autouse=True)
def beside_this_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are named as seen from where the tests run. And no scenario has started."""
    monkeypatch.chdir(HERE.parent)
    STARTED.clear()


def at(code: str) -> str:
    """A line of this file, as messages show it."""
    assert LINES.count(code) == 1
    return f"{HERE.name}:{LINES.index(code) + 1}: {code}"


async def work(seconds: float = 1) -> None:
    await anyio.sleep(seconds)


WORK = at("await anyio.sleep(seconds)")


def varies(*later: Scenario) -> Scenario:
    """One that takes its time in the first run of a test, and does else in those that follow."""

    def scenario() -> Coroutine[Any, Any, object]:
        STARTED.append(later)
        return [work, *later][min(len(STARTED) - 1, len(later))]()

    return scenario


async def nothing() -> None: ...


async def fails() -> None:
    raise KeyError("of its own")


RAISED = "raised at " + at('raise KeyError("of its own")')
FAILS = f"KeyError('of its own'), {RAISED}"


# --- cancel_everywhere: what it says, and when it strikes


async def swallows() -> int:
    with suppress(asyncio.CancelledError):
        await work()
    return 3


async def loses_the_message() -> None:
    try:
        await work()
    except asyncio.CancelledError:
        raise asyncio.CancelledError("another") from None


async def fails_at_first() -> None:
    try:
        await work()
    except BaseException:
        await fails()


async def fails_later() -> None:
    await trio.sleep(1)
    try:
        for _ in range(5):
            await trio.lowlevel.checkpoint()
    except trio.Cancelled:
        await fails()


@pytest.mark.parametrize(
    ("scenario", "backend", "tick", "where", "wrong"),
    [
        (
            swallows,
            "asyncio",
            "3 of 6",
            f"while it waited: swallows(), in work() at {WORK}",
            "the cancellation was swallowed: it returned 3",
        ),
        (
            loses_the_message,
            "asyncio",
            "3 of 6",
            f"while it waited: loses_the_message(), in work() at {WORK}",
            "the cancellation has lost its message: CancelledError('another') came out, raised at "
            + at('raise asyncio.CancelledError("another") from None'),
        ),
        (
            fails_at_first,
            "asyncio",
            "3 of 6",
            f"while it waited: fails_at_first(), in work() at {WORK}",
            f"the cancellation was turned into {FAILS}",
        ),
        (
            fails_at_first,
            "trio",
            "1 of [23]",
            "before it started",
            f"the cancellation was turned into {FAILS}",
        ),
        (
            fails_later,
            "trio",
            "[34] of [78]",  # one may be a step of Trio's own
            f"while it waited: fails_later() at {at('await trio.lowlevel.checkpoint()')}",
            f"the cancellation was turned into {FAILS}",
        ),
        (
            varies(fails),
            "asyncio",
            "3 of 6",
            "when it had ended",
            f"it was not cancelled, and raised {FAILS}",
        ),
        (
            varies(nothing, fails),
            "trio",
            "2 of [23]",
            "when it had ended",
            f"it was not cancelled, and raised {FAILS}",
        ),
    ],
)
def test_cancel_everywhere_tells_in_these_words(
    scenario: Scenario, backend: Backend, tick: str, where: str, wrong: str
) -> None:
    """R62: which tick, out of how many; where the scenario was; what is wrong, and raised where."""
    with pytest.raises(CancellationError) as caught:
        cancel_everywhere(scenario, backend=backend)
    first, second = str(caught.value).splitlines()
    assert re.fullmatch(f"cancelled at tick {tick}, {re.escape(where)}", first)
    assert second == wrong


@pytest.mark.parametrize(("backend", "runs"), [("asyncio", {7}), ("trio", {3, 4})])
def test_cancel_everywhere_strikes_once_for_each_tick(backend: Backend, runs: set[int]) -> None:
    """R62: of asyncio three turns, and a callback in each; of Trio two steps, and one of its own.

    A run that ends before its tick comes is fine.
    """
    assert cancel_everywhere(work, backend=backend) in runs
    assert cancel_everywhere(varies(nothing), backend=backend) in runs


# --- raise_everywhere


def no_task_sleeps() -> Coroutine[Any, Any, None]:
    """A coroutine that is driven by a callback, as frameworks do that are older than tasks."""
    sleep = asyncio.sleep(1)

    async def scenario() -> None:
        over = asyncio.get_running_loop().create_future()

        def start() -> None:
            sleep.send(None).add_done_callback(lambda slept: over.set_result(slept.exception()))

        asyncio.get_running_loop().call_soon(start)
        if await over is not None:
            await fails()

    return scenario()


async def fails_in_its_second_operation() -> None:
    await work(1)
    try:
        await work(2)
    except ConnectionError:
        if anyio.current_time() == 3:
            await fails()


NOTHING_RAISED = f"nothing was raised in it, and KeyError('of its own') came out, {RAISED}"
MASKED = f"was masked by what came out:\n  {FAILS}"
LATE = f"fails_in_its_second_operation(), in work() at {WORK}"


@pytest.mark.parametrize(
    ("scenario", "backend", "told"),
    [
        (
            varies(fails),
            "asyncio",
            f"operation 1 of 1 did not come to fail\n{NOTHING_RAISED}",
        ),
        (
            varies(fails),
            "trio",
            f"operation 1 of 1 did not come to fail\n{NOTHING_RAISED}",
        ),
        (
            fails_in_its_second_operation,
            "asyncio",
            f"operation 2 of 2 failed after 2 s: {LATE}\nConnectionError() {MASKED}",
        ),
        (
            fails_in_its_second_operation,
            "trio",
            f"operation 2 of 2 failed after 2 s: {LATE}\nConnectionError() {MASKED}",
        ),
        (no_task_sleeps, "asyncio", f"operation 1 of 1 failed at once\nConnectionError() {MASKED}"),
    ],
)
def test_raise_everywhere_tells_in_these_words(
    scenario: Scenario, backend: Backend, told: str
) -> None:
    """R62: which operation, out of how many; how it failed, and where; what is wrong."""
    with pytest.raises(MaskedError) as caught:
        raise_everywhere(scenario, backend=backend)
    assert str(caught.value) == told


@on_both
def test_raise_everywhere_lets_a_run_end_before_its_operation(backend: Backend) -> None:
    """R62: where nothing comes to fail, nothing has to come out."""
    assert raise_everywhere(varies(nothing), backend=backend) == 3


def test_raise_everywhere_leaves_other_timers_their_context() -> None:
    """R62: what a scenario gives to `call_later` reaches the loop."""

    async def scenario() -> None:
        context = contextvars.copy_context()
        context.run(VARIABLE.set, "given")
        seen = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(
            1, lambda: seen.set_result(VARIABLE.get()), context=context
        )
        assert await seen == "given"
        await work()

    assert raise_everywhere(scenario) == 3


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError("once"),
            (
                "error must be a class or a function that makes an exception, not OSError('once'): "
                "each run needs a new one. Write error=lambda: ..."
            ),
        ),
        (
            StopIteration,
            "error must make an Exception, not StopIteration(): what an operation can fail with",
        ),
        (int, "error must make an Exception, not 0: what an operation can fail with"),
    ],
)
def test_raise_everywhere_says_what_makes_an_error(error: Any, told: str) -> None:
    """R62: before anything runs."""
    with pytest.raises(TypeError) as caught:
        raise_everywhere(work, error=error)
    assert str(caught.value) == told


def test_raise_everywhere_says_what_an_operation_is() -> None:
    """R62: a scenario without one would pass whatever it does."""
    with pytest.raises(ValueError, match="main has no operation") as caught:
        raise_everywhere(nothing)
    assert str(caught.value) == (
        "main has no operation that could fail: none of its tasks sleeps. "
        "Let the fakes that it uses take time, with sleep(1)"
    )


# --- both


@with_both
def test_driver_says_what_it_takes(driver: Any) -> None:
    """R62: by its own name."""
    with pytest.raises(TypeError) as caught:
        driver(work())
    assert str(caught.value) == (
        f"{driver.__name__}() takes an async function and makes the coroutine itself: "
        "write it without the parentheses"
    )


@on_both
@with_both
def test_driver_leaves_a_failure_of_the_scenario_itself_as_it_is(
    driver: Any, backend: Backend
) -> None:
    """R62: but for a note, and all of its traceback, with what the variables were; for pytest."""
    with pytest.raises(KeyError) as caught:
        driver(fails_in_itself, backend=backend)
    which = "that is not cancelled" if driver is cancel_everywhere else "in which nothing fails"
    assert caught.value.__notes__ == [f"waitkit.testing.{driver.__name__}: in the run {which}"]
    *_, frame, _ = (frame for frame, _ in traceback.walk_tb(caught.value.__traceback__))
    assert frame.f_locals == {"variable": "seen"}
    assert shown(caught) == ["fails_in_itself", "fails"]


async def fails_in_itself() -> None:
    variable = "seen"
    await work()
    await fails()
    print(variable)


def shown(caught: pytest.ExceptionInfo[BaseException]) -> list[str]:
    """The functions that pytest shows of a traceback, but for the test and the event loop."""
    entries = caught.traceback.filter(caught)[1:]
    package = Path(waitkit.testing.__file__).parent.parent
    return [
        entry.name
        for entry in entries
        if Path(entry.path).is_relative_to(package) or entry.path == HERE
    ]


@pytest.mark.parametrize(
    ("driver", "scenario"),
    [(cancel_everywhere, swallows), (raise_everywhere, fails_in_its_second_operation)],
)
def test_pytest_shows_no_frames_of_a_driver(driver: Any, scenario: Scenario) -> None:
    """R62: the traceback of a failure ends where the test calls the driver."""
    with pytest.raises(AssertionError) as caught:
        driver(scenario)
    assert [entry.name for entry in caught.traceback.filter(caught)] == [
        "test_pytest_shows_no_frames_of_a_driver"
    ]


async def swallows_and_leaves_much() -> int:
    with suppress(asyncio.CancelledError):
        await work()
    asyncio.create_task(work(), name="left")  # type: ignore[unused-awaitable]  # noqa: RUF006
    work()  # type: ignore[unused-coroutine]
    return 3


async def waits_for_ever_when_cancelled() -> None:
    try:
        await work()
    except asyncio.CancelledError:
        await anyio.sleep_forever()


def test_driver_tells_all_at_once() -> None:
    """R62: how the scenario has ended comes first; what it has left are notes on that."""

    async def scenario() -> int:
        task = asyncio.current_task()
        assert task is not None
        try:
            await work()
        except asyncio.CancelledError:
            return await swallows_and_leaves_much()
        return 3

    with pytest.raises(CancellationError) as caught:
        cancel_everywhere(scenario)
    assert "the cancellation was swallowed: it returned 3" in str(caught.value)
    leak, never_awaited = caught.value.__notes__
    assert leak == (
        "and LeakError: main has ended, and these tasks still run:\n"
        "  'left': work(), not started yet"
    )
    assert never_awaited.startswith("and NeverAwaitedError: these were neither awaited nor closed:")


def test_driver_keeps_the_notes_of_what_it_found() -> None:
    """R60, R62: what main did when a deadlock was broken up."""
    with pytest.raises(DeadlockError) as caught:
        cancel_everywhere(waits_for_ever_when_cancelled)
    assert caught.value.__notes__ == ["when it was cancelled then, main ended"]


async def on_trio_refuses_to_end() -> None:
    try:
        await work()
    except (ConnectionError, trio.Cancelled):
        while True:
            with suppress(AssertionError), trio.CancelScope(shield=True):
                await trio.sleep_forever()


@with_both
def test_nothing_is_heard_of_a_deadlock_that_was_broken_off(driver: Any) -> None:
    """R62: not even when what is left of it is collected: a warning would fail this test."""
    with pytest.raises(DeadlockError) as caught:
        driver(on_trio_refuses_to_end, backend="trio")
    assert caught.value.__notes__ == ["when it was cancelled then, main did not end"]
    gc.collect()


# --- where a task waits


async def events() -> AsyncGenerator[int, None]:
    try:
        yield 1
    finally:
        await asyncio.Event().wait()


async def closes_a_generator() -> None:
    generator = events()
    await anext(generator)
    await generator.aclose()


class Page:
    def __await__(self) -> Generator[Any, Any, Any]:
        yield from asyncio.Event().wait().__await__()


async def awaits_an_object() -> None:
    await Page()


async def leaves_a_stack() -> None:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.Event().wait)


def without_source() -> Coroutine[Any, Any, None]:
    names: dict[str, Any] = {"wait": asyncio.Event().wait}
    exec(compile("async def unseen(): await wait()", "<template>", "exec"), names)
    coroutine: Coroutine[Any, Any, None] = names["unseen"]()
    return coroutine


@pytest.mark.parametrize(
    ("main", "where"),
    [
        (
            closes_a_generator,
            f"closes_a_generator(), in events() at {at('await asyncio.Event().wait()')}",
        ),
        (
            awaits_an_object,
            "awaits_an_object(), in Page.__await__() at "
            + at("yield from asyncio.Event().wait().__await__()"),
        ),
        (leaves_a_stack, f"leaves_a_stack() at {at('async with AsyncExitStack() as stack:')}"),
        (without_source, "unseen() at <template>:1"),
        (lambda: asyncio.Event().wait(), "asyncio.locks.Event.wait()"),
    ],
)
def test_place_where_a_task_waits(main: Scenario, where: str) -> None:
    """R60: a line of the user's own; else the function of the library, and none of waitkit's."""
    with pytest.raises(DeadlockError) as caught:
        run(main)
    title = "nothing is left to happen at 0 s, and these tasks wait:"
    assert str(caught.value) == f"{title}\n  {where}"


def test_place_where_trio_raised_is_in_none_of_its_libraries() -> None:
    """R60: but in the line of the user's own that was waiting."""

    async def main() -> None:
        send, receive = trio.open_memory_channel[None](0)
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            trio.lowlevel.spawn_system_task(send.aclose)
            with trio.CancelScope(shield=True):
                await receive.receive()

    with pytest.raises(DeadlockError) as caught:
        run(main, backend="trio")
    assert caught.value.__notes__ == [
        "when it was cancelled then, main raised EndOfChannel(), raised at "
        + at("await receive.receive()")
    ]


def test_cancellation_says_where_it_comes_from() -> None:
    """R62: its message, for whoever meets it in a traceback or a debugger."""
    messages: set[object] = set()

    async def scenario() -> None:
        try:
            await work()
        except asyncio.CancelledError as error:
            messages.update(error.args)
            raise

    cancel_everywhere(scenario)
    assert messages == {"cancelled by waitkit.testing.cancel_everywhere"}


class Compiled(Coroutine[Any, Any, None]):
    """One without a frame, as those of Cython are."""

    def __repr__(self) -> str:
        return "<compiled>"

    def __await__(self) -> Generator[Any, Any, None]:
        yield

    def send(self, value: object) -> None: ...

    def throw(self, error: Any, *_: Any) -> None:
        raise error

    def close(self) -> None: ...


@pytest.mark.parametrize("turns", [0, 1])
def test_place_of_tasks_that_are_left(turns: int) -> None:
    """R60, R61: of those without a line of the user's own, too, and before they start."""
    fake = Schedule(jobs=(Job(delay=2),)).fake(str)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for coroutine in (Compiled(), asyncio.sleep(2), fake(7), work()):
            loop.create_task(coroutine)  # type: ignore[unused-awaitable]  # noqa: RUF006
        for _ in range(turns):
            await asyncio.sleep(0)

    with pytest.raises(LeakError) as caught:
        run(main)
    title, *lines = str(caught.value).splitlines()
    assert title == "main has ended, and these tasks still run:"
    assert lines == (
        [
            "  <compiled>",
            "  asyncio.tasks.sleep()",
            "  fake(7) as Job(delay=2)",
            f"  work() at {WORK}",
        ]
        if turns
        else [
            "  <compiled>",
            "  fake(7) as Job(delay=2), not started yet",
            "  sleep(), not started yet",
            "  work(), not started yet",
        ]
    )
