"""What a stop owes other machines is sent by a process of its own, for which nobody waits.

The client of a server takes longer to load than all of a stop, and a network takes what it takes.
Should the process be killed, or the server be gone, the next one sends what is owed.
"""

from __future__ import annotations

import os
import sys

SECONDS = 30.0

_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from lib.courier import main; main(sys.argv[2])"
)


def send(directory: str) -> None:
    """Start a process that sends what a state directory owes. Raises OSError."""
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    command = [sys.executable, "-I", "-S", "-c", _CODE, root, directory]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=nothing, setpgroup=0)


def main(directory: str) -> None:
    """Send it: what goes wrong is told at the next start of a session, which tries as well."""
    from . import journal
    from .stores import StoreError, open_store

    try:
        store = open_store(journal.environment("WORKFLOW_STATE_STORE"), directory)
        store.exchange(SECONDS, take=False)
    except StoreError:
        pass
    os._exit(0)
