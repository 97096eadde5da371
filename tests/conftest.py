"""What every test may rely on: the same examples, English words, an empty cache."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

import warm
from browser import chromium
from sumtoone.language import speak

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Two test processes with two threads each on two cores spend their time waiting for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# What a script begins in the background ignores Ctrl-C, and so would every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


# --- properties: the same examples every time, however slow the machine; new ones under `make fuzz`

settings.register_profile(
    "same",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("new", settings.get_profile("same"), derandomize=False, print_blob=True)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", type=int, metavar="EXAMPLES", help="run the properties alone, with so many new examples")
    parser.addoption("--until", type=float, default=float("inf"), help="the time after which no property is begun")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "measured: what runs in this test's new interpreters counts as covered")
    if config.getoption("fuzz"):
        settings.load_profile("new")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    examples = config.getoption("fuzz")
    if not examples:
        return
    properties = [item for item in items if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj)]
    for item in properties:
        # What a property's own @settings say stands above every profile; there is no public way past them.
        test = getattr(item.obj, "__func__", item.obj)
        test._hypothesis_internal_use_settings = settings(
            test._hypothesis_internal_use_settings,
            max_examples=examples,
            suppress_health_check=list(HealthCheck),
        )
    # Where the time does not suffice for all, another part is left out in every round.
    random.Random(str(config.getoption("--hypothesis-seed"))).shuffle(properties)
    items[:] = properties


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Let no process measure what it covers but those that are asked to; it costs each a third of its time."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS_")]:
        warm.measuring[name] = os.environ.pop(name)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    given = any("simd" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "simd" in metafunc.fixturenames and not given:
        # Not before a test wants it: it loads PyTorch.
        from sumtoone import native

        metafunc.parametrize("simd", native.status().instruction_sets, indirect=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.time() > item.config.getoption("until"):
        pytest.skip("the time is over")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo and item.config.getoption("fuzz"):
        lines = _to_paste(call.excinfo.value, {"self", *getattr(item, "funcargs", {})})
        report.sections.append((f"to paste above {item.originalname}", "\n".join(lines)))
    return report


def _to_paste(error: BaseException, fixtures: set[str]) -> list[str]:
    """Return the decorators with which each failure that hypothesis found comes back every time."""
    lines = []
    for one in error.exceptions if isinstance(error, BaseExceptionGroup) else [error]:
        notes = "\n".join(getattr(one, "__notes__", []))
        found = re.search(r"^Failing test case: \w+\(\n(.*?)^\)", notes, re.M | re.S)
        given = re.findall(r"^    (\w+)=(.*?),(?:  #[^\n]*)?\n(?=    \w+=|\Z)", found[1], re.M | re.S) if found else []
        if given and ("data", "data(...)") not in given:
            values = ", ".join(f"{name}={value}" for name, value in given if name not in fixtures)
            lines.append(f"@example({values})")
        # The same bytes drawn again: for values whose repr is not the whole of them, such as a tensor's.
        lines += re.findall(r"@reproduce_failure\(.*\)", notes)
    return lines


# --- fixtures


@pytest.fixture(autouse=True)
def _own_surroundings(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    speak(None)
    if request.node.get_closest_marker("measured"):
        for name, value in warm.measuring.items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("SUMTOONE_LANG", "en")
    monkeypatch.setenv("SUMTOONE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for all tests of a module."""
    with chromium() as started:
        yield started


@pytest.fixture
def mnist_folder() -> Iterator[Path]:
    """The folder of the full MNIST files; skips where ``SUMTOONE_DATA`` names none."""
    for folder in filter(None, os.environ.get("SUMTOONE_DATA", "").split(os.pathsep)):
        found = Path(folder).resolve() / "mnist"
        if (found / "train-images-idx3-ubyte.gz").exists():
            yield found
            return
    pytest.skip("needs the full MNIST files: set SUMTOONE_DATA to the folder that holds mnist/")


@pytest.fixture
def simd(request: pytest.FixtureRequest) -> Iterator[str]:
    """One instruction set of this machine after the other; skips where there are no kernels."""
    from sumtoone import native

    kernels = native.kernels()
    assert kernels is not None
    before = kernels.chosen()
    kernels.choose(request.param)
    yield request.param
    kernels.choose(before)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets torch's threads, for the length of the test."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
