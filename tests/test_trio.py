"""R50-R52: what is Trio's own: scopes, nurseries, groups, levels, and what there is not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import trio
import trio.testing

import waitkit
from jobs import HELPERS, STREAMS, Broken, Gauge, fail, logged, never, notes, now, run_helper, value

pytestmark = pytest.mark.only("trio")

every_helper = pytest.mark.parametrize("helper", HELPERS)
every_stream = pytest.mark.parametrize("name", STREAMS)


async def in_nursery(*jobs: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    async with trio.open_nursery() as nursery:
        for job in jobs:
            nursery.start_soon(job)


# --- what there is not


@every_stream
async def test_bare_loop_is_refused(name: str) -> None:
    """R50, R26, R27: it says what to write, and the inputs are closed, an async source too."""

    async def source() -> AsyncIterator[Any]:
        yield value(1)

    stream = getattr(waitkit, name)([value("a"), value("b")])
    with pytest.raises(RuntimeError, match="'async with stream:'"):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    waiting = source()
    with pytest.raises(RuntimeError, match="'async with stream:'"):
        [item async for item in getattr(waitkit, name)(waiting)]
    with pytest.raises(StopAsyncIteration):
        await anext(waiting)


@every_helper
async def test_futures_of_asyncio_are_refused(helper: str) -> None:
    """R50, R32: a Task or Future is a TypeError that says coroutines are meant; all is closed."""
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    lent = waitkit._inputs.Borrowed(future)  # made where there is asyncio
    try:
        for given in (future, lent):
            for aws in ([value("a"), given], {"a": value("a"), "b": given}, iter([given])):
                with pytest.raises(TypeError, match=r"cannot be awaited on Trio; pass the corout"):
                    await run_helper(helper, aws)
        assert not future.cancelled()
    finally:
        loop.close()


async def test_coroutine_of_asyncio_is_a_failure_of_that_job() -> None:
    """R50: what waits for asyncio gets Trio's own TypeError, and no other job does."""
    partial = await waitkit.gather_partial([asyncio.sleep(0), value("b")])
    assert partial.results == {1: "b"}
    assert isinstance(partial.errors[0], TypeError | RuntimeError)


@every_stream
async def test_reader_of_an_async_source_that_never_starts(name: str) -> None:
    """R27: left at once, not even the task that reads the source has a step; both are closed."""

    async def source() -> AsyncIterator[Any]:
        yield value(1)

    waiting = source()
    async with getattr(waitkit, name)([never()]) as stream:
        stream.extend(waiting)
    with pytest.raises(StopAsyncIteration):
        await anext(waiting)


async def test_cancel_and_wait_and_borrowed_are_refused() -> None:
    """R50: they are asyncio's alone, and say so; coroutines are closed."""
    with pytest.raises(RuntimeError, match=r"cancel_and_wait\(\) works on asyncio alone"):
        await waitkit.cancel_and_wait([value("a"), value("b")])  # type: ignore[list-item]
    with pytest.raises(RuntimeError, match=r"borrowed\(\) works on asyncio alone"):
        waitkit.borrowed(value("a"))  # type: ignore[arg-type, unused-awaitable]


# --- groups and scopes


async def test_errors_are_bare() -> None:
    """R51: neither one failure nor several that come together make a group; the first is raised."""
    errors = [Broken(number) for number in range(3)]
    with pytest.raises(Broken) as caught:
        await waitkit.first_error([fail(error, 1) for error in errors])
    assert caught.value in errors
    assert len(notes(caught.value)) == 3  # its own, and the two others'
    with pytest.raises(waitkit.DeadlineError):
        await waitkit.first_error([never()], timeout=1)


@pytest.mark.parametrize("name", ["first_error", "gather_partial"])
async def test_group_that_a_job_raises_is_its_own(name: str) -> None:
    """R51: the group of a nursery inside a job is that job's failure, as it is."""

    async def job() -> None:
        await in_nursery(lambda: fail(Broken(1), 1), lambda: fail(Broken(2), 1), never)

    if name == "gather_partial":
        error: BaseException = (await waitkit.gather_partial([job()])).errors[0]
    else:
        with pytest.raises(ExceptionGroup) as caught:
            await waitkit.first_error([job(), never()])
        error = caught.value
    assert isinstance(error, ExceptionGroup)
    assert {str(each) for each in error.exceptions} <= {"1", "2"}


async def test_cancellation_in_a_group_is_split_off(caplog: pytest.LogCaptureFixture) -> None:
    """R51, R12: of a nursery that is cancelled and fails in its cleanup, only the failure stays."""
    spoilt = Broken("in the cleanup")

    async def spoil() -> None:
        try:
            await never()
        finally:
            raise spoilt

    with pytest.raises(Broken) as caught:
        await waitkit.first_error([in_nursery(spoil, never), fail(Broken("first"), 1)])
    assert str(caught.value) == "first"
    (error,) = logged(caplog)
    assert isinstance(error, ExceptionGroup)
    assert error.exceptions == (spoilt,)


async def test_cancelled_group_is_a_cancelled_job() -> None:
    """R17, R51: at a deadline a nursery of cancelled tasks is `Cancelled`, and no failure."""
    partial = await waitkit.gather_partial([in_nursery(never, never)], timeout=1)
    assert partial.outcomes == (waitkit.Cancelled(0, 0, "deadline", True),)


@every_helper
async def test_scope_around_a_helper_ends_it(helper: str) -> None:
    """R21, R23: `move_on_after` and `fail_after` behave as around anything else."""
    gauge = Gauge()
    with trio.move_on_after(1) as scope:
        await run_helper(helper, [gauge.job("a"), gauge.job("b")])
    assert scope.cancelled_caught
    assert now() == 1
    with pytest.raises(trio.TooSlowError), trio.fail_after(1):
        await run_helper(helper, [gauge.job("a"), gauge.job("b")])
    assert gauge.running == 0
    assert sorted(gauge.cancelled) == ["a", "a", "b", "b"]


async def test_scopes_inside_a_job_are_its_own() -> None:
    """R21: `move_on_after` in a job moves that job on; `fail_after` is its failure."""

    async def moves_on() -> str:
        with trio.move_on_after(1):
            await never()
        return "moved on"

    async def fails() -> None:
        with trio.fail_after(2):
            await never()

    partial = await waitkit.gather_partial((moves_on(), fails(), value("c", 3)))
    assert partial.results == {0: "moved on", 2: "c"}
    assert isinstance(partial.errors[1], trio.TooSlowError)


@pytest.mark.parametrize("limit", [None, 1])
@every_helper
async def test_scope_cancelled_before_the_call(helper: str, limit: int | None) -> None:
    """R23: then no job has even its first step, and the inputs are closed."""
    gauge = Gauge()
    options = {} if helper == "first_completed" else {"max_concurrency": limit}
    with trio.CancelScope() as scope:
        scope.cancel()
        await run_helper(helper, [gauge.job("a"), gauge.job("b")], **options)
    assert scope.cancelled_caught
    assert gauge.started == []


@every_stream
async def test_failure_does_not_cancel_the_body(name: str) -> None:
    """R9, R51: the consumer goes on with what it does; it hears of the failure at the next item."""
    error = Broken()
    async with getattr(waitkit, name)([value("a", 1), fail(error, 2), never()]) as stream:
        first = await anext(stream)
        await trio.sleep(5)
        assert now() == 6
        if "results" in name:
            assert first == "a"
            with pytest.raises(Broken):
                await anext(stream)
        else:
            assert first == waitkit.Success("a", 0, 0)


@every_stream
async def test_error_of_the_body_comes_out_bare(name: str) -> None:
    """R51: and all jobs have ended."""
    gauge = Gauge()
    with pytest.raises(Broken):  # noqa: PT012  # what raises is the block
        async with getattr(waitkit, name)([gauge.job("a", 1), gauge.job("b")]) as stream:
            await anext(stream)
            raise Broken
    assert gauge.running == 0


@every_stream
async def test_next_in_another_task(name: str) -> None:
    """R50: whoever asks for the next item, the jobs live in the block."""
    got: list[Any] = []

    async with getattr(waitkit, name)([value("a", 1), value("b", 2)]) as stream:

        async def consume() -> None:
            got.extend([item async for item in stream])

        await in_nursery(consume)
    assert len(got) == 2


async def test_consumer_that_is_shielded_hears_that_its_jobs_were_cancelled() -> None:
    """R13, R23: the loop does not just end, as if that had been all."""
    with trio.move_on_after(2) as scope:
        async with waitkit.as_completed_results([value("a", 1), value("b", 3)]) as stream:
            with trio.CancelScope(shield=True):
                assert await anext(stream) == "a"
                with pytest.raises(waitkit.JobCancelledError, match=r"^the jobs were cancelled"):
                    await anext(stream)
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)
            await trio.sleep(1)
    assert scope.cancelled_caught


async def test_consumer_that_is_shielded_gets_what_was_finished() -> None:
    """R9: where nothing was cancelled off, the cancellation of the block takes nothing away."""
    with trio.move_on_after(2) as scope:
        async with waitkit.as_completed_results([value("a", 1), value("b", 1)]) as stream:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
                assert sorted([item async for item in stream]) == ["a", "b"]
            await trio.sleep(1)
    assert scope.cancelled_caught


async def test_failure_that_is_being_cleaned_up_wins_over_a_cancellation() -> None:
    """R52: as in a nursery; the cancellation strikes at the next checkpoint."""

    async def cleans_up() -> None:
        try:
            await never()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)

    with trio.move_on_after(2) as scope:
        with pytest.raises(Broken):
            await waitkit.first_error([fail(Broken(), 1), cleans_up()])
        assert now() == 3
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def test_cleanup_that_awaits_has_to_shield_itself() -> None:
    """R52: cancellation is a level here, and strikes at each checkpoint of a job."""
    steps: list[str] = []

    async def unshielded() -> None:
        try:
            await never()
        finally:
            steps.append("begins")
            await trio.sleep(1)
            steps.append("ends")

    await waitkit.gather_partial([unshielded()], timeout=1)
    assert steps == ["begins"]


async def test_job_that_closes_its_stream_is_cancelled_too() -> None:
    """R26, R52: it does not wait for itself, and its next checkpoint is its last."""
    steps: list[str] = []

    async def closes() -> None:
        await trio.sleep(1)
        await stream.aclose()
        steps.append("closed")
        await trio.sleep(1)
        steps.append("went on")

    gauge = Gauge()
    async with waitkit.as_completed_results([closes(), gauge.job("a")]) as stream:
        assert [item async for item in stream] == []
    assert steps == ["closed"]
    assert gauge.ended == ["a"]
    assert now() == 1


# --- tasks


async def test_jobs_are_children_of_the_block() -> None:
    """R50: structured: the jobs' deadline is the caller's, and Trio's tree shows what runs."""
    seen: list[tuple[float, str]] = []

    async def job() -> None:
        seen.append((trio.current_effective_deadline(), trio.lowlevel.current_task().name))

    with trio.fail_after(7):
        await waitkit.first_error([job()])
    ((deadline, name),) = seen
    assert deadline == 7
    assert name.endswith("job")


async def test_nothing_is_left_in_the_nursery_of_the_caller() -> None:
    """R22: when a helper returns, no task of its is left."""
    before = trio.lowlevel.current_statistics().tasks_living
    await waitkit.first_error([value(1, 1), value(2)], timeout=5)
    with pytest.raises(Broken):
        await waitkit.first_error([fail(Broken(), 1), never()], timeout=5)
    async with waitkit.as_completed_results([never(), value(2)]) as stream:
        await anext(stream)
        assert trio.lowlevel.current_statistics().tasks_living > before
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_job_that_refuses_is_named_while_the_caller_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """R22: the clock of a call goes on when a scope around it has been cancelled."""

    async def refuses() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(20)

    with trio.move_on_after(1):
        await waitkit.first_error([refuses()])
    assert now() == 20
    (record,) = caplog.records
    assert "has not ended 10 seconds after it was cancelled" in record.message
    assert "refuses" in record.message


async def test_jobs_see_the_variables_of_the_caller() -> None:
    """R5: also those that are started when another job has ended."""
    variable = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    async def job(name: str) -> None:
        seen.append(variable.get())
        variable.set(name)
        await trio.sleep(1)

    variable.set("the caller's")
    await waitkit.first_error((job(name) for name in "abc"), max_concurrency=1)
    assert seen == ["the caller's"] * 3
    assert variable.get() == "the caller's"


# --- threads


async def test_futures_of_threads() -> None:
    """R1: a concurrent.futures.Future is waited for, and cancelled with the rest."""
    running, go_on = threading.Event(), threading.Event()

    def work() -> str:
        running.set()
        go_on.wait(10)
        return "done"

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first, waiting = pool.submit(work), pool.submit(work)
        await trio.to_thread.run_sync(running.wait)
        aws: list[Any] = [first, waiting, fail(Broken())]
        with pytest.raises(Broken):
            await waitkit.first_error(aws)
        assert waiting.cancelled()  # the other one runs on in its thread, and is not waited for
        assert not first.done()
        go_on.set()
        assert await waitkit.first_error((first, pool.submit(lambda: 2))) == ("done", 2)
        calls = waitkit.call_each(pool.submit, [work])
        assert await waitkit.first_error(calls) == {work: "done"}


async def test_future_that_was_cancelled_elsewhere() -> None:
    """R13: the one thing on Trio that scopes do not cancel."""
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    future.cancel()
    with pytest.raises(waitkit.JobCancelledError):
        await waitkit.first_error([future])
    partial = await waitkit.gather_partial([future])
    assert partial.outcomes == (waitkit.Cancelled(0, 0, "external", True),)
    partial = await waitkit.gather_partial(waitkit.call_each(lambda _: future, [7]))
    assert isinstance(partial.errors[7], waitkit.JobCancelledError)
