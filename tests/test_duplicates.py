"""One awaitable at several places, and the calling task among the inputs (R4)."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

import pytest

import waitkit
from jobs import (
    COLLECTORS,
    DATA,
    HELPERS,
    OUTCOME_STREAMS,
    RACES,
    STREAMS,
    Gauge,
    at,
    fail,
    logged,
    notes,
    plain_values,
    run_helper,
    running,
    value,
)


async def check_one_at_three_places(helper: str, limit: int | None, shared: Any) -> None:
    """`shared` gives "t" after two seconds."""
    options = {} if limit is None or helper == "first_completed" else {"max_concurrency": limit}
    answer = await run_helper(helper, [shared, value("v", 1), shared, shared], **options)
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


@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize("limit", [None, 1, 3])
async def test_one_future_twice_is_reported_at_both_places(helper: str, limit: int | None) -> None:
    """R4: the same Future at several places gives its result at each of them."""
    await check_one_at_three_places(helper, limit, running("t", 2))


@pytest.mark.only("direct")
@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize("limit", [None, 1, 3])
async def test_one_concurrent_future_twice(helper: str, limit: int | None) -> None:
    """R4: the same concurrent Future twice is reported at both places too."""
    outside: concurrent.futures.Future[str] = concurrent.futures.Future()
    at(2, outside.set_result, "t")
    await check_one_at_three_places(helper, limit, outside)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", STREAMS)
async def test_duplicates_of_a_future_are_in_input_order(helper: str) -> None:
    """R4, R7: the places of one Future, which finish together, come out in input order."""
    task = asyncio.create_task(value("t", 2))
    pairs = [("x", task), ("y", value("v", 1)), ("z", task)]
    answer = await run_helper(helper, waitkit.keyed(pairs))
    keys = [item.key if helper in OUTCOME_STREAMS else item[0] for item in answer]
    assert keys == (["x", "y", "z"] if helper.startswith("in_order") else ["y", "x", "z"])


async def check_failure_at_two_places(helper: str, shared: Any, error: Exception) -> None:
    if helper in DATA:
        answer = await run_helper(helper, [shared, shared])
        outcomes: Any = answer.outcomes if isinstance(answer, waitkit.Partial) else answer
        assert sorted((o.index, o.error) for o in outcomes) == [(0, error), (1, error)]
    elif helper == "first_success":
        with pytest.raises(ExceptionGroup) as group:
            await run_helper(helper, [shared, shared])
        assert group.value.exceptions == (error, error)
    else:
        with pytest.raises(KeyError) as caught:
            await run_helper(helper, [shared, shared])
        assert caught.value is error
        assert len(notes(error)) == 1


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", HELPERS)
async def test_duplicate_of_a_failed_future(helper: str, caplog: pytest.LogCaptureFixture) -> None:
    """R4: the failure of a Future that is there twice is one failure, or data at both places."""
    error = KeyError("x")
    task = asyncio.create_task(fail(error, 1))
    await check_failure_at_two_places(helper, task, error)
    assert logged(caplog) == []


@pytest.mark.only("direct")
@pytest.mark.parametrize("helper", HELPERS)
async def test_duplicate_of_a_failed_concurrent_future(
    helper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R4: the same holds for a concurrent Future."""
    error = KeyError("x")
    outside: concurrent.futures.Future[Any] = concurrent.futures.Future()
    at(1, outside.set_exception, error)
    await check_failure_at_two_places(helper, outside, error)
    assert logged(caplog) == []


@pytest.mark.parametrize("wrap", [list, tuple, enumerate], ids=["list", "tuple", "keyed"])
@pytest.mark.parametrize("helper", HELPERS)
async def test_one_coroutine_twice_is_refused(helper: str, wrap: Callable[[Any], Any]) -> None:
    """R4: the same coroutine twice in a sized input is a ValueError at once, and all are closed."""
    coro = value("a")
    task = running("t", 1)
    given = wrap([value("b"), coro, task, coro])
    with pytest.raises(ValueError, match="inputs 1 and 3 are the same"):
        getattr(waitkit, helper)(dict(given) if wrap is enumerate else given).send(None)
    assert await task == "t"


@pytest.mark.only("asyncio")
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


@pytest.mark.only("asyncio")
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
