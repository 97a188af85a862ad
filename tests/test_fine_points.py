"""What no test had looked at until a mutant of the source survived them all (see `mutation.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

import waitkit
from jobs import STREAMS, Gauge, at, fail, never, now, run_helper, settle, value


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_deadline_after_drain_has_left_a_task_untaken(helper: str) -> None:
    """R20, R26: a Task that `drain` left has ended, and hides from the deadline no job at work."""
    untaken = asyncio.create_task(never())
    given: list[Any] = [never(), untaken]
    async with getattr(waitkit, helper)(given, max_concurrency=1, timeout=10) as stream:
        await settle()
        stream.drain()
        await settle()
        assert untaken.cancelled()
        if helper.endswith("outcomes"):
            assert await anext(stream) == waitkit.Cancelled(0, 0, "deadline", started=True)
        else:
            with pytest.raises(waitkit.DeadlineError):
                await anext(stream)
        assert now() == 10
        assert stream.timed_out


@pytest.mark.only("asyncio")
async def test_task_that_drain_left_is_named_by_its_key(caplog: pytest.LogCaptureFixture) -> None:
    """R11, R12, R26: a Task that `drain` cancels, and that fails then, is logged with its key."""

    async def fails_when_cancelled() -> None:
        try:
            await never()
        except asyncio.CancelledError:
            raise ValueError("not now") from None

    untaken = asyncio.create_task(fails_when_cancelled())
    await settle()
    given: dict[str, Any] = {"a": value(1, 2), "b": untaken}
    async with waitkit.as_completed_results(given, max_concurrency=1) as stream:
        await settle()
        stream.drain()
        assert [item async for item in stream] == [("a", 1)]
    (record,) = caplog.records
    assert "input 1 (key 'b') failed after the call had been decided" in record.getMessage()


@pytest.mark.only("direct")
@pytest.mark.parametrize("helper", ["first_error", "as_completed_results", "first_completed"])
async def test_source_that_fails_when_all_is_decided_is_logged(
    helper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R28: what a source raises in its cleanup neither replaces the failure nor is lost."""
    first, second = ValueError("first"), OSError("second")

    async def source() -> AsyncIterator[Any]:
        try:
            yield fail(first, 1)
            await anyio.sleep_forever()
        finally:
            raise second

    with pytest.raises(ValueError, match="first") as caught:
        await run_helper(helper, source())
    assert caught.value is first
    assert (
        "then the source of the inputs failed too: OSError('second')" in caught.value.__notes__[1]
    )
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is second
    assert record.getMessage() == (
        f"waitkit.{helper}: the source of the inputs failed after the call had been decided"
    )


@pytest.mark.only("asyncio")
async def test_deadline_in_the_tick_of_an_end_keeps_what_is_cut_off_in_order() -> None:
    """R7, R8, R20: what has finished, what finishes in that tick, then all that is cut off."""
    punctual: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    at(5, punctual.set_result, "punctual")
    given: list[Any] = [value("early"), punctual, never(), value(3), value(4), value(5)]
    stream = waitkit.as_completed_outcomes(given, max_concurrency=2, buffersize=3, timeout=5)
    async with stream:
        await anyio.sleep(6)
        outcomes = [outcome async for outcome in stream]
    assert [outcome.index for outcome in outcomes] == [0, 1, 3, 4, 5, 2]
    assert outcomes[3] == waitkit.Cancelled(4, 4, "deadline", started=False)


@pytest.mark.parametrize("helper", ["first_error", "as_completed_results", "first_completed"])
async def test_deadline_error_tells_which_call_and_how_long(helper: str) -> None:
    """R20: the message names the helper and its seconds."""
    with pytest.raises(waitkit.DeadlineError) as caught:
        await run_helper(helper, [never()], timeout=2.5)
    assert str(caught.value) == f"waitkit.{helper}: not finished after 2.5 seconds"


@pytest.mark.only("asyncio")
async def test_task_that_was_not_taken_has_its_key_at_the_deadline() -> None:
    """R16, R17: a Task that waited for a slot is cut off under its own key."""
    given: dict[str, Any] = {"a": never(), "b": asyncio.create_task(never())}
    partial = await waitkit.gather_partial(given, max_concurrency=1, timeout=1)
    assert partial.cancelled == ("a", "b")
    assert [outcome.key for outcome in partial.outcomes] == ["a", "b"]


@pytest.mark.only("asyncio")
async def test_borrowed_and_plain_and_not_taken_is_left_alone() -> None:
    """R1, R17: what is borrowed at one place is not cancelled at the other, though never taken."""
    owned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    given: list[Any] = [never(), owned, waitkit.borrowed(owned)]
    partial = await waitkit.gather_partial(given, max_concurrency=1, timeout=1)
    assert partial.cancelled == (0, 1, 2)
    assert not owned.done()


@pytest.mark.only("asyncio")
async def test_same_future_thrice_takes_three_slots() -> None:
    """R2, R4: each place of a Future counts against the limit, and is one of those that run."""
    gauge = Gauge()
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    at(9, shared.set_result, "shared")
    given: list[Any] = [shared, shared, shared, *(gauge.job(name, 2) for name in "cde")]
    async with waitkit.as_completed_results(given, max_concurrency=4, buffersize=6) as stream:
        await anyio.sleep(1)
        assert gauge.started == ["c"]
        assert ": 4 running, " in repr(stream)
        await anyio.sleep(2)
        assert gauge.started == ["c", "d"]
        await anyio.sleep(2)
        assert gauge.started == ["c", "d", "e"]
        assert [item async for item in stream] == ["c", "d", "e", "shared", "shared", "shared"]


async def test_what_has_no_hash_and_was_not_taken_is_cut_off() -> None:
    """R1, R17: an awaitable that cannot be in a set is an input like any other."""

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __await__(self) -> Any:
            return never().__await__()

    given: list[Any] = [never(), Unhashable()]
    partial = await waitkit.gather_partial(given, max_concurrency=1, timeout=1)
    assert partial.cancelled == (0, 1)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", ["gather_partial", "first_error", "as_completed_results"])
async def test_reader_of_a_source_that_is_cancelled_from_elsewhere(helper: str) -> None:
    """R13, R28: the end of the inputs that it is must not pass for all of them."""

    async def source() -> AsyncIterator[Any]:
        yield value(1)
        reader = asyncio.current_task()
        assert reader is not None
        reader.cancel()
        await anyio.sleep(1)

    with pytest.raises(waitkit.JobCancelledError) as caught:
        await run_helper(helper, source())
    assert str(caught.value) == "the task that reads the source was cancelled from elsewhere"


@pytest.mark.only("asyncio")
async def test_dispose_that_asks_the_program_to_stop() -> None:
    """R14, R29: it comes out, when the winner, whom nobody gets then, is disposed of too."""

    class Stop(BaseException):
        pass

    disposed: list[str] = []

    def dispose(result: str) -> None:
        disposed.append(result)
        if result == "late":
            raise Stop

    with pytest.raises(Stop):
        await waitkit.first_completed([value("winner", 1), value("late", 1)], dispose=dispose)
    assert disposed == ["late", "winner"]


@pytest.mark.only("asyncio")
async def test_job_cancelled_error_names_the_input() -> None:
    """R11, R13: the message tells which job it was, by its key too."""
    task = asyncio.create_task(never())
    at(1, task.cancel)
    with pytest.raises(waitkit.JobCancelledError) as caught:
        await waitkit.first_error({"a": task})
    assert str(caught.value) == "input 0 (key 'a') was cancelled from elsewhere"


@pytest.mark.only("asyncio")
async def test_winner_is_disposed_of_if_the_caller_is_cancelled_during_a_disposal() -> None:
    """R29: cancelled before it is handed over, the winner too goes to `dispose`."""
    disposed: list[str] = []

    async def dispose(result: str) -> None:
        await anyio.sleep(1)
        disposed.append(result)

    async def race() -> None:
        await waitkit.first_completed([value("winner", 1), value("late", 1)], dispose=dispose)

    caller = asyncio.create_task(race())
    await anyio.sleep(1.5)
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    assert disposed == ["late", "winner"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_drain_makes_no_call_that_was_not_made(helper: str) -> None:
    """R26: calls that were not taken are left unmade."""
    called: list[int] = []

    async def work(number: int) -> int:
        return await value(number, 1)

    def call(number: int) -> Any:
        called.append(number)
        return work(number)

    calls = waitkit.call_each(call, [1, 2, 3])
    async with getattr(waitkit, helper)(calls, max_concurrency=1) as stream:
        await settle()
        stream.drain()
        assert len([item async for item in stream]) == 1
    assert called == [1]


@pytest.mark.only("asyncio")
async def test_job_that_has_another_task_close_its_stream_is_cancelled() -> None:
    """R22, R26: also where that comes in its first step, before the stream knows of the job."""
    closing: list[asyncio.Task[None]] = []

    async def job() -> None:
        closing.append(asyncio.create_task(stream.aclose()))
        await never()

    stream: waitkit.ResultStream[None] = waitkit.as_completed_results([job()])
    async with stream:
        await settle(10)
        assert closing[0].done()


@pytest.mark.only("asyncio")
async def test_job_that_has_closed_its_stream_is_cancelled_by_who_leaves_the_block() -> None:
    """R22, R26: it is spared its own close, and nobody else's."""
    ended: list[str] = []

    async def job() -> None:
        await stream.aclose()
        try:
            await never()
        finally:
            ended.append("job")

    stream: waitkit.ResultStream[None] = waitkit.as_completed_results([job()])
    async with stream:
        await settle(10)
        assert not ended
    assert ended == ["job"]


@pytest.mark.parametrize("helper", ["gather_partial", "as_completed_outcomes"])
async def test_sized_source_that_raises_when_its_rest_is_given_up(helper: str) -> None:
    """R17, R28: at the deadline the calls that are left are counted, and the source may fail."""
    broken = OSError("broken")

    class Items(list[int]):
        def __iter__(self) -> Any:
            yield 1
            raise broken

    calls = waitkit.call_each(lambda _: never(), Items([1, 2]))
    with pytest.raises(OSError, match="broken") as caught:
        await run_helper(helper, calls, max_concurrency=1, timeout=1)
    assert caught.value is broken
