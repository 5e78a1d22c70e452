"""What leaves the machine: rows and documents in batches, each all or nothing, without secrets."""

from __future__ import annotations

from ...format.documents import data_of, signed, verdict_on
from ...format.json_text import dumps, loads
from ...recording import journal
from .. import KEYS
from ..sqlite.database import quarantine_bytes
from .redact import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .. import Document

PUBLISHED = (f"{KEYS}/current_phase", f"{KEYS}/files_processed")
"""What every machine saves whenever Claude stops; each session's checkpoint has its own of it."""

LOSES = "was saved on another machine meanwhile, and later"
WINS = "was saved on another machine, unseen and earlier than here"
KEPT = "that counts, and what was saved here is kept in the table `damaged`"

PUT = """
local p = KEYS[1]
local known = redis.call('GET', p .. 'format')
if known and known ~= ARGV[1] then return redis.error_reply('FORMAT ' .. known) end
redis.call('SET', p .. 'format', ARGV[1])
local given = cjson.decode(ARGV[2])
for _, part in ipairs(given.rows) do
  local mark = tonumber(redis.call('HGET', p .. 'marks', part.list) or '0')
  if mark < part.from then return redis.error_reply('BEHIND ' .. part.list .. ' ' .. mark) end
  for i, row in ipairs(part.versions) do
    redis.call('ZADD', p .. 'rows:' .. part.list, part.marks[i], row)
  end
  if mark < part.to then redis.call('HSET', p .. 'marks', part.list, part.to) end
end
for _, each in ipairs(given.documents) do
  for _, need in ipairs(each.needs) do
    local mark = tonumber(redis.call('HGET', p .. 'marks', need.list) or '0')
    if mark < need.mark then return redis.error_reply('BEHIND ' .. need.list .. ' ' .. mark) end
  end
end
local lost, replaced = {}, {}
for _, each in ipairs(given.documents) do
  local stamp = redis.call('HGET', p .. 'stamps', each.name) or ''
  if stamp ~= each.before and stamp > each.stamp then
    table.insert(lost, each.name)
  else
    if stamp > each.before and stamp ~= each.stamp then
      local old = redis.call('HGET', p .. 'documents', each.name)
      if old then
        table.insert(replaced, each.name)
        table.insert(replaced, old)
      end
    end
    redis.call('HSET', p .. 'stamps', each.name, each.stamp)
    redis.call('HSET', p .. 'befores', each.name, each.before)
    if each.data then redis.call('HSET', p .. 'documents', each.name, each.data)
    else redis.call('HDEL', p .. 'documents', each.name) end
    local lists = ' '
    for _, need in ipairs(each.needs) do lists = lists .. need.list .. ' ' end
    if lists ~= ' ' then redis.call('HSET', p .. 'needs', each.name, lists)
    else redis.call('HDEL', p .. 'needs', each.name) end
  end
end
return {lost, replaced}
"""
"""Takes the prefix, the format version, and rows and documents. Gives the names of the documents
that another machine saved later, which stay as they are; and names and bytes of those that were
replaced though the sender had not seen them."""

DROP = """
local p = KEYS[1]
for _, lists in ipairs(redis.call('HVALS', p .. 'needs')) do
  if string.find(lists, ' ' .. ARGV[1] .. ' ', 1, true) then return 0 end
end
redis.call('DEL', p .. 'rows:' .. ARGV[1])
redis.call('HDEL', p .. 'marks', ARGV[1])
return 1
"""
"""Takes the prefix and a list; removes its rows and gives 1, unless a document refers to them."""


class Batch:
    """Rows and documents that are sent at once, and that arrive all or not at all."""

    def __init__(self) -> None:
        self.size = 0
        self._rows: list[Document] = []
        self._reached: list[tuple[int, int, int]] = []
        self._documents: list[Document] = []
        self._numbers: list[tuple[str, str, int | None, str]] = []

    def add(
        self,
        collection: str,
        name: str,
        number: int | None,
        before: str,
        stamp: str,
        data: bytes | None,
        needs: list[tuple[int, int]],
    ) -> None:
        """A document with the lists it needs up to which marks; or that it was removed."""
        about: Document = {"name": f"{collection}/{name}", "before": before, "stamp": stamp}
        about["needs"] = [{"list": str(list_), "mark": mark} for list_, mark in needs]
        if data is not None:
            about["data"] = data.decode()
        self._documents.append(about)
        self._numbers.append((collection, name, number, stamp))
        self.size += len(data or b"") + 100

    def add_rows(self, list_: int, has: int, mark: int, versions: list[Any]) -> None:
        """Versions of rows, of the marks above `has` up to `mark`."""
        part = {"list": str(list_), "from": has, "to": mark}
        part["marks"] = [since for _, since, *_ in versions]
        # With its mark, by which two versions of the same content are two.
        part["versions"] = [dumps(list(each[1:])) for each in versions]
        self._rows.append(part)
        self._reached.append((mark, max([0, *(each[0] for each in versions)]), list_))
        self.size += 1

    def document(self) -> Document:
        """What the server's script is given."""
        return {"rows": self._rows, "documents": self._documents}

    def arrived(self, database: Any, answer: Any) -> None:
        """Note what the server has now, by what PUT gave.

        Of what was lost the server has a later one, which is taken in its turn.
        """
        lost = {name.decode() for name in answer[0]}
        for reached in self._reached:
            database.execute(
                "UPDATE shared_lists SET mark = max(mark, ?), sent = max(sent, ?) WHERE list = ?",
                reached,
            )
        for collection, name, number, stamp in self._numbers:
            each = f"{collection}/{name}"
            if each in lost and each not in PUBLISHED:
                quarantine_bytes(database.execute, collection, name, LOSES)
            known = "" if each in lost else stamp
            database.execute(
                "INSERT OR REPLACE INTO shared VALUES (?, ?, ?, ?, 0)",
                (collection, name, number, known),
            )
        for each, data in zip(answer[1][::2], answer[1][1::2]):
            if each.decode() not in PUBLISHED:
                collection, _, name = each.decode().partition("/")
                database.execute(
                    "INSERT INTO damaged VALUES (?, ?, ?, ?, ?)",
                    (collection, name, journal.now(), WINS, data),
                )


def without_secrets(collection: str, name: str, document: Document, data: bytes) -> bytes:
    """A document's bytes for others, without the secrets that people saved in its values."""
    given = loads(data.decode())
    masked = _masked(collection, name, given)
    if masked == given:
        return data
    if verdict_on(name, document) == "ours":
        return bytes(signed(name, masked).data)
    masked.pop("check", None)  # it is of what was masked, and not ours to make anew
    return bytes(data_of(masked))


def _masked(collection: str, name: str, document: Document) -> Document:
    """A document without the secrets that people saved in its values.

    What a session recorded was masked before it reached the disk.
    """
    if collection == KEYS:
        return {**document, "value": redact(document["value"], name)}
    keys = {
        key: {**kept, "value": redact(kept["value"], key)} for key, kept in document["keys"].items()
    }
    for key, kept in keys.items():
        if kept != document["keys"][key]:
            kept.pop("check", None)  # it is of the value before
    return {**document, "keys": keys}
