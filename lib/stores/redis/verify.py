"""What a server is asked after a migration: whether it has all that is here."""

from __future__ import annotations

from ..sqlite.database import Asking
from ..sqlite.salvage import salvaging
from .connection import SILENCE, Talking, connect
from .known import PENDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .store import Redis

_KNOWN = """
SELECT shelf, name, stamp FROM documents JOIN shared USING (shelf, name)
WHERE documents.id = shared.id ORDER BY documents.id
"""
"""What was sent or taken, and has not changed since."""

_REFS = """
SELECT shelf, name, list FROM refs JOIN documents USING (shelf, name)
JOIN shared USING (shelf, name) WHERE documents.id = shared.id
"""
_ROWS = """
SELECT list, mark, (
  SELECT count(*) FROM rows WHERE rows.list = needed.list AND since <= needed.mark
)
FROM (
  SELECT list, max(mark) AS mark FROM refs JOIN documents USING (shelf, name)
  JOIN shared USING (shelf, name) WHERE documents.id = shared.id GROUP BY list
) AS needed
"""


def reach(store: Redis) -> None:
    """Raise StoreError where the server of a store does not answer."""
    server = connect(store.server, SILENCE)
    with Talking(store.place):
        server.get(store.prefix() + "format")


def shared_keys(store: Redis) -> set[str]:
    """The keys here that a server was given, or that it gave."""
    if store.database.open() is None:
        return set()
    found = _ask(store, "SELECT name FROM shared WHERE shelf = 'keys' AND id IS NOT NULL")
    return {name for (name,) in found}


def not_there(store: Redis) -> list[str]:
    """The documents here that the server has not, or not all rows of. Raises StoreError."""
    if store.database.open() is None:
        return []
    server, prefix, place = connect(store.server, SILENCE), store.prefix(), store.place
    with Talking(place):
        stamps = server.hgetall(prefix + "stamps")
        held = set(server.hkeys(prefix + "documents"))
        marks = server.hgetall(prefix + "marks")
    short = set()
    for list_, mark, count in _ask(store, _ROWS):
        with Talking(place):
            there = server.zcount(f"{prefix}rows:{list_}", "-inf", mark)
        if there < count or int(marks.get(str(list_).encode(), 0)) < mark:
            short.add(list_)
    cut = {(collection, name) for collection, name, list_ in _ask(store, _REFS) if list_ in short}
    missing = [f"{collection} {name}" for collection, name, _ in _ask(store, PENDING)]
    for collection, name, stamp in _ask(store, _KNOWN):
        key = f"{collection}/{name}".encode()
        there = stamps.get(key, b"").decode()
        # A later one is another machine's, which has replaced or removed ours meanwhile.
        is_there = there > stamp or (there == stamp and key in held)
        if not is_there or (collection, name) in cut:
            missing.append(f"{collection} {name}")
    return missing


@salvaging
def _ask(store: Redis, question: str) -> list[Any]:
    with store.lock(), Asking(store.database):
        found: list[Any] = store.database.open().execute(question).fetchall()
    return found
