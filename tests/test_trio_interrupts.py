"""R14, R51: Ctrl-C under Trio, at whichever step it strikes, by a real SIGINT."""

from __future__ import annotations

import signal
import sys
from itertools import count
from typing import Any

import pytest
import trio

import virtual_time
import waitkit
from cancelling import USES, Ledger, Scenario
from jobs import HELPERS, RACES, Broken, fail, run_helper, value
from test_cancellation import (
    async_source,
    deadline,
    failure_and_slow_cleanup,
    limit,
    scenario,
    values,
)

IN_BLOCK = [use for use in USES if not use.endswith("-bare")]


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def run_interrupted(case: Scenario, at: int) -> tuple[bool, BaseException | None]:
    """Run a scenario with a SIGINT before the step with this number; was there one, what came."""
    ledger = Ledger()
    steps = 0
    sent = within = False
    came: BaseException | None = None

    def on_step() -> None:
        nonlocal steps, sent
        if within:
            if steps == at:
                sent = True
                interrupt()
            steps += 1

    async def main() -> None:
        nonlocal within, came
        within = True
        try:
            await case(ledger)
        except BaseException as error:
            came = error
            raise
        finally:
            within = False
            ledger.check()

    out: BaseException | None = None
    try:
        virtual_time.run(main, mode="trio", on_step=on_step)
    except BaseException as error:
        out = error
    assert isinstance(out, KeyboardInterrupt) == sent, f"at step {at} of {steps}: {out!r}"
    return sent, came


@pytest.mark.parametrize("given", [values, failure_and_slow_cleanup, deadline, limit, async_source])
@pytest.mark.parametrize("use", IN_BLOCK)
def test_interrupt_at_any_step(use: str, given: Any) -> None:
    """R14, R22, R29, R51: it comes out bare, after all jobs have ended and all is disposed of."""
    case = scenario(use, given)
    outcomes = []
    for at in count():
        sent, came = run_interrupted(case, at)
        if not sent:
            break
        outcomes.append(came)
    groups = [came for came in outcomes if isinstance(came, BaseExceptionGroup)]
    assert not groups or "success" in use
    assert [came for came in outcomes if isinstance(came, KeyboardInterrupt)]


@pytest.mark.parametrize("helper", HELPERS)
def test_interrupt_in_a_job(helper: str) -> None:
    """R14, R51: a job's own code is not protected; it is never data, and ends the others first."""
    ledger = Ledger()
    reached = []

    async def interrupted() -> None:
        await trio.sleep(1)
        interrupt()
        reached.append("what is behind it")

    async def main() -> None:
        with pytest.raises(KeyboardInterrupt):
            await run_helper(helper, [ledger.job("a", 9, cleanup=1), interrupted()])
        ledger.check()
        assert trio.current_time() == 2
        assert not reached

    virtual_time.run(main, mode="trio")


def test_interrupt_in_dispose() -> None:
    """R29, R51: it strikes that call of `dispose`, and no other; then it comes out."""
    disposed: list[str] = []
    errors: list[BaseException] = []

    async def dispose(value: str) -> None:
        if value == "a":
            interrupt()
        await trio.sleep(1)
        disposed.append(value)

    async def main() -> None:
        jobs = [value("a", 1), value("b", 1), fail(Broken(), 2)]
        try:
            await waitkit.first_error(jobs, dispose=dispose)
        except BaseException as error:
            errors.append(error)

    virtual_time.run(main, mode="trio")
    assert disposed == ["b"]
    (error,) = errors
    assert type(error) is KeyboardInterrupt


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("helper", HELPERS)
def test_interrupt_in_a_source(helper: str, limit: int | None) -> None:
    """R28, R51: an endless one can be stopped; who asks for the next input is no matter."""
    ledger = Ledger()
    reached: list[str] = []

    def source() -> Any:
        for number in range(5):
            yield ledger.job(f"job {number}", 1)
        interrupt()
        reached.append("what is behind it")

    async def main() -> None:
        # A race with a limit is over with its first job.
        options = {} if helper in RACES else {"max_concurrency": limit}
        with pytest.raises(KeyboardInterrupt):
            ledger.take(await run_helper(helper, source(), dispose=ledger.dispose, **options))
        assert not reached

    virtual_time.run(main, mode="trio")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to oneself there")
def test_second_interrupt_does_not_cut_the_cleanup_short() -> None:
    """R23, R51: of several the last one comes out."""
    ledger = Ledger()

    async def impatient() -> None:
        for _ in range(3):
            await trio.sleep(1)
            interrupt()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(impatient)
            with pytest.raises(KeyboardInterrupt):
                await waitkit.first_error([ledger.job("a", 9, cleanup=5)])
            assert trio.current_time() == 6
            ledger.check()

    with pytest.raises(BaseExceptionGroup):
        virtual_time.run(main, mode="trio")
