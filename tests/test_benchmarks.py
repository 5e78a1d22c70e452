"""The benchmarks measure what they say: sessions that count, hooks that record, failures that show."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import rows
from benchmarks.timing import Command, Failed, compare, run
from benchmarks.worlds import ROOT, SESSION, Tape, World, make_key
from lib.state import State


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world of the benchmarks, whose home is this process's own too."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return World(tmp_path / "home", tmp_path / "project", sys.executable)


def test_a_long_session_is_one_that_the_hooks_believe(world: World, tmp_path: Path) -> None:
    tape = Tape(tmp_path / "tape", make_key(world), 3000)
    tape.put(world, 2000)
    live = State(world.state, SESSION).live()
    assert live["counts"]["calls"] == len(live["files_processed"]) == 1000
    assert live["journal"]["problems"] == {}
    assert live["journal"]["offset"] == world.journal.stat().st_size


def test_a_record_of_the_tape_is_as_a_hook_writes_it(world: World, tmp_path: Path) -> None:
    Tape(tmp_path / "tape", make_key(world), 1000).put(world, 1000)
    taped = [json.loads(line) for line in world.journal.read_text().split()[:2]]
    world.journal.unlink()
    for event, script in rows.TOOL_HOOKS.items():
        run(world.hook(script, world.write_event(event, 2048)))
    written = [json.loads(line) for line in world.journal.read_text().split()]
    assert [list(record) for record in taped] == [list(record) for record in written]


@pytest.mark.parametrize("design", ["naive", "usual"])
def test_the_other_designs_record_as_well(world: World, design: str) -> None:
    hook = world.script(
        ROOT / "benchmarks" / design / "hook.py", world.write_event("PostToolUse", 2048)
    )
    run(hook)
    run(hook)
    (records,) = (
        value
        for value in json.loads((world.in_project / "records.json").read_text()).values()
        if isinstance(value, list)
    )
    assert [record["path"] for record in records] == [f"{world.project}/src/main.py"] * 2


@pytest.mark.parametrize("megabytes", [1, 5])
def test_large_events_are_as_large_as_they_are_said_to_be(world: World, megabytes: int) -> None:
    for event in rows.TOOL_HOOKS:
        size = Path(world.write_event(event, megabytes << 20)).stat().st_size
        assert 0.9 < size / (megabytes << 20) < 1.1


def test_a_hook_that_fails_is_not_timed(world: World, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.touch()
    with pytest.raises(Failed, match=r"^`pre_tool.py` ended with wait status 256"):
        compare(world.hook("pre_tool.py", str(nothing)), world.bare(), seconds=0)


def test_what_cannot_be_measured_is_missed(world: World) -> None:
    def measure():
        return run(Command(("/bin/sh", "-c", "exit 3"), {}, str(world.project)))

    row = rows.row("what", measure, 1.0)
    assert (row.met, row.target) == (False, "at most 1.00")
    assert row.measured.startswith("not measured: ")
