"""Processes that use one state at the same time as others: `workers.py ROLE DIRECTORY ...`.

Each goes on until its standard input is closed, and prints a line for what must not be: a kind of
trouble, a blank, and what was seen. The last line is `rounds` and their number.
"""

import os
import runpy
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

if __name__ == "__main__" and sys.argv[1] == "at":
    # Before anything of ours is imported, which keeps the clock that it finds.
    RIGHT, OFF = time.time, float(sys.argv[2])
    time.time = lambda: RIGHT() + OFF

from lib.format.records import Replay
from lib.maintenance import retention
from lib.project import place
from lib.recording import journal
from lib.state import Busy, State, StateError

OLD = {f"k{number:02d}": "old" for number in range(12)}
NEW = {f"k{number:02d}": "new" for number in range(6, 18)}
"""What the keys are at the two checkpoints between which is restored: no two sets of keys alike."""


def told_to_stop(wait=0.0):
    """Whether standard input was closed; waits for it, at most so long."""
    return bool(select.select([0], [], [], wait)[0])


def is_whole(values):
    """Whether keys are one of the two sets and no mixture of them."""
    return values in (OLD, NEW)


def prepare(directory, aged="0"):
    """Make the checkpoints `old` and `new`, with the new keys in place, and so many old journals."""
    for number in range(int(aged)):
        journal.write(directory, f"aged-{number}", {"event": "Unlink"})
        old = time.time() - (retention.DAYS + 10) * 86400 - number
        os.utime(f"{directory}/sessions/aged-{number}.jsonl", (old, old))
    state = State(directory, "")
    for name, values in (("old", OLD), ("new", NEW)):
        for key in set(state.keys()) - set(values):
            state.delete_state(key)
        for key, value in values.items():
            state.save_state(key, value)
        state.checkpoint(name)


def keys_in(directory):
    """The keys of the two sets that are there now, read in one go as `diff` does."""
    state = State(directory, "")
    changes = state.diff("old")["keys"]
    was, now = ({k: v[n] for k, v in changes["changed"].items()} for n in (0, 1))
    same = {k: v for k, v in OLD.items() if k not in changes["removed"] and k not in was}
    return {k: v for k, v in {**same, **now, **changes["added"]}.items() if k[:1] == "k"}


class Reader:
    """One who looks at everything, and remembers what was there the last time."""

    def __init__(self, directory):
        self.directory = directory
        self.records = {}
        self.files = {}

    def look(self):
        """One look at everything that can be read without a lock; yields what must not be."""
        yield from self.look_at_each_key()
        yield from _told(self._checkpoints())
        for _, session in place.journals(self.directory):
            yield from _told(self._records(session))
            yield from _told(self._live(session))

    def look_at_each_key(self):
        """One look at the list of keys and at the value of each."""
        yield from _told(self._keys())

    def look_at_all_keys(self):
        """One look at the keys as they are at one moment."""
        yield from _told(self._at_once())

    def _keys(self):
        state = State(self.directory, "")
        names = {name for name in state.keys() if name[:1] == "k"}
        if names not in (set(OLD), set(NEW)):
            yield f"mixed keys are {sorted(names)}"
        for name in names:
            if state.load_state(name) not in ("old", "new", None):
                yield f"mixed {name} is {state.load_state(name)!r}"

    def _at_once(self):
        values = keys_in(self.directory)
        if not is_whole(values):
            yield f"mixed the keys are {values}"

    def _checkpoints(self):
        state = State(self.directory, "")
        if not {"old", "new"} <= {about["name"] for about in state.checkpoints()}:
            yield "lost a checkpoint is not listed"
        for notice in state.sessions.notices:
            yield f"untrue {notice}"

    def _records(self, session):
        descriptor = place.open_journal(self.directory, session)
        if descriptor is None:
            return  # pruned since it was listed
        try:
            found = Replay(descriptor, session)
            records = [(record["event"], record.get("call"), record["at"]) for record in found]
        finally:
            os.close(descriptor)
        if found.problems:
            yield f"mixed {session} has {found.problems}"
        before = self.records.get(session, [])
        if records[: len(before)] != before:
            yield f"lost {session} had {len(before)} records, and no longer begins with them"
        self.records[session] = records

    def _live(self, session):
        state = State(self.directory, "")
        live = state.sessions.live(session) or {"files_processed": self.files.get(session, ())}
        files = set(live["files_processed"])
        if self.files.get(session, set()) - files:
            yield f"lost {session} no longer shows {self.files[session] - files}"
        self.files[session] = files
        for notice in state.sessions.notices:
            yield f"untrue {notice}"


def _told(troubles):
    """Troubles, with the errors that a reader must not meet among them."""
    try:
        yield from troubles
    except Busy:
        pass  # `diff` waits for writers, but not for ever
    except (StateError, OSError) as error:
        yield f"untrue {type(error).__name__}: {error}"


def read(directory, what="look"):
    """Look again and again, at everything or at keys alone: that is quick enough to meet restores."""
    reader, count = Reader(directory), 0
    while not told_to_stop():
        for trouble in getattr(reader, what)():
            print(trouble, flush=True)
        count += 1
    print("rounds", count, flush=True)


def restore(directory):
    """Restore the old and the new in turn."""
    print("ready", flush=True)
    count = 0
    while not told_to_stop(0.002):  # who polls for the lock would hardly ever find it free
        try:
            State(directory, "").restore_checkpoint(("old", "new")[count % 2])
            count += 1
        except Busy:
            pass  # the readers' `diff` had the lock
    print("rounds", count, flush=True)


def hold(directory):
    """Hold the writers' lock."""
    with State(directory, "").store.lock():
        print("ready", flush=True)
        while not told_to_stop(1):
            pass
    print("rounds", 1, flush=True)


def at(_seconds, script, *arguments):
    """Run a script whose clock is so many seconds off."""
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    ROLES = {"prepare": prepare, "read": read, "restore": restore, "hold": hold, "at": at}
    ROLES[sys.argv[1]](*sys.argv[2:])
