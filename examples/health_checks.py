"""Health checks of many hosts under one deadline: whoever has not answered by then is down.

``call_each`` makes a call when a slot falls free, and keys the answer by its host. One host that
fails, or never answers, takes nothing from the others: ``gather_partial`` returns what there is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

import waitkit

HOSTS = [f"host-{number}" for number in range(20)]
BROKEN = "host-7"
HANGING = "host-12"


async def check_all(session: aiohttp.ClientSession, hosts: list[str]) -> None:
    async def check(host: str) -> str:
        async with session.get(f"/{host}/health", raise_for_status=True) as response:
            return await response.text()

    health = await waitkit.gather_partial(
        waitkit.call_each(check, hosts), max_concurrency=10, timeout=1.0
    )
    print(f"{len(health.results)} of {len(hosts)} hosts are up")
    for host, error in health.errors.items():
        print(f"{host} is broken: {error}")
    for host in health.cancelled:
        print(f"{host} has not answered in time")


@asynccontextmanager
async def serve() -> AsyncIterator[str]:
    """Stand in for all the hosts on one free port, so that the example runs as it is."""

    async def answer(request: web.BaseRequest) -> web.Response:
        host = request.path.split("/")[1]
        if host == BROKEN:
            raise web.HTTPServiceUnavailable
        if host == HANGING:
            await asyncio.sleep(3600)
        return web.Response(text="fine")

    runner = web.ServerRunner(web.Server(answer, handler_cancellation=True))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def main() -> None:
    async with serve() as url, aiohttp.ClientSession(url) as session:
        await check_all(session, HOSTS)


if __name__ == "__main__":
    asyncio.run(main())
