"""What CPython's own tests say of `asyncio.as_completed`, said of waitkit's streams.

Each test names the one of `test.test_asyncio` that it comes from; where a stream differs on
purpose, it says "unlike".
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

import waitkit
from jobs import (
    OUTCOME_STREAMS,
    RESULT_STREAMS,
    STREAMS,
    collect,
    now,
    run_helper,
    unshuffled,
    value,
)

COMPLETION_ORDER = ("as_completed_results", "as_completed_outcomes")


def plain(item: Any) -> Any:
    return item.unwrap() if isinstance(item, waitkit.Success) else item


@pytest.mark.parametrize("name", COMPLETION_ORDER)
async def test_results_come_as_they_complete(name: str) -> None:
    """R7: those of one moment first, then the last; unlike there, ties follow the loop.

    CPython: test_tasks.BaseTaskTests.test_as_completed
    """
    jobs = [value("b", 0.01), value("c", 0.15), value("a", 0.01)]
    items = [plain(item) for item in await run_helper(name, jobs)]
    assert [*unshuffled(items[:2], "ba".index), *items[2:]] == ["b", "a", "c"]
    assert now() == 0.15


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", COMPLETION_ORDER)
async def test_same_tasks_come_out_as_went_in(name: str) -> None:
    """R8: unlike there only as keys, where the caller makes them so: what comes out is results.

    CPython: test_tasks.BaseTaskTests.test_as_completed_same_tasks_in_as_out
    """
    tasks = [asyncio.create_task(value(number, number)) for number in (2, 1)]
    came = await run_helper(name, {task: task for task in tasks})
    if name in OUTCOME_STREAMS:
        came = [(outcome.key, outcome.unwrap()) for outcome in came]
    assert came == [(tasks[1], 1), (tasks[0], 2)]
    assert came[0][0] is tasks[1]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_timeout_comes_after_what_was_in_time(name: str) -> None:
    """R9, R20: it is raised on time; unlike there the unfinished Task is cancelled then.

    CPython: test_tasks.BaseTaskTests.test_as_completed_with_timeout
    """
    a, b = (asyncio.create_task(value(*job)) for job in (("a", 0.1), ("b", 0.15)))
    came: list[Any] = []
    with pytest.raises(TimeoutError):
        await collect(getattr(waitkit, name)([a, b], timeout=0.12), came)
    assert came == ["a"]
    assert now() == 0.12
    assert b.cancelled()


@pytest.mark.parametrize("name", OUTCOME_STREAMS)
async def test_timeout_is_an_outcome(name: str) -> None:
    """R17, R20: unlike there it is not raised where failures are data, but of each job cut off.

    CPython: test_tasks.BaseTaskTests.test_as_completed_with_timeout
    """
    outcomes = await run_helper(name, [value("a", 0.1), value("b", 0.15)], timeout=0.12)
    assert outcomes == [waitkit.Success("a", 0, 0), waitkit.Cancelled(1, 1, "deadline", True)]
    assert now() == 0.12


@pytest.mark.parametrize("name", STREAMS)
async def test_timeout_that_is_not_needed_leaves_nothing(name: str) -> None:
    """R20: nor is its time waited for.

    CPython: test_tasks.BaseTaskTests.test_as_completed_with_unused_timeout
    """
    items = await run_helper(name, [value("a", 0.01)], timeout=1)
    assert [plain(item) for item in items] == ["a"]
    assert now() == 0.01
    await anyio.sleep(2)  # beyond it, nothing happens


@pytest.mark.parametrize("after", [None, 1])
@pytest.mark.parametrize("name", STREAMS)
async def test_loop_that_was_left_can_be_resumed(name: str, after: float | None) -> None:
    """R24: a `break` inside the block stops no job; another loop goes on where it was.

    CPython: test_tasks.BaseTaskTests.test_as_completed_resume_iterator
    """
    came: list[Any] = []
    async with getattr(waitkit, name)([value(number, after) for number in range(4)]) as stream:
        async for item in stream:
            came.append(plain(item))
            if len(came) == 2:
                break
        assert len(came) == 2
        async for item in stream:
            came.append(plain(item))  # noqa: PERF401  # as in the loop above
    assert sorted(came) == [0, 1, 2, 3]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("after", [None, 1])
@pytest.mark.parametrize("name", STREAMS)
async def test_bare_loop_that_was_left_can_be_resumed(name: str, after: float | None) -> None:
    """R25: where somebody holds the stream, a `break` drops nothing.

    CPython: test_tasks.BaseTaskTests.test_as_completed_resume_iterator
    """
    stream = getattr(waitkit, name)([value(number, after) for number in range(4)])
    came: list[Any] = []
    async for item in stream:
        came.append(plain(item))
        if len(came) == 2:
            break
    assert len(came) == 2
    async for item in stream:
        came.append(plain(item))  # noqa: PERF401  # as in the loop above
    assert sorted(came) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", COMPLETION_ORDER)
async def test_whoever_asks_first_gets_the_first_to_complete(name: str) -> None:
    """R7: a given set has no order of its own, and unlike there nothing can be asked for in turn.

    CPython: test_tasks.BaseTaskTests.test_as_completed_reverse_wait
    """
    async with getattr(waitkit, name)({value("b", 0.1), value("a", 0.05)}) as stream:
        assert plain(await anext(stream)) == "a"
        assert now() == 0.05
        assert plain(await anext(stream)) == "b"
        assert now() == 0.1


@pytest.mark.parametrize("name", STREAMS)
async def test_results_cannot_be_awaited_at_the_same_time(name: str) -> None:
    """R26: unlike there the second to ask is refused, and the first one harmed in nothing.

    CPython: test_tasks.BaseTaskTests.test_as_completed_concurrent
    """
    came: list[Any] = []

    async def ask() -> None:
        came.append(plain(await anext(stream)))

    async with getattr(waitkit, name)([value("a", 0.05), value("b", 0.05)]) as stream:
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.sleep(0.01)
            with pytest.raises(RuntimeError, match="another task"):
                await anext(stream)
        await ask()
    assert sorted(came) == ["a", "b"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", STREAMS)
async def test_task_given_again_is_reported_again(name: str) -> None:
    """R4: unlike there, where a coroutine given twice comes out once; here that is refused.

    CPython: test_tasks.BaseTaskTests.test_as_completed_duplicate_coroutines,
    test_wait_duplicate_coroutines
    """
    again = value("ham")
    with pytest.raises(ValueError, match="the same coroutine"):
        getattr(waitkit, name)([again, again, value("spam")])
    task = asyncio.create_task(value("ham"))
    items = await run_helper(name, [task, task, value("spam")])
    assert [plain(item) for item in items] == ["ham", "ham", "spam"]
