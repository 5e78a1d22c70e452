"""`report`: one HTML file that shows what was done, for the eye."""

from __future__ import annotations

import argparse
import os
import stat

from ..disk import durable
from ..project import place
from ..recording import journal
from ..report.gather import gather
from ..report.page import MARK, page
from ..state import StateError, UnknownSession
from .arguments import add, file_name, since

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..state import State
    from .arguments import Answer

NAME = "report.html"

_EPILOG = """\
Open the file in a browser, send it, or print it: it needs no network and no other file. It
contains paths, commands and requests, so only you can read it. Without -o it is in the state
directory, which git ignores. docs/report.md explains the page.

The command replaces an older report. It replaces any other file only with --force.
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(
        commands, parents, "report", report, "write an HTML page of the sessions, phases and files"
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "-o",
        "--output",
        type=file_name,
        metavar="FILE",
        help=f"the file to write, - for stdout (default: {NAME} in the state directory)",
    )
    parser.add_argument(
        "--since",
        type=since,
        metavar="WHEN",
        help="only sessions active since then: 2026-11-23, 2026-11-23T14:30Z, 12h, 7d, 2w",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a file that is no report of ours"
    )


def report(state: State, arguments: argparse.Namespace) -> Answer:
    """Gather the data and write the page, or give it to whoever asked for --json or -o -."""
    if arguments.json and arguments.output:
        raise StateError("--json prints the data and writes no file; leave out -o or --json")
    session = place.session_of(arguments.session) if arguments.session else None
    data = gather(state, session, arguments.since)
    if not data["sessions"]:
        raise UnknownSession(_nothing(state, session, arguments.since))
    if arguments.json:
        return data, []
    text = page(data)
    if arguments.output == "-":
        return data, text.rstrip("\n").split("\n")
    where = write(state.directory, arguments.output, text.encode("ascii"), arguments.force)
    count = len(data["sessions"])
    size = len(text) / 1e6
    return data, [
        f"{where} ({count} session{'s' * (count != 1)}, {size:.1f} MB); open it in a browser.",
        *data["notes"],
    ]


def _nothing(state: State, session: str | None, since: float | None) -> str:
    if session is not None:
        return f"no record of session {session} in {state.directory}; no report was written"
    when = " since then" if since is not None else ""
    return f"nothing is recorded{when} in {state.directory}; no report was written"


def write(directory: str, output: str | None, data: bytes, force: bool) -> str:
    """Write a report, whole or not at all, for its owner alone; returns where it is.

    In the state directory, or where `output` says. A symlink is never followed. Raises StateError
    and OSError.
    """
    where = output or f"{directory}/{NAME}"
    parent, name = os.path.split(where)
    try:
        if output is None:
            folder = journal.open_state(directory)
        else:
            folder = os.open(parent or ".", journal.DIRECTORY)
    except OSError as error:
        raise StateError(f"{parent or '.'}: {error.strerror}; no report was written") from None
    try:
        if not name or name in (".", ".."):
            raise StateError(f"{where} is a directory; name a file in it")
        there = _is_there(folder, name, where, force)
        _put(folder, name, data, there)
    except durable.NotDurable as error:
        raise StateError(f"{where}: {error.strerror}") from None
    except OSError as error:
        raise StateError(f"{where}: {error.strerror}; no report was written") from None
    finally:
        os.close(folder)
    return where


def _is_there(folder: int, name: str, where: str, force: bool) -> bool:
    """Whether there is a file that may be replaced. Raises StateError when it may not."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(status.st_mode):
        raise StateError(f"{where} is a directory; name a file in it")
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
        raise StateError(f"{where} is no plain file; for a pipe use -o -")
    if force or (stat.S_ISREG(status.st_mode) and _is_report(folder, name)):
        return True
    kind = "a symlink" if stat.S_ISLNK(status.st_mode) else "no report of workflow-state"
    raise StateError(f"{where} is there and is {kind}; --force replaces it")


def _is_report(folder: int, name: str) -> bool:
    try:
        descriptor = os.open(name, journal.READ, dir_fd=folder)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(MARK)) == MARK
    finally:
        os.close(descriptor)


def _put(folder: int, name: str, data: bytes, there: bool) -> None:
    """Write the file; where there was none, it takes no name that somebody else took meanwhile."""
    try:
        put = durable.replace if there else durable.create
        put(name, data, folder)
    except (FileExistsError, durable.NotDurable):
        raise
    except OSError:
        if there:
            raise
        durable.replace(name, data, folder)  # the file system cannot link
