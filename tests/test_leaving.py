"""Leaving a helper, in every way that lets it clean up: R22, R24."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import pytest

import virtual_time
import waitkit
from cancelling import USES, Ledger, Stream, cancel_at, each_stream
from jobs import DATA, RESULT_STREAMS, future, now, settle

# --- R22: a job that refuses to end


class Listener(logging.Handler):
    """What the logger says, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[float, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append((now(), record.levelno, record.getMessage()))


@contextmanager
def listening() -> Iterator[list[tuple[float, int, str]]]:
    listener = Listener()
    logger = logging.getLogger("waitkit")
    logger.addHandler(listener)
    try:
        yield listener.heard
    finally:
        logger.removeHandler(listener)


@pytest.mark.parametrize("use", USES)
async def test_job_that_refuses_to_end_is_named_once_after_ten_seconds(use: str) -> None:
    """R22: ten seconds after its cancel a job that still runs is named on the logger, just once."""
    ledger = Ledger()
    jobs = [
        ledger.job("a", 9),
        ledger.job("b", 99, refuses=60),
        ledger.job("c", 99, refuses=9.5),
        ledger.job("d", 99, cleanup=30),
    ]
    with listening() as heard:
        cancel_at(1)
        cancel_at(25)
        with pytest.raises(asyncio.CancelledError):
            await USES[use](ledger, jobs)
    ledger.check()
    assert now() == 61
    helper = use.partition("-")[0]
    assert [(when, level) for when, level, _ in heard] == [(11, logging.WARNING)] * 2
    assert f"waitkit.{helper}" in heard[0][2]
    assert "input 1" in heard[0][2]
    assert "10 seconds" in heard[0][2]
    assert "input 3" in heard[1][2]


async def test_job_that_refuses_is_named_by_its_key() -> None:
    """R22: of keyed inputs the key is named too."""
    ledger = Ledger()
    jobs = {"quick": ledger.job("a", 1), "tough": ledger.job("b", 99, refuses=20)}
    with listening() as heard:
        await waitkit.first_completed(jobs, dispose=ledger.dispose)
    assert len(heard) == 1
    assert "input 1 (key 'tough')" in heard[0][2]


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_job_that_refuses_is_named_while_the_consumer_is_busy(name: str) -> None:
    """R10, R22: the ten seconds count from the failure, whether or not the consumer looks."""
    ledger = Ledger()
    fails = ledger.job("b", 2, error=ValueError("b"))
    jobs = [ledger.job("a", 1), fails, ledger.job("c", 99, refuses=20)]
    with listening() as heard:
        async with getattr(waitkit, name)(jobs, dispose=ledger.dispose) as stream:
            ledger.take(await anext(stream))
            await asyncio.sleep(60)
            with pytest.raises(ValueError, match="b"):
                await anext(stream)
    assert [when for when, _, message in heard if "input 2" in message] == [12]
    ledger.check()


@pytest.mark.parametrize("name", DATA)
async def test_job_that_refuses_at_a_deadline_is_named(name: str) -> None:
    """R17, R22: a job that runs on after the deadline is named as well, and still awaited."""
    ledger = Ledger()
    use = USES.get(name, USES.get(f"{name}-block"))
    assert use is not None
    with listening() as heard:
        await use(ledger, [ledger.job("a", 99, refuses=30)], timeout=1)
    ledger.check()
    assert ledger.taken == ["a"]
    assert [when for when, _, _ in heard] == [11]


async def test_borrowed_task_is_not_awaited_nor_named() -> None:
    """R1, R22: nobody waits for what is borrowed, and nobody complains of it."""
    task = asyncio.ensure_future(future())
    with listening() as heard, pytest.raises(waitkit.DeadlineError):
        await waitkit.first_error([waitkit.borrowed(task)], timeout=1)
    await asyncio.sleep(60)
    assert now() == 61
    assert heard == []
    await waitkit.cancel_and_wait(task)


# --- R22: the ways to leave a block


class Left(Exception):
    pass


async def leave_at_the_end(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    async with stream:
        ledger.take(await anext(stream))


async def leave_by_break(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    async with stream:
        async for item in stream:
            ledger.take(item)
            break


async def leave_by_return(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    async with stream:
        async for item in stream:
            return ledger.take(item)


async def leave_by_error(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    with pytest.raises(Left) as caught:  # noqa: PT012
        async with stream:
            ledger.take(await anext(stream))
            raise Left
    assert caught.value.__context__ is None


async def leave_by_aclose(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    async with stream:
        ledger.take(await anext(stream))
        await stream.aclose()
        ledger.check()
        assert [item async for item in stream] == []


async def leave_by_cancellation(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    cancel_at(2)
    with pytest.raises(asyncio.CancelledError):  # noqa: PT012
        async with stream:
            ledger.take(await anext(stream))
            await future()


async def leave_without_looking(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    async with stream:
        await asyncio.sleep(2)


async def leave_at_once(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    async with stream:
        pass


async def leave_by_closing_a_generator(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    async def generate() -> AsyncIterator[Any]:
        async with stream:
            async for item in stream:
                yield item

    async with aclosing(generate()) as items:  # type: ignore[type-var]
        ledger.take(await anext(items))


@each_stream
@pytest.mark.parametrize(
    "leave",
    [
        leave_at_the_end,
        leave_by_break,
        leave_by_return,
        leave_by_error,
        leave_by_aclose,
        leave_by_cancellation,
        leave_without_looking,
        leave_at_once,
        leave_by_closing_a_generator,
    ],
)
async def test_leaving_a_block_ends_all_jobs(
    make_stream: Stream, leave: Callable[[waitkit.ResultStream[Any], Ledger], Any]
) -> None:
    """R22, R25, R29: however a block is left, all jobs have ended, and each value went one way."""
    ledger = Ledger()
    jobs = [
        ledger.job("a", 1),
        ledger.job("b", 1),
        ledger.job("c", 99, cleanup=2),
        ledger.job("d", 99, refuses=3),
    ]
    await leave(make_stream(jobs, dispose=ledger.dispose), ledger)
    ledger.check()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@each_stream
async def test_leaving_a_block_with_untaken_inputs_closes_them(make_stream: Stream) -> None:
    """R22, R27: inputs that were still waiting for a slot never start, and are closed."""
    ledger = Ledger()
    jobs = [ledger.job(name, 1) for name in "abcdef"]
    async with make_stream(jobs, max_concurrency=2, dispose=ledger.dispose) as stream:
        ledger.take(await anext(stream))
    ledger.check()
    assert ledger.started == ["a", "b", "c", "d"][: len(ledger.started)]


# --- R24: a cancelled anext


@each_stream
async def test_cancelled_anext_in_a_block_harms_nothing(make_stream: Stream) -> None:
    """R24: one that is given up again and again still delivers everything, in order, once."""
    ledger = Ledger()
    jobs = [ledger.job(name, seconds) for name, seconds in zip("abcd", (1, 2, 2.1, 3), strict=True)]
    async with make_stream(jobs, dispose=ledger.dispose) as stream:
        ended = False
        while not ended:
            try:
                async with asyncio.timeout(0.25):
                    ledger.take(await anext(stream))
            except TimeoutError:
                pass
            except StopAsyncIteration:
                ended = True
    assert ledger.taken == ["a", "b", "c", "d"]
    assert not ledger.cancelled
    ledger.check()


@each_stream
@pytest.mark.parametrize("mode", virtual_time.MODES)
def test_anext_cancelled_at_any_moment_loses_nothing(
    make_stream: Stream, mode: virtual_time.Mode
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
        pass_time = loop.turn
        start = loop.turns

        def turn(timeout: float | None) -> None:
            nonlocal turns
            turns = loop.turns - start
            if turns == moment:
                task.cancel()
                timeout = 0
            pass_time(timeout)

        loop.turn = turn  # type: ignore[method-assign]
        jobs = [ledger.job(name, seconds) for name, seconds in zip("abc", (1, 2, 2), strict=True)]
        async with make_stream(jobs, dispose=ledger.dispose) as stream:
            while True:
                try:
                    ledger.take(await anext(stream))
                except asyncio.CancelledError:
                    task.uncancel()
                except StopAsyncIteration:
                    break
        loop.turn = pass_time  # type: ignore[method-assign]
        ledger.check()
        return ledger.taken

    moment = 0
    while moment <= turns:
        assert virtual_time.run(consume, moment, mode=mode) == ["a", "b", "c"]
        moment += 1
    assert moment > 3


@each_stream
async def test_anext_cancelled_in_a_task_of_its_own(make_stream: Stream) -> None:
    """R24: it need not be the task that holds the block which waits, and is cancelled."""
    ledger = Ledger()
    async with make_stream([ledger.job("a", 1)], dispose=ledger.dispose) as stream:
        waiter = asyncio.ensure_future(anext(stream))
        await settle()
        assert await waitkit.cancel_and_wait(waiter) == []
        assert waiter.cancelled()
        ledger.take(await anext(stream))
    assert ledger.taken == ["a"]


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
