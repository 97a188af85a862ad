"""Schedules: what jobs, source, consumer and caller do, and when, as Hypothesis draws them.

They stand on `waitkit.testing.strategies`, which has the jobs, the caller and the consumer; what is
added here is how a helper is called. A `Schedule` is plain data; its repr can be pasted back into
`playing.play(helper, Schedule(...))`. Delays are small whole seconds, so that many things happen in
the same tick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import Any, Literal, TypeAlias, cast

from hypothesis import strategies as st

import virtual_time
from waitkit.testing import strategies
from waitkit.testing.strategies import Consumer, Kind

# Where the invariants are held. On Trio the order of ties is its own; the two through anyio check
# the other two. (asyncio's modes are drawn.)
SETTINGS = ("asyncio", *virtual_time.BLOCK_MODES)

# The debug mode seldom: it takes as long as all else together.
MODES = tuple(mode for mode in virtual_time.ASYNCIO_MODES if mode != "debug") * 3 + ("debug",)

# A `base_error` ends every call, also where failures are data.
KINDS: tuple[Kind, ...] = tuple(kind for kind in strategies.KINDS if kind != "base_error")
HARMLESS: tuple[Kind, ...] = (  # unless they are cancelled
    "value",
    "slow_cleanup",
    "failing_cleanup",
    "swallows_cancel",
)
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


@dataclass(frozen=True, repr=False)
class Schedule(strategies.Schedule):
    shape: Shape = "list"
    limit: int | None = None  # max_concurrency
    buffersize: int | None = None
    timeout: float | None = None
    strikes: tuple[int, ...] = ()  # cancellations by number of the moment, as the helper runs
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
    delay, ticks = (3, 2) if not distinct else (0, 0)
    jobs = st.lists(strategies.jobs(kinds=kinds, max_delay=delay, max_ticks=ticks), max_size=6)
    # Few choices, each out of many: that halves the time of a draw.
    bounds: list[tuple[int | None, int | None]] = [(None, None)]
    if limits:
        bounds += [(n, m) for n in (1, 2, 3, 9) for m in (None, n, n + 1, n + 3)]
    bare_or_not = (False, True) if bare else (False,)
    stays_or_leaves = (None, 1, 2, 4) if leaves else (None,)
    # Sums of different powers of two differ, whatever waits for what.
    powers = list(permutations([1, 2, 4, 8, 16, 32])) if distinct else [None]

    def build(drawn: tuple[Any, ...]) -> Schedule:
        jobs, powers, (limit, buffersize), (shape, timeout), consumer, caller, others = drawn
        if powers is not None:
            jobs = [replace(job, delay=delay) for job, delay in zip(jobs, powers, strict=False)]
        return Schedule(
            jobs=tuple(jobs),
            caller=caller,
            consumer=consumer[1],
            shape=shape,
            limit=limit,
            buffersize=buffersize,
            timeout=timeout,
            bare=consumer[0],
            slow_dispose=others[0],
            mode=others[1],
        )

    consumers = [Consumer(*each) for each in product(pauses, stays_or_leaves)]
    return st.tuples(
        jobs,
        st.sampled_from(powers),
        st.sampled_from(bounds),
        st.sampled_from(list(product(shapes, timeouts))),
        st.sampled_from(list(product(bare_or_not, consumers))),
        strategies.callers(min_cancels=least, max_cancels=most),
        st.sampled_from(list(product((False, True), MODES))),
    ).map(build)
