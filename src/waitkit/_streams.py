"""The four streams: results or outcomes, in completion order or in input order."""

# mypy: disable-error-code="overload-overlap"
# A Mapping and a tuple are Iterables as well: the first overload that fits is meant to win.

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from ._calls import prepare
from ._crew import Crew
from ._inputs import Keyed
from ._outcomes import Outcome
from ._stream import ResultStream
from ._typing import Catch, Input, T

K = TypeVar("K")


def _make(helper: str, aws: object, others: tuple[object, ...], **options: Any) -> Crew:
    limit = options["max_concurrency"]
    if options["buffersize"] is None and type(limit) is int:
        options["buffersize"] = 2 * limit  # slots stay busy while a burst is consumed (R3)
    return prepare(helper, aws, others, **options)


@overload
def as_completed_results(
    aws: Mapping[K, Input[T]] | Keyed[K, T],
    /,
    *,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> ResultStream[tuple[K, T]]: ...
@overload
def as_completed_results(
    aws: Iterable[Input[T]] | AsyncIterable[Input[T]],
    /,
    *,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> ResultStream[T]: ...
def as_completed_results(
    aws: Any,
    /,
    *others: Any,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> ResultStream[Any]:
    """Stream results in the order in which the jobs finish; the first failure ends it.

    What a loop over `asyncio.wait` with ``FIRST_COMPLETED`` is meant to do, without losing the
    results of one tick, at O(1) a result, and with nothing left running.

    Args:
        aws: the awaitables: an iterable or async iterable of them, taken lazily and perhaps
            infinite; or keyed: a mapping, `keyed`, `call_each`. Coroutines become Tasks. Tasks
            and Futures are adopted: cancelled and awaited with the rest, unless `borrowed`.
        max_concurrency: how many jobs may run at once; an input is taken only when a slot falls
            free. None: no limit, all are taken at the start.
        buffersize: how many jobs may have started and not been consumed, as in
            `concurrent.futures.Executor.map`: a slow consumer holds them back. Needs
            ``max_concurrency``, is not below it, and is twice that by default.
        timeout: seconds for the whole call, from its start, on the clock of the event loop. None:
            no limit; zero or less: only what is done already counts.
        dispose: a function or coroutine function of one value, called once for each value that
            will never be delivered, before this returns: it closes what was opened for nothing.

    Returns:
        A `ResultStream` of the results; of ``(key, result)`` pairs for keyed inputs.

    Raises:
        BaseException: while iterating, the first failure of a job, bare: the very object, with
            a note that names the input. What had finished before it is delivered first, then all
            other jobs are cancelled and awaited, then it is raised. Failures that follow are noted
            on it and logged.
        JobCancelledError: while iterating, a job was cancelled from elsewhere: a failure too.
        DeadlineError: while iterating, ``timeout`` has passed; raised as a failure is.
        TypeError, ValueError: bad arguments, at once and with nothing started: what cannot be
            awaited, a limit below 1, a NaN, one coroutine given twice. Coroutines in a sized
            input are closed.
        RuntimeError: no event loop is running.

    Order: that of completion; two that finish in one tick come in the order in which the loop
    finished them. Inputs that are done already come first, in input order.

    Cancellation: leaving the ``async with`` block cancels and awaits all jobs; see
    `ResultStream`. The caller's own cancellation is never swallowed.

    Example::

        async with waitkit.as_completed_results(map(fetch, urls), max_concurrency=10) as pages:
            async for page in pages:
                print(len(page))
    """
    return ResultStream(
        _make(
            "as_completed_results",
            aws,
            others,
            max_concurrency=max_concurrency,
            buffersize=buffersize,
            timeout=timeout,
            dispose=dispose,
        )
    )


@overload
def as_completed_outcomes(
    aws: Mapping[K, Input[T]] | Keyed[K, T],
    /,
    *,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[T], object] | None = None,
) -> ResultStream[Outcome[K, T]]: ...
@overload
def as_completed_outcomes(
    aws: Iterable[Input[T]] | AsyncIterable[Input[T]],
    /,
    *,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[T], object] | None = None,
) -> ResultStream[Outcome[int, T]]: ...
def as_completed_outcomes(
    aws: Any,
    /,
    *others: Any,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> ResultStream[Any]:
    """Stream how the jobs end, in the order in which they finish; failures are data.

    Every input taken gives exactly one `Success`, `Failure` or `Cancelled`. At the deadline the
    jobs that still run are cancelled and awaited, and reported as what they then are; inputs of a
    sized iterable that never started come as ``Cancelled(started=False)``; ``timed_out`` tells.

    Args:
        aws: the awaitables: an iterable or async iterable of them, taken lazily and perhaps
            infinite; or keyed: a mapping, `keyed`, `call_each`. Coroutines become Tasks. Tasks
            and Futures are adopted: cancelled and awaited with the rest, unless `borrowed`.
        max_concurrency: how many jobs may run at once; an input is taken only when a slot falls
            free. None: no limit, all are taken at the start.
        buffersize: how many jobs may have started and not been consumed, as in
            `concurrent.futures.Executor.map`: a slow consumer holds them back. Needs
            ``max_concurrency``, is not below it, and is twice that by default.
        timeout: seconds for the whole call, from its start, on the clock of the event loop. None:
            no limit; zero or less: only what is done already counts.
        catch: the exceptions that are data: a subclass of `Exception` or a tuple of them, ``()``
            for none. Any other ends the call as in `as_completed_results`, so that a
            programming error is not collected among the timeouts.
        dispose: a function or coroutine function of one value, called once for each value that
            will never be delivered, before this returns: it closes what was opened for nothing.

    Returns:
        A `ResultStream` of outcomes, whose ``key`` is the key of keyed inputs, else the index.

    Raises:
        BaseException: while iterating, a failure that is not in ``catch``, or the error of the
            iterable, bare; raised when all other jobs have been cancelled and awaited.
        TypeError, ValueError: bad arguments, at once and with nothing started: what cannot be
            awaited, a limit below 1, a NaN, one coroutine given twice. Coroutines in a sized
            input are closed.
        RuntimeError: no event loop is running.

    Order: that of completion; two that finish in one tick come in the order in which the loop
    finished them. Inputs that are done already come first, in input order.

    Cancellation: leaving the ``async with`` block cancels and awaits all jobs; see
    `ResultStream`. The caller's own cancellation is never swallowed.

    Example::

        calls = waitkit.call_each(ping, hosts, timeout=1.0)
        async with waitkit.as_completed_outcomes(calls, max_concurrency=50) as outcomes:
            async for outcome in outcomes:
                match outcome:
                    case waitkit.Success(value, key):
                        print(key, "answered in", value)
                    case waitkit.Failure(error, key):
                        print(key, "failed:", error)
                    case waitkit.Cancelled(key):
                        print(key, "was cancelled")
    """
    return ResultStream(
        _make(
            "as_completed_outcomes",
            aws,
            others,
            max_concurrency=max_concurrency,
            buffersize=buffersize,
            timeout=timeout,
            catch=catch,
            dispose=dispose,
            outcomes=True,
        )
    )


@overload
def in_order_results(
    aws: Mapping[K, Input[T]] | Keyed[K, T],
    /,
    *,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> ResultStream[tuple[K, T]]: ...
@overload
def in_order_results(
    aws: Iterable[Input[T]] | AsyncIterable[Input[T]],
    /,
    *,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> ResultStream[T]: ...
def in_order_results(
    aws: Any,
    /,
    *others: Any,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> ResultStream[Any]:
    """Stream results in input order; the first failure ends it.

    A result is delivered as soon as it and all before it have finished. One slow job at the front
    holds back those behind it, up to ``buffersize``.

    Args:
        aws: the awaitables: an iterable or async iterable of them, taken lazily and perhaps
            infinite; or keyed: a mapping, `keyed`, `call_each`. Coroutines become Tasks. Tasks
            and Futures are adopted: cancelled and awaited with the rest, unless `borrowed`.
        max_concurrency: how many jobs may run at once; an input is taken only when a slot falls
            free. None: no limit, all are taken at the start.
        buffersize: how many jobs may have started and not been consumed, as in
            `concurrent.futures.Executor.map`: a slow consumer holds them back. Needs
            ``max_concurrency``, is not below it, and is twice that by default.
        timeout: seconds for the whole call, from its start, on the clock of the event loop. None:
            no limit; zero or less: only what is done already counts.
        dispose: a function or coroutine function of one value, called once for each value that
            will never be delivered, before this returns: it closes what was opened for nothing.

    Returns:
        A `ResultStream` of the results; of ``(key, result)`` pairs for keyed inputs.

    Raises:
        BaseException: while iterating, the first failure of a job, bare: the very object, with
            a note that names the input. What had finished before it is delivered first, then all
            other jobs are cancelled and awaited, then it is raised. Failures that follow are noted
            on it and logged.
        JobCancelledError: while iterating, a job was cancelled from elsewhere: a failure too.
        DeadlineError: while iterating, ``timeout`` has passed; raised as a failure is.
        TypeError, ValueError: bad arguments, at once and with nothing started: what cannot be
            awaited, a limit below 1, a NaN, one coroutine given twice. Coroutines in a sized
            input are closed.
        RuntimeError: no event loop is running.

    Order: that of the input. Before a failure is raised, the unbroken run of results from
    the front is delivered.

    Cancellation: leaving the ``async with`` block cancels and awaits all jobs; see
    `ResultStream`. The caller's own cancellation is never swallowed.

    Example::

        async with waitkit.in_order_results(map(fetch, urls), max_concurrency=10) as pages:
            async for page in pages:
                print(len(page))
    """
    return ResultStream(
        _make(
            "in_order_results",
            aws,
            others,
            max_concurrency=max_concurrency,
            buffersize=buffersize,
            timeout=timeout,
            dispose=dispose,
            ordered=True,
        )
    )


@overload
def in_order_outcomes(
    aws: Mapping[K, Input[T]] | Keyed[K, T],
    /,
    *,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[T], object] | None = None,
) -> ResultStream[Outcome[K, T]]: ...
@overload
def in_order_outcomes(
    aws: Iterable[Input[T]] | AsyncIterable[Input[T]],
    /,
    *,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[T], object] | None = None,
) -> ResultStream[Outcome[int, T]]: ...
def in_order_outcomes(
    aws: Any,
    /,
    *others: Any,
    max_concurrency: int | None = None,
    buffersize: int | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> ResultStream[Any]:
    """Stream how the jobs end, in input order; failures are data.

    Every input taken gives exactly one `Success`, `Failure` or `Cancelled`. At the deadline the
    jobs that still run are cancelled and awaited, and reported as what they then are; inputs of a
    sized iterable that never started come as ``Cancelled(started=False)``; ``timed_out`` tells.

    Args:
        aws: the awaitables: an iterable or async iterable of them, taken lazily and perhaps
            infinite; or keyed: a mapping, `keyed`, `call_each`. Coroutines become Tasks. Tasks
            and Futures are adopted: cancelled and awaited with the rest, unless `borrowed`.
        max_concurrency: how many jobs may run at once; an input is taken only when a slot falls
            free. None: no limit, all are taken at the start.
        buffersize: how many jobs may have started and not been consumed, as in
            `concurrent.futures.Executor.map`: a slow consumer holds them back. Needs
            ``max_concurrency``, is not below it, and is twice that by default.
        timeout: seconds for the whole call, from its start, on the clock of the event loop. None:
            no limit; zero or less: only what is done already counts.
        catch: the exceptions that are data: a subclass of `Exception` or a tuple of them, ``()``
            for none. Any other ends the call as in `in_order_results`, so that a
            programming error is not collected among the timeouts.
        dispose: a function or coroutine function of one value, called once for each value that
            will never be delivered, before this returns: it closes what was opened for nothing.

    Returns:
        A `ResultStream` of outcomes, whose ``key`` is the key of keyed inputs, else the index.

    Raises:
        BaseException: while iterating, a failure that is not in ``catch``, or the error of the
            iterable, bare; raised when all other jobs have been cancelled and awaited.
        TypeError, ValueError: bad arguments, at once and with nothing started: what cannot be
            awaited, a limit below 1, a NaN, one coroutine given twice. Coroutines in a sized
            input are closed.
        RuntimeError: no event loop is running.

    Order: that of the input.

    Cancellation: leaving the ``async with`` block cancels and awaits all jobs; see
    `ResultStream`. The caller's own cancellation is never swallowed.

    Example::

        async with waitkit.in_order_outcomes(map(fetch, urls), max_concurrency=10) as outcomes:
            async for outcome in outcomes:
                print(outcome.index, outcome)
    """
    return ResultStream(
        _make(
            "in_order_outcomes",
            aws,
            others,
            max_concurrency=max_concurrency,
            buffersize=buffersize,
            timeout=timeout,
            catch=catch,
            dispose=dispose,
            outcomes=True,
            ordered=True,
        )
    )


for _helper in (as_completed_results, as_completed_outcomes, in_order_results, in_order_outcomes):
    _helper.__module__ = "waitkit"  # what tracebacks and docs show is what users import
del _helper
