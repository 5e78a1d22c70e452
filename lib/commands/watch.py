"""`watch`: the state of a session, kept up to date in a terminal of its own."""

from __future__ import annotations

import argparse
import os
import sys
import time

from ..project import place
from ..recording import journal
from ..session import lineage
from ..state import StateError
from ..terminal.statusline import COLOURS
from ..terminal.watch_screen import Screen
from ..terminal.watch_view import View
from ..terminal.width import wants_colour
from . import status
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..format.types import Live, SessionState
    from ..state import State
    from .arguments import Answer

_DESCRIPTION = """\
Show the state of a session until you quit: its phase, the calls that run and for how long, the
calls that failed, the files changed last, the age of the checkpoint, and the other sessions that
run in this project. Use it in a second pane of your terminal.

Without --session it follows the session that was active last. It reads what the hooks append, and
changes nothing.
"""

_EPILOG = """\
keys: q quits; so does Ctrl-C, with exit status 130; Ctrl-Z suspends. The terminal is restored.

With --json, without a terminal on stdout, or where TERM is dumb, it prints `status` once.
"""

EVERY = 0.5
"""Seconds between two readings of the journals, unless a key or a new size comes first."""

RELOAD = 5.0
"""Seconds after which the checkpoint is read again: the journal does not record it."""

SHARE = 20
"""Reading it again takes at most one part in so many of the time."""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(commands, parents, "watch", watch, "show where the work stands, as it goes on")
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.add_argument(
        "--color",
        choices=COLOURS,
        default="auto",
        metavar="WHEN",
        help="auto, always or never (default: auto)",
    )


def watch(state: State, arguments: argparse.Namespace) -> Answer | None:
    """Show the state until somebody quits; once where stdout is no terminal."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if arguments.json or not terminal or os.environ.get("TERM", "dumb") == "dumb":
        return status.status(state, arguments)
    named = arguments.session or journal.environment("CLAUDE_CODE_SESSION_ID")
    watched = Watched(state, place.session_of(named) if named else "")
    watched.read(time.time())  # before the screen opens: a long journal shows its progress
    state.sessions.progress = None  # it would write over the screen
    coloured = wants_colour(arguments.color, terminal, dict(os.environ))
    with Screen() as screen:
        _show(watched, screen, coloured)
    return None


def _show(watched: Watched, screen: Screen, coloured: bool) -> None:
    while True:
        screen.draw(watched.read(time.time()).lines(*screen.size(), coloured))
        if screen.wait(EVERY) == "q":
            return


class Watched:
    """A session whose state follows its journal: each reading folds the new records.

    `session` is its name; "" for the session that was active last.
    """

    def __init__(self, state: State, session: str) -> None:
        self._state = state
        self._named = session
        self._live: Live | None = None
        self._seen = 0.0
        """When the journal was changed last, of the records that `_live` has."""
        self._due: float | None = None
        """When to read the checkpoint again, on the monotonic clock; None for no need."""
        self._cost = 0.0
        self._glimpses: dict[str, tuple[float, SessionState | None]] = {}

    def read(self, now: float) -> View:
        """Read what is new; the view of it."""
        state = self._state
        state.sessions.notices.clear()  # those of the reading before
        trouble = ""
        others = []
        try:
            journals = place.journals(state.directory)
            self._follow(self._named or self._last(journals), {name: at for at, name in journals})
            others = self._others(journals)
        except (StateError, journal.Unusable, OSError) as error:
            trouble = str(error)
        trouble = trouble or "; ".join(state.sessions.notices)
        standing = lineage.condition(self._live) if self._live else ""
        return View(state.project, self._live, standing, others, now, trouble, self._named)

    def _follow(self, session: str, changed: dict[str, float]) -> None:
        sessions = self._state.sessions
        if not self._live or self._live["session_id"] != session:
            self._live, self._seen, self._due = None, 0.0, 0.0
        at = changed.get(session, 0.0)
        now = time.monotonic()
        if not session:
            return
        if self._due is not None and now >= self._due:
            sessions.refresh()
            self._live = sessions.live(session)
            self._cost = time.monotonic() - now
            self._due = None
        elif at != self._seen:
            self._live = sessions.live(session, before=self._live)
        if at != self._seen:
            # A checkpoint comes a moment after the records of a stop, and is in no record.
            self._due = now + max(RELOAD, SHARE * self._cost) if self._due is None else self._due
        self._seen = at

    def _glimpse(self, session: str, at: float) -> SessionState | None:
        if self._glimpses.get(session, (0.0, None))[0] != at:
            self._glimpses[session] = (at, self._state.sessions.glimpse(session))
        return self._glimpses[session][1]

    def _last(self, journals: list[tuple[float, str]]) -> str:
        for at, session in journals:
            known = self._glimpse(session, at)
            if known and known["last_active"]:
                return session
        return ""

    def _others(self, journals: list[tuple[float, str]]) -> list[SessionState]:
        here = self._live and self._live["session_id"]
        known = [
            self._glimpse(session, at)
            for at, session in journals[: lineage.EXAMINED]
            if session != here
        ]
        return [
            each
            for each in known
            if each and each["last_active"] and lineage.condition(each) == lineage.ALIVE
        ]
