"""The faults: they need Linux, strace and minutes, so they run where they are asked for.

`make faults`, or `pytest -m faults` with any choice of them. Each fault tried is counted for the
table of docs/reliability.md.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import absent

from . import strace as tracing
from .report import COLUMNS, Tally
from .workloads import Bench

HERE = Path(__file__).resolve().parent
TALLY = pytest.StashKey[Tally]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is marked, so that a run of all tests passes it by."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = Tally()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash[TALLY].rows:
        session.config.stash[TALLY].save()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """A test of one fault each is counted under its module's ROW, its failure by its kind."""
    row = getattr(item.module, "ROW", "") if HERE in item.path.parents else ""
    skipped = call.excinfo and call.excinfo.errisinstance(pytest.skip.Exception)
    if row and not skipped and (call.when == "call" or call.excinfo):
        kinds = []
        if call.excinfo:
            kinds = [getattr(call.excinfo.value, "kind", next(iter(COLUMNS)))]
        item.config.stash[TALLY].add(row, item.nodeid, 1, kinds)
    return (yield)


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Tally:
    """The counts of this run, for those who try many faults in one test."""
    return request.config.stash[TALLY]


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Where worlds are made: in memory where that can be had, which halves the time."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 32 << 20
    base = Path(tempfile.mkdtemp(dir=memory)) if roomy else tmp_path_factory.mktemp("faults")
    bench = Bench(base)
    yield bench
    bench.close()
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def strace() -> None:
    """Whatever is traced needs this."""
    reason = tracing.missing()
    if reason:
        absent(reason)
