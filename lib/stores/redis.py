"""The Redis store: the SQLite store of this machine, and what other machines keep in a server.

Everything is written here first, and read here; `exchange` gives the server what it lacks and
takes what others gave it. So a server that is slow or gone costs nothing but that, and whatever it
lacks is what the next exchange sends: nothing is counted or queued that could be lost.

    workflow-state:{<project>}:stamps        shelf/name -> when it was saved, or removed
    workflow-state:{<project>}:documents     shelf/name -> the sealed document
    workflow-state:{<project>}:rows:<list>   versions of rows, by their mark
    workflow-state:{<project>}:marks         list -> the mark up to which the server has all rows
    workflow-state:{<project>}:format        the version of all this

The last one to save a document is right, as on one machine: the server compares stamps, in one
script with all that belongs together. Rows go before the documents that need them. All of it may
be sent twice and is there once.
"""

from __future__ import annotations

import os
import time
from _blake2 import blake2b

from .. import journal
from ..courier import send
from ..jsontext import dumps, loads
from . import CHECKPOINTS, KEYS, Damaged, NewerVersion, StoreError, locks
from .database import Asking, Savepoint
from .identity import project_name
from .parcels import KEPT, LOSES, PUT, Parcel, keep_loser, without_secrets
from .rows import Ref
from .server import Talking, bounded, connect, place_of
from .sqlite import Sqlite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SECONDS = 5.0
"""What an exchange may take in all."""

GIVE = 30.0
"""The same of one that nobody waits for."""

EXCHANGE = ".exchange"
"""What the name of the file ends in that an exchange holds locked."""

ROWS_AT_A_TIME = 2000
PAGE = 10_000
"""Rows that are taken at a time."""

BYTES_AT_A_TIME = 4 << 20

TABLES = """
CREATE TABLE IF NOT EXISTS shared (
  shelf TEXT NOT NULL, name TEXT NOT NULL, id INTEGER, stamp TEXT NOT NULL, theirs INTEGER,
  PRIMARY KEY (shelf, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shared_lists (
  list INTEGER PRIMARY KEY, mark INTEGER NOT NULL, ours INTEGER NOT NULL, reached INTEGER NOT NULL
);
"""
"""What the server is known to have: which state of each document, and each list up to which mark.

A document is owed when its state is another one, or when it is gone. Beyond a list's mark
the rows up to the number `reached` were sent; of another machine's list so many were taken."""

OWED = """
SELECT documents.shelf, documents.name, documents.id FROM documents
LEFT JOIN shared ON shared.shelf = documents.shelf AND shared.name = documents.name
WHERE documents.shelf IN ('keys', 'checkpoints') AND documents.id IS NOT shared.id
ORDER BY documents.id
"""
SINCE = """
SELECT id, since, name, place, row, "check" FROM rows INDEXED BY rows_by_mark
WHERE list = ? AND since > ? AND since <= ? ORDER BY since, id
"""
REMOVED = """
SELECT shared.shelf, shared.name FROM shared
LEFT JOIN documents ON shared.shelf = documents.shelf AND shared.name = documents.name
WHERE documents.id IS NULL AND shared.id IS NOT NULL
"""

ELSEWHERE = """
SELECT documents.name FROM documents JOIN shared USING (shelf, name)
WHERE shelf = 'checkpoints' AND theirs AND documents.id = shared.id ORDER BY stamp DESC
"""


class Redis(Sqlite):
    """The store over a state directory that shares a project's documents through a server.

    url      redis://, rediss:// or unix://, which may hold a user and a password; so may
             WORKFLOW_STATE_REDIS_USER and WORKFLOW_STATE_REDIS_PASSWORD
    project  what the machines that share have in common; found in git when not given
    """

    def __init__(self, directory: str, url: str) -> None:
        super().__init__(directory)
        self.url = url
        self._place = place_of(url)
        self._prefix = ""
        self._script: Any = None

    # --- what goes on elsewhere ---

    def exchange(self, seconds: float = SECONDS, take: bool = True) -> None:
        """Give the server what it lacks, and take what it has. Raises StoreError.

        It ends after so many seconds whatever the network does; what is left is for the next. In 0
        seconds another process is told to do it.
        """
        if not seconds:
            if self.owed():
                try:
                    send(self.directory)
                except OSError as error:
                    raise StoreError(f"{self._place}: {error.strerror}") from error
            return
        # With a store of its own: when it is given up it may still be at work.
        other = Redis(self.directory, self.url)
        give_up = time.monotonic() + seconds
        bounded(lambda: other._exchange_alone(give_up, take), seconds, self._place)
        self.notices += other.notices

    def owed(self) -> int:
        """How many documents the server is not known to have."""
        if self.database.open() is None:
            return 0
        with self.lock(), Asking(self.database):
            self._know()
            execute = self.database.open().execute
            return len(execute(OWED).fetchall()) + len(execute(REMOVED).fetchall())

    def elsewhere(self) -> list[str]:
        """The checkpoints that other machines made last, the latest first."""
        if self.database.open() is None:
            return []
        with self.lock(), Asking(self.database):
            self._know()
            found = self.database.open().execute(ELSEWHERE)
            return [name for (name,) in found]

    def _exchange_alone(self, give_up: float, take: bool) -> None:
        """Exchange when no other process does: two at once would send the same."""
        if self.database.open() is None:
            return self._exchange(give_up, take)  # nothing is here that could be sent twice
        lock = self.database.acquire(EXCHANGE, give_up - time.monotonic())
        try:
            return self._exchange(give_up, take)
        finally:
            locks.release(lock)

    def _exchange(self, give_up: float, take: bool) -> None:
        self._prefix = self._prefix or f"workflow-state:{{{project_name(self.directory)}}}:"
        server = connect(self.url, max(0.05, give_up - time.monotonic()))
        with Talking(self._place):
            known = server.get(self._prefix + "format")
        if known is not None and known != str(journal.VERSION).encode():
            self._refuse(known)
        if take:
            self._take(server, give_up)
        self._give(server, give_up)

    def _refuse(self, version: bytes) -> None:
        raise NewerVersion(
            f"{self._place} has format version {version.decode('ascii', 'replace')!r:.40}, this "
            f"is version {journal.VERSION}; it is left as it is: update workflow-state"
        )

    # --- giving ---

    def _give(self, server: Any, give_up: float) -> None:
        put = server.register_script(PUT)
        for parcel in self._parcels():
            while True:
                with Talking(self._place) as told:
                    arguments = [str(journal.VERSION), dumps(parcel.document())]
                    lost = put(keys=[self._prefix], args=arguments)
                if not told.behind:
                    break
                list_, mark = told.behind
                # The server has gone back, to a replica perhaps: what it lacks is sent again.
                with self.lock(), _Savepoint(self):
                    self.database.open().execute(
                        "UPDATE shared_lists SET mark = min(mark, ?), reached = 0 WHERE list = ?",
                        (mark, list_),
                    )
                self._give(server, give_up)
                return
            with self.lock(), _Savepoint(self):
                parcel.arrived(self.database.open(), {name.decode() for name in lost})
            if time.monotonic() > give_up:
                return
        self._drop(server)

    def _drop(self, server: Any) -> None:
        """Remove rows that no checkpoint needs any more, whoever sent them.

        All checkpoints are here as well. Who refers to such rows meanwhile finds that the server
        lacks them, and sends them again.
        """
        with self.lock(), Asking(self.database):
            execute = self.database.open().execute
            unused = execute(
                "SELECT list FROM shared_lists WHERE mark > 0 "
                "AND list NOT IN (SELECT id FROM lists)"
            ).fetchall()
        for (list_,) in unused:
            with Talking(self._place):
                server.delete(f"{self._prefix}rows:{list_}")
                server.hdel(self._prefix + "marks", list_)
            with self.lock(), _Savepoint(self):
                self.database.open().execute("DELETE FROM shared_lists WHERE list = ?", (list_,))

    def _parcels(self) -> Iterator[Parcel]:
        """What is owed, in parcels that each stand for themselves: rows before their documents."""
        with self.lock(), Asking(self.database):
            self._know()
            execute = self.database.open().execute
            owed = execute(OWED).fetchall()
            removed = execute(REMOVED).fetchall()
        parcel = Parcel()
        for shelf, name, number in owed:
            try:
                data, stamp = self._outgoing(shelf, name)
            except (Damaged, NewerVersion):
                continue  # who reads it is told
            if data is None:
                continue  # it went meanwhile
            yield from self._rows_for(shelf, name)
            before, needs = self._stamp_before(shelf, name), self._needs(shelf, name)
            parcel.add(shelf, name, number, before, stamp, data, needs)
            if parcel.size > BYTES_AT_A_TIME:
                yield parcel
                parcel = Parcel()
        for shelf, name in removed:
            before = self._stamp_before(shelf, name)
            parcel.add(shelf, name, None, before, f"{journal.now()} removed", None, [])
        if parcel.size:
            yield parcel

    def _stamp_before(self, shelf: str, name: str) -> str:
        with Asking(self.database):
            found = (
                self.database.open()
                .execute("SELECT stamp FROM shared WHERE shelf = ? AND name = ?", (shelf, name))
                .fetchone()
            )
        return str(found[0]) if found else ""

    def _rows_for(self, shelf: str, name: str) -> Iterator[Parcel]:
        """The rows that a document needs and the server lacks."""
        for list_, mark in self._needs(shelf, name):
            execute = self.database.open().execute
            with self.lock(), _Savepoint(self):
                execute("INSERT OR IGNORE INTO shared_lists VALUES (?, 0, 1, 0)", (list_,))
                has, reached = execute(
                    "SELECT mark, reached FROM shared_lists WHERE list = ?", (list_,)
                ).fetchone()
            cursor = execute(SINCE, (list_, has, mark))
            versions = cursor.fetchmany(ROWS_AT_A_TIME)
            while has < mark:
                following = cursor.fetchmany(ROWS_AT_A_TIME)
                parcel = Parcel()
                # The mark of the last may have more rows: it counts when all of them are sent.
                reaches = versions[-1][1] - 1 if following else mark
                parcel.add_rows(list_, has, reaches, [row for row in versions if row[0] > reached])
                yield parcel
                has, versions = max(has, reaches), following

    def _needs(self, shelf: str, name: str) -> list[tuple[int, int]]:
        """The lists that a document refers to, and as of which marks."""
        with Asking(self.database):
            found: list[tuple[int, int]] = (
                self.database.open()
                .execute("SELECT list, mark FROM refs WHERE shelf = ? AND name = ?", (shelf, name))
                .fetchall()
            )
        return found

    def _outgoing(self, shelf: str, name: str) -> tuple[bytes | None, str]:
        """A document's bytes for others, its secrets masked, and its stamp."""
        document = self.read(shelf, name)
        if document is None:
            return None, ""
        data: bytes = (
            self.database.open()
            .execute("SELECT data FROM documents WHERE shelf = ? AND name = ?", (shelf, name))
            .fetchone()[0]
        )
        data = without_secrets(shelf, name, document, data)
        # With what it says: two that were saved at once are two, and all choose the same of them.
        saved = str(document.get("created") or document.get("timestamp") or "")
        return data, f"{saved} {blake2b(data, digest_size=8).hexdigest()}"

    # --- taking ---

    def _take(self, server: Any, give_up: float) -> None:
        """Take the documents that others saved since, and the rows they need."""
        with Talking(self._place):
            stamps = {
                name.decode(): stamp.decode()
                for name, stamp in server.hgetall(self._prefix + "stamps").items()
            }
        with self.lock(), _Savepoint(self):
            self._know()
            execute = self.database.open().execute
            ours = {
                f"{shelf}/{name}": stamp
                for shelf, name, stamp in execute("SELECT shelf, name, stamp FROM shared")
            }
            for each in [name for name in ours if name not in stamps]:
                # The server has it no more, though nobody removed it: it is owed again.
                shelf, _, name = each.partition("/")
                execute("DELETE FROM shared WHERE shelf = ? AND name = ?", (shelf, name))
        news = [name for name, stamp in stamps.items() if ours.get(name) != stamp]
        for start in range(0, len(news), 100):
            names = news[start : start + 100]
            with Talking(self._place):
                found = dict(zip(names, server.hmget(self._prefix + "documents", names)))
            needed = [ref for data in found.values() if data for ref in _references(data)]
            for ref in needed:
                self._take_rows(server, ref, give_up)
            with self.lock(), _Savepoint(self):
                for each, data in found.items():
                    self._take_document(each, stamps[each], data)

    def _take_rows(self, server: Any, ref: Ref, give_up: float) -> None:
        """Take the rows of a list up to a mark; where time ends, the next one goes on."""
        with self.lock(), _Savepoint(self):
            execute = self.database.open().execute
            execute("INSERT OR IGNORE INTO shared_lists VALUES (?, 0, 0, 0)", (ref.list,))
            mark, ours, taken = execute(
                "SELECT mark, ours, reached FROM shared_lists WHERE list = ?", (ref.list,)
            ).fetchone()
        while not ours and mark < ref.mark:
            if time.monotonic() > give_up:
                raise StoreError(f"{self._place} has more than can be taken at once; go on later")
            with Talking(self._place):
                page = server.zrange(
                    f"{self._prefix}rows:{ref.list}", taken, taken + PAGE - 1, withscores=True
                )
            taken += len(page)
            if len(page) < PAGE:
                mark = max([ref.mark, *(int(score) for _, score in page[-1:])])
            with self.lock(), _Savepoint(self):
                self._add_rows(ref.list, [(int(score), row) for row, score in page])
                self.database.open().execute(
                    "UPDATE shared_lists SET mark = ?, reached = ? WHERE list = ?",
                    (mark, taken, ref.list),
                )

    def _add_rows(self, list_: int, versions: list[tuple[int, bytes]]) -> None:
        execute, now = self.database.open().execute, int(time.time())
        execute("INSERT OR IGNORE INTO lists VALUES (?, '', '', 0, ?)", (list_, now))
        for mark, version in versions:
            _, name, place, row, check = loads(version.decode())
            execute(
                "UPDATE rows SET until = ?, gone = ? WHERE list = ? AND name = ? AND since < ? "
                "AND until IS NULL",
                (mark, now, list_, name, mark),
            )
            execute(
                'INSERT OR IGNORE INTO rows (list, name, since, place, row, "check") '
                "VALUES (?, ?, ?, ?, ?, ?)",
                (list_, name, mark, place, row, check),
            )
            execute("UPDATE lists SET head = max(head, ?) WHERE id = ?", (mark, list_))

    def _take_document(self, each: str, stamp: str, data: bytes | None) -> None:
        """Put a document of another machine in place, unless ours was saved later."""
        shelf, _, name = each.partition("/")
        if shelf not in (KEYS, CHECKPOINTS) or not journal.is_name(name):
            return
        execute = self.database.open().execute
        found = execute(
            "SELECT documents.id, shared.id FROM documents LEFT JOIN shared "
            "ON shared.shelf = documents.shelf AND shared.name = documents.name "
            "WHERE documents.shelf = ? AND documents.name = ?",
            (shelf, name),
        ).fetchone()
        if found and found[0] != found[1]:
            if self._stamp_of(shelf, name) > stamp:
                return  # saved here since, and later: it is owed
            if keep_loser(execute, shelf, name):
                self.notices.append(f"{self._where(shelf, name)} {LOSES}: {KEPT}")
        number = None
        if data is None:
            self._delete(shelf, name)
        else:
            number = self._put_bytes(shelf, name, data)
        execute(
            "INSERT OR REPLACE INTO shared VALUES (?, ?, ?, ?, 1)", (shelf, name, number, stamp)
        )

    def _stamp_of(self, shelf: str, name: str) -> str:
        document, wrong = self._examine(shelf, name)
        if wrong or document is None:
            return ""
        return str(document.get("created") or document.get("timestamp") or "")

    def _put_bytes(self, shelf: str, name: str, data: bytes) -> int:
        """Write a document as it came, sealed by whoever wrote it; the number of its state."""
        execute = self.database.open().execute
        try:
            version = loads(data.decode()).get("v", journal.VERSION)
        except (ValueError, RecursionError, AttributeError):
            version = journal.VERSION
        refs = {(ref.list, ref.mark) for ref in _references(data)}
        written = execute(
            "INSERT OR REPLACE INTO documents (shelf, name, v, split, data) VALUES (?, ?, ?, ?, ?)",
            (shelf, name, dumps(version), bool(refs), data),
        )
        execute("DELETE FROM refs WHERE shelf = ? AND name = ?", (shelf, name))
        for list_, mark in refs:
            execute("INSERT INTO refs VALUES (?, ?, ?, ?)", (shelf, name, list_, mark))
        number: int = written.lastrowid
        return number

    def _set_aside(self, shelf: str, name: str, wrong: str) -> StoreError:
        """Nobody removed it: it is taken anew from the server, with all its rows."""
        told = super()._set_aside(shelf, name, wrong)
        with Asking(self.database):
            self._know()
            execute = self.database.open().execute
            execute("DELETE FROM shared WHERE shelf = ? AND name = ?", (shelf, name))
            execute("DELETE FROM shared_lists WHERE ours = 0")
        return told

    def _know(self) -> None:
        for statement in TABLES.split(";\n"):
            if statement.strip():
                self.database.open().execute(statement)


class _Savepoint:
    """A change of what is known of the server, all or nothing, in the store's own errors."""

    def __init__(self, store: Sqlite) -> None:
        self._store = store
        self._inner = Savepoint(store.database)

    def __enter__(self) -> None:
        self._inner.__enter__()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with Asking(self._store.database):
            self._inner.__exit__(kind, error, trace)
        Asking(self._store.database).__exit__(kind, error, trace)


def _references(data: bytes) -> list[Ref]:
    """The rows that a document's bytes refer to."""
    try:
        given = loads(data.decode()).get("rows")
        return [Ref.of(each) for each in given.values()] if isinstance(given, dict) else []
    except (ValueError, RecursionError, AttributeError):
        return []


def give(directory: str) -> None:
    """Give what a state directory owes, in a process of its own: nobody waits for this one.

    What goes wrong is told at the next start of a session, which tries as well.
    """
    try:
        Redis(directory, journal.environment("WORKFLOW_STATE_STORE")).exchange(GIVE, take=False)
    except StoreError:
        pass
    os._exit(0)
