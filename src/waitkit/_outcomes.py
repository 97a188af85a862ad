"""How a job ended, as values: `Success`, `Failure`, `Cancelled`, and `Partial` of many."""

from __future__ import annotations

from typing import Any, Generic, Literal, NoReturn, TypeAlias, TypeVar, final

from ._errors import DeadlineError, JobCancelledError

__all__ = ["Cancelled", "Failure", "Outcome", "Partial", "Success"]

K = TypeVar("K")
T = TypeVar("T")
K_co = TypeVar("K_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)


class _Value:
    """Equality, hash and repr by the fields that ``match`` sees.

    Plain classes with slots, not frozen dataclasses: one is made per job, and a frozen
    ``__init__`` costs three times as much.
    """

    __slots__ = ()

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        names: tuple[str, ...] = vars(cls)["__match_args__"]
        return names

    def _fields(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._names())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names())
        return f"{type(self).__name__}({fields})"


@final
class Success(_Value, Generic[K_co, T_co]):
    """A job returned a value.

    Attributes:
        value: what it returned.
        key: the key of keyed inputs, else the index.
        index: the place of the input, counted from 0 in the order of taking.
    """

    __slots__ = ("index", "key", "value")
    __match_args__ = ("value", "key", "index")

    value: T_co
    key: K_co
    index: int

    def __init__(self, value: T_co, key: K_co, index: int) -> None:
        self.value = value
        self.key = key
        self.index = index

    def unwrap(self) -> T_co:
        """Return the value."""
        return self.value


@final
class Failure(_Value, Generic[K_co]):
    """A job raised an exception.

    Attributes:
        error: what it raised.
        key: the key of keyed inputs, else the index.
        index: the place of the input, counted from 0 in the order of taking.
    """

    __slots__ = ("error", "index", "key")
    __match_args__ = ("error", "key", "index")

    error: Exception
    key: K_co
    index: int

    def __init__(self, error: Exception, key: K_co, index: int) -> None:
        self.error = error
        self.key = key
        self.index = index

    def unwrap(self) -> NoReturn:
        """Raise the error: the very exception that the job raised."""
        raise self.error


@final
class Cancelled(_Value, Generic[K_co]):
    """A job was cancelled, or never started.

    Attributes:
        key: the key of keyed inputs, else the index.
        index: the place of the input, counted from 0 in the order of taking.
        reason: ``"deadline"``: the timeout of the call passed; ``"external"``: somebody
            else cancelled the job.
        started: whether the input was taken before the deadline; False for one that was
            still waiting for a free slot.
    """

    __slots__ = ("index", "key", "reason", "started")
    __match_args__ = ("key", "index", "reason", "started")

    key: K_co
    index: int
    reason: Literal["deadline", "external"]
    started: bool

    def __init__(
        self, key: K_co, index: int, reason: Literal["deadline", "external"], started: bool
    ) -> None:
        self.key = key
        self.index = index
        self.reason = reason
        self.started = started

    def unwrap(self) -> NoReturn:
        """Raise `DeadlineError` or `JobCancelledError`, by ``reason``."""
        if self.reason == "deadline":
            raise DeadlineError(f"input {self.index} had not finished at the deadline")
        raise JobCancelledError(f"input {self.index} was cancelled from elsewhere")


Outcome: TypeAlias = Success[K, T] | Failure[K] | Cancelled[K]
"""How a job ended: one of the three, for ``match``."""


@final
class Partial(Generic[K, T]):
    """What `gather_partial` gives back: every input's outcome, in input order.

    ``results``, ``errors`` and ``cancelled`` partition the inputs. Keys are the keys of
    keyed inputs, else indexes.

    Attributes:
        outcomes: all outcomes, in input order.
        results: the values returned, by key, in input order.
        errors: the exceptions raised, by key, in input order.
        cancelled: the keys of the jobs that were cancelled or never started, in input order.
        timed_out: whether the deadline cut something off.

    Example::

        partial = await waitkit.gather_partial({"a": ping("a"), "b": ping("b")}, timeout=2.0)
        up, down, unknown = partial.results, partial.errors, partial.cancelled
    """

    __slots__ = ("cancelled", "errors", "outcomes", "results", "timed_out")
    __match_args__ = ("results", "errors", "cancelled")

    outcomes: tuple[Outcome[K, T], ...]
    results: dict[K, T]
    errors: dict[K, Exception]
    cancelled: tuple[K, ...]
    timed_out: bool

    def __init__(self, outcomes: tuple[Outcome[K, T], ...], timed_out: bool) -> None:
        results: dict[K, T] = {}
        errors: dict[K, Exception] = {}
        cancelled: list[K] = []
        for outcome in outcomes:
            if type(outcome) is Success:  # not `match`, which takes twice as long
                results[outcome.key] = outcome.value
            elif type(outcome) is Failure:
                errors[outcome.key] = outcome.error
            else:
                cancelled.append(outcome.key)
        self.outcomes = outcomes
        self.results = results
        self.errors = errors
        self.cancelled = tuple(cancelled)
        self.timed_out = timed_out

    @property
    def ok(self) -> bool:
        """Whether every input gave a value."""
        return len(self.results) == len(self.outcomes)

    def raise_errors(self) -> None:
        """Raise one `ExceptionGroup` of the errors, in input order; do nothing without any.

        Cancelled jobs are no errors: see ``cancelled``.
        """
        if self.errors:
            raise ExceptionGroup(
                f"{len(self.errors)} of {len(self.outcomes)} jobs failed",
                list(self.errors.values()),
            )

    def __repr__(self) -> str:
        return (
            f"Partial(results={self.results!r}, errors={self.errors!r}, "
            f"cancelled={self.cancelled!r}, timed_out={self.timed_out!r})"
        )


for _value in (Success, Failure, Cancelled, Partial):
    _value.__module__ = "waitkit"  # what tracebacks and docs show is what users import
del _value
