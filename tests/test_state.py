"""The API: saving and loading keys, what goes wrong with them, and the state of a known session."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem_unittest import Patcher

from lib import state
from lib.errors import Damaged
from lib.state import BadName, BadValue, NewerVersion, State, StateError, load_state, save_state
from tests.conftest import ROOT, Hooks, state_directory

SESSION = "5d0b9a4e-1111-4000-8000-00000000000a"
OTHER = "5d0b9a4e-2222-4000-8000-00000000000b"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory that the functions find, of an empty project."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return at_home(tmp_path / "project")


def at_home(project: Path) -> Path:
    return state_directory(Path(os.environ["HOME"]), project)


@pytest.fixture
def told(capsys):
    """Asserts that one line was told on stderr and nothing on stdout; returns the line."""

    def told() -> str:
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith("workflow-state: ")
        assert errors.count("\n") == 1
        assert errors.endswith("\n")
        return errors

    return told


def silent(capsys) -> bool:
    return capsys.readouterr() == ("", "")


# --- keys and values ---

VALUES = {
    "null": None,
    "false": False,
    "a number": -0.5,
    "beyond 64 bits": 10**40,
    "text": "é\n\0\u2028\N{PILE OF POO}",
    "half a surrogate pair": "\udcff",
    "empty": {},
    "nested": {"a": [1, {"b": [None, ""]}], "": True},
    "a thousand keys": {str(number): number for number in range(1000)},
    "two hundred levels": json.loads("[" * 200 + "]" * 200),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_saved_is_loaded(directory, capsys, value):
    assert save_state("key", value) is True
    assert load_state("key", "default") == value
    assert silent(capsys)


GOOD_KEYS = {
    "one letter": "k",
    "128 characters": "k" * 128,
    "capitals": "CamelCase",
    "digits first": "0key",
    "underscore first": "_key",
    "dots within": "a.b..c.json",
    "begins like a device": "console",
    "a device in its middle": "my.con",
    "a folder of ours": "sessions",
    "another folder of ours": "checkpoints",
    "a file of ours": "README",
}


@pytest.mark.parametrize("key", GOOD_KEYS.values(), ids=GOOD_KEYS)
def test_a_good_key_is_taken(directory, capsys, key):
    assert save_state(key, key) is True
    assert load_state(key) == key
    assert State(directory).keys() == [key]
    assert silent(capsys)


BAD_KEYS = {
    "empty": "",
    "129 characters": "k" * 129,
    "a megabyte": "k" * (1 << 20),
    "parent": "..",
    "up and out": "../x",
    "in a folder": "a/b",
    "absolute": "/etc/passwd",
    "a backslash": "a\\b",
    "a dot first": ".x",
    "the intent's file": ".restore",
    "a dash first": "-x",
    "a space": "a b",
    "spaces": "  ",
    "a line break": "a\nb",
    "a line break last": "a\n",
    "NUL": "a\0b",
    "an escape": "\x1b[31m",
    "a colon": "a:b",
    "a tilde": "a~b",
    "a letter with an accent": "é",
    "a digit of another script": "٣",
    "full width": "\uff41",
    "emoji": "\N{PILE OF POO}",
    "half a surrogate pair": "\ud800",
    "a device": "con",
    "a device in capitals": "NUL.txt",
    "a device with a number": "Com1",
    "a device with more dots": "lpt9.a.b",
    "None": None,
    "a number": 7,
    "bytes": b"key",
    "a list": ["key"],
    "a path": Path("key"),
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_bad_key_is_told_and_touches_nothing(directory, told, key):
    assert save_state(key, 1) is False
    assert len(told()) < 400
    assert load_state(key, "default") == "default"
    assert len(told()) < 400
    assert not directory.exists()


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_bad_key_is_a_bad_name(directory, key):
    for act in (
        lambda: State(directory).save_state(key, 1),
        lambda: State(directory).load_state(key),
        lambda: State(directory).delete_state(key),
    ):
        with pytest.raises(BadName) as error:
            act()
        assert isinstance(error.value, (StateError, ValueError))


def _circular() -> list:
    value: list = []
    value.append(value)
    return value


BAD_VALUES = {
    "a set": {1, 2},
    "an object": object(),
    "a function": print,
    "bytes": b"bytes",
    "a path": Path("x"),
    "complex": 1j,
    "not a number": float("nan"),
    "infinity": float("-inf"),
    "not a number within": {"a": [float("nan")]},
    "circular": _circular(),
    "a hundred thousand levels": None,
    "a tuple for a key": {(1, 2): 3},
    "keys that JSON would make one": {1: "a", "1": "b"},
    "a set within": {"a": [{1}]},
}


def _bad(name: str) -> object:
    if name != "a hundred thousand levels":
        return BAD_VALUES[name]
    value: list = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_value_that_json_cannot_hold_is_told_and_the_old_one_stays(directory, told, name):
    save_state("key", "old")
    assert save_state("key", _bad(name)) is False
    assert "JSON" in told()
    assert load_state("key") == "old"


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_value_that_json_cannot_hold_is_a_bad_value(directory, name):
    with pytest.raises(BadValue) as error:
        State(directory).save_state("key", _bad(name))
    assert isinstance(error.value, (StateError, ValueError))
    assert not directory.exists()


@pytest.mark.parametrize("levels", [800, 940, 960, 970, 980, 985, 990, 1000])
def test_a_deep_value_is_refused_or_can_be_used(directory, capsys, levels):
    """Where exactly the limit lies is Python's: on neither side of it anything raises or is lost."""
    value = json.loads("[" * 100 + "]" * 100)
    for _ in range(levels - 100):
        value = [value]
    saved = save_state("key", value)
    if saved:
        name = state.checkpoint("c")
        assert state.restore_checkpoint(name) is True
        assert repr(load_state("key")) == repr(value)
    assert not list(directory.rglob("*.damaged-*"))


def test_what_was_handed_in_is_copied(directory):
    value = [1]
    save_state("key", value)
    value.append(2)
    load_state("key").append(3)
    assert load_state("key") == [1]


def test_an_absent_key_is_the_default_in_silence(directory, capsys):
    assert load_state("absent") is None
    assert load_state("absent", "default") == "default"
    assert silent(capsys)
    assert not directory.exists()


def test_a_saved_null_is_no_absent_key(directory):
    save_state("key", None)
    assert load_state("key", "default") is None


# --- what is on disk ---


def test_the_file_has_value_and_timestamp(directory):
    save_state("plan", {"step": 2})
    kept = json.loads((directory / "keys/plan.json").read_text())
    assert kept["value"] == {"step": 2}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", kept["timestamp"])


def test_two_keys_that_differ_in_case_never_share_a_file(directory):
    keys = ["plan", "Plan", "PLAN", "pLAN"]
    for key in keys:
        save_state(key, key)
    assert [load_state(key) for key in keys] == keys
    names = [path.name.casefold() for path in directory.glob("keys/*.json")]
    assert len(set(names)) == len(names) == 4


def test_two_keys_that_differ_in_case_are_apart_where_files_are_not():
    with Patcher() as patcher:
        patcher.fs.is_case_sensitive = False
        patcher.fs.create_dir("/fake/project")
        os.chdir("/fake/project")
        for key in ("plan", "Plan", "PLAN"):
            save_state(key, key)
        assert [load_state(key) for key in ("plan", "Plan", "PLAN")] == ["plan", "Plan", "PLAN"]


DAMAGED = {
    "empty": b"",
    "torn": b'{"value": 1, "time',
    "not an object": b"[1]",
    "without a value": b"{}",
    "NULs": bytes(100),
    "not UTF-8": b'{"value": "\xff"}',
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_key_is_told_and_the_next_save_keeps_its_bytes(directory, told, capsys, data):
    save_state("key", 1)
    (directory / "keys/key.json").write_bytes(data)
    assert load_state("key", "default") == "default"
    assert "keys/key.json" in told()
    assert (directory / "keys/key.json").read_bytes() == data
    assert save_state("key", 2) is True
    assert silent(capsys)
    (kept,) = directory.glob("keys/key.json.damaged-*")
    assert kept.read_bytes() == data
    assert load_state("key") == 2


def test_a_newer_version_is_refused_and_not_overwritten(directory, told):
    save_state("key", 1)
    (directory / "keys/key.json").write_text('{"v": 2, "value": 1}')
    assert load_state("key", "default") == "default"
    assert "version 2" in told()
    assert save_state("key", 2) is False
    assert "version 2" in told()
    assert (directory / "keys/key.json").read_text() == '{"v": 2, "value": 1}'


# --- faults ---


def _a_file(directory: Path) -> None:
    directory.write_text("mine")


def _a_loop(directory: Path) -> None:
    directory.symlink_to(directory)


NO_DIRECTORIES = {"is a file": _a_file, "is a symlink to itself": _a_loop}


@pytest.mark.parametrize("make", NO_DIRECTORIES.values(), ids=NO_DIRECTORIES)
def test_a_state_directory_that_is_none(directory, told, make):
    directory.parent.mkdir(parents=True)
    make(directory)
    before = sorted(directory.parent.rglob("*"))
    assert save_state("key", 1) is False
    assert str(directory) in told()
    assert load_state("key", "default") == "default"
    told()
    assert sorted(directory.parent.rglob("*")) == before


def test_a_project_that_does_not_exist(told, tmp_path, monkeypatch):
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path / "gone"))
    assert save_state("key", 1) is False
    assert str(tmp_path / "gone") in told()
    assert load_state("key", "default") == "default"
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("value", ["relative/project", "."])
def test_a_project_that_is_not_absolute(told, monkeypatch, value):
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", value)
    assert save_state("key", 1) is False
    assert value in told()
    assert load_state("key", "default") == "default"
    told()


def test_a_store_of_another_kind(directory, told, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_STORE", "cassandra://x")
    assert save_state("key", 1) is False
    assert "cassandra" in told()
    assert load_state("key", "default") == "default"
    told()


def test_a_current_directory_that_is_gone(told, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert save_state("key", 1) is False
    told()
    assert load_state("key", "default") == "default"
    told()


def test_a_directory_of_no_permission_in_a_fake_file_system(told):
    with Patcher() as patcher:
        from pyfakefs.helpers import set_uid

        patcher.fs.create_dir("/fake/project")
        os.chdir("/fake/project")
        save_state("key", "old")
        os.chmod(at_home(Path("/fake/project")) / "keys", 0o500)
        try:
            set_uid(1000)
            assert save_state("key", "new") is False
            told()
        finally:
            set_uid(0)
        assert load_state("key") == "old"


def test_a_full_disk_in_a_fake_file_system(told):
    with Patcher() as patcher:
        patcher.fs.create_dir("/fake/project")
        os.chdir("/fake/project")
        save_state("key", "old")
        before = sorted(os.listdir(at_home(Path("/fake/project")) / "keys"))
        patcher.fs.set_disk_usage(patcher.fs.get_disk_usage().used + 20_000)
        assert save_state("key", "x" * 50_000) is False
        assert "No space left" in told()
        assert sorted(os.listdir(at_home(Path("/fake/project")) / "keys")) == before
        patcher.fs.set_disk_usage(1 << 30)
        assert load_state("key") == "old"
        assert save_state("key", "new") is True


def test_a_disk_full_from_the_first_byte_in_a_fake_file_system(told):
    with Patcher() as patcher:
        patcher.fs.create_dir("/fake/project")
        os.chdir("/fake/project")
        patcher.fs.set_disk_usage(patcher.fs.get_disk_usage().used)
        assert save_state("key", 1) is False
        told()
        assert load_state("key", "default") == "default"
        patcher.fs.set_disk_usage(1 << 30)
        assert save_state("key", 1) is True


STDERR = {
    "full": "2>/dev/full",
    "closed": "2>&-",
}


@pytest.mark.parametrize("redirection", STDERR.values(), ids=STDERR)
def test_a_stderr_that_cannot_be_written_raises_nothing(tmp_path, redirection):
    """Somebody whose terminal is gone is not told; that is no reason to end their program."""
    code = (
        f"import sys; sys.path.append({str(ROOT)!r})\n"
        "from lib.state import *\n"
        "assert save_state('../x', 1) is False\n"
        "assert load_state('../x', 'default') == 'default'\n"
        "print('survived')\n"
    )
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$0" script.py {redirection}', sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "survived\n"


# --- where the state is ---


def test_state_dir_is_found_at_each_call(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert save_state("key", name) is True
        assert at_home(tmp_path / name) == state.STATE_DIR
    monkeypatch.chdir(tmp_path / "one")
    assert load_state("key") == "one"


def test_state_dir_is_a_path(directory):
    assert isinstance(state.STATE_DIR, Path)


@pytest.mark.parametrize("kind", [str, Path])
def test_state_dir_can_be_assigned(directory, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(state, "STATE_DIR", kind(tmp_path / "mine"))
    assert save_state("key", 1) is True
    assert (tmp_path / "mine/keys/key.json").exists()
    assert load_state("key") == 1
    assert not directory.exists()


def test_a_relative_state_dir_is_meant_from_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(state, "STATE_DIR", Path(".claude/state"))
    save_state("key", 1)
    assert (tmp_path / ".claude/state/keys/key.json").exists()


def test_an_assignment_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_DIR", str(tmp_path / "environment"))
    monkeypatch.setattr(state, "STATE_DIR", tmp_path / "assigned")
    save_state("key", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["assigned"]


def test_an_undone_assignment_is_forgotten(tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    with pytest.MonkeyPatch.context() as other:
        other.setattr(state, "STATE_DIR", tmp_path / "assigned")
        save_state("key", 0)
    monkeypatch.chdir(tmp_path / "two")
    save_state("key", 2)
    assert (at_home(tmp_path / "two") / "keys/key.json").exists()
    assert at_home(tmp_path / "two") == state.STATE_DIR


def test_another_attribute_is_missing_as_ever():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = state.no_such_thing


def test_the_environment_may_name_the_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_DIR", str(tmp_path / "a" / "b"))
    assert save_state("key", 1) is True
    assert (tmp_path / "a/b/keys/key.json").exists()
    assert State().keys() == ["key"]


def test_the_project_is_found_from_a_folder_below(directory, tmp_path, monkeypatch):
    (tmp_path / "project" / ".git").mkdir()
    (tmp_path / "project" / "src").mkdir()
    monkeypatch.chdir(tmp_path / "project" / "src")
    save_state("key", 1)
    assert (directory / "keys/key.json").exists()


def test_the_environment_may_name_the_project(directory, tmp_path, monkeypatch):
    (tmp_path / "named").mkdir()
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path / "named"))
    save_state("key", 1)
    assert (at_home(tmp_path / "named") / "keys/key.json").exists()
    assert not directory.exists()


# --- the class ---


def test_state_opened_and_read_makes_nothing(directory):
    assert State(directory).keys() == []
    assert State(directory).load_state("key", "default") == "default"
    assert State(directory).checkpoints() == []
    assert State(directory).delete_state("key") is False
    assert not (directory / "keys/key.json").exists()


@pytest.mark.parametrize("kind", [str, Path])
def test_state_takes_the_directory_as_text_or_path(directory, kind):
    assert State(kind(directory)).save_state("key", 1) is None
    assert State(kind(directory)).load_state("key") == 1


def test_state_says_what_is_damaged(directory):
    State(directory).save_state("key", 1)
    (directory / "keys/key.json").write_text("{")
    with pytest.raises(Damaged):
        State(directory).load_state("key")


def test_state_says_what_is_newer(directory):
    save_state("key", 1)
    (directory / "keys/key.json").write_text('{"v": 2, "value": 1}')
    for act in (
        lambda: State(directory).load_state("key"),
        lambda: State(directory).save_state("key", 1),
        lambda: State(directory).checkpoint("c"),
    ):
        with pytest.raises(NewerVersion, match="version 2"):
            act()


@pytest.mark.parametrize("make", NO_DIRECTORIES.values(), ids=NO_DIRECTORIES)
def test_state_raises_its_own_errors_only(directory, make):
    directory.parent.mkdir(parents=True)
    make(directory)
    for act in (
        lambda: State(directory).save_state("key", 1),
        lambda: State(directory).load_state("key"),
        lambda: State(directory).keys(),
        lambda: State(directory).delete_state("key"),
        lambda: State(directory).checkpoint(),
        lambda: State(directory).checkpoints(),
        lambda: State(directory).undo(),
        lambda: State(directory).session_state(),
    ):
        with pytest.raises(StateError):
            act()


def test_keys_are_listed_sorted(directory):
    for key in ("b", "a", "C"):
        State(directory).save_state(key, 1)
    State(directory).checkpoint("c")
    assert State(directory).keys() == ["C", "a", "b"]


def test_a_key_can_be_deleted(directory):
    State(directory).save_state("Key", 1)
    assert State(directory).delete_state("Key") is True
    assert State(directory).delete_state("Key") is False
    assert (State(directory).keys(), State(directory).load_state("Key")) == ([], None)


# --- a known session ---


@pytest.fixture
def known(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> State:
    """The state of a session that has begun and changed one file."""
    monkeypatch.setenv("HOME", str(hooks.home))
    monkeypatch.chdir(hooks.project)
    hooks.environment["CLAUDE_PID"] = str(os.getpid())  # alive, for as long as the test runs
    hooks.start(SESSION)
    write(hooks, SESSION, "first.py", "w1")
    return State(hooks.directory, SESSION)


def write(hooks: Hooks, session: str, path: str, call: str) -> None:
    """A real Write, as the client tells of it."""
    response = {"type": "create", "filePath": str(hooks.project / path)}
    given = {"file_path": str(hooks.project / path), "content": "x"}
    hooks.call(session, "Write", call, given, response)


def test_a_known_session_answers_from_its_journal(hooks, known):
    assert known.load_state("files_processed") == ["first.py"]
    assert known.load_state("current_phase") == "build"
    assert not (hooks.directory / "keys/files_processed.json").exists()


def test_the_session_of_the_environment_is_known(hooks, known, monkeypatch):
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", SESSION)
    assert load_state("files_processed") == ["first.py"]
    assert save_state("current_phase", "review") is True
    assert load_state("current_phase") == "review"
    assert hooks.show(SESSION)["current_phase"] == "review"


def test_a_saved_phase_is_pinned(hooks, known):
    known.save_state("current_phase", "own words")
    write(hooks, SESSION, "second.py", "w2")
    live = hooks.show(SESSION)
    assert (live["current_phase"], live["phase_pinned"]) == ("own words", True)


LISTS = {
    "empty": [],
    "one": ["a.py"],
    "in another order": ["z.py", "first.py", "a.py"],
    "5,000 paths": [f"src/module_{number:04d}/file.py" for number in range(5000)],
    "a path of 4,096 characters": ["x" * 4096, "y"],
    "many long paths": [f"{'d' * 1500}/{number}" for number in range(20)],
    "unicode": ["ünï/ç.py", "\N{PILE OF POO}.py", "日本語.txt"],
    "not UTF-8": ["caf\udce9.txt"],
    "line breaks and quotes": ['a\nb"c\\d\x1b[31m', "\u2028", "\0"],
    "absolute and odd": ["/etc/hosts", "../up", "a//b", ".", " "],
    "an empty path": [""],
    "nearly like a secret": ["ghp_short.txt", "token=x.txt", "sk-learn/password.py"],
}


@pytest.mark.parametrize("paths", LISTS.values(), ids=LISTS)
def test_a_saved_list_is_taken_as_given(hooks, known, paths):
    known.save_state("files_processed", paths)
    assert State(hooks.directory, SESSION).load_state("files_processed") == paths


@pytest.mark.parametrize("paths", LISTS.values(), ids=LISTS)
def test_the_hooks_go_on_from_a_saved_list(hooks, known, paths):
    known.save_state("files_processed", paths)
    write(hooks, SESSION, "later.py", "w2")
    assert known.load_state("files_processed") == [*paths, "later.py"]


def test_a_list_that_names_a_file_twice_is_kept_as_it_is_or_refused(known):
    paths = ["a.py", "b.py", "a.py"]
    try:
        known.save_state("files_processed", paths)
    except BadValue:
        return
    assert known.load_state("files_processed") == paths


def test_a_secret_in_a_saved_list_or_phase_never_reaches_the_disk(hooks, known):
    token = "gh" + "p_0123456789abcdefghijklmnopqrstuvwxyz"
    known.save_state("files_processed", ["a.py", f"{token}.txt", f"{token}1.txt", "b.py"])
    assert known.load_state("files_processed") == ["a.py", "***.txt", "b.py"]
    known.save_state("current_phase", "deploy with token=hunter2Xq")
    assert known.load_state("current_phase") == "deploy with token=***"
    known.checkpoint_session("Stop")
    # Saved where no session is known it is a value of the user's; restored it becomes a record.
    plain = State(hooks.directory, "")
    plain.save_state("current_phase", "token=hunter2Xq")
    plain.save_state("files_processed", [f"{token}.txt"])
    name = plain.checkpoint("named")
    plain.delete_state("current_phase")
    plain.delete_state("files_processed")
    known.restore_checkpoint(name)
    assert known.load_state("current_phase") == "token=***"
    plain.delete_checkpoint(name)
    for key in ("current_phase", "files_processed"):
        plain.delete_state(key)
    known.checkpoint_session("Stop")
    kept = [path.read_bytes() for path in hooks.directory.rglob("*") if path.is_file()]
    assert not [data for data in kept if b"hunter2Xq" in data or token.encode() in data]


def test_a_list_can_be_saved_again_and_again(known):
    for paths in (["a"], [], ["b", "a"], ["b", "a"], []):
        known.save_state("files_processed", paths)
        assert known.load_state("files_processed") == paths


def test_a_file_of_a_saved_list_that_is_written_again_stays_in_its_place(hooks, known):
    known.save_state("files_processed", ["first.py", "other.py"])
    write(hooks, SESSION, "first.py", "w2")
    assert known.load_state("files_processed") == ["first.py", "other.py"]
    assert hooks.show(SESSION)["files_processed"]["first.py"]["count"] == 2


BAD_FOR_SESSIONS = {
    "a phase that is a number": ("current_phase", 5),
    "a phase that is a list": ("current_phase", ["build"]),
    "an empty phase": ("current_phase", ""),
    "a phase with a line break": ("current_phase", "a\nb"),
    "a phase with an escape": ("current_phase", "\x1b[31m"),
    "a phase of 65 characters": ("current_phase", "p" * 65),
    "files that are a text": ("files_processed", "a.py"),
    "files that are an object": ("files_processed", {"a.py": 1}),
    "files that are numbers": ("files_processed", [1]),
    "files that are null": ("files_processed", None),
}


@pytest.mark.parametrize(("key", "value"), BAD_FOR_SESSIONS.values(), ids=BAD_FOR_SESSIONS)
def test_what_a_session_cannot_take_is_told_and_the_old_one_stays(
    known, told, monkeypatch, key, value
):
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", SESSION)
    before = load_state(key)
    assert save_state(key, value) is False
    told()
    assert load_state(key) == before
    with pytest.raises(BadValue):
        known.save_state(key, value)


@pytest.mark.parametrize("value", [None, "auto", "build", "ünï"])
def test_a_phase_that_is_saved_is_loaded(known, value):
    try:
        known.save_state("current_phase", value)
    except BadValue:
        return
    assert known.load_state("current_phase") == value


def test_other_keys_of_a_session_are_the_projects(hooks, known):
    known.save_state("plan", 1)
    assert State(hooks.directory, OTHER).load_state("plan") == 1
    assert State(hooks.directory, "").load_state("plan") == 1


def test_elsewhere_they_are_the_keys_as_published_last(hooks, known):
    assert load_state("files_processed", "default") == "default"
    hooks.stop(SESSION)
    write(hooks, SESSION, "second.py", "w2")
    assert load_state("files_processed") == ["first.py"]
    assert load_state("current_phase") == "build"
    assert known.load_state("files_processed") == ["first.py", "second.py"]


def test_elsewhere_saving_them_leaves_the_session_alone(hooks, known):
    assert save_state("current_phase", "mine") is True
    assert save_state("files_processed", {"any": "thing"}) is True
    assert load_state("current_phase") == "mine"
    assert known.load_state("current_phase") == "build"
    assert known.load_state("files_processed") == ["first.py"]


def test_two_sessions_alive_never_see_each_others(hooks, known):
    hooks.start(OTHER)
    write(hooks, OTHER, "other.py", "o1")
    other = State(hooks.directory, OTHER)
    assert other.load_state("files_processed") == ["other.py"]
    known.save_state("current_phase", "mine")
    other.save_state("files_processed", ["theirs.py"])
    hooks.stop(SESSION)
    hooks.stop(OTHER)
    assert known.load_state("files_processed") == ["first.py"]
    assert known.load_state("current_phase") == "mine"
    assert other.load_state("files_processed") == ["theirs.py"]
    assert other.load_state("current_phase") == "build"


def test_a_session_without_a_journal_has_the_default(hooks, known, capsys, monkeypatch):
    hooks.stop(SESSION)
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", OTHER)
    assert load_state("current_phase", "default") == "default"
    assert load_state("files_processed", "default") == "default"
    assert silent(capsys)


def test_a_session_without_a_journal_can_be_given_one(hooks, known, monkeypatch):
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", OTHER)
    assert save_state("current_phase", "plan") is True
    assert save_state("files_processed", ["a"]) is True
    assert (load_state("current_phase"), load_state("files_processed")) == ("plan", ["a"])
    assert known.load_state("current_phase") == "build"


@pytest.mark.parametrize(
    "session", ["../../x", "a/b", "Ünï", "x" * 300, "UPPER", "con", "..", "\n"]
)
def test_any_session_id_is_a_session_of_its_own(hooks, known, session):
    strange = State(hooks.directory, session)
    strange.save_state("files_processed", [session])
    assert strange.load_state("files_processed") == [session]
    assert known.load_state("files_processed") == ["first.py"]
    assert list(hooks.project.iterdir()) == []
    assert len(list((hooks.directory / "sessions").iterdir())) == 2


def test_a_journal_that_cannot_be_written_is_told(hooks, known, told, monkeypatch):
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", SESSION)
    path = hooks.directory / "sessions"
    path.rename(path.with_suffix(".away"))
    path.write_text("")
    assert save_state("current_phase", "mine") is False
    assert path.name in told()
    assert load_state("current_phase", "default") == "default"
    told()


def test_what_lies_in_place_of_a_journal_is_told_and_left(hooks, known, told, monkeypatch):
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", SESSION)
    path = hooks.directory / "sessions" / f"{SESSION}.jsonl"
    path.unlink()
    path.mkdir()
    assert save_state("current_phase", "mine") is False
    assert f"{SESSION}.jsonl" in told()
    assert path.is_dir()


def test_where_the_key_cannot_show_whose_it_is_nothing_is_saved(hooks, known, told, monkeypatch):
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", SESSION)
    monkeypatch.setenv("WORKFLOW_STATE_DIR", str(hooks.home / "chosen"))
    (hooks.home / ".local/state/workflow-state/key").chmod(0o644)
    assert save_state("current_phase", "mine") is False
    assert "WORKFLOW_STATE_KEY" in told()
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "secret")
    assert save_state("current_phase", "mine") is True
    assert load_state("current_phase") == "mine"


def test_the_live_state_of_a_session(hooks, known):
    live = known.session_state()
    assert live["session_id"] == SESSION
    assert list(live["files_processed"]) == ["first.py"]
    assert State(hooks.directory, "").session_state()["session_id"] == SESSION
    assert State(hooks.directory, "").session_state(SESSION) == live


def test_a_session_that_nobody_knows(hooks, known):
    with pytest.raises(state.UnknownSession, match=OTHER):
        known.session_state(OTHER)
    with pytest.raises(StateError):
        State(hooks.project / "none", "").session_state()


def test_setting_the_phase_and_letting_go(hooks, known):
    known.set_phase("review")
    assert known.session_state()["phase_pinned"] is True
    known.set_phase(None)
    write(hooks, SESSION, "second.py", "w2")
    live = known.session_state()
    assert (live["current_phase"], live["phase_pinned"]) == ("build", False)


def test_setting_the_phase_of_no_session(directory):
    with pytest.raises(state.UnknownSession):
        State(directory, "").set_phase("build")
