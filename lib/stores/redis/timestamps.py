"""Stamps: which of two saved states of a document is the later one, for all machines alike.

    <time> <number> <what>        what: a digest of the bytes, or "removed." and a proof

Clocks differ. Who saves what replaces a state that was seen makes a stamp behind that one's,
whatever the clock says: by the number, where the time is not later (a hybrid logical clock). So
stamps of a document only grow, and of two that nobody has seen both of the later clock's counts.
"""

from __future__ import annotations

from _blake2 import blake2b

from ...format import records
from ...recording import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .. import Document

TIME = len("2026-11-23T14:31:05.123Z")
REMOVED = "removed."


def saved(document: Document, data: bytes, before: str) -> str:
    """The stamp of a document with these bytes that replaces the state of a stamp, or none."""
    time = str(document.get("created") or document.get("timestamp") or "")
    # With what it says: of two that were saved at once all choose the same.
    return f"{_behind(before, time)} {blake2b(data, digest_size=8).hexdigest()}"


def removed(collection: str, name: str, at: str, before: str) -> str:
    """The stamp of a removal, which says who removed it to those who have the key."""
    head = _behind(before, at)
    return f"{head} {REMOVED}{_signature(collection, name, head)}"


def is_removal(stamp: str) -> bool:
    """Whether a stamp says that the document was removed."""
    return stamp.rpartition(" ")[2].startswith(REMOVED)


def is_our_removal(collection: str, name: str, stamp: str) -> bool:
    """Whether it was removed by who has the user's key."""
    head, _, what = stamp.rpartition(" ")
    return bool(records.users_key()) and what == f"{REMOVED}{_signature(collection, name, head)}"


def _behind(before: str, time: str) -> str:
    """Time and number of a stamp behind another."""
    time = f"{time[:TIME]:{TIME}}"
    if time > before[:TIME]:
        return f"{time} {0:06d}"
    number = before[TIME + 1 : TIME + 7]
    return f"{before[:TIME]} {int(number) + 1 if number.isdecimal() else 0:06d}"


def _signature(collection: str, name: str, head: str) -> str:
    return journal.signature(
        f"{collection}/{name}", f"{head} removed".encode(), records.users_key()
    )
