"""What is made once: the files that each state directory has, and the user's key.

Each appears whole and durable, or not at all. In a file of its own because nearly every call
finds it all there.
"""

from __future__ import annotations

import os
from errno import EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC

from ..disk.durable import create, make_directories, replace, sync_parent

PASSING = (EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC)
"""What may be otherwise at the next call: it does not say that no key can be had."""

GITIGNORE = b"*\n"
README = (
    b"Written by workflow-state's hooks: the phase, files and checkpoints of Claude Code sessions\n"
    b"in this project. It is yours; delete this directory and they start afresh.\n"
)


def initialize(state: int) -> None:
    """Put `.gitignore` and `README` into a state directory that lacks them.

    Each appears whole: nobody would ever fill an empty `.gitignore` that a killed writer left,
    and git would see the state. They are durable before `sessions` is made: who finds that there
    looks for them no more.
    """
    for name, text in ((".gitignore", GITIGNORE), ("README", README)):
        try:
            os.stat(name, dir_fd=state, follow_symlinks=False)
        except FileNotFoundError:
            replace(name, text, state)


def make_key(path: str) -> None:
    """Make the key appear whole: of two hooks that make it at once, both read the first one's."""
    make_directories(path[: path.rfind("/")], 0o700)
    try:
        create(path, os.urandom(32))
    except FileExistsError:
        sync_parent(path)  # lost with power, it would make all that was signed with it foreign
