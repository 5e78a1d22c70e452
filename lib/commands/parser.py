"""The arguments of the command line: a parser of all commands."""

from __future__ import annotations

import argparse
import sys

from . import (
    checkpoints,
    completion,
    doctor,
    keys,
    log,
    migrate,
    move_state,
    phase,
    prune,
    queries,
    report,
    sessions,
    setup,
    status,
    statusline,
    sync,
    transfer,
    trust,
    watch,
)
from .arguments import Help, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "0.1.0"

HERE = ("status", "show", "phase", "checkpoint", "checkpoints", "diff")
"""The commands that may follow `here`, which the plugin's skills let Claude run unasked."""

_DESCRIPTION = "Show what Claude did in this project, and change what is kept of it."
_EPILOG = """\
Without a command it runs `status`. `workflow-state COMMAND --help` describes each command. The
session of a command is the one that Claude Code names in CLAUDE_CODE_SESSION_ID, else the one that
was active last; --session names another. `workflow-state here COMMAND` refuses all options: a rule
that lets Claude run it admits no other place.

examples:
  workflow-state install         record what Claude does in this project
  workflow-state                 see where the work stands
  workflow-state doctor          find out why it does not

files:
  ~/.local/state/workflow-state/ what was recorded of each project, and your key
  .claude/state/                 in a project: its keys, phase and files, for people and scripts
  .claude/workflow-state.json    a project's own rules for phases

environment:
  WORKFLOW_STATE=off             the hooks do nothing
  WORKFLOW_STATE_DIR             the state directory, in place of the one in your home
  The others are in docs/configuration.md.

exit status:
  0   done
  1   something failed; one line on stderr says what, where, and what to do; with --json, stdout
      has an object with "error"; docs/json.md has the others
  2   wrong arguments
  130 interrupted
"""

_STATUS = """\
exit status: 0; 1 when it failed, and one line on stderr says why; 2 for wrong arguments; 130 when
it was interrupted
"""


def build() -> Parser:
    """A parser of the options and of every command."""
    json_, session, directory = (argparse.ArgumentParser(add_help=False) for _ in range(3))
    json_.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    session.add_argument(
        "--session", metavar="ID", default=argparse.SUPPRESS, help="the session to use"
    )
    directory.add_argument(
        "--dir",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="the state directory (default: $WORKFLOW_STATE_DIR, or the project's in your home)",
    )
    common = [json_, session, directory]
    parser = Parser(
        prog="workflow-state",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=Help,
        parents=common,
    )
    parser.add_argument("--version", action="version", version=f"workflow-state {VERSION}")
    parser.set_defaults(run=status.status, stateless=False)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for module in (
        status,
        log,
        sessions,
        queries,
        checkpoints,
        keys,
        phase,
        report,
        sync,
        migrate,
        trust,
        move_state,
        statusline,
        watch,
        prune,
        transfer,
    ):
        module.register(commands, common)
    for module in (setup, doctor):
        module.register(commands, [json_, directory])
    completion.register(commands, [json_])
    for each in commands.choices.values():
        if "exit status:" not in (each.epilog or ""):
            each.epilog = f"{each.epilog or ''}\n\n{_STATUS}".strip()
    parser.set_defaults(parser=parser)
    return parser


def _plain(argv: list[str], parser: Parser) -> list[str]:
    """The arguments behind `here`: a command that names no other place, session or file."""
    for option in [word for word in argv if word[:1] == "-"]:
        parser.error(f"here takes no option, and {option} is one")
    if argv[:1] == [] or argv[0] not in HERE:
        parser.error(f"here takes one of these commands: {', '.join(HERE)}")
    return argv


def parse(argv: Sequence[str] | None, arguments: argparse.Namespace) -> None:
    """Add what the arguments say to a namespace. Exits with 2 for wrong arguments."""
    parser = build()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["here"]:
        words = _plain(words[1:], parser)
    _, unknown = parser.parse_known_args(words, arguments)
    refuse = getattr(arguments, "refuse", parser.error)
    if unknown:
        refuse(f"unrecognized arguments: {' '.join(unknown)}")
    for name in ("dir", "session"):
        if getattr(arguments, name) == "":  # an unset variable, say: no other one is meant
            refuse(f"--{name} is empty")
