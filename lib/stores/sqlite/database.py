"""The database of the SQLite store: opened as what a repository may have planted, looked after.

SQLite opens files by path and follows links; so what lies there, and what lies beside it, is looked
at first. A database that is none any more is quarantined with all that belongs to it, and what can
be read of it is taken over into a new one.
"""

from __future__ import annotations

import os
import stat
import time

from ...disk import locks
from ...disk.durable import make_directories
from ...errors import Busy, Damaged, StoreError
from ...recording import journal
from ...recording.first_use import initialize
from ..document_checks import SIZE_LIMIT, refuse_newer
from .deadline import Deadline
from .schema import CONTENTS, SCHEMA, own, statements, strangeness

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
READING = "file:{}?mode=ro"
STILL = "file:{}?mode=ro&immutable=1"
"""As it is read where nothing can be written: of a log beside it this takes no notice."""

APPLICATION = 0x77667374
"""What SQLite keeps in the file's head to tell whose it is: "wfst"."""

FORMAT = 1
SIDECARS = ("-wal", "-shm", "-journal")

LENGTH = SIZE_LIMIT + (1 << 20)
"""Bytes of the longest value: a document, with what stands beside it."""

SALVAGE = (
    (
        "documents",
        "SELECT * FROM documents NOT INDEXED WHERE length(data) <= :most ORDER BY id",
        "documents VALUES (?, ?, ?, ?, ?, ?)",
    ),
    (
        "damaged",
        "SELECT * FROM damaged NOT INDEXED WHERE length(data) <= :most ORDER BY rowid",
        "damaged VALUES (?, ?, ?, ?, ?)",
    ),
    ("lists", "SELECT * FROM lists NOT INDEXED ORDER BY id", "lists VALUES (?, ?, ?, ?, ?)"),
    ("refs", "SELECT * FROM refs ORDER BY shelf", "refs VALUES (?, ?, ?, ?)"),
    (
        "rows",
        "SELECT * FROM rows NOT INDEXED ORDER BY id",
        "rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ),
)
"""How each table is read past its indexes, which may be what is damaged, and written anew."""

SALVAGE_SECONDS = 3.0
CHECK_SECONDS = 1.0
"""What the check of a database may take after the machine has started anew."""

_LIMIT_LENGTH = 0
"""SQLITE_LIMIT_LENGTH, of which older Pythons do not know."""

_NOT_WRITABLE = ("unable to open", "readonly", "disk I/O error", "disk is full")
"""What the engine says where the folder of a database cannot be written."""

_NOT_OURS = ("malformed", "not a database", "Could not decode", "too big")
"""What the engine says of a database that this store has not written, or not like this."""


class Database:
    """The database `state.sqlite3` of a state directory, or the one at `path`.

    held       how often its lock is taken, by the one who takes it
    openings   how often it was opened, or written in vain: what was known before may not hold
    deadline   what ends its statements
    only_read  whether it was opened where nothing can be written
    """

    def __init__(self, directory: str, path: str, notices: list[str]) -> None:
        self.directory = directory
        self.path = path or os.path.join(directory, FILE)
        self.notices = notices
        self.held = 0
        self.openings = 0
        self.deadline = Deadline()
        self._own = not path
        self._open: tuple[Any, tuple[int, ...]] | None = None
        self.only_read = False

    def _folder(self, create: bool) -> int | None:
        """The open folder of the database; None where there is none and it is not to be made."""
        try:
            if self._own:
                folder = journal.open_state(self.directory, create)
                if create:
                    initialize(folder)
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
            self._refuse_to_go_on_elsewhere()
            return None
        try:
            file = os.path.basename(self.path)
            identity = self._identity(folder, file)
            if self._open and self._open[1] == identity and not (create and self.only_read):
                return self._open[0]
            self._refuse_to_go_on_elsewhere()
            self._close()
            if not identity:
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
            database = self._connect(folder, file, create)
            if database is None:
                return None
            self._open = (database, identity)
            opened = self._identity(folder, file)  # with the log, which is there by now
            self._open = (database, opened)
        except FileExistsError:
            return self.open(create)  # another process was there first
        except OSError as error:
            raise self._failed(error) from error
        finally:
            os.close(folder)
        if opened[:2] != identity[:2]:
            return self.open(create)  # it was replaced while it was opened
        return database

    @property
    def current(self) -> Any:
        """The database as it was opened last; None where it was not."""
        return self._open and self._open[0]

    def _identity(self, folder: int, file: str) -> tuple[int, ...]:
        """Which file the database is, and which its log; () for none. Raises Damaged, StoreError.

        SQLite opens by path, and would follow a link that came with a repository, in the place of
        the database or of a file beside it: what cannot be one of ours is refused.
        """
        found: dict[str, tuple[int, ...]] = {}
        for suffix in ("", *SIDECARS):
            try:
                status = os.stat(file + suffix, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            wrong = _wrong_kind(status)
            if wrong:
                message = f"{self.path}{suffix} {wrong}"
                if not self._own:
                    raise StoreError(f"{message}; it is not used: move it away")
                raise Damaged(f"{message}; {_move(folder, file + suffix)}")
            found[suffix] = (status.st_dev, status.st_ino)
        return found[""] + found.get("-wal", (0, 0)) if "" in found else ()

    def _refuse_to_go_on_elsewhere(self) -> None:
        """Raise StoreError in a transaction, whose database is not the one at the path any more.

        What was written in it would be lost, and what follows be in another.
        """
        if self._open and self._open[0].in_transaction:
            raise StoreError(
                f"{self.path} was removed or replaced while it was written to; what was being "
                "saved is lost: save it again"
            )

    def _connect(self, folder: int, file: str, create: bool) -> Any:
        """The database that lies there; None where it is empty and is not to be made."""
        if engine is None:
            raise StoreError("this Python has no sqlite3 module; use the json store")
        self.only_read = False
        with Asking(self):
            try:
                return self._connect_to(URL, create)
            except engine.OperationalError as error:
                if create or not any(each in str(error) for each in _NOT_WRITABLE):
                    raise
                database = self._connect_to_read(folder, file)
                if database is None:
                    raise
                return database

    def _connect_to_read(self, folder: int, file: str) -> Any:
        """The database as it can be read where its folder cannot be written; None if not at all."""
        self.only_read = True
        for url in (READING, STILL):
            if url is STILL and _has_content(folder, file + "-wal"):
                break  # what is in the log is not in the file yet
            try:
                return self._connect_to(url, create=False)
            except engine.OperationalError:
                pass
        self.only_read = False
        return None

    def _connect_to(self, url: str, create: bool) -> Any:
        database = engine.connect(
            url.format(_quoted(self.path)),
            timeout=locks.LOCK_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        try:
            is_there = self._look_into(database, create)
        except BaseException:
            database.close()
            raise
        if not is_there:
            database.close()
        return database if is_there else None

    def _look_into(self, database: Any, create: bool) -> bool:
        """See whose it is, and make it if that is wanted; False where it is empty and is not."""
        _bound(database, self.deadline)
        database.execute("PRAGMA foreign_keys = OFF")
        # All of it as of one moment: another process may be making the tables.
        database.execute("BEGIN")
        whose = database.execute("PRAGMA application_id").fetchone()[0]
        version = database.execute("PRAGMA user_version").fetchone()[0]
        contents = database.execute(CONTENTS).fetchall()
        database.execute("COMMIT")
        if not whose and not version and not contents:
            if not create:
                return False
            self._found(database)
        elif whose != APPLICATION:
            self._refuse_foreign()
        else:
            refuse_newer(version, self.path)
            strange = strangeness(contents)
            if strange:
                raise engine.DatabaseError(f"malformed: {strange}")
        wal = database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        database.execute(f"PRAGMA synchronous = {'FULL' if wal else 'EXTRA'}")
        self._look_after_a_crash(database)
        return True

    def _refuse_foreign(self) -> None:
        if self._own:  # the name is ours, in a folder of ours: another's would be in the way
            raise engine.DatabaseError("malformed: it is another program's")
        raise StoreError(
            f"{self.path} is another program's database; nothing was changed: name another "
            "file in WORKFLOW_STATE_STORE"
        )

    def _found(self, database: Any) -> None:
        """Make the tables in an empty database, once."""
        mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        with _Transaction(database):
            if database.execute("PRAGMA application_id").fetchone()[0]:
                return  # another process was there first
            if database.execute(CONTENTS).fetchone():
                self._refuse_foreign()
            for statement in statements(SCHEMA):
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
        facts = dict(
            database.execute("SELECT name, value FROM facts WHERE name IN ('boot', 'directory')")
        )
        if not self._own and facts.get("directory") != _text(self.directory):
            self._adopt(database, facts.get("directory", ""))
        if facts.get("boot") == _boot():
            return
        self.deadline.give_up = time.monotonic() + CHECK_SECONDS
        try:
            message = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        except engine.OperationalError as error:
            if self.deadline.raised or "interrupted" not in str(error):
                raise
            message = "ok"  # so far, and whoever reads the rest is told of it
        finally:
            self.deadline.give_up = float("inf")
        if message != "ok":
            raise engine.DatabaseError(f"malformed: {message}")
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

    def __del__(self) -> None:
        if self.__dict__.get("_open"):  # not left to the engine, which warns of it from 3.13 on
            self._close()

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

    def clean_up(self) -> None:
        """Remove what killed writers left in the state directory."""
        from ...disk.temporary import clean_up

        folder = self._folder(create=False) if self._own else None
        if folder is not None:
            try:
                clean_up(folder)
            except OSError as error:
                raise self._failed(error) from error
            finally:
                os.close(folder)

    def commit(self) -> None:
        """Commit the transaction that is open, if it still is. Raises StoreError.

        Not in a file that nobody finds: what is said to be saved is at its path.
        """
        database = self._open and self._open[0]
        if not database or not database.in_transaction:
            return  # the engine has rolled back already, and its error is on its way
        try:
            self.open()
            with Asking(self):
                database.execute("COMMIT")
        except StoreError:
            self.openings += 1
            if self._open and database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def retire(self, message: str) -> StoreError:
        """Set a database aside that is none any more, and take over what can be read of it.

        The caller has proof about its content. Returns what to raise.
        """
        if self.only_read:
            return StoreError(
                f"{self.path} is damaged ({message}); nothing can be quarantined there"
            )
        opened = self._open
        self._close()
        if not self._own and "not a database" in message:
            return StoreError(f"{self.path} is not a database; it is not used: move it away")
        try:
            lock = -1 if self.held else self.acquire()
        except StoreError as error:
            return Damaged(
                f"{self.path} is damaged ({message}), and cannot be quarantined: {error}"
            )
        try:
            folder = self._folder(create=True)
            if folder is None:
                return Damaged(f"{self.path} is damaged ({message})")
            try:
                file = os.path.basename(self.path)
                status = os.stat(file, dir_fd=folder, follow_symlinks=False)
                if opened and opened[1][:2] != (status.st_dev, status.st_ino):
                    return Damaged(f"{self.path} was damaged ({message}), and has been quarantined")
                kept = _move(folder, file, *SIDECARS)
            finally:
                os.close(folder)
            saved = self._salvage(kept)
        except OSError as error:
            return Damaged(
                f"{self.path} is damaged ({message}) and could not be moved: {error.strerror}"
            )
        finally:
            if lock >= 0:
                locks.release(lock)
        return Damaged(
            f"{self.path} is damaged ({message}); it is kept as {kept}, and {saved} documents that "
            "could be read were taken over into a new one"
        )

    def _salvage(self, kept: str) -> int:
        """Copy what can be read of a database that was quarantined; how many documents that was.

        Of one that was planted nothing is run: only tables are read that are as this store makes
        them, and only written to here.
        """
        new = self.open(create=True)
        url = URL.format(_quoted(os.path.join(os.path.dirname(self.path), kept)))
        begun = not new.in_transaction
        if begun:
            new.execute("BEGIN IMMEDIATE")
        deadline = (
            Deadline()
        )  # of the reading: a statement that writes, interrupted, takes all back
        deadline.give_up = time.monotonic() + SALVAGE_SECONDS
        old = engine.connect(url, isolation_level=None, uri=True)
        try:
            _bound(old, deadline)
            old.text_factory = _text_or_none
            ours = own(old.execute(CONTENTS).fetchall())
            for table, reading, adding in SALVAGE:
                if table in ours:
                    _take_over(old, new, reading, adding, deadline)
        except engine.Error:
            pass  # there is nothing that can be read of it
        finally:
            old.close()
        saved: int = new.execute("SELECT count(*) FROM documents").fetchone()[0]
        if begun and new.in_transaction:
            new.execute("COMMIT")
        deadline.tell()
        self.deadline.tell()
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
        self._database.deadline.tell()
        message, path = str(error), self._database.path
        if "locked" in message or "busy" in message:
            raise Busy(
                f"{path} has been held by another process for {locks.LOCK_SECONDS:g} seconds; "
                "nothing was changed, try again"
            ) from error
        if any(each in message for each in _NOT_OURS):
            raise self._database.retire(message) from error
        raise StoreError(f"{path}: {message}") from error


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


def quarantine_bytes(execute: Callable[..., Any], collection: str, name: str, why: str) -> str:
    """Copy a document into the table `damaged`; the time that it is found under."""
    at = journal.now()
    execute(
        "INSERT INTO damaged SELECT shelf, name, ?, ?, data FROM documents "
        "WHERE shelf = ? AND name = ?",
        (at, why, collection, name),
    )
    return at


def _bound(connection: Any, deadline: Deadline) -> None:
    """Bound what a planted database could make one statement cost."""
    deadline.over(connection)
    if hasattr(connection, "setlimit"):  # from Python 3.11 on
        connection.setlimit(_LIMIT_LENGTH, LENGTH)


def _take_over(old: Any, new: Any, reading: str, adding: str, deadline: Deadline) -> None:
    """Copy the rows of a table; past a page that cannot be read, those from the other end."""
    for order in ("", " DESC"):
        try:
            for row in old.execute(reading + order, {"most": SIZE_LIMIT}):
                if time.monotonic() > deadline.give_up:
                    return
                new.execute(f"INSERT OR IGNORE INTO {adding}", row)
        except (engine.Error, ValueError):
            continue
        return


def _text_or_none(data: bytes) -> str | None:
    """A text, None for what is none: no column of a document takes that."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _has_content(folder: int, file: str) -> bool:
    try:
        return os.stat(file, dir_fd=folder, follow_symlinks=False).st_size > 0
    except FileNotFoundError:
        return False


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
