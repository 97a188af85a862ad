"""What CPython's own tests say of `asyncio.TaskGroup`, said of waitkit's helpers.

A stream in its block is nearest to a group: it has a body, and takes more jobs while it runs.
`first_error` is a group without a body. Each test names the one of `test.test_asyncio` that it
comes from; where a helper differs on purpose, it says "unlike". Above all: errors come out bare,
the body is never cancelled, and the caller's cancellation comes before what jobs raise meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from cancelling import current_task
from jobs import (
    FAIL_FAST,
    RESULT_STREAMS,
    STREAMS,
    Gauge,
    collect,
    fail,
    logged,
    never,
    notes,
    now,
    plain_values,
    run_helper,
    settle,
    unshuffled,
    value,
)


class Mine(Exception):
    pass


class Base(BaseException):
    pass


async def test_results_are_there_when_all_have_ended() -> None:
    """R8: a tuple of different things, each at its place.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_01
    """
    assert await waitkit.first_error((value(42, 0.1), value(11, 0.2))) == (42, 11)
    assert now() == 0.2


@pytest.mark.parametrize("name", STREAMS)
async def test_body_starts_one_more_while_others_run(name: str) -> None:
    """R26: what is added later is awaited with the rest.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_02
    """
    async with getattr(waitkit, name)([value(42, 0.1)]) as stream:
        await anyio.sleep(0.15)
        stream.add(value(11, 0.2))
        assert plain_values([item async for item in stream]) == [42, 11]
    assert now() == 0.35


@pytest.mark.only("asyncio")
async def test_task_that_is_cancelled_alone_ends_no_other() -> None:
    """R13, R15: where failures are data; one that is added after it runs on too.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_03
    """
    task = asyncio.create_task(value(42, 1))
    async with waitkit.as_completed_outcomes([task]) as stream:
        await asyncio.sleep(0.15)
        task.cancel()
        stream.add(value(11, 0.2))
        assert [outcome async for outcome in stream] == [
            waitkit.Cancelled(0, 0, "external", True),
            waitkit.Success(11, 1, 1),
        ]


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_error_cancels_the_others_and_the_code_behind_is_not_reached(name: str) -> None:
    """R10: the others see it before the error comes out; unlike there it comes out bare.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_04
    """
    gauge = Gauge()
    with pytest.raises(ZeroDivisionError):
        await run_helper(name, [fail(ZeroDivisionError(), 0.1), gauge.job("other", 1)])
    assert gauge.cancelled == ["other"]
    assert now() == 0.1


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_error_does_not_cancel_the_body(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """R9, R12: unlike there; of three errors in one moment one is raised, and two are logged.

    CPython: test_taskgroups.TestTaskGroup.test_cancel_children_on_child_error
    """
    gauge = Gauge()
    errors: list[BaseException] = []

    async def crash(number: int) -> None:
        await anyio.sleep(0.1)
        errors.append(ZeroDivisionError(number))
        raise errors[-1]

    async def block() -> None:
        jobs = [*map(crash, range(3)), gauge.job("other", 5)]
        async with getattr(waitkit, name)(jobs) as stream:
            await anyio.sleep(10)
            await anext(stream)

    with pytest.raises(ZeroDivisionError) as caught:
        await block()
    assert now() == 10
    assert gauge.cancelled == ["other"]
    came = [caught.value, *logged(caplog)]
    assert unshuffled(came, key=str) == unshuffled(errors, key=str)
    assert len(notes(caught.value)) == len(errors)
    if not virtual_time.on_trio():  # where the first may cancel those that are about to
        assert len(errors) == 3


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("pause", [None, 0.1])
@pytest.mark.parametrize("name", STREAMS)
async def test_error_of_the_body_cancels_the_jobs(name: str, pause: float | None) -> None:
    """R22, R27: before their first step too, as it may be; unlike there it comes out bare.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_09, test_taskgroup_10
    """
    tasks = [asyncio.create_task(value(42, 1)), asyncio.create_task(value(11, 2))]
    gauge = Gauge()

    async def block() -> None:
        async with getattr(waitkit, name)([*tasks, gauge.job("coroutine", 3)]):
            if pause is not None:
                await asyncio.sleep(pause)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert [task.cancelled() for task in tasks] == [True, True]
    assert gauge.ended == gauge.started


# --- groups in groups


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_error_of_the_outer_one_ends_the_inner_one(name: str) -> None:
    """R10, R23: the inner call is cancelled like any job, and adds nothing to the error.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_13
    """
    error = ValueError(0.1)
    gauge = Gauge()
    with pytest.raises(ValueError, match=r"0\.1") as caught:
        await run_helper(name, [fail(error, 0.1), run_helper(name, [gauge.job("inner", 10)])])
    assert caught.value is error
    assert notes(error) == [f"waitkit.{name}: raised by input 0"]
    assert gauge.cancelled == ["inner"]
    assert now() == 0.1


@pytest.mark.parametrize("name", FAIL_FAST)
async def test_error_of_the_inner_one_is_that_of_the_outer_one(name: str) -> None:
    """R10, R11: the same object passes both, with a note of each; unlike there in no group.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_14
    """
    error = ValueError(0.1)
    gauge = Gauge()
    with pytest.raises(ValueError, match=r"0\.1") as caught:
        await run_helper(name, [gauge.job("outer", 10), run_helper(name, [fail(error, 0.1)])])
    assert caught.value is error
    assert notes(error) == [f"waitkit.{name}: raised by input {index}" for index in (0, 1)]
    assert gauge.cancelled == ["outer"]
    assert now() == 0.1


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_error_leaves_no_count_of_cancellations(name: str) -> None:
    """R21: nor does a cancellation strike at the next await.

    CPython: test_taskgroups.TestTaskGroup.test_cancelling_level_preserved,
    test_cancellation_does_not_leak_out_of_tg
    """
    with pytest.raises(RuntimeError):
        await run_helper(name, [fail(RuntimeError(), 0.0), never()])
    assert current_task().cancelling() == 0
    await asyncio.sleep(0)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", FAIL_FAST)
async def test_group_around_that_fails_in_the_same_turn(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R21, R23: its cancellation comes out of the helper, its own error alone out of it.

    CPython: test_taskgroups.TestTaskGroup.test_nested_groups_both_cancelled
    """
    inner, outer = RuntimeError(), ValueError()

    async def block() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(outer, 0.0))
            try:
                await run_helper(name, [fail(inner, 0.0), never()])
            finally:
                assert current_task().cancelling() == 1

    with pytest.raises(ExceptionGroup) as caught:
        await block()
    assert caught.value.exceptions == (outer,)
    assert logged(caplog) in ([], [inner])  # an eager group fails first
    assert current_task().cancelling() == 0


# --- jobs that start jobs


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_jobs_that_multiply_are_all_ended_by_an_error(name: str) -> None:
    """R10, R26: a job adds two of its kind, and so on, until one of another kind fails.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_24, test_taskgroup_25
    """
    started = ended = 0
    enough = anyio.Event()

    async def hydra() -> None:
        nonlocal started, ended
        started += 1
        if started == 10:
            enough.set()
        try:
            await anyio.sleep(0.01)
            stream.add(hydra())
            stream.add(hydra())
        finally:
            ended += 1

    async def hercules() -> None:
        await enough.wait()
        raise ZeroDivisionError

    stream = getattr(waitkit, name)([hydra(), hercules()])
    with pytest.raises(ZeroDivisionError):
        await collect(stream, [])
    assert started == ended >= 10


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_job_that_is_cancelled_adds_one_more(name: str) -> None:
    """R26: unlike there that is no error; it is closed, like all that was left.

    CPython: test_taskgroups.TestTaskGroup.test_taskgroup_no_create_task_after_failure
    """
    gauge = Gauge()
    added: list[bool] = []

    async def late() -> None:
        try:
            await never()
        finally:
            stream.add(gauge.job("too late"))
            added.append(True)

    stream = getattr(waitkit, name)([fail(ZeroDivisionError(), 0.001), late()])
    with pytest.raises(ZeroDivisionError):
        await collect(stream, [])
    assert added == [True]
    assert gauge.started == []


@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_job_that_fails_as_it_is_added_cancels_the_one_that_adds_it(name: str) -> None:
    """R10: also one that is in its first step, where an eager job fails before `add` returns.

    CPython: test_taskgroups.TestTaskGroup.test_cancels_task_if_created_during_creation (3.13.2)
    """
    cancelled: list[bool] = []

    async def second() -> None:
        stream.add(fail(Mine()))
        try:
            await never()
        finally:
            cancelled.append(True)

    stream = getattr(waitkit, name)([second()])
    with pytest.raises(Mine):
        await collect(stream, [])
    assert cancelled == [True]


# --- what is left of an exception


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """What only a cycle held would still be alive."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.only("asyncio")
@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("where", ["body", "exit", "job", "task", "timeout"])
@pytest.mark.parametrize("name", RESULT_STREAMS)
async def test_block_that_is_kept_does_not_hold_its_error(name: str, where: str) -> None:
    """R30: an error dies with its last reference, though the stream that it came from lives on.

    CPython: test_taskgroups.TestTaskGroup.test_exception_refcycles_direct, _errors, _parent_task,
    _parent_task_wr, _propagate_cancellation_error, _base_error (3.13.1)
    """
    streams: list[Any] = []

    class MyInterrupt(KeyboardInterrupt):
        pass

    async def broken() -> None:
        await asyncio.sleep(1)
        raise Mine

    async def block(jobs: list[Any], error: type[BaseException] | None) -> None:
        streams.append(getattr(waitkit, name)(jobs))
        async with streams[-1] as stream:
            if error is not None:
                raise error
            async for _ in stream:
                pass

    async def call_and_forget() -> weakref.ref[BaseException]:
        try:
            match where:
                case "body":
                    await block([never()], Mine)
                case "exit":
                    await block([never()], MyInterrupt)
                case "job":
                    await block([never(), broken()], None)
                case "task":
                    await asyncio.create_task(block([never(), broken()], None))
                case "timeout":
                    async with asyncio.timeout(-1):
                        await block([never()], None)
        except (Mine, MyInterrupt) as error:
            return weakref.ref(error)
        except TimeoutError as error:
            if error.__cause__ is not None:
                return weakref.ref(error.__cause__)
        raise AssertionError("no error came out")

    gone = await call_and_forget()
    await settle()
    assert gone() is None
    assert len(streams) == 1
