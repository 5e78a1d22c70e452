"""The SQLite store over databases that it has not made, and where it cannot read, write or wait."""

from __future__ import annotations

import gc
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from lib.disk import locks
from lib.errors import Busy, Damaged, StoreError
from lib.recording import journal
from lib.state import State
from lib.stores import CHECKPOINTS, KEYS
from lib.stores.open import open_store
from lib.stores.sqlite import connection, salvage
from lib.stores.sqlite import schema as schemas
from lib.stores.sqlite.connection import APPLICATION
from lib.stores.sqlite.database import FILE, Asking, DamagedDatabase
from lib.stores.sqlite.rows import MOST, check_of
from lib.stores.sqlite.schema import SCHEMA, SHARED
from tests.conftest import ROOT, absent
from tests.store_contract import call, document

COUNT = "SELECT count(*) FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c)"
TRIGGER = "CREATE TRIGGER t AFTER INSERT ON documents BEGIN {}; END;"
KEEP = "INSERT INTO documents VALUES (NULL, 'keys', 'NAME', '1', 0, CAST(x'DATA' AS BLOB));"
PRECIOUS = b'{"value": "precious", "timestamp": "2026"}'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project" / ".claude" / "state"


@pytest.fixture
def store(place: Path):
    return open_store("sqlite", str(place))


@pytest.fixture
def sqlite(hooks):
    hooks.environment["WORKFLOW_STATE_STORE"] = "sqlite"
    return hooks


def plant(place: Path, schema: str = SCHEMA, *statements: str) -> None:
    """Make a database as somebody would who knows the store well."""
    place.mkdir(parents=True, mode=0o700, exist_ok=True)
    with closing(sqlite3.connect(place / FILE)) as database:
        database.create_collation("evil", lambda _one, _other: 0)
        database.executescript(f"PRAGMA journal_mode = WAL; {schema}")
        database.executescript(f"PRAGMA user_version = 1; PRAGMA application_id = {APPLICATION};")
        for each in statements:
            database.executescript(each)
    (place / FILE).chmod(0o600)


def keep(name: str, data: bytes) -> str:
    """The statement that puts a key into a planted database."""
    return KEEP.replace("NAME", name).replace("DATA", data.hex())


def without(table: str) -> str:
    return "".join(
        f"{each};\n" for each in schemas.statements(SCHEMA) if f"TABLE {table} " not in each
    )


def changed(before: str, after: str) -> str:
    assert before in SCHEMA
    return SCHEMA.replace(before, after, 1)


DATA = "data BLOB NOT NULL, UNIQUE"
STRANGE = {
    "a trigger that removes": (SCHEMA, TRIGGER.format("DELETE FROM documents WHERE id = NEW.id")),
    "an endless trigger": (
        SCHEMA,
        TRIGGER.format(COUNT),
    ),
    "an endless view of documents": (
        without("documents"),
        "CREATE VIEW documents AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
        "SELECT x id, 'keys' shelf, 'a' name, '1' v, 0 split, x'00' data FROM c;",
    ),
    "an endless view of facts": (
        without("facts"),
        "CREATE VIEW facts AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
        "SELECT 'boot' name, x value FROM c;",
    ),
    "a generated column": (
        changed(DATA, "data BLOB AS (zeroblob(900000000)), UNIQUE"),
        "INSERT INTO documents (shelf, name, v, split) VALUES ('keys', 'a', '1', 0);",
    ),
    "a check": (changed(DATA, "data BLOB NOT NULL CHECK (length(data) < 0), UNIQUE"), ""),
    "a column that is missing": (changed("split INTEGER NOT NULL, ", ""), ""),
    "nearly nothing": ("CREATE TABLE facts (name, value);", ""),
    "an index that is missing": (SCHEMA, "DROP INDEX rows_by_name;"),
    "a collation of another's": (
        SCHEMA,
        "DROP INDEX refs_of_list; CREATE INDEX refs_of_list ON refs (shelf COLLATE evil);",
    ),
    "an index on an expression": (SCHEMA, "CREATE INDEX i ON documents (hex(zeroblob(1000)));"),
    "a virtual table": (SCHEMA, "CREATE VIRTUAL TABLE q USING fts4(a);"),
    "another's table": (SCHEMA, "CREATE TABLE theirs (a);"),
    "another program's": (SCHEMA, "PRAGMA application_id = 7;"),
    "a fact that is no text": (SCHEMA, "INSERT INTO facts VALUES ('boot', CAST(x'ff' AS TEXT));"),
}


class TestPlanted:
    @pytest.mark.parametrize(("schema", "statements"), STRANGE.values(), ids=STRANGE)
    def test_one_of_another_shape_is_quarantined_and_what_is_ours_in_it_taken_over(
        self, sqlite, schema, statements
    ):
        plant(sqlite.directory, schema)
        honest = "CREATE TABLE documents (" in schema and DATA in schema and "split" in schema
        if honest:
            plant(sqlite.directory, "", keep("old", PRECIOUS))
        plant(sqlite.directory, "", statements)
        event = {"hook_event_name": "SessionStart", "session_id": "s", "source": "startup"}
        told = sqlite.send({**event, "cwd": str(sqlite.project)}, timeout=30)
        assert f"{FILE} is damaged" in told
        sqlite.prompt("s")
        sqlite.stop("s")
        assert sqlite.cli("set", "k", "1").returncode == 0
        assert sqlite.cli("get", "k").stdout == "1\n"
        if honest:
            assert sqlite.cli("get", "old").stdout == "precious\n"
        assert len(list(sqlite.directory.glob(f"{FILE}.damaged-*"))) >= 1
        with closing(sqlite3.connect(sqlite.directory / FILE)) as database:
            assert schemas.strangeness(database.execute(schemas.CONTENTS).fetchall()) == ""

    def test_what_the_redis_store_adds_belongs_there(self, store, place):
        store.write(KEYS, "key", document(1))
        with closing(sqlite3.connect(place / FILE)) as database:
            database.executescript(SHARED)
        assert open_store("sqlite", str(place)).read(KEYS, "key")["value"] == 1

    def test_a_name_that_is_no_text_costs_that_row(self, store, place):
        plant(
            place,
            SCHEMA,
            keep("a", PRECIOUS),
            "INSERT INTO documents VALUES (NULL, 'keys', CAST(x'ff' AS TEXT), '1', 0, x'7b7d');",
            keep("b", PRECIOUS),
        )
        with pytest.raises(Damaged, match="Could not decode"), store.lock():
            store.names(KEYS)
        assert store.names(KEYS) == ["a", "b"]

    def test_names_that_nobody_can_give_are_not_listed(self, store, place):
        plant(
            place,
            SCHEMA,
            keep("a", PRECIOUS),
            *(
                KEEP.replace("'NAME'", name).replace("DATA", "7b7d")
                for name in ("'../../evil'", "x'ff00'", "''")
            ),
        )
        assert store.names(KEYS) == ["a"]

    def test_a_document_that_is_too_big_is_not_read_and_the_others_are(
        self, store, place, monkeypatch
    ):
        monkeypatch.setattr(connection, "LENGTH", 1 << 30)  # as where Python bounds no values
        plant(
            place,
            SCHEMA,
            "INSERT INTO documents VALUES (NULL, 'keys', 'big', '1', 0, zeroblob(69000000));",
            keep("a", PRECIOUS),
        )
        with pytest.raises(Damaged, match=r"key big .* is too big"), store.lock():
            store.read(KEYS, "big")
        assert store.names(KEYS) == ["a"]

    if sys.version_info >= (3, 11):  # Python bounds no values before that

        def test_no_value_is_longer_than_a_document(self, store, place):
            plant(place, SCHEMA, "INSERT INTO facts VALUES ('boot', hex(zeroblob(40000000)));")
            with pytest.raises(Damaged, match="too big"), store.lock():
                pass
            assert store.names(KEYS) == []

    def test_none_of_its_tables_is_read_that_is_not_as_ours(self, store, place):
        theirs = (
            "CREATE VIEW documents AS SELECT 1 id, 'keys' shelf, 'planted' name, '1' v, 0 split, "
            "x'7b7d' data;"
        )
        plant(place, without("documents"), theirs)
        with pytest.raises(Damaged, match="and 0 documents"), store.lock():
            pass
        assert store.names(KEYS) == []

    def test_what_is_taken_over_ends_in_its_time(self, store, place, monkeypatch):
        plant(place, SCHEMA, keep("a", PRECIOUS), "CREATE TABLE theirs (a);")
        monkeypatch.setattr(salvage, "SECONDS", -1)
        with pytest.raises(Damaged, match="and 0 documents"), store.lock():
            pass


class TestSalvage:
    def planted(self, place):
        plant(place, SCHEMA, keep("a", PRECIOUS), "CREATE TABLE theirs (a);")

    def kept(self, place):
        return list(place.glob(f"{FILE}.damaged-*"))

    def test_who_reads_is_told_and_who_writes_salvages(self, store, place):
        self.planted(place)
        with pytest.raises(DamagedDatabase, match="another's making"):
            store.database.open()
        with pytest.raises(DamagedDatabase, match="doctor --fix"):
            store.names(KEYS)
        assert not self.kept(place)
        with pytest.raises(Damaged, match="and 1 documents"), store.lock():
            pass
        assert self.kept(place)
        assert store.names(KEYS) == ["a"]

    def test_a_change_is_taken_back_before_its_database_is_salvaged(self, store, place):
        no_name = "INSERT INTO documents VALUES (NULL, 'keys', CAST(x'ff' AS TEXT), '1', 0, x'7d');"
        plant(place, SCHEMA, keep("a", PRECIOUS), no_name)
        with store.lock(), pytest.raises(Damaged, match=r"Could not decode.* 1 documents"):
            store.replace_keys({"b": document(1)}, {})
        assert open_store("sqlite", str(place)).names(KEYS) == ["a"]
        store.replace_keys({"b": document(1)}, {})
        assert open_store("sqlite", str(place)).names(KEYS) == ["b"]

    def test_of_two_who_meet_the_damage_one_salvages(self, store, place, monkeypatch):
        self.planted(place)
        acquire = store.database.acquire

        def be_second() -> int:
            other = open_store("sqlite", str(place))
            with pytest.raises(Damaged, match="and 1 documents"), other.lock():
                pass
            other.write(KEYS, "b", document(1))
            return acquire()

        monkeypatch.setattr(store.database, "acquire", be_second)
        with pytest.raises(Damaged, match="another process has quarantined it"), store.lock():
            pass
        assert store.names(KEYS) == ["a", "b"]


class TestNumbers:
    BIG = (1 << 64) - 1

    def plant(self, sqlite, collection, name, document, member, **numbers):
        ref = {"list": 1, "mark": 1, "count": 1, "next": 1, "rows": 0, "paths": 0, **numbers}
        data = json.dumps({"v": 1, **document, "rows": {member: ref}}).encode().hex()
        with closing(sqlite3.connect(sqlite.directory / FILE)) as database:
            database.execute(
                "INSERT OR REPLACE INTO documents VALUES (NULL, ?, ?, '1', 1, ?)",
                (collection, name, bytes.fromhex(data)),
            )
            database.commit()

    @pytest.mark.parametrize("number", ["list", "mark", "count", "next"])
    def test_of_a_reference_out_of_range_are_damage_of_that_document(self, sqlite, number):
        assert sqlite.cli("set", "k", "1").returncode == 0
        given = {number: self.BIG}
        self.plant(
            sqlite, KEYS, "files_processed", {"value": [], "timestamp": ""}, "value", **given
        )
        about = {"name": "session-z", "created": "2026", "keys": {}, "session": {"session_id": "z"}}
        self.plant(sqlite, CHECKPOINTS, "session-z", about, "session/files_processed", **given)
        sqlite.prompt("s")
        event = {"hook_event_name": "Stop", "session_id": "s", "cwd": str(sqlite.project)}
        done = sqlite.script("stop.py", json.dumps(event))
        assert "references that are none" in done.stderr
        for command in (["checkpoints"], ["show"], ["get"], ["get", "k"]):
            done = sqlite.cli(*command)
            assert (done.returncode, "Traceback" in done.stderr) == (0, False)

    @pytest.fixture
    def session(self, place, monkeypatch):
        monkeypatch.setenv("WORKFLOW_STATE_STORE", "sqlite")
        for number in range(5):
            journal.write(str(place), "s", call(number))
        State(str(place), "s").checkpoint_session("Stop")
        return place

    def tamper(self, place, *statement):
        with closing(sqlite3.connect(place / FILE)) as database:
            database.execute(*statement)
            database.commit()

    @pytest.mark.parametrize("head", [(1 << 63) - 1, MOST, -5, "text", b"bytes"])
    def test_of_a_list_that_has_no_next_one_are_damage(self, session, head):
        self.tamper(session, "UPDATE lists SET head = ?", (head,))
        for turn in range(2):
            journal.write(str(session), "s", {**call(3), "call": f"again{turn}"})
            state = State(str(session), "s")
            try:
                state.checkpoint_session("Stop")
            except StoreError as error:
                assert "no mark there is" in str(error)
        assert State(str(session), "s").live()["files_processed"]["f3"]["count"] == 3

    @pytest.mark.parametrize(
        "change",
        ["place = x'00'", "place = 'x'", "\"check\" = x'ff'", "row = x'7b7d'", "\"check\" = ''"],
    )
    def test_of_another_type_are_damage_of_a_row(self, session, change):
        self.tamper(session, f"UPDATE rows SET {change} WHERE name = 'f3'")  # noqa: S608
        with pytest.raises(Damaged, match="a row that is damaged"):
            dict(State(str(session), "s").live()["files_processed"])
        assert len(State(str(session), "s").live()["files_processed"]) == 5

    @pytest.mark.parametrize("row", ["[", "[]", "5", "[" * 100_000])
    def test_a_row_of_anothers_that_is_none_is_damage(self, session, monkeypatch, row):
        """Its check fits: who plants it makes that as well."""
        check = check_of("f3", 3, row, b"another's")
        self.tamper(
            session, "UPDATE rows SET row = ?, \"check\" = ? WHERE name = 'f3'", (row, check)
        )
        monkeypatch.setenv("WORKFLOW_STATE_KEY", "of this user")
        found = State(str(session), "s").store.read(CHECKPOINTS, "session-s")
        with pytest.raises(Damaged, match="a row that is damaged"):
            dict(found["session"]["files_processed"])


def python(code: str, *arguments: str, **options) -> subprocess.Popen[str]:
    """A process of its own that has the store at hand."""
    head = (
        f"import os, signal, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from lib.recording import journal\n"
        "from lib.errors import StoreError\n"
        "from lib.stores import KEYS\n"
        "from lib.stores.sqlite.database import Asking\n"
        "from lib.stores.open import open_store\n"
        "from tests.store_contract import document\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *arguments], text=True, **{**pipes, **options}
    )


class TestLongStatements:
    def test_a_hook_gives_up_in_the_middle_of_one(self, store, place):
        store.write(KEYS, "key", document(1))
        code = (
            "def handle(event):\n"
            "  store = open_store('sqlite', sys.argv[1])\n"
            "  database = store.database.open()\n"
            "  with Asking(store.database):\n"
            f"    database.execute({COUNT!r}).fetchone()\n"
            "journal.run('Stop', handle, seconds=0.3)\n"
        )
        with python(code, str(place)) as running:
            try:
                event = {"hook_event_name": "Stop", "session_id": "s", "cwd": str(place)}
                _, told = running.communicate(json.dumps(event), timeout=30)
            finally:
                running.kill()
        assert (running.returncode, told) == (
            1,
            "workflow-state: Stop: gave up after 0.3 seconds\n",
        )

    def test_many_signals_reach_python_and_none_is_lost(self, store):
        store.write(KEYS, "key", document(1))
        database = store.database.open()

        rung = []

        def give_up(_number: int, _frame: object) -> None:
            rung.append(1)
            raise journal.Unusable("gave up")

        def count(seconds: float) -> None:
            with Asking(store.database):
                signal.setitimer(signal.ITIMER_REAL, seconds, 5)  # again, should one be lost
                database.execute(COUNT).fetchone()

        before = signal.signal(signal.SIGALRM, give_up)
        gc.disable()  # it calls back into Hypothesis, where what a handler raises is lost
        try:
            for turn in range(50):
                with pytest.raises(journal.Unusable):
                    count(0.002 + 0.0001 * turn)
                signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            gc.enable()
        assert len(rung) == 50
        assert store.read(KEYS, "key")["value"] == 1


class TestInitialization:
    def test_it_is_looked_at_as_of_one_moment(self, store, place, monkeypatch):
        """Another process makes the tables after the application was read, before the version."""
        place.mkdir(parents=True)
        (place / FILE).touch(mode=0o600)
        code = (
            "store = open_store('sqlite', sys.argv[1])\n"
            "store.write(KEYS, 'key', document(1))\n"
            "print('founded')\n"
        )
        initializers = []

        class Interleaved:
            def __init__(self, connection):
                self.connection = connection

            def __getattr__(self, name):
                return getattr(self.connection, name)

            def execute(self, statement, *values):
                found = self.connection.execute(statement, *values)
                if statement == "PRAGMA application_id" and not initializers:
                    row = found.fetchone()
                    initializers.append(python(code, str(place)))
                    try:
                        initializers[0].wait(1.5)  # it waits for the reader, or is done before it
                    except subprocess.TimeoutExpired:
                        pass
                    return Answer(row)
                return found

        class Answer:
            def __init__(self, row):
                self.row = row

            def fetchone(self):
                return self.row

        connect = connection.engine.connect
        engine = type("Engine", (), dict(vars(connection.engine)))
        engine.connect = staticmethod(lambda *given, **named: Interleaved(connect(*given, **named)))
        with monkeypatch.context() as patched:
            patched.setattr(connection, "engine", engine)
            assert store.names(KEYS) in ([], ["key"])
        with initializers[0] as initializer:
            assert initializer.communicate(timeout=30) == ("founded\n", "")
        assert open_store("sqlite", str(place)).read(KEYS, "key")["value"] == 1

    def test_120_who_open_it_first_all_find_it(self, tmp_path):
        code = (
            "number = 0\n"
            "while number < 39 and os.fork(): number += 1\n"
            "os.write(1, b'ready\\n')\n"
            "store = open_store('sqlite', sys.argv[1])\n"
            "os.read(0, 1)\n"  # the end of the pipe wakes all of them
            "try:\n"
            "  store.names(KEYS)\n"
            "  store.write(KEYS, f'k{number}', document(number))\n"
            "except BaseException as error: print(type(error).__name__, error, flush=True)\n"
            "os._exit(0)\n"
        )
        for turn in range(3):
            place = tmp_path / str(turn)
            with python(code, str(place)) as running:
                for _ in range(40):
                    assert running.stdout.readline() == "ready\n"
                told, wrong = running.communicate(timeout=60)
            assert (told, wrong) == ("", "")
            assert len(open_store("sqlite", str(place)).names(KEYS)) == 40


class TestGone:
    """The database is removed or replaced while it is being written to."""

    def remove(self, place):
        for each in place.glob(f"{FILE}*"):
            each.unlink()

    def cut(self, place):
        (place / f"{FILE}-wal").unlink()

    @pytest.mark.parametrize("way", ["remove", "cut"])
    @pytest.mark.parametrize("again", [True, False])
    def test_what_was_being_saved_is_not_taken_for_saved(self, store, place, way, again):
        store.write(KEYS, "a", document(1))

        def save():
            with store.lock():
                store.write(KEYS, "b", document(2))
                getattr(self, way)(place)
                if again:
                    store.write(KEYS, "c", document(3))

        with pytest.raises(StoreError, match="removed or replaced"):
            save()
        store.write(KEYS, "d", document(4))
        there = open_store("sqlite", str(place))
        assert not {"b", "c"} & set(there.names(KEYS))
        assert there.read(KEYS, "d")["value"] == 4

    def test_nor_where_another_stands_in_its_place(self, store, place):
        store.write(KEYS, "a", document(1))

        def save():
            with store.lock():
                store.write(KEYS, "b", document(2))
                (place / FILE).rename(place / "elsewhere")
                plant(place)

        with pytest.raises(StoreError, match="removed or replaced"):
            save()

    def test_between_two_changes_it_is_begun_anew(self, store, place):
        store.write(KEYS, "a", document(1))
        self.remove(place)
        store.write(KEYS, "b", document(2))
        assert open_store("sqlite", str(place)).names(KEYS) == ["b"]


def mounted(hooks, *lines: str) -> subprocess.CompletedProcess[str]:
    """Run shell lines in a name space of their own, in which they may mount."""
    command = ["unshare", "-Urm", "/bin/sh", "-c", "\n".join(["set -e", *lines])]
    done = subprocess.run(
        command,
        env=hooks.env(),
        cwd=hooks.project,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "mount" in done.stderr or "unshare" in done.stderr:
        absent(f"mounting in a name space of its own does not work here: {done.stderr}")
    return done


class TestWhereNothingCanBeWritten:
    @pytest.fixture
    def worked(self, sqlite):
        sqlite.prompt("one", "Build the bridge.")
        sqlite.call("one", "Write", "t1", {"file_path": str(sqlite.project / "bridge.py")})
        sqlite.stop("one")
        sqlite.cli("set", "plan", "1")
        return sqlite

    def run(self, hooks, name, **fields):
        event = {"session_id": "two", "cwd": str(hooks.project), **fields}
        (hooks.home / name).write_text(json.dumps(event))
        return (
            f"{sys.executable} -I -S {ROOT}/hooks/{name}.py < {hooks.home}/{name} || echo code $?"
        )

    def read_only(self, hooks, *lines):
        """With all but the journals on a mount that is read-only."""
        place = hooks.directory
        return mounted(
            hooks,
            f"mount --bind {place} {place}",
            f"mount --bind {place}/sessions {place}/sessions",
            f"mount -o remount,ro,bind {place}",
            *lines,
        )

    @pytest.mark.parametrize("log", [False, True], ids=["no log", "a log"])
    def test_a_read_only_folder_is_read_all_the_same(self, worked, log):
        cli = f"{sys.executable} {ROOT}/bin/workflow-state"
        holder = None
        if log:  # what was saved last is in the log only
            holder = sqlite3.connect(worked.directory / FILE)
            holder.execute("SELECT * FROM documents").fetchone()
            worked.cli("set", "plan", "1")
            assert (worked.directory / f"{FILE}-wal").stat().st_size
        else:
            assert not (worked.directory / f"{FILE}-wal").exists()
        done = self.read_only(
            worked,
            f"{cli} get plan",
            self.run(worked, "session_start", source="startup"),
            f"{cli} set plan 2 || echo not set",
            self.run(worked, "stop"),
        )
        if holder:
            holder.close()
        plan, told, *rest = done.stdout.splitlines()
        assert plan == "1"
        context = json.loads(told)["hookSpecificOutput"]["additionalContext"]
        assert "Build the bridge" in context
        assert "Last checkpoint" in context
        assert rest == ["not set", "code 1"]
        assert len(done.stderr.splitlines()) == 2
        assert not list(worked.directory.glob("*.damaged*"))

    def test_a_start_tells_the_journal_where_the_database_cannot_be_opened(self, worked):
        """On a disk that is full, with a log beside it whose index cannot be made."""
        with closing(sqlite3.connect(worked.directory / FILE)) as holder:
            holder.execute("SELECT * FROM documents").fetchone()
            worked.cli("set", "plan", "2")
            wal = (worked.directory / f"{FILE}-wal").read_bytes()
        (worked.directory / f"{FILE}-wal").write_bytes(wal)
        (worked.directory / f"{FILE}-wal").chmod(0o600)
        done = self.read_only(
            worked, self.run(worked, "session_start", source="startup"), self.run(worked, "stop")
        )
        told, code = done.stdout.splitlines()
        assert "Build the bridge" in json.loads(told)["hookSpecificOutput"]["additionalContext"]
        assert FILE in json.loads(told)["systemMessage"]
        assert code == "code 1"
        assert len(done.stderr.splitlines()) == 1

    def test_a_start_tells_the_journal_while_another_program_keeps_it_locked(self, worked):
        with closing(sqlite3.connect(worked.directory / FILE, isolation_level=None)) as theirs:
            theirs.execute("PRAGMA locking_mode = EXCLUSIVE")
            theirs.execute("BEGIN EXCLUSIVE")
            theirs.execute("CREATE TABLE theirs (a)")
            event = {"hook_event_name": "SessionStart", "session_id": "two", "source": "startup"}
            output = worked.send({**event, "cwd": str(worked.project)})
        told = json.loads(output)
        assert "Build the bridge" in told["hookSpecificOutput"]["additionalContext"]
        assert told["systemMessage"].count("held by another process") == 1


class TestWaiting:
    @pytest.mark.parametrize("url", ["json", "sqlite"])
    def test_a_stop_waits_for_its_turn_for_longer_than_others(self, place, monkeypatch, url):
        monkeypatch.setenv("WORKFLOW_STATE_STORE", url)
        monkeypatch.setattr(locks, "LOCK_SECONDS", 0.05)
        journal.write(str(place), "s", call(1))
        State(str(place), "s").checkpoint_session("Stop")
        code = (
            "with open_store(sys.argv[2], sys.argv[1]).lock():\n"
            "  print('held', flush=True)\n"
            "  sys.stdin.readline()\n"
        )
        with python(code, str(place), url) as holder:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(Busy):
                State(str(place), "").save_state("key", 1)
            asked = threading.Event()

            def let_go():
                asked.wait()
                time.sleep(0.3)  # longer than the others wait, whom it is compared with
                holder.stdin.write("\n")
                holder.stdin.flush()

            waiting = threading.Thread(target=let_go)
            waiting.start()
            asked.set()
            assert State(str(place), "s").checkpoint_session("Stop") == "session-s"
            waiting.join()

    @pytest.mark.parametrize("url", ["json", "sqlite"])
    def test_how_long_is_the_callers_to_say(self, place, url):
        store = open_store(url, str(place))
        store.write(KEYS, "key", document(1))
        with open_store(url, str(place)).lock():
            with pytest.raises(Busy, match="for 0 seconds"), store.lock(0):
                pass
        store.write(KEYS, "key", document(2))
