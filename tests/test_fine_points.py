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
async def test_same_future_twice_takes_two_slots() -> None:
    """R2, R4: each place of a Future counts against the limit."""
    gauge = Gauge()
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    at(2, shared.set_result, "shared")
    given: list[Any] = [shared, shared, gauge.job("c", 1), gauge.job("d", 1)]
    async with waitkit.in_order_results(given, max_concurrency=3) as stream:
        await anyio.sleep(0.5)
        assert gauge.started == ["c"]
        assert [item async for item in stream] == ["shared", "shared", "c", "d"]
