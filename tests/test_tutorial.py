"""The tutorial that people copy, and what they should get instead, as the README tells it."""

from __future__ import annotations

import anyio
import pytest

import waitkit
from jobs import clean_up, now, unshuffled


class APIError(Exception):
    """What the tutorial's call raises."""


async def call_api(
    message: str, result: int = 100, delay: float = 3, raise_exception: bool = False
) -> int:
    print(message)
    await anyio.sleep(delay)
    if raise_exception:
        raise APIError
    return result


async def test_tutorial_prints_each_result_when_it_is_ready(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """R7: three calls of 3, 1 and 2 seconds give 1, 2, 3, a second apart."""
    calls = [call_api(f"call {n}", result=n, delay=n) for n in (3, 1, 2)]
    async with waitkit.as_completed_results(calls) as results:
        seen = [(now(), result) async for result in results]
    assert seen == [(1, 1), (2, 2), (3, 3)]
    printed = capsys.readouterr().out.split("\n")[:-1]
    assert unshuffled(printed) == unshuffled(["call 3", "call 1", "call 2"])


async def test_tutorial_loses_none_of_ten_that_end_together() -> None:
    """R8: ten calls of the same delay give ten results, in input order."""
    calls = [call_api("", result=n, delay=1) for n in range(10)]
    async with waitkit.as_completed_results(calls) as results:
        assert unshuffled([result async for result in results]) == list(range(10))
    assert now() == 1


async def test_tutorial_stops_at_the_first_error() -> None:
    """R10, R11, R22: at 1 s, with that very error and a note, and every `finally` has run."""
    error = APIError("down")
    cleaned_up: list[int] = []

    async def hour(number: int) -> None:
        try:
            await anyio.sleep(3600)
        finally:
            await clean_up(0)
            cleaned_up.append(number)

    async def fail() -> None:
        await anyio.sleep(1)
        raise error

    with pytest.raises(APIError) as caught:
        await waitkit.first_error([hour(0), hour(1), fail(), hour(3)])
    assert now() == 1
    assert caught.value is error
    assert error.__notes__ == ["waitkit.first_error: raised by input 2"]
    assert unshuffled(cleaned_up) == [0, 1, 3]


async def test_tutorial_keeps_what_is_ready_at_a_deadline() -> None:
    """R16, R17: calls of 1 s, of 3 s and a failing one give a result, an error, a `Cancelled`."""
    calls = [
        call_api("", result=1, delay=1),
        call_api("", delay=3),
        call_api("", delay=1, raise_exception=True),
    ]
    partial = await waitkit.gather_partial(calls, timeout=2)
    assert now() == 2
    assert partial.results == {0: 1}
    assert [type(error) for error in partial.errors.values()] == [APIError]
    assert partial.outcomes[1] == waitkit.Cancelled(1, 1, "deadline", True)
    assert partial.timed_out
