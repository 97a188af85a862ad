"""A select: which of several connections has something to say, without taking it from the others.

Each connection has one read under way, a task that outlives the wait for it. ``borrowed`` marks
the tasks as not the helper's own: those that are not ready, and all of them when the wait times
out, run on undisturbed, and no line is lost. A plain task would be cancelled with the rest.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import waitkit


async def select(readers: dict[str, asyncio.StreamReader]) -> None:
    """Print what comes from any of them until all have hung up."""
    reads = {name: asyncio.create_task(reader.readline()) for name, reader in readers.items()}
    try:
        while reads:
            ready = {name: waitkit.borrowed(read) for name, read in reads.items()}
            try:
                name, line = await waitkit.first_completed(ready, timeout=0.2)
            except waitkit.DeadlineError:
                print("nothing new")
                continue
            if line:
                print(f"{name}: {line.decode().strip()}")
                reads[name] = asyncio.create_task(readers[name].readline())
            else:
                print(f"{name} has hung up")
                del reads[name]
    finally:
        await waitkit.cancel_and_wait(reads.values())  # they are ours: nobody else stops them


async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say something, think about it, say something else."""
    name, pause = (await reader.readline()).decode().split()
    writer.write(f"I am {name}\n".encode())
    await asyncio.sleep(float(pause))
    writer.write(b"that is all\n")
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def serve() -> AsyncIterator[int]:
    """Run the other side on a free port, so that the example runs as it is."""
    handlers: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.create_task(speak(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await waitkit.cancel_and_wait(handlers, grace=1)
        await server.wait_closed()


async def main() -> None:
    async with serve() as port:
        readers = {}
        writers = []
        for name, pause in (("quick", 0.05), ("slow", 0.6)):
            readers[name], writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{name} {pause}\n".encode())
            writers.append(writer)
        await select(readers)
        for writer in writers:
            writer.close()
            await writer.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
