"""Collectors: all at once, when the last job has ended or the call is decided."""

# mypy: disable-error-code="overload-overlap"
# A Mapping and a tuple are Iterables as well: the first overload that fits is meant to win.

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from ._calls import conduct, prepare
from ._inputs import Keyed
from ._outcomes import Partial
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
)

K = TypeVar("K")


@overload
async def first_error(
    aws: Mapping[K, Input[T]] | Keyed[K, T],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> dict[K, T]: ...
@overload
async def first_error(
    aws: Inputs1[T1],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1]: ...
@overload
async def first_error(
    aws: Inputs2[T1, T2],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2]: ...
@overload
async def first_error(
    aws: Inputs3[T1, T2, T3],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3]: ...
@overload
async def first_error(
    aws: Inputs4[T1, T2, T3, T4],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4]: ...
@overload
async def first_error(
    aws: Inputs5[T1, T2, T3, T4, T5],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5]: ...
@overload
async def first_error(
    aws: Inputs6[T1, T2, T3, T4, T5, T6],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6]: ...
@overload
async def first_error(
    aws: Inputs7[T1, T2, T3, T4, T5, T6, T7],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6, T7]: ...
@overload
async def first_error(
    aws: Inputs8[T1, T2, T3, T4, T5, T6, T7, T8],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6, T7, T8]: ...
@overload
async def first_error(
    aws: Inputs9[T1, T2, T3, T4, T5, T6, T7, T8, T9],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6, T7, T8, T9]: ...
@overload
async def first_error(
    aws: Inputs10[T1, T2, T3, T4, T5, T6, T7, T8, T9, T10],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6, T7, T8, T9, T10]: ...
@overload
async def first_error(
    aws: tuple[Input[T], ...],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> tuple[T, ...]: ...
@overload
async def first_error(
    aws: Iterable[Input[T]] | AsyncIterable[Input[T]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> list[T]: ...
async def first_error(
    aws: Any,
    /,
    *others: Any,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> Any:
    """Wait for all jobs and give back all results; the first failure cancels the others.

    What `asyncio.wait` with ``FIRST_EXCEPTION`` is used for: jobs that live and die together. It
    gives back all results, or raises the first error.

    Args:
        aws: the awaitables: an iterable or async iterable of them; or keyed: a mapping,
            `keyed`, `call_each`. Coroutines become Tasks. Tasks and Futures are adopted:
            cancelled and awaited with the rest, unless `borrowed`.
        max_concurrency: how many jobs may run at once; an input is taken only when a slot falls
            free. None: no limit, all are taken at the start.
        timeout: seconds for the whole call, on the clock of the event loop. None: no limit; zero or
            less: only what is done already counts.
        dispose: a function or coroutine function of one value, called once for each value that
            will never be delivered, before this returns: it closes what was opened for nothing.

    Returns:
        The results in input order. For keyed inputs a `dict`; for a tuple, which may hold different
        types, a `tuple`; else a `list`. Without inputs an empty one, at once.

    Raises:
        BaseException: the first failure of a job, bare: the very object, with a note that names
            the input. It is raised when all other jobs have been cancelled and have ended.
            Failures that follow are noted on it and logged. What the iterable raises is
            raised in the same way.
        JobCancelledError: a job was cancelled from elsewhere: a failure too.
        DeadlineError: ``timeout`` has passed; the jobs have been cancelled and awaited.
        TypeError, ValueError: bad arguments, at once and with nothing started: what cannot be
            awaited, a limit below 1, a NaN, one coroutine given twice. Coroutines in a sized
            input are closed.
        RuntimeError: no event loop is running.

    Cancellation: if the caller is cancelled, all jobs are cancelled and awaited, and then its
    ``CancelledError`` (on Trio, ``Cancelled``) comes out, never swallowed and never turned into
    anything else.

    Example::

        user, orders = await waitkit.first_error((fetch_user(1), fetch_orders(1)), timeout=5.0)
    """
    crew = prepare(
        "first_error",
        aws,
        others,
        max_concurrency=max_concurrency,
        timeout=timeout,
        dispose=dispose,
        ordered=True,
        distinct=True,
    )
    await conduct(crew)
    results = crew.results.finished
    if crew.keyed:
        return {crew.results.key(index): results[index] for index in range(crew.taken)}
    values = [results[index] for index in range(crew.taken)]
    return tuple(values) if isinstance(aws, tuple) else values


@overload
async def gather_partial(
    aws: Mapping[K, Input[T]] | Keyed[K, T],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[T], object] | None = None,
) -> Partial[K, T]: ...
@overload
async def gather_partial(
    aws: Iterable[Input[T]] | AsyncIterable[Input[T]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[T], object] | None = None,
) -> Partial[int, T]: ...
async def gather_partial(
    aws: Any,
    /,
    *others: Any,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> Partial[Any, Any]:
    """Wait for all jobs, until a deadline; give back what there is, failures as data.

    What `asyncio.wait` with a ``timeout`` is used for: take what is ready, drop the rest. A failure
    ends no other job, and hides no result.

    Args:
        aws: the awaitables: an iterable or async iterable of them; or keyed: a mapping,
            `keyed`, `call_each`. Coroutines become Tasks. Tasks and Futures are adopted:
            cancelled and awaited with the rest, unless `borrowed`.
        max_concurrency: how many jobs may run at once; an input is taken only when a slot falls
            free. None: no limit, all are taken at the start.
        timeout: seconds for the whole call, on the clock of the event loop. When they have passed,
            the jobs that still run are cancelled and awaited, and reported as what they then are: a
            value returned in spite of it is a `Success`, an error raised in cleanup a `Failure`,
            else `Cancelled`. None: no limit; zero or less: only what is done already counts.
        catch: the exceptions that are data: a subclass of `Exception` or a tuple of them, ``()``
            for none. Any other ends the call as in `first_error`, so that a
            programming error is not collected among the timeouts.
        dispose: a function or coroutine function of one value, called once for each value that
            will never be delivered, before this returns: it closes what was opened for nothing.

    Returns:
        A `Partial` of ``results``, ``errors`` and ``cancelled`` by key (the index, where inputs are
        not keyed), and of ``outcomes``, all in input order. Inputs of a sized iterable that never
        started are ``Cancelled(started=False)``; those of an iterator are left in it.

    Raises:
        BaseException: a failure that is not in ``catch``, or the error of the iterable, bare, when
            all other jobs have been cancelled and have ended.
        TypeError, ValueError: bad arguments, at once and with nothing started: what cannot be
            awaited, a limit below 1, a NaN, one coroutine given twice. Coroutines in a sized
            input are closed.
        RuntimeError: no event loop is running.

    Cancellation: if the caller is cancelled, all jobs are cancelled and awaited, and then its
    ``CancelledError`` (on Trio, ``Cancelled``) comes out, never swallowed and never turned into
    anything else.

    Example::

        partial = await waitkit.gather_partial(
            {"db": ping_db(), "cache": ping_cache()}, timeout=2.0
        )
        print(partial.results, partial.errors, partial.cancelled)
    """
    crew = prepare(
        "gather_partial",
        aws,
        others,
        max_concurrency=max_concurrency,
        timeout=timeout,
        catch=catch,
        dispose=dispose,
        outcomes=True,
        ordered=True,
        distinct=True,
    )
    await conduct(crew)
    outcomes = crew.results.finished
    # The crew keeps none of them: a failure's traceback may lead to this frame (R30).
    return Partial(tuple([outcomes.pop(index) for index in range(crew.taken)]), crew.timed_out)


for _helper in (first_error, gather_partial):
    _helper.__module__ = "waitkit"  # what tracebacks and docs show is what users import
del _helper
