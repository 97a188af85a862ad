"""Hedged requests: ask one mirror, and the next as well if it is slow or fails; the first wins.

A mirror gets a head start of half a second before the next is asked, so a slow one costs little,
and there is no second request while all is well. The losers are cancelled, and have ended, before
the winner's answer is returned. If every mirror fails, an ``ExceptionGroup`` tells how each did.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

import waitkit


async def fetch(session: aiohttp.ClientSession, mirror: str) -> str:
    print(f"asking {mirror}")
    try:
        async with session.get(f"/{mirror}", raise_for_status=True) as response:
            return await response.text()
    except asyncio.CancelledError:
        print(f"{mirror} is not needed any more")
        raise


async def download(session: aiohttp.ClientSession, mirrors: list[str]) -> None:
    mirror, text = await waitkit.first_success(
        {mirror: fetch(session, mirror) for mirror in mirrors}, stagger=0.5, timeout=5.0
    )
    print(f"{mirror} answered: {text}")


@asynccontextmanager
async def serve() -> AsyncIterator[str]:
    """Stand in for all the mirrors on one free port, so that the example runs as it is."""

    async def answer(request: web.BaseRequest) -> web.Response:
        match request.path:
            case "/slow":
                await asyncio.sleep(3600)
            case "/broken":
                raise web.HTTPServiceUnavailable
        return web.Response(text="here you are")

    runner = web.ServerRunner(web.Server(answer, handler_cancellation=True))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def main() -> None:
    async with serve() as url, aiohttp.ClientSession(url) as session:
        await download(session, ["slow", "broken", "good", "spare"])


if __name__ == "__main__":
    asyncio.run(main())
