"""The caller is cancelled, at every moment there is: R21, R22, R23, and with them R29."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeAlias

import anyio
import pytest

import virtual_time
import waitkit
from cancelling import (
    USES,
    Ledger,
    Scenario,
    cancel_at_every_tick,
    cancel_scope_at_every_step,
)
from jobs import FAIL_FAST

Given: TypeAlias = tuple[Any, dict[str, Any]]  # inputs and options for a helper


# --- what the helpers are busy with when the cancellation comes


def values(ledger: Ledger) -> Given:
    return [ledger.job("a", 1), ledger.job("b", 2, cleanup=1), ledger.job("c", 2)], {}


def values_without_an_await(ledger: Ledger) -> Given:
    return [ledger.job("a", None), ledger.job("b", 1), ledger.job("c", None)], {}


def failure_and_slow_cleanup(ledger: Ledger) -> Given:
    fails = ledger.job("b", 1, error=ValueError("b"))
    return [ledger.job("a", 1, cleanup=0.5), fails, ledger.job("c", 9, cleanup=2)], {}


def failure_and_failing_cleanup(ledger: Ledger) -> Given:
    fails = [ledger.job(name, 1, error=ValueError(name)) for name in "ab"]
    return [*fails, ledger.job("c", 9, cleanup=2, cleanup_error=OSError("c"))], {}


def failure_and_refusal(ledger: Ledger) -> Given:
    fails = ledger.job("a", 1, error=ValueError("a"), cleanup=0.5)
    return [fails, ledger.job("b", 9, refuses=2), ledger.job("c", 2.5, refuses=12)], {}


def deadline(ledger: Ledger) -> Given:
    jobs = [ledger.job("a", 2), ledger.job("b", 9, cleanup=1), ledger.job("c", 9, refuses=1)]
    return jobs, {"timeout": 2}


def disposal_that_takes_time(ledger: Ledger) -> Given:
    jobs = [ledger.job("a", 1), ledger.job("b", 1), ledger.job("c", 9, refuses=1)]
    fails = ledger.job("d", 2, error=ValueError("d"))
    return [*jobs, fails], {"dispose": ledger.dispose_slowly}


def limit(ledger: Ledger) -> Given:
    jobs = (ledger.job(name, 1, cleanup=0.5) for name in "abcd")
    return jobs, {"max_concurrency": 2}


def calls_with_timeouts(ledger: Ledger) -> Given:
    seconds = {"a": 1, "b": 9, "c": 2}

    def call(name: str) -> Coroutine[Any, Any, str]:
        return ledger.job(name, seconds[name])

    return waitkit.call_each(call, list("abc"), timeout=3), {}


def async_source(ledger: Ledger) -> Given:
    async def source() -> AsyncIterator[Any]:
        ledger.started.append("source")
        try:
            for name in "abc":
                await anyio.sleep(0.5)
                yield ledger.job(name, 1, cleanup=0.25)
        finally:
            await ledger.see_through("source", 1)
            ledger.ended.append("source")

    return source(), {}


def source_that_raises(ledger: Ledger) -> Given:
    def source() -> Iterator[Any]:
        yield ledger.job("a", 1, cleanup=1)
        yield ledger.job("b", 2, cleanup=1)
        raise ValueError("the source")

    return source(), {"max_concurrency": 2}


GIVEN = [
    values,
    values_without_an_await,
    failure_and_slow_cleanup,
    failure_and_failing_cleanup,
    failure_and_refusal,
    deadline,
    disposal_that_takes_time,
    limit,
    calls_with_timeouts,
    async_source,
    source_that_raises,
]


def scenario(use: str, given: Callable[[Ledger], Given]) -> Scenario:
    async def run(ledger: Ledger) -> None:
        aws, options = given(ledger)
        if use == "first_completed":
            options.pop("max_concurrency", None)
        await USES[use](ledger, aws, **options)

    return run


EVERY_CASE = [
    pytest.param(scenario(use, given), id=f"{use}-{given.__name__}")
    for use in USES
    for given in GIVEN
    # Without a limit the source is read, and raises, before anything has started.
    if (use, given) != ("first_completed", source_that_raises)
]


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of runs leave thousands of failures unraised; formatting the log takes long."""
    caplog.set_level(logging.ERROR, "waitkit")


# Debug mode is slow, and a few tests in it tell as much.
FAST_MODES = [mode for mode in virtual_time.ASYNCIO_MODES if mode != "debug"]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", FAST_MODES)
@pytest.mark.parametrize("case", EVERY_CASE)
def test_caller_cancelled_at_any_moment(case: Scenario, mode: virtual_time.AsyncioMode) -> None:
    """R22, R23, R29: whenever it comes, the cancellation comes out, after all jobs have ended."""
    cancel_at_every_tick(case, mode=mode)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", FAST_MODES)
@pytest.mark.parametrize("case", EVERY_CASE)
def test_caller_cancelled_twice_at_any_two_moments(
    case: Scenario, mode: virtual_time.AsyncioMode
) -> None:
    """R23: a second cancellation cuts nothing short and reaches no job; the last one comes out."""
    cancel_at_every_tick(case, mode=mode, twice=True)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", virtual_time.BLOCK_MODES)
@pytest.mark.parametrize("case", [case for case in EVERY_CASE if "-bare-" not in str(case.id)])
def test_scope_around_a_block_cancelled_at_any_step(
    case: Scenario, mode: virtual_time.BlockMode
) -> None:
    """R22, R23, R29, R51: the same on Trio, where scopes cancel, and cancel the jobs as well."""
    cancel_scope_at_every_step(case, mode)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("use", USES)
def test_caller_cancelled_at_any_moment_in_debug_mode(use: str) -> None:
    """R22, R23: the same in asyncio's debug mode."""
    cancel_at_every_tick(scenario(use, failure_and_refusal), mode="debug")


async def nest(ledger: Ledger) -> None:
    """Helpers in a helper, in a timeout, in a task group; the values of the inner ones go up."""

    async def inner(name: str) -> list[str]:
        jobs = [ledger.job(name + "1", 1, cleanup=0.5), ledger.job(name + "2", 9, cleanup=1)]
        some = await waitkit.gather_partial(jobs, timeout=1.5, dispose=ledger.dispose)
        return list(some.results.values())

    async def more(name: str) -> list[str]:
        jobs = [ledger.job(name + "1", 2), ledger.job(name + "2", 2, cleanup=0.5)]
        async with waitkit.as_completed_results(jobs, dispose=ledger.dispose) as stream:
            ledger.take(await anext(stream))
        return []

    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(4))
        async with asyncio.timeout(3):
            aws = (inner("a"), inner("b"), more("c"))
            for names in await waitkit.first_error(aws, dispose=ledger.disposed.extend):
                ledger.take(names)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", FAST_MODES)
def test_caller_cancelled_at_any_moment_around_nested_helpers(
    mode: virtual_time.AsyncioMode,
) -> None:
    """R21, R23: helpers inside a helper, a timeout and a task group pass the cancellation on."""
    cancel_at_every_tick(nest, mode=mode)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", FAST_MODES)
@pytest.mark.parametrize("seconds", [0, 1, 1.25, 2, 4])
@pytest.mark.parametrize("use", USES)
def test_caller_cancelled_at_any_moment_of_a_timeout(
    use: str, seconds: float, mode: virtual_time.AsyncioMode
) -> None:
    """R21, R23: a cancellation from outside wins over the timeout that strikes beside it."""

    async def run(ledger: Ledger) -> None:
        aws, options = failure_and_slow_cleanup(ledger)
        async with asyncio.timeout(seconds):
            await USES[use](ledger, aws, **options)

    cancel_at_every_tick(run, mode=mode)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", FAST_MODES)
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("grace", [0, 1.5])
def test_caller_of_cancel_and_wait_cancelled_at_any_moment(
    grace: float, twice: bool, mode: virtual_time.AsyncioMode
) -> None:
    """R23, R31: whenever its caller is cancelled, `cancel_and_wait` has stopped all tasks first."""

    async def run(ledger: Ledger) -> None:
        jobs = [
            ledger.job("a", 1),
            ledger.job("b", 9, cleanup=1),
            ledger.job("c", 9, refuses=2),
            ledger.job("d", 9, cleanup_error=ValueError("d")),
        ]
        tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            await asyncio.sleep(0.5)
        finally:
            try:
                assert await waitkit.cancel_and_wait(tasks, grace=grace) == []
            finally:
                for task in tasks:
                    if not task.cancelled() and task.exception() is None:
                        ledger.take(task.result())

    cancel_at_every_tick(run, mode=mode, twice=twice)


# --- streams and races at what only they can do


async def staggered(ledger: Ledger) -> None:
    fails = ledger.job("a", 5, error=ValueError("a"))
    jobs = [fails, ledger.job("b", 9, cleanup=1), ledger.job("c", 1.5, cleanup=0.5)]
    await USES["first_success"](ledger, jobs, stagger=0.5, dispose=ledger.dispose_slowly)


async def adding_and_draining(ledger: Ledger) -> None:
    stream = waitkit.as_completed_results(
        [ledger.job("a", 1)], max_concurrency=2, buffersize=3, dispose=ledger.dispose
    )
    async with stream:
        async for item in stream:
            ledger.take(item)
            if len(ledger.taken) < 4:
                stream.add(ledger.job(f"{item}+", 1, cleanup=0.5))
                stream.extend(ledger.job(f"{item}{place}", 0.5) for place in "12")
            if len(ledger.taken) == 5:
                stream.drain()
            await anyio.sleep(0.1)


async def closed_by_its_jobs(ledger: Ledger) -> None:
    async def close(name: str) -> str:
        await anyio.sleep(1)
        await stream.aclose()
        return await ledger.job(name, None)

    jobs = [ledger.job("a", 0.5), close("b"), close("c"), ledger.job("d", 9, cleanup=1)]
    stream = waitkit.as_completed_results(jobs, dispose=ledger.dispose_slowly)
    async with stream:
        async for item in stream:
            ledger.take(item)


async def adopted_and_borrowed(ledger: Ledger) -> None:
    task = asyncio.ensure_future(ledger.job("a", 2, cleanup=1))
    lent: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    aws: list[Any] = [task, task, waitkit.borrowed(lent), ledger.job("b", 9, refuses=1)]
    stream = waitkit.as_completed_outcomes(aws, timeout=4, dispose=ledger.dispose)
    async with stream:
        async for outcome in stream:
            if outcome.index != 1:  # which is the first again
                ledger.take(outcome)
    assert not lent.cancelled()


async def source_that_refuses_to_be_cancelled(ledger: Ledger) -> None:
    async def source() -> AsyncIterator[Any]:
        ledger.started.append("source")
        try:
            yield ledger.job("a", 1)
            await ledger.see_through("source", 2)
            yield ledger.job("b", 1)
            yield ledger.job("c", 1)
        finally:
            if not ledger.cancelled["source"]:
                await ledger.see_through("source", 1)
            ledger.ended.append("source")

    await USES["as_completed_results-block"](ledger, source(), max_concurrency=1)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", FAST_MODES)
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        staggered,
        adding_and_draining,
        closed_by_its_jobs,
        adopted_and_borrowed,
        source_that_refuses_to_be_cancelled,
    ],
)
def test_caller_cancelled_at_any_moment_of_what_only_some_can_do(
    case: Scenario, twice: bool, mode: virtual_time.AsyncioMode
) -> None:
    """R22, R23, R29: the same where inputs come late, are somebody else's, or close the stream."""
    cancel_at_every_tick(case, mode=mode, twice=twice)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", virtual_time.BLOCK_MODES)
@pytest.mark.parametrize(
    "case",
    [
        staggered,
        adding_and_draining,
        closed_by_its_jobs,
        source_that_refuses_to_be_cancelled,
    ],
)
def test_scope_around_a_block_cancelled_at_any_step_of_what_only_some_can_do(
    case: Scenario, mode: virtual_time.BlockMode
) -> None:
    """R22, R23, R29, R51: the same on Trio."""
    cancel_scope_at_every_step(case, mode)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("use", USES)
def test_caller_cancelled_twice_without_anyio(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R23: what awaits the jobs does not rest on anyio, only what shields that from its scopes."""
    monkeypatch.delitem(sys.modules, "anyio", raising=False)
    cancel_at_every_tick(scenario(use, disposal_that_takes_time), twice=True)


# --- cancelled in the middle of a step, by what a helper calls itself


def cancel_caller(caller: asyncio.Task[Any] | None) -> None:
    assert caller is not None
    caller.cancel("by what it called")


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("error", [None, ValueError("and fails")])
@pytest.mark.parametrize("seconds", [None, 0, 1])
@pytest.mark.parametrize("use", USES)
async def test_caller_cancelled_by_a_job_at_its_end(
    use: str, seconds: float | None, error: ValueError | None
) -> None:
    """R23: a job that cancels the caller and ends in the same step does not win over it."""
    ledger = Ledger()
    caller = asyncio.current_task()

    async def cancels() -> str:
        try:
            return await ledger.job("a", seconds, error=error)
        finally:
            cancel_caller(caller)

    with pytest.raises(asyncio.CancelledError, match="by what it called"):
        await USES[use](ledger, [cancels(), ledger.job("b", 9, cleanup=1)])
    ledger.check()
    assert caller is not None
    assert caller.uncancel() == 0


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", USES)
async def test_caller_cancelled_by_its_source(use: str) -> None:
    """R23: a source may cancel the caller while it is asked for an input."""
    ledger = Ledger()
    caller = asyncio.current_task()

    def source() -> Iterator[Any]:
        yield ledger.job("a", 1, cleanup=1)
        cancel_caller(caller)
        yield ledger.job("b", 1, cleanup=1)

    with pytest.raises(asyncio.CancelledError, match="by what it called"):
        await USES[use](ledger, source())
    ledger.check()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", [use for use in USES if use.partition("-")[0] in FAIL_FAST])
async def test_caller_cancelled_by_dispose(use: str) -> None:
    """R23: what `dispose` does to the caller strikes at its next await, if not before."""
    ledger = Ledger()
    caller = asyncio.current_task()

    def dispose(value: str) -> None:
        ledger.dispose(value)
        cancel_caller(caller)

    jobs = [ledger.job("a", 9, refuses=1), ledger.job("b", 1, error=ValueError("b"))]
    with pytest.raises(asyncio.CancelledError, match="by what it called"):  # noqa: PT012
        with contextlib.suppress(ValueError):
            await USES[use](ledger, jobs, dispose=dispose)
        await asyncio.sleep(0)
    ledger.check()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", USES)
async def test_caller_cancelled_before_the_call(use: str) -> None:
    """R23: a cancellation that is pending already strikes in the helper, and the jobs end."""
    ledger = Ledger()
    cancel_caller(asyncio.current_task())
    with pytest.raises(asyncio.CancelledError, match="by what it called"):
        await USES[use](ledger, [ledger.job("a", 1, cleanup=1), ledger.job("b", 1)])
    ledger.check()
