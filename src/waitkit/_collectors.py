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
    """TODO"""
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
    results = crew.finished
    if crew.keyed:
        return {crew.key(index): results[index] for index in range(crew.taken)}
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
    """TODO"""
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
    outcomes = crew.finished
    return Partial(tuple([outcomes[index] for index in range(crew.taken)]), crew.timed_out)
