"""The JSON store: the contract, and the faults that only files have."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from lib.disk import locks
from lib.errors import Damaged, StoreError
from lib.format.documents import layout
from lib.recording import first_use, journal
from lib.stores import CHECKPOINTS, KEYS, document_checks
from lib.stores.json_files import JsonFiles
from lib.stores.open import open_store
from tests.conftest import absent
from tests.store_contract import StoreContract, document


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Busy after a tenth of a second: what is tested is that it comes, not when."""
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "project" / ".claude" / "state"


@pytest.fixture
def store(place: Path) -> JsonFiles:
    first_use.initialize(str(place))
    (place / "checkpoints").mkdir()
    return JsonFiles(str(place))


class TestJsonFiles(StoreContract):
    """The whole contract, in a project's own directory."""

    @pytest.fixture
    def where(self, tmp_path):
        (tmp_path / "project").mkdir()
        return "json", str(tmp_path / "project" / ".claude" / "state")

    def damage(self, where, collection, name, data):
        folder = Path(where[1]) / collection
        (folder / f"{name}.json").write_bytes(data)

    def kept(self, where):
        return [path.read_bytes() for path in Path(where[1]).rglob("*.damaged-*")]

    def test_processes_under_the_default_patience_are_not_busy(self, where, store):
        code = "for number in range(10): store.write(KEYS, 'key', document(number))\n"
        with self.process(where, code) as one, self.process(where, code) as two:
            assert (one.wait(60), two.wait(60)) == (0, 0)
        assert store.read(KEYS, "key")["value"] == 9


class TestOpening:
    def test_opening_and_reading_make_nothing(self, tmp_path):
        store = open_store("", str(tmp_path / "state"))
        assert (store.names(KEYS), store.read(CHECKPOINTS, "c")) == ([], None)
        store.clean_up()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("url", ["sqlite3", "JSON", "jsonx", "http://x"])
    def test_an_unknown_store_is_refused_by_name(self, url, tmp_path):
        with pytest.raises(StoreError, match=url.partition(":")[0]):
            open_store(url, str(tmp_path))

    def test_the_first_write_initializes_the_directory(self, store, place):
        store.write(KEYS, "key", document(1))
        assert (place / ".gitignore").read_text() == "*\n"
        assert "delete this directory" in (place / "README").read_text()

    def test_only_the_user_may_look_into_it(self, tmp_path):
        store = JsonFiles(str(tmp_path / ".claude" / "state"))
        store.write(CHECKPOINTS, "c", document(1))
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) & 0o077
            for path in (tmp_path / ".claude" / "state", *(tmp_path / ".claude/state").rglob("*"))
        }
        assert set(modes.values()) == {0}, modes


# What cannot be what this store wrote; its bytes are proof enough to quarantine it.
CONTENTS = {
    "empty": b"",
    "a torn document": b'{"value": 1, "timest',
    "NULs": bytes(4096),
    "invalid UTF-8": b'{"value": "\xff\xfe"}',
    "a BOM alone": b"\xef\xbb\xbf",
    "UTF-16": '{"value": 1}'.encode("utf-16"),
    "random bytes": bytes(range(256)),
    "deep nesting": b'{"value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a million digits": b'{"value": ' + b"9" * 1_000_000 + b"}",
    "not a number": b'{"value": NaN, "timestamp": "x"}',
    "infinity": b'{"value": [1e999], "timestamp": "x"}',
    "two documents": b'{"value": 1}{"value": 2}',
    "conflict markers": b'<<<<<<< HEAD\n{"value": 1}\n=======\n{"value": 2}\n>>>>>>> x\n',
    "null": b"null",
    "a number": b"1",
    "a string": b'"value"',
    "a list": b'[{"value": 1}]',
    "an object without a value": b'{"timestamp": "2026-01-01T00:00:00.000Z"}',
}


def test_a_backup_made_of_hard_links_takes_nothing_away(store, place, tmp_path):
    store.write(KEYS, "key", document(1))
    os.link(place / "keys/key.json", tmp_path / "backup.json")
    assert store.read(KEYS, "key")["value"] == 1
    store.write(KEYS, "key", document(2))
    assert json.loads((tmp_path / "backup.json").read_text())["value"] == 1


class TestDamagedContents:
    @pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
    def test_are_left_by_who_reads(self, store, place, data):
        (place / "keys/key.json").write_bytes(data)
        with pytest.raises(Damaged, match=r"key\.json.*doctor --fix"):
            store.read(KEYS, "key")
        assert (place / "keys/key.json").read_bytes() == data
        assert store.names(KEYS) == ["key"]

    @pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
    def test_does_not_keep_a_new_one_from_being_written(self, store, place, data):
        (place / "keys/key.json").write_bytes(data)
        store.write(KEYS, "key", document(1))
        assert store.read(KEYS, "key")["value"] == 1
        assert [path.read_bytes() for path in place.rglob("*.damaged-*")] == [data]

    @pytest.mark.parametrize(
        "text",
        ['{"created": "x"}', '{"keys": {}}', '{"keys": [], "created": "x"}', '{"value": 1}'],
    )
    def test_a_checkpoint_lacking_its_parts_is_quarantined(self, store, place, text):
        (place / "checkpoints" / "c.json").write_text(text)
        with store.lock(), pytest.raises(Damaged, match=r"c\.json\.damaged-"):
            store.read(CHECKPOINTS, "c")
        assert store.read(CHECKPOINTS, "c") is None

    def test_a_document_with_a_bom_is_not_lost(self, store, place):
        """Notepad adds one to a file that was edited by hand."""
        (place / "keys/key.json").write_bytes(b'\xef\xbb\xbf{"value": 1}')
        try:
            assert store.read(KEYS, "key")["value"] == 1
        except Damaged:
            assert (place / "keys/key.json").exists()

    def test_twice_in_one_second_both_are_kept(self, store, place):
        for data in (b"one", b"two", b"three"):
            (place / "keys/key.json").write_bytes(data)
            with store.lock(), pytest.raises(Damaged):
                store.read(KEYS, "key")
        kept = {path.read_bytes() for path in place.rglob("key.json.damaged-*")}
        assert kept == {b"one", b"two", b"three"}

    def test_a_damaged_intent_does_not_take_the_keys_with_it(self, store, place):
        store.write(KEYS, "key", document(1))
        (place / ".restore.json").write_bytes(b"{")
        assert store.read(KEYS, "key")["value"] == 1
        assert (place / ".restore.json").exists()
        (notice,) = store.notices
        assert ".restore.json" in notice
        with pytest.raises(Damaged), store.lock():
            pass
        assert not (place / ".restore.json").exists()

    def test_a_fault_of_reading_proves_nothing(self, store, place, monkeypatch):
        """A call that fails says nothing of the file: it must not be moved."""
        (place / "keys/key.json").write_bytes(b"{")

        def failing(*_):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "read", failing)
        with pytest.raises(StoreError, match="Input/output error"):
            store.read(KEYS, "key")
        assert (place / "keys/key.json").exists()

    def test_being_called_from_deep_down_proves_nothing(self, store, place):
        """What the recursion limit cuts short is not damage: the same bytes load elsewhere."""
        value: list = []
        for _ in range(300):
            value = [value]
        store.write(KEYS, "key", document(value))

        def down(depth: int) -> None:
            if depth:
                down(depth - 1)
            else:
                store.read(KEYS, "key")

        for depth in range(300, 1000, 50):
            try:
                down(depth)
            except (StoreError, RecursionError):
                pass
        assert store.read(KEYS, "key")["value"] == value

    def test_a_document_replaced_while_it_was_opened_is_not_damaged(
        self, store, place, monkeypatch
    ):
        """Between open and fstat a writer puts a new one there: the old one has no name left."""
        store.write(KEYS, "key", document("old"))
        real = os.fstat

        def fstat(descriptor):
            if os.readlink(f"/dev/fd/{descriptor}").endswith("/key.json"):
                monkeypatch.setattr(os, "fstat", real)
                JsonFiles(str(place)).write(KEYS, "key", document("new"))
            return real(descriptor)

        monkeypatch.setattr(os, "fstat", fstat)
        assert store.read(KEYS, "key")["value"] in ("old", "new")
        assert store.read(KEYS, "key")["value"] == "new"


def _symlink(path: Path, outside: Path) -> None:
    outside.write_text('{"value": "secret", "timestamp": "x"}')
    path.symlink_to(outside)


def _dangling(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def _loop(path: Path, outside: Path) -> None:
    path.symlink_to(path.name)


def _device(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


def _fifo(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def _directory(path: Path, outside: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("x")


def _foreign(path: Path, outside: Path) -> None:
    if os.geteuid():
        absent("only root can give a file away")
    path.write_text('{"value": "planted", "timestamp": "x"}')
    os.chown(path, 12345, 12345)


WRONG_FILES = {
    "a symlink": _symlink,
    "a dangling symlink": _dangling,
    "a symlink to itself": _loop,
    "a symlink to a device": _device,
    "a FIFO": _fifo,
    "a directory": _directory,
    "another user's file": _foreign,
}


@pytest.fixture(params=WRONG_FILES.values(), ids=list(WRONG_FILES))
def wrong(request, store, place, tmp_path):
    """Makes the wrong kind of file at a path; returns what lies outside the state."""

    def make(path: Path) -> tuple[str, float] | None:
        outside = tmp_path / "outside"
        request.param(path, outside)
        return outside.read_text() if outside.exists() else None

    return make


class TestWrongKindOfFile:
    """It is somebody else's: neither read nor replaced, renamed or removed."""

    @pytest.mark.parametrize("collection", [KEYS, CHECKPOINTS])
    def test_is_refused_and_left(self, store, place, wrong, tmp_path, collection):
        path = place / collection / "c.json"
        path.parent.mkdir(exist_ok=True)
        before = wrong(path)
        kept = os.lstat(path)
        for verb in (
            lambda: store.read(collection, "c"),
            lambda: store.write(collection, "c", document(1)),
            lambda: store.delete(collection, "c"),
        ):
            with pytest.raises(StoreError, match=r"c\.json .*; it was left as it is: move it away"):
                verb()
        assert os.lstat(path) == kept
        outside = tmp_path / "outside"
        assert (outside.read_text() if outside.exists() else None) == before

    def test_as_an_intent_is_not_followed(self, store, place, wrong):
        store.write(KEYS, "key", document(1))
        wrong(place / ".restore.json")
        with pytest.raises(StoreError, match="move it away"):
            store.read(KEYS, "key")

    def test_as_the_lock_does_not_hang_and_leaves_the_outside_alone(
        self, store, place, wrong, tmp_path
    ):
        before = wrong(place / ".lock")
        try:
            store.write(KEYS, "key", document(1))
        except StoreError as error:
            assert ".lock" in str(error)
        outside = tmp_path / "outside"
        assert (outside.read_text() if outside.exists() else None) == before


class TestSymlinkedFolders:
    @pytest.mark.parametrize("folder", ["keys", "checkpoints"])
    def test_are_not_followed(self, store, place, tmp_path, folder):
        victim = tmp_path / "victim"
        victim.mkdir()
        (place / folder).rmdir()
        (place / folder).symlink_to(victim)
        with pytest.raises(StoreError):
            store.write(folder, "c", document(1))
        with pytest.raises(StoreError):
            store.read(folder, "c")
        assert list(victim.iterdir()) == []


class TestNames:
    @pytest.mark.parametrize(
        "entry", [".hidden.json", "key.json~", "key.txt", "a b.json", "key.json.damaged-1", ".json"]
    )
    def test_files_of_other_names_are_no_keys(self, store, place, entry):
        (place / "keys" / entry).write_text('{"value": 1}')
        assert store.names(KEYS) == []

    @pytest.mark.parametrize("entry", ["key~copy.json", "key~0123456789abcdef.json"])
    def test_every_name_listed_can_be_read(self, store, place, entry):
        """A copy made by hand is not listed as a key that nobody can read."""
        (place / "keys" / entry).write_text('{"value": 1}')
        assert [name for name in store.names(KEYS) if store.read(KEYS, name) is None] == []

    def test_no_two_file_names_differ_only_in_case(self, store, place):
        for name in ["plan", "Plan", "PLAN", "plaN"]:
            store.write(KEYS, name, document(name))
        files = [path.name.lower() for path in place.glob("keys/*.json")]
        assert len(files) == len(set(files)) == 4

    def test_a_listing_begun_before_a_replacement_is_no_mixture(self, store, place, monkeypatch):
        """Between the look for an intent and the listing, another process gets half way."""
        store.replace_keys({"old": document(1)}, {})
        other = JsonFiles(str(place))
        real = os.listdir

        def listdir(*arguments):
            monkeypatch.setattr(os, "listdir", real)
            monkeypatch.setattr(other, "_delete_file", _die)
            with pytest.raises(Killed):
                other.replace_keys({"new": document(1)}, {})
            return real(*arguments)

        monkeypatch.setattr(os, "listdir", listdir)
        assert store.names(KEYS) in (["old"], ["new"])


class Killed(BaseException):
    """Stands for SIGKILL where a real one would take the test with it."""


def _die(*_):
    raise Killed


class TestKilledWriters:
    @pytest.mark.parametrize("call", ["write", "fsync", "replace"])
    def test_leave_the_old_document(self, store, place, monkeypatch, call):
        store.write(KEYS, "key", document("old"))
        child = os.fork()
        if not child:
            setattr(os, call, lambda *_, **__: os._exit(9))
            store.write(KEYS, "key", document("new"))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert store.read(KEYS, "key")["value"] == "old"
        assert store.names(KEYS) == ["key"]
        store.write(KEYS, "key", document("next"))
        assert store.read(KEYS, "key")["value"] == "next"

    def test_stale_files_is_swept_once_it_is_old(self, store, place):
        old = [place / ".tmp-1", place / "checkpoints" / ".tmp-2"]
        young = [place / ".tmp-3", place / "checkpoints" / ".tmp-4"]
        for path in (*old, *young, place / "mine.tmp"):
            path.write_text("{")
        for path in (*old, place / "mine.tmp"):
            os.utime(path, (time.time() - 7200,) * 2)
        store.clean_up()
        assert [path.exists() for path in (*old, *young)] == [False, False, True, True]
        assert (place / "mine.tmp").exists()

    def test_a_cleanup_does_not_stop_at_a_folder_named_like_stale_files(self, store, place):
        (place / ".tmp-0").mkdir()
        (place / ".tmp-1").write_text("{")
        for name in (".tmp-0", ".tmp-1"):
            os.utime(place / name, (time.time() - 7200,) * 2)
        try:
            store.clean_up()
        except StoreError as error:
            assert ".tmp-0" in str(error)
        else:
            assert not (place / ".tmp-1").exists()


class TestDurability:
    @pytest.fixture(autouse=True)
    def key(self):
        """Made beforehand: making it syncs too."""
        assert journal.read_key(make=True)

    def test_a_document_is_synced_before_it_takes_its_place(self, store, monkeypatch):
        store.write(KEYS, "key", document(0))  # initializes the directory, which syncs too
        calls = []
        for name in ("fsync", "replace"):
            real = getattr(os, name)
            monkeypatch.setattr(
                os, name, lambda *a, _r=real, _n=name, **k: (calls.append(_n), _r(*a, **k))[1]
            )
        store.write(KEYS, "key", document(1))
        assert calls == ["fsync", "replace", "fsync"]

    @pytest.mark.parametrize("call", ["write", "fsync", "replace"])
    def test_a_write_that_fails_takes_its_temporary_file_along(
        self, store, place, monkeypatch, call
    ):
        store.write(KEYS, "key", document("old"))

        def failing(*_given, **_named):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, call, failing)
        with pytest.raises(StoreError, match="No space"):
            store.write(KEYS, "key", document("new"))
        assert list(place.rglob(".tmp-*")) == []

    def test_a_failed_sync_is_a_failed_write(self, store, monkeypatch):
        store.write(KEYS, "key", document("old"))

        def failing(_):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(StoreError, match="Input/output error"):
            store.write(KEYS, "key", document("new"))
        assert store.read(KEYS, "key")["value"] == "old"

    def test_no_descriptor_is_left_open(self, store, place):
        def used() -> int:
            return len(os.listdir("/dev/fd"))

        (place / "keys/bad.json").write_text("{")
        (place / "keys/link.json").symlink_to("/dev/zero")
        before = used()
        for name in ("key", "bad", "link", "absent"):
            try:
                store.write(KEYS, name, document(1))
                store.read(KEYS, name)
                store.names(KEYS)
                store.delete(KEYS, name)
            except StoreError:
                pass
        assert used() == before


class TestLayout:
    CASES = {
        "an empty object": ({}, "{}"),
        "members on lines of their own": ({"a": 1, "b": [1, 2]}, '{\n  "a": 1,\n  "b": [1, 2]\n}'),
        "non-ASCII escaped": ({"é": "\u2028"}, '{\n  "\\u00e9": "\\u2028"\n}'),
    }

    @pytest.mark.parametrize(("value", "text"), CASES.values(), ids=CASES)
    def test_reads_like_this(self, value, text):
        assert layout(value) == text

    def test_means_the_same(self):
        value = {"a": {"b": {"c": {"d": {"e": [1, {"f": {}}]}}}}, "": {}}
        assert json.loads(layout(value)) == value


def test_the_guard_of_the_harness_holds_for_the_store(tmp_path):
    assert journal.open_state.__name__ == "guarded"


def test_a_checkpoint_that_is_too_large_says_which_store_has_room(tmp_path, monkeypatch):
    monkeypatch.setattr(document_checks, "SIZE_LIMIT", 1 << 20)
    store = open_store("json", str(tmp_path / "state"))
    with pytest.raises(StoreError, match="migrate --to sqlite"):
        store.write(CHECKPOINTS, "large", {"keys": {}, "text": "x" * (2 << 20)})
    with pytest.raises(StoreError, match=r"at most 1; nothing was changed$"):
        store.write(KEYS, "large", {"value": "x" * (2 << 20)})
