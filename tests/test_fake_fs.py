"""The API in a fake file system, and in a real one of whose calls any one fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem
from pyfakefs.fake_filesystem_unittest import Patcher

from lib import state
from lib.disk import locks
from lib.recording import journal
from lib.state import State, load_state, save_state
from lib.stores import json_files
from tests.conftest import state_directory

PROJECT = "/fake/project"


def directory() -> str:
    """Where the state of the project is: at home, which is in the fake file system too."""
    return str(state_directory(Path(os.environ["HOME"]), Path.cwd()))


@pytest.fixture
def fake():
    """An empty project in a fake file system, entered."""
    with Patcher() as patcher:
        patcher.fs.create_dir(PROJECT)
        os.chdir(PROJECT)
        yield patcher.fs


def listing() -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(folder, name), directory())
        for folder, _, files in os.walk(directory())
        for name in files
        if name != ".lock"
    )


def test_a_session_of_work(fake: FakeFilesystem, capsys):
    assert save_state("plan", {"step": 1}) is True
    assert load_state("plan") == {"step": 1}
    assert state.checkpoint("one") == "one"
    save_state("plan", {"step": 2})
    save_state("Newer", True)
    assert state.restore_checkpoint("one") is True
    assert (load_state("plan"), load_state("Newer", "gone")) == ({"step": 1}, "gone")
    State().undo()
    assert (load_state("plan"), load_state("Newer")) == ({"step": 2}, True)
    assert capsys.readouterr() == ("", "")


def test_the_files_are_those_of_the_design(fake):
    save_state("plan", 1)
    state.checkpoint("one")
    assert listing() == [
        ".gitignore",
        "README",
        "checkpoints/one.json",
        "keys/plan.json",
        "project.json",
        "view.json",
    ]
    assert oct(fake.get_object(directory()).st_mode & 0o777) == "0o700"
    assert oct(fake.get_object(f"{directory()}/keys/plan.json").st_mode & 0o777) == "0o600"


def test_reading_makes_nothing(fake):
    assert load_state("plan", "default") == "default"
    assert state.restore_checkpoint("one") is False
    assert not fake.exists(directory() + "/keys/plan.json")


def test_a_known_session(fake, monkeypatch, capsys):
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "abc")
    save_state("files_processed", ["a.py"])
    save_state("current_phase", "plan")
    name = state.checkpoint()
    save_state("files_processed", [])
    assert state.restore_checkpoint(name) is True
    assert (load_state("files_processed"), load_state("current_phase")) == (["a.py"], "plan")
    assert capsys.readouterr() == ("", "")


# --- the fault loop ---

FULL, BROKEN, DENIED = (
    (28, "No space left on device"),
    (5, "Input/output error"),
    (13, "Permission denied"),
)
FAULTS = {
    "open, disk full": ("open", FULL),
    "open, denied": ("open", DENIED),
    "mkdir, disk full": ("mkdir", FULL),
    "write, disk full": ("write", FULL),
    "fsync, input/output error": ("fsync", BROKEN),
    "fsync, disk full": ("fsync", FULL),
    "close, input/output error": ("close", BROKEN),
    "replace, denied": ("replace", DENIED),
    "unlink, denied": ("unlink", DENIED),
    "read, input/output error": ("read", BROKEN),
    "fstat, input/output error": ("fstat", BROKEN),
    "listdir, input/output error": ("listdir", BROKEN),
}
LIMIT = 300


class Faulty:
    """The os module of the store and the journal, one of whose calls fails once."""

    def __init__(self, call: str, at: int, fault: tuple[int, str]) -> None:
        self._call, self._left, self._fault, self.failed = call, at, fault, False

    def __getattr__(self, name: str) -> object:
        real = getattr(os, name)
        return self._counting(real) if name == self._call else real

    def _counting(self, real):
        def call(*arguments, **options):
            self._left -= 1
            if self._left == -1:
                self.failed = True
                if self._call == "close":
                    real(*arguments, **options)  # an error at close still closes: close(2)
                raise OSError(*self._fault)
            return real(*arguments, **options)

        return call


@pytest.fixture
def failing(tmp_path, monkeypatch, capsys):
    """Runs a verb in a project with an old key, once for every call of a kind, which fails.

    A real directory: a fake one takes ten times as long, and has errors of its own making.
    """
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # what it costs is not the question
    project = tmp_path / "project"

    def failing(call, fault, verb):
        for at in range(LIMIT):
            project.mkdir()
            monkeypatch.chdir(project)
            save_state("a", "old")
            faulty = Faulty(call, at, fault)
            capsys.readouterr()
            with monkeypatch.context() as patch:
                patch.setattr(json_files, "os", faulty)
                patch.setattr(locks, "os", faulty)
                patch.setattr(journal, "os", faulty)
                result = verb()
            yield f"{call} number {at}", result, capsys.readouterr().err
            shutil.rmtree(directory())
            shutil.rmtree(project)
            if not faulty.failed:
                return
        pytest.fail(f"more than {LIMIT} times {call}")

    return failing


OLD_OR_NEW = {"fsync": ("old", "new")}

each_fault = pytest.mark.parametrize(("call", "fault"), FAULTS.values(), ids=FAULTS)


@each_fault
def test_a_save_that_fails_says_so_and_leaves_the_old(failing, call, fault):
    for where, saved, errors in failing(call, fault, lambda: save_state("a", "new")):
        # The last sync is the directory's: the new value is in place then, only not yet for sure.
        assert load_state("a") in (("new",) if saved else OLD_OR_NEW.get(call, ("old",))), where
        assert bool(errors) != saved, where


@each_fault
def test_a_load_that_fails_gives_the_default_and_moves_nothing(failing, call, fault):
    for where, value, errors in failing(call, fault, lambda: load_state("a", "default")):
        assert value == ("default" if errors else "old"), where
        assert load_state("a") == "old", where
        assert not [name for name in listing() if "damaged" in name], where
