"""What is still to be taken: the inputs that are there, and where more come from.

    queue   inputs at hand: of a sized source, added ones, what an async source has brought
    head    the iterator that is being taken from, or the feeder of an async one
    behind  sources that have not begun

Taking empties the queue, then goes on with the head, then begins the next source. So an added
input comes after a sized source and before the next item of an iterator (R26). A plain iterator
is asked only when there is a free slot (R2); an async one has a feeder, a task of its own that
asks for one item each time the crew has found nothing to take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextvars import copy_context
from functools import partial
from operator import length_hint
from typing import Any, Final

from ._backends import Backend, Event, Job, ki_unprotected
from ._inputs import Source, split_input

NOTHING: Final[Any] = object()


def _ignore(*_: object) -> None: ...


class Intake:
    """The inputs of one call, in the order in which they will be taken."""

    __slots__ = (
        "_asked",
        "_backend",
        "_behind",
        "_bell",
        "_context",
        "_on_fed",
        "_pull",
        "_stopped",
        "feeder",
        "head",
        "keyed",
        "on_arrival",
        "queue",
        "unbegun",
    )

    def __init__(
        self,
        source: Source,
        backend: Backend,
        on_fed: Callable[[Job], None],
    ) -> None:
        self.keyed = source.keyed
        self.feeder: Job | None = None
        self.queue: deque[Any] = deque()
        self._behind: deque[Source] = deque()
        self.head: Source | None = None
        self._pull: Callable[[], Any] | None = None
        # What a source changes in its context stays there: the jobs do not see it (R5).
        self._context = copy_context()
        self._backend = backend
        self.on_arrival: Callable[[], None] = _ignore  # an async source has brought something
        self._on_fed = on_fed
        self._asked = False
        self._stopped = False
        self._bell: Event | None = None
        self.unbegun: list[AsyncIterator[Any]] = []  # to be closed at the end
        self.extend(source)

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left, as far as is known without asking."""
        return not (self.queue or self.head is not None or self._behind)

    @ki_unprotected
    def take(self) -> Any:
        """The next input: an awaitable, or a (key, awaitable) pair; or `NOTHING` (yet).

        Raises what the source raises (R28).
        """
        while not self.queue:
            if self._pull is not None:
                try:
                    return self._pull()
                except StopIteration:
                    self._pull = self.head = None
                    self._load()
            elif self.head is not None:  # its feeder has been asked, and rings when it comes
                self._asked = True
                if self._bell is not None:
                    self._backend.notify(self._bell)
                return NOTHING
            elif not self._behind:
                return NOTHING
            else:
                self._begin(self._behind.popleft())
        return self.queue.popleft()

    def add(self, source: Source) -> None:
        """What was loaded, after a sized source and before the next item of an iterator."""
        self.queue.extend(source.loaded or ())

    def extend(self, source: Source) -> None:
        """More inputs, behind all that is there."""
        self._behind.append(source)
        self._load()

    def _load(self) -> None:
        """Queue the sized sources that are next, so that what is added comes after them."""
        while self.head is None and self._behind and self._behind[0].loaded is not None:
            self.queue.extend(self._behind.popleft().loaded or ())

    def _begin(self, source: Source) -> None:
        self.head = source
        if source.async_iterator is not None:
            self.unbegun.append(source.async_iterator)
            feed = self._feed(source.async_iterator, source.make)
            self.feeder = self._backend.feeder(feed, self._fed)
            return
        assert source.iterator is not None
        iterator = map(source.make, source.iterator) if source.make else source.iterator
        self._pull = partial(self._context.run, next, iterator)

    def disband(self) -> None:
        self.on_arrival = self._on_fed = _ignore

    async def _feed(self, iterator: AsyncIterator[Any], make: Callable[[Any], Any] | None) -> None:
        # One task from the first item to `aclose`: the body of an async generator may hold
        # timeouts and task groups, which may not be left in another task.
        self.unbegun.remove(iterator)
        try:
            while True:
                while not self._asked:
                    self._bell = self._backend.event()
                    await self._bell
                self._bell = None
                self._asked = False
                try:
                    item = await anext(iterator)
                except StopAsyncIteration:
                    return
                self.queue.append(make(item) if make else item)
                if self._stopped:  # it was cancelled, and gave one more all the same
                    return
                self.on_arrival()
        finally:
            await close_iterator(iterator)

    def _fed(self, job: Job) -> None:
        self.feeder = self.head = None
        self._load()
        self._on_fed(job)

    def _unread(self) -> list[Source]:
        return [source for source in (self.head, *self._behind) if source is not None]

    def open_ended(self, *, everything: bool) -> bool:
        """Whether there may be more than `stop` gives back."""
        lazy = [source for source in self._unread() if source.loaded is None]
        if everything:
            lazy = [source for source in lazy if not source.sized]
        return any(not source.sized or _has_more(source.iterator) for source in lazy)

    def stop(self, *, everything: bool) -> Iterator[tuple[Any, Any]]:
        """Take no more; give back (key, awaitable) of the inputs at hand.

        With `everything`, go on with what else the sized sources would have given, made for
        the purpose and not started (R17).
        """
        first, self._stopped = not self._stopped, True
        sources = self._unread()
        left = [*self.queue]
        for source in self._behind:
            left.extend(source.loaded or ())
            if source.async_iterator is not None:
                self.unbegun.append(source.async_iterator)
        self.queue.clear()
        self._behind.clear()
        self._pull = None
        if self.feeder is None:
            self.head = None
        elif first:
            self._backend.cancel([self.feeder])
        return self._rest(left, sources if everything else ())

    def _rest(self, left: list[Any], sources: Iterable[Source]) -> Iterator[tuple[Any, Any]]:
        for item in left:
            try:
                yield split_input(item, 0, keyed=self.keyed)
            except TypeError:  # brought by an async source, and never taken
                continue
        for source in sources:
            if source.sized and source.iterator is not None and source.make is not None:
                yield from map(source.make, source.iterator)


def _has_more(iterator: object) -> bool:
    """Whether there may be more: iterators of lists, sets, dicts and ranges know what is left."""
    try:
        return length_hint(iterator, 1) > 0
    except Exception:  # a deadline passes whatever a hint raises
        return True


async def close_iterator(iterator: AsyncIterator[Any]) -> None:
    """Close an async generator; any other iterator is left where it stands (R27)."""
    if isinstance(iterator, AsyncGenerator):
        await iterator.aclose()
