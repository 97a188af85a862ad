"""The types of what callers pass and of what a race gives back.

A tuple holds a fixed number of different things. Python has no way to say "each of them,
mapped" yet, so there is an alias for each length up to ten, which the overloads share.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias, TypeVar

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

Input: TypeAlias = Awaitable[T] | concurrent.futures.Future[T]
Catch: TypeAlias = type[Exception] | tuple[type[Exception], ...]
Dispose: TypeAlias = Callable[[Any], object] | None

Inputs1: TypeAlias = tuple[Input[T1]]
Inputs2: TypeAlias = tuple[Input[T1], Input[T2]]
Inputs3: TypeAlias = tuple[Input[T1], Input[T2], Input[T3]]
Inputs4: TypeAlias = tuple[Input[T1], Input[T2], Input[T3], Input[T4]]
Inputs5: TypeAlias = tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5]]
Inputs6: TypeAlias = tuple[Input[T1], Input[T2], Input[T3], Input[T4], Input[T5], Input[T6]]
Inputs7: TypeAlias = tuple[
    Input[T1],
    Input[T2],
    Input[T3],
    Input[T4],
    Input[T5],
    Input[T6],
    Input[T7],
]
Inputs8: TypeAlias = tuple[
    Input[T1],
    Input[T2],
    Input[T3],
    Input[T4],
    Input[T5],
    Input[T6],
    Input[T7],
    Input[T8],
]
Inputs9: TypeAlias = tuple[
    Input[T1],
    Input[T2],
    Input[T3],
    Input[T4],
    Input[T5],
    Input[T6],
    Input[T7],
    Input[T8],
    Input[T9],
]
Inputs10: TypeAlias = tuple[
    Input[T1],
    Input[T2],
    Input[T3],
    Input[T4],
    Input[T5],
    Input[T6],
    Input[T7],
    Input[T8],
    Input[T9],
    Input[T10],
]

# The place in the tuple, and the value: a literal, so that `match` on it narrows the value.
Winner1: TypeAlias = tuple[Literal[0], T1]
Winner2: TypeAlias = tuple[Literal[0], T1] | tuple[Literal[1], T2]
Winner3: TypeAlias = tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3]
Winner4: TypeAlias = (
    tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4]
)
Winner5: TypeAlias = (
    tuple[Literal[0], T1]
    | tuple[Literal[1], T2]
    | tuple[Literal[2], T3]
    | tuple[Literal[3], T4]
    | tuple[Literal[4], T5]
)
Winner6: TypeAlias = (
    tuple[Literal[0], T1]
    | tuple[Literal[1], T2]
    | tuple[Literal[2], T3]
    | tuple[Literal[3], T4]
    | tuple[Literal[4], T5]
    | tuple[Literal[5], T6]
)
Winner7: TypeAlias = (
    tuple[Literal[0], T1]
    | tuple[Literal[1], T2]
    | tuple[Literal[2], T3]
    | tuple[Literal[3], T4]
    | tuple[Literal[4], T5]
    | tuple[Literal[5], T6]
    | tuple[Literal[6], T7]
)
Winner8: TypeAlias = (
    tuple[Literal[0], T1]
    | tuple[Literal[1], T2]
    | tuple[Literal[2], T3]
    | tuple[Literal[3], T4]
    | tuple[Literal[4], T5]
    | tuple[Literal[5], T6]
    | tuple[Literal[6], T7]
    | tuple[Literal[7], T8]
)
Winner9: TypeAlias = (
    tuple[Literal[0], T1]
    | tuple[Literal[1], T2]
    | tuple[Literal[2], T3]
    | tuple[Literal[3], T4]
    | tuple[Literal[4], T5]
    | tuple[Literal[5], T6]
    | tuple[Literal[6], T7]
    | tuple[Literal[7], T8]
    | tuple[Literal[8], T9]
)
Winner10: TypeAlias = (
    tuple[Literal[0], T1]
    | tuple[Literal[1], T2]
    | tuple[Literal[2], T3]
    | tuple[Literal[3], T4]
    | tuple[Literal[4], T5]
    | tuple[Literal[5], T6]
    | tuple[Literal[6], T7]
    | tuple[Literal[7], T8]
    | tuple[Literal[8], T9]
    | tuple[Literal[9], T10]
)
