"""Before a session starts, its project's state comes home, if it lies elsewhere."""

from __future__ import annotations

import os
import time

from ..disk import durable
from ..recording import journal
from ..recording.find_project import earlier_state, entries, last_record, moved_link, moved_state
from ..recording.project_file import PROJECTS, about, read_about, write_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def settle(project: str) -> str:
    """Bring a project's state home, if it lies elsewhere; returns what the user should be told.

    Raises StoreError, OSError and Unusable. Then all is as it was.
    """
    if journal.environment("WORKFLOW_STATE_DIR") or not project:
        return ""
    entry = journal.project_entry(project)
    is_new = not os.path.isdir(entry)
    moved = moved_state(project) if is_new else ""
    if moved:
        rename(moved, entry, project)
    elif earlier_state(project):
        from .move_home import move  # loads much, once in a project's life

        move(project + journal.VIEW, entry, project)
    elif is_new:
        return _offer(project)
    else:
        _refresh(entry, project)
    return ""


def _refresh(entry: str, project: str) -> None:
    """Keep project.json true: a directory that was made anew has another number."""
    known, now = read_about(entry), about(project)
    if {**known, **now} != known and "inode" in now:
        _write_project(entry, project)


def _write_project(entry: str, project: str) -> None:
    PROJECTS[entry] = project
    state = os.open(entry, journal.DIRECTORY)
    try:
        write_project(state, entry)
    finally:
        os.close(state)


def rename(moved: str, entry: str, project: str) -> None:
    """Name a moved project's state after its new path; a link leads hooks of the old path there."""
    try:
        os.rename(moved, entry)
    except FileNotFoundError:
        return  # another start was there first
    _write_project(entry, project)
    link = moved_link(moved)
    durable.make_directories(os.path.dirname(link), 0o700)
    durable.discard(link)
    os.symlink(os.path.basename(entry), link)
    durable.discard(moved_link(entry))  # it is in use again


def _offer(project: str) -> str:
    """A message about a state that the first version shared among the projects below a folder."""
    here = os.path.dirname(project)
    while len(here) > 1:
        if earlier_state(here):
            return (
                f"an earlier version kept one state for all projects below {here}, in "
                f"{here}{journal.VIEW}; `workflow-state move-state {here}` gives it to "
                "the project that it is typed in"
            )
        here = os.path.dirname(here)
    return ""


def forget_deleted(older: float, give_up: float) -> None:
    """Remove the states of projects that were deleted, unused for more than `older` seconds.

    A project on a disk that is not there now may come back: the nearest directory above its path
    must be on the disk that the project was on. Until `give_up`, by the monotonic clock. Raises
    OSError.
    """
    for entry, known in entries():
        if time.monotonic() > give_up:
            return
        if known.get("host") == os.uname().nodename and _is_deleted(known):
            if time.time() - last_record(entry) > older:
                from .purge import remove  # hardly any start does

                remove(entry)


def _is_deleted(known: dict[str, Any]) -> bool:
    above = known["path"]
    if os.path.lexists(above):
        return False
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    return bool(os.stat(above).st_dev == known.get("device"))
