"""What a killed process left is removed at once, by the next one that has the folder to itself."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager

from .durable import TEMPORARY, discard, make_directories
from .locks import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 10.0
"""How long `alone` waits for another process."""

_OURS = re.compile(re.escape(TEMPORARY) + "[0-9a-f]{16}")


def temporary(folder: str) -> str:
    """A new path in a folder, which `remove_temporary` recognizes."""
    return f"{folder}/{TEMPORARY}{os.urandom(8).hex()}"


def remove_temporary(folder: str) -> None:
    """Remove a folder's temporary files and directories: the caller is `alone`.

    Raises OSError.
    """
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if not _OURS.fullmatch(name):
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            discard(path)


@contextmanager
def alone(folder: str, make: bool) -> Iterator[None]:
    """Keep out other processes that ask for the same folder; `make` it if it is missing.

    If the folder cannot be opened, or the file system has no locks, go on without. Raises Busy.
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
