"""The bugs that are planted on purpose still fit the source: `planted_bugs.py` tries them."""

from __future__ import annotations

import ast
import pathlib

import pytest

from planted_bugs import BUGS
from planting import Change, planted


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bug_fits_the_source(bug: str, tmp_path: pathlib.Path) -> None:
    """Each change has its one place in the source, and leaves Python that compiles."""
    with planted(BUGS[bug], tmp_path) as source:
        for change in BUGS[bug]:
            text = (source / "waitkit" / change.file).read_text(encoding="utf-8")
            assert change.new in text
            ast.parse(text)


def test_planted_bug_that_does_not_fit_is_an_error(tmp_path: pathlib.Path) -> None:
    """A change whose place is gone, or not the only one, is not passed over."""
    for old in ("no such line", "import"):
        change = Change("_crew.py", old, "pass")
        with pytest.raises(LookupError, match="places like this"), planted([change], tmp_path):
            pytest.fail("it was planted")
