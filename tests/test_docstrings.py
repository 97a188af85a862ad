"""Every example of a docstring runs, with stand-ins for the names that it takes for granted."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from sybil import Example

import virtual_time
import waitkit
import waitkit.testing
from documents import MODULES, ROOT, page_id, start
from waitkit.testing import strategies

SOURCES = sorted((ROOT / "src" / "waitkit").rglob("*.py"))
WITH_EXAMPLES = [source for source in SOURCES if list(MODULES.parse(source))]
TESTING = ROOT / "src" / "waitkit" / "testing"


async def fetch(url: str) -> str:
    await asyncio.sleep(0.1)
    return f"page {url}"


async def ping(host: str) -> float:
    await asyncio.sleep(0.1)
    return 0.1


async def work() -> None:
    await asyncio.sleep(3600)


class Connection:
    async def close(self) -> None:
        await asyncio.sleep(0.1)


async def connect() -> Connection:
    await asyncio.sleep(0.1)
    return Connection()


def names_of_readers() -> dict[str, Any]:
    """What an example may use without a word: its imports, and functions that need no telling."""
    return {
        **{name: getattr(waitkit.testing, name) for name in waitkit.testing.__all__},
        "waitkit": waitkit,
        "asyncio": asyncio,
        "pytest": pytest,
        "suppress": contextlib.suppress,
        "calls": waitkit.call_each(fetch, ["a", "b"]),
        "connect": connect,
        "fetch": fetch,
        "fetch_user": fetch,
        "fetch_orders": fetch,
        "hosts": ["db", "cache"],
        "links": ["b", "c"],
        "mirrors": ["a", "b"],
        "new_links": lambda page: ["b"] if page == "page a" else [],
        "ping": ping,
        "ping_db": work,
        "ping_cache": lambda: ping("cache"),
        "read": work,
        "ready": False,
        "start": "a",
        "urls": ["a", "b"],
        "write": lambda: asyncio.sleep(1, "sent"),
    }


def names_of_strategies(source: Path) -> dict[str, Any]:
    """What goes with waitkit.testing.strategies; its functions only where they are written of."""
    names = {name: getattr(strategies, name) for name in strategies.__all__}
    if source.name != "strategies.py":
        names["jobs"] = map(fetch, ["a", "b"])
    return {
        **names,
        "PAGES": {"a": "page a", "b": "page b"},
        "given": hypothesis.given,
        "schedule": strategies.Schedule(jobs=(strategies.Job(),)),
    }


def names_in_a_loop() -> dict[str, Any]:
    """Those that have to be made where they are used."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    queue.put_nowait("news")
    return {
        "pages": waitkit.as_completed_results({}),
        "queue": queue,
        "stopped": asyncio.get_running_loop().create_future(),
        "workers": [asyncio.create_task(work())],
    }


@pytest.mark.parametrize("source", [s for s in WITH_EXAMPLES if s.parent != TESTING], ids=page_id)
def test_examples_of_docstrings_run(source: Path) -> None:
    """Each example runs to its end, and leaves nothing behind."""
    for example in MODULES.parse(source).examples():
        virtual_time.run(run_in_a_loop, example)


async def run_in_a_loop(example: Example) -> None:
    example.namespace.clear()
    example.namespace.update(names_of_readers(), **names_in_a_loop())
    workers = example.namespace["workers"]
    running = start(example)
    if running is not None:
        await running
    await waitkit.cancel_and_wait(workers)


@pytest.mark.parametrize("source", [s for s in WITH_EXAMPLES if s.parent == TESTING], ids=page_id)
def test_examples_of_docstrings_of_testing_run(source: Path) -> None:
    """The same for waitkit.testing: outside of a loop, but for those that await."""
    for example in MODULES.parse(source).examples():
        example.namespace.clear()
        example.namespace.update(names_of_readers(), **names_of_strategies(source))
        running = start(example)
        if running is not None:
            virtual_time.run(lambda running=running: running)
