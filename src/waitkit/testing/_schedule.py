"""`Schedule`: some jobs, a caller and a consumer, as plain data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, ParamSpec, TypeVar

from ._caller import Caller
from ._consumer import Consumer
from ._job import Job, JobError, Terse

P = ParamSpec("P")
T = TypeVar("T")

_CALLER, _CONSUMER = Caller(), Consumer()


@dataclass(frozen=True, repr=False)
class Schedule(Terse):
    """What happens in one example of a property-based test.

    Its repr is one line, leaves out what is as by default, and can be pasted back as a regression
    test.

    Attributes:
        jobs: the jobs, to be run each by `Job.run`, or one after the other by `fake`.
        caller: who calls the code under test: see `Caller.run`.
        consumer: who reads what it delivers: see `Consumer.run`.

    Example::

        schedule = Schedule(jobs=(Job(delay=2), Job(kind="error")))
        fetch = schedule.fake(PAGES.__getitem__)
        assert await fetch("a") == PAGES["a"]  # after 2 s
    """

    jobs: tuple[Job, ...] = ()
    caller: Caller = _CALLER
    consumer: Consumer = _CONSUMER

    def fake(
        self, func: Callable[P, T], *, error: Callable[..., Exception] = JobError
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        """Make an async function that behaves as the jobs do: the first call as the first job, …

        Calls are counted when they are made, not when they are awaited. Those behind the last job
        return at once. Each fake counts anew.

        Args:
            func: a plain function, which gives the value of a call; called when its job ends.
            error: makes the error of a job that fails of the arguments of the call:
                ``ConnectionError``, say, if that is what the code under test expects.

        Returns:
            An async function with the parameters of ``func``.

        Raises:
            TypeError: ``func`` is an async function.

        Example::

            fetch = schedule.fake(PAGES.__getitem__, error=ConnectionError)
        """
        if inspect.iscoroutinefunction(func):
            raise TypeError("fake() takes a plain function, which gives the value of each call")
        jobs = chain(self.jobs, repeat(Job()))

        def call(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
            job = next(jobs)
            made = job._work(lambda: func(*args, **kwargs), error, args)
            name = f"fake({', '.join(map(repr, args))}) as {job!r}"
            made.__qualname__ = name  # type: ignore[attr-defined]  # a coroutine object has it
            return made

        return call


Schedule.__module__ = "waitkit.testing.strategies"
