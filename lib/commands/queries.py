"""`touched` and `failures`: what is asked of all sessions at once."""

from __future__ import annotations

import os
import time

from ..recording import journal
from ..session import across
from ..session.describe import describe
from ..terminal.output import table, when
from .arguments import add, since

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from .arguments import Answer

WEEK = 7 * 86400

_TOUCHED = """\
"in flight" is a session that is about to change the file. What a session inherited is listed only
under the session that did it.
"""
_FAILURES = """\
Lists calls and turns that failed, the latest first. Of a session of another machine, only its
newest failures are known.
"""
_END = """\
examples:
  workflow-state failures --since 24h
  workflow-state failures --json | jq 'map(select(.resolved == null))'
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    parser = add(
        commands, parents, "touched", touched, "list the sessions that touched a file", _TOUCHED
    )
    parser.add_argument("file", metavar="FILE", help="its path, from where you are")
    parser = add(
        commands,
        parents,
        "failures",
        failures,
        "list what failed lately, in any session",
        _FAILURES,
        _END,
    )
    parser.add_argument(
        "--since",
        type=since,
        metavar="WHEN",
        help="since then: 2026-11-23, 2026-11-23T14:30Z, 12h, 7d, 2w (default: 7d)",
    )


def touched(state: State, arguments: argparse.Namespace) -> Answer:
    """A line a session: when, what became of the file, by which tool, in which session."""
    path = journal.locate(arguments.file, os.path.realpath(state.project), os.getcwd())
    found = across.touched(state.sessions, state.session, path)
    if not found:
        return [], [f"No session that is known here has touched {path}."]
    rows = [["WHEN", "WHAT", "TOOL", "SESSION", "STANDS", "MACHINE"]]
    for each in found:
        tool = each["tool"] or "-"
        rows.append(
            [
                when(each["at"], "minutes"),
                each["outcome"],
                f"{tool} (subagent)" if each["agent"] else tool,
                each["session_id"],
                each["condition"],
                each["machine"] or "-",
            ]
        )
    return found, table(rows)


def failures(state: State, arguments: argparse.Namespace) -> Answer:
    """A line a failure: when, which tool on what, the error, and whether it went well since."""
    began = time.time() - WEEK if arguments.since is None else arguments.since
    found = across.failures(state.sessions, state.session, began)
    if not found:
        return [], ["Nothing failed since then that is known here."]
    lines = []
    for each in found:
        message = f"{when(each['at'], 'minutes')}  {describe(each, unnamed='the turn')}"
        lines.append(message if each["resolved"] is None else f"{message} (well since)")
        lines.append(f"    {each['error'] or 'no error message'}  [session {each['session_id']}]")
    return found, lines
