"""`add`: one more input for a stream that is being iterated (R26)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import waitkit
from jobs import (
    OUTCOME_STREAMS,
    RESULT_STREAMS,
    STREAMS,
    Gauge,
    at,
    fail,
    future,
    make_stream,
    now,
    plain_values,
    rest,
    settle,
    unshuffled,
    value,
)


@pytest.mark.parametrize("limit", [None, 1, 2])
@pytest.mark.parametrize("helper", STREAMS)
async def test_add_from_the_loop_body(helper: str, limit: int | None) -> None:
    """R26: a crawler adds while it iterates, after the very last result too."""
    found: list[int] = []
    async with make_stream(helper, [value(1, 1)], max_concurrency=limit) as stream:
        async for item in stream:
            (number,) = plain_values([item])
            found.append(number)
            if number < 8:
                stream.add(value(number * 2, 1))
                stream.add(value(number * 2 + 1, 2))
    assert sorted(found) == list(range(1, 16))


@pytest.mark.parametrize("limit", [None, 1, 2])
@pytest.mark.parametrize("helper", STREAMS)
async def test_add_from_a_job(helper: str, limit: int | None) -> None:
    """R26: a job may add to its own stream, in its first step too."""

    async def visit(number: int) -> int:
        if number < 8:
            stream.add(visit(number * 2))
            await anyio.sleep(1)
            stream.add(visit(number * 2 + 1))
        return number

    stream = make_stream(helper, [visit(1)], max_concurrency=limit)
    async with stream:
        assert sorted(await rest(stream)) == list(range(1, 16))


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_starts_in_a_free_slot_at_once(helper: str) -> None:
    """R26, R2: what is added starts at once if there is a free slot, else when one falls free."""
    gauge = Gauge()
    async with make_stream(helper, [gauge.job("a", 5)], max_concurrency=2) as stream:
        stream.add(gauge.job("b", 1))
        stream.add(gauge.job("c", 1))
        await settle(2)
        assert unshuffled(gauge.started) == ["a", "b"]
        await anyio.sleep(1.5)
        assert unshuffled(gauge.started) == ["a", "b", "c"]
        assert gauge.peak == 2


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_waits_for_room_in_the_buffer(helper: str) -> None:
    """R3, R26: what is added counts against `buffersize` like any other input."""
    gauge = Gauge()
    async with make_stream(helper, [gauge.job("a", 1)], max_concurrency=1, buffersize=1) as stream:
        stream.add(gauge.job("b", 1))
        await anyio.sleep(10)
        assert gauge.started == ["a"]
        assert plain_values([await anext(stream)]) == ["a"]
        await settle(2)
        assert gauge.started == ["a", "b"]
        assert await rest(stream) == ["b"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_added_input_comes_after_a_sized_input(helper: str) -> None:
    """R26: its index is the order of taking: after all of a sized input."""
    gauge = Gauge()
    given = [gauge.job(name, 1) for name in "abc"]
    async with make_stream(helper, given, max_concurrency=1) as stream:
        stream.add(gauge.job("added", 1))
        assert await rest(stream) == ["a", "b", "c", "added"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_added_input_comes_before_the_next_of_an_iterator(helper: str) -> None:
    """R26: its index is the order of taking: before the next item of an iterator."""
    gauge = Gauge()
    given = (gauge.job(name, 1) for name in "abc")
    async with make_stream(helper, given, max_concurrency=1) as stream:
        stream.add(gauge.job("first", 1))
        stream.add(gauge.job("second", 1))
        assert await rest(stream) == ["a", "first", "second", "b", "c"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_before_the_start(helper: str) -> None:
    """R26, R6: what is added before the stream starts waits for the start like the rest."""
    gauge = Gauge()
    stream = make_stream(helper, [gauge.job("a", 1)], max_concurrency=1)
    stream.add(gauge.job("b", 1))
    stream.extend([gauge.job("c", 1)])
    await anyio.sleep(9)
    assert gauge.started == []
    async with stream:
        assert await rest(stream) == ["a", "b", "c"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_to_a_stream_that_began_empty(helper: str) -> None:
    """R26, R33: a stream without inputs can be added to until it has been found empty."""
    async with make_stream(helper, []) as stream:
        stream.add(value("a", 1))
        assert await rest(stream) == ["a"]


@pytest.mark.parametrize("helper", OUTCOME_STREAMS)
async def test_added_index_is_the_order_of_taking(helper: str) -> None:
    """R26: indexes are given out as inputs are taken, added ones among them."""
    given = (value(name, 1) for name in "ab")
    async with make_stream(helper, given, max_concurrency=1) as stream:
        stream.add(value("added", 1))
        outcomes = [item async for item in stream]
    assert sorted((o.index, o.value) for o in outcomes) == [(0, "a"), (1, "added"), (2, "b")]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_add_takes_every_kind_of_awaitable(helper: str) -> None:
    """R1, R26: Tasks, Futures and borrowed ones can be added, the same one twice too."""
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    done.set_result("done")
    task = asyncio.create_task(value("task", 1))
    async with make_stream(helper, []) as stream:
        for aw in (done, task, waitkit.borrowed(task), task):
            stream.add(aw)
        assert await rest(stream) == ["done", "task", "task", "task"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_takes_what_is_no_coroutine(helper: str) -> None:
    """R1, R26: whatever can be awaited can be added, the same one twice too."""
    waiting = future()
    async with make_stream(helper, []) as stream:
        stream.add(waiting)
        stream.add(waiting)
        at(1, waiting.set_result, "a")
        assert await rest(stream) == ["a", "a"]
    assert now() == 1


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_refuses_what_is_wrong(helper: str) -> None:
    """R26, R32: a TypeError, the coroutine is closed, and the stream goes on."""
    async with make_stream(helper, [value("a", 1)]) as stream:
        wrong: Any = 42
        with pytest.raises(TypeError, match="an int, which cannot be awaited"):
            stream.add(wrong)
        with pytest.raises(TypeError, match=r"write add\(aw\)"):
            stream.add(value("b"), key="k")
        assert await rest(stream) == ["a"]
    async with make_stream(helper, {"k": value("a", 1)}) as keyed:
        with pytest.raises(TypeError, match=r"write add\(aw, key=key\)"):
            keyed.add(value("b"))
        keyed.add(value("c", 1), key=None)
        assert len([item async for item in keyed]) == 2


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_add_refuses_the_calling_task(helper: str) -> None:
    """R4, R26: the caller would wait for itself: a ValueError, and the stream goes on."""
    me: Any = asyncio.current_task()
    async with make_stream(helper, [value("a", 1)]) as stream:
        for aw in (me, waitkit.borrowed(me)):
            with pytest.raises(ValueError, match="the calling task"):
                stream.add(aw)
            with pytest.raises(ValueError, match="the calling task"):
                stream.extend([value("b"), aw])
        assert await rest(stream) == ["a"]


STAGES = ["exhausted", "closed", "left", "drained", "failed"]


async def run_to(stage: str, helper: str, refuse: Callable[[Any], None]) -> None:
    """Take a stream there; then it has to refuse more, in its block and behind it."""
    jobs: list[Any] = [value("a")]
    if stage == "failed":
        jobs.append(fail(asyncio.IncompleteReadError(b"", None)))
    stream = make_stream(helper, jobs, **({"catch": ()} if helper in OUTCOME_STREAMS else {}))
    async with stream:
        if stage == "exhausted":
            assert await rest(stream) == ["a"]
        elif stage == "closed":
            await stream.aclose()
        elif stage == "drained":
            stream.drain()
        elif stage == "failed":
            with pytest.raises(EOFError):
                await rest(stream)
        if stage != "left":
            refuse(stream)
    refuse(stream)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("helper", STREAMS)
async def test_add_after_the_end_is_refused(helper: str, stage: str) -> None:
    """R26: `add` and `extend` then are a RuntimeError, and coroutines are closed."""

    def refuse(stream: waitkit.ResultStream[Any]) -> None:
        with pytest.raises(RuntimeError, match=r"add\(\) after"):
            stream.add(value("late"))
        with pytest.raises(RuntimeError, match=r"extend\(\) after"):
            stream.extend([value("late")])

    await run_to(stage, helper, refuse)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("helper", STREAMS)
async def test_task_added_after_the_end_is_left_alone(helper: str, stage: str) -> None:
    """R26: a Task that is refused runs on."""
    task = asyncio.create_task(value("t", 9))

    def refuse(stream: waitkit.ResultStream[Any]) -> None:
        with pytest.raises(RuntimeError, match=r"add\(\) after"):
            stream.add(task)
        with pytest.raises(RuntimeError, match=r"extend\(\) after"):
            stream.extend([task, value("late")])

    await run_to(stage, helper, refuse)
    assert await task == "t"


@pytest.mark.parametrize("helper", STREAMS)
async def test_job_adds_after_the_end(helper: str) -> None:
    """R26: a job that is being cancelled when its stream is closed may not add to it any more."""
    refused: list[BaseException] = []

    async def job() -> None:
        try:
            await Gauge().job("a")
        finally:
            try:
                stream.add(value("late"))
            except RuntimeError as error:
                refused.append(error)

    stream = make_stream(helper, [job()])
    async with stream:
        await settle(2)
    assert len(refused) == 1


@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_add_after_a_failure_that_nobody_has_seen(helper: str) -> None:
    """R26: it is given up like all that was left: coroutines are closed."""
    async with make_stream(helper, [fail(KeyError("x"))]) as stream:
        await settle()
        stream.add(value("late"))
        stream.extend([value("late"), value("later")])
        stream.extend(value("never") for _ in range(2))
        stream.drain()
        with pytest.raises(KeyError):
            await anext(stream)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_task_added_after_a_failure_that_nobody_has_seen(helper: str) -> None:
    """R26: it is given up like all that was left: cancelled, and awaited."""
    task = asyncio.create_task(Gauge().job("t"))
    async with make_stream(helper, [fail(KeyError("x"))]) as stream:
        await settle()
        stream.add(value("late"))
        stream.add(task)
        with pytest.raises(KeyError):
            await anext(stream)
        assert task.cancelled()


@pytest.mark.parametrize("helper", OUTCOME_STREAMS)
async def test_add_after_a_deadline_that_nobody_has_seen(helper: str) -> None:
    """R17, R26: it never started: `Cancelled(started=False)`, in input order."""
    async with make_stream(helper, [Gauge().job("a")], timeout=1) as stream:
        await anyio.sleep(2)
        stream.add(value("late"))
        stream.extend([value("later")])
        outcomes = [item async for item in stream]
    assert sorted(outcomes, key=lambda outcome: outcome.index) == [
        waitkit.Cancelled(0, 0, "deadline", True),
        waitkit.Cancelled(1, 1, "deadline", False),
        waitkit.Cancelled(2, 2, "deadline", False),
    ]
