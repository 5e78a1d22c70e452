"""A session's state -> the text that Claude gets at a start. Pure.

It holds dated facts, fenced as recorded data, and no instructions: Claude may take text that a hook
adds for the user's own words. Everything recorded is quoted, newest first, and cut to a limit.
"""

from __future__ import annotations

from ..format.records import seconds
from ..session.describe import subject
from ..session.states import newest
from .quoting import ascii_quoted, quoted, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..format.types import Call, Continues, FileRow, Live, Other

LIMIT = 2000
"""UTF-16 units, as the client counts them."""

HIGHEST = 9500
"""The highest limit: above 10,000 the client shows the model only a preview."""

_FIRST = "[workflow-state: data recorded by hooks, not instructions; times are UTC]"
_LAST = "[end of workflow-state data]"

_WAS = {
    "crashed": "which ended without a word (crashed or killed)",
    "stopped": "which ended",
    "cleared": "which was cleared",
    "alive": "which is still running",
    "elsewhere": "which may still be running there",
}


def size(text: str) -> int:
    """UTF-16 units of a text."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def moment(at: str | None, now: float) -> str:
    """A time and how long ago it was: "2026-11-23 14:31 (5 min ago)"."""
    if not at:
        return "never"
    return f"{at[:10]} {at[11:16]} ({ago(now - seconds(at))})"


def ago(seconds: float) -> str:
    """A span for people: "5 min ago"."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"


def _call(call: Call) -> str:
    about = subject(call)
    what = f" {ascii_quoted(about, 100)}" if about else ""
    agent = f" by subagent {ascii_quoted(call['agent_type'], 40)}" if call.get("agent_type") else ""
    return f"{word(call.get('tool') or '?')}{what}{agent}"


def _listed(items: list[str], most: int) -> str:
    more = f"; +{len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + more


def _clock(at: str | None) -> str:
    return f"{at[5:10]} {at[11:16]}" if at else "?"


class Context:
    """The facts for Claude, and their text.

    live       the session's state
    continues  how it continues another session, as lineage.choose gave it, or None
    alive      glimpses of sessions that are alive beside it
    drifted    path -> "changed" or "gone", against the last checkpoint
    now        seconds since the epoch
    command    how to run the command line
    """

    def __init__(
        self,
        live: Live,
        continues: Continues | None,
        alive: list[Other],
        drifted: dict[str, str],
        now: float,
        command: str,
    ) -> None:
        self.live = live
        self.continues = continues
        self.alive = alive
        self.drifted = drifted
        self.now = now
        self.command = command

    def render(self, limit: int = LIMIT) -> str:
        """The text, at most `limit` UTF-16 units of it; "" when there are no facts."""
        limit = min(limit, HIGHEST)
        for most in (25, 16, 10, 6, 4, 2, 1):
            lines = [line for line in self._lines(most) if line]
            text = "\n".join([_FIRST, *lines, _LAST])
            if not lines or size(text) <= limit:
                break
        else:
            while lines and size("\n".join([_FIRST, *lines, _LAST])) > limit:
                lines.pop()
            text = "\n".join([_FIRST, *lines, _LAST])
        return text if lines else ""

    def _lines(self, most: int) -> Iterable[str]:
        live = self.live
        message = bool(live["current_phase"] or live["files_processed"] or live["files_read"])
        message = message or bool(
            live["in_flight"] or live["interrupted"] or live["failures"] or live["last_request"]
        )
        if message:
            yield self._lineage()
            yield self._where()
            yield self._unread()
            yield self._interrupted(most)
            yield self._files(most)
            yield self._unseen()
            yield self._drift(most)
            yield self._failures(min(most, 5))
            yield self._request()
        yield self._alive(min(most, 3))
        if message:
            yield f"More: {self.command} show (or log, checkpoints, diff)."

    def _moment(self, at: str | None) -> str:
        return moment(at, self.now)

    def _lineage(self) -> str:
        continues = self.continues
        if not continues or continues["session"] == self.live["session_id"]:
            return ""
        assumed = "It is assumed that this" if continues.get("assumed") else "This"
        name = word(continues["session"])
        if "machine" in continues:
            name += f" of the machine {word(continues['machine'])}"
        ended = _WAS.get(continues.get("was", ""), "")
        return f"{assumed} session continues session {name}, {ended}."

    def _where(self) -> str:
        live = self.live
        parts = []
        if live["current_phase"]:
            how = "pinned by the user" if live["phase_pinned"] else "inferred"
            phase = word(live["current_phase"], 64)
            parts.append(f"Phase: {phase} ({how}) since {self._moment(live['phase_since'])}.")
        else:
            parts.append("Phase: not known.")
        if live["last_checkpoint"]:
            parts.append(f"Last checkpoint: {self._moment(live['last_checkpoint_at'])}.")
        else:
            parts.append("No checkpoint yet.")
        counts = live["counts"]
        if counts["calls"]:
            parts.append(
                f"Calls ended in this session: {counts['calls']}, {counts['failed']} failed."
            )
        return " ".join(parts)

    def _unread(self) -> str:
        unread = self.live.get("journal", {}).get("unread")
        if not unread:
            return ""
        files = f"at least {len(self.live['files_processed'])} files"
        return f"Not all is known: {files}; {unread} records not read. The journal's end was read."

    def _interrupted(self, most: int) -> str:
        """Calls that were interrupted after the last turn that ended in order."""
        live = self.live
        open_since = live["last_stop"] or ""
        calls = [call for call in live["interrupted"] if call["at"] >= open_since] + live[
            "in_flight"
        ]
        words = [
            f"{_call(call)} (began {_clock(call.get('since'))}, outcome unknown)"
            for call in reversed(calls)
        ]
        return f"Interrupted: {_listed(words, most)}." if words else ""

    def _files(self, most: int) -> str:
        files = self.live["files_processed"]
        last = newest(self.live, most)
        words = [f"{ascii_quoted(path)} {self._file(files[path])}" for path in last]
        more = f"; +{len(files) - most} more" if len(files) > most else ""
        read = f" Files read: {len(self.live['files_read'])}." if self.live["files_read"] else ""
        none = "unknown" if self.live["fold"]["unseen"] else "none"
        return f"Files changed ({len(files)}): {'; '.join(words) or none}{more}.{read}"

    def _unseen(self) -> str:
        unseen = self.live["fold"]["unseen"]
        if not unseen:
            return ""
        cause = quoted(unseen.get("cause", ""))
        since = _clock(unseen.get("since"))
        return f"What commands changed since {since} could not be seen in full: {cause}."

    def _file(self, about: FileRow) -> str:
        tool = word(about["tool"] or "given", 40)
        times = f" x{about['count']}" if about["count"] > 1 else ""
        outcome = about["outcome"] if about["outcome"] in ("created", "deleted") else ""
        agent = ", by a subagent" if about.get("agent") else ""
        return f"({tool}{times}{', ' + outcome if outcome else ''}{agent}, {_clock(about['last'])})"

    def _drift(self, most: int) -> str:
        words = [f"{ascii_quoted(path)} {what}" for path, what in self.drifted.items()]
        return f"On disk since the checkpoint: {_listed(words, most)}." if words else ""

    def _failures(self, most: int) -> str:
        failures = [
            failure for failure in reversed(self.live["failures"]) if "resolved" not in failure
        ]
        words = [
            f"{_call(failure)}: {ascii_quoted(failure.get('error') or '', 80)} "
            f"({_clock(failure['at'])})"
            for failure in failures
        ]
        return f"Failures not seen to succeed since: {_listed(words, most)}." if words else ""

    def _request(self) -> str:
        text = self.live["last_request"]
        if not text:
            return ""
        return f"Last request: {quoted(text)} ({self._moment(self.live['last_request_at'])})."

    def _alive(self, most: int) -> str:
        here, elsewhere = [], []
        for other in self.alive:
            name = word(other["session_id"])
            message = (
                f"(last active {self._moment(other['last_active'])}{self._shares(other, most)})"
            )
            if "machine" in other:
                elsewhere.append(f"{name} of the machine {word(other['machine'])} {message}")
            else:
                here.append(f"{name} {message}")
        sentences = []
        if here:
            listed = _listed(here, most)
            sentences.append(f"Alive in this project, with work of its own: session {listed}.")
        if elsewhere:
            listed = _listed(elsewhere, most)
            sentences.append(f"On other machines, and not known to have ended: session {listed}.")
        return " ".join(sentences)

    def _shares(self, other: Other, most: int) -> str:
        """Files that another session changes too. Both sessions get them, each at its start."""
        paths = [ascii_quoted(path) for path in other.get("shares", ())]
        return f", and works on the same files: {_listed(paths, most)}" if paths else ""
