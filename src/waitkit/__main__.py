"""The tour, ``python -m waitkit``: three calls under each helper, then a crawl of a small site.

It needs nothing but waitkit and the standard library, and no network beyond loopback. The first
half plays the three API calls of the asyncio tutorials; the second half serves a web site to
itself and crawls it, and is what a program that uses waitkit looks like.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import zip_longest
from types import FrameType
from typing import Any, Final, NamedTuple, Self, TypeAlias

import waitkit

ABOUT: Final = """\
Run three API calls under each helper of waitkit, three times: as they are, with one that
raises, and with a deadline. Print what came when, and what was cancelled. Then crawl a small
web site that the tour serves itself, on loopback. It all takes about five seconds."""

INTRODUCTION: Final = """\
waitkit: three API calls under each helper

Call 1 takes 0.1 s and returns 100, call 2 takes 0.2 s and returns 200, call 3
takes 0.3 s and returns 300. They are passed in the order 1, 3, 2. A bar shows
how long each one ran; below the bars is what the helper gave, and when.
"""

CRAWL_INTRODUCTION: Final = """\
A crawl: links are added as they are found, at most {limit} requests run at a
time, and after {deadline:g} s what still runs is cancelled
"""


def say(text: str = "") -> None:
    print(text, flush=True)  # at once in a pipe, too; and Ctrl-C may skip the flush at exit


# --- bars on a timeline


class Bar:
    """From when to when something ran, in seconds on a timeline, and how it ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begin: float = 0
        self.end: float = 0
        self.ending = "not started"


class Timeline:
    """A clock that starts now, and the scale on which bars are drawn."""

    def __init__(self, seconds: float, cells: int) -> None:
        self._clock = asyncio.get_running_loop().time
        self._start = self._clock()
        self._cells = cells
        self._cells_per_second = cells / seconds
        self._running, self._idle = _glyphs()

    def now(self) -> float:
        return self._clock() - self._start

    @contextmanager
    def record(self, bar: Bar) -> Iterator[None]:
        """Note when the block begins, when it ends, and what it raises."""
        bar.begin = self.now()
        try:
            yield
        except asyncio.CancelledError:
            bar.ending = "cancelled"
            raise
        except Exception as error:
            bar.ending = type(error).__name__
            raise
        finally:
            bar.end = self.now()

    def draw(self, bar: Bar) -> str:
        begin = min(round(bar.begin * self._cells_per_second), self._cells - 1)
        end = min(round(bar.end * self._cells_per_second), self._cells)
        return (self._idle * begin + self._running * (end - begin)).ljust(self._cells, self._idle)


def _glyphs() -> tuple[str, str]:
    """What running and not running look like; ASCII where stdout can encode nothing else."""
    try:
        "█░".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return "#", "."
    return "█", "░"


# --- three calls under each helper


class APIError(Exception):
    """What a call raises."""


async def call_api(result: int = 100, delay: float = 3, raise_exception: bool = False) -> int:
    """The tutorial's call, but for the message it prints, which here is a bar."""
    await asyncio.sleep(delay)
    if raise_exception:
        raise APIError
    return result


Calls: TypeAlias = list[Coroutine[Any, Any, int]]
Came: TypeAlias = Callable[[object], None]  # is told what came, at the moment when it comes
Helper: TypeAlias = Callable[..., Any]


async def iterate(helper: Helper, calls: Calls, timeout: float | None, came: Came) -> None:
    async with helper(calls, timeout=timeout) as stream:
        async for item in stream:
            came(item)


async def collect(helper: Helper, calls: Calls, timeout: float | None, came: Came) -> None:
    came(await helper(calls, timeout=timeout))


async def stop(helper: Helper, calls: Calls, timeout: float | None, came: Came) -> None:
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        still_running = await helper(tasks, grace=1 if timeout is None else timeout)
        came(f"still running: {len(still_running)}")
    finally:
        for task in tasks:
            if not task.cancelled():
                task.exception()  # seen: what fails in the time of grace is its owner's to handle


class Demo(NamedTuple):
    """How a helper is shown."""

    helper: Helper
    use: Callable[[Helper, Calls, float | None, Came], Coroutine[Any, Any, None]]
    claim: str
    failing: int = 2  # the call that raises, the second time
    timeout: float = 0.25  # the deadline, the third time
    option: str = "timeout"


DEMOS: Final = (
    Demo(waitkit.as_completed_results, iterate, "results as they come; a failure ends it"),
    Demo(waitkit.as_completed_outcomes, iterate, "as they come; failures are data"),
    Demo(waitkit.in_order_results, iterate, "results in input order; a failure ends it"),
    Demo(waitkit.in_order_outcomes, iterate, "in input order; failures are data"),
    Demo(waitkit.first_error, collect, "all results at once, or the first error"),
    Demo(waitkit.gather_partial, collect, "all at once; failures are data"),
    # A race is over before call 2 would fail, so there the fastest call does.
    Demo(waitkit.first_completed, collect, "the first that ends decides", 1, 0.05),
    Demo(waitkit.first_success, collect, "the first that succeeds wins", 1, 0.05),
    Demo(waitkit.cancel_and_wait, stop, "stop tasks, after a time of grace", option="grace"),
)


async def show(demo: Demo) -> None:
    """Play a demo three times, all at the same time, and print the three side by side."""
    say(f"{demo.helper.__name__}: {demo.claim}\n")
    panels = await waitkit.first_error(
        [
            play(demo, "all succeed"),
            play(demo, f"call {demo.failing} raises", failing=demo.failing),
            play(demo, f"{demo.option}={demo.timeout}", timeout=demo.timeout),
        ]
    )
    for cells in zip_longest(*panels, fillvalue=""):
        say("  " + "  ".join(f"{cell:24}" for cell in cells).rstrip())
    say()


async def play(
    demo: Demo, title: str, *, failing: int = 0, timeout: float | None = None
) -> list[str]:
    """Run the three calls under a helper; give back the lines to print."""
    timeline = Timeline(seconds=0.3, cells=12)
    bars = [Bar("1"), Bar("3"), Bar("2")]  # an order that tells input order from completion order
    gave: list[str] = []

    async def call(bar: Bar) -> int:
        number = int(bar.name)
        with timeline.record(bar):
            result = await call_api(100 * number, number / 10, number == failing)
            bar.ending = str(result)
            return result

    def came(what: object) -> None:
        first, *rest = describe(what)
        gave.append(f"{timeline.now():.2f}  {first}")
        gave.extend(f"      {line}" for line in rest)

    try:
        await demo.use(demo.helper, [call(bar) for bar in bars], timeout, came)
    except (APIError, waitkit.DeadlineError) as error:
        came(error)
    return [title, *(f"{bar.name} {timeline.draw(bar)} {bar.ending}" for bar in bars), *gave]


def describe(what: object) -> list[str]:
    match what:
        case waitkit.Success(value):
            return [f"Success({value})"]
        case waitkit.Failure(error):
            return [f"Failure({type(error).__name__})"]
        case waitkit.Cancelled():
            return ["Cancelled"]
        case waitkit.Partial(results, errors, cancelled):
            return [
                str(list(results.values())),
                *(f"error: {type(error).__name__}" for error in errors.values()),
                *(f"cancelled: input {index}" for index in cancelled),
            ]
        case Exception():
            return [f"raises {type(what).__name__}"]
    return [str(what)]


# --- a crawl


class Page(NamedTuple):
    """A page of the site: how many seconds it takes, and where it links to."""

    delay: float
    links: tuple[str, ...] = ()
    status: str = "200 OK"


PAGES: Final = {
    "/": Page(0.10, ("/docs", "/live", "/shop", "/about")),
    "/docs": Page(0.15, ("/docs/install", "/docs/api", "/")),
    "/docs/install": Page(0.10, ("/docs",)),
    "/docs/api": Page(0.20, ("/docs", "/docs/api/v1")),
    "/docs/api/v1": Page(0.10),
    "/live": Page(3600),
    "/shop": Page(0.10, status="500 Server Error"),
    "/about": Page(0.15, ("/", "/about/jobs")),
    "/about/jobs": Page(0.05),
}


class Site:
    """A web server of `PAGES`, on a free port of loopback, for as long as its block runs."""

    def __init__(self) -> None:
        self.requests: int = 0  # under way now
        self.most_requests: int = 0
        self._handlers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await waitkit.cancel_and_wait(self._handlers, grace=1)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.create_task(self._handle(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with closing(writer):
            with suppress(ConnectionError, asyncio.IncompleteReadError):  # the client has left
                request = await reader.readuntil(b"\r\n\r\n")
                page = PAGES[request.decode().split()[1]]
                self.requests += 1
                self.most_requests = max(self.most_requests, self.requests)
                try:  # to be done when the page is ready, or when the client leaves
                    await waitkit.first_completed((asyncio.sleep(page.delay), reader.read()))
                finally:
                    self.requests -= 1
                body = "".join(f'<a href="{link}">{link}</a>\n' for link in page.links)
                writer.write(f"HTTP/1.0 {page.status}\r\n\r\n{body}".encode())
                await writer.drain()


@asynccontextmanager
async def closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with suppress(ConnectionError):  # the other end may have been faster
            await writer.wait_closed()


class HTTPError(Exception):
    """The server answered, but not with a page."""


async def fetch(port: int, path: str) -> list[str]:
    """Get a page; give back what it links to."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with closing(writer):
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    status = head.removeprefix("HTTP/1.0 ")
    if status != "200 OK":
        raise HTTPError(status)
    return re.findall('href="(.*?)"', body)


async def crawl(site: Site, *, limit: int, deadline: float) -> None:
    """Visit every page that links lead to, and print a line for each when it has ended."""
    timeline = Timeline(seconds=deadline, cells=30)
    bars = {"/": Bar("/")}  # of every page found so far

    async def visit(path: str) -> list[str]:
        with timeline.record(bars[path]):
            return await fetch(site.port, path)

    async with waitkit.as_completed_outcomes(
        {"/": visit("/")}, max_concurrency=limit, timeout=deadline
    ) as pages:
        async for page in pages:
            match page:
                case waitkit.Success(links):
                    new = [link for link in links if link not in bars]
                    for link in new:
                        bars[link] = Bar(link)
                        pages.add(visit(link), key=link)
                    ending = f"new links: {len(new)} of {len(links)}"
                case waitkit.Failure(error):
                    ending = f"failed: {error}"
                case waitkit.Cancelled():
                    ending = "cancelled at the deadline"
            bar = bars[page.key]
            say(f"  {bar.name:13} {timeline.draw(bar)} {timeline.now():.2f} s  {ending}")
    say(f"\n{len(bars)} pages; the server had at most {site.most_requests} requests at a time")


# --- the program


class CtrlC:
    """What Ctrl-C does: it cancels the tour, which cleans up; a second one leaves at once."""

    def __init__(self) -> None:
        self.pressed: bool = False
        self.task: asyncio.Task[None] | None = None  # what there is to cancel

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        if self.task is None or self.pressed:
            os._exit(130)  # KeyboardInterrupt would print a traceback, wherever it strikes
        self.pressed = True
        self.task.get_loop().call_soon_threadsafe(self.task.cancel)


async def tour(ctrl_c: CtrlC) -> None:
    ctrl_c.task = asyncio.current_task()
    logging.getLogger("waitkit").addHandler(logging.NullHandler())  # failures are the show here
    try:
        say(INTRODUCTION)
        for demo in DEMOS:
            await show(demo)
        limit, deadline = 3, 2.0
        say(CRAWL_INTRODUCTION.format(limit=limit, deadline=deadline))
        async with Site() as site:
            await crawl(site, limit=limit, deadline=deadline)
    finally:
        ctrl_c.task = None


def main() -> int:
    ctrl_c = CtrlC()
    signal.signal(signal.SIGINT, ctrl_c)  # asyncio.run leaves it alone, as it is not the default
    import argparse  # slow, and only safe now: a Ctrl-C above this line is a traceback

    try:
        argparse.ArgumentParser("python -m waitkit", description=ABOUT).parse_args()
        asyncio.run(tour(ctrl_c))
    except asyncio.CancelledError:
        if not ctrl_c.pressed:
            raise
    except BrokenPipeError:  # `python -m waitkit | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 128 + 13  # as if SIGPIPE had ended it
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left that could be stopped
    return 130 if ctrl_c.pressed else 0


if __name__ == "__main__":
    sys.exit(main())
