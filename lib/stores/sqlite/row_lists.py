"""The rows of sessions' tables in the database: found as of a mark, added, and cleaned up.

A list only gets new rows, under its next mark. A table of an older mark, to whose list others have
added, first puts back what they changed.
"""

from __future__ import annotations

import os
import time

from ...errors import StoreError
from ...format import records
from .. import CHECKPOINTS
from .database import Asking
from .rows import MOST, SUMS, Ref, Rows, check_of, path_weight, rows_of, weight
from .salvage import salvaging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ...format.file_table import Table
    from .database import Database
    from .rows import Kept

RETIRED = 3600
"""Seconds for which a row that no checkpoint needs stays, for readers that began before."""

PORTION = 5000
"""Rows that are read at a time, or that one step of a cleanup removes."""

_FIND = """
SELECT place, row, "check" FROM rows INDEXED BY rows_by_name
WHERE list = ? AND name = ? AND since <= ?
ORDER BY since DESC LIMIT 1
"""
_ALL = """
SELECT name, place, row, "check" FROM rows INDEXED BY rows_by_mark
WHERE list = ? AND since <= ? AND (until IS NULL OR until > ?) AND row != '' ORDER BY place
"""
_SUPERSEDE = """
UPDATE rows INDEXED BY rows_by_name SET until = ?, gone = ?
WHERE list = ? AND name = ? AND until IS NULL
"""
_ADD = """
INSERT INTO rows (list, name, since, place, row, "check") VALUES (?, ?, ?, ?, ?, ?)
"""
_NEWEST_LIST = """
SELECT id, head FROM lists WHERE session = ? AND member = ?
AND typeof(head) = 'integer' AND head BETWEEN 0 AND ? AND id >= 0 ORDER BY at DESC, id LIMIT 1
"""
_UNNEEDED = """
DELETE FROM rows WHERE id IN (
  SELECT id FROM rows WHERE gone < ? AND NOT EXISTS (
    SELECT 1 FROM refs WHERE refs.list = rows.list AND mark >= since AND mark < until
  ) LIMIT ?
)
"""
_UNUSED = """
SELECT id FROM lists WHERE at < ? AND NOT EXISTS (SELECT 1 FROM refs WHERE list = lists.id)
"""
_EMPTY = "DELETE FROM rows WHERE id IN (SELECT id FROM rows WHERE list = ? LIMIT ?)"


class Lists:
    """The rows in a database.

    lose  quarantines a document, of a collection and a name, whose rows are not what they were;
          gives what to raise
    """

    def __init__(self, database: Database, lose: Callable[[str, str, str], Exception]) -> None:
        self.database = database
        self.path = database.path
        self.lose = lose

    def readers_key(self) -> bytes | None:
        """What the rows are verified with, as `records.readers_key` returns it."""
        return records.readers_key(self.database.believed_in)

    @salvaging
    def find_row(self, ref: Ref, name: str) -> Kept | None:
        """A row as of a mark."""
        with Asking(self.database):
            found = self._execute(_FIND, (ref.list, name, ref.mark)).fetchone()
        return found if found and found[1] else None

    def all_rows(self, ref: Ref) -> Iterator[list[tuple[str, Kept]]]:
        """All rows as of a mark in their order, in portions."""
        cursor, found = self._fetch(ref)
        while found:
            yield [(name, (place, row, check)) for name, place, row, check in found]
            cursor, found = self._fetch(ref, cursor)

    @salvaging
    def _fetch(self, ref: Ref, cursor: Any = None) -> tuple[Any, list[Any]]:
        """A cursor over all rows as of a mark, and the next portion of them."""
        with Asking(self.database):
            cursor = cursor or self._execute(_ALL, (ref.list, ref.mark, ref.mark))
            return cursor, cursor.fetchmany(PORTION)

    def _execute(self, statement: str, values: tuple[object, ...]) -> Any:
        """Ask the open database: the references are of that one, whatever is at the path now."""
        database = self.database.current or self.database.open()
        if database is None:
            raise StoreError(f"{self.path} was removed while it was read")
        return database.execute(statement, values)

    def store(self, session: str, member: str, table: Table) -> Ref:
        """Store what is new in a table; the reference to all of it."""
        if not isinstance(table, Rows):
            return self._store_whole(session, member, rows_of(table))
        if table.trust == records.OURS and table.source.path == self.path:
            return self._append(table)
        ref = self._store_whole(session, member, rows_of(table))
        table.move(self, ref)
        return ref

    def _append(self, table: Rows) -> Ref:
        """Store the news of a table whose other rows are in this database."""
        new, gone = table.news()
        old = table.ref
        if not new and not gone:
            return old
        found = self._execute("SELECT head FROM lists WHERE id = ?", (old.list,)).fetchone()
        if found is None:
            raise self.lose(*table.origin, "has rows that were removed")
        if type(found[0]) is not int or not 0 <= found[0] < MOST:
            raise self.lose(*table.origin, "has rows of no mark there is")
        ref = Ref(old.list, found[0] + 1, old.count, old.next, old.rows, old.paths)
        key = records.users_key(make=True)
        kept: dict[str, Kept | None] = {}
        for name in {**dict.fromkeys(gone), **new}:
            before = table.stored(name)
            if before:
                ref.count -= 1
                ref.rows -= weight(before[2])
                ref.paths -= path_weight(name, before[0])
            kept[name] = None
            if name in new:
                stays = before is not None and name not in gone
                place = before[0] if before and stays else ref.next
                ref.next += not stays
                check = check_of(name, place, new[name], key)
                kept[name] = (place, new[name], check)
                ref.count += 1
                ref.rows += weight(check)
                ref.paths += path_weight(name, place)
        ref.rows &= SUMS
        ref.paths &= SUMS
        changed = {name: row for name, row in kept.items() if row != table.stored(name)}
        if found[0] != old.mark:
            changed = {**self._since(old, set(kept)), **kept}
        if not changed:
            ref.mark = old.mark
        else:
            self._add(ref, changed)
        table.settle(ref, kept)
        return ref

    def _since(self, ref: Ref, but: set[str]) -> dict[str, Kept | None]:
        """The rows as of a mark, of those that others have changed since."""
        names = self._execute(
            "SELECT DISTINCT name FROM rows WHERE list = ? AND since > ?", (ref.list, ref.mark)
        )
        return {name: self.find_row(ref, name) for (name,) in names.fetchall() if name not in but}

    def _add(self, ref: Ref, changed: dict[str, Kept | None]) -> None:
        """Add versions of rows that count from a mark on; None for those that are gone."""
        now = int(time.time())
        for name, kept in changed.items():
            self._execute(_SUPERSEDE, (ref.mark, now, ref.list, name))
            place, row, check = kept or (0, "", "")
            self._execute(_ADD, (ref.list, name, ref.mark, place, row, check))
        self._execute("UPDATE lists SET head = ?, at = ? WHERE id = ?", (ref.mark, now, ref.list))

    def _store_whole(self, session: str, member: str, rows: dict[str, str]) -> Ref:
        """Store a table from memory: its difference to the session's newest list, or all of it."""
        found = self._execute(_NEWEST_LIST, (session, member, MOST)).fetchone()
        key = records.users_key(make=True)
        if found:
            table = self._standing(Ref(*found), rows, key)
            if table is not None:
                return self._append(table)
        ref = Ref(int.from_bytes(os.urandom(7), "big"), 1, len(rows), len(rows))
        kept: dict[str, Kept | None] = {}
        for place, (name, row) in enumerate(rows.items()):
            check = check_of(name, place, row, key)
            kept[name] = (place, row, check)
            ref.rows += weight(check)
            ref.paths += path_weight(name, place)
        ref.rows &= SUMS
        ref.paths &= SUMS
        self._execute("INSERT INTO lists VALUES (?, ?, ?, 0, 0)", (ref.list, session, member))
        self._add(ref, kept)
        return ref

    def _standing(self, ref: Ref, rows: dict[str, str], key: bytes) -> Rows | None:
        """The table of a list's head, changed to these rows.

        None where their order differs, or where they have too little in common.
        """
        standing: dict[str, Kept] = {}
        for portion in self.all_rows(ref):
            standing.update(portion)
        common = [name for name in standing if name in rows]
        if 2 * len(common) < len(standing) or common != list(rows)[: len(common)]:
            return None
        for name, (place, _, check) in standing.items():
            ref.count += 1
            ref.next = max(ref.next, place + 1)
            ref.rows += weight(check)
            ref.paths += path_weight(name, place)
        ref.rows &= SUMS
        ref.paths &= SUMS
        table = Rows(self, ref, (CHECKPOINTS, ""), records.OURS)
        table.change(
            {
                name: row
                for name, row in rows.items()
                if name not in standing
                or standing[name][1] != row
                or standing[name][2] != check_of(name, standing[name][0], row, key)
            },
            {name for name in standing if name not in rows},
            standing,
        )
        return table

    def clean_up(self, before: int) -> int:
        """One step of a cleanup; how many rows it removed."""
        removed: int = self._execute(_UNNEEDED, (before, PORTION)).rowcount
        for (list_,) in self._execute(_UNUSED, (before,)).fetchall():
            if removed < PORTION:
                removed += self._execute(_EMPTY, (list_, PORTION - removed)).rowcount
            if removed < PORTION:
                self._execute("DELETE FROM lists WHERE id = ?", (list_,))
        return removed
