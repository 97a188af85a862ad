"""A call of a helper: its arguments are checked, its crew is run, and its error raised."""

from __future__ import annotations

from collections.abc import Coroutine, Hashable
from typing import Any, NoReturn

from ._backends import current_backend, ki_protected
from ._checks import check_catch, check_count, check_dispose, check_seconds
from ._crew import END, Crew
from ._inputs import Source, check_distinct, read_inputs
from ._policy import Policy
from ._reports import EXITS


def prepare(helper: str, aws: object, others: tuple[object, ...] = (), **options: Any) -> Crew:
    """Check what a helper was called with, and make its crew; raise the errors of R32.

    Nothing has started then, and nothing is left unclosed.
    """
    source = read_inputs(helper, aws, others)
    try:
        policy = _checked(Policy(helper, **options))
        if policy.distinct and source.keyed:
            seen: set[Hashable] = set()
            for key, _ in source.loaded or ():
                check_distinct(key, seen)
        backend = current_backend()()
        if not source.plain:
            refuse_caller(source, backend.current())
        return Crew(policy, source, backend)
    except BaseException:
        source.close()
        raise


def _checked(policy: Policy) -> Policy:
    limit = check_count("max_concurrency", policy.max_concurrency)
    buffersize = check_count("buffersize", policy.buffersize)
    if buffersize is not None:
        if limit is None:
            raise ValueError("buffersize needs max_concurrency")
        if buffersize < limit:
            raise ValueError(
                f"buffersize ({buffersize}) must not be below max_concurrency ({limit}): "
                "slots would never be filled"
            )
    stagger = check_seconds("stagger", policy.stagger)
    if stagger is not None and stagger < 0:
        raise ValueError(f"stagger must be 0 seconds or more, not {stagger}")
    check_dispose(policy.dispose)
    return policy._replace(
        timeout=check_seconds("timeout", policy.timeout),
        catch=check_catch(policy.catch),
    )


def refuse_caller(source: Source, caller: object) -> None:
    """The task that calls cannot be awaited by itself (R4)."""
    for index, aw in enumerate(source.special()):
        if caller is not None and getattr(aw, "future", aw) is caller:
            raise ValueError(f"input {index} is the calling task, which would wait for itself")


@ki_protected
async def conduct(crew: Crew) -> None:
    """Run a call to its end: nothing of it is left, and its error, if any, is raised."""
    cancelled: BaseException | None = None
    try:
        try:
            await crew.backend.open(crew.interrupt)
            crew.start()
            while crew.live:
                await crew.watch(END)
        except GeneratorExit:
            raise
        except BaseException as error:
            cancelled = error
            crew.close()
        if not crew.closing:
            crew.close()
            cancelled = await crew.backend.close()
            if cancelled is None:
                crew.disband()
                return
        await conclude(crew, cancelled)
    except GeneratorExit:  # nothing can be awaited any more in a coroutine that is closed
        if not crew.over:
            abandon(crew)
        raise
    finally:
        del cancelled  # its traceback holds this frame: R30


async def conclude(crew: Crew, cancelled: BaseException | None = None) -> None:
    """Await the jobs of a call that is decided, and raise how it ended.

    The caller's cancellation comes first, whenever it came; a failure that was to be raised is
    then its context, and logged (R23).
    """
    failure: BaseException | None = None
    again: BaseException | None = None
    try:
        again = await crew.finish(leaving=cancelled is not None)
        if not isinstance(cancelled, EXITS):  # which no cancellation displaces (R14)
            cancelled = again or cancelled
        stopped = await crew.backend.close()
        if stopped is not None:
            cancelled = await crew.finish(leaving=True) or stopped
        crew.disband()
        if cancelled is not None:
            raise_cancelled(cancelled, crew.log_unraised())
        failure = crew.take_verdict()
        if failure is not None:
            raise failure
    finally:
        del cancelled, again, failure  # R30


def raise_cancelled(cancelled: BaseException, failure: BaseException | None) -> NoReturn:
    try:
        if failure is None:
            raise cancelled
        try:
            raise failure
        except BaseException:
            raise cancelled  # noqa: B904  # not caused by the failure: it is the context
    finally:
        del cancelled, failure  # R30


def abandon(crew: Crew) -> None:
    """Close a call with nobody to await its jobs: from `__del__`, in whatever thread (R25)."""

    def close() -> Coroutine[Any, Any, None]:
        crew.close()  # now, not when the task that awaits has its first step
        return finish()

    async def finish() -> None:
        await crew.finish(leaving=True)
        crew.disband()
        crew.log_unraised()

    crew.backend.later(close)
