"""What CPython's own tests say of an exception's traceback and context, said of helpers.

Each test names the one of `test.test_asyncio` that it comes from.
"""

from __future__ import annotations

import asyncio
import traceback

import pytest

import waitkit
from jobs import (
    FAIL_FAST,
    at,
    fail,
    never,
    run_helper,
)


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_traceback_tells_where_a_cancelled_job_was(name: str) -> None:
    """R13: the line that was interrupted, and the one that awaited it.

    CPython: test_tasks.BaseTaskTests.test_cancel_traceback_for_future_result,
    test_cancel_traceback_for_future_exception
    """

    async def nested() -> None:
        await asyncio.sleep(10)  # inner line

    async def job() -> None:
        await nested()  # outer line

    task = asyncio.create_task(job())
    at(1, task.cancel)
    with pytest.raises(waitkit.JobCancelledError) as caught:
        await run_helper(name, [task, never()])
    assert "# inner line" in told(caught.value)
    assert "# outer line" in told(caught.value)


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_traceback_tells_where_a_job_failed_and_who_called(name: str) -> None:
    """R10: it is the job's own, and goes on to the caller.

    CPython: test_tasks.BaseTaskTests.test_exception_traceback
    """

    async def job() -> None:
        raise ZeroDivisionError  # in the job

    async def call() -> None:
        await run_helper(name, [job(), never()])  # in the caller

    with pytest.raises(ZeroDivisionError) as caught:
        await call()
    assert "# in the job" in told(caught.value)
    assert "# in the caller" in told(caught.value)


@pytest.mark.parametrize("after", [None, 1])
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_failure_is_chained_to_what_the_caller_was_handling(
    name: str, after: float | None
) -> None:
    """R10: as any error that is raised while another is handled.

    CPython: test_tasks.BaseTaskTests.test_exception_chaining_after_await
    """
    handled = KeyError(3)
    try:
        raise handled
    except KeyError:
        with pytest.raises(ValueError) as caught:  # noqa: PT011  # it has no text
            await run_helper(name, [fail(ValueError(), after), never()])
    context: BaseException | None = caught.value
    while context is not None and context is not handled:
        context = context.__context__
    assert context is handled


@pytest.mark.parametrize("after", [None, 1])
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_failure_that_the_caller_was_handling_is_not_its_own_context(
    name: str, after: float | None
) -> None:
    """R10: a job may raise the very object; no chain of contexts becomes a ring.

    CPython: test_tasks.BaseTaskTests.test_exception_chaining_after_await_with_context_cycle
    """
    handled = KeyError("a")
    try:
        raise handled
    except KeyError:
        with pytest.raises(KeyError) as caught:
            await run_helper(name, [fail(handled, after), never()])
    assert caught.value is handled
    seen: list[BaseException] = []
    context: BaseException | None = handled
    while context is not None:
        assert not any(context is one for one in seen)
        seen.append(context)
        context = context.__context__
