"""What type checkers infer; checked by mypy and pyright, and never run.

`assert_type` says what must come out; an ignore with a code says what must be refused, and is an
error itself where it is not needed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any, Literal, assert_never, assert_type

import waitkit


async def number() -> int:
    return 1


async def text() -> str:
    return ""


async def flag() -> bool:
    return True


async def of(item: str) -> int:
    return len(item)


def numbers() -> Iterator[Awaitable[int]]:
    yield number()


async def async_numbers() -> AsyncIterator[Awaitable[int]]:
    yield number()


def pairs() -> Iterator[tuple[str, Awaitable[int]]]:
    yield "a", number()


async def first_error_keeps_the_shape() -> None:
    assert_type(await waitkit.first_error([number(), number()]), list[int])
    assert_type(await waitkit.first_error(numbers()), list[int])
    assert_type(await waitkit.first_error(async_numbers()), list[int])
    assert_type(await waitkit.first_error({number(), number()}), list[int])
    assert_type(await waitkit.first_error({"a": number()}), dict[str, int])
    assert_type(await waitkit.first_error(waitkit.keyed(pairs())), dict[str, int])
    assert_type(await waitkit.first_error(waitkit.call_each(of, ["a"])), dict[str, int])


async def first_error_types_each_place_of_a_tuple() -> None:
    assert_type(await waitkit.first_error((number(),)), tuple[int])
    assert_type(await waitkit.first_error((number(), text())), tuple[int, str])
    ten = (
        number(), text(), flag(), number(), text(),
        flag(), number(), text(), flag(), number(),
    )  # fmt: skip
    assert_type(
        await waitkit.first_error(ten),
        tuple[int, str, bool, int, str, bool, int, str, bool, int],
    )
    user, orders = await waitkit.first_error((text(), number()), timeout=1.0)
    assert_type(user, str)
    assert_type(orders, int)


async def first_error_of_a_tuple_of_any_length(many: tuple[Awaitable[int], ...]) -> None:
    assert_type(await waitkit.first_error(many), tuple[int, ...])


async def futures_are_inputs(
    task: asyncio.Task[int], future: concurrent.futures.Future[int]
) -> None:
    assert_type(await waitkit.first_error([task]), list[int])
    assert_type(await waitkit.first_error([future]), list[int])
    assert_type(await waitkit.first_error((future, text())), tuple[int, str])
    assert_type(await waitkit.first_error((waitkit.borrowed(task), text())), tuple[int, str])
    assert_type(await waitkit.first_error([number(), waitkit.borrowed(task)]), list[int])
    stop = waitkit.borrowed(task)
    assert_type(await waitkit.first_completed({"a": number(), "stop": stop}), tuple[str, int])


async def partial_is_typed_by_key_and_value() -> None:
    partial = await waitkit.gather_partial({"a": number()})
    assert_type(partial, waitkit.Partial[str, int])
    assert_type(partial.results, dict[str, int])
    assert_type(partial.errors, dict[str, Exception])
    assert_type(partial.cancelled, tuple[str, ...])
    assert_type(await waitkit.gather_partial(numbers()), waitkit.Partial[int, int])


async def streams_give_values_or_pairs() -> None:
    async with waitkit.as_completed_results(numbers(), max_concurrency=2) as results:
        async for value in results:
            assert_type(value, int)
    async with waitkit.in_order_results({"a": number()}) as keyed:
        async for pair in keyed:
            assert_type(pair, tuple[str, int])
    assert_type(
        waitkit.as_completed_results(waitkit.call_each(of, ["a"], timeout=1.0)),
        waitkit.ResultStream[tuple[str, int]],
    )


async def match_narrows_an_outcome() -> None:
    async with waitkit.as_completed_outcomes({"a": number()}) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, waitkit.Outcome[str, int])
            match outcome:
                case waitkit.Success(value, key):
                    assert_type(value, int)
                    assert_type(key, str)
                    assert_type(outcome.unwrap(), int)
                case waitkit.Failure(error):
                    assert_type(error, Exception)
                case waitkit.Cancelled(key, _, reason):
                    assert_type(key, str)
                    assert_type(reason, Literal["deadline", "external"])
                case _:
                    assert_never(outcome)


async def races_of_a_tuple_tell_the_place() -> None:
    winner = await waitkit.first_completed((number(), text()), timeout=1.0)
    assert_type(winner, tuple[Literal[0], int] | tuple[Literal[1], str])
    match winner:
        case 0, received:
            assert_type(received, int)
        case 1, sent:
            assert_type(sent, str)
    success = await waitkit.first_success((number(), text()), stagger=0.1)
    if success[0] == 0:
        assert_type(success[1], int)
    else:
        assert_type(success[1], str)


async def races_of_many_give_the_value() -> None:
    assert_type(await waitkit.first_completed([number()]), int)
    assert_type(await waitkit.first_success({"a": number()}), tuple[str, int])
    assert_type(await waitkit.first_success(waitkit.call_each(of, ["a"])), tuple[str, int])


async def stopping_gives_back_futures(task: asyncio.Task[int]) -> None:
    assert_type(await waitkit.cancel_and_wait(task), list[asyncio.Future[Any]])


async def misuse_is_refused() -> None:
    await waitkit.first_error(number())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await waitkit.first_error(number(), text())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await waitkit.gather_partial([1])  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await waitkit.first_error([number()], return_exceptions=True)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    waitkit.borrowed(number())  # type: ignore[arg-type, unused-awaitable]  # pyright: ignore[reportArgumentType]
