"""What callers may pass: every accepted shape becomes one `Source`, or a clear error.

R27 (what never starts is closed) and R32 (bad input is told at once) live here.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
)
from types import CoroutineType, FunctionType, MethodType
from typing import Any, Generic, NamedTuple, TypeVar, cast, final

from ._backends import current_backend
from ._checks import check_seconds, kind, safe_repr
from ._closable import close_unstarted, is_closable
from ._typing import Input, T

K = TypeVar("K")
T_co = TypeVar("T_co", covariant=True)


def is_awaitable(aw: object) -> bool:
    return isinstance(aw, Borrowed | concurrent.futures.Future) or inspect.isawaitable(aw)


def _is_future(aw: object) -> bool:
    return isinstance(aw, Borrowed) or asyncio.isfuture(aw)


@final
class Borrowed(Awaitable[T_co]):
    """What `borrowed` returns: a Future that is waited for and never cancelled."""

    __slots__ = ("future",)

    future: asyncio.Future[T_co]

    def __init__(self, future: asyncio.Future[T_co]) -> None:
        self.future = future

    def __await__(self) -> Generator[Any, None, T_co]:
        return asyncio.shield(self.future).__await__()

    def __repr__(self) -> str:
        return f"borrowed({self.future!r})"


def borrowed(aw: asyncio.Future[T], /) -> Borrowed[T]:
    """Mark a Task or Future that belongs to someone else: wait for it, never cancel it.

    Every helper adopts the Tasks and Futures it is given: it cancels and awaits them with the
    rest. A borrowed one is only watched. It is never cancelled; its failure stays its
    owner's to handle too; its value never goes to ``dispose``; when the call ends, no callback
    is left on it. At a deadline it is `Cancelled`, though it runs on. One that is given both
    borrowed and plain in the same call is borrowed.

    Args:
        aw: the `asyncio.Task` or `asyncio.Future` to watch.

    Returns:
        An input for any helper.

    Raises:
        TypeError: ``aw`` is no Task or Future (a coroutine has no other owner: it is closed).
        RuntimeError: on Trio, which has no Tasks or Futures to be watched.

    Example::

        match await waitkit.first_completed((queue.get(), waitkit.borrowed(stopped))):
            case 0, message:
                print("there is work:", message)
            case 1, _:
                print("told to stop; the task `stopped` has ended by itself")
    """
    if not current_backend().has_futures:
        close_unstarted([aw])
        raise RuntimeError(
            "borrowed() works on asyncio alone: Trio has no Tasks or Futures to be watched"
        )
    if isinstance(aw, Borrowed):
        return aw
    if asyncio.isfuture(aw):
        return Borrowed(aw)
    close_unstarted([aw])
    raise TypeError(
        f"borrowed() takes a Task or Future that belongs to someone else, not {kind(aw)}; "
        "pass anything else as it is"
    )


@final
class Keyed(Generic[K, T_co]):
    """What `keyed` and `call_each` return: pairs of a key and an awaitable, still to be made."""

    __slots__ = ("_items", "_make", "_name")

    def __init__(
        self,
        name: str,
        items: Iterable[Any] | AsyncIterable[Any],
        make: Callable[[Any], tuple[K, Input[T_co]]] | None,
    ) -> None:
        self._name = name
        self._items = items
        self._make = make  # from an item to its pair; None: the items are pairs

    def __repr__(self) -> str:
        return f"{self._name}({self._items!r})"

    def source(self) -> Source:
        items = self._items
        if self._make is None and isinstance(items, Collection):
            return load(items, keyed=True)
        sized = isinstance(items, Collection)
        return Source(keyed=True, make=self._make, sized=sized, **_iterate(items))


def keyed(
    pairs: Iterable[tuple[K, Input[T]]] | AsyncIterable[tuple[K, Input[T]]], /
) -> Keyed[K, T]:
    """Give each awaitable a key: a `dict` of inputs that need not exist at once.

    Wherever a helper takes a mapping it takes this too, and answers with keys in the same
    way. The pairs are taken one by one as slots fall free.

    Args:
        pairs: an iterable or async iterable of ``(key, awaitable)`` tuples. Streams and
            races take any keys, equal ones too; where the answer is a `dict`
            (`first_error`, `gather_partial`) they have to be hashable and distinct.

    Returns:
        An input for any helper.

    Raises:
        TypeError: ``pairs`` cannot be iterated. (A bad pair is reported by the helper.)

    Example::

        pairs = ((url, fetch(url)) for url in urls)
        async with waitkit.as_completed_results(waitkit.keyed(pairs), max_concurrency=10) as pages:
            async for url, page in pages:
                print(url, len(page))
    """
    _check_iterable(pairs, "keyed", "pairs", "an iterable of (key, awaitable) pairs")
    return Keyed("keyed", pairs, None)


def call_each(
    func: Callable[[K], Input[T]],
    items: Iterable[K] | AsyncIterable[K],
    /,
    *,
    timeout: float | None = None,
) -> Keyed[K, T]:
    """Call a function once per item, each call made only when a slot falls free.

    The key of each job is its item, so the answer tells which item it belongs to.

    Args:
        func: called with one item, in the job's own Task and context; returns an awaitable.
            What it raises, or a return value that is not awaitable (`TypeError`), is the
            failure of that item.
        items: an iterable or async iterable of arguments. It is taken from lazily and may be
            infinite, given ``max_concurrency``.
        timeout: seconds for each call, from its own start, not while it queues. A call that
            takes longer is cancelled and fails with `TimeoutError`. None: no limit.

    Returns:
        An input for any helper.

    Raises:
        TypeError: ``func`` cannot be called, or ``items`` cannot be iterated.
        ValueError: ``timeout`` is NaN.

    Example::

        partial = await waitkit.gather_partial(
            waitkit.call_each(ping, hosts, timeout=1.0), max_concurrency=50, timeout=5.0
        )
    """
    if not callable(func):
        close_unstarted([func])
        raise TypeError(
            f"call_each() takes a function and the items to call it with, not {kind(func)}"
        )
    _check_iterable(items, "call_each", "items", "an iterable of arguments")
    limit = check_seconds("timeout", timeout)

    # The call is made inside the job: one that is cancelled before its first step has then made
    # no coroutine that nobody awaits. To call a coroutine function only makes the job itself.
    def call(item: K) -> tuple[K, Input[T]]:
        if limit is not None:
            return item, _call_within(limit, func, item)
        if direct:
            try:
                return item, func(item)
            except TypeError:  # its parameters do not fit: that is the failure of this item
                pass
        return item, _call(func, item)

    direct = isinstance(func, FunctionType | MethodType) and inspect.iscoroutinefunction(func)
    return Keyed("call_each", items, call)


async def _call(func: Callable[[K], Input[T]], item: K) -> T:
    aw = func(item)
    if type(aw) is CoroutineType:
        return cast("T", await aw)
    if isinstance(aw, concurrent.futures.Future):
        return await current_backend().wrap_future(aw)
    if not inspect.isawaitable(aw):
        raise TypeError(f"{func!r} returned {kind(aw)}, which cannot be awaited")
    return await aw


async def _call_within(seconds: float, func: Callable[[K], Input[T]], item: K) -> T:
    async with current_backend().fail_after(seconds):
        return await _call(func, item)


class Source(NamedTuple):
    """One thing that a caller passed, ready to be taken from; just one of the three is set."""

    keyed: bool
    loaded: list[Any] | None = None  # checked items of a sized input: awaitables, or pairs
    iterator: Iterator[Any] | None = None
    async_iterator: AsyncIterator[Any] | None = None
    plain: bool = False  # nothing but coroutines was loaded
    make: Callable[[Any], tuple[Any, Any]] | None = None  # from an item to its pair
    sized: bool = False  # what an iterator has left counts as given all the same (R17)

    def close(self) -> None:
        """Close the unstarted coroutines of a sized input (R27)."""
        close_unstarted(_awaitables(self.loaded or (), keyed=self.keyed))

    def special(self) -> Iterable[Any]:
        """The awaitables of a sized input, where not all of them are coroutines."""
        return () if self.plain else _awaitables(self.loaded or (), keyed=self.keyed)


def read_inputs(helper: str, aws: object, others: tuple[object, ...]) -> Source:
    """Turn what a helper was called with into a `Source`, or raise the error of R32."""
    if others:
        for given in (aws, *others):
            _close_given(given)
        raise TypeError(
            f"{helper}() takes one iterable of awaitables, as asyncio.wait does: "
            f"write {helper}([a, b, c]), or {helper}((a, b, c)) for different types"
        )
    if isinstance(aws, Keyed):
        return aws.source()
    if isinstance(aws, Mapping):
        return load(aws.items(), keyed=True)
    if is_awaitable(aws):
        close_unstarted([aws])
        raise TypeError(
            f"{helper}() takes an iterable of awaitables, not a single one ({kind(aws)}); "
            f"write {helper}([aw])"
        )
    _check_iterable(aws, helper, "aws", "an iterable of awaitables")
    if isinstance(aws, Collection):
        return load(aws, keyed=False)
    return Source(keyed=False, **_iterate(aws))


def _close_given(given: object) -> None:
    """Close an awaitable, or what a sized input holds."""
    close_unstarted([given])
    if isinstance(given, Mapping):
        close_unstarted(given.values())
    elif isinstance(given, Collection) and not isinstance(given, str | bytes):
        close_unstarted(given)


def _iterate(items: Any) -> dict[str, Any]:
    if isinstance(items, Iterable):
        return {"iterator": iter(items)}
    return {"async_iterator": aiter(items)}


def _awaitables(items: Iterable[Any], *, keyed: bool) -> Iterator[Any]:
    for item in items:
        if not keyed:
            yield item
        elif isinstance(item, tuple):
            yield from item[1:]


def load(given: Iterable[Any], *, keyed: bool) -> Source:
    """Take all of a sized input at once, and refuse what is wrong with it (R4, R32).

    Costs little for a long list of coroutines: one pass for their types, one for their ids.
    """
    items: list[Any] = []
    try:
        items.extend(given)  # what it gives before it raises is closed, too
        if keyed:
            for index, pair in enumerate(items):
                check_pair(pair, index)
        aws = [pair[1] for pair in items] if keyed else items
        plain = set(map(type, aws)) <= {CoroutineType}
        if not plain:
            for index, aw in enumerate(aws):
                check_item(aw, index, items[index][0] if keyed else None, keyed=keyed)
        if len(set(aws if plain else map(id, aws))) < len(aws):
            _check_once(aws)
    except BaseException:
        close_unstarted(_awaitables(items, keyed=keyed))
        raise
    return Source(keyed=keyed, loaded=items, plain=plain)


def _check_once(aws: list[Any]) -> None:
    seen: dict[int, int] = {}
    for index, aw in enumerate(aws):
        first = seen.setdefault(id(aw), index)
        if first != index and is_closable(aw):
            raise ValueError(
                f"inputs {first} and {index} are the same {type(aw).__name__}, which can be "
                "awaited only once; make one for each, or pass one Task at both places"
            )


def check_pair(pair: Any, index: int) -> None:
    if not isinstance(pair, tuple) or len(pair) != 2:
        close_unstarted(pair if isinstance(pair, tuple) else [pair])
        raise TypeError(f"input {index} is {kind(pair)}, not a (key, awaitable) pair")


def check_item(aw: Any, index: int, key: Any, *, keyed: bool) -> None:
    if type(aw) is CoroutineType:
        return
    if not is_awaitable(aw):
        hint = "; call it, or pass call_each(func, items)" if callable(aw) else ""
    elif _is_future(aw) and not current_backend().has_futures:
        hint = " on Trio; pass the coroutine itself, and not a Task or Future of asyncio's"
    else:
        return
    name = f"input {index} (key {safe_repr(key)})" if keyed else f"input {index}"
    raise TypeError(f"{name} is {kind(aw)}, which cannot be awaited{hint}")


def split_input(item: Any, index: int, *, keyed: bool) -> tuple[Any, Any]:
    """The key and the awaitable of one input, checked and left unclosed only if good (R32)."""
    if not keyed:
        check_item(item, index, None, keyed=False)
        return index, item
    check_pair(item, index)
    key, aw = item
    if type(aw) is not CoroutineType:
        check_item(aw, index, key, keyed=True)
    return key, aw


def check_distinct(key: Any, seen: set[Hashable]) -> None:
    """Refuse a key that a dict of the answers could not hold, or would hold once (R32)."""
    try:
        known = key in seen
    except TypeError as error:
        raise TypeError(f"key {safe_repr(key)} cannot be a key of a dict: {error}") from None
    if known:
        raise ValueError(f"key {safe_repr(key)} is given twice, and a dict would hold it once")
    seen.add(key)


def _check_iterable(items: object, helper: str, name: str, wanted: str) -> None:
    if isinstance(items, str | bytes | bytearray):
        raise TypeError(f"{helper}() takes {wanted}, not {kind(items)}")
    if not isinstance(items, Iterable | AsyncIterable) or is_awaitable(items):
        close_unstarted([items])
        if callable(items):
            hint = "; call it, or write call_each(func, items) for a call per item"
        else:
            hint = ""
        raise TypeError(f"{helper}() takes {wanted} as {name}, not {kind(items)}{hint}")


for _helper in (borrowed, keyed, call_each):
    _helper.__module__ = "waitkit"  # what tracebacks and docs show is what users import
del _helper
