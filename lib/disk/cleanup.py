"""Temporary files and directories that their makers keep locked: a dead maker is known at once.

In a file of its own because every stop loads durable.py.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager

from .durable import RETIRED, TEMPORARY, discard, make_directories
from .locks import lock, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 10.0
"""How long another process is waited for."""


def remove_unlocked(folder: str) -> None:
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
                    discard(path)
        finally:
            os.close(descriptor)


@contextmanager
def alone(folder: str, make: bool) -> Iterator[None]:
    """Keep other processes out that ask for the same folder, which is made if that is wanted.

    Where it cannot be opened, and where the file system has no locks, it goes on without. Raises
    Busy.
    """
    try:
        if make:
            make_directories(folder, 0o700)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        wait(descriptor, folder, SECONDS)
        yield
    finally:
        os.close(descriptor)
