"""R4, R13, R14, R22, R23, R29, R51, R52: what an attack on the Trio backend has found."""

from __future__ import annotations

import concurrent.futures
import contextvars
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

import virtual_time
import waitkit
from jobs import HELPERS, STREAMS, Broken, Gauge, counting, fail, never, now, run_helper, value

SOURCES = os.path.dirname(waitkit.__file__)

every_helper = pytest.mark.parametrize("helper", HELPERS)
every_exit = pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def is_interrupt(error: BaseException | None) -> bool:
    """Whether it is a KeyboardInterrupt, or a nursery's group with one in it."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)


async def spoilt(error: type[BaseException]) -> None:
    """A job that raises when it is cancelled, with no checkpoint in between."""
    try:
        await never()
    finally:
        raise error


# --- what is given twice


@pytest.mark.only("trio")
async def test_coroutine_that_an_iterator_gives_twice() -> None:
    """R4, R22: nothing is promised of it, but that the first job and the call end."""
    coro = value("once", 2)

    def source() -> Iterator[Any]:
        yield coro
        yield value("between", 1)
        yield coro

    partial = await waitkit.gather_partial(source(), max_concurrency=2)
    assert partial.results == {0: "once", 1: "between"}
    assert isinstance(partial.errors[2], RuntimeError)


@pytest.mark.only("trio")
async def test_future_that_refuses_its_cancellation(caplog: pytest.LogCaptureFixture) -> None:
    """R22: as on asyncio it is given up, and the others still hear."""

    class Refusing(concurrent.futures.Future[Any]):
        def cancel(self) -> bool:
            raise RuntimeError("no")

    gauge = Gauge()
    aws: list[Any] = [Refusing(), gauge.job("a"), fail(Broken(), 1)]
    with pytest.raises(Broken):
        await waitkit.first_error(aws)
    assert gauge.cancelled == ["a"]
    assert "could not cancel" in caplog.text


# --- interrupts of jobs, when the call is decided already


@every_exit
@every_helper
def test_interrupt_in_the_cleanup_of_a_job(helper: str, error: type[BaseException]) -> None:
    """R14, R51: on Trio nobody but the helper can let it out; it is not dropped."""
    came: list[BaseException] = []

    async def main() -> None:
        try:
            await run_helper(helper, [spoilt(error), never()], timeout=1)
        except BaseException as exc:
            came.append(exc)

    virtual_time.run(main, mode="trio")
    assert [type(each) for each in came] == [error]


@every_exit
@every_helper
def test_interrupt_in_a_job_that_a_scope_cancels(helper: str, error: type[BaseException]) -> None:
    """R14, R51: the scope swallows its own cancellation, and not what a job raised."""

    async def main() -> None:
        with trio.move_on_after(1):
            await run_helper(helper, [spoilt(error), never()])

    with pytest.raises(error):
        virtual_time.run(main, mode="trio")


@every_exit
def test_interrupt_in_the_cleanup_after_a_failure(error: type[BaseException]) -> None:
    """R12, R14, R51: it comes out, and the failure is its context."""
    failure = Broken()

    async def main() -> None:
        await waitkit.first_error([spoilt(error), fail(failure, 1)])

    with pytest.raises(error) as caught:
        virtual_time.run(main, mode="trio")
    assert caught.value.__context__ is failure


# --- interrupts of the caller


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, BaseExceptionGroup])
def test_exit_in_dispose(error: type[BaseException], asynchronous: bool) -> None:
    """R29, R51: it comes out bare; the others are disposed of, and the block is closed."""
    seen: list[str] = []
    came: list[BaseException] = []

    def stop() -> None:
        if error is BaseExceptionGroup:
            raise BaseExceptionGroup("of a nursery", [KeyboardInterrupt()])
        if error is KeyboardInterrupt:
            interrupt()
        else:
            raise error

    def dispose(value: str) -> None:
        seen.append(value)
        if len(seen) == 1:
            stop()

    async def adispose(value: str) -> None:
        seen.append(value)
        if len(seen) == 1:
            stop()
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        jobs = [value("a", 1), value("b", 1), fail(Broken(), 2)]
        try:
            await waitkit.first_error(jobs, dispose=adispose if asynchronous else dispose)
        except BaseException as exc:
            came.append(exc)
        try:
            await trio.lowlevel.checkpoint()
        except KeyboardInterrupt as exc:  # a synchronous function may run to its end before
            came.append(exc)

    virtual_time.run(main, mode="trio")
    assert sorted(seen) == ["a", "b"]
    assert type(came[-1]) is error


@pytest.mark.parametrize("use", ["first_error", "anext", "body"])
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_interrupt_and_cancellation_together(use: str, turns: int) -> None:
    """R51: of a Ctrl-C and a scope's cancellation in the same turns neither breaks the other."""

    async def call() -> None:
        if use == "first_error":
            await waitkit.first_error([never(), never(), never()])
        else:
            async with waitkit.as_completed_results([never(), never(), never()]) as stream:
                await (anext(stream) if use == "anext" else never())

    async def main() -> None:
        with trio.CancelScope() as scope:

            @trio.lowlevel.enable_ki_protection
            async def strike() -> None:
                await trio.sleep(1)
                interrupt()
                for _ in range(turns):
                    await trio.lowlevel.cancel_shielded_checkpoint()
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(strike)
                await call()

    for _ in range(20):  # the order of tasks is Trio's choice
        out: BaseException | None = None
        try:
            virtual_time.run(main, mode="trio")
        except BaseException as error:
            out = error
        assert is_interrupt(out), f"came out: {out!r}"


def interrupted_at(line: int, case: Callable[[Gauge], Any]) -> tuple[bool, BaseException | None]:
    """Run with a SIGINT at a line of the library; whether there was one, and what came out."""
    lines = 0
    gauge = Gauge()

    def trace(frame: Any, event: str, _arg: object) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(SOURCES):
            return None
        if event == "line":
            lines += 1
            if lines == line:
                sys.settrace(None)
                interrupt()
        return trace

    async def main() -> None:
        sys.settrace(trace)
        try:
            await case(gauge)
        finally:
            sys.settrace(None)
            assert gauge.running == 0

    out: BaseException | None = None
    before = sys.gettrace()
    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    except BaseException as error:
        out = error
    finally:
        sys.settrace(before)
    return lines >= line, out


async def failing(gauge: Gauge) -> None:
    with pytest.raises(Broken):
        await waitkit.first_error([gauge.job("a", 1), gauge.job("b"), fail(Broken(), 2)])


async def left(gauge: Gauge) -> None:
    async with waitkit.as_completed_results([gauge.job("a", 1), gauge.job("b")]) as stream:
        await anext(stream)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [failing, left])
def test_interrupt_at_any_line_of_the_engine(case: Callable[[Gauge], Any]) -> None:
    """R14, R22, R51: a signal does not wait for a step; no nursery is left open behind it."""
    line = 0
    wrong: list[str] = []
    while True:
        line += 3
        struck, out = interrupted_at(line, case)
        if not struck:
            break
        if type(out) is not KeyboardInterrupt:
            wrong.append(f"at line {line}: {type(out).__name__}")
    assert not wrong


# --- scopes


@pytest.mark.only("trio")
@pytest.mark.parametrize("name", STREAMS)
async def test_input_that_is_added_after_a_cancellation(name: str) -> None:
    """R13, R23: a consumer that is shielded hears that it was given up."""
    came: list[BaseException] = []
    with trio.move_on_after(2):
        async with getattr(waitkit, name)([value(1, 1)]) as stream:
            with trio.CancelScope(shield=True):
                await anext(stream)
                await trio.sleep(3)
                stream.add(value(2, 1))
                try:
                    await anext(stream)
                except Exception as error:
                    came.append(error)
    assert [type(error) for error in came] == [waitkit.JobCancelledError]


@pytest.mark.only("trio")
@pytest.mark.parametrize("name", STREAMS)
async def test_error_of_the_body_in_its_cleanup(name: str) -> None:
    """R51, R52: the scope that has cancelled the block does not swallow it, as of a nursery."""

    async def body() -> None:
        with trio.move_on_after(1):
            async with getattr(waitkit, name)([never(), never()]):
                await spoilt(Broken)

    for _ in range(10):  # the order of tasks is Trio's choice
        with pytest.raises(Broken):
            await body()


@pytest.mark.only("trio")
@every_helper
async def test_cancellation_has_no_failure_for_its_context(helper: str) -> None:
    """R23: nothing has failed, so a traceback does not tell of a failure, at random or ever."""
    for _ in range(10):
        contexts: list[BaseException | None] = []
        with trio.move_on_after(1):
            try:
                await run_helper(helper, [never(), never(), never()])
            except trio.Cancelled as error:
                contexts.append(error.__context__)
                raise
        assert len(contexts) == 1
        assert not isinstance(contexts[0], waitkit.JobCancelledError)


# --- what no other test would have missed


@pytest.mark.only("trio")
async def test_variables_of_a_job_that_starts_behind_a_future() -> None:
    """R5: also where it was a thread that has made room."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    variable.set("the caller's")

    async def job() -> str:
        return variable.get()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first: concurrent.futures.Future[str] = pool.submit(lambda: "done")
        aws: list[Any] = [pool.submit(time.sleep, 0.05), job()]
        assert (await waitkit.first_error(aws, max_concurrency=1))[1] == "the caller's"
        assert await waitkit.first_error((first, job())) == ("done", "the caller's")


@pytest.mark.only("trio")
async def test_deadline_before_a_stagger_that_is_set_later() -> None:
    """R19, R20: of two timers the earlier one goes off first, whichever was set first."""
    with pytest.raises(waitkit.DeadlineError):
        await waitkit.first_success([fail(Broken(), 2), never(), never()], stagger=4, timeout=5)
    assert now() == 5


@pytest.mark.only("trio")
async def test_deadline_and_stagger_at_one_moment() -> None:
    """R19, R20: the one that was set first goes off first: nothing is taken then."""
    taken: list[Any] = []
    with pytest.raises(waitkit.DeadlineError):
        await waitkit.first_success(
            counting((never() for _ in range(3)), taken), stagger=1, timeout=2
        )
    assert len(taken) == 2


@pytest.mark.only("trio")
async def test_future_of_a_call_that_is_cancelled() -> None:
    """R1: what `call_each` has submitted is cancelled where it has not begun."""
    futures: list[concurrent.futures.Future[Any]] = []

    def submit(_: int) -> concurrent.futures.Future[Any]:
        futures.append(concurrent.futures.Future())
        return futures[-1]

    await waitkit.gather_partial(waitkit.call_each(submit, range(2)), timeout=1)
    assert [future.cancelled() for future in futures] == [True, True]


def test_future_that_ends_after_the_run(caplog: pytest.LogCaptureFixture) -> None:
    """R1, R12: nobody is left to be told, and nobody complains."""
    futures: list[concurrent.futures.Future[Any]] = []
    for _ in range(2):
        futures.append(concurrent.futures.Future())
        futures[-1].set_running_or_notify_cancel()

    async def main() -> None:
        calls = waitkit.call_each(lambda _: futures[1], [0])
        await waitkit.gather_partial([futures[0]], timeout=1)
        await waitkit.gather_partial(calls, timeout=1)

    virtual_time.run(main, mode="trio")
    for future in futures:
        future.set_result(None)
    assert caplog.records == []


# --- generators


@pytest.mark.filterwarnings("ignore")
def test_generator_that_is_dropped_inside_the_block() -> None:
    """R22, R25: its block is closed by a task of Trio's; that is an error, and no hang."""

    async def generator() -> AsyncIterator[Any]:
        async with waitkit.as_completed_results([value(1), never()]) as stream:
            async for item in stream:
                yield item

    async def main() -> None:
        async for _ in generator():
            break
        gc.collect()
        await trio.sleep(3)

    with pytest.raises(RuntimeError, match="stack corrupted"):
        virtual_time.run(main, mode="trio")
