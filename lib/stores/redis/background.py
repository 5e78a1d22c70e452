"""What a stop owes other machines is sent by a process of its own, for which nobody waits.

The client of a server takes longer to load than all of a stop, and a network takes what it takes.
Should the process be killed, or the server be gone, the next one sends what is pending.
"""

from __future__ import annotations

import os
import sys

_CODE = """
import sys
sys.path.insert(0, sys.argv[1])
from lib.stores.redis import give
give(sys.argv[2])
"""


def send(directory: str) -> None:
    """Start a process that sends what a state directory owes. Raises OSError."""
    root = os.path.dirname(
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    )
    nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    command = [sys.executable, "-I", "-S", "-c", _CODE, root, directory]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=nothing, setpgroup=0)
