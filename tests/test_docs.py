"""The written documentation is true: its code runs, its links resolve, its lists are complete."""

from __future__ import annotations

import inspect
import linecache
import re
from pathlib import Path
from typing import Any

import held_by
import pytest
from sybil import Example

import waitkit
import waitkit.testing
from documents import PAGES as SYBIL
from documents import ROOT, fences_of, page_id, run_all
from playing import heap_set_aside
from waitkit.testing import strategies

TRIO = ROOT / "docs" / "guide" / "trio.md"
TESTING = ROOT / "docs" / "guide" / "testing.md"
INDEX = ROOT / "docs" / "index.md"
DOCS = sorted((ROOT / "docs").glob("[!_]*.md")) + sorted((ROOT / "docs").glob("[!_]*/*.md"))
PAGES = [ROOT / "README.md", *DOCS]
ALL_TEXTS = [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]
HELPERS = [name for name in waitkit.__all__ if name[0].islower()]
DIRECTIVES = {"{eval-rst}", "{literalinclude}", "{timeline}", "{toctree}"}
LANGUAGES = {"python", "text", "sh"} | DIRECTIVES  # code is in the first, and is run

FENCE = re.compile(
    r"^(?P<fence>```+)(?P<language>\S*)\n(?P<code>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL
)
INLINE_CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
RULE = re.compile(r"\bR(?P<number>[1-9][0-9]*)\b")
ENTRY = re.compile(
    r"^ *\.\. (?:auto(?:function|class|exception)|py:(?:type|data)):: (?P<name>[\w.]+)",
    re.MULTILINE,
)
MODULE = re.compile(r"^ *\.\. (?:currentmodule|automodule):: (?P<name>[\w.]+)", re.MULTILINE)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(text: str) -> str:
    """A page without its code."""
    return INLINE_CODE.sub("", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    titles = (heading["title"].lower() for heading in HEADING.finditer(FENCE.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


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
    document = SYBIL.parse(TESTING)
    namespace: dict[str, Any] = {"__name__": "example"}
    lines: list[str] = []
    monkeypatch.setitem(linecache.cache, "example.py", (0, None, lines, "example.py"))
    with heap_set_aside():
        for example in document.examples():
            line = len(lines)
            lines += example.parsed.source.splitlines(keepends=True)
            assert example.parsed.run("example.py", line, namespace) is None, "it awaits"
            check_output(example, capsys)


async def check_code(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = SYBIL.parse(page)
    document.namespace["__name__"] = page.stem
    await run_all(document, lambda example: check_output(example, capsys))


def check_output(example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    where = f"{page_id(example.path)}, block at line {example.line}"
    assert capsys.readouterr().out == example.parsed.output, where


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_no_code_of_page_escapes_the_test(page: Path) -> None:
    """All code stands in blocks that the other tests see, and none in a language not run."""
    fences = fences_of(SYBIL.parse(page))
    assert {fence.lexemes["language"].partition(" ")[0] for fence in fences} <= LANGUAGES
    assert read(page).count("```") == 2 * len(fences)
    assert not re.search(r"::\{?code", read(page))


def entries() -> list[str]:
    """What the reference has an entry for, with its module."""
    names = []
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        text = read(page)
        modules = {match.start(): match["name"] for match in MODULE.finditer(text)}
        for entry in ENTRY.finditer(text):
            module = modules[max(start for start in modules if start < entry.start())]
            names.append(f"{module}.{entry['name']}")
    return names


@pytest.mark.parametrize(
    "module", [waitkit, waitkit.testing, strategies], ids=lambda module: module.__name__
)
def test_public_name_has_an_entry_in_the_reference(module: Any) -> None:
    """Every public name has one entry in the reference, under the name that users import."""
    prefix = f"{module.__name__}."
    found = [name for name in entries() if name.rpartition(".")[0] == module.__name__]
    assert sorted(found) == sorted(prefix + name for name in module.__all__)


@pytest.mark.parametrize("page", ALL_TEXTS, ids=page_id)
def test_page_names_only_what_exists(page: Path) -> None:
    """What is written as an attribute of the package is one; of its submodule too."""
    text = read(page)
    named = set(re.findall(r"(?<![\w/])waitkit\.([A-Za-z_]\w*)", text))
    assert not {name for name in named if name not in (*waitkit.__all__, "testing")}
    named = set(re.findall(r"(?<![\w/])waitkit\.testing\.([A-Za-z_]\w*)", text))
    assert not {n for n in named if n not in (*waitkit.testing.__all__, "strategies")}


@pytest.mark.parametrize("name", HELPERS)
def test_docstring_of_helper_tells_of_every_parameter(name: str) -> None:
    """A helper's entry says what each of its parameters does."""
    helper = getattr(waitkit, name)
    told = set(re.findall(r"^ +(\w+): ", inspect.getdoc(helper) or "", re.MULTILINE))
    assert set(inspect.signature(helper).parameters) - {"others"} <= told


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


def test_index_reaches_every_page() -> None:
    """Every page is in the navigation, once; Sphinx sees to it that each entry is a page."""
    trees = [
        f.lexemes["source"]
        for f in fences_of(SYBIL.parse(INDEX))
        if "toctree" in f.lexemes["language"]
    ]
    listed = [line for tree in trees for line in tree.split() if not line.startswith(":")]
    pages = [page.relative_to(INDEX.parent).with_suffix("").as_posix() for page in DOCS]
    assert sorted(line for line in listed if line in pages) == sorted({*pages} - {"index"})


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
    """R1 to R33, R50 to R52 and R60 to R62 have one entry each, in order."""
    assert promised() == [*range(1, 34), *range(50, 53), *range(60, 63)]


@pytest.mark.parametrize("rule", promised())
def test_promise_is_held_by_a_test(rule: int) -> None:
    """Each promise has tests that name it, which its page lists."""
    assert held_by.tests_by_rule()[rule]


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
