"""A fold in parts: one that runs out of time leaves out records, and the next goes on from there.

A fold goes forward, but a successor needs the end most. So a fold that has not enough time goes
forward as far as it comes, keeps where it stands, and then reads the end of the journal. What it
kept is a file beside the journal. It is a copy, like a checkpoint, and believed only by its
signature: if it is lost, the next fold begins where the last checkpoint ends.
"""

from __future__ import annotations

import os
import stat

from ..disk import durable
from ..errors import StoreError
from ..format.documents import opened, signed, verdict_on
from ..format.records import CHUNK, OURS, Replay, check_before
from ..recording import journal
from . import states
from .fold import ADOPTED, fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..format.types import Continues, Live, Mark, Record, SessionState
    from .rules import Rules

SUFFIX = ".fold"
LARGEST = 512 << 20
"""Bytes of a file that is read: a million records may be of as many files."""

COUNTED = 1 << 30
"""Bytes of a journal whose records are counted; how many the rest has goes by these."""


class SignedAnew(Exception):
    """Records that did not count when a checkpoint was made count now."""


class Folding:
    """A session's state while its journal is read, part by part.

    state       the state as far as `offset`
    stopped     whether there was no time to read on
    incomplete  whether records are left out, here or of the session before
    """

    def __init__(
        self,
        descriptor: int,
        state: SessionState,
        mark: Mark,
        rules: Rules,
        base_of: Callable[[Continues], SessionState | None],
        directory: str,
    ) -> None:
        self._directory = directory
        self.state, self._mark, self._rules, self._base_of = state, mark, rules, base_of
        self._descriptor, self._session = descriptor, state["session_id"]
        self.offset, self._since = 0, ""
        self.anew: int = mark.get("anew", 0)
        self.problems = dict(mark.get("problems", {}))
        self.stopped = False
        self._unread = self._skipped = 0

    def begin(self, size: int, whole: int | None) -> None:
        """Go on from the mark, if the record that it names is still where it was.

        Otherwise the journal was cut, or is another of the same name: it is read whole, for what
        the checkpoint lacks. `whole`: the bytes of a journal that is read from nothing.
        """
        self._saved = whole is None
        self.anew = whole or self.anew
        self.offset = self._mark.get("offset", 0)
        if self.offset > size or self._last() != self._mark.get("last", ""):
            self.offset, self._since = 0, self.state["last_active"] or ""
            self.problems = {}

    def read(
        self, end: int | None, until: float, report: Callable[[int], None] | None = None
    ) -> None:
        """Fold as far as `end`, or as there is time."""
        records = Replay(
            self._descriptor, self._session, self.offset, end, report, until, self._directory
        )
        self.state = fold(self.state, self._counting(records), self._rules, self._base)
        for kind, count in records.problems.items():
            self.problems[kind] = self.problems.get(kind, 0) + count
        self.offset, self.stopped = records.offset, records.stopped

    def _counting(self, records: Replay) -> Iterator[Record]:
        """The records that count. Raises SignedAnew where a checkpoint lacks some before it."""
        for record in records:
            if self._saved and record["event"] == ADOPTED and records.offset > self.anew:
                raise SignedAnew
            if record["at"] > self._since:
                yield record

    def _base(self, continues: Continues) -> SessionState | None:
        base: Any = self._base_of(continues)
        self._unread += base.get("journal", {}).get("unread", 0) if base else 0
        known: SessionState | None = base
        return known

    @property
    def incomplete(self) -> bool:
        return bool(self._unread or self._skipped)

    def skip(self, offset: int) -> None:
        """Leave out what lies before an offset, uncounted."""
        self._skipped, self.offset = offset - self.offset, offset
        if self._saved:
            self.state = {**self.state, "in_flight": []}  # they may have ended in what is not read

    def leave_out(self, offset: int) -> None:
        """Leave out the records before an offset, because there was no time."""
        self._unread += records_between(self._descriptor, self.offset, offset)
        self.state, self.offset = states.beyond_a_gap(self.state), offset

    def _last(self) -> str:
        return check_before(self._descriptor, self.offset)

    def mark(self) -> Mark:
        """How far the state reaches."""
        return {"offset": self.offset, "last": self._last(), "problems": dict(self.problems)}

    def live(self) -> Live:
        """The state, with how far it reaches and what it lacks."""
        live: Live = {**self.state, "journal": self.mark()}
        if self._skipped:
            live["journal"]["skipped"] = self._skipped
        if self._unread:
            live["journal"]["unread"] = self._unread
        return live


# --- where a fold stands ---------------------------------------------------------------------


def _scope(session: str) -> str:
    return f"sessions/{session}{SUFFIX}"  # no checkpoint has such a name


def _folder(directory: str) -> int:
    return journal.descend(journal.open_state(directory), "sessions")


def read(directory: str, session: str) -> tuple[SessionState, Mark] | None:
    """The state that a fold came to, and how far it reaches; None where there is none to go by."""
    try:
        folder = _folder(directory)
        try:
            descriptor = os.open(session + SUFFIX, journal.READ, dir_fd=folder)
        finally:
            os.close(folder)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            plain = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            if not plain or status.st_size > LARGEST:
                return None
            data = file.read(LARGEST)
        document = opened(_scope(session), data)
    except (OSError, ValueError, RecursionError, StoreError):
        return None
    known = document.get("v") == journal.VERSION and document.get("name") == _scope(session)
    if not known or verdict_on(_scope(session), document) != OURS:
        return None
    mark: Mark = document["journal"]
    return states.complete(document["session"]), mark


def keep(directory: str, session: str, state: SessionState, mark: Mark) -> None:
    """Keep a state and how far it reaches, if that can be written."""
    document = {"v": journal.VERSION, "name": _scope(session), "created": journal.now()}
    document.update(journal=mark, session={name: state[name] for name in states.empty("")})  # type: ignore[literal-required]
    try:
        data = signed(_scope(session), document).data
        folder = _folder(directory)
        try:
            durable.replace(session + SUFFIX, data, folder)
        finally:
            os.close(folder)
    except (OSError, StoreError):
        pass  # the next fold reads the same once more


def discard(directory: str, session: str) -> None:
    """Remove what `keep` left, if it is there."""
    try:
        folder = _folder(directory)
    except OSError:
        return
    durable.discard(session + SUFFIX, folder)
    os.close(folder)


def records_between(descriptor: int, start: int, end: int) -> int:
    """How many records a part of a journal has."""
    last = min(end, start + COUNTED)
    count, place = 0, start
    while place < last:
        chunk = os.pread(descriptor, min(CHUNK, last - place), place)
        if not chunk:
            break
        count += chunk.count(b'{"v":')
        place += len(chunk)
    return count if last == end else count * (end - start) // COUNTED


def line_after(descriptor: int, place: int) -> int:
    """Where the next line begins behind a place in a journal."""
    data = os.pread(descriptor, CHUNK, place)
    return place + data.find(b"\n") + 1
