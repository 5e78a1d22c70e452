"""Old sessions go at a start; the newest, the young and what has a name of its own stay."""

from __future__ import annotations

import json
import os
import time

import pytest

from lib.maintenance import retention
from lib.project.place import remove_journal
from lib.recording import journal
from lib.session import live
from lib.state import State

DAY = 86400


@pytest.fixture
def project(hooks, monkeypatch):
    """The hooks' project, with the hooks' key for what is seeded here."""
    monkeypatch.setenv("HOME", str(hooks.home))
    return hooks


def seed(hooks, session: str, days: float) -> None:
    """A session with a journal and a checkpoint that was active so long ago."""
    directory = str(hooks.directory)
    journal.write(directory, session, {"event": "UserPromptSubmit", "text": session})
    name = journal.stem(live.checkpoint_name(session))
    document = {"v": 1, "name": name, "created": journal.now(), "keys": {}}
    (hooks.directory / "checkpoints").mkdir(exist_ok=True)
    (hooks.directory / "checkpoints" / f"{name}.json").write_text(json.dumps(document))
    age(hooks, session, days)


def age(hooks, session: str, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(hooks.directory / "sessions" / f"{session}.jsonl", (then, then))


def kept(hooks) -> list[str]:
    return sorted(path.stem for path in (hooks.directory / "sessions").iterdir())


def checkpoints(hooks) -> list[str]:
    return sorted(path.stem for path in (hooks.directory / "checkpoints").glob("*.json"))


def names(first: int, last: int) -> list[str]:
    return [f"s{number:03d}" for number in range(first, last)]


@pytest.fixture
def many(project):
    """60 sessions: s000 is the oldest, 60 and a half days; the newest half a day."""
    for number in range(60):
        seed(project, f"s{number:03d}", 60.5 - number)
    return project


def test_a_start_removes_what_is_old_and_beyond_the_newest(many):
    many.start("new")
    assert kept(many) == ["new", *names(11, 60)]  # with the new one there are 50
    assert checkpoints(many) == [f"session-{name}" for name in names(11, 60)]


def test_old_sessions_among_the_newest_stay(project):
    for number in range(3):
        seed(project, f"s{number:03d}", 300)
    project.start("new")
    assert kept(project) == ["new", *names(0, 3)]


def test_young_sessions_beyond_the_newest_stay(project):
    for name in names(0, 55):
        seed(project, name, 29)
    project.start("new")
    assert kept(project) == ["new", *names(0, 55)]


def test_only_the_old_ones_beyond_the_newest_go(project):
    for name in names(0, 3):
        seed(project, name, 31)
    for name in names(3, 55):
        seed(project, name, 29)
    project.start("new")
    assert kept(project) == ["new", *names(3, 55)]


def test_named_checkpoints_and_keys_stay(many):
    many.cli("checkpoint", "release-1", "--session", "s000")
    many.cli("set", "plan", "1")
    age(many, "s000", 61)
    many.start("new")
    assert "s000" not in kept(many)
    assert "release-1" in checkpoints(many)
    assert State(many.directory, "").load_state("plan") == 1


def test_a_session_never_removes_itself(many):
    state = State(str(many.directory), "s000")
    assert "s000" not in retention.tidy(state)
    assert "s000" in kept(many)


def test_an_old_session_that_is_resumed_stays(many):
    many.start("s000", "resume")
    assert "s000" in kept(many)
    assert many.show("s000")["last_request"] == "s000"


def test_what_is_not_done_in_time_is_left_for_the_next_start(many, monkeypatch):
    monkeypatch.setattr(retention, "SECONDS", -1)
    state = State(str(many.directory), "new")
    assert retention.tidy(state) == []
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(many.home))
    assert retention.tidy(state) == names(0, 10)


def test_the_oldest_go_first(many):
    assert retention.tidy(State(str(many.directory), "new")) == names(0, 10)


@pytest.mark.parametrize("session", ["MixedCase", "with spaces\nand more", "x" * 200], ids=repr)
def test_a_session_of_any_name_goes_with_its_checkpoint(many, session):
    stem = journal.session_stem(session)
    seed(many, stem, 90)
    retention.tidy(State(str(many.directory), "new"))
    assert stem not in kept(many)
    assert len(checkpoints(many)) == 50


def test_what_is_no_journal_does_not_keep_the_rest(many):
    (many.directory / "sessions" / "odd.jsonl").mkdir()
    age(many, "odd", 90)
    many.start("new")
    assert not set(names(0, 10)) & set(kept(many))


def test_a_first_start_has_nothing_to_tidy(project):
    project.start("new")
    assert kept(project) == ["new"]


@pytest.mark.parametrize(
    "place",
    [
        "",
        "checkpoints",
        "keys",
        "sessions",
        "../..",
    ],
)
def test_stale_files_of_killed_writers_goes_when_it_is_old(project, tmp_path, place):
    seed(project, "a", 0)
    folder = project.directory / place
    for name, hours in ((".tmp-old", 2), (".tmp-young", 0)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - hours * 3600,) * 2)
    project.start("new")
    assert [path.name for path in folder.glob(".tmp-*")] == [".tmp-young"]
    assert (tmp_path / "home/.local/state/workflow-state/key").stat().st_size == 32


def test_a_journal_that_goes_while_it_is_opened_is_read_all_the_same(project, monkeypatch):
    seed(project, "going", 0)
    directory, real = str(project.directory), os.fstat

    def remove_first(descriptor: int) -> os.stat_result:
        remove_journal(directory, "going")
        return real(descriptor)

    monkeypatch.setattr("os.fstat", remove_first)
    state = State(directory, "")
    assert state.sessions.glimpse("going")["last_request"] == "going"
    assert (state.sessions.glimpse("going"), state.sessions.notices) == (None, [])
