"""The earlier form of what a server has: documents that refer to rows beside them.

    stamps        collection/name -> its timestamp
    befores       collection/name -> the timestamp that its writer had seen
    documents     collection/name -> the signed document, with references in place of its tables
    rows:<list>   versions of rows, by the mark from which each is valid

Machines of the earlier version wrote it, and refuse a server once its format is today's. What they
left is pulled like anything else. A machine that has the key of its writer sends it in today's
form. What is signed with another key stays as it is.
"""

from __future__ import annotations

import time

from ...errors import StoreError
from ...format.documents import data_of
from ...format.json_text import loads
from ...format.records import users_key
from ...format.whole import whole
from ..document_checks import SIZE_LIMIT, examine
from ..sqlite.rows import join
from .connection import ServerErrors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..sqlite.rows import Kept, Ref

PAGE = 10_000
"""Rows that are read at a time."""


class EarlierForm:
    """The documents of the earlier form under a project's prefix, where they are the latest.

    timestamps  collection/name -> timestamp
    """

    def __init__(self, server: Any, prefix: str, place: str, give_up: float) -> None:
        self._server, self._prefix, self._place = server, prefix, place
        self._give_up = give_up
        self.timestamps: dict[str, str] = {}

    def find(self, today: dict[str, str]) -> None:
        """Find what is later than, or not in, today's form."""
        for name, value in self._server.hgetall(self._prefix + "stamps").items():
            try:
                each, timestamp = name.decode(), value.decode()
            except UnicodeDecodeError:
                continue
            if timestamp > today.get(each, ""):
                self.timestamps[each] = timestamp

    def read(self, each: str) -> tuple[str, bytes | None]:
        """The timestamp that a document's writer had seen, and the document's whole bytes.

        Raises ValueError and its like for what is not a document of ours, with all its rows.
        """
        with ServerErrors(self._place):
            before = self._server.hget(self._prefix + "befores", each) or b""
            data = self._server.hget(self._prefix + "documents", each)
        if data is None:
            return before.decode("utf-8", "replace"), None
        collection, _, name = each.partition("/")
        try:
            document, wrong = examine(data, collection, name, self._place)
        except StoreError as error:
            raise ValueError(str(error)) from error
        if document is None or wrong:
            raise ValueError(wrong)
        if "rows" in document:
            source = _Source(self._server, self._prefix, self._place, self._give_up)
            wrong = join(document, source, (collection, name))
            if wrong:
                raise ValueError(wrong)
            data = bytes(data_of(whole(name, document)))
        return before.decode("utf-8", "replace"), data


class _Source:
    """The rows of a document in a server. The tables over it see that they are all there."""

    def __init__(self, server: Any, prefix: str, place: str, give_up: float) -> None:
        self._server, self._prefix, self._place = server, prefix, place
        self._give_up = give_up
        self.path = place
        self._read: dict[tuple[int, int], dict[str, Kept]] = {}

    def readers_key(self) -> bytes | None:
        return users_key()

    def find_row(self, ref: Ref, name: str) -> Kept | None:
        return self._rows(ref).get(name)

    def all_rows(self, ref: Ref) -> Iterator[list[tuple[str, Kept]]]:
        yield sorted(self._rows(ref).items(), key=lambda row: row[1][0])

    def lose(self, collection: str, name: str, wrong: str) -> Exception:
        return ValueError(f"{collection}/{name} {wrong}")

    def _rows(self, ref: Ref) -> dict[str, Kept]:
        """Name -> row as of a mark: of each the latest version, unless that one removes it."""
        if (ref.list, ref.mark) not in self._read:
            rows: dict[str, Kept] = {}
            for version in self._versions(ref):
                _, name, place, row, check = loads(version.decode())
                rows[name] = (place, row, check)
            found = {name: kept for name, kept in rows.items() if kept[1] != ""}
            self._read[ref.list, ref.mark] = found
        return self._read[ref.list, ref.mark]

    def _versions(self, ref: Ref) -> Iterator[bytes]:
        """The versions of rows up to a mark, the earliest first."""
        taken = size = 0
        while True:
            if time.monotonic() > self._give_up:
                raise StoreError(
                    f"{self._place} has more than can be pulled in time; the next exchange goes on"
                )
            with ServerErrors(self._place):
                page = self._server.zrangebyscore(
                    f"{self._prefix}rows:{ref.list}", "-inf", ref.mark, start=taken, num=PAGE
                )
            yield from page
            taken += len(page)
            size += sum(map(len, page))
            if size > 2 * SIZE_LIMIT:
                raise ValueError("it is too long")
            if len(page) < PAGE:
                return
