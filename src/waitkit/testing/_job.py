"""`Job`: what a fake job does, as plain data, and the errors that it fails with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from ._on_either import cancelled_error, on_trio, shield, wait

T = TypeVar("T")

Kind: TypeAlias = Literal[
    "value",
    "error",
    "base_error",
    "cancelled",
    "slow_cleanup",
    "failing_cleanup",
    "swallows_cancel",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


class JobError(Exception):
    """A drawn job has failed, as it was drawn to.

    Its argument is the value that the job would have returned; from `Schedule.fake`, its arguments
    are those of the call.
    """


class JobBaseError(BaseException):
    """A drawn job of kind ``"base_error"`` has failed.

    Not an `Exception`, so ``except Exception`` does not see it; nor one of those that get out of an
    event loop at once, as `KeyboardInterrupt` does. A test has to catch it, or Hypothesis does not
    shrink what led to it. Its arguments are as those of `JobError`.
    """


class Terse:
    """A repr in one line that leaves out what is as by default, and can be evaluated."""

    def __repr__(self) -> str:
        shown = [
            f"{field.name}={_shown(getattr(self, field.name))}"
            for field in fields(self)  # type: ignore[arg-type]  # subclasses are dataclasses
            if getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Be printed by Hypothesis (and IPython) in that one line, not in one for each field."""
        printer.text(repr(self))


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


@dataclass(frozen=True, repr=False)
class Job(Terse):
    """A fake job: how long it takes, and how it ends.

    ====================== =====================================================================
    kind                   what the job does
    ====================== =====================================================================
    ``"value"``            returns its value
    ``"error"``            raises `JobError`, or another error
    ``"base_error"``       raises `JobBaseError`, which is not an `Exception`
    ``"cancelled"``        has its task cancelled, by none of those who wait for it; on Trio, where
                           nobody can do that, raises as ``"error"`` does
    ``"slow_cleanup"``     returns its value; if it is cancelled, takes as long once more (at least
                           a second) to clean up
    ``"failing_cleanup"``  returns its value; if it is cancelled, raises `JobError` instead
    ``"swallows_cancel"``  returns its value, also if it is cancelled
    ====================== =====================================================================

    Attributes:
        delay: seconds that it takes. Two jobs of the same delay end in the same tick.
        kind: how it ends.
        ticks: turns of the event loop that it takes after the delay; and again if it is cancelled,
            before what its kind does then. With neither it never gives way to the loop.

    Example::

        assert await Job(delay=2).run("page a") == "page a"
        with pytest.raises(JobError):
            await Job(kind="error").run("page a")
    """

    delay: float = 0
    kind: Kind = "value"
    ticks: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"kind must be one of {', '.join(map(repr, KINDS))}; not {self.kind!r}"
            )

    async def run(self, value: T, *, error: Callable[[T], Exception] = JobError) -> T:
        """Do what the job does, on asyncio or Trio.

        Args:
            value: what it returns, if it does.
            error: makes the error that it raises, if it does, of the value: ``ConnectionError``,
                say, if that is what the code under test expects.

        Returns:
            The value.

        Raises:
            JobError: or the other error.
            JobBaseError: for kind ``"base_error"``.

        Cancellation: as its kind has it. A cleanup that is cancelled once more is cut short; the
        cancel scopes of Trio and anyio, which cancel again and again, do not reach it.
        """
        return await self._work(lambda: value, error, (value,))

    async def _work(
        self, finish: Callable[[], T], error: Callable[..., Exception], args: tuple[Any, ...]
    ) -> T:
        try:
            await wait(self.delay, self.ticks)
            if self.kind == "cancelled" and not on_trio():
                await _be_cancelled()
        except cancelled_error():
            with shield():
                await wait(0, self.ticks)
                if self.kind == "slow_cleanup":
                    await wait(self.delay or 1, 0)
            if self.kind == "failing_cleanup":
                raise error(*args) from None
            if self.kind != "swallows_cancel":
                raise
        if self.kind in ("error", "cancelled"):
            raise error(*args)
        if self.kind == "base_error":
            raise JobBaseError(*args)
        return finish()


async def _be_cancelled() -> None:
    """Wait, and be cancelled by somebody else."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel("cancelled from elsewhere, as drawn")
    await asyncio.sleep(0)


for _public in (JobError, JobBaseError, Job):
    _public.__module__ = "waitkit.testing.strategies"  # what users import
del _public
