"""R62: `waitkit.testing.raise_everywhere` passes what is right, and sees each planted bug."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.lowlevel

import waitkit
from jobs import DATA, FAIL_FAST, HELPERS, LIMITED, run_helper
from waitkit.testing import (
    DeadlockError,
    LeakError,
    LivelockError,
    MaskedError,
    NeverAwaitedError,
    UnhandledError,
    cancel_everywhere,
    raise_everywhere,
)

Scenario = Callable[[], Coroutine[Any, Any, object]]
Backend = Literal["asyncio", "trio"]
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def work(seconds: float = 1) -> float:
    await anyio.sleep(seconds)
    return seconds


# --- what is right


async def lets_it_out() -> None:
    await work()


async def handles_it() -> None:
    with suppress(OSError):
        await work()


async def raises_from_it() -> None:
    try:
        await work()
    except ConnectionError as error:
        raise LookupError("no page") from error


async def raises_from_none() -> None:
    try:
        await work()
    except ConnectionError:
        raise LookupError("no page") from None


async def raises_a_group_from_it() -> None:
    try:
        await raises_from_it()
    except LookupError as error:
        raise ExceptionGroup("pages", [ValueError(), ExceptionGroup("", [error])]) from None


async def tries_again() -> None:
    for _ in range(2):
        with suppress(ConnectionError):
            await work()
            break


async def cleans_up() -> None:
    try:
        await work()
    except ConnectionError:
        await work(5)
        raise


async def task_group() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(work, 1)
        group.start_soon(work, 2)


RIGHT = [
    lets_it_out,
    handles_it,
    raises_from_it,
    raises_from_none,
    raises_a_group_from_it,
    tries_again,
    cleans_up,
]


@on_both
@pytest.mark.parametrize("scenario", RIGHT)
def test_raise_everywhere_passes_what_is_right(scenario: Scenario, backend: Backend) -> None:
    """R62: the error comes out, or is handled, or is told of by another; two runs for one sleep."""
    assert raise_everywhere(scenario, backend=backend) == 3


@on_both
def test_raise_everywhere_counts_the_sleeps_of_all_tasks(backend: Backend) -> None:
    """R62: two runs for each operation, and the one in which nothing fails."""
    assert raise_everywhere(task_group, backend=backend) == 5


@on_both
@pytest.mark.parametrize(
    ("name", "limit"), [*((name, None) for name in HELPERS), *((name, 2) for name in LIMITED)]
)
def test_raise_everywhere_holds_what_each_helper_promises(
    name: str, limit: int | None, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """R10, R22: a failure is raised bare, cancels the others at once, and outlives them all."""
    options = {} if limit is None else {"max_concurrency": limit}
    failures = 0

    async def scenario() -> None:
        nonlocal failures
        running = 0
        failed: list[float] = []  # when
        cancelled: list[float] = []

        async def job(seconds: float) -> float:
            nonlocal running
            running += 1
            try:
                return await work(seconds)
            except ConnectionError:
                failed.append(anyio.current_time())
                raise
            except anyio.get_cancelled_exc_class():
                cancelled.append(anyio.current_time())
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(5)
                raise
            finally:
                running -= 1

        error: BaseException | None = None
        try:
            await run_helper(name, [job(1), job(3), job(2)], **options)
        except ConnectionError as bare:
            error = bare
            raise
        finally:
            assert not running
            failures += len(failed)
            if failed and name in FAIL_FAST:
                assert error is not None
                assert set(cancelled) <= {failed[0]}
            if name in DATA:
                assert error is None
                assert not cancelled

    with caplog.at_level(logging.CRITICAL):  # of cleanup that fails
        runs = raise_everywhere(scenario, backend=backend)
    assert runs >= 2 * 2
    assert failures >= (2 if name.startswith("first_") else 2 * 3)  # a race ends before the rest


async def crawl() -> None:
    links = {"a": ["b", "c"], "b": ["d"], "c": [], "d": []}

    async def links_of(page: str) -> list[str]:
        await work()
        return links[page]

    async with waitkit.as_completed_results({"a": links_of("a")}) as results:
        async for _, pages in results:
            for page in pages:
                results.add(links_of(page), key=page)


async def hedged() -> None:
    opened: list[float] = []

    async def connect(seconds: float) -> float:
        await work(seconds)
        opened.append(seconds)
        return seconds

    winner: float | None = None
    try:
        winner = await waitkit.first_success(
            [connect(9), connect(1), connect(1)], stagger=2, dispose=opened.remove
        )
    finally:
        assert opened == ([] if winner is None else [winner])


async def reads_an_async_source() -> None:
    async def pages() -> AsyncIterator[Coroutine[Any, Any, float]]:
        for seconds in (3, 1, 2):
            await anyio.sleep(1)
            yield work(seconds)

    with suppress(ConnectionError):
        await waitkit.gather_partial(pages(), max_concurrency=2, timeout=4)


@on_both
@pytest.mark.parametrize("scenario", [crawl, hedged, reads_an_async_source])
def test_raise_everywhere_passes_programs_on_waitkit(scenario: Scenario, backend: Backend) -> None:
    """R10, R22, R28, R29: with inputs that are added, a race that disposes, a source that fails."""
    assert raise_everywhere(scenario, backend=backend) >= 5


# --- what is wrong


async def fails_in_its_error_path() -> None:
    try:
        connection = await work()
    finally:
        print(connection)


async def forgets_the_cause() -> None:
    try:
        await work()
    except ConnectionError:
        raise LookupError("no page")  # noqa: B904  # that is the bug


async def loses_a_result() -> None:
    pages = []
    for seconds in (1, 2):
        with suppress(ConnectionError):
            pages.append(await work(seconds))
    assert pages == [1, 2]


async def cancels_itself() -> None:
    try:
        await work()
    except ConnectionError:
        raise asyncio.CancelledError from None


async def gathers_and_leaves_siblings() -> None:
    await asyncio.gather(work(1), work(2))


async def leaves_a_task() -> None:
    task = asyncio.create_task(work(9))
    await work()
    task.cancel()
    await asyncio.wait([task])


async def forgets_an_await() -> None:
    page = work(2)
    await work()
    await page


async def fails_unseen() -> None:
    task = asyncio.create_task(work())
    await asyncio.wait([task])


async def deadlocks() -> None:
    ready = anyio.Event()

    async def prepare() -> None:
        await work()
        ready.set()

    task = asyncio.create_task(prepare())
    await ready.wait()
    await task


async def tries_again_and_again() -> None:
    ready = anyio.current_time() > 0
    try:
        await work()
        ready = True
    except ConnectionError:
        while not ready:  # that is the bug
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("scenario", "kind", "match"),
    [
        (fails_in_its_error_path, MaskedError, r"\n  UnboundLocalError.*, raised at .*: print"),
        (forgets_the_cause, MaskedError, r"Error\(\) was masked by what came out:\n  LookupError"),
        (loses_a_result, MaskedError, r"AssertionError\("),
        (cancels_itself, MaskedError, r"came out:\n  CancelledError\(\)"),
        (gathers_and_leaves_siblings, LeakError, r"main has ended(.|\n)* work\(\) at "),
        (leaves_a_task, LeakError, r"main has ended(.|\n)* work\(\) at "),
        (forgets_an_await, NeverAwaitedError, "coroutine 'work', made at .*: page = work"),
        (fails_unseen, UnhandledError, r"never retrieved: ConnectionError\(\), raised at "),
        (deadlocks, DeadlockError, r"deadlocks\(\) at .*: await ready.wait"),
        (tries_again_and_again, LivelockError, "100,000 times"),
    ],
)
def test_raise_everywhere_sees_what_is_wrong(
    scenario: Scenario, kind: type[AssertionError], match: str
) -> None:
    """R62, R22: each planted bug is told of by its kind, with the operation and the line."""
    with pytest.raises(kind, match=match) as caught:
        raise_everywhere(scenario)
    told = str(caught.value)
    assert told.startswith("operation 1 of ")
    assert "failed at once: " in told
    assert ": await anyio.sleep(seconds)\n" in told
    if kind is MaskedError:
        assert type(caught.value.__cause__).__name__ in told


async def on_trio_deadlocks() -> None:
    ready = trio.Event()

    async def prepare() -> None:
        with suppress(ConnectionError):
            await work()
            ready.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(prepare)
        await ready.wait()


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        (fails_in_its_error_path, MaskedError),
        (forgets_the_cause, MaskedError),
        (loses_a_result, MaskedError),
        (forgets_an_await, NeverAwaitedError),
        (on_trio_deadlocks, DeadlockError),
        (tries_again_and_again, LivelockError),
    ],
)
def test_raise_everywhere_sees_what_is_wrong_on_trio(
    scenario: Scenario, kind: type[AssertionError]
) -> None:
    """R62: the same there."""
    with pytest.raises(kind, match=r"^operation 1 of \d failed at once: .*await anyio.sleep"):
        raise_everywhere(scenario, backend="trio")


async def on_trio_never_ends() -> None:
    try:
        await work()
    except (ConnectionError, trio.Cancelled):
        while True:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("driver", [cancel_everywhere, raise_everywhere])
def test_nothing_is_heard_of_a_run_that_was_broken_off(driver: Any) -> None:
    """R62: not even when what is left of it is collected: a warning would fail this test."""
    with pytest.raises(LivelockError) as caught:
        driver(on_trio_never_ends, backend="trio")
    assert caught.value.__notes__ == ["when it was cancelled then, main did not end"]
    gc.collect()


@on_both
def test_raise_everywhere_finds_what_fails_only_after_its_time(backend: Backend) -> None:
    """R62: an operation fails at once in one run, and when its time is over in another."""

    async def scenario() -> None:
        begun = anyio.current_time()
        with suppress(ConnectionError):
            await work(60)
        assert anyio.current_time() in (begun, begun + 60)
        if anyio.current_time() > begun:
            with suppress(ConnectionError):
                await work(7)
                return
            raise LookupError

    with pytest.raises(MaskedError, match=r"^operation 2 of 2 failed at once: .*scenario\(\), in"):
        raise_everywhere(scenario, backend=backend)

    async def late() -> None:
        try:
            await work(60)
        except ConnectionError:
            if anyio.current_time():
                raise LookupError  # noqa: B904

    with pytest.raises(MaskedError, match=r"^operation 1 of 1 failed after 60 s: late\(\), in"):
        raise_everywhere(late, backend=backend)


@on_both
def test_raise_everywhere_takes_any_error(backend: Backend) -> None:
    """R62: what makes the error is called for each run; nothing but that error is raised."""
    made: list[Exception] = []
    came: list[Exception] = []

    def make() -> Exception:
        made.append(TimeoutError(len(made)))
        return made[-1]

    async def scenario() -> None:
        try:
            await work()
        except Exception as error:
            came.append(error)

    assert raise_everywhere(scenario, error=make, backend=backend) == 3
    assert len({id(error) for error in made}) == len(made)
    assert came == made[-2:]


@on_both
def test_raise_everywhere_raises_where_nobody_waits_any_more_for_nothing(backend: Backend) -> None:
    """R62: an operation that is cancelled before its time is over does not fail, and that is fine.

    One that is cancelled in the same turn in which it has begun is none on Trio.
    """

    async def scenario() -> None:
        with anyio.move_on_after(1):
            await work(9)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await work(9)

    assert raise_everywhere(scenario, backend=backend) == (5 if backend == "asyncio" else 3)


class Page:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Generator[Any, Any, float]:
        return work().__await__()


async def awaits_an_object() -> None:
    await Page()


async def reads_a_generator() -> None:
    async def pages() -> AsyncIterator[float]:
        yield await work()

    assert [page async for page in pages()] == [1]


@on_both
@pytest.mark.parametrize("scenario", [awaits_an_object, reads_a_generator])
def test_raise_everywhere_sees_a_sleep_through_whatever_awaits_it(
    scenario: Scenario, backend: Backend
) -> None:
    """R62: an awaitable object, an async generator."""
    assert raise_everywhere(scenario, backend=backend) == 3


# --- what it is given


@on_both
def test_raise_everywhere_wants_a_scenario_that_works(backend: Backend) -> None:
    """R62: what is wrong when nothing fails comes out as it is, with a note that says so."""

    async def fails() -> None:
        await work()
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own") as caught:
        raise_everywhere(fails, backend=backend)
    assert "in the run in which nothing fails" in caught.value.__notes__[-1]


@on_both
def test_raise_everywhere_wants_a_scenario_with_an_operation(backend: Backend) -> None:
    """R62: one where nothing can fail would pass whatever it does; `sleep(0)` is no operation."""

    async def idle() -> None:
        await anyio.sleep(0)  # noqa: ASYNC115  # that is the point

    with pytest.raises(ValueError, match="no operation that could fail"):
        raise_everywhere(idle, backend=backend)


async def on_trio_has_a_system_task() -> None:
    trio.lowlevel.spawn_system_task(trio.sleep, 5)
    await work()


def test_raise_everywhere_leaves_system_tasks_alone_on_trio() -> None:
    """R62: an operation is one of the scenario: an error in a system task would end Trio."""
    assert raise_everywhere(on_trio_has_a_system_task, backend="trio") == 3


def test_raise_everywhere_checks_what_it_is_given() -> None:
    """R62: functions that make a coroutine and an error, since there have to be many of both."""
    coro: Any = work()
    with pytest.raises(TypeError, match="without the parentheses"):
        raise_everywhere(coro)
    error: Any = OSError("once")
    with pytest.raises(TypeError, match=r"not OSError\('once'\): each run needs a new one"):
        raise_everywhere(lets_it_out, error=error)
    for wrong in (KeyboardInterrupt, asyncio.CancelledError, StopIteration, int):
        kind: Any = wrong
        with pytest.raises(TypeError, match="error must make an Exception, not "):
            raise_everywhere(lets_it_out, error=kind)


def test_raise_everywhere_lets_an_interrupt_out() -> None:
    """R62: Ctrl-C ends all of the runs, not one."""
    runs: list[int] = []

    async def scenario() -> None:
        runs.append(1)
        if len(runs) == 2:
            raise KeyboardInterrupt
        await work()

    with pytest.raises(KeyboardInterrupt):
        raise_everywhere(scenario)
    assert len(runs) == 2
