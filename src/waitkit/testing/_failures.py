"""What a run in virtual time can have the matter with it, as exceptions and all together.

They are subclasses of `AssertionError`, so that pytest and Hypothesis take them for a test that
failed and not for one that broke.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ._places import place_raised

T = TypeVar("T")


class DeadlockError(AssertionError):
    """Nothing is left to happen, and there are tasks that wait: they would do so for ever.

    The message names each of them, with the line that it waits at. On Trio the run is first given a
    second of real time, if there are threads or sockets that might still wake it.

    Example::

        async def main():
            await asyncio.Event().wait()  # which nobody will set

        with pytest.raises(DeadlockError, match="wait"):
            run(main)
    """


class LivelockError(AssertionError):
    """The event loop has turned 100,000 times while its clock stood still.

    Something asks again and again, and lets no time pass. The message names the tasks.

    Example::

        async def main():
            while not ready:
                await asyncio.sleep(0)

        with pytest.raises(LivelockError, match="main"):
            run(main)
    """


class LeakError(AssertionError):
    """Tasks still ran when the function that started them had ended.

    The message names each of them, with the line that it was at. By the time that this is raised
    they have been cancelled and awaited.

    Example::

        async def main():
            asyncio.get_running_loop().create_task(asyncio.sleep(3600))

        with pytest.raises(LeakError, match="sleep"):
            run(main)
    """


class NeverAwaitedError(AssertionError):
    """Coroutines were made, and neither awaited nor closed.

    What is otherwise Python's warning ``coroutine ... was never awaited``. The message names each,
    with the line that made it.

    Example::

        async def main():
            asyncio.sleep(1)  # the await is missing

        with pytest.raises(NeverAwaitedError, match="sleep"):
            run(main)
    """


class UnhandledError(AssertionError):
    """Errors have reached nobody but the event loop.

    On asyncio, what its default exception handler would have logged: "Task exception was never
    retrieved", an error in a callback, a pending task that was dropped. On Trio, errors in
    abandoned async generators. The first of them is the ``__cause__``.

    Example::

        async def main():
            asyncio.get_running_loop().call_soon(int, "x")
            await asyncio.sleep(1)

        with pytest.raises(UnhandledError, match="invalid literal"):
            run(main)
    """


class CancellationError(AssertionError):
    """A cancellation has not come out of what was cancelled as it should (R23).

    It was swallowed, or turned into another error (which is then the ``__cause__``), or lost its
    message, or ``Task.cancelling()`` was not left alone. Raised by `cancel_everywhere`.

    Example::

        async def main():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1)

        with pytest.raises(CancellationError, match="swallowed"):
            cancel_everywhere(main)
    """


class MaskedError(AssertionError):
    """Another error has come out of a scenario than the one that was raised in it.

    Such as an `AttributeError` in the code that handles failures, which nobody has run before. It
    is the ``__cause__``. An error that was raised ``from`` the one that was raised in the scenario,
    or ``from None``, is meant, and a group that holds it as well. Raised by `raise_everywhere`.

    Example::

        async def main():
            try:
                connection = await connect()
            finally:
                await connection.close()  # there may be none

        with pytest.raises(MaskedError, match="UnboundLocalError"):
            raise_everywhere(main)
    """


FAILURES: tuple[type[AssertionError], ...] = (
    DeadlockError,
    LivelockError,
    CancellationError,
    MaskedError,
    LeakError,
    NeverAwaitedError,
    UnhandledError,
)
for _failure in FAILURES:
    _failure.__module__ = "waitkit.testing"  # what tracebacks and docs show is what users import
del _failure


@dataclass
class Ending(Generic[T]):
    """How a run has ended, and what there is to say about it."""

    value: Any = None
    error: BaseException | None = None  # what main raised; or an interrupt, from wherever
    findings: list[AssertionError] = field(default_factory=list)  # the gravest first
    hung: bool = False  # main would not have ended
    cancelling: int = 0  # `Task.cancelling()` of the task that ran main
    thrown: tuple[Any, ...] | None = None  # the arguments of the last cancellation it got

    def interrupted(self) -> bool:
        """Whether somebody wants out: then nothing else is worth looking at."""
        return isinstance(self.error, BaseException) and not isinstance(
            self.error, (Exception, BaseExceptionGroup, asyncio.CancelledError)
        )

    def find(self, finding: AssertionError) -> None:
        self.findings.append(finding)

    def find_hung(self, finding: AssertionError, then: str) -> None:
        """Add why main had to be cancelled, and what it did then."""
        self.hung = True
        finding.add_note(f"when it was cancelled then, main {then}")
        self.find(finding.with_traceback(None))  # it leads to the loop, not to where they wait

    def find_unhandled(self, errors: list[tuple[str, BaseException | None]]) -> None:
        """Add what only the event loop was told: a text for each, and the exception if any."""
        if not errors:
            return
        lines = [
            f"{text}: {error!r}{place_raised(error)}" if error is not None else text
            for text, error in errors
        ]
        finding = UnhandledError(listing("nobody but the event loop was told of", lines))
        finding.__cause__ = next((error for _, error in errors if error is not None), None)
        self.find(finding)

    def find_never_awaited(self, coroutines: list[str]) -> None:
        if coroutines:
            self.find(
                NeverAwaitedError(listing("these were neither awaited nor closed", coroutines))
            )

    def find_leaks(self, tasks: list[str]) -> None:
        if tasks:
            self.find(LeakError(listing("main has ended, and these tasks still run", tasks)))

    def let_go(self, others: Sequence[BaseException]) -> None:
        """Empty the frames in the tracebacks of what came out, and of other errors."""
        for error in (self.error, *others):
            for each in chained(error):
                traceback.clear_frames(each.__traceback__)
                frame = each.__traceback__ and each.__traceback__.tb_frame
                with suppress(RuntimeError):  # of the loop too, up to one that still runs
                    while frame := frame and frame.f_back:
                        frame.clear()

    def unwrap(self) -> T:
        """Give back what main did, or raise: its own error first, the rest as notes on that."""
        __tracebackhide__ = True
        error, findings, self.error, self.findings = self.error, self.findings, None, []
        try:
            if error is None and findings:
                error, *findings = findings
            if error is None:
                value: T = self.value
                return value
            for finding in findings:
                error.add_note(f"waitkit.testing: {type(finding).__name__}: {finding}")
            raise error
        finally:
            del error, findings  # the traceback holds this frame


def chained(error: BaseException | None, *, meant: bool = False) -> Iterator[BaseException]:
    """An error, if any, and all it leads to: causes, members of groups, what was being handled.

    With `meant` the last of these only where ``from`` says that it was thought of.
    """
    seen: set[int] = set()
    coming: list[BaseException | None] = [error]
    while coming:
        each = coming.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        coming.append(each.__cause__)
        if each.__suppress_context__ or not meant:
            coming.append(each.__context__)
        if isinstance(each, BaseExceptionGroup):
            coming.extend(each.exceptions)


def listing(title: str, lines: list[str]) -> str:
    """Lines below a title, equal ones once, with their number."""
    counted = dict.fromkeys(lines, 0)
    for line in lines:
        counted[line] += 1
    shown = [f"  {line}" + (f"  ({n:,} times)" if n > 1 else "") for line, n in counted.items()]
    if len(shown) > 50:
        shown[50:] = [f"  and {len(shown) - 50:,} more"]
    return "\n".join([f"{title}:", *shown])
