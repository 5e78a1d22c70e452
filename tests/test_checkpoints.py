"""Checkpoints: exact restore, undo, differences, and what parallel and dying processes see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lib import checkpoints, state
from lib.errors import NewerVersion
from lib.state import BadName, State, StateError, UnknownCheckpoint
from lib.stores import json_files
from tests.conftest import ROOT, Hooks, state_directory

SESSION = "5d0b9a4e-1111-4000-8000-00000000000a"
OTHER = "5d0b9a4e-2222-4000-8000-00000000000b"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return state_directory(Path(os.environ["HOME"]), tmp_path / "project")


@pytest.fixture
def kept(directory: Path) -> State:
    """A state with no session."""
    return State(directory, "")


def give(kept: State, **keys: object) -> None:
    """Make the keys exactly these."""
    for key in kept.keys():
        kept.delete_state(key)
    for key, value in keys.items():
        kept.save_state(key, value)


def all_keys(kept: State) -> dict:
    return {key: kept.load_state(key) for key in kept.keys()}


def names(kept: State, prefix: str = "") -> list[str]:
    return [about["name"] for about in kept.checkpoints() if about["name"].startswith(prefix)]


@contextmanager
def process(directory: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, with `kept` as here."""
    opening = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from lib.state import State\n"
        f"kept = State({str(directory)!r}, '')\n"
    )
    pipes = {"stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", opening + code], **pipes) as running:
        try:
            yield running
        finally:
            running.kill()


# --- making ---


def test_a_checkpoint_is_one_whole_file(kept, directory):
    kept.save_state("Plan", {"step": 2})
    kept.checkpoint("before")
    file = json.loads((directory / "checkpoints" / "before.json").read_text())
    assert {"v", "name", "created", "trigger", "keys", "session", "check"} <= set(file)
    assert (file["v"], file["name"], file["trigger"], file["session"]) == (
        1,
        "before",
        "manual",
        None,
    )
    assert file["keys"]["Plan"]["value"] == {"step": 2}
    assert set(file["keys"]["Plan"]) >= {"value", "timestamp"}
    assert file["created"].endswith("Z")


def test_a_checkpoint_of_nothing_is_one(kept):
    kept.checkpoint("empty")
    kept.save_state("key", 1)
    kept.restore_checkpoint("empty")
    assert kept.keys() == []


def test_unnamed_checkpoints_are_unique_however_fast(directory):
    state.save_state("key", 1)
    made = [state.checkpoint() for _ in range(50)]
    assert len(set(made)) == 50
    assert sorted(names(State(directory))) == sorted(made)


def test_unnamed_checkpoints_of_many_processes_are_unique(kept, directory):
    kept.save_state("key", 1)
    code = "for _ in range(3): print(kept.checkpoint())"
    made = []
    runs = [process(directory, code) for _ in range(8)]
    entered = [run.__enter__() for run in runs]
    for run, running in zip(runs, entered):
        made += running.communicate(timeout=60)[0].split()
        assert running.returncode == 0
        run.__exit__(None, None, None)
    assert len(set(made)) == 24
    assert set(names(kept)) == set(made)


def test_unnamed_checkpoints_made_when_the_clock_stands_still_are_listed_in_order(
    kept, monkeypatch
):
    monkeypatch.setattr("time.time", lambda: 1_795_000_000.0)
    made = [kept.checkpoint() for _ in range(12)]
    assert len(set(made)) == 12


BAD_NAMES = {
    "empty": "",
    "129 characters": "c" * 129,
    "up and out": "../x",
    "absolute": "/tmp/x",
    "in a folder": "a/b",
    "a dot first": ".x",
    "a dash first": "-x",
    "a space": "a b",
    "a line break": "a\n",
    "NUL": "a\0",
    "an accent": "é",
    "a device": "aux.json",
    "a number": 7,
    "bytes": b"c",
    "a list": [],
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_bad_name_is_a_value_error(directory, name):
    with pytest.raises(ValueError, match="checkpoint name"):
        state.checkpoint(name)
    for act in (
        lambda: State(directory).checkpoint(name),
        lambda: State(directory).restore_checkpoint(name),
        lambda: State(directory).read_checkpoint(name),
        lambda: State(directory).delete_checkpoint(name),
        lambda: State(directory).diff(name),
    ):
        with pytest.raises(BadName):
            act()
    assert not (directory / "checkpoints").exists()


def test_restoring_a_bad_name_is_told_and_false(directory, capsys):
    assert state.restore_checkpoint("../x") is False
    output, errors = capsys.readouterr()
    assert (output, errors.count("\n")) == ("", 1)


def test_an_existing_name_is_replaced(kept, directory):
    kept.save_state("key", 1)
    kept.checkpoint("same")
    kept.save_state("key", 2)
    kept.checkpoint("same")
    assert names(kept) == ["same"]
    assert kept.read_checkpoint("same")["keys"]["key"]["value"] == 2
    assert [path.name for path in (directory / "checkpoints").iterdir()] == ["same.json"]


def test_an_existing_name_is_replaced_whole_for_every_reader(kept, directory):
    code = (
        "for number in range(20):\n"
        "  kept.save_state('key', [number] * 5000)\n"
        "  kept.checkpoint('same')\n"
    )
    kept.save_state("key", [0] * 5000)
    kept.checkpoint("same")
    with process(directory, code) as running:
        while running.poll() is None:
            value = kept.read_checkpoint("same")["keys"]["key"]["value"]
            assert (len(value), len(set(value))) == (5000, 1)
        assert running.returncode == 0


def test_a_replacement_that_fails_leaves_the_old_one(kept, monkeypatch):
    kept.save_state("key", 1)
    kept.checkpoint("same")
    kept.save_state("key", 2)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StateError, match="No space left"):
            kept.checkpoint("same")
    assert kept.read_checkpoint("same")["keys"]["key"]["value"] == 1


def test_names_that_differ_only_in_case_are_two(kept, directory):
    for number, name in enumerate(["release", "Release", "RELEASE"]):
        kept.save_state("key", number)
        kept.checkpoint(name)
    values = [kept.read_checkpoint(name)["keys"]["key"]["value"] for name in names(kept)]
    assert sorted(values) == [0, 1, 2]
    files = {path.name.casefold() for path in (directory / "checkpoints").iterdir()}
    assert len(files) == 3


# --- restoring ---


def test_restore_is_exact(kept):
    give(kept, stays=1, Changes="old", goes_and_comes=[1])
    kept.checkpoint("c")
    give(kept, stays=1, Changes="new", newer=1)
    kept.restore_checkpoint("c")
    assert all_keys(kept) == {"stays": 1, "Changes": "old", "goes_and_comes": [1]}


def test_restore_keeps_the_time_of_saving(kept, directory):
    give(kept, key=1)
    before = json.loads((directory / "keys/key.json").read_text())
    kept.checkpoint("c")
    give(kept, key=2)
    kept.restore_checkpoint("c")
    assert json.loads((directory / "keys/key.json").read_text()) == before


def test_restore_twice_is_as_once(kept):
    give(kept, key=1)
    kept.checkpoint("c")
    give(kept, key=2)
    kept.restore_checkpoint("c")
    kept.restore_checkpoint("c")
    assert all_keys(kept) == {"key": 1}


def test_restore_leaves_checkpoints_journals_and_the_users_files(kept, directory):
    give(kept, key=1)
    kept.checkpoint("c")
    kept.checkpoint("later")
    (directory / "notes.txt").write_text("mine")
    kept.restore_checkpoint("c")
    assert {"c", "later"} < set(names(kept))
    assert (directory / "notes.txt").read_text() == "mine"
    assert (directory / ".gitignore").exists()


def test_a_safety_checkpoint_comes_first(kept):
    give(kept, key="old")
    kept.checkpoint("c")
    give(kept, key="new", newer=1)
    safety = kept.restore_checkpoint("c")
    document = kept.read_checkpoint(safety)
    assert document["trigger"] == "restore"
    assert {key: kept["value"] for key, kept in document["keys"].items()} == {
        "key": "new",
        "newer": 1,
    }


def test_nothing_is_restored_when_the_safety_checkpoint_fails(kept, monkeypatch):
    give(kept, key="old")
    kept.checkpoint("c")
    give(kept, key="new")
    real = kept.store.write

    def failing(collection, name, document):
        if name.startswith("before-restore-"):
            raise StateError("disk full")
        real(collection, name, document)

    monkeypatch.setattr(kept.store, "write", failing)
    with pytest.raises(StateError, match="disk full"):
        kept.restore_checkpoint("c")
    assert all_keys(kept) == {"key": "new"}


def test_restore_of_an_unknown_name_changes_nothing(kept, directory, capsys):
    give(kept, key=1)
    assert state.restore_checkpoint("unknown") is False
    with pytest.raises(UnknownCheckpoint, match="unknown"):
        kept.restore_checkpoint("unknown")
    assert (all_keys(kept), names(kept)) == ({"key": 1}, [])


def test_restore_through_the_function_is_true(kept):
    give(kept, key=1)
    kept.checkpoint("c")
    give(kept)
    assert state.restore_checkpoint("c") is True
    assert all_keys(kept) == {"key": 1}


def test_safety_checkpoints_do_not_pile_up(kept, monkeypatch):
    monkeypatch.setattr(checkpoints, "SAFETY_KEPT", 2)
    give(kept, key=1)
    kept.checkpoint("c")
    for _ in range(5):
        kept.restore_checkpoint("c")
        kept.undo()
        kept.restore_checkpoint("c")
    assert len(names(kept, "before-restore-")) == 2
    assert len(names(kept, "before-undo-")) <= 3
    assert "c" in names(kept)


def test_a_users_checkpoint_that_looks_like_a_safety_one_stays(kept, monkeypatch):
    """Its name is the user's to choose: undo and tidying know their own by more than that."""
    monkeypatch.setattr(checkpoints, "SAFETY_KEPT", 2)
    give(kept, key="mine")
    mine = ["before-restore-my-work", "before-undo-my-work"]
    for name in mine:
        kept.checkpoint(name)
    for _ in range(4):
        kept.restore_checkpoint(mine[0])
    give(kept, key="now")
    kept.restore_checkpoint(mine[0])
    kept.undo()
    assert all_keys(kept) == {"key": "now"}
    assert set(mine) < set(names(kept))


# --- undo ---


def test_undo_takes_a_restore_back(kept):
    give(kept, key="old")
    kept.checkpoint("c")
    give(kept, key="new", newer=1)
    safety = kept.restore_checkpoint("c")
    assert kept.undo() == safety
    assert all_keys(kept) == {"key": "new", "newer": 1}


def test_undo_takes_back_restores_one_by_one(kept):
    for name in ("a", "b"):
        give(kept, key=name)
        kept.checkpoint(name)
    give(kept, key="now")
    kept.restore_checkpoint("a")
    kept.restore_checkpoint("b")
    kept.undo()
    assert all_keys(kept) == {"key": "a"}
    kept.undo()
    assert all_keys(kept) == {"key": "now"}
    with pytest.raises(UnknownCheckpoint):
        kept.undo()
    assert all_keys(kept) == {"key": "now"}


def test_undo_keeps_what_it_leaves_behind(kept):
    give(kept, key="old")
    kept.checkpoint("c")
    kept.restore_checkpoint("c")
    give(kept, key="work after the restore")
    kept.undo()
    (left,) = names(kept, "before-undo-")
    kept.restore_checkpoint(left)
    assert all_keys(kept) == {"key": "work after the restore"}


def test_undo_with_nothing_to_undo(kept):
    give(kept, key=1)
    kept.checkpoint("c")
    with pytest.raises(UnknownCheckpoint, match="undo"):
        kept.undo()
    assert (all_keys(kept), names(kept)) == ({"key": 1}, ["c"])


@pytest.mark.parametrize("clock", ["stands still", "goes back"])
def test_undo_goes_by_order_and_not_by_the_clock(kept, monkeypatch, clock):
    times = iter(range(1_795_000_000, 0, -1))
    step = {"stands still": lambda: 1_795_000_000.0, "goes back": lambda: float(next(times))}
    give(kept, key="c")
    kept.checkpoint("c")
    give(kept, key="now")
    monkeypatch.setattr("time.time", step[clock])
    # Eleven, because "-10" sorts before "-2".
    for number in range(11):
        kept.restore_checkpoint("c")
        kept.save_state("key", number)
    seen = []
    for _ in range(11):
        kept.undo()
        seen.append(kept.load_state("key"))
    assert seen == [*range(9, -1, -1), "now"]


# --- comparing, listing, deleting ---


def test_diff_of_two_checkpoints(kept):
    give(kept, same=1, changed="old", removed=1)
    kept.checkpoint("a")
    give(kept, same=1, changed="new", added=[2])
    kept.checkpoint("b")
    give(kept)
    found = kept.diff("a", "b")
    assert found["keys"] == {
        "added": {"added": [2]},
        "removed": {"removed": 1},
        "changed": {"changed": ["old", "new"]},
    }
    assert (found["from"], found["to"], found["current_phase"]) == ("a", "b", None)


def test_diff_with_now(kept):
    give(kept, key="old")
    kept.checkpoint("a")
    give(kept, key="new")
    assert kept.diff("a")["keys"]["changed"] == {"key": ["old", "new"]}


def test_diff_of_equals_is_empty(kept):
    give(kept, key=1)
    kept.checkpoint("a")
    assert kept.diff("a")["keys"] == {"added": {}, "removed": {}, "changed": {}}
    assert kept.diff("a", "a")["files_processed"] == {"added": [], "removed": []}


def test_one_and_true_differ(kept):
    """Python takes 1 for True; JSON, and whoever reads the file, do not."""
    give(kept, key=1, zero=0.0)
    kept.checkpoint("a")
    give(kept, key=True, zero=False)
    assert set(kept.diff("a")["keys"]["changed"]) == {"key", "zero"}


@pytest.mark.parametrize("pair", [("unknown", None), ("known", "unknown"), ("unknown", "known")])
def test_diff_with_an_unknown_one(kept, pair):
    kept.checkpoint("known")
    with pytest.raises(UnknownCheckpoint, match="unknown"):
        kept.diff(*pair)


def test_checkpoints_are_listed_oldest_first(kept, monkeypatch):
    times = iter([1_795_000_300.0, 1_795_000_100.0, 1_795_000_200.0])
    give(kept, key=1)
    for name in ("b", "C", "a"):
        at = next(times)
        monkeypatch.setattr("time.time", lambda at=at: at)
        monkeypatch.setattr("lib.recording.journal.time", lambda at=at: at)
        kept.checkpoint(name)
    assert names(kept) == ["C", "a", "b"]
    assert kept.checkpoints()[0]["keys"] == ["key"]


def test_a_checkpoint_can_be_read_and_deleted(kept):
    give(kept, key=1)
    kept.checkpoint("Mine")
    assert kept.read_checkpoint("Mine")["keys"]["key"]["value"] == 1
    assert kept.delete_checkpoint("Mine") is True
    assert kept.delete_checkpoint("Mine") is False
    with pytest.raises(UnknownCheckpoint, match="Mine"):
        kept.read_checkpoint("Mine")


# --- checkpoint files that came from elsewhere ---

CREATED = "2026-01-01T00:00:00.000Z"
STRANGE = {
    "a key that is no document": {"keys": {"key": 5}},
    "a key without a value": {"keys": {"key": {"timestamp": CREATED}}},
    "a key of a bad name": {"keys": {"../../escaped": {"value": 1}}},
    "a key of a hidden name": {"keys": {".restore": {"value": 1}}},
    "created at a number": {"keys": {}, "created": 5},
    "a session that is a list": {"keys": {}, "session": [1]},
    "a session that is a text": {"keys": {}, "session": "x"},
    "files that are a number": {"keys": {}, "session": {"files_processed": 7}},
    "a session of nothing": {"keys": {}, "session": {"session_id": "x"}},
    "a trigger that is a list": {"keys": {}, "trigger": [1]},
    "a journal that is a text": {"keys": {}, "journal": "x"},
}


@pytest.mark.parametrize("document", STRANGE.values(), ids=STRANGE)
def test_a_strange_checkpoint_raises_no_strange_error(kept, directory, tmp_path, document):
    give(kept, mine=1)
    kept.checkpoint("good")
    for act in (
        lambda: kept.checkpoints(),
        lambda: kept.read_checkpoint("strange"),
        lambda: kept.diff("strange"),
        lambda: kept.diff("good", "strange"),
        lambda: kept.restore_checkpoint("strange"),
    ):
        (directory / "checkpoints" / "strange.json").write_text(
            json.dumps({"v": 1, "created": CREATED, **document})
        )
        try:
            act()
        except StateError:
            pass
    assert kept.restore_checkpoint("good")
    assert all_keys(kept) == {"mine": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


@pytest.mark.parametrize("document", STRANGE.values(), ids=STRANGE)
def test_restoring_a_strange_checkpoint_never_raises(kept, directory, document):
    give(kept, mine=1)
    (directory / "checkpoints").mkdir()
    (directory / "checkpoints" / "strange.json").write_text(
        json.dumps({"v": 1, "created": CREATED, **document})
    )
    if not state.restore_checkpoint("strange"):
        assert all_keys(kept) == {"mine": 1}


@pytest.mark.parametrize(
    "text", ["{", '{"v": 2, "keys": {}, "created": "x"}'], ids=["torn", "newer"]
)
def test_one_bad_checkpoint_does_not_hide_the_others(kept, directory, text):
    kept.checkpoint("good")
    (directory / "checkpoints" / "bad.json").write_text(text)
    try:
        kept.checkpoints()
    except StateError:
        pass  # told once; then the list is to be had
    assert "good" in names(kept)


def test_a_newer_checkpoint_is_neither_restored_nor_replaced(kept, directory):
    kept.checkpoint("good")
    path = directory / "checkpoints" / "newer.json"
    path.write_text('{"v": 2, "keys": {}, "created": "x"}')
    for act in (kept.restore_checkpoint, kept.checkpoint):
        with pytest.raises(NewerVersion):
            act("newer")
    assert '"v": 2' in path.read_text()


def test_a_newer_key_is_not_overwritten_by_a_restore(kept, directory):
    give(kept, key=1)
    kept.checkpoint("c")
    (directory / "keys/key.json").write_text('{"v": 2, "value": 2}')
    with pytest.raises(NewerVersion):
        kept.restore_checkpoint("c")
    assert (directory / "keys/key.json").read_text() == '{"v": 2, "value": 2}'


def test_a_newer_key_that_a_checkpoint_lacks_is_not_removed_by_a_restore(kept, directory):
    give(kept, key=1)
    kept.checkpoint("c")
    (directory / "keys/later.json").write_text('{"v": 2, "value": 2}')
    with pytest.raises(NewerVersion):
        kept.restore_checkpoint("c")  # for its safety checkpoint could not hold all
    kept.store.replace_keys({}, {})
    assert kept.keys() == ["later"]
    assert (directory / "keys/later.json").read_text() == '{"v": 2, "value": 2}'


def test_a_damaged_key_is_told_once_and_then_a_checkpoint_can_be_made(kept, directory):
    give(kept, good=1)
    (directory / "keys/bad.json").write_text("{")
    with pytest.raises(StateError, match=r"bad\.json"):
        kept.checkpoint("c")
    kept.checkpoint("c")
    assert set(kept.read_checkpoint("c")["keys"]) == {"good"}


# --- readers and crashes in the middle of a restore ---


def test_readers_during_restores_never_go_back_to_the_older_keys(kept, directory):
    """A restore becomes visible at one moment: who saw one of its keys sees no older one after.

    Each restored checkpoint numbers both keys alike, so what is read later is never smaller.
    A listing holds the keys of one checkpoint, whichever.
    """
    for number in range(15):
        give(kept, One=number, two=number, **({"odd": 1} if number % 2 else {"even": 1}))
        kept.checkpoint(f"c{number}")
    kept.restore_checkpoint("c0")
    code = "for number in range(15): kept.restore_checkpoint(f'c{number}')"
    with process(directory, code) as running:
        while running.poll() is None:
            for order in (("One", "two"), ("two", "One")):
                earlier, later = (kept.load_state(key) for key in order)
                assert earlier <= later
            assert kept.keys() in (["One", "even", "two"], ["One", "odd", "two"])
        assert running.returncode == 0
    assert all_keys(kept) == {"One": 14, "two": 14, "even": 1}


class Killed(BaseException):
    """Stands for a process that ends there."""


def test_a_restore_that_dies_half_way_is_seen_as_done_and_is_finished(kept, directory, monkeypatch):
    give(kept, a="old", b="old", goes=1)
    kept.checkpoint("c")
    give(kept, a="new", b="new", newer=1)
    real = kept.store._write_file

    def dying(collection, file, document):
        if file == "b.json":
            raise Killed
        real(collection, file, document)

    monkeypatch.setattr(kept.store, "_write_file", dying)
    with pytest.raises(Killed):
        kept.restore_checkpoint("c")
    assert (directory / json_files.INTENT).exists()
    fresh = State(directory, "")
    assert all_keys(fresh) == {"a": "old", "b": "old", "goes": 1}
    fresh.save_state("next", 1)
    assert not (directory / json_files.INTENT).exists()
    assert sorted(path.name for path in directory.glob("keys/*.json")) == [
        "a.json", "b.json", "goes.json", "next.json",
    ]  # fmt: skip
    assert json.loads((directory / "keys/b.json").read_text())["value"] == "old"


# --- sessions ---


@pytest.fixture
def known(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> State:
    """The state of a session that has begun and changed two files."""
    monkeypatch.setenv("HOME", str(hooks.home))
    monkeypatch.chdir(hooks.project)
    hooks.environment["CLAUDE_PID"] = str(os.getpid())  # alive, for as long as the test runs
    hooks.start(SESSION)
    hooks.prompt(SESSION, "build it")
    for number, name in enumerate(["b.py", "a.py"]):
        write(hooks, SESSION, name, f"w{number}")
    return State(hooks.directory, SESSION)


def write(hooks: Hooks, session: str, path: str, call: str) -> None:
    where = str(hooks.project / path)
    (hooks.project / path).write_text("x")
    hooks.call(session, "Write", call, {"file_path": where}, {"type": "create", "filePath": where})


def test_stop_checkpoints_the_session_under_its_id(hooks, known):
    hooks.stop(SESSION)
    file = json.loads((hooks.directory / "checkpoints" / f"session-{SESSION}.json").read_text())
    assert (file["v"], file["name"], file["trigger"]) == (1, f"session-{SESSION}", "Stop")
    assert list(file["session"]["files_processed"]) == ["b.py", "a.py"]
    assert file["session"]["current_phase"] == "build"
    assert file["session"]["session_id"] == SESSION
    assert file["keys"]["files_processed"]["value"] == ["b.py", "a.py"]
    assert file["keys"]["current_phase"]["value"] == "build"


def test_restore_in_a_known_session_brings_its_phase_and_files_back(hooks, known):
    known.save_state("plan", 1)
    known.checkpoint("c")
    write(hooks, SESSION, "later.py", "w9")
    known.set_phase("ship")
    known.save_state("plan", 2)
    known.restore_checkpoint("c")
    assert known.load_state("files_processed") == ["b.py", "a.py"]
    assert known.load_state("current_phase") == "build"
    assert known.load_state("plan") == 1
    assert known.session_state()["phase_pinned"] is False


def test_restore_brings_a_pin_back(hooks, known):
    known.set_phase("review")
    known.checkpoint("c")
    known.set_phase(None)
    write(hooks, SESSION, "later.py", "w9")
    known.restore_checkpoint("c")
    write(hooks, SESSION, "latest.py", "w10")
    live = hooks.show(SESSION)
    assert (live["current_phase"], live["phase_pinned"]) == ("review", True)


def test_restore_brings_an_empty_list_back(hooks, known):
    known.save_state("files_processed", [])
    known.checkpoint("c")
    write(hooks, SESSION, "later.py", "w9")
    known.restore_checkpoint("c")
    assert known.load_state("files_processed") == []


def test_undo_in_a_known_session_brings_its_phase_and_files_back(hooks, known):
    known.checkpoint("c")
    write(hooks, SESSION, "later.py", "w9")
    known.set_phase("ship")
    known.restore_checkpoint("c")
    known.undo()
    assert known.load_state("files_processed") == ["b.py", "a.py", "later.py"]
    assert known.load_state("current_phase") == "ship"
    assert known.session_state()["phase_pinned"] is True


def test_the_hooks_go_on_from_what_was_restored(hooks, known):
    known.checkpoint("c")
    write(hooks, SESSION, "gone.py", "w9")
    known.restore_checkpoint("c")
    write(hooks, SESSION, "new.py", "w10")
    hooks.stop(SESSION)
    assert list(hooks.show(SESSION)["files_processed"]) == ["b.py", "a.py", "new.py"]
    assert State(hooks.directory, "").load_state("files_processed") == ["b.py", "a.py", "new.py"]


def test_restore_in_one_session_leaves_another_alone(hooks, known):
    hooks.start(OTHER)
    write(hooks, OTHER, "other.py", "o1")
    known.checkpoint("c")
    State(hooks.directory, OTHER).set_phase("plan")
    known.restore_checkpoint("c")
    other = State(hooks.directory, OTHER)
    assert other.load_state("files_processed") == ["other.py"]
    assert other.load_state("current_phase") == "plan"


def test_restore_without_a_session_leaves_every_journal_alone(hooks, known):
    known.checkpoint("c")
    write(hooks, SESSION, "later.py", "w9")
    journal = hooks.directory / "sessions" / f"{SESSION}.jsonl"
    before = journal.read_bytes()
    State(hooks.directory, "").restore_checkpoint("c")
    assert journal.read_bytes() == before
    assert known.load_state("files_processed") == ["b.py", "a.py", "later.py"]
    assert State(hooks.directory, "").load_state("files_processed") == ["b.py", "a.py"]


def test_a_checkpoint_of_another_session_can_be_restored(hooks, known):
    hooks.stop(SESSION)
    hooks.end(SESSION, "prompt_input_exit")
    other = State(hooks.directory, OTHER)
    other.save_state("files_processed", ["mine.py"])
    other.restore_checkpoint(f"session-{SESSION}")
    assert other.load_state("files_processed") == ["b.py", "a.py"]
    assert other.load_state("current_phase") == "build"


def test_restoring_a_checkpoint_made_before_there_was_a_phase(hooks, monkeypatch):
    monkeypatch.setenv("HOME", str(hooks.home))
    State(hooks.directory, "").checkpoint("empty")
    hooks.start(SESSION)
    write(hooks, SESSION, "a.py", "w1")
    known = State(hooks.directory, SESSION)
    known.restore_checkpoint("empty")
    assert known.load_state("files_processed", []) == []
    assert known.load_state("current_phase") is None


def test_diff_tells_phase_and_files_of_the_session(hooks, known):
    known.checkpoint("a")
    write(hooks, SESSION, "later.py", "w9")
    known.set_phase("ship")
    found = known.diff("a")
    assert found["current_phase"] == ["build", "ship"]
    assert found["files_processed"] == {"added": ["later.py"], "removed": []}


def test_a_damaged_session_checkpoint_costs_nothing(hooks, known):
    """The journal is the truth: the next stop tells it, quarantines it and makes a new one."""
    hooks.stop(SESSION)
    path = hooks.directory / "checkpoints" / f"session-{SESSION}.json"
    path.write_text("{")
    assert known.load_state("files_processed") == ["b.py", "a.py"]
    stop = {"hook_event_name": "Stop", "session_id": SESSION}
    assert path.name in hooks.script("stop.py", json.dumps(stop)).stderr
    assert [kept.read_text() for kept in path.parent.glob("*.damaged-*")] == ["{"]
    assert json.loads(path.read_text())["session"]["session_id"] == SESSION


def test_a_session_restore_killed_before_the_journal_is_finished_by_the_next(hooks, known):
    """Keys, phase and files go back together, whoever finishes."""
    known.save_state("plan", 1)
    known.checkpoint("c")
    for k in range(12):
        write(hooks, SESSION, f"later{k}.py", f"k{k}")
        known.set_phase("ship")
        known.save_state("plan", 2)
        before = known.load_state("files_processed")
        child = os.fork()
        if not child:
            real, calls = os.replace, iter(range(99))
            os.replace = lambda *a, **o: os._exit(9) if next(calls) == k else real(*a, **o)
            State(hooks.directory, SESSION).restore_checkpoint("c")
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        fresh = State(hooks.directory, SESSION)
        found = [fresh.load_state(key) for key in ("plan", "current_phase", "files_processed")]
        assert found in ([1, "build", ["b.py", "a.py"]], [2, "ship", before])
        fresh.save_state("other", 1)
        keys = ("plan", "current_phase", "files_processed")
        assert [fresh.load_state(key) for key in keys] == found
        if not died:
            break
    assert found[0] == 1


@pytest.mark.parametrize(
    ("key", "value"), [("current_phase", "ship"), ("files_processed", ["saved.py"])]
)
def test_what_is_saved_after_a_restore_was_killed_outlives_its_completion(hooks, known, key, value):
    """Whoever takes the lock next finishes the restore; that must not come after what was saved."""
    kept = known.load_state(key)
    known.checkpoint("c")
    known.save_state(key, value)
    child = os.fork()
    if not child:
        real = os.replace

        def replace(source: str, target: str, **folders: int) -> None:
            real(source, target, **folders)
            if target == json_files.INTENT:
                os._exit(9)

        os.replace = replace
        State(hooks.directory, SESSION).restore_checkpoint("c")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    fresh = State(hooks.directory, SESSION)
    assert fresh.load_state(key) == kept  # it is seen as done
    fresh.save_state(key, value)
    assert fresh.load_state(key) == value
    fresh.save_state("other", 1)
    assert fresh.load_state(key) == value
