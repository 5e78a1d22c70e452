"""A SQLite store that notes of each document which state the server has.

The table `shared` holds what the server has: of each document the number of its state, and its
timestamp. A document is pending when it has another state, or is gone. A number below 0 is a state
that this machine still has and that the server has lost.
"""

from __future__ import annotations

from ...errors import StoreError
from ...format import records
from ...format.documents import data_of, verdict_on
from ...format.whole import whole
from ...recording import journal
from .. import CHECKPOINTS, KEYS
from ..sqlite.database import Asking, quarantine_bytes
from ..sqlite.salvage import salvaging
from ..sqlite.schema import SHARED, statements
from ..sqlite.store import Sqlite
from .connection import place_of
from .project_name import project_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


class Tracked(Sqlite):
    """The store of this machine, and what it knows of the server at an address."""

    def __init__(self, directory: str, url: str) -> None:
        super().__init__(directory)
        self.database.believed_in = ""  # what others wrote comes in through the server
        self.server = url
        self.place = place_of(url)
        self._prepared: Any = None

    @salvaging
    def pending(self) -> int:
        """How many documents the server is not known to have."""
        if self.database.open() is None:
            return 0
        with self.lock(), Asking(self.database):
            execute = self.database.open().execute
            return len(execute(PENDING).fetchall()) + len(execute(REMOVED).fetchall())

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
