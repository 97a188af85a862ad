"""The reference as people can read it: few overloads of each function, and their options once.

Each helper has up to a dozen overloads, since a tuple of inputs is typed place by place up to ten
places. Shown are one for an iterable with all options, one that stands for the tuples, and one for
keyed inputs. They are made from the source, so that they cannot grow old.
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import PyFunction
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.inspect import stringify_signature

# What the source calls by short names of its own, as readers know it.
MEANINGS = {
    r"Inputs2\[T1, T2\]": "tuple[Awaitable[T1], Awaitable[T2], ...]",
    r"^tuple\[T1, T2\]": "tuple[T1, T2, ...]",
    r"Winner2\[T1, T2\]": "tuple[Literal[0], T1] | tuple[Literal[1], T2] | ...",
    r" \| Keyed\[K, T\]": "",
    r"\bInput\b": "Awaitable",
    r"\bBorrowed\b": "Awaitable",
    r"\bDispose\b": "Callable[[Any], object] | None",
    r"\bCatch\b": "type[Exception] | tuple[type[Exception], ...]",
    r"\b(AsyncIterable|Iterable|Mapping|Awaitable|Callable)\b": r"~collections.abc.\1",
    r"\b(Any|Literal)\b": r"~typing.\1",
    r"\b(ResultStream|Partial|Outcome)\b": r"~waitkit.\1",
    r"\bst\.SearchStrategy\b": "~hypothesis.strategies.SearchStrategy",
    r"\b(Caller|Consumer|Job|Kind|Schedule)\b": r"~waitkit.testing.strategies.\1",
}
LONGEST = 88  # characters of a signature on one line
REST = "**options"  # what the parser takes for the options, and readers see as three dots


def meaning(annotation: Any) -> Any:
    if not isinstance(annotation, str):
        return annotation
    for pattern, replacement in MEANINGS.items():
        annotation = re.sub(pattern, replacement, annotation)
    return annotation


def overloads(function: Any) -> list[inspect.Signature]:
    """The signatures to show: the plainest first, and of those for tuples one."""
    analyzer = ModuleAnalyzer.for_module(function.__globals__["__name__"])
    analyzer.analyze()
    found = analyzer.overloads.get(function.__qualname__, [inspect.signature(function)])
    return [signature for signature in reversed(found) if _is_shown(signature)]


def _is_shown(signature: inspect.Signature) -> bool:
    first = next(iter(signature.parameters.values()), None)
    aws = "" if first is None else str(first.annotation)
    return not re.match(r"Inputs(1|[3-9]|10)\b|tuple\[Input\[T\], \.\.\.\]", aws)


def lines(function: Any) -> list[str]:
    """A line for each signature; all but the first without their options."""
    shown: list[str] = []
    for signature in overloads(function):
        parameters = [
            parameter.replace(annotation=meaning(parameter.annotation))
            for parameter in signature.parameters.values()
            if parameter.name != "others"  # there only to say what to write instead
        ]
        if shown:
            rest = inspect.Parameter(REST.lstrip("*"), inspect.Parameter.VAR_KEYWORD)
            parameters = [p for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
            parameters.append(rest)
        result = meaning(signature.return_annotation)
        shown.append(stringify_signature(inspect.Signature(parameters, return_annotation=result)))
    return shown


def first_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, args: str, result: str
) -> tuple[str, str] | None:
    """Have autodoc write the first of them; and none for what readers never make themselves."""
    if name in ("waitkit.ResultStream", "waitkit.Partial"):
        return "", ""
    if what != "function":
        return None
    args, _, result = lines(obj)[0].rpartition(" -> ")
    return args, result


class Function(PyFunction):
    """A `py:function` that adds the others."""

    def get_signatures(self) -> list[str]:
        given = super().get_signatures()
        name = given[0].partition("(")[0]
        function = getattr(sys.modules[self.options["module"]], name)
        return [*given, *(name + line for line in lines(function)[1:])]

    def handle_signature(self, sig: str, signode: addnodes.desc_signature) -> tuple[str, str]:
        name = super().handle_signature(sig, signode)
        parameters = list(signode.findall(addnodes.desc_parameter))
        if parameters and parameters[-1].astext() == REST:
            parameters[-1].children = [addnodes.desc_sig_punctuation("", "…")]
        elif len(signode.astext()) > LONGEST:
            _break_lines(parameters)
        return name


def _break_lines(parameters: list[addnodes.desc_parameter]) -> None:
    """A line for each parameter, by the style sheet; a slash or a star does not fill one.

    Sphinx's own way is a list of definitions that define nothing, which screen readers stumble at.
    """
    before = ""
    for parameter in parameters:
        mark = parameter.astext()
        if mark != "/" and before != "*":
            parameter.insert(0, nodes.inline(classes=["sig-break"]))
        before = mark
    parameters[-1].append(nodes.inline(classes=["sig-break", "sig-end"]))


def set_off_topics(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Have the paragraphs on order and cancellation found at a glance, and types in few words."""
    lines[:] = [re.sub(r"^(Order|Cancellation):(?= )", r"**\1:**", line) for line in lines]
    lines[:] = [
        re.sub(r"\b(?=waitkit\.)", "~", line) if line.startswith(":vartype ") else line
        for line in lines
    ]


def give_results_no_type(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Have a colon in the first line of "Returns:" be a colon; the type is in the signature."""
    for index, line in enumerate(lines[1:], 1):
        if lines[index - 1] == "Returns:":
            lines[index] = line.replace(line.strip(), f": {line.strip()}")


def setup(app: Sphinx) -> dict[str, bool]:
    for field in PyFunction.doc_field_types:  # one list for all kinds of objects
        if field.name == "variable":
            field.label = "Attributes"
    app.connect("autodoc-process-signature", first_signature)
    app.connect("autodoc-process-docstring", give_results_no_type, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", set_off_topics)
    app.add_directive_to_domain("py", "function", Function, override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
