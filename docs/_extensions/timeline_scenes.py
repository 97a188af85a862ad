"""What the timelines show: one scene for each helper, and a stage that records how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import waitkit

CLEANUP = 0.5  # seconds that a cancelled job takes


class JobError(Exception):
    pass


@dataclass
class Bar:
    """One job: when it ran, and what came of it."""

    name: str
    start: float
    end: float = 0
    how: str = "value"
    cancelled_at: float | None = None


class Stage:
    """Runs a scene, and keeps what happened when."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []
        self.told: list[tuple[float, str]] = []  # what the caller was handed one by one
        self.result = ""  # how the call ended
        self.ended_at = 0.0

    async def play(self, scene: Scene) -> None:
        try:
            self.result = await scene(self) or ""
        except (JobError, waitkit.DeadlineError) as error:
            self.result = f"raises {_name_of(error)}"
        except asyncio.CancelledError:
            self.result = "CancelledError"
        self.ended_at = _now()
        self.bars.sort(key=lambda bar: bar.name)

    async def job(self, name: str, seconds: float, *, fails: bool = False) -> str:
        bar = Bar(name, _now())
        self.bars.append(bar)
        try:
            await asyncio.sleep(seconds)
            if fails:
                bar.how = "error"
                raise JobError(name)
        except asyncio.CancelledError:
            bar.how, bar.cancelled_at = "cancelled", _now()
            await asyncio.sleep(CLEANUP)
            raise
        else:
            return name
        finally:
            bar.end = _now()

    def tell(self, what: str) -> None:
        self.told.append((_now(), what))

    def handed_out(self) -> Iterator[tuple[float, str]]:
        """What the caller was handed, all that came at one time in one."""
        for time in dict.fromkeys(time for time, _ in self.told):
            yield time, ", ".join(what for at, what in self.told if at == time)


Scene: TypeAlias = Callable[[Stage], Awaitable[str | None]]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _name_of(error: Exception) -> str:
    return f"error of {error}" if isinstance(error, JobError) else type(error).__name__


async def _tell_all(stage: Stage, stream: waitkit.ResultStream[str]) -> None:
    async with stream as results:
        async for result in results:
            stage.tell(result)


async def _tell_all_outcomes(
    stage: Stage, stream: waitkit.ResultStream[waitkit.Outcome[int, str]]
) -> None:
    async with stream as outcomes:
        async for outcome in outcomes:
            match outcome:
                case waitkit.Success(value):
                    stage.tell(value)
                case waitkit.Failure(error):
                    stage.tell(f"error of {error}")
                case waitkit.Cancelled():
                    stage.tell("cancelled")


async def as_completed_results(stage: Stage) -> None:
    """Two at a time: c starts when b ends. Each result is handed out when its job ends."""
    jobs = [stage.job("a", 3), stage.job("b", 1), stage.job("c", 1.2)]
    await _tell_all(stage, waitkit.as_completed_results(jobs, max_concurrency=2))


async def in_order_results(stage: Stage) -> None:
    """The results in the order of the inputs: b and c have to wait for a."""
    jobs = [stage.job("a", 2), stage.job("b", 1), stage.job("c", 3)]
    await _tell_all(stage, waitkit.in_order_results(jobs))


async def as_completed_outcomes(stage: Stage) -> None:
    """b fails, which is handed out like a result, and ends nothing else."""
    jobs = [stage.job("a", 3), stage.job("b", 1, fails=True), stage.job("c", 2)]
    await _tell_all_outcomes(stage, waitkit.as_completed_outcomes(jobs))


async def in_order_outcomes(stage: Stage) -> None:
    """In the order of the inputs, failures too: that of b waits for a."""
    jobs = [stage.job("a", 2), stage.job("b", 1, fails=True), stage.job("c", 3)]
    await _tell_all_outcomes(stage, waitkit.in_order_outcomes(jobs))


async def first_error(stage: Stage) -> str:
    """b fails: a is cancelled at once, and cleans up (dashed). Then the error of b is raised."""
    jobs = [stage.job("a", 4), stage.job("b", 2, fails=True), stage.job("c", 1)]
    return f"returns {await waitkit.first_error(jobs)}"


async def gather_partial(stage: Stage) -> str:
    """With timeout=2.5: what is there by then is kept, and a is cancelled and awaited."""
    jobs = [stage.job("a", 4), stage.job("b", 2, fails=True), stage.job("c", 1)]
    partial = await waitkit.gather_partial(jobs, timeout=2.5)
    assert partial.timed_out
    return "returns Partial"


async def first_completed(stage: Stage) -> str:
    """The reader ends, so the writer is cancelled, and cleans up. Then the value is returned."""
    jobs = {"reader": stage.job("reader", 2), "writer": stage.job("writer", 5)}
    winner, _ = await waitkit.first_completed(jobs)
    return f"returns {winner}"


async def first_success(stage: Stage) -> str:
    """With stagger=1: b starts a second after a, c as soon as a has failed, and b wins."""
    jobs = [stage.job("a", 1.5, fails=True), stage.job("b", 2), stage.job("c", 4)]
    return f"returns {await waitkit.first_success(jobs, stagger=1)}"


async def cancel_and_wait(stage: Stage) -> str:
    """With grace=1: a ends by itself, b and c are cancelled, and have cleaned up at the end."""
    jobs = [("a", 0.7), ("b", 5), ("c", 5)]
    tasks = [asyncio.create_task(stage.job(name, seconds)) for name, seconds in jobs]
    await waitkit.cancel_and_wait(tasks, grace=1)
    return "returns []"


async def caller_cancelled(stage: Stage) -> str:
    """You are cancelled after 1.5 s: the jobs are cancelled, and only then does it come out."""
    caller = asyncio.current_task()
    assert caller is not None
    asyncio.get_running_loop().call_later(1.5, caller.cancel)
    jobs = [stage.job("a", 4), stage.job("b", 1), stage.job("c", 3)]
    return f"returns {await waitkit.first_error(jobs)}"


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        as_completed_results,
        in_order_results,
        as_completed_outcomes,
        in_order_outcomes,
        first_error,
        gather_partial,
        first_completed,
        first_success,
        cancel_and_wait,
        caller_cancelled,
    )
}
