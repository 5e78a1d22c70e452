"""Sessions as they stand now: the last checkpoint of each, and the records since.

The journal is the truth. A session's own checkpoint only saves reading the journal from its start:
a damaged, foreign or old one costs time and nothing else.
"""

from __future__ import annotations

import os
import time

from ..disk.durable import sync_directory
from ..errors import Busy, Damaged, NewerVersion, StoreError
from ..format.documents import verdict_on
from ..format.records import NEVER, OURS, Replay, mentioning
from ..project import place
from ..recording import journal
from ..stores import CHECKPOINTS
from . import partial, states
from .fold import advance, fold
from .rules import Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..format.types import Continues, Live, Mark, Record, SessionState
    from ..stores import Document, Store

GLIMPSE = 16384
"""Bytes of each end of a journal that a glimpse reads."""

REST = 30.0
"""Seconds without another request to a store that a reader waited for in vain."""

RECENT = 4 << 20
"""Bytes of a journal's end to search for what another session did in one turn."""


_FAILED = (b'"event":"PostToolUseFailure"', b'"error":"', b'"event":"UserPromptSubmit"')
"""What the line of a failure's record contains, or that of a request, where ids may begin anew."""


TAIL = 1 << 20
"""Bytes of a journal's end that every fold reads, however little time it has."""


def checkpoint_name(session: str) -> str:
    """The name of the checkpoint that the hooks make of a session."""
    return "session-" + session.replace("~", ".")


class Sessions:
    """The sessions of one state directory.

    notices        problems that stopped nothing, for the user
    without_store  whether the journals alone are enough when the store cannot be read
    progress       called during the read of a journal, with the bytes read and the bytes in all
    """

    def __init__(self, directory: str, project: str, store: Store) -> None:
        self.directory = directory
        self.project = project
        self.store = store
        self.notices = store.notices
        self.progress: Callable[[int, int], None] | None = None
        store.finish = self._finish
        self._rules: Rules | None = None
        self.without_store = False
        self._retry_at = 0.0
        self._bases: dict[str, tuple[SessionState | None, Mark]] = {}
        self._published: dict[str, str] = {}
        self._glimpsed: dict[str, dict[str, int]] = {}
        self._until, self._keep = NEVER, False
        self._marked: set[str] = set()
        self._stored: set[str] = set()  # once in a process: it takes time

    @property
    def rules(self) -> Rules:
        """The tables of rules.py with the project's own additions."""
        if self._rules is None:
            self._rules = Rules(place.read_settings(self.project)[0])
        return self._rules

    def live(
        self,
        session: str,
        end: int | None = None,
        above: tuple[str, ...] = (),
        before: Live | None = None,
        most: int | None = None,
    ) -> Live | None:
        """A session's state, None when nothing is known of it. Raises StoreError.

        With `end`, the state when its journal had that many bytes. "journal" in the state says how
        far into the journal it reaches. It is empty when only the checkpoint is left.

        With `before`, a state that this returned earlier, only the records since are read; a
        checkpoint made meanwhile does not count. With `most`, only the last so many bytes are
        read, and "skipped" in "journal" counts the others.
        """
        if session in above:
            return None
        try:
            return self._live(session, end, above, before, most)
        except Damaged as error:
            self.go_on_without(error)
            return self._live(session, end, above, None, most)
        except partial.SignedAnew:
            last = before or self._saved(session)[0]
            self._bases[session] = None, {}
            self._published.pop(session, None)
            self._stored.discard(session)
            live = self._live(session, end, above, None, most)
            if live and last:
                live["last_checkpoint"] = last["last_checkpoint"]
                live["last_checkpoint_at"] = last["last_checkpoint_at"]
            return live

    def go_on_without(self, error: Damaged) -> None:
        """Rows of a checkpoint are damaged, and the store knows: the journal has them all."""
        self.notices.append(str(error))
        self._bases.clear()

    def with_records(self, session: str, records: list[Record]) -> Live:
        """A session's state as if its journal held these records too. Raises StoreError."""
        live = self.live(session)
        state = fold(
            live or states.empty(session),
            records,
            self.rules,
            lambda continues: self._base(continues, (session,)),
        )
        return {**state, "journal": live["journal"] if live else {}}

    def limit(self, seconds: float, keep: bool) -> None:
        """Fold for so many seconds from now on, and with `keep` write down where that stands."""
        self._until = time.monotonic() + seconds
        self._keep = keep

    def _live(
        self,
        session: str,
        end: int | None,
        above: tuple[str, ...],
        before: Live | None,
        most: int | None,
    ) -> Live | None:
        saved, mark = (before, before["journal"]) if before else self._saved(session)
        descriptor = place.open_journal(self.directory, session)
        if descriptor is None:
            return {**saved, "journal": {}} if saved else None
        try:
            whole = os.fstat(descriptor).st_size
            size = whole if end is None else end
            folding = partial.Folding(
                descriptor,
                saved or states.empty(session),
                mark,
                self.rules,
                lambda continues: self._base(continues, (*above, session)),
                self.directory,
            )
            folding.begin(size, None if saved else whole)
            if most is not None and size - folding.offset > most:
                folding.skip(size - most)
            elif self._until != NEVER and size - folding.offset > TAIL:
                folding.read(size - TAIL, self._until, self._report_to(size))
                if not folding.incomplete:
                    self._stand(session, folding)
                if folding.stopped:
                    folding.leave_out(partial.line_after(descriptor, size - TAIL))
            folding.read(end, NEVER, self._report_to(size))
            live = folding.live()
        except OSError as error:
            raise self._failed(session, error) from error
        finally:
            os.close(descriptor)
        note = self._read_store(self.store.unfinished) if end is None else None
        if note and note.get("session") == session:
            # A restore is running, or its process has died: readers see all of it already.
            return {**live, **fold(live, note["records"], self.rules)}
        return live

    def _stand(self, session: str, folding: partial.Folding) -> None:
        """Go on from here; in the next process too, if this one ran out of time."""
        mark: Mark = {**folding.mark(), "session": session, "anew": folding.anew}
        self._bases[session] = folding.state, mark
        self._published.pop(session, None)
        if folding.stopped and self._keep and session not in self._stored:
            self._stored.add(session)
            self._marked.add(session)
            partial.keep(self.directory, session, folding.state, mark)

    def checkpointed_whole(self, session: str) -> None:
        """A session's checkpoint holds all now: where an earlier fold stood is of no more use."""
        if session in self._marked:
            partial.discard(self.directory, session)

    def _read_store(self, read: Callable[[], Document | None]) -> Document | None:
        """The store's document. None, with a notice, for a damaged one or a newer version's.

        With `without_store`, also for a store that cannot be read. A busy one gets no request for a
        while: a start makes many.
        """
        if time.monotonic() < self._retry_at:
            return None
        try:
            return read()
        except StoreError as error:
            if not self.without_store and not isinstance(error, (Damaged, NewerVersion)):
                raise
            if str(error) not in self.notices:
                self.notices.append(str(error))
            if isinstance(error, Busy):
                self._retry_at = time.monotonic() + REST
            return None

    def forget(self, session: str) -> None:
        """Drop what was read of a session's checkpoint, for a caller that reads them all."""
        self._bases.pop(session, None)

    def refresh(self) -> None:
        """Read checkpoints again from now on, for a caller that runs for long."""
        self._bases.clear()
        self._published.clear()
        self._rules = None

    def _report_to(self, size: int) -> Callable[[int], None] | None:
        progress = self.progress
        return None if progress is None else lambda offset: progress(offset, size)

    def history(
        self, session: str, problems: dict[str, int]
    ) -> Iterator[tuple[Record, SessionState]]:
        """Each record of a session's journal that counts, with the state after it.

        The state is one object that changes at each step: copy what you keep. At the end `problems`
        counts the skipped lines, by kind. When the session before cannot be read, this one begins
        empty. Raises StoreError.
        """
        descriptor = place.open_journal(self.directory, session)
        if descriptor is None:
            return
        try:
            size = os.fstat(descriptor).st_size
            records = Replay(
                descriptor, session, passed=self._report_to(size), directory=self.directory
            )
            state = states.empty(session)
            for record in records:
                state = advance(
                    state,
                    record,
                    self.rules,
                    lambda continues: self._base_or_nothing(continues, session),
                )
                yield record, state
            problems.update(records.problems)
        except OSError as error:
            raise self._failed(session, error) from error
        finally:
            os.close(descriptor)

    def _finish(self, note: Document) -> None:
        """Write the session's part of a restore. Twice does no harm: the fold takes each set once.

        It is durable when this returns. The intent goes next and could not repeat it.
        """
        if note.get("session"):
            self.write(note["session"], *note["records"])
            self.sync(note["session"])

    def _saved(self, session: str) -> tuple[SessionState | None, Mark]:
        """A session's state and mark in its checkpoint; None when the checkpoint is of no use.

        Read once: the records since have what a later checkpoint would have.
        """
        if session not in self._bases:
            state, mark = self._read_saved(session)
            further = partial.read(self.directory, session)
            if further:
                self._marked.add(session)
                if further[1].get("offset", 0) > mark.get("offset", 0):
                    self._published.pop(session, None)
                    state, mark = further
            self._bases[session] = state, mark
        return self._bases[session]

    def _read_saved(self, session: str) -> tuple[SessionState | None, Mark]:
        name = checkpoint_name(session)
        document = self._read_store(lambda: self.store.read(CHECKPOINTS, name))
        if document is None or document.get("name") != name or not document.get("session"):
            return None, {}
        mark: Mark = document.get("journal") or {}
        if verdict_on(name, document) != OURS or mark.get("session") != session:
            return None, {}
        if document.get("trigger") != "manual":  # by hand, keys are kept as they happen to be
            self._published[session] = document["keys"].get("files_processed", {}).get("check", "")
        return states.complete(document["session"]), mark

    def added_since_published(self, live: SessionState, check: str) -> list[str] | None:
        """Files that a live session changed for the first time since its list was published.

        `check` is that of the list published now. None when this session's checkpoint did not
        publish that list, or when more than additions changed it.
        """
        session = live["session_id"]
        saved = self._saved(session)[0]
        if saved is None or self._published.get(session) != check:
            return None
        return live["files_processed"].added_to(saved["files_processed"])

    def checkpointed(self, name: str) -> SessionState | None:
        """The session in a checkpoint; None when there is none, or another user signed it."""
        document = self._read_store(lambda: self.store.read(CHECKPOINTS, name))
        if document is None or not document.get("session"):
            return None
        if verdict_on(name, document) != OURS:
            return None
        return states.complete(document["session"])

    def _base(self, continues: Continues, above: tuple[str, ...]) -> SessionState | None:
        """The state that a session continues from, by its first record."""
        if continues.get("checkpoint"):
            return self._saved(continues["session"])[0]
        return self.live(continues["session"], end=continues.get("offset"), above=above)

    def _base_or_nothing(self, continues: Continues, session: str) -> SessionState | None:
        """The same, with a notice instead of an error."""
        try:
            return self._base(continues, (session,))
        except StoreError as error:
            self.notices.append(str(error))
            return None

    def glimpse(self, session: str) -> SessionState | None:
        """Who a session is and when it was active last, from the ends of its journal alone.

        It costs the same at any length, and lacks what lies between. None when the journal is
        missing or cannot be read.
        """
        try:
            descriptor = place.open_journal(self.directory, session)
        except StoreError as error:
            self.notices.append(str(error))
            return None
        if descriptor is None:
            return None
        try:
            size = os.fstat(descriptor).st_size
            tail = max(0, size - GLIMPSE)
            live = states.empty(session)
            problems: dict[str, int] = {}
            for start, end in ((0, min(tail, GLIMPSE)), (tail, size)):
                records = Replay(descriptor, session, start, end, directory=self.directory)
                live = fold(live, records, self.rules)
                problems.update(records.problems)
            self._glimpsed[session] = {} if live["last_active"] else problems
        except OSError as error:
            raise self._failed(session, error) from error
        finally:
            os.close(descriptor)
        return live

    def problems_of_unknown(self, session: str) -> dict[str, int]:
        """What the ends of a session's journal hold, by kind, where no record there counts."""
        if session not in self._glimpsed:
            self.glimpse(session)
        return self._glimpsed.get(session, {})

    def calls_since(self, session: str, since: str) -> list[Record] | None:
        """A session's calls since a time, begun or ended.

        None when there are too many, or the journal cannot be read.
        """
        try:
            descriptor = place.open_journal(self.directory, session)
        except StoreError:
            return None
        if descriptor is None:
            return []
        try:
            start = max(0, os.fstat(descriptor).st_size - RECENT)
            records = list(Replay(descriptor, session, start, directory=self.directory))
        finally:
            os.close(descriptor)
        if start and (not records or records[0]["at"] >= since):
            return None
        return [each for each in records if each["at"] >= since and "tool" in each]

    def failures(self, session: str) -> list[Record]:
        """The records of a session's calls and turns that failed, oldest first.

        All of them, however many: only the lines that may be of a failure are parsed. A failure
        that two registrations of a hook report is there once. Raises StoreError.
        """
        descriptor = place.open_journal(self.directory, session)
        if descriptor is None:
            return []
        found: dict[object, Record] = {}
        request = ""
        try:
            for record in mentioning(descriptor, session, _FAILED, self.directory):
                if record["event"] == "UserPromptSubmit":
                    request = record.get("prompt") or record["at"]
                failed = record.get("error") or record["event"] == "PostToolUseFailure"
                if failed and not record.get("interrupted"):
                    about = (request, record.get("path"), record.get("command"))
                    found.setdefault((record.get("call") or record["at"], *about), record)
        except OSError as error:
            raise self._failed(session, error) from error
        finally:
            os.close(descriptor)
        return list(found.values())

    def last(self) -> str:
        """The session active last; "" when this user has none."""
        for _, session in place.journals(self.directory):
            live = self.glimpse(session)
            if live and live["last_active"]:
                return session
        return ""

    def sync(self, session: str) -> None:
        """Make a session's journal durable, its name included. Raises StoreError."""
        try:
            sessions = journal.descend(journal.open_state(self.directory), "sessions")
            try:
                descriptor = os.open(session + ".jsonl", journal.READ, dir_fd=sessions)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                sync_directory(sessions)
            finally:
                os.close(sessions)
        except OSError as error:
            raise self._failed(session, error) from error

    def write(self, session: str, *records: Document) -> None:
        """Append records of ours to a session's journal. Raises StoreError."""
        try:
            journal.write(self.directory, session, *records)
        except journal.Unusable as error:
            raise StoreError(str(error)) from None
        except OSError as error:
            raise self._failed(session, error) from error

    def _failed(self, session: str, error: OSError) -> StoreError:
        return StoreError(f"{self.directory}/sessions/{session}.jsonl: {error.strerror or error}")
