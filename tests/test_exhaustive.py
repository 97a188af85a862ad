"""Every schedule of a few jobs, enumerated: nothing is drawn, and no case is left out.

All orders of finishing and all ties of up to four jobs, of every kind and under every limit,
against the oracle; and the caller cancelled at every moment, and at every two. The usual run takes
up to three jobs, and four that return; `pytest --exhaustive tests/test_exhaustive.py` takes all.
Each test holds the number of cases that it has covered against a formula, and the run ends with
these numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product
from typing import TypeAlias

import pytest

import oracle
from borrowing import borrowing, check_that_nobody_has_touched
from enumerating import (
    Options,
    Played,
    check,
    count,
    count_weak_orderings,
    every_kind_of,
    explore,
    explore_strikes,
    moments_of,
    weak_orderings,
    with_jobs,
)
from playing import Record, heap_set_aside, play
from schedules import ASYNC, HELPERS, ITERATORS, KINDS, SIZED, STREAMS, Schedule, Shape
from virtual_time import ASYNCIO_MODES
from waitkit.testing.strategies import Consumer, Kind

ONE: tuple[Kind, ...] = ("value",)
FEW: tuple[Kind, ...] = ("value", "error")
CLEANUPS: tuple[Kind, ...] = ("value", "slow_cleanup")
SOME: tuple[Kind, ...] = ("value", "error", "slow_cleanup")

HELPERS_AND_LIMITS = [
    (helper, limit)
    for helper in HELPERS
    for limit in (None, 1, 2)
    if limit is None or helper != "first_completed"
]
every_call = pytest.mark.parametrize(("helper", "limit"), HELPERS_AND_LIMITS)
every_stream = pytest.mark.parametrize(
    ("helper", "limit"), [call for call in HELPERS_AND_LIMITS if call[0] in STREAMS]
)

Tally: TypeAlias = Callable[[Iterable[Played]], int]


def jobs_of(
    usual: dict[int, tuple[Kind, ...]], full: dict[int, tuple[Kind, ...]]
) -> pytest.MarkDecorator:
    """So many jobs of these kinds: those of the usual run, and those of the full one."""
    marks = {False: (), True: (pytest.mark.exhaustive,)}
    return pytest.mark.parametrize(
        ("size", "kinds"),
        [
            pytest.param(size, kinds, marks=marks[more], id=f"{size}-jobs-of-{len(kinds)}-kinds")
            for more, sets in ((False, usual), (True, full))
            for size, kinds in sets.items()
        ],
    )


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Iterable[Tally]:
    """Run a series of plays, check each, and give back how many cases they stand for."""

    def count_cases(plays: Iterable[Played]) -> int:
        cases = number = 0
        for played in plays:
            try:
                check(played.record)
            except AssertionError as failed:
                failed.add_note(f"play({played.record.helper!r}, {played.record.schedule!r})")
                raise
            cases += played.weight
            number += 1
        record_property("cases", cases)
        record_property("plays", number)
        return cases

    with heap_set_aside():
        yield count_cases


def agree(played: Played) -> Played:
    """Hold a play against the oracle's."""
    record = played.record
    model = play(record.helper, record.schedule, oracle.conduct)
    mine, its = answer(record), answer(model)
    assert mine == its, f"play({record.helper!r}, {record.schedule!r})"
    return played


def answer(record: Record) -> tuple[object, ...]:
    if record.schedule.mode == "eager" and record.schedule.limit is not None:
        # A slot is filled as soon as it falls free, and an eager job is at work then, though the
        # call is decided in the same tick. The model hears of both at once, and starts none.
        return (record.answer(),)
    return record.answer(), sorted(record.disposed), record.returned_at


@every_call
@jobs_of({0: KINDS, 1: KINDS, 2: KINDS, 3: KINDS, 4: ONE}, {4: KINDS})
def test_every_order_of_finishing(
    helper: str, limit: int | None, size: int, kinds: tuple[Kind, ...], tally: Tally
) -> None:
    """R2, R7-R10, R13, R15-R18, R29: all that comes out, and when, is what the oracle says."""
    schedule = Schedule(limit=limit)
    cases = tally(
        agree(played)
        for delays in weak_orderings(size)
        for played in explore(helper, schedule, delays, every_kind_of(kinds, size))
    )
    assert cases == count_weak_orderings(size) * len(kinds) ** size


@every_call
@jobs_of({1: KINDS, 2: KINDS, 3: ONE}, {3: KINDS, 4: FEW})
def test_every_deadline(
    helper: str, limit: int | None, size: int, kinds: tuple[Kind, ...], tally: Tally
) -> None:
    """R17, R20: the same with a deadline at the start, and between any two moments of an end."""
    last = size if limit is None else size * (size + 1) // 2
    timeouts = [0, *(moment + 0.5 for moment in range(last))]
    cases = tally(
        agree(played)
        for timeout in timeouts
        for delays in weak_orderings(size)
        for played in explore(
            helper, Schedule(limit=limit, timeout=timeout), delays, every_kind_of(kinds, size)
        )
    )
    assert cases == len(timeouts) * count_weak_orderings(size) * len(kinds) ** size


@every_call
@jobs_of({1: KINDS, 2: FEW}, {2: KINDS, 3: KINDS})
def test_every_shape_of_inputs(
    helper: str, limit: int | None, size: int, kinds: tuple[Kind, ...], tally: Tally
) -> None:
    """R1, R2, R7-R10, R13, R15-R18, R29: the same however the inputs come, in all modes."""
    shapes: list[Shape] = [*SIZED[1:], *ITERATORS, *ASYNC]
    if limit is None:
        shapes.append("tasks")  # they run before they are taken
    cases = tally(
        agree(played)
        for shape, mode in product(shapes, ASYNCIO_MODES[::2])
        for delays in weak_orderings(size)
        for played in explore(
            helper,
            Schedule(limit=limit, shape=shape, mode=mode),
            delays,
            every_kind_of(kinds, size),
        )
    )
    modes = len(ASYNCIO_MODES[::2])
    assert cases == len(shapes) * modes * count_weak_orderings(size) * len(kinds) ** size


@every_stream
@jobs_of({2: KINDS, 3: FEW}, {3: KINDS})
def test_every_number_of_items_before_the_consumer_leaves(
    helper: str, limit: int | None, size: int, kinds: tuple[Kind, ...], tally: Tally
) -> None:
    """R22, R29: the same where the consumer breaks off, after the first item, the second, …"""
    cases = tally(
        agree(played)
        for leaves in range(1, size + 1)
        for delays in weak_orderings(size)
        for played in explore(
            helper,
            Schedule(limit=limit, consumer=Consumer(breaks_after=leaves)),
            delays,
            every_kind_of(kinds, size),
        )
    )
    assert cases == size * count_weak_orderings(size) * len(kinds) ** size


VARIANTS = {
    "slow dispose": Schedule(slow_dispose=True),
    "bare": Schedule(bare=True),
    "generator": Schedule(shape="generator"),
    "async generator": Schedule(shape="async generator"),
    "tasks": Schedule(shape="tasks"),
    "deadline": Schedule(timeout=1.5),
    "eager": Schedule(mode=ASYNCIO_MODES[-1]),
}


@every_call
@jobs_of({1: KINDS, 2: KINDS}, {3: KINDS, 4: SOME})
def test_the_caller_cancelled_at_every_moment(
    helper: str, limit: int | None, size: int, kinds: tuple[Kind, ...], tally: Tally
) -> None:
    """R22, R23, R27, R29: wherever it strikes, nothing is left, and it comes out."""
    strike(helper, Schedule(limit=limit), every_kind_of(kinds, size), 1, tally)


@pytest.mark.parametrize("variant", VARIANTS)
@every_call
@jobs_of({1: KINDS}, {2: KINDS})
def test_the_caller_cancelled_at_every_moment_of_another_run(
    helper: str,
    limit: int | None,
    variant: str,
    size: int,
    kinds: tuple[Kind, ...],
    tally: Tally,
) -> None:
    """R22, R23, R24, R27, R29: the same with other inputs, other consumers, other loops."""
    schedule = replace(VARIANTS[variant], limit=limit)
    strike(helper, schedule, every_kind_of(kinds, size), 1, tally)


@every_call
@jobs_of({1: KINDS, 2: CLEANUPS}, {2: KINDS})
def test_the_caller_cancelled_at_every_two_moments(
    helper: str, limit: int | None, size: int, kinds: tuple[Kind, ...], tally: Tally
) -> None:
    """R23: the second neither cuts short what the first began, nor reaches the jobs again."""
    strike(helper, Schedule(limit=limit), every_kind_of(kinds, size), 2, tally)


def strike(helper: str, schedule: Schedule, options: Options, times: int, tally: Tally) -> None:
    size = len(options)
    whole = sum(
        played.weight * len(moments_of(played))
        for delays in weak_orderings(size)
        for played in explore_strikes(helper, schedule, delays, options, times - 1)
    )
    cases = tally(
        played
        for delays in weak_orderings(size)
        for played in explore_strikes(helper, schedule, delays, options, times)
    )
    assert cases == whole > count_weak_orderings(size) * count(options)


@every_call
@jobs_of({1: KINDS, 2: CLEANUPS}, {2: KINDS, 3: KINDS})
def test_a_schedule_that_stands_for_others_goes_as_they_go(
    helper: str, limit: int | None, size: int, kinds: tuple[Kind, ...]
) -> None:
    """R7: those of one class give the same run, to the turn of the loop, also when struck."""
    options = every_kind_of(kinds, size)
    with heap_set_aside():
        for strikes, delays in product(((), (2,)), weak_orderings(size)):
            plain = Schedule(limit=limit, strikes=strikes)
            stories = {
                others: played.record.story()
                for played in explore(helper, plain, delays, options)
                for others in product(*played.options)
            }
            assert len(stories) == count(options)
            for others, story in stories.items():
                schedule = with_jobs(plain, delays, others)
                assert play(helper, schedule).story() == story, schedule


@every_call
@jobs_of({1: KINDS, 2: (*FEW, "slow_cleanup")}, {2: KINDS, 3: FEW})
def test_every_way_to_borrow(
    helper: str, limit: int | None, size: int, kinds: tuple[Kind, ...]
) -> None:
    """R1: what is borrowed is left alone, whatever becomes of the call and of the others."""
    with heap_set_aside():
        for delays, each in product(weak_orderings(size), product(kinds, repeat=size)):
            schedule = with_jobs(Schedule(limit=limit, shape="tasks"), delays, each)
            for chosen in product((False, True), repeat=size):
                borrowed = [place for place in range(size) if chosen[place]]
                record = play(helper, schedule, borrowing(borrowed))
                check_that_nobody_has_touched(record, borrowed)
