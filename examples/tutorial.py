"""The tutorial's program: three API calls, and their results as they come.

    python examples/tutorial.py         three seconds, as in the tutorial
    python examples/tutorial.py 0.1     ten times as fast

The tutorial loops over ``asyncio.wait(pending, return_when=FIRST_COMPLETED)`` and takes one task
out of ``done`` each time: it drops the result of a second one that finished in the same round, and
when a call fails it leaves the others running. Here every result comes once, in the order in which
the calls finished, and however the block is left, nothing runs on.
"""

import asyncio
import sys

import waitkit


class APIError(Exception):
    pass


async def call_api(
    message: str, result: int = 100, delay: float = 3, raise_exception: bool = False
) -> int:
    print(message)
    await asyncio.sleep(delay)
    if raise_exception:
        raise APIError
    return result


async def main(scale: float = 1.0) -> None:
    calls = [
        call_api("calling API 1...", result=1, delay=1 * scale),
        call_api("calling API 2...", result=2, delay=2 * scale),
        call_api("calling API 3...", result=3, delay=3 * scale),
    ]
    async with waitkit.as_completed_results(calls) as results:
        async for result in results:
            print(result)


if __name__ == "__main__":
    asyncio.run(main(*map(float, sys.argv[1:])))
