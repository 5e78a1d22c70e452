"""What every store asks of a document's bytes: do they parse, whose version, the right shape?"""

from __future__ import annotations

from ..errors import NewerVersion, StoreError
from ..format.documents import is_refused, opened
from ..recording import journal
from . import KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import Document

INTENT = ".restore.json"
"""What stands for a collection where the document says what all keys are about to be."""

SIZE_LIMIT = 64 << 20
"""Bytes of one document; a larger one is not what a store of ours writes."""

DEEPEST = 50_000
"""Brackets in a document that no JSON reader of Python's takes, from however shallow a caller."""


def examine(
    data: bytes, collection: str, name: str, where: str, directory: str = ""
) -> tuple[Document | None, str]:
    """The document in a file's bytes, and what proves that no store wrote them; "" for nothing.

    Raises NewerVersion, and StoreError for what can be read from a shallower caller only.
    """
    try:
        document = opened(name, data, directory)
    except ValueError as error:
        return None, f"is not a JSON object ({error})"
    except RecursionError:
        if data.count(b"[") + data.count(b"{") > DEEPEST:
            return None, "nests too deeply"
        raise StoreError(f"{where} nests too deeply to be read from here") from None
    refuse_newer(document.get("v", journal.VERSION), where)
    return document, wrong_shape(collection, document)


def refuse_newer(version: object, where: str) -> None:
    """Raise NewerVersion for a format version that is not ours."""
    if version != journal.VERSION:
        raise NewerVersion(
            f"{where} has format version {version!r:.40}, this is version {journal.VERSION}; "
            "it is left as it is: use the workflow-state that wrote it"
        )


def refuse_large(data: bytes | bytearray, where: str, remedy: str = "") -> None:
    """Raise StoreError for a document that would be taken for damaged when it is read."""
    if len(data) > SIZE_LIMIT:
        raise StoreError(
            f"{where} would have {len(data) >> 20} MB; a document holds at most "
            f"{SIZE_LIMIT >> 20}; nothing was changed{remedy}"
        )


def wrong_shape(collection: str, document: Document) -> str:
    """What a document lacks of what its readers rely on; "" for nothing."""
    if collection == KEYS:
        return "" if "value" in document else "has no value"
    kept = document.get("keys")
    if not isinstance(kept, dict) or not all(
        isinstance(each, dict) and "value" in each for each in kept.values()
    ):
        return "has no keys of the right shape"
    if collection == INTENT:
        # Who can plant an intent could write keys and records in the user's name.
        return "was not written by this user" if is_refused(INTENT, document) else ""
    if not isinstance(document.get("created"), str):
        return "does not say when it was made"
    session = document.get("session")
    return "" if session is None or isinstance(session, dict) else "has a session of a wrong shape"
