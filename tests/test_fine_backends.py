"""What no test had looked at until a mutant of the backends survived them all (`mutation.py`)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import logging
import sys
import threading
import traceback
import types
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any

import anyio
import pytest
import trio

import virtual_time
import waitkit
from jobs import STREAMS, Broken, Gauge, at, clean_up, fail, never, now, refuse, settle, value

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="none")


# --- jobs and their Tasks


class Compiled(Coroutine[Any, Any, Any]):
    """A coroutine that is not Python's own, as Cython makes them."""

    def __init__(self, coro: Coroutine[Any, Any, Any]) -> None:
        self._coro = coro

    def send(self, value: Any) -> Any:
        return self._coro.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coro.throw(*error)

    def close(self) -> None:
        self._coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coro.__await__()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("kind", ["coroutine", "compiled", "anext"])
async def test_task_of_a_job_is_that_of_its_coroutine(kind: str) -> None:
    """R1: one Task per coroutine, which shows that one and no wrapper around it."""
    seen: list[Any] = []

    async def job() -> None:
        task = asyncio.current_task()
        assert task is not None
        seen.append(task.get_coro())

    async def generator() -> AsyncIterator[None]:
        await job()
        yield

    makes: dict[str, Callable[[], Any]] = {
        "coroutine": job,
        "compiled": lambda: Compiled(job()),
        "anext": lambda: anext(generator()),
    }
    aw = makes[kind]()
    await waitkit.first_error([aw])
    assert seen == [aw]


# --- Futures


@pytest.mark.only("direct")
async def test_what_refuses_its_cancellation_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """R12, R22: with what it raised."""
    refusal = RuntimeError("no")
    kind: Any = concurrent.futures.Future if virtual_time.on_trio() else asyncio.Future

    class Refusing(kind):  # type: ignore[misc]  # either of the two
        def cancel(self, *_: Any) -> bool:
            raise refusal

        def __repr__(self) -> str:
            return "<theirs>"

    future = Refusing()
    at(2, future.set_result, None)
    with pytest.raises(Broken):
        await waitkit.first_error([future, fail(Broken(), 1)])
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("waitkit", "WARNING")
    assert record.getMessage() == "could not cancel <theirs>"
    assert record.exc_info is not None
    assert record.exc_info[1] is refusal


@pytest.mark.only("direct")
@pytest.mark.parametrize("asyncs", [False, True])
async def test_value_of_a_future_of_threads_at_two_places_is_disposed_of_once(asyncs: bool) -> None:
    """R4, R29: it is one job, whichever loop waits for it."""
    future: concurrent.futures.Future[str] = concurrent.futures.Future()
    if asyncs:
        at(1, future.set_result, "shared")
    else:
        future.set_result("shared")
    disposed: list[str] = []
    given: list[Any] = [future, future, fail(Broken(), 2)]
    with pytest.raises(Broken):
        await waitkit.first_error(given, dispose=disposed.append)
    assert disposed == ["shared"]


# --- contexts


class Noting(logging.Filter):
    """Notes what a formatter would see: the variable, where the record is made."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        self.seen.append(VAR.get())
        return True


@pytest.fixture
def noting() -> Any:
    noting = Noting()
    logger = logging.getLogger("waitkit")
    logger.addFilter(noting)
    yield noting
    logger.removeFilter(noting)


@pytest.mark.parametrize("helper", STREAMS)
async def test_job_that_refuses_is_named_in_the_context_of_the_call(
    helper: str, noting: Noting
) -> None:
    """R5, R22: a log that shows the request, say, shows that for which the stream was made."""

    async def refuses() -> None:
        try:
            await never()
        finally:
            await clean_up(20)

    VAR.set("made")
    stream = getattr(waitkit, helper)([refuses()])
    VAR.set("left")
    async with stream:
        await anyio.sleep(1)
    assert noting.seen == ["made"]


@pytest.mark.only("asyncio")
async def test_task_that_drain_left_is_logged_in_the_context_of_the_call(noting: Noting) -> None:
    """R5, R12, R26: so is what it raises, whoever drained the stream."""

    async def fails_when_cancelled() -> None:
        try:
            await never()
        finally:
            raise Broken

    VAR.set("made")
    stream = waitkit.as_completed_results(
        [value(1, 1), asyncio.create_task(fails_when_cancelled())], max_concurrency=1
    )
    VAR.set("drained")
    async with stream:
        await asyncio.sleep(0)
        stream.drain()
        assert [item async for item in stream] == [1]
    assert noting.seen == ["made"]


# --- time


async def test_stagger_after_many_failures() -> None:
    """R19: each failure starts the next input, and the last of these waits no longer than that."""
    given: list[Any] = [*(fail(Broken(), 0.125) for _ in range(8)), never(), value("won")]
    assert await waitkit.first_success(given, stagger=0.5) == "won"
    assert now() == 1.5


@pytest.mark.parametrize("timeout", [-1, 0, 0.5])
async def test_timeout_of_a_call_may_be_short(timeout: float) -> None:
    """R17: of no seconds, or fewer, it has passed when the call waits for anything."""
    calls = waitkit.call_each(lambda _: never(), [0], timeout=timeout)
    partial = await waitkit.gather_partial(calls)
    assert isinstance(partial.errors[0], TimeoutError)
    assert now() == max(0, timeout)


# --- loops that run by turns


def test_stream_takes_more_while_its_loop_stands_still() -> None:
    """R6, R26: as where a program runs its loop for a while, again and again."""
    loop = virtual_time.new_loop()
    try:

        async def make() -> waitkit.ResultStream[Any]:
            return waitkit.in_order_results([value(1)])

        stream = loop.run_until_complete(make())
        stream.add(value(2))
        assert loop.run_until_complete(anext(stream)) == 1
        outer: concurrent.futures.Future[int] = concurrent.futures.Future()
        stream.extend([value(3), outer])
        loop.call_later(1, outer.set_result, 4)

        async def rest() -> list[Any]:
            return [item async for item in stream]

        assert loop.run_until_complete(rest()) == [2, 3, 4]
    finally:
        loop.close()


# --- what is dropped or closed


@pytest.mark.only("asyncio")
@pytest.mark.filterwarnings("ignore:.*was dropped:ResourceWarning")  # which would hold the stream
@pytest.mark.parametrize("helper", STREAMS)
async def test_jobs_of_a_dropped_stream_are_held_until_they_have_ended(
    helper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R25: an event loop itself holds no Task that waits for what nobody else holds."""
    monkeypatch.delitem(sys.modules, "anyio")  # a program that has it has its scopes hold the Task
    found: list[Any] = []

    async def job() -> None:
        try:
            await never()
        finally:
            inner: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            found.append(weakref.ref(inner))
            await inner
            found.append("ended")

    async def consume() -> None:
        async for _ in getattr(waitkit, helper)([value(0), job()]):
            break

    await consume()
    await asyncio.sleep(11)  # so long a timer holds them, too
    gc.collect()
    (ref,) = found
    ref().set_result(None)
    await settle()
    assert found[1:] == ["ended"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_stream_dropped_by_another_thread(helper: str) -> None:
    """R25: its jobs are cancelled in the turn after that."""
    gauge = Gauge()
    held = [getattr(waitkit, helper)([value(0), gauge.job("a")])]
    await anext(held[0])
    with pytest.warns(ResourceWarning):  # noqa: PT031
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join()
    await settle()
    assert gauge.cancelled == ["a"]


@pytest.mark.only("direct")
async def test_exit_that_an_async_dispose_lets_out() -> None:
    """R29: it comes out when the others have been disposed of, and not before."""
    stop = BaseExceptionGroup("of its own tasks", [KeyboardInterrupt()])
    disposed: list[str] = []

    async def dispose(value: str) -> None:
        if not disposed:
            disposed.append(value)
            raise stop
        await anyio.sleep(1)
        disposed.append(value)

    with pytest.raises(BaseExceptionGroup) as caught:
        await waitkit.first_error(
            [value("a", 1), value("b", 1), fail(Broken(), 2)], dispose=dispose
        )
    assert caught.value is stop
    assert sorted(disposed) == ["a", "b"]


@pytest.mark.only("asyncio")
async def test_disposal_that_is_cancelled_before_its_first_step() -> None:
    """R29: of whoever cancels all tasks it hears, and disposes all the same."""
    caller = asyncio.current_task()
    disposed: list[str] = []

    def cancel_others() -> None:
        for task in asyncio.all_tasks() - {caller}:
            task.cancel()

    async def close(value: str) -> None:
        try:
            await asyncio.sleep(1)
        finally:
            disposed.append(value)

    def dispose(value: str) -> Coroutine[Any, Any, None]:
        asyncio.get_running_loop().call_soon(cancel_others)
        return close(value)

    with pytest.raises(Broken):
        await waitkit.first_error([value("a", 1), fail(Broken(), 2)], dispose=dispose)
    assert disposed == ["a"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_stream_closed_by_two_tasks_at_once(helper: str) -> None:
    """R22, R26: each of them goes on when the jobs have ended."""
    closed: list[float] = []

    async def job() -> None:
        try:
            await never()
        finally:
            await clean_up(2)

    async def close(after: float) -> None:
        await anyio.sleep(after)
        await stream.aclose()
        closed.append(now())

    async with getattr(waitkit, helper)([job()]) as stream, anyio.create_task_group() as group:
        group.start_soon(close, 1)
        group.start_soon(close, 2)
    assert closed == [3, 3]


# --- Trio alone: tasks and scopes


@types.coroutine
def closed_after_its_first_wait(coro: Coroutine[Any, Any, Any]) -> Generator[Any, Any, None]:
    """Run a coroutine by hand, and close it when it would go on."""
    yield coro.send(None)
    coro.close()


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_coroutine_that_is_closed_by_hand_on_trio(
    jobs: int, caplog: pytest.LogCaptureFixture
) -> None:
    """R5, R12, R22, R29: its caller has broken Trio's tree, but jobs end, and are disposed of.

    By a task of its own, with the variables of the caller.
    """
    disposed: list[Any] = []

    def dispose(number: int) -> None:
        disposed.append((number, VAR.get(), trio.lowlevel.current_task().name))

    async def main() -> None:
        VAR.set("caller")
        aws: list[Any] = [fail(Broken(), 1), *(refuse(number, 1) for number in range(jobs))]
        await closed_after_its_first_wait(waitkit.first_error(aws, dispose=dispose))
        VAR.set("later")
        await trio.sleep(3)

    with pytest.raises(RuntimeError, match="stack corrupted"):
        virtual_time.run(main, mode="trio")
    assert sorted(disposed) == [(number, "caller", "waitkit") for number in range(jobs)]
    assert "never raised" in caplog.text


@pytest.mark.only("trio")
async def test_tasks_of_a_call_have_names_in_the_tree() -> None:
    """R50: so that whoever looks at Trio's tree finds out what runs."""

    async def job() -> None:
        await never()

    class Waiting:
        def __await__(self) -> Generator[Any, Any, None]:
            return never().__await__()

        def __repr__(self) -> str:
            return "<waiting>"

    async def source() -> AsyncIterator[Any]:
        yield job()
        yield Waiting()
        await never()

    def names(task: trio.lowlevel.Task) -> Iterator[str]:
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield child.name.rpartition(".")[2]
                yield from names(child)

    async with waitkit.as_completed_results(source()):
        await settle()
        assert sorted(names(trio.lowlevel.current_task())) == [
            "<waiting>",
            "_feed",
            "job",
            "waitkit",
        ]


@pytest.mark.only("trio")
async def test_job_that_refuses_is_named_by_its_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    """R22: there is no Task to be shown. That another job has ended meanwhile is no matter."""

    async def refuses() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(20)

    with trio.move_on_after(1):
        await waitkit.first_error([never(), refuses(), never()])
    (record,) = caplog.records
    start, _, job = record.getMessage().partition(": <job ")
    assert start == "waitkit.first_error: input 1 has not ended 10 seconds after it was cancelled"
    assert job == f"{refuses.__qualname__}>"


@pytest.mark.only("trio")
async def test_future_of_a_call_that_was_cancelled_elsewhere() -> None:
    """R13: a call that gives a Future is told of its cancellation by an error that says so."""
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    future.cancel()
    partial = await waitkit.gather_partial(waitkit.call_each(lambda _: future, [7]))
    assert str(partial.errors[7]) == "a concurrent.futures.Future was cancelled"
    assert isinstance(partial.errors[7].__cause__, concurrent.futures.CancelledError)


@pytest.mark.only("trio")
@pytest.mark.parametrize("limit", [1, 2])
async def test_scope_ends_a_call_whose_jobs_it_does_not_reach(limit: int) -> None:
    """R13, R23: a consumer that is shielded hears of it, and no further input is started."""
    gauge = Gauge()

    async def shielded() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(3)

    given: list[Any] = [shielded(), concurrent.futures.Future(), gauge.job("next")]
    with trio.move_on_after(1) as scope:
        async with waitkit.as_completed_results(given, max_concurrency=limit) as stream:
            with trio.CancelScope(shield=True), pytest.raises(waitkit.JobCancelledError):
                await anext(stream)
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert now() == 3
    assert gauge.started == []


@pytest.mark.only("trio")
async def test_group_with_a_cancellation_in_it_is_no_failure_of_the_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """R12, R23, R51: whichever of its tasks a scope strikes first, the call was cancelled."""

    async def fails_as_a_group() -> None:
        try:
            await never()
        except trio.Cancelled as error:
            raise BaseExceptionGroup("both", [error, Broken()]) from None

    for _ in range(20):  # the order of tasks is Trio's choice
        with trio.move_on_after(1):
            await waitkit.first_error([fails_as_a_group()])
    assert {record.getMessage() for record in caplog.records} == {
        "waitkit.first_error: input 0 failed after the call had been decided"
    }


@pytest.mark.only("trio")
async def test_traceback_of_a_job_shows_the_job() -> None:
    """R10, R30: and nothing of what runs it."""

    async def inner() -> None:
        raise Broken

    async def job() -> None:
        await inner()

    partial = await waitkit.gather_partial([job()])
    frames = traceback.extract_tb(partial.errors[0].__traceback__)
    assert [frame.name for frame in frames] == ["job", "inner"]
