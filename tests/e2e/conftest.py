"""What the tests with the real client use: `claude`, a place with the client and a scripted model.

They run where they are asked for: `make e2e-print`, `make e2e-interactive`, or `pytest -m e2e` and
`pytest -m interactive` with any choice of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import absent

from . import package
from .client import Claude
from .sandbox import Unavailable

HERE = Path(__file__).resolve().parent
CACHE = package.cache()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is marked, so that a run of all tests passes it by."""
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("interactive"):
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A scenario that was asked for and could not run has failed, in CI or not; it says why."""
    report = yield
    if report.skipped and HERE in item.path.parents:
        report.outcome, report.longrepr = "failed", f"could not run: {report.longrepr[2]}"
    return report


@pytest.fixture(scope="session")
def program() -> Path:
    """The client, of the version that is asked for."""
    try:
        return package.client(CACHE)
    except package.Missing as missing:
        absent(str(missing))


@pytest.fixture
def bare(tmp_path: Path, program: Path) -> Iterator[Claude]:
    """A place with the bundle in it, where nothing is registered yet.

    At the end the whole script must have been played, and no hook may be left behind.
    """
    try:
        claude = Claude(tmp_path / "place", program)
    except Unavailable as reason:
        absent(str(reason))
    try:
        yield claude
        assert claude.mock.strays == []
        assert claude.mock.left() == {}
        claude.wait_for(
            lambda: not any("/hooks/" in line for line in claude.sandbox.processes().values()),
            "a hook was left behind",
        )
    finally:
        claude.close()


@pytest.fixture
def claude(bare: Claude) -> Claude:
    """A place where the hooks are registered by settings.example.json."""
    bare.register()
    return bare
