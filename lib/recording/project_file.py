"""project.json: which project a state at home is of, so that a moved one finds it again."""

from __future__ import annotations

import os

from ..disk.durable import replace
from . import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE = "project.json"


def write_project(state: int, directory: str) -> None:
    """Write the file into an open state directory, if the project of it is known and is there."""
    project = PROJECTS.get(directory)
    if project is not None:
        replace(FILE, journal.encode(about(project)).encode() + b"\n", state)


PROJECTS: dict[str, str] = {}
"""The projects of the state directories that this process looked for."""


def read_about(directory: str) -> dict[str, Any]:
    """What a state at home says of its project; {} for nothing."""
    try:
        descriptor = os.open(f"{directory}/{FILE}", journal.READ)
        try:
            found = journal.parse(os.read(descriptor, 1 << 16).decode())
        finally:
            os.close(descriptor)
    except (OSError, ValueError, journal.Unusable):
        return {}
    return found if isinstance(found.get("path"), str) else {}


def about(project: str) -> dict[str, object]:
    """What is kept of a project: its path, its directory's numbers, its repository and the host."""
    found: dict[str, object] = {"v": 1, "path": project}
    try:
        status = os.stat(project or "/")
        found.update(device=status.st_dev, inode=status.st_ino)
    except OSError:
        pass
    return {**found, "common": common_directory(project), "host": os.uname().nodename}


def common_directory(project: str) -> str:
    """The directory that all worktrees of the project's repository share; "" for no repository.

    git-worktree(1), "DETAILS": `.git` of a linked worktree is a file that names its own directory,
    in which `commondir` names the shared one.
    """
    git = project + "/.git"
    if os.path.isdir(git):
        return os.path.realpath(git)
    own = _read(git).partition("gitdir: ")[2]
    if not own:
        return ""
    own = os.path.join(project, own)
    return os.path.realpath(os.path.join(own, _read(own + "/commondir") or "."))


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.fsdecode(os.read(descriptor, 4096)).strip()
        finally:
            os.close(descriptor)
    except OSError:
        return ""
