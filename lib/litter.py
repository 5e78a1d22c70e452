"""Temporary files whose writers were killed: they go once they are old.

Where a writer holds a lock on what it makes, one that is dead is known at once.
"""

from __future__ import annotations

import os
import shutil
import time

from .founding import TEMPORARY

RETIRED = 3600
"""Seconds after which a temporary file's writer is taken for dead."""


def sweep(folder: int, beginning: str = TEMPORARY) -> None:
    """Remove the old files of an open folder whose names begin so. Raises OSError."""
    for entry in os.listdir(folder):
        if entry.startswith(beginning) and _is_retired(entry, folder):
            remove(entry, folder)


def remove(file: str, folder: int | None) -> None:
    """Remove a temporary file, if it is there and can be removed; a later sweep tries again."""
    try:
        os.unlink(file, dir_fd=folder)
    except OSError:
        pass


def _is_retired(file: str, folder: int) -> bool:
    try:
        status = os.stat(file, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False  # another sweep was there first
    return time.time() - status.st_mtime > RETIRED


def lock(descriptor: int, otherwise: bool) -> bool:
    """Whether nobody else has it locked; `otherwise` where the file system has no locks.

    The lock is held until every copy of the descriptor is closed.
    """
    import fcntl

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
