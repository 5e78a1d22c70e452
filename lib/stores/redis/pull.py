"""What this machine takes from the server: what others saved later, and the rows they need."""

from __future__ import annotations

import time
from contextlib import contextmanager

from ...errors import Damaged, NewerVersion, StoreError
from ...format import records
from ...format.documents import opened, verdict_on
from ...format.json_text import dumps, loads
from ...recording import journal
from .. import CHECKPOINTS, KEYS, document_checks
from ..sqlite.database import Asking, quarantine_bytes
from ..sqlite.rows import Ref
from ..sqlite.store import Change
from . import timestamps
from .batches import KEPT, LOSES, PUBLISHED, without_secrets
from .connection import Talking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .store import Redis

PAGE = 10_000
"""Rows that are taken at a time."""

PRESENT = """
SELECT count(*) FROM rows INDEXED BY rows_by_mark
WHERE list = ? AND since <= ? AND (until IS NULL OR until > ?) AND row != ''
"""


class Pull:
    """One exchange's taking, by a client of the server, under a project's prefix."""

    def __init__(self, store: Redis, server: Any, prefix: str) -> None:
        self._store, self._server, self._prefix = store, server, prefix

    def run(self, give_up: float) -> None:
        """Take the documents that others saved since, and the rows they need."""
        with Talking(self._store.place):
            there = dict(_texts(self._server.hgetall(self._prefix + "stamps")))
            kept = {name for name, stamp in there.items() if not timestamps.is_removal(stamp)}
            evicted: set[str] = set()
            if self._server.hlen(self._prefix + "documents") < len(kept):
                names = self._server.hkeys(self._prefix + "documents")
                evicted = kept - {name.decode("utf-8", "replace") for name in names}
        with Change(self._store):
            execute = self._store.database.open().execute
            known = {
                f"{collection}/{name}": stamp
                for collection, name, stamp in execute("SELECT shelf, name, stamp FROM shared")
            }
            for each, stamp in known.items():
                # The server has it no more, though nobody removed it: it is pending again.
                if each not in there or (each in evicted and there[each] == stamp):
                    collection, _, name = each.partition("/")
                    execute(
                        "UPDATE shared SET id = NULL WHERE shelf = ? AND name = ?",
                        (collection, name),
                    )
        news = [name for name, stamp in there.items() if known.get(name) != stamp]
        news.sort(key=lambda name: there[name], reverse=True)  # time may end before all are taken
        keys = [name for name in news if name.startswith(KEYS)]
        others = [name for name in news if not name.startswith(KEYS)]
        # All keys at once: a restore elsewhere has changed all of them, or none.
        pages = [keys, *(others[start : start + 25] for start in range(0, len(others), 25))]
        for names in filter(None, pages):
            with Talking(self._store.place):
                found = self._server.hmget(self._prefix + "documents", names)
                befores = self._server.hmget(self._prefix + "befores", names)
            whole = []
            for each, data, before in zip(names, found, befores):
                with self._passing_over(each):
                    if self._take_rows_of(each, data, give_up):
                        whole.append((each, (before or b"").decode("utf-8", "replace"), data))
            with Change(self._store):
                for each, before, data in whole:
                    with self._passing_over(each), Change(self._store):
                        self._take_document(each, there[each], before, data)

    @contextmanager
    def _passing_over(self, each: str) -> Iterator[None]:
        """What nobody of ours wrote costs the others nothing."""
        try:
            yield
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ):
            self._store.notices.append(
                f"{self._store.place}: {each} there is none of ours; it was not taken"
            )

    def _take_rows_of(self, each: str, data: bytes | None, give_up: float) -> bool:
        """Take the rows that a document needs; False where the server has not all of them."""
        for ref in _references(data or b""):
            if not self._take_rows(ref, give_up):
                continue
            with self._store.lock(), Asking(self._store.database):
                present = self._store.database.open().execute(
                    PRESENT, (ref.list, ref.mark, ref.mark)
                )
                whole = present.fetchone()[0] == ref.count
            if whole:
                continue
            if _is_ours(each.partition("/")[2], data or b""):
                # Whoever made it sends it again, once the server does not say that it has it.
                with Talking(self._store.place):
                    self._server.hdel(self._prefix + "marks", ref.list)
                    self._server.hdel(self._prefix + "stamps", each)
            with Change(self._store):
                self._store.database.open().execute(
                    "UPDATE shared_lists SET mark = 0, taken = 0 WHERE list = ?", (ref.list,)
                )
            return False
        return True

    def _take_rows(self, ref: Ref, give_up: float) -> bool:
        """Take the rows of a list up to a mark; False where they are here already.

        Where time ends, the next one goes on.
        """
        with Change(self._store):
            execute = self._store.database.open().execute
            execute("INSERT OR IGNORE INTO shared_lists VALUES (?, 0, 0, 0)", (ref.list,))
            has, taken = execute(
                "SELECT mark, taken FROM shared_lists WHERE list = ?", (ref.list,)
            ).fetchone()
        if has >= ref.mark:
            return False
        rows = f"{self._prefix}rows:{ref.list}"
        while True:
            if time.monotonic() > give_up:
                raise StoreError(
                    f"{self._store.place} has more than can be taken at once; go on later"
                )
            with Talking(self._store.place):
                page = self._server.zrangebyscore(
                    rows, f"({has}", ref.mark, start=taken, num=PAGE, withscores=True
                )
            taken += len(page)
            ended = len(page) < PAGE
            with Change(self._store):
                self._add_rows(ref.list, [(int(score), row) for row, score in page])
                self._store.database.open().execute(
                    "UPDATE shared_lists SET mark = ?, taken = ? WHERE list = ?",
                    (ref.mark, 0, ref.list) if ended else (has, taken, ref.list),
                )
            if ended:
                return True

    def _add_rows(self, list_: int, versions: list[tuple[int, bytes]]) -> None:
        execute, now = self._store.database.open().execute, int(time.time())
        execute("INSERT OR IGNORE INTO lists VALUES (?, '', '', 0, ?)", (list_, now))
        for mark, version in versions:
            _, name, place, row, check = loads(version.decode())
            about = (place, row, check, list_, name, mark)
            # One that is here already may be damaged.
            there = execute(
                'UPDATE rows INDEXED BY rows_by_name SET place = ?, row = ?, "check" = ? '
                "WHERE list = ? AND name = ? AND since = ?",
                about,
            )
            if there.rowcount:
                continue
            execute(
                "UPDATE rows SET until = ?, gone = ? WHERE list = ? AND name = ? AND since < ? "
                "AND until IS NULL",
                (mark, now, list_, name, mark),
            )
            execute(
                'INSERT INTO rows (place, row, "check", list, name, since) '
                "VALUES (?, ?, ?, ?, ?, ?)",
                about,
            )
            execute("UPDATE lists SET head = max(head, ?) WHERE id = ?", (mark, list_))

    def _take_document(self, each: str, stamp: str, before: str, data: bytes | None) -> None:
        """Put a document of another machine in place, unless ours is later.

        before  the stamp that its writer had seen
        """
        collection, _, name = each.partition("/")
        if collection not in (KEYS, CHECKPOINTS) or not journal.is_name(name):
            return
        here, sent, known = self._store.standing(collection, name)
        if data is None and not timestamps.is_removal(stamp):
            return  # the server lost it, and who has it sends it again
        if stamp < known:
            self._store.owe(collection, name, known)  # the server has gone back
        elif here != sent and not self._yields(collection, name, here, known, stamp):
            return
        elif data is not None and self._is_unfit(collection, name, data):
            raise ValueError(each)
        else:
            self._keep_what_goes(collection, name, here == sent and before >= known, stamp, data)
            number = None
            if data is None:
                self._store.remove(collection, name)
            else:
                number = self._put_bytes(collection, name, data)
            self._store.note(collection, name, number, stamp, theirs=True)

    def _yields(self, collection: str, name: str, here: int | None, known: str, stamp: str) -> bool:
        """Whether what was saved or removed here since is earlier than what the server has."""
        if here is None:
            at = self._store.database.open().execute(
                "SELECT at FROM removals WHERE shelf = ? AND name = ?", (collection, name)
            )
            return timestamps.removed(collection, name, (at.fetchone() or [""])[0], known) < stamp
        try:
            _, ours = self._store.outgoing(collection, name, known)
        except (Damaged, NewerVersion):
            return True
        if ours == stamp:  # it had arrived, and only the answer was lost
            self._store.note(collection, name, here, stamp, theirs=False)
            return False
        return ours < stamp

    def _is_unfit(self, collection: str, name: str, data: bytes) -> bool:
        """Whether it is nothing that a store writes."""
        if len(data) > document_checks.SIZE_LIMIT:
            return True
        try:
            return bool(document_checks.examine(data, collection, name, self._store.place)[1])
        except NewerVersion:
            return False  # it is kept for a later version of ours
        except StoreError:
            return True

    def _keep_what_goes(
        self, collection: str, name: str, seen: bool, stamp: str, data: bytes | None
    ) -> None:
        """Keep what was saved here aside where people could miss it.

        seen  whether who replaces or removes it had seen it
        """
        if self._store.standing(collection, name)[0] is None or f"{collection}/{name}" in PUBLISHED:
            return
        bytes_ = self._store.bytes_of(collection, name)
        document, wrong = self._store.examine(collection, name)
        ours = document is not None and not wrong and verdict_on(name, document) == records.OURS
        if not seen:
            why = LOSES
        elif ours and document and without_secrets(collection, name, document, bytes_) != bytes_:
            why = "held secrets that no other machine has, and was saved there"
        elif ours and not (
            timestamps.is_our_removal(collection, name, stamp)
            if data is None
            else _is_ours(name, data)
        ):
            why = "was replaced or removed by who has not your key"
        else:
            return
        quarantine_bytes(self._store.database.open().execute, collection, name, why)
        self._store.notices.append(f"{self._store.where(collection, name)} {why}: {KEPT}")

    def _put_bytes(self, collection: str, name: str, data: bytes) -> int:
        """Write a document as it came, signed by whoever wrote it; the number of its state."""
        execute = self._store.database.open().execute
        version = loads(data.decode()).get("v", journal.VERSION)
        refs = {(ref.list, ref.mark) for ref in _references(data)}
        written = execute(
            "INSERT OR REPLACE INTO documents (shelf, name, v, split, data) VALUES (?, ?, ?, ?, ?)",
            (collection, name, dumps(version), bool(refs), data),
        )
        execute("DELETE FROM refs WHERE shelf = ? AND name = ?", (collection, name))
        for list_, mark in refs:
            execute("INSERT INTO refs VALUES (?, ?, ?, ?)", (collection, name, list_, mark))
        number: int = written.lastrowid
        return number


def _texts(found: dict[bytes, bytes]) -> Iterator[tuple[str, str]]:
    """The entries of a hash that are text; nobody of ours writes others."""
    for name, value in found.items():
        try:
            yield name.decode(), value.decode()
        except UnicodeDecodeError:
            continue


def _references(data: bytes) -> list[Ref]:
    """The rows that a document's bytes refer to. Raises ValueError and its like for others'."""
    given = loads(data.decode()).get("rows") if data else None
    return [Ref.of(each) for each in given.values()] if given else []


def _is_ours(name: str, data: bytes) -> bool:
    try:
        return verdict_on(name, opened(name, data)) == records.OURS
    except (ValueError, RecursionError):
        return False
