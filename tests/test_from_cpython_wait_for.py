"""What CPython's own tests say of `asyncio.wait_for`, said of a helper with a deadline.

Each test names the one of `test.test_asyncio` that it comes from; where a helper differs on
purpose, it says "unlike".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest

import waitkit
from jobs import (
    COLLECTORS,
    DATA,
    HELPERS,
    RACES,
    Gauge,
    at,
    cut_off,
    future,
    never,
    now,
    plain_values,
    ready,
    run_helper,
    value,
)
from test_from_cpython_timeouts import overrun


class SlowTask:
    """Ignores each cancellation until its time has come."""

    def __init__(self) -> None:
        self.asked = 0
        self.exited = False

    async def run(self) -> None:
        until = now() + 0.2
        while now() < until:
            try:
                await asyncio.sleep(until - now())
            except asyncio.CancelledError:
                self.asked += 1
        self.exited = True


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("ending", ["cancelled", "timeout"])
@pytest.mark.parametrize("name", HELPERS)
async def test_job_that_ignores_cancellations_is_awaited(name: str, ending: str) -> None:
    """R22, R23: it is asked once, though its caller be cancelled again and again.

    CPython: test_waitfor.AsyncioWaitForTest.test_asyncio_wait_for_cancelled,
    test_asyncio_wait_for_timeout, test_wait_for_self_cancellation (3.11)
    """
    slow = SlowTask()
    if ending == "timeout":
        await overrun(name, [slow.run()], 0.1)
    else:
        with cut_off(0.01, 0.05, 0.1):
            await run_helper(name, [slow.run()])
    assert (slow.asked, slow.exited) == (1, True)
    assert now() == 0.2


@pytest.mark.only("direct")
@pytest.mark.parametrize("timeout", [0, -1])
@pytest.mark.parametrize("name", HELPERS)
async def test_timeout_of_zero_takes_a_result_that_is_there(name: str, timeout: float) -> None:
    """R20: there is nothing to wait for.

    CPython: test_waitfor.AsyncioWaitForTest.test_wait_for_timeout_less_then_0_or_0_future_done
    """
    assert plain_values(await run_helper(name, [ready("done")], timeout=timeout)) == ["done"]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("timeout", [0, -1])
@pytest.mark.parametrize("name", HELPERS)
async def test_timeout_of_zero_does_not_start_a_coroutine(name: str, timeout: float) -> None:
    """R20, R27: it is closed; an eager factory alone lets it have its first step.

    CPython: test_waitfor.AsyncioWaitForTest
    .test_wait_for_timeout_less_then_0_or_0_coroutine_do_not_started
    """
    gauge = Gauge()
    await overrun(name, [gauge.job("a")], timeout)
    eager = asyncio.get_running_loop().get_task_factory() is not None
    assert gauge.started == (["a"] if eager else [])
    assert gauge.ended == gauge.started


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("timeout", [0, -1, 0.1])
@pytest.mark.parametrize("name", HELPERS)
async def test_task_that_runs_has_ended_when_time_is_up(name: str, timeout: float) -> None:
    """R20, R22: cancelled, and its cleanup done, before the deadline is told of.

    CPython: test_waitfor.AsyncioWaitForTest.test_wait_for_timeout_less_then_0_or_0, test_wait_for,
    test_wait_for_waits_for_task_cancellation, test_wait_for_waits_for_task_cancellation_w_timeout_0
    """
    begun, ended = anyio.Event(), future()

    async def job() -> None:
        begun.set()
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.5)
            ended.set_result(None)

    task = asyncio.create_task(job())
    await begun.wait()
    await overrun(name, [task], timeout)
    assert ended.done()
    assert task.cancelled()
    assert now() == max(timeout, 0) + 0.5


@pytest.mark.parametrize("name", HELPERS)
async def test_result_that_comes_at_once_is_in_time(name: str) -> None:
    """R20: no matter how short the time.

    CPython: test_waitfor.AsyncioWaitForTest.test_wait_for_race_condition, test_wait_for_blocking
    """
    waiting = future()
    at(now(), waiting.set_result, "ok")
    assert plain_values(await run_helper(name, [waiting], timeout=0.2)) == ["ok"]
    assert plain_values(await run_helper(name, [value("done")], timeout=None)) == ["done"]
    assert now() == 0


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("name", HELPERS)
async def test_value_in_spite_of_the_deadline(name: str) -> None:
    """R17, R29: a result where the deadline is data, else for `dispose`, unlike with `wait_for`.

    CPython: test_waitfor.AsyncioWaitForTest.test_wait_for_cancellation_race_condition,
    test_wait_for_cancel_suppressed
    """
    unclaimed: list[Any] = []

    async def returns_42() -> int:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        return 42

    if name in DATA:
        answer = await run_helper(name, [returns_42()], timeout=0.1, dispose=unclaimed.append)
        assert plain_values(answer) == [42]
        assert unclaimed == []
    else:
        await overrun(name, [returns_42()], 0.1, dispose=unclaimed.append)
        assert unclaimed == [42]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("timeout", [None, 60.0])
@pytest.mark.parametrize("name", HELPERS)
async def test_cancelled_as_it_begins_to_wait(name: str, timeout: float | None) -> None:
    """R22, R23: the Task that was given is cancelled too, with and without a deadline.

    CPython: test_waitfor.AsyncioWaitForTest.test_cancel_blocking_wait_for, test_cancel_wait_for
    """
    task = asyncio.create_task(never())
    caller = asyncio.create_task(run_helper(name, [task], timeout=timeout))
    asyncio.get_running_loop().call_soon(caller.cancel)
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert task.done()
    assert task.cancelled()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("name", HELPERS)
async def test_cancellation_is_not_lost_when_the_task_ends_in_that_turn(
    name: str, turns: int
) -> None:
    """R23, R29: nor is the result: it goes to `dispose`, or the caller has got it.

    CPython: test_waitfor.AsyncioWaitForTest.test_wait_for_issue86296
    """
    unclaimed: list[Any] = []
    claimed: list[Any] = []
    reached: list[str] = []

    async def call() -> None:
        answer = await run_helper(name, [task], timeout=100, dispose=unclaimed.append)
        claimed.extend(plain_values(answer))
        await asyncio.sleep(1)
        reached.append("end")

    task = asyncio.create_task(value("done"))
    caller = asyncio.create_task(call())
    assert not caller.done()
    for _ in range(turns):
        await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await task == "done"
    assert claimed + unclaimed in (["done"], [] if turns == 0 else ["done"])
    assert reached == []


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("timeout", [0, 0.01])
@pytest.mark.parametrize("shield", [asyncio.shield, waitkit.borrowed])
@pytest.mark.parametrize("name", HELPERS)
async def test_task_that_is_shielded_runs_on_after_the_deadline(
    name: str, shield: Callable[[Any], Any], timeout: float
) -> None:
    """R1, R20: behind asyncio's shield, which is cancelled, or borrowed, which needs none.

    CPython: test_waitfor.WaitForShieldTests.test_zero_timeout, test_shielded_timeout
    """
    task = asyncio.create_task(value("done", 0.1))
    shielded = shield(task)
    await overrun(name, [shielded], timeout)
    assert now() == timeout
    assert not task.done()
    assert not isinstance(shielded, asyncio.Future) or shielded.cancelled()
    assert await task == "done"


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("shield", [asyncio.shield, waitkit.borrowed])
@pytest.mark.parametrize("name", [*COLLECTORS, *RACES])
async def test_task_that_is_shielded_gives_its_result(
    name: str, shield: Callable[[Any], Any]
) -> None:
    """R1: where there is no deadline.

    CPython: test_waitfor.WaitForShieldTests.test_none_timeout, test_tasks.BaseTaskTests
    .test_shield_result, test_shield_shortcut
    """
    task = asyncio.create_task(value("done", 0.1))
    for _ in range(2):  # while it runs, and when it is done
        assert plain_values(await run_helper(name, [shield(task)], timeout=None)) == ["done"]
    assert now() == 0.1
