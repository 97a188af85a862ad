"""Jobs that keep account of what happens to them, and a driver that cancels their caller."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import anyio
import pytest

import virtual_time
import waitkit
from jobs import COLLECTORS, RACES, STREAMS, at, cancelled_error, clean_up


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def cancel_at(when: float, message: str | None = None) -> None:
    """Have the current task cancelled at that time of the loop's clock."""
    at(when, current_task().cancel, message)


Stream: TypeAlias = Callable[..., waitkit.ResultStream[Any]]
each_stream = pytest.mark.parametrize(
    "make_stream", [getattr(waitkit, name) for name in STREAMS], ids=STREAMS
)


class Ledger:
    """Makes jobs, and knows of each how it went and what became of its value.

    The value of a job is its name.
    """

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []  # ran their cleanup to its end
        self.cancelled: Counter[str] = Counter()  # how often each was
        self.made: list[str] = []  # values returned
        self.taken: list[str] = []  # values that came out of a helper
        self.disposed: list[str] = []  # values that went to `dispose`

    async def job(
        self,
        name: str,
        seconds: float | None = 1.0,
        *,
        error: BaseException | None = None,
        cleanup: float = 0,
        cleanup_error: BaseException | None = None,
        refuses: float | None = None,
    ) -> str:
        """Work for some seconds (None: without any await), then return the name or raise `error`.

        Whatever ends it, `cleanup` seconds follow, and `cleanup_error`. One that `refuses` ignores
        its cancellation: it works that many seconds more, and returns.
        """
        self.started.append(name)
        interrupted: BaseException | None = None
        try:
            try:
                if seconds is not None:
                    await anyio.sleep(seconds)
            except cancelled_error():
                self.cancelled[name] += 1
                if refuses is None:
                    raise
                interrupted = await self.see_through(name, refuses)
            if error is not None:
                raise error
        finally:
            if cleanup:
                interrupted = await self.see_through(name, cleanup)
            self.ended.append(name)
            if cleanup_error is not None:
                raise cleanup_error
            if interrupted is not None:
                raise interrupted
        self.made.append(name)
        return name

    async def see_through(self, name: str, seconds: float) -> BaseException | None:
        """Take that time even if cancelled meanwhile, once; give back the cancellation."""
        if virtual_time.in_block():  # where cancellation strikes again and again
            await clean_up(seconds)
            return None
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError as interrupted:
            self.cancelled[name] += 1
            await asyncio.sleep(seconds)
            return interrupted
        return None

    def take(self, answer: Any) -> None:
        """Count the values in what a helper gave back."""
        match answer:
            case str():
                self.taken.append(answer)
            case waitkit.Partial():
                self.taken.extend(answer.results.values())
            case waitkit.Success():
                self.taken.append(answer.value)
            case dict():
                self.taken.extend(answer.values())
            case tuple():  # key and value
                self.taken.append(answer[1])
            case list():
                self.taken.extend(answer)

    def dispose(self, value: str) -> None:
        self.disposed.append(value)

    async def dispose_slowly(self, value: str) -> None:
        await anyio.sleep(0.5)
        self.disposed.append(value)

    def check(self) -> None:
        """All that a helper promises of its jobs, once it has ended (R22, R23, R29)."""
        assert sorted(self.ended) == sorted(self.started), "some have not finished their cleanup"
        assert max(self.cancelled.values(), default=0) <= 1, "some were cancelled twice"
        assert sorted(self.taken + self.disposed) == sorted(self.made), (
            "a value is lost, or doubled"
        )


# --- every helper, used to its end: `use(ledger, aws, **options)`

Use: TypeAlias = Callable[..., Coroutine[Any, Any, None]]


def _awaited(helper: Callable[..., Awaitable[object]]) -> Use:
    async def use(ledger: Ledger, aws: Any, **options: Any) -> None:
        ledger.take(await helper(aws, **{"dispose": ledger.dispose} | options))

    return use


def _in_block(helper: Callable[..., waitkit.ResultStream[Any]]) -> Use:
    async def use(ledger: Ledger, aws: Any, **options: Any) -> None:
        async with helper(aws, **{"dispose": ledger.dispose} | options) as stream:
            async for item in stream:
                ledger.take(item)
                await anyio.sleep(0.25)  # so that the consumer, too, is cancelled at its work

    return use


def _bare(helper: Callable[..., waitkit.ResultStream[Any]]) -> Use:
    async def use(ledger: Ledger, aws: Any, **options: Any) -> None:
        async for item in helper(aws, **{"dispose": ledger.dispose} | options):
            ledger.take(item)

    return use


USES: dict[str, Use] = {
    **{name: _awaited(getattr(waitkit, name)) for name in COLLECTORS + RACES},
    **{f"{name}-block": _in_block(getattr(waitkit, name)) for name in STREAMS},
    **{f"{name}-bare": _bare(getattr(waitkit, name)) for name in STREAMS},
}


# --- the driver

Scenario: TypeAlias = Callable[[Ledger], Coroutine[Any, Any, object]]


class Run(NamedTuple):
    """How a scenario went whose caller was cancelled at certain moments."""

    cancels: int  # that came before its end
    moments: int  # that the run took
    started: int  # jobs
    complaints: list[dict[str, Any]]  # to the loop's exception handler


def cancel_at_every_tick(
    scenario: Scenario,
    *,
    mode: virtual_time.AsyncioMode = "default",
    twice: bool = False,
    scoped: bool = False,
) -> int:
    """Rerun a scenario with its caller cancelled at each moment of it; return the number of runs.

    Once: at every turn of the loop, and before every callback in it. `twice`: at every pair of
    turns. `scoped`: not the task is cancelled, but a scope of anyio around the scenario.

    After each run: every job that started has ended and finished its cleanup before the helper
    returned, was cancelled once at most, and its value was taken or disposed of; the cancellation
    came out, with the message of the last, if and only if it came before the end; the count of
    `Task.cancelling` is right; nothing is left running, and the loop did not complain. (A scope
    keeps the cancellation to itself; there nothing else comes out, and the loop has not spun.)
    """
    runs: list[Run] = []
    for first in count():
        run = _run(scenario, mode, (first,), every_callback=not twice, scoped=scoped)
        runs.append(run)
        if not run.cancels:
            break
        if twice:
            for second in count(first):
                runs.append(_run(scenario, mode, (first, second), every_callback=False))
                if runs[-1].moments <= second:
                    break
    assert run.started, "no job was started: the scenario does not do what it means to"
    gc.collect()  # what nobody retrieved complains now
    complaints = [complaint for run in runs for complaint in run.complaints]
    assert not complaints, f"the loop's exception handler was called: {complaints}"
    return len(runs)


def _run(
    scenario: Scenario,
    mode: virtual_time.AsyncioMode,
    at: Iterable[int],
    *,
    every_callback: bool,
    scoped: bool = False,
) -> Run:
    loop = virtual_time.new_loop(mode)
    asyncio.set_event_loop(loop)
    ledger = Ledger()
    due = sorted(at)
    cancels = moments = 0
    scope: anyio.CancelScope | None = None

    def moment() -> None:
        nonlocal cancels, moments
        while due and due[0] == moments:
            cancels += cancel(f"cancellation {len(due)} from the end")
            del due[0]
        moments += 1

    def cancel(message: str) -> bool:
        if not scoped:
            return caller.cancel(message)
        if scope is not None:
            scope.cancel()
        return not caller.done()

    async def call() -> None:
        nonlocal scope
        try:
            if scoped:
                with anyio.CancelScope() as scope:
                    if cancels:  # before there was a scope
                        scope.cancel()
                    await scenario(ledger)
            else:
                await scenario(ledger)
        finally:
            left = asyncio.all_tasks() - {caller}
            assert not left, f"still running when the helper returned: {left}"

    loop.on_turn = lambda _: moment()
    spy = virtual_time.Spy(call())
    if every_callback:
        loop.before_each_step(moment)
    error: BaseException | None = None
    try:
        caller = contextvars.Context().run(loop.create_task, spy)
        try:
            loop.run_until_complete(caller)
        except (Exception, asyncio.CancelledError) as raised:
            error = raised
        due.clear()
        try:
            assert not isinstance(error, AssertionError), error
            ledger.check()
            if scoped:
                assert not isinstance(error, asyncio.CancelledError), "out of its scope"
                assert loop.turns < 1000, "the loop has been spinning"
                assert not (cancels and error), f"{error!r} broke through the scope"
            elif isinstance(error, asyncio.CancelledError):
                assert cancels, "a cancellation out of nowhere"
                assert error.args == spy.thrown[-1].args
            else:
                assert not cancels, f"the cancellation was swallowed, and {error!r} came out"
            assert caller.cancelling() == (0 if scoped else cancels)
            left = asyncio.all_tasks(loop)
            assert not left, f"left running: {left}"
        except AssertionError as failed:
            failed.add_note(f"with the caller cancelled at moment {at} of {moments}, mode {mode}")
            raise
        loop.run_until_complete(loop.shutdown_asyncgens())
        return Run(cancels, moments, len(ledger.started), loop.complaints)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        del error  # its traceback holds this frame


def cancel_scope_at_every_step(scenario: Scenario, mode: virtual_time.BlockMode) -> int:
    """The same where jobs live in a block, and only scopes cancel: before each step of any task.

    A failure that is being cleaned up when the scope is cancelled comes out of it (R52).
    """
    runs = [_run_in_block(scenario, mode, first) for first in range(_run_in_block(scenario, mode))]
    assert len(runs) > 3, "hardly a step was taken: the scenario does not do what it means to"
    return len(runs)


def _run_in_block(
    scenario: Scenario, mode: virtual_time.BlockMode, cancel_at: int | None = None
) -> int:
    """Tell how many steps it took."""
    ledger = Ledger()
    scope: anyio.CancelScope | None = None
    steps = cancels = 0

    def on_step() -> None:
        nonlocal steps, cancels
        if scope is not None:
            if steps == cancel_at:
                cancels += 1
                scope.cancel()
            steps += 1

    async def main() -> None:
        nonlocal scope
        error: BaseException | None = None
        with anyio.CancelScope() as scope:
            try:
                await scenario(ledger)
            except (Exception, cancelled_error()) as raised:
                error = raised
                ledger.check()
                raise_cancelled = isinstance(error, cancelled_error())
                assert cancels or not raise_cancelled, "a cancellation out of nowhere"
                assert "unhandled" not in str(error)
                assert "nursery" not in str(error)
                if raise_cancelled:
                    raise
        scope = None

    try:
        virtual_time.run(main, mode=mode, on_step=on_step)
        ledger.check()
    except AssertionError as failed:
        failed.add_note(f"with the scope cancelled at step {cancel_at} of {steps}, mode {mode}")
        raise
    return steps
