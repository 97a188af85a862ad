"""What is kept alive, and for how long: nothing longer than it has to be (R30)."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator
from itertools import count
from typing import Any

import anyio
import pytest

import virtual_time
import waitkit
from jobs import (
    DATA,
    FAIL_FAST,
    HELPERS,
    OUTCOME_STREAMS,
    RACES,
    STREAMS,
    Gauge,
    cancelled_error,
    cut_off,
    fail,
    run_helper,
    settle,
    value,
)


class Thing:
    """A result that can be watched."""


class Trouble(Exception):
    """An exception that can be watched."""


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """What only a cycle held would still be alive."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def make_thing(refs: list[weakref.ref[Any]], after: float | None = None) -> Thing:
    if after is not None:
        await anyio.sleep(after)
    thing = Thing()
    refs.append(weakref.ref(thing))
    return thing


async def make_trouble(refs: list[weakref.ref[Any]], after: float | None = None) -> Any:
    if after is not None:
        await anyio.sleep(after)
    error, local = Trouble(), Thing()  # of which the one lives in this frame, which it keeps
    refs += [weakref.ref(error), weakref.ref(local)]
    try:
        raise error
    finally:
        del error  # this frame would be a cycle of the test's own


def skip_if_asyncio_makes_the_cycle() -> None:
    """Of an eager task that fails in its first step: cpython 128552, mended in 3.12.9, 3.13.2."""
    if virtual_time.on_trio():
        return
    eager = asyncio.get_running_loop().get_task_factory() is not None
    if eager and (sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2)):
        pytest.skip("asyncio's own frames hold this exception in a cycle")


def alive(refs: list[weakref.ref[Any]]) -> list[Any]:
    return [ref() for ref in refs if ref() is not None]


async def call_and_forget(helper: str, aws: Any, **options: Any) -> str:
    """Run a helper, and keep nothing of what it gave or raised but the name of its error."""
    try:
        await run_helper(helper, aws, **options)
    except Exception as error:
        return type(error).__name__
    return ""


@pytest.mark.parametrize("after", [None, 1])
@pytest.mark.parametrize("helper", HELPERS)
async def test_no_cycle_holds_a_result(helper: str, after: float | None) -> None:
    """R30: results die with their last reference, without the garbage collector."""
    refs: list[weakref.ref[Any]] = []
    assert await call_and_forget(helper, [make_thing(refs, after) for _ in range(3)]) == ""
    await settle()
    assert refs
    assert alive(refs) == []


@pytest.mark.parametrize("after", [None, 1])
@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("helper", [*FAIL_FAST, "first_success"])
async def test_no_cycle_holds_the_error_raised(
    helper: str, limit: int | None, after: float | None
) -> None:
    """R30: neither a failure nor the frames in its traceback are held by a cycle."""
    if after is None:
        skip_if_asyncio_makes_the_cycle()
    refs: list[weakref.ref[Any]] = []
    options = {} if helper == "first_completed" else {"max_concurrency": limit}
    given = [make_trouble(refs, after), *([] if helper == "first_success" else [Gauge().job("a")])]
    assert await call_and_forget(helper, given, **options) in ("Trouble", "ExceptionGroup")
    await settle()
    assert refs
    assert alive(refs) == []


@pytest.mark.parametrize("helper", DATA)
async def test_no_cycle_holds_a_failure_that_is_data(helper: str) -> None:
    """R30: errors in outcomes die with the outcomes."""
    refs: list[weakref.ref[Any]] = []
    assert await call_and_forget(helper, [make_trouble(refs, 1), make_thing(refs, 1)]) == ""
    await settle()
    assert len(refs) == 3
    assert alive(refs) == []


@pytest.mark.parametrize("helper", HELPERS)
async def test_no_cycle_holds_the_error_of_the_source(helper: str) -> None:
    """R30, R28: what a source raised dies with the call."""
    refs: list[weakref.ref[Any]] = []

    def source() -> Iterator[Any]:
        yield Gauge().job("a")
        error = Trouble()
        refs.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    assert await call_and_forget(helper, source()) == "Trouble"
    await settle()
    assert alive(refs) == []


@pytest.mark.parametrize("helper", HELPERS)
async def test_no_cycle_holds_a_call_cut_off_by_its_deadline(helper: str) -> None:
    """R30: nor the results and errors that jobs gave while they were being cancelled."""
    refs: list[weakref.ref[Any]] = []

    async def job() -> Thing:
        try:
            return await Gauge().job(Thing())
        except cancelled_error():
            return await make_thing(refs)

    expected = "" if helper in DATA else "DeadlineError"
    assert await call_and_forget(helper, [job(), job()], timeout=1) == expected
    await settle()
    assert refs
    assert alive(refs) == []


# Not for the backend through anyio, which cancels its jobs while the crew is on the stack.
@pytest.mark.only("direct")
@pytest.mark.parametrize("helper", DATA)
async def test_no_cycle_holds_a_failure_in_cleanup_that_is_data(helper: str) -> None:
    """R30, R17: nor an error raised then, with the cancellation that is its context."""
    refs: list[weakref.ref[Any]] = []

    async def job() -> None:
        try:
            await Gauge().job("a")
        except cancelled_error():
            await make_trouble(refs)

    assert await call_and_forget(helper, [job(), job()], timeout=1) == ""
    await settle()
    assert len(refs) == 4
    assert alive(refs) == []


@pytest.mark.parametrize("helper", HELPERS)
async def test_no_cycle_holds_a_call_that_was_cancelled(helper: str) -> None:
    """R30, R23: nor what had finished before the caller was cancelled."""
    refs: list[weakref.ref[Any]] = []

    async def job() -> Thing:
        try:
            return await Gauge().job(Thing())
        finally:
            await make_thing(refs)

    given = [job(), job()] if helper in RACES else [make_thing(refs), job()]
    with cut_off(1):
        await run_helper(helper, given)
    del given
    await settle()
    assert refs
    assert alive(refs) == []


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", [*FAIL_FAST, "first_success"])
async def test_no_cycle_holds_the_error_of_a_cancelled_job(helper: str) -> None:
    """R30, R13: `JobCancelledError` and the `CancelledError` behind it die with the call."""
    refs: list[weakref.ref[Any]] = []
    task = asyncio.create_task(Gauge().job("a"))
    asyncio.get_running_loop().call_later(1, task.cancel)
    try:
        await run_helper(helper, [task])
    except (waitkit.JobCancelledError, ExceptionGroup) as error:
        refs.append(weakref.ref(error))
        found = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        refs.append(weakref.ref(found))
        del found
    del task
    await settle()
    assert len(refs) == 2
    assert alive(refs) == []


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("helper", STREAMS)
async def test_stream_keeps_nothing_it_has_delivered(helper: str, limit: int | None) -> None:
    """R30: a result dies when its consumer lets go of it, while the stream goes on."""
    refs: list[weakref.ref[Any]] = []
    given = [make_thing(refs, 1 + index) for index in range(3)]
    async with getattr(waitkit, helper)(given, max_concurrency=limit) as stream:
        given.clear()
        for delivered in range(1, 4):
            item = await anext(stream)
            assert isinstance(item, Thing | waitkit.Success)
            del item
            await settle(2)
            assert len(refs) == delivered
            assert alive(refs) == []


@pytest.mark.parametrize("helper", OUTCOME_STREAMS)
async def test_stream_keeps_no_failure_it_has_delivered(helper: str) -> None:
    """R30: nor does it keep a failure that was data."""
    refs: list[weakref.ref[Any]] = []
    async with getattr(waitkit, helper)([make_trouble(refs, 1), make_thing(refs, 9)]) as stream:
        item = await anext(stream)
        assert isinstance(item, waitkit.Failure)
        del item
        await settle(2)
        assert alive(refs) == []


@pytest.mark.parametrize("helper", STREAMS)
async def test_stream_keeps_no_key_it_has_delivered(helper: str) -> None:
    """R30: keys are delivered like results, and not kept either."""
    refs: list[weakref.ref[Any]] = []

    def pairs() -> Iterator[Any]:
        for index in range(2):
            key = Thing()
            refs.append(weakref.ref(key))
            yield key, value(index, 1 + index)
            del key

    async with getattr(waitkit, helper)(waitkit.keyed(pairs()), max_concurrency=1) as stream:
        item = await anext(stream)
        del item
        await anyio.sleep(9)
        assert len(refs) == 2
        assert len(alive(refs)) == 1


@pytest.mark.parametrize("helper", STREAMS)
async def test_closed_stream_keeps_nothing(helper: str) -> None:
    """R30: what a closed stream still held is gone, though the stream itself is kept."""
    refs: list[weakref.ref[Any]] = []
    stream = getattr(waitkit, helper)([make_thing(refs), make_thing(refs), make_thing(refs, 9)])
    async with stream:
        await anyio.sleep(1)
    await settle()
    assert len(refs) == 2
    assert alive(refs) == []
    assert "ended" in repr(stream)


@pytest.mark.parametrize("helper", STREAMS)
async def test_stream_dies_with_its_last_reference(helper: str) -> None:
    """R30: a stream that was used to its end is part of no cycle."""
    stream = getattr(waitkit, helper)([value("a", 1), value("b", 2)], max_concurrency=1, timeout=99)
    ref = weakref.ref(stream)
    async with stream:
        async for _ in stream:
            pass
    del stream
    await settle()
    assert ref() is None


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", RACES)
async def test_thousand_races_against_one_future(helper: str) -> None:
    """R30: a thousand calls on one long-lived future leave nothing on it."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    for index in range(1000):
        given = [waitkit.borrowed(future), value(index)]
        assert await run_helper(helper, given) == index
    assert not future.done()
    assert not getattr(future, "_callbacks", None)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("helper", HELPERS)
async def test_calls_cut_off_leave_nothing_on_a_future(helper: str) -> None:
    """R30: nor do calls that end by their deadline or a failure, borrowed and plain mixed."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    for _ in range(50):
        await call_and_forget(helper, [waitkit.borrowed(future), future], timeout=1)
        await call_and_forget(helper, [waitkit.borrowed(future), fail(Trouble(), 1)], timeout=2)
    assert not future.done()
    assert not getattr(future, "_callbacks", None)


@pytest.mark.parametrize("helper", STREAMS)
async def test_memory_stays_flat_over_a_long_stream(helper: str) -> None:
    """R3, R30: over an infinite source the number of live results never grows."""
    refs: list[weakref.ref[Any]] = []
    jobs = (make_thing(refs) for _ in count())
    async with getattr(waitkit, helper)(jobs, max_concurrency=2) as stream:
        for _ in range(200):
            await anext(stream)
            assert len(alive(refs[-50:])) <= 6
    assert len(refs) >= 200
