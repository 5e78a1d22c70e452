"""A mapping from paths that stays text until it is looked at.

A session may have changed a hundred thousand files, of which one turn changes a few. Reading the
others as objects only to write them again as they were would take most of a stop's time: a row is
left where it lies in its checkpoint's text, read when somebody asks for it, and copied with its
neighbours when the next checkpoint is written.
"""

from __future__ import annotations

from _collections_abc import MutableMapping, Sequence
from _json import encode_basestring_ascii

from .json_text import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .types import FileRow
    from .types import Files as Base

    Names = Sequence[str]
else:
    Base = MutableMapping
    Names = Sequence

_LINE = b'\n      "'
"""What every row begins with. No text has it in it: in JSON a line feed is written as `\\n`."""

_BETWEEN = b'":  {'
"""What stands between a row's name and what it holds. In a name it is behind a backslash."""

_SEARCHES = 4
"""How often a text may be searched from end to end before all its rows are found once for all."""


class _Text:
    """The rows of a table as they lie in a document, and where each of them is.

    data   the whole document
    start  where the first row's line begins
    end    where the last row's line ends
    """

    __slots__ = ("_count", "_index", "_left", "data", "end", "start")

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data = data
        self.start = start
        self.end = end
        self._index: dict[bytes, int] | None = None
        self._count: int | None = None
        self._left = _SEARCHES * (end - start)

    def count(self) -> int:
        """How many rows there are."""
        if self._count is None:
            self._count = self.data.count(b"\n", self.start, self.end)
        return self._count

    def find(self, name: bytes) -> int:
        """Where the row of a name begins; -1 when there is none."""
        if self._left > 0 and self._index is None:
            # A turn asks for a few names, and mostly for what came last.
            line = self.data.rfind(_LINE + name + _BETWEEN, self.start, self.end)
            self._left -= self.end - max(line, self.start)
            return line if line < 0 else line + len(_LINE) + len(name) + len(_BETWEEN) - 1
        return self.index.get(name, -1)

    @property
    def index(self) -> dict[bytes, int]:
        """Where the row of each name begins, in their order."""
        if self._index is None:
            self._index = self._find_rows()
        return self._index

    def _find_rows(self) -> dict[bytes, int]:
        # The loop that grows with the work: everything it uses is local, a row takes two searches.
        data, end, find, between = self.data, self.end, self.data.find, _BETWEEN
        before, behind = len(_LINE), len(_BETWEEN) - 1
        index = {}
        line = self.start
        while line >= 0:
            name = line + before
            close = find(between, name, end)
            while data[close - 1] == 0x5C and _is_escaped(data, close):
                close = find(between, close + 1, end)
            index[data[name:close]] = close + behind
            line = find(b"\n", close, end)
        return index

    def end_of(self, row: int) -> int:
        """Where the row that begins at `row` ends, its comma left out."""
        end = self.data.find(b"\n", row, self.end)
        return self.end if end < 0 else end - 1


def _is_escaped(data: bytes, place: int) -> bool:
    """Whether an odd number of backslashes stands before a place."""
    before = place
    while data[before - 1] == 0x5C:
        before -= 1
    return (place - before) % 2 == 1


def _name(path: str) -> bytes:
    return encode_basestring_ascii(path)[1:-1].encode()


def _paths(names: list[bytes]) -> list[str]:
    together = b"\n".join(names).decode()  # decoded at once: a hundred thousand calls take long
    paths = together.split("\n") if names else []
    return [loads(f'"{path}"') if "\\" in path else path for path in paths]


class Table(Base):
    """Path -> a dict about it, in order of first mention.

    Names are kept as JSON has them, less the quotes: for nearly all paths the path itself.
    """

    __slots__ = ("_rows", "_text")

    apart = False
    """Whether the rows lie elsewhere than in the document."""

    def __init__(self, rows: Mapping[str, FileRow] | None = None) -> None:
        self._text: _Text | None = None
        self._rows: dict[bytes, FileRow] = {}
        """What was put in since the text was written, over the rows of the text or behind them."""
        if rows:
            self.update(rows)

    @classmethod
    def of_text(cls, data: bytes, start: int, end: int) -> Table:
        """The table whose `pieces` are `data[start:end]`. Raises ValueError for other text."""
        table = cls()
        if end - start > len(b"{}"):
            first, last = start + 1, data.rfind(b"\n", start, end)
            if not data.startswith(_LINE, first) or data.find(_BETWEEN, first, last) < 0:
                raise ValueError("a table is laid out in another way")
            table._text = _Text(data, first, last)
        return table

    def copy(self) -> Table:
        """A table of its own, of the same rows."""
        copy = Table()
        copy._text = self._text
        copy._rows = dict(self._rows)
        return copy

    def _find(self, name: bytes) -> int:
        return self._text.find(name) if self._text else -1

    def _read(self, row: int) -> FileRow:
        text = self._text
        assert text is not None  # noqa: S101  # places are of its text
        about: FileRow = loads(text.data[row : text.end_of(row)].decode())
        return about

    def __getitem__(self, path: str) -> FileRow:
        name = _name(path)
        if name in self._rows:
            return self._rows[name]
        row = self._find(name)
        if row < 0:
            raise KeyError(path)
        return self._read(row)

    def __setitem__(self, path: str, about: FileRow) -> None:
        self._rows[_name(path)] = about

    def __delitem__(self, path: str) -> None:
        if self._text:  # rare: nothing that happens takes a file from a list
            self._rows = {_name(each): about for each, about in self.items()}
            self._text = None
        del self._rows[_name(path)]

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        name = _name(path)
        return name in self._rows or self._find(name) >= 0

    def _behind(self) -> list[bytes]:
        """The names that are not in the text."""
        return [name for name in self._rows if self._find(name) < 0]

    def __len__(self) -> int:
        return (self._text.count() if self._text else 0) + len(self._behind())

    def __bool__(self) -> bool:
        return bool(self._text or self._rows)

    def __iter__(self) -> Iterator[str]:
        names = self._text.index if self._text else ()
        return iter(_paths([*names, *self._behind()]))

    def __repr__(self) -> str:
        return f"Table({dict(self)!r})"

    def added_to(self, base: Base) -> list[str] | None:
        """The paths that this has more than `base`; None where it is not `base` with additions."""
        if (
            not isinstance(base, Table)
            or type(self) is not type(base)
            or self._text is not base._text
            or base._rows
        ):
            return None
        return _paths(self._behind())

    def paths(self) -> Names:
        """The paths as a list, or as what is equal to it until somebody asks for it."""
        return list(self)

    def pieces(self) -> list[bytes | memoryview]:
        """The JSON of the table, to be joined: a line a row, indented as in a session."""
        pieces: list[bytes | memoryview] = []
        places = {name: self._find(name) for name in self._rows}
        if self._text:
            view = memoryview(self._text.data)
            done = self._text.start
            for place, name in sorted((place, name) for name, place in places.items()):
                if place >= 0:
                    pieces += [view[done:place], dumps(self._rows[name]).encode()]
                    done = self._text.end_of(place)
            pieces.append(view[done : self._text.end])
        for name, about in self._rows.items():
            if places[name] < 0:
                comma = b"," if pieces else b""
                row = dumps(about).encode()
                pieces.append(b"%b%b%b%b%b" % (comma, _LINE, name, _BETWEEN[:-1], row))
        return [b"{", *pieces, b"\n    }"] if pieces else [b"{}"]


class Paths(Names):
    """The paths of a table that is not held in memory, as a list.

    table  whose paths
    mark   two of equal marks have the same paths, and two of one list but other marks have not
    """

    __slots__ = ("mark", "table")

    apart = True

    def __init__(self, table: Table, mark: tuple[int, int]) -> None:
        self.table, self.mark = table, mark

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __getitem__(self, index: Any) -> Any:
        return list(self.table)[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Paths) and self.mark[0] == other.mark[0]:
            return self.mark == other.mark
        if isinstance(other, (list, Paths)) and len(self) == len(other):
            return list(self) == list(other)
        return False

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} paths>"


def listed(value: Any) -> Any:
    """A value that JSON can hold: itself, or the list that it stands for."""
    return list(value) if isinstance(value, Paths) else value
