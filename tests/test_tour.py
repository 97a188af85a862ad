"""The tour, ``python -m waitkit``: what it prints, and how it ends, whatever strikes it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from jobs import HELPERS, without_remarks

STRICT = ("-W", "error", "-X", "dev")

needs_sigint = pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process alone")


class Run(NamedTuple):
    status: int
    output: str
    errors: str
    seconds: float

    def block(self, heading: str) -> list[str]:
        """The lines below a heading, up to the next one."""
        lines = self.output.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith(heading)) + 2
        return lines[start : lines.index("", start)]


def start(*options: str, encoding: str = "utf-8", **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *options],
        stdout=more.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        encoding=encoding,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )


def finish(process: subprocess.Popen[str], begun: float) -> Run:
    with process:
        output, errors = process.communicate(timeout=60)
    return Run(process.returncode, output, without_remarks(errors), time.monotonic() - begun)


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    """Two whole tours, both at the same time."""
    begun = time.monotonic()
    processes = {
        encoding: start(*STRICT, "-m", "waitkit", encoding=encoding)
        for encoding in ("utf-8", "ascii")
    }
    return {encoding: finish(process, begun) for encoding, process in processes.items()}


@pytest.fixture(params=["utf-8", "ascii"])
def tour(request: pytest.FixtureRequest, runs: dict[str, Run]) -> Run:
    return runs[request.param]


def test_tour_succeeds_without_a_word_on_stderr(tour: Run) -> None:
    """The tour exits with 0; `-W error -X dev` has nothing to say: R22, nothing is left running."""
    assert (tour.status, tour.errors) == (0, "")


def test_tour_takes_less_than_ten_seconds(tour: Run) -> None:
    """The tour takes less than ten seconds, start of Python included."""
    assert tour.seconds < 10


def test_tour_fits_a_terminal(tour: Run) -> None:
    """No line is longer than 80 columns."""
    assert [line for line in tour.output.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("helper", [*HELPERS, "cancel_and_wait"])
def test_tour_shows_each_helper_three_times(tour: Run, helper: str) -> None:
    """Each helper is named, and its three calls are shown plain, with a failure, at a deadline."""
    titles, *bars = tour.block(f"{helper}: ")[:4]
    assert re.fullmatch(r"  all succeed +call \d raises +(timeout|grace)=0\.\d+", titles), (
        "three panels"
    )
    assert [line.split()[0] for line in bars] == ["1", "3", "2"]


@pytest.mark.parametrize(
    ("helper", "gives"),
    [
        ("as_completed_results", ["100", "200", "300"]),
        ("as_completed_outcomes", ["Success(100)", "Success(200)", "Success(300)"]),
        ("in_order_results", ["100", "300", "200"]),
        ("in_order_outcomes", ["Success(100)", "Success(300)", "Success(200)"]),
        ("first_error", ["[100, 300, 200]"]),
        ("gather_partial", ["[100, 300, 200]"]),
        ("first_completed", ["100"]),
        ("first_success", ["100"]),
        ("cancel_and_wait", ["still running: 0"]),
    ],
)
def test_tour_tells_what_came_and_when(tour: Run, helper: str, gives: list[str]) -> None:
    """R7: the first panel lists what the helper gave, in the order in which it came, with times."""
    panel = [line[2:26].rstrip() for line in tour.block(f"{helper}: ")[4:]]
    came = [re.fullmatch(r"(\d\.\d\d)  (.+)", line) for line in panel if line]
    assert [match and match[2] for match in came] == gives
    times = [float(match[1]) for match in came if match]
    assert times == sorted(times)
    assert times[0] > 0


def test_tour_shows_what_fails_and_what_is_cancelled(tour: Run) -> None:
    """R10, R20: failures and deadlines are raised or reported, and bars say who was cancelled."""
    for what in ("raises APIError", "raises DeadlineError", "Failure(APIError)", "Cancelled"):
        assert what in tour.output
    bars = tour.block("first_completed: ")[1:4]
    assert [line.split().count("cancelled") for line in bars] == [1, 3, 3]


def test_tour_draws_longer_bars_for_longer_calls(runs: dict[str, Run]) -> None:
    """A bar is as long as its call took, in blocks or, where those cannot be encoded, in ASCII."""
    for encoding, glyph in (("utf-8", "█"), ("ascii", "#")):
        bars = runs[encoding].block("as_completed_results: ")[1:4]
        one, three, two = (line[:26].count(glyph) for line in bars)
        assert 0 < one <= two <= three
        assert one < three
    assert runs["ascii"].output.isascii()


def test_tour_crawls_every_page(tour: Run) -> None:
    """R8: there is one line for every page; one failed, and one hung until the deadline (R17)."""
    lines = [line for line in tour.output.splitlines() if line.startswith("  /")]
    pages = {line.split()[0]: line.partition(" s  ")[2] for line in lines}
    assert len(pages) == len(lines)
    assert pages.pop("/shop") == "failed: 500 Server Error"
    assert pages.pop("/live") == "cancelled at the deadline"
    assert set(pages) == {
        "/",
        "/about",
        "/about/jobs",
        "/docs",
        "/docs/api",
        "/docs/api/v1",
        "/docs/install",
    }
    assert all(ending.startswith("new links: ") for ending in pages.values())
    assert "/live" in lines[-1]


def test_tour_crawls_within_its_limit(tour: Run) -> None:
    """R2: the server counted as many requests at one time as the limit allows, and no more."""
    assert tour.output.endswith("\n9 pages; the server had at most 3 requests at a time\n")


def test_tour_help_says_what_it_does() -> None:
    """`--help` describes the tour, exits with 0, and runs nothing."""
    run = finish(start("-m", "waitkit", "--help"), time.monotonic())
    assert (run.status, run.errors) == (0, "")
    assert "python -m waitkit" in run.output
    assert "each helper" in run.output
    assert "as_completed_results" not in run.output


def test_tour_refuses_arguments() -> None:
    """An argument that the tour does not know is an error of usage: 2."""
    run = finish(start("-m", "waitkit", "--fast"), time.monotonic())
    assert (run.status, run.output) == (2, "")
    assert "unrecognized arguments: --fast" in run.errors


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way")
@pytest.mark.parametrize("option", [[], ["--help"]], ids=["tour", "help"])
def test_tour_into_a_closed_pipe_is_quiet(option: list[str]) -> None:
    """`python -m waitkit | head -1` prints no traceback, and no complaint at exit either."""
    reader, writer = os.pipe()
    process = start(*STRICT, "-m", "waitkit", *option, stdout=writer)
    os.close(writer)
    os.close(reader)
    assert finish(process, time.monotonic()).errors == ""


# At which line Ctrl-C is pressed, and how many times.
PRESSES = (
    ("waitkit: ", 1),
    ("as_completed_results: ", 2),
    ("  0.", 1),
    ("first_error: ", 1),
    ("cancel_and_wait: ", 2),
    ("A crawl: ", 1),
    ("  / ", 2),
    ("  /shop ", 1),
)


def interrupt(moment: str, presses: int) -> Run:
    process = start("-W", "error", "-u", "-m", "waitkit")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(moment):
            break
    begun = time.monotonic()
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
    return finish(process, begun)


@pytest.fixture(scope="module")
def interrupted() -> dict[tuple[str, int], Run]:
    """All these tours at the same time: most of what each one does is to sleep."""
    with ThreadPoolExecutor(len(PRESSES)) as pool:
        return dict(zip(PRESSES, pool.map(lambda press: interrupt(*press), PRESSES), strict=True))


@needs_sigint
@pytest.mark.parametrize("press", PRESSES)
def test_tour_interrupted_exits_with_130_and_nothing_else(
    interrupted: dict[tuple[str, int], Run], press: tuple[str, int]
) -> None:
    """R22, R23: Ctrl-C ends the tour with 130 and not a word, wherever it is; so do two of them."""
    run = interrupted[press]
    assert (run.status, run.errors) == (130, "")
    assert run.seconds < 5
    assert "9 pages" not in run.output


INTERRUPTED_AT_START = """
import os, runpy, signal, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "argparse":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder)
runpy.run_module("waitkit", run_name="__main__", alter_sys=True)
"""

INTERRUPTED_AT_EXIT = """
import atexit, os, runpy, signal

atexit.register(os.kill, os.getpid(), signal.SIGINT)
runpy.run_module("waitkit", run_name="__main__", alter_sys=True)
"""


@needs_sigint
def test_tour_interrupted_while_it_starts_exits_with_130() -> None:
    """Ctrl-C before there is a loop ends the tour with 130 and not a word."""
    run = finish(start("-c", INTERRUPTED_AT_START), time.monotonic())
    assert (run.status, run.output, run.errors) == (130, "", "")


@needs_sigint
def test_tour_interrupted_after_its_end_has_succeeded() -> None:
    """Ctrl-C while Python shuts down after the last line changes nothing: no word, and 0."""
    run = finish(start("-c", INTERRUPTED_AT_EXIT), time.monotonic())
    assert (run.status, run.errors) == (0, "")
    assert "9 pages" in run.output
