"""The search for the user's own place where the environment does not simply name it."""

from __future__ import annotations

import os
import stat

from . import journal
from .first_use import PASSING


def search(base: str) -> str:
    """`workflow-state` in the first directory that can be this user's; "" for none.

    base  what the environment names: $XDG_STATE_HOME, or ~/.local/state, or ""
    """
    bases = [base, _of_the_password_database()]
    paths = [each + "/workflow-state" for each in bases if each]
    for wanted in (os.geteuid(), 0):  # root's: a home that belongs to nobody, but can be written
        for path in paths:
            owner, there = _owner(path)
            if owner == wanted and (owner == os.geteuid() or os.access(there, os.W_OK | os.X_OK)):
                return path
    return ""


def _of_the_password_database() -> str:
    try:
        from pwd import getpwuid

        home = getpwuid(os.geteuid()).pw_dir
    except (ImportError, KeyError):
        return ""
    return home.rstrip("/") + "/.local/state" if home[:1] == "/" else ""


def _owner(path: str) -> tuple[int, str]:
    """Who owns a path, or the nearest directory above it that is there; -1 where none can tell.

    Nor can a file: HOME is /dev/null for some.
    """
    while True:
        try:
            status = os.stat(path)
            return status.st_uid if stat.S_ISDIR(status.st_mode) else -1, path
        except (FileNotFoundError, NotADirectoryError):
            path = path[: path.rfind("/")] or "/"
        except OSError as error:
            if error.errno in PASSING:  # else a record would be signed with no key
                raise journal.Unusable(f"{path}: {error.strerror}") from None
            return -1, path
