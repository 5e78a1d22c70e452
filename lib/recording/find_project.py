"""The search for the project that a directory belongs to, and for where its state lies."""

from __future__ import annotations

import os

from . import journal
from .project_file import PROJECTS, read_about

MOVES = 20
"""How often a project may be moved before hooks of its first path lose it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# --- the project -------------------------------------------------------------------------------


def search(start: str) -> str:
    """The nearest ancestor-or-self with a `.git` or with a state at home, else `start` itself.

    The path is canonical. Never the home directory, unless it is `start`, nor one above it, nor a
    directory of another user's above one of this user's.
    """
    start = os.path.realpath(start or "/")
    if not os.path.lexists(start):
        return _moved_from(start) or start
    here = start
    homes = _homes()
    owners = {os.geteuid(), os.stat(start).st_uid}
    while here != "/":
        if here != start and (here in homes or os.stat(here).st_uid not in owners):
            break
        if os.path.lexists(here + "/.git") or _has_state(here):
            return here
        if here in homes:
            break
        here = os.path.dirname(here)
    return start.rstrip("/")


def _has_state(project: str) -> bool:
    """Whether a directory has a state of its own at home."""
    if journal.environment("WORKFLOW_STATE_DIR") or not journal.state_home():
        return False
    return os.path.isdir(journal.project_entry(project))


def _homes() -> set[str]:
    """The home directory by the environment, and by the user's own place."""
    homes = {journal.environment("HOME"), journal.state_home().partition("/.local/state/")[0]}
    return {os.path.realpath(home) for home in homes if home}


# --- its state ---------------------------------------------------------------------------------


def state_of(project: str, chosen: str = "") -> str:
    """Where a project's state lies, or will lie: nothing is made or moved here.

    `chosen` is a path from the project on, where the user named one.

    A project that was moved still has its state under the old path, until a session starts. So
    has one whose state the first version kept in the project.
    """
    entry = f"{project}/{chosen}" if chosen else journal.project_entry(project)
    PROJECTS[entry] = project
    if chosen:
        return entry
    if not os.path.isdir(entry):
        return moved_state(project) or earlier_state(project) or entry
    return entry


def earlier_state(project: str) -> str:
    """The state that the first version kept in the project, if it is this user's; or ""."""
    path = project
    for name in (".claude", "state", "sessions"):
        path = f"{path}/{name}"
        try:
            status = os.lstat(path)
        except OSError:
            return ""
        if status.st_mode & 0o170000 != 0o040000 or status.st_uid != os.geteuid():
            return ""
    return project + journal.VIEW


def moved_state(project: str) -> str:
    """The state of a project that was moved here: of its directory, whose old path is gone; or "".

    The number of a directory is used again for a new one. So something in the directory must be
    older than the last record of the state.
    """
    try:
        status = os.stat(project)
    except OSError:
        return ""
    for entry, about in entries():
        if (about.get("device"), about.get("inode")) != (status.st_dev, status.st_ino):
            continue
        if about["path"] != project and not os.path.lexists(about["path"]):
            if _is_older(project, last_record(entry)):
                return entry
    return ""


def entries() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each state at home, as a path, and what it says of its project."""
    home = journal.state_home()
    try:
        names = os.listdir(home + "/projects") if home else []
    except OSError:
        names = []
    for name in names:
        if name.startswith("."):
            continue
        entry = f"{home}/projects/{name}"
        about = read_about(entry)
        if about:
            yield entry, about


def last_record(entry: str) -> float:
    """When the last record of a state was written, in seconds since the epoch."""
    try:
        with os.scandir(entry + "/sessions") as journals:
            return max((each.stat().st_mtime for each in journals), default=0.0)
    except OSError:
        return 0.0


def _is_older(project: str, moment: float) -> bool:
    """Whether anything in a directory has not changed since a moment."""
    try:
        with os.scandir(project) as found:
            return any(each.stat(follow_symlinks=False).st_ctime <= moment for each in found)
    except OSError:
        return False


def moved_link(entry: str) -> str:
    """The link that leads from a state's old name to its new one, once its project was moved."""
    projects, name = os.path.split(entry)
    return f"{os.path.dirname(projects)}/moved/{name}"


def _moved_from(path: str) -> str:
    """Where the project now is whose old path is gone, once a session has started there; or ""."""
    entry = journal.project_entry(path) if path.strip("/") else ""
    for _ in range(MOVES):
        try:
            entry = f"{os.path.dirname(entry)}/{os.readlink(moved_link(entry))}"
        except OSError:
            break
    return str(read_about(entry).get("path", "")) if entry else ""
