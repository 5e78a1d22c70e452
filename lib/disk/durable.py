"""Changes on disk that are whole and survive a power cut: files, directories, and their names.

A file's sync does not cover its name, so each function syncs the directory too, where the file
system can. A name is that of an entry of `folder`, an open directory, or a path where there is
none. All functions raise OSError.
"""

from __future__ import annotations

import os
import time
from errno import EINVAL, ENOTSUP, EROFS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Union

    Content = Union[bytes, bytearray, Callable[[int], None]]
    """What a file will hold, or a function that writes it to a descriptor."""

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

TEMPORARY = ".tmp-"
"""The beginning of a file's name, before random digits, until the file is whole."""

RETIRED = 3600
"""Seconds after which the writer of a temporary file is taken for dead."""


class NotDurable(OSError):
    """The change is made, but a power cut may undo it: the directory's sync failed."""


# --- directories -------------------------------------------------------------------------------


def sync_directory(directory: int) -> None:
    """Sync the names in an open directory, where the file system can."""
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in (EINVAL, ENOTSUP, EROFS):
            raise


def sync_parent(path: str) -> None:
    """Sync the name of what is at `path`: without it, all below may be lost with power."""
    try:
        descriptor = os.open(_parent(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # a directory that this user may write and not read: the user cannot sync it
    try:
        sync_directory(descriptor)
    finally:
        os.close(descriptor)


def make_directory(parent: int, name: str, mode: int) -> None:
    """Make a directory in an open one, if it is missing."""
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        pass
    sync_directory(parent)


def make_directories(path: str, mode: int) -> None:
    """Make the directory `path` and its parents, those that are missing."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_directories(_parent(path), mode)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            return
    sync_parent(path)


# --- files -------------------------------------------------------------------------------------


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    """Write all of the data."""
    while data:
        data = data[os.write(descriptor, data) :]


def write_new(
    name: str, content: Content, folder: int | None = None, mode: int = 0o600, sync: bool = True
) -> None:
    """Make a file with this content, or none; its name is not synced.

    Raises FileExistsError where there is one.
    """
    descriptor = os.open(name, CREATE, mode, dir_fd=folder)
    try:
        try:
            if isinstance(content, (bytes, bytearray)):
                write_all(descriptor, content)
            else:
                content(descriptor)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)  # not silently: some file systems report a full disk here
    except BaseException:
        discard(name, folder)
        raise


def replace(
    name: str,
    content: Content,
    folder: int | None = None,
    mode: int = 0o600,
    check: Callable[[], None] | None = None,
    sync: bool = True,
) -> None:
    """Put a file with this content in place of any older one: a reader sees the one or the other.

    `check` runs just before the file gets its name; if it raises, all stays as it was. Without
    `sync` it is whole, but a power cut may undo it. Raises NotDurable.
    """
    _place(name, content, folder, mode, check, os.replace, sync)


def create(name: str, content: Content, folder: int | None = None, mode: int = 0o600) -> None:
    """Make a file with this content appear whole, if there is none of its name.

    Raises FileExistsError where there is one, and NotDurable.
    """
    _place(name, content, folder, mode, None, os.link)


def _place(
    name: str,
    content: Content,
    folder: int | None,
    mode: int,
    check: Callable[[], None] | None,
    put: Callable[..., None],
    sync: bool = True,
) -> None:
    """Write a temporary file, and give it its name by a rename or a link."""
    temporary = f"{name[: name.rfind('/') + 1]}{TEMPORARY}{os.urandom(8).hex()}"
    try:
        write_new(temporary, content, folder, mode, sync)
        try:
            if check:
                check()
            put(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            discard(temporary, folder)
            raise
    except OSError as error:
        if error.filename == temporary:  # a name that nobody knows
            error.filename, error.filename2 = name, None
        raise
    if put is os.link:
        discard(temporary, folder)
    if sync:
        _sync_name(name, folder)


def rename(source: str, target: str, folder: int | None = None) -> None:
    """Rename within one directory, over any older file. Raises NotDurable."""
    os.replace(source, target, src_dir_fd=folder, dst_dir_fd=folder)
    _sync_name(target, folder)


def remove(name: str, folder: int | None = None) -> bool:
    """Remove a file; False where there is none. Raises NotDurable."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    _sync_name(name, folder)
    return True


def discard(name: str, folder: int | None = None) -> None:
    """Remove a temporary file, if it is there and can be removed; a later cleanup tries again."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        pass


def clean_up(folder: int) -> None:
    """Remove the temporary files of an open folder whose writers were killed."""
    for entry in os.listdir(folder):
        if entry.startswith(TEMPORARY) and _is_retired(entry, folder):
            discard(entry, folder)


def _is_retired(file: str, folder: int) -> bool:
    try:
        status = os.stat(file, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False  # another cleanup was there first
    return time.time() - status.st_mtime > RETIRED


def _sync_name(name: str, folder: int | None) -> None:
    try:
        if folder is None:
            sync_parent(name)
        else:
            sync_directory(folder)
    except OSError as error:
        said = f"the change is made, but a power cut may undo it ({error.strerror})"
        raise NotDurable(error.errno, said, name) from error


def _parent(path: str) -> str:
    head, slash, _ = path.rstrip("/").rpartition("/")
    return head or slash or "."
