"""What the tests of the report share: projects with work in them, and pages of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.report.gather import gather
from lib.report.page import page

from . import worlds


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> worlds.World:
    """A project without sessions, whose clock is the test's."""
    return worlds.World(tmp_path / "harbour", tmp_path / "home", monkeypatch)


@pytest.fixture
def week(world: worlds.World) -> worlds.World:
    """The same after a week of work."""
    return worlds.week(world)


def data_of(world: worlds.World, **options: object) -> dict:
    """The data of a world's report."""
    return gather(world.state(), **options)


def page_of(world: worlds.World, path: Path) -> Path:
    """A world's report as a file."""
    path.write_text(page(data_of(world)), encoding="ascii")
    return path


def only(data: dict) -> dict:
    """The one session of a report's data."""
    (session,) = data["sessions"]
    return session


def kinds(session: dict) -> list[str]:
    """The kinds of a session's marks, in their order."""
    return [mark["kind"] for mark in session["marks"]]
