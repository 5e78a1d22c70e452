"""The Redis store: the SQLite store of this machine, and what other machines keep in a server.

Everything is written here first, and read here; `exchange` gives the server what it lacks and
takes what others gave it. So a server that is slow or gone costs nothing but that, and whatever it
lacks is what the next exchange sends: nothing is counted or queued that could be lost.

    workflow-state:{<project>}:stamps        collection/name -> its stamp, also when it was removed
    workflow-state:{<project>}:befores       collection/name -> the stamp that its writer had seen
    workflow-state:{<project>}:documents     collection/name -> the signed document
    workflow-state:{<project>}:needs         collection/name -> the lists that it refers to
    workflow-state:{<project>}:rows:<list>   versions of rows, by their mark
    workflow-state:{<project>}:marks         list -> the mark up to which the server has all rows
    workflow-state:{<project>}:format        the version of all this

The later stamp of a document counts (stamps.py), here and in the one script that changes the
server. What replaces what its writer had not seen is not the last word of it: the replaced one is
quarantined. Stamps only grow, so a server that has gone back, to a replica or an old copy, is
noticed, and given again what it lost. Rows go before the documents that need them. All of it may be
sent twice and is there once.
"""

from __future__ import annotations

import os
import time

from ...disk import locks
from ...errors import NewerVersion, StoreError
from ...recording import journal
from .. import CHECKPOINTS, KEYS
from ..sqlite.database import Asking
from ..sqlite.salvage import salvaging
from ..sqlite.schema import SHARED, statements
from ..sqlite.store import Sqlite
from . import timestamps, verify
from .background import send
from .batches import without_secrets
from .connection import Talking, bounded, connect, place_of
from .known import AGAIN, ELSEWHERE, KNOWN, PENDING, REMOVED
from .project_name import project_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


SECONDS = 5.0
"""What an exchange may take in all."""

GIVE = 30.0
"""The same of one that nobody waits for."""

EXCHANGE = ".exchange"
"""What the name of the file ends in that an exchange holds locked."""


class Redis(Sqlite):
    """The store over a state directory that shares a project's documents through a server.

    url      redis://, rediss:// or unix://, which may hold a user and a password; so may
             WORKFLOW_STATE_REDIS_USER and WORKFLOW_STATE_REDIS_PASSWORD
    project  what the machines that share have in common; found in git when not given
    """

    def __init__(self, directory: str, url: str) -> None:
        super().__init__(directory)
        self.server = url
        self.place = place_of(url)
        self._knows: Any = None

    # --- what goes on elsewhere ---

    def exchange(self, seconds: float = SECONDS, take: bool = True) -> None:
        """Give the server what it lacks, and take what it has. Raises StoreError.

        It ends after so many seconds whatever the network does; what is left is for the next. In 0
        seconds another process is told to do it.
        """
        if not seconds:
            try:
                send(self.directory)
            except OSError as error:
                raise StoreError(f"{self.place}: {error.strerror}") from error
            return
        # With a store of its own: when it is given up it may still be at work.
        other = Redis(self.directory, self.server)
        give_up = time.monotonic() + seconds
        bounded(lambda: other._exchange_alone(give_up, take), seconds, self.place)
        self.notices += other.notices

    @salvaging
    def owed(self) -> int:
        """How many documents the server is not known to have."""
        if self.database.open() is None:
            return 0
        with self.lock(), Asking(self.database):
            execute = self.database.open().execute
            return len(execute(PENDING).fetchall()) + len(execute(REMOVED).fetchall())

    def reach(self) -> None:
        """Raise StoreError where the server does not answer."""
        verify.reach(self)

    def shared_keys(self) -> set[str]:
        """The keys here that the server was given, or gave."""
        return verify.shared_keys(self)

    def unsent(self) -> list[str]:
        """The documents here that the server has not, or not all rows of. Raises StoreError."""
        return verify.not_there(self)

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
        from .push import Push  # what a stop, which only tells another process, can do without

        prefix = self.prefix()
        server = connect(self.server, max(0.05, give_up - time.monotonic()))
        with Talking(self.place):
            known = server.get(prefix + "format")
        if known is not None and known != str(journal.VERSION).encode():
            self._refuse(known)
        if take:
            Pull(self, server, prefix).run(give_up)
        Push(self, server, prefix).run(give_up)

    def _refuse(self, version: bytes) -> None:
        raise NewerVersion(
            f"{self.place} has format version {version.decode('ascii', 'replace')!r:.40}, this "
            f"is version {journal.VERSION}; it is left as it is: update workflow-state"
        )

    # --- what giving and taking rest on ---

    def prefix(self) -> str:
        """What the project's keys in the server begin with. Raises StoreError."""
        return f"workflow-state:{{{project_name(self.directory)}}}:"

    def standing(self, collection: str, name: str) -> tuple[int | None, int | None, str]:
        """A document's state here, the one that the server is known to have, and its stamp."""
        with Asking(self.database):
            found = self.database.open().execute(KNOWN, (collection, name)).fetchone()
        return found[0], found[1], found[2] or ""

    def needs(self, collection: str, name: str) -> list[tuple[int, int]]:
        """The lists that a document refers to, and as of which marks."""
        with Asking(self.database):
            found: list[tuple[int, int]] = (
                self.database.open()
                .execute(
                    "SELECT list, mark FROM refs WHERE shelf = ? AND name = ?", (collection, name)
                )
                .fetchall()
            )
        return found

    def outgoing(self, collection: str, name: str, before: str) -> tuple[bytes | None, str]:
        """A document's bytes for others, its secrets masked, and its stamp."""
        document = self.read(collection, name)
        if document is None:
            return None, ""
        data = without_secrets(collection, name, document, self.bytes_of(collection, name))
        return data, timestamps.saved(document, data, before)

    def bytes_of(self, collection: str, name: str) -> bytes:
        """A document's bytes as they are here, where there is one."""
        data: bytes = (
            self.database.open()
            .execute("SELECT data FROM documents WHERE shelf = ? AND name = ?", (collection, name))
            .fetchone()[0]
        )
        return data

    def owe(self, collection: str, name: str, known: str) -> None:
        """Give it again, with a stamp behind the one that is known."""
        here = self.standing(collection, name)[0]
        self.note(collection, name, AGAIN if here is None and known else None, known, theirs=False)

    def note(
        self, collection: str, name: str, number: int | None, stamp: str, theirs: bool
    ) -> None:
        """Note which state of a document, None for none, the server has, and its stamp."""
        self.database.open().execute(
            "INSERT OR REPLACE INTO shared VALUES (?, ?, ?, ?, ?)",
            (collection, name, number, stamp, theirs),
        )

    def _delete(self, collection: str, name: str) -> bool:
        """Remove a document, and note when: others may save it later than that."""
        done = super()._delete(collection, name)
        if done and collection in (KEYS, CHECKPOINTS):
            self.database.open().execute(
                "INSERT OR REPLACE INTO removals VALUES (?, ?, ?)",
                (collection, name, journal.now()),
            )
        return done

    def remove(self, collection: str, name: str) -> None:
        """Remove what another machine has removed."""
        super()._delete(collection, name)

    def _quarantine(self, collection: str, name: str, wrong: str) -> StoreError:
        """Nobody removed it: it is taken anew from the server, with all its rows."""
        lists = [list_ for list_, _ in self.needs(collection, name)]
        message = super()._quarantine(collection, name, wrong)
        with Asking(self.database):
            execute = self.database.open().execute
            execute("DELETE FROM shared WHERE shelf = ? AND name = ?", (collection, name))
            for list_ in lists:
                execute("UPDATE shared_lists SET mark = 0, taken = 0 WHERE list = ?", (list_,))
        return message

    def _begin(self) -> None:
        super()._begin()
        if self._knows is not self.database.current:
            with Asking(self.database):
                self._know()
            self._knows = self.database.current

    def _know(self) -> None:
        """Make the tables of this, and see that the database was not copied from elsewhere.

        Two machines that add to one list, each its own, would make it nobody's.
        """
        execute = self.database.open().execute
        for statement in statements(SHARED):
            execute(statement)
        here = f"{os.uname().nodename} {os.stat(self.database.path).st_ino}"
        found = execute("SELECT value FROM facts WHERE name = 'place'").fetchone()
        if found != (here,):
            if found:
                execute("UPDATE lists SET session = '', member = ''")
            execute("INSERT OR REPLACE INTO facts VALUES ('place', ?)", (here,))


def give(directory: str) -> None:
    """Give what a state directory owes, in a process of its own: nobody waits for this one.

    What goes wrong is told at the next start of a session, which tries as well.
    """
    try:
        Redis(directory, journal.environment("WORKFLOW_STATE_STORE")).exchange(GIVE, take=False)
    except StoreError:
        pass
    os._exit(0)
