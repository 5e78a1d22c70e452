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
Reads the JSON of Claude Code's status line on stdin, and prints one line about the session: phase,
number of changed files, age of the last checkpoint, number of the newest files that differ from it
on disk, and the running call.

In the settings of Claude Code:

  {"statusLine": {"type": "command", "refreshInterval": 30,
    "command": "python3 -I -S ~/.workflow-state/bin/workflow-state statusline"}}

As a part of your own status line, which passes its stdin on (prints no line feed):

  input=$(cat)
  printf '%s' "$input" | python3 -I -S ~/.workflow-state/bin/workflow-state statusline --segment
"""

_EPILOG = """\
The line fits COLUMNS, which Claude Code sets: less important parts become short, then disappear.
Without JSON on stdin, it uses the same session as the other commands.

Colour with --color auto: no if NO_COLOR is set; yes if FORCE_COLOR or CLICOLOR_FORCE is set;
otherwise on a terminal and in Claude Code, unless TERM is dumb or not set.

exit status: 0. If it fails, the line is empty; only on a terminal it reports the error and exits 1.
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
