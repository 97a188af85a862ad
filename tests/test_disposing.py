"""R29: how the function `dispose` may behave, and when it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from typing import Any

import pytest

from cancelling import USES, Ledger, current_task
from jobs import FAIL_FAST, RACES, at, cut_off, now

BARE_USES = [use for use in USES if use.endswith("-bare")]  # which there are on asyncio alone
NEUTRAL_USES = [use for use in USES if use not in BARE_USES]
COLLECTING_USES = [
    use for use in NEUTRAL_USES if use.partition("-")[0] in FAIL_FAST and use != "first_completed"
]
BARE_FAIL_FAST_USES = [use for use in BARE_USES if use.partition("-")[0] in FAIL_FAST]


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


@pytest.mark.only("asyncio")
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


@pytest.mark.parametrize("use", NEUTRAL_USES)
async def test_cancellations_do_not_cut_a_disposal_short(use: str) -> None:
    """R23, R29: it is awaited to its end, whatever comes."""
    ledger = Ledger()
    jobs = [ledger.job("a", 99, refuses=1), ledger.job("b", 99, refuses=1)]
    with cut_off(0.5, 1.75, 2.25):
        await USES[use](ledger, jobs, dispose=ledger.dispose_slowly)
    assert sorted(ledger.disposed) == ["a", "b"]
    assert now() == 2.5


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("use", USES)
async def test_of_cancellations_during_a_disposal_the_last_comes_out(use: str) -> None:
    """R23, R29: after the disposals have come to their end."""
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
    """R29: what it returns is awaited if it can be, be it a coroutine or not."""
    ledger = Ledger()

    class Closing:
        def __init__(self, value: str) -> None:
            self.value = value

        def __await__(self) -> Generator[Any, Any, None]:
            return ledger.dispose_slowly(self.value).__await__()

    jobs = [ledger.job("a", 1), ledger.job("b", 9, refuses=1), ledger.job("c", 9, refuses=1)]
    await USES["first_completed"](ledger, jobs, dispose=Closing)
    assert sorted(ledger.disposed) == ["b", "c"]
    ledger.check()


@pytest.mark.only("asyncio")
async def test_dispose_may_return_a_task() -> None:
    """R29: a Task or a Future is awaited as well."""
    ledger = Ledger()
    closing: list[asyncio.Task[None]] = []

    def dispose(value: str) -> asyncio.Task[None]:
        closing.append(asyncio.ensure_future(ledger.dispose_slowly(value)))
        return closing[-1]

    jobs = [ledger.job("a", 1), ledger.job("b", 1), ledger.job("c", 1)]
    await USES["first_completed"](ledger, jobs, dispose=dispose)
    assert [task.done() for task in closing] == [True, True]
    ledger.check()


@pytest.mark.only("asyncio")
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("use", BARE_FAIL_FAST_USES)
async def test_dispose_without_a_block_behaves_no_otherwise(
    use: str, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """R12, R22, R29: it runs when all jobs have ended, and its errors are logged."""
    await test_dispose_runs_after_all_jobs_have_ended(use)
    await test_dispose_that_raises_is_logged_and_hides_nothing(use, is_async, caplog)
