"""waitkit beside its peers: what each does in the same situation, and what a job costs.

    python benchmarks/peers.py             all of it, about three minutes
    python benchmarks/peers.py behaviour   tables of what each does, from running it
    python benchmarks/peers.py cost        CPU per trivial job, to a bare Task and done-callback
    python benchmarks/peers.py memory      peak memory of 100,000 lazy inputs, 100 at a time

`nox -s peers` installs the peers, and runs it.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import ratios
from peers_adapters import COLLECTORS, STREAMS, Call, Collector, Stream, aiometer_amap
from peers_situations import show_behaviour


def trivial(count: int) -> Iterator[Call]:
    return (functools.partial(ratios.job, number) for number in range(count))


def streamed(stream: Stream, limit: int | None) -> ratios.Case:
    async def case(count: int) -> None:
        async with stream(list(trivial(count)), limit) as values:
            assert len([value async for value in values]) == count

    return case


def collected(collector: Collector, limit: int | None) -> ratios.Case:
    async def case(count: int) -> None:
        assert len(await collector(list(trivial(count)), limit)) == count

    return case


LIMITED_STREAMS = ("aiometer.amap", "aiostream map", "waitkit.as_completed_results")
LIMITED_COLLECTORS = ("quattro.gather", "aiometer.run_all", "waitkit.first_error")


def show_cost(rounds: int) -> None:
    cases: dict[str, ratios.Case] = {}
    for name, stream in STREAMS.items():
        cases[name] = streamed(stream, None)
        if name in LIMITED_STREAMS:
            cases[f"{name}, 100 at a time"] = streamed(stream, 100)
    for name, collector in COLLECTORS.items():
        cases[name] = collected(collector, None)
        if name in LIMITED_COLLECTORS:
            cases[f"{name}, 100 at a time"] = collected(collector, 100)
    ratios.show(
        "CPU per trivial job, 2,000 jobs; 1 = a Task and a done-callback",
        ratios.ratios(ratios.floor, cases, 2_000, rounds),
    )


def show_memory(_: int) -> None:
    count = 100_000
    cases: dict[str, Coroutine[Any, Any, None]] = {
        **{name: _drain(STREAMS[name], count) for name in LIMITED_STREAMS},
        **{name: _collect(COLLECTORS[name], count) for name in LIMITED_COLLECTORS},
    }
    print("\npeak memory of 100,000 lazy inputs, 100 at a time")
    for name, main in cases.items():
        gc.collect()
        tracemalloc.start()
        asyncio.run(main)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(f"  {peak / 1e6:7.2f} MB  {name}", flush=True)


async def _drain(stream: Stream, count: int) -> None:
    calls: Any = trivial(count)
    if stream is aiometer_amap:
        calls = list(calls)  # it asks for their number
    seen = 0
    async with stream(calls, 100) as values:
        async for _ in values:
            seen += 1
    assert seen == count


async def _collect(collector: Collector, count: int) -> None:
    assert len(await collector(trivial(count), 100)) == count


PARTS: dict[str, Callable[[int], None]] = {
    "behaviour": lambda _: show_behaviour(),
    "cost": show_cost,
    "memory": show_memory,
}


if __name__ == "__main__":
    others = ("anyio", "aiotools", "quattro", "aiometer", "aiostream", "trio")
    ratios.main(__doc__, PARTS, *others)
