"""What a job costs under each helper on Trio, as ratios to a bare nursery with the same jobs.

    python benchmarks/on_trio.py

Measured as `ratios.py` measures.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import trio
from ratios import STREAMS, Case, consume, ratios, show

import waitkit


async def job(number: int) -> int:
    await trio.lowlevel.checkpoint()
    return number


async def failing(number: int) -> int:
    await trio.lowlevel.checkpoint()
    raise LookupError(number)


async def asleep() -> None:
    await trio.sleep_forever()


async def nursery(count: int) -> None:
    """A task per job and nothing else: their results are dropped."""
    async with trio.open_nursery() as tasks:
        for number in range(count):
            tasks.start_soon(job, number)


async def nursery_of_failing(count: int) -> None:
    async def one(number: int) -> None:
        with contextlib.suppress(LookupError):
            await failing(number)

    async with trio.open_nursery() as tasks:
        for number in range(count):
            tasks.start_soon(one, number)


async def nursery_with_a_winner(count: int) -> None:
    async def win() -> None:
        await job(0)
        tasks.cancel_scope.cancel()

    async with trio.open_nursery() as tasks:
        for _ in range(count - 1):
            tasks.start_soon(asleep)
        tasks.start_soon(win)


def jobs(count: int) -> list[Coroutine[Any, Any, int]]:
    return [job(number) for number in range(count)]


def streamed(make: Callable[..., waitkit.ResultStream[Any]], limit: int | None) -> Case:
    async def case(count: int) -> None:
        if limit is None:
            await consume(make(jobs(count)), count)
        else:
            lazy = (job(number) for number in range(count))
            await consume(make(lazy, max_concurrency=limit), count)

    return case


async def with_first_error(count: int) -> None:
    assert len(await waitkit.first_error(jobs(count))) == count


async def with_gather_partial(count: int) -> None:
    assert len((await waitkit.gather_partial(jobs(count), timeout=60)).results) == count


async def with_first_success(count: int) -> None:
    with contextlib.suppress(ExceptionGroup):
        await waitkit.first_success([failing(number) for number in range(count)])


async def with_first_completed(count: int) -> None:
    await waitkit.first_completed([*(asleep() for _ in range(count - 1)), job(0)])


def run_on_trio(main: Coroutine[Any, Any, float]) -> float:
    async def awaited() -> float:
        return await main

    return trio.run(awaited)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9, help="paired rounds, 9 by default")
    rounds = parser.parse_args().rounds
    print(
        f"waitkit {waitkit.__version__}, Trio {trio.__version__}, Python {sys.version.split()[0]}"
    )
    alike: dict[str, Case] = {
        "first_error": with_first_error,
        "gather_partial": with_gather_partial,
    }
    for make in STREAMS:
        alike[make.__name__] = streamed(make, None)
        alike[f"{make.__name__}, 100 at a time"] = streamed(make, 100)
    figures = ratios(nursery, alike, 2_000, rounds, run_on_trio)
    for name, base, case in (
        ("first_success, all fail", nursery_of_failing, with_first_success),
        ("first_completed, the others asleep", nursery_with_a_winner, with_first_completed),
    ):
        figures |= ratios(base, {name: case}, 2_000, rounds, run_on_trio)
    show("CPU per trivial job on Trio, 2,000 jobs; 1 = a bare nursery with these jobs", figures)


if __name__ == "__main__":
    main()
