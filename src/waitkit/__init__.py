"""Helpers around `asyncio.wait` that get order, errors and pending tasks right."""

from ._collectors import first_error, gather_partial
from ._errors import DeadlineError, JobCancelledError, JobLostError, RemoteError
from ._first_completed import first_completed
from ._first_success import first_success
from ._inputs import borrowed, call_each, keyed
from ._outcomes import Cancelled, Failure, Outcome, Partial, Success
from ._stopping import cancel_and_wait
from ._stream import ResultStream
from ._streams import (
    as_completed_outcomes,
    as_completed_results,
    in_order_outcomes,
    in_order_results,
)

__version__ = "0.1.0"

__all__ = [
    "Cancelled",
    "DeadlineError",
    "Failure",
    "JobCancelledError",
    "JobLostError",
    "Outcome",
    "Partial",
    "RemoteError",
    "ResultStream",
    "Success",
    "as_completed_outcomes",
    "as_completed_results",
    "borrowed",
    "call_each",
    "cancel_and_wait",
    "first_completed",
    "first_error",
    "first_success",
    "gather_partial",
    "in_order_outcomes",
    "in_order_results",
    "keyed",
]
