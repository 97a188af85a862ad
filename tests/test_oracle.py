"""Every helper gives the same answer as a plain loop on `asyncio.wait` does on the same schedule.

The model hears of an end a few turns of the loop later than the engine does. So it has to agree
in all where no two jobs end at the same time, and in what comes out where many do but each job
starts at once. (The ties of jobs that wait for a slot are held by `test_properties.py`.)
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import oracle
from playing import Record, play
from schedules import (
    ASYNC,
    HELPERS,
    ITERATORS,
    PROMPT,
    SETTINGS,
    SIZED,
    Schedule,
    schedules,
)
from virtual_time import ASYNCIO_MODES, BLOCK_MODES
from waitkit.testing.strategies import Consumer, Job

every_setting = pytest.mark.parametrize("setting", SETTINGS)
every_helper = pytest.mark.parametrize("helper", HELPERS)


def ask_oracle(helper: str, schedule: Schedule) -> Record:
    """What the model does on that schedule; it knows asyncio only."""
    mode = "default" if schedule.mode in BLOCK_MODES else schedule.mode
    return play(helper, replace(schedule, mode=mode), oracle.conduct)


@every_setting
@every_helper
@given(
    schedule=schedules(
        distinct=True,
        shapes=PROMPT,
        timeouts=(None, 0.75, 2.75, 6.75, 20.75),
        pauses=(0, 1 / 16, 3 + 1 / 16, 100 + 1 / 16),
        leaves=True,
    )
)
@example(
    Schedule(
        jobs=(Job(1), Job(2), Job(4)),
        consumer=Consumer(pause=99),
        shape="call_each",
        limit=1,
        timeout=20.75,
    )
)
def test_oracle_agrees_where_jobs_end_one_by_one(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R2, R3, R7-R10, R17-R20, R29, R50: delivered, raised, disposed of, and when: all the same."""
    schedule = schedule.on(setting)
    record = play(helper, schedule)
    assume(not set(record.woke_at) & set(record.ended_at))
    model = ask_oracle(helper, schedule)
    assert record.agrees_with(model), (record.answer(), model.answer())
    if record.broke_off and (schedule.shape in ASYNC or schedule.mode in BLOCK_MODES):
        return  # the next input may be on its way, or have had its first step, or not
    assert sorted(record.disposed) == sorted(model.disposed)
    if not (schedule.slow_dispose and record.disposed):
        assert record.returned_at == model.returned_at


@every_helper
@given(schedule=schedules(shapes=PROMPT, timeouts=(None,), pauses=(0,), leaves=True, limits=False))
def test_oracle_agrees_where_many_end_at_once(helper: str, schedule: Schedule) -> None:
    """R7, R9, R10, R18: of jobs that end in the same tick too, the same come out, in order."""
    assert play(helper, schedule).answer() == ask_oracle(helper, schedule).answer()


@every_setting
@every_helper
@given(schedule=schedules(shapes=SIZED + ITERATORS, timeouts=(0, -1), pauses=(0,)))
@example(
    Schedule((Job(), Job()), limit=1, timeout=0, mode=ASYNCIO_MODES[-1])
)  # eager, if there is that
def test_oracle_agrees_where_there_is_no_time(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R20: with a timeout of zero what is already done counts, and nothing else gets to run."""
    schedule = schedule.on(setting)
    assert play(helper, schedule).answer() == ask_oracle(helper, schedule).answer()


@given(
    helper=st.sampled_from(HELPERS),
    schedule=schedules(shapes=("tasks",), timeouts=(None, 0, -1), pauses=(0,), limits=False),
)
def test_oracle_agrees_on_what_is_done_already(helper: str, schedule: Schedule) -> None:
    """R7, R20: Tasks that are done when they are given come first, and count though time is up."""
    assert play(helper, schedule).answer() == ask_oracle(helper, schedule).answer()
