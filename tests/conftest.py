"""Every `async def` test runs in virtual time, once per mode of the event loop.

The modes: asyncio's default, its debug mode, and the eager task factory (3.12 and later); Trio; and
a backend through anyio on either loop, which checks the other two. A test marked `only("asyncio")`
or `only("trio")` is about what there is on one of them alone. A test marked `real_time` runs on a
real event loop instead, on asyncio's and on uvloop.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import Phase, settings

import virtual_time

# These answer the same each time; the long one goes looking for what nobody has seen.
settings.register_profile("default", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("ci", max_examples=1_000, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=100_000, deadline=None)
# Where the tests are to fail on bugs put in on purpose: nobody reads the example.
settings.register_profile(
    "planted",
    max_examples=100,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
)
settings.register_profile("mutation", settings.get_profile("planted"), max_examples=10)
settings.load_profile("default")


ONLY: dict[str, tuple[str, ...]] = {
    "asyncio": virtual_time.ASYNCIO_MODES,
    "trio": ("trio",),
    "blocks": virtual_time.BLOCK_MODES,
    "direct": (*virtual_time.ASYNCIO_MODES, "trio"),  # the backends that users have
    "once": ("default", "trio"),  # once for each of them: what takes its time
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive", action="store_true", help="enumerate all schedules, those of four jobs too"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "exhaustive: runs with --exhaustive only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("exhaustive"):
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many cases the tests have enumerated."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for report in terminalreporter.getreports("passed"):
        for name, number in report.user_properties:
            if name in ("cases", "plays") and report.when == "call":
                counts[report.nodeid.split("[")[0]][name] += int(number)
    for test, count in counts.items():
        terminalreporter.write_line(f"{count['cases']:,} cases, {count['plays']:,} plays: {test}")


def pytest_runtest_logfinish() -> None:
    """Let the collection after each test look only at what that test has made."""
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function):
        if metafunc.definition.get_closest_marker("real_time"):
            modes: tuple[str, ...] = ("asyncio", "uvloop")
        elif only := metafunc.definition.get_closest_marker("only"):
            modes = ONLY[only.args[0]]
        else:
            modes = virtual_time.MODES
        metafunc.fixturenames.append("loop_mode")
        metafunc.parametrize("loop_mode", modes)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    function = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        return None
    names = inspect.signature(function).parameters
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}
    mode: Any = pyfuncitem.callspec.params["loop_mode"]

    async def main() -> None:
        await function(**arguments)

    if mode in virtual_time.MODES:
        virtual_time.run(main, mode=mode)
    else:
        _run_for_real(main, mode)
    return True


def _run_for_real(main: Any, mode: str) -> None:
    factory = asyncio.new_event_loop
    if mode == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.get_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

        async def checked() -> None:
            await asyncio.wait_for(main(), 30)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"left running: {left}"

        runner.run(checked())
        gc.collect()
    assert not complaints, f"the loop's exception handler was called: {complaints}"
