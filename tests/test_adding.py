"""`add` and `extend`: more inputs for a stream that is being iterated (R26)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import waitkit
from jobs import (
    OUTCOME_STREAMS,
    RESULT_STREAMS,
    STREAMS,
    Gauge,
    aiter_of,
    fail,
    now,
    plain_values,
    settle,
    value,
)


def make(helper: str, aws: Any, **options: Any) -> waitkit.ResultStream[Any]:
    stream: waitkit.ResultStream[Any] = getattr(waitkit, helper)(aws, **options)
    return stream


async def rest(stream: waitkit.ResultStream[Any]) -> list[Any]:
    return plain_values([item async for item in stream])


@pytest.mark.parametrize("limit", [None, 1, 2])
@pytest.mark.parametrize("helper", STREAMS)
async def test_add_from_the_loop_body(helper: str, limit: int | None) -> None:
    """R26: a crawler adds while it iterates, after the very last result too."""
    found: list[int] = []
    async with make(helper, [value(1, 1)], max_concurrency=limit) as stream:
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
            await asyncio.sleep(1)
            stream.add(visit(number * 2 + 1))
        return number

    stream = make(helper, [visit(1)], max_concurrency=limit)
    async with stream:
        assert sorted(await rest(stream)) == list(range(1, 16))


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_starts_in_a_free_slot_at_once(helper: str) -> None:
    """R26, R2: what is added starts at once if there is a free slot, else when one falls free."""
    gauge = Gauge()
    async with make(helper, [gauge.job("a", 5)], max_concurrency=2) as stream:
        stream.add(gauge.job("b", 1))
        stream.add(gauge.job("c", 1))
        await settle(2)
        assert gauge.started == ["a", "b"]
        await asyncio.sleep(1.5)
        assert gauge.started == ["a", "b", "c"]
        assert gauge.peak == 2


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_waits_for_room_in_the_buffer(helper: str) -> None:
    """R3, R26: what is added counts against `buffersize` like any other input."""
    gauge = Gauge()
    async with make(helper, [gauge.job("a", 1)], max_concurrency=1, buffersize=1) as stream:
        stream.add(gauge.job("b", 1))
        await asyncio.sleep(10)
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
    async with make(helper, given, max_concurrency=1) as stream:
        stream.add(gauge.job("added", 1))
        assert await rest(stream) == ["a", "b", "c", "added"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_added_input_comes_before_the_next_of_an_iterator(helper: str) -> None:
    """R26: its index is the order of taking: before the next item of an iterator."""
    gauge = Gauge()
    given = (gauge.job(name, 1) for name in "abc")
    async with make(helper, given, max_concurrency=1) as stream:
        stream.add(gauge.job("first", 1))
        stream.add(gauge.job("second", 1))
        assert await rest(stream) == ["a", "first", "second", "b", "c"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_before_the_start(helper: str) -> None:
    """R26, R6: what is added before the stream starts waits for the start like the rest."""
    gauge = Gauge()
    stream = make(helper, [gauge.job("a", 1)], max_concurrency=1)
    stream.add(gauge.job("b", 1))
    stream.extend([gauge.job("c", 1)])
    await asyncio.sleep(9)
    assert gauge.started == []
    async with stream:
        assert await rest(stream) == ["a", "b", "c"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_to_a_stream_that_began_empty(helper: str) -> None:
    """R26, R33: a stream without inputs can be added to until it has been found empty."""
    async with make(helper, []) as stream:
        stream.add(value("a", 1))
        assert await rest(stream) == ["a"]


@pytest.mark.parametrize("helper", OUTCOME_STREAMS)
async def test_added_index_is_the_order_of_taking(helper: str) -> None:
    """R26: indexes are given out as inputs are taken, added ones among them."""
    given = (value(name, 1) for name in "ab")
    async with make(helper, given, max_concurrency=1) as stream:
        stream.add(value("added", 1))
        outcomes = [item async for item in stream]
    assert sorted((o.index, o.value) for o in outcomes) == [(0, "a"), (1, "added"), (2, "b")]


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_takes_every_kind_of_awaitable(helper: str) -> None:
    """R1, R26: Tasks, Futures and borrowed ones can be added, the same one twice too."""
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    done.set_result("done")
    task = asyncio.create_task(value("task", 1))
    async with make(helper, []) as stream:
        for aw in (done, task, waitkit.borrowed(task), task):
            stream.add(aw)
        assert await rest(stream) == ["done", "task", "task", "task"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_add_refuses_what_is_wrong(helper: str) -> None:
    """R26, R32: a TypeError or ValueError, the coroutine is closed, and the stream goes on."""
    me: Any = asyncio.current_task()
    async with make(helper, [value("a", 1)]) as stream:
        wrong: Any = 42
        with pytest.raises(TypeError, match="an int, which cannot be awaited"):
            stream.add(wrong)
        with pytest.raises(TypeError, match=r"write add\(aw\)"):
            stream.add(value("b"), key="k")
        for aw in (me, waitkit.borrowed(me)):
            with pytest.raises(ValueError, match="the calling task"):
                stream.add(aw)
            with pytest.raises(ValueError, match="the calling task"):
                stream.extend([value("b"), aw])
        assert await rest(stream) == ["a"]
    async with make(helper, {"k": value("a", 1)}) as keyed:
        with pytest.raises(TypeError, match=r"write add\(aw, key=key\)"):
            keyed.add(value("b"))
        keyed.add(value("c", 1), key=None)
        assert len([item async for item in keyed]) == 2


@pytest.mark.parametrize("stage", ["exhausted", "closed", "left", "drained", "failed"])
@pytest.mark.parametrize("helper", STREAMS)
async def test_add_after_the_end_is_refused(helper: str, stage: str) -> None:
    """R26: `add` and `extend` then are a RuntimeError; coroutines are closed, Tasks left alone."""
    task = asyncio.create_task(value("t", 9))
    jobs: list[Any] = [value("a")]
    if stage == "failed":
        jobs.append(fail(asyncio.IncompleteReadError(b"", None)))
    stream = make(helper, jobs, **({"catch": ()} if helper in OUTCOME_STREAMS else {}))
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
            refuse_more(stream, task)
    refuse_more(stream, task)
    assert await task == "t"


def refuse_more(stream: waitkit.ResultStream[Any], task: asyncio.Task[Any]) -> None:
    for aw in (value("late"), task):
        with pytest.raises(RuntimeError, match=r"add\(\) after"):
            stream.add(aw)
        with pytest.raises(RuntimeError, match=r"extend\(\) after"):
            stream.extend([aw, value("late")] if aw is task else [value("late")])


@pytest.mark.parametrize("helper", STREAMS)
async def test_job_adds_after_the_end(helper: str) -> None:
    """R26: a job that is being cancelled when its stream is closed may not add to it any more."""
    refused: list[BaseException] = []
    task = asyncio.create_task(value("t", 9))

    async def job() -> None:
        try:
            await Gauge().job("a")
        finally:
            try:
                stream.add(value("late"))
            except RuntimeError as error:
                refused.append(error)

    stream = make(helper, [job()])
    async with stream:
        await settle(2)
    # The stream is only over once this job is: what it adds may be given up without a word.
    assert len(refused) <= 1
    assert await task == "t"


@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_add_after_a_failure_that_nobody_has_seen(helper: str) -> None:
    """R26: it is given up like all that was left: coroutines closed, Tasks cancelled, awaited."""
    task = asyncio.create_task(Gauge().job("t"))
    async with make(helper, [fail(KeyError("x"))]) as stream:
        await settle()
        stream.add(value("late"))
        stream.add(task)
        stream.extend([value("late"), value("later")])
        stream.extend(value("never") for _ in range(2))
        stream.drain()
        with pytest.raises(KeyError):
            await anext(stream)
        assert task.cancelled()


@pytest.mark.parametrize("helper", OUTCOME_STREAMS)
async def test_add_after_a_deadline_that_nobody_has_seen(helper: str) -> None:
    """R17, R26: it never started: `Cancelled(started=False)`, in input order."""
    async with make(helper, [Gauge().job("a")], timeout=1) as stream:
        await asyncio.sleep(2)
        stream.add(value("late"))
        stream.extend([value("later")])
        outcomes = [item async for item in stream]
    assert sorted(outcomes, key=lambda outcome: outcome.index) == [
        waitkit.Cancelled(0, 0, "deadline", True),
        waitkit.Cancelled(1, 1, "deadline", False),
        waitkit.Cancelled(2, 2, "deadline", False),
    ]


# extend


@pytest.mark.parametrize("wrap", [list, tuple, iter, aiter_of])
@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_comes_behind_all_that_is_there(
    helper: str, wrap: Callable[[Any], Any]
) -> None:
    """R26: `extend` takes what the helper takes, lazily, behind what is there."""
    gauge = Gauge()
    given = (gauge.job(name, 1) for name in "ab")
    async with make(helper, given, max_concurrency=1) as stream:
        stream.extend(wrap([gauge.job(name, 1) for name in "cd"]))
        stream.extend(wrap([gauge.job(name, 1) for name in "ef"]))
        stream.add(gauge.job("added", 1))
        assert await rest(stream) == ["a", "added", "b", "c", "d", "e", "f"]
    assert gauge.peak == 1


@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_is_lazy(helper: str) -> None:
    """R26: an iterator given to `extend` is asked when its turn has come and a slot is free."""
    taken: list[str] = []
    called: list[str] = []

    async def call(name: str) -> str:
        called.append(name)
        return await value(name, 1)

    def items() -> Any:
        for name in "bc":
            taken.append(name)
            yield name

    async with make(helper, {"a": value("a", 1)}, max_concurrency=1) as stream:
        stream.extend(waitkit.call_each(call, items(), timeout=5))
        await settle()
        assert taken == []
        await asyncio.sleep(1.5)
        assert taken == called == ["b"]
        assert len([item async for item in stream]) == 3


@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_of_keyed_inputs(helper: str) -> None:
    """R26: a keyed stream is extended by mappings, `keyed` and `call_each`."""
    async with make(helper, {"a": value(1, 1)}, max_concurrency=1) as stream:
        stream.extend({"b": value(2, 1)})
        stream.extend(waitkit.keyed([("c", value(3, 1))]))
        stream.extend(waitkit.keyed(iter([("d", value(4, 1))])))
        stream.extend(waitkit.call_each(lambda item: value(5, 1), ["e"]))
        stream.extend(waitkit.call_each(lambda item: value(6, 1), aiter_of(["f"])))
        stream.add(value(7, 1), key="added")
        items = [item async for item in stream]
    pairs = [(o.key, o.value) for o in items] if helper in OUTCOME_STREAMS else items
    # `add` follows the sized inputs; it goes before what is still to be asked for.
    expected = {"a": 1, "b": 2, "c": 3, "added": 7, "d": 4, "e": 5, "f": 6}
    assert pairs == list(expected.items())


@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_refuses_the_wrong_kind_of_keys(helper: str) -> None:
    """R32: keyed to unkeyed inputs or the reverse is a TypeError, and coroutines are closed."""
    async with make(helper, [value("a", 1)]) as stream:
        for more in ({"k": value("b")}, waitkit.keyed([("k", value("b"))])):
            with pytest.raises(TypeError, match="have no keys"):
                stream.extend(more)
        with pytest.raises(TypeError, match="have no keys"):
            stream.extend(waitkit.call_each(value, [1]))
        assert await rest(stream) == ["a"]
    async with make(helper, {"k": value("a", 1)}) as keyed:
        with pytest.raises(TypeError, match="are keyed"):
            keyed.extend([value("b"), value("c")])
        with pytest.raises(TypeError, match="are keyed"):
            keyed.extend(iter(()))
        assert len([item async for item in keyed]) == 1


@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_refuses_what_the_helper_refuses(helper: str) -> None:
    """R32: a single awaitable, a string or a bad item is a TypeError; the stream goes on."""
    task = asyncio.create_task(value("t", 1))
    async with make(helper, [value("a", 1)]) as stream:
        for wrong in (value("b"), task, "abc", 42, [value("b"), 42]):
            with pytest.raises(TypeError):
                stream.extend(wrong)
        with pytest.raises(ValueError, match="the same coroutine"):
            stream.extend([*[value("b")] * 2])
        assert await rest(stream) == ["a"]
    assert await task == "t"


@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_by_nothing(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R26, R33: extending by no inputs changes nothing, and ends nothing."""
    async with make(helper, wrap([])) as stream:
        stream.extend(wrap([]))
        stream.extend(wrap([value("a", 1)]))
        stream.extend(wrap([]))
        assert await rest(stream) == ["a"]
        assert now() == 1


@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_from_a_job_that_is_the_last(helper: str) -> None:
    """R26: the last job may extend its stream before it returns."""

    async def job(depth: int) -> int:
        await asyncio.sleep(1)
        if depth:
            stream.extend(job(depth - 1) for _ in range(2))
        return depth

    stream = make(helper, [job(3)], max_concurrency=2)
    async with stream:
        assert sorted(await rest(stream)) == [0] * 8 + [1] * 4 + [2] * 2 + [3]


@pytest.mark.parametrize("wrap", [iter, aiter_of], ids=["iterator", "async"])
@pytest.mark.parametrize("helper", STREAMS)
async def test_source_adds_to_the_stream_that_takes_from_it(
    helper: str, wrap: Callable[[Any], Any]
) -> None:
    """R26: a source may call `add` and `extend` while it is being asked."""

    def source() -> Any:
        yield value("a", 1)
        stream.add(value("added", 1))
        yield value("b", 1)
        stream.extend([value("c", 1)])

    async def async_source() -> Any:
        for item in source():
            yield item

    stream = make(helper, source() if wrap is iter else async_source(), max_concurrency=1)
    async with stream:
        answer = await rest(stream)
    assert sorted(answer) == ["a", "added", "b", "c"]
    assert answer[0] == "a"
    assert answer[-1] == "c"
