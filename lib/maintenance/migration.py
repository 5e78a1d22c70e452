"""Moving a project's keys and checkpoints from one store to another: whole, proved, and resumable.

The source is only read. What the target has already, as it is, is passed over, so a migration that
was ended goes on where it was. What was saved later in the target stays; what is replaced or
removed there is first kept in a checkpoint of it. Journals stay where they are: they belong to no
store.
"""

from __future__ import annotations

from ..errors import Damaged, NewerVersion, StoreError
from ..format import records
from ..format.documents import Signed, data_of, signed, verdict_on
from ..format.file_table import listed
from ..format.json_text import dumps
from ..recording import journal
from ..session.fold import plain
from ..state import time_stamp
from ..stores import CHECKPOINTS, KEYS
from ..stores.open import open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..state import State
    from ..stores import Document, Store


SECONDS = 600.0
"""What a server may take to be given all of it; `sync` sends what is left."""

KEPT = "before-migrate-"


def migrate(
    state: State,
    url: str,
    tell: Callable[[int, int], None] = lambda done, all_: None,
    source_url: str = "",
) -> dict[str, Any]:
    """Copy all of a state's store to the store at `url`, and prove that it is there.

    Afterwards the target has the keys that the source has, and no others: but for what was saved
    later there, for what a server shares with others, and where something was left. From the store
    at a `source_url` what is new is copied, and nothing is removed.

    Gives the numbers "copied" and "there" (already, as it is); the names "later" (saved later
    there), "replaced" and "removed" (keys there, as they were in the checkpoints "kept"); and
    "left" (damaged, of a later version, or out of reach: told of in words). `tell` is called with
    how many documents are done and how many there are. Raises StoreError.
    """
    source = open_store(source_url, state.directory) if source_url else state.store
    target = open_store(url, state.directory)
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
        # One database serves both: what a server is to have is all there is to do.
        found["there"] = sum(len(target.names(collection)) for collection in (KEYS, CHECKPOINTS))
    else:
        _copy_all(source, target, not source_url, found, tell)
    _send(target, found)
    state.sessions.notices += target.notices + (source.notices if source_url else [])
    return found


def _copy_all(
    source: Store,
    target: Store,
    exactly: bool,
    found: dict[str, Any],
    tell: Callable[[int, int], None],
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
            tell(done, len(names))
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
        tell(len(names), len(names))


def _leave(found: dict[str, Any], error: StoreError) -> None:
    if str(error) not in found["left"]:
        found["left"].append(str(error))


def _of_no_other_machine(target: Any) -> set[str]:
    """The keys in a target that no server has; one that does not answer raises StoreError."""
    names = set(target.names(KEYS))
    if target.server:
        from ..stores.redis import verify

        verify.reach(target)
        names -= verify.shared_keys(target)
    return names


def _make_room(
    source: Store, target: Store, removable: set[str], found: dict[str, Any], replaces: bool = True
) -> None:
    """Remove the keys that the source has not; first keep those that will not be as they were."""
    wanted, there = (_documents(store, found) for store in (source, target))
    replaced = [
        name
        for name, document in wanted.items()
        if replaces
        and name in there
        and _content(there[name]) != _content(document)
        and not _is_later(there[name], document)
    ]
    # Where something was left, what seems to be missing may be what could not be read.
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


def _send(target: Any, found: dict[str, Any]) -> None:
    """Give a server what it lacks, and ask it whether it has everything. Raises StoreError."""
    target.exchange(SECONDS)
    if not target.server:
        return
    from ..stores.redis import verify

    missing = verify.not_there(target)
    if missing:  # something was saved meanwhile, here or on another machine
        target.exchange(SECONDS)
        missing = verify.not_there(target)
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
    """Write a document where it is not there yet, and read it back. Raises StoreError."""
    content = _content(document)
    there = _kept(target, collection, name)
    if _content(there) == content:
        return "there"
    if there is not None and _is_later(there, document):
        return "later"
    if verdict_on(name, document) == records.OURS:
        target.write(collection, name, target.sign(name, _listed(document)))
    else:
        # A stranger's stays a stranger's: `trust` adopts it, moving it does not.
        target.write(collection, name, whole(name, document))
    if _content(_kept(target, collection, name)) != content:
        raise StoreError(
            f"{collection} {name} did not come back from the new store as it was; "
            "the old one is intact"
        )
    return "copied"


def _is_later(there: Document, document: Document) -> bool:
    return _saved(there) > _saved(document)


def _saved(document: Document) -> str:
    return str(document.get("created") or document.get("timestamp") or "")


def _kept(store: Store, collection: str, name: str) -> Document | None:
    try:
        return store.read(collection, name)
    except Damaged:
        return None  # it has been quarantined, and is written anew


def whole(name: str, document: Document) -> Document:
    """A document as it stands in a file by itself, whatever store it comes from.

    What is ours stays ours, and a stranger's a stranger's.
    """
    if isinstance(document, Signed) and document.data and not _has_rows(document):
        return document
    if verdict_on(name, document) == records.OURS:
        return signed(name, _listed(document))
    plainly = _listed(document)
    checked = plainly.pop("check", "")
    data = bytes(data_of(plainly))
    if checked:  # whole, and under no key: so nobody's
        body = data[: data.rfind(b"\n}")]
        check = journal.check(str(plainly.get("name") or name), body, b"")
        data = body + f',\n  "check": "{check}"\n}}\n'.encode()
    return Signed(plainly, data, records.FOREIGN)


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
    """What a document says, whoever signed it and however its store keeps it."""
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
