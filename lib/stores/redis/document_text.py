"""The text of a document in a server: whole, without secrets, compressed."""

from __future__ import annotations

import zlib

from ...format import records
from ...format.documents import data_of, signed, verdict_on
from ...format.whole import whole, with_lists
from .. import KEYS
from ..document_checks import SIZE_LIMIT
from .redact import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .. import Document


def outgoing(collection: str, name: str, document: Document) -> bytes:
    """A document's bytes for others: whole, and without the secrets that people saved in it."""
    given = with_lists(document)
    masked = _masked(collection, name, given)
    if masked == given:
        return bytes(data_of(whole(name, document)))
    if verdict_on(name, document) == records.OURS:
        return bytes(signed(name, masked).data)
    masked.pop("check", None)  # it is of the value before, and not ours to make anew
    return bytes(data_of(masked))


def _masked(collection: str, name: str, document: Document) -> Document:
    """A document without the secrets that people saved in its values.

    What a session recorded was masked before it reached the disk.
    """
    if collection == KEYS:
        return {**document, "value": redact(document["value"], name)}
    keys = {
        key: {**kept, "value": redact(kept["value"], key)} for key, kept in document["keys"].items()
    }
    for key, kept in keys.items():
        if kept != document["keys"][key]:
            kept.pop("check", None)  # it is of the value before
    return {**document, "keys": keys}


def packed(data: bytes) -> bytes:
    """The compressed text of a document's bytes."""
    return zlib.compress(data)


def unpacked(text: bytes) -> bytes:
    """The bytes that were compressed to a text, which may come from anybody.

    Raises ValueError for what is not a whole compressed text, or of more than a document's bytes.
    """
    reader = zlib.decompressobj()
    try:
        data = reader.decompress(text, SIZE_LIMIT + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(data) > SIZE_LIMIT or not reader.eof or reader.unused_data:
        raise ValueError("it is too long, or not whole")
    return data
