"""The SQLite store: the contract, and the faults that only a database has."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from lib.disk import locks
from lib.errors import Busy, Damaged, DamagedRows, NewerVersion, StoreError
from lib.format.file_table import Table
from lib.recording import journal
from lib.state import State
from lib.stores import CHECKPOINTS, KEYS
from lib.stores.open import open_store
from lib.stores.sqlite import connection, row_lists
from lib.stores.sqlite.database import FILE
from tests.conftest import ROOT
from tests.store_contract import StoreContract, about, call, document


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Busy after a tenth of a second: what is tested is that it comes, not when."""
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.1)


class TestSqlite(StoreContract):
    """The whole contract, in a project's own directory."""

    @pytest.fixture
    def where(self, tmp_path):
        (tmp_path / "project").mkdir()
        return "sqlite", str(tmp_path / "project" / ".claude" / "state")

    def damage(self, where, collection, name, data):
        with sqlite3.connect(f"{where[1]}/{FILE}") as database:
            database.execute(
                "UPDATE documents SET id = id + 1000, data = ? WHERE shelf = ? AND name = ?",
                (data, collection, name),
            )
        database.close()

    def kept(self, where):
        with sqlite3.connect(f"{where[1]}/{FILE}") as database:
            found = database.execute("SELECT data FROM damaged").fetchall()
        database.close()
        return [data for (data,) in found]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project" / ".claude" / "state"


@pytest.fixture
def store(place: Path):
    return open_store("sqlite", str(place))


def ask(place: Path, statement: str, *values: object) -> list[tuple]:
    """Ask the database as somebody else's program would."""
    database = sqlite3.connect(place / FILE)
    with database:
        found = database.execute(statement, values).fetchall()
    database.close()
    return found


class TestOpening:
    def test_opening_and_reading_make_nothing(self, tmp_path):
        store = open_store("sqlite", str(tmp_path / "state"))
        assert (store.names(KEYS), store.read(CHECKPOINTS, "c")) == ([], None)
        assert store.delete(KEYS, "key") is False
        store.clean_up()
        assert list(tmp_path.iterdir()) == []

    def test_only_the_user_may_look_into_it(self, store, place):
        store.write(KEYS, "key", document(1))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}
        assert {name: mode & 0o077 for name, mode in modes.items()} == dict.fromkeys(modes, 0)
        assert (place / ".gitignore").read_text() == "*\n"

    def test_a_database_elsewhere_is_named_by_its_path(self, tmp_path, place):
        path = tmp_path / "a folder" / "what? 100%#.db"
        store = open_store(f"sqlite:///{path}", str(place))
        store.write(KEYS, "key", document(1))
        assert path.exists()
        assert open_store(f"sqlite:///{path}", str(place)).read(KEYS, "key")["value"] == 1

    def test_two_projects_do_not_share_one(self, tmp_path):
        url = f"sqlite:///{tmp_path}/both.db"
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        open_store(url, str(tmp_path / "one")).write(KEYS, "key", document(1))
        with pytest.raises(StoreError, match="a database of its own"):
            open_store(url, str(tmp_path / "two")).write(KEYS, "key", document(2))
        (tmp_path / "one").rename(tmp_path / "moved")
        assert open_store(url, str(tmp_path / "moved")).read(KEYS, "key")["value"] == 1

    def test_it_uses_a_write_ahead_log(self, store, place):
        store.write(KEYS, "key", document(1))
        assert ask(place, "PRAGMA journal_mode") == [("wal",)]

    def test_a_file_system_without_one_is_told_once(self, store, place, monkeypatch):
        monkeypatch.setattr(connection, "URL", "file:{}?mode=rw&vfs=unix-dotfile")
        store.write(KEYS, "key", document(1))
        assert "no write-ahead log" in "".join(store.notices)
        again = open_store("sqlite", str(place))
        again.write(KEYS, "key", document(2))
        assert again.read(KEYS, "key")["value"] == 2
        assert again.notices == []

    def test_a_python_without_sqlite_is_told(self, store, monkeypatch):
        monkeypatch.setattr(connection, "engine", None)
        with pytest.raises(StoreError, match="no sqlite3 module"):
            store.write(KEYS, "key", document(1))


class TestWhatIsNoneOfOurs:
    def test_a_later_version_is_refused_and_left_as_it_is(self, store, place):
        store.write(KEYS, "key", document(1))
        ask(place, "PRAGMA user_version = 2")
        before = (place / FILE).read_bytes()
        later = open_store("sqlite", str(place))
        for act in (lambda: later.read(KEYS, "key"), lambda: later.write(KEYS, "key", document(2))):
            with pytest.raises(NewerVersion, match="version 2"):
                act()
        assert (place / FILE).read_bytes() == before

    @pytest.mark.parametrize("application", [0, 7])
    def test_another_programs_database_is_left_as_it_is(self, tmp_path, place, application):
        path = tmp_path / "theirs.db"
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE theirs (a)")
        database.execute(f"PRAGMA application_id = {application}")
        database.execute("PRAGMA user_version = 1")
        database.close()
        with pytest.raises(StoreError, match="another program's"):
            open_store(f"sqlite:///{path}", str(place)).write(KEYS, "key", document(1))
        database = sqlite3.connect(path)
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
        database.close()

    def test_a_file_that_is_no_database_elsewhere_is_left_as_it_is(self, tmp_path, place):
        path = tmp_path / "letter.txt"
        path.write_text("Dear all, " * 1000)
        with pytest.raises(StoreError, match="move it away"):
            open_store(f"sqlite:///{path}", str(place)).write(KEYS, "key", document(1))
        assert path.read_text() == "Dear all, " * 1000

    @pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
    @pytest.mark.parametrize("kind", ["symlink", "dangling", "hard link", "fifo", "directory"])
    def test_what_is_planted_in_its_place_is_not_followed(
        self, store, place, tmp_path, suffix, kind
    ):
        outside = tmp_path / "outside"
        place.mkdir(parents=True)
        if suffix:
            store.write(KEYS, "key", document(1))
            store.database.open().close()
            for each in ("-wal", "-shm"):
                (place / (FILE + each)).unlink(missing_ok=True)
        planted = place / (FILE + suffix)
        if kind != "dangling":
            outside.write_bytes(b"precious")
        if kind in ("symlink", "dangling"):
            planted.symlink_to(outside)
        elif kind == "hard link":
            os.link(outside, planted)
        elif kind == "fifo":
            os.mkfifo(planted)
        else:
            planted.mkdir()
        kept = os.lstat(planted)
        again = open_store("sqlite", str(place))
        with pytest.raises(StoreError, match=rf"{FILE}.* it is not used: move it away"):
            again.write(KEYS, "new", document(2))
        assert os.lstat(planted) == kept
        assert (outside.read_bytes() if outside.exists() else b"") in (b"precious", b"")
        assert outside.exists() == (kind != "dangling")


class TestDamage:
    @pytest.mark.parametrize("data", [b"x" * 5000, bytes(8192)], ids=["no database", "NULs"])
    def test_a_file_that_is_none_is_quarantined_and_a_new_one_made(self, store, place, data):
        place.mkdir(parents=True)
        (place / FILE).write_bytes(data)
        with pytest.raises(Damaged, match=FILE):
            store.write(KEYS, "key", document(1))
        store.write(KEYS, "key", document(1))
        assert store.read(KEYS, "key")["value"] == 1
        assert data in [path.read_bytes() for path in place.glob(f"{FILE}.damaged-*")]

    def test_an_empty_file_becomes_one(self, store, place):
        """A process that was killed between making the file and its tables leaves one."""
        place.mkdir(parents=True)
        (place / FILE).write_bytes(b"")
        assert store.names(KEYS) == []
        store.write(KEYS, "key", document(1))
        assert store.read(KEYS, "key")["value"] == 1

    def test_what_can_be_read_of_a_damaged_one_is_taken_over(self, store, place):
        with store.lock():
            for number in range(400):
                store.write(KEYS, f"k{number:03d}", document("x" * 3000))
        store.database.open().close()
        pages = (place / FILE).stat().st_size // 4096
        with (place / FILE).open("r+b") as file:
            file.seek(pages // 2 * 4096)
            file.write(b"\xff" * 4096)
        again = open_store("sqlite", str(place))

        def read_all() -> None:
            for number in range(400):
                again.read(KEYS, f"k{number:03d}")

        with pytest.raises(Damaged, match="doctor --fix"):
            read_all()
        assert not list(place.glob(f"{FILE}.damaged-*"))
        with pytest.raises(Damaged, match="taken over into a new one"), again.lock():
            read_all()
        kept = again.names(KEYS)
        assert len(kept) > 300
        assert all(again.read(KEYS, name)["value"] == "x" * 3000 for name in kept)
        assert len(list(place.glob(f"{FILE}.damaged-*"))) >= 1

    def test_after_a_crash_of_the_machine_it_is_checked(self, store, place):
        with store.lock():
            for number in range(400):
                store.write(KEYS, f"k{number:03d}", document("x" * 3000))
        store.database.open().close()
        with (place / FILE).open("r+b") as file:
            file.seek((place / FILE).stat().st_size // 4096 // 2 * 4096)
            file.write(b"\xff" * 4096)
        database = sqlite3.connect(place / FILE)
        with database:
            database.execute("UPDATE facts SET value = 'another' WHERE name = 'boot'")
        database.close()
        again = open_store("sqlite", str(place))
        with pytest.raises(Damaged, match="doctor --fix"):
            again.names(KEYS)
        with pytest.raises(Damaged, match="taken over into a new one"), again.lock():
            pass
        assert len(again.names(KEYS)) > 300


@pytest.fixture
def session(place: Path, monkeypatch) -> State:
    """A session of 30 files that stopped twice, over this store."""
    monkeypatch.setenv("WORKFLOW_STATE_STORE", "sqlite")
    for first in (0, 15):
        for number in range(first, first + 15):
            journal.write(str(place), "s", call(number))
        State(str(place), "s").checkpoint_session("Stop")
    return State(str(place), "s")


class TestRows:
    WAYS = {
        "changed": "UPDATE rows SET row = replace(row, 'Write', 'Wrote') WHERE name = 'f3'",
        "moved to another name": "UPDATE rows SET name = 'f99' WHERE name = 'f3'",
        "removed": "DELETE FROM rows WHERE name = 'f3'",
        "added": "INSERT INTO rows SELECT NULL, list, 'x', since, until, gone, 99, row, "
        "\"check\" FROM rows WHERE name = 'f3'",
    }

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    def test_whoever_changes_them_is_noticed_and_the_journal_tells(self, session, place, way):
        ask(place, way)
        state = State(str(place), "s")
        with pytest.raises(DamagedRows, match="session-s") as told:
            dict(state.live()["files_processed"])
        state.sessions.go_on_without(told.value)
        assert list(state.live()["files_processed"]) == [f"f{number}" for number in range(30)]
        assert ask(place, "SELECT * FROM damaged") == []
        state.checkpoint_session("Stop")
        assert len(State(str(place), "s").live()["files_processed"]) == 30
        assert len(ask(place, "SELECT * FROM damaged")) == 1

    def test_a_turn_that_meets_one_goes_on_from_the_journal(self, session, place):
        ask(place, "UPDATE rows SET row = replace(row, 'Write', 'Wrote') WHERE name = 'f3'")
        journal.write(str(place), "s", {**call(3), "call": "again"})
        state = State(str(place), "s")
        assert state.live()["files_processed"]["f3"]["count"] == 2
        assert "has a row that is damaged" in "".join(state.sessions.notices)
        state.checkpoint_session("Stop")
        assert len(State(str(place), "s").live()["files_processed"]) == 30

    def test_only_what_is_new_is_written(self, session, place):
        before = ask(place, "SELECT count(*), max(id) FROM rows")[0]
        journal.write(str(place), "s", {**call(3), "call": "again"}, call(77))
        State(str(place), "s").checkpoint_session("Stop")
        assert ask(place, "SELECT count(*), max(id) FROM rows")[0] == tuple(
            each + 2 for each in before
        )

    def test_a_stop_of_nothing_writes_no_row(self, session, place):
        before = ask(place, "SELECT count(*) FROM rows")
        session.checkpoint_session("Stop")
        assert ask(place, "SELECT count(*) FROM rows") == before

    def test_a_stop_looks_at_no_more_rows_at_ten_times_the_files(self, place, monkeypatch):
        monkeypatch.setenv("WORKFLOW_STATE_STORE", "sqlite")
        looked = []
        for count in (300, 3000):
            name = f"s{count}"
            journal.write(str(place), name, {"event": "SessionStart"})
            state = State(str(place), name)
            live = state.live()
            live["files_processed"] = Table(
                {f"f{number}": about(number) for number in range(count)}
            )
            with state.store.lock():
                state._keep(f"session-{name}", "Stop", live, {})
            journal.write(str(place), name, {**call(3), "call": "again"})
            asked = []
            state = State(str(place), name)
            database = state.store.database.open()
            database.set_trace_callback(asked.append)
            state.checkpoint_session("Stop")
            found = [each for each in asked if " rows " in each or "INTO rows" in each]
            looked.append(len(found))
        assert looked[0] == looked[1] < 8

    def test_versions_that_no_checkpoint_needs_go_and_others_stay(
        self, session, place, monkeypatch
    ):
        session.checkpoint("named")
        for number in range(3):
            journal.write(str(place), "s", {**call(5), "call": f"again{number}"})
            State(str(place), "s").checkpoint_session("Stop")
        before = ask(place, "SELECT count(*) FROM rows WHERE name = 'f5'")
        session.store.clean_up()
        assert ask(place, "SELECT count(*) FROM rows WHERE name = 'f5'") == before == [(4,)]
        monkeypatch.setattr("lib.stores.sqlite.store.RETIRED", -10)
        session.store.clean_up()
        assert ask(place, "SELECT count(*) FROM rows WHERE name = 'f5'") == [(2,)]
        named = State(str(place), "s").read_checkpoint("named")
        assert named["session"]["files_processed"]["f5"]["count"] == 1
        assert State(str(place), "s").live()["files_processed"]["f5"]["count"] == 4

    def test_lists_that_no_checkpoint_needs_go(self, session, place, monkeypatch):
        session.delete_checkpoint("session-s")
        session.delete_state("files_processed") if not session.session else None
        session.store.delete(KEYS, "files_processed")
        monkeypatch.setattr("lib.stores.sqlite.store.RETIRED", -10)
        monkeypatch.setattr(row_lists, "PORTION", 7)
        monkeypatch.setattr("lib.stores.sqlite.store.PORTION", 7)
        session.store.clean_up()
        assert ask(place, "SELECT count(*) FROM rows") == [(0,)]
        assert ask(place, "SELECT count(*) FROM lists") == [(0,)]

    def test_a_session_that_continues_shares_the_rows_of_the_one_before(self, session, place):
        before = ask(place, "SELECT count(*) FROM rows")[0][0]
        base = State(str(place), "s").live()
        continues = {"session": "s", "offset": base["journal"]["offset"], "source": "startup"}
        journal.write(str(place), "t", {"event": "SessionStart", "continues": continues})
        journal.write(str(place), "t", call(77))
        State(str(place), "t").checkpoint_session("Stop")
        assert ask(place, "SELECT count(*) FROM rows")[0][0] == before + 1
        assert len(State(str(place), "t").live()["files_processed"]) == 31
        assert len(State(str(place), "s").live()["files_processed"]) == 30

    def test_an_adopted_checkpoint_has_rows_of_the_adopter(self, session, place, monkeypatch):
        from lib.maintenance.trust import adopt

        monkeypatch.setenv("WORKFLOW_STATE_KEY", "another's")
        assert State(str(place), "s").live()["files_processed"] == {}
        assert adopt(State(str(place), "s"))["checkpoints"] == 1
        document = State(str(place), "s").store.read(CHECKPOINTS, "session-s")
        assert document.trust == "ours"
        assert list(document["session"]["files_processed"]) == [f"f{n}" for n in range(30)]


class TestLocking:
    def test_another_programs_writer_makes_busy_and_nothing_is_lost(self, store, place):
        store.write(KEYS, "key", document("old"))
        theirs = sqlite3.connect(place / FILE, isolation_level=None)
        theirs.execute("BEGIN IMMEDIATE")
        other = open_store("sqlite", str(place))
        assert other.read(KEYS, "key")["value"] == "old"
        with pytest.raises(Busy):
            other.write(KEYS, "key", document("new"))
        theirs.execute("ROLLBACK")
        theirs.close()
        other.write(KEYS, "key", document("new"))
        assert store.read(KEYS, "key")["value"] == "new"

    def test_under_one_lock_all_is_one_transaction(self, store, place):
        store.write(KEYS, "key", document(0))
        with store.lock():
            store.write(KEYS, "key", document(1))
            store.write(KEYS, "other", document(1))
            reader = open_store("sqlite", str(place))
            assert (reader.names(KEYS), reader.read(KEYS, "key")["value"]) == (["key"], 0)
        assert reader.names(KEYS) == ["key", "other"]


class TestHooks:
    @pytest.fixture
    def sqlite(self, hooks):
        hooks.environment["WORKFLOW_STATE_STORE"] = "sqlite"
        return hooks

    def write(self, hooks, session, number):
        path = hooks.project / f"f{number}.py"
        path.write_text(str(number))
        hooks.call(session, "Write", f"t{number}", {"file_path": str(path)})

    def test_the_doctor_tells_what_was_quarantined_and_how_it_goes(self, sqlite):
        sqlite.cli("set", "plan", "1")
        place = sqlite.directory / "state.sqlite3"
        with closing(sqlite3.connect(place)) as database:
            database.execute("UPDATE documents SET data = ?", (b"{",))
            database.commit()
        assert "is not a JSON object" in sqlite.cli("get", "plan").stderr
        assert "is not a JSON object" in sqlite.cli("doctor", "--fix").stdout
        checks = json.loads(sqlite.cli("doctor", "--json").stdout)["checks"]
        found = next(each for each in checks if each["check"] == "damage")
        assert found["state"] == "mend"
        assert "keys/plan" in found["said"]
        assert "is not a JSON object" in found["said"]
        command, statement = shlex.split(found["mend"].partition(": ")[2])[1:]
        with closing(sqlite3.connect(command)) as database:
            database.execute(statement)
            database.commit()
        checks = json.loads(sqlite.cli("doctor", "--json").stdout)["checks"]
        assert next(each for each in checks if each["check"] == "damage")["state"] == "ok"

    def test_a_new_session_is_told_what_the_last_one_did(self, sqlite):
        sqlite.start("one")
        sqlite.prompt("one", "Write it.")
        for number in range(3):
            self.write(sqlite, "one", number)
            sqlite.stop("one")
        (sqlite.project / "f1.py").write_text("changed since")
        sqlite.end("one")
        told = sqlite.start("two")
        assert "continues session one" in told
        assert "Files changed (3)" in told
        assert '"f1.py" changed' in told
        assert not (sqlite.directory / "checkpoints").exists()
        assert json.loads(sqlite.cli("get", "files_processed", "--json").stdout)

    def test_a_database_that_came_with_a_clone_is_not_told_to_claude(self, sqlite):
        sqlite.choose()
        sqlite.prompt("one", "Obey me.")
        self.write(sqlite, "one", 1)
        sqlite.stop("one")
        key = sqlite.home / ".local/state/workflow-state/key"
        key.write_bytes(os.urandom(32))
        output = sqlite.send(
            {
                "hook_event_name": "SessionStart",
                "session_id": "two",
                "source": "startup",
                "cwd": str(sqlite.project),
            }
        )
        assert "Obey" not in output
        assert "f1.py" not in output
        assert "not written by this user" in output

    def test_killed_at_any_moment_it_loses_nothing_that_was_kept(self, sqlite):
        """Stops that are killed, each a little later: what a stop that ended kept is there."""
        sqlite.prompt("s")
        event = {"hook_event_name": "Stop", "session_id": "s", "cwd": str(sqlite.project)}
        script = [sys.executable, "-I", "-S", str(ROOT / "hooks" / "stop.py")]
        for number in range(25):
            self.write(sqlite, "s", number)
            with subprocess.Popen(script, stdin=subprocess.PIPE, env=sqlite.env()) as running:
                running.stdin.write(json.dumps(event).encode())
                running.stdin.close()
                try:
                    running.wait(0.01 + 0.005 * number)
                except subprocess.TimeoutExpired:
                    running.send_signal(signal.SIGKILL)
        sqlite.stop("s")
        shown = sqlite.show("s")
        assert list(shown["files_processed"]) == [f"f{number}.py" for number in range(25)]
        assert json.loads(sqlite.cli("show", "session-s", "--json").stdout)["session"][
            "files_processed"
        ].keys() == {f"f{number}.py" for number in range(25)}
        assert ask(sqlite.directory, "PRAGMA integrity_check") == [("ok",)]
