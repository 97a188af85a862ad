"""One run on the virtual loop, from a function to what there is to say about it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, TypeVar

from ._checks import checked_coroutine
from ._failures import DeadlockError, Ending, LeakError, LivelockError, listing
from ._loop import VirtualLoop
from ._places import place_raised, task_at, tasks_at
from ._watching import watching_coroutines

T = TypeVar("T")
PATIENCE = 3  # how often a task is cancelled that hangs all the same


class Spy(Coroutine[Any, Any, T]):
    """A coroutine that remembers which cancellations were thrown into it."""

    def __init__(self, spied: Coroutine[Any, Any, T]) -> None:
        self.spied = spied
        self.thrown: list[BaseException] = []

    def send(self, value: Any) -> Any:
        return self.spied.send(value)

    def throw(self, error: Any, *_: Any) -> Any:
        self.thrown.append(error)
        return self.spied.throw(error)

    def close(self) -> None:
        self.spied.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self.spied.__await__()


def run_on_asyncio(
    loop: VirtualLoop,
    main: Callable[..., Coroutine[Any, Any, T]],
    args: tuple[Any, ...],
    *,
    struck_by: Sequence[BaseException] | None = None,
) -> Ending[T]:
    """Run a main to its end; leave nothing of it, and close the loop.

    With `struck_by`, somebody sees to it that main fails, by a cancellation or by these errors:
    whatever comes out is looked at, and what its traceback holds is let go.
    """
    __tracebackhide__ = True
    ending: Ending[T] = Ending()
    loop.collects_complaints = True
    left: list[str] = []

    async def call() -> T:
        __tracebackhide__ = True
        try:
            return await checked_coroutine(main(*args))
        finally:
            if loop.is_running():  # else the collector has come for what refused to end
                # Not a turn of the loop later, when what was cancelled and not awaited is gone.
                left.extend(tasks_at(_others_at_work()))

    with watching_coroutines() as watch:
        try:
            coro = call()
            name = getattr(main, "__qualname__", "main")
            coro.__qualname__ = name  # type: ignore[attr-defined]  # a coroutine object has it
            spy = Spy(coro)
            task = loop.main = loop.create_task(coro if struck_by is None else spy)
            hung: AssertionError | None = None
            try:
                ending.value = loop.run_until_complete(task)
            except BaseException as error:
                if isinstance(error, (DeadlockError, LivelockError)) and not task.done():
                    hung = error
                else:
                    ending.error = error
            ending.cancelling = task.cancelling()
            ending.thrown = spy.thrown[-1].args if spy.thrown else None
            loop.main = loop.on_turn = None
            left_then = _end_all(loop, ending)
            if struck_by is not None:  # a failed task may be held by nothing else
                ending.let_go(struck_by)
            if hung is not None:
                ending.find_hung(hung, _what_came(task))
                ending.findings.insert(0, ending.findings.pop())
            if left_then:
                title = "these tasks do not end when they are cancelled"
                ending.find(LeakError(listing(title, left_then)))
                watch.mute = True
            elif not task.cancelled():
                task.exception()  # somebody has looked
            del task, coro, spy, hung
        finally:
            loop.close()
        gc.collect()  # what nobody retrieved or awaited says so now
    if not ending.interrupted():
        ending.find_leaks(left)
        ending.find_never_awaited(watch.found)
        ending.find_unhandled([_unhandled(context) for context in loop.complaints])
    loop.complaints.clear()
    return ending


def _others_at_work() -> list[asyncio.Task[Any]]:
    """All other tasks, less those that close an async generator which was dropped."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return [task for task in others if not _closes_generator(task)]


def _closes_generator(task: asyncio.Task[Any]) -> bool:
    """Whether the loop itself has made the task: nobody could have awaited it."""
    return type(task.get_coro()).__name__ == "async_generator_athrow"


def _what_came(task: asyncio.Task[Any]) -> str:
    if not task.done():
        return "did not end"
    if task.cancelled():
        return "ended"
    error = task.exception()
    return "returned" if error is None else f"raised {error!r}{place_raised(error)}"


def _end_all(loop: VirtualLoop, ending: Ending[Any]) -> list[str]:
    """As `asyncio.Runner` does when it closes: cancel, await, and close the async generators.

    Gives back the tasks that refuse to end.
    """
    left = _cancel_all(loop)
    try:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    except (DeadlockError, LivelockError) as error:
        error.add_note("while async generators were being closed")
        ending.find(error)
    return left or _cancel_all(loop)


def _cancel_all(loop: VirtualLoop) -> list[str]:
    """Cancel all tasks and await them; give up on those that will not hear of it."""
    for _ in range(PATIENCE):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            return []
        waiting = len(tasks)

        def ended(_: object) -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                loop.stop()

        for task in tasks:
            task.add_done_callback(ended)
            if not _closes_generator(task):
                task.cancel()
        try:
            loop.run_forever()
        except (DeadlockError, LivelockError):
            pass
        finally:
            for task in tasks:
                task.remove_done_callback(ended)
    left = asyncio.all_tasks(loop)
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # told of already
    return tasks_at(left)


def _unhandled(context: dict[str, Any]) -> tuple[str, BaseException | None]:
    """What the loop's exception handler was told, in a line."""
    text = str(context.get("message") or "an unhandled error")
    error: BaseException | None = context.get("exception")
    if error is None and isinstance(task := context.get("task"), asyncio.Task):
        text = f"{text} {task_at(task)}"
    return text, error
