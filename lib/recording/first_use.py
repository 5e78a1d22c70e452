"""What is made once: the state directory with what lies in it from the start, and the user's key.

Each appears whole and durable, or not at all. In a file of its own because nearly every call
finds it all there.
"""

from __future__ import annotations

import os
from errno import EINTR, EINVAL, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, ENOTSUP, EROFS

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

TEMPORARY = ".tmp-"
"""How a file is called, before random digits, until it is whole."""

PASSING = (EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC)
"""What may be otherwise at the next call: it does not say that no key can be had."""

GITIGNORE = b"*\n"
README = (
    b"Written by workflow-state's hooks: the phase, files and checkpoints of Claude Code sessions\n"
    b"in this project. It is yours; delete this directory and they start afresh.\n"
)


def sync_names(directory: int) -> None:
    """Make the names in an open directory durable, where the file system can. Raises OSError."""
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in (EINVAL, ENOTSUP, EROFS):
            raise


def _sync_parent(path: str) -> None:
    """Make the name of what is at `path` durable: without it all below would be lost with power."""
    parent = path.rstrip("/").rpartition("/")[0] or "/"
    try:
        descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # a folder that one may write in and not read: it cannot be synced by this user
    try:
        sync_names(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: str, mode: int) -> None:
    """Make `path` and its missing parents with `mode`, durably. Raises OSError."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_directories(path[: path.rstrip("/").rfind("/")] or "/", mode)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            return
    _sync_parent(path)


def make_directory(parent: int, name: str, mode: int) -> None:
    """Make a directory in an open one, durably: its files' fsync does not cover its own name."""
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        pass
    sync_names(parent)


def _write_new(name: str, data: bytes, folder: int | None = None) -> None:
    """Make a private file, whole and durable, or none. Raises OSError."""
    descriptor = os.open(name, CREATE, 0o600, dir_fd=folder)
    try:
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(ENOSPC, "only a part could be written", name)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise


def initialize(state: int) -> None:
    """Put `.gitignore` and `README` into a state directory that lacks them.

    Each appears whole: nobody would ever fill an empty `.gitignore` that a killed writer left,
    and git would see the state. They are durable before `sessions` is made: who finds that there
    looks for them no more.
    """
    made = False
    for name, text in ((".gitignore", GITIGNORE), ("README", README)):
        try:
            os.stat(name, dir_fd=state, follow_symlinks=False)
        except FileNotFoundError:
            temporary = TEMPORARY + os.urandom(8).hex()
            _write_new(temporary, text, state)
            os.rename(temporary, name, src_dir_fd=state, dst_dir_fd=state)
            made = True
    if made:
        sync_names(state)


def make_key(path: str) -> None:
    """Make the key appear whole: of two hooks that make it at once, both read the first one's."""
    make_directories(path[: path.rfind("/")], 0o700)
    temporary = f"{path}.{os.urandom(8).hex()}"
    _write_new(temporary, os.urandom(32))
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)
    _sync_parent(path)  # lost with power, it would make all that was signed with it a stranger's
