"""R24: an `anext`, or an `aclose`, that is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import virtual_time
import waitkit
from cancelling import Ledger, Stream, cancel_at, each_stream
from jobs import cut_off, now, settle, time_limit


@each_stream
async def test_cancelled_anext_in_a_block_harms_nothing(make_stream: Stream) -> None:
    """R24: one that is given up again and again still delivers everything, in order, once."""
    ledger = Ledger()
    jobs = [ledger.job(name, seconds) for name, seconds in zip("abcd", (1, 2, 2.1, 3), strict=True)]
    async with make_stream(jobs, dispose=ledger.dispose) as stream:
        ended = False
        while not ended:
            try:
                async with time_limit(0.25):
                    ledger.take(await anext(stream))
            except TimeoutError:
                pass
            except StopAsyncIteration:
                ended = True
    assert ledger.taken == ["a", "b", "c", "d"]
    assert not ledger.cancelled
    ledger.check()


@each_stream
@pytest.mark.parametrize("mode", virtual_time.ASYNCIO_MODES)
def test_anext_cancelled_at_any_moment_loses_nothing(
    make_stream: Stream, mode: virtual_time.AsyncioMode
) -> None:
    """R24: whenever the one cancellation comes, whoever takes it back gets every result."""
    turns = 0

    async def consume(moment: int) -> list[str]:
        nonlocal turns
        ledger = Ledger()
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        assert task is not None
        assert isinstance(loop, virtual_time.VirtualLoop)
        start = loop.turns

        def on_turn(_: bool) -> None:
            nonlocal turns
            turns = loop.turns - start
            if turns == moment:
                task.cancel()

        loop.on_turn = on_turn
        jobs = [ledger.job(name, seconds) for name, seconds in zip("abc", (1, 2, 2), strict=True)]
        async with make_stream(jobs, dispose=ledger.dispose) as stream:
            while True:
                try:
                    ledger.take(await anext(stream))
                except asyncio.CancelledError:
                    task.uncancel()
                except StopAsyncIteration:
                    break
        loop.on_turn = None
        ledger.check()
        return ledger.taken

    moment = 0
    while moment <= turns:
        assert virtual_time.run(consume, moment, mode=mode) == ["a", "b", "c"]
        moment += 1
    assert moment > 3


@each_stream
@pytest.mark.parametrize("mode", virtual_time.BLOCK_MODES)
def test_anext_given_up_at_any_step_loses_nothing(
    make_stream: Stream, mode: virtual_time.BlockMode
) -> None:
    """R24: the same where it is a scope that is cancelled, before each step of any task."""
    steps = moment = cancels = 0
    scope: anyio.CancelScope | None = None
    ledger = Ledger()

    def on_step() -> None:
        nonlocal steps, cancels
        if scope is not None:
            if steps == moment:
                scope.cancel()
                cancels += 1
            steps += 1

    async def consume() -> None:
        nonlocal scope
        jobs = [ledger.job(name, seconds) for name, seconds in zip("abc", (1, 2, 3), strict=True)]
        async with make_stream(jobs, dispose=ledger.dispose) as stream:
            while True:
                with anyio.CancelScope() as scope:
                    try:
                        ledger.take(await anext(stream))
                    except StopAsyncIteration:
                        break
        scope = None
        ledger.check()

    while moment <= steps:
        steps, ledger = 0, Ledger()
        virtual_time.run(consume, mode=mode, on_step=on_step)
        assert ledger.taken == ["a", "b", "c"]
        assert not ledger.cancelled
        moment += 1
    assert cancels > 3


@each_stream
async def test_anext_given_up_in_a_task_of_its_own(make_stream: Stream) -> None:
    """R24: it need not be the task that holds the block which waits, and is cancelled."""
    ledger = Ledger()

    async def wait(stream: waitkit.ResultStream[Any]) -> None:
        ledger.take(await anext(stream))

    async with make_stream([ledger.job("a", 1)], dispose=ledger.dispose) as stream:
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(wait, stream)
            await settle()
            waiting.cancel_scope.cancel()
        assert ledger.taken == []
        ledger.take(await anext(stream))
    assert ledger.taken == ["a"]


@pytest.mark.only("asyncio")
@each_stream
async def test_anext_cancelled_in_a_task_of_its_own(make_stream: Stream) -> None:
    """R24: the same with a Task."""
    ledger = Ledger()
    async with make_stream([ledger.job("a", 1)], dispose=ledger.dispose) as stream:
        waiter = asyncio.ensure_future(anext(stream))
        await settle()
        assert await waitkit.cancel_and_wait(waiter) == []
        assert waiter.cancelled()
        ledger.take(await anext(stream))
    assert ledger.taken == ["a"]


@pytest.mark.only("asyncio")
@each_stream
async def test_cancelled_anext_without_a_block_closes_the_stream(make_stream: Stream) -> None:
    """R24: nobody else would clean up there, so all jobs are awaited before it comes out."""
    ledger = Ledger()
    stream = make_stream(
        [ledger.job("a", 9, cleanup=2), ledger.job("b", 9)], dispose=ledger.dispose
    )
    cancel_at(1, "enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await anext(stream)
    ledger.check()
    assert now() == 3
    assert [item async for item in stream] == []
    with pytest.raises(RuntimeError):
        stream.add(ledger.job("late"))


@each_stream
async def test_aclose_in_a_block_that_is_cancelled_has_closed_all_the_same(
    make_stream: Stream,
) -> None:
    """R23, R24: it comes out after that; on Trio at the next checkpoint."""
    ledger = Ledger()
    jobs = [ledger.job("a", 1), ledger.job("b", 9, cleanup=4)]
    async with make_stream(jobs, dispose=ledger.dispose) as stream:
        ledger.take(await anext(stream))
        with cut_off(2):
            await stream.aclose()
            await anyio.lowlevel.checkpoint()
        ledger.check()
        assert now() == 5


@pytest.mark.only("asyncio")
@each_stream
async def test_aclose_that_is_cancelled_has_closed_all_the_same(make_stream: Stream) -> None:
    """R23, R24: a cancellation does not cut `aclose` short."""
    ledger = Ledger()
    jobs = [ledger.job("a", 1), ledger.job("b", 9, cleanup=4)]
    stream = make_stream(jobs, dispose=ledger.dispose)
    ledger.take(await anext(stream))
    cancel_at(2, "enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await stream.aclose()
    ledger.check()
    assert now() == 5
    await stream.aclose()
