"""R29: a result that nobody will get goes to `dispose`, once, before the helper returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import virtual_time
import waitkit
from cancelling import USES, Ledger, cancel_at
from jobs import FAIL_FAST, OUTCOME_STREAMS, RACES, STREAMS, cut_off, now, value

BARE_USES = [use for use in USES if use.endswith("-bare")]  # which there are on asyncio alone
NEUTRAL_USES = [use for use in USES if use not in BARE_USES]
FAIL_FAST_USES = [use for use in NEUTRAL_USES if use.partition("-")[0] in FAIL_FAST]
COLLECTING_USES = [use for use in FAIL_FAST_USES if use != "first_completed"]
BARE_FAIL_FAST_USES = [use for use in BARE_USES if use.partition("-")[0] in FAIL_FAST]
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
    assert set(ledger.made) - {"d"} == {"b", "e"}
    if not virtual_time.on_trio():  # where it is cancelled if the failure happens to come first
        assert "d" in ledger.made


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
    assert "a" in ledger.disposed
    if not virtual_time.on_trio():  # where either of the two may win, and cancel the other
        assert ledger.taken == ["b"]
        assert sorted(ledger.disposed) == ["a", "c"]


@pytest.mark.only("asyncio")
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


@pytest.mark.only("asyncio")
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


@pytest.mark.only("blocks")
@pytest.mark.parametrize("race", RACES)
@pytest.mark.parametrize("when", [2, 4.25])
async def test_winner_whose_caller_is_cancelled_is_handed_over_on_trio(
    race: str, when: float
) -> None:
    """R29, R52: while losers are awaited or disposed of, the cancellation waits for its turn."""
    ledger = Ledger()
    jobs = [ledger.job("winner", 1), ledger.job("loser", 99, refuses=3)]
    with cut_off(when):
        await USES[race](ledger, jobs, dispose=ledger.dispose_slowly)
        assert ledger.taken == ["winner"]
        assert ledger.disposed == ["loser"]
        await anyio.lowlevel.checkpoint()
    assert now() == 4.5


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_values_of_a_cancelled_caller_are_disposed_of(use: str, dispose: Dispose) -> None:
    """R23, R29: what it has not got when it is cancelled it will never get."""
    ledger = Ledger()
    jobs = [ledger.job("a", 99, refuses=1), ledger.job("b", 99, cleanup=2)]
    with cut_off(0.5):
        await USES[use](ledger, jobs, dispose=dispose(ledger))
    assert ledger.disposed == ["a"]


@pytest.mark.parametrize("use", ["first_error", "gather_partial"])
async def test_values_collected_for_a_cancelled_caller_are_disposed_of(
    use: str, dispose: Dispose
) -> None:
    """R29: a collector that had some of its results already gives none of them."""
    ledger = Ledger()
    jobs = [ledger.job("a", 1), ledger.job("b", 2), ledger.job("c", 99)]
    with cut_off(3):
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
        await anyio.sleep(2)
        await stream.aclose()
        await stream.aclose()
    await stream.aclose()
    assert ledger.disposed == ["a"]


@pytest.mark.parametrize("name", OUTCOME_STREAMS)
async def test_dispose_gets_values_and_no_outcomes(name: str) -> None:
    """R29: of an undelivered outcome only the value of a success is disposed of."""
    disposed: list[Any] = []
    failing = Ledger().job("b", 1, error=ValueError("b"))
    jobs = {"key": value("a", 1), "other": failing, "falsy": value(None, 1.5)}
    async with getattr(waitkit, name)(jobs, dispose=disposed.append):
        await anyio.sleep(2)
    assert disposed == ["a", None]


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", [*RACES, "first_error", *BLOCK_USES])
async def test_future_given_twice_is_disposed_of_once(use: str) -> None:
    """R4, R29: a value that stands at two places is one value."""
    ledger = Ledger()
    task = asyncio.ensure_future(ledger.job("a", 99, refuses=1))
    cancel_at(1)
    with pytest.raises(asyncio.CancelledError):
        await USES[use](ledger, [task, task], dispose=ledger.dispose)
    assert ledger.disposed == ["a"]


@pytest.mark.only("asyncio")
async def test_winner_that_was_given_twice_is_not_disposed_of() -> None:
    """R4, R29: a winner's second place is no loser."""
    for race in RACES:
        ledger = Ledger()
        task = asyncio.ensure_future(ledger.job("a", 1))
        await USES[race](ledger, [task, task, ledger.job("b", 9)], dispose=ledger.dispose)
        ledger.check()
        assert ledger.taken == ["a"]


@pytest.mark.only("asyncio")
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


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_delivered_values_are_never_disposed_of(use: str) -> None:
    """R29: what the caller has got is the caller's."""
    ledger = Ledger()
    await USES[use](ledger, [ledger.job("a", 1)], dispose=ledger.dispose)
    assert ledger.taken == ["a"]
    assert ledger.disposed == []


@pytest.mark.only("asyncio")
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


@pytest.mark.only("asyncio")
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
    winner = await waitkit.first_completed(jobs)
    assert winner in ("a", "b") if virtual_time.on_trio() else winner == "a"


# --- the same without a block


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", BARE_FAIL_FAST_USES)
async def test_values_beside_a_failure_are_disposed_of_without_a_block(
    use: str, dispose: Dispose
) -> None:
    """R20, R29: a bare `async for` disposes of what comes beside a failure or a deadline."""
    await test_values_beside_a_failure_are_disposed_of(use, dispose)
    await test_values_beside_a_deadline_are_disposed_of(use, dispose)


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", BARE_USES)
async def test_values_of_a_cancelled_caller_are_disposed_of_without_a_block(
    use: str, dispose: Dispose
) -> None:
    """R23, R29: so does one whose caller is cancelled, and of what was delivered it does not."""
    await test_values_of_a_cancelled_caller_are_disposed_of(use, dispose)
    await test_delivered_values_are_never_disposed_of(use)
