"""Whether anything happened since a session's checkpoint, without reading more than its head.

A checkpoint of a hundred thousand files takes long to read, and to write what it already says is
of no use to anybody. Nothing here is proof: who answers "nothing happened" wrongly delays the
next checkpoint, and what would be in it is in the journal and in the keys.
"""

from __future__ import annotations

import os

from ..errors import StoreError
from ..format import records
from ..format.json_text import loads
from ..recording import journal

HEAD = 4096
"""Bytes of a checkpoint that are read, and of the journal since: more is no idle time."""

_FACTS = {"v", "at", "check", "event", "mode"}
"""What the record of a stop holds that changes nothing but the time of the last one."""


def since_checkpoint(directory: str, session: str, project: str) -> bool:
    """Whether a session's checkpoint, made at a stop, says all there is but for further stops."""
    if journal.environment("WORKFLOW_STATE_STORE") not in ("", "json"):
        return False  # what another store holds is not to be had for nothing
    try:
        state = journal.open_state(directory)
        try:
            mark, made = _mark(state, session)
            if not mark or ("shell" in mark and _git_may_see(project)):
                return False
            return _keys_are_older(state, made) and _only_stops(state, session, mark)
        finally:
            os.close(state)
    except (OSError, ValueError, LookupError, TypeError, StoreError):
        return False  # whatever is wrong is told by who reads it all


def _mark(state: int, session: str) -> tuple[dict[str, object], int]:
    """How far into the journal the session's checkpoint reaches, and when it was written, in ns.

    Empty when it was not made at a stop, or is another session's.
    """
    name = "session-" + session.replace("~", ".")
    where = "checkpoints/" + journal.stem(name) + ".json"
    descriptor = os.open(where, journal.READ, dir_fd=state)
    try:
        text = os.read(descriptor, HEAD).decode("ascii", "replace")
        made = os.fstat(descriptor).st_mtime_ns
    finally:
        os.close(descriptor)
    head = loads(text[: text.index(',\n  "keys": ')] + "}")
    mark = head["journal"]
    fits = (head["v"], head["name"], head["trigger"]) == (journal.VERSION, name, "Stop")
    fits = fits and mark["session"] == session
    return (mark if fits else {}), made


def _git_may_see(project: str) -> bool:
    """Whether what a shell command changed can be seen later, if it has not been yet."""
    from ..project.git import repository_of

    return bool(repository_of(project))


def _keys_are_older(state: int, made: int) -> bool:
    """Whether nothing in the state directory changed since the checkpoint was written."""
    names = [name for name in os.listdir(state) if name.endswith(".json")]
    changed = [os.stat(name, dir_fd=state, follow_symlinks=False).st_mtime_ns for name in names]
    # In the same tick of the clock, who knows: so only what is older counts as older.
    return max([*changed, os.fstat(state).st_mtime_ns]) < made


def _only_stops(state: int, session: str, mark: dict[str, object]) -> bool:
    """Whether the journal is the one that the mark is of, with nothing behind it but stops."""
    offset = mark["offset"]
    descriptor = os.open(f"sessions/{session}.jsonl", journal.READ, dir_fd=state)
    try:
        size = os.fstat(descriptor).st_size
        if not isinstance(offset, int) or not 0 < offset < size <= offset + HEAD:
            return False
        if records.check_before(descriptor, offset) != mark["last"]:
            return False
        since = records.Replay(descriptor, session, offset)
        stops = all(record["event"] == "Stop" and _FACTS.issuperset(record) for record in since)
        return stops and not since.problems
    finally:
        os.close(descriptor)
