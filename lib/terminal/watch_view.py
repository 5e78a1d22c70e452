"""The lines of `watch`: a session's state, and the other sessions, in any size. Pure.

A line is a list of spans, each a text and its colour.
"""

from __future__ import annotations

from ..format.records import seconds
from ..session.describe import describe
from ..session.lineage import CRASHED
from ..session.states import newest
from ..telling.context import ago
from ..telling.quoting import printable
from .width import columns, cut, cut_head, paint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..format.types import Call, Counts, FileRow, SessionState

    Span = tuple[str, str]
    Line = list[Span]
    Section = tuple[str, list[Line]]

BOLD, DIM, PHASE, RUNNING, FAILED = "1", "2", "1;36", "33", "31"

LABEL = 9
"""Columns of the names on the left."""

AGE = 7
MARKS = {"created": "+", "deleted": "-"}


class View:
    """What there is to show.

    project   the project's directory
    live      the session's state; None when nothing is recorded yet
    standing  its condition: alive, stopped, cleared or crashed
    others    glimpses of the other sessions that are alive
    now       seconds since the epoch
    trouble   what could not be read, "" for nothing
    named     the session that a person named, "" for none
    """

    def __init__(
        self,
        project: str,
        live: SessionState | None,
        standing: str,
        others: list[SessionState],
        now: float,
        trouble: str = "",
        named: str = "",
    ) -> None:
        self.project = project
        self.live = live
        self.standing = standing
        self.others = others
        self.now = now
        self.trouble = trouble
        self.named = named

    def lines(self, width: int, height: int, coloured: bool) -> list[str]:
        """At most `height` lines of at most `width` columns."""
        footer = [[("q quits", DIM)]]
        head = [self._title(width)]
        if self.trouble:
            head.append([("! ", FAILED), (self.trouble, TAIL)])
        if self.live is None:
            of = f" of session {self.named}" if self.named else ""
            body = [*head, [], [(f"Nothing is recorded yet{of}.", "")]]
        else:
            body = [*head, *self._facts(self.live)]
            body += fitted(self._sections(self.live), height - len(body) - 1)
        room = max(1, height - 1)
        filled = [*body[:room], *[[] for _ in range(room - len(body))], *footer]
        return [_rendered(line, width, coloured) for line in filled[:height]]

    def _ago(self, at: str | None) -> str:
        return ago(self.now - seconds(at)) if at else "never"

    def _title(self, width: int) -> Line:
        import time

        clock = time.strftime("%H:%M:%S UTC", time.gmtime(self.now))
        name = printable(self.project.rpartition("/")[2] or self.project)
        title = cut(f"workflow-state: {name}", max(0, width - len(clock) - 2))
        gap = " " * max(1, width - columns(title) - len(clock))
        return [(title, BOLD), (gap, ""), (clock, DIM)]

    def _facts(self, live: SessionState) -> list[Line]:
        facts = [("session", [(live["session_id"], ""), (f" ({self.standing})", DIM)])]
        if live["continues"]:
            facts.append(("continues", [(live["continues"], "")]))
        phase = live["current_phase"] or "not known yet"
        how = "pinned" if live["phase_pinned"] else "inferred"
        since = f" ({how}, since {self._ago(live['phase_since'])})" if live["phase_since"] else ""
        facts.append(("phase", [(phase, PHASE), (since, DIM)]))
        facts.append(("calls", self._calls(live["counts"])))
        saved = self._ago(live["last_checkpoint_at"]) if live["last_checkpoint_at"] else "none yet"
        facts.append(("saved", [(saved, "")]))
        if live["last_request"]:
            text = " ".join(live["last_request"].split())
            facts.append(("request", [(f"{self._ago(live['last_request_at'])}: {text}", "")]))
        return [[(name.ljust(LABEL) + " ", DIM), *spans] for name, spans in facts]

    def _calls(self, counts: Counts) -> Line:
        said: Line = [(f"{counts['calls']} ended", "")]
        if counts["failed"]:
            said.append((f", {counts['failed']} failed", FAILED))
        if counts["interrupted"]:
            said.append((f", {counts['interrupted']} interrupted", ""))
        return said

    def _sections(self, live: SessionState) -> list[Section]:
        """Each with its title and lines, in the order in which they stand."""
        failures = [each for each in reversed(live["failures"]) if "resolved" not in each]
        files = live["files_processed"]
        read = f", {len(live['files_read'])} read" if live["files_read"] else ""
        # After a crash no call runs any more, and no record says how far it came.
        running = "Cut off by a crash" if self.standing == CRASHED else "Running"
        return [
            (running, [self._running(call) for call in reversed(live["in_flight"])]),
            ("Failed, not seen to succeed since", [self._failure(each) for each in failures]),
            (
                f"Files: {len(files)} changed{read}",
                [self._file(path, files[path]) for path in newest(live, MOST)],
            ),
            ("Other sessions", [self._other(other) for other in self.others]),
        ]

    def _age(self, at: str | None) -> Span:
        brief = self._ago(at).removesuffix(" ago")
        return f"{brief.rjust(AGE)}  ", DIM

    def _running(self, call: Call) -> Line:
        return [self._age(call.get("since")), (describe(call), RUNNING), (_by(call), DIM)]

    def _failure(self, call: Call) -> Line:
        error = f": {call['error']}" if call.get("error") else ""
        return [self._age(call["at"]), (describe(call), ""), (error, FAILED)]

    def _file(self, path: str, about: FileRow) -> Line:
        mark = MARKS.get(about["outcome"], "~")
        return [self._age(about["last"]), (f"{mark} ", DIM), (path, TAIL)]

    def _other(self, other: SessionState) -> Line:
        phase = f"  {other['current_phase']}" if other["current_phase"] else ""
        return [self._age(other["last_active"]), (other["session_id"], ""), (phase, PHASE)]


MOST = 200
"""Lines of files that any terminal has room for."""

TAIL = "path"
"""In place of a colour: a text that does not fit is cut at its head."""

FILES = 2
"""The index of the section that may be long."""

_ORDER = (0, FILES, 1, 3)
"""Sections by importance: what runs, files, failures, others."""

_BEFORE_FILES = (0, 1, 3)
ROOMY, FEW = 18, 5
"""Lines from which on there are gaps between sections; lines of files that the others leave."""


def fitted(sections: list[Section], room: int) -> list[Line]:
    """The sections in at most `room` lines, with gaps between them where there is room.

    First each section gets its title and a line, the more important ones before. Then the sections
    that are seldom long get their other lines, then the files. What does not fit is cut at the end.
    """
    shown = [0] * len(sections)
    gaps = sum(1 for _, items in sections if items)
    gaps = gaps if room >= ROOMY else 0
    room -= gaps
    for index in _ORDER:
        if sections[index][1] and room >= 2:
            shown[index] = 1
            room -= 2
    for index in (*_BEFORE_FILES, FILES):
        if shown[index]:
            # Files keep a few lines, however many calls run.
            kept = min(len(sections[FILES][1]), FEW) - 1 if index != FILES and shown[FILES] else 0
            more = max(0, min(room - kept, len(sections[index][1]) - 1))
            shown[index] += more
            room -= more
    lines: list[Line] = []
    for (title, items), count in zip(sections, shown):
        if not count:
            continue
        if gaps:
            lines.append([])
        cut_off = f" ({count} of {len(items)} shown)" if count < len(items) else ""
        lines += [[(title, BOLD), (cut_off, DIM)], *items[:count]]
    return lines


def _by(call: Call) -> str:
    return f" (subagent {call['agent_type']})" if call.get("agent_type") else ""


def _rendered(line: Line, width: int, coloured: bool) -> str:
    """A line as it is written: printable, cut to the width."""
    text = []
    for given, colour in line:
        plain = printable(" ".join(given.splitlines()))
        piece = cut_head(plain, width) if colour == TAIL else cut(plain, width)
        width -= columns(piece)
        text.append(paint(piece, "" if colour == TAIL or not coloured else colour))
        if width <= 0 or piece != plain:
            break
    return "".join(text)
