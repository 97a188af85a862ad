"""Tells under each promise which tests hold it: those whose docstrings name the rule.

On the page of the promises, each `### R12` gets a list of tests, folded up. Nothing of that is
written by hand, so nothing of it can go stale.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent.parent / "tests"
PAGE = "why/promises"

RULES = re.compile(r"\bR(?P<first>[1-9][0-9]*)(?:-R(?P<last>[1-9][0-9]*))?\b")  # R7, R7-R10
ENTRY = re.compile(r"^### R(?P<number>[0-9]+)\n.*?(?=^#{2,3} |\Z)", re.MULTILINE | re.DOTALL)


def rules_in(text: str) -> set[int]:
    """The numbers of the rules that a text names, ranges written out."""
    found: set[int] = set()
    for named in RULES.finditer(text):
        first = int(named["first"])
        found.update(range(first, int(named["last"] or first) + 1))
    return found


@cache
def tests_by_rule() -> dict[int, dict[str, list[str]]]:
    """For each rule the tests that name it, under the files that they stand in."""
    tests: dict[int, dict[str, list[str]]] = defaultdict(dict)
    for file in sorted(TESTS.glob("test_*.py")):
        for test in _tests_in(ast.parse(file.read_text(encoding="utf-8"))):
            for rule in rules_in(ast.get_docstring(test) or ""):
                tests[rule].setdefault(file.name, []).append(test.name)
    return tests


def _tests_in(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_":
            yield node


def with_tests(text: str) -> str:
    """The page, with the tests of each rule in it."""
    tests = tests_by_rule()

    def add_tests(entry: re.Match[str]) -> str:
        files = tests[int(entry["number"])]
        lines = [
            f"- `{file}`: {', '.join(f'`{name}`' for name in names)}"
            for file, names in sorted(files.items(), key=lambda item: -len(item[1]))
        ]
        title = f":::{{dropdown}} Held by {sum(map(len, files.values()))} tests"
        return "\n".join(
            [entry[0].rstrip(), "", title, ":class-container: held-by", "", *lines, ":::", "", ""]
        )

    return ENTRY.sub(add_tests, text)


def _on_source_read(_: Any, docname: str, source: list[str]) -> None:
    if docname == PAGE:
        source[0] = with_tests(source[0])


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", _on_source_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
