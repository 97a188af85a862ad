"""What is imported, and when: who does not use Trio, or anyio, need not have it, nor pay for it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import waitkit

PACKAGE = Path(waitkit.__file__).parent
# All of it but what tests import, and import by its name: `waitkit.testing`.
FILES = [file for file in PACKAGE.rglob("*.py") if file.parent.name != "testing"]

LOADED = """
import sys

def loaded(*packages):
    return sorted({name.partition(".")[0] for name in sys.modules} & set(packages))
"""

# All that there is on asyncio, to the end and by a failure: that is where anyio would be asked.
HELPERS_ON_ASYNCIO = """
import asyncio
import waitkit

async def value(result):
    await asyncio.sleep(0)
    return result

async def broken():
    await asyncio.sleep(0)
    raise LookupError

async def use(name, error=None):
    jobs = [value(1), value(2)] if error is None else [broken(), asyncio.sleep(3600)]
    call = getattr(waitkit, name)(jobs, timeout=3600)
    if not isinstance(call, waitkit.ResultStream):
        return await call
    async with call as stream:
        return [item async for item in stream]

async def main():
    for name in ("as_completed_results", "in_order_results", "first_error", "first_completed"):
        await use(name)
        try:
            await use(name, LookupError)
        except LookupError:
            continue
        raise AssertionError(f"{name} did not fail")
    for name in ("as_completed_outcomes", "in_order_outcomes", "gather_partial", "first_success"):
        await use(name)
    async for outcome in waitkit.as_completed_outcomes(waitkit.call_each(value, [1, 2], timeout=9)):
        outcome.unwrap()
    task = asyncio.ensure_future(asyncio.sleep(3600))
    await waitkit.first_completed([value(1), waitkit.borrowed(task)])
    assert await waitkit.cancel_and_wait(task, grace=0) == []

asyncio.run(main())
"""

NOT_INSTALLED = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""

SET_TO_NONE = """
import sys

sys.modules.update(dict.fromkeys(MISSING))
"""


def run(*parts: str) -> None:
    """Run a script in an interpreter of its own, where every warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(parts)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def imported_by(file: Path) -> set[str]:
    """The packages that a file imports, wherever in it; a module of this one with its dots."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found.add("." * node.level + (module if node.level else module.partition(".")[0]))
    return found


def importers(*packages: str) -> dict[str, set[str]]:
    """The files of waitkit that import one of these packages, each with those that it imports."""
    found = {file: imported_by(file) & set(packages) for file in FILES}
    return {
        file.relative_to(PACKAGE).as_posix(): names
        for file, names in found.items()
        if names != set()
    }


# --- the package


def test_import_adds_only_the_standard_library() -> None:
    """R23, R50: `import waitkit` imports no other package: not Trio, not anyio, not sniffio."""
    run(
        "import asyncio, sys",
        "before = set(sys.modules)",
        "import waitkit",
        "added = {name.partition('.')[0] for name in set(sys.modules) - before}",
        "added -= sys.stdlib_module_names",
        "assert added == {'waitkit'}, added",
        "assert 'waitkit._backends._trio' not in sys.modules",
        "assert 'waitkit.testing' not in sys.modules",
    )


def test_helpers_on_asyncio_import_nothing_more() -> None:
    """R23, R50: who has not imported Trio or anyio has none of their scopes, and gets neither."""
    run(
        LOADED,
        HELPERS_ON_ASYNCIO,
        "assert loaded('trio', 'anyio', 'sniffio') == []",
        "assert 'waitkit._backends._trio' not in sys.modules",
    )


def test_trio_is_imported_by_its_backend_alone() -> None:
    """R50: no other file of waitkit imports it, not even for its types, or in a function."""
    assert importers("trio") == {"_backends/_trio.py": {"trio"}}
    assert importers("._trio", "._backends._trio") == {"_backends/__init__.py": {"._trio"}}


def test_other_packages_are_imported_at_the_seam_alone() -> None:
    """R23: what is not the standard library's stands in `_backends`."""
    others = {name for file in FILES for name in imported_by(file)}
    others -= {"waitkit", *sys.stdlib_module_names}
    assert importers(*(name for name in others if not name.startswith("."))) == {
        "_backends/__init__.py": {"sniffio"},
        "_backends/_asyncio.py": {"anyio"},
        "_backends/_trio.py": {"trio"},
    }


# --- where others are not installed


@pytest.mark.parametrize("how", [NOT_INSTALLED, SET_TO_NONE], ids=["not-installed", "set-to-none"])
@pytest.mark.parametrize("missing", [("trio",), ("trio", "sniffio"), ("trio", "sniffio", "anyio")])
def test_helpers_on_asyncio_need_no_other_package(missing: tuple[str, ...], how: str) -> None:
    """R23, R50: neither where it is not installed, nor where a test says so by a None."""
    run(f"MISSING = {missing!r}", how, HELPERS_ON_ASYNCIO)


@pytest.mark.parametrize("how", [NOT_INSTALLED, SET_TO_NONE], ids=["not-installed", "set-to-none"])
def test_helpers_under_anyio_do_not_need_trio(how: str) -> None:
    """R23: anyio on asyncio, its scopes included, where Trio is not installed."""
    run(
        "MISSING = ('trio',)",
        how,
        LOADED,
        "import anyio",
        HELPERS_ON_ASYNCIO,
        "async def in_a_scope():",
        "    with anyio.move_on_after(0.01) as scope:",
        "        await waitkit.first_error([asyncio.sleep(3600), value(1)])",
        "    assert scope.cancelled_caught",
        "anyio.run(in_a_scope)",
        "assert 'waitkit._backends._trio' not in sys.modules",
    )


# --- where they are


def test_backend_for_trio_is_imported_on_trio_alone() -> None:
    """R50: not because Trio has been imported, before waitkit or after it; and without anyio."""
    program = """
def on_trio():
    return "waitkit._backends._trio" in sys.modules

async def job():
    await trio.sleep(0)

async def in_trio():
    assert not on_trio()
    await waitkit.first_error([job(), job()])
    assert on_trio()

assert not on_trio()
trio.run(in_trio)
assert loaded("anyio") == []
"""
    run(LOADED, "import trio", HELPERS_ON_ASYNCIO, program)
    run(LOADED, HELPERS_ON_ASYNCIO, "import trio", "asyncio.run(main())", program)


def test_loops_take_turns_in_one_process() -> None:
    """R50: each call asks anew which of them is running; one that has been there leaves no mark."""
    run(
        "import trio",
        HELPERS_ON_ASYNCIO,
        "async def job():",
        "    await trio.sleep(0)",
        "    return 'on Trio'",
        "async def in_trio():",
        "    assert await waitkit.first_error([job()]) == ['on Trio']",
        "for _ in range(2):",
        "    trio.run(in_trio)",
        "    asyncio.run(main())",
    )
