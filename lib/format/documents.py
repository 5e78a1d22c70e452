"""Documents as text: laid out for people, signed, and opened again.

The check value covers the text before it as it lies on the disk, so a checkpoint of a hundred
thousand files is proved whole without being written out again.
"""

from __future__ import annotations

from ..recording import journal
from . import records
from .file_table import Table
from .json_text import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Document = dict[str, Any]
    Base = dict[str, Any]
else:
    Base = dict

_CHECK = b',\n  "check": "'
_SESSION = b'\n  "session": {'
_CLOSE = b"\n    }"
_NAMED = 400
"""Bytes of a document among which its name is."""

TABLES = ("files_processed", "files_read")
"""What a session keeps as tables: the members that grow with the work."""


class Signed(Base):
    """A document as a store holds it: the `data` of its file, and what it is `worth`."""

    __slots__ = ("data", "trust")

    def __init__(self, document: Document, data: bytes | bytearray, trust: str) -> None:
        super().__init__(document)
        self.data = data
        self.trust = trust


def layout(value: object) -> str:
    """`value` as JSON for people and line-wise tools.

    Members to a depth have lines of their own, but for small objects below the top.
    """
    return b"".join(_pieces(value)).decode()


def _pieces(value: object, depth: int = 3, indent: str = "") -> list[bytes | memoryview]:
    """The text in pieces: joined at each depth, a long one would be copied time and again."""
    if isinstance(value, Table):
        return value.pieces()
    if not isinstance(value, dict) or not value or depth == 0:
        return [dumps(value).encode()]
    if depth < 3 and not any(isinstance(item, (dict, list, Table)) for item in value.values()):
        line = dumps(value)
        if len(line) + len(indent) <= 88:
            return [line.encode()]
    inner = indent + "  "
    pieces: list[bytes | memoryview] = []
    for name, item in value.items():
        pieces.append(f"{',' if pieces else '{'}\n{inner}{dumps(name)}: ".encode())
        pieces += _pieces(item, depth - 1, inner)
    return [*pieces, f"\n{indent}}}".encode()]


def data_of(document: Document) -> bytes | bytearray:
    """What a document's file holds."""
    if isinstance(document, Signed):
        return document.data
    return layout(document).encode() + b"\n"


def signed(name: str, document: Document) -> Signed:
    """The document with a check value that tells whose it is and whether it is whole.

    It names itself, a checkpoint by its "name" and a key by its own: so a copy of a checkpoint's
    file stays what it is.
    """
    whole = {member: value for member, value in document.items() if member != "check"}
    data = bytearray().join(_pieces(whole)[:-1])  # grows in place: it may have many megabytes
    check = journal.check(_own_name(data) or name, data, records.users_key(make=True))
    data += b'%b%b"\n}\n' % (_CHECK, check.encode())
    return Signed({**whole, "check": check}, data, records.OURS)


def opened(name: str, data: bytes, directory: str = "") -> Signed:
    """The document of a file in a state directory, and its trust.

    Raises ValueError, RecursionError and StoreError.
    """
    end = max(data.rfind(_CHECK), 0)
    body, rest = memoryview(data)[:end], data[end + len(_CHECK) :]
    given = rest[:-4].decode("ascii", "replace") if rest[-4:] == b'"\n}\n' else ""
    key = records.readers_key(directory)
    scope = _own_name(body) or name
    if key and given and given[9:] == journal.signature(scope, body, key):
        try:
            return Signed(_quickly(data), data, records.OURS)
        except ValueError:
            pass  # laid out by another version
    document = loads(data.decode())
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    if isinstance(document.get("check"), str):
        trust = records.verdict(scope, body, given, key)
    else:
        ours = key is None or records.trusts_all()
        trust = records.OURS if ours else records.FOREIGN
    return Signed(document, data, trust)


def _own_name(body: bytes | bytearray | memoryview) -> str:
    """The "name" of a checkpoint, which stands in its second line or third; "" for a key."""
    for line in bytes(body[:_NAMED]).decode("utf-8", "replace").split("\n")[1:4]:
        if line.startswith('  "name": "') and line.endswith('",'):
            return line[11:-2]
    return ""


def _quickly(data: bytes) -> Document:
    """The document of a text that `layout` made: the tables of its session stay text."""
    tables = {}
    rest = []
    session = data.find(_SESSION)
    done = bound = len(data)  # from the end, where no table has to be searched through
    for name in reversed(TABLES) if session > 0 else ():
        head = b'\n    "%b": ' % name.encode()
        place = data.rfind(head, session, bound)
        start = place + len(head)
        if place > 0 and data.startswith(b"{\n", start):
            end = _end_of_table(data, start, bound)
            tables[name] = Table.of_text(data, start, end)
            rest.append(b"{}" + data[end:done])
            done = start
        bound = place if place > 0 else bound
    rest.append(data[:done])
    document: Document = loads(b"".join(reversed(rest)).decode())
    if tables:
        document["session"].update(tables)
    return document


def _end_of_table(data: bytes, start: int, bound: int) -> int:
    """Where the table that begins at `start` ends, which is right before `bound` for one of two."""
    close = data.rfind(_CLOSE, start, bound)
    if data[close + len(_CLOSE) : bound] != b",":
        close = data.find(_CLOSE, start, bound)
    return close + len(_CLOSE)


def verdict_on(name: str, document: Document) -> str:
    """Whether a document is OURS, FOREIGN, or DAMAGED by a hand or a disk."""
    if isinstance(document, Signed):
        return document.trust
    return opened(name, bytes(data_of(document))).trust


def is_refused(name: str, document: Document) -> bool:
    """Whether a document must not be acted upon: somebody else may have put it there.

    Where no key can be had nothing can be told apart, and nothing is told to Claude either.
    """
    return records.has_key() and verdict_on(name, document) != records.OURS
