"""Everything that is checked, each as a session: `nox -l` lists them, `nox` runs the usual ones."""

from __future__ import annotations

import pathlib
import shutil

import nox

nox.needs_version = ">=2024.10.9"  # dependency groups
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "package", "tests", "properties"]

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
def properties(session: nox.Session) -> None:
    """The property-based tests, on more schedules than usual; arguments go to pytest."""
    session.install("-e", ".[test]")
    profile = [] if session.posargs else ["--hypothesis-profile=ci"]
    files = ["tests/test_properties.py", "tests/test_oracle.py"]
    session.run("python", "-m", "pytest", "--timeout=3000", *profile, *files, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and the spelling."""
    install_group(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell", "src", "tests", "docs", "examples", "benchmarks", *_pages())


@nox.session
def types(session: nox.Session) -> None:
    """mypy and pyright on all that is written; every public name completely typed."""
    install_group(session, "types")
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
def bench(session: nox.Session) -> None:
    """Print the ratios that the README and the docs quote; arguments go to the script."""
    session.install(".", "trio")
    session.run("python", "benchmarks/ratios.py", *session.posargs)
    session.run("python", "benchmarks/on_trio.py")


def _pages() -> list[str]:
    return sorted(str(page) for page in pathlib.Path().glob("*.md"))
