"""Races: one wins, and the others are cancelled and awaited before its result is handed over."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar, overload

from ._calls import conduct, prepare
from ._crew import Crew
from ._errors import DeadlineError
from ._inputs import Catch, Input, Keyed

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
async def first_completed(
    aws: Mapping[K, Input[T]] | Keyed[K, T],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[T], object] | None = None,
) -> tuple[K, T]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2], Input[T3]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7] | tuple[Literal[7], T8]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7] | tuple[Literal[7], T8] | tuple[Literal[8], T9]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9], Input[T10]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7] | tuple[Literal[7], T8] | tuple[Literal[8], T9] | tuple[Literal[9], T10]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9], Input[T10], Input[T11]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7] | tuple[Literal[7], T8] | tuple[Literal[8], T9] | tuple[Literal[9], T10] | tuple[Literal[10], T11]: ...
@overload
async def first_completed(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9], Input[T10], Input[T11], Input[T12]],
    /,
    *,
    timeout: float | None = None,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7] | tuple[Literal[7], T8] | tuple[Literal[8], T9] | tuple[Literal[9], T10] | tuple[Literal[10], T11] | tuple[Literal[11], T12]: ...
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
    aws: tuple[Input[T1]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2], Input[T3]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7] | tuple[Literal[7], T8]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7] | tuple[Literal[7], T8] | tuple[Literal[8], T9]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9], Input[T10]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7] | tuple[Literal[7], T8] | tuple[Literal[8], T9] | tuple[Literal[9], T10]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9], Input[T10], Input[T11]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7] | tuple[Literal[7], T8] | tuple[Literal[8], T9] | tuple[Literal[9], T10] | tuple[Literal[10], T11]: ...
@overload
async def first_success(
    aws: tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6], Input[T7], Input[T8], Input[T9], Input[T10], Input[T11], Input[T12]],
    /,
    *,
    max_concurrency: int | None = None,
    stagger: float | None = None,
    timeout: float | None = None,
    catch: Catch = Exception,
    dispose: Callable[[Any], object] | None = None,
) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4] | tuple[Literal[4], T5] | tuple[Literal[5], T6] | tuple[Literal[6], T7] | tuple[Literal[7], T8] | tuple[Literal[8], T9] | tuple[Literal[9], T10] | tuple[Literal[10], T11] | tuple[Literal[11], T12]: ...
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
