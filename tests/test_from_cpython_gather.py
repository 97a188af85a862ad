"""What CPython's own tests say of `asyncio.gather`, said of the helpers that stand in its place.

Each test names the one of `test.test_asyncio` that it comes from; where a helper differs on
purpose, it says "unlike".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import waitkit
from jobs import (
    COLLECTORS,
    FAIL_FAST,
    HELPERS,
    RACES,
    at,
    future,
    logged,
    never,
    notes,
    now,
    outside,
    plain_values,
    run_helper,
    settle,
)


def as_given(waiting: Any) -> Any:
    """FutureGatherTests: the Futures themselves."""
    return waiting


async def in_a_coroutine(waiting: Any) -> Any:
    """CoroutineGatherTests: a coroutine around each."""
    return await waiting


each_kind = pytest.mark.parametrize("wrap", [as_given, in_a_coroutine])


@each_kind
@pytest.mark.parametrize("name", COLLECTORS)
async def test_results_are_in_input_order_when_the_last_is_there(
    name: str, wrap: Callable[[Any], Any]
) -> None:
    """R8, R16: and not a moment earlier, whatever the order of finishing.

    CPython: test_tasks.GatherTestsBase.test_success, test_result_exception_success
    """
    waiting = [future() for _ in range(3)]
    for when, place in enumerate((1, 0, 2), 1):
        at(when, waiting[place].set_result, when)
    assert plain_values(await run_helper(name, [wrap(each) for each in waiting])) == [2, 1, 3]
    assert now() == 3


@pytest.mark.only("asyncio")
@each_kind
async def test_first_exception_is_raised_and_the_others_are_cancelled(
    wrap: Callable[[Any], Any],
) -> None:
    """R10: it is the same object; unlike gather's, siblings do not run on.

    CPython: test_tasks.GatherTestsBase.test_one_exception
    """
    a, b, *others = (future() for _ in range(5))
    error = ZeroDivisionError()
    at(1, a.set_result, 1)
    at(1, b.set_exception, error)
    with pytest.raises(ZeroDivisionError) as caught:
        await waitkit.first_error([wrap(each) for each in (a, b, *others)])
    assert caught.value is error
    assert notes(error) == ["waitkit.first_error: raised by input 1"]
    assert [other.cancelled() for other in others] == [True, True, True]


@each_kind
async def test_exceptions_are_data_beside_the_results(wrap: Callable[[Any], Any]) -> None:
    """R15, R16: the same objects, each at its place, when the last has ended.

    CPython: test_tasks.GatherTestsBase.test_return_exceptions
    """
    a, b, c, d = waiting = [future() for _ in range(4)]
    first, second = ZeroDivisionError(), RuntimeError()
    at(1, b.set_result, 1)
    at(2, c.set_exception, first)
    at(3, a.set_result, 3)
    at(4, d.set_exception, second)
    answer = await waitkit.gather_partial([wrap(each) for each in waiting])
    assert now() == 4
    assert answer.results == {0: 3, 1: 1}
    assert answer.errors == {2: first, 3: second}
    assert answer.errors[2] is first
    assert answer.errors[3] is second


@pytest.mark.only("asyncio")
@each_kind
async def test_cancelled_input_is_a_failure(wrap: Callable[[Any], Any]) -> None:
    """R13: unlike gather's it is no CancelledError, and the others do not run on.

    CPython: test_tasks.FutureGatherTests.test_one_cancellation
    """
    a, b, *others = (future() for _ in range(5))
    at(1, a.set_result, 1)
    at(1, b.cancel)
    with pytest.raises(waitkit.JobCancelledError) as caught:
        await waitkit.first_error([wrap(each) for each in (a, b, *others)])
    assert type(caught.value.__cause__) is asyncio.CancelledError
    assert [other.cancelled() for other in others] == [True, True, True]
    caller = asyncio.current_task()
    assert caller is not None
    assert caller.cancelling() == 0


@pytest.mark.only("direct")
async def test_cancelled_inputs_are_data_beside_results_and_errors() -> None:
    """R13, R16: they end no other job, and are neither results nor errors.

    CPython: test_tasks.FutureGatherTests.test_result_exception_one_cancellation
    """
    a, b, c, d, e, f = waiting = [outside() for _ in range(6)]
    division, runtime = ZeroDivisionError(), RuntimeError()
    at(1, a.set_result, 1)
    at(1, b.set_exception, division)
    at(1, c.cancel)
    at(2, d.set_result, 3)
    at(2, e.cancel)
    at(2, f.set_exception, runtime)
    answer = await waitkit.gather_partial(waiting)
    assert answer.results == {0: 1, 3: 3}
    assert answer.errors == {1: division, 5: runtime}
    assert answer.cancelled == (2, 4)
    assert {answer.outcomes[place].reason for place in answer.cancelled} == {"external"}  # type: ignore[union-attr]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", COLLECTORS)
async def test_coroutine_given_again_is_refused_where_a_task_is_not(name: str) -> None:
    """R4: unlike gather, which runs the coroutine once for all its places.

    CPython: test_tasks.CoroutineGatherTests.test_duplicate_coroutines
    """

    async def say(text: str) -> str:
        return text

    again = say("abc")
    with pytest.raises(ValueError, match="the same coroutine"):
        await run_helper(name, [again, again, say("def"), again])
    task = asyncio.create_task(say("abc"))
    answer = await run_helper(name, [task, task, say("def"), task])
    assert plain_values(answer) == ["abc", "abc", "def", "abc"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_cancellation_reaches_children_that_wait_for_one_future(name: str) -> None:
    """R1, R23: two Tasks on the same Future are both cancelled, and so is that.

    CPython: test_tasks.CoroutineGatherTests.test_cancellation_broadcast
    """
    reached: list[str] = []
    waiting = future()

    async def inner() -> None:
        await waiting
        reached.append("inner")

    async def outer() -> None:
        await run_helper(name, children)
        reached.append("outer")

    children = [asyncio.create_task(inner()) for _ in range(2)]
    caller = asyncio.create_task(outer())
    await settle()
    assert caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert waiting.cancelled()
    assert [child.cancelled() for child in children] == [True, True]
    assert reached == []


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_exception_that_comes_a_few_turns_later_is_not_unretrieved(
    name: str, turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: each exception is raised or is on the logger; the loop has nothing to complain of.

    CPython: test_tasks.CoroutineGatherTests.test_exception_marking
    """
    a, b = future(), future()
    made: list[BaseException] = []
    raised: list[BaseException] = []

    async def inner(waiting: Any) -> None:
        await waiting
        made.append(RuntimeError())
        raise made[-1]

    async def outer() -> None:
        try:
            await run_helper(name, [inner(a), inner(b)])
        except RuntimeError as error:
            raised.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(outer)
        await settle()
        a.set_result(None)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        if not b.done():  # the failure has cancelled it
            b.set_result(None)
    assert len(raised) == 1
    assert raised + logged(caplog) == made


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_cancellation_when_all_children_are_done_still_comes_out(name: str) -> None:
    """R23, R29: as where a Task awaits gather; unlike there, the result goes to `dispose`.

    CPython: test_tasks.BaseTaskTests.test_cancel_gather_1 (gather's own Future refuses it)
    """
    waiting = future()
    unclaimed: list[Any] = []
    caller = asyncio.create_task(
        run_helper(name, [in_a_coroutine(waiting)], dispose=unclaimed.append)
    )
    await settle()
    waiting.add_done_callback(lambda _: caller.cancel("late"))  # behind the child's wake-up
    waiting.set_result(42)
    with pytest.raises(asyncio.CancelledError, match="late"):
        await caller
    assert unclaimed == [42]


CANCEL_ARGUMENTS: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = [
    ((), ()),
    ((None,), ()),
    (("my message",), ("my message",)),
    ((5,), (5,)),
]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize(("given", "args"), CANCEL_ARGUMENTS)
@pytest.mark.parametrize("name", HELPERS)
async def test_cancellation_comes_out_with_what_it_was_given(
    name: str, given: tuple[Any, ...], args: tuple[Any, ...]
) -> None:
    """R23: its message is any object, and it is no other exception's context or effect.

    CPython: test_tasks.BaseTaskTests.test_cancel_gather_2
    """
    caller = asyncio.create_task(run_helper(name, [never(), never()]))
    await settle()
    caller.cancel(*given)
    with pytest.raises(asyncio.CancelledError) as caught:
        await caller
    assert caught.value.args == args
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("name", HELPERS)
async def test_calls_nest_as_deep_as_a_tree(name: str) -> None:
    """R8, R18: forty jobs, each a call of its own; a race has one winner at each level.

    CPython: test_eager_task_factory.BaseTaskCountingTests.test_recursive_gather,
    test_recursive_taskgroups
    """

    async def tree(depth: int) -> int:
        if depth == 0:
            return 1
        branches: list[int] = plain_values(
            await run_helper(name, [tree(depth - 1) for _ in range(3)])
        )
        return 1 + sum(branches)

    assert await tree(3) == (4 if name in RACES else 40)
