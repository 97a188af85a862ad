"""Situations in which libraries differ: each is put to a peer, and the answer is yes or no.

All of them run in virtual time, on the event loop of `waitkit.testing`, but for one.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import warnings
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import trio
from peers_adapters import (
    COLLECTORS,
    RACES,
    STREAMS,
    Call,
    Collector,
    NotThereError,
    Race,
    Stream,
)

from waitkit.testing import new_event_loop

MARKS = {True: "yes", False: "no"}


class JobError(Exception):
    pass


class Value:
    """A result that a weak reference can watch."""


class Jobs:
    """Jobs, and a record of how they fared."""

    def __init__(self) -> None:
        self.begun = self.most = 0
        self.running: set[object] = set()
        self.cleaned: list[float] = []

    def job(
        self, seconds: float, *, error: Exception | None = None, cleanup: float | None = None
    ) -> Call:
        async def run() -> float:
            token = object()
            self.begun += 1
            self.running.add(token)
            self.most = max(self.most, len(self.running))
            try:
                await asyncio.sleep(seconds)
                if error is not None:
                    raise error
                return seconds
            except asyncio.CancelledError:
                if cleanup is not None:
                    await asyncio.sleep(cleanup)
                    self.cleaned.append(seconds)
                raise
            finally:
                self.running.discard(token)

        return run


async def all_of_one_tick_come(stream: Stream) -> bool:
    """all that end in one tick come out"""
    async with stream([Jobs().job(1) for _ in range(5)], None) as values:
        return len([value async for value in values]) == 5


async def leaving_ends_all(stream: Stream) -> bool:
    """`break` leaves nothing running"""
    jobs = Jobs()
    async with stream([jobs.job(seconds) for seconds in (1, 50, 60)], None) as values:
        async for _ in values:
            break
    return not jobs.running and asyncio.get_running_loop().time() < 50


async def failure_ends_all(stream: Stream) -> bool:
    """a failure leaves nothing running, and cleanups that await have ended"""
    jobs = Jobs()
    try:
        calls = [jobs.job(1, error=JobError()), jobs.job(50, cleanup=5)]
        async with stream(calls, None) as values:
            async for _ in values:
                pass
    except (JobError, ExceptionGroup):
        return not jobs.running and jobs.cleaned == [50]
    return False


async def failure_is_bare(stream: Stream) -> bool:
    """the error comes out bare, not in an `ExceptionGroup`"""
    try:
        async with stream([Jobs().job(1, error=JobError())], None) as values:
            async for _ in values:
                pass
    except JobError:
        return True
    except ExceptionGroup:
        pass
    return False


async def results_come_before_failure(stream: Stream) -> bool:
    """what ended before the failure, in its tick, comes out before it"""
    seen = []
    try:
        calls = [*(Jobs().job(1) for _ in range(20)), Jobs().job(1, error=JobError())]
        async with stream(calls, None) as values:
            async for value in values:
                seen.append(value)  # noqa: PERF401  # a comprehension loses them at the error
    except (JobError, ExceptionGroup):
        pass
    return len(seen) == 20


async def consumer_is_left_alone(stream: Stream) -> bool:
    """a failure does not cancel the consumer's own code"""
    done = False
    try:
        async with stream([Jobs().job(1), Jobs().job(2, error=JobError())], None) as values:
            async for _ in values:
                await asyncio.sleep(10)
                done = True
    except (JobError, ExceptionGroup):
        pass
    return done


async def cancelled_job_is_told(stream: Stream) -> bool:
    """a job cancelled from elsewhere is an error, and loses no other's result unsaid"""

    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    seen = []
    try:
        async with stream([Jobs().job(1), cancelled, Jobs().job(2)], None) as values:
            async for value in values:
                seen.append(value)  # noqa: PERF401  # a comprehension loses them at the error
    except asyncio.CancelledError:
        return False  # taken for the caller's own
    except Exception:
        return True
    return False


async def has_limit(stream: Stream) -> bool:
    """a limit on how many run"""
    jobs = Jobs()
    async with stream([jobs.job(1) for _ in range(10)], 3) as values:
        return len([value async for value in values]) == 10 and jobs.most == 3


async def takes_endless_input(stream: Stream) -> bool:
    """endless input, taken as slots fall free"""
    jobs = Jobs()
    seen = 0
    async with stream((jobs.job(1) for _ in itertools.count()), 3) as values:
        async for _ in values:
            seen += 1
            if seen == 10:
                break
    return jobs.begun < 30


async def holds_producers_back(stream: Stream) -> bool:
    """a slow consumer holds the jobs back"""
    jobs = Jobs()
    async with stream([jobs.job(1) for _ in range(1_000)], 3) as values:
        async for _ in values:
            await asyncio.sleep(100)
            break
        return jobs.begun < 30


async def lets_results_go(stream: Stream) -> bool:
    """a result that was delivered is let go"""

    async def make_value() -> Value:
        await asyncio.sleep(1)
        return Value()

    references = []
    async with stream([make_value, Jobs().job(2)], None) as values:
        async for value in values:
            if isinstance(value, Value):
                references.append(weakref.ref(value))
            del value
            gc.collect()
        return len(references) == 1 and references[0]() is None


async def collector_failure_ends_all(collector: Collector) -> bool:
    """a failure leaves nothing running, and cleanups that await have ended"""
    jobs = Jobs()
    try:
        await collector([jobs.job(1, error=JobError()), jobs.job(50, cleanup=5)], None)
    except (JobError, ExceptionGroup):
        return not jobs.running and jobs.cleaned == [50]
    return False


async def collector_failure_is_bare(collector: Collector) -> bool:
    """the error comes out bare, not in an `ExceptionGroup`"""
    try:
        await collector([Jobs().job(1, error=JobError())], None)
    except JobError:
        return True
    except ExceptionGroup:
        pass
    return False


async def collector_cleans_up_in_scope(collector: Collector) -> bool:
    """inside an anyio scope that is cancelled, cleanups that await end"""
    jobs = Jobs()
    with anyio.move_on_after(0.05):
        await collector([jobs.job(50, cleanup=0.05), jobs.job(60, cleanup=0.05)], None)
    return not jobs.running and sorted(jobs.cleaned) == [50, 60]


async def collector_has_limit(collector: Collector) -> bool:
    """a limit on how many run"""
    jobs = Jobs()
    return len(await collector([jobs.job(1) for _ in range(10)], 3)) == 10 and jobs.most == 3


async def collector_takes_lazily(collector: Collector) -> bool:
    """inputs are made as slots fall free"""
    jobs = Jobs()
    made = 0

    def calls() -> Iterator[Call]:
        nonlocal made
        for _ in range(1_000):
            made += 1
            yield jobs.job(1)

    collecting = asyncio.ensure_future(_swallow(collector(calls(), 3)))
    await asyncio.sleep(0.5)
    lazy = made < 30
    collecting.cancel()
    await collecting
    return lazy


async def _swallow(awaitable: Awaitable[Any]) -> None:
    with suppress(asyncio.CancelledError):
        await awaitable


async def collector_closes_what_never_ran(collector: Collector) -> bool:
    """after a failure, no coroutine is "never awaited\""""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        calls = [Jobs().job(1, error=JobError()), *(Jobs().job(1) for _ in range(3))]
        try:
            try:
                await collector(calls, 1)
            except NotThereError:
                await collector(calls, None)
        except (JobError, ExceptionGroup):
            pass
        gc.collect()
    return not caught


async def race_ends_with_winner(race: Race) -> bool:
    """ends when the winner does: the others are cancelled, and have cleaned up"""
    jobs = Jobs()
    await race([jobs.job(1), jobs.job(50, cleanup=5)])
    return not jobs.running and jobs.cleaned == [50] and asyncio.get_running_loop().time() < 50


async def race_goes_on_after_failure(race: Race) -> bool:
    """goes on when one fails"""
    return bool(await race([Jobs().job(1, error=JobError()), Jobs().job(2)]) == 2)


async def race_tells_all_failures(race: Race) -> bool:
    """tells of every failure when all fail"""
    try:
        await race([Jobs().job(seconds, error=JobError()) for seconds in (1, 2)])
    except ExceptionGroup as group:
        return len(group.exceptions) == 2
    except JobError:
        pass
    return False


async def race_is_silent(race: Race) -> bool:
    """a failure that was dealt with is not reported to the event loop as unhandled"""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    with suppress(JobError, ExceptionGroup):
        await race([Jobs().job(1, error=JobError()), Jobs().job(2)])
    gc.collect()
    await asyncio.sleep(1)
    return not complaints


STREAM_SITUATIONS: tuple[Callable[[Stream], Awaitable[bool]], ...] = (
    all_of_one_tick_come,
    leaving_ends_all,
    failure_ends_all,
    failure_is_bare,
    results_come_before_failure,
    consumer_is_left_alone,
    cancelled_job_is_told,
    has_limit,
    takes_endless_input,
    holds_producers_back,
    lets_results_go,
)
COLLECTOR_SITUATIONS: tuple[Callable[[Collector], Awaitable[bool]], ...] = (
    collector_failure_ends_all,
    collector_failure_is_bare,
    collector_cleans_up_in_scope,
    collector_closes_what_never_ran,
    collector_has_limit,
    collector_takes_lazily,
)
RACE_SITUATIONS: tuple[Callable[[Race], Awaitable[bool]], ...] = (
    race_ends_with_winner,
    race_goes_on_after_failure,
    race_tells_all_failures,
    race_is_silent,
)


def find_out(situation: Callable[[Any], Awaitable[bool]], peer: Any) -> str:
    """Put a peer into a situation, and say in a word how it did."""

    async def main() -> bool:
        try:
            return await situation(peer)
        except NotThereError:
            return False

    # A cancelled anyio scope turns the loop as long as it waits, and virtual time stands still.
    real = situation is collector_cleans_up_in_scope
    loop = asyncio.new_event_loop() if real else new_event_loop()
    loop.set_exception_handler(lambda _, context: None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = loop.run_until_complete(asyncio.wait_for(main(), 10_000))
            for task in asyncio.all_tasks(loop):  # what the peer has left behind
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0.1 if real else 100))
            gc.collect()
            return MARKS[answer]
    except Exception:
        return MARKS[False]  # it raised what nobody would expect there
    finally:
        loop.close()


async def runs_on_trio(kind: str, peer: Any) -> None:
    async def job() -> int:
        await anyio.lowlevel.checkpoint()
        return 1

    match kind:
        case "stream":
            async with peer([job], None) as values:
                assert [value async for value in values] == [1]
        case "collector":
            assert list(await peer([job], None)) == [1]
        case _:
            assert await peer([job]) == 1


def find_out_on_trio(kind: str, peer: Any) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trio.run(runs_on_trio, kind, peer)
            gc.collect()
    except BaseException:
        return "no"
    return "yes"


def show_table(kind: str, peers: dict[str, Any], situations: Iterable[Any]) -> None:
    print(f"\n| {kind} | " + " | ".join(f"`{name}`" for name in peers) + " |")
    print("|---" * (len(peers) + 1) + "|")
    for situation in situations:
        answers = [find_out(situation, peer) for peer in peers.values()]
        print(f"| {situation.__doc__} | " + " | ".join(answers) + " |")
    on_trio = [find_out_on_trio(kind, peer) for peer in peers.values()]
    print("| runs on Trio, too | " + " | ".join(on_trio) + " |")


def show_behaviour() -> None:
    logging.disable()
    show_table("stream", STREAMS, STREAM_SITUATIONS)
    show_table("collector", COLLECTORS, COLLECTOR_SITUATIONS)
    show_table("race", RACES, RACE_SITUATIONS)
