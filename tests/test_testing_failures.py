"""R60: what `waitkit.testing.run` finds the matter with a test, and how it says so."""

from __future__ import annotations

import asyncio
import contextvars
import re
import warnings
from typing import Any

import pytest
import trio
import trio.lowlevel

from waitkit.testing import (
    DeadlockError,
    LeakError,
    LivelockError,
    NeverAwaitedError,
    UnhandledError,
    run,
)

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


async def work(seconds: float = 1) -> None:
    await asyncio.sleep(seconds)


async def fail(seconds: float = 1) -> None:
    await asyncio.sleep(seconds)
    raise ValueError("of a task")


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


def test_run_raises_what_main_raises() -> None:
    """R60: the same object, with nothing around it; an exit too."""
    for error in (ValueError("x"), KeyError(), SystemExit(3), asyncio.CancelledError("x")):

        async def main(error: BaseException = error) -> None:
            await work()
            raise error

        with pytest.raises(type(error)) as caught:
            run(main)
        assert caught.value is error
        assert not notes(error)


def test_run_names_what_deadlocks() -> None:
    """R60: two tasks, two locks: each is named, with the line that it waits at."""

    async def main() -> None:
        first, second = asyncio.Lock(), asyncio.Lock()

        async def transfer(one: asyncio.Lock, other: asyncio.Lock) -> None:
            async with one:
                await asyncio.sleep(1)
                async with other:
                    pass

        async with asyncio.TaskGroup() as group:
            group.create_task(transfer(first, second))
            group.create_task(transfer(second, first), name="back")

    with pytest.raises(DeadlockError) as caught:
        run(main)
    told = str(caught.value)
    assert re.search(
        r"main\(\) at .*test_testing_failures.py:\d+: async with asyncio.TaskGroup", told
    )
    assert re.search(r"\n  transfer\(\) at .*: async with other:", told)
    assert re.search(r"'back': transfer\(\) at .*: async with other:", told)
    assert "at 1 s" in told


@pytest.mark.parametrize("shield", [False, True])
def test_run_on_trio_names_what_deadlocks(shield: bool) -> None:
    """R60: the same on Trio, where `finally` blocks run even under a shield."""
    ended: list[str] = []

    async def main() -> None:
        async def wait() -> None:
            try:
                with trio.CancelScope(shield=shield):
                    await trio.Event().wait()
            finally:
                ended.append("wait")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)

    with pytest.raises(DeadlockError, match=r"wait\(\) at .*Event\(\).wait\(\)  \(2 times\)"):
        run(main, backend="trio")
    assert ended == ["wait", "wait"]


def test_run_takes_a_wait_without_end_for_a_deadlock() -> None:
    """R60: sleeping for an infinite time is waiting for nothing."""
    with pytest.raises(DeadlockError, match="work"):
        run(work, float("inf"))


def test_run_ends_a_main_that_refuses() -> None:
    """R60: one that hangs however often it is cancelled does not hang the test."""

    async def main() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    with pytest.raises(DeadlockError) as caught:
        run(main)
    assert "did not end" in notes(caught.value)

    async def on_trio() -> None:
        while True:
            try:
                with trio.CancelScope(shield=True):
                    await trio.sleep_forever()
            except AssertionError:
                continue

    with pytest.raises(DeadlockError) as caught:
        run(on_trio, backend="trio")
    assert "did not end" in notes(caught.value)


def test_run_sees_time_stand_still() -> None:
    """R60: a task that asks again at every turn is an error that names it."""

    async def main() -> None:
        while True:  # noqa: ASYNC110  # that is the bug
            await asyncio.sleep(0)

    with pytest.raises(LivelockError, match=r"100,000 times at 0 s(.|\n)*main\(\) at"):
        run(main)

    async def on_trio() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    with pytest.raises(LivelockError, match=r"100,000 times at 0 s(.|\n)*on_trio\(\) at"):
        run(on_trio, backend="trio")


def test_run_names_leaks_and_ends_them() -> None:
    """R60: what `gather` leaves running when one fails, say; it is cancelled, and awaited."""
    ended: list[str] = []

    async def sibling() -> None:
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(1)
            ended.append("sibling")

    async def main() -> None:
        with pytest.raises(ValueError, match="of a task"):
            await asyncio.gather(sibling(), fail())

    title = "^main has ended, and these tasks still run:"
    with pytest.raises(LeakError, match=title + r"\n  sibling\(\) at .*sleep\(9\)$"):
        run(main)
    assert ended == ["sibling"]


def test_run_sees_what_was_cancelled_and_not_awaited() -> None:
    """R60: it still runs when main ends, if only for one step more."""

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(work())
        await asyncio.sleep(0)
        task.cancel()

    with pytest.raises(LeakError, match="work"):
        run(main)


@pytest.mark.parametrize("cycle", [False, True])
def test_run_names_coroutines_that_nobody_awaited(cycle: bool) -> None:
    """R60: with the line that made each, even if only the collector finds them."""

    async def main() -> None:
        held: list[Any] = [work()]
        if cycle:
            held.append(held)

    with pytest.raises(NeverAwaitedError, match=r"coroutine 'work', made at .*: held: list"):
        run(main)


def test_run_leaves_other_warnings_alone() -> None:
    """R60: they go where they went; a test of its own for the one that it watches sees that."""

    async def main() -> None:
        warnings.warn("another", UserWarning, stacklevel=1)
        with pytest.warns(RuntimeWarning, match="never awaited"):
            work()  # type: ignore[unused-coroutine]

    with pytest.warns(UserWarning, match="another"):
        run(main)


def test_run_tells_what_only_the_loop_was_told() -> None:
    """R60: failures that nobody retrieved, errors in callbacks; the first is the cause."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.create_task(fail())  # type: ignore[unused-awaitable]  # noqa: RUF006  # nobody keeps it: that is what is tested
        await asyncio.sleep(2)
        loop.call_soon(int, "x")
        await asyncio.sleep(1)

    with pytest.raises(UnhandledError, match=r"never retrieved(.|\n)*invalid literal") as caught:
        run(main)
    assert isinstance(caught.value.__cause__, ValueError)


def test_run_leaves_an_exception_handler_to_its_owner() -> None:
    """R60: only the default handler's part is taken over."""
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert loop.get_exception_handler() is None
        loop.set_exception_handler(lambda _, context: seen.append(context["message"]))
        loop.call_soon(int, "x")
        await asyncio.sleep(0)

    run(main)
    assert len(seen) == 1


def test_run_tells_all_at_once() -> None:
    """R60: several failures are one error with notes; what main raises comes before all."""

    async def leave(error: Exception | None) -> None:
        asyncio.get_running_loop().call_soon(int, "x")
        asyncio.get_running_loop().create_task(work())  # type: ignore[unused-awaitable]
        work(2)  # type: ignore[unused-coroutine]
        await asyncio.sleep(0)
        if error is not None:
            raise error

    with pytest.raises(LeakError) as caught:
        run(leave, None)
    assert "NeverAwaitedError: " in notes(caught.value)
    assert "UnhandledError: " in notes(caught.value)
    error = KeyError("of main")
    with pytest.raises(KeyError) as main_caught:
        run(leave, error)
    assert main_caught.value is error
    assert [name in notes(error) for name in ("LeakError", "NeverAwaited", "Unhandled")] == [
        True
    ] * 3
