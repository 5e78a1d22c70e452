"""The database of the SQLite store: opened as what a repository may have planted, looked after.

SQLite opens files by path and follows links; so what lies there, and what lies beside it, is looked
at first. A database that is none any more is set aside with all that belongs to it, and what can
be read of it is taken over into a new one.
"""

from __future__ import annotations

import os
import stat
import time

from .. import journal, litter
from ..founding import furnish, make_directories
from . import Busy, Damaged, StoreError, locks
from .documents import refuse_newer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

try:
    import _sqlite3 as engine  # sqlite3 itself brings datetime, which a stop would wait for
except ImportError:
    engine = None  # type: ignore[assignment]

FILE = "state.sqlite3"
URL = "file:{}?mode=rw"
APPLICATION = 0x77667374
"""What SQLite keeps in the file's head to tell whose it is: "wfst"."""

FORMAT = 1
SCHEMA = """
CREATE TABLE documents (
  id INTEGER PRIMARY KEY AUTOINCREMENT, shelf TEXT NOT NULL, name TEXT NOT NULL,
  v TEXT NOT NULL, split INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (shelf, name)
);
CREATE TABLE lists (
  id INTEGER PRIMARY KEY, session TEXT NOT NULL, member TEXT NOT NULL,
  head INTEGER NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX lists_of_session ON lists (session, member, at);
CREATE TABLE rows (
  id INTEGER PRIMARY KEY, list INTEGER NOT NULL, name TEXT NOT NULL, since INTEGER NOT NULL,
  until INTEGER, gone INTEGER, place INTEGER NOT NULL, row TEXT NOT NULL,
  "check" TEXT NOT NULL
);
CREATE UNIQUE INDEX rows_by_name ON rows (list, name, since);
CREATE INDEX rows_by_mark ON rows (list, since);
CREATE INDEX rows_gone ON rows (gone) WHERE gone IS NOT NULL;
CREATE TABLE refs (
  shelf TEXT NOT NULL, name TEXT NOT NULL, list INTEGER NOT NULL, mark INTEGER NOT NULL,
  PRIMARY KEY (shelf, name, list, mark)
) WITHOUT ROWID;
CREATE INDEX refs_of_list ON refs (list, mark);
CREATE TABLE damaged (
  shelf TEXT NOT NULL, name TEXT NOT NULL, at TEXT NOT NULL, wrong TEXT NOT NULL,
  data BLOB NOT NULL
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
SIDECARS = ("-wal", "-shm", "-journal")

SALVAGE = (
    ("SELECT * FROM documents NOT INDEXED ORDER BY id", "documents VALUES (?, ?, ?, ?, ?, ?)"),
    ("SELECT * FROM damaged NOT INDEXED ORDER BY rowid", "damaged VALUES (?, ?, ?, ?, ?)"),
    ("SELECT * FROM lists NOT INDEXED ORDER BY id", "lists VALUES (?, ?, ?, ?, ?)"),
    ("SELECT * FROM refs ORDER BY shelf", "refs VALUES (?, ?, ?, ?)"),
    (
        "SELECT * FROM rows NOT INDEXED ORDER BY id",
        "rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ),
)
"""How each table is read past its indexes, which may be what is damaged, and written anew."""

SALVAGE_SECONDS = 3.0
CHECK_SECONDS = 1.0
"""What the check of a database may take after the machine has started anew."""


class Database:
    """The database `state.sqlite3` of a state directory, or the one at `path`.

    held      how often its lock is taken, by the one who takes it
    openings  how often it was opened, or written in vain: what was known before may not hold
    """

    def __init__(self, directory: str, path: str, notices: list[str]) -> None:
        self.directory = directory
        self.path = path or os.path.join(directory, FILE)
        self.notices = notices
        self.held = 0
        self.openings = 0
        self._own = not path
        self._open: tuple[Any, tuple[int, int]] | None = None

    def _folder(self, create: bool) -> int | None:
        """The open folder of the database; None where there is none and it is not to be made."""
        try:
            if self._own:
                folder = journal.open_state(self.directory, create)
                if create:
                    furnish(folder)
                return folder
            parent = os.path.dirname(self.path)
            if create:
                make_directories(parent, 0o700)
            return os.open(parent, journal.DIRECTORY)
        except FileNotFoundError:
            if create:
                raise
            return None

    def open(self, create: bool = False) -> Any:
        """The open database; None where there is none and it is not to be made."""
        try:
            folder = self._folder(create)
        except OSError as error:
            raise self._failed(error) from error
        if folder is None:
            return None
        try:
            file = os.path.basename(self.path)
            identity = self._identity(folder, file)
            if self._open and self._open[1] == identity:
                return self._open[0]
            self._close()
            if identity is None:
                if not create:
                    return None
                os.close(
                    os.open(
                        file,
                        os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC,
                        0o600,
                        dir_fd=folder,
                    )
                )
                identity = self._identity(folder, file)
        except FileExistsError:
            return self.open(create)  # another process was there first
        except OSError as error:
            raise self._failed(error) from error
        finally:
            os.close(folder)
        database = self._connect()
        self._open = (database, identity or (0, 0))
        return database

    @property
    def current(self) -> Any:
        """The database as it was opened last; None where it was not."""
        return self._open and self._open[0]

    def _identity(self, folder: int, file: str) -> tuple[int, int] | None:
        """Which file the database is, None for none. What cannot be one of ours is refused.

        SQLite opens by path, and would follow a link that came with a repository, in the place of
        the database or of a file beside it.
        """
        identity = None
        for suffix in ("", *SIDECARS):
            try:
                status = os.stat(file + suffix, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            wrong = _wrong_kind(status)
            if wrong:
                told = f"{self.path}{suffix} {wrong}"
                if not self._own:
                    raise StoreError(f"{told}; it is not used: move it away")
                raise Damaged(f"{told}; {_move(folder, file + suffix)}")
            if not suffix:
                identity = (status.st_dev, status.st_ino)
        return identity

    def _connect(self) -> Any:
        if engine is None:
            raise StoreError("this Python has no sqlite3 module; use the json store")
        url = URL.format(_quoted(self.path))
        with Asking(self):
            database = engine.connect(
                url,
                timeout=locks.LOCK_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
            database.execute("PRAGMA foreign_keys = OFF")
            whose = database.execute("PRAGMA application_id").fetchone()[0]
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if not whose and not version:
                self._found(database)
            elif whose != APPLICATION:
                raise StoreError(
                    f"{self.path} is another program's database; nothing was changed: name another "
                    "file in WORKFLOW_STATE_STORE"
                )
            else:
                refuse_newer(version, self.path)
            wal = database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            database.execute(f"PRAGMA synchronous = {'FULL' if wal else 'EXTRA'}")
            self._look_after_a_crash(database)
        return database

    def _found(self, database: Any) -> None:
        """Make the tables in an empty database, once."""
        mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        with _Transaction(database):
            if database.execute("PRAGMA application_id").fetchone()[0]:
                return  # another process was there first
            if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise StoreError(
                    f"{self.path} is another program's database; nothing was changed: name "
                    "another file in WORKFLOW_STATE_STORE"
                )
            for statement in SCHEMA.split(";\n"):
                if statement.strip():
                    database.execute(statement)
            database.execute("INSERT INTO facts VALUES ('boot', ?)", (_boot(),))
            database.execute("INSERT INTO facts VALUES ('directory', ?)", (_text(self.directory),))
            database.execute(f"PRAGMA user_version = {FORMAT}")
            database.execute(f"PRAGMA application_id = {APPLICATION}")
        if mode != "wal":
            self.notices.append(
                f"{self.path}: this file system has no write-ahead log for SQLite, which goes on "
                f"with a rollback journal ({mode}): writers take longer, and readers wait for them"
            )

    def _look_after_a_crash(self, database: Any) -> None:
        """Where the machine has started anew since, see whether the database is whole."""
        facts = dict(database.execute("SELECT name, value FROM facts"))
        if not self._own and facts.get("directory") != _text(self.directory):
            self._adopt(database, facts.get("directory", ""))
        if facts.get("boot") == _boot():
            return
        give_up = time.monotonic() + CHECK_SECONDS
        database.set_progress_handler(lambda: time.monotonic() > give_up, 10_000)
        try:
            told = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        except engine.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            told = "ok"  # so far, and whoever reads the rest is told of it
        finally:
            database.set_progress_handler(None, 0)
        if told != "ok":
            raise engine.DatabaseError(f"malformed: {told}")
        try:
            database.execute("UPDATE facts SET value = ? WHERE name = 'boot'", (_boot(),))
        except engine.OperationalError:
            pass  # held, or not to be written: the next one looks again

    def _adopt(self, database: Any, owner: str) -> None:
        """A database elsewhere is one project's: two would overwrite each other's keys."""
        if os.path.isdir(owner):
            raise StoreError(
                f"{self.path} holds the state of {owner}; give each project a database of its own"
            )
        database.execute(
            "UPDATE facts SET value = ? WHERE name = 'directory'", (_text(self.directory),)
        )

    def _close(self) -> None:
        if self._open:
            database, self._open = self._open[0], None
            self.openings += 1
            try:
                database.close()
            except engine.Error:
                pass  # a statement of a reader is still open: it ends with the process

    def acquire(self, suffix: str = ".lock", seconds: float | None = None) -> int:
        """The descriptor of a file beside the database, locked. Raises Busy and StoreError."""
        try:
            folder = self._folder(create=True)
            try:
                # Not FILE.lock, which is what SQLite makes where a file system has no other locks.
                file = f".{os.path.basename(self.path)}{suffix}"
                where = os.path.join(os.path.dirname(self.path), file)
                return locks.acquire(folder, file, where, seconds)
            finally:
                if folder is not None:
                    os.close(folder)
        except OSError as error:
            raise self._failed(error) from error

    def sweep(self) -> None:
        """Remove what killed writers left in the state directory."""
        folder = self._folder(create=False) if self._own else None
        if folder is not None:
            try:
                litter.sweep(folder)
            except OSError as error:
                raise self._failed(error) from error
            finally:
                os.close(folder)

    def commit(self) -> None:
        """Commit the transaction that is open, if it still is."""
        database = self._open and self._open[0]
        if not database or not database.in_transaction:
            return  # the engine has rolled back already, and its error is on its way
        try:
            with Asking(self):
                database.execute("COMMIT")
        except StoreError:
            self.openings += 1
            if self._open and database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def retire(self, told: str) -> StoreError:
        """Set a database aside that is none any more, and take over what can be read of it.

        The caller has proof about its content. Returns what to raise.
        """
        opened = self._open
        self._close()
        if not self._own and "not a database" in told:
            return StoreError(f"{self.path} is not a database; it is not used: move it away")
        try:
            lock = -1 if self.held else self.acquire()
        except StoreError as error:
            return Damaged(f"{self.path} is damaged ({told}), and cannot be set aside: {error}")
        try:
            folder = self._folder(create=True)
            if folder is None:
                return Damaged(f"{self.path} is damaged ({told})")
            try:
                file = os.path.basename(self.path)
                status = os.stat(file, dir_fd=folder, follow_symlinks=False)
                if opened and opened[1] != (status.st_dev, status.st_ino):
                    return Damaged(f"{self.path} was damaged ({told}), and has been set aside")
                kept = _move(folder, file, *SIDECARS)
            finally:
                os.close(folder)
            saved = self._salvage(kept)
        except OSError as error:
            return Damaged(
                f"{self.path} is damaged ({told}) and could not be moved: {error.strerror}"
            )
        finally:
            if lock >= 0:
                locks.release(lock)
        return Damaged(
            f"{self.path} is damaged ({told}); it is kept as {kept}, and {saved} documents that "
            "could be read were taken over into a new one"
        )

    def _salvage(self, kept: str) -> int:
        """Copy what can be read of a database that was set aside; how many documents that was."""
        give_up = time.monotonic() + SALVAGE_SECONDS
        new = self.open(create=True)
        url = URL.format(_quoted(os.path.join(os.path.dirname(self.path), kept)))
        begun = not new.in_transaction
        if begun:
            new.execute("BEGIN IMMEDIATE")
        try:
            old = engine.connect(url, isolation_level=None, uri=True)
            old.set_progress_handler(lambda: time.monotonic() > give_up, 10_000)
            for reading, adding in SALVAGE:
                _take_over(old, new, reading, adding)
            old.close()
        except engine.Error:
            pass  # there is nothing that can be read of it
        saved: int = new.execute("SELECT count(*) FROM documents").fetchone()[0]
        if begun:
            new.execute("COMMIT")
        return saved

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(f"{self.path}: {error.strerror or error}")


class Asking:
    """What the engine refuses in it becomes a StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if engine is None or not isinstance(error, engine.Error):
            return
        told, path = str(error), self._database.path
        if "locked" in told or "busy" in told:
            raise Busy(
                f"{path} has been held by another process for {locks.LOCK_SECONDS:g} seconds; "
                "nothing was changed, try again"
            ) from error
        if "malformed" in told or "not a database" in told:
            raise self._database.retire(told) from error
        raise StoreError(f"{path}: {told}") from error


class Savepoint:
    """All that is written in it, or nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open = database.open(create=True)

    def __enter__(self) -> None:
        self._open.execute("SAVEPOINT change")

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            self._database.openings += 1
        if not self._open.in_transaction:
            return  # the engine has rolled back all of it
        if error is not None:
            self._open.execute("ROLLBACK TO change")
        self._open.execute("RELEASE change")


class _Transaction:
    """A transaction of its own, whole or not at all."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._database.in_transaction:
            self._database.execute("COMMIT" if error is None else "ROLLBACK")


def keep_aside(execute: Callable[..., Any], shelf: str, name: str, why: str) -> str:
    """Copy a document into the table `damaged`; the time that it is found under."""
    at = journal.now()
    execute(
        "INSERT INTO damaged SELECT shelf, name, ?, ?, data FROM documents "
        "WHERE shelf = ? AND name = ?",
        (at, why, shelf, name),
    )
    return at


def _take_over(old: Any, new: Any, reading: str, adding: str) -> None:
    """Copy the rows of a table; past a page that cannot be read, those from the other end."""
    for order in ("", " DESC"):
        try:
            for row in old.execute(reading + order):
                new.execute(f"INSERT OR IGNORE INTO {adding}", row)
        except (engine.Error, ValueError):
            continue
        return


def _wrong_kind(status: os.stat_result) -> str:
    """What shows that a file is not one that this store made; "" when nothing does."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    if status.st_nlink > 1:
        return "has more than one name"
    return f"belongs to another user ({status.st_uid})" if status.st_uid != os.geteuid() else ""


def _move(folder: int, file: str, *suffixes: str) -> str:
    """Rename a file of an open folder, and those beside it, out of the way; its new name."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    kept = f"{file}.damaged-{stamp}-{os.urandom(2).hex()}"
    for suffix in (*suffixes, ""):
        try:
            os.rename(file + suffix, kept + suffix, src_dir_fd=folder, dst_dir_fd=folder)
        except FileNotFoundError:
            pass
    return kept


def _quoted(path: str) -> str:
    """A path as it stands in a URL."""
    return "".join(
        [chr(byte) if chr(byte) in _PLAIN else f"%{byte:02x}" for byte in os.fsencode(path)]
    )


_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-"


def _text(path: str) -> str:
    """A path as a text that the engine takes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _boot() -> str:
    """Which start of the machine this is; "" where it does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read(64).decode("ascii", "replace").strip()
    except OSError:
        return ""
