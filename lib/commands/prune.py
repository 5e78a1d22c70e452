"""`prune`: old sessions go now, by the rule that a session's start goes by, or another."""

from __future__ import annotations

import argparse
import os
import time

from ..maintenance import importing, retention
from ..project import place
from ..recording import journal
from ..session.lineage import is_running
from ..session.live import checkpoint_name
from ..state import StateError
from ..telling.context import ago
from ..terminal.output import table
from ..terminal.progress import Progress, size
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..state import State
    from .arguments import Answer

_DESCRIPTION = f"""\
Removes sessions that have not been active for long, each with its journal and its own checkpoint.

The hooks do the same whenever a session starts, for at most half a second: sessions
older than {retention.DAYS} days go then, except the newest {retention.NEWEST}. A session goes only
when it is older than --older-than and not among the newest --keep. Never removed are a session
whose Claude Code still runs, the session this is called from, keys, and, unless --checkpoints is
given, checkpoints made by hand.
"""

_EPILOG = """\
This cannot be undone: run `workflow-state export -o FILE` first to keep a copy. An interrupted run
has removed some sessions completely and not changed the others.
"""

_UNITS = {"h": 3600, "d": 86400, "w": 7 * 86400}


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(commands, parents, "prune", prune, "remove old sessions, by age and number")
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.add_argument(
        "--older-than",
        type=age,
        default=retention.DAYS * 86400.0,
        metavar="AGE",
        help=f"hours, days or weeks, as 12h, 30d or 8w (default: {retention.DAYS}d)",
    )
    parser.add_argument(
        "--keep",
        type=_number,
        default=retention.NEWEST,
        metavar="N",
        help=f"how many of the newest sessions stay at any age (default: {retention.NEWEST})",
    )
    parser.add_argument(
        "--checkpoints",
        action="store_true",
        help="also checkpoints of that age that you named or that a restore made",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")


def age(text: str) -> float:
    """Seconds of an age as it is typed."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and len(number) < 7 and unit in _UNITS):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no age: use a number and h, d or w, for example 30d"
        )
    return float(int(number) * _UNITS[unit])


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of sessions")
    return int(text)


def prune(state: State, arguments: argparse.Namespace) -> Answer:
    """Remove, or only say; what had gone before a failure stays gone."""
    dry = arguments.dry_run
    # The one active last, which other commands mean when none is named, is like any other here.
    calling = arguments.session or journal.environment("CLAUDE_CODE_SESSION_ID")
    state.session = calling and place.session_of(calling)
    with Progress("pruning") as progress:
        sessions, live = _sessions(state, arguments.older_than, arguments.keep, dry, progress)
        named = _checkpoints(state, arguments.older_than, dry) if arguments.checkpoints else []
        if not dry and os.path.isdir(state.directory):
            try:
                retention.clean_up(state)
                importing.clean_up(state)
            except OSError as error:
                raise StateError(f"{error.filename or state.directory}: {error.strerror}") from None
    data = {"dry_run": dry, "sessions": sessions, "checkpoints": named, "live": live}
    return data, _lines(data)


def _sessions(
    state: State, older: float, keep: int, dry: bool, progress: Progress
) -> tuple[list[dict[str, Any]], list[str]]:
    """The sessions that go, and those that would if they were not running."""
    changed = {session: at for at, session in place.journals(state.directory)}
    going = list(retention.outdated(state, older, keep))
    gone: list[dict[str, Any]] = []
    live = []
    for number, session in enumerate(going):
        progress.items(number, len(going))
        if is_running(state.sessions, session):
            live.append(session)
            continue
        taken = _bytes(state, session)
        about = {"session_id": session, "bytes": taken, "changed": changed[session]}
        if not dry:
            try:
                retention.forget(state, session)
            except OSError as error:
                raise StateError(
                    f"{state.directory}/sessions/{session}.jsonl: {error.strerror}; "
                    f"{len(gone)} sessions had been removed before"
                ) from None
        gone.append(about)
    return gone, live


def _bytes(state: State, session: str) -> int:
    """The bytes of a session on the disk, as near as is known."""
    total = 0
    checkpoint = journal.stem(checkpoint_name(session))
    for part in (f"sessions/{session}.jsonl", f"checkpoints/{checkpoint}.json"):
        try:
            total += os.lstat(os.path.join(state.directory, part)).st_size
        except OSError:
            pass
    return total


def _checkpoints(state: State, older: float, dry: bool) -> list[dict[str, Any]]:
    found = retention.old_checkpoints(state, older)
    for about in found if not dry else ():
        state.delete_checkpoint(about["name"])
    return found


def _lines(data: dict[str, Any]) -> list[str]:
    now = time.time()
    verb = "Would remove" if data["dry_run"] else "Removed"
    sessions, named = data["sessions"], data["checkpoints"]
    lines = []
    if sessions or named:
        total = size(sum(about["bytes"] for about in sessions))
        what = [f"{len(sessions)} session{'s' * (len(sessions) != 1)} ({total})"] * bool(sessions)
        what += [f"{len(named)} checkpoint{'s' * (len(named) != 1)}"] * bool(named)
        lines.append(f"{verb} {' and '.join(what)}:")
        rows = [
            ["", "session", about["session_id"], ago(now - about["changed"]), size(about["bytes"])]
            for about in sessions
        ]
        rows += [["", "checkpoint", each["name"], each["created"][:10], ""] for each in named]
        lines += table(rows)
    else:
        lines.append(f"Nothing {'would go' if data['dry_run'] else 'was that old'}.")
    lines += [f"Session {session} is still running, and stays." for session in data["live"]]
    return lines
