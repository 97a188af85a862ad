"""The list of mutants that no test has to see is true to the source: `mutation.py` makes them."""

from __future__ import annotations

import ast
import pathlib

import waitkit
from mutants import Place, listed_survivors

PACKAGE = pathlib.Path(waitkit.__file__).parent


def lines_of(place: Place) -> set[str]:
    """The lines of the function that the mutant is of."""
    text = (PACKAGE / place.file).read_text(encoding="utf-8")
    *of_class, name = place.function.split(".")
    body: list[ast.stmt] = ast.parse(text).body
    for wanted in of_class:
        body = [
            each
            for node in body
            if isinstance(node, ast.ClassDef) and node.name == wanted
            for each in node.body
        ]
    lines: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            end = node.end_lineno or node.lineno
            lines.update(line.strip() for line in text.splitlines()[node.lineno - 1 : end])
    return lines


def test_survivors_are_lines_of_the_source() -> None:
    """A mutant whose place has changed is not on the list: whether it survives has to be seen."""
    for place in listed_survivors():
        assert set(place.old.splitlines()) <= lines_of(place), place
        assert place.new != place.old


def test_survivors_have_a_reason() -> None:
    """No mutant is listed without a sentence on why it makes no difference."""
    survivors = listed_survivors()
    assert survivors
    assert all(reason.strip().endswith(".") for reason in survivors.values())
