"""Documents as text: laid out for people, sealed, and opened again.

The check value covers the text before it as it lies on the disk, so a checkpoint of a hundred
thousand files is proved whole without being written out again.
"""

from __future__ import annotations

from . import journal, replay
from .jsontext import dumps, loads
from .table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Document = dict[str, Any]
    Base = dict[str, Any]
else:
    Base = dict

_CHECK = ',\n  "check": "'
_SESSION = '\n  "session": {'
_INDENT = "    "
_NAMED = 400
"""Bytes of a document among which its name is."""

TABLES = ("files_processed", "files_read")
"""What a session keeps as tables: the members that grow with the work."""


class Sealed(Base):
    """A document as a store holds it: the `data` of its file, and what it is `worth`."""

    __slots__ = ("data", "worth")

    def __init__(self, document: Document, data: bytes, worth: str) -> None:
        super().__init__(document)
        self.data = data
        self.worth = worth


def layout(value: object) -> str:
    """`value` as JSON for people and line-wise tools.

    Members to a depth have lines of their own, but for small objects below the top.
    """
    return "".join(_pieces(value))


def _pieces(value: object, depth: int = 3, indent: str = "") -> list[str]:
    """The text in pieces: joined at each depth, a long one would be copied time and again."""
    if isinstance(value, Table):
        return value.pieces(indent)
    if not isinstance(value, dict) or not value or depth == 0:
        return [dumps(value)]
    if depth < 3 and not any(isinstance(item, (dict, list, Table)) for item in value.values()):
        line = dumps(value)
        if len(line) + len(indent) <= 88:
            return [line]
    inner = indent + "  "
    pieces: list[str] = []
    for name, item in value.items():
        pieces.append(f"{',' if pieces else '{'}\n{inner}{dumps(name)}: ")
        pieces += _pieces(item, depth - 1, inner)
    return [*pieces, f"\n{indent}}}"]


def data_of(document: Document) -> bytes:
    """What a document's file holds."""
    if isinstance(document, Sealed):
        return document.data
    return layout(document).encode() + b"\n"


def sealed(name: str, document: Document) -> Sealed:
    """The document with a check value that tells whose it is and whether it is whole.

    It names itself, a checkpoint by its "name" and a key by its own: so a copy of a checkpoint's
    file stays what it is.
    """
    whole = {member: value for member, value in document.items() if member != "check"}
    body = "".join(_pieces(whole)[:-1]).encode()
    check = journal.check(_own_name(body) or name, body, replay.users_key())
    data = b"".join([body, f'{_CHECK}{check}"\n}}\n'.encode()])
    return Sealed({**whole, "check": check}, data, replay.OURS)


def opened(name: str, data: bytes) -> Sealed:
    """The document of a file, and what it is worth. Raises ValueError and RecursionError."""
    text = data.decode()
    end = max(data.rfind(_CHECK.encode()), 0)
    body, rest = memoryview(data)[:end], data[end + len(_CHECK) :].decode()
    given = rest[:-4] if rest[-4:] == '"\n}\n' else ""
    key = replay.users_key()
    scope = _own_name(body) or name
    if key and given and given[9:] == journal.proof(scope, body, key):
        return Sealed(_quickly(text), data, replay.OURS)
    document = loads(text)
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    if isinstance(document.get("check"), str):
        worth = replay.verdict(scope, body, given, key)
    else:
        worth = replay.OURS if replay.trusts_all() else replay.FOREIGN
    return Sealed(document, data, worth)


def _own_name(body: bytes | memoryview) -> str:
    """The "name" of a checkpoint, which stands in its second line or third; "" for a key."""
    for line in bytes(body[:_NAMED]).decode("utf-8", "replace").split("\n")[1:4]:
        if line.startswith('  "name": "') and line.endswith('",'):
            return line[11:-2]
    return ""


def _quickly(text: str) -> Document:
    """The document of a text that `layout` made: the tables of its session stay text."""
    tables = {}
    session = text.find(_SESSION)
    for name in TABLES if session > 0 else ():
        head = f'\n{_INDENT}"{name}": '
        start = text.find(head, session) + len(head)
        end = text.find(f"\n{_INDENT}}}", start) + len(_INDENT) + 2
        if start > len(head) and text.startswith("{\n", start):
            tables[name] = Table.of_text(text[start:end], _INDENT)
            text = f"{text[:start]}{{}}{text[end:]}"
    document: Document = loads(text)
    if tables:
        document["session"].update(tables)
    return document


def verdict_on(name: str, document: Document) -> str:
    """Whether a document is OURS, FOREIGN, or DAMAGED by a hand or a disk."""
    if isinstance(document, Sealed):
        return document.worth
    return opened(name, data_of(document)).worth


def is_refused(name: str, document: Document) -> bool:
    """Whether a document must not be acted upon: somebody else may have put it there.

    Without a key nothing can be told apart, and nothing is ours to be told to Claude either.
    """
    return bool(replay.users_key()) and verdict_on(name, document) != replay.OURS
