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
"""

from __future__ import annotations

import os
import sys
import time

from ...disk import locks
from ...errors import NewerVersion, StoreError
from ...recording import journal
from ..sqlite.salvage import salvaging
from .connection import ServerErrors, bounded, connect
from .tracked import EARLIER, FORMAT, Tracked

SECONDS = 5.0
"""What an exchange may take in all."""

PUSH_SECONDS = 30.0
"""The same of the background push."""

EXCHANGE = ".exchange"
"""The end of the name of the file that an exchange holds locked."""

_CODE = """
import sys
sys.path.insert(0, sys.argv[1])
from lib.stores.redis.store import push_pending
push_pending(sys.argv[2])
"""


class Redis(Tracked):
    """The store over a state directory that shares a project's documents through a server.

    url      redis://, rediss:// or unix://, which may hold a user and a password; so may
             WORKFLOW_STATE_REDIS_USER and WORKFLOW_STATE_REDIS_PASSWORD
    """

    def exchange(self, seconds: float = SECONDS, take: bool = True) -> None:
        """Pull what the server has, unless `take` is false, and push what it lacks.

        It ends after so many seconds, whatever the network does; the next one goes on. With 0
        seconds a background push is started instead. Raises StoreError.
        """
        if not seconds:
            try:
                start_push(self.directory)
            except OSError as error:
                raise StoreError(f"{self.place}: {error.strerror}") from error
            return
        # A store of its own: it may still be at work when its time is over.
        other = Redis(self.directory, self.server)
        give_up = time.monotonic() + seconds
        bounded(lambda: other._exchange_alone(give_up, take), seconds, self.place)
        self.notices += other.notices

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


def start_push(directory: str) -> None:
    """Start a process that sends what is pending in a state directory, so that no hook waits.

    The client of a server takes longer to load than a whole stop, and a network may take any time.
    Raises OSError.
    """
    root = os.path.realpath(__file__)
    for _ in range(4):
        root = os.path.dirname(root)
    nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    command = [sys.executable, "-I", "-S", "-c", _CODE, root, directory]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=nothing, setpgroup=0)


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
