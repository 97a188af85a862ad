"""R60 to R62: what no test of `waitkit.testing` had looked at (see `mutation.py`)."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import anyio
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from waitkit.testing import (
    CancellationError,
    DeadlockError,
    LeakError,
    NeverAwaitedError,
    UnhandledError,
    cancel_everywhere,
    raise_everywhere,
    run,
    strategies,
)
from waitkit.testing.strategies import (
    KINDS,
    Caller,
    CallerCancelledError,
    Consumer,
    Job,
    Kind,
    Schedule,
)

Backend = Literal["asyncio", "trio"]
Main = Callable[[], Coroutine[Any, Any, None]]
on_each_backend = pytest.mark.parametrize("backend", ["asyncio", "trio"])
each_function = pytest.mark.parametrize("function", [run, cancel_everywhere, raise_everywhere])


async def work() -> None:
    await anyio.sleep(1)


# --- what a run has the matter with it


async def leave_tasks() -> None:
    loop = asyncio.get_running_loop()
    for name in "ba":
        loop.create_task(work(), name=name)  # type: ignore[unused-awaitable]  # noqa: RUF006  # leaked
    await asyncio.sleep(0)


async def leave_coroutines() -> None:
    work()  # type: ignore[unused-coroutine]


async def complain() -> None:
    complaint = asyncio.get_running_loop().call_exception_handler
    complaint({"message": "out of paper"})
    complaint({"message": "out of ink", "exception": OSError("empty")})
    complaint({"message": "out of paper"})


async def complain_without_an_error() -> None:
    asyncio.get_running_loop().call_exception_handler({"message": "out of paper"})


@pytest.mark.parametrize(
    ("main", "failure", "message"),
    [
        (
            leave_tasks,
            LeakError,
            ["main has ended, and these tasks still run:", "  'a': work()", "  'b': work()"],
        ),
        (
            leave_coroutines,
            NeverAwaitedError,
            ["these were neither awaited nor closed:", "  coroutine 'work'"],
        ),
        (
            complain,
            UnhandledError,
            [
                "nobody but the event loop was told of:",
                "  out of paper  (2 times)",
                "  out of ink: OSError('empty')",
            ],
        ),
        (
            complain_without_an_error,
            UnhandledError,
            ["nobody but the event loop was told of:", "  out of paper"],
        ),
    ],
)
def test_run_tells_in_these_words(
    main: Main, failure: type[AssertionError], message: list[str]
) -> None:
    """R60: a title, and a line for each of what is wrong, equal ones counted."""
    with pytest.raises(failure) as caught:
        run(main)
    assert re.sub(r"(, made)? at \S+:\d+: .*", "", str(caught.value)).splitlines() == message
    assert isinstance(caught.value.__cause__, OSError) == (main is complain)


@pytest.mark.parametrize(("tasks", "more"), [(50, []), (51, ["  and 1 more"])])
def test_run_tells_of_fifty_tasks_at_most(tasks: int, more: list[str]) -> None:
    """R60: of those that are left in such numbers, so many tell what is wrong."""

    async def main() -> None:
        kept = [asyncio.create_task(work(), name=f"{number:02}") for number in range(tasks)]
        assert not any(task.done() for task in kept)

    with pytest.raises(LeakError) as caught:
        run(main)
    lines = [line.partition(":")[0] for line in str(caught.value).splitlines()[1:]]
    assert lines == [f"  '{number:02}'" for number in range(50)] + more


@on_each_backend
def test_pytest_shows_no_frames_of_a_run_that_found_something(backend: Backend) -> None:
    """R60: the traceback of a failure ends where the test calls `run`."""
    with pytest.raises(DeadlockError) as caught:
        run(anyio.sleep_forever, backend=backend)
    shown = [entry.name for entry in caught.traceback.filter(caught)]
    assert shown == ["test_pytest_shows_no_frames_of_a_run_that_found_something"]


# --- errors that lead to others


def break_off() -> None:
    held = [work()]  # by this frame, and so by the traceback of the error
    raise KeyError(len(held))


@on_each_backend
def test_coroutine_that_only_an_earlier_error_holds_is_found(backend: Backend) -> None:
    """R60, R62: an error has its run let go of what the frames of errors before it hold."""

    async def main() -> None:
        try:
            await anyio.sleep(1)
        except ConnectionError as error:
            try:
                break_off()
            except KeyError:
                raise ExceptionGroup("page", [error])  # noqa: B904  # nor is it from the KeyError

    with pytest.raises(NeverAwaitedError, match=r"^operation 1 of 1 failed at once(.|\n)*'work'"):
        raise_everywhere(main, backend=backend)


@on_each_backend
def test_error_that_is_meant_is_found_by_its_cause_alone(backend: Backend) -> None:
    """R62: one that is raised ``from`` the failure later, when none is being handled, is meant."""

    async def main() -> None:
        failure = None
        try:
            await anyio.sleep(1)
        except ConnectionError as error:
            failure = error
        if failure is not None:
            raise LookupError("no page") from failure

    assert raise_everywhere(main, backend=backend) == 3


@on_each_backend
def test_error_that_leads_back_to_itself_is_found_once(backend: Backend) -> None:
    """R62: a failure that is raised again from what was raised from it has no end to look for."""

    async def main() -> None:
        try:
            await anyio.sleep(1)
        except ConnectionError as error:
            try:
                raise LookupError("no page") from error
            except LookupError as wrapper:
                raise error from wrapper

    assert raise_everywhere(main, backend=backend) == 3


# --- bad use


@each_function
def test_coroutine_in_the_place_of_its_function_is_an_error(function: Any) -> None:
    """R60, R62: it is closed, and the message says what to write instead."""
    coroutine = work()
    with pytest.raises(TypeError) as caught:
        function(coroutine)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
    assert str(caught.value) == (
        f"{function.__name__}() takes an async function and makes the coroutine itself: "
        "write it without the parentheses"
    )


@each_function
@pytest.mark.parametrize(
    ("main", "backend", "message"),
    [
        (3, "asyncio", "{}() takes an async function, not int"),
        (int, "asyncio", "main must be an async function: it returned int"),
        (int, "trio", "main must be an async function: it returned int"),
        (work, "curio", "backend must be 'asyncio' or 'trio', not 'curio'"),
    ],
)
def test_what_cannot_be_run_is_an_error_that_says_so(
    function: Any, main: Any, backend: str, message: str
) -> None:
    """R60, R62: the message names the function that was called, and what it takes."""
    with pytest.raises((TypeError, ValueError)) as caught:
        function(main, backend=backend)
    assert str(caught.value) == message.format(function.__name__)


@pytest.mark.only("direct")
@each_function
async def test_run_in_a_run_is_an_error_that_says_so(function: Any) -> None:
    """R60, R62: the same on Trio's loop as on asyncio's."""
    with pytest.raises(RuntimeError) as caught:
        function(work)
    assert str(caught.value) == (
        f"waitkit.testing.{function.__name__}() cannot be called from a running event loop: "
        "it runs one of its own. Call it from a plain function"
    )


@pytest.mark.parametrize("mode", [{"debug": True}, {"eager": True}])
def test_modes_of_asyncio_are_an_error_on_trio(mode: Any) -> None:
    """R60: each of the two, and both are named."""
    with pytest.raises(ValueError, match="asyncio") as caught:
        run(work, backend="trio", **mode)
    assert str(caught.value) == ("debug and eager are modes of asyncio: backend='trio' has neither")


def test_eager_tasks_need_a_python_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """R60: an error tells which, up to 3.11; from 3.12 on it is none."""

    async def start() -> list[str]:
        order: list[str] = []

        async def job() -> None:
            order.append("started")

        task = asyncio.create_task(job())
        started = list(order)
        await task
        return started

    assert run(start) == []
    if sys.version_info >= (3, 12):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "version_info", (3, 12, 0, "final", 0))
            assert run(start, eager=True) == ["started"]
    monkeypatch.setattr(sys, "version_info", (3, 11, 9, "final", 0))
    with pytest.raises(RuntimeError) as caught:
        run(work, eager=True)
    assert str(caught.value) == "eager=True needs Python 3.12 or later, which has eager tasks"


@pytest.mark.parametrize("how", ["is shut out", "is not there"])
def test_without_trio_only_its_backend_is_missing(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R60: an error says what to install, however it is missing; asyncio does without."""
    if how == "is shut out":
        monkeypatch.setitem(sys.modules, "trio", None)
    else:
        monkeypatch.delitem(sys.modules, "trio")
        monkeypatch.setattr(sys, "path", [])
    run(asyncio.sleep, 1)
    with pytest.raises(ModuleNotFoundError) as caught:
        run(work, backend="trio")
    assert str(caught.value) == "backend='trio' needs Trio. Install it with: pip install trio"
    assert caught.value.name == "trio"


def test_trio_that_has_not_been_imported_yet_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """R60: it is enough that Trio can be imported."""

    async def main() -> str:
        return "done"

    monkeypatch.delitem(sys.modules, "trio")
    assert run(main, backend="trio") == "done"


# --- jobs and fakes


@pytest.mark.parametrize(
    "make", [lambda kind: Job(kind=kind), lambda kind: strategies.jobs(kinds=[kind])]
)
def test_unknown_kind_is_told_with_those_that_exist(make: Callable[[Any], object]) -> None:
    """R61: all of them, as they are to be written."""
    with pytest.raises(ValueError, match="oops") as caught:
        make("oops")
    assert re.sub("^kind must be one of|^kinds are", "", str(caught.value)) == (
        " 'value', 'error', 'base_error', 'cancelled', 'slow_cleanup', 'failing_cleanup', "
        "'swallows_cancel'; not 'oops'"
    )


@pytest.mark.only("asyncio")
async def test_job_that_is_cancelled_from_elsewhere_says_so() -> None:
    """R13, R61: who sees its cancellation can tell it from one that was sent."""
    with pytest.raises(asyncio.CancelledError) as caught:
        await asyncio.create_task(Job(kind="cancelled").run("page a"))
    assert caught.value.args == ("cancelled from elsewhere, as drawn",)


@pytest.mark.only("asyncio")
async def test_slow_cleanup_ends_in_its_tick() -> None:
    """R61: it is tied with what else takes as long, as jobs of the same delay are."""
    order: list[str] = []

    def note(name: str) -> Callable[[object], None]:
        return lambda _: order.append(name)

    job = asyncio.create_task(Job(delay=5, kind="slow_cleanup").run("page a"))
    await asyncio.sleep(1)
    job.cancel()
    await asyncio.sleep(0)
    sleeper = asyncio.create_task(asyncio.sleep(5))
    job.add_done_callback(note("job"))
    sleeper.add_done_callback(note("sleeper"))
    await asyncio.wait([job, sleeper])
    await asyncio.sleep(0)
    assert order == ["job", "sleeper"]


def test_fake_of_an_async_function_is_told_what_it_takes() -> None:
    """R61: the values come from a plain function."""
    with pytest.raises(TypeError) as caught:
        Schedule().fake(work)
    assert str(caught.value) == (
        "fake() takes a plain function, which gives the value of each call"
    )


def test_call_of_a_fake_is_named_with_all_its_arguments() -> None:
    """R60, R61: as it would be written."""

    async def main() -> None:
        tasks = [asyncio.create_task(Schedule(jobs=(Job(delay=2),)).fake(lambda a, b: a + b)(2, 3))]
        await asyncio.sleep(1)
        assert len(tasks) == 1

    with pytest.raises(LeakError, match=r"\n  fake\(2, 3\) as Job\(delay=2\)$"):
        run(main)


# --- callers and consumers


@pytest.mark.only("asyncio")
async def test_cancellations_of_a_caller_are_numbered() -> None:
    """R61: as they were drawn, whenever they come."""
    came: list[str] = []

    async def swallow() -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError as cancelled:
                came.append(str(cancelled))

    await Caller(cancels=((2, 0), (1, 2), (3, 0))).run(swallow)
    assert came == [f"cancellation {number}, as drawn" for number in (2, 1, 3)]


async def test_cancelled_caller_says_what_it_was() -> None:
    """R61: in the same words on all loops."""
    with pytest.raises(CallerCancelledError) as caught:
        await Caller(cancels=((1, 0),)).run(anyio.sleep, 100)
    assert str(caught.value) == "the caller was cancelled, as drawn"


@pytest.mark.only("asyncio")
async def test_strict_caller_leads_to_what_came_instead() -> None:
    """R23, R61: what a cancellation was turned into, or that nobody sent one, and the error."""
    error = ConnectionError("no page")

    async def turn_into_error() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise error from None

    with pytest.raises(CancellationError) as caught:
        await Caller(cancels=((1, 0),)).run(turn_into_error, strict=True)
    assert caught.value.__cause__ is error

    async def invent() -> None:
        raise asyncio.CancelledError("invented")

    with pytest.raises(CancellationError) as caught:
        await Caller().run(invent, strict=True)
    assert str(caught.value) == "a cancellation came out, and nobody had cancelled the caller"
    assert str(caught.value.__cause__) == "invented"


@pytest.mark.only("asyncio")
async def test_consumer_asks_for_the_next_in_the_tick_that_ends_its_pause() -> None:
    """R61: it is tied with what else takes as long, as jobs of the same delay are."""
    order: list[str] = []

    class Pages:
        def __aiter__(self) -> Pages:
            return self

        async def __anext__(self) -> str:
            if order:
                order.append("asked")
                raise StopAsyncIteration
            order.append("page")
            return "page"

    async def sleep() -> None:
        await asyncio.sleep(2)
        order.append("slept")

    consumer = asyncio.create_task(Consumer(pause=2).run(Pages()))
    await asyncio.gather(consumer, sleep())
    assert order == ["page", "asked", "slept"]


# --- what is drawn


def all_drawn(strategy: Any, examples: int = 500) -> list[Any]:
    """Examples, all of them if there are not many; else enough to see each value of a field."""
    drawn: list[Any] = []

    @settings(max_examples=examples, phases=[Phase.generate], database=None, derandomize=True)
    @given(strategy)
    def draw(example: Any) -> None:
        drawn.append(example)

    draw()
    return drawn


@pytest.mark.parametrize(
    ("options", "kinds", "max_delay", "max_ticks"),
    [
        ({}, KINDS, 3, 2),
        ({"kinds": ("error", "value"), "max_delay": 2, "max_ticks": 0}, ("error", "value"), 2, 0),
        ({"kinds": ("value",), "max_delay": 0, "max_ticks": 5}, ("value",), 0, 5),
    ],
)
def test_jobs_are_drawn_up_to_their_bounds(
    options: Any, kinds: tuple[Kind, ...], max_delay: int, max_ticks: int
) -> None:
    """R61: every kind, delay and number of turns there may be, from none to the most."""
    every = itertools.product(range(max_delay + 1), kinds, range(max_ticks + 1))
    drawn = all_drawn(strategies.jobs(**options))
    assert set(drawn) == {Job(delay, kind, ticks) for delay, kind, ticks in every}


@pytest.mark.parametrize(
    ("options", "bounds"),
    [
        ({}, (0, 2, 4, 7)),
        ({"min_cancels": 1, "max_cancels": 3, "max_delay": 1, "max_ticks": 0}, (1, 3, 1, 0)),
        ({"max_delay": 0, "max_ticks": 1}, (0, 2, 0, 1)),
    ],
)
def test_callers_are_drawn_up_to_their_bounds(
    options: Any, bounds: tuple[int, int, int, int]
) -> None:
    """R61: every number of cancellations, and every moment, from the call to the last."""
    fewest, most, max_delay, max_ticks = bounds
    drawn = all_drawn(strategies.callers(**options), 200)
    assert all(isinstance(caller, Caller) for caller in drawn)
    assert {len(caller.cancels) for caller in drawn} == set(range(fewest, most + 1))
    moments = [moment for caller in drawn for moment in caller.cancels]
    assert {seconds for seconds, _ in moments} == set(range(max_delay + 1))
    assert {ticks for _, ticks in moments} == set(range(max_ticks + 1))


@pytest.mark.parametrize(
    ("options", "max_pause", "max_items", "breaks", "closes", "adds"),
    [
        ({}, 3, 4, True, True, True),
        ({"max_pause": 0, "max_items": 2, "allow_add": False}, 0, 2, True, True, False),
        ({"max_pause": 1, "max_items": 1, "allow_break": False}, 1, 1, False, True, True),
        ({"allow_close": False}, 3, 4, True, False, True),
    ],
)
def test_consumers_are_drawn_up_to_their_bounds(
    options: Any, max_pause: int, max_items: int, breaks: bool, closes: bool, adds: bool
) -> None:
    """R61: every pause, and after every number of items each of what it may do."""
    counts = range(1, max_items + 1)
    ends = [
        (None, None),
        *((count, None) for count in counts if breaks),
        *((None, count) for count in counts if closes),
    ]
    drawn = all_drawn(strategies.consumers(**options))
    assert set(drawn) == {
        Consumer(pause, breaks_after, closes_after, added)
        for pause, (breaks_after, closes_after), added in itertools.product(
            range(max_pause + 1), ends, range(max_items + 1 if adds else 1)
        )
    }


def test_schedules_are_drawn_up_to_their_bounds() -> None:
    """R61: of no job to six, and of all that jobs, callers and consumers are by default."""
    drawn = all_drawn(strategies.schedules(), 120)
    assert {len(schedule.jobs) for schedule in drawn} == set(range(7))
    assert {job.kind for schedule in drawn for job in schedule.jobs} == set(KINDS)
    assert {len(schedule.caller.cancels) for schedule in drawn} == {0, 1, 2}
    assert {schedule.consumer.pause for schedule in drawn} == {0, 1, 2, 3}
    assert {schedule.consumer.breaks_after for schedule in drawn} == {None, 1, 2, 3, 4}


def test_schedules_are_drawn_of_what_is_given() -> None:
    """R61: each part by its own strategy, and so many jobs."""
    job, caller, consumer = Job(delay=9), Caller(cancels=((9, 9),)), Consumer(pause=9)
    drawn = all_drawn(
        strategies.schedules(
            st.just(job),
            callers=st.just(caller),
            consumers=st.just(consumer),
            min_size=2,
            max_size=4,
        )
    )
    assert set(drawn) == {Schedule((job,) * size, caller, consumer) for size in (2, 3, 4)}
