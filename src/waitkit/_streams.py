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
    """TODO"""
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
    """TODO"""
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
    """TODO"""
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
    """TODO"""
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
