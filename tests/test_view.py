"""The view in the project: plain copies, which are never believed and never in another's way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lib.project import view as view_module
from lib.state import State
from lib.stores import KEYS
from tests.conftest import Hooks, absent


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def view(project: Path, key: str) -> Path:
    return project / ".claude/state" / f"{key}.json"


def test_a_saved_key_is_there_as_plain_json_and_hidden_from_git(project):
    State().save_state("plan", {"step": 2})
    copy = json.loads(view(project, "plan").read_text())
    assert copy["value"] == {"step": 2}
    assert sorted(copy) == ["timestamp", "value"]
    assert (project / ".claude/state/.gitignore").read_text() == "*\n"


def test_a_stop_writes_phase_and_files(hooks: Hooks):
    hooks.call("one", "Write", "t1", {"file_path": str(hooks.project / "a.py")})
    hooks.stop("one")
    assert json.loads((hooks.view / "current_phase.json").read_text())["value"] == "build"
    assert json.loads((hooks.view / "files_processed.json").read_text())["value"] == ["a.py"]


def test_what_a_person_edits_is_loaded_and_not_kept(project):
    state = State()
    state.save_state("plan", 1)
    view(project, "plan").write_text('{"value": 2}')
    assert state.load_state("plan") == 2
    state.checkpoint("one")
    assert state.read_checkpoint("one")["keys"]["plan"]["value"] == 1
    view(project, "plan").write_text('{"value": ')
    assert state.load_state("plan") == 1
    state.save_state("plan", 3)
    assert state.load_state("plan") == 3


def test_a_copy_that_is_older_than_the_key_is_no_edit(project):
    state = State()
    state.save_state("plan", 1)
    old = view(project, "plan").read_bytes()
    state.save_state("plan", 2)
    os.chmod(project / ".claude/state", 0o700)
    state.view.publish = lambda documents: None  # the view cannot be written now
    state.save_state("plan", 3)
    assert State().load_state("plan") == 3
    assert view(project, "plan").read_bytes() != old


def test_a_copy_that_is_being_replaced_is_no_edit(project, monkeypatch):
    """A reader meets each moment between the note, the new copy and the note before."""
    state = State()
    state.save_state("plan", 1)
    real, seen = view_module.durable.replace, []

    def looking(*arguments, **options):
        seen.append(State().load_state("plan"))
        real(*arguments, **options)
        seen.append(State().load_state("plan"))

    monkeypatch.setattr(view_module.durable, "replace", looking)
    for value in (2, 3):
        state.store.write(
            KEYS, "plan", state.store.sign("plan", {"value": value, "timestamp": "x"})
        )
        seen.clear()
        state.view.publish({"plan": {"value": value, "timestamp": "x"}})
        assert set(seen) == {value}


def test_a_restore_and_a_removal_reach_it(project):
    state = State()
    state.save_state("plan", 1)
    state.checkpoint("one")
    state.save_state("plan", 2)
    state.save_state("late", 3)
    state.restore_checkpoint("one")
    assert json.loads(view(project, "plan").read_text())["value"] == 1
    assert not view(project, "late").exists()
    state.delete_state("plan")
    assert not view(project, "plan").exists()
    assert state.load_state("plan") is None


@pytest.mark.parametrize("theirs", ['{"task": "x"}', '{"value": 1, "owner": "x"}', "", "[]"])
def test_another_tools_file_stays_and_the_key_is_kept(project, theirs):
    view(project, "task").parent.mkdir(parents=True)
    view(project, "task").write_text(theirs)
    state = State()
    state.save_state("task", "mine")
    assert view(project, "task").read_text() == theirs
    assert state.load_state("task") == "mine"
    state.delete_state("task")
    assert view(project, "task").read_text() == theirs


@pytest.mark.parametrize("part", [".claude", ".claude/state"])
def test_nothing_is_written_through_a_link(project, tmp_path, part):
    (tmp_path / "elsewhere").mkdir()
    (project / part).parent.mkdir(exist_ok=True)
    (project / part).symlink_to(tmp_path / "elsewhere")
    State().save_state("plan", 1)
    assert State().load_state("plan") == 1
    assert list((tmp_path / "elsewhere").rglob("*")) == []


def test_nothing_is_written_in_another_users_project(project):
    if os.geteuid() != 0:
        absent("only root can give a directory away")
    os.chown(project, 65534, 65534)
    State().save_state("plan", 1)
    assert State().load_state("plan") == 1
    assert list(project.iterdir()) == []


def test_while_a_stash_may_hold_it_no_new_one_is_made(project):
    (project / ".git/refs").mkdir(parents=True)
    (project / ".git/refs/stash").write_text("0" * 40)
    State().save_state("plan", 1)
    assert not (project / ".claude/state").exists()
    assert State().load_state("plan") == 1


def test_a_place_of_ones_own_has_it_inside(project, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_DIR", str(tmp_path / "place"))
    State().save_state("plan", 1)
    assert json.loads((tmp_path / "place/plan.json").read_text())["value"] == 1
    assert list(project.iterdir()) == []
