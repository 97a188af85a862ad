"""Every helper gives the same answer as a plain loop on `asyncio.wait` does on the same schedule.

The model hears of an end a few turns of the loop later than the engine does. So it has to agree
in all where no two jobs end at the same time, and in what comes out where many do but each job
starts at once. (The ties of jobs that wait for a slot are held by `test_properties.py`.)
"""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import oracle
from playing import Record, play
from schedules import (
    ASYNC,
    FAILURES_AS_DATA,
    HELPERS,
    ITERATORS,
    PROMPT,
    SIZED,
    Job,
    Schedule,
    schedules,
)
from virtual_time import MODES  # the last is the eager one, where there is one

every_helper = pytest.mark.parametrize("helper", HELPERS)


def answer(record: Record) -> tuple[object, ...]:
    # Cleanups that take equally long may end in any order: which one depends on other timers.
    cut_off = [entry for entry in record.delivered if entry[0] == "deadline"]
    delivered = [entry for entry in record.delivered if entry not in cut_off]
    timed_out = record.timed_out if record.helper in FAILURES_AS_DATA else None
    return delivered, sorted(cut_off), record.verdict(), timed_out


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
@example(Schedule((Job(1), Job(2), Job(4)), "call_each", limit=1, timeout=20.75, pause=99))
def test_oracle_agrees_where_jobs_end_one_by_one(helper: str, schedule: Schedule) -> None:
    """R2, R3, R7-R10, R17-R20, R29: delivered, raised, disposed of, and when: all the same."""
    record = play(helper, schedule)
    assume(not set(record.woke_at) & set(record.ended_at))
    model = play(helper, schedule, oracle.conduct)
    assert answer(record) == answer(model)
    if record.broke_off and schedule.shape in ASYNC:
        return  # the next input may be on its way, or not
    assert sorted(record.disposed) == sorted(model.disposed)
    if not (schedule.slow_dispose and record.disposed):
        assert record.returned_at == model.returned_at


@every_helper
@given(schedule=schedules(shapes=PROMPT, timeouts=(None,), pauses=(0,), leaves=True, limits=False))
def test_oracle_agrees_where_many_end_at_once(helper: str, schedule: Schedule) -> None:
    """R7, R9, R10, R18: of jobs that end in the same tick too, the same come out, in order."""
    assert answer(play(helper, schedule)) == answer(play(helper, schedule, oracle.conduct))


@every_helper
@given(schedule=schedules(shapes=SIZED + ITERATORS, timeouts=(0, -1), pauses=(0,)))
@example(Schedule((Job(), Job()), limit=1, timeout=0, mode=MODES[-1]))
def test_oracle_agrees_where_there_is_no_time(helper: str, schedule: Schedule) -> None:
    """R20: with a timeout of zero what is already done counts, and nothing else gets to run."""
    assert answer(play(helper, schedule)) == answer(play(helper, schedule, oracle.conduct))


@given(
    helper=st.sampled_from(HELPERS),
    schedule=schedules(shapes=("tasks",), timeouts=(None, 0, -1), pauses=(0,), limits=False),
)
def test_oracle_agrees_on_what_is_done_already(helper: str, schedule: Schedule) -> None:
    """R7, R20: Tasks that are done when they are given come first, and count though time is up."""
    assert answer(play(helper, schedule)) == answer(play(helper, schedule, oracle.conduct))
