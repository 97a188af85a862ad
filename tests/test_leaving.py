"""R22: leaving a helper, in every way that lets it clean up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from cancelling import USES, Ledger, Stream, each_stream
from jobs import DATA, RESULT_STREAMS, alone, cut_off, future, never, now

BARE_USES = [use for use in USES if use.endswith("-bare")]  # which there are on asyncio alone

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


@pytest.mark.parametrize("use", [use for use in USES if use not in BARE_USES])
async def test_job_that_refuses_to_end_is_named_once_after_ten_seconds(use: str) -> None:
    """R22: ten seconds after its cancel a job that still runs is named on the logger, just once."""
    ledger = Ledger()
    jobs = [
        ledger.job("a", 9),
        ledger.job("b", 99, refuses=60),
        ledger.job("c", 99, refuses=9.5),
        ledger.job("d", 99, cleanup=30),
    ]
    with listening() as heard, cut_off(1, 25):
        await USES[use](ledger, jobs)
    ledger.check()
    assert now() == 61
    helper = use.partition("-")[0]
    assert [(when, level) for when, level, _ in heard] == [(11, logging.WARNING)] * 2
    assert f"waitkit.{helper}" in heard[0][2]
    assert "input 1" in heard[0][2]
    assert "10 seconds" in heard[0][2]
    assert "input 3" in heard[1][2]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", BARE_USES)
async def test_job_that_refuses_to_end_without_a_block_is_named(use: str) -> None:
    """R22: a bare `async for` waits for it as well."""
    await test_job_that_refuses_to_end_is_named_once_after_ten_seconds(use)


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
            await anyio.sleep(60)
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


@pytest.mark.only("asyncio")
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
    with cut_off(2):
        async with stream:
            ledger.take(await anext(stream))
            await never()


async def leave_without_looking(stream: waitkit.ResultStream[Any], ledger: Ledger) -> None:
    async with stream:
        await anyio.sleep(2)


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
    assert alone()


@each_stream
async def test_leaving_a_block_with_untaken_inputs_closes_them(make_stream: Stream) -> None:
    """R22, R27: inputs that were still waiting for a slot never start, and are closed."""
    ledger = Ledger()
    jobs = [ledger.job(name, 1) for name in "abcdef"]
    async with make_stream(jobs, max_concurrency=2, dispose=ledger.dispose) as stream:
        ledger.take(await anext(stream))
    ledger.check()
    assert set(ledger.started) <= set("abcd")
    if not virtual_time.on_trio():
        assert ledger.started == ["a", "b", "c", "d"][: len(ledger.started)]
