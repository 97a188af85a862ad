"""The code that people read: blocks of the pages, and examples of the docstrings, found by sybil.

A ``python`` block may await, as at the prompt of ``python -m asyncio``. A ``text`` block right
behind it is what it prints. The blocks of a page share one namespace, and run from top to bottom.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import types
from collections.abc import Callable, Coroutine, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from sybil import Document, Example, Region, Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.abstract.lexers import BlockLexer
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

ROOT = Path(__file__).parent.parent

FENCES = FencedCodeBlockLexer(r"[^`\n]*")
EXAMPLES = BlockLexer(
    re.compile(r"^(?P<prefix> *)Example::\n", re.MULTILINE), r"\n{prefix}(?=\S)|\s*\Z"
)
RUNNING = "__running__"


class Block(NamedTuple):
    """Some lines of code, and what the page says that they print."""

    source: str
    output: str = ""

    def run(
        self, file: str, line: int, namespace: dict[str, Any]
    ) -> Coroutine[Any, Any, None] | None:
        """Run it, or give back what is to be awaited."""
        code = compile(
            "\n" * line + self.source,  # so that a traceback shows the page's own lines
            file,
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        namespace.setdefault("__builtins__", builtins)  # as `exec` does, which cannot await
        running = types.FunctionType(code, namespace)()
        return running if inspect.iscoroutine(running) else None


def evaluate(example: Example) -> None:
    block: Block = example.parsed
    line = example.line + example.region.lexemes["source"].line_offset
    example.namespace[RUNNING] = block.run(page_id(example.path), line, example.namespace)


def page_id(path: str | Path) -> str:
    return Path(path).relative_to(ROOT).as_posix()


def blocks(document: Document) -> Iterator[Region]:
    """The ``python`` blocks of a page."""
    fences = fences_of(document)
    for fence, following in zip_longest(fences, fences[1:]):
        if fence.lexemes["language"] != "python":
            continue
        output = ""
        if following is not None and following.lexemes["language"] == "text":
            between = document.text[fence.end : following.start]
            output = "" if between.strip() else following.lexemes["source"]
        fence.parsed = Block(fence.lexemes["source"], output)
        fence.evaluator = evaluate
        yield fence


def fences_of(document: Document) -> list[Region]:
    """The fenced blocks of a page, directives included."""
    return sorted(FENCES(document), key=lambda fence: fence.start)


def docstring_examples(document: Document) -> Iterator[Region]:
    for example in EXAMPLES(document):
        example.parsed = Block(example.lexemes["source"])
        example.evaluator = evaluate
        yield example


class DocStrings(PythonDocStringDocument):
    """The docstrings of a module, whose examples know only what a reader knows."""

    def __init__(self, text: str, path: str) -> None:
        Document.__init__(self, text, path)  # which does not import the module


PAGES = Sybil(parsers=[blocks])
MODULES = Sybil(parsers=[docstring_examples], document_types={".py": DocStrings})


def start(example: Example) -> Coroutine[Any, Any, None] | None:
    """Run an example as far as it goes without an await; what is left has to be awaited."""
    example.evaluate()
    running: Coroutine[Any, Any, None] | None = example.namespace.pop(RUNNING)
    return running


async def run_all(document: Document, check: Callable[[Example], None]) -> None:
    """Run the examples of a document in their order, and look at each when it has run."""
    for example in document.examples():
        running = start(example)
        if running is not None:
            await running
        check(example)
