"""Every schedule of a few jobs: all orders of finishing, all ties, all kinds of jobs.

What cannot be told apart is played once. A helper does not know what its jobs will do: two kinds
differ only where they part, at the end of the delay or at a cancellation. So a job that returned
stands for those that would have dealt otherwise with a cancellation which never came, a job that
was cut off for those that would have failed later on, and a job that never ran for every kind.
`explore` plays one of each class, and makes sure that the classes are a partition of all there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import comb, prod
from typing import NamedTuple, TypeAlias

from playing import Record, play
from schedules import FAIL_FAST, HARMLESS, KINDS, RACES, STREAMS, Schedule
from waitkit.testing.strategies import Job, Kind

Delays: TypeAlias = tuple[int, ...]  # in seconds: ranks, from 1 on, and equal ones are ties
Options: TypeAlias = tuple[tuple[Kind, ...], ...]  # the kinds that each job may be of

IF_CUT_OFF: tuple[Kind, ...] = ("value", "error", "cancelled")  # the same until the delay is over


class Played(NamedTuple):
    """One play, and how many schedules it stands for."""

    record: Record
    options: Options

    @property
    def weight(self) -> int:
        return count(self.options)


def every_kind_of(kinds: tuple[Kind, ...], size: int) -> Options:
    return (kinds,) * size


def count(options: Options) -> int:
    return prod(map(len, options))


def weak_orderings(size: int) -> Iterator[Delays]:
    """All orders in which so many jobs can finish, ties included."""
    for delays in product(range(1, size + 1), repeat=size):
        if set(delays) == set(range(1, len(set(delays)) + 1)):
            yield delays


def count_weak_orderings(size: int) -> int:
    """The Fubini number: of the surjections onto 1, 2, 3, … ranks, by inclusion and exclusion."""
    return sum(
        (-1) ** (ranks - part) * comb(ranks, part) * part**size
        for ranks in range(size + 1)
        for part in range(ranks + 1)
    )


def explore(helper: str, schedule: Schedule, delays: Delays, options: Options) -> Iterator[Played]:
    """Play that schedule with jobs of all these kinds: one play for all that are alike."""
    covered: set[tuple[Kind, ...]] = set()
    for kinds in product(*options):
        if kinds in covered:
            continue
        record = play(helper, with_jobs(schedule, delays, kinds))
        ended = {index: how for how, index in record.ended}
        alike: Options = tuple(
            tuple(kind for kind in allowed if kind in _like(kinds[index], ended.get(index)))
            for index, allowed in enumerate(options)
        )
        members = set(product(*alike))
        assert kinds in members
        assert not members & covered, "the classes overlap"
        covered |= members
        yield Played(record, alike)
    assert len(covered) == count(options)


def with_jobs(schedule: Schedule, delays: Delays, kinds: tuple[Kind, ...]) -> Schedule:
    return replace(schedule, jobs=tuple(map(Job, delays, kinds)))


def _like(kind: Kind, how: str | None) -> tuple[Kind, ...]:
    """The kinds that would have done the same as this one, which ended like that."""
    match kind, how:
        case _, None:
            return KINDS  # it had no step
        case "value", "value":
            return HARMLESS
        case "value", _:
            return IF_CUT_OFF
        case _:
            return (kind,)  # since "value" comes first, and was not like it


def explore_strikes(
    helper: str, schedule: Schedule, delays: Delays, options: Options, times: int
) -> Iterator[Played]:
    """The same with the caller cancelled so many times, at every combination of moments."""
    for played in explore(helper, schedule, delays, options):
        if not times:
            yield played
            continue
        # Those that are alike so far part when a cancellation strikes them.
        for moment in moments_of(played):
            struck = replace(schedule, strikes=(*schedule.strikes, moment))
            yield from explore_strikes(helper, struck, delays, played.options, times - 1)
        late = replace(played.record.schedule, strikes=(*schedule.strikes, moment + 1))
        assert len(play(helper, late).sent) == len(schedule.strikes), "that was not the last moment"


def moments_of(played: Played) -> range:
    """When the caller can be cancelled, or cancelled again."""
    return range(max((0, *played.record.schedule.strikes)), played.record.moments)


# --- the invariants of docs/why/promises.md


def check(record: Record) -> None:
    """Hold what is promised of any call, however it ends."""
    _check_that_nothing_is_left(record)
    _check_the_cancellation(record)
    _check_the_limit(record)
    # Exactly once (2).
    assert len({index for _, index in record.delivered}) == len(record.delivered)
    if record.helper in FAIL_FAST:  # R12
        told = Counter(map(id, (record.raised, *record.logged)))
        assert all(told[id(error)] == 1 for error in record.errors)


def _check_that_nothing_is_left(record: Record) -> None:
    """Invariant 7 (R22, R27, R29)."""
    assert not record.running_at_return
    assert not record.unclosed
    assert len(record.begun) == len(set(record.begun)) == len(record.ended)
    if record.schedule.bare:  # R25: it is cleaned up when it is dropped
        assert set(record.warned) <= {"ResourceWarning"}
    else:
        assert not record.warned
        assert record.events_at_return == len(record.begun) + len(record.ended)
    assert not record.cancelled_again  # R23
    assert Counter(record.values) == Counter(record.delivered_values + record.disposed_at_return)
    assert record.disposed == record.disposed_at_return


def _check_the_cancellation(record: Record) -> None:
    """Invariant 8 (R13, R21, R23)."""
    assert len(record.sent) == len(record.schedule.strikes), "the call was over"
    assert record.cancelling == len(record.sent)
    assert record.was_cancelled == bool(record.sent)
    if record.sent:
        assert record.raised is not None
        # Of several the last; of two at one moment asyncio itself delivers either.
        last = record.schedule.strikes[-1]
        struck = enumerate(record.schedule.strikes)
        expected = [(f"cancel {number}",) for number, moment in struck if moment == last]
        assert record.raised.args in expected


def _check_the_limit(record: Record) -> None:
    """Invariants 5 and 6 (R2, R3)."""
    schedule, total = record.schedule, record.count
    if schedule.shape == "tasks":
        return  # they run before they are taken
    limit = total if record.helper == "first_completed" else schedule.limit or total
    room = schedule.room() if record.helper in STREAMS else total
    peaceful = not record.sent and schedule.timeout is None and record.helper not in RACES
    peaceful = peaceful and record.raised is None
    for tick in record.ticks:
        assert tick.begun - tick.ended <= limit
        assert tick.taken <= tick.delivered + room
        if peaceful and tick.quiet:
            assert tick.begun == min(total, limit + tick.ended, room + tick.delivered)
