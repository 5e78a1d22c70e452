"""The data of the page: every session's timeline, the checkpoints, and the files by their heat.

The page must open at once, however long the journals are. So whatever grows with them has a limit.
What is beyond it is counted, or drawn coarser, and the data says so under "notes".
docs/report.md describes the data.
"""

from __future__ import annotations

import os
import time

from ..errors import StoreError
from ..format.records import seconds
from ..project import place
from .file_heat import Heat, hottest
from .session_timeline import MARKS, QUIET, Timeline
from .times import milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..state import State

    Document = dict[str, Any]

VERSION = 1

SESSIONS = 500
"""How many sessions a report shows: those active last."""

CALLS = 40_000
"""How many calls are drawn one by one, of all sessions: the newest."""


def gather(
    state: State,
    session: str | None = None,
    since: float | None = None,
) -> Document:
    """The data of a report, of one session where it is named. Raises StoreError.

    since  seconds since the epoch: only the sessions that were active then or later
    """
    heat: dict[str, Heat] = {}
    notes: list[str] = []
    problems = {"foreign": 0, "damaged": 0, "newer": 0, "unreadable": 0, "empty": 0}
    texts = _Texts()
    names = _names(state, session, since, notes)
    found = _timelines(state, names, since, heat, texts, problems)
    checkpoints = _checkpoints(state, session, since, found)
    files = hottest(heat, found, notes)
    for about in found:
        notes += [f"Session {about['id'][:8]}: {note}" for note in about.pop("notes")]
    notes += _messages(problems)
    return {
        "v": VERSION,
        "generated": int(time.time() * 1000),
        "project": os.path.basename(state.project) or state.project,
        "directory": state.directory,
        "phases": state.sessions.rules.phases,
        "quiet": int(QUIET * 1000),
        "notes": notes,
        "problems": problems,
        "sessions": sorted(found, key=lambda about: (about["started"], about["id"])),
        "checkpoints": checkpoints,
        "files": files,
        "texts": texts.list,
    }


def _names(state: State, session: str | None, since: float | None, notes: list[str]) -> list[str]:
    """The sessions to read, the one active last first."""
    journals = place.journals(state.directory)
    if session is not None:
        journals = [each for each in journals if each[1] == session]
    if since is not None:
        # A journal changes last when its last record is written.
        journals = [each for each in journals if each[0] >= since]
    if len(journals) > SESSIONS:
        left_out = len(journals) - SESSIONS
        notes.append(f"{left_out:,} older sessions are left out: a report shows {SESSIONS}.")
    return [name for _, name in journals[:SESSIONS]]


def _timelines(
    state: State,
    names: list[str],
    since: float | None,
    heat: dict[str, Heat],
    texts: _Texts,
    problems: dict[str, int],
) -> list[Document]:
    """The sessions as the page has them. Each journal is folded once."""
    found = []
    room = CALLS
    reading = _Reading(state, names)
    for name in names:
        timeline = Timeline(state.sessions.rules, heat, room)
        passed_over: dict[str, int] = {}
        try:
            for record, live in state.sessions.history(name, passed_over):
                timeline.add(record, live)
        except StoreError as error:
            state.sessions.notices.append(str(error))
            problems["unreadable"] += 1
            continue
        reading.finish(name)
        for kind, count in passed_over.items():
            problems[kind] = problems.get(kind, 0) + count
        if timeline.live is None:
            problems["empty"] += 1
            continue
        if since is not None and seconds(timeline.live["last_active"] or "") < since:
            continue
        room -= len(timeline.calls)
        found.append(timeline.document(name, texts.number, passed_over))
    return found


class _Reading:
    """The progress of reading all journals, for the state's own `progress`.

    It never goes back, though what a session continues is read once more with it.
    """

    def __init__(self, state: State, names: list[str]) -> None:
        self._sizes: dict[str, int] = {}
        self._done = self._furthest = 0
        report = state.sessions.progress
        if report:
            self._report: Callable[[int, int], None] = report
            self._sizes = {name: _size(state.directory, name) for name in names}
            state.sessions.progress = self._advance

    def _advance(self, done: int, _of: int) -> None:
        """So many bytes of the current journal are read."""
        self._furthest = max(self._furthest, self._done + done)
        self._report(self._furthest, sum(self._sizes.values()))

    def finish(self, name: str) -> None:
        """A journal is read to its end."""
        self._done += self._sizes.get(name, 0)


def _size(directory: str, session: str) -> int:
    try:
        return os.lstat(os.path.join(directory, "sessions", f"{session}.jsonl")).st_size
    except OSError:
        return 0  # retention removed it meanwhile


class _Texts:
    """Every text once: rows of calls have its number."""

    def __init__(self) -> None:
        self.list: list[str] = []
        self._known: dict[str, int] = {}

    def number(self, text: str) -> int:
        if text not in self._known:
            self._known[text] = len(self.list)
            self.list.append(text)
        return self._known[text]


def _checkpoints(
    state: State, session: str | None, since: float | None, found: list[Document]
) -> list[Document]:
    """The checkpoints that people and restores made; those of the hooks are in the journals."""
    kept = []
    shown = {about["id"] for about in found}
    for about in state.checkpoints():
        if about["trigger"] not in ("manual", "restore", "undo"):
            continue
        if session is not None and about["session_id"] != session:
            continue
        if since is not None and seconds(about["created"]) < since:
            continue
        kept.append(
            {
                "name": about["name"],
                "at": milliseconds(about["created"]) if about["created"] else None,
                "trigger": about["trigger"],
                "session": about["session_id"] if about["session_id"] in shown else None,
                "phase": about["current_phase"],
                "files": about["files_processed"],
                "keys": about["keys"],
            }
        )
    return kept[-MARKS:]


def _messages(problems: dict[str, int]) -> Iterable[str]:
    messages = {
        "foreign": "{} were written by another user or machine and are passed over; "
        "`workflow-state trust` adopts them.",
        "damaged": "{} are damaged and are passed over.",
        "newer": "{} were written by a later version and are passed over.",
    }
    for kind, text in messages.items():
        count = problems[kind]
        if count:
            yield text.format(f"{count:,} record{'s' * (count != 1)}")
    for kind, text in (
        ("unreadable", "could not be read"),
        ("empty", "hold no record that counts"),
    ):
        if problems[kind]:
            yield f"{problems[kind]:,} journal{'s' * (problems[kind] != 1)} {text}."
