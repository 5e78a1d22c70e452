"""`statusline`: what the fast way of terminal/statusline.py leaves to the command line."""

from __future__ import annotations

import argparse

from ..terminal import statusline as line
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..state import State
    from .arguments import Answer

_DESCRIPTION = """\
Read the JSON that Claude Code gives a status line on stdin, and print where the session stands, on
one line: its phase, how many files it changed, how old the last checkpoint is, how many of the
newest files are not on the disk as that checkpoint saw them, and the call that is running.

In the settings of Claude Code:

  {"statusLine": {"type": "command", "refreshInterval": 30,
    "command": "python3 -I -S ~/.workflow-state/bin/workflow-state statusline"}}

As a part of a status line of your own, which hands its stdin on (no line feed at its end):

  input=$(cat)
  printf '%s' "$input" | python3 -I -S ~/.workflow-state/bin/workflow-state statusline --segment
"""

_EPILOG = """\
The line fits COLUMNS, which Claude Code sets: what matters less is put shorter, then left out.
Without JSON on stdin it speaks of the session that the other commands mean.

Colour, with --color auto: not where NO_COLOR is set; where FORCE_COLOR or CLICOLOR_FORCE is set;
else on a terminal, and for Claude Code, which shows colours, unless TERM is dumb or not set.

exit status: 0. What goes wrong leaves the line empty; only on a terminal is it told, with 1.
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(commands, parents, "statusline", statusline, "print a line for Claude Code's own")
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.add_argument(
        "--segment", action="store_true", help="put shortly, without a line feed, or nothing"
    )
    parser.add_argument(
        "--color",
        choices=line.COLOURS,
        default="auto",
        metavar="WHEN",
        help="auto, always or never (default: auto)",
    )


def statusline(_state: State, arguments: argparse.Namespace) -> Answer:
    """What does not come by the fast way: --json, or options before the verb."""
    chosen = (arguments.segment, arguments.color, arguments.session, arguments.dir)
    if not arguments.json:
        line.leave(line.run(*chosen))
    return {"line": line.answer(*chosen, by_hand=False)[0]}, []
