"""What a server is asked after a migration: whether it has all that is here."""

from __future__ import annotations

from .database import Asking
from .identity import project_name
from .server import SILENCE, Talking, connect, place_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .redis import Redis

_DOCUMENTS = """
SELECT documents.shelf, documents.name, documents.id IS shared.id, stamp FROM documents
LEFT JOIN shared ON shared.shelf = documents.shelf AND shared.name = documents.name
WHERE documents.shelf IN ('keys', 'checkpoints') ORDER BY documents.id
"""
_ROWS = """
SELECT list, max(mark), (
  SELECT count(*) FROM rows WHERE rows.list = refs.list AND since <= max(refs.mark)
) FROM refs GROUP BY list
"""


def reach(store: Redis) -> None:
    """Raise StoreError where the server of a store does not answer."""
    server = connect(store.url, SILENCE)
    with Talking(place_of(store.url)):
        server.get(_prefix(store) + "format")


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
    server, prefix, place = connect(store.url, SILENCE), _prefix(store), place_of(store.url)
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
    refs: dict[tuple[str, str], set[int]] = {}
    for shelf, name, list_ in _ask(store, "SELECT shelf, name, list FROM refs"):
        refs.setdefault((shelf, name), set()).add(list_)
    missing = []
    for shelf, name, is_known, stamp in _ask(store, _DOCUMENTS):
        key = f"{shelf}/{name}".encode()
        # A later one is another machine's, which has replaced ours there meanwhile.
        is_there = is_known and key in held and stamps.get(key, b"") >= str(stamp).encode()
        if not is_there or refs.get((shelf, name), set()) & short:
            missing.append(f"{shelf} {name}")
    return missing


def _prefix(store: Redis) -> str:
    return f"workflow-state:{{{project_name(store.directory)}}}:"


def _ask(store: Redis, question: str) -> list[Any]:
    store.owed()  # which makes the tables that are asked
    with store.lock(), Asking(store.database):
        found: list[Any] = store.database.open().execute(question).fetchall()
    return found
