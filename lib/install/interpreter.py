"""The Python interpreter that runs the hooks, and a link to it that avoids shims.

The shim of a version manager (pyenv, asdf) finds out at each call which Python to run, and takes
longer than four hooks. So each start of a session makes a link to the interpreter that runs it, and
the commands of all other events use this link. A start does not use it, so it always repairs it.
"""

from __future__ import annotations

import os
import sys
from errno import EINVAL, ENOENT

from ..disk.durable import TEMPORARY, clean_up, make_directories
from ..recording import journal

LINK = "python3"
"""The link's name, in the directory of the user's key: outside every repository."""


def interpreter() -> str:
    """The path of the interpreter that runs this, a virtual environment's base; "" if unknown."""
    path = os.path.realpath(sys.executable) if sys.executable else ""
    folder = os.path.dirname(path)
    if any(os.path.exists(f"{place}/pyvenv.cfg") for place in (folder, os.path.dirname(folder))):
        # A virtual environment of copies: outside its own folder, a copy finds no library.
        number = "{}.{}".format(*sys.version_info[:2])
        path = os.path.realpath(f"{sys.base_prefix}/bin/python{number}")
    return path if os.access(path, os.X_OK) else ""


def link_interpreter() -> None:
    """Point the link at the interpreter that runs this. Raises OSError.

    Not in a directory where others could replace the link by a program of theirs. A file in the
    link's place is the user's own choice, and stays.
    """
    target, key = interpreter(), journal.key_path()
    if not target or not key:
        return
    folder = os.path.dirname(key)
    make_directories(folder, 0o700)
    descriptor = os.open(folder, journal.DIRECTORY)
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.geteuid() and not status.st_mode & 0o022:
            _point(descriptor, target)
    finally:
        os.close(descriptor)


def _point(folder: int, target: str) -> None:
    try:
        if os.readlink(LINK, dir_fd=folder) == target:
            return
    except OSError as error:
        if error.errno == EINVAL:  # it is no link
            return
        if error.errno != ENOENT:
            raise
    clean_up(folder)
    temporary = TEMPORARY + os.urandom(8).hex()
    os.symlink(target, temporary, dir_fd=folder)
    os.replace(temporary, LINK, src_dir_fd=folder, dst_dir_fd=folder)
