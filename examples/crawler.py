"""A crawler: each page is added to the stream when a link to it is found.

At most five requests run at a time, each one has two seconds, and the whole crawl ten. A page that
fails is an outcome like any other. The stream ends by itself, when nothing is left to fetch.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

import waitkit

SITE = {
    "/": '<a href="/news">News</a> <a href="/team">Team</a>',
    "/news": '<a href="/">Home</a> <a href="/news/1">One</a> <a href="/news/2">Two</a>',
    "/news/1": '<a href="/news/2">Next</a>',
    "/news/2": '<a href="/news/3">Next</a>',  # which is not there
    "/team": '<a href="/">Home</a>',
}


async def fetch(session: aiohttp.ClientSession, path: str) -> str:
    async with asyncio.timeout(2), session.get(path, raise_for_status=True) as response:
        return await response.text()


async def crawl(session: aiohttp.ClientSession, start: str) -> None:
    seen = {start}
    async with waitkit.as_completed_outcomes(
        {start: fetch(session, start)}, max_concurrency=5, timeout=10
    ) as pages:
        async for page in pages:
            match page:
                case waitkit.Success(text, path):
                    print(f"{path}: {len(text)} characters")
                    for link in re.findall(r'href="(.*?)"', text):
                        if link not in seen:
                            seen.add(link)
                            pages.add(fetch(session, link), key=link)
                case waitkit.Failure(aiohttp.ClientResponseError(status=status), path):
                    print(f"{path}: status {status}")
                case waitkit.Failure(error, path):
                    print(f"{path}: {error!r}")
                case waitkit.Cancelled(path):
                    print(f"{path}: no time left")


@asynccontextmanager
async def serve() -> AsyncIterator[str]:
    """Serve the site on a free port, so that the example runs as it is."""

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path not in SITE:
            raise web.HTTPNotFound
        return web.Response(text=SITE[request.path], content_type="text/html")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def main() -> None:
    async with serve() as url, aiohttp.ClientSession(url) as session:
        await crawl(session, "/")


if __name__ == "__main__":
    asyncio.run(main())
