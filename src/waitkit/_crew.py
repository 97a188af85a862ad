"""The engine: a crew runs the jobs of one call, and decides all that has to be decided.

What it guarantees: every input taken gives exactly one outcome; completion order is the order
in which the loop finished the jobs; never more jobs at work than the limit, and never a free
slot while inputs remain; when the call is over, no job is left.

How: each job carries one done-callback, `_on_done`. It hands the job to `_settle`, the one place
where an ending changes anything, then has `_fill` take the next input, then wakes whoever waits,
if that is what it waits for. Nothing here awaits, so no cancellation can strike between two
steps, and a wait that is cancelled loses nothing: all state is in the crew. A completion costs
O(1), where a loop over `asyncio.wait` adds and removes a callback on every pending job per round.

Two booleans tell the stage: `closing` (no input is taken any more, the jobs are cancelled) and
`_keeping` (how they end is still wanted).

    open      not closing, keeping    jobs run
    expired   closing, keeping        the deadline has passed, and failures are data (R17)
    closing   closing, not keeping    a failure, a winner, a deadline, or the caller leaves
    over      closing, and no job is left

Prior art: `asyncio.gather` (a counter and one future), `concurrent.futures.as_completed` (one
waiter and a list of what has finished), httpcore's connection pool (one synchronous transition
that returns what is to be closed).
"""

from __future__ import annotations

from typing import Any, Final

from ._backends import Backend, Event, Job, Timer
from ._closable import close_unstarted
from ._ending import Ending
from ._errors import DeadlineError, JobCancelledError
from ._inputs import Source
from ._outcomes import Failure, Success
from ._policy import Policy
from ._reports import Reporter
from ._results import Results
from ._roster import Roster
from ._sources import Intake
from ._starting import Starter

# What the one who waits wants to be woken for.
EACH: Final = 0  # something has finished
FRONT: Final = 1  # what is next in input order has finished
END: Final = 2  # nothing runs and nothing is left to take, or the call is decided


class Crew:
    """The jobs of one call of a helper."""

    __slots__ = tuple(
        """
        policy backend results keyed started closing drained timed_out
        _intake _starter _roster _reporter _ending
        _keys _running _finished _outcomes _ordered _race
        _punctual _after_them _strays _timer _expired _cut_short _keeping _verdict _waiter _wake_on
        """.split()  # noqa: SIM905  # a list of them takes forty lines
    )

    def __init__(self, policy: Policy, source: Source, backend: Backend) -> None:
        self.policy = policy
        self._outcomes = policy.outcomes
        self._ordered = policy.ordered
        self._race = policy.race
        self._verdict: BaseException | None = None
        self.backend = backend
        self._reporter = reporter = Reporter(policy.helper, keyed=source.keyed)
        self._keys = reporter.keys
        self.keyed: bool = source.keyed
        self.results: Results = Results(policy, self._keys)
        self._finished = finished = self.results.finished
        self._roster = roster = Roster(backend, reporter, self._on_done)
        self._running = roster.running
        roster.lend(source.special())
        self._intake = intake = Intake(source, backend, self._on_fed)
        self._starter = Starter(
            policy, backend, intake, roster, reporter, finished, self._fail_source
        )
        intake.on_arrival = self._starter.refill
        self._ending = Ending(backend, self._running, intake, reporter, policy.dispose)

        self.started: bool = False
        self.closing: bool = False
        self.drained: bool = False
        self.timed_out: bool = False  # the deadline has cut something off
        self._keeping = True
        self._punctual: set[Job] = set()  # had finished when the deadline passed (R20)
        self._after_them: list[Any] = []  # what the deadline cut off, to be delivered after those
        self._strays: set[Job] = set()  # `drain` left them untaken: only to be awaited (R26)
        self._timer: Timer | None = None  # the deadline
        self._expired = False  # it has passed
        self._cut_short = False  # by a cancellation of the caller
        self._waiter: Event | None = None
        self._wake_on = END

    @property
    def running(self) -> int:
        return len(self._roster)

    @property
    def taken(self) -> int:
        return self._starter.taken

    @property
    def live(self) -> bool:
        """Whether something may still finish that the caller wants."""
        return bool(self._punctual or (self._keeping and (self._running or self._starter.more)))

    @property
    def over(self) -> bool:
        return self.closing and self._ending.ended(None) and not self._starter.filling

    def start(self) -> None:
        """Start the clock, and as many jobs as may run."""
        self.started = True
        if self.closing:  # a stream that was closed before it started
            return
        self._roster.owner = self.backend.current()
        timeout = self.policy.timeout
        if timeout is not None and timeout > 0:
            self._timer = self.backend.timer(timeout, self._expire)
        self._starter.refill()
        if timeout is not None and timeout <= 0:
            self._expire()

    def watch(self, wake_on: int) -> Event:
        """What to await until there is something to do."""
        self._wake_on = wake_on
        self._waiter = event = self.backend.event()
        return event

    def deliver(self) -> Any:
        """What comes next, or `NOTHING` (yet)."""
        value = self.results.deliver()
        if self._starter.held_back:
            self._starter.make_room()
        return value

    def extend(self, source: Source) -> None:
        """More inputs, behind what is there."""
        self._roster.lend(source.special())
        self._intake.extend(source)
        self._have_more()

    def add(self, source: Source) -> None:
        """One more input, before the next item of an iterator."""
        self._roster.lend(source.special())
        self._intake.add(source)
        self._have_more()

    def _have_more(self) -> None:
        if not self.closing:
            if self.started:
                self._starter.refill()
            return
        # Too late: it is given up like all that was left then.
        if self._give_up():
            self._cut_short = self.backend.interrupted
            if self._expired:
                self._cut_off()
        self._roster.cancel()
        self._wake()

    def drain(self) -> None:
        """Take no more inputs, and let those at work finish (R26)."""
        self.drained = True
        strays = [self._enlist(key, aw) for key, aw in self._starter.drain()]
        self._strays.update(job for job in strays if job is not None)
        self._roster.cancel(strays)
        if not self.live:
            self._wake()

    def close(self) -> None:
        """Cancel the jobs: nobody wants anything any more."""
        self._roster.spare(self.backend.current(), starting=self._starter.filling)
        self._shut()
        self._roster.cancel()

    def interrupt(self) -> None:
        """The caller's cancellation has reached the jobs, too, and is the caller's to hear of."""
        if not self.closing:
            self._cut_short = self.live
            self._shut()
            self._roster.cancel()

    async def finish(self, *, leaving: bool) -> BaseException | None:
        """Await the jobs, dispose of what is unclaimed; give back the last cancellation.

        Nobody gets the results of a call that has failed, or whose caller is `leaving`.
        """
        if not self.closing:
            self.close()
        leaving = leaving or self._verdict is not None
        return await self._ending.finish(self.results.forfeit, leaving=leaving)

    def take_verdict(self) -> BaseException | None:
        """The error of the call, once: kept, it would be part of a cycle (R30)."""
        verdict, self._verdict = self._verdict, None
        if verdict is None and self._cut_short:  # a shielded consumer would hear of nothing
            verdict = JobCancelledError("the jobs were cancelled by a scope around them")
        self._cut_short = False
        return verdict

    def log_unraised(self) -> BaseException | None:
        """Log a failure whose caller left before it was raised (R12), and give it back."""
        self._cut_short = False
        failure = self.take_verdict()
        if failure is not None:
            self._reporter.unraised(failure)
        return failure

    def disband(self) -> None:
        """All has ended: nothing calls back any more, and no cycle is left (R30)."""
        self._roster.disband()
        self._starter.disband()
        self._intake.disband()

    def _on_done(self, job: Job) -> None:
        decided = self._settle(self._running.pop(job), job)
        if self.closing or self._strays or self._roster.twins:
            for index in self._roster.leave(job):
                decided |= self._settle(index, job, again=True)
            self._punctual.discard(job)
            if self._after_them and not self._punctual:
                self._finished.extend(self._after_them)
                self._after_them.clear()
            self._strays.discard(job)
        if decided:
            self._roster.cancel()
        if self._starter.more:
            self._starter.fill()
        if self._waiter is not None and (
            self._wake_on == EACH
            or ((self.closing or not self._running) and not self.live)
            or (self._wake_on == FRONT and self.results.ready)
        ):
            self._wake()
        if self.closing:
            self._ending.announce()

    def _settle(self, index: int, job: Job, *, again: bool = False) -> bool:
        """Enter how a job ended, at one of its places; tell whether that decides the call.

        There are four cases:
        1. It returned a value that is wanted: it is kept, or wins the race.
        2. Nobody wants to know: a value goes to dispose, an error is noted and logged (R12).
        3. It failed or was cancelled, and that is data.
        4. It failed or was cancelled, and that is the verdict (R10).
        """
        wanted = self._keeping and not (self._strays and job in self._strays)
        if self._punctual and job in self._punctual:
            wanted = True
        cancelled = job.cancelled()
        error = None if cancelled else job.exception()
        if wanted and error is None and not cancelled:
            value = job.result()
            if again or (self._roster.lent and job in self._roster.lent):
                self.results.lent.add(index)
            if self._race:
                self.results.winner = (index, value)
                self._verdict = None  # a deadline, in whose own tick this finished (R20)
                self._shut()
                return True
            if self._outcomes:
                value = Success(value, index if self._keys is None else self._keys[index], index)
            if self._ordered:
                self._finished[index] = value
            else:
                self._finished.append((index, value))
        elif not wanted:
            if error is not None:
                self._reporter.further(self._verdict, error, self._reporter.name(index))
            elif not cancelled and not again and job not in self._roster.lent:
                self._ending.discard(job.result())
        elif cancelled and self._outcomes and not self._race:
            late = self.closing and job not in self._punctual
            self.results.cancelled(index, "deadline" if late else "external")
        else:
            if error is None:
                error = self._reporter.lost(job, index)
            # A lost job is out of the race, whatever `catch` says (R13).
            data = self._outcomes and (cancelled or isinstance(error, self.policy.catch))
            if not data or self._race:
                self._reporter.note(error, index)
            if not data:
                self._verdict = error
                self._shut()
                return True
            assert isinstance(error, Exception)
            self.results.keep(Failure(error, self.results.key(index), index))
            if self._race:
                self._starter.hurry()  # the next one need not wait (R19)
        return False

    def _on_fed(self, job: Job) -> None:
        """The feeder of an async source has ended: so has the source."""
        error = None if job.cancelled() else job.exception()
        if job.cancelled() and not (self.closing or self.drained):
            error = JobCancelledError("the task that reads the source was cancelled from elsewhere")
        if error is not None:
            self._fail_source(error)
        self._starter.fed()
        if self.drained and not self.closing:
            self.drain()
        elif self.closing:
            self._have_more()
        if not self.live:
            self._wake()
        self._ending.announce()

    def _fail_source(self, error: BaseException) -> None:
        """What the source raises is the error of the call (R28), unless that is decided."""
        if self._keeping:
            self._verdict = error
            self._shut()
            self._roster.cancel()
        else:
            self._reporter.further(self._verdict, error, "the source of the inputs")

    def _wake(self) -> None:
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            self.backend.notify(waiter)

    def _expire(self) -> None:
        """The deadline has passed (R17, R20)."""
        self._timer = None
        if self.closing:
            return
        self._expired = True
        punctual = {job for job in self._running if job.done()}
        late = len(punctual | self._strays) < len(self._running)
        before = len(self._finished)
        late |= self._shut(keeping=self._outcomes and not self._race)
        self._punctual |= punctual - self._strays
        if self._punctual and not self._ordered:
            cut_off = [self._finished.pop() for _ in range(len(self._finished) - before)]
            self._after_them = cut_off[::-1]
        if late:
            self._cut_off()
        self._roster.cancel()

    def _cut_off(self) -> None:
        self.timed_out = True
        if not self._keeping and self._verdict is None:
            self._verdict = DeadlineError(
                f"waitkit.{self.policy.helper}: not finished after {self.policy.timeout:g} seconds"
            )

    def _shut(self, *, keeping: bool = False) -> bool:
        """Take no more, and want no more unless `keeping`; the caller has the jobs cancelled.

        Tells whether inputs were given up.
        """
        first, self.closing, self._keeping = not self.closing, True, keeping
        if not keeping:
            self._punctual.clear()
        late = False
        if first:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            for index in self._roster.release():
                if keeping:
                    self.results.cancelled(index, "deadline")
            late = self._give_up()
        self._wake()
        return late

    def _give_up(self) -> bool:
        """Close what has never started; what others have started is to be cancelled (R1, R17)."""
        late = self._intake.open_ended(everything=self._keeping)
        try:
            for key, aw in self._starter.give_up(everything=self._keeping):
                job = self._enlist(key, aw)
                if self._expired and job is not None and job.done():
                    self._punctual.add(job)
                    continue
                late = True
                if job is None and self._keeping:
                    self.results.cancelled(self._starter.number(key), "deadline", started=False)
        except Exception as error:
            self._fail_source(error)
        return late

    def _enlist(self, key: Any, aw: Any) -> Job | None:
        """Enter an input that will not be taken, if it is a job already; else close it."""
        if self._roster.is_lent(aw) and not getattr(aw, "future", aw).done():
            return None
        try:
            job = self._roster.adopt(aw, self.taken)
        except ValueError:  # of another event loop, or the caller: not ours to end
            return None
        if job is None:
            close_unstarted([aw])
        else:
            self._starter.number(key)
        return job
