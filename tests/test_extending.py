"""`extend`: more inputs for a stream that is being iterated, lazily (R26)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import waitkit
from jobs import (
    OUTCOME_STREAMS,
    STREAMS,
    Gauge,
    aiter_of,
    make_stream,
    now,
    rest,
    settle,
    value,
)


@pytest.mark.parametrize("wrap", [list, tuple, iter, aiter_of])
@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_comes_behind_all_that_is_there(
    helper: str, wrap: Callable[[Any], Any]
) -> None:
    """R26: `extend` takes what the helper takes, lazily, behind what is there."""
    gauge = Gauge()
    given = (gauge.job(name, 1) for name in "ab")
    async with make_stream(helper, given, max_concurrency=1) as stream:
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

    async with make_stream(helper, {"a": value("a", 1)}, max_concurrency=1) as stream:
        stream.extend(waitkit.call_each(call, items(), timeout=5))
        await settle()
        assert taken == []
        await anyio.sleep(1.5)
        assert taken == called == ["b"]
        assert len([item async for item in stream]) == 3


@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_of_keyed_inputs(helper: str) -> None:
    """R26: a keyed stream is extended by mappings, `keyed` and `call_each`."""
    async with make_stream(helper, {"a": value(1, 1)}, max_concurrency=1) as stream:
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
    async with make_stream(helper, [value("a", 1)]) as stream:
        for more in ({"k": value("b")}, waitkit.keyed([("k", value("b"))])):
            with pytest.raises(TypeError, match="have no keys"):
                stream.extend(more)
        with pytest.raises(TypeError, match="have no keys"):
            stream.extend(waitkit.call_each(value, [1]))
        assert await rest(stream) == ["a"]
    async with make_stream(helper, {"k": value("a", 1)}) as keyed:
        with pytest.raises(TypeError, match="are keyed"):
            keyed.extend([value("b"), value("c")])
        with pytest.raises(TypeError, match="are keyed"):
            keyed.extend(iter(()))
        assert len([item async for item in keyed]) == 1


@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_refuses_what_the_helper_refuses(helper: str) -> None:
    """R32: a single awaitable, a string or a bad item is a TypeError; the stream goes on."""
    async with make_stream(helper, [value("a", 1)]) as stream:
        for wrong in (value("b"), "abc", 42, [value("b"), 42]):
            with pytest.raises(TypeError):
                stream.extend(wrong)
        with pytest.raises(ValueError, match="the same coroutine"):
            stream.extend([*[value("b")] * 2])
        assert await rest(stream) == ["a"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_refuses_a_single_task(helper: str) -> None:
    """R32: that is a TypeError too; the Task is left alone, and the stream goes on."""
    task = asyncio.create_task(value("t", 1))
    async with make_stream(helper, [value("a", 1)]) as stream:
        with pytest.raises(TypeError):
            stream.extend(task)
        assert await rest(stream) == ["a"]
    assert await task == "t"


@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_by_nothing(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R26, R33: extending by no inputs changes nothing, and ends nothing."""
    async with make_stream(helper, wrap([])) as stream:
        stream.extend(wrap([]))
        stream.extend(wrap([value("a", 1)]))
        stream.extend(wrap([]))
        assert await rest(stream) == ["a"]
        assert now() == 1


@pytest.mark.parametrize("helper", STREAMS)
async def test_extend_from_a_job_that_is_the_last(helper: str) -> None:
    """R26: the last job may extend its stream before it returns."""

    async def job(depth: int) -> int:
        await anyio.sleep(1)
        if depth:
            stream.extend(job(depth - 1) for _ in range(2))
        return depth

    stream = make_stream(helper, [job(3)], max_concurrency=2)
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

    stream = make_stream(helper, source() if wrap is iter else async_source(), max_concurrency=1)
    async with stream:
        answer = await rest(stream)
    assert sorted(answer) == ["a", "added", "b", "c"]
    assert answer[0] == "a"
    assert answer[-1] == "c"
