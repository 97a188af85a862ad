"""`call_each` and `keyed`: calls made when a slot falls free, and keys for what they give."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future as ConcurrentFuture
from typing import Any

import anyio
import pytest

import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    LIMITED,
    STREAMS,
    Gauge,
    at,
    future,
    now,
    run_helper,
    running,
    settle,
    unshuffled,
    value,
)


def outcomes_of(answer: Any) -> list[Any]:
    outcomes = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
    return sorted(outcomes, key=lambda outcome: outcome.index)


@pytest.mark.parametrize("helper", DATA)
async def test_call_is_made_when_a_slot_falls_free(helper: str) -> None:
    """R2: the function is called once per item, in item order, when its slot is free."""
    calls: list[Any] = []

    def call(item: str) -> Awaitable[str]:
        calls.append((item, now()))
        return value(item.upper(), 2)

    answer = await run_helper(helper, waitkit.call_each(call, ["a", "b", "c"]), max_concurrency=2)
    assert unshuffled(calls) == [("a", 0), ("b", 0), ("c", 2)]
    assert outcomes_of(answer) == [
        waitkit.Success("A", "a", 0),
        waitkit.Success("B", "b", 1),
        waitkit.Success("C", "c", 2),
    ]


@pytest.mark.parametrize("helper", DATA)
async def test_call_s_error_is_the_failure_of_its_item(helper: str) -> None:
    """R32: what the function raises, or returns that is not awaitable, fails that item alone."""
    error = KeyError("x")

    def call(item: str) -> Any:
        if item == "raises":
            raise error
        if item == "no awaitable":
            return 42
        if item == "none":
            return None
        return value(item)

    items = ["raises", "no awaitable", "none", "fine"]
    raised, wrong, none, fine = outcomes_of(
        await run_helper(helper, waitkit.call_each(call, items))
    )
    assert raised == waitkit.Failure(error, "raises", 0)
    assert isinstance(wrong.error, TypeError)
    assert "returned an int, which cannot be awaited" in str(wrong.error)
    assert isinstance(none.error, TypeError)
    assert fine == waitkit.Success("fine", "fine", 3)


@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_call_s_error_ends_a_fail_fast_call(helper: str) -> None:
    """R10, R11, R32: it is raised bare, with a note that names the item."""
    gauge = Gauge()
    error = KeyError("x")

    def call(item: str) -> Any:
        if item == "raises":
            raise error
        return gauge.job(item)

    with pytest.raises(KeyError) as caught:
        await run_helper(helper, waitkit.call_each(call, ["fine", "raises"]))
    assert caught.value is error
    assert any("input 1 (key 'raises')" in note for note in error.__notes__)
    assert gauge.running == 0


async def check_call_that_returns(helper: str, make: Callable[[], Any]) -> None:
    """What is made gives "a" after a second."""
    answer = await run_helper(helper, waitkit.call_each(lambda _: make(), ["k"]))
    expected = waitkit.Success("a", "k", 0)
    if helper in DATA:
        assert outcomes_of(answer) == [expected]
    else:
        assert answer in ([("k", "a")], {"k": "a"}, ("k", "a"))
    assert now() == 1


@pytest.mark.parametrize("kind", ["task", "future", "concurrent"])
@pytest.mark.parametrize("helper", HELPERS)
async def test_call_may_return_any_awaitable(helper: str, kind: str) -> None:
    """R1: a Task, a Future or a concurrent Future: all are awaited."""
    outside: ConcurrentFuture[str] = ConcurrentFuture()
    waiting = future()
    at(1, outside.set_result, "a")
    at(1, waiting.set_result, "a")
    calls: dict[str, Callable[[], Any]] = {
        "task": lambda: running("a", 1),
        "future": lambda: waiting,
        "concurrent": lambda: outside,
    }
    await check_call_that_returns(helper, calls[kind])


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", HELPERS)
async def test_call_may_return_what_is_borrowed(helper: str) -> None:
    """R1: that is awaited as well."""
    waiting = future()
    at(1, waiting.set_result, "a")
    await check_call_that_returns(helper, lambda: waitkit.borrowed(waiting))


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_task_that_a_call_returned_is_cancelled_with_the_rest(helper: str) -> None:
    """R1, R22: a Task that the function made has ended when the helper returns."""
    gauge = Gauge()

    def call(item: str) -> Any:
        if item == "raises":
            raise KeyError(item)
        return asyncio.create_task(gauge.job(item))

    items = ["a", "raises"]
    with pytest.raises(KeyError):
        await run_helper(helper, waitkit.call_each(call, items))
    assert gauge.running == 0


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_borrowed_that_a_call_returned_is_not_cancelled(helper: str) -> None:
    """R1: what the function lends is let go of, and not cancelled."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def breaks() -> None:
        await asyncio.sleep(1)
        raise KeyError

    def call(item: str) -> Any:
        return waitkit.borrowed(future) if item == "lent" else breaks()

    with pytest.raises(KeyError):
        await run_helper(helper, waitkit.call_each(call, ["lent", "breaks"]))
    assert not future.done()


@pytest.mark.parametrize("helper", DATA)
async def test_timeout_counts_from_the_start_of_each_call(helper: str) -> None:
    """The timeout is per call, from its own start, not while it queues; its error is data."""
    afters = {"a": 4.0, "b": 4.0, "c": 9.0, "d": 4.0}
    gauge = Gauge()
    given = waitkit.call_each(lambda item: gauge.job(item, afters[item]), afters, timeout=5)
    a, b, c, d = outcomes_of(await run_helper(helper, given, max_concurrency=1))
    assert [o.value for o in (a, b, d)] == ["a", "b", "d"]
    assert type(c.error) is TimeoutError
    assert gauge.cancelled == ["c"]
    assert now() == 4 + 4 + 5 + 4


@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_timeout_of_a_call_is_no_deadline(helper: str) -> None:
    """R20: a call's own TimeoutError can never be mistaken for the deadline of the whole."""
    given = waitkit.call_each(lambda item: value(item, 9), ["a"], timeout=1)
    with pytest.raises(TimeoutError) as caught:
        await run_helper(helper, given, timeout=5)
    assert not isinstance(caught.value, waitkit.DeadlineError)
    assert now() == 1


@pytest.mark.parametrize("helper", DATA)
async def test_deadline_before_the_timeout_of_a_call(helper: str) -> None:
    """R17: at the deadline running calls are cut off, and calls never made are told apart."""
    calls: list[str] = []

    def call(item: str) -> Awaitable[str]:
        calls.append(item)
        return value(item, 9)

    given = waitkit.call_each(call, ["a", "b", "c"], timeout=5)
    answer = await run_helper(helper, given, max_concurrency=1, timeout=2)
    assert outcomes_of(answer) == [
        waitkit.Cancelled("a", 0, "deadline", True),
        waitkit.Cancelled("b", 1, "deadline", False),
        waitkit.Cancelled("c", 2, "deadline", False),
    ]
    assert calls == ["a"]


@pytest.mark.parametrize("helper", DATA)
async def test_items_left_in_an_iterator_at_the_deadline_are_no_outcomes(helper: str) -> None:
    """R17: calls never made for a sized input are reported, an iterator's are left in it."""
    items = iter(["a", "b", "c"])
    given = waitkit.call_each(lambda item: value(item, 9), items)
    answer = await run_helper(helper, given, max_concurrency=1, timeout=2)
    assert outcomes_of(answer) == [waitkit.Cancelled("a", 0, "deadline", True)]
    assert list(items) == ["b", "c"]


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_for_a_call(seconds: float) -> None:
    """A timeout of zero or less ends a call that has to wait, and that one alone."""
    given = waitkit.call_each(lambda after: value(after, after), [None, 5], timeout=seconds)
    partial = await waitkit.gather_partial(given)
    assert list(partial.errors) == [5]
    assert type(partial.errors[5]) is TimeoutError
    assert partial.results == {None: None}


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", LIMITED)
async def test_cancelled_before_its_first_step_a_call_was_never_made(helper: str) -> None:
    """R27: so there is no coroutine that nobody awaits (an eager one has had its first step)."""
    calls: list[int] = []

    def call(item: int) -> Awaitable[int]:
        calls.append(item)
        return value(item, 5)

    me = asyncio.current_task()
    assert me is not None
    me.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run_helper(helper, waitkit.call_each(call, [1, 2, 3]))
    me.uncancel()
    await settle()
    assert calls in ([], [1, 2, 3])


@pytest.mark.parametrize("helper", LIMITED)
async def test_call_of_a_scope_that_is_cancelled_already(helper: str) -> None:
    """R23, R27: the same where a scope cancels; a job may have its first step, and no more."""
    ended: list[int] = []

    async def call(item: int) -> None:
        await value(item, 5)
        ended.append(item)

    with anyio.CancelScope() as scope:
        scope.cancel()
        await run_helper(helper, waitkit.call_each(call, [1, 2, 3]))
    assert scope.cancelled_caught
    await settle()
    assert now() == 0
    assert ended == []


@pytest.mark.parametrize("helper", STREAMS)
async def test_items_of_streams_need_not_be_hashable(helper: str) -> None:
    """R32: a stream takes any items, equal ones too, and gives them back as they were."""
    items = [["a"], ["a"], {"b": 1}]
    places = {id(item): place for place, item in enumerate(items)}
    given = waitkit.call_each(lambda item: value(len(item), places[id(item)]), items)
    answer = await run_helper(helper, given)
    keys = [item.key if isinstance(item, waitkit.Success) else item[0] for item in answer]
    assert all(key is item for key, item in zip(keys, items, strict=True))


async def test_one_call_each_can_be_used_again() -> None:
    """Over a list it is a description of calls, and each use makes its own."""
    given = waitkit.call_each(value, ["a", "b"])
    assert await waitkit.first_error(given) == {"a": "a", "b": "b"}
    assert await waitkit.first_error(given) == {"a": "a", "b": "b"}
    assert repr(given) == "call_each(['a', 'b'])"
