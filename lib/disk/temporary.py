"""Temporary files whose writers were killed: they go once they are old."""

from __future__ import annotations

import os
import time

from .durable import TEMPORARY, discard

RETIRED = 3600
"""Seconds after which a temporary file's writer is taken for dead."""


def clean_up(folder: int, beginning: str = TEMPORARY) -> None:
    """Remove the old files of an open folder whose names begin so. Raises OSError."""
    for entry in os.listdir(folder):
        if entry.startswith(beginning) and _is_retired(entry, folder):
            discard(entry, folder)


def _is_retired(file: str, folder: int) -> bool:
    try:
        status = os.stat(file, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False  # another cleanup was there first
    return time.time() - status.st_mtime > RETIRED
