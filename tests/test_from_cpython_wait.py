"""What CPython's own tests say of `asyncio.wait`, said of the helpers that stand in its place.

Each test names the one of `test.test_asyncio` that it comes from; where a helper differs on
purpose, it says "unlike".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import waitkit
from jobs import (
    COLLECTORS,
    DATA,
    FAIL_FAST,
    HELPERS,
    RACES,
    RESULT_STREAMS,
    STREAMS,
    at,
    fail,
    future,
    now,
    plain_values,
    run_helper,
    running,
    settle,
    value,
)


@pytest.mark.parametrize("name", STREAMS + COLLECTORS)
async def test_waiting_for_the_same_again_takes_no_time(name: str) -> None:
    """R1, R8: inputs that others have started may be done, and give the same.

    CPython: test_tasks.BaseTaskTests.test_wait
    """
    a, b = running("a", 0.1), running("b", 0.15)
    first = plain_values(await run_helper(name, [b, a]))
    assert now() == 0.15
    again = plain_values(await run_helper(name, [b, a]))
    assert now() == 0.15
    assert sorted(first) == sorted(again) == ["a", "b"]


@pytest.mark.only("asyncio")
async def test_first_to_end_wins_and_the_pending_task_is_cancelled() -> None:
    """R1, R18: unlike `wait`, which leaves it running; `borrowed` does that.

    CPython: test_tasks.BaseTaskTests.test_wait_first_completed
    """
    b = asyncio.create_task(value("b", 0.1))
    a = asyncio.create_task(value("a", 10))
    assert await waitkit.first_completed([b, waitkit.borrowed(a)]) == "b"
    assert now() == 0.1
    assert not a.done()
    b = asyncio.create_task(value("b", 0.1))
    assert await waitkit.first_completed([b, a]) == "b"
    assert now() == 0.2
    assert a.cancelled()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("name", [*RACES, *RESULT_STREAMS])
async def test_task_that_ends_before_the_waiter_wakes_is_not_lost(name: str, order: str) -> None:
    """R8, R29: while callbacks are on their way, a second may end: one wins, all are accounted for.

    CPython: test_tasks.BaseTaskTests.test_wait_really_done
    """
    returned: list[str] = []
    unclaimed: list[str] = []

    async def job(name: str, turns: int) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        returned.append(name)
        return name

    tasks = {"a": asyncio.create_task(job("a", 1)), "b": asyncio.create_task(job("b", 2))}
    answer = await run_helper(name, [tasks[each] for each in order], dispose=unclaimed.append)
    delivered = plain_values(answer)
    assert sorted(delivered + unclaimed) == returned
    if name in RACES:
        assert delivered == ["a"]
        assert tasks["b"].done()
    else:
        assert delivered == (["a", "b"] if name == "as_completed_results" else list(order))


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("after", [None, 0.01])
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_first_exception_ends_the_wait_and_the_pending_task(
    name: str, after: float | None
) -> None:
    """R10: at once; unlike `wait`, which leaves the pending Task running.

    CPython: test_tasks.BaseTaskTests.test_wait_first_exception, test_wait_first_exception_in_wait
    """
    a = asyncio.create_task(asyncio.sleep(10))
    b = asyncio.create_task(fail(ZeroDivisionError("err"), after))
    with pytest.raises(ZeroDivisionError):
        await run_helper(name, [b, a])
    assert now() == (after or 0)
    assert a.cancelled()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", DATA)
async def test_exception_is_among_what_is_done(name: str) -> None:
    """R15: it ends no wait for all; and none is needed the second time.

    CPython: test_tasks.BaseTaskTests.test_wait_with_exception
    """
    error = ZeroDivisionError("really")
    a = asyncio.create_task(value("a", 0.1))
    b = asyncio.create_task(fail(error, 0.15))
    for _ in range(2):
        answer = await run_helper(name, [b, a])
        outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
        assert sorted(outcomes, key=lambda outcome: outcome.index) == [
            waitkit.Failure(error, 0, 0),
            waitkit.Success("a", 1, 1),
        ]
        assert now() == 0.15


@pytest.mark.only("asyncio")
async def test_timeout_parts_what_is_done_from_what_is_cancelled() -> None:
    """R17: unlike `wait`, which leaves the pending Task running; `borrowed` does that.

    CPython: test_tasks.BaseTaskTests.test_wait_with_timeout
    """
    a = asyncio.create_task(value("a", 0.1))
    b = asyncio.create_task(value("b", 0.15))
    answer = await waitkit.gather_partial([waitkit.borrowed(b), a], timeout=0.11)
    assert now() == 0.11
    assert (answer.results, answer.cancelled, answer.timed_out) == ({1: "a"}, (0,), True)
    assert not b.done()
    answer = await waitkit.gather_partial([b, a], timeout=0.01)
    assert now() == pytest.approx(0.12)
    assert (answer.results, answer.cancelled, answer.timed_out) == ({1: "a"}, (0,), True)
    assert b.cancelled()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", DATA)
async def test_what_is_done_in_the_moment_of_the_timeout_counts(name: str) -> None:
    """R20: a Future does; unlike with `wait`, a Task that is only about to wake does not.

    CPython: test_tasks.BaseTaskTests.test_wait_concurrent_complete
    """
    done, late = future(), future()
    at(0.1, done.set_result, "done")
    at(0.15, late.cancel)
    waking = asyncio.create_task(value("waking", 0.1))
    await settle()  # its timer comes before that of the call
    answer = await run_helper(name, [late, waking, done], timeout=0.1)
    outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    assert now() == 0.1
    assert sorted(outcomes, key=lambda outcome: outcome.index) == [
        waitkit.Cancelled(0, 0, "deadline", True),
        waitkit.Cancelled(1, 1, "deadline", True),
        waitkit.Success("done", 2, 2),
    ]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("kind", ["iterator", "generator"])
@pytest.mark.parametrize("name", STREAMS + COLLECTORS)
async def test_tasks_may_come_from_an_iterator(name: str, kind: str) -> None:
    """R1, R8: of Tasks that run already, and from a generator that starts them as it is asked.

    CPython: test_tasks.BaseTaskTests.test_wait_with_iterator_of_tasks, test_wait_generator
    """

    def tasks() -> Iterator[asyncio.Task[int]]:
        return (asyncio.create_task(value(number, number / 100)) for number in range(10))

    given = tasks() if kind == "generator" else iter(list(tasks()))
    assert plain_values(await run_helper(name, given)) == list(range(10))
    assert now() == 0.09


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_cancelled_wait_does_not_leave_its_task_running(name: str) -> None:
    """R22, R23: unlike `wait`, whose cancellation reaches the caller alone.

    CPython: test_tasks.BaseTaskTests.test_yield_wait_does_not_shield_cancel
    """
    reached: list[str] = []
    waiting = future()

    async def inner() -> None:
        await waiting
        reached.append("inner")

    async def outer() -> None:
        await run_helper(name, [asyncio.create_task(inner())])
        reached.append("outer")

    caller = asyncio.create_task(outer())
    await settle()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert waiting.cancelled()
    assert reached == []


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_input_and_caller_cancelled_together(name: str) -> None:
    """R13, R23: the caller's cancellation comes out, whichever of the two was first.

    CPython: test_tasks.BaseTaskTests.test_cancel_both_task_and_inner_future
    """
    for caller_first in (False, True):
        waiting = future()
        caller: asyncio.Task[Any] = asyncio.create_task(run_helper(name, [waiting]))
        await settle()
        if caller_first:
            caller.cancel("caller")
        waiting.cancel("input")
        if not caller_first:
            caller.cancel("caller")
        with pytest.raises(asyncio.CancelledError, match="caller"):
            await caller
