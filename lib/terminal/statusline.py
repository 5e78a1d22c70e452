"""The status line: the state of the session, on the one line below the prompt of Claude Code.

The client runs it every few moments, and a person's own status line may contain it. So it prints
one line that fits, or an empty one, and exits 0, whatever goes wrong. It takes a bounded time,
changes nothing on the disk, and loads as little as the hooks do.
"""

from __future__ import annotations

import os
import sys
from _signal import ITIMER_REAL, SIGALRM, setitimer, signal  # type: ignore[import-not-found]
from time import time

from ..format.records import seconds
from ..project.git import looks_the_same
from ..recording import journal
from ..session.describe import describe
from ..session.states import newest
from ..state import State
from ..telling.context import ago
from ..telling.quoting import printable
from .width import columns, cut, paint, wants_colour

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from ..format.types import Call, Live

    Piece = tuple[str, str, str, int]
    """A piece of the line: in words, in short, its colour, and its rank. Rank 0 matters most."""


SECONDS = 1.0
"""The longest that the line may take; the client runs it again soon."""

UNREAD = 1 << 17
"""Bytes of the journal, after the last checkpoint, that are read: hundreds of records."""

LOOKED_AT = 10
"""How many of the newest files are compared with the disk, by size and time."""

SUBJECT = 40
MARGIN = 4
"""Columns that the client keeps on either side of the line."""

DEFAULTS = {"segment": False, "color": "auto", "session": None, "dir": None}
COLOURS = ("auto", "always", "never")


def options(arguments: list[str]) -> dict[str, Any] | None:
    """The options in the arguments; None for those that need the whole command line."""
    found: dict[str, Any] = dict(DEFAULTS)
    rest = iter(arguments)
    for argument in rest:
        name, given, value = argument.partition("=")
        if argument == "--segment":
            found["segment"] = True
        elif name in ("--color", "--session", "--dir"):
            value = value if given else next(rest, "")
            if not value or value.startswith("-"):
                return None
            found[name[2:]] = value
        else:
            return None
    return found if found["color"] in COLOURS else None


def main(arguments: list[str]) -> None:
    """Print the line and leave the process; return when the whole command line is needed."""
    chosen = options(arguments)
    if chosen is not None:
        leave(run(**chosen))


def leave(code: int) -> NoReturn:
    """Exit at once: to finalize the interpreter takes a sixth of its start."""
    os._exit(code)


def run(segment: bool, color: str, session: str | None, dir: str | None) -> int:  # noqa: A002
    """Print the line; the exit status: 1 for a failure on a terminal, else 0."""
    by_hand = os.isatty(1)
    line, status = answer(segment, color, session, dir, by_hand)
    _print(line if segment and not by_hand else line + "\n")
    return status


def answer(
    segment: bool, color: str, session: str | None, directory: str | None, by_hand: bool
) -> tuple[str, int]:
    """The line and the exit status. A failure is printed on stderr only on a terminal."""
    try:
        signal(SIGALRM, _give_up)
        setitimer(ITIMER_REAL, SECONDS)
        given = {} if os.isatty(0) else _given(_stdin())
        said = _said(given, session, directory)
        terminal = by_hand or "session_id" in given
        coloured = wants_colour(color, terminal, dict(os.environ))
        return render(said, _width(given, by_hand), segment, coloured), 0
    except BaseException as error:  # noqa: BLE001  # a traceback is no status
        if by_hand:
            message = printable(
                " ".join(f"workflow-state: {error or type(error).__name__}".split())
            )
            print(message, file=sys.stderr)
        return "", 1 if by_hand else 0
    finally:
        setitimer(ITIMER_REAL, 0)


def _give_up(_number: int, _frame: object) -> None:
    raise journal.Unusable(f"gave up after {SECONDS:g} s")


def _stdin() -> bytearray:
    try:
        return journal.read_stdin()
    except OSError:
        return bytearray()  # it is closed


def _print(text: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        os.write(1, text.encode(encoding, "backslashreplace"))
    except OSError:
        pass  # the reader has closed it


def _given(data: bytearray) -> dict[str, Any]:
    """The JSON of the client; {} for anything else, as a line without it is better than none."""
    try:
        return journal.parse(data.decode("utf-8", "replace"))
    except journal.Unusable:
        return {}


def _width(given: dict[str, Any], by_hand: bool) -> int:
    """The columns for the line; 0 when they are unknown."""
    message = journal.environment("COLUMNS")
    if message.isascii() and message.isdigit() and len(message) < 6 and int(message):
        return max(1, int(message) - MARGIN) if given else int(message)
    return os.get_terminal_size(1).columns if by_hand else 0


# --- the pieces --------------------------------------------------------------------------------

OFF = [("recording is off", "off", "2", 0)]
NOTHING = [("nothing recorded yet", "", "2", 0)]


def _said(given: dict[str, Any], session: str | None, directory: str | None) -> list[Piece]:
    if journal.environment("WORKFLOW_STATE") == "off":
        return OFF
    message = given.get("workspace")
    workspace: dict[str, Any] = message if isinstance(message, dict) else {}
    project = journal.find_project(_path(workspace.get("project_dir")) or _path(given.get("cwd")))
    identifier = given.get("session_id")
    if session is None and isinstance(identifier, str):
        session = identifier
    state = State(directory or journal.find_state(project), session, project=project)
    try:
        name = state.session or state.sessions.last()
        live = state.sessions.live(name, most=UNREAD) if name else None
        return pieces(live, _drifted(state.project, live), time()) if live else NOTHING
    finally:
        state.store.close()


def _path(value: object) -> str:
    return value if isinstance(value, str) and value[:1] == "/" and "\0" not in value else ""


def _drifted(project: str, live: Live) -> int:
    """How many of the newest files are not as the last checkpoint saw them."""
    marks = live["fold"]["newest"]  # without a mark are those that Claude changed again since
    return sum(
        1
        for path in newest(live, LOOKED_AT)
        if marks[path] and not looks_the_same(os.path.join(project, path), marks[path])
    )


def pieces(live: Live, drifted: int, now: float) -> list[Piece]:
    """The pieces of the line, in their order."""
    found: list[Piece] = []
    phase = printable(live["current_phase"] or "no phase yet")
    pinned = " (pinned)" if live["phase_pinned"] else ""
    found.append((cut(phase, SUBJECT) + pinned, cut(phase, 12), "1;36", 0))
    more = "+" if live["journal"].get("skipped") else ""
    files = len(live["files_processed"])
    found.append((f"{files}{more} file{'s' * (files != 1)}", f"{files}{more}f", "", 3))
    if live["last_checkpoint_at"]:
        age = ago(now - seconds(live["last_checkpoint_at"]))
        found.append((f"checkpoint {age}", f"cp {_brief(age)}", "", 4))
    else:
        found.append(("no checkpoint yet", "no cp", "", 4))
    if drifted:
        found.append((f"{drifted} changed on disk", f"{drifted} drift", "35", 2))
    if live["in_flight"]:
        found.append(_running(live["in_flight"], now))
    return found


def _running(calls: list[Call], now: float) -> Piece:
    call = calls[-1]
    tool = printable(str(call.get("tool") or "?"))
    words = cut(printable(describe(call)), SUBJECT)
    age = ago(now - seconds(call["since"])).removesuffix(" ago")
    others = f" +{len(calls) - 1}" if len(calls) > 1 else ""
    return f"{words} ({age}){others}", f"{cut(tool, 12)} {_brief(age)}{others}", "33", 1


def _brief(age: str) -> str:
    return age.removesuffix(" ago").replace(" min", "m").replace(" ", "")


# --- the line ----------------------------------------------------------------------------------

BETWEEN = " | "
WORDS, SHORT, OUT = 0, 1, 2
"""The forms of a piece."""


def render(said: list[Piece], width: int, segment: bool, coloured: bool) -> str:
    """The pieces on one line of at most `width` columns, or of any number when that is 0.

    Where it is too long, the pieces that matter least get short first, then they are left out. The
    last one is cut.
    """
    between = " " if segment else BETWEEN
    form = dict.fromkeys([rank for *_, rank in said], SHORT if segment else WORDS)
    ranks = sorted(form, reverse=True)
    chosen = _chosen(said, form)
    for rank, smaller in [(rank, SHORT) for rank in ranks] + [(rank, OUT) for rank in ranks[:-1]]:
        if not width or _columns(chosen, between) <= width:
            break
        form[rank] = smaller
        chosen = _chosen(said, form)
    if width and _columns(chosen, between) > width:
        chosen = [(cut(chosen[0][0], width), chosen[0][1])]
    if not coloured:
        return between.join([text for text, _ in chosen])
    dim = between if segment else paint(between, "2")
    return dim.join([paint(text, colour) for text, colour in chosen])


def _chosen(said: list[Piece], form: dict[int, int]) -> list[tuple[str, str]]:
    """Texts and colours, each piece in its form; some have no short one."""
    taken = [(piece, form[piece[3]]) for piece in said]
    return [
        ((words, short)[its], colour)
        for (words, short, colour, _), its in taken
        if its != OUT and (words, short)[its]
    ]


def _columns(chosen: list[tuple[str, str]], between: str) -> int:
    return columns(between.join([text for text, _ in chosen]))
