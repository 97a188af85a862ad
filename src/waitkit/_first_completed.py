"""The race that the first job to finish decides, by its value or its error."""

# mypy: disable-error-code="overload-overlap"
# A Mapping and a tuple are Iterables as well: the first overload that fits is meant to win.

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from ._calls import conduct, prepare
from ._crew import Crew
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
async def first_completed(
    aws: Mapping[K, Input[T]] | Keyed[K, T],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> tuple[K, T]: ...
@overload
async def first_completed(
    aws: Inputs1[T1], /, *, timeout: float | None = None, dispose: Dispose = None
) -> Winner1[T1]: ...
@overload
async def first_completed(
    aws: Inputs2[T1, T2], /, *, timeout: float | None = None, dispose: Dispose = None
) -> Winner2[T1, T2]: ...
@overload
async def first_completed(
    aws: Inputs3[T1, T2, T3], /, *, timeout: float | None = None, dispose: Dispose = None
) -> Winner3[T1, T2, T3]: ...
@overload
async def first_completed(
    aws: Inputs4[T1, T2, T3, T4], /, *, timeout: float | None = None, dispose: Dispose = None
) -> Winner4[T1, T2, T3, T4]: ...
@overload
async def first_completed(
    aws: Inputs5[T1, T2, T3, T4, T5], /, *, timeout: float | None = None, dispose: Dispose = None
) -> Winner5[T1, T2, T3, T4, T5]: ...
@overload
async def first_completed(
    aws: Inputs6[T1, T2, T3, T4, T5, T6],
    /,
    *,
    timeout: float | None = None,
    dispose: Dispose = None,
) -> Winner6[T1, T2, T3, T4, T5, T6]: ...
@overload
async def first_completed(
    aws: Inputs7[T1, T2, T3, T4, T5, T6, T7],
    /,
    *,
    timeout: float | None = None,
    dispose: Dispose = None,
) -> Winner7[T1, T2, T3, T4, T5, T6, T7]: ...
@overload
async def first_completed(
    aws: Inputs8[T1, T2, T3, T4, T5, T6, T7, T8],
    /,
    *,
    timeout: float | None = None,
    dispose: Dispose = None,
) -> Winner8[T1, T2, T3, T4, T5, T6, T7, T8]: ...
@overload
async def first_completed(
    aws: Inputs9[T1, T2, T3, T4, T5, T6, T7, T8, T9],
    /,
    *,
    timeout: float | None = None,
    dispose: Dispose = None,
) -> Winner9[T1, T2, T3, T4, T5, T6, T7, T8, T9]: ...
@overload
async def first_completed(
    aws: Inputs10[T1, T2, T3, T4, T5, T6, T7, T8, T9, T10],
    /,
    *,
    timeout: float | None = None,
    dispose: Dispose = None,
) -> Winner10[T1, T2, T3, T4, T5, T6, T7, T8, T9, T10]: ...
@overload
async def first_completed(
    aws: tuple[Input[T], ...],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> tuple[int, T]: ...
@overload
async def first_completed(
    aws: Iterable[Input[T]] | AsyncIterable[Input[T]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> T: ...
async def first_completed(
    aws: Any,
    /,
    *others: Any,
    timeout: float | None = None,
    dispose: Dispose = None,
) -> Any:
    """Wait for the first job to finish, and take its value or its error; cancel the others.

    What `asyncio.wait` with ``FIRST_COMPLETED`` is used for once: the reader and the writer of a
    socket, of which the first to end ends both. Pass a long-lived Task or Future that has to
    survive the race as `borrowed`.

    Args:
        aws: the awaitables: an iterable or async iterable of them; or keyed: a mapping,
            `keyed`, `call_each`. Coroutines become Tasks. Tasks and Futures are adopted:
            cancelled and awaited with the rest, unless `borrowed`.
        timeout: seconds for the whole call, on the clock of the event loop. None: no limit; zero or
            less: only what is done already counts.
        dispose: a function or coroutine function of one value, called once for each value that a
            loser returned too late, before this returns: it closes what was opened for nothing.

    Returns:
        The winner's value. For keyed inputs ``(key, value)``; for a tuple, which may hold different
        types, ``(index, value)``, whose index is a literal that ``match`` narrows by.

    Raises:
        BaseException: the first job to finish failed with it, bare, with a note that names the
            input.
        JobCancelledError: the first job to finish had been cancelled from elsewhere.
        DeadlineError: ``timeout`` has passed; the jobs have been cancelled and awaited.
        ValueError: there is no input.
        TypeError, ValueError: bad arguments, at once and with nothing started: what cannot be
            awaited, a limit below 1, a NaN, one coroutine given twice. Coroutines in a sized
            input are closed.
        RuntimeError: no event loop is running.

    Order: of several that finish in one tick, the one that the loop finished first wins. Inputs
    that are done already come before all others, in input order.

    Cancellation: if the caller is cancelled, all jobs are cancelled and awaited, and then its
    ``CancelledError`` (on Trio, ``Cancelled``) comes out, never swallowed and never turned into
    anything else.

    Example::

        match await waitkit.first_completed((read(), write()), timeout=30.0):
            case 0, received:
                print("the reader has ended:", received)
            case 1, sent:
                print("the writer has ended:", sent)
    """
    crew = prepare("first_completed", aws, others, timeout=timeout, dispose=dispose, race=True)
    await conduct(crew)
    return winner(crew, aws)


def winner(crew: Crew, aws: object) -> Any:
    if crew.results.winner is None:
        raise ValueError(f"{crew.policy.helper}() needs at least one input")
    (index, value), crew.results.winner = crew.results.winner, None
    if crew.keyed or isinstance(aws, tuple):
        return crew.results.key(index), value
    return value


first_completed.__module__ = "waitkit"  # what tracebacks and docs show is what users import
