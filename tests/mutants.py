"""Mutants of the source: mutmut's, and of decorated functions too.

mutmut leaves decorated functions alone, since its copies of a function would be decorated again.
Here a mutant is not a copy: its code takes the place of the code of the function that is there, in
a process forked for it. So decorators do not matter, and are hidden from mutmut.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import gc
import importlib
import os
import pathlib
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple

TESTS = pathlib.Path(__file__).parent
DECORATOR = re.compile(r"^( *)@(?!overload\b|final\b|dataclass\b)(.*)$", re.MULTILINE)
DECORATOR_SHOWN = re.compile(r"^( *)# @(.*)$", re.MULTILINE)


class Place(NamedTuple):
    """What tells a mutant from others, whatever else changes: no line numbers."""

    file: str  # in src/waitkit
    function: str  # its qualified name; of the outermost, where functions are nested
    old: str  # the lines that differ
    new: str


class Mutant(NamedTuple):
    """One that has not been made yet, for that takes time."""

    file: str
    function: str
    first_line: int
    render: Callable[[], tuple[Place, str]]  # and the text of the whole file


def mutants_of(package: pathlib.Path, file: str) -> Iterator[Mutant]:
    """All that mutmut makes of a file."""
    # By name, for the type checkers run where mutmut is not.
    metadata = importlib.import_module("libcst.metadata")
    mutmut = importlib.import_module("mutmut.mutation.file_mutation")
    text = (package / file).read_text(encoding="utf-8")
    hidden = DECORATOR.sub(r"\1# @\2", text)
    module, mutations, *_ = mutmut.create_mutations(file, hidden)
    wrapper = metadata.MetadataWrapper(module, unsafe_skip_copy=True)
    positions = wrapper.resolve(metadata.PositionProvider)
    names = _functions(hidden)
    for mutation in mutations:
        function = mutation.contained_by_top_level_function
        first = positions[function].start.line if function in positions else 0
        if first not in names:
            continue  # the body of a class

        def render(mutation: Any = mutation, name: str = names[first]) -> tuple[Place, str]:
            changed = mutmut.deep_replace(module, mutation.original_node, mutation.mutated_node)
            return Place(file, name, *_difference(hidden, changed.code)), changed.code

        yield Mutant(file, names[first], first, render)


def _functions(text: str) -> dict[int, str]:
    """The functions that are in no other one, by the line where they begin."""
    names = {}
    for node in ast.parse(text).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for each in inner:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                names[each.lineno] = prefix + each.name
    return names


def _difference(old: str, new: str) -> tuple[str, str]:
    before, after = old.splitlines(), new.splitlines()
    parts: tuple[list[str], list[str]] = [], []
    for what, a, b, c, d in difflib.SequenceMatcher(None, before, after, False).get_opcodes():
        if what != "equal":
            parts[0].extend(before[a:b])
            parts[1].extend(after[c:d])
    lines = ["\n".join(line.strip() for line in part) for part in parts]
    return lines[0], lines[1]


def listed_survivors() -> dict[Place, str]:
    """The mutants that nothing has to see, and the reasons."""
    listed = tomllib.loads((TESTS / "survivors.toml").read_text(encoding="utf-8"))
    return {
        Place(*each): entry["reason"] for entry in listed["survivors"] for each in entry["mutants"]
    }


def functions_of(package: pathlib.Path) -> dict[tuple[str, str], list[FunctionType]]:
    """All functions of the package, by file and qualified name."""
    found = defaultdict(list)
    prefix = f"{package}{os.sep}"
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(prefix):
            code = each.__code__
            found[code.co_filename.removeprefix(prefix), code.co_qualname].append(each)
    return found


def become(
    mutant: Mutant,
    text: str,
    package: pathlib.Path,
    functions: dict[tuple[str, str], list[FunctionType]],
) -> None:
    """Have this process run the mutant from now on."""
    path = str(package / mutant.file)
    code = _find_code(compile(text, path, "exec"), mutant)
    (arguments,) = (
        node.args
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.lineno == mutant.first_line
    )
    found = functions[mutant.file, mutant.function]
    if not found:
        raise LookupError(f"{mutant.file} {mutant.function} is not there to be changed")
    for function in found:
        _swap(function, code)

        def value(node: ast.expr, names: dict[str, Any] = function.__globals__) -> Any:
            return eval(compile(ast.Expression(node), path, "eval"), names)

        function.__defaults__ = tuple(map(value, arguments.defaults)) or None
        function.__kwdefaults__ = {
            argument.arg: value(node)
            for argument, node in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if node is not None
        }


def _find_code(module: CodeType, mutant: Mutant) -> CodeType:
    codes: list[Any] = [module]
    for code in codes:
        if code.co_qualname == mutant.function and code.co_firstlineno == mutant.first_line:
            assert isinstance(code, CodeType)
            return code
        codes.extend(const for const in code.co_consts if isinstance(const, CodeType))
    raise LookupError(mutant.function)


def _swap(function: FunctionType, code: CodeType) -> None:
    was = function.__code__
    function.__code__ = code
    from trio._core import _ki

    # Trio's protection from Ctrl-C goes by the code.
    with contextlib.suppress(KeyError):
        _ki._CODE_KI_PROTECTION_STATUS_WMAP[code] = _ki._CODE_KI_PROTECTION_STATUS_WMAP[was]
