"""What the SQLite store's database consists of, to the letter.

A database is code as well: its triggers, views, generated columns and collations are run by whoever
writes to it. One that came with a clone is used only when it has what this store makes and no more.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

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

SHARED = """
CREATE TABLE IF NOT EXISTS shared (
  shelf TEXT NOT NULL, name TEXT NOT NULL, id INTEGER, stamp TEXT NOT NULL,
  theirs INTEGER NOT NULL, PRIMARY KEY (shelf, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS removals (
  shelf TEXT NOT NULL, name TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (shelf, name)
) WITHOUT ROWID;
"""
"""What the Redis store adds to the database of a machine."""

EARLIER = """
CREATE TABLE shared_lists (
  list INTEGER PRIMARY KEY, mark INTEGER NOT NULL, sent INTEGER NOT NULL, taken INTEGER NOT NULL
);
"""
"""What an earlier version of it added."""

CONTENTS = "SELECT name, sql FROM sqlite_master LIMIT 100"
"""What there is: more than there can be of ours is not asked for."""

_ENGINES = {
    "sqlite_autoindex_documents_1": None,
    "sqlite_sequence": "CREATE TABLE sqlite_sequence(name,seq)",
}


def statements(text: str) -> list[str]:
    """The statements of a text as above."""
    return [each.strip() for each in text.split(";\n") if each.strip()]


def _kept(text: str) -> dict[str, str | None]:
    """Name -> statement, as the engine keeps it, of what a text makes."""
    kept = [each.replace(" IF NOT EXISTS", "") for each in statements(text)]
    return {each.partition(" ON ")[0].partition(" (")[0].split()[-1]: each for each in kept}


def own(found: Iterable[tuple[str, str | None]]) -> set[str]:
    """The names, among CONTENTS, of what is exactly as this store makes it."""
    known = {**_ENGINES, **_kept(SCHEMA), **_kept(SHARED), **_kept(EARLIER)}
    return {name for name, sql in found if name in known and known[name] == sql}


def strangeness(found: list[tuple[str, str | None]]) -> str:
    """What shows that CONTENTS are not of this store's making; "" for nothing."""
    ours = own(found)
    strange = [name for name, _ in found if name not in ours]
    if strange:
        return f"it has {strange[0]!r:.60} of another's making"
    if len(found) > len(ours):
        return "it has two of one name"
    lacking = [name for name in (*_ENGINES, *_kept(SCHEMA)) if name not in ours]
    return f"it lacks {lacking[0]}" if lacking else ""
