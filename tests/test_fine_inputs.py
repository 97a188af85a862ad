"""What wrong inputs are told, word by word, and what is seen of those that are right (R32)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import waitkit
from jobs import run_helper, running, value

kit: Any = waitkit  # what is called here is wrong for a type checker too

WANTED = "first_error() takes an iterable of awaitables"
CALL_EACH = "; call it, or write call_each(func, items)"
MESSAGES: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: value("a"),
        f"{WANTED}, not a single one (a coroutine); write first_error([aw])",
    ),
    (lambda: "ab", f"{WANTED}, not a str"),
    (lambda: 42, f"{WANTED} as aws, not an int"),
    (
        lambda: value,
        f"{WANTED} as aws, not a function{CALL_EACH} for a call per item",
    ),
    (lambda: [42], "input 0 is an int, which cannot be awaited"),
    (
        lambda: [value("a"), value],
        "input 1 is a function, which cannot be awaited; call it, or pass call_each(func, items)",
    ),
    (lambda: iter([value("a"), 42]), "input 1 is an int, which cannot be awaited"),
    (lambda: {"k": 42}, "input 0 (key 'k') is an int, which cannot be awaited"),
    (
        lambda: kit.keyed(iter([("a", value("a")), ("k", 42)])),
        "input 1 (key 'k') is an int, which cannot be awaited",
    ),
    (lambda: kit.keyed([("a",)]), "input 0 is a tuple, not a (key, awaitable) pair"),
    (lambda: kit.keyed("ab"), "keyed() takes an iterable of (key, awaitable) pairs, not a str"),
    (
        lambda: kit.keyed(42),
        "keyed() takes an iterable of (key, awaitable) pairs as pairs, not an int",
    ),
    (
        lambda: kit.call_each(42, [1]),
        "call_each() takes a function and the items to call it with, not an int",
    ),
    (
        lambda: kit.call_each(value, 42),
        "call_each() takes an iterable of arguments as items, not an int",
    ),
]


@pytest.mark.parametrize(("make", "message"), MESSAGES, ids=[text for _, text in MESSAGES])
async def test_wrong_input_is_told_all_that_it_needs(make: Callable[[], Any], message: str) -> None:
    """R32: what it was taken for, its place and type, and what to write instead."""
    with pytest.raises(TypeError) as caught:
        await run_helper("first_error", make())
    assert str(caught.value) == message


async def test_mapping_beside_others_is_closed() -> None:
    """R32: `helper({...}, b)`: what is in the mapping is closed too, as in any sized input."""
    with pytest.raises(TypeError, match=r"^first_error\(\) takes one iterable of awaitables"):
        await kit.first_error({"a": value("a")}, value("b"))


async def test_one_coroutine_twice_is_told_what_to_pass() -> None:
    """R4: the message says why it cannot be, and what can."""
    coro = value("a")
    with pytest.raises(ValueError, match="same") as caught:
        await waitkit.first_error([coro, coro])
    assert str(caught.value) == (
        "inputs 0 and 1 are the same coroutine, which can be awaited only once; "
        "make one for each, or pass one Task at both places"
    )


@pytest.mark.only("asyncio")
async def test_task_for_an_iterable_is_refused() -> None:
    """R32: a Task or Future can be iterated, as it can be awaited, and is no iterable of inputs."""
    task = running("t", 1)
    with pytest.raises(TypeError, match=r"^keyed\(\) takes .* as pairs, not a Task$"):
        kit.keyed(task)
    with pytest.raises(TypeError, match=r"^call_each\(\) takes .* as items, not a Task$"):
        kit.call_each(value, task)
    assert await task == "t"


@pytest.mark.only("asyncio")
async def test_borrowed_coroutine_is_told_what_to_pass() -> None:
    """R1: a coroutine has no other owner; the message says what `borrowed` is for."""
    with pytest.raises(TypeError) as caught:
        kit.borrowed(value("a"))
    assert str(caught.value) == (
        "borrowed() takes a Task or Future that belongs to someone else, not a coroutine; "
        "pass anything else as it is"
    )


@pytest.mark.only("trio")
async def test_borrowed_on_trio_is_told_why() -> None:
    """R50: the message says what there is none of."""
    with pytest.raises(RuntimeError) as caught:
        kit.borrowed(value("a"))
    assert str(caught.value) == (
        "borrowed() works on asyncio alone: Trio has no Tasks or Futures to be watched"
    )


def test_keyed_inputs_are_shown_with_what_they_come_from() -> None:
    """The repr of `keyed` and `call_each` is their call."""
    assert repr(waitkit.keyed([])) == "keyed([])"
    assert repr(waitkit.call_each(value, range(3))) == "call_each(range(0, 3))"


@pytest.mark.only("asyncio")
async def test_task_of_a_call_is_named_after_the_function() -> None:
    """R1: a coroutine function that is called for each item is what a list of Tasks shows."""

    async def fetch(_: int) -> str:
        return repr(asyncio.current_task())

    (shown,) = (await waitkit.first_error(waitkit.call_each(fetch, [1]))).values()
    assert "fetch() running at" in shown
