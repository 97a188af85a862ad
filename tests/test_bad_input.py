"""Bad input: a clear error before anything starts, and nothing left running or unclosed (R32)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import waitkit
from jobs import (
    COLLECTORS,
    DATA,
    HELPERS,
    LIMITED,
    STREAMS,
    Gauge,
    aiter_of,
    fail,
    run_helper,
    running,
    settle,
    value,
)


def refused(helper: str, *args: Any, **options: Any) -> Any:
    """Call a helper whose first step has to raise: a stream does so when it is called."""
    call = getattr(waitkit, helper)(*args, **options)
    assert not isinstance(call, waitkit.ResultStream), "the stream was made"
    return call


class Odd:
    """A key that has no usable repr."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Contrary:
    """A key that cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize("helper", HELPERS)
async def test_single_awaitable_is_refused(helper: str) -> None:
    """R32: a single awaitable is a TypeError that says what to write; a Task is left alone."""
    task = running("t", 1)
    steps: Any = aiter_of("a")
    for single in (value("a"), task, anext(steps)):
        with pytest.raises(TypeError, match=rf"{helper}\(\[aw\]\)"):
            await refused(helper, single)
    await steps.aclose()
    assert await task == "t"


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", HELPERS)
async def test_single_borrowed_is_refused(helper: str) -> None:
    """R32: a single borrowed Task is a TypeError that says what to write, and is left alone."""
    task = running("t", 1)
    with pytest.raises(TypeError, match=rf"{helper}\(\[aw\]\)"):
        await refused(helper, waitkit.borrowed(task))
    assert await task == "t"


@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize(
    "wrong", ["abc", b"abc", value, 42, None, object()], ids=lambda each: type(each).__name__
)
async def test_what_is_no_iterable_is_refused(helper: str, wrong: object) -> None:
    """R32: a string, a callable or any other thing that is no iterable is a TypeError."""
    with pytest.raises(TypeError, match=rf"{helper}\(\) takes an iterable of awaitables") as caught:
        await refused(helper, wrong)
    assert ("call it, or write call_each" in str(caught.value)) == callable(wrong)


@pytest.mark.parametrize("helper", HELPERS)
async def test_several_positional_awaitables_are_refused(helper: str) -> None:
    """R32: the habit of `gather` is a TypeError; coroutines are closed, Tasks left alone."""
    task = running("t", 1)
    with pytest.raises(TypeError, match=rf"write {helper}\(\[a, b, c\]\)"):
        await refused(helper, value("a"), task, value("b"))
    with pytest.raises(TypeError, match=rf"write {helper}\(\[a, b, c\]\)"):
        await refused(helper, [], value("b"))
    assert await task == "t"


@pytest.mark.parametrize("helper", HELPERS)
async def test_coroutines_in_a_list_beside_others_are_closed(helper: str) -> None:
    """R32: `helper([a], b)`: what is in the list is closed too, as in any sized input."""
    with pytest.raises(TypeError, match=rf"write {helper}\(\[a, b, c\]\)"):
        await refused(helper, [value("a")], value("b"))


@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize(
    "wrong", [42, None, "abc", value, [1]], ids=lambda each: type(each).__name__
)
async def test_item_that_cannot_be_awaited_is_refused(helper: str, wrong: object) -> None:
    """R32: it is a TypeError with index or key and type, before anything starts; all is closed."""
    gauge = Gauge()
    task = running("t", 1)
    name = type(wrong).__name__
    with pytest.raises(TypeError, match=rf"^input 2 is an? {name}, which cannot be awaited"):
        await refused(helper, [gauge.job("a"), task, wrong, value("b")])
    with pytest.raises(TypeError, match=rf"^input 1 \(key 'y'\) is an? {name}, which cannot"):
        await refused(helper, {"x": gauge.job("a"), "y": wrong, "z": task})
    assert gauge.started == []
    assert await task == "t"


@pytest.mark.parametrize("wrap", [iter, aiter_of], ids=["iterator", "async"])
@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("helper", LIMITED)
async def test_item_of_an_iterator_that_cannot_be_awaited_fails_the_call(
    helper: str, limit: int | None, wrap: Callable[[Any], Any]
) -> None:
    """R32, R28: an iterator's bad item is the call's error, in every helper; nothing runs on."""
    gauge = Gauge()
    # `first_success` would have its winner before the second is taken.
    first = fail(KeyError("x"), 1) if helper == "first_success" else gauge.job("a", 1)
    if limit is None:
        first.close()
        first = gauge.job("a")
    with pytest.raises(TypeError, match=r"^input 1 is an int, which cannot be awaited"):
        await run_helper(helper, wrap([first, 42]), max_concurrency=limit)
    assert gauge.running == 0


@pytest.mark.parametrize(
    "pair", [value, ("x",), ("x", 1, 2), ["x", 1], "xy"], ids=lambda each: type(each).__name__
)
@pytest.mark.parametrize("helper", HELPERS)
async def test_what_is_no_pair_is_refused(helper: str, pair: Any) -> None:
    """R32: an item of `keyed` that is no (key, awaitable) tuple is a TypeError with its index."""
    with pytest.raises(TypeError, match=r"^input 1 is an? \w+, not a \(key, awaitable\) pair"):
        await refused(helper, waitkit.keyed([("a", value("a")), pair, ("b", value("b"))]))
    gauge = Gauge()
    with pytest.raises(TypeError, match=r"^input 1 is an? \w+, not a \(key, awaitable\) pair"):
        await run_helper(helper, waitkit.keyed(iter([("a", gauge.job("a")), pair])))
    assert gauge.running == 0


@pytest.mark.parametrize("helper", HELPERS)
async def test_bad_pair_s_coroutines_are_closed(helper: str) -> None:
    """R32: coroutines in what was to be a pair are closed as well: none is 'never awaited'."""
    wrong: list[Any] = [("x", value("a"), value("b")), (value("a"),), value("a")]
    for bad in wrong:
        with pytest.raises(TypeError, match=r"not a \(key, awaitable\) pair"):
            await refused(helper, waitkit.keyed([("a", value("a")), bad]))


@pytest.mark.parametrize("option", ["max_concurrency", "buffersize"])
@pytest.mark.parametrize(
    ("count", "error"),
    [(0, ValueError), (-1, ValueError), (True, TypeError), (2.0, TypeError), ("2", TypeError)],
)
@pytest.mark.parametrize("helper", LIMITED)
async def test_counts_have_to_be_positive_ints(
    helper: str, option: str, count: Any, error: type[Exception]
) -> None:
    """R32: a limit that is no int of 1 or more is refused, by name, and the inputs are closed."""
    if option == "buffersize" and helper not in STREAMS:
        return
    options = {"max_concurrency": 1, option: count}
    with pytest.raises(error, match=f"^{option} must be "):
        await refused(helper, [value("a")], **options)


@pytest.mark.parametrize("helper", STREAMS)
async def test_buffersize_fits_the_limit(helper: str) -> None:
    """R3, R32: `buffersize` needs `max_concurrency`, and is not below it."""
    with pytest.raises(ValueError, match=r"buffersize needs max_concurrency"):
        refused(helper, [value("a")], buffersize=2)
    with pytest.raises(ValueError, match=r"buffersize \(2\) must not be below max_concurrency \(3"):
        refused(helper, [value("a")], max_concurrency=3, buffersize=2)


@pytest.mark.parametrize("helper", HELPERS)
async def test_times_have_to_be_numbers(helper: str) -> None:
    """R32: NaN is a ValueError, what is no number a TypeError; the inputs are closed."""
    options = ["timeout", "stagger"] if helper == "first_success" else ["timeout"]
    for option in options:
        with pytest.raises(ValueError, match=rf"^{option} must be a number of seconds, not NaN"):
            await refused(helper, [value("a")], **{option: math.nan})
        with pytest.raises(TypeError, match=rf"^{option} must be a number of seconds, not a str"):
            await refused(helper, [value("a")], **{option: "1"})


@pytest.mark.parametrize(
    "catch", [BaseException, KeyboardInterrupt, (ValueError, 3), "x", ValueError()]
)
@pytest.mark.parametrize("helper", [*DATA, "first_success"])
async def test_catch_takes_only_classes_of_exception(helper: str, catch: Any) -> None:
    """R15, R32: `catch` is a subclass of Exception or a tuple of them; the inputs are closed."""
    with pytest.raises(TypeError, match=r"^catch must be a subclass of Exception"):
        await refused(helper, [value("a")], catch=catch)


@pytest.mark.parametrize("helper", HELPERS)
async def test_dispose_has_to_be_callable(helper: str) -> None:
    """R32: `dispose` that cannot be called is a TypeError, and the inputs are closed."""
    with pytest.raises(TypeError, match=r"^dispose must be a function"):
        await refused(helper, [value("a")], dispose="close")


@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("helper", COLLECTORS)
async def test_keys_of_a_dict_have_to_be_hashable(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R32: where a dict is the answer an unhashable key is a TypeError that names it."""
    gauge = Gauge()
    with pytest.raises(TypeError, match=r"key \[1\] cannot be a key of a dict"):
        await run_helper(helper, waitkit.keyed(wrap([("x", gauge.job("x")), ([1], value("y"))])))
    assert gauge.running == 0


@pytest.mark.parametrize("wrap", [list, iter, aiter_of], ids=["sized", "iterator", "async"])
@pytest.mark.parametrize("helper", COLLECTORS)
async def test_keys_of_a_dict_have_to_be_distinct(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R32: where a dict is the answer a key given twice is a ValueError that names it."""
    gauge = Gauge()
    with pytest.raises(ValueError, match="key 'x' is given twice"):
        await run_helper(helper, waitkit.keyed(wrap([("x", gauge.job("x")), ("x", value("y"))])))
    assert gauge.running == 0
    with pytest.raises(ValueError, match="key 1 is given twice"):
        await run_helper(helper, waitkit.call_each(gauge.job, wrap([1, 1])))
    assert gauge.running == 0


@pytest.mark.parametrize("wrap", [list, iter], ids=["sized", "iterator"])
@pytest.mark.parametrize("helper", COLLECTORS)
async def test_hostile_keys_fail_cleanly(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R32: a key that raises when it is compared fails the call; its coroutines are closed."""
    gauge = Gauge()
    pairs = [(Contrary(), gauge.job("x")), (Contrary(), value("y"))]
    with pytest.raises(RuntimeError, match="no eq"):
        await run_helper(helper, waitkit.keyed(wrap(pairs)))
    assert gauge.running == 0
    odd = Odd()
    with pytest.raises(ValueError, match=r"key <.*Odd object at .*> is given twice"):
        await run_helper(helper, waitkit.keyed(wrap([(odd, gauge.job("x")), (odd, value("y"))])))
    assert gauge.running == 0


@pytest.mark.parametrize("helper", STREAMS)
async def test_streams_take_any_keys(helper: str) -> None:
    """R32: streams take unhashable keys, equal ones, and such as cannot be compared or shown."""
    keys: list[Any] = [[1], [1], Contrary(), Contrary(), Odd(), math.nan]
    async with getattr(waitkit, helper)(
        waitkit.keyed([(key, value(index, index)) for index, key in enumerate(keys)])
    ) as stream:
        assert "ResultStream" in repr(stream)
        answer = [item async for item in stream]
    found = [item.key if isinstance(item, waitkit.Success) else item[0] for item in answer]
    assert [id(key) for key in found] == [id(key) for key in keys]


@pytest.mark.parametrize("helper", [*STREAMS[:2], "first_error", "first_completed"])
async def test_key_without_repr_is_named_in_the_note(helper: str) -> None:
    """R11: a key whose `repr` raises does not hide the failure."""
    error = KeyError("x")
    with pytest.raises(KeyError) as caught:
        await run_helper(helper, {Odd(): fail(error, 1)})
    assert caught.value is error
    assert [note for note in error.__notes__ if "input 0 (key <" in note] == error.__notes__


@pytest.mark.parametrize("helper", HELPERS)
def test_outside_of_a_running_loop(helper: str) -> None:
    """R32: without a running loop it is the standard RuntimeError, and coroutines are closed."""
    with pytest.raises(RuntimeError, match=r"^no running event loop"):
        refused(helper, [value("a")]).send(None)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_future_of_another_loop_is_refused(helper: str) -> None:
    """R32: a Future of another event loop fails the call, and nothing is left running."""
    other = asyncio.new_event_loop()
    try:
        foreign: asyncio.Future[Any] = other.create_future()
        gauge = Gauge()
        with pytest.raises(ValueError, match="different event loop"):
            await run_helper(helper, [gauge.job("a"), foreign, value("b")])
        assert gauge.running == 0
        assert not foreign.cancelled()
    finally:
        other.close()


async def test_call_each_checks_what_it_is_given() -> None:
    """R32: `call_each` needs a function and an iterable; a coroutine given instead is closed."""
    call_each: Any = waitkit.call_each
    for func in (value("a"), 42, None):
        with pytest.raises(TypeError, match=r"^call_each\(\) takes a function"):
            call_each(func, [1])
    for items in ("abc", 42, value("a"), value):
        with pytest.raises(TypeError, match=r"^call_each\(\) takes an iterable of arguments"):
            call_each(value, items)
    with pytest.raises(ValueError, match="NaN"):
        call_each(value, [1], timeout=math.nan)
    with pytest.raises(TypeError, match="timeout must be a number of seconds"):
        call_each(value, [1], timeout="1")


async def test_keyed_checks_what_it_is_given() -> None:
    """R32: `keyed` needs an iterable of pairs; a coroutine given instead is closed."""
    keyed: Any = waitkit.keyed
    for pairs in ("ab", 42, None, value("a"), value):
        with pytest.raises(TypeError, match=r"^keyed\(\) takes an iterable of \(key, awaitable\)"):
            keyed(pairs)


@pytest.mark.parametrize("helper", HELPERS)
async def test_iterable_that_refuses_to_be_iterated(helper: str) -> None:
    """R28, R32: what `iter` raises is raised by the call, and nothing has started."""

    class Refusing:
        def __iter__(self) -> Iterator[Any]:
            raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await refused(helper, Refusing())
    await settle()
