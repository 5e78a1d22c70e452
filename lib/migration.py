"""Moving a project's keys and checkpoints from one store to another: whole, proved, and resumable.

The source is only read. What the target has already, as it is, is passed over, so a migration that
was ended goes on where it was; what differs in the target is replaced. Journals stay where they
are: they belong to no store.
"""

from __future__ import annotations

from . import journal, replay
from .jsontext import dumps
from .sealing import Sealed, data_of, sealed, verdict_on
from .session import plain
from .stores import CHECKPOINTS, KEYS, Damaged, NewerVersion, StoreError
from .stores.opening import open_store
from .table import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .state import State
    from .stores import Document, Store


SECONDS = 600.0
"""What a server may take to be given all of it; `sync` sends what is left."""


def migrate(
    state: State, url: str, tell: Callable[[int, int], None] = lambda done, all_: None
) -> dict[str, Any]:
    """Copy all of a state's store to the store at `url`, and prove that it is there.

    Gives "copied", "there" (already, as it is) and "left" (damaged, of a later version, or out of
    reach: told of in words). `tell` is called with how many documents are done and how many there
    are. Raises StoreError.
    """
    target = open_store(url, state.directory)
    counts: dict[str, Any] = {"copied": 0, "there": 0, "left": []}
    if _place(target) == _place(state.store) and _server(target) == _server(state.store):
        raise StoreError("the store to migrate to is the one that is in use")
    try:
        state.store.exchange(SECONDS)
    except StoreError as error:
        counts["left"].append(f"what only other machines have was not copied: {error}")
    if _place(target) == _place(state.store):
        # One database serves both: what a server is to have is all there is to do.
        counts["there"] = sum(len(target.names(shelf)) for shelf in (KEYS, CHECKPOINTS))
        target.exchange(SECONDS)
        return counts
    with state.store.lock():
        names = [(KEYS, name) for name in state.store.names(KEYS)]
        names += [(CHECKPOINTS, name) for name in _in_order(state.store)]
        for done, (shelf, name) in enumerate(names):
            tell(done, len(names))
            try:
                document = state.store.read(shelf, name)
            except (Damaged, NewerVersion) as error:
                counts["left"].append(str(error))
                continue
            if document is not None:
                counts[_copy(target, shelf, name, document)] += 1
        tell(len(names), len(names))
    target.exchange(SECONDS)
    return counts


def _in_order(store: Store) -> list[str]:
    """Checkpoints by the time they were made: each differs little from the one before."""
    made = []
    for name in store.names(CHECKPOINTS):
        try:
            document = store.read(CHECKPOINTS, name)
        except (Damaged, NewerVersion):
            document = None
        made.append((str(document["created"]) if document else "", name))
    return [name for _, name in sorted(made)]


def _copy(target: Store, shelf: str, name: str, document: Document) -> str:
    """Write a document where it is not there yet, and read it back. Raises StoreError."""
    content = _content(document)
    if _content(_kept(target, shelf, name)) == content:
        return "there"
    if verdict_on(name, document) == replay.OURS:
        target.write(shelf, name, target.seal(name, _listed(document)))
    else:
        # A stranger's stays a stranger's: `trust` adopts it, moving it does not.
        target.write(shelf, name, whole(name, document))
    if _content(_kept(target, shelf, name)) != content:
        raise StoreError(
            f"{shelf} {name} did not come back from the new store as it was; the old one is intact"
        )
    return "copied"


def _kept(store: Store, shelf: str, name: str) -> Document | None:
    try:
        return store.read(shelf, name)
    except Damaged:
        return None  # it has been set aside, and is written anew


def whole(name: str, document: Document) -> Document:
    """A document as it stands in a file by itself, whatever store it comes from.

    What is ours stays ours, and a stranger's a stranger's.
    """
    if isinstance(document, Sealed) and document.data and not _has_rows(document):
        return document
    if verdict_on(name, document) == replay.OURS:
        return sealed(name, _listed(document))
    plainly = _listed(document)
    checked = plainly.pop("check", "")
    data = bytes(data_of(plainly))
    if checked:  # whole, and under no key: so nobody's
        body = data[: data.rfind(b"\n}")]
        check = journal.check(str(plainly.get("name") or name), body, b"")
        data = body + f',\n  "check": "{check}"\n}}\n'.encode()
    return Sealed(plainly, data, replay.FOREIGN)


def _has_rows(document: Document) -> bool:
    session = document.get("session") or {}
    tables = [session.get("files_processed"), session.get("files_read"), document.get("value")]
    tables += [kept["value"] for kept in document.get("keys", {}).values()]
    return any(hasattr(each, "ref") or hasattr(each, "mark") for each in tables)


def _plain(document: Document) -> Document:
    copy = _listed(document)
    if copy.get("session"):
        copy["session"] = plain(copy["session"])
    return copy


def _listed(document: Document) -> Document:
    copy = dict(document)
    if "value" in copy:
        copy["value"] = listed(copy["value"])
    if "keys" in copy:
        copy["keys"] = {
            key: {**kept, "value": listed(kept["value"])} for key, kept in copy["keys"].items()
        }
    return copy


def _content(document: Document | None) -> str:
    """What a document says, whoever sealed it and however its store keeps it."""
    if document is None:
        return ""
    copy = _plain(document)
    copy.pop("check", None)
    for kept in copy.get("keys", {}).values():
        kept.pop("check", None)
    # Its members in any order: a store may have put its tables elsewhere. Their own order counts.
    session = copy.pop("session", None) or {}
    return dumps([sorted(copy), [copy[key] for key in sorted(copy)], sorted(session)]) + dumps(
        [session[key] for key in sorted(session)]
    )


def _server(store: Store) -> str:
    return str(getattr(store, "url", ""))


def _place(store: Store) -> str:
    database = getattr(store, "database", None)
    return str(database.path) if database else str(getattr(store, "directory", ""))
