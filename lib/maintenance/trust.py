"""Adopting what others wrote: in a clone, by a colleague, or by the user on another machine.

What is whole but signed with another key, or not at all, is signed anew with the user's key. Only
the user's command does this; nothing in the state directory can.
"""

from __future__ import annotations

import os

from ..disk import durable
from ..errors import StoreError
from ..format import records
from ..format.documents import verdict_on
from ..project import place
from ..recording import journal
from ..session.lineage import is_running
from ..stores import CHECKPOINTS, KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..state import State


def adopt(state: State, dry_run: bool = False) -> dict[str, int]:
    """Sign all that is whole and foreign with the user's key; returns the numbers of each kind.

    These are "records", "checkpoints" and "keys". Raises StoreError, also without a key.
    """
    if not dry_run and not records.users_key(make=True):
        where = journal.key_path() or "the home directory"
        raise StoreError(f"there is no key of yours to sign with: {where} cannot be used")
    counts = {"records": 0, "checkpoints": 0, "keys": 0}
    with state.store.lock():
        for _, session in place.journals(state.directory):
            counts["records"] += _adopt_journal(state, session, dry_run)
        for collection in (CHECKPOINTS, KEYS):
            for name in state.store.names(collection):
                document = state.store.read(collection, name)
                if document is not None and verdict_on(name, document) == records.FOREIGN:
                    counts[collection] += 1
                    if not dry_run:
                        state.store.write(collection, name, state.store.sign(name, document))
    return counts


def _adopt_journal(state: State, session: str, dry_run: bool) -> int:
    """Replace a journal by one that is signed anew, if no process can be appending to it."""
    descriptor = place.open_journal(state.directory, session)
    if descriptor is None:
        return 0
    with open(descriptor, "rb") as file:
        data = file.read()
    adopted, count = records.sign_foreign(data, session)
    if not count or dry_run:
        return count
    if is_running(state.sessions, session):
        raise StoreError(f"session {session} is running and writes its journal: end it first")
    try:
        sessions = journal.descend(journal.open_state(state.directory), "sessions")
        try:
            before = os.stat(session + ".jsonl", dir_fd=sessions)
            durable.replace(session + ".jsonl", adopted, sessions)
            # Its time shows which session was active last; this was no activity.
            times = (before.st_atime_ns, before.st_mtime_ns)
            os.utime(session + ".jsonl", ns=times, dir_fd=sessions)
        finally:
            os.close(sessions)
    except OSError as error:
        raise StoreError(f"{state.directory}/sessions/{session}.jsonl: {error.strerror}") from error
    return count
