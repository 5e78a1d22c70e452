"""What happened in one session: its calls, phases, subagents, marks, requests and files.

The fold (session/fold.py) decides what a record means. The timeline compares the folded state
before and after each record: a phase begins where the state changes its phase, and a call failed
where the count of failures grows.

Whatever grows with a journal has a limit. What is beyond the limit is counted, or drawn coarser,
and a note says so.
"""

from __future__ import annotations

from collections import deque

from ..session import fold as folding
from ..session.calls import RECENT
from ..session.describe import shortened, subject
from ..session.lineage import CRASHED, condition
from ..session.states import KEPT, empty
from .file_heat import CHANGES, READS, Heat
from .phase_bands import Bands
from .times import QUARTER, milliseconds, quarter_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..format.types import About, Call, FileRow, FileTables, Record, SessionState
    from ..session.rules import Rules

    Document = dict[str, Any]
    Row = list[Any]

SESSION_CALLS = 15_000
"""How many calls of a session are drawn one by one: the newest."""

MARKS = 2_000
REQUESTS = 1_000
AGENTS = 200
TEXT = 300
"""Characters of a path, a command or an error."""

QUIET = 600.0
"""Seconds without a record after which the work counts as paused, unless a call was under way:
no record says that the user pressed Esc and went away."""

REQUEST = "request"
CHECKPOINT = "checkpoint"
RESTORE = "restore"
INTERRUPTION = "interruption"
FAILURE = "failure"

SUCCEEDED, FAILED, INTERRUPTED, NO_RESULT, OPEN = range(5)
"""How a call ended. NO_RESULT: denied, or refused before it ran."""

_CHECKPOINTS = ("Stop", "StopFailure", "PreCompact")


class _Agent:
    """A subagent's lane: the fold of its own records."""

    def __init__(self, agent: str, kind: str) -> None:
        self.id = agent
        self.kind = kind
        self.bands = Bands()
        self.calls = 0
        self.live = empty("")

    def document(self) -> Document:
        """The subagent as the page has it."""
        return {
            "id": self.id,
            "type": self.kind,
            "started": _optional(self.live["started"]),
            "last_active": _optional(self.live["last_active"]),
            "calls": self.calls,
            "bands": self.bands.rows,
        }


class Timeline:
    """A session's timeline, which grows with the fold of its journal.

    heat   path -> what all sessions did to the file; a timeline adds what its session did
    room   how many calls are drawn one by one
    live   the state after the last record; None without records
    calls  the calls that are drawn: start, duration, subagent, tool, subject, how it ended
    """

    def __init__(self, rules: Rules, heat: dict[str, Heat], room: int) -> None:
        self.live: SessionState | None = None
        self.calls: deque[Row] = deque(maxlen=min(room, SESSION_CALLS))
        self._rules = rules
        self._heat = heat
        self._bands = Bands()
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
        # The earliest and the latest time: a clock may have been set back between records.
        self._span = [1 << 62, 0]

    def add(self, record: Record, live: SessionState) -> None:
        """Add a record; `live` is the state after it."""
        at, event = record["at"], record.get("event")
        counts, before = live["counts"], self._counts
        self.live = live
        self._records += 1
        self._add_phase(record, live)
        if record.get("agent"):
            self._add_agent(record)
        if event == "PreToolUse" and record.get("call"):
            self._begun.setdefault(record["call"], at)
        if counts["interrupted"] < before["interrupted"]:
            self._take_back(record)
        if counts["calls"] > before["calls"]:
            self._end(record, live)
        if counts["interrupted"] > before["interrupted"]:
            self._interrupt(record, live, counts["interrupted"] - before["interrupted"])
        if counts["no_result"] > before["no_result"]:
            for call in self._in_flight:
                if call not in live["in_flight"]:
                    self._call(call, call["since"], at, NO_RESULT)
        if counts["requests"] > before["requests"]:
            self._totals[REQUEST] += 1
            text = _short(record.get("text", ""))
            self._requests.append({"at": milliseconds(at), "text": text})
        self._add_checkpoint(record, live)
        if event != "PreToolUse":
            self._add_files(record, live)
        self._counts = {**counts}
        self._in_flight = live["in_flight"]
        self._idle = live["fold"]["idle"]
        self._busy = bool(live["in_flight"])
        self._last = at
        first, last = self._span
        self._span = [min(first, milliseconds(at)), max(last, milliseconds(at))]
        if not live["in_flight"] and len(self._begun) > RECENT:
            self._begun.clear()  # calls that never ended

    # --- phases ---

    def _add_phase(self, record: Record, live: SessionState) -> None:
        event, at = record.get("event"), record["at"]
        starts = event == "SessionStart" and record.get("source") != "compact"
        waiting = self._busy and event != "UserPromptSubmit"
        goes_on = not starts and (waiting or _near(self._last, at))
        phase, pinned = live["current_phase"], live["phase_pinned"]
        working = not live["fold"]["idle"]
        self._bands.add(milliseconds(at), phase, pinned, working, goes_on, self._since(record))

    def _add_agent(self, record: Record) -> None:
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
        at, phase = milliseconds(record["at"]), agent.live["current_phase"]
        agent.bands.add(at, phase, False, True, goes_on, self._since(record))

    def _since(self, record: Record) -> int:
        """When the call began whose end a record is; else the record's own time."""
        at: str = record["at"]
        return milliseconds(self._begun.get(record.get("call") or "", at))

    # --- calls ---

    def _call(self, call: About, since: str, at: str, how: int) -> None:
        """Add a call to those that are drawn; the oldest is only counted where there is no room."""
        begin = milliseconds(since)
        lasted = max(0, milliseconds(at) - begin)
        row: Row = [begin, lasted, call.get("agent"), call.get("tool"), subject(call, TEXT), how]
        if len(self.calls) == self.calls.maxlen:
            oldest = self.calls[0] if self.calls else row
            counted = self._earlier.setdefault(quarter_of(oldest[0]), [0, 0])
            counted[0] += 1
            counted[1] += oldest[5] == FAILED
        self.calls.append(row)

    def _end(self, record: Record, live: SessionState) -> None:
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
        if self._unresolved:
            self._resolve(live)

    def _take_back(self, record: Record) -> None:
        """A call counted as interrupted, but its end came after all."""
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

    def _interrupt(self, record: Record, live: SessionState, more: int) -> None:
        # No record says when it was. The last time before it is that of the record before.
        late = record.get("event") in ("SessionStart", "UserPromptSubmit")
        at = self._last if late and self._last else record["at"]
        for entry in live["interrupted"][-more:]:
            self._mark(INTERRUPTION, at, entry, entry.get("error", ""))
            if "since" in entry:
                self._call(entry, entry["since"], at, INTERRUPTED)

    def _mark(self, kind: str, at: str, call: About, text: str) -> Document:
        mark: Document = {"at": milliseconds(at), "kind": kind, "text": _short(text)}
        if call.get("tool"):
            mark.update(tool=call["tool"], subject=subject(call, TEXT))
        if call.get("agent"):
            mark["agent"] = call["agent"]
        if call.get("call"):
            mark["call"] = call["call"]
        self._marks.append(mark)
        self._totals[kind] += 1
        return mark

    def _resolve(self, live: SessionState) -> None:
        """Note in the marks of failures when the same call succeeded later."""
        for entry in live["failures"]:
            if "resolved" in entry and _key(entry) in self._unresolved:
                self._unresolved.pop(_key(entry))["resolved"] = milliseconds(entry["resolved"])

    # --- checkpoints and files ---

    def _add_checkpoint(self, record: Record, live: SessionState) -> None:
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

    def _add_files(self, record: Record, live: SessionState) -> None:
        changed, read = self._rules.changed(record), self._rules.read(record)
        tables: list[tuple[int, FileTables, Iterable[str]]] = [
            (CHANGES, "files_processed", changed)
        ]
        if read:
            tables.append((READS, "files_read", [read]))
        for which, table, paths in tables:
            for path in paths:
                about = live[table].get(path)
                if about and about["count"] and about["last"] == record["at"]:
                    self._touch(which, path, about, record)

    def _touch(self, which: int, path: str, about: FileRow, record: Record) -> None:
        # The count has not grown: a second hook recorded the same call.
        key = f"{which}{path}"
        if self._touched.get(key) == about["count"]:
            return
        self._touched[key] = about["count"]
        heat = self._heat.setdefault(path, Heat())
        if path not in self._files:
            self._files[path] = [0, 0]
            heat.sessions += 1
        self._files[path][which] += 1
        heat.touch(which, record["at"], about["outcome"])

    # --- all of it ---

    def document(
        self, name: str, number_of: Callable[[str], int], problems: dict[str, int]
    ) -> Document:
        """The session as the page has it.

        number_of  the number of a text, which rows of calls have in its place
        """
        live = self.live
        assert live is not None  # noqa: S101 - the caller has seen that there were records
        standing = condition(live)
        self._still_open(live, standing)
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
            "condition": standing,
            "client": live["client"],
            "continues": live["continues_how"],
            "phase": live["current_phase"],
            "pinned": live["phase_pinned"],
            "records": self._records,
            "counts": live["counts"],
            "totals": self._totals,
            "bands": self._bands.rows,
            "agents": [agent.document() for agent in agents],
            "calls": [
                [begin, lasted, numbers.get(agent, -1), number_of(str(tool)), number_of(what), how]
                for begin, lasted, agent, tool, what, how in calls
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

    def _still_open(self, live: SessionState, standing: str) -> None:
        """Add the calls that never ended: under way, or cut off by a crash."""
        last = live["last_active"] or ""
        for call in live["in_flight"]:
            self._call(call, call["since"], last, INTERRUPTED if standing == CRASHED else OPEN)
            if standing == CRASHED:
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


def _optional(at: str | None) -> int | None:
    """A recorded time in milliseconds since the epoch; None where there is none."""
    return milliseconds(at) if at else None


def _near(one: str | None, other: str) -> bool:
    """Whether so little time lies between two records that the work went on."""
    return bool(one) and milliseconds(other) - milliseconds(one or "") <= QUIET * 1000


def _key(entry: About) -> tuple[Any, ...]:
    return entry.get("call"), entry["at"], entry.get("path"), entry.get("command")
