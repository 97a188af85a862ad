"""What has finished and has not been handed over: delivered one by one, or forfeited."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from ._outcomes import Cancelled, Failure, Success
from ._policy import Policy
from ._sources import NOTHING


class Results:
    __slots__ = ("_front", "_outcomes", "_race", "finished", "keys", "lent", "ordered", "winner")

    def __init__(self, policy: Policy, keys: dict[int, Any] | None) -> None:
        self.ordered: bool = policy.ordered
        self._outcomes = policy.outcomes
        self._race = policy.race
        self.keys: dict[int, Any] | None = keys
        # By index, or as (index, value) in completion order.
        self.finished: Any = {} if policy.ordered else deque()
        self.winner: tuple[int, Any] | None = None
        self.lent: set[int] = set()  # places whose values are not ours to dispose of (R1)
        self._front = 0  # the index to be delivered next, in input order

    @property
    def ready(self) -> bool:
        """Whether what is next in input order has finished."""
        return self._front in self.finished

    def deliver(self) -> Any:
        """What comes next, or `NOTHING` (yet)."""
        if self.ordered:
            index = self._front
            if index not in self.finished:
                return NOTHING
            value = self.finished.pop(index)
            self._front = index + 1
        elif self.finished:
            index, value = self.finished.popleft()
        else:
            return NOTHING
        if self.keys is not None:
            key = self.keys.pop(index)
            if not self._outcomes:
                value = (key, value)
        return value

    def key(self, index: int) -> Any:
        """The key of keyed inputs, else the index."""
        return index if self.keys is None else self.keys[index]

    def keep(self, outcome: Failure[Any] | Cancelled[Any]) -> None:
        if self.ordered:
            self.finished[outcome.index] = outcome
        else:
            self.finished.append((outcome.index, outcome))

    def cancelled(
        self, index: int, reason: Literal["deadline", "external"], started: bool = True
    ) -> None:
        self.keep(Cancelled(self.key(index), index, reason, started))

    def forfeit(self, discard: Callable[[Any], None]) -> None:
        """Nobody will get what has finished: its values go to dispose (R29)."""
        entries = list(self.finished.items() if self.ordered else self.finished)
        if self._outcomes:
            entries = [(i, entry.value) for i, entry in entries if isinstance(entry, Success)]
        if not self._race:  # whose failures so far tell why nothing has won
            self.finished.clear()
        if self.winner is not None:
            entries.append(self.winner)
            self.winner = None
        for index, value in entries:
            if index not in self.lent:
                discard(value)
