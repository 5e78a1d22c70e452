"""The head of a session's checkpoint, read without its store: for a stop that may change nothing.

Only where documents are files in the state directory: another store would have to be opened first.
"""

from __future__ import annotations

import os

from ..format.json_text import loads
from ..recording import journal
from . import CHECKPOINTS, FILES, KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import Document

HEAD = 4096
"""Bytes of a checkpoint that are read: what stands before its keys."""


def read_head(url: str, state: int, name: str) -> Document | None:
    """What stands before the keys of a checkpoint that is newer than every key.

    None where the store at `url` has no files, or a key was saved since. Raises OSError, and
    ValueError for a file of another layout.
    """
    if url not in FILES:
        return None
    where = f"{CHECKPOINTS}/{journal.stem(name)}.json"
    descriptor = os.open(where, journal.READ, dir_fd=state)
    try:
        text = os.read(descriptor, HEAD).decode("ascii", "replace")
        made = os.fstat(descriptor).st_mtime_ns
    finally:
        os.close(descriptor)
    head: Document = loads(text[: text.index(',\n  "keys": ')] + "}")
    return head if _keys_are_older(state, made) else None


def _keys_are_older(state: int, made: int) -> bool:
    """Whether no key changed since the checkpoint was written, and no restore began."""
    folder = os.open(KEYS if _is_apart(state) else ".", journal.DIRECTORY, dir_fd=state)
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".json")]
        changed = [os.stat(name, dir_fd=folder, follow_symlinks=False) for name in names]
        changed.append(os.fstat(folder))
    finally:
        os.close(folder)
    times = [status.st_mtime_ns for status in changed]
    # A change in the same tick of the clock cannot be told apart, so it counts as later.
    return max([*times, os.fstat(state).st_mtime_ns]) < made


def _is_apart(state: int) -> bool:
    """Whether the keys have a folder: the first version kept them beside its README."""
    try:
        os.stat(KEYS, dir_fd=state)
    except FileNotFoundError:
        return False
    return True
