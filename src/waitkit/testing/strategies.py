"""Hypothesis strategies of what can happen to async code: how jobs end, who cancels, who reads.

What they draw is plain data that runs on asyncio and Trio, best by `waitkit.testing.run`, where
delays take no time. Needs Hypothesis: ``pip install 'waitkit[testing]'``.
"""

from __future__ import annotations

from collections.abc import Sequence

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as _missing:
    if _missing.name != "hypothesis":
        raise
    raise ModuleNotFoundError(
        "waitkit.testing.strategies needs Hypothesis. "
        "Install it with: pip install 'waitkit[testing]'",
        name="hypothesis",
    ) from None

from ._caller import Caller, CallerCancelledError
from ._consumer import Consumer
from ._job import KINDS, Job, JobBaseError, JobError, Kind
from ._schedule import Schedule

__all__ = [
    "KINDS",
    "Caller",
    "CallerCancelledError",
    "Consumer",
    "Job",
    "JobBaseError",
    "JobError",
    "Kind",
    "Schedule",
    "callers",
    "consumers",
    "jobs",
    "schedules",
]


def jobs(
    *, kinds: Sequence[Kind] = KINDS, max_delay: int = 3, max_ticks: int = 2
) -> st.SearchStrategy[Job]:
    """Draw a `Job`.

    Args:
        kinds: how it may end. It shrinks towards the first of them.
        max_delay: the most seconds that it takes. They are whole, and few, so that many jobs end in
            the same tick.
        max_ticks: the most turns of the event loop that it takes after that.

    Returns:
        A strategy that shrinks towards ``Job()``, which returns its value at once.

    Raises:
        ValueError: there is no such kind.

    Example::

        @given(jobs(kinds=("value", "error")))
        def test_retry(job): ...
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"kinds are {', '.join(map(repr, KINDS))}; not {unknown[0]!r}")
    return st.tuples(
        st.integers(0, max_delay), st.sampled_from(kinds), st.integers(0, max_ticks)
    ).map(lambda drawn: Job(*drawn))


def callers(
    *, min_cancels: int = 0, max_cancels: int = 2, max_delay: int = 4, max_ticks: int = 7
) -> st.SearchStrategy[Caller]:
    """Draw a `Caller`.

    Args:
        min_cancels: how often it is cancelled at least.
        max_cancels: and at most. Once cancelled, code cleans up; a second cancellation strikes
            there.
        max_delay: the most seconds after the call that a cancellation comes.
        max_ticks: the most turns of the event loop that it comes after that.

    Returns:
        A strategy that shrinks towards ``Caller()``, which is not cancelled.

    Example::

        @given(callers(min_cancels=1))
        def test_cleanup(caller): ...
    """
    moments = st.tuples(st.integers(0, max_delay), st.integers(0, max_ticks))
    return st.lists(moments, min_size=min_cancels, max_size=max_cancels).map(
        lambda cancels: Caller(tuple(cancels))
    )


def consumers(
    *,
    max_pause: int = 3,
    max_items: int = 4,
    allow_break: bool = True,
    allow_close: bool = True,
    allow_add: bool = True,
) -> st.SearchStrategy[Consumer]:
    """Draw a `Consumer`.

    Args:
        max_pause: the most seconds that it takes for each item.
        max_items: the most items after which it breaks off, closes or ceases to add.
        allow_break: it may break off.
        allow_close: it may call ``aclose()``.
        allow_add: it may add inputs, if it is told how.

    Returns:
        A strategy that shrinks towards ``Consumer()``, which reads to the end and takes no time.

    Example::

        @given(consumers(allow_close=False))
        def test_stream(consumer): ...
    """
    counts = range(1, max_items + 1)
    ends: list[tuple[int | None, int | None]] = [(None, None)]
    ends += [(count, None) for count in counts if allow_break]
    ends += [(None, count) for count in counts if allow_close]
    return st.tuples(
        st.integers(0, max_pause),
        st.sampled_from(ends),
        st.integers(0, max_items if allow_add else 0),
    ).map(lambda drawn: Consumer(drawn[0], *drawn[1], drawn[2]))


_JOBS, _CALLERS, _CONSUMERS = jobs(), callers(), consumers()


def schedules(
    jobs: st.SearchStrategy[Job] | None = None,
    *,
    callers: st.SearchStrategy[Caller] | None = None,
    consumers: st.SearchStrategy[Consumer] | None = None,
    min_size: int = 0,
    max_size: int = 6,
) -> st.SearchStrategy[Schedule]:
    """Draw a `Schedule`.

    Args:
        jobs: a strategy for each of its jobs; None: `jobs`, as it is by default.
        callers: a strategy for its caller; None: `callers`, as it is by default.
        consumers: a strategy for its consumer; None: `consumers`, as it is by default.
        min_size: how many jobs it has at least.
        max_size: and at most.

    Returns:
        A strategy that shrinks towards few jobs that return at once, in a call that nobody cancels
        and whose consumer takes no time.

    Example::

        @given(schedules(jobs(kinds=("value", "error")), max_size=3))
        def test_crawl(schedule): ...
    """
    return st.tuples(
        st.lists(_JOBS if jobs is None else jobs, min_size=min_size, max_size=max_size),
        _CALLERS if callers is None else callers,
        _CONSUMERS if consumers is None else consumers,
    ).map(lambda drawn: Schedule(tuple(drawn[0]), *drawn[1:]))
