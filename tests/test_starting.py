"""When jobs start: limits, buffers, and the clock (R2, R3, R6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import anyio
import pytest

import waitkit
from jobs import (
    COLLECTORS,
    DATA,
    HELPERS,
    LIMITED,
    RESULT_STREAMS,
    STREAMS,
    Gauge,
    aiter_of,
    at,
    counting,
    fail,
    now,
    outside,
    ready,
    run_helper,
    settle,
    unshuffled,
    value,
)

ALL = tuple(name for name in LIMITED if name != "first_success")  # those that want every result


@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("helper", ALL)
async def test_limit_is_kept_and_used(helper: str, limit: int, wrap: Callable[[Any], Any]) -> None:
    """R2: never more than n unfinished jobs, and never an idle slot while inputs remain."""
    gauge = Gauge()
    idle: list[float] = []
    total = 12

    async def job(index: int) -> int:
        result = await gauge.job(index, (index * 7) % 5)
        await settle(1)
        return result

    async def watch() -> None:
        while len(gauge.ended) < total:
            await anyio.sleep(0.5 if now() else 0.25)  # jobs end at whole seconds
            if gauge.running < min(limit, total - len(gauge.ended)):
                idle.append(now())

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        jobs = wrap([job(index) for index in range(total)])
        await run_helper(helper, jobs, max_concurrency=limit)
    assert gauge.peak <= limit
    assert unshuffled(gauge.started) == list(range(total))
    assert idle == []


@pytest.mark.parametrize("helper", LIMITED)
async def test_limit_may_be_of_any_size(helper: str) -> None:
    """R2: a limit that is more than a list can have is no limit; R3: nor is its buffer."""
    answer = await run_helper(helper, [value("a")], max_concurrency=10**30)
    assert "a" in repr(answer)


@pytest.mark.parametrize("helper", ALL)
async def test_inputs_are_taken_when_a_slot_is_free(helper: str) -> None:
    """R2: an iterator is asked for an input only when one of the slots is free for it."""
    gauge = Gauge()
    taken: list[int] = []
    worst = 0

    def inputs() -> Iterator[Any]:
        nonlocal worst
        for index in counting(range(10), taken):
            worst = max(worst, len(taken) - len(gauge.ended))
            yield gauge.job(index, 1 + index % 3)

    await run_helper(helper, inputs(), max_concurrency=3)
    assert worst == 3


@pytest.mark.parametrize("helper", HELPERS)
async def test_without_limit_all_start_at_once(helper: str) -> None:
    """R2: without `max_concurrency` all inputs are taken at the start."""
    gauge = Gauge()
    await run_helper(helper, (gauge.job(index, 1) for index in range(50)))
    assert gauge.peak == 50
    assert now() == 1


@pytest.mark.parametrize("helper", STREAMS)
async def test_free_slot_is_refilled_while_nobody_looks(helper: str) -> None:
    """R2: a slot that falls free is refilled in that tick, whether or not the consumer looks."""
    gauge = Gauge()
    async with getattr(waitkit, helper)(
        [gauge.job("a", 1), gauge.job("b"), gauge.job("c", 1), gauge.job("d")],
        max_concurrency=2,
    ):
        await anyio.sleep(1)
        await settle()
        assert unshuffled(gauge.started) == ["a", "b", "c"]
        await anyio.sleep(1)
        await settle()
        assert unshuffled(gauge.started) == ["a", "b", "c", "d"]
        assert now() == 2


@pytest.mark.parametrize("helper", ALL)
async def test_instant_jobs_do_not_break_the_limit(helper: str) -> None:
    """R2: a thousand jobs that end in their first step go through one slot, one by one."""
    gauge = Gauge()
    peak = 0

    async def job(index: int) -> int:
        nonlocal peak
        gauge.running += 1
        peak = max(peak, gauge.running)
        gauge.running -= 1
        return index

    await run_helper(helper, (job(index) for index in range(1000)), max_concurrency=1)
    assert peak == 1


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", ALL)
async def test_task_counts_against_the_limit_when_it_is_taken(helper: str) -> None:
    """R1, R2: Tasks run already; each takes a slot once it is taken, and is reported in turn."""
    gauge = Gauge()
    tasks = [asyncio.create_task(value(name, after)) for name, after in (("a", 4), ("b", 1))]
    given = [tasks[0], gauge.job("c", 1), tasks[1]]
    await run_helper(helper, given, max_concurrency=1)
    assert now() == 5
    assert gauge.started == ["c"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", [*RESULT_STREAMS, "first_error"])
async def test_tasks_not_taken_are_cancelled_and_awaited(helper: str) -> None:
    """R1: when the call ends, Tasks beyond the limit are cancelled and awaited too."""
    gauge = Gauge()
    task = asyncio.create_task(gauge.job("task"))
    with pytest.raises(KeyError):
        await run_helper(helper, [fail(KeyError(), 1), value("never"), task], max_concurrency=1)
    assert gauge.ended == ["task"]


@pytest.mark.only("direct")
@pytest.mark.parametrize("helper", [*RESULT_STREAMS, "first_error"])
async def test_futures_not_taken_are_cancelled(helper: str) -> None:
    """R1: when the call ends, Futures beyond the limit are cancelled too."""
    future = outside()
    with pytest.raises(KeyError):
        await run_helper(helper, [fail(KeyError(), 1), value("never"), future], max_concurrency=1)
    assert future.cancelled()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", DATA)
async def test_tasks_not_taken_at_the_deadline_are_what_they_then_are(helper: str) -> None:
    """R1, R17: beyond the limit a done Task keeps its value, and one that runs is cancelled."""
    gauge = Gauge()
    done = asyncio.create_task(value("done", 1))
    runs = asyncio.create_task(gauge.job("runs"))
    given: list[Any] = [gauge.job("slow"), done, runs, value("never")]
    answer = await run_helper(helper, given, max_concurrency=1, timeout=2)
    outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    assert sorted(outcomes, key=lambda outcome: outcome.index) == [
        waitkit.Cancelled(0, 0, "deadline", True),
        waitkit.Success("done", 1, 1),
        waitkit.Cancelled(2, 2, "deadline", True),
        waitkit.Cancelled(3, 3, "deadline", False),
    ]
    assert sorted(gauge.ended) == ["runs", "slow"]


@pytest.mark.only("direct")
@pytest.mark.parametrize("helper", ALL)
async def test_places_of_one_future_each_take_a_slot(helper: str) -> None:
    """R2, R4: a Future given three times counts three times against the limit."""
    gauge = Gauge()
    future = outside()
    at(2, future.set_result, "f")
    given: list[Any] = [future, future, future, gauge.job("a", 1)]
    await run_helper(helper, given, max_concurrency=3)
    assert now() == 3


# R3


@pytest.mark.parametrize("buffersize", [None, 2, 3, 5])
@pytest.mark.parametrize("wrap", [iter, aiter_of], ids=["iterator", "async"])
@pytest.mark.parametrize("helper", STREAMS)
async def test_slow_consumer_holds_producers_back(
    helper: str, wrap: Callable[[Any], Any], buffersize: int | None
) -> None:
    """R3: started and not delivered never exceed `buffersize`, twice the limit by default."""
    gauge = Gauge()
    taken: list[int] = []
    room = 4 if buffersize is None else buffersize
    jobs = (gauge.job(index, 1) for index in counting(count(), taken))
    async with getattr(waitkit, helper)(
        wrap(jobs), max_concurrency=2, buffersize=buffersize
    ) as stream:
        for delivered in range(6):
            await anyio.sleep(100)
            assert len(gauge.started) == room + delivered
            assert gauge.peak <= 2
            if wrap is iter:  # an async source is asked for one more, ahead of its slot
                assert len(taken) == room + delivered
            await anext(stream)


@pytest.mark.parametrize("helper", STREAMS)
async def test_buffersize_equal_to_the_limit_goes_on(helper: str) -> None:
    """R3: with buffersize == max_concurrency == 1 every input is still delivered, in turn."""
    gauge = Gauge()
    stream = getattr(waitkit, helper)(
        (gauge.job(index, 1) for index in range(5)), max_concurrency=1, buffersize=1
    )
    async with stream:
        async for _ in stream:
            await anyio.sleep(10)
            assert gauge.running == 0
    assert gauge.ended == list(range(5))
    assert gauge.peak == 1


@pytest.mark.parametrize("helper", ["in_order_results", "in_order_outcomes"])
async def test_buffer_of_input_order_counts_what_waits_behind_the_front(helper: str) -> None:
    """R3: results that wait for a slow one in front of them fill the buffer."""
    gauge = Gauge()
    afters = [50, *[1] * 9]
    stream = getattr(waitkit, helper)(
        (gauge.job(index, after) for index, after in enumerate(afters)),
        max_concurrency=2,
        buffersize=4,
    )
    async with stream:
        await anyio.sleep(40)
        assert unshuffled(gauge.started) == [0, 1, 2, 3]
        assert len([item async for item in stream]) == 10
    assert now() < 60


@pytest.mark.only("direct")
@pytest.mark.parametrize("helper", STREAMS)
async def test_buffer_counts_every_place_of_a_future(helper: str) -> None:
    """R3, R4: a Future given at several places fills as many places in the buffer."""
    gauge = Gauge()
    future = ready("f")
    given = iter([future, future, future, gauge.job("a", 1), gauge.job("b", 1)])
    stream = getattr(waitkit, helper)(given, max_concurrency=2, buffersize=2)
    async with stream:
        await anyio.sleep(10)
        assert gauge.started == []
        assert len([item async for item in stream]) == 5


# R6


@pytest.mark.parametrize("helper", STREAMS)
async def test_stream_starts_when_it_is_entered(helper: str) -> None:
    """R6: the jobs and the clock start at `async with`, not when the stream is made."""
    gauge = Gauge()
    stream = getattr(waitkit, helper)([gauge.job("a", 3), gauge.job("b")], timeout=5)
    await anyio.sleep(100)
    assert gauge.started == []
    async with stream:
        await settle()
        assert unshuffled(gauge.started) == ["a", "b"]
        await anyio.sleep(4)
        assert gauge.ended == ["a"]
        await anyio.sleep(2)
        assert sorted(gauge.ended) == ["a", "b"]
        assert stream.timed_out


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_stream_starts_at_the_first_anext(helper: str) -> None:
    """R6: without a block the jobs and the clock start at the first `anext`."""
    gauge = Gauge()
    stream = getattr(waitkit, helper)([gauge.job("a", 3), gauge.job("b")], timeout=5)
    await anyio.sleep(100)
    assert gauge.started == []
    await anext(stream)
    assert now() == 103
    if helper in RESULT_STREAMS:
        with pytest.raises(waitkit.DeadlineError):
            await anext(stream)
    else:
        assert await anext(stream) == waitkit.Cancelled(1, 1, "deadline", True)
    assert now() == 105
    await stream.aclose()


@pytest.mark.parametrize("helper", COLLECTORS)
async def test_collector_starts_when_it_is_awaited(helper: str) -> None:
    """R6: the coroutine of a collector starts jobs and clock at its first step."""
    gauge = Gauge()
    call = getattr(waitkit, helper)([gauge.job("a", 3)], timeout=5)
    await anyio.sleep(100)
    assert gauge.started == []
    await call
    assert now() == 103
