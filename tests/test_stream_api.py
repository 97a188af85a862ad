"""A stream's own methods: `aclose`, `repr`, and iterating it (R26)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import anyio
import pytest

import waitkit
from jobs import (
    OUTCOME_STREAMS,
    RESULT_STREAMS,
    STREAMS,
    Gauge,
    aiter_of,
    clean_up,
    counting,
    fail,
    make_stream,
    now,
    plain_values,
    rest,
    settle,
    value,
)
from virtual_time import VirtualLoop

# aclose


async def slow_to_stop(gauge: Gauge) -> None:
    try:
        await gauge.job("slow")
    finally:
        await clean_up(3)
        gauge.ended.append("cleaned up")


async def check_aclose(stream: waitkit.ResultStream[Any], gauge: Gauge) -> None:
    assert plain_values([await anext(stream)]) == ["a"]
    await settle()  # for the next one's first step
    await stream.aclose()
    assert gauge.ended == ["slow", "cleaned up"]
    assert now() == 3
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.parametrize("helper", STREAMS)
async def test_aclose_cancels_and_awaits(helper: str) -> None:
    """R26, R22: `aclose` cancels what runs, awaits it, and closes what has not started."""
    gauge = Gauge()
    aws = [value("a"), slow_to_stop(gauge), value("never")]
    async with make_stream(helper, aws, max_concurrency=1) as stream:
        await check_aclose(stream, gauge)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_aclose_of_a_bare_stream_cancels_and_awaits(helper: str) -> None:
    """R26, R22: the same without a block."""
    gauge = Gauge()
    aws = [value("a"), slow_to_stop(gauge), value("never")]
    await check_aclose(make_stream(helper, aws, max_concurrency=1), gauge)


@pytest.mark.parametrize("helper", STREAMS)
async def test_aclose_twice_does_no_harm(helper: str) -> None:
    """R26: closing a stream again, also at the same time or after the end, does nothing."""
    gauge = Gauge()
    stream = make_stream(helper, [gauge.job("a")])
    async with stream:
        await settle(2)
        async with anyio.create_task_group() as group:
            group.start_soon(stream.aclose)
            group.start_soon(stream.aclose)
        assert gauge.ended == ["a"]
        await stream.aclose()
    await stream.aclose()
    assert [item async for item in stream] == []

    ended = make_stream(helper, [value("a")])
    async with ended:
        assert await rest(ended) == ["a"]
        await ended.aclose()
        assert await rest(ended) == []


async def check_closed_before_the_start(
    helper: str, wrap: Callable[[Any], Any], timeout: float | None, *, block: bool
) -> None:
    gauge = Gauge()
    coro = gauge.job("a")
    stream = make_stream(helper, wrap([coro]), timeout=timeout)
    await stream.aclose()
    async with stream if block else nullcontext():
        assert await rest(stream) == []
    assert now() == 0
    assert gauge.started == []
    assert not stream.timed_out
    if wrap is not list:  # it was left in the iterator
        coro.close()


@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("timeout", [None, 5])
@pytest.mark.parametrize("helper", STREAMS)
async def test_aclose_before_the_start(
    helper: str, timeout: float | None, wrap: Callable[[Any], Any]
) -> None:
    """R26, R27: a stream closed before it started has started nothing, and gives nothing."""
    await check_closed_before_the_start(helper, wrap, timeout, block=True)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("timeout", [None, 5])
@pytest.mark.parametrize("helper", STREAMS)
async def test_aclose_before_the_start_of_a_bare_stream(
    helper: str, timeout: float | None, wrap: Callable[[Any], Any]
) -> None:
    """R26, R27: the same without a block."""
    await check_closed_before_the_start(helper, wrap, timeout, block=False)


async def close_after(seconds: float, stream: waitkit.ResultStream[Any]) -> None:
    await anyio.sleep(seconds)
    await stream.aclose()


@pytest.mark.parametrize("helper", STREAMS)
async def test_aclose_ends_an_anext_that_waits(helper: str) -> None:
    """R26: whoever waits for the next result gets StopAsyncIteration, once the jobs have ended."""
    stream = make_stream(helper, [Gauge().job("a")])
    async with stream, anyio.create_task_group() as group:
        group.start_soon(close_after, 1, stream)
        assert await rest(stream) == []


@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_iteration_after_an_error_is_over(helper: str) -> None:
    """R26: after its error a stream gives StopAsyncIteration, in the block and behind it."""
    stream = make_stream(helper, [fail(KeyError("x"), 1), Gauge().job("a")])
    async with stream:
        with pytest.raises(KeyError):
            await anext(stream)
        assert await rest(stream) == []
    assert await rest(stream) == []


@pytest.mark.parametrize("helper", STREAMS)
async def test_second_anext_is_refused(helper: str) -> None:
    """R26: a second concurrent `anext` is a RuntimeError, and the first goes on undisturbed."""
    async with make_stream(helper, [value("a", 1)]) as stream:
        found: list[Any] = []

        async def take() -> None:
            found.append(await anext(stream))

        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await settle(2)
            with pytest.raises(RuntimeError, match="another task"):
                await anext(stream)
        assert plain_values(found) == ["a"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_entering_twice_is_refused(helper: str) -> None:
    """R26: entering a stream twice is a RuntimeError; nothing happens to the jobs."""
    stream = make_stream(helper, [value("a", 1)])
    async with stream:
        with pytest.raises(RuntimeError, match="entered already"):
            async with stream:
                pass
        assert await rest(stream) == ["a"]
    with pytest.raises(RuntimeError, match="entered already"):
        async with stream:
            pass


# repr


@pytest.mark.parametrize("helper", STREAMS)
async def test_repr_tells_what_it_waits_for(helper: str) -> None:
    """R26: `repr` names the helper, the stage, and counts running, finished and taken."""
    taken: list[int] = []
    given = (value(index, 1 + index) for index in counting(range(3), taken))
    stream = make_stream(helper, given, max_concurrency=2)
    assert "not started: 0 running, 0 finished" in repr(stream)
    async with stream:
        assert "open: 2 running, 0 finished" in repr(stream)
        assert "2 taken" in repr(stream)
        await anext(stream)
        await settle()
        assert "open: 2 running, 1 finished (0 not delivered), 3 taken" in repr(stream)
        await anyio.sleep(1.5)
        assert "1 running, 2 finished (1 not delivered)" in repr(stream)
        assert len(await rest(stream)) == 2
        assert "ended: 0 running, 3 finished (0 not delivered), 3 taken" in repr(stream)
    assert repr(stream).startswith(f"<ResultStream of {helper}, ended")


@pytest.mark.parametrize("helper", OUTCOME_STREAMS)
async def test_repr_while_jobs_are_cut_off(helper: str) -> None:
    """R26: while the jobs that a deadline has cut off clean up, the stream is closing."""
    seen: list[str] = []

    async def job() -> None:
        try:
            await Gauge().job("a")
        finally:
            await clean_up(1)
            seen.append(repr(stream))

    stream = make_stream(helper, [job()], timeout=1)
    async with stream:
        assert len([item async for item in stream]) == 1
    assert "closing: 1 running" in seen[0]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_stream_closed_before_its_start_sets_no_clock(helper: str) -> None:
    """R6, R26: it has ended: asking it for more starts nothing, and no deadline passes later."""
    stream = getattr(waitkit, helper)([value("a", 9)], timeout=1)
    await stream.aclose()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    before = loop.timers
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert loop.timers == before
    with pytest.raises(RuntimeError, match="after the end"):
        stream.add(value("b"))
