"""The SQLite store: one database, in which only what is new is written.

    documents   collection and name -> the signed bytes of the document
    rows        the files of sessions, each version of each, valid from a mark on
    lists       which rows belong together, and the newest mark of each
    refs        which document needs which rows
    damaged     the bytes of documents that this store has not written

A checkpoint of a session holds references in place of its tables (rows.py). So a stop costs what
its turn changed, however many files there are. The store only adds rows: a reader of an older
checkpoint still finds its own. A row that no checkpoint needs is removed an hour later.

The signature of a document covers its references. A reference has the sum of its rows, and each
row has a check value. So a database that came with a clone is not trusted, like a file.

A replacement of all keys is one transaction, which leaves a note. The next writer finishes what the
note says, if the process that left it has died.

Where the engine reports that the database is damaged, a method that writes quarantines and salvages
it (salvage.py), once its change is taken back. What only reads changes nothing.
"""

from __future__ import annotations

import time

from ...disk import locks
from ...errors import Damaged, DamagedRows, StoreError
from ...format import records
from ...format.documents import TABLES, Signed, data_of, signed
from ...format.file_table import Paths, Table
from ...format.json_text import dumps
from ...recording import journal
from .. import KEYS, LEFT, Unshared
from ..document_checks import INTENT, SIZE_LIMIT, examine, refuse_large
from .database import Asking, DamagedDatabase, Database, Savepoint, quarantine_bytes
from .row_lists import PORTION, RETIRED, Lists
from .rows import Ref, join
from .salvage import salvaging, salvaging_if_locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .. import Document

CLEANUP_SECONDS = 0.2


class Sqlite(Unshared):
    """The store in `state.sqlite3` in a state directory, or in the database at `path`."""

    def __init__(self, directory: str, path: str = "") -> None:
        self.directory = directory
        self.notices: list[str] = []
        self.finish: Callable[[Document], None] = lambda note: None
        self.database = Database(directory, path, self.notices)
        self.home = self.database.path
        self._lists = Lists(self.database, self.lose)
        self._lock = -1
        self._patience: float | None = None
        self._lost: list[tuple[str, str, str]] | None = None
        self._known: dict[tuple[int, str, str], int] = {}
        """The state in which a document was last seen whole, by opening, collection and name."""
        self._damaged: dict[tuple[int, str, str], tuple[int | None, str]] = {}
        """The state of a document whose rows were found damaged once it had been read, and how."""

    # --- reading ---

    @salvaging_if_locked
    def read(self, collection: str, name: str) -> Document | None:
        """The document, or None when there is none. Raises Damaged, NewerVersion, StoreError."""
        document, wrong = self.examine(collection, name)
        if wrong and self.database.held:
            raise self.lose(collection, name, wrong)
        if wrong:
            raise Damaged(f"{self.where(collection, name)} {wrong}; {LEFT}")
        return document

    def _seen(self, collection: str, name: str) -> tuple[int, str, str]:
        return self.database.openings, collection, name

    def examine(self, collection: str, name: str) -> tuple[Document | None, str]:
        """A document and what is wrong with it, "" for nothing; it is not quarantined.

        Raises NewerVersion and StoreError.
        """
        database = self.database.open()
        if database is None:
            return None, ""
        with Asking(self.database):
            found = database.execute(
                "SELECT id, split, CASE WHEN typeof(data) = 'blob' AND length(data) > ? THEN NULL "
                "ELSE data END FROM documents WHERE shelf = ? AND name = ?",
                (SIZE_LIMIT, collection, name),
            ).fetchone()
            if found and found[2] is None:
                wrong = f"{self.where(collection, name)} is too big"
                raise DamagedDatabase(self.database.path, wrong)
        if found is None:
            return None, ""
        number, split, data = found
        if not isinstance(data, bytes):
            return None, "is not bytes"
        state, wrong = self._damaged.get(self._seen(collection, name), (None, ""))
        if state == number:
            return None, wrong
        where = self.where(collection, name)
        document, wrong = examine(data, collection, name, where, self.database.believed_in)
        if document is not None and split and not wrong:
            wrong = join(document, self._lists, (collection, name))
        if not wrong:
            self._known[self._seen(collection, name)] = number
        return document, wrong

    @salvaging_if_locked
    def names(self, collection: str) -> list[str]:
        """The names in a collection, sorted."""
        database = self.database.open()
        if database is None:
            return []
        with Asking(self.database):
            found = database.execute(
                "SELECT name FROM documents WHERE shelf = ? ORDER BY name", (collection,)
            )
            # This store writes no document under a name that nobody can ask for.
            return [name for (name,) in found if isinstance(name, str) and journal.is_name(name)]

    def unfinished(self) -> Document | None:
        """The note of a `replace_keys` that is not done yet, but seen by readers already."""
        intent = self.read(INTENT, INTENT)
        return None if intent is None else intent.get("note") or {}

    def lose(self, collection: str, name: str, wrong: str) -> StoreError:
        """Quarantine a document that is not what it was, under the lock; what to raise.

        In the middle of a change, the document is quarantined once the change is taken back.
        """
        if self._lost is not None:
            self._lost.append((collection, name, wrong))
            return Damaged(f"{self.where(collection, name)} {wrong}; it is quarantined")
        if self.database.held:
            return self._quarantine(collection, name, wrong)
        seen = self._seen(collection, name)
        self._damaged[seen] = self._known.get(seen), wrong
        return DamagedRows(f"{self.where(collection, name)} {wrong}; {LEFT}")

    def _quarantine(self, collection: str, name: str, wrong: str) -> StoreError:
        database = self.database.open(create=True)
        with Asking(self.database), Savepoint(self.database):
            now = quarantine_bytes(database.execute, collection, name, wrong)
            database.execute(
                "DELETE FROM documents WHERE shelf = ? AND name = ?", (collection, name)
            )
            database.execute("DELETE FROM refs WHERE shelf = ? AND name = ?", (collection, name))
        where = self.where(collection, name)
        return Damaged(f"{where} {wrong}; its bytes are kept in the table `damaged`, of {now}")

    # --- writing ---

    def begin_change(self) -> bool:
        """From here on only note what is found damaged; False where a change does that already."""
        begins = self._lost is None
        if begins:
            self._lost = []
        return begins

    def end_change(self) -> None:
        """Quarantine what was found damaged meanwhile."""
        lost, self._lost = self._lost or [], None
        for collection, name, wrong in lost:
            self._quarantine(collection, name, wrong)

    @staticmethod
    def sign(_name: str, document: Document) -> Document:
        """The document, to be signed by `write`: the signature covers the rows that it stores."""
        return Signed(document, b"", records.OURS)

    @salvaging
    def write(self, collection: str, name: str, document: Document) -> None:
        """Put the document in place of any older one, durably."""
        with Change(self):
            self._put(collection, name, document)

    def _put(self, collection: str, name: str, document: Document) -> None:
        self._refuse_newer(collection, name)
        refs: dict[str, Ref] = {}
        if isinstance(document, Signed) and not document.data:
            whole = self._split(document, refs)
            if refs:
                whole["rows"] = {member: ref.document() for member, ref in refs.items()}
            data = bytes(signed(name, whole).data)
        else:
            data = bytes(data_of(document))
        refuse_large(data, self.where(collection, name))
        execute = self.database.open().execute
        version = document.get("v", journal.VERSION)
        written = execute(
            "INSERT OR REPLACE INTO documents (shelf, name, v, split, data) VALUES (?, ?, ?, ?, ?)",
            (collection, name, dumps(version), bool(refs), data),
        )
        if version == journal.VERSION:
            self._known[self._seen(collection, name)] = written.lastrowid
        execute("DELETE FROM refs WHERE shelf = ? AND name = ?", (collection, name))
        for list_, mark in {(ref.list, ref.mark) for ref in refs.values()}:
            execute("INSERT INTO refs VALUES (?, ?, ?, ?)", (collection, name, list_, mark))

    def _refuse_newer(self, collection: str, name: str) -> None:
        """Raise NewerVersion for what must not be replaced, and quarantine what is damaged.

        A document that was read whole, and is still the same, needs no check.
        """
        found = (
            self.database.open()
            .execute("SELECT id FROM documents WHERE shelf = ? AND name = ?", (collection, name))
            .fetchone()
        )
        if found and found[0] != self._known.get(self._seen(collection, name)):
            _, wrong = self.examine(collection, name)
            if wrong:
                self._quarantine(collection, name, wrong)

    def _split(self, document: Document, refs: dict[str, Ref]) -> Document:
        """Store the rows of a document's tables; the document with nothing in their place."""
        whole = dict(document)
        if isinstance(whole.get("value"), Paths):
            refs["value"] = self._lists.store("", "value", whole["value"].table)
            whole["value"] = []
        session = whole.get("session")
        if session:
            whole["session"] = session = dict(session)
            for member in TABLES:
                table = session.get(member)
                if isinstance(table, Table) and table:
                    ref = self._lists.store(session["session_id"], member, table)
                    refs[f"session/{member}"] = ref
                    session[member] = {}
        if "keys" in whole:
            whole["keys"] = dict(whole["keys"])
            for key, kept in whole["keys"].items():
                files = (document.get("session") or {}).get(key)
                if isinstance(files, Table) and files and kept["value"] == files.paths():
                    refs[f"keys/{key}"] = refs[f"session/{key}"]
                elif isinstance(kept["value"], Paths):
                    refs[f"keys/{key}"] = self._lists.store("", key, kept["value"].table)
                else:
                    continue
                # Its own check value is of what is not in it any more.
                about = {name: each for name, each in kept.items() if name != "check"}
                whole["keys"][key] = {**about, "value": []}
        return whole

    @salvaging
    def delete(self, collection: str, name: str) -> bool:
        """Remove the document; False when there was none."""
        if self.database.open() is None:
            return False
        with Change(self):
            return self._delete(collection, name)

    def _delete(self, collection: str, name: str) -> bool:
        execute = self.database.open().execute
        execute("DELETE FROM refs WHERE shelf = ? AND name = ?", (collection, name))
        done = execute("DELETE FROM documents WHERE shelf = ? AND name = ?", (collection, name))
        return bool(done.rowcount)

    @salvaging
    def replace_keys(self, wanted: dict[str, Document], note: Document) -> None:
        """Make KEYS hold exactly these; readers see the old ones or the new, never a mixture."""
        intent = {"v": journal.VERSION, "keys": {}, "note": note}
        with self.lock():
            with Change(self):
                for name, document in wanted.items():
                    self._put(KEYS, name, document)
                for name in set(self.names(KEYS)) - set(wanted):
                    if not self._is_newer(name):
                        self._delete(KEYS, name)
                self._put(INTENT, INTENT, signed(INTENT, intent))
            # From here on every reader sees the new keys, and the next writer the note.
            self.database.commit()
            self._begin()
            self._finish_intent()

    def _is_newer(self, name: str) -> bool:
        """Whether a key is of a later version, whose data are not ours to remove."""
        found = self.database.open().execute(
            "SELECT v FROM documents WHERE shelf = ? AND name = ?", (KEYS, name)
        )
        return bool(found.fetchone()[0] != dumps(journal.VERSION))

    def _finish_intent(self) -> None:
        """Finish a replacement. It is harmless to repeat, so a crash costs nothing."""
        intent = self.read(INTENT, INTENT)
        if intent is not None:
            self.finish(intent.get("note") or {})
            with Asking(self.database):
                self._delete(INTENT, INTENT)

    @salvaging_if_locked
    def quarantined(self) -> list[tuple[str, str]]:
        """The documents in the table `damaged`: where each lies, and what removes it."""
        database = self.database.open()
        if database is None:
            return []
        from shlex import quote

        path = self.database.path
        remove = " ".join(["sqlite3", quote(path), quote("DELETE FROM damaged")])
        with Asking(self.database):
            found = database.execute("SELECT shelf, name, at, wrong FROM damaged ORDER BY at")
            return [
                (
                    f"{collection}/{name} of {at}, which {wrong}, in the table damaged of {path}",
                    remove,
                )
                for collection, name, at, wrong in found
            ]

    @salvaging
    def clean_up(self) -> None:
        """Remove rows that no checkpoint needs, as many as a start can wait for."""
        if self.database.open() is None:
            return
        self.database.clean_up()
        give_up = time.monotonic() + CLEANUP_SECONDS
        before = int(time.time()) - RETIRED
        removed = PORTION
        while removed == PORTION and time.monotonic() < give_up:
            with self.lock(CLEANUP_SECONDS), Asking(self.database):
                removed = self._lists.clean_up(before)

    def close(self) -> None:
        """Close the database: else the engine's log stays beside it."""
        self.database.close()

    # --- the lock ---

    def lock(self, seconds: float | None = None) -> Sqlite:
        """Keep other writers out while the store is used as a context manager.

        A kernel lock among ours, in which one transaction is open. Raises Busy after so many
        seconds, by default LOCK_SECONDS.
        """
        self._patience = seconds
        return self

    @salvaging
    def __enter__(self) -> Sqlite:
        if not self.database.held:
            self.database.open()  # before the lock: the others need not wait for it
            self._lock = self.database.acquire(seconds=self._patience)
        self.database.held += 1
        if self.database.held == 1:
            try:
                self._begin()
                self._finish_intent()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        """Commit what was done under the lock, also where an error ended it."""
        if self.database.held == 1:
            try:
                self.database.commit()
            finally:
                self.database.held = 0
                locks.release(self._lock)
        else:
            self.database.held -= 1

    def _begin(self) -> None:
        database = self.database.open(create=True)
        with Asking(self.database):
            database.execute("BEGIN IMMEDIATE")

    def where(self, collection: str, name: str) -> str:
        """A document's place, for people."""
        if collection == INTENT:
            return f"the intent in {self.database.path}"
        return f"{'key' if collection == KEYS else 'checkpoint'} {name} in {self.database.path}"


class Change:
    """A change under the lock: all of it or nothing, but for what it found damaged.

    A change in another one is a part of that.
    """

    def __init__(self, store: Sqlite) -> None:
        self._store = store
        self._is_outer = False

    def __enter__(self) -> None:
        self._store.lock().__enter__()
        try:
            self._savepoint = Savepoint(self._store.database)
            self._savepoint.__enter__()
        except BaseException:
            self._store.lock().__exit__()
            raise
        self._is_outer = self._store.begin_change()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            with Asking(self._store.database):
                self._savepoint.__exit__(kind, error, trace)
            if self._is_outer:
                self._store.end_change()
            Asking(self._store.database).__exit__(kind, error, trace)
        finally:
            self._store.lock().__exit__()
