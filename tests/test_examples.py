"""Every example runs as it is: as a script, on real sockets, in real time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import without_remarks

EXAMPLES = Path(__file__).parents[1] / "examples"
ALL = sorted(path.name for path in EXAMPLES.glob("*.py"))


def run(name: str, *arguments: str) -> list[str]:
    """What an example prints, once it has ended well and without a warning."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(EXAMPLES / name), *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (process.returncode, without_remarks(process.stderr)) == (0, "")
    return process.stdout.splitlines()


@pytest.mark.parametrize("name", ALL)
def test_examples_all_have_a_test(name: str) -> None:
    """An example that is added without a test of its output is noticed."""
    assert f"test_{name.removesuffix('.py')}_" in Path(__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
def test_examples_say_what_they_show(name: str) -> None:
    """Each example has a docstring, and a `main()` to start reading at."""
    tree = ast.parse((EXAMPLES / name).read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert "main" in [node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)]


def test_tutorial_prints_results_as_they_come() -> None:
    """R7: the three calls are made at once, and their results come in the order of their delays."""
    lines = run("tutorial.py", "0.1")
    assert lines[:3] == ["calling API 1...", "calling API 2...", "calling API 3..."]
    assert lines[3:] == ["1", "2", "3"]


def test_crawler_visits_every_page_once() -> None:
    """R8, R15: every page that is linked to is fetched once, and the missing one is reported."""
    lines = run("crawler.py")
    assert lines[0].startswith("/: ")
    assert {line.split(": ")[0] for line in lines} == {
        "/",
        "/news",
        "/news/1",
        "/news/2",
        "/news/3",
        "/team",
    }
    assert len(lines) == 6
    assert "/news/3: status 404" in lines
    assert sum("characters" in line for line in lines) == 5


def test_health_checks_tell_broken_from_silent() -> None:
    """R16, R17: one host fails, one is cut off at the deadline, and all others are up."""
    up, broken, silent = run("health_checks.py")
    assert up == "18 of 20 hosts are up"
    assert broken.startswith("host-7 is broken: 503")
    assert silent == "host-12 has not answered in time"


def test_tcp_pipe_ends_both_ways() -> None:
    """R18: in one conversation the reader ends the writer, in the other the writer the reader."""
    lines = run("tcp_pipe.py")
    first_end = lines.index("they hung up after 'BYE'")
    assert lines[:first_end] == ["  we: hello", "  we: bye", "  they: HELLO", "  they: BYE"]
    assert [line for line in lines[first_end + 1 : -1] if "we: " in line] == [
        "  we: hello",
        "  we: anyone?",
    ]
    assert lines[-1] == "we hung up after 2 lines"


def test_hedged_requests_ask_the_next_mirror() -> None:
    """R18, R19: the slow and the broken mirror cost no more than a head start; losers end first."""
    lines = run("hedged_requests.py")
    assert lines[:3] == ["asking slow", "asking broken", "asking good"]
    assert lines[-2:] == ["slow is not needed any more", "good answered: here you are"]


def test_workers_die_together() -> None:
    """R10, R11, R22: one worker fails, the others clean up, then its error comes with its name."""
    lines = run("workers.py")
    *before, closed, note = lines
    assert sorted(line for line in before if "bakes" not in line) == [
        "Ann: cleans up",
        "Bob: cleans up",
        "reader: closes the connection",
    ]
    assert sum("bakes" in line for line in before) == 2
    assert closed == "the bakery is closed: invalid literal for int() with base 10: 'a few'"
    assert note.startswith("waitkit.first_error: raised by input ")


@pytest.mark.skipif(sys.platform == "win32", reason="no signal handlers on its event loop")
def test_graceful_shutdown_lets_the_quick_request_finish() -> None:
    """R31: what ends within the grace ends by itself, the rest is cancelled, and nothing stays."""
    assert run("graceful_shutdown.py") == [
        "shutting down with 2 requests under way",
        "quick request: done",
        "slow request: shutting down, try again later",
        "0 requests are stuck",
    ]


def test_select_borrowed_loses_nothing() -> None:
    """R1: reads that lose a race, or outlive its deadline, go on, and every line arrives."""
    lines = run("select_borrowed.py")
    for name in ("quick", "slow"):
        said = [line for line in lines if line.startswith(name)]
        assert said == [f"{name}: I am {name}", f"{name}: that is all", f"{name} has hung up"]
    assert "nothing new" in lines
