"""R50 where asyncio and Trio run in one process, or in one thread: each call gets its own loop.

A job that awaits what is asyncio's fails on Trio, and one that awaits what is Trio's on asyncio.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import anyio.from_thread
import pytest
import sniffio
import trio

import waitkit
from jobs import HELPERS, plain_values, run_helper

T = TypeVar("T")


async def on_asyncio(result: T) -> T:
    await asyncio.sleep(0)
    return result


async def on_trio(result: T) -> T:
    await trio.lowlevel.checkpoint()
    return result


async def forever_on_asyncio() -> None:
    await asyncio.get_running_loop().create_future()


async def forever_on_trio() -> None:
    await trio.sleep_forever()


async def check_asyncio() -> str:
    """Whatever there is on asyncio alone is there."""
    assert [item async for item in waitkit.in_order_results([on_asyncio(1)])] == [1]
    task = asyncio.ensure_future(forever_on_asyncio())
    assert await waitkit.first_completed((waitkit.borrowed(task), on_asyncio(3))) == (1, 3)
    assert await waitkit.cancel_and_wait(task) == []
    return "asyncio"


async def check_trio() -> str:
    """And on Trio it is refused."""
    with pytest.raises(RuntimeError, match="async with"):
        await anext(waitkit.in_order_results([on_trio(1), on_trio(2)]))
    with pytest.raises(RuntimeError, match="asyncio alone"):
        await waitkit.cancel_and_wait([])
    assert await waitkit.first_error([on_trio(3)]) == [3]
    return "trio"


def run_as_guest(
    host: Callable[[], Awaitable[object]],
    guest: Callable[[], Awaitable[object]],
    *,
    eager: bool = False,
) -> None:
    """Run a program on asyncio, and another on Trio as its guest, in one thread."""
    complaints: list[dict[str, Any]] = []

    async def guarded() -> None:
        with trio.fail_after(20):
            await guest()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        if eager and sys.version_info >= (3, 12):
            loop.set_task_factory(asyncio.eager_task_factory)
        over: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            guarded,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=loop.call_soon,
            done_callback=over.set_result,
        )
        try:
            async with asyncio.timeout(20):
                await host()
        finally:
            (await over).unwrap()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    gc.collect()
    assert complaints == []


class Net:
    """Between the two loops of one thread: what one plays, the other gets."""

    def __init__(self) -> None:
        self._to_asyncio: asyncio.Queue[int] = asyncio.Queue()
        self._send, self._to_trio = trio.open_memory_channel[int](100)
        self._token: trio.lowlevel.TrioToken | None = None
        self.up = asyncio.Event()

    def put_up(self) -> None:
        """Open it, on Trio; asyncio's side waits until it is `up`."""
        self._token = trio.lowlevel.current_trio_token()
        self.up.set()

    def soon_on_trio(self, callback: Callable[..., object], *args: Any) -> None:
        assert self._token is not None
        self._token.run_sync_soon(callback, *args)

    def to_trio(self, ball: int) -> None:
        self.soon_on_trio(self._send.send_nowait, ball)

    def to_asyncio(self, ball: int) -> None:
        self._to_asyncio.put_nowait(ball)

    async def on_asyncio(self) -> int:
        return await self._to_asyncio.get()

    async def on_trio(self) -> int:
        return await self._to_trio.receive()


# --- a Trio guest run: both loops in one thread


@pytest.mark.parametrize(
    "eager",
    [
        False,
        pytest.param(True, marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="new")),
    ],
)
def test_guest_run_gives_each_call_the_loop_of_its_task(eager: bool) -> None:
    """R50: with a call at work on each side, whichever helper, its jobs run where it was called."""
    net = Net()

    async def play(ball: int) -> int:
        net.to_trio(ball)
        await asyncio.sleep(0)
        assert await check_asyncio() == "asyncio"
        return await net.on_asyncio()

    async def play_back() -> int:
        ball = await net.on_trio()
        await trio.lowlevel.checkpoint()
        assert await check_trio() == "trio"
        net.to_asyncio(ball + 1)
        return ball

    async def host() -> None:
        await net.up.wait()
        for ball, helper in enumerate(HELPERS):
            assert plain_values(await run_helper(helper, [play(ball)])) == [ball + 1]

    async def guest() -> None:
        net.put_up()
        for ball, helper in enumerate(HELPERS):
            assert plain_values(await run_helper(helper, [play_back()])) == [ball]

    run_as_guest(host, guest, eager=eager)


def test_guest_run_streams_take_turns() -> None:
    """R50, R24: the blocks of two streams are open at once, each item lets the other loop go on."""
    net = Net()
    trace: list[str] = []

    async def host() -> None:
        await net.up.wait()
        calls = waitkit.call_each(on_asyncio, range(3))
        async with waitkit.as_completed_outcomes(calls, max_concurrency=1) as stream:
            async for outcome in stream:
                trace.append(f"asyncio {outcome.key}")
                net.to_trio(outcome.key)
                await net.on_asyncio()

    async def guest() -> None:
        net.put_up()
        calls = waitkit.call_each(on_trio, range(3))
        async with waitkit.as_completed_outcomes(calls, max_concurrency=1) as stream:
            async for outcome in stream:
                await net.on_trio()
                trace.append(f"trio {outcome.key}")
                net.to_asyncio(outcome.key)

    run_as_guest(host, guest)
    assert trace == ["asyncio 0", "trio 0", "asyncio 1", "trio 1", "asyncio 2", "trio 2"]


def test_guest_run_cancellation_stays_on_its_side() -> None:
    """R21, R22, R23: a scope ends Trio's call, `Task.cancel` asyncio's; the other one runs on."""
    net = Net()
    scope = trio.CancelScope()
    ended: list[str] = []
    to_cancel: list[asyncio.Task[Any]] = []

    async def forever(name: str, call: Callable[[], object], wait: Awaitable[None]) -> None:
        call()
        try:
            await wait
        finally:
            ended.append(name)

    async def host() -> None:
        async def outlives_the_other() -> int:
            await net.on_asyncio()
            net.soon_on_trio(scope.cancel)
            return await net.on_asyncio()

        assert await waitkit.first_error([outlives_the_other()]) == [2]
        tells = partial(net.to_trio, 3)
        call = waitkit.gather_partial([forever("asyncio", tells, forever_on_asyncio())])
        to_cancel.append(asyncio.ensure_future(call))
        with pytest.raises(asyncio.CancelledError, match="by Trio"):
            await to_cancel[0]
        assert ended == ["trio", "asyncio"]
        net.to_trio(4)

    async def guest() -> None:
        net.put_up()
        with scope:
            tells = partial(net.to_asyncio, 1)
            await waitkit.gather_partial([forever("trio", tells, forever_on_trio())])
        assert scope.cancelled_caught
        assert ended == ["trio"]

        async def outlives_the_other() -> int:
            net.to_asyncio(2)
            assert await net.on_trio() == 3
            to_cancel[0].cancel("by Trio")
            return await net.on_trio()

        assert await waitkit.first_error([outlives_the_other()]) == [4]

    run_as_guest(host, guest)


def test_guest_run_deadlines_are_kept_on_both_sides() -> None:
    """R17, R20: each by the clock of its own loop."""

    async def host() -> None:
        answer = await waitkit.gather_partial([forever_on_asyncio()], timeout=0.01)
        assert answer.timed_out
        with pytest.raises(waitkit.DeadlineError):
            await waitkit.first_error([forever_on_asyncio()], timeout=0.01)

    async def guest() -> None:
        answer = await waitkit.gather_partial([forever_on_trio()], timeout=0.01)
        assert answer.timed_out
        with pytest.raises(waitkit.DeadlineError):
            await waitkit.first_error([forever_on_trio()], timeout=0.01)

    run_as_guest(host, guest)


# --- one loop inside another


CHECKS: dict[str, Callable[[], Coroutine[Any, Any, str]]] = {
    "asyncio": check_asyncio,
    "trio": check_trio,
}


def run(name: str, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(main()) if name == "asyncio" else trio.run(main)


def waker() -> tuple[Callable[[], object], asyncio.Event | trio.Event]:
    """An event of the loop that runs, and what sets it from any thread."""
    if sniffio.current_async_library() == "trio":
        event = trio.Event()
        return partial(trio.lowlevel.current_trio_token().run_sync_soon, event.set), event
    bell = asyncio.Event()
    return partial(asyncio.get_running_loop().call_soon_threadsafe, bell.set), bell


@pytest.mark.parametrize("inner", CHECKS)
@pytest.mark.parametrize("outer", CHECKS)
def test_loop_in_a_thread_of_another_gets_its_own_backend(outer: str, inner: str) -> None:
    """R50: `asyncio.run` in `trio.to_thread.run_sync` and the reverse, while both have a call."""

    async def main() -> None:
        wake_outer, inner_is_at_work = waker()
        wake_inner: list[Callable[[], object]] = []

        async def in_thread() -> list[str]:
            wake, outer_has_been_at_work = waker()
            wake_inner.append(wake)

            async def job() -> str:
                wake_outer()
                await outer_has_been_at_work.wait()
                return await CHECKS[inner]()

            return await waitkit.first_error([job()])

        async def beside() -> str:
            await inner_is_at_work.wait()
            answer = await CHECKS[outer]()
            wake_inner[0]()
            return answer

        to_thread = asyncio.to_thread if outer == "asyncio" else trio.to_thread.run_sync
        thread = to_thread(run, inner, in_thread)
        assert await waitkit.first_error((thread, beside())) == ([inner], outer)

    run(outer, main)


@pytest.mark.parametrize("name", CHECKS)
def test_blocking_portal_gets_the_backend_of_its_loop(name: str) -> None:
    """R50: the loop of a portal runs in a thread; waitkit is called through it from outside."""
    with anyio.from_thread.start_blocking_portal(name) as portal:
        assert portal.call(CHECKS[name]) == name


def test_trio_run_in_a_task_of_asyncio_gets_trio() -> None:
    """R50: as in a notebook, whose cells run on asyncio; the call around it goes on afterwards."""

    async def main() -> None:
        calls = waitkit.call_each(on_asyncio, range(3))
        async with waitkit.as_completed_outcomes(calls, max_concurrency=1) as outcomes:
            async for outcome in outcomes:
                assert trio.run(check_trio) == "trio"
                assert await check_asyncio() == "asyncio"
                assert outcome.unwrap() == outcome.key

    asyncio.run(main())
