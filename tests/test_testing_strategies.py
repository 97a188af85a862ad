"""R61: `waitkit.testing.strategies`, on which the schedules of the other tests stand."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal

import hypothesis
import pytest
from hypothesis import find, given, settings
from hypothesis.strategies import just

import waitkit
from waitkit.testing import LeakError, run, strategies
from waitkit.testing.strategies import (
    KINDS,
    Caller,
    CallerCancelledError,
    Consumer,
    Job,
    JobBaseError,
    JobError,
    Kind,
    Schedule,
)

SEARCH = settings(database=None, derandomize=True, deadline=None, max_examples=2_000)
ONCE = Caller(cancels=((1, 0),))
BACKENDS: tuple[Literal["asyncio", "trio"], ...] = ("asyncio", "trio")
on_each_backend = pytest.mark.parametrize("backend", BACKENDS)

LINKS = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}
WITHOUT_HYPOTHESIS = """
import sys
sys.modules["hypothesis"] = None
import waitkit.testing
try:
    import waitkit.testing.strategies
except ImportError as error:
    print(error)
"""


# --- what is drawn: its repr, how it shrinks, the options


@given(schedule=strategies.schedules())
def test_repr_of_schedule_can_be_pasted_back(schedule: Schedule) -> None:
    """R61: the repr is one line, and evaluates to the same schedule."""
    assert "\n" not in repr(schedule)
    assert eval(repr(schedule)) == schedule


def test_repr_leaves_out_what_is_as_by_default() -> None:
    """R61: what is left is what differs, in the quotes of formatted code."""
    assert repr(Job(delay=2, kind="error", ticks=1)) == 'Job(delay=2, kind="error", ticks=1)'
    assert repr(Consumer(pause=1, adds=2)) == "Consumer(pause=1, adds=2)"
    assert repr(Schedule()) == "Schedule()"
    schedule = Schedule(jobs=(Job(), Job(delay=1.5)), caller=ONCE)
    assert repr(schedule) == (
        "Schedule(jobs=(Job(), Job(delay=1.5)), caller=Caller(cancels=((1, 0),)))"
    )


def test_falsifying_example_is_printed_in_that_line() -> None:
    """R61: what Hypothesis reports is the repr, not a line for each field."""

    @settings(SEARCH, phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink])
    @given(schedule=strategies.schedules())
    def fails(schedule: Schedule) -> None:
        assert all(job.kind != "error" for job in schedule.jobs)

    with pytest.raises(AssertionError) as caught:
        fails()
    assert 'schedule=Schedule(jobs=(Job(kind="error"),)),' in "\n".join(caught.value.__notes__)


def of_kind(kind: Kind) -> Callable[[Schedule], bool]:
    return lambda schedule: any(job.kind == kind for job in schedule.jobs)


def has_tie(schedule: Schedule) -> bool:
    delays = [job.delay for job in schedule.jobs if job.delay]
    return len(set(delays)) < len(delays)


@pytest.mark.parametrize(
    ("condition", "smallest"),
    [
        (lambda schedule: True, Schedule()),
        *((of_kind(kind), Schedule(jobs=(Job(kind=kind),))) for kind in KINDS[1:]),
        (has_tie, Schedule(jobs=(Job(delay=1), Job(delay=1)))),
        (lambda s: any(job.ticks for job in s.jobs), Schedule(jobs=(Job(ticks=1),))),
        (lambda s: len(s.caller.cancels) == 1, Schedule(caller=Caller(cancels=((0, 0),)))),
        (lambda s: len(s.caller.cancels) > 1, Schedule(caller=Caller(cancels=((0, 0), (0, 0))))),
        (
            lambda s: any(at == (2, 3) for at in s.caller.cancels),
            Schedule(caller=Caller(cancels=((2, 3),))),
        ),
        (lambda s: s.consumer.pause > 0, Schedule(consumer=Consumer(pause=1))),
        (lambda s: s.consumer.breaks_after, Schedule(consumer=Consumer(breaks_after=1))),
        (lambda s: s.consumer.closes_after, Schedule(consumer=Consumer(closes_after=1))),
        (lambda s: s.consumer.adds > 0, Schedule(consumer=Consumer(adds=1))),
    ],
)
def test_schedules_shrink_to_what_matters(
    condition: Callable[[Schedule], bool], smallest: Schedule
) -> None:
    """R61: all of it is drawn, and nothing is left in the smallest example but what it takes."""
    assert find(strategies.schedules(), condition, settings=SEARCH) == smallest


@given(
    schedule=strategies.schedules(
        strategies.jobs(kinds=("error", "value"), max_delay=1, max_ticks=0),
        callers=strategies.callers(min_cancels=1, max_cancels=1, max_delay=2, max_ticks=0),
        consumers=strategies.consumers(
            max_pause=0, max_items=2, allow_break=False, allow_close=False, allow_add=False
        ),
        min_size=1,
        max_size=2,
    )
)
def test_options_bound_what_is_drawn(schedule: Schedule) -> None:
    """R61: sizes, kinds and times stay in their bounds, and consumers do what they may."""
    assert 1 <= len(schedule.jobs) <= 2
    assert {job.kind for job in schedule.jobs} <= {"error", "value"}
    assert {job.delay for job in schedule.jobs} <= {0, 1}
    assert {job.ticks for job in schedule.jobs} == {0}
    ((seconds, ticks),) = schedule.caller.cancels
    assert 0 <= seconds <= 2
    assert ticks == 0
    assert schedule.consumer == Consumer()


def test_kinds_shrink_towards_the_first() -> None:
    """R61: the order of `kinds` is the order of shrinking."""
    jobs = strategies.jobs(kinds=("error", "value"))
    assert find(jobs, lambda job: True, settings=SEARCH) == Job(kind="error")


def test_unknown_kind_is_an_error() -> None:
    """R61: a kind that does not exist is a ValueError, which names those that do."""
    unknown: Any = "oops"
    with pytest.raises(ValueError, match=r"'error'.*not 'oops'"):
        Job(kind=unknown)
    with pytest.raises(ValueError, match=r"'error'.*not 'oops'"):
        strategies.jobs(kinds=["value", unknown])


# --- all of it together


async def crawl(fetch: Callable[[str], Any], start: str) -> list[str]:
    seen = [start]
    async with waitkit.as_completed_results({start: fetch(start)}) as results:
        async for _, links in results:
            for link in links:
                if link not in seen:
                    seen.append(link)
                    results.add(fetch(link), key=link)
    return seen


async def crawl_with_gather(fetch: Callable[[str], Any], start: str) -> list[str]:
    seen, todo = [start], [start]
    while todo:
        pages = await asyncio.gather(*(fetch(page) for page in todo))
        todo = list(dict.fromkeys(link for links in pages for link in links if link not in seen))
        seen += todo
    return seen


async def check_crawler(crawler: Any, schedule: Schedule) -> str:
    fetch = schedule.fake(LINKS.__getitem__)
    try:
        seen = await schedule.caller.run(crawler, fetch, "a", strict=True)
    except (JobError, JobBaseError, CallerCancelledError, waitkit.JobCancelledError) as error:
        return type(error).__name__
    assert sorted(seen) == sorted(LINKS)
    return "seen"


@on_each_backend
def test_crawler_on_waitkit_holds_on_every_schedule(backend: Literal["asyncio", "trio"]) -> None:
    """R22, R23, R61: all kinds of jobs, cancellations of the caller, and nothing is left."""
    endings: set[str] = set()

    @given(schedule=strategies.schedules())
    @settings(max_examples=150)
    def check(schedule: Schedule) -> None:
        endings.add(run(check_crawler, crawl, schedule, backend=backend))

    check()
    assert endings >= {"seen", "JobError", "JobBaseError", "CallerCancelledError"}
    assert ("JobCancelledError" in endings) == (backend == "asyncio")


def test_crawler_with_gather_is_found_out_by_a_small_schedule() -> None:
    """R61: `gather` leaves the others running when one fails; one failure is enough."""

    def leaks(schedule: Schedule) -> bool:
        try:
            run(check_crawler, crawl_with_gather, schedule)
        except LeakError:
            return True
        return False

    few = strategies.schedules(
        strategies.jobs(kinds=("value", "error"), max_delay=1, max_ticks=0),
        callers=strategies.callers(max_cancels=0),
        consumers=just(Consumer()),
    )
    schedule = find(few, leaks, settings=SEARCH)
    assert schedule == Schedule(jobs=(Job(), Job(kind="error"), Job(delay=1)))


@on_each_backend
@given(schedule=strategies.schedules(strategies.jobs(kinds=("value", "slow_cleanup")), min_size=2))
def test_stream_holds_under_every_consumer(
    backend: Literal["asyncio", "trio"], schedule: Schedule
) -> None:
    """R8, R22, R26, R61: what is delivered is what was finished, each once, whoever reads it."""

    async def main() -> None:
        numbers: list[int] = []

        async def read() -> None:
            aws = [job.run(number) for number, job in enumerate(schedule.jobs)]
            async with waitkit.as_completed_results(aws, max_concurrency=2) as stream:
                await schedule.consumer.run(
                    stream, add=lambda: stream.add(Job().run(-1)), into=numbers
                )

        try:
            await schedule.caller.run(read, strict=True)
        except CallerCancelledError:
            pass
        else:
            if schedule.consumer.breaks_after is schedule.consumer.closes_after is None:
                added = [number for number in numbers if number < 0]
                assert len(added) == min(schedule.consumer.adds, len(numbers))
                assert len(numbers) == len(schedule.jobs) + len(added)
        delivered = [number for number in numbers if number >= 0]
        assert len(set(delivered)) == len(delivered)

    run(main, backend=backend)


# --- without Hypothesis


def test_without_hypothesis_the_error_says_what_to_install() -> None:
    """R61: `waitkit.testing` needs no Hypothesis; its strategies do, and say so."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_HYPOTHESIS],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == (
        "waitkit.testing.strategies needs Hypothesis. "
        "Install it with: pip install 'waitkit[testing]'\n"
    )


def test_importing_testing_does_not_import_hypothesis() -> None:
    """R60, R61: tests that draw nothing do not wait for it."""
    code = "import sys, waitkit.testing; print('hypothesis' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


@pytest.mark.parametrize("name", strategies.__all__)
def test_public_name_is_documented_where_users_import_it(name: str) -> None:
    """R61: tracebacks and help show the module that users write."""
    public = getattr(strategies, name)
    if inspect.isclass(public) or inspect.isfunction(public):
        assert public.__module__ == "waitkit.testing.strategies"
        assert public.__doc__
