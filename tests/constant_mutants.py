"""What mutmut does not change: the constants of modules and classes, changed by hand.

`nox -s mutation` runs it after `mutation.py`: for each change of a copy of the source, a test of
the file that is named with it has to fail. Arguments choose changes, by words in them.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile

from planting import Change, planted, run_tests

SECONDS = 600  # for the tests of a change, which take some where nothing is changed

# By the test file that sees them, or "testing": all of those.
CHANGES: dict[str, tuple[Change, ...]] = {
    "test_order.py": (
        Change("_policy.py", "max_concurrency: int | None = None", "max_concurrency: Any = 1"),
        Change("_policy.py", "outcomes: bool = False", "outcomes: bool = True"),
        Change("_policy.py", "ordered: bool = False", "ordered: bool = True"),
        Change("_policy.py", "race: bool = False", "race: bool = True"),
    ),
    "test_starting.py": (
        Change("_policy.py", "buffersize: int | None = None", "buffersize: Any = 2"),
        Change("_starting.py", "_UNLIMITED: Final = sys.maxsize", "_UNLIMITED: Final = 2"),
        Change("_starting.py", "= sys.maxsize", "= sys.maxsize + 1"),
    ),
    "test_fine_streams.py": (Change("_inputs.py", "sized: bool = False", "sized: bool = True"),),
    "test_races.py": (Change("_policy.py", "stagger: float | None = None", "stagger: Any = 1"),),
    "test_bad_input.py": (Change("_policy.py", "distinct: bool = False", "distinct: bool = True"),),
    "test_failure_reports.py": (
        Change("_reports.py", 'getLogger("waitkit")', 'getLogger("waitkit.reports")'),
    ),
    "test_failure.py": (
        Change("_reports.py", "KeyboardInterrupt | SystemExit", "KeyboardInterrupt | OSError"),
        Change("_reports.py", "KeyboardInterrupt | SystemExit", "OSError | SystemExit"),
    ),
    "test_faults_jobs.py": (
        Change("_roster.py", "PATIENCE: Final = 10.0", "PATIENCE: Final = 11.0"),
    ),
    "test_outcomes.py": (
        Change("_outcomes.py", '= ("value", "key", "index")', '= ("value", "index", "key")'),
        Change("_outcomes.py", '= ("error", "key", "index")', '= ("error", "index", "key")'),
        Change("_outcomes.py", '"index", "reason", "started")', '"index", "started", "reason")'),
        Change("_outcomes.py", '("results", "errors", "c', '("errors", "results", "c'),
        Change("_first_completed.py", '.__module__ = "waitkit"', '.__module__ = "asyncio"'),
        Change("_first_success.py", '.__module__ = "waitkit"', '.__module__ = "asyncio"'),
        Change("_stopping.py", '.__module__ = "waitkit"', '.__module__ = "asyncio"'),
        Change("_stream.py", '.__module__ = "waitkit"', '.__module__ = "asyncio"'),
    ),
    "test_disposing.py": (
        Change("_backends/_asyncio.py", "asyncio.CancelledError\n    in_", "OSError\n    in_"),
    ),
    "test_stream_api.py": (
        Change("_backends/_asyncio.py", "in_block: ClassVar[bool] = False", "in_block = True"),
    ),
    "test_borrowed.py": (
        Change("_backends/_asyncio.py", "has_futures: ClassVar[bool] = True", "has_futures = 0"),
    ),
    "test_trio_attack.py": (Change("_backends/_trio.py", "= trio.Cancelled\n", "= OSError\n"),),
    "test_trio.py": (
        Change("_backends/_trio.py", "in_block: ClassVar[bool] = True", "in_block = False"),
        Change("_backends/_trio.py", "has_futures: ClassVar[bool] = False", "has_futures = True"),
    ),
    "testing": (
        Change("testing/_loop.py", "MOST_TURNS = 100_000", "MOST_TURNS = 1_000"),
        Change("testing/_loop.py", "PATIENCE = 1_000", "PATIENCE = 100_000"),
        Change("testing/_loop.py", '__module__ = "waitkit.testing"', '__module__ = "asyncio"'),
        Change("testing/_run.py", '__module__ = "waitkit.testing"', '__module__ = "asyncio"'),
        Change("testing/_on_asyncio.py", "PATIENCE = 3", "PATIENCE = 0"),
        Change("testing/_on_trio.py", "PATIENCE = 3", "PATIENCE = 0"),
        Change("testing/_on_trio.py", "GRACE = 1.0", "GRACE = 0.0"),
        Change("testing/_watching.py", "mute: bool = False", "mute: bool = True"),
        Change("testing/_watching.py", "(coroutine .*) was", "coroutine (.*) was"),
        Change("testing/_places.py", '"anyio", "asyncio"', '"asyncio"'),
        Change("testing/_places.py", '"anyio", "asyncio"', '"anyio"'),
        Change("testing/_places.py", '"contextlib", ', ""),
        Change("testing/_places.py", '"outcome", ', ""),
        Change("testing/_places.py", '"trio", ', ""),
        Change("testing/_places.py", ', "waitkit"', ""),
        Change("testing/_places.py", r'r"Task-\d+"', r'r"Task-"'),
        Change("testing/_failures.py", "hung: bool = False", "hung: bool = True"),
        Change("testing/_everywhere.py", '_MESSAGE = "cancelled by', '_MESSAGE = "cancelled'),
        Change("testing/_everywhere.py", '__module__ = "waitkit.testing"', '__module__ = ""'),
        Change("testing/_raising.py", '"_set_result_unless_cancelled"', '"_none"'),
        Change("testing/_raising.py", '__module__ = "waitkit.testing"', '__module__ = ""'),
        Change("testing/_caller.py", "...] = ()", "...] = ((1, 0),)"),
        Change("testing/_caller.py", '__module__ = "waitkit.', '__module__ = "asyncio.'),
        Change("testing/_consumer.py", "pause: float = 0", "pause: float = 1"),
        Change("testing/_consumer.py", "breaks_after: int | None = None", "breaks_after: Any = 0"),
        Change("testing/_consumer.py", "closes_after: int | None = None", "closes_after: Any = 0"),
        Change("testing/_consumer.py", "adds: int = 0", "adds: int = 1"),
        Change("testing/_consumer.py", '__module__ = "waitkit.', '__module__ = "asyncio.'),
        Change("testing/_job.py", "delay: float = 0", "delay: float = 1"),
        Change("testing/_job.py", 'kind: Kind = "value"', 'kind: Kind = "error"'),
        Change("testing/_job.py", "ticks: int = 0", "ticks: int = 1"),
        Change("testing/_schedule.py", "jobs: tuple[Job, ...] = ()", "jobs: Any = (Job(),)"),
        Change("testing/_schedule.py", '__module__ = "waitkit.', '__module__ = "asyncio.'),
    ),
}


def files_of(name: str) -> list[str]:
    if name != "testing":
        return [f"tests/{name}"]
    parts = ("everywhere", "failures", "raise", "run", "schedules", "strategies")
    fine = ("everywhere", "loops", "loops_trio", "testing")
    return [
        *(f"tests/test_testing_{part}.py" for part in parts),
        *(f"tests/test_fine_{part}.py" for part in fine),
    ]


def main(words: list[str]) -> int:
    chosen = [
        (name, change)
        for name, changes in CHANGES.items()
        for change in changes
        if not words or any(word in " ".join(change) for word in words)
    ]
    survivors = 0
    for name, change in chosen:
        with (
            tempfile.TemporaryDirectory() as workplace,
            planted([change], pathlib.Path(workplace)) as source,
        ):
            result = run_tests(source, *files_of(name), seconds=SECONDS)
        print(f"{name} {result}: {change.file}: {change.old!r} -> {change.new!r}", flush=True)
        survivors += result == "passes"
    print(f"{len(chosen)} constants changed, {len(chosen) - survivors} seen")
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
