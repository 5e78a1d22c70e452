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

_BETWEEN = '": '
"""What ends a row's name. In a name it can only stand behind a backslash."""

_LAST = '"last": "'
_STAMP = len("2026-11-23T14:31:05.123Z")


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
        stamps = [(_stamp(row), name) for name, row in self._rows.items()]
        stamps.sort(key=lambda stamp: stamp[0], reverse=True)
        return [loads(f'"{name}"') if "\\" in name else name for _, name in stamps[:most]]

    def text(self, indent: str) -> str:
        """The JSON of the table: a line a row, under `indent`."""
        if not self._rows:
            return "{}"
        lines = [
            f"{name}{_BETWEEN}{row if isinstance(row, str) else dumps(row)}"
            for name, row in self._rows.items()
        ]
        return f'{{\n{indent}  "' + f',\n{indent}  "'.join(lines) + f"\n{indent}}}"

    @classmethod
    def of_text(cls, text: str, indent: str) -> Table:
        """The table that `text` gave this text."""
        table = cls()
        if text != "{}":
            start, end = len(indent) + 5, -len(indent) - 2
            lines = text[start:end].split(f',\n{indent}  "')
            rows = dict([line.split(_BETWEEN, 1) for line in lines])
            if any(name.endswith("\\") for name in rows):  # at its end, or before a quote in it
                rows = dict(map(_apart, lines))
            table._rows.update(rows)
        return table


def _apart(line: str) -> tuple[str, str]:
    """Name and row of a line whose name may hold anything."""
    end = line.index(_BETWEEN)
    while (len(line[:end]) - len(line[:end].rstrip("\\"))) % 2:  # the quote is escaped
        end = line.index(_BETWEEN, end + 1)
    return line[:end], line[end + len(_BETWEEN) :]


def _stamp(row: str | Row) -> str:
    if isinstance(row, str):
        start = row.rfind(_LAST) + len(_LAST)
        return row[start : start + _STAMP]
    return str(row["last"])
