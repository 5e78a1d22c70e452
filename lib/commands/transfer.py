"""`export` and `import`: a project's state as one file."""

from __future__ import annotations

import argparse
import os
import stat
import sys

from ..disk import durable
from ..errors import Unreadable
from ..maintenance import archive
from ..session.lineage import is_running
from ..state import StateError
from ..stores import CHECKPOINTS, KEYS
from ..terminal.output import add, file_name
from ..terminal.progress import Progress, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from ..state import State
    from ..terminal.output import Answer

_EXPORT = """\
Write all keys, checkpoints and journals of this project to one file: to keep, or to take to another
machine or another checkout. The file is a tar archive with a digest of each member; whatever is
recorded is in it, so it is as private as the state is, and readable by you alone (mode 0600).

An existing FILE is replaced, once the new one is whole. Sessions may go on meanwhile: of their
journals the file has what was there when it came to them. What is damaged is left out, and told.
"""

_IMPORT = """\
Take in what `export` has written. The file is checked whole before anything is changed: its names,
sizes and digests, its version, and that every document can be read. Then all of it comes in: when
this is killed half-way, the next command goes on.

Where something is recorded already, this is refused, unless --merge is given. A merge only adds:
sessions, checkpoints and keys that are missing here come in, and a session that went on in the file
goes on here; whatever differs stays as it is here, and is listed.

What another user or machine has written is not yours by this: it is shown, but not told to Claude,
until `workflow-state trust` adopts it. A file that your own key has signed stays yours.
"""

_EXAMPLES = """\
examples:
  workflow-state export -o state.tar
  workflow-state import state.tar
  workflow-state export | zstd > state.tar.zst
  zstd -dc state.tar.zst | workflow-state import -

exit status: 0, 1 when it failed, 130 when it was interrupted; then nothing, or all of it, was done
"""

_WORDS = {archive.SESSIONS: "session", CHECKPOINTS: "checkpoint", KEYS: "key"}


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    parser = add(commands, parents, "export", export, "write the whole state to one file")
    parser.description, parser.epilog = _EXPORT, _EXAMPLES
    parser.add_argument(
        "-o",
        "--output",
        type=file_name,
        metavar="FILE",
        help="the file (default, or with -: stdout)",
    )
    parser = add(commands, parents, "import", import_, "take in what `export` has written")
    parser.description, parser.epilog = _IMPORT, _EXAMPLES
    parser.add_argument("file", type=file_name, metavar="FILE", help="the file, or - for stdin")
    parser.add_argument("--merge", action="store_true", help="add to what is recorded here")
    parser.add_argument("--dry-run", action="store_true", help="only check it, and say what it has")


# --- export ------------------------------------------------------------------------------------


def export(state: State, arguments: argparse.Namespace) -> Answer | None:
    """Write the file."""
    _refuse_a_session(arguments)
    output = arguments.output
    with Progress("exporting") as progress:
        if output in (None, "-"):
            if sys.stdout is None or (output is None and sys.stdout.isatty()):
                raise StateError("an export is no text for a terminal: name a file with -o FILE")
            # On a descriptor of its own: what is left unwritten is not tried again at the exit.
            _write(state, os.dup(sys.stdout.fileno()), progress)
            return None
        counts = _to_file(state, output, progress)
    taken = os.stat(output).st_size
    data = {"file": os.path.abspath(output), "bytes": taken, **counts}
    return data, [f"Exported {_listed(counts)} to {output} ({size(taken)})."]


def _refuse_a_session(arguments: argparse.Namespace) -> None:
    """Who names one would take the others for left out."""
    if arguments.session:
        arguments.refuse("an export has the whole state: leave out --session")


def _to_file(state: State, output: str, progress: Progress) -> dict[str, int]:
    """The file appears whole, or not at all; what is no file is written to as it is."""
    path = os.path.realpath(output)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return _write(state, path, progress)
    except FileNotFoundError:
        pass
    counts: dict[str, int] = {}
    try:
        durable.replace(path, lambda new: counts.update(_write(state, os.dup(new), progress)))
    except OSError as error:
        if error.filename != path:  # one of the state
            raise
        raise StateError(f"{output}: {error.strerror}") from None
    return counts


def _write(state: State, output: int | str, progress: Progress) -> dict[str, int]:
    try:
        with open(output, "wb") as out:
            counts = archive.write(state, out, progress.bytes)
            out.flush()
            if stat.S_ISREG(os.fstat(out.fileno()).st_mode):
                os.fsync(out.fileno())
    except OSError as error:
        if error.filename or isinstance(error, BrokenPipeError):
            raise
        raise StateError(f"the export could not be written: {error.strerror}") from None
    return counts


def _listed(counts: dict[str, int]) -> str:
    """Counts of the three kinds in words: "2 sessions, 1 checkpoint, 0 keys"."""
    return ", ".join(
        f"{counts.get(kind, 0)} {word}{'s' * (counts.get(kind, 0) != 1)}"
        for kind, word in _WORDS.items()
    )


# --- import ------------------------------------------------------------------------------------


def import_(state: State, arguments: argparse.Namespace) -> Answer:
    """Check, and take in."""
    _refuse_a_session(arguments)
    with Progress("checking") as progress, _opened(arguments.file) as source:
        try:
            members = archive.opened(source)
            with archive.Staging(state) as staging:
                archive.clean_up(state)
                staging.fill(members, progress.bytes)
                return _take_in(state, staging, arguments, progress)
        except Unreadable as error:
            raise StateError(f"{arguments.file}: {error}; nothing was changed") from None


def _opened(file: str) -> BinaryIO:
    if file != "-":
        return open(file, "rb")
    if sys.stdin is None or sys.stdin.isatty():
        raise StateError("stdin is no file: name one, or pipe one in")
    return sys.stdin.buffer


def _take_in(
    state: State, staging: archive.Staging, arguments: argparse.Namespace, progress: Progress
) -> Answer:
    # First without the lock, which hooks would wait for: whose records they are takes long to tell.
    foreign = staging.foreign(_coming(_fates(state, staging)), progress.bytes)
    with state.store.lock():
        fates = _fates(state, staging)
        coming = _coming(fates)
        differs = archive.KEPT in fates.values()
        if not (arguments.merge or archive.is_empty(state)) and (coming or differs):
            raise StateError(
                f"something is recorded in {state.directory} already; nothing was changed: use "
                "--merge to add to it, or --dir for another directory"
            )
        for member, fate in fates.items():
            collection, name = archive.parse_member(member)
            grows = (collection, fate) == (archive.SESSIONS, archive.LONGER)
            if grows and is_running(state.sessions, name):
                raise StateError(f"session {name} is running here; end it, then import")
        if coming and not arguments.dry_run:
            staging.commit(coming)
            progress.what = "importing"
            archive.finish(state, progress.items)
    data: dict[str, Any] = {"dry_run": arguments.dry_run, "foreign": foreign}
    for fate in (archive.NEW, archive.LONGER, archive.SAME, archive.KEPT):
        data[fate] = sorted(member for member, its in fates.items() if its == fate)
    return data, _lines(arguments.file, data)


def _fates(state: State, staging: archive.Staging) -> dict[str, str]:
    return {member: archive.decide(state, staging.directory, member) for member in staging.members}


def _coming(fates: dict[str, str]) -> list[str]:
    return [member for member, fate in fates.items() if fate in (archive.NEW, archive.LONGER)]


def _lines(file: str, data: dict[str, Any]) -> list[str]:
    verb = "Would import" if data["dry_run"] else "Imported"
    coming = data[archive.NEW] + data[archive.LONGER]
    if coming:
        lines = [f"{verb} {_listed(_count(coming))} from {file}."]
    else:
        lines = [f"There is nothing in {file} that is missing here."]
    lines += [f"Goes on: {_called(member)}" for member in data[archive.LONGER]]
    if data[archive.SAME] and coming:
        lines.append(f"Here already: {_listed(_count(data[archive.SAME]))}.")
    lines += [f"Kept as it is here: {_called(member)}" for member in data[archive.KEPT]]
    foreign = {kind: count for kind, count in data["foreign"].items() if count}
    if foreign:
        said = ", ".join(f"{count} {kind}" for kind, count in foreign.items())
        lines.append(f"Another user or machine wrote {said}; `workflow-state trust` adopts them.")
    return lines


def _count(members: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for member in members:
        collection, _ = archive.parse_member(member)
        counts[collection] = counts.get(collection, 0) + 1
    return counts


def _called(member: str) -> str:
    collection, name = archive.parse_member(member)
    return f"{_WORDS[collection]} {name}"


def finish_pending(state: State) -> None:
    """Go on with an import whose process was killed, before anything else is asked."""
    if os.path.lexists(os.path.join(state.directory, archive.PENDING)):
        archive.finish(state)
        state.sessions.notices.append("an import that was interrupted is done now")
