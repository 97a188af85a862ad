"""A guest on real sockets: a Starlette app whose endpoints use the helpers, served by hypercorn.

Loops, clocks and sockets are real here; what happens first is made by events all the same. Another
guest, a program written for Trio, is in test_trio_program.py.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeAlias, cast

import anyio
import anyio.abc
import hypercorn.asyncio
import hypercorn.trio
import pytest
import sniffio
import trio
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import waitkit
from jobs import Broken, Gauge, clean_up, fail, never, notes, value

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
on_every_loop = pytest.mark.parametrize("loop", LOOPS)


@pytest.fixture(autouse=True)
def no_remarks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test after which there is something in the log: waitkit's, the server's, asyncio's."""
    yield
    assert caplog.get_records("call") == []


def run(loop: str, main: Callable[[], Awaitable[None]]) -> None:
    """Run a program on a real event loop; nothing may be left running, and it ends in any case."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")

    def living() -> int:
        if sniffio.current_async_library() == "trio":
            return trio.lowlevel.current_statistics().tasks_living
        return len(asyncio.all_tasks())

    async def checked() -> None:
        before = living()
        with anyio.fail_after(25):
            await main()
        assert living() == before

    backend, options = LOOPS[loop]
    anyio.run(checked, backend=backend, backend_options=options)


# --- a Starlette app, served by hypercorn


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    """The port of this machine at which hypercorn serves the app, on the loop that runs."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    serve = (
        hypercorn.trio.serve
        if sniffio.current_async_library() == "trio"
        else hypercorn.asyncio.serve
    )
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(partial(serve, app, config, shutdown_trigger=stop.wait))
        try:
            yield port
        finally:
            stop.set()


@asynccontextmanager
async def asked(port: int, path: str) -> AsyncIterator[anyio.abc.SocketStream]:
    """A connection to the server, with the request already sent."""
    async with await anyio.connect_tcp("127.0.0.1", port) as client:
        await client.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        yield client


async def get(port: int, path: str) -> tuple[int, Any]:
    """The status, and what the JSON in the body says."""
    async with asked(port, path) as client:
        answer = b"".join([chunk async for chunk in client])
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def site(endpoint: Callable[[Request], Awaitable[Response]], **options: Any) -> Starlette:
    return Starlette(routes=[Route("/{name}", endpoint)], **options)


@on_every_loop
def test_web_requests_fan_out_side_by_side(loop: str) -> None:
    """R1, R5: each of several requests at once gets its own parts, made with its own variables."""
    user: ContextVar[str] = ContextVar("user")
    names = [f"user-{number}" for number in range(8)]

    async def main() -> None:
        all_at_work = anyio.Event()
        at_work: list[str] = []

        async def part(name: str) -> str:
            at_work.append(name)
            if len(at_work) == 2 * len(names):
                all_at_work.set()
            await all_at_work.wait()
            return f"{name} of {user.get()}"

        async def endpoint(request: Request) -> Response:
            user.set(request.path_params["name"])
            parts = await waitkit.first_error({"cart": part("cart"), "news": part("news")})
            return JSONResponse(parts)

        async with served(site(endpoint)) as port:
            calls = waitkit.call_each(lambda name: get(port, f"/{name}"), names)
            assert await waitkit.first_error(calls) == {
                name: (200, {"cart": f"cart of {name}", "news": f"news of {name}"})
                for name in names
            }

    run(loop, main)


@on_every_loop
def test_web_failure_gets_its_error_page(loop: str) -> None:
    """R10, R11, R51: it is bare, so the handler of its class answers, when no job runs any more."""
    gauge = Gauge()

    async def endpoint(request: Request) -> Response:
        busy = [gauge.job("a"), gauge.job("b")]
        return JSONResponse(await waitkit.first_error([*busy, fail(Broken("down"), 0)]))

    async def page(request: Request, error: Exception) -> Response:
        answer = {"error": str(error), "notes": notes(error), "running": gauge.running}
        return JSONResponse(answer, status_code=502)

    async def main() -> None:
        async with served(site(endpoint, exception_handlers={Broken: page})) as port:
            note = "waitkit.first_error: raised by input 2"
            told = {"error": "down", "notes": [note], "running": 0}
            assert await get(port, "/page") == (502, told)
        assert sorted(gauge.ended) == sorted(gauge.started)

    run(loop, main)


@on_every_loop
def test_web_answer_is_partial_at_its_deadline(loop: str) -> None:
    """R16, R17, R20: what there is by then, what failed, and what was cut off."""
    gauge = Gauge()

    async def endpoint(request: Request) -> Response:
        parts = {"ads": fail(Broken("down")), "news": gauge.job("news"), "cart": value(3)}
        answer = await waitkit.gather_partial(parts, timeout=0.5)
        errors = {name: str(error) for name, error in answer.errors.items()}
        return JSONResponse([answer.results, errors, answer.cancelled, gauge.running])

    async def main() -> None:
        async with served(site(endpoint)) as port:
            assert await get(port, "/page") == (200, [{"cart": 3}, {"ads": "down"}, ["news"], 0])

    run(loop, main)


@on_every_loop
def test_web_hedged_request_takes_the_replica_that_answers(loop: str) -> None:
    """R18, R19: one is silent, one is broken; the answer is there when both have ended."""
    gauge = Gauge()

    async def ask(replica: str) -> str:
        if replica == "broken":
            raise ConnectionError
        return await gauge.job(replica, None if replica == "silent" else 0)

    async def endpoint(request: Request) -> Response:
        replicas = waitkit.call_each(ask, ["silent", "broken", "alive"])
        winner = await waitkit.first_success(replicas, stagger=0.01, catch=OSError)
        return JSONResponse([winner, gauge.cancelled])

    async def main() -> None:
        async with served(site(endpoint)) as port:
            assert await get(port, "/page") == (200, [["alive", "alive"], ["silent"]])

    run(loop, main)


class ClosingResponse(StreamingResponse):
    """One that closes its generator in the task that has run it, wherever it is cancelled."""

    async def stream_response(self, send: Send) -> None:
        async with aclosing(cast("Any", self.body_iterator)):
            await super().stream_response(send)


@on_every_loop
@pytest.mark.parametrize("moment", ["between two items", "while it sends one"])
def test_web_stream_ends_with_its_client(loop: str, moment: str) -> None:
    """R22, R23: the jobs of a client that goes away are cancelled, and seen through to their end.

    Starlette cancels a scope around the response, which on each loop cancels again and again.
    """
    gauge = Gauge()
    cleaned_up: list[int] = []
    left_behind: list[int] = []

    async def main() -> None:
        sent, left = anyio.Event(), anyio.Event()

        async def query(number: int) -> int:
            if number < 4:
                return number
            try:
                return await gauge.job(number)
            finally:
                await clean_up(0.01)
                cleaned_up.append(number)

        async def body() -> AsyncIterator[str]:
            try:
                queries = waitkit.call_each(query, itertools.count())
                async with waitkit.as_completed_outcomes(queries, max_concurrency=3) as outcomes:
                    async for outcome in outcomes:
                        yield f"{outcome.unwrap()}\n"
            finally:
                left_behind.extend(set(gauge.started) - set(cleaned_up))
                left.set()

        async def endpoint(request: Request) -> Response:
            kind = StreamingResponse if moment == "between two items" else ClosingResponse
            return kind(body())

        async def app(scope: Any, receive: Any, send: Send) -> None:
            count = 0

            async def counted_send(message: Message) -> None:
                nonlocal count
                await send(message)
                count += 1
                if count == 5:  # the head and four items: the generator waits for more
                    sent.set()
                if count == 4 and moment == "while it sends one":
                    sent.set()
                    await never()

            await site(endpoint)(scope, receive, counted_send)

        async with served(app) as port:
            async with asked(port, "/stream") as client:
                await sent.wait()
                assert b"200" in await client.receive()
            await left.wait()

    run(loop, main)
    assert sorted(gauge.started) == sorted(gauge.cancelled) == sorted(cleaned_up)
    assert left_behind == []


@on_every_loop
@pytest.mark.parametrize("goes_away", [True, False])
def test_web_client_races_against_the_answer(loop: str, goes_away: bool) -> None:
    """R18, R22: the answer, or the client that leaves: whichever is first cancels the other."""
    gauge = Gauge()

    async def main() -> None:
        busy, left = anyio.Event(), anyio.Event()

        async def report() -> str:
            busy.set()
            return await gauge.job("report", None if goes_away else 0)

        async def gone(request: Request) -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass

        async def endpoint(request: Request) -> Response:
            match await waitkit.first_completed((report(), gone(request))):
                case 0, answer:
                    return JSONResponse(answer)
                case 1, _:
                    left.set()
            return JSONResponse(None, status_code=499)

        async with served(site(endpoint)) as port:
            if goes_away:
                async with asked(port, "/report"):
                    await busy.wait()
                await left.wait()
            else:
                assert await get(port, "/report") == (200, "report")

    run(loop, main)
    assert gauge.cancelled == (["report"] if goes_away else [])
    assert gauge.running == 0
