"""The Redis store: the SQLite store of this machine, and what other machines keep in a server.

Everything is written here first, and read here; `exchange` gives the server what it lacks and
takes what others gave it. So a server that is slow or gone costs nothing but that, and whatever it
lacks is what the next exchange sends: nothing is counted or queued that could be lost.

    workflow-state:{<project>}:stamps        shelf/name -> its stamp, also when it was removed
    workflow-state:{<project>}:befores       shelf/name -> the stamp that its writer had seen
    workflow-state:{<project>}:documents     shelf/name -> the sealed document
    workflow-state:{<project>}:needs         shelf/name -> the lists that it refers to
    workflow-state:{<project>}:rows:<list>   versions of rows, by their mark
    workflow-state:{<project>}:marks         list -> the mark up to which the server has all rows
    workflow-state:{<project>}:format        the version of all this

The later stamp of a document counts (stamps.py), here and in the one script that changes the
server. What replaces what its writer had not seen is not the last word of it: the replaced one is
kept aside. Stamps only grow, so a server that has gone back, to a replica or an old copy, is
noticed, and given again what it lost. Rows go before the documents that need them. All of it may be
sent twice and is there once.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

from .. import journal, replay
from ..courier import send
from ..jsontext import dumps, loads
from ..sealing import opened, verdict_on
from . import CHECKPOINTS, KEYS, Damaged, NewerVersion, StoreError, documents, locks, stamps
from .database import Asking, Savepoint, keep_aside
from .identity import project_name
from .parcels import DROP, KEPT, LOSES, PUBLISHED, PUT, Parcel, without_secrets
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
  shelf TEXT NOT NULL, name TEXT NOT NULL, id INTEGER, stamp TEXT NOT NULL,
  theirs INTEGER NOT NULL, PRIMARY KEY (shelf, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shared_lists (
  list INTEGER PRIMARY KEY, mark INTEGER NOT NULL, sent INTEGER NOT NULL, taken INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS removals (
  shelf TEXT NOT NULL, name TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (shelf, name)
) WITHOUT ROWID;
"""
"""What the server is known to have: which state of each document, and each list up to which mark.

A document is owed when its state is another one, or when it is gone. Beyond a list's mark the rows
up to the number `sent` were sent already, and of the server's so many `taken`."""

OWED = """
SELECT documents.shelf, documents.name, documents.id FROM documents
LEFT JOIN shared ON shared.shelf = documents.shelf AND shared.name = documents.name
WHERE documents.shelf IN ('keys', 'checkpoints') AND documents.id IS NOT shared.id
AND NOT (documents.shelf = 'checkpoints' AND (documents.name GLOB 'before-restore-*'
  OR documents.name GLOB 'before-undo-*' OR documents.name GLOB 'before-migrate-*'))
ORDER BY documents.id
"""
"""What was kept before a change here is for taking back that change, here."""

REMOVED = """
SELECT shared.shelf, shared.name, coalesce(removals.at, '') FROM shared
LEFT JOIN documents ON shared.shelf = documents.shelf AND shared.name = documents.name
LEFT JOIN removals ON shared.shelf = removals.shelf AND shared.name = removals.name
WHERE documents.id IS NULL AND shared.id IS NOT NULL
"""
KNOWN = """
SELECT documents.id, shared.id, shared.stamp FROM
(SELECT ? AS shelf, ? AS name) AS asked LEFT JOIN documents USING (shelf, name)
LEFT JOIN shared USING (shelf, name)
"""
SINCE = """
SELECT id, since, name, place, row, "check" FROM rows INDEXED BY rows_by_mark
WHERE list = ? AND since > ? AND since <= ? ORDER BY since, id
"""
PRESENT = """
SELECT count(*) FROM rows INDEXED BY rows_by_mark
WHERE list = ? AND since <= ? AND (until IS NULL OR until > ?) AND row != ''
"""
ELSEWHERE = """
SELECT documents.name FROM documents JOIN shared USING (shelf, name)
WHERE shelf = 'checkpoints' AND theirs AND documents.id = shared.id ORDER BY stamp DESC
"""
AGAIN = -1
"""What stands for a document's state when its removal is to be sent again."""


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
        self._knows: Any = None

    # --- what goes on elsewhere ---

    def exchange(self, seconds: float = SECONDS, take: bool = True) -> None:
        """Give the server what it lacks, and take what it has. Raises StoreError.

        It ends after so many seconds whatever the network does; what is left is for the next. In 0
        seconds another process is told to do it.
        """
        if not seconds:
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
            execute = self.database.open().execute
            return len(execute(OWED).fetchall()) + len(execute(REMOVED).fetchall())

    def elsewhere(self) -> list[str]:
        """The checkpoints that other machines made last, the latest first."""
        database = self.database.open()
        if database is None:
            return []
        with Asking(self.database):
            shared = "SELECT 1 FROM sqlite_master WHERE name = 'shared'"
            if not database.execute(shared).fetchone():
                return []
            return [name for (name,) in database.execute(ELSEWHERE)]

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
            if time.monotonic() > give_up:
                raise StoreError(f"{self._place} cannot be given all at once; the rest stays owed")
            with Talking(self._place) as told:
                arguments = [str(journal.VERSION), dumps(parcel.document())]
                answer = put(keys=[self._prefix], args=arguments)
            if told.behind:
                # The server has gone back, to a replica perhaps: what it lacks is sent again.
                list_, mark = told.behind
                with self.lock(), _Savepoint(self):
                    self.database.open().execute(
                        "UPDATE shared_lists SET mark = min(mark, ?), sent = 0 WHERE list = ?",
                        (mark, list_),
                    )
                self._give(server, give_up)
                return
            with self.lock(), _Savepoint(self):
                parcel.arrived(self.database.open(), answer)
        self._drop(server)

    def _drop(self, server: Any) -> None:
        """Have rows removed that were swept here and that no document in the server refers to."""
        with self.lock(), Asking(self.database):
            execute = self.database.open().execute
            unused = execute(
                "SELECT list FROM shared_lists WHERE mark > 0 "
                "AND list NOT IN (SELECT id FROM lists)"
            ).fetchall()
        drop = server.register_script(DROP)
        for (list_,) in unused:
            with Talking(self._place):
                done = drop(keys=[self._prefix], args=[str(list_)])
            if done:
                with self.lock(), _Savepoint(self):
                    self.database.open().execute(
                        "DELETE FROM shared_lists WHERE list = ?", (list_,)
                    )

    def _parcels(self) -> Iterator[Parcel]:
        """What is owed, in parcels that each stand for themselves: rows before their documents."""
        with self.lock(), Asking(self.database):
            execute = self.database.open().execute
            owed = execute(OWED).fetchall()
            removed = execute(REMOVED).fetchall()
        parcel = Parcel()
        for shelf, name, number in owed:
            before = self._standing(shelf, name)[2]
            try:
                data, stamp = self._outgoing(shelf, name, before)
            except (Damaged, NewerVersion):
                continue  # who reads it is told
            if data is None:
                continue  # it went meanwhile
            yield from self._rows_for(shelf, name)
            parcel.add(shelf, name, number, before, stamp, data, self._needs(shelf, name))
            if parcel.size > BYTES_AT_A_TIME:
                yield parcel
                parcel = Parcel()
        for shelf, name, at in removed:
            before = self._standing(shelf, name)[2]
            parcel.add(shelf, name, None, before, stamps.removed(shelf, name, at, before), None, [])
        if parcel.size:
            yield parcel

    def _standing(self, shelf: str, name: str) -> tuple[int | None, int | None, str]:
        """A document's state here, the one that the server is known to have, and its stamp."""
        with Asking(self.database):
            found = self.database.open().execute(KNOWN, (shelf, name)).fetchone()
        return found[0], found[1], found[2] or ""

    def _rows_for(self, shelf: str, name: str) -> Iterator[Parcel]:
        """The rows that a document needs and the server lacks."""
        for list_, mark in self._needs(shelf, name):
            execute = self.database.open().execute
            with self.lock(), _Savepoint(self):
                execute("INSERT OR IGNORE INTO shared_lists VALUES (?, 0, 0, 0)", (list_,))
                has, sent = execute(
                    "SELECT mark, sent FROM shared_lists WHERE list = ?", (list_,)
                ).fetchone()
            cursor = execute(SINCE, (list_, has, mark))
            versions = cursor.fetchmany(ROWS_AT_A_TIME)
            while has < mark:
                following = cursor.fetchmany(ROWS_AT_A_TIME)
                parcel = Parcel()
                # The mark of the last may have more rows: it counts when all of them are sent.
                reaches = versions[-1][1] - 1 if following else mark
                parcel.add_rows(list_, has, reaches, [row for row in versions if row[0] > sent])
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

    def _outgoing(self, shelf: str, name: str, before: str) -> tuple[bytes | None, str]:
        """A document's bytes for others, its secrets masked, and its stamp."""
        document = self.read(shelf, name)
        if document is None:
            return None, ""
        data = without_secrets(shelf, name, document, self._bytes(shelf, name))
        return data, stamps.saved(document, data, before)

    def _bytes(self, shelf: str, name: str) -> bytes:
        data: bytes = (
            self.database.open()
            .execute("SELECT data FROM documents WHERE shelf = ? AND name = ?", (shelf, name))
            .fetchone()[0]
        )
        return data

    def _delete(self, shelf: str, name: str) -> bool:
        """Remove a document, and note when: others may save it later than that."""
        done = super()._delete(shelf, name)
        if done and shelf in (KEYS, CHECKPOINTS):
            self.database.open().execute(
                "INSERT OR REPLACE INTO removals VALUES (?, ?, ?)", (shelf, name, journal.now())
            )
        return done

    # --- taking ---

    def _take(self, server: Any, give_up: float) -> None:
        """Take the documents that others saved since, and the rows they need."""
        with Talking(self._place):
            there = dict(_texts(server.hgetall(self._prefix + "stamps")))
            kept = {name for name, stamp in there.items() if not stamps.is_removal(stamp)}
            evicted: set[str] = set()
            if server.hlen(self._prefix + "documents") < len(kept):
                names = server.hkeys(self._prefix + "documents")
                evicted = kept - {name.decode("utf-8", "replace") for name in names}
        with self.lock(), _Savepoint(self):
            execute = self.database.open().execute
            known = {
                f"{shelf}/{name}": stamp
                for shelf, name, stamp in execute("SELECT shelf, name, stamp FROM shared")
            }
            for each, stamp in known.items():
                # The server has it no more, though nobody removed it: it is owed again.
                if each not in there or (each in evicted and there[each] == stamp):
                    shelf, _, name = each.partition("/")
                    execute(
                        "UPDATE shared SET id = NULL WHERE shelf = ? AND name = ?", (shelf, name)
                    )
        news = [name for name, stamp in there.items() if known.get(name) != stamp]
        news.sort(key=lambda name: there[name], reverse=True)  # time may end before all are taken
        keys = [name for name in news if name.startswith(KEYS)]
        others = [name for name in news if not name.startswith(KEYS)]
        # All keys at once: a restore elsewhere has changed all of them, or none.
        pages = [keys, *(others[start : start + 25] for start in range(0, len(others), 25))]
        for names in filter(None, pages):
            with Talking(self._place):
                found = server.hmget(self._prefix + "documents", names)
                befores = server.hmget(self._prefix + "befores", names)
            whole = []
            for each, data, before in zip(names, found, befores):
                with self._passing_over(each):
                    if self._take_rows_of(server, each, data, give_up):
                        whole.append((each, (before or b"").decode("utf-8", "replace"), data))
            with self.lock(), _Savepoint(self):
                for each, before, data in whole:
                    with self._passing_over(each), _Savepoint(self):
                        self._take_document(each, there[each], before, data)

    @contextmanager
    def _passing_over(self, each: str) -> Iterator[None]:
        """What nobody of ours wrote costs the others nothing."""
        try:
            yield
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ):
            self.notices.append(f"{self._place}: {each} there is none of ours; it was not taken")

    def _take_rows_of(self, server: Any, each: str, data: bytes | None, give_up: float) -> bool:
        """Take the rows that a document needs; False where the server has not all of them."""
        for ref in _references(data or b""):
            if not self._take_rows(server, ref, give_up):
                continue
            with self.lock(), Asking(self.database):
                present = self.database.open().execute(PRESENT, (ref.list, ref.mark, ref.mark))
                whole = present.fetchone()[0] == ref.count
            if whole:
                continue
            if _is_ours(each.partition("/")[2], data or b""):
                # Whoever made it sends it again, once the server does not say that it has it.
                with Talking(self._place):
                    server.hdel(self._prefix + "marks", ref.list)
                    server.hdel(self._prefix + "stamps", each)
            with self.lock(), _Savepoint(self):
                self.database.open().execute(
                    "UPDATE shared_lists SET mark = 0, taken = 0 WHERE list = ?", (ref.list,)
                )
            return False
        return True

    def _take_rows(self, server: Any, ref: Ref, give_up: float) -> bool:
        """Take the rows of a list up to a mark; False where they are here already.

        Where time ends, the next one goes on.
        """
        with self.lock(), _Savepoint(self):
            execute = self.database.open().execute
            execute("INSERT OR IGNORE INTO shared_lists VALUES (?, 0, 0, 0)", (ref.list,))
            has, taken = execute(
                "SELECT mark, taken FROM shared_lists WHERE list = ?", (ref.list,)
            ).fetchone()
        if has >= ref.mark:
            return False
        rows = f"{self._prefix}rows:{ref.list}"
        while True:
            if time.monotonic() > give_up:
                raise StoreError(f"{self._place} has more than can be taken at once; go on later")
            with Talking(self._place):
                page = server.zrangebyscore(
                    rows, f"({has}", ref.mark, start=taken, num=PAGE, withscores=True
                )
            taken += len(page)
            ended = len(page) < PAGE
            with self.lock(), _Savepoint(self):
                self._add_rows(ref.list, [(int(score), row) for row, score in page])
                self.database.open().execute(
                    "UPDATE shared_lists SET mark = ?, taken = ? WHERE list = ?",
                    (ref.mark, 0, ref.list) if ended else (has, taken, ref.list),
                )
            if ended:
                return True

    def _add_rows(self, list_: int, versions: list[tuple[int, bytes]]) -> None:
        execute, now = self.database.open().execute, int(time.time())
        execute("INSERT OR IGNORE INTO lists VALUES (?, '', '', 0, ?)", (list_, now))
        for mark, version in versions:
            _, name, place, row, check = loads(version.decode())
            about = (place, row, check, list_, name, mark)
            # One that is here already may be damaged.
            there = execute(
                'UPDATE rows INDEXED BY rows_by_name SET place = ?, row = ?, "check" = ? '
                "WHERE list = ? AND name = ? AND since = ?",
                about,
            )
            if there.rowcount:
                continue
            execute(
                "UPDATE rows SET until = ?, gone = ? WHERE list = ? AND name = ? AND since < ? "
                "AND until IS NULL",
                (mark, now, list_, name, mark),
            )
            execute(
                'INSERT INTO rows (place, row, "check", list, name, since) '
                "VALUES (?, ?, ?, ?, ?, ?)",
                about,
            )
            execute("UPDATE lists SET head = max(head, ?) WHERE id = ?", (mark, list_))

    def _take_document(self, each: str, stamp: str, before: str, data: bytes | None) -> None:
        """Put a document of another machine in place, unless ours is later.

        before  the stamp that its writer had seen
        """
        shelf, _, name = each.partition("/")
        if shelf not in (KEYS, CHECKPOINTS) or not journal.is_name(name):
            return
        here, sent, known = self._standing(shelf, name)
        if data is None and not stamps.is_removal(stamp):
            return  # the server lost it, and who has it sends it again
        if stamp < known:
            self._owe(shelf, name, known)  # the server has gone back
        elif here != sent and not self._yields(shelf, name, here, known, stamp):
            return
        elif data is not None and self._is_unfit(shelf, name, data):
            raise ValueError(each)
        else:
            self._keep_what_goes(shelf, name, here == sent and before >= known, stamp, data)
            number = None
            if data is None:
                super()._delete(shelf, name)
            else:
                number = self._put_bytes(shelf, name, data)
            self._note(shelf, name, number, stamp, theirs=True)

    def _owe(self, shelf: str, name: str, known: str) -> None:
        """Give it again, with a stamp behind the one that is known."""
        here = self._standing(shelf, name)[0]
        self._note(shelf, name, AGAIN if here is None and known else None, known, theirs=False)

    def _note(self, shelf: str, name: str, number: int | None, stamp: str, theirs: bool) -> None:
        self.database.open().execute(
            "INSERT OR REPLACE INTO shared VALUES (?, ?, ?, ?, ?)",
            (shelf, name, number, stamp, theirs),
        )

    def _yields(self, shelf: str, name: str, here: int | None, known: str, stamp: str) -> bool:
        """Whether what was saved or removed here since is earlier than what the server has."""
        if here is None:
            at = self.database.open().execute(
                "SELECT at FROM removals WHERE shelf = ? AND name = ?", (shelf, name)
            )
            return stamps.removed(shelf, name, (at.fetchone() or [""])[0], known) < stamp
        try:
            _, ours = self._outgoing(shelf, name, known)
        except (Damaged, NewerVersion):
            return True
        if ours == stamp:  # it had arrived, and only the answer was lost
            self._note(shelf, name, here, stamp, theirs=False)
            return False
        return ours < stamp

    def _is_unfit(self, shelf: str, name: str, data: bytes) -> bool:
        """Whether it is nothing that a store writes."""
        if len(data) > documents.SIZE_LIMIT:
            return True
        try:
            return bool(documents.examine(data, shelf, name, self._place)[1])
        except NewerVersion:
            return False  # it is kept for a later version of ours
        except StoreError:
            return True

    def _keep_what_goes(
        self, shelf: str, name: str, seen: bool, stamp: str, data: bytes | None
    ) -> None:
        """Keep what was saved here aside where people could miss it.

        seen  whether who replaces or removes it had seen it
        """
        if self._standing(shelf, name)[0] is None or f"{shelf}/{name}" in PUBLISHED:
            return
        bytes_ = self._bytes(shelf, name)
        document, wrong = self._examine(shelf, name)
        ours = document is not None and not wrong and verdict_on(name, document) == replay.OURS
        if not seen:
            why = LOSES
        elif ours and document and without_secrets(shelf, name, document, bytes_) != bytes_:
            why = "held secrets that no other machine has, and was saved there"
        elif ours and not (
            stamps.is_our_removal(shelf, name, stamp) if data is None else _is_ours(name, data)
        ):
            why = "was replaced or removed by who has not your key"
        else:
            return
        keep_aside(self.database.open().execute, shelf, name, why)
        self.notices.append(f"{self._where(shelf, name)} {why}: {KEPT}")

    def _put_bytes(self, shelf: str, name: str, data: bytes) -> int:
        """Write a document as it came, sealed by whoever wrote it; the number of its state."""
        execute = self.database.open().execute
        version = loads(data.decode()).get("v", journal.VERSION)
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
        lists = [list_ for list_, _ in self._needs(shelf, name)]
        told = super()._set_aside(shelf, name, wrong)
        with Asking(self.database):
            execute = self.database.open().execute
            execute("DELETE FROM shared WHERE shelf = ? AND name = ?", (shelf, name))
            for list_ in lists:
                execute("UPDATE shared_lists SET mark = 0, taken = 0 WHERE list = ?", (list_,))
        return told

    def _begin(self) -> None:
        super()._begin()
        if self._knows is not self.database.current:
            with Asking(self.database):
                self._know()
            self._knows = self.database.current

    def _know(self) -> None:
        """Make the tables of this, and see that the database was not copied from elsewhere.

        Two machines that add to one list, each its own, would make it nobody's.
        """
        execute = self.database.open().execute
        for statement in TABLES.split(";\n"):
            if statement.strip():
                execute(statement)
        here = f"{os.uname().nodename} {os.stat(self.database.path).st_ino}"
        found = execute("SELECT value FROM facts WHERE name = 'place'").fetchone()
        if found != (here,):
            if found:
                execute("UPDATE lists SET session = '', member = ''")
            execute("INSERT OR REPLACE INTO facts VALUES ('place', ?)", (here,))


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


def _texts(found: dict[bytes, bytes]) -> Iterator[tuple[str, str]]:
    """The entries of a hash that are text; nobody of ours writes others."""
    for name, value in found.items():
        try:
            yield name.decode(), value.decode()
        except UnicodeDecodeError:
            continue


def _references(data: bytes) -> list[Ref]:
    """The rows that a document's bytes refer to."""
    try:
        given = loads(data.decode()).get("rows")
        return [Ref.of(each) for each in given.values()] if isinstance(given, dict) else []
    except (ValueError, RecursionError, AttributeError):
        return []


def _is_ours(name: str, data: bytes) -> bool:
    try:
        return verdict_on(name, opened(name, data)) == replay.OURS
    except (ValueError, RecursionError):
        return False


def give(directory: str) -> None:
    """Give what a state directory owes, in a process of its own: nobody waits for this one.

    What goes wrong is told at the next start of a session, which tries as well.
    """
    try:
        Redis(directory, journal.environment("WORKFLOW_STATE_STORE")).exchange(GIVE, take=False)
    except StoreError:
        pass
    os._exit(0)
