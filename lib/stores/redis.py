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

import time
from _blake2 import blake2b

from .. import journal
from ..courier import send
from ..jsontext import dumps, loads
from ..sealing import data_of, sealed, verdict_on
from . import CHECKPOINTS, KEYS, Damaged, NewerVersion, StoreError, locks
from .database import Asking, Savepoint, keep_aside
from .identity import project_name
from .rows import Ref
from .sqlite import Sqlite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from . import Document

SECONDS = 5.0
"""What an exchange may take in all."""

PUBLISHED = (f"{KEYS}/current_phase", f"{KEYS}/files_processed")
"""What every machine saves whenever Claude stops; each session's checkpoint has its own of it."""

LOSES = "was saved on another machine meanwhile, and later"
KEPT = "that counts, and what was saved here is kept in the table `damaged`"

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

PUT = """
local p = KEYS[1]
local known = redis.call('GET', p .. 'format')
if known and known ~= ARGV[1] then return redis.error_reply('FORMAT ' .. known) end
redis.call('SET', p .. 'format', ARGV[1])
local given = cjson.decode(ARGV[2])
for _, part in ipairs(given.rows) do
  local mark = tonumber(redis.call('HGET', p .. 'marks', part.list) or '0')
  if mark < part.from then return redis.error_reply('BEHIND ' .. part.list .. ' ' .. mark) end
  for i, row in ipairs(part.versions) do
    redis.call('ZADD', p .. 'rows:' .. part.list, part.marks[i], row)
  end
  if mark < part.to then redis.call('HSET', p .. 'marks', part.list, part.to) end
end
local lost = {}
for _, each in ipairs(given.documents) do
  for _, need in ipairs(each.needs) do
    local mark = tonumber(redis.call('HGET', p .. 'marks', need.list) or '0')
    if mark < need.mark then return redis.error_reply('BEHIND ' .. need.list .. ' ' .. mark) end
  end
end
for _, each in ipairs(given.documents) do
  local stamp = redis.call('HGET', p .. 'stamps', each.name)
  if stamp and stamp ~= each.before and stamp > each.stamp then
    table.insert(lost, each.name)
  else
    redis.call('HSET', p .. 'stamps', each.name, each.stamp)
    if each.data then redis.call('HSET', p .. 'documents', each.name, each.data)
    else redis.call('HDEL', p .. 'documents', each.name) end
  end
end
return lost
"""
"""Takes the prefix, the format version, and rows and documents; gives the names of the documents
that were saved later by another machine, which stay as they are."""


class Redis(Sqlite):
    """The store over a state directory that shares a project's documents through a server.

    url      redis://, rediss:// or unix://, which may hold a user and a password; so may
             WORKFLOW_STATE_REDIS_USER and WORKFLOW_STATE_REDIS_PASSWORD
    project  what the machines that share have in common; found in git when not given
    """

    def __init__(self, directory: str, url: str) -> None:
        super().__init__(directory)
        self.url = url
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
                    raise StoreError(f"{self._place()}: {error.strerror}") from error
            return
        # With a store of its own: when it is given up it may still be at work.
        other = Redis(self.directory, self.url)
        give_up = time.monotonic() + seconds
        _bounded(lambda: other._exchange_alone(give_up, take), seconds, self._place())
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
        server = self._connect(max(0.05, give_up - time.monotonic()))
        with _Server(self._place()):
            known = server.get(self._prefix + "format")
        if known is not None and known != str(journal.VERSION).encode():
            self._refuse(known)
        if take:
            self._take(server, give_up)
        self._give(server, give_up)

    def _connect(self, seconds: float) -> Any:
        redis = _package()
        user = journal.environment("WORKFLOW_STATE_REDIS_USER")
        password = journal.environment("WORKFLOW_STATE_REDIS_PASSWORD")
        given = {"username": user or None, "password": password or None}
        try:
            return redis.Redis.from_url(
                self.url,
                socket_timeout=seconds,
                socket_connect_timeout=seconds,
                retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
                **{name: value for name, value in given.items() if value},
            )
        except Exception:  # noqa: BLE001
            # Its words may quote a part of the address, and so of the password.
            raise StoreError(
                "the address in WORKFLOW_STATE_STORE cannot be used; it is redis://[USER:PASSWORD@]"
                "HOST[:PORT][/NUMBER], rediss:// for TLS, or unix://PATH"
            ) from None

    def _place(self) -> str:
        """The server for people: never the user or the password."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"

    def _refuse(self, version: bytes) -> None:
        raise NewerVersion(
            f"{self._place()} has format version {version.decode('ascii', 'replace')!r:.40}, this "
            f"is version {journal.VERSION}; it is left as it is: update workflow-state"
        )

    # --- giving ---

    def _give(self, server: Any, give_up: float) -> None:
        put = server.register_script(PUT)
        for parcel in self._parcels():
            while True:
                with _Server(self._place()) as told:
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
        """Remove rows that no checkpoint of this machine needs any more, and others never did."""
        with self.lock(), Asking(self.database):
            execute = self.database.open().execute
            unused = execute(
                "SELECT list FROM shared_lists WHERE ours = 1 AND mark > 0 "
                "AND list NOT IN (SELECT id FROM lists)"
            ).fetchall()
        for (list_,) in unused:
            with _Server(self._place()):
                server.delete(f"{self._prefix}rows:{list_}")
                server.hdel(self._prefix + "marks", list_)
            with self.lock(), _Savepoint(self):
                self.database.open().execute("DELETE FROM shared_lists WHERE list = ?", (list_,))

    def _parcels(self) -> Iterator[_Parcel]:
        """What is owed, in parcels that each stand for themselves: rows before their documents."""
        with self.lock(), Asking(self.database):
            self._know()
            execute = self.database.open().execute
            owed = execute(OWED).fetchall()
            removed = execute(REMOVED).fetchall()
        parcel = _Parcel()
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
                parcel = _Parcel()
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

    def _rows_for(self, shelf: str, name: str) -> Iterator[_Parcel]:
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
                parcel = _Parcel()
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
        given = loads(data.decode())
        masked = _masked(shelf, given)
        if masked != given and verdict_on(name, document) == "ours":
            data = bytes(sealed(name, masked).data)
        elif masked != given:
            masked.pop("check", None)  # it is of what was masked, and not ours to make anew
            data = bytes(data_of(masked))
        # With what it says: two that were saved at once are two, and all choose the same of them.
        saved = str(document.get("created") or document.get("timestamp") or "")
        return data, f"{saved} {blake2b(data, digest_size=8).hexdigest()}"

    # --- taking ---

    def _take(self, server: Any, give_up: float) -> None:
        """Take the documents that others saved since, and the rows they need."""
        with _Server(self._place()):
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
            with _Server(self._place()):
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
                raise StoreError(f"{self._place()} has more than can be taken at once; go on later")
            with _Server(self._place()):
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
            if _keep_loser(execute, shelf, name):
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


class _Parcel:
    """Rows and documents that are sent at once, and that arrive all or not at all."""

    def __init__(self) -> None:
        self.size = 0
        self._rows: list[Document] = []
        self._reached: list[tuple[int, int, int]] = []
        self._documents: list[Document] = []
        self._numbers: list[tuple[str, str, int | None, str]] = []

    def add(
        self,
        shelf: str,
        name: str,
        number: int | None,
        before: str,
        stamp: str,
        data: bytes | None,
        needs: list[tuple[int, int]],
    ) -> None:
        """A document with the lists it needs up to which marks; or that it was removed."""
        about: Document = {"name": f"{shelf}/{name}", "before": before, "stamp": stamp}
        about["needs"] = [{"list": str(list_), "mark": mark} for list_, mark in needs]
        if data is not None:
            about["data"] = data.decode()
        self._documents.append(about)
        self._numbers.append((shelf, name, number, stamp))
        self.size += len(data or b"") + 100

    def add_rows(self, list_: int, has: int, mark: int, versions: list[Any]) -> None:
        """Versions of rows, of the marks above `has` up to `mark`."""
        part = {"list": str(list_), "from": has, "to": mark}
        part["marks"] = [since for _, since, *_ in versions]
        # With its mark, by which two versions of the same content are two.
        part["versions"] = [dumps(list(each[1:])) for each in versions]
        self._rows.append(part)
        self._reached.append((mark, max([0, *(each[0] for each in versions)]), list_))
        self.size += 1

    def document(self) -> Document:
        """What the server's script is given."""
        return {"rows": self._rows, "documents": self._documents}

    def arrived(self, database: Any, lost: set[str]) -> None:
        """Note that the server has it; of what is lost it has a later one, taken in its turn."""
        for reached in self._reached:
            database.execute(
                "UPDATE shared_lists SET mark = max(mark, ?), reached = max(reached, ?) "
                "WHERE list = ?",
                reached,
            )
        for shelf, name, number, stamp in self._numbers:
            known = stamp
            if f"{shelf}/{name}" in lost:
                _keep_loser(database.execute, shelf, name)
                known = ""
            database.execute(
                "INSERT OR REPLACE INTO shared VALUES (?, ?, ?, ?, 0)", (shelf, name, number, known)
            )


class _Server:
    """What the server refuses in it becomes a StoreError, without a word of the address's secrets.

    behind  the list, and its mark, of which the server has less than it was thought to have
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self.behind: tuple[int, int] | None = None

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        redis = _package()
        if not isinstance(error, (redis.RedisError, OSError)):
            return False
        told = str(error)
        word, _, rest = told.partition(" ")
        if word == "BEHIND":
            list_, mark = rest.split()[:2]
            self.behind = int(list_), int(mark)
            return True
        if word == "FORMAT":
            raise NewerVersion(
                f"{self._place} has format version {rest!r:.40}; it is left as it is: update "
                "workflow-state"
            ) from None
        # The kind of trouble only: the client's own words may quote what they should not.
        kind = type(error).__name__
        raise StoreError(f"{self._place}: {kind}; what is owed stays owed") from None


def _keep_loser(execute: Callable[..., Any], shelf: str, name: str) -> bool:
    """Keep what was saved here when another machine has saved the same later, unseen by us.

    False where nobody could miss it.
    """
    if f"{shelf}/{name}" in PUBLISHED:
        return False
    keep_aside(execute, shelf, name, LOSES)
    return True


def _package() -> Any:
    try:
        import redis
    except ImportError:
        # Hooks run without the site's packages, which cost more than all they do.
        import site

        site.main()
        try:
            import redis
        except ImportError:
            raise StoreError(
                "the redis store needs the redis package in the Python that runs it: "
                "python3 -m pip install redis"
            ) from None
    return redis


def _bounded(act: Callable[[], None], seconds: float, place: str) -> None:
    """Act for at most so long: a name that does not resolve, say, heeds no timeout."""
    import threading

    failed: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if thread.is_alive():
        raise StoreError(
            f"{place} has not answered within {seconds:g} seconds; what is owed is sent at the "
            "next exchange"
        )


def _references(data: bytes) -> list[Ref]:
    """The rows that a document's bytes refer to."""
    try:
        given = loads(data.decode()).get("rows")
        return [Ref.of(each) for each in given.values()] if isinstance(given, dict) else []
    except (ValueError, RecursionError, AttributeError):
        return []


def _masked(shelf: str, document: Document) -> Document:
    """A document without the secrets that people saved in its values.

    What a session recorded was masked before it reached the disk.
    """
    if shelf == KEYS:
        return {**document, "value": _mask(document["value"])}
    keys = {key: {**kept, "value": _mask(kept["value"])} for key, kept in document["keys"].items()}
    for key, kept in keys.items():
        if kept != document["keys"][key]:
            kept.pop("check", None)  # it is of the value before
    return {**document, "keys": keys}


def _mask(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _mask(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_mask(each) for each in value]
    if not isinstance(value, str):
        return value
    if name and value and journal.masked(f"{name}={_HARMLESS}", WINDOW) != f"{name}={_HARMLESS}":
        return "***"
    pieces = []
    while value:
        # A piece at a time, cut where a word ends: the patterns take their time with long texts.
        end = len(value) if len(value) <= WINDOW else value.rfind(" ", 1, WINDOW)
        pieces.append(journal.masked(value[: end if end > 0 else WINDOW], 12 * WINDOW))
        value = value[end if end > 0 else WINDOW :]
    return "".join(pieces)


WINDOW = 4096
_HARMLESS = "something"
"""What no pattern takes for a secret but for the name before it."""
