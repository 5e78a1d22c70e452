"""What every store must do: a new one is a subclass of StoreContract with `where`, `damage`, `kept`.

The cases are counted by store at the end of a run: every store passes the same number.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lib.errors import Busy, Damaged, NewerVersion, StoreError
from lib.format.documents import verdict_on
from lib.format.file_table import Table
from lib.recording import journal
from lib.session.states import complete
from lib.state import State
from lib.stores import CHECKPOINTS, KEYS
from lib.stores.open import open_store
from tests.conftest import ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lib.stores import Store

NAMES = {
    "one letter": "a",
    "capitals": "ReadMe",
    "digits": "007",
    "128 characters": "n" * 128,
    "128 capitals": "N" * 128,
    "dots": "a..b...json",
    "like a stored file": "plan.json",
    "like a temporary file": "x.tmp-0",
    "like a damaged file": "plan.json.damaged-20260101T000000-ab",
    "like a folder of the store": "checkpoints",
    "like the lock": "lock",
    "ends in a dash": "a-",
    "underscore first": "_a",
    "percent-free punctuation": "a.b_c-d",
}

VALUES = {
    "null": None,
    "false": False,
    "zero": 0,
    "beyond 64 bits": 2**80,
    "fraction": 0.1,
    "empty string": "",
    "line breaks": "a\nb\r\nc\u2028d",
    "NUL": "a\0b",
    "escape": "\x1b[31m",
    "emoji": "\N{SNOWMAN}\N{PILE OF POO}",
    "half a surrogate pair": "\ud800",
    "markup": "</system><script>",
    "empty list": [],
    "empty object": {},
    "nested": {"a": [{"b": [None, True, {"": 1}]}]},
    "a megabyte": "x" * (1 << 20),
}


def document(value: object) -> dict:
    """A document that both collections take."""
    return {"value": value, "keys": {}, "created": "2026-01-01T00:00:00.000Z"}


PATHS = [
    "src/a.py",
    "/outside/b.py",
    'quote".py',
    "back\\slash.py",
    "new\nline.py",
    "\udcff\udcfe.py",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}.py",
    '":  tricky": {}.py',
    "",
]
"""Paths in any spelling, in the order in which they were met."""


def about(number: int, outcome: str = "changed") -> dict:
    """What a session keeps of a file."""
    at = f"2026-11-23T14:{number // 60 % 60:02d}:{number % 60:02d}.{number % 1000:03d}Z"
    call = {"tool": "Write", "count": 1, "agent": None, "call": f"t{number}"}
    return {"first": at, "last": at, **call, "outcome": outcome}


def session_document(name: str, files: Table) -> dict:
    """A checkpoint of a session that processed these files."""
    kept = {"files_processed": {"value": files.paths(), "timestamp": "2026-01-01T00:00:00.000Z"}}
    session = {"session_id": "s", "files_processed": files, "files_read": Table()}
    head = {"v": journal.VERSION, "name": name, "created": "2026-01-01T00:00:00.000Z"}
    return {**head, "keys": kept, "session": session}


class StoreContract:
    """Subclasses give `where`: the URL and the directory that `open_store` is handed.

    And `damage`, which puts bytes in the place of a stored document's, and `kept`, which gives all
    bytes that were quarantined: both as somebody would who knows where the store keeps them.
    """

    @pytest.fixture
    def where(self) -> tuple[str, str]:
        raise NotImplementedError

    def damage(self, where: tuple[str, str], collection: str, name: str, data: bytes) -> None:
        raise NotImplementedError

    def kept(self, where: tuple[str, str]) -> list[bytes]:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _counted(self, request, record_property):
        if request.node.originalname in StoreContract.__dict__:
            record_property("contract", type(self).__name__)

    @pytest.fixture
    def store(self, where: tuple[str, str]) -> Store:
        return open_store(*where)

    @contextmanager
    def process(self, where: tuple[str, str], code: str) -> Iterator[subprocess.Popen[str]]:
        """Another process with the same store open as `store`, and this module's `document`."""
        opening = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from lib.stores import CHECKPOINTS, KEYS\n"
            "from lib.stores.open import open_store\n"
            "from tests.store_contract import document\n"
            f"store = open_store(*{where!r})\n"
        )
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, "-c", opening + code], **pipes) as running:
            try:
                yield running
            finally:
                running.kill()

    @contextmanager
    def holder(self, where: tuple[str, str]) -> Iterator[subprocess.Popen[str]]:
        """Another process that holds the lock until it is told otherwise."""
        code = "with store.lock():\n  print('held', flush=True)\n  sys.stdin.readline()\n"
        with self.process(where, code) as running:
            assert running.stdout.readline() == "held\n"
            yield running

    # --- documents ---

    @pytest.mark.parametrize("collection", [KEYS, CHECKPOINTS])
    def test_an_empty_store_has_nothing(self, store, collection):
        assert store.names(collection) == []
        assert store.read(collection, "absent") is None
        assert store.delete(collection, "absent") is False

    @pytest.mark.parametrize("collection", [KEYS, CHECKPOINTS])
    @pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
    def test_any_name_is_kept_as_it_is(self, store, collection, name):
        store.write(collection, name, document(name))
        assert store.names(collection) == [name]
        assert store.read(collection, name)["value"] == name

    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
    def test_any_value_comes_back_as_it_was(self, where, store, value):
        store.write(KEYS, "key", document(value))
        again = open_store(*where).read(KEYS, "key")
        assert repr(again) == repr(document(value))

    def test_no_two_names_share_a_document(self, store):
        names = ["a", "A", "ab", "aB", "Ab", "AB", "a.b", "a-b", "a_b", *NAMES.values()]
        names = sorted(set(names))
        for name in names:
            store.write(KEYS, name, document(name))
        assert store.names(KEYS) == names
        assert [store.read(KEYS, name)["value"] for name in names] == names

    def test_the_collections_are_apart(self, store):
        store.write(KEYS, "same", document(1))
        store.write(CHECKPOINTS, "same", document(2))
        store.delete(CHECKPOINTS, "same")
        assert store.read(KEYS, "same")["value"] == 1

    def test_names_are_sorted(self, store):
        for name in ["b", "a-10", "a-2", "C", "a"]:
            store.write(KEYS, name, document(name))
        assert store.names(KEYS) == ["C", "a", "a-10", "a-2", "b"]

    def test_a_write_replaces_the_whole_document(self, store):
        store.write(KEYS, "key", {**document(1), "extra": True})
        store.write(KEYS, "key", document(2))
        assert store.read(KEYS, "key") == document(2)

    def test_unknown_fields_are_kept(self, store):
        store.write(CHECKPOINTS, "c", {**document(1), "from_the_future": [1]})
        assert store.read(CHECKPOINTS, "c")["from_the_future"] == [1]

    @pytest.mark.parametrize("collection", [KEYS, CHECKPOINTS])
    def test_delete_says_whether_there_was_one(self, store, collection):
        store.write(collection, "Key", document(1))
        assert store.delete(collection, "Key") is True
        assert store.delete(collection, "Key") is False
        assert store.names(collection) == []

    def test_changing_what_was_read_changes_nothing_kept(self, store):
        store.write(KEYS, "key", document([1]))
        store.read(KEYS, "key")["value"].append(2)
        assert store.read(KEYS, "key")["value"] == [1]

    @pytest.mark.parametrize("value", [{1, 2}, float("nan"), b"bytes"], ids=str)
    def test_a_write_that_fails_leaves_the_old_document(self, store, value):
        store.write(KEYS, "key", document("old"))
        with pytest.raises((StoreError, TypeError, ValueError)):
            store.write(KEYS, "key", document(value))
        assert store.read(KEYS, "key")["value"] == "old"
        assert store.names(KEYS) == ["key"]

    @pytest.mark.parametrize("collection", [KEYS, CHECKPOINTS])
    def test_a_newer_version_is_refused_and_never_replaced(self, store, collection):
        store.write(collection, "key", {**document(1), "v": 2})
        for act in (
            lambda: store.read(collection, "key"),
            lambda: store.write(collection, "key", document(2)),
            lambda: store.read(collection, "key"),
        ):
            with pytest.raises(NewerVersion, match="version 2"):
                act()

    # --- all keys at once ---

    def test_replace_keys_is_exact(self, store):
        for name in ["stays", "Goes", "changes"]:
            store.write(KEYS, name, document("old"))
        new = {"stays": document("old"), "changes": document("new"), "New": document(1)}
        store.replace_keys(new, {})
        assert store.names(KEYS) == ["New", "changes", "stays"]
        assert store.read(KEYS, "Goes") is None
        assert store.read(KEYS, "changes")["value"] == "new"

    def test_replace_keys_by_none_removes_all(self, store):
        store.write(KEYS, "key", document(1))
        store.replace_keys({}, {})
        assert store.names(KEYS) == []

    def test_replace_keys_leaves_checkpoints_alone(self, store):
        store.write(CHECKPOINTS, "c", document(1))
        store.replace_keys({"key": document(1)}, {})
        assert store.names(CHECKPOINTS) == ["c"]

    def test_a_replacement_that_fails_leaves_all_keys(self, store):
        store.write(KEYS, "key", document("old"))
        with pytest.raises((StoreError, TypeError, ValueError)):
            store.replace_keys({"key": document("new"), "bad": document({1, 2})}, {})
        assert store.names(KEYS) == ["key"]
        assert store.read(KEYS, "key")["value"] == "old"

    def test_a_replacement_is_finished_with_its_note(self, store):
        told = []
        store.finish = told.append
        store.replace_keys({"key": document(1)}, {"to": ["tell"]})
        assert told == [{"to": ["tell"]}]
        assert store.unfinished() is None

    def test_while_it_is_being_finished_readers_see_the_new_keys(self, where, store):
        store.write(KEYS, "old", document(1))
        seen = []

        def look(note: dict) -> None:
            other = open_store(*where)
            seen.append((other.names(KEYS), other.read(KEYS, "new")["value"], other.unfinished()))

        store.finish = look
        store.replace_keys({"new": document(2)}, {"note": 1})
        assert seen == [(["new"], 2, {"note": 1})]

    def test_the_next_writer_finishes_for_one_that_died(self, where, store):
        store.write(KEYS, "old", document(1))
        code = (
            "import os; store.finish = lambda note: os._exit(9)\n"
            "store.replace_keys({'new': document(2)}, {'note': 1})\n"
        )
        with self.process(where, code) as running:
            assert running.wait(60) == 9
        assert (store.names(KEYS), store.unfinished()) == (["new"], {"note": 1})
        told = []
        store.finish = told.append
        store.write(KEYS, "newer", document(3))
        assert (store.names(KEYS), store.unfinished(), told) == (
            ["new", "newer"],
            None,
            [{"note": 1}],
        )

    def test_an_empty_store_has_nothing_pending(self, store):
        assert store.unfinished() is None

    def test_cleanup_leaves_every_document(self, store):
        store.write(KEYS, "key", document(1))
        store.write(CHECKPOINTS, "c", document(2))
        store.clean_up()
        assert (store.names(KEYS), store.names(CHECKPOINTS)) == (["key"], ["c"])

    def test_cleanup_an_empty_store_is_no_error(self, store):
        store.clean_up()

    # --- the lock ---

    def test_the_lock_is_reentrant(self, store):
        with store.lock(), store.lock():
            store.write(KEYS, "key", document(1))
            store.replace_keys({"key": document(2)}, {})
        assert store.read(KEYS, "key")["value"] == 2

    def test_the_lock_is_free_after_an_error_under_it(self, where, store):
        with pytest.raises(ZeroDivisionError), store.lock(), store.lock():
            _ = 1 / 0
        open_store(*where).write(KEYS, "key", document(1))

    def test_the_inner_exit_does_not_let_go(self, where, store):
        with store.lock():
            with store.lock():
                pass
            with pytest.raises(Busy):
                open_store(*where).write(KEYS, "key", document(1))

    def test_another_process_holding_the_lock_makes_writers_busy(self, where, store):
        store.write(KEYS, "key", document("old"))
        with self.holder(where):
            for act in (
                lambda: store.write(KEYS, "key", document("new")),
                lambda: store.delete(KEYS, "key"),
                lambda: store.replace_keys({}, {}),
            ):
                with pytest.raises(Busy):
                    act()
        assert store.read(KEYS, "key")["value"] == "old"

    def test_readers_never_wait_for_the_lock(self, where, store):
        store.write(KEYS, "key", document(1))
        with self.holder(where):
            assert store.read(KEYS, "key")["value"] == 1
            assert store.names(KEYS) == ["key"]

    def test_a_stopped_owner_makes_busy_and_does_not_hang(self, where, store):
        with self.holder(where) as running:
            running.send_signal(signal.SIGSTOP)
            with pytest.raises(Busy):
                store.write(KEYS, "key", document(1))

    def test_the_lock_of_a_killed_owner_is_free(self, where, store):
        with self.holder(where) as running:
            running.kill()
            running.wait()
            store.write(KEYS, "key", document(1))
        assert store.read(KEYS, "key")["value"] == 1

    def test_a_store_that_was_busy_works_afterwards(self, where, store):
        with self.holder(where), pytest.raises(Busy):
            store.write(KEYS, "key", document(1))
        store.write(KEYS, "key", document(2))
        assert store.read(KEYS, "key")["value"] == 2

    # --- many processes ---

    def test_read_and_write_under_the_lock_loses_no_update(self, where, store):
        store.write(KEYS, "count", document(0))
        code = (
            "for _ in range(10):\n"
            "  with store.lock():\n"
            "    count = store.read(KEYS, 'count')['value']\n"
            "    store.write(KEYS, 'count', document(count + 1))\n"
        )
        with self.process(where, code) as one, self.process(where, code) as two:
            with self.process(where, code) as three:
                assert [each.wait(60) for each in (one, two, three)] == [0, 0, 0]
        assert store.read(KEYS, "count")["value"] == 30

    def test_a_reader_sees_the_old_document_or_the_new(self, where, store):
        store.write(KEYS, "key", document("a" * 100_000))
        code = (
            "for letter in 'bcdefghij' * 5: store.write(KEYS, 'key', document(letter * 100_000))\n"
        )
        seen = set()
        with self.process(where, code) as writer:
            while writer.poll() is None:
                seen.add(store.read(KEYS, "key")["value"])
            assert writer.returncode == 0
        assert {(len(value), len(set(value))) for value in seen} == {(100_000, 1)}

    def test_who_saw_one_new_key_sees_no_old_one(self, where, store):
        """Each replacement sets both keys to the same number: what is read later is never older."""
        store.replace_keys({"One": document(0), "two": document(0)}, {})
        code = (
            "for number in range(1, 41):\n"
            "  spare = {'odd': document(number)} if number % 2 else {}\n"
            "  store.replace_keys({'One': document(number), 'two': document(number), **spare}, {})\n"
        )
        with self.process(where, code) as writer:
            while writer.poll() is None:
                for order in (("One", "two"), ("two", "One")):
                    earlier, later = (store.read(KEYS, name)["value"] for name in order)
                    assert earlier <= later
                assert set(store.names(KEYS)) >= {"One", "two"}
            assert writer.returncode == 0
        assert store.read(KEYS, "One")["value"] == 40

    # --- damage ---

    @pytest.mark.parametrize("collection", [KEYS, CHECKPOINTS])
    @pytest.mark.parametrize("data", [b"", b"{", b"null", b"\xff\xfe", b"[" * 100_000], ids=repr)
    def test_damage_is_left_by_readers_and_quarantined_by_writers(
        self, where, store, collection, data
    ):
        store.write(collection, "name", document(1))
        store.write(collection, "other", document(2))
        self.damage(where, collection, "name", data)
        again = open_store(*where)
        for _ in range(2):
            with pytest.raises(Damaged, match=r"name.*doctor --fix"):
                again.read(collection, "name")
        assert self.kept(where) == []
        with again.lock(), pytest.raises(Damaged, match="kept in"):
            again.read(collection, "name")
        assert again.read(collection, "name") is None
        assert again.names(collection) == ["other"]
        assert self.kept(where) == [data]

    def test_damage_does_not_keep_a_new_one_from_being_written(self, where, store):
        store.write(KEYS, "name", document(1))
        self.damage(where, KEYS, "name", b"{")
        again = open_store(*where)
        again.write(KEYS, "name", document(2))
        assert again.read(KEYS, "name")["value"] == 2
        assert self.kept(where) == [b"{"]

    # --- whose it is ---

    def test_what_was_signed_is_ours_and_under_another_key_foreign(self, where, store, monkeypatch):
        store.write(KEYS, "key", store.sign("key", document(1)))
        files = Table({path: about(number) for number, path in enumerate(PATHS)})
        store.write(CHECKPOINTS, "c", store.sign("c", session_document("c", files)))
        for collection, name in ((KEYS, "key"), (CHECKPOINTS, "c")):
            assert verdict_on(name, open_store(*where).read(collection, name)) == "ours"
        monkeypatch.setenv("WORKFLOW_STATE_KEY", "another's")
        for collection, name in ((KEYS, "key"), (CHECKPOINTS, "c")):
            assert verdict_on(name, open_store(*where).read(collection, name)) == "foreign"
        # It can be looked at all the same.
        assert (
            list(open_store(*where).read(CHECKPOINTS, "c")["session"]["files_processed"]) == PATHS
        )

    # --- tables of sessions ---

    def read_files(self, where, name="c") -> Table:
        session = open_store(*where).read(CHECKPOINTS, name)["session"]
        return complete(session)["files_processed"]

    def write_files(self, where, files: Table, name="c") -> None:
        store = open_store(*where)
        store.write(CHECKPOINTS, name, store.sign(name, session_document(name, files)))

    def test_a_table_comes_back_in_its_order(self, where):
        rows = {path: about(number) for number, path in enumerate(PATHS)}
        self.write_files(where, Table(rows))
        files = self.read_files(where)
        assert isinstance(files, Table)
        assert list(files.items()) == list(rows.items())
        assert len(files) == len(PATHS)
        assert all(path in files for path in PATHS)
        assert "absent" not in files
        assert files.get("absent") is None

    def test_the_list_of_a_key_is_that_of_the_table(self, where):
        self.write_files(where, Table({path: about(number) for number, path in enumerate(PATHS)}))
        kept = open_store(*where).read(CHECKPOINTS, "c")["keys"]["files_processed"]
        assert list(kept["value"]) == PATHS
        assert kept["value"] == PATHS

    def test_a_table_that_went_on_is_what_it_would_be_in_memory(self, where):
        """Set, replaced, removed, added again, at each of many checkpoints, against a dict."""
        model: dict[str, dict] = {}
        self.write_files(where, Table())
        for step in range(30):
            files = self.read_files(where)
            for number in range(4):
                path = f"f{(step * 7 + number * 5) % 23}"
                if (step + number) % 5 == 0 and path in model:
                    del model[path], files[path]
                else:
                    model[path] = about(step * 10 + number, f"{step}")
                    files[path] = dict(model[path])
                assert len(files) == len(model)
            assert list(files.items()) == list(model.items())
            self.write_files(where, files)
            files = self.read_files(where)
            assert list(files.items()) == list(model.items())

    def test_a_named_checkpoint_stays_as_it_was(self, where):
        history = {}
        self.write_files(where, Table({f"f{number}": about(number) for number in range(20)}))
        for step in range(8):
            files = self.read_files(where)
            files[f"f{step}"] = about(100 + step)
            files[f"new{step}"] = about(200 + step)
            del files[f"f{10 + step}"]
            history[f"n{step}"] = dict(files)
            self.write_files(where, files, f"n{step}")
            self.write_files(where, files)
        open_store(*where).clean_up()
        for name, rows in history.items():
            assert list(self.read_files(where, name).items()) == list(rows.items())

    def test_two_that_went_on_from_one_do_not_mix(self, where):
        self.write_files(where, Table({f"f{number}": about(number) for number in range(5)}))
        one, two = self.read_files(where), self.read_files(where)
        expected = []
        for step in range(4):
            for files, name in ((one, "one"), (two, "two")):
                files[f"{name}{step}"] = about(10 + step)
                files[f"f{step}"] = about(20 + step, name)
                if step == 2:
                    del files["f4" if name == "one" else "f0"]
            expected = [dict(one), dict(two)]
            self.write_files(where, one, "one")
            self.write_files(where, two, "two")
            one, two = self.read_files(where, "one"), self.read_files(where, "two")
        assert [dict(one), dict(two)] == expected
        assert len(self.read_files(where)) == 5

    def test_a_copy_is_a_table_of_its_own(self, where):
        self.write_files(where, Table({"a": about(1), "b": about(2)}))
        files = self.read_files(where)
        copy = files.copy()
        copy["a"] = about(3)
        copy["c"] = about(4)
        del copy["b"]
        assert dict(files) == {"a": about(1), "b": about(2)}
        assert dict(copy) == {"a": about(3), "c": about(4)}

    def test_a_reader_is_not_disturbed_by_who_writes_on(self, where):
        self.write_files(where, Table({f"f{number}": about(number) for number in range(50)}))
        reading = self.read_files(where)
        files = self.read_files(where)
        for number in range(50):
            files[f"f{number}"] = about(900 + number)
        self.write_files(where, files)
        open_store(*where).clean_up()
        assert dict(reading) == {f"f{number}": about(number) for number in range(50)}

    # --- restore, safety and undo, through the API ---

    @pytest.fixture
    def state(self, where, monkeypatch) -> State:
        monkeypatch.setenv("WORKFLOW_STATE_STORE", where[0])
        return State(where[1], "s")

    def test_restore_is_exact_and_undo_takes_it_back(self, state):
        state.save_state("plan", {"step": 1})
        state.save_state("Goes", [1])
        state.save_state("files_processed", ["a", "b"])
        state.set_phase("build")
        state.checkpoint("first")
        state.save_state("plan", {"step": 2})
        state.delete_state("Goes")
        state.save_state("new", "x")
        state.save_state("files_processed", ["b", "c"])
        state.set_phase("test")
        safety = state.restore_checkpoint("first")
        assert {key: state.load_state(key) for key in ("plan", "Goes", "new")} == {
            "plan": {"step": 1},
            "Goes": [1],
            "new": None,
        }
        assert state.load_state("files_processed") == ["a", "b"]
        assert state.load_state("current_phase") == "build"
        assert state.undo() == safety
        assert {key: state.load_state(key) for key in ("plan", "Goes", "new")} == {
            "plan": {"step": 2},
            "Goes": None,
            "new": "x",
        }
        assert state.load_state("files_processed") == ["b", "c"]
        assert state.load_state("current_phase") == "test"

    def test_a_stop_after_a_restore_keeps_what_was_restored(self, state, where):
        for number in range(30):
            state.sessions.write("s", call(number))
        state.checkpoint_session("Stop")
        state.checkpoint("first")
        for number in range(20, 50):
            state.sessions.write("s", call(number))
        State(where[1], "s").checkpoint_session("Stop")
        again = State(where[1], "s")
        again.restore_checkpoint("first")
        again.checkpoint_session("Stop")
        kept = State(where[1], "s").read_checkpoint("session-s")
        files = [f"f{number}" for number in range(30)]
        assert kept["keys"]["files_processed"]["value"] == files
        assert list(kept["session"]["files_processed"]) == files
        assert State(where[1], "").load_state("files_processed") == files

    def test_a_stop_adds_to_what_the_last_one_kept(self, state, where):
        for number in range(40):
            state.sessions.write("s", call(number))
            State(where[1], "s").checkpoint_session("Stop")
        found = State(where[1], "").checkpoints()
        assert [(each["name"], each["files_processed"]) for each in found] == [("session-s", 40)]
        whole = State(where[1], "s").session_state()["files_processed"]
        assert list(whole) == [f"f{number}" for number in range(40)]

    def test_two_thousand_checkpoints_are_listed_in_order(self, where, monkeypatch):
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the order is what is tested
        monkeypatch.setenv("WORKFLOW_STATE_STORE", where[0])
        store = open_store(*where)
        with store.lock():
            for number in range(2000):
                at = f"2026-01-01T00:{number % 60:02d}:{number // 60 % 60:02d}.{number % 997:03d}Z"
                store.write(CHECKPOINTS, f"c{number}", {"keys": {}, "created": at})
        assert store.names(CHECKPOINTS) == sorted(f"c{number}" for number in range(2000))
        found = State(where[1], "").checkpoints()
        assert len(found) == 2000
        assert found == sorted(found, key=lambda each: (each["created"], each["name"]))

    # --- crashes ---

    @pytest.mark.parametrize("verb", ["write", "delete", "replace_keys"])
    def test_a_crash_between_any_two_steps_leaves_the_old_or_the_new(self, where, store, verb):
        """A process that dies before one line of the store's code after another."""
        store.replace_keys({"one": document(0), "two": document(0)}, {})
        steps, stride, number, done = 0, 1, 0, False
        while not done:
            number += 1
            child = os.fork()
            if not child:
                _die_at_step(steps, lambda number=number: _act(where, verb, number))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert code in (0, 9)
            done = code == 0
            again = open_store(*where)
            told: list[dict] = []
            again.finish = told.append
            before = {name: again.read(KEYS, name) for name in again.names(KEYS)}
            pending = again.unfinished()
            with again.lock():
                pass
            after = {name: again.read(KEYS, name) for name in again.names(KEYS)}
            assert after == before
            assert told == ([pending] if pending is not None else [])
            values = {name: kept["value"] for name, kept in after.items()}
            assert values in _outcomes(verb, number)
            again.replace_keys({"one": document(0), "two": document(0)}, {})
            steps += stride
            stride += steps // 15  # every step at first, then fewer: a store may take thousands
        assert steps > 20


def call(number: int) -> dict:
    """The record of a call that wrote a file."""
    return {"event": "PostToolUse", "tool": "Write", "call": f"t{number}", "path": f"f{number}"}


def _act(where: tuple[str, str], verb: str, number: int) -> None:
    store = open_store(*where)
    if verb == "write":
        store.write(KEYS, "one", document(number))
    elif verb == "delete":
        store.delete(KEYS, "one")
    else:
        store.replace_keys({"one": document(number), "new": document(number)}, {"of": number})


def _outcomes(verb: str, number: int) -> list[dict]:
    old = {"one": 0, "two": 0}
    new = {"write": {"one": number, "two": 0}, "delete": {"two": 0}}
    return [old, new.get(verb, {"one": number, "new": number})]


def _die_at_step(steps: int, act) -> None:
    """Act, and die before the line of the store's code that is reached after so many others."""
    left = steps

    def trace(frame, event, _argument):
        nonlocal left
        if "/lib/stores/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os._exit(9)
        return trace

    try:
        sys.settrace(trace)
        act()
        sys.settrace(None)
        os._exit(0)
    finally:
        os._exit(3)
