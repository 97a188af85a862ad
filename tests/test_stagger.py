"""R19: the stagger of `first_success`: the next input starts later, or when one fails."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

import waitkit
from jobs import Broken, aiter_of, at, fail, future, never, now, outside, value


class Starts:
    """Jobs that note when they start."""

    def __init__(self) -> None:
        self.at: list[float] = []

    async def job(self, after: float | None = None, error: Exception | None = None) -> Any:
        """Return the number of the job, or raise; None: never end."""
        number = len(self.at)
        self.at.append(now())
        if after is None:
            await never()
        elif after:
            await anyio.sleep(after)
        if error is not None:
            raise error
        return number


async def test_the_next_starts_a_stagger_after_the_last() -> None:
    """R19: one at a time, s seconds apart, until one wins."""
    starts = Starts()
    jobs = (starts.job(25) for _ in range(100))
    assert await waitkit.first_success(jobs, stagger=10) == 0
    assert starts.at == [0, 10, 20]


async def test_a_failure_hurries_the_next() -> None:
    """R19: as soon as one fails the next starts, and the stagger counts from there."""
    starts = Starts()
    jobs = [starts.job(3, Broken()), starts.job(), starts.job(), starts.job(1)]
    assert await waitkit.first_success(jobs, stagger=10) == 3
    assert starts.at == [0, 3, 13, 23]


async def test_any_failure_hurries_the_next_not_only_the_last_ones() -> None:
    """R19: an older job that fails counts as well."""
    starts = Starts()
    jobs = [starts.job(14, Broken()), starts.job(), starts.job(), starts.job(1)]
    assert await waitkit.first_success(jobs, stagger=10) == 3
    assert starts.at == [0, 10, 14, 24]


async def test_each_failure_of_a_tick_starts_one_more() -> None:
    """R19: two failures at once bring in two."""
    starts = Starts()
    gates = [future(), future()]
    for gate in gates:
        at(15, gate.set_exception, Broken())

    async def waiting(gate: Any) -> Any:
        starts.at.append(now())
        await gate

    jobs = (waiting(gates[0]), waiting(gates[1]), starts.job(), starts.job(1))
    index, _ = await waitkit.first_success(jobs, stagger=10)
    assert index == 3
    assert starts.at == [0, 10, 15, 15]


@pytest.mark.only("direct")
async def test_a_lost_job_hurries_the_next() -> None:
    """R19, R13: a job that was cancelled from elsewhere is out of the race, and makes room."""
    starts = Starts()
    gone = outside()
    at(2, gone.cancel)
    assert await waitkit.first_success([gone, starts.job(1)], stagger=10) == 0
    assert starts.at == [2]


@pytest.mark.parametrize("stagger", [10, 0, float("inf"), 1e9])
async def test_failures_in_a_first_step_hurry_too(stagger: float) -> None:
    """R19: jobs that fail before they ever wait follow each other without delay."""
    starts = Starts()
    jobs = (*(starts.job(0, Broken()) for _ in range(3)), starts.job(1))
    index, _ = await waitkit.first_success(jobs, stagger=stagger)
    assert index == 3
    assert starts.at == [0, 0, 0, 0]


async def test_all_failing_ends_the_race_without_the_stagger() -> None:
    """R19, R18: when all have failed nothing waits for a stagger that brings nobody."""
    errors = [Broken(index) for index in range(3)]
    with pytest.raises(ExceptionGroup) as caught:
        await waitkit.first_success([fail(error, 1) for error in errors], stagger=100)
    assert list(caught.value.exceptions) == errors
    assert now() == 3


async def test_a_stagger_of_zero_starts_all_and_lets_others_run() -> None:
    """R19: with no delay each starts in a turn of the loop of its own, at the same time."""
    starts = Starts()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while len(starts.at) < 50:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        jobs = (starts.job(1) for _ in range(50))
        await waitkit.first_success(jobs, stagger=0)
    assert starts.at == [0] * 50
    assert turns >= 49


async def test_a_value_in_the_first_step_starts_no_second() -> None:
    """R19: the second input is not even taken when the first wins at once."""
    taken: list[str] = []

    def source() -> Any:
        for name in "ab":
            taken.append(name)
            yield value(name)

    assert await waitkit.first_success(source(), stagger=5) == "a"
    assert taken == ["a"]


async def test_an_infinite_stagger_waits_for_failures() -> None:
    """R19: the next input starts only when one fails."""
    starts = Starts()
    jobs = [starts.job(5, Broken()), starts.job(7, Broken()), starts.job(1), starts.job(1)]
    assert await waitkit.first_success(jobs, stagger=float("inf")) == 2
    assert starts.at == [0, 5, 12]


@pytest.mark.real_time
async def test_an_infinite_stagger_is_fine_with_every_loop() -> None:
    """R19: no loop is asked for a timer that it cannot have."""
    jobs = [fail(Broken()), value("b")]
    assert await waitkit.first_success(jobs, stagger=float("inf")) == "b"
    jobs = [fail(Broken()), value("b")]
    assert await waitkit.first_success(jobs, stagger=1e300) == "b"


async def test_no_stagger_starts_all_at_once() -> None:
    """R19: `None` is no stagger."""
    starts = Starts()
    jobs = tuple(starts.job(after) for after in range(1, 6))
    index, _ = await waitkit.first_success(jobs, stagger=None)
    assert index == 0
    assert starts.at == [0] * 5


@pytest.mark.parametrize(
    ("stagger", "error"),
    [(float("nan"), ValueError), (-1, ValueError), (-0.1, ValueError), ("1", TypeError)],
)
async def test_a_stagger_that_makes_no_sense_is_refused(stagger: Any, error: type) -> None:
    """R19, R32: NaN, less than zero or no number: an error before anything starts."""
    starts = Starts()
    with pytest.raises(error, match="stagger"):
        await waitkit.first_success([starts.job(1)], stagger=stagger)
    assert starts.at == []


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_a_limit_holds_the_stagger_back(limit: int) -> None:
    """R19, R2: with all slots taken the next waits until one fails, and then starts at once."""
    starts = Starts()
    jobs = [starts.job(50, Broken()), *(starts.job(100) for _ in range(9))]
    await waitkit.first_success(jobs, stagger=10, max_concurrency=limit)
    began = [float(10 * number) for number in range(limit)]
    assert starts.at == [*began, 50]


async def test_a_stagger_runs_on_after_a_limit_held_it_back() -> None:
    """R19: after such a start the next is due one stagger later."""
    starts = Starts()
    jobs = [starts.job(50, Broken()), starts.job(52, Broken()), *(starts.job() for _ in range(2))]
    jobs.append(starts.job(1))
    with pytest.raises(waitkit.DeadlineError):
        await waitkit.first_success(jobs, stagger=10, max_concurrency=2, timeout=1000)
    assert starts.at == [0, 10, 50, 62]


async def test_an_async_source_is_staggered_too() -> None:
    """R19: what an async iterable brings starts when it is due, and hurries like the rest."""
    starts = Starts()
    source = aiter_of([starts.job(3, Broken()), starts.job(), starts.job(15), starts.job()])
    assert await waitkit.first_success(source, stagger=10) == 2
    assert starts.at == [0, 3, 13, 23]


async def test_the_winner_stops_the_stagger() -> None:
    """R19: nothing starts after the race is won, and no timer is left behind."""
    starts = Starts()
    assert await waitkit.first_success([starts.job(5), starts.job(1)], stagger=10) == 0
    await anyio.sleep(100)
    assert starts.at == [0]


@pytest.mark.parametrize("timeout", [0, 5, 10, 15])
async def test_the_deadline_strikes_amid_a_stagger(timeout: float) -> None:
    """R19, R20: inputs whose turn has not come are left."""
    starts = Starts()
    jobs = [starts.job() for _ in range(3)]
    with pytest.raises(waitkit.DeadlineError):
        await waitkit.first_success(jobs, stagger=10, timeout=timeout)
    assert now() == timeout
    assert len(starts.at) <= (2 if timeout >= 10 else 1)


async def test_a_hedged_request_is_rid_of_its_slow_twin() -> None:
    """R19: the use it is for: a second try when the first is slow, and the faster one wins."""
    starts = Starts()
    answer = await waitkit.first_success((starts.job(60), starts.job(1)), stagger=2)
    assert answer == (1, 1)
    assert now() == 3
