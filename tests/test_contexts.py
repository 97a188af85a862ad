"""R5: jobs see the context variables of the caller, each in a copy of its own."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from jobs import LIMITED, STREAMS, aiter_of, run_helper, unshuffled

ALL = tuple(name for name in LIMITED if name != "first_success")  # those that want every result
VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="none")


async def seen() -> str:
    await anyio.sleep(1)
    return VAR.get()


@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("helper", ALL)
async def test_jobs_see_the_caller_s_context(
    helper: str, limit: int | None, wrap: Callable[[Any], Any]
) -> None:
    """R5: jobs see the variables of the place that called the helper, whenever they start."""
    VAR.set("caller")
    answer: list[str] = []

    async def note() -> None:
        answer.append(await seen())

    await run_helper(helper, wrap([note() for _ in range(3)]), max_concurrency=limit)
    assert answer == ["caller"] * 3


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("helper", STREAMS)
async def test_jobs_see_the_context_of_where_the_stream_was_made(
    helper: str, limit: int | None
) -> None:
    """R5: not what the consumer sets later, nor what the one who starts or adds has set."""
    found: list[str] = []

    async def note() -> None:
        found.append(await seen())

    VAR.set("made")
    stream = getattr(waitkit, helper)((note() for _ in range(3)), max_concurrency=limit)
    VAR.set("started")
    async with stream:
        VAR.set("inside")
        stream.add(note())
        stream.extend([note()])
        async for _ in stream:
            VAR.set("looping")
    assert found == ["made"] * 5


@pytest.mark.parametrize("helper", ALL)
async def test_each_job_has_its_own_context(helper: str) -> None:
    """R5: what one job sets, no other job sees, nor the caller."""
    found: list[str] = []

    async def job(name: str) -> None:
        found.append(VAR.get())
        VAR.set(name)
        await anyio.sleep(1)
        found.append(VAR.get())

    VAR.set("caller")
    await run_helper(helper, [job("a"), job("b")])
    assert found[:2] == ["caller", "caller"]
    assert unshuffled(found[2:]) == ["a", "b"]
    assert VAR.get() == "caller"


@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("helper", ALL)
async def test_job_in_the_place_of_another_sees_nothing_of_that(
    helper: str, wrap: Callable[[Any], Any]
) -> None:
    """R5: who starts when another job ends is not started in the context of that one."""
    found: list[str] = []

    async def job(name: str, seconds: float = 1) -> None:
        found.append(VAR.get())
        VAR.set(name)
        await anyio.sleep(seconds)

    VAR.set("caller")
    jobs: list[Any] = [job("a"), job("b"), job("c", 9), job("d")]
    if not virtual_time.in_block():
        jobs[2] = asyncio.create_task(jobs[2])  # at work from the start, and taken as the third
    await run_helper(helper, wrap(jobs), max_concurrency=1)
    assert found == ["caller"] * 4


@pytest.mark.parametrize("kind", ["iterator", "async", "call_each"])
@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("helper", ALL)
async def test_context_of_the_source_does_not_reach_the_jobs(
    helper: str, limit: int | None, kind: str
) -> None:
    """R5: what a source sets in its own context neither jobs nor the caller see; it does."""
    found: list[str] = []
    own: list[str] = []

    async def note(_: object = None) -> None:
        found.append(await seen())

    def source() -> Iterator[Any]:
        for index in range(3):
            own.append(VAR.get())
            VAR.set(f"source {index}")
            yield note() if kind == "iterator" else index

    async def async_source() -> AsyncIterator[Any]:
        for index in range(3):
            own.append(VAR.get())
            VAR.set(f"source {index}")
            yield note()

    VAR.set("caller")
    given: dict[str, Callable[[], Any]] = {
        "iterator": source,
        "async": async_source,
        "call_each": lambda: waitkit.call_each(note, source()),
    }
    await run_helper(helper, given[kind](), max_concurrency=limit)
    assert found == ["caller"] * 3
    assert own == ["caller", "source 0", "source 1"]
    assert VAR.get() == "caller"
