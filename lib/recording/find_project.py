"""The search for the project that a directory belongs to, upwards from it."""

from __future__ import annotations

import os

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def search(start: str, home: str) -> str:
    """The nearest ancestor-or-self with a `.claude/state`, else with a `.git`, else `start`.

    Never above the home directory. The search for a state also ends at a linked worktree, and the
    home directory's own state is not taken for that of a repository below it.
    """
    here = start
    repository = ""
    while here:
        if _exists(here + "/.claude/state") and not (here == home and repository):
            return here
        if not repository and _exists(here + "/.git"):
            repository = here
            if _is_linked_worktree(here):
                break
        if here == home:
            break
        here = here[: here.rfind("/")]
    return repository or start


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False
    return True


def _is_linked_worktree(repository: str) -> bool:
    """Whether `.git` is the file of a linked worktree, which has work, and state, of its own."""
    try:
        descriptor = os.open(repository + "/.git", _READ)
    except OSError:
        return False
    try:
        return b"/worktrees/" in os.read(descriptor, 4096)
    except IsADirectoryError:
        return False
    finally:
        os.close(descriptor)
