"""What may be passed, and in what shape the answer comes back (R1, R4, R33)."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import UserDict, UserList, deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

import waitkit
from jobs import (
    COLLECTORS,
    DATA,
    FAIL_FAST,
    HELPERS,
    OUTCOME_STREAMS,
    RACES,
    RESULT_STREAMS,
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
        await asyncio.sleep(0)
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
@pytest.mark.parametrize(
    "kind", ["coroutine", "task", "future", "done", "cf", "done cf", "awaitable"]
)
async def test_anything_awaitable_is_awaited(helper: str, kind: str) -> None:
    """R1: a coroutine, Task, Future, concurrent Future or object with `__await__`, done or not."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    outside: concurrent.futures.Future[str] = concurrent.futures.Future()
    if kind == "done":
        future.set_result("a")
    if kind == "done cf":
        outside.set_result("a")
    if kind == "future":
        loop.call_later(3, future.set_result, "a")
    if kind == "cf":
        loop.call_later(3, outside.set_result, "a")
    aws: dict[str, Callable[[], Any]] = {
        "coroutine": lambda: value("a", 3),
        "task": lambda: asyncio.create_task(value("a", 3)),
        "future": lambda: future,
        "done": lambda: future,
        "cf": lambda: outside,
        "done cf": lambda: outside,
        "awaitable": lambda: Ready("a", 3),
    }
    assert plain_values(await run_helper(helper, [aws[kind]()])) == ["a"]
    assert now() == (0 if "done" in kind else 3)


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


@pytest.mark.parametrize("helper", DATA)
async def test_failures_of_every_kind_of_awaitable_are_data(helper: str) -> None:
    """R1: how a Future or an object with `__await__` fails counts as a coroutine's failure does."""
    errors = [KeyError(str(index)) for index in range(4)]
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(errors[0])
    outside: concurrent.futures.Future[Any] = concurrent.futures.Future()
    outside.set_exception(errors[1])

    class Hostile:
        def __await__(self) -> Generator[Any, None, Any]:
            raise errors[2]

    class Wrong:
        def __await__(self) -> Any:
            return 42

    aws = [future, outside, Hostile(), asyncio.create_task(fail(errors[3], 1)), Wrong()]
    answer = shape(await run_helper(helper, aws))
    found = {outcome.index: outcome.error for outcome in answer}
    # asyncio makes a copy of what a concurrent Future raised only if it is one of its own classes.
    assert [found[index] for index in range(4)] == errors
    assert isinstance(found[4], TypeError)


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


@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize("limit", [None, 1, 3])
async def test_one_future_twice_is_reported_at_both_places(helper: str, limit: int | None) -> None:
    """R4: the same Future at several places gives its result at each of them."""
    options = {} if limit is None or helper == "first_completed" else {"max_concurrency": limit}
    task = asyncio.create_task(value("t", 2))
    answer = await run_helper(helper, [task, value("v", 1), task, task], **options)
    if helper in COLLECTORS:
        assert plain_values(answer) == ["t", "v", "t", "t"]
    elif helper in RACES:
        assert answer == ("t" if options.get("max_concurrency") == 1 else "v")
    else:
        assert sorted(plain_values(answer)) == ["t", "t", "t", "v"]
        if helper in OUTCOME_STREAMS:
            assert sorted(outcome.index for outcome in answer) == [0, 1, 2, 3]
        if helper.startswith("in_order"):
            assert plain_values(answer) == ["t", "v", "t", "t"]


@pytest.mark.parametrize("helper", STREAMS)
async def test_duplicates_of_a_future_are_in_input_order(helper: str) -> None:
    """R4, R7: the places of one Future, which finish together, come out in input order."""
    task = asyncio.create_task(value("t", 2))
    pairs = [("x", task), ("y", value("v", 1)), ("z", task)]
    answer = await run_helper(helper, waitkit.keyed(pairs))
    keys = [item.key if helper in OUTCOME_STREAMS else item[0] for item in answer]
    assert keys == (["x", "y", "z"] if helper.startswith("in_order") else ["y", "x", "z"])


@pytest.mark.parametrize("helper", HELPERS)
async def test_duplicate_of_a_failed_future(helper: str) -> None:
    """R4: the failure of a Future that is there twice is one failure, or data at both places."""
    error = KeyError("x")
    task = asyncio.create_task(fail(error, 1))
    if helper in DATA:
        outcomes = shape(await run_helper(helper, [task, task]))
        assert [(o.index, o.error) for o in outcomes] == [(0, error), (1, error)]
    elif helper == "first_success":
        with pytest.raises(ExceptionGroup) as group:
            await run_helper(helper, [task, task])
        assert group.value.exceptions == (error, error)
    else:
        with pytest.raises(KeyError) as caught:
            await run_helper(helper, [task, task])
        assert caught.value is error


@pytest.mark.parametrize("helper", RESULT_STREAMS)
async def test_one_concurrent_future_twice(helper: str) -> None:
    """R4: the same concurrent Future twice is reported at both places too."""
    outside: concurrent.futures.Future[str] = concurrent.futures.Future()
    asyncio.get_running_loop().call_later(2, outside.set_result, "a")
    assert await run_helper(helper, [outside, outside]) == ["a", "a"]


@pytest.mark.parametrize("wrap", [list, tuple, enumerate], ids=["list", "tuple", "keyed"])
@pytest.mark.parametrize("helper", HELPERS)
async def test_one_coroutine_twice_is_refused(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R4: the same coroutine twice in a sized input is a ValueError at once, and all are closed."""
    coro = value("a")
    task = asyncio.create_task(value("t", 1))
    given = wrap([value("b"), coro, task, coro])
    with pytest.raises(ValueError, match="inputs 1 and 3 are the same"):
        getattr(waitkit, helper)(dict(given) if wrap is enumerate else given).send(None)
    assert await task == "t"


@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize("lend", [False, True])
async def test_calling_task_is_refused(helper: str, lend: bool) -> None:
    """R4: the caller's own task among the inputs is a ValueError, and nothing else has started."""
    gauge = Gauge()
    me: Any = asyncio.current_task()
    with pytest.raises(ValueError, match="input 1 is the calling task"):
        await run_helper(helper, [gauge.job("a"), waitkit.borrowed(me) if lend else me])
    assert gauge.started == []
    assert me.cancelling() == 0


@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize("lend", [False, True])
async def test_calling_task_from_an_iterator_is_refused(helper: str, lend: bool) -> None:
    """R4: the caller's own task, brought by an iterator, fails the call and is left alone."""
    gauge = Gauge()
    me: Any = asyncio.current_task()
    given = iter([gauge.job("a"), waitkit.borrowed(me) if lend else me])
    with pytest.raises(ValueError, match="input 1 is the calling task"):
        await run_helper(helper, given)
    assert gauge.running == 0
    assert me.cancelling() == 0
