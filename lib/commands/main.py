"""The command line: one command runs, and its output is printed, as text or with --json as JSON.

A command is a function that takes the state and the arguments, and returns data for programs and
lines for people. This module prints them, and the errors.
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

from ..errors import DamagedRows
from ..install.environment import adopt
from ..project import place
from ..recording import journal
from ..state import State, StateError
from ..telling.quoting import printable
from ..terminal.output import write
from ..terminal.progress import Progress
from .parser import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

OK = 0
FAILED = 1
INTERRUPTED = 130


class _Ended(KeyboardInterrupt):
    """A signal that ends a process. Like Ctrl-C, it lets the command remove half a file."""


def _end(number: int, _frame: object) -> NoReturn:
    raise _Ended(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. Without `argv`, the process does nothing else."""
    for number in (SIGTERM, SIGHUP) if argv is None else ():
        if getsignal(number) == SIG_DFL:  # nohup ignores SIGHUP
            signal(number, _end)
    # These may stand before the command or after it, so no parser may set a default for them.
    arguments = argparse.Namespace(json=False, session=None, dir=None)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack letters
            stream.reconfigure(errors="backslashreplace")
    progress = Progress("reading the journal")
    state = None
    try:
        parse(argv, arguments)
        for message in adopt(_project(arguments)):
            _warn(message)
        state = None if arguments.stateless else State(arguments.dir, arguments.session)
        with progress:
            if state:
                state.sessions.progress = progress.bytes
                state.session = state.session or state.sessions.last()
            try:
                answer = arguments.run(state, arguments)
            except DamagedRows as error:
                if state is None:
                    raise
                state.sessions.go_on_without(error)
                answer = arguments.run(state, arguments)
        for notice in state.sessions.notices if state else ():
            _warn(notice)
        if answer is None:
            return OK  # the command has printed its output
        data, lines, *code = answer
        if arguments.json:
            write(json.dumps(data, indent=2) + "\n")
        else:
            write("".join([printable(line) + "\n" for line in lines]) or "\n")
    except (StateError, journal.Unusable) as error:
        return _fail(str(error), arguments)
    except BrokenPipeError:
        return OK  # the reader, `head` say, has closed the pipe
    except OSError as error:
        return _fail(f"{error.filename or 'workflow-state'}: {error.strerror or error}", arguments)
    except _Ended as ended:  # the parent process is to see which signal it was
        signal(ended.args[0], SIG_DFL)
        os.kill(os.getpid(), ended.args[0])
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if state:
            state.store.close()
    return code[0] if code else OK


def _project(arguments: argparse.Namespace) -> str:
    """The project that a command is about."""
    named: str | None = getattr(arguments, "project", None)
    if named:
        return os.path.abspath(named)
    return (
        place.project_of(os.path.abspath(arguments.dir))
        if arguments.dir
        else journal.find_project()
    )


def _warn(text: str) -> None:
    print(f"workflow-state: {printable(' '.join(text.split()))}", file=sys.stderr)


def _fail(reason: str, arguments: argparse.Namespace) -> int:
    _warn(reason)
    if arguments.json and sys.stdout is not None:
        try:
            write(json.dumps({"error": reason}, indent=2) + "\n")
        except OSError:
            pass  # stderr has it
    return FAILED
