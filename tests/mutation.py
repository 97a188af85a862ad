"""Mutation testing: does any test fail if one thing in the source is changed?

`nox -s mutation` runs it; the mutants are mutmut's, and `mutants.py` makes them. The tests are
collected once, and each mutant is a process forked from there: it runs the tests of the function
that is changed until one fails, first those that have seen other mutants of it. What no test sees
has to stand in `survivors.toml`, with the reason why it makes no difference that a test could see.

    python tests/mutation.py [--workers=2] [--seconds=30] [_crew.py ...]
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from itertools import chain
from types import CodeType
from typing import Any, NamedTuple

import pytest
from _pytest.runner import runtestprotocol
from _pytest.warnings import catch_warnings_for_item

import waitkit
from mutants import (
    DECORATOR_SHOWN,
    Mutant,
    Place,
    become,
    functions_of,
    listed_survivors,
    mutants_of,
)

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = pathlib.Path(waitkit.__file__).parent
CHECKED = tuple(  # the tour is a program: its tests run it in other processes
    str(file.relative_to(PACKAGE).as_posix())
    for file in sorted(PACKAGE.rglob("*.py"))
    if file.name != "__main__.py"
)

# Debug mode and the third backend, which is the tests' own, show little that others do not.
MODES = ("default", "eager", "trio", "asyncio", None)
NOT_RUN = (  # other processes, real time, the tree as it is; and what measures itself
    "test_tour.py",
    "test_examples.py",
    "test_docs.py",
    "test_imports.py",
    "test_tutorial.py",
    "test_guests.py",
    "test_real_loops.py",
    "test_failure_awkward.py",
    "test_faults_scale.py",
    "test_planted_bugs.py",
    "test_mutation.py",
)
TOO_LONG = ("any_two_moments", "every_two_moments", "stands_for_others")
SLOW = 1.0  # seconds: tests that take longer are left out
KILL_RATE = 0.95


class Known(NamedTuple):
    """A test: what it costs, and the functions of the package that it runs."""

    seconds: float
    functions: frozenset[tuple[str, str]]


class Verdict(NamedTuple):
    mutant: Mutant
    place: Place
    killer: str  # a test, or what else ended it; empty if it has survived
    ran: int  # tests


class Mutation:
    """The plugin of pytest in whose place of a test loop the mutants run."""

    def __init__(self, files: list[str], workers: int, seconds: float) -> None:
        self.files = files
        self.workers = workers
        self.seconds = seconds
        self.verdicts: list[Verdict] = []
        self.killers: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.killers_by_file: dict[str, Counter[str]] = defaultdict(Counter)
        self.tests: dict[tuple[str, str], list[str]] = {}
        self.workplace = pathlib.Path(tempfile.mkdtemp())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        warnings.simplefilter("ignore", DeprecationWarning)  # fork, beside a thread that rests
        self.items = {item.nodeid: item for item in session.items if _is_run(item)}
        for file in self.files:  # some are imported only when they are needed
            importlib.import_module(_module(file))
        gc.collect()
        self.functions = functions_of(PACKAGE)
        gc.freeze()
        self.known = self.get_to_know()
        mutants = chain.from_iterable(mutants_of(PACKAGE, file) for file in self.files)
        running: dict[int, tuple[Mutant, float]] = {}
        done = 0
        while True:
            while len(running) < self.workers and (mutant := next(mutants, None)):
                running[self.start(mutant)] = mutant, time.monotonic() + 20 * self.seconds
            if not running:
                return True
            pid, status, _ = os.wait3(os.WNOHANG)
            if pid and pid in running:
                mutant, _ = running.pop(pid)
                self.enter(mutant, pid, status)
                done += 1
                if done % 50 == 0:
                    left = sum(not verdict.killer for verdict in self.verdicts)
                    _say(f"{done} mutants, {left} left; now in {mutant.file}")
                continue
            for pid, (_, until) in running.items():
                if time.monotonic() > until:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    # --- what the tests do where nothing is changed

    def get_to_know(self) -> dict[str, Known]:
        notes = self.workplace / "known.json"
        pid = os.fork()
        if not pid:
            try:
                _be_quiet()
                notes.write_text(json.dumps(_watch(list(self.items.values()))))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        found = json.loads(notes.read_text())
        for test in [test for test, each in found.items() if each is None]:
            _say(f"left out, since it fails here: {test}")
            del found[test]
        known = {
            test: Known(seconds, frozenset((file, name) for file, name in functions))
            for test, (seconds, functions) in found.items()
            if seconds <= SLOW
        }
        _say(f"{len(known)} tests, {sum(each.seconds for each in known.values()):.0f} seconds")
        return known

    # --- one mutant

    def tests_of(self, function: tuple[str, str]) -> list[str]:
        """The tests that run a function: some cases of each, by what they cost, then more."""
        if function not in self.tests:
            tests = [test for test, known in self.known.items() if function in known.functions]
            tests.sort(key=lambda test: self.known[test].seconds)
            spent: defaultdict[str, float] = defaultdict(float)
            rank = {}
            for test in tests:
                spent[name := test.partition("[")[0]] += self.known[test].seconds
                rank[test] = spent[name]
            self.tests[function] = sorted(tests, key=rank.__getitem__)
        return self.tests[function]

    def choose(self, mutant: Mutant) -> list[str]:
        """The tests that run the function, the likely killers first, as many as there is time."""
        function = mutant.file, mutant.function
        every = self.tests_of(function)
        near = self.killers_by_file[mutant.file].most_common(30)
        killers = [*self.killers[function].most_common(), *near]
        likely = [test for test, _ in killers if function in self.known[test].functions]
        chosen, seconds = [], 0.0
        for test in dict.fromkeys([*likely, *every]):
            seconds += self.known[test].seconds
            if seconds > self.seconds:
                break
            chosen.append(test)
        return chosen

    def start(self, mutant: Mutant) -> int:
        self.tests_of((mutant.file, mutant.function))  # once, and not in each process
        pid = os.fork()
        if pid:
            return pid
        killer, ran, place = "", 0, None
        try:
            _be_quiet()
            tests = self.choose(mutant)
            place, text = mutant.render()
            expected = sum(self.known[test].seconds for test in tests)
            limit = int(4 + 2 * expected)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
            become(mutant, text, PACKAGE, self.functions)
            self.note(place, killer, ran)
            for test in tests:
                ran += 1
                if not _passes(self.items[test]):
                    killer = test
                    break
        except BaseException:
            killer = f"error: {traceback.format_exc()}"
        self.note(place, killer, ran)
        os._exit(0)

    def note(self, place: Place | None, killer: str, ran: int) -> None:
        (self.workplace / str(os.getpid())).write_text(json.dumps([place, killer, ran]))

    def enter(self, mutant: Mutant, pid: int, status: int) -> None:
        place, killer, ran = json.loads((self.workplace / str(pid)).read_text())
        place = Place(*place)
        if status:
            killer = f"signal {os.WTERMSIG(status)}"
        elif killer in self.known:
            self.killers[mutant.file, mutant.function][killer] += 1
            self.killers_by_file[mutant.file][killer] += 1
        self.verdicts.append(Verdict(mutant, place, killer, ran))
        if killer.startswith("error"):
            _say(f"{place}: {killer}")
        if not killer:
            _say(f"survived {ran}: {place.file} {place.function}\n  - {place.old}\n  + {place.new}")


def _say(text: str) -> None:
    print(text, file=sys.__stderr__, flush=True)


def _module(file: str) -> str:
    parts = ("waitkit", *pathlib.PurePosixPath(file).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


def _be_quiet() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _is_run(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or item.path.name in NOT_RUN:
        return False
    if item.get_closest_marker("real_time") or item.get_closest_marker("exhaustive"):
        return False
    if any(word in item.name for word in TOO_LONG):
        return False
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return {parameters.get("loop_mode"), parameters.get("setting")} <= set(MODES)


def _passes(item: pytest.Item) -> bool:
    with catch_warnings_for_item(item.config, item.ihook, when="runtest", item=item):
        reports = runtestprotocol(item, log=False, nextitem=None)
    gc.freeze()  # as conftest.py does after each test
    return not any(report.failed for report in reports)


def _watch(items: list[pytest.Item]) -> dict[str, Any]:
    """Run tests, and find out which functions of the package each of them runs."""
    if sys.version_info < (3, 12):
        raise RuntimeError("needs sys.monitoring, which Python 3.12 has")
    package = str(PACKAGE) + os.sep
    seen: set[tuple[str, str]] = set()

    def on_start(code: CodeType, _offset: int) -> object:
        if code.co_filename.startswith(package):
            name = code.co_qualname.split(".<locals>")[0]
            seen.add((code.co_filename.removeprefix(package), name))
        return sys.monitoring.DISABLE

    monitoring = sys.monitoring
    monitoring.use_tool_id(monitoring.COVERAGE_ID, "mutation")
    monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.PY_START, on_start)
    monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.PY_START)
    known: dict[str, Any] = {}
    for item in [*items[:1], *items]:  # the first one also pays for what is done once
        seen.clear()
        monitoring.restart_events()
        began = time.process_time()
        passes = _passes(item)
        known[item.nodeid] = (time.process_time() - began, sorted(seen)) if passes else None
    return known


class Types:
    """mypy, which is part of every run of what is checked, and sees some of what tests cannot."""

    def __init__(self, workplace: pathlib.Path) -> None:
        self.workplace = workplace
        self.seconds = 0
        self.package = workplace / "src" / "waitkit"
        shutil.copytree(PACKAGE, self.package, ignore=shutil.ignore_patterns("__pycache__"))
        if not self.passes():
            raise RuntimeError("mypy does not pass where nothing is changed")

    def passes(self) -> bool:
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir=cache", str(self.package)]
        found = subprocess.run(command, cwd=self.workplace, capture_output=True, check=False)
        return found.returncode == 0

    def see(self, mutant: Mutant) -> bool:
        file = self.package / mutant.file
        text = file.read_text(encoding="utf-8")
        file.write_text(DECORATOR_SHOWN.sub(r"\1@\2", mutant.render()[1]), encoding="utf-8")
        self.age(file)
        try:
            return not self.passes()
        finally:
            file.write_text(text, encoding="utf-8")
            self.age(file)

    def age(self, file: pathlib.Path) -> None:
        """Or mypy, which looks at whole seconds, might take a file for the one it knows."""
        self.seconds += 2
        os.utime(file, (self.seconds, self.seconds))


def judge(verdicts: list[Verdict]) -> int:
    """Hold the survivors against the list, and tell how many mutants were killed."""
    survivors = [verdict for verdict in verdicts if not verdict.killer]
    listed = listed_survivors()
    with tempfile.TemporaryDirectory() as workplace:
        types = Types(pathlib.Path(workplace))
        left = {
            verdict.place
            for verdict in survivors
            if verdict.place in listed or not types.see(verdict.mutant)
        }
    unlisted = left - set(listed)
    for place in sorted(unlisted):
        _say(f"{place.file} {place.function}:\n  - {place.old}\n  + {place.new}")
    print("| module | mutants | killed by tests | by mypy | left |\n|---|---|---|---|---|")
    for file in [*dict.fromkeys(verdict.mutant.file for verdict in verdicts), ""]:
        among = [verdict for verdict in verdicts if file in ("", verdict.mutant.file)]
        by_tests = sum(bool(verdict.killer) for verdict in among)
        not_killed = sum(not verdict.killer and verdict.place in left for verdict in among)
        numbers = by_tests, len(among) - by_tests - not_killed, not_killed
        print(f"| {file or 'all'} | {len(among)} | {' | '.join(map(str, numbers))} |")
    killed = 1 - not_killed / len(verdicts)
    print(f"{killed:.1%} killed; {len(unlisted)} survivors are not listed")
    return bool(unlisted) or killed < KILL_RATE


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", default=CHECKED, help="in src/waitkit")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=30, help="of tests for a mutant")
    options = parser.parse_args()
    os.chdir(ROOT)  # where mutmut looks for its configuration
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where this is in background
    mutation = Mutation(list(options.files), options.workers, options.seconds)
    arguments = ["-n", "0", "-q", "--tb=native", "-p", "no:cacheprovider"]
    pytest.main([*arguments, "--hypothesis-profile=mutation", "tests"], plugins=[mutation])
    return judge(mutation.verdicts)


if __name__ == "__main__":
    sys.exit(main())
