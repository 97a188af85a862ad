"""What may be passed, and in what shape the answer comes back (R1, R33)."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import UserDict, UserList, deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import anyio.lowlevel
import pytest

import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    RACES,
    Gauge,
    aiter_of,
    at,
    done,
    fail,
    failed,
    future,
    now,
    plain_values,
    run_helper,
    running,
    settle,
    value,
)


class Items:
    """Iterable, neither sized nor an iterator."""

    def __iter__(self) -> Iterator[Any]:
        return iter([value("a", 2), value("b", 1)])


class AsyncItems:
    """Async iterable, with an iterator that is no generator."""

    def __init__(self) -> None:
        self.left = [value("b", 1), value("a", 2)]

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        await anyio.lowlevel.checkpoint()
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop()


class Ready:
    """An awaitable that is neither coroutine nor Future."""

    def __init__(self, result: object, after: float | None = None) -> None:
        self.inner = value(result, after)

    def __await__(self) -> Generator[Any, None, object]:
        return self.inner.__await__()


PLAIN: dict[str, Callable[[], Any]] = {
    "list": lambda: [value("a", 2), value("b", 1)],
    "deque": lambda: deque([value("a", 2), value("b", 1)]),
    "UserList": lambda: UserList([value("a", 2), value("b", 1)]),
    "dict.values": lambda: dict(zip((1, 2), PLAIN["map"](), strict=True)).values(),
    "dict keys": lambda: dict.fromkeys(PLAIN["map"]()).keys(),
    "generator": lambda: (value(name, after) for name, after in (("a", 2), ("b", 1))),
    "iterator": lambda: iter([value("a", 2), value("b", 1)]),
    "map": lambda: map(value, "ab", (2, 1)),
    "iterable": Items,
    "async generator": lambda: aiter_of([value("a", 2), value("b", 1)]),
    "async iterable": AsyncItems,
}

KEYED: dict[str, Callable[[], Any]] = {
    "dict": lambda: {"x": value("a", 2), "y": value("b", 1)},
    "UserDict": lambda: UserDict({"x": value("a", 2), "y": value("b", 1)}),
    "keyed list": lambda: waitkit.keyed([("x", value("a", 2)), ("y", value("b", 1))]),
    "keyed items": lambda: waitkit.keyed({"x": value("a", 2), "y": value("b", 1)}.items()),
    "keyed iterator": lambda: waitkit.keyed(zip("xy", PLAIN["map"](), strict=True)),
    "keyed async": lambda: waitkit.keyed(aiter_of(zip("xy", PLAIN["map"](), strict=True))),
    "call_each": lambda: waitkit.call_each(lambda key: value(*VALUES[key]), ["x", "y"]),
    "call_each iterator": lambda: waitkit.call_each(lambda key: value(*VALUES[key]), iter("xy")),
    "call_each async": lambda: waitkit.call_each(lambda key: value(*VALUES[key]), aiter_of("xy")),
}
VALUES: dict[str, tuple[str, float]] = {"x": ("a", 2), "y": ("b", 1)}

EXPECTED: dict[str, tuple[Any, Any]] = {  # of plain inputs, of keyed ones
    "as_completed_results": (["b", "a"], [("y", "b"), ("x", "a")]),
    "in_order_results": (["a", "b"], [("x", "a"), ("y", "b")]),
    "first_error": (["a", "b"], {"x": "a", "y": "b"}),
    "first_completed": ("b", ("y", "b")),
    "first_success": ("b", ("y", "b")),
}
A, B = waitkit.Success("a", 0, 0), waitkit.Success("b", 1, 1)
X, Y = waitkit.Success("a", "x", 0), waitkit.Success("b", "y", 1)
EXPECTED_OUTCOMES: dict[str, tuple[Any, Any]] = {
    "as_completed_outcomes": ([B, A], [Y, X]),
    "in_order_outcomes": ([A, B], [X, Y]),
    "gather_partial": ((A, B), (X, Y)),
}


def shape(answer: Any) -> Any:
    return answer.outcomes if isinstance(answer, waitkit.Partial) else answer


@pytest.mark.parametrize("helper", HELPERS)
async def test_plain_inputs_give_plain_answers(helper: str) -> None:
    """R1: every unkeyed iterable, sized or not, sync or async, gives a list or bare values."""
    expected, _ = (EXPECTED | EXPECTED_OUTCOMES)[helper]
    for name, make in PLAIN.items():
        answer = shape(await run_helper(helper, make()))
        assert answer == expected, name
        assert type(answer) is type(expected), name


@pytest.mark.parametrize("helper", HELPERS)
async def test_keyed_inputs_give_keyed_answers(helper: str) -> None:
    """R1: a mapping, `keyed` and `call_each` give a dict in input order, or (key, value) pairs."""
    _, expected = (EXPECTED | EXPECTED_OUTCOMES)[helper]
    for name, make in KEYED.items():
        answer = shape(await run_helper(helper, make()))
        assert answer == expected, name
        assert type(answer) is type(expected), name
        if isinstance(answer, dict):
            assert list(answer) == list(expected), name


@pytest.mark.parametrize("helper", HELPERS)
async def test_tuple_gives_a_tuple(helper: str) -> None:
    """R1: a tuple is a fixed set of things: `first_error` gives a tuple, races the position too."""
    expected = (EXPECTED | EXPECTED_OUTCOMES)[helper][0]
    if helper == "first_error":
        expected = ("a", "b")
    elif helper in RACES:
        expected = (1, "b")
    answer = shape(await run_helper(helper, (value("a", 2), value("b", 1))))
    assert answer == expected
    assert type(answer) is type(expected)


@pytest.mark.parametrize("helper", HELPERS)
async def test_set_gives_every_value(helper: str) -> None:
    """R1: a set is taken as it comes, and each of its awaitables is there once."""
    answer = plain_values(await run_helper(helper, {value("a", 2), value("b", 1)}))
    assert sorted(answer) == (["b"] if helper in RACES else ["a", "b"])


async def test_partial_keeps_results_by_key() -> None:
    """R1: `gather_partial` answers with the keys of keyed inputs, else with indexes."""
    plain = await waitkit.gather_partial([value("a", 2), value("b", 1)])
    assert plain.results == {0: "a", 1: "b"}
    keyed = await waitkit.gather_partial({"x": value("a", 2), "y": value("b", 1)})
    assert list(keyed.results.items()) == [("x", "a"), ("y", "b")]


EMPTY: dict[str, Callable[[], Any]] = {
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "set": set,
    "generator": lambda: iter(()),
    "async generator": lambda: aiter_of(()),
    "keyed list": lambda: waitkit.keyed([]),
    "keyed iterator": lambda: waitkit.keyed(iter(())),
    "call_each": lambda: waitkit.call_each(value, []),
    "call_each async": lambda: waitkit.call_each(value, aiter_of(())),
}


@pytest.mark.parametrize("timeout", [None, 5, 0])
@pytest.mark.parametrize("helper", HELPERS)
async def test_no_input_gives_an_empty_answer_at_once(helper: str, timeout: float | None) -> None:
    """R33: no input is an empty list, tuple, dict, `Partial` or stream; of a race a ValueError."""
    for name, make in EMPTY.items():
        if timeout == 0 and "async" in name:
            continue  # nobody can know that it is empty before it had a turn
        if helper in RACES:
            with pytest.raises(ValueError, match=rf"{helper}.* at least one"):
                await run_helper(helper, make(), timeout=timeout)
            continue
        answer = await run_helper(helper, make(), timeout=timeout)
        if isinstance(answer, waitkit.Partial):
            assert answer.outcomes == (), name
            assert answer.ok, name
            assert not answer.timed_out, name
        elif helper == "first_error":
            keyed = name.startswith(("dict", "keyed", "call_each"))
            assert answer == ({} if keyed else () if name == "tuple" else []), name
        else:
            assert answer == [], name
    assert now() == 0


@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize("kind", ["coroutine", "task", "future", "done", "awaitable"])
async def test_anything_awaitable_is_awaited(helper: str, kind: str) -> None:
    """R1: a coroutine, Task, Future or object with `__await__`, done or not."""
    aws: dict[str, Callable[[], Any]] = {
        "coroutine": lambda: value("a", 3),
        "task": lambda: running("a", 3),
        "future": lambda: waiting,
        "done": lambda: done("a"),
        "awaitable": lambda: Ready("a", 3),
    }
    waiting = future()
    at(3, waiting.set_result, "a")
    assert plain_values(await run_helper(helper, [aws[kind]()])) == ["a"]
    assert now() == (0 if kind == "done" else 3)


@pytest.mark.only("direct")
@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize("beforehand", [True, False])
async def test_concurrent_future_is_awaited(helper: str, beforehand: bool) -> None:
    """R1: a concurrent Future is awaited too, done or not."""
    outside: concurrent.futures.Future[str] = concurrent.futures.Future()
    if beforehand:
        outside.set_result("a")
    else:
        at(3, outside.set_result, "a")
    assert plain_values(await run_helper(helper, [outside])) == ["a"]
    assert now() == (0 if beforehand else 3)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_tasks_and_futures_are_adopted(helper: str) -> None:
    """R1: a Task, Future or concurrent Future given as input is cancelled with the rest."""
    gauge = Gauge()
    task = asyncio.create_task(gauge.job("task"))
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    outside: concurrent.futures.Future[Any] = concurrent.futures.Future()
    with pytest.raises(KeyError):
        await run_helper(helper, [task, future, outside, fail(KeyError("x"), 1)])
    assert task.cancelled()
    assert future.cancelled()
    assert outside.cancelled()
    assert gauge.ended == ["task"]


@pytest.mark.only("direct")
@pytest.mark.parametrize("helper", FAIL_FAST)
@pytest.mark.parametrize("at_work", [True, False])
async def test_concurrent_future_is_cancelled_with_the_rest(helper: str, at_work: bool) -> None:
    """R1: and waited for no longer, where its thread is at work and nothing can cancel it."""
    outside: concurrent.futures.Future[Any] = concurrent.futures.Future()
    if at_work:
        outside.set_running_or_notify_cancel()
    with pytest.raises(KeyError):
        await run_helper(helper, [outside, fail(KeyError("x"), 1)])
    assert now() == 1
    assert outside.cancelled() == (not at_work)
    if at_work:
        outside.set_result("late")
        await settle()


class Hostile:
    """An awaitable that raises before there is anything to await."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __await__(self) -> Generator[Any, None, Any]:
        raise self.error


class Wrong:
    """An awaitable that is none."""

    def __await__(self) -> Any:
        return 42


def errors_of(answer: Any) -> list[Any]:
    return [o.error for o in sorted(shape(answer), key=lambda outcome: outcome.index)]


@pytest.mark.parametrize("helper", DATA)
async def test_failures_of_every_kind_of_awaitable_are_data(helper: str) -> None:
    """R1: how a Future or an object with `__await__` fails counts as a coroutine's failure does."""
    errors = [KeyError(str(index)) for index in range(3)]
    aws = [failed(errors[0]), Hostile(errors[1]), fail(errors[2], 1), Wrong()]
    *found, wrong = errors_of(await run_helper(helper, aws))
    assert found == errors
    assert isinstance(wrong, TypeError)


@pytest.mark.only("direct")
@pytest.mark.parametrize("helper", DATA)
async def test_failure_of_a_concurrent_future_is_data(helper: str) -> None:
    """R1: how a concurrent Future fails counts as a coroutine's failure does."""
    error = KeyError("x")
    outside: concurrent.futures.Future[Any] = concurrent.futures.Future()
    outside.set_exception(error)
    # asyncio makes a copy of what it raised only if that is one of its own classes.
    assert errors_of(await run_helper(helper, [outside])) == [error]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", DATA)
async def test_failure_of_a_task_is_data(helper: str) -> None:
    """R1: how a Task fails counts as a coroutine's failure does."""
    error = KeyError("x")
    task = asyncio.create_task(fail(error, 1))
    assert errors_of(await run_helper(helper, [task])) == [error]


@pytest.mark.parametrize("helper", HELPERS)
async def test_object_with_its_own_close_is_not_closed(helper: str) -> None:
    """R27: only coroutines are closed: what else can be awaited may have a `close` of its own."""
    closed = []

    class Pool(Ready):
        def close(self) -> None:
            closed.append(self)

    assert plain_values(await run_helper(helper, [Pool("a", 1)])) == ["a"]
    await settle()
    assert closed == []
