"""The usual bugs of code around `asyncio.wait`, each put in on purpose: which proofs see it?

`nox -s planted` prints the table of docs/why/proofs.md. Each bug has to be caught by at least two
kinds of tests, made independently; arguments name the bugs to try, by words of their names.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
import time

from planting import Change, Result, planted, run_tests

BUGS: dict[str, tuple[Change, ...]] = {
    "drop a same-tick result": (  # the `done.pop()` of a loop on `asyncio.wait`
        Change(
            "_stream.py",
            """EACH)
                    result = crew.deliver()
""",
            """EACH)
                    result = crew.deliver()
                    crew.results.finished.clear()
""",
        ),
    ),
    "forget to await": (  # the jobs that were cancelled
        Change("_ending.py", "cancelled = await self._backend.outlast(until)", "cancelled = None"),
    ),
    "swallow a cancellation": (  # one that comes while the jobs are awaited
        Change("_ending.py", "            return cancelled\n", "            return None\n"),
    ),
    "refill one slot too few": (
        Change("_starting.py", "repeat(None, room)", "repeat(None, room - bool(busy))"),
    ),
    "deliver ties reversed": (
        Change(
            "_stream.py",
            """EACH)
                    result = crew.deliver()
""",
            """EACH)
                    if not crew.policy.ordered:
                        crew.results.finished.reverse()
                    result = crew.deliver()
""",
        ),
    ),
    "cancel a job twice": (Change("_roster.py", "            self._asked.update(doomed)\n", ""),),
    "skip dispose": (  # of what a job returns though it was cancelled
        Change("_crew.py", "self._ending.discard(job.result())", "pass"),
    ),
    "keep a delivered result": (
        Change("_results.py", "self.finished.pop(index)", "self.finished[index]"),
    ),
    "cancel what is borrowed": (
        Change(
            "_roster.py",
            "self.lent.update(aw.future for aw in aws if isinstance(aw, Borrowed))",
            "self.lent.clear()",
        ),
    ),
}

DRAWN = "--hypothesis-profile=planted"
KINDS: dict[str, tuple[str, ...]] = {
    "property": ("tests/test_properties.py", DRAWN),
    "oracle": ("tests/test_oracle.py", DRAWN),
    "exhaustive": ("tests/test_exhaustive.py",),
    "stateful": ("tests/test_stateful.py", DRAWN),
}
NOT_RULES = (
    *(files[0] for files in KINDS.values()),
    "tests/test_planted_bugs.py",  # which is about the source as it is
    "tests/test_docs.py",
    "tests/test_tour.py",
    "tests/test_examples.py",
)
KINDS["rule"] = ("tests", *(f"--ignore={file}" for file in NOT_RULES))

SECONDS = 3000  # for one kind of tests, which take a minute or two where there is no bug
ENOUGH = 2  # kinds that see a bug


def main(words: list[str]) -> int:
    bugs = [bug for bug in BUGS if not words or any(word in bug for word in words)]
    few = []
    print(f"| bug | {' | '.join(KINDS)} |", f"|---|{'---|' * len(KINDS)}", sep="\n")
    for bug in bugs:
        answers = try_bug(bug)
        print(f"| {bug} | {' | '.join(answers.values())} |", flush=True)
        if sum(answer != "passes" for answer in answers.values()) < ENOUGH:
            few.append(bug)
    if few:
        print(f"seen by fewer than {ENOUGH} kinds of tests: {', '.join(few)}", file=sys.stderr)
    return bool(few)


def try_bug(bug: str) -> dict[str, Result]:
    """How each kind of tests fares on it, and the seconds that it takes."""
    answers: dict[str, Result] = {}
    with (
        tempfile.TemporaryDirectory() as workplace,
        planted(BUGS[bug], pathlib.Path(workplace)) as source,
    ):
        for kind, arguments in KINDS.items():
            began = time.monotonic()
            answers[kind] = run_tests(source, *arguments, seconds=SECONDS)
            took = time.monotonic() - began
            print(f"{bug}: {kind} {answers[kind]} after {took:.0f} s", file=sys.stderr, flush=True)
    return answers


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
