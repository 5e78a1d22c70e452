"""A session's table whose rows stay in the database until they are read.

A checkpoint of a million files holds a `Ref` in their place: a list, a mark, the number of rows,
and sums that prove that no row is missing. A turn reads and changes a few rows, and touches no
others.
"""

from __future__ import annotations

from _json import encode_basestring_ascii

from ...format import records
from ...format.documents import Signed
from ...format.file_table import Paths, Table
from ...format.json_text import dumps, loads
from ...recording import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    from ...format.types import FileRow as Row
    from ...format.types import Files
    from .. import Document

    Kept = tuple[int, str, str]
    """Where a row stands among the others, its JSON, and its check value."""

    class Source(Protocol):
        """Where the rows are."""

        path: str

        def readers_key(self) -> bytes | None: ...

        def find_row(self, ref: Ref, name: str) -> Kept | None: ...

        def all_rows(self, ref: Ref) -> Iterator[list[tuple[str, Kept]]]: ...

        def lose(self, collection: str, name: str, wrong: str) -> Exception: ...


SUMS = (1 << 64) - 1
MOST = (1 << 62) - 1
"""The largest mark, count or place; a sum with it still fits the engine's integers."""


def name_of(path: str) -> str:
    """A path as it is stored: JSON without the quotes."""
    return encode_basestring_ascii(path)[1:-1]


def path_of(name: str) -> str:
    """The path that is stored under a name."""
    path: str = loads(f'"{name}"') if "\\" in name else name
    return path


def check_of(name: str, place: int, row: str, key: bytes) -> str:
    """The check value of a row, which covers its name, its place and its writer."""
    return journal.check(name, f"{place}\n{row}".encode(), key)


def weight(check: str) -> int:
    """What a row adds to the sum of its table's rows."""
    return int(check[9:], 16)


def path_weight(name: str, place: int) -> int:
    """What a path adds to the sum of its table's paths."""
    return int(journal.signature(name, str(place).encode(), b""), 16)


def _trust(name: str, kept: Kept, key: bytes | None) -> str:
    """The trust in a row: a planted database may have anything in its place."""
    place, row, check = kept
    if not (type(name) is type(row) is type(check) is str and type(place) is int):
        return records.DAMAGED
    trust = records.verdict(name, f"{place}\n{row}".encode(), check, key)
    if trust != records.OURS:
        try:
            if (
                isinstance(path_of(name), str)
                and isinstance(loads(row), dict)
                and weight(check) >= 0
            ):
                return trust
        except (ValueError, RecursionError):
            pass
        return records.DAMAGED
    return trust


_REF = ("list", "mark", "count", "next", "rows", "paths")


class Ref:
    """Which rows a table has: those of `list` that count as of `mark`.

    count  how many they are
    next   the place of the next new one
    rows   the sum of their weights, which only all of them together have
    paths  the same of their names and order: two tables of equal sums list the same files
    """

    __slots__ = _REF
    list: int
    mark: int
    count: int
    next: int
    rows: int
    paths: int

    def __init__(self, *values: int) -> None:
        for name, value in zip(_REF, (*values, *[0] * len(_REF))):
            setattr(self, name, value)

    def document(self) -> Document:
        """The reference as a document holds it."""
        return {name: getattr(self, name) for name in _REF}

    @classmethod
    def of(cls, given: Any) -> Ref:
        """The reference that a document holds. Raises ValueError for anything else."""
        if not isinstance(given, dict):
            raise ValueError("a number is missing")
        for name in _REF:
            most = SUMS if name in ("rows", "paths") else MOST
            if type(given.get(name)) is not int or not 0 <= given[name] <= most:
                raise ValueError(f"{name} is missing or out of range")
        return cls(*[given[name] for name in _REF])


class Rows(Table):
    """Path -> a dict about it, in order of first mention, over the rows of a store.

    `_new` has what was set since; `_gone` the names whose stored row does not count any more.
    """

    __slots__ = (
        "_count",
        "_found",
        "_gone",
        "_key",
        "_new",
        "_paths",
        "origin",
        "ref",
        "source",
        "trust",
    )

    apart = True

    def __init__(self, source: Source, ref: Ref, origin: tuple[str, str], trust: str) -> None:
        super().__init__()
        self.source, self.ref, self.origin = source, ref, origin
        self.trust = trust
        self._key: tuple[bytes | None, ...] = ()
        self._new: dict[str, Row] = {}
        self._gone: set[str] = set()
        self._found: dict[str, Kept | None] = {}
        self._count, self._paths = ref.count, ref.paths

    def copy(self) -> Rows:
        """A table of its own, of the same rows."""
        copy = Rows(self.source, self.ref, self.origin, self.trust)
        copy._new, copy._gone, copy._found = dict(self._new), set(self._gone), self._found
        copy._count, copy._paths, copy._key = self._count, self._paths, self._key
        return copy

    # --- what is stored ---

    def stored(self, name: str) -> Kept | None:
        """The row that the store has under a name, as of the mark. Raises Damaged."""
        if name not in self._found:
            self._remember(name, self.source.find_row(self.ref, name))
        return self._found[name]

    def _remember(self, name: str, kept: Kept | None) -> None:
        if kept is not None:
            if not self._key:
                self._key = (self.source.readers_key(),)
            trust = _trust(name, kept, *self._key)
            if trust not in (records.OURS, self.trust):
                raise self.source.lose(*self.origin, f"has a row that is {trust}")
        self._found[name] = kept

    def _counts(self, name: str) -> Kept | None:
        return None if name in self._gone else self.stored(name)

    def _stored(self) -> Iterator[tuple[str, Kept]]:
        """All stored rows in their order; none may be missing. Raises Damaged."""
        count = rows = 0
        for found in self.source.all_rows(self.ref):
            self._found = {}  # one portion at a time: a million rows would fill the memory
            for name, kept in found:
                self._remember(name, kept)
                count += 1
                rows += weight(kept[2])
            yield from found
        if (count, rows & SUMS) != (self.ref.count, self.ref.rows):
            raise self.source.lose(*self.origin, "lacks rows, or has rows of another time")

    # --- the mapping ---

    def __getitem__(self, path: str) -> Row:
        name = name_of(path)
        if name in self._new:
            return self._new[name]
        kept = self._counts(name)
        if kept is None:
            raise KeyError(path)
        about: Row = loads(kept[1])
        return about

    def __setitem__(self, path: str, about: Row) -> None:
        name = name_of(path)
        if name not in self._new and self._counts(name) is None:
            self._paths += 1 + path_weight(name, len(self._new))  # another list of paths
            self._count += 1
        self._new[name] = about

    def __delitem__(self, path: str) -> None:
        name = name_of(path)
        kept = self._counts(name)
        if kept is None and name not in self._new:
            raise KeyError(path)
        self._new.pop(name, None)
        if self.stored(name) is not None:
            self._gone.add(name)
        self._paths += 1 + path_weight(name, len(self._new))
        self._count -= 1

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        name = name_of(path)
        return name in self._new or self._counts(name) is not None

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return self._count > 0

    def __iter__(self) -> Iterator[str]:
        stood = set()
        for name, _ in self._stored():
            if name not in self._gone:
                stood.add(name)
                yield path_of(name)
        for name in list(self._new):
            if name not in stood:
                yield path_of(name)

    def __repr__(self) -> str:
        return f"Rows({self.ref.document()}, {len(self._new)} of them changed)"

    def added_to(self, base: Files) -> None:
        """Nothing: a list in the database is cheap to read in another way."""

    def pieces(self) -> list[bytes | memoryview]:
        """The JSON of the table, to be joined: a line a row, indented as in a session."""
        return Table(dict(self.items())).pieces()

    # --- what is new ---

    def paths(self) -> Paths:
        """The paths, as a list that is made when it is read."""
        return Paths(self, (self.ref.list, self._paths & SUMS))

    def change(self, rows: dict[str, str], gone: set[str], stored: dict[str, Kept]) -> None:
        """Take `rows` as set and `gone` as removed; `stored` has what the store has of them."""
        self._new = {name: loads(row) for name, row in rows.items()}
        self._gone = gone
        self._found = dict(stored)
        for name in rows:
            self._found.setdefault(name, None)

    def news(self) -> tuple[dict[str, str], set[str]]:
        """Name -> JSON of the rows that were set, and the names of those that are gone."""
        return {name: dumps(row) for name, row in self._new.items()}, self._gone

    def move(self, source: Source, ref: Ref) -> None:
        """All rows are stored elsewhere: from now on this is the table of that place."""
        self.source, self.trust = source, records.OURS
        self._found = {}
        self.settle(ref, {})

    def settle(self, ref: Ref, kept: dict[str, Kept | None]) -> None:
        """The news are stored: from now on this is the table of another mark, without news."""
        self.ref = ref
        self._found = {**self._found, **kept}
        self._new, self._gone = {}, set()
        self._count, self._paths = ref.count, ref.paths


def rows_of(table: Table) -> dict[str, str]:
    """Name -> JSON of all rows of any table, in their order."""
    return {name_of(path): dumps(about) for path, about in table.items()}


def join(document: Document, source: Source, origin: tuple[str, str]) -> str:
    """Put tables in the place of a document's references; what is wrong with these, or ""."""
    refs = document.pop("rows", None)
    trust = document.trust if isinstance(document, Signed) else records.FOREIGN
    try:
        for member, given in refs.items() if isinstance(refs, dict) else ():
            table = Rows(source, Ref.of(given), origin, trust)
            kind, _, key = member.partition("/")
            if kind == "session":
                document["session"][key] = table
            elif kind == "keys":
                document["keys"][key]["value"] = table.paths()
            else:
                document["value"] = table.paths()
    except (ValueError, KeyError, TypeError) as error:
        return f"has references that are none ({error})"
    return ""
