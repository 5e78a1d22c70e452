"""A damaged database: it is quarantined, and what can be read of it goes into a new one."""

from __future__ import annotations

import os
import time

from ...disk import locks
from ...errors import Damaged, StoreError
from ..document_checks import SIZE_LIMIT
from . import connection
from .database import Asking, DamagedDatabase
from .deadline import Deadline
from .schema import CONTENTS, own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .database import Database

    Method = TypeVar("Method", bound=Callable[..., Any])

TABLES = (
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
"""How each table is read, without its indexes, which may be what is damaged; and written anew."""

SECONDS = 3.0
"""How long the reading of a damaged database may take."""


def salvaging(method: Method) -> Method:
    """Make a method that writes quarantine and salvage the damaged database that it meets.

    Not in the middle of a change: that is taken back first, by the method that began it. The
    method's object has a `database`.
    """
    return _salvaging(method, writes=True)


def salvaging_if_locked(method: Method) -> Method:
    """Make a method that reads do so as well, where a writer calls it."""
    return _salvaging(method, writes=False)


def _salvaging(method: Method, writes: bool) -> Method:
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return method(self, *arguments, **named)
        except DamagedDatabase as error:
            if self.database.savepoints or not (writes or self.database.held):
                raise
            raise retire(self.database, error.found) from error

    call.__name__, call.__doc__ = method.__name__, method.__doc__
    return call  # type: ignore[return-value]


def retire(database: Database, found: str) -> StoreError:
    """Quarantine a database that is none any more, and salvage it; what to raise.

    found  what proves the damage
    """
    is_damaged = f"{database.path} is damaged ({found})"
    if database.only_read:
        return StoreError(f"{is_damaged}; it cannot be quarantined, its folder is read-only")
    database.close()
    if not database.own and "not a database" in found:
        return StoreError(f"{database.path} is not a database; it is not used: move it away")
    try:
        lock = -1 if database.held else database.acquire()
    except StoreError as error:
        return Damaged(f"{is_damaged}, and cannot be quarantined: {error}")
    try:
        kept = database.quarantine()
        if not kept:
            return Damaged(f"{is_damaged}; another process has quarantined it: try again")
        with Asking(database):
            saved = _salvage(database, kept)
    except OSError as error:
        return Damaged(f"{is_damaged} and could not be moved: {error.strerror}")
    finally:
        if lock >= 0:
            locks.release(lock)
    return Damaged(
        f"{is_damaged}; it is kept as {kept}, and {saved} documents that could be read were taken "
        "over into a new one"
    )


def _salvage(database: Database, kept: str) -> int:
    """Copy what can be read of a quarantined database; how many documents that was.

    Nothing of a planted one runs: only tables with this store's own schema are read, and only the
    new database is written to.
    """
    url = connection.URL.format(
        connection.quoted(os.path.join(os.path.dirname(database.path), kept))
    )
    new = database.open(create=True)
    # For the reading only: an interrupted statement that writes would take all of it back.
    deadline = Deadline()
    deadline.give_up = time.monotonic() + SECONDS
    old = connection.engine.connect(url, isolation_level=None, uri=True)
    try:
        connection.bound(old, deadline)
        old.text_factory = _text_or_none
        with connection.Transaction(new):
            _copy(old, new, deadline)
            saved: int = new.execute("SELECT count(*) FROM documents").fetchone()[0]
    finally:
        old.close()
    deadline.reraise()
    return saved


def _copy(old: Any, new: Any, deadline: Deadline) -> None:
    try:
        ours = own(old.execute(CONTENTS).fetchall())
    except connection.engine.Error:
        return  # nothing of it can be read
    for table, reading, adding in TABLES:
        if table in ours:
            _take_over(old, new, reading, adding, deadline)


def _take_over(old: Any, new: Any, reading: str, adding: str, deadline: Deadline) -> None:
    """Copy the rows of a table. Past a page that cannot be read, go on from the other end."""
    for order in ("", " DESC"):
        try:
            for row in old.execute(reading + order, {"most": SIZE_LIMIT}):
                if time.monotonic() > deadline.give_up:
                    return
                new.execute(f"INSERT OR IGNORE INTO {adding}", row)
        except (connection.engine.Error, ValueError):
            continue
        return


def _text_or_none(data: bytes) -> str | None:
    """A text, or None for bytes that are none: no column of a document takes None."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
