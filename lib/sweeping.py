"""Temporary files and directories that their makers keep locked: a dead maker is known at once.

Apart from litter.py, which every stop loads.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time

from .founding import TEMPORARY
from .litter import RETIRED, remove


def lock(descriptor: int, otherwise: bool) -> bool:
    """Whether nobody else has it locked; `otherwise` where the file system has no locks.

    The lock is held until every copy of the descriptor is closed.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return otherwise
    return True


def sweep_unlocked(folder: str) -> None:
    """Remove a folder's temporary files and directories that nobody has locked any more.

    Raises OSError.
    """
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if not name.startswith(TEMPORARY):
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue  # it went meanwhile, or is none of ours
        try:
            age = time.time() - os.fstat(descriptor).st_mtime
            if lock(descriptor, otherwise=age > RETIRED):
                if os.path.isdir(path):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    remove(path, None)
        finally:
            os.close(descriptor)
