"""The command line: arguments -> verbs of `State` -> text, or JSON with --json.

A command is a module's function that takes the state and the arguments and gives an answer: data
for programs and lines for people. Everything printed passes through here.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys

from .. import journal
from ..quoting import printable
from ..state import State, StateError
from . import checkpoints, keys, log, phase, status, trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "0.1.0"

OK = 0
FAILED = 1
INTERRUPTED = 130

_DESCRIPTION = "What workflow-state knows of the work in this project, and the verbs to change it."
_EPILOG = """\
Without a command it is `status`. Commands that speak of a session mean the one that Claude Code
names in CLAUDE_CODE_SESSION_ID, else the one active last; --session names another.

exit status: 0, 1 when something failed (one line on stderr says what), 2 for wrong arguments
"""


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    common.add_argument(
        "--session", metavar="ID", default=argparse.SUPPRESS, help="the session to speak of"
    )
    common.add_argument(
        "--dir",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="the state directory (default: $WORKFLOW_STATE_DIR, or the project's .claude/state)",
    )
    parser = argparse.ArgumentParser(
        prog="workflow-state",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"workflow-state {VERSION}")
    parser.set_defaults(run=status.status)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for module in (status, log, checkpoints, keys, phase, trust):
        module.register(commands, [common])
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    # These may stand before the verb or after it, so no parser may set a default for them.
    unsaid = argparse.Namespace(json=False, session=None, dir=None)
    arguments = _parser().parse_args(argv, unsaid)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # letters that a terminal lacks are no error
            stream.reconfigure(errors="backslashreplace")
    try:
        state = State(arguments.dir, arguments.session)
        state.session = state.session or state.sessions.last()
        data, lines = arguments.run(state, arguments)
        if arguments.json:
            print(json.dumps(data, indent=2))
        else:
            print("\n".join([printable(line) for line in lines]))
        sys.stdout.flush()
    except (StateError, journal.Unusable) as error:
        return _fail(str(error))
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python would say so again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK
    except OSError as error:
        return _fail(f"{error.filename or 'workflow-state'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return INTERRUPTED
    return OK


def _fail(reason: str) -> int:
    print(f"workflow-state: {printable(' '.join(reason.split()))}", file=sys.stderr)
    return FAILED
