"""Moving a project's keys and checkpoints from one store to another: whole, verified, resumable.

The source is only read. What the target already has, as it is, is skipped, so a migration that was
interrupted continues where it was. What was saved later in the target stays. What is replaced or
removed there is first kept in a checkpoint of the target. Journals stay where they are: they belong
to no store.
"""

from __future__ import annotations

from ..checkpoints import time_stamp
from ..errors import Damaged, NewerVersion, StoreError
from ..format import records
from ..format.documents import verdict_on
from ..format.json_text import dumps
from ..format.whole import whole, with_lists
from ..recording import journal
from ..session.states import plain
from ..stores import CHECKPOINTS, KEYS
from ..stores.open import open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..state import State
    from ..stores import Document, Store


SECONDS = 600.0
"""How long the server may take to receive everything; `sync` sends what is left."""

KEPT = "before-migrate-"


def migrate(
    state: State,
    target: Store | str,
    progress: Callable[[int, int], None] = lambda done, total: None,
    source: Store | str = "",
) -> dict[str, Any]:
    """Copy all documents of a state's store to the target, and verify that they are there.

    target, source  a store, or the address of one

    Afterwards the target has the keys that the state's store has, and no others: but for what was
    saved later there, for what a server shares with others, and where something was left. From
    another `source` what is new is copied, and nothing is removed.

    Returns the numbers "copied" and "there" (already, as it is); the names "later" (saved later in
    the target), "replaced" and "removed" (keys of the target, as they were in the checkpoints
    "kept"); and "left", a message for each that is damaged, of a later version, or out of reach.
    `progress` receives the number of documents done, and of all. Raises StoreError.
    """
    exactly = not source
    source = _store(source, state) if source else state.store
    target = _store(target, state)
    found: dict[str, Any] = {"copied": 0, "there": 0, "later": [], "replaced": [], "removed": []}
    found.update(kept=[], left=[])
    is_same = target.home == source.home
    if is_same and target.server == source.server:
        raise StoreError(
            "the store to migrate to is the one that is in use; --from names another one to copy "
            "from"
        )
    try:
        source.exchange(SECONDS)
    except StoreError as error:
        found["left"].append(f"what only other machines have was not copied: {error}")
    if is_same:
        # One database serves both stores: only the server still lacks the documents.
        found["there"] = sum(len(target.names(collection)) for collection in (KEYS, CHECKPOINTS))
    else:
        _copy_all(source, target, exactly, found, progress)
    _send(target, found)
    state.sessions.notices += target.notices + ([] if exactly else source.notices)
    return found


def _store(which: Store | str, state: State) -> Store:
    return open_store(which, state.directory) if isinstance(which, str) else which


def _copy_all(
    source: Store,
    target: Store,
    exactly: bool,
    found: dict[str, Any],
    progress: Callable[[int, int], None],
) -> None:
    removable = _of_no_other_machine(target) if exactly else set()
    if target.server:
        # What others have there counts as being there; what only lay here must not get to them.
        with source.lock():
            _make_room(source, target, removable, found, replaces=False)
        target.exchange(SECONDS)
        removable = set()
    with source.lock():
        names = [(KEYS, name) for name in source.names(KEYS)]
        names += [(CHECKPOINTS, name) for name in _in_order(source)]
        _make_room(source, target, removable, found)
        for done, (collection, name) in enumerate(names):
            progress(done, len(names))
            try:
                document = source.read(collection, name)
                outcome = document and _copy(target, collection, name, document)
            except (Damaged, NewerVersion) as error:
                _leave(found, error)
                continue
            if outcome == "later":
                found["later"].append(f"{collection} {name}")
            elif outcome:
                found[outcome] += 1
        progress(len(names), len(names))


def _leave(found: dict[str, Any], error: StoreError) -> None:
    if str(error) not in found["left"]:
        found["left"].append(str(error))


def _of_no_other_machine(target: Store) -> set[str]:
    """The keys in a target that no other machine has. Raises StoreError without its server."""
    names = set(target.names(KEYS))
    target.reach()
    return names - target.shared_keys()


def _make_room(
    source: Store, target: Store, removable: set[str], found: dict[str, Any], replaces: bool = True
) -> None:
    """Remove the keys that the source lacks, after keeping those that will change."""
    wanted, there = (_documents(store, found) for store in (source, target))
    replaced = [
        name
        for name, document in wanted.items()
        if replaces
        and name in there
        and content(there[name]) != content(document)
        and not _is_later(there[name], document)
    ]
    # Where something was left, what seems to be missing may only be unreadable.
    gone = (removable & set(there)) - set(wanted)
    removed = [] if found["left"] else sorted(gone)
    found["replaced"] += replaced
    found["removed"] += removed
    if replaced or removed:
        found["kept"].append(_keep(target, there))
    for name in removed:
        target.delete(KEYS, name)


def _keep(target: Store, documents: dict[str, Document]) -> str:
    """Keep keys in a checkpoint, whose name is returned."""
    taken = set(target.names(CHECKPOINTS))
    name = base = KEPT + time_stamp()
    count = 1
    while name in taken:
        count += 1
        name = f"{base}-{count}"
    kept: Document = {"v": journal.VERSION, "name": name, "created": journal.now()}
    kept.update(trigger="migrate", keys=documents, session=None)
    target.write(CHECKPOINTS, name, target.sign(name, kept))
    return name


def _documents(store: Store, found: dict[str, Any]) -> dict[str, Document]:
    """All keys of a store; those that cannot be read are left."""
    documents = {}
    for name in store.names(KEYS):
        try:
            document = store.read(KEYS, name)
        except (Damaged, NewerVersion) as error:
            _leave(found, error)
            continue
        if document is not None:
            documents[name] = document
    return documents


def _send(target: Store, found: dict[str, Any]) -> None:
    """Send a server what it lacks, and ask it whether it has everything. Raises StoreError."""
    target.exchange(SECONDS)
    missing = target.unsent()
    if missing:  # something was saved meanwhile, here or on another machine
        target.exchange(SECONDS)
        missing = target.unsent()
    found["left"] += [f"{each} has not arrived at the server" for each in missing]


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


def _copy(target: Store, collection: str, name: str, document: Document) -> str:
    """Write a document unless the target has it, and read it back. Raises StoreError."""
    wanted = content(document)
    there = _read(target, collection, name)
    if content(there) == wanted:
        return "there"
    if there is not None and _is_later(there, document):
        return "later"
    if verdict_on(name, document) == records.OURS:
        target.write(collection, name, target.sign(name, with_lists(document)))
    else:
        # A foreign document stays foreign: `trust` adopts it, moving it does not.
        target.write(collection, name, whole(name, document))
    if content(_read(target, collection, name)) != wanted:
        raise StoreError(
            f"{collection} {name} did not come back from the new store as it was; "
            "the old store is intact"
        )
    return "copied"


def _is_later(there: Document, document: Document) -> bool:
    return _saved(there) > _saved(document)


def _saved(document: Document) -> str:
    return str(document.get("created") or document.get("timestamp") or "")


def _read(store: Store, collection: str, name: str) -> Document | None:
    try:
        return store.read(collection, name)
    except Damaged:
        return None  # it has been quarantined, and is written anew


def content(document: Document | None) -> str:
    """The text of a document less its signatures: equal wherever and however it is stored."""
    if document is None:
        return ""
    copy = with_lists(document)
    if copy.get("session"):
        copy["session"] = plain(copy["session"])
    copy.pop("check", None)
    for kept in copy.get("keys", {}).values():
        kept.pop("check", None)
    # A store may have put the session's tables elsewhere, so the order of members does not count.
    session = copy.pop("session", None) or {}
    return dumps([sorted(copy), [copy[key] for key in sorted(copy)], sorted(session)]) + dumps(
        [session[key] for key in sorted(session)]
    )
