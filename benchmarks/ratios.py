"""What a job costs under each helper, as ratios taken in one process.

    python benchmarks/ratios.py            all of them, about two minutes
    python benchmarks/ratios.py cost       CPU per trivial job, to a bare Task and done-callback
    python benchmarks/ratios.py staggered  one job finishing per tick, to asyncio.gather
    python benchmarks/ratios.py teardown   10,000 sleeping jobs after a failure, to doing it by hand
    python benchmarks/ratios.py memory     peak memory of a million lazy inputs, 100 at a time
    python benchmarks/ratios.py loop       the loop over asyncio.wait that people write, to gather
    python benchmarks/ratios.py import     import waitkit, to import asyncio

Each round measures the base, the case and the base again, in random order of cases, with the
garbage collector off; the median of the rounds is printed. Absolute times mean little on a
machine that does other things too; these ratios agree within a few hundredths from run to run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from importlib.metadata import version
from typing import Any, TypeAlias

import waitkit

Case: TypeAlias = Callable[[int], Awaitable[None]]
Runner: TypeAlias = Callable[[Coroutine[Any, Any, float]], float]


async def job(number: int) -> int:
    await asyncio.sleep(0)
    return number


def jobs(count: int) -> list[Coroutine[Any, Any, int]]:
    return [job(number) for number in range(count)]


def lazy_jobs(count: int) -> Iterator[Coroutine[Any, Any, int]]:
    return (job(number) for number in range(count))


async def floor(count: int) -> None:
    """One Task and one done-callback per job, one future awaited: nothing can cost less."""
    loop = asyncio.get_running_loop()
    all_done = loop.create_future()
    left = count

    def on_done(_: asyncio.Task[int]) -> None:
        nonlocal left
        left -= 1
        if not left:
            all_done.set_result(None)

    for number in range(count):
        loop.create_task(job(number)).add_done_callback(on_done)
    await all_done


async def gather(count: int) -> None:
    assert len(await asyncio.gather(*jobs(count))) == count


async def task_group(count: int) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job(number)) for number in range(count)]
    assert len([task.result() for task in tasks]) == count


async def as_completed(count: int) -> None:
    assert len([await future for future in asyncio.as_completed(jobs(count))]) == count


async def consume(stream: waitkit.ResultStream[Any], count: int) -> None:
    seen = 0
    async with stream:
        async for _ in stream:
            seen += 1
    assert seen == count


async def with_first_error(count: int) -> None:
    assert len(await waitkit.first_error(jobs(count))) == count


async def with_first_error_100(count: int) -> None:
    assert len(await waitkit.first_error(lazy_jobs(count), max_concurrency=100)) == count


async def with_gather_partial(count: int) -> None:
    assert len((await waitkit.gather_partial(jobs(count), timeout=60)).results) == count


async def with_gather_partial_100(count: int) -> None:
    partial = await waitkit.gather_partial(lazy_jobs(count), max_concurrency=100, timeout=60)
    assert len(partial.results) == count


async def failing(number: int) -> int:
    await asyncio.sleep(0)
    raise LookupError(number)


async def with_call_each_100(count: int) -> None:
    calls = waitkit.call_each(job, range(count))
    await consume(waitkit.as_completed_results(calls, max_concurrency=100), count)


def streamed(make: Callable[..., waitkit.ResultStream[Any]], limit: int | None) -> Case:
    async def case(count: int) -> None:
        if limit is None:
            await consume(make(jobs(count)), count)
        else:
            await consume(make(lazy_jobs(count), max_concurrency=limit), count)

    return case


COST: dict[str, Case] = {
    "asyncio.gather": gather,
    "asyncio.TaskGroup": task_group,
    "asyncio.as_completed": as_completed,
    "first_error": with_first_error,
    "first_error, 100 at a time": with_first_error_100,
    "gather_partial": with_gather_partial,
    "gather_partial, 100 at a time": with_gather_partial_100,
    "call_each, streamed, 100 at a time": with_call_each_100,
}
STREAMS: tuple[Callable[..., waitkit.ResultStream[Any]], ...] = (
    waitkit.as_completed_results,
    waitkit.as_completed_outcomes,
    waitkit.in_order_results,
    waitkit.in_order_outcomes,
)
for _make in STREAMS:
    COST[_make.__name__] = streamed(_make, None)
    COST[f"{_make.__name__}, 100 at a time"] = streamed(_make, 100)


def chain(count: int) -> list[Coroutine[Any, Any, int]]:
    """Jobs of which each lets the next one finish, a tick later."""
    loop = asyncio.get_running_loop()
    turns = [loop.create_future() for _ in range(count)]

    async def one(number: int) -> int:
        await turns[number]
        if number + 1 < count:
            loop.call_soon(turns[number + 1].set_result, None)
        return number

    loop.call_soon(turns[0].set_result, None)
    return [one(number) for number in range(count)]


async def staggered_gather(count: int) -> None:
    assert len(await asyncio.gather(*chain(count))) == count


async def staggered_stream(count: int) -> None:
    await consume(waitkit.as_completed_results(chain(count)), count)


async def staggered_wait_loop(count: int) -> None:
    pending = {asyncio.create_task(coro) for coro in chain(count)}
    while pending:
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)


async def asleep() -> None:
    await asyncio.get_running_loop().create_future()


async def teardown_by_hand(count: int) -> None:
    tasks = [asyncio.create_task(asleep()) for _ in range(count)]
    failed = asyncio.create_task(failing(0))
    await asyncio.wait([failed])
    assert failed.exception() is not None
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def teardown(count: int) -> None:
    try:
        await waitkit.first_error([*(asleep() for _ in range(count)), failing(0)])
    except LookupError:
        return
    raise AssertionError("the failure was lost")


def cpu(case: Case, count: int, run: Runner = asyncio.run) -> float:
    """Seconds of CPU that one run takes."""

    async def main() -> float:
        gc.collect()
        gc.disable()
        start = time.process_time()
        await case(count)
        taken = time.process_time() - start
        gc.enable()
        return taken

    return run(main())


def ratios(
    base: Case, cases: dict[str, Case], count: int, rounds: int, run: Runner = asyncio.run
) -> dict[str, float]:
    seen: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        order = list(cases.items())
        random.shuffle(order)
        before = cpu(base, count, run)
        for name, case in order:
            mine = cpu(case, count, run)
            after = cpu(base, count, run)
            seen[name].append(2 * mine / (before + after))
            before = after
    return {name: statistics.median(values) for name, values in seen.items()}


def show(title: str, figures: dict[str, float]) -> None:
    print(f"\n{title}")
    for name, ratio in sorted(figures.items(), key=lambda item: item[1]):
        print(f"  {ratio:6.2f}  {name}", flush=True)


def show_cost(rounds: int) -> None:
    show("CPU per trivial job, 5,000 jobs; 1 = floor", ratios(floor, COST, 5_000, rounds))


def show_staggered(rounds: int) -> None:
    figures = ratios(staggered_gather, {"as_completed_results": staggered_stream}, 10_000, rounds)
    show("one job finishing per tick, 10,000 jobs; 1 = asyncio.gather", figures)
    small, large = (
        min(cpu(staggered_stream, count) for _ in range(rounds)) for count in (1_000, 10_000)
    )
    show("ten times the jobs; 1 = cost of 1,000", {"as_completed_results": large / small})


def show_teardown(rounds: int) -> None:
    figures = ratios(teardown_by_hand, {"first_error": teardown}, 10_000, rounds)
    show("10,000 sleeping jobs cancelled; 1 = cancel and asyncio.wait by hand", figures)


def show_memory(_: int) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        asyncio.run(streamed(waitkit.as_completed_results, 100)(count))  # type: ignore[arg-type]
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    small, large = peak(1_000), peak(1_000_000)
    print("\npeak memory of lazy inputs, 100 at a time")
    print(f"  {(large - small) / 1e6:6.2f} MB more for 1,000,000 than for 1,000", flush=True)


def show_loop(rounds: int) -> None:
    for count in (500, 2_000):
        figures = ratios(
            staggered_gather, {"loop over asyncio.wait": staggered_wait_loop}, count, rounds
        )
        show(f"one job finishing per tick, {count:,} jobs; 1 = asyncio.gather", figures)


def show_import(rounds: int) -> None:
    def seconds(statement: str) -> float:
        script = (
            f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
        )
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return float(done.stdout)

    # With byte code, as an installed package has it.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    seconds("import waitkit")
    pairs = [(seconds("import asyncio, waitkit"), seconds("import asyncio")) for _ in range(rounds)]
    ratio = statistics.median(mine / base for mine, base in pairs)
    added = statistics.median(mine - base for mine, base in pairs)
    show(
        "CPU of `import asyncio, waitkit`; 1 = import asyncio",
        {f"{added * 1e3:.1f} ms more": ratio},
    )


PARTS: dict[str, Callable[[int], None]] = {
    "cost": show_cost,
    "staggered": show_staggered,
    "teardown": show_teardown,
    "memory": show_memory,
    "loop": show_loop,
    "import": show_import,
}


def main(doc: str | None, parts: dict[str, Callable[[int], None]], *others: str) -> None:
    """Measure the parts that the command line names; tell of the versions of others, too."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(parts)}")
    parser.add_argument("--rounds", type=int, default=9, help="paired rounds, 9 by default")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    versions = [f"Python {sys.version.split()[0]}", *(f"{name} {version(name)}" for name in others)]
    print(f"waitkit {waitkit.__version__}, {', '.join(versions)}")
    for name in chosen.parts or parts:
        parts[name](chosen.rounds)


if __name__ == "__main__":
    main(__doc__, PARTS)
