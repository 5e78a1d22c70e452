"""What this machine gives the server: what it lacks, rows before the documents that need them."""

from __future__ import annotations

import time

from ...errors import Damaged, NewerVersion, StoreError
from ...format.json_text import dumps
from ...recording import journal
from ..sqlite.database import Asking
from ..sqlite.store import Change
from . import timestamps
from .batches import DROP, PUT, Batch
from .connection import Talking
from .known import PENDING, REMOVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .store import Redis

ROWS_AT_A_TIME = 2000
BYTES_AT_A_TIME = 4 << 20

SINCE = """
SELECT id, since, name, place, row, "check" FROM rows INDEXED BY rows_by_mark
WHERE list = ? AND since > ? AND since <= ? ORDER BY since, id
"""


class Push:
    """One exchange's giving, by a client of the server, under a project's prefix."""

    def __init__(self, store: Redis, server: Any, prefix: str) -> None:
        self._store, self._server, self._prefix = store, server, prefix

    def run(self, give_up: float) -> None:
        """Give all that is pending. Raises StoreError where time ends first."""
        put = self._server.register_script(PUT)
        for batch in self._batches():
            if time.monotonic() > give_up:
                raise StoreError(
                    f"{self._store.place} cannot be given all at once; the rest stays pending"
                )
            with Talking(self._store.place) as message:
                arguments = [str(journal.VERSION), dumps(batch.document())]
                answer = put(keys=[self._prefix], args=arguments)
            if message.behind:
                # The server has gone back, to a replica perhaps: what it lacks is sent again.
                list_, mark = message.behind
                with Change(self._store):
                    self._store.database.open().execute(
                        "UPDATE shared_lists SET mark = min(mark, ?), sent = 0 WHERE list = ?",
                        (mark, list_),
                    )
                self.run(give_up)
                return
            with Change(self._store):
                batch.arrived(self._store.database.open(), answer)
        self._drop()

    def _drop(self) -> None:
        """Have rows removed that were cleaned up here and that no document there refers to."""
        with self._store.lock(), Asking(self._store.database):
            execute = self._store.database.open().execute
            unused = execute(
                "SELECT list FROM shared_lists WHERE mark > 0 "
                "AND list NOT IN (SELECT id FROM lists)"
            ).fetchall()
        drop = self._server.register_script(DROP)
        for (list_,) in unused:
            with Talking(self._store.place):
                done = drop(keys=[self._prefix], args=[str(list_)])
            if done:
                with Change(self._store):
                    self._store.database.open().execute(
                        "DELETE FROM shared_lists WHERE list = ?", (list_,)
                    )

    def _batches(self) -> Iterator[Batch]:
        """What is pending, in batches that stand for themselves: rows before documents."""
        with self._store.lock(), Asking(self._store.database):
            execute = self._store.database.open().execute
            owed = execute(PENDING).fetchall()
            removed = execute(REMOVED).fetchall()
        batch = Batch()
        for collection, name, number in owed:
            before = self._store.standing(collection, name)[2]
            try:
                data, stamp = self._store.outgoing(collection, name, before)
            except (Damaged, NewerVersion):
                continue  # who reads it is told
            if data is None:
                continue  # it went meanwhile
            yield from self._rows_for(collection, name)
            batch.add(
                collection, name, number, before, stamp, data, self._store.needs(collection, name)
            )
            if batch.size > BYTES_AT_A_TIME:
                yield batch
                batch = Batch()
        for collection, name, at in removed:
            before = self._store.standing(collection, name)[2]
            batch.add(
                collection,
                name,
                None,
                before,
                timestamps.removed(collection, name, at, before),
                None,
                [],
            )
        if batch.size:
            yield batch

    def _rows_for(self, collection: str, name: str) -> Iterator[Batch]:
        """The rows that a document needs and the server lacks."""
        for list_, mark in self._store.needs(collection, name):
            execute = self._store.database.open().execute
            with Change(self._store):
                execute("INSERT OR IGNORE INTO shared_lists VALUES (?, 0, 0, 0)", (list_,))
                has, sent = execute(
                    "SELECT mark, sent FROM shared_lists WHERE list = ?", (list_,)
                ).fetchone()
            cursor = execute(SINCE, (list_, has, mark))
            versions = cursor.fetchmany(ROWS_AT_A_TIME)
            while has < mark:
                following = cursor.fetchmany(ROWS_AT_A_TIME)
                batch = Batch()
                # The mark of the last may have more rows: it counts when all of them are sent.
                reaches = versions[-1][1] - 1 if following else mark
                batch.add_rows(list_, has, reaches, [row for row in versions if row[0] > sent])
                yield batch
                has, versions = max(has, reaches), following
