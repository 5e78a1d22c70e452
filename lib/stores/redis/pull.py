"""The pull: this machine takes the documents that other machines saved later."""

from __future__ import annotations

import time
from contextlib import contextmanager

from ...errors import Damaged, NewerVersion, StoreError
from ...format import records
from ...format.documents import data_of, opened, verdict_on
from ...format.json_text import dumps, loads
from ...format.whole import whole
from ...recording import journal
from .. import CHECKPOINTS, KEYS
from ..document_checks import SIZE_LIMIT, examine
from ..sqlite.store import Change
from . import timestamps
from .connection import ServerErrors
from .document_text import outgoing, unpacked
from .earlier_form import EarlierForm
from .push import BATCH_BYTES, LOSES, PUBLISHED, WINS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Optional

    from .tracked import Tracked

    Found = tuple[str, str, Optional[bytes]]
    """A document's name with its collection, the timestamp its writer had seen, and its text."""

SHARED_DOCUMENTS = """
SELECT shelf, name, stamp, theirs, coalesce(split, 0)
FROM shared LEFT JOIN documents USING (shelf, name)
"""
KEPT = "that counts, and what was saved here is kept in the table `damaged`"


class Pull:
    """One exchange's pull, by a client of the server, under a project's prefix."""

    def __init__(self, store: Tracked, server: Any, prefix: str, give_up: float) -> None:
        self._store, self._server, self._prefix = store, server, prefix
        self._give_up = give_up
        self._earlier = EarlierForm(server, prefix, store.place, give_up)
        self._there: dict[str, str] = {}

    def run(self) -> None:
        """Take all that is later there. Raises StoreError where the time ends first."""
        with ServerErrors(self._store.place):
            self._there = texts(self._server.hgetall(self._prefix + "timestamps"))
            evicted = self._evicted()
            self._earlier.find(self._there)
        self._there.update(self._earlier.timestamps)
        with Change(self._store):
            known = self._compare(evicted)
        news = [each for each, timestamp in self._there.items() if known.get(each) != timestamp]
        news = [each for each in news if _is_document(each)]
        news.sort(key=lambda each: self._there[each], reverse=True)  # the time may end before
        for page in self._pages(news):
            if time.monotonic() > self._give_up:
                raise StoreError(
                    f"{self._store.place} has more than can be pulled in time; the next exchange "
                    "goes on"
                )
            found = list(self._fetch(page))
            with Change(self._store):
                for each, seen, text in found:
                    with self._skipping(each), Change(self._store):
                        self._take(
                            each,
                            seen,
                            unpacked(text)
                            if text and each not in self._earlier.timestamps
                            else text,
                        )

    def _evicted(self) -> set[str]:
        """The documents that the server has lost, though nobody removed them."""
        kept = {each for each, stamp in self._there.items() if not timestamps.is_removal(stamp)}
        if self._server.hlen(self._prefix + "texts") >= len(kept):
            return set()
        names = self._server.hkeys(self._prefix + "texts")
        return kept - {name.decode("utf-8", "replace") for name in names}

    def _compare(self, evicted: set[str]) -> dict[str, str]:
        """Note what the server lacks; the timestamps that are known here."""
        execute = self._store.database.open().execute
        known = {}
        for collection, name, stamp, theirs, split in execute(SHARED_DOCUMENTS).fetchall():
            each = f"{collection}/{name}"
            known[each] = stamp
            is_lost = each not in self._there or (each in evicted and self._there[each] == stamp)
            is_earlier = self._earlier.timestamps.get(each) == stamp
            if not is_lost and not is_earlier:
                continue
            # Whole, it has another signature: only who has the key of its writer can make that.
            if (is_earlier or split) and theirs and not self._store.is_ours(collection, name):
                continue
            execute(
                "UPDATE shared SET id = -id WHERE shelf = ? AND name = ? AND id > 0",
                (collection, name),
            )
        return known

    # --- from the server ---

    def _pages(self, news: list[str]) -> Iterator[list[str]]:
        """The news in portions. All keys at once: a restore has changed all of them, or none."""
        sizes: list[int] = []
        with ServerErrors(self._store.place):
            pipeline = self._server.pipeline(transaction=False)
            for each in news:
                pipeline.hstrlen(self._prefix + "texts", each)
            sizes = pipeline.execute() if news else []
        fit = []
        for each, size in zip(news, sizes):
            if size > SIZE_LIMIT:
                self._refuse(each)
            else:
                fit.append((each, size))
        keys = [each for each, _ in fit if each.startswith(KEYS)]
        if keys:
            yield keys
        page: list[str] = []
        room = BATCH_BYTES
        for each, size in fit:
            if each.startswith(KEYS):
                continue
            if page and size > room:
                yield page
                page, room = [], BATCH_BYTES
            page.append(each)
            # In the earlier form its size is not known before it has been read.
            room -= BATCH_BYTES if each in self._earlier.timestamps else size
        if page:
            yield page

    def _fetch(self, page: list[str]) -> Iterator[Found]:
        """The documents of a page. What is not one of ours is skipped."""
        of_today = [each for each in page if each not in self._earlier.timestamps]
        if of_today:
            with ServerErrors(self._store.place):
                found = self._server.hmget(self._prefix + "texts", of_today)
                seen = self._server.hmget(self._prefix + "replaced", of_today)
            for each, text, before in zip(of_today, found, seen):
                yield each, (before or b"").decode("utf-8", "replace"), text
        for each in page:
            if each in self._earlier.timestamps:
                with self._skipping(each):
                    yield (each, *self._earlier.read(each))

    @contextmanager
    def _skipping(self, each: str) -> Iterator[None]:
        """A document that is not one of ours costs the others nothing."""
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
            self._refuse(each)

    def _refuse(self, each: str) -> None:
        self._store.notices.append(
            f"{self._store.place}: {each} there is none of ours; it was not taken"
        )

    # --- into the database ---

    def _take(self, each: str, seen: str, data: bytes | None) -> None:
        """Put a document of another machine in place, unless the one here is later.

        seen  the timestamp that its writer had seen
        """
        store, timestamp, is_earlier = (
            self._store,
            self._there[each],
            each in self._earlier.timestamps,
        )
        collection, _, name = each.partition("/")
        here, sent, known, theirs = store.known(collection, name)
        if data is None and not timestamps.is_removal(timestamp):
            return  # the server lost it, and who has it sends it again
        if timestamp < known:
            store.send_again(collection, name)  # the server has gone back
            return
        ours = self._ours(collection, name) if here is not None else None
        if here is not None and data is not None and data == ours:
            # It had arrived, and only the reply was lost; or another machine sent it again.
            store.note(collection, name, -here if is_earlier else here, timestamp, theirs)
            return
        is_changed = here != sent and (here is None or sent != -here)
        if is_changed and self._is_later_here(collection, name, here, ours, known):
            if is_earlier:  # its machine cannot learn of ours
                self._keep_earlier(collection, name, sent, data)
            return
        if data is not None and _is_unfit(collection, name, data, store.place):
            raise ValueError(each)
        self._keep_what_goes(collection, name, not is_changed and seen >= known, ours, data)
        if data is None:
            store.remove(collection, name)
            store.note(collection, name, None, timestamp, theirs=True)
            return
        number = self._put_bytes(collection, name, data)
        again = is_earlier and store.is_ours(collection, name)
        store.note(collection, name, -number if again else number, timestamp, theirs=True)

    def _ours(self, collection: str, name: str) -> bytes | None:
        """The bytes of a document here as other machines would get them."""
        try:
            document = self._store.read(collection, name)
        except (Damaged, NewerVersion):
            return None
        return outgoing(collection, name, document) if document else None

    def _is_later_here(
        self, collection: str, name: str, here: int | None, ours: bytes | None, known: str
    ) -> bool:
        """Whether what was saved or removed here since is later than what the server has."""
        there = self._there[f"{collection}/{name}"]
        if here is not None:
            document = self._store.examine(collection, name)[0] if ours else None
            return bool(document and ours and timestamps.saved(document, ours, known) > there)
        at = self._store.database.open().execute(
            "SELECT at FROM removals WHERE shelf = ? AND name = ?", (collection, name)
        )
        removed = timestamps.removed(collection, name, (at.fetchone() or [""])[0], known)
        return removed >= there

    def _keep_earlier(
        self, collection: str, name: str, sent: int | None, data: bytes | None
    ) -> None:
        """Quarantine a document of the earlier form that is earlier than the one here."""
        if data is not None and f"{collection}/{name}" not in PUBLISHED:
            self._store.keep_bytes(collection, name, WINS, data)
        self._store.note(collection, name, sent, self._there[f"{collection}/{name}"], theirs=False)

    def _keep_what_goes(
        self, collection: str, name: str, seen: bool, ours: bytes | None, data: bytes | None
    ) -> None:
        """Quarantine what was saved here, where people could miss it.

        seen  whether who replaces or removes it had seen it
        """
        each = f"{collection}/{name}"
        if self._store.known(collection, name)[0] is None or each in PUBLISHED:
            return
        is_ours = self._store.is_ours(collection, name)
        if not seen:
            why = LOSES
        elif is_ours and ours and ours != self._with_secrets(collection, name):
            why = "held secrets that no other machine has, and was saved there"
        elif is_ours and not (
            timestamps.is_our_removal(collection, name, self._there[each])
            if data is None
            else _is_ours(name, data)
        ):
            why = "was replaced or removed by who has not your key"
        else:
            return
        self._store.quarantine_whole(collection, name, why)
        self._store.notices.append(f"{self._store.where(collection, name)} {why}: {KEPT}")

    def _with_secrets(self, collection: str, name: str) -> bytes:
        document = self._store.read(collection, name)
        return bytes(data_of(whole(name, document))) if document else b""

    def _put_bytes(self, collection: str, name: str, data: bytes) -> int:
        """Write a document as it came, signed by whoever wrote it; the number of its state."""
        execute = self._store.database.open().execute
        version = loads(data.decode()).get("v", journal.VERSION)
        written = execute(
            "INSERT OR REPLACE INTO documents (shelf, name, v, split, data) VALUES (?, ?, ?, 0, ?)",
            (collection, name, dumps(version), data),
        )
        execute("DELETE FROM refs WHERE shelf = ? AND name = ?", (collection, name))
        number: int = written.lastrowid
        return number


def texts(found: dict[bytes, bytes]) -> dict[str, str]:
    """The entries of a hash that are text; we write no others."""
    entries = {}
    for name, value in found.items():
        try:
            entries[name.decode()] = value.decode()
        except UnicodeDecodeError:
            continue
    return entries


def _is_document(each: str) -> bool:
    collection, _, name = each.partition("/")
    return collection in (KEYS, CHECKPOINTS) and journal.is_name(name)


def _is_unfit(collection: str, name: str, data: bytes, place: str) -> bool:
    """Whether it is nothing that a store writes."""
    try:
        return bool(examine(data, collection, name, place)[1])
    except NewerVersion:
        return False  # it is kept for a later version of workflow-state
    except StoreError:
        return True


def _is_ours(name: str, data: bytes) -> bool:
    try:
        return verdict_on(name, opened(name, data)) == records.OURS
    except (ValueError, RecursionError):
        return False
