"""R8, R10, R12, R23: ten thousand failures in one tick, and a hundred calls in one another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    LIMITED,
    RACES,
    Broken,
    Gauge,
    at,
    cut_off,
    fail,
    future,
    logged,
    notes,
    now,
    plain_values,
    resolve,
    run_helper,
    unshuffled,
    value,
)

MANY = 10_000
BEYOND_THE_STACK = 2_000  # more than Python's stack is deep


def depth_in(loop_mode: str) -> int:
    """A hundred; half of it where an eager job has its first step on the stack of its caller.

    There asyncio's own `gather` reaches 200, with nothing else on the stack.
    """
    return 50 if loop_mode == "eager" else 100


async def failing(index: int) -> None:
    raise Broken(index)


@pytest.mark.only("once")
@pytest.mark.parametrize(
    "helper", ["in_order_results", "as_completed_outcomes", "in_order_outcomes", "first_completed"]
)
async def test_ten_thousand_futures_fail_in_one_tick(
    helper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R8, R12: none is lost, be it raised, noted and logged, or kept as data.

    test_failure_awkward.py has the other helpers.
    """
    waiting = [future() for _ in range(MANY)]
    errors = [Broken(index) for index in range(MANY)]
    at(1, resolve, *zip(waiting, errors, strict=True))
    told = await all_failures(helper, waiting, caplog)
    assert unshuffled(told, key=lambda error: error.args) == errors


@pytest.mark.only("direct")
@pytest.mark.parametrize(
    ("helper", "limit"), [*((name, None) for name in HELPERS), *((name, 100) for name in LIMITED)]
)
async def test_jobs_fail_in_their_first_step(
    helper: str, limit: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """R8, R10, R15: each failure is told of once; eager jobs, too, end one after the other."""
    options = {} if limit is None else {"max_concurrency": limit}
    jobs = [failing(index) for index in range(BEYOND_THE_STACK)]
    told = await all_failures(helper, jobs, caplog, **options)
    if helper in FAIL_FAST:
        assert len({error.args for error in told}) == len(told)
    else:
        assert sorted(error.args[0] for error in told) == list(range(BEYOND_THE_STACK))


async def all_failures(
    helper: str, aws: Any, caplog: pytest.LogCaptureFixture, **options: Any
) -> list[Any]:
    """All that became known of the failures, in the order of being told."""
    if helper in DATA:
        answer = await run_helper(helper, aws, **options)
        outcomes = answer if isinstance(answer, list) else answer.outcomes
        return [outcome.error for outcome in outcomes]
    if helper == "first_success":
        with pytest.raises(ExceptionGroup) as group:
            await run_helper(helper, aws, **options)
        return list(group.value.exceptions)
    with pytest.raises(Broken) as caught:
        await run_helper(helper, aws, **options)
    told = [caught.value, *logged(caplog)]
    assert len(notes(caught.value)) == len(told)
    return told


async def nest(helper: str, depth: int, leaf: Any, beside: Callable[[int], list[Any]]) -> Any:
    """The helper around itself, with other jobs beside it at each level."""
    if not depth:
        return await leaf
    inner = nest(helper, depth - 1, leaf, beside)
    (answer,) = plain_values(await run_helper(helper, [inner, *beside(depth)]))
    return answer


@pytest.mark.parametrize("helper", HELPERS)
async def test_value_comes_out_of_a_hundred_calls(helper: str, loop_mode: str) -> None:
    """R8, R18: a job of a job of a job; in races each level has a loser."""
    gauge, depth = Gauge(), depth_in(loop_mode)

    def beside(level: int) -> list[Any]:
        return [gauge.job(level)] if helper in RACES else []

    assert await nest(helper, depth, value("leaf", 1), beside) == "leaf"
    assert now() == 1
    assert gauge.running == 0
    assert len(gauge.cancelled) == (depth if helper in RACES else 0)


@pytest.mark.parametrize("helper", FAIL_FAST)
async def test_failure_comes_out_of_a_hundred_calls(helper: str, loop_mode: str) -> None:
    """R10, R11: bare, with no note twice, when all that ran beside it has ended."""
    gauge, error, depth = Gauge(), Broken("leaf"), depth_in(loop_mode)
    with pytest.raises(Broken) as caught:
        await nest(helper, depth, fail(error, 1), lambda level: [gauge.job(level)])
    assert caught.value is error
    assert notes(error) == [f"waitkit.{helper}: raised by input 0"]
    assert now() == 1
    assert len(gauge.cancelled) == depth
    assert gauge.running == 0


@pytest.mark.parametrize("helper", HELPERS)
async def test_cancellation_reaches_through_a_hundred_calls(helper: str, loop_mode: str) -> None:
    """R22, R23: the caller's cancellation ends the jobs of every level, and comes out."""
    gauge, depth = Gauge(), depth_in(loop_mode)
    with cut_off(1):
        await nest(helper, depth, gauge.job("leaf"), lambda level: [gauge.job(level)])
    assert now() == 1
    assert len(gauge.cancelled) == depth + 1
    assert gauge.running == 0


@pytest.mark.parametrize("helper", HELPERS)
async def test_a_hundred_async_sources_in_one_another(helper: str, loop_mode: str) -> None:
    """R27, R28: each source's item is the answer of the call inside it."""

    async def source(depth: int) -> AsyncIterator[Any]:
        if not depth:
            yield value("leaf", 1)
            return
        (answer,) = plain_values(await run_helper(helper, source(depth - 1)))
        yield value(answer)

    (answer,) = plain_values(await run_helper(helper, source(depth_in(loop_mode))))
    assert answer == "leaf"


async def test_stream_of_jobs_that_each_add_the_next() -> None:
    """R26: in their first steps, which do not nest where they are eager."""

    async def job(index: int) -> int:
        if index + 1 < BEYOND_THE_STACK:
            stream.add(job(index + 1))
        return index

    stream = waitkit.as_completed_results([job(0)])
    async with stream:
        found = [index async for index in stream]
    assert sorted(found) == list(range(BEYOND_THE_STACK))
