"""Documents sealed: whose a key, a checkpoint or an intent is, and whether it is whole."""

from __future__ import annotations

import json

from . import journal, replay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stores import Document


def _body(document: Document) -> bytes:
    whole = {name: value for name, value in document.items() if name != "check"}
    return json.dumps(whole, separators=(",", ":")).encode()


def sealed(name: str, document: Document) -> Document:
    """The document with a check value that tells whose it is and whether it is whole.

    It names itself, a checkpoint by its "name" and a key by its own: so a copy of a checkpoint's
    file stays what it is.
    """
    check = journal.check(document.get("name", name), _body(document), journal.read_key())
    return {**document, "check": check}


def verdict_on(name: str, document: Document) -> str:
    """Whether a document is OURS, FOREIGN, or DAMAGED by a hand or a disk."""
    given = document.get("check")
    if not isinstance(given, str):
        return replay.OURS if replay.trusts_all() else replay.FOREIGN
    scope = str(document.get("name", name))
    return replay.verdict(scope, _body(document), given, journal.read_key())


def is_refused(name: str, document: Document) -> bool:
    """Whether a document must not be acted upon: somebody else may have put it there.

    Without a key nothing can be told apart, and nothing is ours to be told to Claude either.
    """
    return bool(journal.read_key()) and verdict_on(name, document) != replay.OURS
