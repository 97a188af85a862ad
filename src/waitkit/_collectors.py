"""Collectors: all at once, when the last job has ended or the call is decided."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from ._calls import conduct, prepare
from ._inputs import Catch, Input, Keyed
from ._outcomes import Partial

K = TypeVar("K")
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")
T9 = TypeVar("T9")
T10 = TypeVar("T10")
T11 = TypeVar("T11")
T12 = TypeVar("T12")


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
    aws: tuple[Input[T1]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2], Input[T3]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6, T7]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6, T7, T8]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6, T7, T8, T9]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9], Input[T10]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6, T7, T8, T9, T10]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9], Input[T10], Input[T11]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11]: ...
@overload
async def first_error(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9], Input[T10], Input[T11], Input[T12]],
    /,
    *,
    max_concurrency: int | None = None,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12]: ...
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
