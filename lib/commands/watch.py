"""`watch`: where the work stands, kept up to date in a terminal of its own."""

from __future__ import annotations

import argparse
import errno
import os
import select
import signal
import sys
import time

from ..project import place
from ..recording import journal
from ..session import lineage
from ..state import StateError
from ..terminal.output import add
from ..terminal.statusline import COLOURS
from ..terminal.view import View
from ..terminal.width import wants_colour
from . import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..format.types import Live, SessionState
    from ..state import State
    from ..terminal.output import Answer

_DESCRIPTION = """\
Show where the work stands, and go on showing it: the session, its phase, calls that run and for how
long, calls that failed, the files changed last, the checkpoint's age, and the other sessions that
run in this project. For a second pane of your terminal.

Without --session it follows whichever session was active last. It reads what hooks append as they
append it, and changes nothing.
"""

_EPILOG = """\
keys: q quits; so does Ctrl-C, with exit status 130; Ctrl-Z suspends. The terminal is left as it
was.

Where stdout is no terminal, TERM is dumb, or with --json, it is `status`: printed once.
"""

EVERY = 0.5
"""Seconds between two looks at the journals, unless a key or a new size comes first."""

RELOAD = 5.0
"""Seconds after which the session's checkpoint is read again; of it no journal tells."""

SHARE = 20
"""Reading it again is to take at most such a part of the time."""

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
"""xterm's private modes: the alternate screen, no cursor, no wrapping; and back."""

_HOME, _ERASE_LINE = "\x1b[H", "\x1b[2K"


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
    """Show until somebody quits; or once, where nobody looks on."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if arguments.json or not terminal or os.environ.get("TERM", "dumb") == "dumb":
        return status.status(state, arguments)
    named = arguments.session or journal.environment("CLAUDE_CODE_SESSION_ID")
    watched = Watched(state, place.session_of(named) if named else "")
    watched.look(time.time())  # a long journal takes a while, and its progress has no other place
    state.sessions.progress = None  # it would write over the screen
    coloured = wants_colour(arguments.color, terminal, dict(os.environ))
    with Screen() as screen:
        _show(watched, screen, coloured)
    return None


def _show(watched: Watched, screen: Screen, coloured: bool) -> None:
    while True:
        screen.draw(watched.look(time.time()).lines(*screen.size(), coloured))
        if screen.wait(EVERY) == "q":
            return


class Watched:
    """A session as it goes on: folded on by what its journal grew.

    `session` is its name; "" for whichever was active last.
    """

    def __init__(self, state: State, session: str) -> None:
        self._state = state
        self._named = session
        self._live: Live | None = None
        self._seen = 0.0
        """When the journal was changed, as far as `_live` tells of it."""
        self._due: float | None = None
        """When to read the checkpoint again, on the monotonic clock; None when there is no need."""
        self._cost = 0.0
        self._glimpses: dict[str, tuple[float, SessionState | None]] = {}

    def look(self, now: float) -> View:
        """What is known now."""
        state = self._state
        state.sessions.notices.clear()  # of the look before
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


class Screen:
    """The terminal while it is ours: another screen, no cursor, keys one by one. All is put back.

    However the process ends, but for SIGKILL: for Ctrl-C, and for the signals that end or suspend.
    """

    _ENDING = (signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._keys = sys.stdin is not None and sys.stdin.isatty()
        self._modes: list[Any] = []
        self._shown: list[str] | None = None
        self._ended_by = 0

    def __enter__(self) -> Screen:
        self._reader, self._writer = os.pipe()
        for descriptor in (self._reader, self._writer):
            os.set_blocking(descriptor, False)
        # Signals are told through a pipe, so that none comes between a look and the wait.
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
        signal.signal(signal.SIGTSTP, lambda _number, _frame: self._suspend())
        signal.signal(signal.SIGCONT, lambda _number, _frame: self._resume())
        for number in self._ENDING:
            signal.signal(number, self._end)
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)
        if self._ended_by:  # as if it had never been caught
            signal.signal(self._ended_by, signal.SIG_DFL)
            os.kill(os.getpid(), self._ended_by)

    def _end(self, number: int, _frame: object) -> None:
        self._ended_by = number
        raise KeyboardInterrupt

    def _suspend(self) -> None:
        """Ctrl-Z: stop with the terminal as it was, and come back when we are let go on."""
        self._close()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, lambda _number, _frame: self._suspend())
        self._open()

    def _resume(self) -> None:
        """SIGCONT: after SIGSTOP, which cannot be met, a shell has had the terminal meanwhile."""
        if self._modes:
            self._take_keys()
        self._shown = None

    def _open(self) -> None:
        self._shown = None
        if self._keys:
            import termios

            self._modes = termios.tcgetattr(0)
            self._take_keys()
        self._write(_ENTER)

    def _take_keys(self) -> None:
        """Have keys one by one. In the background the system stops us here until we are let in."""
        import termios
        import tty

        while True:
            try:
                tty.setcbreak(0)
            except termios.error as error:
                if error.args[0] != errno.EINTR:  # by the signal that let us go on
                    raise
            else:
                return

    def _close(self) -> None:
        import termios

        try:
            if self._modes:
                termios.tcsetattr(0, termios.TCSANOW, self._modes)
                self._modes = []
            self._write(_LEAVE)
        except (StateError, termios.error):
            pass  # the terminal has gone, and what was on it

    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        try:
            size = os.get_terminal_size(1)
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def draw(self, lines: list[str]) -> None:
        """Show these lines, if others are shown."""
        if lines != self._shown:
            self._shown = lines
            # Erased first: behind a line that is as wide as the screen, its last letter would go.
            text = "\r\n".join([_ERASE_LINE + line for line in lines])
            self._write(f"{_HOME}{text}")

    def wait(self, seconds: float) -> str:
        """Wait for a key, which is given, for a signal, or for so long: then it is ""."""
        watched = [self._reader, *([0] if self._keys else [])]
        ready = select.select(watched, [], [], seconds)[0]
        if self._reader in ready:
            os.read(self._reader, 512)
            self._shown = None  # of another size, perhaps
        if 0 not in ready:
            return ""
        typed = os.read(0, 64)
        if not typed:
            return "q"  # the terminal has gone
        return typed[:1].decode("ascii", "replace").lower()

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError as error:
            raise StateError(f"the terminal cannot be written to: {error.strerror}") from None
