"""The lock among processes: the kernel's, on a file or a directory, so it goes with its owner."""

from __future__ import annotations

import errno
import os
import time

from ..errors import Busy

try:
    import fcntl
except ImportError:  # no locks on this platform: one writer at a time is the user's to keep
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
LOCK_SECONDS = 2.0
PAUSE = 0.005
"""Seconds between the first two tries."""


def acquire(folder: int | None, file: str, where: str, seconds: float | None = None) -> int:
    """The descriptor of a file of an open folder, locked; closing it lets go.

    Raises Busy after so many seconds, by default LOCK_SECONDS, and OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(file, flags, 0o600, dir_fd=folder)
    try:
        wait(descriptor, where, LOCK_SECONDS if seconds is None else seconds)
    except BaseException:
        release(descriptor)
        raise
    return descriptor


def wait(descriptor: int, where: str, seconds: float) -> None:
    """Lock an open file. Raises Busy after so many seconds."""
    give_up = time.monotonic() + seconds
    pause = PAUSE
    while not lock(descriptor, otherwise=True):
        left = give_up - time.monotonic()
        if left < 0:
            raise Busy(
                f"{where} has been held by another process for {seconds:g} seconds; "
                "nothing was changed, try again"
            )
        time.sleep(min(pause, left))
        # Many who ask all the time keep the one they wait for from its work.
        pause = min(1.2 * pause, 5 * PAUSE)


def lock(descriptor: int, otherwise: bool) -> bool:
    """Lock an open file, if nobody else has; `otherwise` where the file system has no locks.

    The lock is held until every copy of the descriptor is closed.
    """
    if fcntl is None:
        return otherwise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return otherwise and error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def release(descriptor: int) -> None:
    """Close what was only read or locked: an error here says nothing about that."""
    try:
        os.close(descriptor)
    except OSError:
        pass
