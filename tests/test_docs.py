"""The written documentation is true: its code runs, its links resolve, its lists are complete."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import types
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import waitkit
import waitkit.testing

ROOT = Path(__file__).parent.parent
TRIO = ROOT / "docs" / "guide" / "trio.md"
TESTING = ROOT / "docs" / "guide" / "testing.md"
DOCS = sorted((ROOT / "docs").glob("**/*.md"))
PAGES = [ROOT / "README.md", *DOCS]
ALL_TEXTS = [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]
HELPERS = [name for name in waitkit.__all__ if name[0].islower()]

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
RULE = re.compile(r"\bR(?P<number>[1-9][0-9]*)\b")


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


class Block(NamedTuple):
    """One ``python`` block, and what the page says that it prints."""

    code: str
    line: int  # of the page, counted from 0, so that a traceback shows the page's own lines
    output: str


def blocks(text: str) -> Iterator[Block]:
    """The ``python`` blocks of a page; a ``text`` block right behind one is its output."""
    fences = list(FENCE.finditer(text))
    for fence, following in zip_longest(fences, fences[1:]):
        if fence["language"] != "python":
            continue
        output = ""
        if (
            following is not None
            and following["language"] == "text"
            and not text[fence.end() : following.start()].strip()
        ):
            output = following["code"]
        yield Block(fence["code"], text.count("\n", 0, fence.start("code")), output)


def prose(text: str) -> str:
    """A page without its code."""
    return INLINE_CODE.sub("", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    titles = (heading["title"].lower() for heading in HEADING.finditer(FENCE.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


async def run_block(block: Block, page: Path, namespace: dict[str, Any]) -> None:
    """Run a block as a page of an `asyncio` shell would: it may await."""
    code = compile(
        "\n" * block.line + block.code,
        page_id(page),
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    running = types.FunctionType(code, namespace)()
    if inspect.iscoroutine(running):
        await running


@pytest.mark.only("asyncio")  # which is what the other pages show
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in (TRIO, TESTING)], ids=page_id
)
async def test_code_of_page_runs_and_prints_what_it_says(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every block runs, in order and in one namespace, and prints exactly what the page says."""
    await check_code(page, capsys)


@pytest.mark.only("trio")
async def test_code_of_trio_page_runs_and_prints_what_it_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same on Trio."""
    await check_code(TRIO, capsys)


def test_code_of_testing_page_runs_and_prints_what_it_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same outside of a loop: `run` has one of its own.

    What it prints quotes lines of code: as if the blocks of the page were one file, example.py.
    """
    namespace: dict[str, Any] = {"__name__": "example"}
    lines: list[str] = []
    monkeypatch.setitem(linecache.cache, "example.py", (0, None, lines, "example.py"))
    for block in blocks(read(TESTING)):
        code = "\n" * len(lines) + block.code
        lines += block.code.splitlines(keepends=True)
        exec(compile(code, "example.py", "exec", dont_inherit=True), namespace)
        where = f"{page_id(TESTING)}, block at line {block.line + 1}"
        assert capsys.readouterr().out == block.output, where


async def check_code(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(read(page)):
        await run_block(block, page, namespace)
        where = f"{page_id(page)}, block at line {block.line + 1}"
        assert capsys.readouterr().out == block.output, where


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_no_code_of_page_escapes_the_test(page: Path) -> None:
    """All code stands in blocks that the other tests see, and none in a language not run."""
    text = read(page)
    fences = list(FENCE.finditer(text))
    assert {fence["language"] for fence in fences} <= {"python", "text", "sh"}
    assert text.count("```") == 2 * len(fences)


@pytest.mark.parametrize("name", waitkit.__all__)
def test_public_name_occurs_in_docs(name: str) -> None:
    """Every public name is written about."""
    assert any(re.search(rf"\b{name}\b", read(page)) for page in DOCS)


@pytest.mark.parametrize("name", waitkit.testing.__all__)
def test_public_name_of_testing_occurs_on_its_page(name: str) -> None:
    """The same for the submodule, which has a page of its own."""
    assert re.search(rf"\b{name}\b", read(TESTING))


@pytest.mark.parametrize("page", ALL_TEXTS, ids=page_id)
def test_page_names_only_what_exists(page: Path) -> None:
    """What is written as an attribute of the package is one; of its submodule too."""
    text = read(page)
    named = set(re.findall(r"(?<![\w/])waitkit\.([A-Za-z_]\w*)", text))
    assert not {name for name in named if name not in (*waitkit.__all__, "testing")}
    named = set(re.findall(r"(?<![\w/])waitkit\.testing\.([A-Za-z_]\w*)", text))
    assert not {name for name in named if name not in waitkit.testing.__all__}


@pytest.mark.parametrize("name", HELPERS)
def test_page_of_helper_names_every_parameter(name: str) -> None:
    """A helper's page says what each of its options does; inputs.md has the rest."""
    reference = ROOT / "docs" / "reference"
    own = reference / f"{name}.md"
    page = own if own.exists() else reference / "inputs.md"
    text = read(page)
    parameters = inspect.signature(getattr(waitkit, name)).parameters.values()
    options = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert name in text
    assert not {option for option in options if f"`{option}`" not in text}


@pytest.mark.parametrize("page", ALL_TEXTS, ids=page_id)
def test_relative_links_resolve(page: Path) -> None:
    """A link leads to a file that is there, and to a heading that it has."""
    text = read(page)
    broken = []
    for link in LINK.finditer(prose(text)):
        target, _, anchor = link["target"].partition("#")
        if "://" in target:
            continue
        file = (page.parent / target) if target else page
        if not file.exists() or (anchor and anchor not in anchors(read(file))):
            broken.append(link["target"])
    assert not broken


@pytest.mark.parametrize("page", DOCS, ids=page_id)
def test_index_lists_page(page: Path) -> None:
    """Every page is reached from the index."""
    index = ROOT / "docs" / "index.md"
    linked = {link["target"].partition("#")[0] for link in LINK.finditer(read(index))}
    assert page == index or page.relative_to(index.parent).as_posix() in linked


@pytest.mark.parametrize("title", ["Run it", "Test it"])
def test_readme_section_is_one_command(title: str) -> None:
    """The README says how to run and to test in one line each, to be copied."""
    sections = re.split(r"^## ", read(ROOT / "README.md"), flags=re.MULTILINE)
    chosen = [section for section in sections if section.startswith(f"{title}\n")]
    assert len(chosen) == 1
    fences = list(FENCE.finditer(chosen[0]))
    assert [fence["language"] for fence in fences] == ["sh"]
    assert len(fences[0]["code"].splitlines()) == 1


def promised() -> list[int]:
    """The rules that promises.md has an entry for, in its order."""
    text = read(ROOT / "docs" / "why" / "promises.md")
    return [int(number) for number in re.findall(r"^### R([0-9]+)$", text, flags=re.MULTILINE)]


def test_promises_have_an_entry_for_every_rule() -> None:
    """R1 to R33, R50 to R52, R60 and R62 have one entry each, in order."""
    assert promised() == [*range(1, 34), *range(50, 53), 60, 62]


def test_rules_named_anywhere_are_promised() -> None:
    """A rule number in a comment or on a page means something to a stranger."""
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/*.py"), *ALL_TEXTS]
    named = {int(rule["number"]) for file in files for rule in RULE.finditer(read(file))}
    assert named <= set(promised())


def test_contributing_lists_every_module() -> None:
    """The list of modules in CONTRIBUTING.md is true to the tree."""
    package = ROOT / "src" / "waitkit"
    there = {file.relative_to(package).as_posix() for file in package.rglob("*.py")}
    text = read(ROOT / "CONTRIBUTING.md")
    (listed,) = (f["code"] for f in FENCE.finditer(text) if f["code"].startswith("src/waitkit/\n"))
    assert set(re.findall(r"^  ([\w/]+\.py)\s", listed, flags=re.MULTILINE)) == there


def test_contributing_names_sessions_that_exist() -> None:
    """Every nox session that CONTRIBUTING.md names is one."""
    defined = set(re.findall(r"^def (\w+)\(session:", read(ROOT / "noxfile.py"), re.MULTILINE))
    commands = re.findall(r"`nox -s ([^`]*?)(?: --[^`]*)?`", read(ROOT / "CONTRIBUTING.md"))
    named = {session.partition("-")[0] for command in commands for session in command.split()}
    assert named
    assert named <= defined
