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
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIGHUP,
    SIGTERM,
    getsignal,
    signal,
)

from ..install.environment import adopt
from ..project import place
from ..recording import journal
from ..state import State, StateError
from ..telling.quoting import printable
from ..terminal.output import Help, Parser, write
from ..terminal.progress import Progress
from . import (
    checkpoints,
    completion,
    doctor,
    keys,
    log,
    migrate,
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

VERSION = "0.1.0"

OK = 0
FAILED = 1
INTERRUPTED = 130

_DESCRIPTION = "What workflow-state knows of the work in this project, and the verbs to change it."
_EPILOG = """\
Without a command it is `status`; `workflow-state COMMAND --help` tells more of each. Commands that
speak of a session mean the one that Claude Code names in CLAUDE_CODE_SESSION_ID, else the one that
was active last; --session names another.

examples:
  workflow-state install         record what Claude does in this project
  workflow-state                 see where the work stands
  workflow-state doctor          find out why it does not

files:
  .claude/state/                 what was recorded in a project; delete it and it starts afresh
  .claude/workflow-state.json    a project's own rules for phases
  ~/.local/state/workflow-state/ your key, and settings as they were before `install`

environment:
  WORKFLOW_STATE=off             the hooks do nothing
  WORKFLOW_STATE_DIR             the state directory, in place of .claude/state
  The others are in docs/configuration.md.

exit status:
  0   done
  1   something failed; one line on stderr says what, where, and what to do, and with --json an
      object with "error" on stdout; docs/json.md has the others
  2   wrong arguments
  130 interrupted
"""


_STATUS = """\
exit status: 0; 1 when it failed, and one line on stderr says why; 2 for wrong arguments; 130 when
it was interrupted
"""


def _parser() -> Parser:
    json_, session, directory = (argparse.ArgumentParser(add_help=False) for _ in range(3))
    json_.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    session.add_argument(
        "--session", metavar="ID", default=argparse.SUPPRESS, help="the session to speak of"
    )
    directory.add_argument(
        "--dir",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="the state directory (default: $WORKFLOW_STATE_DIR, or the project's .claude/state)",
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


class _Ended(KeyboardInterrupt):
    """A signal that ends a process, met like Ctrl-C: what is half written goes first."""


def _end(number: int, _frame: object) -> NoReturn:
    raise _Ended(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Without `argv` it is a process of its own."""
    for number in (SIGTERM, SIGHUP) if argv is None else ():
        if getsignal(number) == SIG_DFL:  # nohup wants no SIGHUP
            signal(number, _end)
    # These may stand before the verb or after it, so no parser may set a default for them.
    arguments = argparse.Namespace(json=False, session=None, dir=None)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # letters that a terminal lacks are no error
            stream.reconfigure(errors="backslashreplace")
    progress = Progress("reading the journal")
    try:
        _parse(_parser(), argv, arguments)
        for message in adopt(_project(arguments)):
            _tell(message)
        state = None if arguments.stateless else State(arguments.dir, arguments.session)
        with progress:
            if state:
                state.sessions.progress = progress.bytes
                state.session = state.session or state.sessions.last()
            answer = arguments.run(state, arguments)
        for notice in state.sessions.notices if state else ():
            _tell(notice)
        if answer is None:
            return OK  # it has said on its own what there was to say
        data, lines, *code = answer
        if arguments.json:
            write(json.dumps(data, indent=2) + "\n")
        else:
            write("".join([printable(line) + "\n" for line in lines]) or "\n")
    except (StateError, journal.Unusable) as error:
        return _fail(str(error), arguments)
    except BrokenPipeError:
        return OK  # the reader (`| head`) has seen enough
    except OSError as error:
        return _fail(f"{error.filename or 'workflow-state'}: {error.strerror or error}", arguments)
    except _Ended as ended:  # as if it had never been caught
        signal(ended.args[0], SIG_DFL)
        os.kill(os.getpid(), ended.args[0])
    except KeyboardInterrupt:
        return INTERRUPTED
    return code[0] if code else OK


def _parse(parser: Parser, argv: Sequence[str] | None, arguments: argparse.Namespace) -> None:
    _, unknown = parser.parse_known_args(argv, arguments)
    refuse = getattr(arguments, "refuse", parser.error)
    if unknown:
        refuse(f"unrecognized arguments: {' '.join(unknown)}")
    for name in ("dir", "session"):
        if getattr(arguments, name) == "":  # an unset variable, say: no other one is meant
            refuse(f"--{name} is empty")


def _project(arguments: argparse.Namespace) -> str:
    """The project that a command speaks of."""
    named: str | None = getattr(arguments, "project", None)
    if named:
        return os.path.abspath(named)
    return (
        place.project_of(os.path.abspath(arguments.dir))
        if arguments.dir
        else journal.find_project()
    )


def _tell(text: str) -> None:
    print(f"workflow-state: {printable(' '.join(text.split()))}", file=sys.stderr)


def _fail(reason: str, arguments: argparse.Namespace) -> int:
    _tell(reason)
    if arguments.json and sys.stdout is not None:
        try:
            write(json.dumps({"error": reason}, indent=2) + "\n")
        except OSError:
            pass  # it has been told
    return FAILED
