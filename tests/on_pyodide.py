"""The tests on CPython in WebAssembly, where there are no threads, processes, sockets or signals.

`on_pyodide.mjs` calls `main` there. What runs is the part in virtual time; what else a test asks
for is a reason to skip it, and a floor under the number of tests that pass keeps that honest.
"""

from __future__ import annotations

import asyncio
import os
import platform
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, ClassVar

MODES = ("default", "eager", "trio")  # the others take as long again, and add little
FLOOR = 15_000  # tests that pass, of all shares together
EXAMPLES = 20  # of each property

LEFT_OUT = {  # whole files, by what they are about
    "test_docs.py": "packages with parts in C",
    "test_docstrings.py": "packages with parts in C",
    "test_examples.py": "processes",
    "test_guests.py": "sockets",
    "test_imports.py": "processes",
    "test_interrupts.py": "signals",
    "test_real_loops.py": "real event loops",
    "test_tour.py": "processes",
    "test_trio_interrupts.py": "signals",
    "test_trio_program.py": "sockets",
    "test_tutorial.py": "pages",
    "test_two_loops.py": "threads",
}


class _Socket:
    """An end of a socket pair, by which Trio wakes itself; in memory."""

    numbers = count(1000)
    readable: ClassVar[set[int]] = set()

    def __init__(self) -> None:
        self._number = next(self.numbers)
        self.other = self

    def fileno(self) -> int:
        return self._number

    def setblocking(self, flag: bool) -> None: ...

    def setsockopt(self, *args: object) -> None: ...

    def send(self, data: bytes) -> int:
        self.readable.add(self.other.fileno())
        return len(data)

    def recv(self, size: int) -> bytes:
        if self._number not in self.readable:
            raise BlockingIOError
        self.readable.discard(self._number)
        return b"\0"

    def close(self) -> None:
        self.readable.discard(self._number)


def _socket_pair() -> tuple[_Socket, _Socket]:
    one, other = _Socket(), _Socket()
    one.other, other.other = other, one
    return one, other


class _KEvent:
    def __init__(self, ident: Any, kind: int, flags: int = 0) -> None:
        self.ident: int = ident if isinstance(ident, int) else ident.fileno()
        self.filter = kind
        self.flags = flags


class _KQueue:
    """What Trio waits on, where nothing comes from outside: it never waits."""

    def __init__(self) -> None:
        self._watched: dict[tuple[int, int], _KEvent] = {}

    def control(
        self, changes: list[_KEvent], most: int, timeout: float | None = None
    ) -> list[_KEvent]:
        for change in changes:
            if change.flags & KQUEUE["KQ_EV_DELETE"]:
                del self._watched[change.ident, change.filter]
            else:
                self._watched[change.ident, change.filter] = change
        if most == 0:
            return []
        events = [
            event
            for event in self._watched.values()
            if event.ident in _Socket.readable and event.filter == KQUEUE["KQ_FILTER_READ"]
        ]
        for event in events:
            if event.flags & KQUEUE["KQ_EV_ONESHOT"]:
                del self._watched[event.ident, event.filter]
        return events

    def close(self) -> None: ...


KQUEUE = {
    "KQ_FILTER_READ": -1,
    "KQ_FILTER_WRITE": -2,
    "KQ_EV_ADD": 1,
    "KQ_EV_DELETE": 2,
    "KQ_EV_ONESHOT": 16,
}


def _let_trio_run() -> None:
    """Give Trio a selector; without one it cannot even be imported."""
    stand_ins: dict[str, Any] = {"kqueue": _KQueue, "kevent": _KEvent, **KQUEUE}
    for name, value in stand_ins.items():
        setattr(select, name, value)
    socket.socketpair = _socket_pair  # type: ignore[assignment]  # as much of one as is used
    signal.set_wakeup_fd = lambda fd, **_: -1  # there is no descriptor


def _skip_for_want_of(what: str) -> Callable[..., Any]:
    def skip(*args: object, **options: object) -> None:
        import pytest

        for arg in args:
            if isinstance(arg, Coroutine):
                arg.close()
        pytest.skip(f"needs {what}")

    return skip


def _refuse_what_is_missing() -> None:
    # By default it would be the loop of JavaScript, which is running already.
    asyncio.new_event_loop = asyncio.events.new_event_loop = _skip_for_want_of("a real event loop")
    asyncio.run = _skip_for_want_of("a real event loop")
    threading.Thread.start = _skip_for_want_of("a thread")  # type: ignore[method-assign]
    subprocess.Popen.__init__ = _skip_for_want_of("a process")  # type: ignore[method-assign]


class _Share:
    """A pytest plugin: one share of the tests that can run here, and how many of them passed."""

    def __init__(self, share: int, shares: int) -> None:
        self._share, self._shares = share, shares
        self.passed = self.skipped = 0

    def pytest_ignore_collect(self, collection_path: Any) -> bool | None:
        return True if collection_path.name in LEFT_OUT else None

    def pytest_configure(self) -> None:
        from hypothesis import settings

        settings.register_profile("pyodide", settings.get_profile("default"), max_examples=EXAMPLES)
        settings.load_profile("pyodide")

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        from hypothesis import given, strategies

        possible = [item for item in items if self._mode(item) in (None, *MODES)]
        chosen = possible[self._share :: self._shares]
        left = set(items) - set(chosen)
        items[:] = chosen
        config.hook.pytest_deselected(items=list(left))
        # The first looks for the owner of its random numbers, among frozen objects in vain.
        given(strategies.none())(lambda _: None)()

    def _mode(self, item: Any) -> Any:
        return item.callspec.params.get("loop_mode") if hasattr(item, "callspec") else None

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.passed += report.when == "call" and report.passed
        self.skipped += report.skipped


def main(share: int, shares: int, arguments: list[str]) -> int:
    """Run a share of the tests, and tell how it went; arguments go to pytest.

    Returns:
        The exit code of pytest, or 1 if fewer passed than have to.
    """
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = "/tmp/hypothesis"  # in memory
    _let_trio_run()
    _refuse_what_is_missing()
    asyncio._set_running_loop(None)  # that of JavaScript, which runs this function

    import pytest

    plugin = _Share(share, shares)
    options = ["-o", "addopts=", "-o", "timeout=0", "-p", "no:cacheprovider", "--tb=short"]
    options += ["--strict-markers", "--import-mode=importlib", "-m", "not real_time", "-q", "-rfE"]
    code = int(pytest.main([*options, *arguments], plugins=[plugin]))
    bits = sys.maxsize.bit_length() + 1
    where = f"Python {platform.python_version()} on {sys.platform}, {bits} bits"
    floor = 0 if arguments else FLOOR // shares
    print(
        f"{where}: {plugin.passed:,} passed, {plugin.skipped:,} skipped "
        f"(share {share + 1} of {shares}; at least {floor:,} have to pass)"
    )
    return code or int(plugin.passed < floor)
