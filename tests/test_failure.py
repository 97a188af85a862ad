"""R10, R14: the first failure ends the call, and comes out as it is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    LIMITED,
    RESULT_STREAMS,
    Broken,
    Gauge,
    at,
    clean_up,
    fail,
    failed,
    future,
    logged,
    never,
    notes,
    now,
    resolve,
    run_helper,
    unshuffled,
    value,
)

LIMITED_FAIL_FAST = tuple(name for name in FAIL_FAST if name in LIMITED)


class Abort(BaseException):
    """A failure that is no `Exception`."""


async def catch(name: str, aws: Any, /, **options: Any) -> BaseException:
    """The error that ends a helper."""
    try:
        await run_helper(name, aws, **options)
    except BaseException as error:
        return error
    raise AssertionError(f"{name} did not fail")


@pytest.mark.parametrize("name", FAIL_FAST)
@pytest.mark.parametrize("after", [None, 0, 1])
async def test_the_first_failure_is_raised_bare(name: str, after: float | None) -> None:
    """R10: the call raises the very object that the job raised, in no group and not wrapped."""
    error = Broken()
    gauge = Gauge()
    assert await catch(name, [gauge.job("a"), fail(error, after), gauge.job("b")]) is error
    assert error.__cause__ is None
    assert gauge.running == 0
    assert now() == (after or 0)


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_an_input_that_has_failed_already_ends_the_call(name: str) -> None:
    """R10: a Future that failed before the call is a failure like any other."""
    error = Broken()
    gauge = Gauge()
    assert await catch(name, [gauge.job("a"), failed(error), gauge.job("b")]) is error
    assert gauge.running == 0


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_the_others_are_cancelled_before_the_consumer_looks(name: str) -> None:
    """R10: the first failure cancels every other job at once, from the loop's callback."""
    cancelled_at: list[float] = []

    async def job() -> None:
        try:
            await never()
        finally:
            cancelled_at.append(now())

    async def consume() -> None:
        async with getattr(waitkit, name)([value(0), job(), fail(Broken(), 1), job()]) as stream:
            async for _ in stream:
                await anyio.sleep(100)

    with pytest.raises(Broken):
        await consume()
    assert cancelled_at == [1, 1]
    assert now() == 100


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_the_failure_is_raised_after_every_other_job_has_ended(name: str) -> None:
    """R10: a sibling that takes its time to clean up is awaited first."""
    ended: list[float] = []

    async def careful() -> None:
        try:
            await never()
        finally:
            await clean_up(3)
            ended.append(now())

    error = Broken()
    assert await catch(name, [careful(), fail(error, 1), careful()]) is error
    assert ended == [4, 4]
    assert now() == 4


@pytest.mark.parametrize("name", LIMITED_FAIL_FAST)
@pytest.mark.parametrize("limit", range(1, 6))
@pytest.mark.parametrize("place", range(4))
async def test_nothing_is_taken_after_the_failure(name: str, limit: int, place: int) -> None:
    """R10: at every limit, the failure frees no slot for one more input."""
    gauge = Gauge()
    error = Broken()

    async def job(index: int) -> int:
        await gauge.job(index, index + 1 - now())  # one after the other, whatever the limit
        if index == place:
            raise error
        return index

    assert await catch(name, (job(index) for index in range(100)), max_concurrency=limit) is error
    assert unshuffled(gauge.started) == list(range(place + limit))
    assert gauge.peak <= limit
    assert gauge.running == 0


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_of_two_failures_in_a_tick_the_earlier_is_raised(name: str) -> None:
    """R10: the order in which the loop finished the jobs decides, not input order."""
    first, second = Broken("first"), Broken("second")
    waiting = [future(), future(), future()]
    at(1, resolve, (waiting[2], first), (waiting[0], second), (waiting[1], "value"))
    assert await catch(name, waiting) is first


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_future_at_two_places_fails_once(name: str) -> None:
    """R10, R4: a failing Future that stands at two places is one failure, noted once."""
    error = Broken()
    twice = future()
    at(1, twice.set_exception, error)
    assert await catch(name, [twice, never(), twice]) is error
    assert notes(error) == [f"waitkit.{name}: raised by input 0"]


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_a_failure_that_is_no_exception_is_raised_bare(name: str) -> None:
    """R10: a job's `BaseException` ends the call like any failure."""
    for error in (Abort("x"), GeneratorExit("x")):
        gauge = Gauge()
        assert await catch(name, [gauge.job("a"), fail(error, 1)]) is error
        assert gauge.running == 0


@pytest.mark.parametrize("name", [*DATA, "first_success"])
async def test_a_failure_that_is_no_exception_is_never_data(name: str) -> None:
    """R15: `catch` takes subclasses of `Exception` only, so a `BaseException` ends the call."""
    for error in (Abort("x"), GeneratorExit("x")):
        gauge = Gauge()
        assert await catch(name, [gauge.job("a"), fail(error, 1)]) is error
        assert gauge.running == 0
        assert notes(error) == [f"waitkit.{name}: raised by input 1"]


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_stop_async_iteration_of_a_job_does_not_end_a_stream_silently(name: str) -> None:
    """R10: in a stream a job's `StopAsyncIteration` becomes a `RuntimeError` from it."""
    error = StopAsyncIteration("job")
    raised = await catch(name, [never(), fail(error, 1)])
    assert type(raised) is RuntimeError
    assert raised.__cause__ is error


@pytest.mark.parametrize("name", ["first_error", "first_completed"])
async def test_stop_async_iteration_of_a_job_is_raised_bare_elsewhere(name: str) -> None:
    """R10: where no loop could be ended by it, `StopAsyncIteration` comes out as it is."""
    error = StopAsyncIteration("job")
    assert await catch(name, [never(), fail(error, 1)]) is error


@pytest.mark.parametrize("name", ["as_completed_outcomes", "in_order_outcomes"])
async def test_stop_async_iteration_of_a_job_is_data_like_any_other(name: str) -> None:
    """R15: a job's `StopAsyncIteration` that `catch` takes is a `Failure`."""
    error = StopAsyncIteration("job")
    assert await run_helper(name, [fail(error, 1)]) == [waitkit.Failure(error, 0, 0)]


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_a_stream_that_has_raised_is_at_its_end(name: str) -> None:
    """R10: the failure is raised once; after it iteration ends."""
    async with getattr(waitkit, name)([fail(Broken(), 1), never()]) as stream:
        with pytest.raises(Broken):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_a_stream_that_has_raised_without_a_block_is_at_its_end(name: str) -> None:
    """R10: so it is where nobody has entered it."""
    stream = getattr(waitkit, name)([fail(Broken(), 1), never()])
    with pytest.raises(Broken):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.only("blocks")
@pytest.mark.parametrize("name", HELPERS)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("after", [None, 1])
async def test_interrupts_of_a_job_come_out_bare(
    name: str, kind: type[BaseException], after: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """R14, R51: on Trio they are the error of the call, after the others have ended."""
    error = kind(3)
    gauge = Gauge()
    assert await catch(name, [gauge.job("a"), fail(error, after), gauge.job("b")]) is error
    assert gauge.running == 0
    assert logged(caplog) == []


def run_as_a_program(main: Callable[[], Any], loop: virtual_time.VirtualLoop) -> None:
    """As `asyncio.run` does, which cancels and awaits what an interrupt has left."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("mode", virtual_time.ASYNCIO_MODES)
@pytest.mark.parametrize("name", HELPERS)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("after", [None, 1])
def test_interrupts_of_a_job_leave_the_loop(
    name: str, kind: type[BaseException], after: float | None, mode: virtual_time.AsyncioMode
) -> None:
    """R14: `KeyboardInterrupt` and `SystemExit` go out through the loop, as asyncio has it."""
    error = kind(3)
    loop = virtual_time.new_loop(mode)

    async def main() -> None:
        await run_helper(name, [never(), fail(error, after)])

    with pytest.raises(kind) as caught:
        run_as_a_program(main, loop)
    assert caught.value is error
    # An eager first step raises out of `create_task`, which leaves nobody a Task to ask.
    if mode != "eager" or after is not None:
        assert not loop.complaints


SCRIPT = """
import asyncio, sys
import waitkit

async def leave(kind):
    await asyncio.sleep(0)
    raise kind(3)

async def sleep():
    try:
        await asyncio.sleep(60)
    finally:
        print("cleaned up")

async def main():
    call = waitkit.{name}([sleep(), leave({kind}), sleep()], **{options})
    if not isinstance(call, waitkit.ResultStream):
        return await call
    async with call as stream:
        async for _ in stream:
            pass

try:
    asyncio.run(main())
except KeyboardInterrupt as interrupt:
    print("out came", repr(interrupt))
    sys.exit(4)
"""


@pytest.mark.parametrize("name", HELPERS)
@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "SystemExit"])
def test_interrupts_of_a_job_end_the_program_in_peace(name: str, kind: str) -> None:
    """R14, R12: `asyncio.run` lets them out, all jobs clean up, and nobody logs a failure."""
    catching = name in DATA or name == "first_success"
    options = "dict(catch=Exception)" if catching else "{}"
    script = SCRIPT.format(name=name, kind=kind, options=options)
    ran = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60
    )
    assert ran.stderr == ""
    if kind == "SystemExit":
        assert (ran.returncode, ran.stdout) == (3, "cleaned up\ncleaned up\n")
    else:
        said = "cleaned up\ncleaned up\nout came KeyboardInterrupt(3)\n"
        assert (ran.returncode, ran.stdout) == (4, said)
