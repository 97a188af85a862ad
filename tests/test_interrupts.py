"""R14: Ctrl-C, by a real SIGINT, at every step of a program on a real event loop."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs import HELPERS

PROGRAM = Path(__file__).with_name("interrupting.py")

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="a SIGINT ends no process by itself there"
)
needs_eager_tasks = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="eager tasks came with Python 3.12"
)


def run_program(loop: str, how: str) -> tuple[int, list[dict[str, Any]], str]:
    """The exit code, what the program printed for each case, and what it wrote to stderr."""
    ran = subprocess.run(
        [sys.executable, "-W", "always", str(PROGRAM), loop, how],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr


@pytest.mark.parametrize("how", ["once", "twice"])
@pytest.mark.parametrize(
    "loop", ["asyncio", pytest.param("eager", marks=needs_eager_tasks), "trio"]
)
def test_interrupt_at_any_step_of_a_program(loop: str, how: str) -> None:
    """R14, R22, R29: it comes out when all jobs have ended and all values went one way."""
    code, reports, errors = run_program(loop, how)
    assert errors == ""  # nothing "never awaited", "never retrieved", or pending when destroyed
    assert code == 0
    assert [report for report in reports if report["problems"]] == []
    helpers = {report["case"].split(",")[0].removesuffix(" bare") for report in reports}
    assert helpers == {*HELPERS, *(["cancel_and_wait"] if loop != "trio" else [])}
    assert min(report["runs"] for report in reports) > 10


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_interrupt_ends_the_process(loop: str) -> None:
    """R14, R22: with the exit code of the signal and its traceback, when the jobs have ended."""
    code, reports, errors = run_program(loop, "uncaught")
    assert code == -signal.SIGINT
    assert [report["problems"] for report in reports] == [[]]
    assert errors.endswith("\nKeyboardInterrupt\n")
    assert "never" not in errors
    assert "destroyed" not in errors
