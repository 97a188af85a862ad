"""The helpers on the event loops of real programs, asyncio's and uvloop's, by ticks, not by time.

What needs time is tested in virtual time; what is tested here is that nothing depends on that loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import waitkit

pytestmark = pytest.mark.real_time


async def after(ticks: int, value: Any, error: Exception | None = None) -> Any:
    for _ in range(ticks):
        await asyncio.sleep(0)
    if error is not None:
        raise error
    return value


async def asleep(cleaned_up: list[Any], name: Any) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await after(3, None)
        cleaned_up.append(name)


async def test_real_loop_delivers_in_completion_order() -> None:
    """R7, R8: by ticks, ties in the order in which the loop finished them."""
    jobs = [after(9, "a"), after(1, "b"), after(5, "c"), after(5, "d")]
    async with waitkit.as_completed_results(jobs) as results:
        assert [result async for result in results] == ["b", "c", "d", "a"]


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_real_loop_keeps_the_limit(limit: int) -> None:
    """R2: never more at work than the limit, and all of them in the end, in input order."""
    at_work = most = 0

    async def job(number: int) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await after(2 + number % 4, None)
        at_work -= 1
        return number

    calls = waitkit.call_each(job, range(50))
    expected = {number: number for number in range(50)}
    assert await waitkit.first_error(calls, max_concurrency=limit) == expected
    assert most == limit


async def test_real_loop_cancels_and_awaits_the_others() -> None:
    """R10, R22: the first failure, bare, when all others have cleaned up."""
    cleaned_up: list[Any] = []
    error = LookupError("down")
    with pytest.raises(LookupError) as caught:
        await waitkit.first_error(
            [asleep(cleaned_up, 0), after(2, None, error), asleep(cleaned_up, 2)]
        )
    assert caught.value is error
    assert cleaned_up == [0, 2]


async def test_real_loop_takes_what_is_ready_at_a_deadline() -> None:
    """R17, R20: what is done counts, the rest is cancelled and awaited."""
    cleaned_up: list[Any] = []
    done = asyncio.get_running_loop().create_future()
    done.set_result("done")
    task = asyncio.create_task(asleep(cleaned_up, "task"))
    await asyncio.sleep(0)
    partial = await waitkit.gather_partial([done, task], timeout=0)
    assert partial.results == {0: "done"}
    assert partial.cancelled == (1,)
    assert cleaned_up == ["task"]


async def test_real_loop_passes_a_cancellation_on() -> None:
    """R23: with its message, when all jobs have cleaned up, however often it comes."""
    cleaned_up: list[Any] = []
    caller = asyncio.create_task(waitkit.gather_partial([asleep(cleaned_up, n) for n in range(3)]))
    await after(3, None)
    caller.cancel("first")
    await after(1, None)
    caller.cancel("last")
    with pytest.raises(asyncio.CancelledError) as caught:
        await caller
    assert caught.value.args == ("last",)
    assert cleaned_up == [0, 1, 2]


async def test_real_loop_closes_an_async_source() -> None:
    """R27: leaving the block closes the async generator that was given as input."""
    closed: list[str] = []

    async def source() -> AsyncIterator[Any]:
        try:
            for number in range(1000):
                await asyncio.sleep(0)
                yield after(1, number)
        finally:
            await asyncio.sleep(0)
            closed.append("source")

    async with waitkit.in_order_results(source(), max_concurrency=3) as results:
        async for result in results:
            if result == 5:
                break
    assert closed == ["source"]


async def test_real_loop_leaves_nothing_on_what_is_borrowed() -> None:
    """R1, R30: a race that is lost neither cancels it nor leaves a callback on it."""
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for number in range(100):
        winner = await waitkit.first_completed((after(1, number), waitkit.borrowed(stop)))
        assert winner == (0, number)
    assert not stop.done()
    assert "cb=" not in repr(stop)


async def test_real_loop_stops_tasks() -> None:
    """R31: cancelled, and awaited until they have stopped."""
    cleaned_up: list[Any] = []
    tasks = [asyncio.create_task(asleep(cleaned_up, n)) for n in range(3)]
    await asyncio.sleep(0)
    assert await waitkit.cancel_and_wait(tasks) == []
    assert cleaned_up == [0, 1, 2]
