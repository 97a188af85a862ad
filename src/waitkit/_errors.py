"""The exceptions that waitkit raises, or hands out as data, in its own name."""

from __future__ import annotations

__all__ = ["DeadlineError", "JobCancelledError", "JobLostError", "RemoteError"]


class DeadlineError(TimeoutError):
    """The ``timeout`` of a whole call has passed.

    A subclass of :exc:`TimeoutError`, so that ``except TimeoutError`` catches it, and a
    class of its own, so that a job's `TimeoutError` is never mistaken for it. From
    `first_success`, its ``__cause__`` is the group of the failures so far.

    Example::

        try:
            await waitkit.first_error(calls, timeout=2.0)
        except waitkit.DeadlineError:
            ...  # the call took longer than two seconds; nothing is left running
        except TimeoutError:
            ...  # one of the calls raised this itself
    """


class JobCancelledError(Exception):
    """A job was cancelled by somebody other than waitkit and its caller.

    It is an ordinary failure of that job: were it raised as `asyncio.CancelledError`, the
    caller would take it for its own cancellation. Its ``__cause__`` is the
    ``CancelledError``.
    """


class JobLostError(Exception):
    """A job that ran outside the event loop was lost together with what ran it.

    For awaitables that stand for work elsewhere (a pool, a cluster): raised by them when
    the worker dies, so that the loss is a failure of the job and no cancellation. The
    helpers treat it as they treat any failure; none of them raises it.
    """


class RemoteError(Exception):
    """A job that ran outside the event loop failed with an error that could not travel.

    For awaitables that stand for work elsewhere: the text of an exception that cannot be
    pickled. The helpers treat it as they treat any failure; none of them raises it.
    """


for _error in (DeadlineError, JobCancelledError, JobLostError, RemoteError):
    _error.__module__ = "waitkit"  # what tracebacks and docs show is what users import
del _error
