"""Whether anything happened since a session's checkpoint, without reading more than its head.

A checkpoint of a hundred thousand files takes long to read. Writing again what it holds already
helps nobody. A wrong "nothing happened" only delays the next checkpoint: what would be in it is in
the journal and in the keys.
"""

from __future__ import annotations

import os

from ..errors import StoreError
from ..format import records
from ..recording import journal
from ..stores.checkpoint_head import HEAD, read_head

_FACTS = {"v", "at", "check", "event", "mode"}
"""What the record of a stop holds that changes nothing but the time of the last one."""


def since_checkpoint(directory: str, session: str, project: str) -> bool:
    """Whether a session's checkpoint, made at a stop, holds everything but further stops."""
    try:
        state = journal.open_state(directory)
        try:
            mark = _mark(state, session)
            if not mark or ("shell" in mark and _git_may_see(project)):
                return False
            return _only_stops(state, directory, session, mark)
        finally:
            os.close(state)
    except (OSError, ValueError, LookupError, TypeError, StoreError):
        return False  # the full checkpoint reads everything, and reports what is wrong


def _mark(state: int, session: str) -> dict[str, object]:
    """How far into the journal the session's checkpoint reaches.

    Empty when it was not made at a stop, is another session's, or a key was saved since.
    """
    name = "session-" + session.replace("~", ".")
    head = read_head(journal.environment("WORKFLOW_STATE_STORE"), state, name)
    if head is None:
        return {}
    mark: dict[str, object] = head["journal"]
    fits = (head["v"], head["name"], head["trigger"]) == (journal.VERSION, name, "Stop")
    return mark if fits and mark["session"] == session else {}


def _git_may_see(project: str) -> bool:
    """Whether what a shell command changed can be seen later, if it has not been yet."""
    from ..project.git import repository_of

    return bool(repository_of(project))


def _only_stops(state: int, directory: str, session: str, mark: dict[str, object]) -> bool:
    """Whether the journal is the one that the mark is of, with nothing behind it but stops."""
    offset = mark["offset"]
    descriptor = os.open(f"sessions/{session}.jsonl", journal.READ, dir_fd=state)
    try:
        size = os.fstat(descriptor).st_size
        if not isinstance(offset, int) or not 0 < offset < size <= offset + HEAD:
            return False
        if records.check_before(descriptor, offset) != mark["last"]:
            return False
        since = records.Replay(descriptor, session, offset, directory=directory)
        stops = all(record["event"] == "Stop" and _FACTS.issuperset(record) for record in since)
        return stops and not since.problems
    finally:
        os.close(descriptor)
