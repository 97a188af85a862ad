"""A scenario that is run again and again, and struck at another moment each time.

`cancel_everywhere` and `raise_everywhere` share this. What strikes, and what then has to come out,
is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeAlias

from ._failures import Ending
from ._watching import collecting_only_what_is_new

Scenario: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


class Run(NamedTuple):
    ending: Ending[Any]
    moments: int  # that it had before main ended: at each it can be struck
    struck: str | None  # what was struck, and where that was; None: nothing was
    error: Exception | None = None  # what was raised in it then


def strike_everywhere(
    run_once: Callable[[int | None], Run],
    *,
    by: str,
    untouched: str,
    headline: Callable[[Run, int, int], str],
    wrong_end: Callable[[Run], str],
    mistake: type[AssertionError],
) -> int:
    """Run once untouched, then once for each moment that this had.

    Args:
        run_once: runs the scenario, struck at a moment by its number, or untouched.
        by: the name of the public function.
        untouched: which run that is.
        headline: of a run that was struck at a moment, the number of that and of all of them.
        wrong_end: what is wrong with how main has ended, if anything; it has not hung.
        mistake: the failure that this is.

    Returns:
        The number of runs.
    """
    __tracebackhide__ = True
    with collecting_only_what_is_new():
        ending, moments, *_ = run_once(None)
        try:
            ending.unwrap()
        except BaseException as error:
            error.add_note(f"waitkit.testing.{by}: in the run {untouched}")
            raise
        for moment in range(moments):
            # Nothing here holds a run, or what it has dropped would be found in the next.
            _check(run_once(moment), moment, moments, headline, wrong_end, mistake)
    return moments + 1


def _check(
    run: Run,
    moment: int,
    moments: int,
    headline: Callable[[Run, int, int], str],
    wrong_end: Callable[[Run], str],
    mistake: type[AssertionError],
) -> None:
    """Raise what is wrong with a run, if anything is."""
    __tracebackhide__ = True
    ending = run.ending
    if ending.interrupted():
        ending.unwrap()
    # That it hangs says it all. Else how it has ended comes before what it has left.
    if not ending.hung and (wrong := wrong_end(run)):
        ending.findings.insert(0, mistake(wrong))
    if not ending.findings:
        return
    first, *others = ending.findings
    failure = type(first)(f"{headline(run, moment, moments)}\n{first}")
    for note in getattr(first, "__notes__", ()):
        failure.add_note(note)
    for other in others:
        failure.add_note(f"and {type(other).__name__}: {other}")
    failure.__cause__ = first.__cause__ or ending.error
    raise failure
