"""Everything that is checked, each as a session: `nox -l` lists them, `nox` runs the usual ones."""

from __future__ import annotations

import os
import pathlib
import re
import shutil

import nox

nox.needs_version = ">=2024.10.9"  # dependency groups
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "package", "docs", "tests", "properties"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.11", "3.12", "3.13"]


def install_group(session: nox.Session, group: str) -> None:
    session.install(*nox.project.dependency_groups(PYPROJECT, group))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The test suite; arguments go to pytest."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def pyodide(session: nox.Session) -> None:
    """The tests in virtual time on CPython 3.14 in WebAssembly, by node; arguments go to pytest."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        session.error("needs node with npm")
    packages = session.create_tmp()
    npm = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--no-package-lock"]
    session.run(*npm, "--prefix", packages, "pyodide@314.0.7", external=True)
    wanted = {"anyio", "pytest", "pytest-timeout", "hypothesis", "trio"}  # all in Python alone
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    needs = [*project["dependencies"], *extras["testing"], *extras["test"]]
    needs = [need for need in needs if re.split(r"[^\w-]", need)[0] in wanted]
    pip = ["python", "-m", "pip", "install", "--quiet", "--upgrade", "--only-binary=:all:"]
    where = ["--target", f"{packages}/site", "--platform=any", "--python-version=3.14"]
    session.run(*pip, *where, "--implementation=py", *needs)
    session.run("node", "tests/on_pyodide.mjs", packages, *session.posargs, external=True)


@nox.session
def properties(session: nox.Session) -> None:
    """The property-based tests, on more schedules than usual; arguments go to pytest."""
    session.install("-e", ".[test]")
    profile = [] if session.posargs else ["--hypothesis-profile=ci"]
    files = ["tests/test_properties.py", "tests/test_oracle.py"]
    session.run("python", "-m", "pytest", "--timeout=3000", *profile, *files, *session.posargs)


@nox.session
def planted(session: nox.Session) -> None:
    """Bugs put in on purpose, and which kinds of tests see each; arguments choose bugs by word."""
    session.install("-e", ".[test]")
    session.run("python", "tests/planted_bugs.py", *session.posargs)


@nox.session(python="3.13")
def mutation(session: nox.Session) -> None:
    """Change one thing in the source at a time: a test has to fail; arguments go to the script."""
    install_group(session, "mutation")
    install_group(session, "types")
    session.install("-e", ".[test]")
    session.run("python", "tests/mutation.py", *session.posargs)
    if not session.posargs:
        session.run("python", "tests/constant_mutants.py")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and the spelling."""
    install_group(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell", "src", "tests", "docs", "examples", "benchmarks", *_pages())
    for schema, files in {
        "github-workflows": ["workflows/ci.yml", "workflows/release.yml"],
        "github-issue-forms": ["ISSUE_TEMPLATE/bug.yml", "ISSUE_TEMPLATE/feature.yml"],
        "github-issue-config": ["ISSUE_TEMPLATE/config.yml"],
        "readthedocs": ["../.readthedocs.yaml"],
    }.items():
        schemas = ["--builtin-schema", f"vendor.{schema}"]
        session.run("check-jsonschema", *schemas, *(f".github/{file}" for file in files))


@nox.session
def types(session: nox.Session) -> None:
    """mypy and pyright on all that is written; every public name completely typed."""
    install_group(session, "types")
    install_group(session, "docs")
    # Not editable: `--verifytypes` looks at the package as it is installed.
    session.install(".[test]", "nox")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "waitkit", "--ignoreexternal")


@nox.session
def package(session: nox.Session) -> None:
    """Build what would be published, check it, and import it where nothing else is installed."""
    install_group(session, "package")
    built = pathlib.Path(session.create_tmp()) / "dist"
    shutil.rmtree(built, ignore_errors=True)
    session.run("validate-pyproject", "pyproject.toml")
    session.run("python", "-m", "build", "--outdir", str(built))
    files = sorted(str(file) for file in built.iterdir())
    wheel = next(file for file in files if file.endswith(".whl"))
    session.run("twine", "check", "--strict", *files)
    session.run("check-wheel-contents", wheel)
    fresh = pathlib.Path(session.create_tmp()) / "fresh"
    session.run("python", "-m", "venv", "--clear", str(fresh))
    python = str(fresh / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", wheel, external=True)
    session.run(python, "-W", "error", "-c", "import waitkit; print(waitkit)", external=True)
    session.run(python, "-W", "error", "-m", "waitkit", silent=True, external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages into docs/_build/html; a reference that leads nowhere is an error."""
    install_group(session, "docs")
    session.install(".[testing]")
    strictly = ["-n", "-W", "--keep-going", "--fresh-env", "--quiet"]
    kept = ["-d", session.create_tmp()]  # what Sphinx keeps for itself, apart from the pages
    session.run("sphinx-build", "-b", "html", *strictly, *kept, "docs", "docs/_build/html")


@nox.session(name="docs-browser", venv_backend="none")
def docs_browser(session: nox.Session) -> None:
    """Open what `docs` has built in Chromium, by node; with an argument, leave pictures there."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if browser is None or shutil.which("npm") is None:
        session.error("needs Chromium (its path in CHROMIUM) and node with npm")
    packages = session.create_tmp()
    pinned = ["playwright-core@1.65.1", "axe-core@4.14.1"]
    session.run("npm", "install", "--silent", "--no-save", "--prefix", packages, *pinned)
    check = ["docs/check_in_browser.mjs", "docs/_build/html", packages, *session.posargs]
    session.run("node", *check, env={"CHROMIUM": browser})


@nox.session
def bench(session: nox.Session) -> None:
    """Print the ratios that the README and the docs quote; arguments go to the script."""
    session.install(".", "trio")
    session.run("python", "benchmarks/ratios.py", *session.posargs)
    session.run("python", "benchmarks/on_trio.py")


@nox.session
def peers(session: nox.Session) -> None:
    """Print what docs/why/comparison.md quotes; arguments go to the script."""
    install_group(session, "peers")
    session.install(".", "trio")
    session.run("python", "benchmarks/peers.py", *session.posargs)


def _pages() -> list[str]:
    return sorted(str(page) for page in pathlib.Path().glob("*.md"))
