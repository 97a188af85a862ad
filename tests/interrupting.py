"""A program that interrupts itself: each helper, by SIGINT, before every step of its loop in turn.

    python tests/interrupting.py asyncio once      `asyncio.run` makes it a cancellation of main
    python tests/interrupting.py asyncio twice     the second one breaks out of the loop
    python tests/interrupting.py asyncio uncaught  one run, and nothing catches what comes out
    python tests/interrupting.py eager once        with asyncio's eager tasks
    python tests/interrupting.py trio once

It runs apart from the tests, so that it has the signal to itself, on real event loops, and without
anyio where it does without Trio. No job sleeps: they take turns, and a run takes no time. It prints
a line of JSON for each case, with what was not as promised.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeAlias

import waitkit

STREAMS = (
    "as_completed_results",
    "as_completed_outcomes",
    "in_order_results",
    "in_order_outcomes",
)
AWAITED = ("first_error", "gather_partial", "first_completed", "first_success")

logged: list[BaseException | None] = []


class Collector(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logged.append(record.exc_info[1] if record.exc_info else None)


class Broken(Exception):
    """What jobs fail with."""


# --- the two loops


class OnAsyncio:
    Cancelled: type[BaseException] = asyncio.CancelledError

    def __init__(self, *, eager: bool) -> None:
        self._eager = eager

    async def turn(self) -> None:
        await asyncio.sleep(0)

    async def clean_up(self) -> None:
        for _ in range(2):
            await asyncio.sleep(0)

    def run(
        self,
        main: Callable[[], Coroutine[Any, Any, None]],
        on_step: Callable[[], None],
        problems: list[str],
    ) -> None:
        """As `asyncio.run` does; what the loop's exception handler is told is a problem."""

        class Ready(deque[Any]):
            def popleft(self) -> Any:
                if not over:
                    on_step()
                return super().popleft()

        over = False
        with asyncio.Runner() as runner:
            loop: Any = runner.get_loop()
            loop.set_exception_handler(lambda _, context: problems.append(str(context)))
            loop._ready = Ready(loop._ready)  # where asyncio's loops have their callbacks
            if self._eager:
                loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]  # from 3.12 on
            try:
                runner.run(main())
            finally:
                over = True  # from here on, the signal is as in code that is not async


class OnTrio:
    def __init__(self) -> None:
        import trio

        self.trio = trio
        self.Cancelled: type[BaseException] = trio.Cancelled

    async def turn(self) -> None:
        await self.trio.lowlevel.checkpoint()

    async def clean_up(self) -> None:
        with self.trio.CancelScope(shield=True):
            for _ in range(2):
                await self.trio.lowlevel.checkpoint()

    def run(
        self,
        main: Callable[[], Coroutine[Any, Any, None]],
        on_step: Callable[[], None],
        problems: list[str],
    ) -> None:
        class Steps(self.trio.abc.Instrument):  # type: ignore[misc, name-defined]
            def before_task_step(self, task: Any) -> None:
                on_step()

        self.trio.run(main, instruments=[Steps()])


# --- what is interrupted


class Jobs:
    """Makes jobs, and knows of each how it went and what became of its value, its name."""

    def __init__(self, loop: OnAsyncio | OnTrio) -> None:
        self.loop = loop
        self.started: list[str] = []
        self.ended: list[str] = []  # ran their cleanup to its end
        self.made: list[str] = []
        self.taken: list[str] = []
        self.disposed: list[str] = []

    async def job(self, name: str, turns: int, how: str = "") -> str:
        """Take so many turns, then a few to clean up."""
        self.started.append(name)
        try:
            try:
                for _ in range(turns):
                    await self.loop.turn()
                if how == "fails":
                    raise Broken(name)
            except self.loop.Cancelled:
                if how != "refuses":
                    raise
        finally:
            await self.clean_up(name)
        self.made.append(name)
        return name

    async def clean_up(self, name: str) -> None:
        try:
            await self.loop.clean_up()
        finally:
            self.ended.append(name)

    async def dispose(self, value: str) -> None:
        self.disposed.append(value)
        await self.loop.clean_up()

    def take(self, answer: Any) -> None:
        match answer:
            case str():
                self.taken.append(answer)
            case list():
                self.taken.extend(answer)
            case waitkit.Success():
                self.taken.append(answer.value)
            case waitkit.Partial():
                self.taken.extend(answer.results.values())

    def check(self) -> list[str]:
        """What is not as promised of the jobs when their helper has ended (R22, R29)."""
        problems: list[str] = []
        if sorted(self.ended) != sorted(self.started):
            problems.append(f"started {self.started}, ended {self.ended}")
        if sorted(self.taken + self.disposed) != sorted(self.made):
            problems.append(f"made {self.made}, taken {self.taken}, disposed {self.disposed}")
        return problems


Call: TypeAlias = Callable[[Jobs], Coroutine[Any, Any, None]]


def values(jobs: Jobs) -> list[Any]:
    return [jobs.job("a", 1), jobs.job("b", 3, "refuses"), jobs.job("c", 2), jobs.job("d", 3)]


def failure(jobs: Jobs) -> list[Any]:
    return [jobs.job("a", 1), jobs.job("b", 2, "fails"), jobs.job("c", 6, "refuses")]


async def source(jobs: Jobs) -> AsyncIterator[Any]:
    jobs.started.append("source")
    try:
        for name in "abc":
            await jobs.loop.turn()
            yield jobs.job(name, 1)
    finally:
        await jobs.clean_up("source")


async def call_helper(name: str, aws: Any, jobs: Jobs, *, limit: int | None, bare: bool) -> None:
    options = {} if limit is None else {"max_concurrency": limit}
    call = getattr(waitkit, name)(aws, dispose=jobs.dispose, **options)
    if not isinstance(call, waitkit.ResultStream):
        jobs.take(await call)
    elif bare:
        async for item in call:
            jobs.take(item)
    else:
        async with call:
            async for item in call:
                jobs.take(item)


async def stop(given: list[Any], jobs: Jobs) -> None:
    """Stop Tasks that would end by themselves; what they return is their owner's, who has it."""
    tasks = [asyncio.create_task(job) for job in given]
    try:
        await waitkit.cancel_and_wait(tasks, grace=3600)
    finally:
        for task in tasks:
            if task.done() and not task.cancelled() and task.exception() is None:
                jobs.take(task.result())


def cases(*, on_trio: bool) -> Iterator[tuple[str, Call]]:
    """Each helper, in each of its forms, with different jobs."""
    forms = [(name, False) for name in STREAMS + AWAITED]
    if not on_trio:
        forms += [(name, True) for name in STREAMS]
    for (name, bare), make in itertools.product(forms, (values, failure, source)):
        for limit in (None,) if name == "first_completed" else (None, 2):
            yield (
                f"{name}{' bare' if bare else ''}, {make.__name__}, limit {limit}",
                lambda jobs, name=name, make=make, limit=limit, bare=bare: call_helper(  # type: ignore[misc]
                    name, make(jobs), jobs, limit=limit, bare=bare
                ),
            )
    if not on_trio:
        yield "cancel_and_wait, values", lambda jobs: stop(values(jobs), jobs)
        yield "cancel_and_wait, failure", lambda jobs: stop(failure(jobs), jobs)


# --- the driver


def run(loop: OnAsyncio | OnTrio, call: Call, strikes: Sequence[int]) -> tuple[int, list[str]]:
    """Run with a SIGINT before each of these steps; how many there were, and what went wrong."""
    jobs = Jobs(loop)
    due = deque(strikes)
    steps = 0
    problems: list[str] = []

    def on_step() -> None:
        nonlocal steps
        if due and due[0] == steps:
            due.popleft()
            steps += 1  # before the signal: its handler may raise
            signal.raise_signal(signal.SIGINT)
        else:
            steps += 1

    async def main() -> None:
        try:
            await call(jobs)
        except (Broken, ExceptionGroup):
            pass
        finally:
            problems.extend(jobs.check())

    interrupted = False
    try:
        loop.run(main, on_step, problems)
    except KeyboardInterrupt:
        interrupted = True
    except BaseException as error:
        problems.append(f"out came {error!r}")
    sent = len(strikes) - len(due)
    if interrupted != (sent > 0):
        problems.append(f"{sent} signals, but out came {'one' if interrupted else 'none'}")
    # `asyncio.run` cancels an async `dispose` itself when it is left by the second signal.
    expected = Broken if sent < 2 else (Broken, asyncio.CancelledError)
    problems += [f"logged {error!r}" for error in logged if not isinstance(error, expected)]
    logged.clear()
    return sent, [f"{problem}, interrupted at {strikes}" for problem in problems]


def every_moment(loop: OnAsyncio | OnTrio, call: Call, *, twice: bool) -> tuple[int, list[str]]:
    """Run as often as it has steps; a second signal comes one step after the first, or two."""
    problems: list[str] = []
    runs = 0
    for first in itertools.count():
        strikes = (first, first + 1 + first % 2) if twice else (first,)
        sent, wrong = run(loop, call, strikes)
        problems += wrong
        runs += 1
        if not sent:
            break
    gc.collect()  # what nobody awaited or retrieved is told of now, on stderr
    return runs, problems


def run_uncaught(loop: OnAsyncio | OnTrio) -> None:
    jobs = Jobs(loop)
    problems: list[str] = []
    steps = itertools.count()

    def on_step() -> None:
        if next(steps) == 20:
            signal.raise_signal(signal.SIGINT)

    try:
        loop.run(
            lambda: call_helper("first_error", values(jobs), jobs, limit=None, bare=False),
            on_step,
            problems,
        )
    finally:
        print(json.dumps({"case": "uncaught", "runs": 1, "problems": problems + jobs.check()}))


def main(backend: str, how: str) -> None:
    loop = OnTrio() if backend == "trio" else OnAsyncio(eager=backend == "eager")
    logger = logging.getLogger("waitkit")
    logger.addHandler(Collector())
    logger.propagate = False
    if how == "uncaught":
        run_uncaught(loop)
        return
    gc.freeze()  # so that a collection looks only at what a run has made
    for case, call in cases(on_trio=backend == "trio"):
        runs, problems = every_moment(loop, call, twice=how == "twice")
        print(json.dumps({"case": case, "runs": runs, "problems": problems}))


if __name__ == "__main__":
    main(*sys.argv[1:])
