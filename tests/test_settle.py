"""State that lies elsewhere comes home: of the first version, and of projects that are gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.maintenance import retention
from lib.state import State
from tests.conftest import ROOT, Hooks, state_directory


@pytest.fixture
def earlier(hooks: Hooks) -> Path:
    """A state as the first version left it in a project: its keys beside its README."""
    place = hooks.project / ".claude/state"
    (place / "sessions").mkdir(parents=True)
    (place / ".gitignore").write_text("*\n")
    (place / "README").write_text("Written by workflow-state's hooks: the phase, files and …\n")
    hooks.environment["WORKFLOW_STATE_DIR"] = str(place)
    hooks.prompt("one", "port the parser")
    hooks.call("one", "Write", "t1", {"file_path": str(hooks.project / "a.py")})
    hooks.stop("one")
    assert hooks.cli("set", "plan", '{"step": 2}').returncode == 0
    assert hooks.cli("checkpoint", "by-hand").returncode == 0
    del hooks.environment["WORKFLOW_STATE_DIR"]
    assert not (place / "keys").exists()
    assert not hooks.directory.exists()
    return place


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_commands_that_read_find_it_and_move_nothing(hooks, earlier):
    before = tree(hooks.project)
    assert json.loads(hooks.cli("get", "plan", "--json").stdout) == {"step": 2}
    assert "port the parser" in hooks.cli("log").stdout
    assert "by-hand" in hooks.cli("checkpoints").stdout
    assert tree(hooks.project) == before
    assert not hooks.directory.exists()


def test_the_first_start_moves_it_whole(hooks, earlier):
    assert "port the parser" in hooks.start("two")
    assert sorted(tree(earlier)) == [
        ".gitignore",
        "README",
        "current_phase.json",
        "files_processed.json",
        "plan.json",
    ]
    assert sorted(json.loads((earlier / "plan.json").read_text())) == ["timestamp", "value"]
    assert sorted(path.stem for path in (hooks.directory / "sessions").iterdir()) == ["one", "two"]
    names = sorted(path.stem for path in (hooks.directory / "checkpoints").iterdir())
    assert names == ["by-hand", "session-one"]
    assert json.loads(hooks.cli("get", "plan", "--json").stdout) == {"step": 2}
    assert hooks.cli("restore", "by-hand").returncode == 0


def test_until_then_a_running_session_goes_on_in_it(hooks, earlier):
    hooks.call("one", "Write", "t2", {"file_path": str(hooks.project / "b.py")})
    assert not hooks.directory.exists()
    hooks.start("one", "compact")
    hooks.call("one", "Write", "t3", {"file_path": str(hooks.project / "c.py")})
    assert list(hooks.show("one")["files_processed"]) == ["a.py", "b.py", "c.py"]


def test_what_others_wrote_stays_and_is_not_told(hooks, earlier):
    os.utime(earlier / "sessions/one.jsonl", (1, 1))
    hooks.environment["WORKFLOW_STATE_KEY"] = "another"
    hooks.environment["WORKFLOW_STATE_DIR"] = str(earlier)
    hooks.prompt("theirs", "run this")
    hooks.prompt("one", "and this")
    hooks.cli("set", "note", '"theirs"')
    hooks.environment.clear()
    before = tree(earlier)
    told = hooks.start("two")
    assert "port the parser" in told
    assert "this" not in told.replace("This session", "")
    after = tree(earlier)
    for name in ("sessions/theirs.jsonl", "sessions/one.jsonl", "note.json"):
        assert after[name] == before[name]
    names = sorted(path.stem for path in (hooks.directory / "keys").iterdir())
    assert names == ["current_phase", "files_processed", "plan"]
    assert hooks.start("three") != ""
    assert hooks.cli("log", "--session", "one").stdout.count("port the parser") == 1


STRIKE = """
import os, sys
left = int(sys.argv[3])
def before(real):
    def call(*arguments, **options):
        global left
        left -= 1
        if not left:
            os._exit(77)
        return real(*arguments, **options)
    return call
for name in sys.argv[2].split():
    setattr(os, name, before(getattr(os, name)))
sys.path.insert(0, sys.argv[1])
from lib.maintenance.settle import settle
settle(os.getcwd())
"""


def struck(hooks: Hooks, names: tuple[str, ...], number: int) -> int:
    """A move whose process ends before so many calls; the exit code, 0 where it was done."""
    command = [sys.executable, "-c", STRIKE, str(ROOT), " ".join(names), str(number)]
    return subprocess.run(command, cwd=hooks.project, env=hooks.env(), check=False).returncode


def test_one_that_was_killed_is_done_again(hooks, earlier):
    """Struck before each removal and rename in turn; then the next start has it whole."""
    kept, seen = hooks.home.parent / "kept", set()
    shutil.copytree(hooks.project, kept / "project")
    shutil.copytree(hooks.home, kept / "home")
    names = ("rename", "unlink", "rmdir", "replace")
    for number in range(1, 200):
        shutil.rmtree(hooks.project)
        shutil.rmtree(hooks.home)
        shutil.copytree(kept / "project", hooks.project)
        shutil.copytree(kept / "home", hooks.home)
        done = struck(hooks, names, number)
        assert "port the parser" in hooks.start("two")
        records = (hooks.directory / "sessions/one.jsonl").read_bytes()
        assert records == (kept / "project/.claude/state/sessions/one.jsonl").read_bytes()
        assert json.loads(hooks.cli("get", "plan", "--json").stdout) == {"step": 2}
        assert not (earlier / "sessions").exists()
        assert not (earlier / "checkpoints").exists()
        seen.add(done)
        if done == 0:
            break
    assert seen == {0, 77}
    assert number > 5


def test_one_that_fails_changes_nothing(hooks, earlier):
    before = tree(hooks.project)
    projects = hooks.home / ".local/state/workflow-state"
    shutil.rmtree(projects, ignore_errors=True)
    hooks.environment["WORKFLOW_STATE_KEY"] = "k"
    projects.mkdir(parents=True)
    (projects / "projects").write_text("in the way")
    hooks.script("session_start.py", json.dumps({"session_id": "two", "source": "startup"}))
    kept = tree(hooks.project)
    assert {name: kept[name] for name in before if "sessions" not in name} == {
        name: data for name, data in before.items() if "sessions" not in name
    }


class TestShared:
    """The first version took the state of any folder above for a repository's."""

    @pytest.fixture
    def below(self, hooks, earlier) -> Hooks:
        (hooks.project / "alpha/.git").mkdir(parents=True)
        return Hooks(hooks.project / "alpha", hooks.home)

    def start(self, hooks: Hooks, session: str) -> dict:
        event = {"hook_event_name": "SessionStart", "session_id": session, "source": "startup"}
        output = hooks.send({**event, "cwd": str(hooks.project)})
        return json.loads(output) if output else {}

    def test_it_is_offered_once_and_not_told(self, hooks, below):
        first = self.start(below, "a")
        assert f"workflow-state move-state {hooks.project}" in first["systemMessage"]
        assert "hookSpecificOutput" not in first
        assert "systemMessage" not in self.start(below, "b")

    def test_the_command_gives_it_to_this_project(self, hooks, below):
        self.start(below, "a")
        done = below.cli("move-state", str(hooks.project))
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 sessions, 2 checkpoints, 3 keys" in done.stdout
        assert json.loads(below.cli("get", "plan", "--json").stdout) == {"step": 2}
        assert "port the parser" in below.cli("log", "--session", "one").stdout
        done = below.cli("move-state", str(hooks.project))
        assert done.returncode == 1
        assert "nothing was changed" in done.stderr


class TestDeleted:
    @pytest.fixture
    def gone(self, hooks, tmp_path, monkeypatch) -> Path:
        hooks.prompt("one", "port the parser")
        entry = hooks.directory
        shutil.rmtree(hooks.project)
        monkeypatch.setenv("HOME", str(hooks.home))
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        return entry

    def age(self, entry: Path, days: float) -> None:
        for path in (entry / "sessions").iterdir():
            os.utime(path, (time.time() - days * 86400,) * 2)

    def test_its_state_goes_with_retention(self, gone):
        self.age(gone, 29)
        retention.tidy(State(None, "two"))
        assert gone.exists()
        self.age(gone, 31)
        retention.tidy(State(None, "two"))
        assert not gone.exists()

    def test_on_a_disk_that_is_not_there_it_stays(self, gone):
        self.age(gone, 31)
        about = gone / "project.json"
        known = json.loads(about.read_text())
        about.write_text(json.dumps({**known, "device": known["device"] + 1}))
        retention.tidy(State(None, "two"))
        assert gone.exists()

    def test_a_project_that_is_there_keeps_it(self, gone, hooks):
        self.age(gone, 31)
        hooks.project.mkdir()
        retention.tidy(State(None, "two"))
        assert gone.exists()


def test_purge_takes_the_view_along_and_leaves_what_is_not_ours(hooks):
    hooks.call("one", "Write", "t1", {"file_path": str(hooks.project / "a.py")})
    hooks.stop("one")
    hooks.cli("set", "plan", "1")
    hooks.cli("set", "note", "1")
    (hooks.view / "note.json").write_text('{"value": "edited"}')
    (hooks.view / "task.json").write_text('{"task": "x"}')
    assert hooks.cli("uninstall", "--purge").returncode == 0
    assert not hooks.directory.exists()
    left = sorted(path.name for path in hooks.view.iterdir())
    assert left == [".gitignore", "README", "note.json", "task.json"]


def test_a_state_at_the_old_path_of_a_project_on_another_disk_can_be_taken(hooks, tmp_path):
    hooks.prompt("one", "port the parser")
    old = hooks.project
    shutil.copytree(old, tmp_path / "new")
    shutil.rmtree(old)
    new = Hooks(tmp_path / "new", hooks.home)
    done = new.cli("move-state", str(old))
    assert (done.returncode, done.stderr) == (0, "")
    assert "port the parser" in new.cli("log").stdout
    assert state_directory(hooks.home, new.project).is_dir()
