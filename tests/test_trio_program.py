"""A guest on real sockets: a program written for Trio, client and server, on TCP of this machine.

The clock is real here too; what happens first is made by events all the same.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TypeAlias

import pytest
import trio

import waitkit
from jobs import Broken, notes

Address: TypeAlias = tuple[str, int]
Handler: TypeAlias = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture(autouse=True)
def no_remarks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test after which there is something in the log."""
    yield
    assert caplog.get_records("call") == []


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a program on Trio; nothing may be left running, and it ends in any case."""

    async def checked() -> None:
        before = trio.lowlevel.current_statistics().tasks_living
        with trio.fail_after(25):
            await main()
        assert trio.lowlevel.current_statistics().tasks_living == before

    trio.run(checked)


@asynccontextmanager
async def serving(*handlers: Handler) -> AsyncIterator[list[Address]]:
    """The addresses of as many servers; when the block ends, so do they."""
    async with trio.open_nursery() as nursery:
        addresses: list[Address] = []
        for handler in handlers:
            listeners: list[trio.SocketListener] = await nursery.start(
                partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
            )
            addresses.append(listeners[0].socket.getsockname())
        yield addresses
        nursery.cancel_scope.cancel()


@contextmanager
def refusing() -> Iterator[Address]:
    """An address where nobody listens, and which nobody else is given meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


class Client:
    """Opens connections, and keeps count of them."""

    def __init__(self) -> None:
        self.opened: list[trio.SocketStream] = []
        self.disposed: list[trio.SocketStream] = []

    async def open(self, address: Address) -> trio.SocketStream:
        stream = await trio.open_tcp_stream(*address)
        self.opened.append(stream)
        return stream

    async def close(self, stream: trio.SocketStream) -> None:
        self.disposed.append(stream)
        await stream.aclose()

    def still_open(self) -> list[trio.SocketStream]:
        return [stream for stream in self.opened if stream.socket.fileno() != -1]


async def rest_of(stream: trio.SocketStream) -> bytes:
    """What the other side sends until it closes the connection."""
    return b"".join([bytes(chunk) async for chunk in stream])


# --- races: a connection to whichever of several addresses answers


def test_trio_first_connection_wins_and_others_are_closed() -> None:
    """R18, R19, R29: one refuses, one is silent, one is late: what it opened goes to `dispose`."""

    async def main() -> None:
        client = Client()
        silent_is_asked, late_is_asked, decided = trio.Event(), trio.Event(), trio.Event()
        silent_is_left, late_is_left = trio.Event(), trio.Event()

        async def silent(stream: trio.SocketStream) -> None:
            silent_is_asked.set()
            assert await rest_of(stream) == b""
            silent_is_left.set()

        async def late(stream: trio.SocketStream) -> None:
            late_is_asked.set()
            await decided.wait()
            await stream.send_all(b"late")
            assert await rest_of(stream) == b""
            late_is_left.set()

        async def prompt(stream: trio.SocketStream) -> None:
            await silent_is_asked.wait()
            await late_is_asked.wait()
            await stream.send_all(b"prompt")
            await stream.send_all(await rest_of(stream))

        async def connect(address: Address) -> trio.SocketStream:
            stream = await client.open(address)
            _, late_one, _ = addresses
            try:
                with trio.CancelScope(shield=address == late_one):  # not to be left half-way
                    greeting = await stream.receive_some()
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            if greeting == b"prompt":
                decided.set()
            return stream

        with refusing() as nobody:
            async with serving(silent, late, prompt) as addresses:
                address, stream = await waitkit.first_success(
                    waitkit.call_each(connect, [nobody, *addresses]),
                    stagger=0.01,
                    catch=OSError,
                    dispose=client.close,
                )
                assert address == addresses[2]
                assert client.still_open() == [stream]
                assert len(client.opened) == 3
                assert len(client.disposed) == 1
                assert stream not in client.disposed
                await silent_is_left.wait()
                await late_is_left.wait()
                await stream.send_all(b"still there?")
                await stream.send_eof()
                assert await rest_of(stream) == b"still there?"
                await stream.aclose()

    run(main)


def test_trio_race_that_nobody_wins_raises_all_errors() -> None:
    """R18, R51: as a group, in the order of the addresses; a nursery's group never comes out."""

    async def main() -> None:
        client = Client()
        with refusing() as one, refusing() as other, pytest.raises(ExceptionGroup) as caught:
            await waitkit.first_success(
                waitkit.call_each(client.open, [one, other]), stagger=0.01, catch=OSError
            )
        assert all(isinstance(error, OSError) for error in caught.value.exceptions)
        told = [str(error) for error in caught.value.exceptions]
        assert all(str(port) in text for (_, port), text in zip([one, other], told, strict=True))

    run(main)


def test_trio_race_that_is_cancelled_closes_everything() -> None:
    """R22, R23, R29: by a scope around it; the winner too, which cannot be handed over any more."""

    async def main() -> None:
        client = Client()
        asked: list[trio.SocketStream] = []
        both_are_asked, decided = trio.Event(), trio.Event()

        async def greet(stream: trio.SocketStream) -> None:
            asked.append(stream)
            if len(asked) == 2:
                both_are_asked.set()
            await both_are_asked.wait()
            if stream is asked[0]:
                await decided.wait()
            await stream.send_all(b"hello")
            assert await rest_of(stream) == b""

        async def connect(address: Address) -> trio.SocketStream:
            with trio.CancelScope(shield=True):
                stream = await client.open(address)
                assert await stream.receive_some() == b"hello"
            scope.cancel()
            decided.set()
            return stream

        async with serving(greet, greet) as addresses:
            with trio.CancelScope() as scope:
                await waitkit.first_success(
                    waitkit.call_each(connect, addresses), dispose=client.close
                )
            assert scope.cancelled_caught
            assert client.still_open() == []
            assert len(client.disposed) == 2

    run(main)


# --- a crawler


class Site:
    """Pages with links, of which a server sends one for each connection."""

    def __init__(self, pages: dict[str, list[str]], *, wait_for: int) -> None:
        self._pages = pages
        self._wait_for = wait_for
        self._asked: list[str] = []
        self._enough = trio.Event()
        self._waiting = 0
        self.all_have_left = trio.Event()  # all who had asked for a page that never comes

    async def handle(self, stream: trio.SocketStream) -> None:
        page = bytes(await stream.receive_some()).decode()
        self._asked.append(page)
        if len(self._asked) == self._wait_for:
            self._enough.set()
        await self._enough.wait()
        if page == "never":
            self._waiting += 1
            assert await rest_of(stream) == b""
            self._waiting -= 1
            if not self._waiting:
                self.all_have_left.set()
        if page in self._pages:
            await stream.send_all(" ".join([page, *self._pages[page]]).encode())


class Crawler:
    def __init__(self, address: Address) -> None:
        self.client = Client()
        self._address = address
        self._at_work = 0
        self.most_at_work = 0

    async def fetch(self, page: str) -> list[str]:
        """The links of a page."""
        self._at_work += 1
        self.most_at_work = max(self.most_at_work, self._at_work)
        try:
            return await self._ask(page)
        finally:
            self._at_work -= 1

    async def _ask(self, page: str) -> list[str]:
        async with await self.client.open(self._address) as stream:
            await stream.send_all(page.encode())
            answer = (await rest_of(stream)).decode().split()
        if not answer:
            raise LookupError(page)
        return answer[1:]


def test_trio_crawler_visits_every_page_once() -> None:
    """R2, R8, R15: three at a time, links as they are found, a page that is missing is data."""
    pages = {
        "a": ["b", "d", "e", "h", "i", "j"],
        "b": ["a"],
        "c": ["missing", "d"],
        "d": ["f"],
        "e": [],
        "f": ["a", "g"],
        "g": [],
        "h": [],
        "i": [],
        "j": [],
    }

    async def main() -> None:
        site = Site(pages, wait_for=3)
        async with serving(site.handle) as (address,):
            crawler = Crawler(address)
            seen, found, missing = set("abc"), dict[str, list[str]](), list[str]()
            first = waitkit.call_each(crawler.fetch, sorted(seen), timeout=20)
            async with waitkit.as_completed_outcomes(first, max_concurrency=3) as outcomes:
                async for outcome in outcomes:
                    match outcome:
                        case waitkit.Success(links, page):
                            found[page] = links
                            new = [link for link in links if link not in seen]
                            seen.update(new)
                            outcomes.extend(waitkit.call_each(crawler.fetch, new, timeout=20))
                        case waitkit.Failure(LookupError(), page):
                            missing.append(page)
            assert found == pages
            assert missing == ["missing"]
            assert len(crawler.client.opened) == len(pages) + 1
            assert crawler.client.still_open() == []
            assert crawler.most_at_work == 3

    run(main)


@pytest.mark.parametrize("how", ["break", "raise", "cancel"])
def test_trio_crawler_that_is_left_hangs_up(how: str) -> None:
    """R22, R23, R51: however its block is left, no connection is left, and no group comes out."""

    async def main() -> None:
        site = Site({"a": []}, wait_for=3)
        async with serving(site.handle) as (address,):
            crawler = Crawler(address)
            with trio.CancelScope() as scope:
                try:
                    calls = waitkit.call_each(crawler.fetch, ["never", "never", "a"])
                    async with waitkit.as_completed_outcomes(calls, max_concurrency=3) as outcomes:
                        async for outcome in outcomes:
                            assert outcome == waitkit.Success([], "a", 2)
                            if how == "break":
                                break
                            if how == "raise":
                                raise Broken
                            scope.cancel()
                except Broken:
                    assert how == "raise"
                assert crawler.client.still_open() == []
            assert scope.cancelled_caught == (how == "cancel")
            assert crawler.client.still_open() == []
            await site.all_have_left.wait()

    run(main)


# --- reader and writer of one connection


async def keep_alive(stream: trio.SocketStream, pause: float) -> None:
    while True:
        await stream.send_all(b".")
        await trio.sleep(pause)


def test_trio_reader_that_ends_stops_the_writer() -> None:
    """R18, R22: `first_completed` says which of the two it was."""

    async def main() -> None:
        client = Client()
        left = trio.Event()

        async def talk(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            await stream.send_all(b"all there is")
            await stream.send_eof()
            assert set(await rest_of(stream)) <= set(b".")
            left.set()

        async with serving(talk) as (address,), await client.open(address) as stream:
            match await waitkit.first_completed((rest_of(stream), keep_alive(stream, 0.01))):
                case 0, received:
                    assert received == b"all there is"
                case 1, _:
                    raise AssertionError("the writer never ends by itself")
            await stream.aclose()
            await left.wait()

    run(main)


def test_trio_connection_that_is_reset_fails_bare() -> None:
    """R10, R11, R51: with the error of the reader, which notices it, and a note that says so."""

    async def main() -> None:
        client = Client()

        async def reset(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await stream.aclose()

        async with serving(reset) as (address,), await client.open(address) as stream:
            with pytest.raises(trio.BrokenResourceError) as caught:
                await waitkit.first_completed((keep_alive(stream, 3600), rest_of(stream)))
            assert notes(caught.value) == ["waitkit.first_completed: raised by input 1"]

    run(main)
