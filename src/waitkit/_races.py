"""Races: one wins, and the others are cancelled and awaited before its result is handed over."""

# mypy: disable-error-code="overload-overlap"
# A Mapping and a tuple are Iterables as well: the first overload that fits is meant to win.

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from ._calls import conduct, prepare
from ._crew import Crew
from ._errors import DeadlineError
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
    aws: Inputs1[T1],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> Winner1[T1]: ...
@overload
async def first_completed(
    aws: Inputs2[T1, T2],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> Winner2[T1, T2]: ...
@overload
async def first_completed(
    aws: Inputs3[T1, T2, T3],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> Winner3[T1, T2, T3]: ...
@overload
async def first_completed(
    aws: Inputs4[T1, T2, T3, T4],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> Winner4[T1, T2, T3, T4]: ...
@overload
async def first_completed(
    aws: Inputs5[T1, T2, T3, T4, T5],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> Winner5[T1, T2, T3, T4, T5]: ...
@overload
async def first_completed(
    aws: Inputs6[T1, T2, T3, T4, T5, T6],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> Winner6[T1, T2, T3, T4, T5, T6]: ...
@overload
async def first_completed(
    aws: Inputs7[T1, T2, T3, T4, T5, T6, T7],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> Winner7[T1, T2, T3, T4, T5, T6, T7]: ...
@overload
async def first_completed(
    aws: Inputs8[T1, T2, T3, T4, T5, T6, T7, T8],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> Winner8[T1, T2, T3, T4, T5, T6, T7, T8]: ...
@overload
async def first_completed(
    aws: Inputs9[T1, T2, T3, T4, T5, T6, T7, T8, T9],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> Winner9[T1, T2, T3, T4, T5, T6, T7, T8, T9]: ...
@overload
async def first_completed(
    aws: Inputs10[T1, T2, T3, T4, T5, T6, T7, T8, T9, T10],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
) -> Any:
    """TODO"""
    crew = prepare("first_completed", aws, others, timeout=timeout, dispose=dispose, race=True)
    await conduct(crew)
    return _winner(crew, aws)


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
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
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
    dispose: Callable[[Any], object] | None = None,
) -> Any:
    """TODO"""
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
        if crew.timed_out and (failures := _failures(crew)):
            raise error from ExceptionGroup(
                f"{len(failures)} jobs had failed before the deadline", failures
            )
        raise
    if crew.winner is None and crew.taken:
        failures = _failures(crew)
        raise ExceptionGroup(f"none of the {len(failures)} jobs succeeded", failures)
    return _winner(crew, aws)


def _failures(crew: Crew) -> list[Exception]:
    """The failures so far, in input order."""
    return [crew.finished[index].error for index in sorted(crew.finished)]


def _winner(crew: Crew, aws: object) -> Any:
    if crew.winner is None:
        raise ValueError(f"{crew.policy.helper}() needs at least one input")
    (index, value), crew.winner = crew.winner, None
    if crew.keyed or isinstance(aws, tuple):
        return crew.key(index), value
    return value
