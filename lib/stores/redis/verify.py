"""The verification of a migration: whether the server has all that is here."""

from __future__ import annotations

from ..sqlite.database import Asking
from ..sqlite.salvage import salvaging
from .connection import SILENCE, ServerErrors, connect
from .tracked import PENDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .tracked import Tracked

_KNOWN = """
SELECT shelf, name, stamp FROM documents JOIN shared USING (shelf, name)
WHERE documents.id = shared.id ORDER BY documents.id
"""
"""What was sent or pulled, and has not changed since."""


def reach(store: Tracked) -> None:
    """Raise StoreError where the server of a store does not answer."""
    server = connect(store.server, SILENCE)
    with ServerErrors(store.place):
        server.get(store.prefix() + "format")


def shared_keys(store: Tracked) -> set[str]:
    """The keys here that the server has or had."""
    if store.database.open() is None:
        return set()
    found = _ask(store, "SELECT name FROM shared WHERE shelf = 'keys' AND id IS NOT NULL")
    return {name for (name,) in found}


def unsent(store: Tracked) -> list[str]:
    """The documents here that the server lacks. Raises StoreError."""
    if store.database.open() is None:
        return []
    server, prefix = connect(store.server, SILENCE), store.prefix()
    with ServerErrors(store.place):
        # The earlier form counts as well: what is signed with another key stays in it.
        stamps = {**server.hgetall(prefix + "stamps"), **server.hgetall(prefix + "timestamps")}
        held = {*server.hkeys(prefix + "documents"), *server.hkeys(prefix + "texts")}
    missing = [f"{collection} {name}" for collection, name, *_ in _ask(store, PENDING)]
    for collection, name, timestamp in _ask(store, _KNOWN):
        key = f"{collection}/{name}".encode()
        there = stamps.get(key, b"").decode()
        # A later one is another machine's, which has replaced or removed ours meanwhile.
        if not (there > timestamp or (there == timestamp and key in held)):
            missing.append(f"{collection} {name}")
    return missing


@salvaging
def _ask(store: Tracked, question: str) -> list[Any]:
    with store.lock(), Asking(store.database):
        found: list[Any] = store.database.open().execute(question).fetchall()
    return found
