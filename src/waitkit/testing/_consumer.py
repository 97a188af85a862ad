"""`Consumer`: who reads a stream, slowly or not to its end, as plain data."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ._job import Terse
from ._on_either import wait

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Consumer(Terse):
    """Who reads an async iterator, and how.

    Attributes:
        pause: seconds that it takes for each item, before it asks for the next.
        breaks_after: it breaks off after so many items; None: it does not.
        closes_after: it calls ``aclose()`` after so many items, and goes on asking; None: it does
            not.
        adds: it adds one more input behind each of its first so many items.

    Example::

        async with waitkit.as_completed_results(jobs) as results:
            assert await Consumer(pause=1, breaks_after=2).run(results) == ["page a", "page b"]
    """

    pause: float = 0
    breaks_after: int | None = None
    closes_after: int | None = None
    adds: int = 0

    async def run(
        self,
        stream: AsyncIterable[T],
        *,
        add: Callable[[], object] | None = None,
        into: list[T] | None = None,
    ) -> list[T]:
        """Read a stream as drawn: a waitkit stream, an async generator or any async iterator.

        It opens no ``async with`` and closes nothing but what ``closes_after`` says: the code
        around it does, which is a part of what is tested.

        Args:
            stream: what to read. If ``closes_after`` is drawn it needs an ``aclose()``.
            add: called without arguments to add an input; what it returns is awaited, if it can
                be. Without it, nothing is added.
            into: a list that each item is appended to as it comes, so that a test sees them also
                if the stream fails.

        Returns:
            The items, in the order in which they came; ``into`` itself, if that is given.

        Raises:
            BaseException: what the stream or ``add`` raises, bare.

        Cancellation: comes out at once, of the wait for an item or of the pause.
        """
        items: list[T] = [] if into is None else into
        count = 0
        iterator = aiter(stream)
        while count != self.breaks_after:
            if count == self.closes_after:
                closable: Any = stream
                await closable.aclose()
            try:
                items.append(await anext(iterator))
            except StopAsyncIteration:
                break
            count += 1
            if add is not None and count <= self.adds:
                added = add()
                if inspect.isawaitable(added):
                    await added
            if self.pause and count != self.breaks_after:
                await wait(self.pause, 0)
        return items


Consumer.__module__ = "waitkit.testing.strategies"
