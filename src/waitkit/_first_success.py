"""The race that the first success decides; a failure only loses it."""

# mypy: disable-error-code="overload-overlap"
# A Mapping and a tuple are Iterables as well: the first overload that fits is meant to win.

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from ._calls import conduct, prepare
from ._crew import Crew
from ._errors import DeadlineError
from ._first_completed import winner
from ._inputs import Keyed
from ._typing import (
    T1,
    T2,
    T3,
    T4,
    T5,
    T6,
    T7,
    T8,
    T9,
    T10,
    Catch,
    Dispose,
    Input,
    Inputs1,
    Inputs2,
    Inputs3,
    Inputs4,
    Inputs5,
    Inputs6,
    Inputs7,
    Inputs8,
    Inputs9,
    Inputs10,
    T,
    Winner1,
    Winner2,
    Winner3,
    Winner4,
    Winner5,
    Winner6,
    Winner7,
    Winner8,
    Winner9,
    Winner10,
)

K = TypeVar("K")


@overload
async def first_success(
    aws: Mapping[K, Input[T]] | Keyed[K, T],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[T], object] | None = None,
) -> tuple[K, T]: ...
@overload
async def first_success(
    aws: Inputs1[T1],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Winner1[T1]: ...
@overload
async def first_success(
    aws: Inputs2[T1, T2],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Winner2[T1, T2]: ...
@overload
async def first_success(
    aws: Inputs3[T1, T2, T3],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Winner3[T1, T2, T3]: ...
@overload
async def first_success(
    aws: Inputs4[T1, T2, T3, T4],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Winner4[T1, T2, T3, T4]: ...
@overload
async def first_success(
    aws: Inputs5[T1, T2, T3, T4, T5],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Winner5[T1, T2, T3, T4, T5]: ...
@overload
async def first_success(
    aws: Inputs6[T1, T2, T3, T4, T5, T6],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Winner6[T1, T2, T3, T4, T5, T6]: ...
@overload
async def first_success(
    aws: Inputs7[T1, T2, T3, T4, T5, T6, T7],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Winner7[T1, T2, T3, T4, T5, T6, T7]: ...
@overload
async def first_success(
    aws: Inputs8[T1, T2, T3, T4, T5, T6, T7, T8],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Winner8[T1, T2, T3, T4, T5, T6, T7, T8]: ...
@overload
async def first_success(
    aws: Inputs9[T1, T2, T3, T4, T5, T6, T7, T8, T9],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Winner9[T1, T2, T3, T4, T5, T6, T7, T8, T9]: ...
@overload
async def first_success(
    aws: Inputs10[T1, T2, T3, T4, T5, T6, T7, T8, T9, T10],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Winner10[T1, T2, T3, T4, T5, T6, T7, T8, T9, T10]: ...
@overload
async def first_success(
    aws: tuple[Input[T], ...],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[T], object] | None = None,
) -> tuple[int, T]: ...
@overload
async def first_success(
    aws: Iterable[Input[T]] | AsyncIterable[Input[T]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[T], object] | None = None,
) -> T: ...
async def first_success(
    aws: Any,
    /,
    *others: Any,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Dispose = None,
) -> Any:
    """Wait for the first job to succeed, and take its value; cancel the others.

    For mirrors and hedged requests. With ``stagger`` the inputs start one after the other, as in
    RFC 8305 ("Happy Eyeballs"): the next one when the last has had its time, or has failed.

    Args:
        aws: the awaitables: an iterable or async iterable of them; or keyed: a mapping,
            `keyed`, `call_each`. Coroutines become Tasks. Tasks and Futures are adopted:
            cancelled and awaited with the rest, unless `borrowed`.
        max_concurrency: how many jobs may run at once; an input is taken only when a slot falls
            free. None: no limit, all are taken at the start.
        stagger: seconds from the start of one input to the start of the next, unless a job fails
            before. Infinity: only a failure starts the next. None: all start at once.
        timeout: seconds for the whole call, on the clock of the event loop. None: no limit; zero or
            less: only what is done already counts.
        catch: the failures that only put a job out of the race: a subclass of `Exception` or a
            tuple of them, ``()`` for none. Any other ends the race.
        dispose: a function or coroutine function of one value, called once for each value that a
            loser returned too late, before this returns: it closes what was opened for nothing.

    Returns:
        The winner's value. For keyed inputs ``(key, value)``; for a tuple, which may hold different
        types, ``(index, value)``, whose index is a literal that ``match`` narrows by.

    Raises:
        ExceptionGroup: all jobs have failed: all their errors, in input order; also where there was
            only one input. A job cancelled from elsewhere counts as failed, with
            `JobCancelledError`, whatever ``catch`` says.
        BaseException: a failure that is not in ``catch``, or the error of the iterable, bare.
        DeadlineError: ``timeout`` has passed; its cause is the group of the failures so far.
        ValueError: there is no input.
        TypeError, ValueError: bad arguments, at once and with nothing started: what cannot be
            awaited, a limit below 1, a NaN, one coroutine given twice. Coroutines in a sized
            input are closed.
        RuntimeError: no event loop is running.

    Order: of several that succeed in one tick, the one that the loop finished first wins.

    Cancellation: if the caller is cancelled, all jobs are cancelled and awaited, and then its
    ``CancelledError`` (on Trio, ``Cancelled``) comes out, never swallowed and never turned into
    anything else.

    Example::

        page = await waitkit.first_success(
            waitkit.call_each(fetch, mirrors), stagger=0.2, timeout=5.0
        )
    """
    crew = prepare(
        "first_success",
        aws,
        others,
        max_concurrency=max_concurrency,
        stagger=stagger,
        timeout=timeout,
        catch=catch,
        dispose=dispose,
        outcomes=True,
        ordered=True,
        race=True,
    )
    try:
        await conduct(crew)
    except DeadlineError as error:
        if crew.timed_out and crew.results.finished:
            raise error from _group("failures before the deadline: {}", crew)
        raise
    if crew.results.winner is None and crew.taken:
        raise _group("no job succeeded, of {}", crew)
    return winner(crew, aws)


def _group(message: str, crew: Crew) -> ExceptionGroup[Exception]:
    """The failures so far, in input order; the crew keeps none of them.

    From Python 3.14 on the traceback of a job that fails in its eager first step leads to the
    frame of the call, which would hold the failure in a cycle (R30).
    """
    finished = crew.results.finished
    failures = [failure.error for _, failure in sorted(finished.items())]
    finished.clear()
    return ExceptionGroup(message.format(len(failures)), failures)


first_success.__module__ = "waitkit"  # what tracebacks and docs show is what users import
