"""A stream under everything that can be done to it, in any order, against a plain model.

Hypothesis makes up programs of rules: ask for the next item, give that up, add, extend, drain,
close, let jobs end and fail in any order and any number at once, let the loop turn, let time pass.
The loop turns only when a rule says so: what is done between two turns happens in one tick.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections import Counter
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import waitkit
from schedules import OUTCOME_STREAMS, STREAMS
from stream_model import StreamModel
from stream_stage import IF_CANCELLED, IfCancelled, Stage, read_counts
from waitkit.testing.strategies import JobError

SETTLED = 20  # turns of the loop after which nothing more happens by itself

ENDINGS = st.lists(st.sampled_from(["value", "value", "error"]), min_size=3, max_size=3)
KINDS = st.sampled_from(IF_CANCELLED)


class StreamMachine(RuleBasedStateMachine):
    """One stream in its block, and what is done to it."""

    helper: str  # of the subclasses
    stream: waitkit.ResultStream[Any]
    model: StreamModel

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.read = 0  # of what has ended, by the model
        self.raised: list[BaseException] = []
        self.getter: asyncio.Task[tuple[str, Any]] | None = None  # asks for the next item
        self.closers: list[asyncio.Task[None]] = []
        self.cancelled_closers: set[asyncio.Task[None]] = set()
        self.settled = False

    @initialize(
        keyed=st.booleans(),
        limit=st.sampled_from([None, 1, 2, 3]),
        more=st.sampled_from([None, 0, 1]),
        kinds=st.lists(KINDS, max_size=5),
        lazy=st.booleans(),
        peace=st.sampled_from([0, 2, 4, 8, 16]),
    )
    def start(
        self,
        keyed: bool,
        limit: int | None,
        more: int | None,
        kinds: list[IfCancelled],
        lazy: bool,
        peace: int,
    ) -> None:
        """The stream is made, and its block entered."""
        stage = self.stage
        self.peace = peace
        stage.keyed = keyed
        buffersize = None if limit is None or more is None else limit + more
        self.model = StreamModel(
            as_data=self.helper in OUTCOME_STREAMS,
            in_order="in_order" in self.helper,
            limit=limit or inf,
            buffersize=buffersize or 2 * (limit or inf),
        )
        inputs, segment = stage.inputs(kinds, lazy)

        async def enter() -> waitkit.ResultStream[Any]:
            make = getattr(waitkit, self.helper)
            options = {"max_concurrency": limit, "buffersize": buffersize}
            stream: waitkit.ResultStream[Any] = make(
                inputs, dispose=stage.disposed.append, **options
            )
            return await stream.__aenter__()

        self.model.extend(segment)
        self.stream = stage.loop.run_until_complete(enter())

    # --- the consumer

    async def get(self) -> tuple[str, Any]:
        try:
            return "item", await anext(self.stream)
        except StopAsyncIteration:
            return "end", None
        except (JobError, waitkit.JobCancelledError) as error:
            return "failure", error

    @precondition(lambda self: self.getter is None)
    @rule()
    def ask(self) -> None:
        """Somebody asks for the next item."""
        self.settled = False
        self.getter = self.stage.loop.create_task(self.get())

    @precondition(lambda self: self.getter is not None)
    @rule()
    def give_up(self) -> None:
        """R24: what asks for the next item is cancelled."""
        getter = self.getter
        assert getter is not None
        is_in_time = getter.cancel()
        self.turn(1)
        assert getter.cancelled() == is_in_time  # R23

    @precondition(lambda self: self.getter is not None and self.settled)
    @rule()
    def ask_twice(self) -> None:
        """R26: a second one who asks meanwhile is refused."""
        with pytest.raises(RuntimeError, match="another task is waiting"):
            self.stage.loop.run_until_complete(self.get())

    @property
    def at_peace(self) -> bool:
        """Whether it is too early for what may end the stream: or no stream would live for long."""
        return len(self.stage.ended) < self.peace

    @precondition(lambda self: not self.at_peace)
    @rule()
    def close(self) -> None:
        """Somebody closes the stream; closing twice does no harm (R26)."""
        self.closers.append(self.leave_by(self.stream.aclose))
        self.turn(1)

    @precondition(lambda self: not all(task.done() for task in self.closers))
    @rule()
    def cancel_a_closer(self) -> None:
        """R23: who closes the stream is cancelled; it waits for the jobs all the same."""
        self.settled = False
        task = next(task for task in self.closers if not task.done())
        self.cancelled_closers.add(task)
        task.cancel()

    def leave_by(
        self, way: Callable[..., Coroutine[Any, Any, None]], *args: Any
    ) -> asyncio.Task[None]:
        async def leave() -> None:
            self.catch_up()
            self.model.close()
            await way(*args)

        return self.stage.loop.create_task(leave())

    # --- the inputs

    def refused(self, call: Callable[[], None]) -> bool:
        """Whether the stream takes no more inputs: then it has to say so (R26)."""
        self.catch_up()
        self.settled = False
        if self.model.drained or self.model.ended:
            with pytest.raises(RuntimeError, match="after"):
                call()
            return True
        call()
        return False

    @rule(kind=KINDS)
    def add(self, kind: IfCancelled) -> None:
        """One more input, at once if there is a free slot (R26)."""
        number = self.stage.make(kind)
        key = {"key": self.stage.key(number)} if self.stage.keyed else {}
        coro = self.stage.begin(number)
        if not self.refused(lambda: self.stream.add(coro, **key)):
            self.model.add(number)

    @rule(kinds=st.lists(KINDS, max_size=3), lazy=st.booleans())
    def extend(self, kinds: list[IfCancelled], lazy: bool) -> None:
        """More inputs, behind all that is there."""
        inputs, segment = self.stage.inputs(kinds, lazy)
        if not self.refused(lambda: self.stream.extend(inputs)):
            self.model.extend(segment)

    @precondition(lambda self: not self.at_peace)
    @rule()
    def drain(self) -> None:
        """R26: no more inputs, but those at work finish."""
        self.catch_up()
        self.settled = False
        self.stream.drain()
        self.model.drain()

    # --- the jobs

    @precondition(lambda self: self.stage.untold())
    @rule(which=st.lists(st.integers(0, 9), min_size=1, max_size=3), how=ENDINGS)
    def finish(self, which: list[int], how: list[str]) -> None:
        """Some jobs return or fail, in any order, in the same tick."""
        self.settled = False
        fatal = self.at_peace and not self.model.as_data
        for place, each in zip(which, how, strict=False):
            if untold := self.stage.untold():
                told = untold[place % len(untold)].told
                told.set_result("value" if fatal else each)

    @precondition(lambda self: self.stage.untold() and (self.model.as_data or not self.at_peace))
    @rule(place=st.integers(0, 9))
    def cancel_elsewhere(self, place: int) -> None:
        """R13: somebody else cancels a job."""
        self.settled = False
        untold = self.stage.untold()
        job = untold[place % len(untold)]
        assert job.task is not None
        job.task.cancel()
        job.cancelled_elsewhere += 1

    @precondition(lambda self: self.stage.cleaning_up())
    @rule()
    def clean_up(self) -> None:
        """Jobs that take their time to stop have stopped."""
        self.settled = False
        for job in self.stage.cleaning_up():
            job.cleaned_up.set_result(None)

    # --- the loop

    @rule(turns=st.sampled_from([1, 1, 2, 3, SETTLED, SETTLED, SETTLED]))
    def turn(self, turns: int) -> None:
        for _ in range(turns):
            self.stage.turn()
            self.catch_up()
        self.settled = turns >= SETTLED
        if self.settled:
            self.check_that_all_was_done()

    @rule(seconds=st.integers(1, 20))
    def let_time_pass(self, seconds: int) -> None:
        """Nothing happens by itself."""
        self.stage.loop.run_until_complete(asyncio.sleep(seconds))
        self.turn(SETTLED)

    # --- the model

    def catch_up(self) -> None:
        """Have the model hear of what has happened, and hold it against what may."""
        self.count()
        if any(task.done() for task in self.closers):
            assert not self.stage.at_work(), "closed, and not all have ended (R22)"
        getter = self.getter
        if getter is not None and getter.done():
            self.getter = None
            if not getter.cancelled():
                self.receive(*getter.result())
            self.count()

    def count(self) -> None:
        model, (running, _, taken) = self.model, read_counts(self.stream)
        model.take(taken - len(model.taken))
        # The stream hears of an end a turn after the job itself, and of all in the same order.
        for number, how in self.stage.ended[self.read : taken - running]:
            model.finish(number, how)
            self.read += 1
        if model.closing:
            model.running -= {each for each in model.running if self.stage.jobs[each].unstarted}
        elif model.room and not model.waiting:
            model.look_for_more()

    def receive(self, what: str, got: Any) -> None:
        """Something came out of the stream."""
        model = self.model
        if what == "end":
            assert model.nothing_to_come
            model.ended = True
        elif what == "failure":
            self.raised.append(got)
            assert model.failure is not None
            number, how = model.failure
            assert model.next_up() is None, "what came before a failure comes first (R9)"
            assert not model.running, "a failure is raised when all jobs have ended (R10)"
            assert how == "cancelled" or got is self.stage.jobs[number].error
            assert f"raised by input {model.taken.index(number)}" in str(got.__notes__)  # R11
            model.failure, model.ended = None, True
        else:
            number, how = self.read_item(got)
            model.deliver(number, how)

    def read_item(self, item: Any) -> tuple[int, str]:
        """Which job that is of, and how it ended."""
        taken = self.model.taken
        match item:
            case waitkit.Success(number, key, index):
                how = "value"
            case waitkit.Failure(JobError() as error, key, index):
                number, how = error.args[0], "error"
            case waitkit.Cancelled(key, index, reason="external", started=True):
                number, how = taken[index], "cancelled"
            case (key, number):
                index, how = taken.index(number), "value"
            case number:
                index = key = taken.index(number)
                how = "value"
        assert taken[index] == number
        assert key == (self.stage.key(number) if self.stage.keyed else index)
        return number, how

    def check_that_all_was_done(self) -> None:
        """R2, R3, R10: what can happen has happened, and repr() tells the truth."""
        model, (running, undelivered, taken) = self.model, read_counts(self.stream)
        assert taken == len(model.taken)
        assert running == len(model.running) == len(self.stage.at_work())
        if not model.closing:
            assert undelivered == len(model.finished)
            assert model.room >= 0
            assert not (model.room and model.waiting), "a slot is idle while inputs remain"
        elif not model.ended:
            assert not self.stage.untold(), "a failure cancels all jobs at once"
        if self.getter is not None:
            assert model.next_up() is None or model.ended, "it was there, and nobody was told"
            assert not model.nothing_to_come or model.running, "the end, and nobody was told"
            assert model.failure is None or model.running, "a failure, and nobody was told"

    @invariant()
    def limits_hold(self) -> None:
        """R2, R3, R8, R23: at every moment, in the middle of a tick too."""
        if not hasattr(self, "stream"):
            return
        model, (running, _, taken) = self.model, read_counts(self.stream)
        assert running <= model.limit
        assert len(self.stage.at_work()) <= model.limit
        # What somebody is about to receive has made room.
        assert taken <= len(model.delivered) + model.buffersize + (self.getter is not None)
        assert len(set(model.delivered)) == len(model.delivered)
        for job in self.stage.jobs:
            assert job.cancelled <= 1 + job.cancelled_elsewhere

    # --- the end

    def teardown(self) -> None:
        """The block is left, and then all has ended, and is accounted for."""
        try:
            if hasattr(self, "stream"):
                self.leave()
                self.check_that_nothing_is_left()
        finally:
            self.stage.strike_down()

    def leave(self) -> None:
        if self.getter is not None:
            self.getter.cancel()
        leaving = self.leave_by(self.stream.__aexit__, None, None, None)
        self.turn(SETTLED)
        self.clean_up()
        self.turn(SETTLED)
        self.getter = None
        for task in (leaving, *self.closers):
            assert task.done()
            assert task.cancelled() == (task in self.cancelled_closers)

    def check_that_nothing_is_left(self) -> None:
        """R12, R22, R27, R29."""
        stage, model = self.stage, self.model
        assert not asyncio.all_tasks(stage.loop)
        assert not stage.at_work()
        assert stage.begun == [number for number in model.taken if number in stage.begun]
        stage.check_what_is_left()
        for job in stage.jobs:
            if job.coro is not None:
                assert inspect.getcoroutinestate(job.coro) == inspect.CORO_CLOSED
        values = [number for number, how in stage.ended if how == "value"]
        delivered = [number for number in model.delivered if number in values]
        assert Counter(values) == Counter(delivered + stage.disposed)
        # Of failures as data those that nobody got may be dropped.
        told = Counter(map(id, (*self.raised, *stage.logged.errors)))
        for number, how in stage.ended:
            if how == "error":
                times = told[id(stage.jobs[number].error)]
                assert times == 1 or (model.as_data and not times)
        gc.collect()  # what was never awaited, or retrieved, complains now
        assert not stage.loop.complaints
        assert not stage.warned


@pytest.mark.parametrize("helper", STREAMS)
def test_stream_does_as_the_model_does(helper: str) -> None:
    """R2, R3, R7-R13, R22-R24, R26, R27, R29: whatever is done to a stream, in any order."""
    machine = type(f"Machine_{helper}", (StreamMachine,), {"helper": helper})
    examples = 8 * settings().max_examples
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=40)
    )
