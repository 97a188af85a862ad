"""A graceful shutdown: on SIGTERM, requests under way get a second to finish.

Those that are not done by then are cancelled and awaited, for two seconds at most: a request that
refuses to end cannot hang the shutdown, and is reported.
"""

import asyncio
import os
import signal

import waitkit

requests: set[asyncio.Task[None]] = set()


def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = asyncio.create_task(answer(reader, writer))
    requests.add(request)
    request.add_done_callback(requests.discard)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take as many seconds as the client asks for."""
    seconds = float(await reader.readline())
    try:
        await asyncio.sleep(seconds)
        writer.write(b"done\n")
    except asyncio.CancelledError:
        writer.write(b"shutting down, try again later\n")
        raise
    finally:
        writer.close()
        await writer.wait_closed()


async def ask(port: int, seconds: float) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{seconds}\n".encode())
    reply = (await reader.read()).decode().strip()
    writer.close()
    await writer.wait_closed()
    return reply


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # Two clients, and somebody who stops the server while it answers them.
    quick = asyncio.create_task(ask(port, 0.5))
    slow = asyncio.create_task(ask(port, 3600))
    asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGTERM)

    await stop.wait()
    print(f"shutting down with {len(requests)} requests under way")
    server.close()
    stuck = await waitkit.cancel_and_wait(requests, grace=1.0, timeout=2.0)
    await server.wait_closed()
    print(f"quick request: {await quick}")
    print(f"slow request: {await slow}")
    print(f"{len(stuck)} requests are stuck")


if __name__ == "__main__":
    asyncio.run(main())
