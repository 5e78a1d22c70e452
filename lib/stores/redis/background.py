"""The background push: a process of its own sends what a stop saved, and no hook waits for it.

The client of a server takes longer to load than a whole stop, and a network may take any time.
Should the process be killed, or the server be gone, the next push sends what is pending.
"""

from __future__ import annotations

import os
import sys

_CODE = """
import sys
sys.path.insert(0, sys.argv[1])
from lib.stores.redis.store import push_pending
push_pending(sys.argv[2])
"""


def start(directory: str) -> None:
    """Start a process that sends what is pending in a state directory. Raises OSError."""
    root = os.path.realpath(__file__)
    for _ in range(4):
        root = os.path.dirname(root)
    nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    command = [sys.executable, "-I", "-S", "-c", _CODE, root, directory]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=nothing, setpgroup=0)
