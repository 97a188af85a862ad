"""`borrowed`: waited for with the rest, and otherwise left alone (R1)."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

import pytest

import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    RACES,
    STREAMS,
    Gauge,
    aiter_of,
    fail,
    now,
    plain_values,
    run_helper,
    settle,
    value,
)

# Trio has no Tasks or Futures to be borrowed (R50): one test below is about that.
pytestmark = pytest.mark.only("asyncio")


def callbacks(future: asyncio.Future[Any]) -> int:
    """How many callbacks are on a Future."""
    return len(getattr(future, "_callbacks", None) or ())


async def stop(task: asyncio.Task[Any]) -> None:
    """End a task that belongs to the test."""
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("helper", HELPERS)
async def test_borrowed_is_awaited(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R1: what is borrowed gives its value like any other input."""
    task = asyncio.create_task(value("a", 3))
    assert plain_values(await run_helper(helper, wrap([waitkit.borrowed(task)]))) == ["a"]
    assert now() == 3
    assert plain_values(await run_helper(helper, wrap([waitkit.borrowed(task)]))) == ["a"]
    assert now() == 3


@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_borrowed_outlives_a_failure(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R1: a failure cancels the others, never what is borrowed, and is not held up by it."""
    gauge = Gauge()
    task = asyncio.create_task(gauge.job("owned"))
    given = wrap([waitkit.borrowed(task), gauge.job("ours"), fail(KeyError("x"), 1)])
    with pytest.raises(KeyError):
        await run_helper(helper, given)
    assert now() == 1
    assert gauge.ended == ["ours"]
    assert not task.done()
    assert task.cancelling() == 0
    assert callbacks(task) == 0
    await stop(task)


@pytest.mark.parametrize("helper", RACES)
async def test_borrowed_outlives_a_race(helper: str) -> None:
    """R1: a race that something else has won leaves what is borrowed running, without callback."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    assert await run_helper(helper, [waitkit.borrowed(future), value("b", 1)]) == "b"
    assert not future.done()
    assert callbacks(future) == 0


@pytest.mark.parametrize("helper", HELPERS)
async def test_borrowed_outlives_the_deadline(helper: str) -> None:
    """R1, R17: at a deadline it is `Cancelled`, or the call fails, though it runs on."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    given = [waitkit.borrowed(future), future]
    if helper in DATA:
        answer = await run_helper(helper, given, timeout=2)
        outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
        assert sorted(outcomes, key=lambda outcome: outcome.index) == [
            waitkit.Cancelled(0, 0, "deadline", True),
            waitkit.Cancelled(1, 1, "deadline", True),
        ]
    else:
        with pytest.raises(waitkit.DeadlineError):
            await run_helper(helper, given, timeout=2)
    assert now() == 2
    assert not future.done()
    assert callbacks(future) == 0


@pytest.mark.parametrize("helper", HELPERS)
async def test_borrowed_outlives_the_cancelled_caller(helper: str) -> None:
    """R1, R23: the caller's cancellation does not reach what is borrowed, nor wait for it."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    gauge = Gauge()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await run_helper(helper, [waitkit.borrowed(future), gauge.job("ours")])
    assert now() == 1
    assert gauge.ended == ["ours"]
    assert not future.done()
    assert callbacks(future) == 0


@pytest.mark.parametrize("order", ["borrowed first", "plain first"])
@pytest.mark.parametrize("wrap", [list, aiter_of], ids=["sized", "async"])
@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_borrowed_and_plain_is_borrowed(
    helper: str, wrap: Callable[[Any], Any], order: str
) -> None:
    """R1: a Future that is given both borrowed and plain is borrowed, in whatever order."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    twice: list[Any] = [waitkit.borrowed(future), future]
    if order == "plain first":
        twice.reverse()
    with pytest.raises(KeyError):
        await run_helper(helper, wrap([*twice, fail(KeyError("x"), 1)]))
    assert not future.done()
    assert callbacks(future) == 0


@pytest.mark.parametrize("order", ["borrowed first", "plain first"])
async def test_borrowed_beyond_the_limit_is_borrowed(order: str) -> None:
    """R1: so it is where the call ends before one of the two places has been taken."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    twice: list[Any] = [waitkit.borrowed(future), value("between"), future]
    if order == "plain first":
        twice.reverse()
    with pytest.raises(waitkit.DeadlineError):
        await waitkit.first_error(twice, max_concurrency=1, timeout=1)
    assert not future.done()
    assert callbacks(future) == 0


@pytest.mark.parametrize("helper", STREAMS)
async def test_borrowed_can_be_added_to_what_was_plain(helper: str) -> None:
    """R1: a Future that was given plain, and borrowed later, is borrowed from then on."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with getattr(waitkit, helper)([future]) as stream:
        stream.add(waitkit.borrowed(future))
        await settle()
    assert not future.done()
    assert callbacks(future) == 0


@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_borrowed_failure_is_the_call_s_and_the_owner_s(helper: str) -> None:
    """R1, R10: a failure ends the call, and whoever owns the Task gets the same exception."""
    gauge = Gauge()
    error = KeyError("x")
    task = asyncio.create_task(fail(error, 1))
    with pytest.raises(KeyError) as caught:
        await run_helper(helper, [waitkit.borrowed(task), gauge.job("ours"), task])
    assert caught.value is error
    assert gauge.ended == ["ours"]
    assert task.exception() is error
    with pytest.raises(KeyError):
        await task


@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_borrowed_that_its_owner_cancels_is_a_failure(helper: str) -> None:
    """R1, R13: what its owner cancels is a job cancelled from elsewhere."""
    task = asyncio.create_task(value("a", 5))
    asyncio.get_running_loop().call_later(1, task.cancel)
    with pytest.raises(waitkit.JobCancelledError):
        await run_helper(helper, [waitkit.borrowed(task), value("b", 9)])
    assert now() == 1


@pytest.mark.parametrize("helper", HELPERS)
async def test_borrowed_value_never_goes_to_dispose(helper: str) -> None:
    """R1, R29: a value that belongs to someone else is not ours to dispose of."""
    disposed: list[Any] = []
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    # Both in one tick, and the caller is cancelled in it: nothing is ever delivered.
    task = asyncio.create_task(
        run_helper(
            helper,
            [waitkit.borrowed(future), value("ours", 1), Gauge().job("slow")],
            dispose=disposed.append,
        )
    )
    await asyncio.sleep(1)
    future.set_result("lent")
    await settle(1)
    task.cancel()
    await asyncio.wait([task])
    assert disposed in ([], ["ours"])


async def test_borrowed_beyond_the_limit_is_never_started_nor_cancelled() -> None:
    """R1, R2: one that was not taken before the call ended is left alone like any other."""
    task = asyncio.create_task(value("a", 5))
    given: list[Any] = [fail(KeyError("x"), 1), waitkit.borrowed(task)]
    with pytest.raises(KeyError):
        await waitkit.first_error(given, max_concurrency=1)
    assert now() == 1
    assert callbacks(task) == 0
    assert await task == "a"


async def test_borrowed_beyond_the_limit_is_cancelled_at_the_deadline() -> None:
    """R1, R17: one that is done by then is what it is; one that runs on never started here."""
    done = asyncio.create_task(value("done", 1))
    runs = asyncio.create_task(value("runs", 5))
    given: list[Any] = [Gauge().job("slow"), waitkit.borrowed(done), waitkit.borrowed(runs)]
    partial = await waitkit.gather_partial(given, max_concurrency=1, timeout=2)
    assert partial.results == {1: "done"}
    assert partial.outcomes[2] == waitkit.Cancelled(2, 2, "deadline", False)
    assert await runs == "runs"


async def test_borrowed_takes_only_futures() -> None:
    """R1: a coroutine has no other owner: TypeError, and it is closed."""
    outside: concurrent.futures.Future[Any] = concurrent.futures.Future()
    wrong: list[Any] = [value("a"), outside, 42, None, value]
    for aw in wrong:
        with pytest.raises(TypeError, match=r"borrowed\(\) takes a Task or Future"):
            _ = waitkit.borrowed(aw)
    assert not outside.cancelled()


async def test_borrowed_can_be_awaited_by_itself() -> None:
    """R1: awaited outside of the helpers, it gives its value, and a cancelled await spares it."""
    task = asyncio.create_task(value("a", 5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await waitkit.borrowed(task)
    assert await waitkit.borrowed(task) == "a"
    assert now() == 5


@pytest.mark.only("trio")
async def test_borrowed_is_refused_on_trio() -> None:
    """R50: the error says that `borrowed` is asyncio's alone, and a coroutine is closed."""
    for aw in [value("a"), concurrent.futures.Future[Any](), 42]:
        with pytest.raises(RuntimeError, match=r"borrowed\(\) works on asyncio alone"):
            _ = waitkit.borrowed(aw)  # type: ignore[arg-type]  # as in the test above
