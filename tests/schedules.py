"""Schedules: what jobs, source, consumer and caller do, and when, as Hypothesis draws them.

A `Schedule` is plain data; its repr can be pasted back into `playing.play(helper, Schedule(...))`.
Delays are small whole seconds, so that many things happen in the same tick.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import permutations, product
from typing import Any, Literal, TypeAlias, cast

from hypothesis import strategies as st

import virtual_time

# Where the invariants are held. On Trio the order of ties is its own; the two through anyio check
# the other two. (asyncio's modes are drawn.)
SETTINGS = ("asyncio", *virtual_time.BLOCK_MODES)

# The debug mode seldom: it takes as long as all else together.
MODES = tuple(mode for mode in virtual_time.ASYNCIO_MODES if mode != "debug") * 3 + ("debug",)

# When the caller is cancelled: after so many seconds, and then so many turns of the loop.
MOMENTS = tuple(product((0, 1, 2, 3, 4), range(8)))

Kind: TypeAlias = Literal["value", "error", "cancelled", "slow", "fails", "swallows"]
# How a job ends: the last three return a value too, and differ once they are cancelled: they
# clean up for as long as they would have worked, raise from the cleanup, or return all the same.
KINDS: tuple[Kind, ...] = ("value", "error", "cancelled", "slow", "fails", "swallows")
HARMLESS: tuple[Kind, ...] = ("value", "slow", "fails", "swallows")  # unless they are cancelled
NOT_CANCELLED: tuple[Kind, ...] = (*HARMLESS, "error")
FAILING: tuple[Kind, ...] = ("error", "cancelled")

Shape: TypeAlias = Literal[
    "list",
    "tuple",
    "mapping",
    "call_each",
    "generator",
    "keyed",
    "lazy call_each",
    "async generator",
    "slow async generator",
    "tasks",
]
SIZED: tuple[Shape, ...] = ("list", "tuple", "mapping", "call_each")
ITERATORS: tuple[Shape, ...] = ("generator", "keyed", "lazy call_each")
ASYNC: tuple[Shape, ...] = ("async generator",)
SLOW: tuple[Shape, ...] = ("slow async generator",)  # a second for each input
PROMPT: tuple[Shape, ...] = SIZED + ITERATORS + ASYNC
STARTED: tuple[Shape, ...] = PROMPT + SLOW  # not before they are taken, as Tasks are
SHAPES: tuple[Shape, ...] = (*STARTED, "tasks")
KEYED: tuple[Shape, ...] = ("mapping", "call_each", "keyed", "lazy call_each")

FAIL_FAST_STREAMS = ("as_completed_results", "in_order_results")
OUTCOME_STREAMS = ("as_completed_outcomes", "in_order_outcomes")
STREAMS = FAIL_FAST_STREAMS + OUTCOME_STREAMS
COLLECTORS = ("first_error", "gather_partial")
RACES = ("first_completed", "first_success")
HELPERS = STREAMS + COLLECTORS + RACES
FAIL_FAST = (*FAIL_FAST_STREAMS, "first_error", "first_completed")
FAILURES_AS_DATA = (*OUTCOME_STREAMS, "gather_partial")


class _Terse:
    """A repr that leaves out what is as by default."""

    def __repr__(self) -> str:
        shown = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)  # type: ignore[arg-type]  # subclasses are
            if getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Job(_Terse):
    delay: int = 0  # seconds
    kind: Kind = "value"
    ticks: int = 0  # turns of the loop, after the delay and again in the cleanup


@dataclass(frozen=True, repr=False)
class Schedule(_Terse):
    jobs: tuple[Job, ...] = ()
    shape: Shape = "list"
    limit: int | None = None  # max_concurrency
    buffersize: int | None = None
    timeout: float | None = None
    cancels: tuple[tuple[int, int], ...] = ()  # of the caller: each one of MOMENTS
    strikes: tuple[int, ...] = ()  # the same by number of the moment, counted as the helper runs
    pause: float = 0  # seconds that the consumer takes for each item
    leaves: int | None = None  # the consumer breaks off after so many items
    bare: bool = False  # the consumer uses no `async with`
    slow_dispose: bool = False
    mode: virtual_time.Mode = "default"

    @property
    def sized(self) -> bool:
        return self.shape in (*SIZED, "tasks")

    def on(self, setting: str) -> Schedule:
        """The same in that setting, less what is there on asyncio alone."""
        if setting == "asyncio":
            return self
        jobs = [replace(job, kind="error") if job.kind == "cancelled" else job for job in self.jobs]
        return replace(
            self,
            jobs=tuple(jobs),
            shape="list" if self.shape == "tasks" else self.shape,
            bare=False,
            mode=cast("virtual_time.BlockMode", setting),
        )

    def room(self) -> int:
        """How many jobs may be started and not delivered (R3)."""
        return self.buffersize or 2 * (self.limit or 1_000_000)


def schedules(
    *,
    kinds: tuple[Kind, ...] = KINDS,
    shapes: tuple[Shape, ...] = SHAPES,
    timeouts: tuple[float | None, ...] = (None, 0, 1, 1.5, 2, 3),
    cancels: int | tuple[int, int] = 0,
    leaves: bool = False,
    bare: bool = False,
    limits: bool = True,
    distinct: bool = False,
    pauses: tuple[float, ...] = (0, 1, 3),
) -> st.SearchStrategy[Schedule]:
    """Schedules of up to six jobs; with `distinct` no two of them can end at the same time."""
    least, most = cancels if isinstance(cancels, tuple) else (0, cancels)
    # Few choices, each out of many: that halves the time of a draw.
    delays, turns = ((0, 1, 2, 3), (0, 1, 2)) if not distinct else ((1,), (0,))
    jobs = st.lists(
        st.sampled_from([Job(*each) for each in product(delays, kinds, turns)]), max_size=6
    )
    bounds: list[tuple[int | None, int | None]] = [(None, None)]
    if limits:
        bounds += [(n, m) for n in (1, 2, 3, 9) for m in (None, n, n + 1, n + 3)]
    bare_or_not = (False, True) if bare else (False,)
    stays_or_leaves = (None, 1, 2, 4) if leaves else (None,)
    # Sums of different powers of two differ, whatever waits for what.
    powers = list(permutations([1, 2, 4, 8, 16, 32])) if distinct else [None]

    def build(drawn: tuple[Any, ...]) -> Schedule:
        jobs, powers, (limit, buffersize), (shape, timeout), consumer, cancels, others = drawn
        if powers is not None:
            jobs = [replace(job, delay=delay) for job, delay in zip(jobs, powers, strict=False)]
        is_bare, count, pause = consumer
        return Schedule(
            jobs=tuple(jobs),
            shape=shape,
            limit=limit,
            buffersize=buffersize,
            timeout=timeout,
            cancels=tuple(cancels),
            pause=pause,
            leaves=count,
            bare=is_bare,
            slow_dispose=others[0],
            mode=others[1],
        )

    return st.tuples(
        jobs,
        st.sampled_from(powers),
        st.sampled_from(bounds),
        st.sampled_from(list(product(shapes, timeouts))),
        st.sampled_from(list(product(bare_or_not, stays_or_leaves, pauses))),
        st.lists(st.sampled_from(MOMENTS), min_size=least, max_size=most),
        st.sampled_from(list(product((False, True), MODES))),
    ).map(build)
