"""The database of the SQLite store: which file it is, its lock, its transactions, its errors.

SQLite opens files by path and follows links. So what lies at the path, and beside it, is checked
before it is opened.
"""

from __future__ import annotations

import os
import stat
import time

from ...disk import locks
from ...disk.durable import clean_up, make_directories
from ...errors import Busy, Damaged, StoreError
from ...recording import journal
from .. import LEFT
from . import connection
from .connection import Connector
from .deadline import Deadline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FILE = "state.sqlite3"
SIDECARS = ("-wal", "-shm", "-journal")

_DAMAGE = ("malformed", "not a database", "Could not decode", "too big")
"""What the engine reports of a database that this store has not written, or not like this."""


class DamagedDatabase(Damaged):
    """The database is none any more. It is where it was: a writer that catches this salvages it.

    found  what proves the damage
    """

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path} is damaged ({found}); {LEFT}")
        self.found = found


class Database:
    """The database `state.sqlite3` of a state directory, or the one at `path`.

    own         whether it lies in the state directory, under this store's name
    held        how often its lock is taken, by the one who takes it
    savepoints  how many changes are open in it, one in the other
    openings    how often it was opened, or written in vain: what was known before may not hold
    deadline    what ends its statements
    only_read   whether it was opened where nothing can be written
    """

    def __init__(self, directory: str, path: str, notices: list[str]) -> None:
        self.directory = directory
        self.path = path or os.path.join(directory, FILE)
        self.own = not path
        self.believed_in = "" if path else directory
        """The state directory that shows whose the rows are; "" where only the key does."""
        self.held = self.savepoints = self.openings = 0
        self.deadline = Deadline()
        self.only_read = False
        self._connector = Connector(self.path, directory, self.own, self.deadline, notices)
        self._connection: Any = None
        self._identity: tuple[int, ...] = ()
        """Which file it was when it was opened last, or was to be."""

    @property
    def current(self) -> Any:
        """The database as it was opened last; None where it was not."""
        return self._connection

    def open(self, create: bool = False) -> Any:
        """The open database; None where there is none and `create` is false. Raises StoreError."""
        try:
            folder = self._folder(create)
        except OSError as error:
            raise self._failed(error) from error
        except journal.Unusable as error:
            raise StoreError(str(error)) from None
        if folder is None:
            self._refuse_to_go_on_elsewhere()
            return None
        try:
            return self._open(folder, create)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            os.close(folder)

    def _folder(self, create: bool) -> int | None:
        """The open folder of the database; None where there is none and `create` is false."""
        try:
            if self.own:
                return journal.open_state(self.directory, create)
            parent = os.path.dirname(self.path)
            if create:
                make_directories(parent, 0o700)
            return os.open(parent, journal.DIRECTORY)
        except FileNotFoundError:
            if create:
                raise
            return None

    def _open(self, folder: int, create: bool) -> Any:
        """The open database of a folder, however often others replace it meanwhile."""
        while True:
            identity = self._find(folder)
            is_same = self._connection and self._identity == identity
            if is_same and not (create and self.only_read):
                return self._connection
            self._refuse_to_go_on_elsewhere()
            self.close()
            if not identity:
                if not create:
                    return None
                self._make(folder)
                continue
            self._identity = identity
            with Asking(self):
                self._connection, self.only_read = self._connector.connect(folder, create)
            if self._connection is None:
                return None
            opened = self._find(folder)  # with the log, which is there by now
            if opened[:2] == identity[:2]:
                self._identity = opened
                return self._connection

    def _find(self, folder: int) -> tuple[int, ...]:
        """Which file the database is, and which its log; () for none. Raises StoreError.

        SQLite would follow a link that came with a repository, in the place of the database or of
        a file beside it. What cannot be a file of this store is refused.
        """
        found: dict[str, tuple[int, ...]] = {}
        for suffix in ("", *SIDECARS):
            file = os.path.basename(self.path) + suffix
            try:
                status = os.stat(file, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            wrong = _wrong_kind(status, self.directory)
            if wrong:
                raise StoreError(f"{self.path}{suffix} {wrong}; it is not used: move it away")
            found[suffix] = (status.st_dev, status.st_ino)
        return found[""] + found.get("-wal", (0, 0)) if "" in found else ()

    def _make(self, folder: int) -> None:
        """Make an empty file, unless another process was first."""
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        try:
            os.close(os.open(os.path.basename(self.path), flags, 0o600, dir_fd=folder))
        except FileExistsError:
            pass

    def _refuse_to_go_on_elsewhere(self) -> None:
        """Raise StoreError in a transaction, whose database is not the one at the path any more.

        What was written in it would be lost, and what follows be in another.
        """
        if self._connection and self._connection.in_transaction:
            raise StoreError(
                f"{self.path} was removed or replaced while it was written to; what was being "
                "saved is lost: save it again"
            )

    def close(self) -> None:
        """Close the database, if it is open; what was not committed is taken back."""
        if self._connection:
            database, self._connection = self._connection, None
            self.openings += 1
            try:
                database.close()
            except connection.engine.Error:
                pass  # a statement of a reader is still open: it ends with the process

    def __del__(self) -> None:
        if self.__dict__.get("_connection"):  # the engine warns of it from 3.13 on
            self.close()

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
        folder = self._folder(create=False) if self.own else None
        if folder is not None:
            try:
                clean_up(folder)
            except OSError as error:
                raise self._failed(error) from error
            finally:
                os.close(folder)

    def commit(self) -> None:
        """Commit the transaction that is open, if it still is. Raises StoreError.

        Not in a file that nobody finds: what counts as saved is at its path.
        """
        database = self._connection
        if not database or not database.in_transaction:
            return  # the engine has rolled back already, and its error is on its way
        try:
            self.open()
            with Asking(self):
                database.execute("COMMIT")
        except StoreError:
            self.openings += 1
            if self._connection and database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def quarantine(self) -> str:
        """Rename the closed database and the files beside it; the new name. Raises OSError.

        "" where another process was first: what lies there now is another database.
        """
        folder = self._folder(create=True)
        if folder is None:
            return ""
        try:
            file = os.path.basename(self.path)
            status = os.stat(file, dir_fd=folder, follow_symlinks=False)
            if self._identity[:2] != (status.st_dev, status.st_ino):
                return ""
            return _move(folder, file, *SIDECARS)
        finally:
            os.close(folder)

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(f"{self.path}: {error.strerror or error}")


class Asking:
    """The engine's errors in it become StoreErrors; one that proves damage, DamagedDatabase."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if connection.engine is None or not isinstance(error, connection.engine.Error):
            return
        self._database.deadline.reraise()
        message, path = str(error), self._database.path
        if "locked" in message or "busy" in message:
            raise Busy(
                f"{path} has been held by another process for {locks.LOCK_SECONDS:g} seconds; "
                "nothing was changed, try again"
            ) from error
        if any(each in message for each in _DAMAGE):
            raise DamagedDatabase(path, message) from error
        raise StoreError(f"{path}: {message}") from error


class Savepoint:
    """All that is written in it, or nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open = database.open(create=True)

    def __enter__(self) -> None:
        self._open.execute("SAVEPOINT change")
        self._database.savepoints += 1

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._database.savepoints -= 1
        if error is not None:
            self._database.openings += 1
        if not self._open.in_transaction:
            return  # the engine has rolled back all of it
        if error is not None:
            self._open.execute("ROLLBACK TO change")
        self._open.execute("RELEASE change")


def quarantine_bytes(execute: Callable[..., Any], collection: str, name: str, why: str) -> str:
    """Copy a document into the table `damaged`; the time that it is found under."""
    at = journal.now()
    execute(
        "INSERT INTO damaged SELECT shelf, name, ?, ?, data FROM documents "
        "WHERE shelf = ? AND name = ?",
        (at, why, collection, name),
    )
    return at


def _wrong_kind(status: os.stat_result, directory: str) -> str:
    """What proves that this store did not make a file; "" when nothing does."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    if status.st_nlink > 1 and not journal.at_home(directory):  # at home a backup may link it
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
