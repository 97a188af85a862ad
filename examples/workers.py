"""Workers that live and die together: when one fails, the others are stopped, and none is left.

A reader takes orders from a connection, and two workers take them from the reader. They run until
the first of them fails: the others are cancelled at once, their ``finally`` blocks run, and the
error is raised as it is, with a note that says whose it was.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

import waitkit


async def read(port: int, orders: asyncio.Queue[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async for line in reader:
            orders.put_nowait(line.decode().strip())
    finally:
        print("reader: closes the connection")
        writer.close()
        await writer.wait_closed()


async def work(name: str, orders: asyncio.Queue[str]) -> NoReturn:
    try:
        while True:
            order = await orders.get()
            print(f"{name}: bakes {int(order)} loaves")
    finally:
        print(f"{name}: cleans up")


async def run_bakery(port: int) -> None:
    orders: asyncio.Queue[str] = asyncio.Queue()
    await waitkit.first_error(
        {
            "reader": read(port, orders),
            "Ann": work("Ann", orders),
            "Bob": work("Bob", orders),
        }
    )


async def order_bread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Order bread until the bakery hangs up; the third order makes no sense."""
    for order in ("12", "3", "a few"):
        writer.write(f"{order}\n".encode())
        await asyncio.sleep(0.05)
    await reader.read()
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def serve() -> AsyncIterator[int]:
    """Run the other side on a free port, so that the example runs as it is."""
    handlers: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.create_task(order_bread(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await waitkit.cancel_and_wait(handlers, grace=1)
        await server.wait_closed()


async def main() -> None:
    async with serve() as port:
        try:
            await run_bakery(port)
        except ValueError as error:
            print(f"the bakery is closed: {error}")
            print(*error.__notes__)


if __name__ == "__main__":
    asyncio.run(main())
