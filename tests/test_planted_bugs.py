"""What is changed on purpose is still in the source: `planted_bugs.py` and others try it."""

from __future__ import annotations

import ast
import pathlib

import pytest

import waitkit
from constant_mutants import CHANGES, files_of
from planted_bugs import BUGS
from planting import ROOT, Change, planted

PACKAGE = pathlib.Path(waitkit.__file__).parent


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bug_fits_the_source(bug: str, tmp_path: pathlib.Path) -> None:
    """Each change has its one place in the source, and leaves Python that compiles."""
    with planted(BUGS[bug], tmp_path) as source:
        for change in BUGS[bug]:
            text = (source / "waitkit" / change.file).read_text(encoding="utf-8")
            assert change.new in text
            ast.parse(text)


def test_changes_of_constants_fit_the_source() -> None:
    """Each has its one place in the source, and tests that are there."""
    for name, changes in CHANGES.items():
        assert all((ROOT / file).exists() for file in files_of(name))
        for change in changes:
            text = (PACKAGE / change.file).read_text(encoding="utf-8")
            assert text.count(change.old) == 1, change


def test_planted_bug_that_does_not_fit_is_an_error(tmp_path: pathlib.Path) -> None:
    """A change whose place is gone, or not the only one, is not passed over."""
    for old in ("no such line", "import"):
        change = Change("_crew.py", old, "pass")
        with pytest.raises(LookupError, match="places like this"), planted([change], tmp_path):
            pytest.fail("it was planted")
