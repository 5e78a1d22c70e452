"""What is no file of ours is quarantined: renamed where it lies, so that its bytes are kept."""

from __future__ import annotations

import os
import stat
import time


def quarantine(file: str, folder: int | None) -> str:
    """Rename a file of an open folder out of the way; says what became of it.

    The caller has proof about its content or its kind: an error of a call proves nothing.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    kept = f"{file}.damaged-{stamp}-{os.urandom(2).hex()}"
    try:
        os.rename(file, kept, src_dir_fd=folder, dst_dir_fd=folder)
        status = os.stat(kept, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:  # no one else's file
            os.chmod(kept, 0o600, dir_fd=folder)
    except OSError as error:
        return f"it could not be quarantined: {error.strerror}"
    return f"its bytes are kept in {kept}"
