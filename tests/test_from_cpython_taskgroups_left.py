"""What CPython's own tests say of how a `TaskGroup` is left, said of waitkit's helpers.

By the caller's cancellation, by an error of the body, by both an error of the body and one of a
job. As in test_from_cpython_taskgroups.py, "unlike" says where a helper differs on purpose.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

import waitkit
from cancelling import current_task
from jobs import (
    FAIL_FAST,
    HELPERS,
    RESULT_STREAMS,
    STREAMS,
    Gauge,
    fail,
    future,
    logged,
    never,
    now,
    run_helper,
    spoil,
    time_limit,
)


class Mine(Exception):
    pass


class Base(BaseException):
    pass


# --- the caller's cancellation


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_cancellation_comes_before_what_jobs_raise_because_of_it(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R23: unlike there, where their errors take its place; here they are logged.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_08
    """
    errors = [ZeroDivisionError(number) for number in range(5)]
    caller = asyncio.create_task(run_helper(name, [spoil(error) for error in errors]))
    await asyncio.sleep(0.1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert logged(caplog) == errors


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("sibling", [False, True])
@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_cancellation_comes_before_errors_in_a_block_in_a_block(
    name: str, sibling: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R23: unlike there; the outer block has a job of its own, or none.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_11, test_taskgroup_12
    """
    errors = [ZeroDivisionError(number) for number in range(5)]
    gauge = Gauge()

    async def nested() -> None:
        outer = getattr(waitkit, name)([gauge.job("outer")] if sibling else [])
        async with outer, getattr(waitkit, name)([spoil(error) for error in errors]):
            await asyncio.sleep(10)

    caller = asyncio.create_task(nested())
    await asyncio.sleep(0.1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert logged(caplog) == errors
    assert gauge.cancelled == (["outer"] if sibling else [])


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("in_task", [False, True])
@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_error_while_the_body_takes_leave_is_behind_the_cancellation(
    name: str, in_task: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R23: it is logged, and the cancellation's context; unlike there it is not raised.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_15, test_taskgroup_16
    """
    error = ZeroDivisionError()

    async def nested() -> None:
        async with getattr(waitkit, name)([fail(error, 0.3)]):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)
                raise

    async def around() -> None:
        await asyncio.create_task(nested())

    caller = asyncio.create_task(around() if in_task else nested())
    await asyncio.sleep(0.1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await caller
    assert now() == 0.6
    assert logged(caplog) == [error]
    assert caught.value.__context__ is error


@pytest.mark.parametrize("name", STREAMS)
async def test_cancellation_of_a_body_without_jobs(name: str) -> None:
    """R23, R33: it comes out of an empty block as well.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_17
    """
    reached: list[str] = []

    async def block() -> None:
        async with time_limit(0.1), getattr(waitkit, name)([]):
            try:
                await never()
            finally:
                reached.append("cleanup")

    with pytest.raises(TimeoutError):
        await block()
    assert reached == ["cleanup"]
    assert now() == 0.1


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", STREAMS)
async def test_body_that_turns_its_cancellation_into_an_error(name: str) -> None:
    """R22: that error comes out, unlike there bare; the jobs are cancelled all the same.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_18
    """
    gauge = Gauge()

    async def nested() -> None:
        async with getattr(waitkit, name)([gauge.job("other")]):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise Mine from None

    caller = asyncio.create_task(nested())
    await asyncio.sleep(0.1)
    caller.cancel()
    with pytest.raises(Mine):
        await caller
    assert gauge.cancelled == ["other"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_error_and_cancellation_in_one_turn(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R21, R23: unlike there, where it strikes at the next await, the cancellation comes out.

    CPython: test_taskgroups.TestTaskGroup.test_error_and_cancel
    """
    error = RuntimeError()
    begun = future()
    counts: list[int] = []

    async def job() -> None:
        begun.set_result(None)
        await asyncio.sleep(0)
        raise error

    async def inner() -> None:
        try:
            await run_helper(name, [job(), asyncio.sleep(1)])
        finally:
            counts.append(current_task().cancelling())

    caller = asyncio.create_task(inner())
    await begun
    assert caller.cancelling() == 0
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert counts == [1]
    assert logged(caplog) in ([], [error])  # of an eager caller it is gone before it failed


# --- errors of the body and of a job


@pytest.mark.parametrize("kind", [Mine, Base, KeyboardInterrupt])
@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_error_of_the_body_after_that_of_a_job(
    name: str, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """R12: the body's comes out, the job's is logged; unlike there no group has both.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_19, test_taskgroup_20, test_taskgroup_20a
    """
    error = ZeroDivisionError()

    async def block() -> None:
        async with getattr(waitkit, name)([fail(error, 0.1), never()]):
            await anyio.sleep(0.2)
            raise kind

    with pytest.raises(kind):
        await block()
    assert logged(caplog) == [error]


@pytest.mark.parametrize("name", HELPERS)
async def test_base_exception_of_a_job_comes_out_bare(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R15: whatever is data; the error of another's cleanup is logged, and in no group.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_21a
    """
    error, in_cleanup = Base(), TypeError()
    with pytest.raises(Base) as caught:
        await run_helper(name, [fail(error, 0.1), spoil(in_cleanup)])
    assert caught.value is error
    assert logged(caplog) == [in_cleanup]


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_error_on_leaving_a_context_inside_the_block(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: the job's error is not lost behind it; unlike there the body was not cancelled.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_context_manager_exit_raises
    """
    error, on_leaving = Mine("job"), Mine("database")

    @asynccontextmanager
    async def database() -> AsyncIterator[None]:
        try:
            yield
        finally:
            raise on_leaving

    async def block() -> None:
        async with getattr(waitkit, name)([]) as stream, database():
            stream.add(fail(error))
            await anyio.sleep(1)

    with pytest.raises(Mine) as caught:
        await block()
    assert caught.value is on_leaving
    assert now() == 1
    assert logged(caplog) == [error]
