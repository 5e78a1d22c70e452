"""Journals -> what the page shows. Each journal is folded once, by session/fold.py.

Here is only watched what the fold does: where a phase begins is where the folded state changes
its phase, a failure is where its count of failures grows. docs/report.md describes the data.

The page must open at once, however long the journals are. So whatever grows with them has a limit;
what is beyond it is counted, or drawn coarser, and the data says so under "notes".
"""

from __future__ import annotations

import os
import time
from collections import deque
from functools import lru_cache

from ..errors import StoreError
from ..format.records import seconds
from ..project import place
from ..session import fold as folding
from ..session.calls import RECENT
from ..session.describe import shortened, subject
from ..session.lineage import CRASHED, condition
from ..session.states import KEPT, empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..format.types import About, Call, FileRow, FileTables, Record, SessionState
    from ..session.rules import Rules
    from ..state import State

    Document = dict[str, Any]
    Row = list[Any]

VERSION = 1

SESSIONS = 500
"""Sessions of a report, the ones active last."""

CALLS = 40_000
SESSION_CALLS = 15_000
"""Calls drawn one by one, of the whole report and of a session: the newest."""

MARKS = 2_000
REQUESTS = 1_000
BANDS = 2_000
AGENTS = 200
FILES = 2_000
SESSION_FILES = 500
TEXT = 300
"""Characters of a path, a command or an error."""

QUIET = 600.0
"""Seconds without a record after which nobody knows whether Claude still worked, unless a call was
under way: nothing tells that the user pressed Esc and went away."""

QUARTER = 900
"""Seconds: what is counted over time is counted by quarters of an hour, because a day of any time
zone can be put together from them."""

REQUEST = "request"
CHECKPOINT = "checkpoint"
RESTORE = "restore"
INTERRUPTION = "interruption"
FAILURE = "failure"

SUCCEEDED, FAILED, INTERRUPTED, NO_RESULT, OPEN = range(5)
"""How a call ended. NO_RESULT: denied, or refused before it ran."""

_CHECKPOINTS = ("Stop", "StopFailure", "PreCompact")


def milliseconds(at: str | None) -> int | None:
    """A recorded time in milliseconds since the epoch, UTC."""
    return _ms(at) if at else None


def gather(
    state: State,
    session: str | None = None,
    since: float | None = None,
) -> Document:
    """The data of a report, of one session where it is named. Raises StoreError.

    since  seconds since the epoch: only the sessions that were active then or later
    """
    texts = _Texts()
    heat: dict[str, _Heat] = {}
    notes: list[str] = []
    found, problems = [], {"foreign": 0, "damaged": 0, "newer": 0, "unreadable": 0, "empty": 0}
    journals = place.journals(state.directory)
    if session is not None:
        journals = [each for each in journals if each[1] == session]
    if since is not None:
        # A journal changes last when its last record is written.
        journals = [each for each in journals if each[0] >= since]
    if len(journals) > SESSIONS:
        left_out = len(journals) - SESSIONS
        notes.append(f"{left_out:,} older sessions are left out: a report shows {SESSIONS}.")
    journals = journals[:SESSIONS]
    room = CALLS
    reading, sizes = None, {}
    if state.sessions.progress:
        sizes = {name: _size(state.directory, name) for _, name in journals}
        reading = _Reading(state.sessions.progress, sum(sizes.values()))
        state.sessions.progress = reading.tell
    for _, name in journals:
        watch = _Watch(state.sessions.rules, heat, min(room, SESSION_CALLS))
        passed_over: dict[str, int] = {}
        try:
            for record, live in state.sessions.history(name, passed_over):
                watch.see(record, live)
        except StoreError as error:
            state.sessions.notices.append(str(error))
            problems["unreadable"] += 1
            continue
        if reading:
            reading.before += sizes[name]
        for kind, count in passed_over.items():
            problems[kind] = problems.get(kind, 0) + count
        if watch.live is None:
            problems["empty"] += 1
            continue
        if since is not None and seconds(watch.live["last_active"] or "") < since:
            continue
        room -= len(watch.calls)
        found.append(watch.document(name, texts, passed_over))
    checkpoints = _checkpoints(state, session, since, found)
    files = _hottest(heat, found, notes)
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


def _size(directory: str, session: str) -> int:
    try:
        return os.lstat(os.path.join(directory, "sessions", f"{session}.jsonl")).st_size
    except OSError:
        return 0  # retention took it meanwhile


class _Reading:
    """How far the reading of all journals is: never back, though what a session continues is read
    once more with it.

    told    is told bytes read, and how many there are
    before  bytes of the journals that are done
    """

    def __init__(self, message: Callable[[int, int], None], total: int) -> None:
        self.before = 0
        self._messages = message
        self._total = total
        self._furthest = 0

    def tell(self, done: int, _of: int) -> None:
        """Of the journal that is read now, so many bytes are."""
        self._furthest = max(self._furthest, self.before + done)
        self._messages(self._furthest, self._total)


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


class _Heat:
    """How often a file was changed and read, and when."""

    def __init__(self) -> None:
        self.quarters: dict[int, list[int]] = {}
        self.last = ""
        self.outcome = ""
        self.sessions = 0


class _Bands:
    """The phases of a lane over time, as rows: start, end, phase or None, whether pinned."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.coarse = False
        self._open: Row | None = None
        self._ended = 0

    def see(
        self, at: int, phase: str | None, pinned: bool, working: bool, goes_on: bool, since: int
    ) -> None:
        """What holds from `at` on; `goes_on`: whether it is known what was up to then.

        A phase is entered when the call ends that means it; what is drawn begins with that call,
        at `since`, but not before the record that the phase before was seen at.
        """
        row = self._open
        if row and goes_on:
            row[1] = max(row[1], at)
        if row and (not goes_on or not working or row[2:] != [phase, pinned]):
            self._open = None
        if working and self._open is None:
            begin = at
            if row and goes_on and row[2:] != [phase, pinned] and row[1] == at:
                begin = row[1] = min(at, max(since, row[0], self._ended))
                if row[0] == row[1]:
                    self.rows.pop()
            self._open = [begin, at, phase, pinned]
            self.rows.append(self._open)
            if len(self.rows) > 2 * BANDS:
                self._coarsen()
        if since < at:
            self._ended = at

    def _coarsen(self) -> None:
        """Half as many, each with the phase that had most of its time."""
        self.coarse = True
        pairs = len(self.rows) // 2
        halved: list[Row] = []
        for one, other in zip(self.rows[::2], self.rows[1::2]):
            longer = max(one, other, key=lambda row: row[1] - row[0])
            halved.append([one[0], other[1], *longer[2:]])
        rows: list[Row] = []
        for row in (*halved, *self.rows[2 * pairs :]):
            if rows and rows[-1][1:] == [row[0], *row[2:]]:  # of one phase, and nothing between
                rows[-1][1] = row[1]
            else:
                rows.append(row)
        self.rows = rows
        self._open = rows[-1]


class _Agent:
    """A subagent's lane: the fold of its own records."""

    def __init__(self, agent: str, kind: str) -> None:
        self.id = agent
        self.kind = kind
        self.bands = _Bands()
        self.calls = 0
        self.live = empty("")


class _Watch:
    """What one session's journal tells, gathered while it is folded."""

    def __init__(self, rules: Rules, heat: dict[str, _Heat], room: int) -> None:
        self.live: SessionState | None = None
        self.calls: deque[Row] = deque(maxlen=room)
        self._rules = rules
        self._heat = heat
        self._bands = _Bands()
        self._agents: dict[str, _Agent] = {}
        self._more_agents: set[str] = set()
        self._marks: deque[Document] = deque(maxlen=MARKS)
        self._requests: deque[Document] = deque(maxlen=REQUESTS)
        self._unresolved: dict[tuple[Any, ...], Document] = {}
        self._files: dict[str, list[int]] = {}
        self._earlier: dict[int, list[int]] = {}
        self._records = 0
        self._totals = dict.fromkeys((REQUEST, CHECKPOINT, RESTORE, INTERRUPTION, FAILURE), 0)
        self._begun: dict[str, str] = {}
        self._last = ""
        self._idle = True
        self._busy = False
        self._counts = empty("")["counts"]
        self._in_flight: list[Call] = []
        self._restored: str | None = None
        self._touched: dict[str, int] = {}
        # Not the first record's time and the last one's: a clock may have been set back.
        self._span = [1 << 62, 0]

    def see(self, record: Record, live: SessionState) -> None:
        """One record, and the state after it."""
        at, event = record["at"], record.get("event")
        self.live = live
        self._records += 1
        self._see_phase(record, live)
        if record.get("agent"):
            self._see_agent(record)
        if event == "PreToolUse" and record.get("call"):
            self._begun.setdefault(record["call"], at)
        counts, before = live["counts"], self._counts
        if counts["interrupted"] < before["interrupted"]:
            self._take_back(record)
        if counts["calls"] > before["calls"]:
            self._ended(record, live)
            if self._unresolved:
                self._see_resolved(live)
        if counts["interrupted"] > before["interrupted"]:
            self._see_interrupted(record, live, counts["interrupted"] - before["interrupted"])
        if counts["no_result"] > before["no_result"]:
            for call in self._in_flight:
                if call not in live["in_flight"]:
                    self._call(call, call["since"], at, NO_RESULT)
        if counts["requests"] > before["requests"]:
            self._totals[REQUEST] += 1
            self._requests.append({"at": _ms(at), "text": _short(record.get("text", ""))})
        self._see_checkpoint(record, live)
        if event != "PreToolUse":
            self._see_files(record, live)
        self._counts = {**counts}
        self._in_flight = live["in_flight"]
        self._idle = live["fold"]["idle"]
        self._busy = bool(live["in_flight"])
        self._last = at
        self._span = [min(self._span[0], _ms(at)), max(self._span[1], _ms(at))]
        if not live["in_flight"] and len(self._begun) > RECENT:
            self._begun.clear()  # calls that never ended

    # --- phases ---

    def _see_phase(self, record: Record, live: SessionState) -> None:
        event, at = record.get("event"), record["at"]
        starts = event == "SessionStart" and record.get("source") != "compact"
        waiting = self._busy and event != "UserPromptSubmit"
        goes_on = not starts and (waiting or _near(self._last, at))
        phase, pinned = live["current_phase"], live["phase_pinned"]
        working = not live["fold"]["idle"]
        self._bands.see(_ms(at), phase, pinned, working, goes_on, self._since(record))

    def _see_agent(self, record: Record) -> None:
        name = record["agent"]
        agent = self._agents.get(name)
        if agent is None:
            if len(self._agents) == AGENTS:
                self._more_agents.add(name)
                return
            agent = self._agents[name] = _Agent(name, record.get("agent_type") or "")
        last, busy = agent.live["last_active"], bool(agent.live["in_flight"])
        agent.live = folding.advance(agent.live, record, self._rules)
        agent.calls = agent.live["counts"]["calls"]
        goes_on = busy or _near(last, record["at"])
        phase = agent.live["current_phase"]
        agent.bands.see(_ms(record["at"]), phase, False, True, goes_on, self._since(record))

    def _since(self, record: Record) -> int:
        """When the call began that a record tells the end of; else the record's own time."""
        at: str = record["at"]
        return _ms(self._begun.get(record.get("call") or "", at))

    # --- calls ---

    def _call(self, call: About, since: str, at: str, how: int) -> None:
        begin, end = _ms(since), _ms(at)
        row: Row = [
            begin,
            max(0, end - begin),
            call.get("agent"),
            call.get("tool"),
            subject(call, TEXT),
            how,
        ]
        if len(self.calls) == self.calls.maxlen:
            oldest = self.calls[0] if self.calls else row
            counted = self._earlier.setdefault(oldest[0] // (QUARTER * 1000), [0, 0])
            counted[0] += 1
            counted[1] += oldest[5] == FAILED
        self.calls.append(row)

    def _ended(self, record: Record, live: SessionState) -> None:
        since = self._begun.pop(record.get("call") or "", record["at"])
        how = SUCCEEDED
        if live["counts"]["failed"] > self._counts["failed"]:
            how = FAILED
            entry = live["failures"][-1]
            mark = self._mark(FAILURE, record["at"], entry, entry.get("error", ""))
            self._unresolved[_key(entry)] = mark
            if len(self._unresolved) > KEPT:
                del self._unresolved[next(iter(self._unresolved))]
        elif record.get("interrupted"):
            how = INTERRUPTED
        self._call(record, since, record["at"], how)

    def _take_back(self, record: Record) -> None:
        """The end of a call that was taken for interrupted has come after all."""
        call = record.get("call")
        for mark in [mark for mark in self._marks if mark.get("call") == call and call]:
            if mark["kind"] == INTERRUPTION:
                self._marks.remove(mark)
                self._totals[INTERRUPTION] -= 1
        begin, what = self._since(record), subject(record, TEXT)
        for row in reversed(self.calls):
            if (row[0], row[4], row[5]) == (begin, what, INTERRUPTED):
                self.calls.remove(row)
                break

    def _see_interrupted(self, record: Record, live: SessionState, more: int) -> None:
        # Nothing tells when it was: the last that is known is the record before.
        late = record.get("event") in ("SessionStart", "UserPromptSubmit")
        at = self._last if late and self._last else record["at"]
        for entry in live["interrupted"][-more:]:
            self._mark(INTERRUPTION, at, entry, entry.get("error", ""))
            if "since" in entry:
                self._call(entry, entry["since"], at, INTERRUPTED)

    def _mark(self, kind: str, at: str, call: About, text: str) -> Document:
        mark: Document = {"at": _ms(at), "kind": kind, "text": _short(text)}
        if call.get("tool"):
            mark.update(tool=call["tool"], subject=subject(call, TEXT))
        if call.get("agent"):
            mark["agent"] = call["agent"]
        if call.get("call"):
            mark["call"] = call["call"]
        self._marks.append(mark)
        self._totals[kind] += 1
        return mark

    def _see_resolved(self, live: SessionState) -> None:
        for entry in live["failures"]:
            if "resolved" in entry and _key(entry) in self._unresolved:
                self._unresolved.pop(_key(entry))["resolved"] = milliseconds(entry["resolved"])

    # --- checkpoints and files ---

    def _see_checkpoint(self, record: Record, live: SessionState) -> None:
        event, at = record.get("event"), record["at"]
        if event in _CHECKPOINTS and live["fold"]["idle"] and not self._idle:
            if event == "StopFailure":
                self._mark(FAILURE, at, {}, record.get("error") or "Claude stopped on an error")
            trigger = f" ({record['trigger']})" if record.get("trigger") else ""
            when = f"before a compaction{trigger}" if event == "PreCompact" else "Claude stopped"
            self._mark(CHECKPOINT, at, {}, when)["automatic"] = True
        restored = live["fold"]["applied"]["Restore"]
        if restored != self._restored and event == "Restore":
            self._mark(RESTORE, at, {}, str(record.get("checkpoint", "")))
        self._restored = restored

    def _see_files(self, record: Record, live: SessionState) -> None:
        tables: list[tuple[int, FileTables, Iterable[str]]] = [
            (0, "files_processed", self._rules.changed(record))
        ]
        read = self._rules.read(record)
        if read:
            tables.append((1, "files_read", [read]))
        for which, table, paths in tables:
            for path in paths:
                about = live[table].get(path)
                if about and about["count"] and about["last"] == record["at"]:
                    self._touch(which, path, about, record)

    def _touch(self, which: int, path: str, about: FileRow, record: Record) -> None:
        # The same count under the same call: told twice.
        key = f"{which}{path}"
        if self._touched.get(key) == about["count"]:
            return
        self._touched[key] = about["count"]
        heat = self._heat.setdefault(path, _Heat())
        if path not in self._files:
            self._files[path] = [0, 0]
            heat.sessions += 1
        self._files[path][which] += 1
        quarter = _ms(record["at"]) // 1000 // QUARTER
        heat.quarters.setdefault(quarter, [0, 0])[which] += 1
        heat.last = max(heat.last, record["at"])
        if which == 0:
            heat.outcome = about["outcome"]

    # --- all of it ---

    def document(self, name: str, texts: _Texts, problems: dict[str, int]) -> Document:
        """The session as the page has it."""
        live = self.live
        assert live is not None  # noqa: S101 - the caller has seen that there were records
        how = condition(live)
        self._still_open(live, how)
        agents = list(self._agents.values())
        numbers = {agent.id: number for number, agent in enumerate(agents)}
        marks = sorted(self._marks, key=lambda mark: mark["at"])
        for mark in marks:
            mark.pop("call", None)
            if "agent" in mark:
                mark["agent"] = numbers.get(mark["agent"], -1)
        calls = sorted(self.calls, key=lambda row: row[0])
        return {
            "id": name,
            "started": self._span[0],
            "last_active": self._span[1],
            "ended": live["ended"] and {**live["ended"], "at": milliseconds(live["ended"]["at"])},
            "condition": how,
            "client": live["client"],
            "continues": live["continues_how"],
            "phase": live["current_phase"],
            "pinned": live["phase_pinned"],
            "records": self._records,
            "counts": live["counts"],
            "totals": self._totals,
            "bands": self._bands.rows,
            "agents": [
                {
                    "id": agent.id,
                    "type": agent.kind,
                    "started": milliseconds(agent.live["started"]),
                    "last_active": milliseconds(agent.live["last_active"]),
                    "calls": agent.calls,
                    "bands": agent.bands.rows,
                }
                for agent in agents
            ],
            "calls": [
                [
                    begin,
                    lasted,
                    numbers.get(agent, -1),
                    texts.number(str(tool)),
                    texts.number(what),
                    outcome,
                ]
                for begin, lasted, agent, tool, what, outcome in calls
            ],
            "earlier_calls": [
                [quarter * QUARTER * 1000, *counted]
                for quarter, counted in sorted(self._earlier.items())
            ],
            "marks": marks,
            "requests": list(self._requests),
            "files": self._files,
            "problems": problems,
            "notes": self._notes(),
        }

    def _still_open(self, live: SessionState, how: str) -> None:
        """Calls that never ended: under way, or cut off by a crash."""
        last = live["last_active"] or ""
        for call in live["in_flight"]:
            self._call(call, call["since"], last, INTERRUPTED if how == CRASHED else OPEN)
            if how == CRASHED:
                self._mark(INTERRUPTION, last, call, "the session crashed or was killed")

    def _notes(self) -> list[str]:
        notes = []
        counted = sum(count for count, _ in self._earlier.values())
        if counted:
            notes.append(f"{counted:,} older calls are counted by the quarter of an hour.")
        requests = self._totals[REQUEST]
        for what, count, shown in (
            ("marks", sum(self._totals.values()) - requests, len(self._marks)),
            ("requests", requests, len(self._requests)),
        ):
            if count > shown:
                notes.append(f"{count - shown:,} older {what} are left out.")
        if self._more_agents:
            notes.append(f"{len(self._more_agents):,} more subagents have no lane of their own.")
        if self._bands.coarse or any(agent.bands.coarse for agent in self._agents.values()):
            notes.append("its phases are drawn coarser than they were.")
        return notes


def _short(given: object) -> str:
    """At most TEXT characters of a text."""
    return shortened(str(given), TEXT)


@lru_cache(maxsize=1024)  # a record's time is asked for a dozen times in a row
def _ms(at: str) -> int:
    return round(seconds(at) * 1000)


def _near(one: str | None, other: str) -> bool:
    return bool(one) and _ms(other) - _ms(one or "") <= QUIET * 1000


def _key(entry: About) -> tuple[Any, ...]:
    return entry.get("call"), entry["at"], entry.get("path"), entry.get("command")


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
                "at": milliseconds(about["created"]),
                "trigger": about["trigger"],
                "session": about["session_id"] if about["session_id"] in shown else None,
                "phase": about["current_phase"],
                "files": about["files_processed"],
                "keys": about["keys"],
            }
        )
    return kept[-MARKS:]


def _hottest(heat: dict[str, _Heat], found: list[Document], notes: list[str]) -> list[Document]:
    """The files, the most touched first; and in each session their numbers instead of paths."""

    def touches(path: str) -> int:
        return sum(map(sum, heat[path].quarters.values()))

    order = sorted(heat, key=lambda path: (-touches(path), path))
    if len(order) > FILES:
        notes.append(f"{len(order) - FILES:,} files that were touched least are left out.")
        order = order[:FILES]
    numbers = {path: number for number, path in enumerate(order)}
    for about in found:
        files = about["files"]
        about["files_touched"] = len(files)
        ranked = sorted(files, key=lambda path: -sum(files[path]))
        shown = [path for path in ranked if path in numbers][:SESSION_FILES]
        about["files"] = [[numbers[path], *files[path]] for path in shown]
    return [
        {
            "path": path,
            "changes": sum(changed for changed, _ in heat[path].quarters.values()),
            "reads": sum(read for _, read in heat[path].quarters.values()),
            "sessions": heat[path].sessions,
            "last": milliseconds(heat[path].last),
            "outcome": heat[path].outcome or "read",
            "quarters": [
                [quarter, *counted] for quarter, counted in sorted(heat[path].quarters.items())
            ],
        }
        for path in order
    ]


def _messages(problems: dict[str, int]) -> Iterable[str]:
    said = {
        "foreign": "{} were written by another user or machine and are passed over; "
        "`workflow-state trust` adopts them.",
        "damaged": "{} are damaged and are passed over.",
        "newer": "{} were written by a later version and are passed over.",
    }
    for kind, text in said.items():
        count = problems[kind]
        if count:
            yield text.format(f"{count:,} record{'s' * (count != 1)}")
    for kind, text in (
        ("unreadable", "could not be read"),
        ("empty", "hold no record that counts"),
    ):
        if problems[kind]:
            yield f"{problems[kind]:,} journal{'s' * (problems[kind] != 1)} {text}."
