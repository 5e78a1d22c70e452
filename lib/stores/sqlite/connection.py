"""One connection to the database, after the database has shown that this store made it.

A repository may have planted the file. So a connection bounds what a statement may cost, and reads
whose the database is, and its schema, before anything else in it runs.
"""

from __future__ import annotations

import os
import time

from ...disk import locks
from ...errors import StoreError
from ..document_checks import SIZE_LIMIT, refuse_newer
from .schema import CONTENTS, SCHEMA, statements, strangeness

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .deadline import Deadline

try:
    import _sqlite3  # sqlite3 itself loads datetime, and a stop would wait for that
except ImportError:
    _sqlite3 = None  # type: ignore[assignment]
engine = _sqlite3

URL = "file:{}?mode=rw"
READING = "file:{}?mode=ro"
IMMUTABLE = "file:{}?mode=ro&immutable=1"
"""For a folder that cannot be written. The engine ignores a log beside the database then."""

APPLICATION = 0x77667374
"""The mark "wfst" in the head of the file: this store made it."""

FORMAT = 1

LENGTH = SIZE_LIMIT + (1 << 20)
"""Bytes of the longest value: a document, with what stands beside it."""

CHECK_SECONDS = 1.0
"""How long the check of a database may take after the machine has started anew."""

_LIMIT_LENGTH = 0
"""SQLITE_LIMIT_LENGTH, which older Pythons do not name."""

_NOT_WRITABLE = ("unable to open", "readonly", "disk I/O error", "disk is full")
"""What the engine reports where it cannot write the folder of a database."""


class Connector:
    """Connects to the database at `path`, which holds the state of `directory`.

    own      whether the database lies in the state directory, under this store's name
    notices  where it adds what a person is to know
    """

    def __init__(
        self, path: str, directory: str, own: bool, deadline: Deadline, notices: list[str]
    ) -> None:
        self.path, self.directory, self.own = path, directory, own
        self.deadline, self.notices = deadline, notices
        self._is_unsettled = False
        """Whether the last connection left something to the next writer's."""

    def connect(self, folder: int, create: bool) -> tuple[Any, bool]:
        """A connection, and whether it can only read.

        The connection is None where the file is empty and `create` is false. Raises StoreError and
        the engine's errors.
        """
        if engine is None:
            raise StoreError("this Python has no sqlite3 module; use the json store")
        if not create and _has_content(folder, os.path.basename(self.path) + "-wal"):
            # The last one to close the database would write into it what is in the log.
            connection = self._connect_to_read(folder)
            if connection is not None:
                return connection, True
        self._is_unsettled = False
        try:
            return self._connect(URL, create), self._is_unsettled
        except engine.OperationalError as error:
            if create or not any(each in str(error) for each in _NOT_WRITABLE):
                raise
            connection = self._connect_to_read(folder)
            if connection is None:
                raise
            return connection, True

    def _connect_to_read(self, folder: int) -> Any:
        """A connection that writes nothing; None where that fails."""
        for url in (READING, IMMUTABLE):
            if url is IMMUTABLE and _has_content(folder, os.path.basename(self.path) + "-wal"):
                break  # what is in the log is not in the file yet
            try:
                return self._connect(url, create=False)
            except engine.OperationalError:
                pass
        return None

    def _connect(self, url: str, create: bool) -> Any:
        connection = engine.connect(
            url.format(quoted(self.path)),
            timeout=locks.LOCK_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        try:
            is_there = self._verify(connection, create)
        except BaseException:
            connection.close()
            raise
        if not is_there:
            connection.close()
        return connection if is_there else None

    def _verify(self, connection: Any, create: bool) -> bool:
        """Verify that this store made the database, or initialize an empty one.

        False where it is empty and `create` is false.
        """
        bound(connection, self.deadline)
        connection.execute("PRAGMA foreign_keys = OFF")
        # All of it as of one moment: another process may be making the tables.
        connection.execute("BEGIN")
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        contents = connection.execute(CONTENTS).fetchall()
        connection.execute("COMMIT")
        if not application and not version and not contents:
            if not create:
                return False
            self._initialize(connection)
        elif application != APPLICATION:
            self._refuse_foreign()
        else:
            refuse_newer(version, self.path)
            strange = strangeness(contents)
            if strange:
                raise engine.DatabaseError(f"malformed: {strange}")
        wal = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        connection.execute(f"PRAGMA synchronous = {'FULL' if wal else 'EXTRA'}")
        facts = dict(
            connection.execute("SELECT name, value FROM facts WHERE name IN ('boot', 'directory')")
        )
        if not self.own and facts.get("directory") != _text(self.directory):
            self._adopt(connection, facts.get("directory", ""), create)
        if facts.get("boot") != _boot():
            self._check_after_a_crash(connection, create)
        return True

    def _refuse_foreign(self) -> None:
        if self.own:  # the name is this store's, so another program's database is in the way
            raise engine.DatabaseError("malformed: another program made it")
        raise StoreError(
            f"{self.path} is another program's database; nothing was changed: name another "
            "file in WORKFLOW_STATE_STORE"
        )

    def _initialize(self, connection: Any) -> None:
        """Make the tables in an empty database, once."""
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        with Transaction(connection):
            if connection.execute("PRAGMA application_id").fetchone()[0]:
                return  # another process was first
            self._make_tables(connection)
        if mode != "wal":
            self.notices.append(
                f"{self.path}: this file system has no write-ahead log for SQLite, so SQLite uses "
                f"a rollback journal ({mode}): writers take longer, and readers wait for them"
            )

    def _make_tables(self, connection: Any) -> None:
        if connection.execute(CONTENTS).fetchone():
            self._refuse_foreign()
        for statement in statements(SCHEMA):
            connection.execute(statement)
        connection.execute("INSERT INTO facts VALUES ('boot', ?)", (_boot(),))
        connection.execute("INSERT INTO facts VALUES ('directory', ?)", (_text(self.directory),))
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")

    def _adopt(self, connection: Any, owner: str, create: bool) -> None:
        """Note the project of a database elsewhere: two would overwrite each other's keys."""
        if os.path.isdir(owner):
            raise StoreError(
                f"{self.path} holds the state of {owner}; give each project a database of its own"
            )
        self._note(connection, "directory", _text(self.directory), create)

    def _note(self, connection: Any, name: str, value: str, create: bool) -> None:
        """Note a fact, if this connection is a writer's; else the next writer's does."""
        if not create:
            self._is_unsettled = True
            return
        try:
            connection.execute("UPDATE facts SET value = ? WHERE name = ?", (value, name))
        except engine.OperationalError:
            pass  # locked, or read-only: the next one notes it

    def _check_after_a_crash(self, connection: Any, create: bool) -> None:
        """Check that the database is whole, as the machine has started anew since the last check.

        The check stops after CHECK_SECONDS. Who reads the rest meets what is wrong with it.
        """
        self.deadline.give_up = time.monotonic() + CHECK_SECONDS
        try:
            message = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except engine.OperationalError as error:
            if self.deadline.raised or "interrupted" not in str(error):
                raise
            message = "ok"
        finally:
            self.deadline.give_up = float("inf")
        if message != "ok":
            raise engine.DatabaseError(f"malformed: {message}")
        self._note(connection, "boot", _boot(), create)


class Transaction:
    """A transaction of its own, whole or not at all."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._connection.in_transaction:
            self._connection.execute("COMMIT" if error is None else "ROLLBACK")


def bound(connection: Any, deadline: Deadline) -> None:
    """Bound what a planted database could make one statement cost."""
    deadline.over(connection)
    if hasattr(connection, "setlimit"):  # from Python 3.11 on
        connection.setlimit(_LIMIT_LENGTH, LENGTH)


def quoted(path: str) -> str:
    """A path as it stands in a URL."""
    return "".join(
        [chr(byte) if chr(byte) in _PLAIN else f"%{byte:02x}" for byte in os.fsencode(path)]
    )


_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-"


def _has_content(folder: int, file: str) -> bool:
    try:
        return os.stat(file, dir_fd=folder, follow_symlinks=False).st_size > 0
    except FileNotFoundError:
        return False


def _text(path: str) -> str:
    """A path as a text that the engine takes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _boot() -> str:
    """Which start of the machine this is; "" where the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read(64).decode("ascii", "replace").strip()
    except OSError:
        return ""
