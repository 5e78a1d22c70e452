"""A mapping from paths that stays text until it is looked at.

A session may have changed a hundred thousand files, of which one turn changes a few. Reading the
others as objects only to write them again as they were would take most of a stop's time: a row is
kept as the line that its checkpoint has, and read when somebody asks for it.
"""

from __future__ import annotations

from _collections_abc import MutableMapping
from _json import encode_basestring_ascii

from .jsontext import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Row = dict[str, Any]
    Base = MutableMapping[str, Row]
else:
    Base = MutableMapping

_BETWEEN = '":  '
"""What stands between a row's name and the row: two spaces, so that no row has it in it.

A text in a row may, or a name, behind a backslash; then the table is read the slow way.
"""

_TIME = "2026-11-23T14:31:05.123Z"
_BEFORE = len(f'{{"first": "{_TIME}", "last": "')
_STAMP = slice(_BEFORE, _BEFORE + len(_TIME))
"""Where a row has its last time: rows begin with both times, so it is found without a search."""


class Table(Base):
    """Path -> a dict about it, in order of first mention.

    Rows are kept by their path as JSON has it, less the quotes: for nearly all the path itself.
    """

    __slots__ = ("_rows",)

    def __init__(self, rows: Mapping[str, Row] | None = None) -> None:
        self._rows: dict[str, str | Row] = {}
        if rows:
            self.update(rows)

    def copy(self) -> Table:
        """A table of its own, of the same rows."""
        copy = Table()
        copy._rows = dict(self._rows)
        return copy

    def __getitem__(self, path: str) -> Row:
        row = self._rows[encode_basestring_ascii(path)[1:-1]]
        about: Row = loads(row) if isinstance(row, str) else row
        return about

    def __setitem__(self, path: str, about: Row) -> None:
        self._rows[encode_basestring_ascii(path)[1:-1]] = about

    def __delitem__(self, path: str) -> None:
        del self._rows[encode_basestring_ascii(path)[1:-1]]

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and encode_basestring_ascii(path)[1:-1] in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        for name in self._rows:
            yield loads(f'"{name}"') if "\\" in name else name

    def __repr__(self) -> str:
        return f"Table({dict(self)!r})"

    def newest(self, most: int) -> list[str]:
        """The paths whose rows have the latest "last", the latest first."""
        stamps = [
            row[_STAMP] if isinstance(row, str) else row["last"] for row in self._rows.values()
        ]
        oldest = sorted(stamps)[-most:][0] if stamps else ""  # quick: nearly in order already
        order = [number for number, stamp in enumerate(stamps) if stamp >= oldest]
        order = sorted(order, key=stamps.__getitem__, reverse=True)[:most]
        names = list(self._rows)
        return [
            loads(f'"{name}"') if "\\" in name else name for name in map(names.__getitem__, order)
        ]

    def pieces(self, indent: str) -> list[str]:
        """The JSON of the table, to be joined: a line a row, under `indent`."""
        if not self._rows:
            return ["{}"]
        for name, row in self._rows.items():
            if not isinstance(row, str):
                self._rows[name] = dumps(row)
        start = f',\n{indent}  "'
        lines = [f"{start}{name}{_BETWEEN}{row}" for name, row in self._rows.items()]
        lines[0] = "{" + lines[0][1:]
        return [*lines, f"\n{indent}}}"]

    @classmethod
    def of_text(cls, text: str, indent: str) -> Table:
        """The table that `pieces` gave this text."""
        table = cls()
        if text != "{}":
            start, end = len(indent) + 5, -len(indent) - 2
            line_end = f',\n{indent}  "'
            parts = text[start:end].replace(line_end, _BETWEEN).split(_BETWEEN)
            if len(parts) == 2 * text.count(line_end) + 2:
                table._rows = dict(zip(parts[::2], parts[1::2]))
            else:
                table.update(loads(text))
        return table
