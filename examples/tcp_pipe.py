"""A TCP connection whose reader and writer end each other: whichever ends first ends both.

The other one is cancelled, and has ended, before the connection is closed. The first to end also
decides how: if it ends with an error, that error is raised. Inputs given as a tuple are told apart
by position, which type checkers follow: ``0`` comes with what ``listen`` returns, ``1`` with what
``speak`` returns.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import waitkit


async def listen(reader: asyncio.StreamReader) -> str:
    """Read until the other side hangs up; return its last line."""
    last = ""
    async for line in reader:
        last = line.decode().strip()
        print(f"  they: {last}")
    return last


async def speak(writer: asyncio.StreamWriter, words: asyncio.Queue[str]) -> int:
    """Send what comes from the queue, up to "enough"; return how many lines that were."""
    lines = 0
    while (word := await words.get()) != "enough":
        print(f"  we: {word}")
        writer.write(f"{word}\n".encode())
        await writer.drain()
        lines += 1
    return lines


async def talk(port: int, words: asyncio.Queue[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        match await waitkit.first_completed((listen(reader), speak(writer, words))):
            case (0, last):
                print(f"they hung up after {last!r}")
            case (1, lines):
                print(f"we hung up after {lines} lines")
    finally:
        writer.close()
        await writer.wait_closed()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Repeat everything, and hang up after "bye"."""
    with suppress(ConnectionError):
        async for line in reader:
            writer.write(line.upper())
            if line == b"bye\n":
                break
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def serve() -> AsyncIterator[int]:
    """Run the other side on a free port, so that the example runs as it is."""
    handlers: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.create_task(answer(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await waitkit.cancel_and_wait(handlers, grace=1)
        await server.wait_closed()


async def main() -> None:
    async with serve() as port:
        for conversation in ("hello", "bye"), ("hello", "anyone?", "enough"):
            words: asyncio.Queue[str] = asyncio.Queue()
            for word in conversation:
                words.put_nowait(word)
            await talk(port, words)


if __name__ == "__main__":
    asyncio.run(main())
