"""Documents as they stand in a file by themselves, whatever store they come from."""

from __future__ import annotations

from ..recording import journal
from . import records
from .documents import Signed, data_of, signed, verdict_on
from .file_table import Paths, Table, listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .documents import Document


def whole(name: str, document: Document) -> Document:
    """A document with all its lists in it. Its trust stays as it is."""
    if isinstance(document, Signed) and document.data and not _has_rows(document):
        return document
    if verdict_on(name, document) == records.OURS:
        return signed(name, with_lists(document))
    plainly = with_lists(document)
    checked = plainly.pop("check", "")
    data = bytes(data_of(plainly))
    if checked:  # whole, and under no key: nobody's
        body = data[: data.rfind(b"\n}")]
        check = journal.check(str(plainly.get("name") or name), body, b"")
        data = body + f',\n  "check": "{check}"\n}}\n'.encode()
    return Signed(plainly, data, records.FOREIGN)


def _has_rows(document: Document) -> bool:
    """Whether a list of the document lies elsewhere in its store."""
    session = document.get("session") or {}
    lists = [session.get("files_processed"), session.get("files_read"), document.get("value")]
    lists += [kept["value"] for kept in document.get("keys", {}).values()]
    return any(isinstance(each, (Table, Paths)) and each.apart for each in lists)


def with_lists(document: Document) -> Document:
    """A copy whose keys hold plain lists."""
    copy = dict(document)
    if "value" in copy:
        copy["value"] = listed(copy["value"])
    if "keys" in copy:
        copy["keys"] = {
            key: {**kept, "value": listed(kept["value"])} for key, kept in copy["keys"].items()
        }
    return copy
