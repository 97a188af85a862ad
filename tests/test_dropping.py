"""What is dropped or closed with jobs running, and cannot await them any more: R25, R12, R29."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

import virtual_time
import waitkit
from cancelling import USES, Ledger, Stream, each_stream
from jobs import FAIL_FAST, future, settle

# Nearly all of it is asyncio's alone: on Trio a stream runs nothing but in a block, and a helper
# has its jobs in a nursery, which no coroutine that is closed can leave.
asyncio_only = pytest.mark.only("asyncio")

# --- R25: a stream that is dropped


async def consume_one(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    async for item in stream:
        ledger.take(item)
        break


@asyncio_only
@each_stream
async def test_stream_dropped_by_break_warns_and_cancels_its_jobs(make_stream: Stream) -> None:
    """R25: the jobs are cancelled when the stream goes, and its user is told how to do better."""
    ledger = Ledger()
    jobs = [ledger.job("a", 1), ledger.job("b", 1), ledger.job("c", 9, cleanup=2)]
    with pytest.warns(ResourceWarning, match="dropped with jobs running.*async with"):
        await consume_one(make_stream(jobs, dispose=ledger.dispose), ledger)
    await asyncio.sleep(3)
    ledger.check()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@asyncio_only
@each_stream
async def test_stream_dropped_with_no_job_running_is_silent(make_stream: Stream) -> None:
    """R25, R29: a break when all jobs have ended harms nothing; the values left are disposed of."""
    ledger = Ledger()
    jobs = [ledger.job("a", 1), ledger.job("b", 1)]
    stream = make_stream(jobs, dispose=ledger.dispose)
    await settle()
    await consume_one(stream, ledger)
    await asyncio.sleep(1)
    del stream
    await settle()
    assert ledger.taken == ["a"]
    assert ledger.disposed == ["b"]


@asyncio_only
@each_stream
async def test_stream_dropped_in_a_cycle_is_found_by_the_collector(make_stream: Stream) -> None:
    """R25: the jobs do not keep a stream alive, and a cycle only until the next collection."""
    ledger = Ledger()
    cycle: list[Any] = []
    stream = make_stream([ledger.job("a", 1), ledger.job("b", 9, cleanup=1)])
    await consume_one(stream, ledger)
    cycle.extend([cycle, stream])
    del stream
    del cycle
    with pytest.warns(ResourceWarning):
        gc.collect()
    await asyncio.sleep(2)
    assert sorted(ledger.ended) == ["a", "b"]


@asyncio_only
@each_stream
async def test_stream_dropped_after_a_body_was_cancelled(make_stream: Stream) -> None:
    """R25: a bare `async for` whose body is cancelled drops its stream as well."""
    ledger = Ledger()

    async def consume() -> None:
        async for item in make_stream([ledger.job("a", 1), ledger.job("b", 9, cleanup=1)]):
            ledger.take(item)
            await future()

    task = asyncio.ensure_future(consume())
    await asyncio.sleep(2)
    with pytest.warns(ResourceWarning):  # noqa: PT031
        await waitkit.cancel_and_wait(task)
        del task
        gc.collect()
    await asyncio.sleep(2)
    assert sorted(ledger.ended) == ["a", "b"]


@each_stream
@pytest.mark.real_time
async def test_stream_dropped_in_another_thread(make_stream: Stream) -> None:
    """R25: whichever thread drops it last, the jobs are cancelled in theirs."""
    loop = asyncio.get_running_loop()
    cancelled_in: asyncio.Future[object] = loop.create_future()

    async def job() -> None:
        try:
            await future()
        finally:
            cancelled_in.set_result(asyncio.get_running_loop())

    async def soon() -> None: ...

    stream = make_stream([soon(), job()])
    await anext(stream)
    held = [stream]
    del stream
    with pytest.warns(ResourceWarning):
        await asyncio.to_thread(held.clear)
    assert await cancelled_in is loop
    await settle()


@each_stream
async def test_stream_that_never_started_leaves_python_its_warning(make_stream: Stream) -> None:
    """R27: of a stream that was only made, nothing is told but that its coroutine never ran."""

    async def job() -> None: ...

    stream = make_stream([job()])
    with pytest.warns(RuntimeWarning, match="never awaited") as warned:  # noqa: PT031
        del stream
        gc.collect()
    assert [warning.category for warning in warned] == [RuntimeWarning]


@asyncio_only
@each_stream
async def test_stream_dropped_when_it_has_ended_is_silent(make_stream: Stream) -> None:
    """R25: a bare `async for` that runs to its end needs no block."""
    ledger = Ledger()
    async for item in make_stream([ledger.job("a", 1), ledger.job("b", 2)]):
        ledger.take(item)
    assert ledger.taken == ["a", "b"]


# --- a helper's coroutine that is closed, or whose loop is

# A block has to await its jobs: in a coroutine that is closed no `async with` can.
WITHOUT_BLOCK = [use for use in USES if not use.endswith("-block")]
FAIL_FAST_WITHOUT_BLOCK = [use for use in WITHOUT_BLOCK if use.partition("-")[0] in FAIL_FAST]


async def wait_for_wait(coro: Any, until: float) -> None:
    """Run a coroutine by hand until then, as a task would, and leave it in the middle of a wait."""
    loop = asyncio.get_running_loop()
    waits_for = coro.send(None)
    while loop.time() < until:
        await asyncio.sleep(0.25)
        if waits_for.done():
            waits_for = coro.send(None)


@asyncio_only
@pytest.mark.parametrize("use", WITHOUT_BLOCK)
@pytest.mark.filterwarnings("ignore:.*was dropped with jobs running:ResourceWarning")
async def test_coroutine_closed_while_it_waits_for_jobs(use: str) -> None:
    """R25, R29: one that is closed cancels its jobs, and has what they return disposed of."""
    ledger = Ledger()
    jobs = [ledger.job("a", 9, cleanup=1), ledger.job("b", 9, refuses=1)]
    coro: Any = USES[use](ledger, jobs)
    await wait_for_wait(coro, until=1)
    coro.close()
    await asyncio.sleep(3)
    ledger.check()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@asyncio_only
@pytest.mark.parametrize(
    "use", [use for use in WITHOUT_BLOCK if use.partition("-")[0] in FAIL_FAST]
)
@pytest.mark.filterwarnings("ignore:.*was dropped with jobs running:ResourceWarning")
async def test_coroutine_closed_while_it_cleans_up_a_failure(
    use: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R29: one that is closed only then disposes all the same, and logs the failure."""
    ledger = Ledger()
    failure = ValueError("a")
    coro: Any = USES[use](
        ledger, [ledger.job("a", 1, error=failure), ledger.job("b", 9, refuses=2)]
    )
    await wait_for_wait(coro, until=2)
    coro.close()
    await asyncio.sleep(3)
    ledger.check()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    logged = [record.exc_info and record.exc_info[1] for record in caplog.records]
    assert logged == [failure]


@pytest.mark.parametrize("use", WITHOUT_BLOCK)
@pytest.mark.filterwarnings("ignore:.*was dropped with jobs running:ResourceWarning")
def test_loop_closed_under_a_running_helper(use: str) -> None:
    """R25: nothing is to be done any more, and asyncio's complaints of lost tasks are the only."""

    async def job() -> str:
        await future()
        return "never"

    async def call() -> None:
        await USES[use](Ledger(), [job(), job()])

    loop = virtual_time.new_loop()
    asyncio.set_event_loop(loop)
    task = loop.create_task(call())
    loop.run_until_complete(asyncio.sleep(1))
    complaints = loop.complaints
    asyncio.set_event_loop(None)
    loop.close()
    del task, loop
    gc.collect()
    assert {entry["message"] for entry in complaints} == {"Task was destroyed but it is pending!"}
    assert len(complaints) == 3
