"""`log`: what was recorded, a line a record."""

from __future__ import annotations

import argparse
import os
from collections import deque

from ..format.records import Replay
from ..project import place
from ..state import UnknownSession
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..format.types import Record
    from ..state import State
    from .arguments import Answer

_NAMED = (
    "tool",
    "path",
    "command",
    "text",
    "phase",
    "checkpoint",
    "source",
    "reason",
    "trigger",
    "error",
)


_MORE = """\
Prints one line for each record: time in UTC, event, and what was recorded. It skips records that
are damaged or that this user has not written, and counts them at the end.
"""
_END = """\
examples:
  workflow-state log -n 20
  workflow-state log --json | jq 'map(select(.tool == "Bash").command)'
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(
        commands,
        parents,
        "log",
        log,
        "print a session's journal, oldest record first",
        _MORE,
        _END,
    )
    parser.add_argument("-n", "--lines", type=_count, metavar="N", help="only the last N records")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records")
    return int(text)


def log(state: State, arguments: argparse.Namespace) -> Answer:
    """The records that count, and how many did not."""
    descriptor = place.open_journal(state.directory, state.session) if state.session else None
    if descriptor is None:
        which = f"session {state.session}" if state.session else "any session"
        raise UnknownSession(f"no journal of {which} in {state.directory}")
    with open(descriptor, "rb", closefd=True):
        size, tell = os.fstat(descriptor).st_size, state.sessions.progress
        passed = (lambda offset: tell(offset, size)) if tell else None
        reading = Replay(descriptor, state.session, passed=passed, directory=state.directory)
        records = list(deque(reading, arguments.lines))
    lines = [_line(record) for record in records]
    for kind, count in reading.problems.items():
        lines.append(f"({count} {kind} records passed over)")
    return records, lines


def _line(line: Record) -> str:
    record: dict[str, Any] = {**line}
    at = f"{record['at'][:10]} {record['at'][11:23]}"
    words = [
        f"{name}={record[name]}" if name in ("error", "phase") else str(record[name])
        for name in _NAMED
        if record.get(name)
    ]
    for kind in ("created", "changed", "deleted", "paths"):
        if kind in record:
            words.append(f"{kind}: {', '.join(record[kind])}")
    if "fingerprints" in record:
        words.append(f"fingerprints: {', '.join(record['fingerprints'])}")
    agent = (
        f" [subagent {record.get('agent_type') or record['agent']}]" if record.get("agent") else ""
    )
    return (
        f"{at}  {record.get('event', '?'):<18} {' '.join(' '.join(words).split())}{agent}".rstrip()
    )
