"""The user's own place and key: whose home, which file system, what is refused."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lib.disk import locks
from lib.recording import journal, state_home
from tests.conftest import ROOT, Hooks, absent

BY_HAND = '{"tool_name": "Write", "tool_input": {"file_path": "a.py"}}'


def place(home: Path) -> Path:
    return home / ".local/state/workflow-state"


def test_all_in_it_is_the_users_alone(hooks: Hooks):
    hooks.start("one")
    hooks.call("one", "Write", "t1", {"file_path": str(hooks.project / "a.py")})
    hooks.stop("one")
    for path in [place(hooks.home), *place(hooks.home).rglob("*")]:
        assert path.is_symlink() or not path.stat().st_mode & 0o077, path
    assert (place(hooks.home) / ".gitignore").read_text() == "*\n"
    assert (place(hooks.home) / "README").read_text().startswith("Written by workflow-state")


class TestWhoseHome:
    def test_anothers_is_not_used(self, monkeypatch, hooks):
        if os.geteuid() != 0:
            absent("only root can give a directory away")
        os.chown(hooks.home, 65534, 65534)
        monkeypatch.setattr(state_home, "_of_the_password_database", lambda: "/root/.local/state")
        found = state_home.search(f"{hooks.home}/.local/state")
        assert found == "/root/.local/state/workflow-state"

    def test_one_that_is_roots_is_used_where_it_can_be_written(self, monkeypatch, hooks):
        monkeypatch.setattr(state_home, "_of_the_password_database", lambda: "")
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert state_home.search(f"{hooks.home}/.local/state") == str(place(hooks.home))
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        assert state_home.search(f"{hooks.home}/.local/state") == ""

    def test_without_one_a_line_says_what_to_set(self, hooks, tmp_path):
        """As a user whom the password database does not have, with a home of another's."""
        python = shutil.which("python3", path="/usr/bin:/bin")
        if os.geteuid() != 0 or not shutil.which("setpriv") or not python:
            absent("needs root, setpriv and a python3 that every user can run")
        bundle = tmp_path / "bundle"
        for folder in ("hooks", "lib"):
            shutil.copytree(ROOT / folder, bundle / folder)
        for path in (bundle, *bundle.rglob("*"), *list(tmp_path.parents)[:-2], tmp_path):
            path.chmod(path.stat().st_mode | 0o055)
        command = [
            "setpriv",
            "--reuid=54321",
            "--regid=54321",
            "--clear-groups",
            python,
            "-I",
            "-S",
        ]
        done = subprocess.run(
            [*command, str(bundle / "hooks/post_tool.py")],
            input=BY_HAND.encode(),
            env=hooks.env(),
            cwd="/",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1
        assert b"WORKFLOW_STATE_DIR" in done.stderr
        assert b"WORKFLOW_STATE_KEY" in done.stderr
        assert list(hooks.home.iterdir()) == []


@pytest.mark.parametrize("home", ["", "home", "/dev/null"])
def test_without_home_it_is_that_of_the_password_database(monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert journal.state_home() == f"{home}/.local/state/workflow-state"


def test_xdg_state_home_comes_first(hooks, tmp_path):
    hooks.environment["XDG_STATE_HOME"] = str(tmp_path / "xdg")
    assert hooks.script("post_tool.py", BY_HAND).returncode == 0
    assert (tmp_path / "xdg/workflow-state/key").exists()
    assert list(hooks.home.iterdir()) == []


class TestKey:
    @pytest.fixture
    def path(self, tmp_path, monkeypatch) -> str:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        return str(tmp_path / "workflow-state/key")

    def test_without_hard_links_it_is_made(self, path, monkeypatch):
        def refused(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refused)
        assert len(journal.read_key(make=True)) == 32

    def test_of_many_that_make_it_all_have_the_first_ones(self, path):
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda _: journal.read_key(make=True), range(64)))
        assert set(found) == {Path(path).read_bytes()}

    @pytest.mark.parametrize("size", [0, 31])
    def test_one_that_was_cut_short_is_made_anew(self, path, size):
        Path(path).parent.mkdir()
        Path(path).write_bytes(b"k" * size)
        Path(path).chmod(0o600)
        key = journal.read_key(make=True)
        assert len(key) == 32
        assert Path(path).read_bytes() == key

    def test_one_that_is_being_made_is_waited_for(self, path):
        """Its maker has the lock, and has not written yet."""
        Path(path).parent.mkdir()
        Path(path).touch(0o600)
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        assert locks.lock(folder, otherwise=False)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(journal.read_key, make=True)
            time.sleep(0.05)
            Path(path).write_bytes(b"k" * 32)
            os.close(folder)
            assert waiting.result() == b"k" * 32

    def test_reading_makes_none(self, path):
        assert journal.read_key() == b""
        assert not Path(path).parent.exists()


OTHERS = {
    "a project": {"package.json": "{}", "src/a.py": ""},
    "a folder of notes": {"README": "my notes", "sessions/notes.jsonl": '{"mine": 1}\n'},
    "a state of another tool": {"data.json": '{"value": 7}', "checkpoints/best.json": "{}"},
}
VERBS = (
    ["status"],
    ["get", "data"],
    ["set", "k", "1"],
    ["sessions", "--all"],
    ["checkpoint", "x"],
    ["checkpoints"],
    ["doctor"],
    ["prune", "--older-than", "0h", "--keep", "0"],
    ["export", "-o", "-"],
    ["trust"],
    ["uninstall", "--purge"],
)


@pytest.mark.parametrize("files", OTHERS.values(), ids=OTHERS)
def test_a_directory_of_other_things_is_left_byte_for_byte(hooks, tmp_path, files):
    other = tmp_path / "other"
    for name, text in files.items():
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text(text)
    for verb in VERBS:
        done = hooks.cli(*verb, "--dir", str(other))
        assert done.returncode == 1, verb
        assert "state directory" in done.stderr + done.stdout, verb
    hooks.environment["WORKFLOW_STATE_DIR"] = str(other)
    done = hooks.script("post_tool.py", BY_HAND)
    assert done.returncode == 1
    assert "is no state directory" in done.stderr
    event = {"session_id": "one", "source": "startup", "hook_event_name": "SessionStart"}
    assert "is no state directory" in hooks.script("session_start.py", json.dumps(event)).stdout
    left = {str(p.relative_to(other)): p.read_text() for p in other.rglob("*") if p.is_file()}
    assert left == files


def test_an_empty_directory_becomes_one(hooks, tmp_path):
    (tmp_path / "place/lost+found").mkdir(parents=True)
    hooks.environment["WORKFLOW_STATE_DIR"] = str(tmp_path / "place")
    assert hooks.script("post_tool.py", BY_HAND).returncode == 0
    assert (tmp_path / "place/sessions/manual.jsonl").exists()
    assert hooks.cli("set", "plan", "1").returncode == 0
