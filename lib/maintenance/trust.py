"""Adopting what others wrote: in a clone, by a colleague, or by the user on another machine.

What is whole but signed with another key, or not at all, is signed anew with the user's key. Only
the user's command does this; nothing in the state directory can.

A record's new signature is written over the old one, which has the same length: whoever appends to
the journal meanwhile loses nothing. Then a record `Adopted` is appended: from there a fold starts
over, because a checkpoint may have been made when the records before it did not count.
"""

from __future__ import annotations

import os

from ..errors import StoreError
from ..format import records
from ..format.documents import verdict_on
from ..project import place
from ..recording import journal
from ..session.fold import ADOPTED
from ..session.live import checkpoint_name
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
    adopted: set[str] = set()
    with state.store.lock():
        for _, session in place.journals(state.directory):
            count = _adopt_journal(state, session, dry_run)
            counts["records"] += count
            if count:
                adopted.add(checkpoint_name(session))
        noted = set(adopted)
        for collection in (CHECKPOINTS, KEYS):
            for name in state.store.names(collection):
                document = state.store.read(collection, name)
                if document is not None and verdict_on(name, document) == records.FOREIGN:
                    counts[collection] += 1
                    adopted.add(name)
                    if not dry_run:
                        state.store.write(collection, name, state.store.sign(name, document))
        if not dry_run:
            for session in _built_on(state, adopted):
                if checkpoint_name(session) not in noted:
                    where = f"{state.directory}/sessions/{session}.jsonl"
                    before = os.lstat(where)
                    _keep_time(where, before, _note(state, session))
    return counts


def _adopt_journal(state: State, session: str, dry_run: bool) -> int:
    """Sign a journal's foreign records where they are; returns how many there are."""
    descriptor = place.open_journal(state.directory, session)
    if descriptor is None:
        return 0
    where = f"{state.directory}/sessions/{session}.jsonl"
    count = added = 0
    writing = -1
    try:
        before = os.fstat(descriptor)
        for start, signature in records.foreign(descriptor, session):
            if not dry_run and not count:
                writing = _open_again(state, session, descriptor)
                added = _note(state, session)  # if this is killed, some records count already
            if not dry_run and os.pwrite(writing, signature, start) != len(signature):
                raise OSError(0, "a signature was written in part; run it again")
            count += 1
        if count and not dry_run:
            os.fsync(writing)
            _keep_time(where, before, added + _note(state, session))
    except OSError as error:
        raise StoreError(f"{where}: {error.strerror or error}") from error
    finally:
        os.close(descriptor)
        if writing >= 0:
            os.close(writing)
    return count


def _open_again(state: State, session: str, reading: int) -> int:
    """An open journal for writing too. It was checked for reading, and must be the same file."""
    sessions = journal.descend(journal.open_state(state.directory), "sessions")
    try:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(session + ".jsonl", flags, dir_fd=sessions)
    finally:
        os.close(sessions)
    if not os.path.samestat(os.fstat(descriptor), os.fstat(reading)):
        os.close(descriptor)
        raise OSError(0, "another process put another file in its place; run it again")
    return descriptor


def _note(state: State, session: str) -> int:
    """Append the record from which a fold starts over; the number of its bytes."""
    note = {"v": journal.VERSION, "at": journal.now(), "event": ADOPTED}
    state.sessions.write(session, {"event": ADOPTED})
    return len(journal.sign(session, note, records.users_key()))


def _keep_time(where: str, before: os.stat_result, added: int) -> None:
    """Give a journal its time back, which shows which session was active last.

    It has a new one if a hook appended to it meanwhile.
    """
    if os.lstat(where).st_size == before.st_size + added:
        os.utime(where, ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)


def _built_on(state: State, adopted: set[str]) -> list[str]:
    """The sessions with a journal whose checkpoint was adopted, or that continue one of these."""
    sessions = [session for _, session in place.journals(state.directory)]
    seen = {session: state.sessions.glimpse(session) for session in sessions}
    before = {
        session: checkpoint_name(live["continues"])
        for session, live in seen.items()
        if live and live["continues"]
    }
    found = {session for session in sessions if checkpoint_name(session) in adopted}
    while True:
        names = adopted | {checkpoint_name(session) for session in found}
        more = {session for session, name in before.items() if name in names} - found
        if not more:
            return sorted(found)
        found |= more
