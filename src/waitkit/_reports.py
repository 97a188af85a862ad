"""What is said about a job: the input it belongs to, by note or on the ``waitkit`` logger."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from ._backends import Job
from ._checks import safe_repr
from ._errors import DeadlineError, JobCancelledError

logger = logging.getLogger("waitkit")

EXITS = KeyboardInterrupt | SystemExit  # asyncio lets them out of the loop (R14)


class Reporter:
    """Knows the helper's name and the keys, and so how to name an input."""

    __slots__ = ("_helper", "keys")

    def __init__(self, helper: str, *, keyed: bool) -> None:
        self._helper = helper
        self.keys: dict[int, Any] | None = {} if keyed else None

    def name(self, index: int) -> str:
        if self.keys is None or index not in self.keys:
            return f"input {index}"
        return f"input {index} (key {safe_repr(self.keys[index])})"

    def note(self, error: BaseException, index: int) -> None:
        """Say on an exception which input raised it (R11)."""
        note = f"waitkit.{self._helper}: raised by {self.name(index)}"
        if not _has_note(error, note):
            _add_note(error, note)

    def lost(self, job: Job, index: int) -> JobCancelledError:
        """The failure that a cancellation from elsewhere is (R13)."""
        error = JobCancelledError(f"{self.name(index)} was cancelled from elsewhere")
        try:
            job.result()
        except BaseException as cause:
            # Less this frame, which holds what the exception would then hold in a cycle (R30).
            error.__cause__ = cause.with_traceback(
                cause.__traceback__ and cause.__traceback__.tb_next
            )
        return error

    def further(self, first: BaseException | None, error: BaseException, origin: str) -> None:
        """Lose no failure that came after the call was decided, and raise none (R12)."""
        if error is first or isinstance(error, EXITS):
            return  # reported already
        if first is not None:
            text = safe_repr(error)
            _add_note(first, f"waitkit.{self._helper}: then {origin} failed too: {text}")
        self._log(error, "%s: %s failed after the call had been decided", origin)

    def unraised(self, error: BaseException) -> None:
        """Log the failure of a call whose caller left before it could be raised (R12).

        Not a deadline; nor a job that was cancelled from elsewhere, for whoever cancels it and
        the caller at once, as `asyncio.run` does at its end, knows.
        """
        if not isinstance(error, DeadlineError | JobCancelledError | EXITS):
            self._log(error, "%s: %s", "left with a failure that was never raised")

    def undisposed(self, error: BaseException) -> None:
        self._log(error, "%s: %s", "dispose failed")

    def refusing(self, job: Job, index: int, seconds: float) -> None:
        """Name a job that runs on though it was cancelled (R22)."""
        _warn(
            "waitkit.%s: %s has not ended %g seconds after it was cancelled: %s",
            self._helper,
            self.name(index),
            seconds,
            safe_repr(job),
        )

    def _log(self, error: BaseException, message: str, detail: str) -> None:
        # In full: an exception may be false, and would be taken for none.
        exc_info = (type(error), error, error.__traceback__)
        _warn(message, f"waitkit.{self._helper}", detail, exc_info=exc_info)


def _warn(message: str, *details: object, exc_info: Any = None) -> None:
    try:
        logger.warning(message, *details, exc_info=exc_info)
    except Exception:  # of a handler: were it to get out here, the call would never end (R22)
        traceback.print_exc()  # as logging itself does where it can


def _has_note(error: BaseException, note: str) -> bool:
    try:
        return note in error.__notes__
    except Exception:  # it has none, or forbids this
        return False


def _add_note(error: BaseException, note: str) -> None:
    try:
        error.add_note(note)
    except Exception:  # an exception may forbid attributes; its own message still comes out
        logger.debug("could not add a note to %s: %s", type(error).__name__, note)
