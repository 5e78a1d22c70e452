"""What every store must do: a new one is a `where` fixture and a subclass of StoreContract."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lib.stores import CHECKPOINTS, KEYS, Busy, NewerVersion, StoreError, open_store
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
    """A document that both shelves take."""
    return {"value": value, "keys": {}, "created": "2026-01-01T00:00:00.000Z"}


class StoreContract:
    """Subclasses give `where`: the URL and the directory that `open_store` is handed."""

    @pytest.fixture
    def where(self) -> tuple[str, str]:
        raise NotImplementedError

    @pytest.fixture
    def store(self, where: tuple[str, str]) -> Store:
        return open_store(*where)

    @contextmanager
    def process(self, where: tuple[str, str], code: str) -> Iterator[subprocess.Popen[str]]:
        """Another process with the same store open as `store`, and this module's `document`."""
        opening = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from lib.stores import CHECKPOINTS, KEYS, open_store\n"
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

    @pytest.mark.parametrize("shelf", [KEYS, CHECKPOINTS])
    def test_an_empty_store_has_nothing(self, store, shelf):
        assert store.names(shelf) == []
        assert store.read(shelf, "absent") is None
        assert store.delete(shelf, "absent") is False

    @pytest.mark.parametrize("shelf", [KEYS, CHECKPOINTS])
    @pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
    def test_any_name_is_kept_as_it_is(self, store, shelf, name):
        store.write(shelf, name, document(name))
        assert store.names(shelf) == [name]
        assert store.read(shelf, name)["value"] == name

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

    def test_the_shelves_are_apart(self, store):
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

    @pytest.mark.parametrize("shelf", [KEYS, CHECKPOINTS])
    def test_delete_says_whether_there_was_one(self, store, shelf):
        store.write(shelf, "Key", document(1))
        assert store.delete(shelf, "Key") is True
        assert store.delete(shelf, "Key") is False
        assert store.names(shelf) == []

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

    @pytest.mark.parametrize("shelf", [KEYS, CHECKPOINTS])
    def test_a_newer_version_is_refused_and_never_replaced(self, store, shelf):
        store.write(shelf, "key", {**document(1), "v": 2})
        for act in (
            lambda: store.read(shelf, "key"),
            lambda: store.write(shelf, "key", document(2)),
            lambda: store.read(shelf, "key"),
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
        assert store.pending() is None

    def test_while_it_is_being_finished_readers_see_the_new_keys(self, where, store):
        store.write(KEYS, "old", document(1))
        seen = []

        def look(note: dict) -> None:
            other = open_store(*where)
            seen.append((other.names(KEYS), other.read(KEYS, "new")["value"], other.pending()))

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
        assert (store.names(KEYS), store.pending()) == (["new"], {"note": 1})
        told = []
        store.finish = told.append
        store.write(KEYS, "newer", document(3))
        assert (store.names(KEYS), store.pending(), told) == (["new", "newer"], None, [{"note": 1}])

    def test_an_empty_store_has_nothing_pending(self, store):
        assert store.pending() is None

    def test_sweep_leaves_every_document(self, store):
        store.write(KEYS, "key", document(1))
        store.write(CHECKPOINTS, "c", document(2))
        store.sweep()
        assert (store.names(KEYS), store.names(CHECKPOINTS)) == (["key"], ["c"])

    def test_sweeping_an_empty_store_is_no_error(self, store):
        store.sweep()

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
