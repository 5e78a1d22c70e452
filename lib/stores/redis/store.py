"""The Redis store: the SQLite store of this machine, and a server that machines share.

A machine writes and reads its own database. `exchange` pulls what other machines saved later, and
pushes what the server lacks. So a server that is slow or gone costs nothing but the exchange.

    workflow-state:{<project>}:timestamps   collection/name -> its timestamp, also when removed
    workflow-state:{<project>}:replaced     collection/name -> the timestamp its writer had seen
    workflow-state:{<project>}:texts        collection/name -> the signed document, compressed
    workflow-state:{<project>}:format       the version of all this

Each document travels whole, as a JSON file of it would be, compressed by zlib. The document with
the later timestamp counts (timestamps.py), here and in the script that changes the server. Where a
writer had not seen what it replaced, the replaced document is quarantined. Timestamps only grow, so
a machine notices when the server has gone back, to a replica or an old copy, and sends again what
the server lost. Everything may be sent twice, and is there once.

The table `shared` holds what the server has: of each document the number of its state, and its
timestamp. A document is pending when it has another state, or is gone. A number below 0 is a state
that this machine still has and that the server has lost.
"""

from __future__ import annotations

import os
import time

from ...disk import locks
from ...errors import NewerVersion, StoreError
from ...format import records
from ...format.documents import data_of, verdict_on
from ...format.whole import whole
from ...recording import journal
from .. import CHECKPOINTS, KEYS
from ..sqlite.database import Asking, quarantine_bytes
from ..sqlite.salvage import salvaging
from ..sqlite.schema import SHARED, statements
from ..sqlite.store import Sqlite
from . import background
from .connection import ServerErrors, bounded, connect, place_of
from .project_name import project_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


SECONDS = 5.0
"""What an exchange may take in all."""

PUSH_SECONDS = 30.0
"""The same of the background push."""

EXCHANGE = ".exchange"
"""The end of the name of the file that an exchange holds locked."""

FORMAT = 2
"""The version of what is in the server."""

EARLIER = 1
"""The version that kept rows in the server: earlier_form.py reads it."""

PENDING = """
SELECT documents.shelf, documents.name, documents.id, coalesce(shared.stamp, '') FROM documents
LEFT JOIN shared ON shared.shelf = documents.shelf AND shared.name = documents.name
WHERE documents.shelf IN ('keys', 'checkpoints') AND documents.id IS NOT shared.id
AND NOT (documents.shelf = 'checkpoints' AND (documents.name GLOB 'before-restore-*'
  OR documents.name GLOB 'before-undo-*' OR documents.name GLOB 'before-migrate-*'))
ORDER BY documents.id
"""
"""A checkpoint that was made before a change on this machine is for this machine only."""

REMOVED = """
SELECT shared.shelf, shared.name, coalesce(removals.at, ''), shared.stamp FROM shared
LEFT JOIN documents ON shared.shelf = documents.shelf AND shared.name = documents.name
LEFT JOIN removals ON shared.shelf = removals.shelf AND shared.name = removals.name
WHERE documents.id IS NULL AND shared.id IS NOT NULL
"""
KNOWN = """
SELECT documents.id, shared.id, coalesce(shared.stamp, ''), coalesce(shared.theirs, 0) FROM
(SELECT ? AS shelf, ? AS name) AS asked LEFT JOIN documents USING (shelf, name)
LEFT JOIN shared USING (shelf, name)
"""
ELSEWHERE = """
SELECT documents.name FROM documents JOIN shared USING (shelf, name)
WHERE shelf = 'checkpoints' AND theirs AND documents.id = abs(shared.id) ORDER BY stamp DESC
"""
GONE = 0
"""The number of a document's state when its removal is to be sent again."""


class Redis(Sqlite):
    """The store over a state directory that shares a project's documents through a server.

    url      redis://, rediss:// or unix://, which may hold a user and a password; so may
             WORKFLOW_STATE_REDIS_USER and WORKFLOW_STATE_REDIS_PASSWORD
    """

    def __init__(self, directory: str, url: str) -> None:
        super().__init__(directory)
        self.server = url
        self.place = place_of(url)
        self._prepared: Any = None

    # --- the exchange ---

    def exchange(self, seconds: float = SECONDS, take: bool = True) -> None:
        """Pull what the server has, unless `take` is false, and push what it lacks.

        It ends after so many seconds, whatever the network does; the next one goes on. With 0
        seconds a background push is started instead. Raises StoreError.
        """
        if not seconds:
            try:
                background.start(self.directory)
            except OSError as error:
                raise StoreError(f"{self.place}: {error.strerror}") from error
            return
        # A store of its own: it may still be at work when its time is over.
        other = Redis(self.directory, self.server)
        give_up = time.monotonic() + seconds
        bounded(lambda: other._exchange_alone(give_up, take), seconds, self.place)
        self.notices += other.notices

    @salvaging
    def pending(self) -> int:
        """How many documents the server is not known to have."""
        if self.database.open() is None:
            return 0
        with self.lock(), Asking(self.database):
            execute = self.database.open().execute
            return len(execute(PENDING).fetchall()) + len(execute(REMOVED).fetchall())

    def reach(self) -> None:
        """Raise StoreError where the server does not answer."""
        from . import verify

        verify.reach(self)

    def shared_keys(self) -> set[str]:
        """The keys here that the server has or had."""
        from . import verify

        return verify.shared_keys(self)

    def unsent(self) -> list[str]:
        """The documents here that the server lacks. Raises StoreError."""
        from . import verify

        return verify.unsent(self)

    @salvaging
    def elsewhere(self) -> list[str]:
        """The checkpoints that other machines made last, the latest first."""
        database = self.database.open()
        if database is None:
            return []
        with Asking(self.database):
            shared = "SELECT 1 FROM sqlite_master WHERE name = 'shared'"
            if not database.execute(shared).fetchone():
                return []
            return [name for (name,) in database.execute(ELSEWHERE)]

    @salvaging
    def _exchange_alone(self, give_up: float, take: bool) -> None:
        """Exchange when no other process does: two at once would send the same."""
        if self.database.open() is None:
            return self._exchange(give_up, take)  # nothing is here that could be sent twice
        lock = self.database.acquire(EXCHANGE, give_up - time.monotonic())
        try:
            return self._exchange(give_up, take)
        finally:
            locks.release(lock)

    def _exchange(self, give_up: float, take: bool) -> None:
        from .pull import Pull
        from .push import Push  # a stop, which only starts another process, needs neither

        prefix = self.prefix()
        server = connect(self.server, max(0.05, give_up - time.monotonic()))
        with ServerErrors(self.place):
            version = server.get(prefix + "format")
        if version not in (None, b"%d" % EARLIER, b"%d" % FORMAT):
            raise NewerVersion(
                f"{self.place} has format version {version.decode('ascii', 'replace')!r:.40}, "
                f"this is version {FORMAT}; it is left as it is: update workflow-state"
            )
        if take:
            Pull(self, server, prefix, give_up).run()
        Push(self, server, prefix, give_up).run()

    # --- what push and pull rest on ---

    def prefix(self) -> str:
        """What the project's keys in the server begin with. Raises StoreError."""
        return f"workflow-state:{{{project_name(self.directory)}}}:"

    def known(self, collection: str, name: str) -> tuple[int | None, int | None, str, bool]:
        """The state of a document here, and what is known of the server's.

        That is the number of its state, its timestamp, and whether another machine saved it.
        """
        with Asking(self.database):
            found = self.database.open().execute(KNOWN, (collection, name)).fetchone()
        return found[0], found[1], found[2], bool(found[3])

    def note(
        self, collection: str, name: str, number: int | None, timestamp: str, theirs: bool
    ) -> None:
        """Note which state of a document, None for none, the server has."""
        self.database.open().execute(
            "INSERT OR REPLACE INTO shared VALUES (?, ?, ?, ?, ?)",
            (collection, name, number, timestamp, theirs),
        )

    def send_again(self, collection: str, name: str) -> None:
        """Note that the server has lost a document, or a removal."""
        self.database.open().execute(
            "UPDATE shared SET id = CASE WHEN id > 0 THEN -id ELSE coalesce(id, ?) END "
            "WHERE shelf = ? AND name = ?",
            (GONE, collection, name),
        )

    def quarantine_whole(self, collection: str, name: str, why: str) -> None:
        """Keep a document as it is here, with all its rows, in the table `damaged`."""
        execute = self.database.open().execute
        document, wrong = self.examine(collection, name)
        if document is None or wrong:
            quarantine_bytes(execute, collection, name, why)
        else:
            self.keep_bytes(collection, name, why, bytes(data_of(whole(name, document))))

    def keep_bytes(self, collection: str, name: str, why: str, data: bytes) -> None:
        """Keep bytes in the table `damaged`."""
        self.database.open().execute(
            "INSERT INTO damaged VALUES (?, ?, ?, ?, ?)",
            (collection, name, journal.now(), why, data),
        )

    def is_ours(self, collection: str, name: str) -> bool:
        """Whether a document here is whole and signed with the user's key."""
        document, wrong = self.examine(collection, name)
        return document is not None and not wrong and verdict_on(name, document) == records.OURS

    def remove(self, collection: str, name: str) -> None:
        """Remove what another machine has removed."""
        super()._delete(collection, name)

    def _delete(self, collection: str, name: str) -> bool:
        """Remove a document, and note when: others may save it later than that."""
        done = super()._delete(collection, name)
        if done and collection in (KEYS, CHECKPOINTS):
            self.database.open().execute(
                "INSERT OR REPLACE INTO removals VALUES (?, ?, ?)",
                (collection, name, journal.now()),
            )
        return done

    def _quarantine(self, collection: str, name: str, wrong: str) -> StoreError:
        """Nobody removed the document: the next exchange pulls it anew."""
        message = super()._quarantine(collection, name, wrong)
        with Asking(self.database):
            self.database.open().execute(
                "DELETE FROM shared WHERE shelf = ? AND name = ?", (collection, name)
            )
        return message

    def _begin(self) -> None:
        super()._begin()
        if self._prepared is not self.database.current:
            with Asking(self.database):
                for statement in statements(SHARED):
                    self.database.open().execute(statement)
            self._prepared = self.database.current


def push_pending(directory: str) -> None:
    """Push what is pending in a state directory, in a process of its own.

    The next start of a session, which exchanges as well, reports what goes wrong here.
    """
    url = journal.environment("WORKFLOW_STATE_STORE")
    try:
        Redis(directory, url).exchange(PUSH_SECONDS, take=False)
    except StoreError:
        pass
    os._exit(0)
