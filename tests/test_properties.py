"""The ordering invariants, on drawn schedules: every helper, over all limits and shapes of input.

A failing one is printed as a `Schedule(...)`; `play(helper, Schedule(...))` runs it again. The
profile `ci` draws 1,000 a test: `pytest --hypothesis-profile=ci tests/test_properties.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import virtual_time
import waitkit
from borrowing import borrowing, check_that_nobody_has_touched
from playing import Record, play
from schedules import (
    COLLECTORS,
    FAIL_FAST,
    FAIL_FAST_STREAMS,
    FAILING,
    FAILURES_AS_DATA,
    HARMLESS,
    HELPERS,
    ITERATORS,
    NOT_CANCELLED,
    PROMPT,
    RACES,
    SETTINGS,
    STARTED,
    STREAMS,
    Schedule,
    schedules,
)
from waitkit.testing import strategies

every_helper = pytest.mark.parametrize("helper", HELPERS)
every_setting = pytest.mark.parametrize("setting", SETTINGS)


def before_the_first_failure(record: Record) -> list[int]:
    values = []
    for how, index in record.ended:
        if how != "value":
            break
        values.append(index)
    return values


# --- 1. order


@every_setting
@given(schedule=schedules(shapes=STARTED, cancels=1, leaves=True))
def test_completion_order_of_outcomes_is_the_order_of_finishing(
    setting: str, schedule: Schedule
) -> None:
    """R7: outcomes come in the order in which the jobs finished, ties and all."""
    record = play("as_completed_outcomes", schedule.on(setting))
    finished = [index for _, index in record.ended]
    delivered = [index for how, index in record.delivered if index in finished]
    assert delivered == finished[: len(delivered)]
    if not (record.broke_off or record.sent):
        assert len(delivered) == len(finished)


@every_setting
@given(schedule=schedules(shapes=STARTED, leaves=True, bare=True))
def test_completion_order_of_results_is_the_order_of_finishing(
    setting: str, schedule: Schedule
) -> None:
    """R7, R9: results come in the order in which the jobs finished, all before the failure."""
    record = play("as_completed_results", schedule.on(setting))
    expected = before_the_first_failure(record)
    delivered = record.delivered_values
    assert delivered == expected[: len(delivered)]
    if not (record.broke_off or record.timed_out):
        assert delivered == expected


@pytest.mark.parametrize("helper", ["in_order_results", "in_order_outcomes"])
@every_setting
@given(schedule=schedules(cancels=1, leaves=True, bare=True))
def test_input_order_has_no_gap(setting: str, helper: str, schedule: Schedule) -> None:
    """R9: in input order the delivery is an unbroken run from the front."""
    record = play(helper, schedule.on(setting))
    assert [index for _, index in record.delivered] == list(range(len(record.delivered)))


@every_setting
@given(schedule=schedules(shapes=STARTED))
def test_input_order_delivers_the_run_before_the_failure(setting: str, schedule: Schedule) -> None:
    """R9: of what finished before a failure, the unbroken run from the front is delivered."""
    record = play("in_order_results", schedule.on(setting))
    finished = before_the_first_failure(record)
    run = next(n for n in range(record.count + 1) if n not in finished)
    if record.timed_out:
        assert len(record.delivered) <= run
    else:
        assert len(record.delivered) == run


@given(
    helper=st.sampled_from(HELPERS),
    schedule=schedules(cancels=2, leaves=True, bare=True),
)
def test_two_runs_of_one_schedule_agree(helper: str, schedule: Schedule) -> None:
    """R7: nothing goes through a set: the same schedule gives the same run."""
    assert play(helper, schedule).story() == play(helper, schedule).story()


@pytest.mark.parametrize("setting", virtual_time.BLOCK_MODES)
@given(
    helper=st.sampled_from(HELPERS),
    schedule=schedules(distinct=True, timeouts=(None, 0.75, 2.75, 6.75), leaves=True),
)
def test_two_runs_of_one_schedule_agree_up_to_ties(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R7, R52: the same on Trio where no two jobs end at the same time."""
    first, second = (play(helper, schedule.on(setting)) for _ in range(2))
    assert first.agrees_with(second), (first.answer(), second.answer())


# --- 2. exactly once


@pytest.mark.parametrize("helper", FAILURES_AS_DATA)
@every_setting
@given(schedule=schedules())
def test_every_input_gives_one_outcome_or_is_left(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R8, R17: delivered and left in the source are what was given, each once."""
    record = play(helper, schedule.on(setting))
    assert record.raised is None
    delivered = [index for _, index in record.delivered]
    if record.schedule.sized:
        assert sorted(delivered) == list(range(record.count))
    else:
        assert sorted(delivered) == list(range(record.pulled))
    if schedule.shape in ITERATORS:
        assert record.left == list(range(record.pulled, record.count))
    ran = {index for how, index in record.delivered if how in ("value", "error", "external")}
    assert ran <= {index for _, index in record.ended}
    if not record.timed_out:
        assert len(ran) == record.count


@pytest.mark.parametrize("helper", [*FAIL_FAST_STREAMS, "first_error"])
@every_setting
@given(schedule=schedules(kinds=HARMLESS, timeouts=(None,)))
def test_every_value_is_delivered_once(setting: str, helper: str, schedule: Schedule) -> None:
    """R8: where nothing fails, all values come out, each once."""
    record = play(helper, schedule.on(setting))
    assert record.raised is None
    assert sorted(record.delivered) == [("value", index) for index in range(record.count)]
    if helper != "as_completed_results":
        assert record.delivered == sorted(record.delivered)


@every_setting
@given(
    helper=st.sampled_from(HELPERS),
    schedule=schedules(cancels=2, leaves=True, bare=True),
)
def test_nothing_is_delivered_twice_or_made_up(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R8, R15: what is delivered tells how that job ended, whatever else happens."""
    record = play(helper, schedule.on(setting))
    assert max(Counter(index for _, index in record.delivered).values(), default=1) == 1
    told = {"external": "cancelled", "deadline": "cancelled"}
    ended = {index: how for how, index in record.ended}
    for how, index in record.delivered:
        if how == "never started":
            assert index not in record.begun
        elif how == "deadline" and index not in record.begun:
            assert record.timed_out  # taken, and cancelled before its first step
        else:
            assert ended[index] == told.get(how, how)
    if schedule.shape in ITERATORS:  # R27
        assert record.left == list(range(record.pulled, record.count))


# --- 3. the first failure


@pytest.mark.parametrize("helper", [*FAIL_FAST_STREAMS, "first_error"])
@every_setting
@given(schedule=schedules(kinds=strategies.KINDS, shapes=STARTED))
def test_the_failure_that_finished_first_is_raised(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R10, R11: the failure that finished earliest is raised, noted, and cancels all at once."""
    record = play(helper, schedule.on(setting))
    if isinstance(record.raised, waitkit.DeadlineError):
        assert schedule.timeout is not None
        for (how, _), at in zip(record.ended, record.ended_at, strict=True):
            assert how == "value" or at >= schedule.timeout  # the deadline's own tick counts
        return
    failures = [(how, index) for how, index in record.ended if how != "value"]
    if failures:
        how, index = failures[0]
        assert record.verdict() == f"{how} {index}"
        failed_at = record.ended_at[record.ended.index((how, index))]
        for (_, other), at in zip(record.ended, record.ended_at, strict=True):
            assert (
                at <= failed_at or schedule.jobs[other].kind == "slow_cleanup"
            )  # cancelled at once
    else:
        assert record.verdict() is None
        assert len(record.delivered) == record.count


@every_setting
@given(
    helper=st.sampled_from(FAIL_FAST),
    schedule=schedules(kinds=strategies.KINDS, cancels=1, leaves=True),
)
def test_no_failure_is_lost(setting: str, helper: str, schedule: Schedule) -> None:
    """R12: every failure is raised, or is on the `waitkit` logger, and just once."""
    record = play(helper, schedule.on(setting))
    told = Counter(id(error) for error in record.logged)
    told[id(record.raised)] += 1
    assert all(told[id(error)] == 1 for error in record.errors)


@pytest.mark.parametrize("helper", [*FAILURES_AS_DATA, "first_success"])
@every_setting
@given(schedule=schedules(kinds=("value", "base_error"), shapes=STARTED, timeouts=(None,)))
def test_what_is_no_exception_ends_the_call(setting: str, helper: str, schedule: Schedule) -> None:
    """R10, R15, R18: an error that is no `Exception` is never data: it is raised, and bare."""
    record = play(helper, schedule.on(setting))
    won = helper == "first_success" and record.delivered
    if record.errors and not won:
        assert isinstance(record.raised, strategies.JobBaseError)
        assert record.raised is record.errors[0]
    elif record.count:
        assert record.raised is None


# --- 4. the partition


@every_setting
@given(schedule=schedules())
def test_partial_partitions_the_inputs_in_input_order(setting: str, schedule: Schedule) -> None:
    """R16: results, errors and cancelled partition the inputs taken, each in input order."""
    record = play("gather_partial", schedule.on(setting))
    partial = record.partial
    assert partial is not None
    taken = record.count if schedule.sized else record.pulled
    assert [outcome.index for outcome in partial.outcomes] == list(range(taken))
    places = {record.key(index): index for index in range(taken)}
    parts = [list(partial.results), list(partial.errors), list(partial.cancelled)]
    assert sorted(places[key] for part in parts for key in part) == list(range(taken))
    for part in parts:
        assert part == sorted(part, key=places.__getitem__)
    assert all(record.key(value) == key for key, value in partial.results.items())
    assert partial.ok == (len(partial.results) == taken)


# --- 5. the limit


@every_setting
@given(
    helper=st.sampled_from(HELPERS),
    schedule=schedules(shapes=STARTED, cancels=2, leaves=True, bare=True),
)
def test_running_jobs_never_exceed_the_limit(setting: str, helper: str, schedule: Schedule) -> None:
    """R2: never more than `max_concurrency` jobs at work, while the call ends neither."""
    record = play(helper, schedule.on(setting))
    if schedule.limit is not None and helper != "first_completed":
        for tick in record.ticks:
            assert tick.begun - tick.ended <= schedule.limit


def check_no_slot_is_idle(record: Record) -> None:
    """That all was taken that limit and buffer allow, as soon as the loop had told of an end."""
    schedule, count = record.schedule, record.count
    limit = schedule.limit if record.helper != "first_completed" else None
    ended = 0  # as the engine knows it: on asyncio, a turn after the job itself
    in_block = schedule.mode in virtual_time.BLOCK_MODES
    for tick in record.ticks:
        if in_block:
            ended = tick.ended
            if not tick.taken:  # the block is being opened
                continue
        if tick.taken < count and (tick.quiet or schedule.shape in ITERATORS):
            due = count if limit is None else limit + (tick.ended if tick.quiet else ended)
            if record.helper in STREAMS:
                due = min(due, schedule.room() + tick.delivered)
            assert tick.taken == min(due, count), (tick, due)
        ended = tick.ended


@pytest.mark.parametrize("helper", [*STREAMS, *COLLECTORS])
@every_setting
@given(schedule=schedules(kinds=HARMLESS, shapes=PROMPT, timeouts=(None,)))
def test_no_slot_is_idle_while_inputs_remain(setting: str, helper: str, schedule: Schedule) -> None:
    """R2: a slot that falls free is refilled in that tick, whether or not anyone is looking."""
    check_no_slot_is_idle(play(helper, schedule.on(setting)))


@every_setting
@given(
    helper=st.sampled_from(FAILURES_AS_DATA),
    schedule=schedules(shapes=PROMPT, timeouts=(None,)),
)
def test_no_slot_is_idle_after_a_failure_that_is_data(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R2, R15: a failure ends no other job, and frees its slot as a value does."""
    check_no_slot_is_idle(play(helper, schedule.on(setting)))


@every_setting
@given(schedule=schedules(kinds=FAILING, shapes=PROMPT, timeouts=(None,)))
def test_no_slot_is_idle_while_nothing_has_won(setting: str, schedule: Schedule) -> None:
    """R2, R18: a race goes on to the next input as soon as one has failed."""
    check_no_slot_is_idle(play("first_success", schedule.on(setting)))


# --- 6. the buffer


@pytest.mark.parametrize("helper", STREAMS)
@every_setting
@given(schedule=schedules(shapes=STARTED, cancels=1, leaves=True))
def test_inputs_taken_never_exceed_what_was_delivered_and_the_buffer(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R3: jobs started and not delivered never exceed `buffersize`, twice the limit by default."""
    record = play(helper, schedule.on(setting))
    for tick in record.ticks:
        assert tick.taken <= tick.delivered + schedule.room()


@pytest.mark.parametrize("helper", [name for name in HELPERS if name != "first_completed"])
@every_setting
@given(schedule=schedules(shapes=("generator", "async generator"), timeouts=(1.5, 3), leaves=True))
def test_of_a_source_without_end_no_more_is_taken_than_there_is_room_for(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R2, R3, R17, R27: a deadline or a consumer who leaves is its end; the rest is left in it."""
    jobs = [replace(job, delay=job.delay + 1) for job in schedule.jobs or (strategies.Job(),)]
    limit = schedule.limit or 2
    schedule = replace(schedule, jobs=tuple(jobs) * 100, limit=limit)
    record = play(helper, schedule.on(setting))
    assert record.pulled <= 4 * limit  # three turns of a second each, and what the end cuts off
    assert not record.running_at_return
    assert not record.unclosed
    if schedule.shape in ITERATORS:
        assert record.left == list(range(record.pulled, record.count))


# --- 7. nothing is left


@every_helper
@every_setting
@given(schedule=schedules(kinds=strategies.KINDS, cancels=2, leaves=True, bare=True))
def test_nothing_is_left_on_any_exit(setting: str, helper: str, schedule: Schedule) -> None:
    """R22, R27: at the end every job has ended, and every coroutine and the source are closed."""
    record = play(helper, schedule.on(setting))
    assert not record.running_at_return
    assert not record.unclosed
    assert len(record.begun) == len(set(record.begun)) == len(record.ended)
    if schedule.bare:  # R25: it is cleaned up when it is dropped, with a warning if jobs ran
        assert set(record.warned) <= {"ResourceWarning"}
    else:
        assert not record.warned
        assert record.events_at_return == len(record.begun) + len(record.ended)


@every_helper
@every_setting
@given(schedule=schedules(kinds=strategies.KINDS, cancels=2, leaves=True, bare=True))
def test_what_is_not_delivered_goes_to_dispose_once(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R29: every value that was returned is delivered or goes to `dispose`, and just once."""
    record = play(helper, schedule.on(setting))
    assert Counter(record.values) == Counter(record.delivered_values + record.disposed_at_return)
    assert record.disposed == record.disposed_at_return


@every_setting
@given(
    helper=st.sampled_from(HELPERS),
    schedule=schedules(kinds=NOT_CANCELLED, cancels=2, leaves=True, bare=True),
)
def test_each_job_is_cancelled_once(setting: str, helper: str, schedule: Schedule) -> None:
    """R23: further cancellations of the caller do not reach jobs that are cleaning up."""
    assert not play(helper, schedule.on(setting)).cancelled_again


# --- 8. the caller's cancellation


@every_helper
@every_setting
@given(schedule=schedules(kinds=strategies.KINDS, cancels=2, leaves=True, bare=True))
def test_the_callers_cancellation_is_neither_swallowed_nor_invented(
    setting: str, helper: str, schedule: Schedule
) -> None:
    """R13, R21, R23: a cancellation comes out, message and all, if and only if one was sent."""
    record = play(helper, schedule.on(setting))
    if setting == "asyncio":
        assert record.cancelling == len(record.sent)
        assert record.was_cancelled == bool(record.sent)
        if record.raised is not None and record.sent:
            # Of two in one tick asyncio itself delivers the first.
            assert record.raised.args in [(message,) for message in record.sent]
    elif not record.sent:
        assert not record.was_cancelled
    elif not record.was_cancelled:
        # It came when all was decided: what was decided comes out, as of a nursery (R52).
        decided = record.raised is not None or record.broke_off or helper in RACES
        assert decided or record.returned_at == record.sent_at
        assert not isinstance(record.raised, waitkit.JobCancelledError)


# --- 9. what belongs to others


@every_helper
@given(
    every=st.sampled_from([1, 2]),
    schedule=schedules(shapes=("tasks",), cancels=1, leaves=True, bare=True),
)
def test_what_is_borrowed_is_left_alone(helper: str, every: int, schedule: Schedule) -> None:
    """R1: however a call ends, what it has borrowed is neither cancelled nor disposed of."""
    borrowed = range(0, len(schedule.jobs), every)
    check_that_nobody_has_touched(play(helper, schedule, borrowing(borrowed)), borrowed)
