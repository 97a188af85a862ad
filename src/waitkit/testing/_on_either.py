"""What drawn jobs, callers and consumers need of the loop that runs: asyncio's or Trio's.

Neither needs anyio. Where a program has imported it, its cancel scopes cancel again and again on
asyncio too, and a cleanup that means to await has to be shielded from them, as on Trio.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .._backends import current_backend


def on_trio() -> bool:
    return current_backend().in_block


def cancelled_error() -> type[BaseException]:
    """What a cancellation is."""
    return current_backend().CancelledError


async def wait(seconds: float, ticks: int) -> None:
    """Let so many seconds pass, and then so many turns of the loop; of neither: do not give way."""
    if on_trio():
        import trio

        if seconds:
            await trio.sleep(seconds)
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        return
    if seconds:
        await asyncio.sleep(seconds)
    for _ in range(ticks):
        await asyncio.sleep(0)


def shield() -> AbstractContextManager[Any]:
    """A block that cancel scopes do not reach; `Task.cancel` does."""
    if on_trio():
        import trio

        return trio.CancelScope(shield=True)
    anyio = sys.modules.get("anyio")
    return nullcontext() if anyio is None else anyio.CancelScope(shield=True)
