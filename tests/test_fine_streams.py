"""Streams and their sources: what no test had looked at until a mutant survived them all."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import anyio
import pytest

import waitkit
from jobs import (
    OUTCOME_STREAMS,
    RESULT_STREAMS,
    STREAMS,
    Broken,
    aiter_of,
    at,
    clean_up,
    counting,
    fail,
    logged,
    make_stream,
    never,
    now,
    plain_values,
    refuse,
    rest,
    run_helper,
    settle,
    time_limit,
    value,
)


def told(call: Callable[[], object]) -> str:
    """The whole message of what a call raises."""
    with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
        call()
    return str(caught.value)


# what the methods refuse, in full


@pytest.mark.parametrize("helper", STREAMS)
async def test_messages_of_what_an_open_stream_refuses(helper: str) -> None:
    """R26, R32: each tells what to write instead; the coroutines are closed."""
    plain, keyed = make_stream(helper, [value("a", 1)]), make_stream(helper, {"k": value("a", 1)})
    async with plain, keyed:
        assert told(lambda: plain.add(value("b"), key="k")) == (
            "the inputs of this stream have no keys: write add(aw)"
        )
        assert told(lambda: keyed.add(value("b"))) == (
            "the inputs of this stream are keyed: write add(aw, key=key)"
        )
        assert told(lambda: plain.extend({"k": value("b")})) == (
            "the inputs of this stream have no keys, and those given have"
        )
        assert told(lambda: keyed.extend([value("b")])) == (
            "the inputs of this stream are keyed, and those given are not"
        )
        assert told(lambda: plain.extend(value("b"))) == (
            "extend() takes an iterable of awaitables, not a single one (a coroutine); "
            "write extend([aw])"
        )
        with pytest.raises(RuntimeError) as caught:
            await plain.__aenter__()
        assert str(caught.value) == "this stream has been entered already; make a new one"
        async with anyio.create_task_group() as group:
            group.start_soon(anext, plain)
            await settle()
            with pytest.raises(RuntimeError) as caught:
                await anext(plain)
        assert str(caught.value) == ("another task is waiting for the next result of this stream")


@pytest.mark.parametrize("helper", STREAMS)
async def test_messages_of_a_stream_that_takes_no_more(helper: str) -> None:
    """R26: they tell which method was called, and whether it was drained or is over."""
    async with make_stream(helper, [value("a", 1)]) as stream:
        stream.drain()
        assert told(lambda: stream.add(value("b"))) == (
            "add() after drain(): this stream takes no more inputs"
        )
    closed = make_stream(helper, [])
    await closed.aclose()
    assert told(lambda: closed.extend([value("b")])) == (
        "extend() after the end: this stream is closed"
    )


@pytest.mark.only("trio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_message_of_a_bare_loop_on_trio(helper: str) -> None:
    """R50: it tells how to write it."""
    with pytest.raises(RuntimeError) as caught:
        await anext(make_stream(helper, [value("a")]))
    assert str(caught.value) == (
        "on Trio a stream needs a block to run its jobs in: "
        "write 'async with stream:', and 'async for item in stream:' inside it"
    )


@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_message_of_a_job_that_raises_stop_async_iteration(helper: str) -> None:
    """R10: it would end the loop silently, so that it comes as the cause of another error."""
    error = StopAsyncIteration()
    with pytest.raises(RuntimeError) as caught:
        await run_helper(helper, [fail(error, 1)])
    assert str(caught.value) == "a job raised StopAsyncIteration"
    assert caught.value.__cause__ is error


# drain, add and extend


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_after_drain_is_refused_though_the_deadline_has_passed(helper: str) -> None:
    """R26: `drain` says that nothing more is taken, whatever nobody has looked at yet."""
    async with make_stream(helper, [never()], timeout=1) as stream:
        await anyio.sleep(2)
        stream.drain()
        assert "after drain()" in told(lambda: stream.add(value("late")))
        assert "after drain()" in told(lambda: stream.extend([value("late")]))
        if helper in RESULT_STREAMS:
            with pytest.raises(waitkit.DeadlineError):
                await anext(stream)
        else:
            assert await rest(stream) == [waitkit.Cancelled(0, 0, "deadline", started=True)]


@pytest.mark.parametrize("wrap", [iter, aiter_of], ids=["iterator", "async"])
@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_before_the_start_comes_behind(helper: str, wrap: Callable[..., Any]) -> None:
    """R26: a sized input comes behind the iterator too, though that has not been asked yet."""
    stream = make_stream(helper, wrap([value("a", 1), value("b", 1)]), max_concurrency=1)
    stream.extend([value("c", 1)])
    async with stream:
        assert await rest(stream) == ["a", "b", "c"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_bad_input_of_an_async_source_hides_none_behind_it(helper: str) -> None:
    """R27: one that was brought and never taken is skipped: what was added behind is closed."""
    brings = anyio.Event()

    async def source() -> AsyncIterator[Any]:
        await brings.wait()
        yield 42
        await never()

    async with make_stream(helper, source(), max_concurrency=1) as stream:
        await settle()
        stream.add(never())
        brings.set()
        await settle()
        late = value("late")
        stream.add(late)
    assert inspect.getcoroutinestate(late) == inspect.CORO_CLOSED


@pytest.mark.parametrize("helper", STREAMS)
async def test_async_source_that_drains_at_once(helper: str) -> None:
    """R26: one that drains its stream before its first item ends it; that item is closed."""
    item = value("a")

    async def source() -> AsyncIterator[Any]:
        stream.drain()
        yield item

    stream = make_stream(helper, source())
    async with stream:
        assert await rest(stream) == []
    assert inspect.getcoroutinestate(item) == inspect.CORO_CLOSED


# what is left in the sources when it ends


class Items(list[int]):
    """A sized input whose iterator does not know how much it has left, and what it was asked."""

    def __init__(self, items: Iterable[int]) -> None:
        super().__init__(items)
        self.asked: list[int] = []

    def __iter__(self) -> Iterator[int]:
        return counting(super().__iter__(), self.asked)


class Uncounted(Items):
    def __iter__(self) -> Iterator[int]:
        return Guess(super().__iter__())


class Guess(Iterator[int]):
    """An iterator whose hint fails."""

    def __init__(self, iterator: Iterator[int]) -> None:
        self._iterator = iterator

    def __next__(self) -> int:
        return next(self._iterator)

    def __length_hint__(self) -> int:
        raise Broken


def calls(items: Any) -> Any:
    return waitkit.call_each(value, items)


@pytest.mark.parametrize("helper", STREAMS)
async def test_deadline_when_a_list_has_nothing_left(helper: str) -> None:
    """R20: all that was given has finished: nothing is cut off."""
    async with make_stream(
        helper, calls([1]), max_concurrency=1, buffersize=1, timeout=5
    ) as stream:
        await anyio.sleep(6)
        assert len(await rest(stream)) == 1
        assert not stream.timed_out


LEFT: dict[str, tuple[Callable[[], Any], bool, int]] = {  # cut off for data? and how many?
    "one": (lambda: calls([1, 2]), True, 1),
    "two": (lambda: calls([1, 2, 3]), True, 2),
    "no hint": (lambda: calls(Items([1])), False, 0),
    "broken hint": (lambda: calls(Uncounted([1])), False, 0),
    "iterator": (lambda: calls(iter([1])), True, 0),
    "async": (lambda: calls(aiter_of([1])), True, 0),
}


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("helper", STREAMS)
async def test_deadline_when_all_that_was_taken_has_finished(helper: str, left: str) -> None:
    """R17, R20: it cuts off what is left, and what may be left; for data, a list is asked first."""
    given, cuts_off, never_made = LEFT[left]
    async with make_stream(helper, given(), max_concurrency=1, buffersize=1, timeout=5) as stream:
        await anyio.sleep(6)
        assert plain_values([await anext(stream)]) == [(1, 1) if helper in RESULT_STREAMS else 1]
        if helper in RESULT_STREAMS:
            with pytest.raises(waitkit.DeadlineError):
                await anext(stream)
        else:
            assert [item async for item in stream] == [
                waitkit.Cancelled(index + 1, index, "deadline", started=False)
                for index in range(1, 1 + never_made)
            ]
            assert stream.timed_out == cuts_off


@pytest.mark.parametrize("wrap", [iter, aiter_of], ids=["iterator", "async"])
@pytest.mark.parametrize("helper", OUTCOME_STREAMS)
async def test_deadline_when_an_iterator_may_have_more(
    helper: str, wrap: Callable[..., Any]
) -> None:
    """R20: one that has not said that it is at its end has been cut off, with nothing to show."""
    given = wrap([value("a")])
    async with make_stream(helper, given, max_concurrency=1, buffersize=1, timeout=5) as stream:
        await anyio.sleep(6)
        assert await rest(stream) == ["a"]
        assert stream.timed_out


@pytest.mark.parametrize("drains", [True, False])
@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_rest_of_a_sized_input_is_not_asked_for(helper: str, drains: bool) -> None:
    """R2, R26: where nobody wants what is left of it, that is not even made."""
    items = Items([1, 2, 3])
    given = waitkit.call_each(lambda _: fail(Broken(), 2), items)
    async with make_stream(helper, given, max_concurrency=1) as stream:
        await anyio.sleep(1)
        if drains:
            stream.drain()
        with pytest.raises(Broken):
            await anext(stream)
    assert items.asked == [1]


# cancelled, and dropped


async def slow_dispose(_: Any) -> None:
    await anyio.sleep(5)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_failure_outlives_an_anext_that_is_cancelled_during_a_disposal(
    helper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R24: the next one in the block raises it; then nothing is logged."""
    error = Broken()
    async with make_stream(
        helper, [fail(error, 1), refuse("late")], dispose=slow_dispose
    ) as stream:
        with pytest.raises(TimeoutError):
            async with time_limit(3):
                await anext(stream)
        assert now() == 6
        with pytest.raises(Broken) as caught:
            await anext(stream)
    assert caught.value is error
    assert logged(caplog) == []


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_caller_cancelled_while_it_leaves_a_failure(
    helper: str, block: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """R23, R12: the cancellation has the failure as its context, and that is logged."""
    error = Broken()

    async def job() -> None:
        try:
            await never()
        finally:
            await clean_up(5)

    async def call() -> None:
        stream = make_stream(helper, [fail(error), job()])
        if block:
            async with stream:
                await settle()
        else:
            await anext(stream)

    caller = asyncio.create_task(call())
    at(2, caller.cancel, "enough")
    with pytest.raises(asyncio.CancelledError, match="enough") as caught:
        await caller
    assert now() == 5
    assert caught.value.__context__ is error
    assert logged(caplog) == [error]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_bare_stream_is_over_when_its_anext_was_cancelled(helper: str) -> None:
    """R24, R26: that closes it, so that it takes no more inputs."""
    stream = make_stream(helper, [never()])
    with pytest.raises(TimeoutError):
        async with time_limit(1):
            await anext(stream)
    assert told(lambda: stream.add(value("late"))) == "add() after the end: this stream is closed"


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_stream_dropped_with_jobs_running_is_told_where(helper: str) -> None:
    """R25: the warning is of the place where it was dropped, and carries the stream."""
    stream = make_stream(helper, [value("a", 1), never()])
    await anext(stream)
    with pytest.warns(ResourceWarning) as warned:
        del stream
    (warning,) = warned
    assert warning.filename == __file__
    assert isinstance(warning.source, waitkit.ResultStream)
    assert str(warning.message) == (
        f"<ResultStream of {helper}, open: 1 running, 1 finished (0 not delivered), 2 taken> "
        "was dropped with jobs running: use 'async with', or await aclose()"
    )
    await settle()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_failure_of_a_stream_dropped_with_no_job_running_is_logged(
    helper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R25: nobody has heard of it."""
    error = Broken()
    stream = make_stream(helper, [value("a", 1), fail(error, 2)])
    await anext(stream)
    await anyio.sleep(2)
    del stream
    await settle()
    assert logged(caplog) == [error]


async def test_stream_that_was_not_made_says_no_more_than_that() -> None:
    """R32: a wrong call of the class is a TypeError, with nothing else from its remains."""
    nothing: Any = ()
    with pytest.raises(TypeError):
        waitkit.ResultStream(*nothing)
    gc.collect()
