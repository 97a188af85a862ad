"""Bugs put in on purpose: an exact change of a copy of the source, and the tests run on that."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple, TypeAlias

ROOT = pathlib.Path(__file__).parent.parent

Result: TypeAlias = Literal["fails", "hangs", "passes"]


class Change(NamedTuple):
    """One place in `src/waitkit`, and what is to stand there instead."""

    file: str
    old: str
    new: str

    def apply(self, source: pathlib.Path) -> None:
        file = source / "waitkit" / self.file
        text = file.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise LookupError(
                f"{self.file} has {text.count(self.old)} places like this, and not one:\n{self.old}"
            )
        file.write_text(text.replace(self.old, self.new), encoding="utf-8")


@contextmanager
def planted(changes: Sequence[Change], workplace: pathlib.Path) -> Iterator[pathlib.Path]:
    """A copy of the source with these changes: a directory for `PYTHONPATH`."""
    source = workplace / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    try:
        for change in changes:
            change.apply(source)
        yield source
    finally:
        shutil.rmtree(source)


def run_tests(source: pathlib.Path, *arguments: str, seconds: float) -> Result:
    """What pytest says of the package in that directory; it is stopped when time is up."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    where = [sys.executable, "-c", "import waitkit; print(waitkit.__file__)"]
    found = subprocess.run(where, env=environment, capture_output=True, text=True, check=False)
    if found.returncode:
        return "fails"  # it cannot even be imported
    if not pathlib.Path(found.stdout.strip()).is_relative_to(source):
        raise RuntimeError(f"the tests would run on {found.stdout.strip()}")
    run = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-p", "no:cacheprovider"]
    try:
        code = subprocess.run(
            [*run, "--timeout=60", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return "hangs"
    if code not in (0, 1):
        raise RuntimeError(f"pytest did not run: it returned {code}")
    return "fails" if code else "passes"
