"""Timestamps: the order in which machines saved the states of a document.

    <time> <number> <what>        what: a digest of the bytes, or "removed." and a signature

Clocks differ, so these are hybrid logical timestamps. A machine that replaces a state which it has
seen makes a later timestamp, whatever its clock says: where the time is not later, the number is.
So the timestamps of a document only grow. Of two states whose writers have not seen each other's,
the one of the later clock counts.
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
    """The timestamp of a document with these bytes that replaces the state of another, or none."""
    # Machines that saved at the same time all choose the same state: the digest decides.
    digest = blake2b(data, digest_size=8).hexdigest()
    if before.endswith(f" {digest}"):
        return before  # that state is this one, sent once more
    time = str(document.get("created") or document.get("timestamp") or "")
    return f"{_after(before, time)} {digest}"


def removed(collection: str, name: str, at: str, before: str) -> str:
    """The timestamp of a removal. Its signature proves the removal to who has the same key."""
    head = _after(before, at)
    return f"{head} {REMOVED}{_signature(collection, name, head)}"


def is_removal(timestamp: str) -> bool:
    """Whether a timestamp is of a removal."""
    return timestamp.rpartition(" ")[2].startswith(REMOVED)


def is_our_removal(collection: str, name: str, timestamp: str) -> bool:
    """Whether the removal is signed with the user's key."""
    head, _, what = timestamp.rpartition(" ")
    return bool(records.users_key()) and what == f"{REMOVED}{_signature(collection, name, head)}"


def _after(before: str, time: str) -> str:
    """The time and the number of a timestamp that is later than another."""
    time = f"{time[:TIME]:{TIME}}"
    if time > before[:TIME]:
        return f"{time} {0:06d}"
    number = before[TIME + 1 : TIME + 7]
    return f"{before[:TIME]} {int(number) + 1 if number.isdecimal() else 0:06d}"


def _signature(collection: str, name: str, head: str) -> str:
    return journal.signature(
        f"{collection}/{name}", f"{head} removed".encode(), records.users_key()
    )
