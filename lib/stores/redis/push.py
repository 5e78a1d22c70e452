"""The push: this machine sends the server the documents that it lacks, without secrets."""

from __future__ import annotations

import time

from ...errors import Damaged, NewerVersion, StoreError
from .. import KEYS
from ..document_checks import SIZE_LIMIT
from ..sqlite.database import Asking
from ..sqlite.store import Change
from . import timestamps
from .connection import ServerErrors
from .document_text import outgoing, packed, unpacked
from .tracked import EARLIER, FORMAT, PENDING, REMOVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .tracked import Tracked

BATCH_BYTES = 4 << 20
"""Bytes that are sent at a time: all of a batch arrives, or nothing."""

PUBLISHED = (f"{KEYS}/current_phase", f"{KEYS}/files_processed")
"""The keys that every stop saves. The checkpoint of each session has its own of them."""

LOSES = "was saved on another machine meanwhile, and later"
WINS = "was saved on another machine, unseen and earlier than here"

PUT = """
local p = KEYS[1]
local format = redis.call('GET', p .. 'format')
if format and format ~= ARGV[1] and format ~= ARGV[2] then
  return redis.error_reply('FORMAT ' .. format)
end
redis.call('SET', p .. 'format', ARGV[1])
local lost, replaced = {}, {}
for i = 3, #ARGV, 4 do
  local name, before, timestamp, text = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local known = redis.call('HGET', p .. 'timestamps', name) or ''
  local earlier = redis.call('HGET', p .. 'stamps', name) or ''
  if earlier > before and earlier > known then
    table.insert(lost, name)
    table.insert(lost, '')
  elseif known ~= before and known > timestamp then
    table.insert(lost, name)
    table.insert(lost, known)
  else
    if known > before and known ~= timestamp then
      local old = redis.call('HGET', p .. 'texts', name)
      if old then
        table.insert(replaced, name)
        table.insert(replaced, old)
      end
    end
    redis.call('HSET', p .. 'timestamps', name, timestamp)
    redis.call('HSET', p .. 'replaced', name, before)
    if text ~= '' then redis.call('HSET', p .. 'texts', name, text)
    else redis.call('HDEL', p .. 'texts', name) end
  end
end
return {lost, replaced}
"""
"""Compares and sets, all documents of a batch in one step.

KEYS: the prefix. ARGV: the format and the earlier one; then of each document its name, the
timestamp that the sender has seen, its timestamp, and its text, empty for a removal. Returns the
names of the documents that stay as they are, each with the timestamp that is later, or "" where
the sender has to pull the earlier form first; and the names and texts of those that were replaced
though the sender had not seen them.
"""


class Item:
    """A document on its way to the server; `text` is empty for a removal."""

    def __init__(
        self,
        collection: str,
        name: str,
        number: int | None,
        before: str,
        timestamp: str,
        text: bytes,
    ) -> None:
        self.collection, self.name, self.number = collection, name, number
        self.before, self.timestamp, self.text = before, timestamp, text


class Push:
    """One exchange's push, by a client of the server, under a project's prefix."""

    def __init__(self, store: Tracked, server: Any, prefix: str, give_up: float) -> None:
        self._store, self._server, self._prefix = store, server, prefix
        self._give_up = give_up
        self._all = 0

    def run(self) -> None:
        """Send all that is pending. Raises StoreError where the time ends first."""
        put = self._server.register_script(PUT)
        sent = 0
        for batch in self._batches():
            if time.monotonic() > self._give_up:
                raise StoreError(
                    f"{self._store.place}: sent {sent} of {self._all} documents in time; the rest "
                    "stays pending"
                )
            given: list[str | bytes] = [str(FORMAT), str(EARLIER)]
            for item in batch:
                key = f"{item.collection}/{item.name}"
                given += [key, item.before, item.timestamp, item.text]
            with ServerErrors(self._store.place):
                lost, replaced = put(keys=[self._prefix], args=given)
            with Change(self._store):
                self._arrived(batch, lost, replaced)
            sent += len(batch)

    def _batches(self) -> Iterator[list[Item]]:
        """What is pending, in batches."""
        with self._store.lock(), Asking(self._store.database):
            execute = self._store.database.open().execute
            pending = execute(PENDING).fetchall()
            removed = execute(REMOVED).fetchall()
        self._all = len(pending) + len(removed)
        batch: list[Item] = []
        size = 0
        for collection, name, number, before in pending:
            item = self._item(collection, name, number, before)
            if item:
                batch.append(item)
                size += len(item.text)
            if size > BATCH_BYTES:
                yield batch
                batch, size = [], 0
        for collection, name, at, before in removed:
            timestamp = timestamps.removed(collection, name, at, before)
            batch.append(Item(collection, name, None, before, timestamp, b""))
        if batch:
            yield batch

    def _item(self, collection: str, name: str, number: int, before: str) -> Item | None:
        """A document to send; None where it cannot be sent."""
        try:
            document = self._store.read(collection, name)
            data = document and outgoing(collection, name, document)
        except (Damaged, NewerVersion):
            return None  # whoever reads it gets the error
        if document is None or not data:
            return None  # it was removed meanwhile
        if len(data) > SIZE_LIMIT:
            self._store.notices.append(
                f"{self._store.where(collection, name)} has {len(data) >> 20} MB, and a server "
                f"gets at most {SIZE_LIMIT >> 20}: it stays on this machine"
            )
            return None
        timestamp = timestamps.saved(document, data, before)
        return Item(collection, name, number, before, timestamp, packed(data))

    def _arrived(self, batch: list[Item], lost: list[bytes], replaced: list[bytes]) -> None:
        """Note what the server has now. It has a later state of what was lost: pull takes that."""
        execute = self._store.database.open().execute
        later = {name.decode(): known.decode() for name, known in zip(lost[::2], lost[1::2])}
        for item in batch:
            key = f"{item.collection}/{item.name}"
            if later.get(key) == "":
                continue  # pending until the earlier form was pulled
            if key in later and key not in PUBLISHED:
                self._store.quarantine_whole(item.collection, item.name, LOSES)
            # Of what was only sent again another machine stays the writer.
            execute(
                "INSERT INTO shared VALUES (?, ?, ?, ?, 0) ON CONFLICT (shelf, name) DO UPDATE "
                "SET theirs = theirs AND id IS -excluded.id, id = excluded.id, "
                "stamp = excluded.stamp",
                (
                    item.collection,
                    item.name,
                    item.number,
                    "" if key in later else item.timestamp,
                ),
            )
        for each, text in zip(replaced[::2], replaced[1::2]):
            if each.decode() not in PUBLISHED:
                collection, _, name = each.decode().partition("/")
                self._store.keep_bytes(collection, name, WINS, _readable(text))


def _readable(text: bytes) -> bytes:
    """The bytes of a text, or the text itself where it is not one of ours."""
    try:
        return unpacked(text)
    except ValueError:
        return text
