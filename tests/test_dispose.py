"""R29: a result that nobody will get goes to `dispose`, once, before the helper returns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

import waitkit
from cancelling import USES, Ledger, cancel_at, current_task
from jobs import FAIL_FAST, OUTCOME_STREAMS, RACES, STREAMS, at, now, value

FAIL_FAST_USES = [use for use in USES if use.partition("-")[0] in FAIL_FAST]
COLLECTING_USES = [use for use in FAIL_FAST_USES if use != "first_completed"]
BLOCK_USES = [f"{name}-block" for name in STREAMS]


@pytest.fixture(params=["sync", "async"])
def dispose(request: pytest.FixtureRequest) -> Callable[[Ledger], Callable[[str], object]]:
    """Both kinds of function that may be given."""
    if request.param == "sync":
        return lambda ledger: ledger.dispose
    return lambda ledger: ledger.dispose_slowly


Dispose = Callable[[Ledger], Callable[[str], object]]


# --- what is disposed of


@pytest.mark.parametrize("use", COLLECTING_USES)
async def test_values_beside_a_failure_are_disposed_of(use: str, dispose: Dispose) -> None:
    """R29: what finished before the failure and was not delivered, and what comes after it."""
    ledger = Ledger()
    jobs = [
        ledger.job("a", 99, cleanup=1),
        ledger.job("b", 1),
        ledger.job("c", 2, error=ValueError("c")),
        ledger.job("d", 2),
        ledger.job("e", 99, refuses=3),
    ]
    with pytest.raises(ValueError, match="c"):
        await USES[use](ledger, jobs, dispose=dispose(ledger))
    ledger.check()
    assert "e" in ledger.disposed
    assert set(ledger.made) == {"b", "d", "e"}


@pytest.mark.parametrize("use", FAIL_FAST_USES)
async def test_values_beside_a_deadline_are_disposed_of(use: str, dispose: Dispose) -> None:
    """R20, R29: of a call whose deadline has passed, what comes in spite of it."""
    ledger = Ledger()
    jobs = [ledger.job("a", 99, refuses=1), ledger.job("b", 99)]
    with pytest.raises(waitkit.DeadlineError):
        await USES[use](ledger, jobs, dispose=dispose(ledger), timeout=1)
    assert ledger.disposed == ["a"]
    ledger.check()


@pytest.mark.parametrize("race", RACES)
async def test_losers_of_a_race_are_disposed_of(race: str, dispose: Dispose) -> None:
    """R18, R29: those of the winner's own tick, and those that come in spite of their cancel."""
    ledger = Ledger()
    jobs = [
        ledger.job("a", 99, refuses=2),
        ledger.job("b", 1),
        ledger.job("c", 1),
        ledger.job("d", 99, cleanup=1),
    ]
    await USES[race](ledger, jobs, dispose=dispose(ledger))
    ledger.check()
    assert ledger.taken == ["b"]
    assert sorted(ledger.disposed) == ["a", "c"]


@pytest.mark.parametrize("race", RACES)
async def test_winner_whose_caller_is_cancelled_is_disposed_of(race: str, dispose: Dispose) -> None:
    """R23, R29: the caller leaves while losers are awaited: the winner, too, was for nothing."""
    ledger = Ledger()
    cancel_at(2)
    with pytest.raises(asyncio.CancelledError):
        await USES[race](
            ledger,
            [ledger.job("winner", 1), ledger.job("loser", 99, refuses=3)],
            dispose=dispose(ledger),
        )
    assert sorted(ledger.disposed) == ["loser", "winner"]


@pytest.mark.parametrize("race", RACES)
async def test_winner_whose_caller_is_cancelled_while_losers_are_disposed_of(race: str) -> None:
    """R29: even then it is not too late, and the slow disposal is seen through."""
    ledger = Ledger()
    cancel_at(1.25)
    with pytest.raises(asyncio.CancelledError):
        await USES[race](
            ledger,
            [ledger.job("winner", 1), ledger.job("loser", 1)],
            dispose=ledger.dispose_slowly,
        )
    assert ledger.disposed == ["loser", "winner"]
    assert now() == 2


@pytest.mark.parametrize("use", USES)
async def test_values_of_a_cancelled_caller_are_disposed_of(use: str, dispose: Dispose) -> None:
    """R23, R29: what it has not got when it is cancelled it will never get."""
    ledger = Ledger()
    cancel_at(0.5)
    jobs = [ledger.job("a", 99, refuses=1), ledger.job("b", 99, cleanup=2)]
    with pytest.raises(asyncio.CancelledError):
        await USES[use](ledger, jobs, dispose=dispose(ledger))
    assert ledger.disposed == ["a"]


@pytest.mark.parametrize("use", ["first_error", "gather_partial"])
async def test_values_collected_for_a_cancelled_caller_are_disposed_of(
    use: str, dispose: Dispose
) -> None:
    """R29: a collector that had some of its results already gives none of them."""
    ledger = Ledger()
    cancel_at(3)
    jobs = [ledger.job("a", 1), ledger.job("b", 2), ledger.job("c", 99)]
    with pytest.raises(asyncio.CancelledError):
        await USES[use](ledger, jobs, dispose=dispose(ledger))
    assert ledger.disposed == ["a", "b"]


@pytest.mark.parametrize("name", STREAMS)
async def test_what_a_closed_stream_still_held_is_disposed_of(name: str, dispose: Dispose) -> None:
    """R29: values that had finished and were not delivered when the stream was left."""
    ledger = Ledger()
    jobs = [ledger.job(job, 1) for job in "abc"] + [ledger.job("d", 99, refuses=1)]
    async with getattr(waitkit, name)(jobs, dispose=dispose(ledger)) as stream:
        ledger.take(await anext(stream))
    ledger.check()
    assert len(ledger.taken) == 1
    assert len(ledger.disposed) == 3


@pytest.mark.parametrize("name", STREAMS)
async def test_each_value_is_disposed_of_once_however_often_a_stream_is_closed(name: str) -> None:
    """R26, R29: closing again, by the block and by hand, disposes of nothing again."""
    ledger = Ledger()
    async with getattr(waitkit, name)([ledger.job("a", 1)], dispose=ledger.dispose) as stream:
        await asyncio.sleep(2)
        await stream.aclose()
        await stream.aclose()
    await stream.aclose()
    assert ledger.disposed == ["a"]


@pytest.mark.parametrize("name", OUTCOME_STREAMS)
async def test_dispose_gets_values_and_no_outcomes(name: str) -> None:
    """R29: of an undelivered outcome only the value of a success is disposed of."""
    disposed: list[Any] = []
    failing = Ledger().job("b", 1, error=ValueError("b"))
    jobs = {"key": value("a", 1), "other": failing, "falsy": value(None, 1)}
    async with getattr(waitkit, name)(jobs, dispose=disposed.append):
        await asyncio.sleep(2)
    assert disposed == ["a", None]


@pytest.mark.parametrize("use", [*RACES, "first_error", *BLOCK_USES])
async def test_future_given_twice_is_disposed_of_once(use: str) -> None:
    """R4, R29: a value that stands at two places is one value."""
    ledger = Ledger()
    task = asyncio.ensure_future(ledger.job("a", 99, refuses=1))
    cancel_at(1)
    with pytest.raises(asyncio.CancelledError):
        await USES[use](ledger, [task, task], dispose=ledger.dispose)
    assert ledger.disposed == ["a"]


async def test_winner_that_was_given_twice_is_not_disposed_of() -> None:
    """R4, R29: a winner's second place is no loser."""
    for race in RACES:
        ledger = Ledger()
        task = asyncio.ensure_future(ledger.job("a", 1))
        await USES[race](ledger, [task, task, ledger.job("b", 9)], dispose=ledger.dispose)
        ledger.check()
        assert ledger.taken == ["a"]


async def test_task_that_drain_left_untaken_is_disposed_of() -> None:
    """R26, R29: what an untaken Task returns in spite of its cancel is delivered to nobody."""
    ledger = Ledger()
    tasks = [asyncio.ensure_future(ledger.job("late", 99, refuses=1))]
    jobs = [ledger.job("a", 1), *tasks]
    stream = waitkit.as_completed_results(jobs, max_concurrency=1, dispose=ledger.dispose)
    async with stream:
        await asyncio.sleep(0)
        stream.drain()
        async for item in stream:
            ledger.take(item)
    assert ledger.taken == ["a"]
    assert ledger.disposed == ["late"]


# --- what is not


@pytest.mark.parametrize("use", USES)
async def test_delivered_values_are_never_disposed_of(use: str) -> None:
    """R29: what the caller has got is the caller's."""
    ledger = Ledger()
    await USES[use](ledger, [ledger.job("a", 1)], dispose=ledger.dispose)
    assert ledger.taken == ["a"]
    assert ledger.disposed == []


@pytest.mark.parametrize("plain_too", [False, True])
@pytest.mark.parametrize("use", [use for use in USES if not use.endswith("-bare")])
async def test_borrowed_values_are_never_disposed_of(use: str, plain_too: bool) -> None:
    """R1, R29: what is borrowed is its owner's, also where it is given plain beside that."""
    ledger = Ledger()
    disposed: list[str] = []
    early = asyncio.ensure_future(value("early", 1))
    late = asyncio.ensure_future(value("late", 5))
    aws: list[Any] = [waitkit.borrowed(early), waitkit.borrowed(late)]
    if plain_too:
        aws += [early, late]
    cancel_at(1)
    with pytest.raises(asyncio.CancelledError):
        await USES[use](ledger, [*aws, ledger.job("own", 99, refuses=1)], dispose=disposed.append)
    assert set(disposed) <= {"own"}
    assert await late == "late"


@pytest.mark.parametrize("race", RACES)
async def test_borrowed_winner_of_a_cancelled_caller_is_not_disposed_of(race: str) -> None:
    """R1, R29: nor is a borrowed winner that could not be handed over."""
    ledger = Ledger()
    lent = asyncio.ensure_future(value("winner", 1))
    cancel_at(2)
    with pytest.raises(asyncio.CancelledError):
        await USES[race](
            ledger,
            [waitkit.borrowed(lent), ledger.job("loser", 99, refuses=3)],
            dispose=ledger.dispose,
        )
    assert ledger.disposed == ["loser"]


async def test_values_are_dropped_where_no_dispose_is_given() -> None:
    """R29: without `dispose` what nobody gets is simply dropped."""
    ledger = Ledger()
    jobs = [ledger.job("a", 1), ledger.job("b", 1), ledger.job("c", 99, refuses=1)]
    assert await waitkit.first_completed(jobs) == "a"


# --- how dispose may behave


def failing_dispose(ledger: Ledger, *, is_async: bool, error: BaseException) -> Any:
    async def dispose_async(value: str) -> None:
        await ledger.dispose_slowly(value)
        raise error

    def dispose(value: str) -> None:
        ledger.dispose(value)
        raise error

    return dispose_async if is_async else dispose


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("use", COLLECTING_USES)
async def test_dispose_that_raises_is_logged_and_hides_nothing(
    use: str, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R29: its error goes to the logger; the failure comes out, and no value is left out."""
    ledger = Ledger()
    error = OSError("cannot close")
    jobs = [ledger.job("a", 99, refuses=1), ledger.job("b", 1, error=ValueError("b"))]
    jobs.append(ledger.job("c", 99, refuses=1))
    with pytest.raises(ValueError, match="b"):
        await USES[use](
            ledger, jobs, dispose=failing_dispose(ledger, is_async=is_async, error=error)
        )
    ledger.check()
    records = [record for record in caplog.records if record.name == "waitkit"]
    assert [record.exc_info and record.exc_info[1] for record in records] == [error, error]
    assert all(record.levelno == logging.WARNING for record in records)


@pytest.mark.parametrize("race", RACES)
async def test_dispose_that_cancels_itself_is_no_cancellation_of_the_caller(
    race: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R13, R29: a CancelledError that comes from an async `dispose` is logged like any error."""
    ledger = Ledger()
    dispose = failing_dispose(ledger, is_async=True, error=asyncio.CancelledError("its own"))
    jobs = [ledger.job("a", 1), ledger.job("b", 1), ledger.job("c", 1)]
    await USES[race](ledger, jobs, dispose=dispose)
    ledger.check()
    assert ledger.taken == ["a"]
    assert len([record for record in caplog.records if record.name == "waitkit"]) == 2


@pytest.mark.parametrize("use", USES)
async def test_cancellations_do_not_cut_a_disposal_short(use: str) -> None:
    """R23, R29: it is awaited to its end, whatever comes, and the last cancellation comes out."""
    ledger = Ledger()
    task = current_task()
    jobs = [ledger.job("a", 99, refuses=1), ledger.job("b", 99, refuses=1)]
    for when in (0.5, 1.75, 2.25):
        at(when, task.cancel, f"at {when}")
    with pytest.raises(asyncio.CancelledError, match=r"at 2\.25"):
        await USES[use](ledger, jobs, dispose=ledger.dispose_slowly)
    assert sorted(ledger.disposed) == ["a", "b"]
    assert now() == 2.5
    assert task.cancelling() == 3


@pytest.mark.parametrize("use", COLLECTING_USES)
async def test_dispose_runs_after_all_jobs_have_ended(use: str) -> None:
    """R22, R29: and before the helper returns, so nothing that it closes is still in use."""
    ledger = Ledger()
    seen: list[tuple[float, list[str]]] = []
    jobs = [ledger.job("a", 1, error=ValueError("a")), ledger.job("b", 9, refuses=1)]
    jobs.append(ledger.job("c", 9, cleanup=3))
    with pytest.raises(ValueError, match="a"):
        await USES[use](ledger, jobs, dispose=lambda _: seen.append((now(), list(ledger.ended))))
    assert seen == [(4, ["a", "b", "c"])]


async def test_dispose_may_return_any_awaitable() -> None:
    """R29: what it returns is awaited if it can be: a Task or a Future as well."""
    ledger = Ledger()
    closing: list[asyncio.Task[None]] = []

    def dispose(value: str) -> asyncio.Task[None]:
        closing.append(asyncio.ensure_future(ledger.dispose_slowly(value)))
        return closing[-1]

    jobs = [ledger.job("a", 1), ledger.job("b", 1), ledger.job("c", 1)]
    await USES["first_completed"](ledger, jobs, dispose=dispose)
    assert [task.done() for task in closing] == [True, True]
    ledger.check()
