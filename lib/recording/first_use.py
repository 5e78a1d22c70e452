"""What is made once: the user's own place and key, and what each state directory has.

In a file of its own because nearly every call finds it all there.
"""

from __future__ import annotations

import os
import time
from errno import EDQUOT, EFBIG, EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC

from ..disk.durable import (
    TEMPORARY,
    make_directories,
    make_directory,
    replace,
    sync_directory,
    write_new,
)
from ..disk.locks import lock
from . import journal
from .project_file import PROJECTS

PASSING = (EDQUOT, EFBIG, EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC)
"""What may be otherwise at the next call: it does not say that no key can be had."""

SIGN = b"Written by workflow-state"
"""How the README of each directory of ours begins, which shows that it is one."""

GITIGNORE = b"*\n"
README = (
    SIGN + b"'s hooks: the phase, files and checkpoints of Claude Code sessions in a\n"
    b"project. It is yours; delete this directory and they start afresh.\n"
)
HOME_README = (
    SIGN + b": what its hooks recorded of your Claude Code sessions, a directory\n"
    b"for each project in projects/, and the key that signs it. No other user may read it.\n"
    b"Delete a directory in projects/, and the next session of that project starts afresh.\n"
    b"`workflow-state uninstall --purge`, typed in a project, does the same.\n"
)
_ALLOWED = ("keys", ".gitignore", "README", "lost+found", ".lock")
_OURS = (TEMPORARY, "state.sqlite3")
"""What a directory may hold that is about to become a state directory, and how its names begin."""

KEY_BYTES = 32
KEY_SECONDS = 1.0
"""How long a key that another process is making may take."""


# --- a state directory -------------------------------------------------------------------------


def initialize(directory: str) -> None:
    """Make a state directory whole, if it is not. Raises OSError, and Unusable for another's.

    `sessions` is made last: who finds it looks for the rest no more.
    """
    refuse_other(directory)
    if os.path.isdir(directory + "/sessions"):
        return
    if not os.path.lexists(PROJECTS.get(directory, "/")):
        raise journal.Unusable(f"the project directory {PROJECTS[directory]} does not exist")
    if journal.at_home(directory):
        _initialize_home()
    make_directories(directory, 0o700)
    state = os.open(directory, journal.DIRECTORY)
    try:
        if not is_state(directory):  # the first version kept the keys beside the README
            make_directory(state, "keys", 0o700)
        if journal.at_home(directory):
            from .project_file import write_project

            write_project(state, directory)
        _write_missing(((".gitignore", GITIGNORE), ("README", README)), state)
        make_directory(state, "sessions", 0o700)
    finally:
        os.close(state)


def _initialize_home() -> None:
    home = journal.state_home()
    make_directories(home + "/projects", 0o700)
    folder = os.open(home, journal.DIRECTORY)
    try:
        _write_missing(((".gitignore", GITIGNORE), ("README", HOME_README)), folder)
    finally:
        os.close(folder)


def _write_missing(files: tuple[tuple[str, bytes], ...], folder: int) -> None:
    """Write those files of an open folder that are missing. Each appears whole."""
    for name, text in files:
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            replace(name, text, folder)


def refuse_other(directory: str) -> None:
    """Raise Unusable for a directory that holds other things than a state; one may be missing."""
    if journal.at_home(directory) or is_state(directory):
        return
    try:
        found = os.listdir(directory)
    except (FileNotFoundError, PermissionError):
        return
    except NotADirectoryError:
        found = [directory]
    strange = any(name not in _ALLOWED and not name.startswith(_OURS) for name in found)
    if strange and not is_state(directory):  # another process may have made it one meanwhile
        raise journal.Unusable(
            f"{directory} is no state directory: it holds other files, and was left as it is; "
            "name an empty directory, or one that does not exist"
        )


def is_state(directory: str) -> bool:
    """Whether a directory has our README or, where that was damaged, the rest of ours."""
    if begins(directory + "/README", SIGN):
        return True
    folders = [os.path.isdir(f"{directory}/{name}") for name in ("keys", "sessions")]
    return all(folders) and begins(directory + "/.gitignore", GITIGNORE)


def begins(path: str, text: bytes) -> bool:
    try:
        descriptor = os.open(path, journal.READ)
        try:
            return os.read(descriptor, len(text)) == text
        finally:
            os.close(descriptor)
    except OSError:
        return False


# --- the key -----------------------------------------------------------------------------------


def make_key(path: str) -> bytes:
    """Make the user's key, and return it; of two processes that make it at once, the first one's.

    One that a kill or a power cut left short was never used, and is made anew. b"" where it cannot
    be made. Raises Unusable where that may be otherwise at the next call.
    """
    home, name = os.path.split(path)
    try:
        _initialize_home()
        folder = os.open(home, journal.DIRECTORY)
        try:
            _wait_for(folder, path)
            _write_key(name, folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno in PASSING:
            raise journal.Unusable(
                f"{path}: {error.strerror}; without it nothing can be signed or verified"
            ) from None
        return b""
    return journal.read_key()  # b"" where the file system lets others read it


def _wait_for(folder: int, path: str) -> None:
    """Lock the directory of the key."""
    give_up = time.monotonic() + KEY_SECONDS
    while not lock(folder, otherwise=True):
        if time.monotonic() > give_up:
            raise journal.Unusable(f"{path}: another process is making it; try again")
        time.sleep(0.01)


def _write_key(name: str, folder: int) -> None:
    """Write the key, if it is not whole."""
    try:
        write_new(name, os.urandom(KEY_BYTES), folder)
        sync_directory(folder)  # lost with power, it would make all signed with it foreign
    except FileExistsError:
        if os.stat(name, dir_fd=folder).st_size < KEY_BYTES:
            replace(name, os.urandom(KEY_BYTES), folder)
