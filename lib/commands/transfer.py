"""`export` and `import`: a project's state as one file."""

from __future__ import annotations

import argparse
import os
import stat
import sys

from ..disk import durable
from ..errors import Unreadable
from ..format.records import is_believed
from ..maintenance import importing, pending_import
from ..maintenance.archive_format import SESSIONS, opened, parse_member
from ..maintenance.export import write as write_export
from ..maintenance.importing import KEPT, LONGER, NEW, SAME, Staging
from ..session.lineage import is_running
from ..state import StateError
from ..stores import CHECKPOINTS, KEYS
from ..terminal.progress import Progress, size
from .arguments import add, file_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from ..state import State
    from .arguments import Answer

_EXPORT = """\
Write all keys, checkpoints and journals of this project to one file, as a backup or for another
machine or checkout. The file is a tar archive with a digest of each member. It holds everything
that is recorded, so only you can read it (mode 0600).

A FILE that is there already stays as it is. With --force it is replaced, once the new one is
whole. Sessions may go on meanwhile: the file gets their journals as they are when the export reads
them. What is damaged is left out, with a message.
"""

_IMPORT = """\
Add what `export` has written. The whole file is checked before anything is changed: its names,
sizes and digests, its version, and whether every document can be read. If the import is then
interrupted, a part is added: run the same command again, and it adds the rest.

Where something else is recorded already, the import is refused without --merge. A merge only adds:
sessions, checkpoints and keys that are missing here are added, and a session that continues in the
file continues here. What differs stays as it is here, and is listed.

What another user or machine wrote stays foreign: you see it, but Claude does not, until
`workflow-state trust` adopts it. What your own key has signed stays yours.
"""

_EXAMPLES = """\
examples:
  workflow-state export -o state.tar
  workflow-state import state.tar
  workflow-state export | zstd > state.tar.zst
  zstd -dc state.tar.zst | workflow-state import -

exit status: 0, 1 when it failed, 130 when it was interrupted
"""

_WORDS = {SESSIONS: "session", CHECKPOINTS: "checkpoint", KEYS: "key"}


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
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser = add(commands, parents, "import", import_, "add what `export` has written")
    parser.description, parser.epilog = _IMPORT, _EXAMPLES
    parser.add_argument("file", type=file_name, metavar="FILE", help="the file, or - for stdin")
    parser.add_argument("--merge", action="store_true", help="add to what is recorded here")
    parser.add_argument(
        "--trust", action="store_true", help="take what another user or machine wrote as yours"
    )
    parser.add_argument("--dry-run", action="store_true", help="only check it, and list it")


# --- export ------------------------------------------------------------------------------------


def export(state: State, arguments: argparse.Namespace) -> Answer | None:
    """Write the file."""
    _refuse_a_session(arguments)
    output = arguments.output
    with Progress("exporting") as progress:
        if output in (None, "-"):
            if sys.stdout is None or (output is None and sys.stdout.isatty()):
                raise StateError("an export is not text for a terminal: name a file with -o FILE")
            # A descriptor of its own: else the exit tries again to write what is left.
            _write(state, os.dup(sys.stdout.fileno()), progress)
            return None
        counts = _to_file(state, output, arguments.force, progress)
    taken = os.stat(output).st_size
    data = {"file": os.path.abspath(output), "bytes": taken, **counts}
    return data, [f"Exported {_listed(counts)} to {output} ({size(taken)})."]


def _refuse_a_session(arguments: argparse.Namespace) -> None:
    """A file for one session would seem to be without the others."""
    if arguments.session:
        arguments.refuse("an export has the whole state: leave out --session")


def _to_file(state: State, output: str, force: bool, progress: Progress) -> dict[str, int]:
    """Write a file, whole or not at all; a device or a pipe is written to directly."""
    path = os.path.realpath(output)

    def check() -> None:
        if not force and os.path.lexists(path):
            raise StateError(f"{output} is there; nothing was exported: --force replaces it")

    if os.path.isdir(path):
        raise StateError(f"{output} is a directory; name a file in it")
    if os.path.exists(path) and not os.path.isfile(path):
        return _write(state, path, progress)
    check()
    counts: dict[str, int] = {}

    def content(new: int) -> None:
        counts.update(_write(state, os.dup(new), progress))

    try:
        durable.replace(path, content, check=check)
    except OSError as error:
        if error.filename != path:  # one of the state
            raise
        raise StateError(f"{output}: {error.strerror}") from None
    return counts


def _write(state: State, output: int | str, progress: Progress) -> dict[str, int]:
    try:
        with open(output, "wb") as out:
            counts = write_export(state, out, progress.bytes)
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
    """Check, and add."""
    _refuse_a_session(arguments)
    with Progress("checking") as progress, _opened(arguments.file) as source:
        try:
            members = opened(source)
            with Staging(state) as staging:
                importing.clean_up(state)
                staging.fill(members, progress.bytes)
                return _take_in(state, staging, arguments, progress)
        except Unreadable as error:
            raise StateError(f"{arguments.file}: {error}; nothing was changed") from None


def _opened(file: str) -> BinaryIO:
    if file != "-":
        return open(file, "rb")
    if sys.stdin is None or sys.stdin.isatty():
        raise StateError("stdin is a terminal: name a file, or pipe one in")
    return sys.stdin.buffer


def _take_in(
    state: State, staging: Staging, arguments: argparse.Namespace, progress: Progress
) -> Answer:
    # First without the lock, which hooks would wait for: reading all records takes long.
    foreign = staging.foreign(_coming(_fates(state, staging)), progress.bytes)
    believed = is_believed(state.directory)
    if believed and any(foreign.values()) and not (arguments.trust or arguments.dry_run):
        raise StateError(
            f"{arguments.file} holds {_foreign(foreign)} that another user or machine wrote, and "
            "what is imported counts as yours; nothing was changed: read it first, then use --trust"
        )
    with state.store.lock():
        if not arguments.dry_run:
            pending_import.finish(state)
        fates = _fates(state, staging)
        _refuse(state, fates, arguments.merge)
        if not arguments.dry_run:
            progress.what = "importing"
            _put(state, staging, _coming(fates), progress)
    data: dict[str, Any] = {"dry_run": arguments.dry_run, "foreign": foreign}
    for fate in (NEW, LONGER, SAME, KEPT):
        data[fate] = sorted(member for member, its in fates.items() if its == fate)
    return data, _lines(arguments.file, data)


def _refuse(state: State, fates: dict[str, str], merge: bool) -> None:
    """Raise StateError where the import must not change what is here."""
    if not (merge or importing.is_part(state, fates)) and set(fates.values()) - {SAME}:
        raise StateError(
            f"something else is recorded in {state.directory} already; nothing was changed: use "
            "--merge to add to it, or --dir for another directory"
        )
    for member, fate in fates.items():
        collection, name = parse_member(member)
        if (collection, fate) == (SESSIONS, LONGER) and is_running(state.sessions, name):
            raise StateError(
                f"session {name} is running here; nothing was changed: end it, then import again"
            )


_AGAIN = "a part may be imported: run the same import again"


def _put(state: State, staging: Staging, members: list[str], progress: Progress) -> None:
    try:
        importing.put(state, staging.directory, members, progress.items)
    except OSError as error:
        where = error.filename or state.directory
        raise StateError(f"{where}: {error.strerror}; {_AGAIN}") from error
    except StateError as error:
        raise StateError(f"{error}; {_AGAIN}") from error


def _fates(state: State, staging: Staging) -> dict[str, str]:
    return {
        member: importing.decide(state, staging.directory, member) for member in staging.members
    }


def _coming(fates: dict[str, str]) -> list[str]:
    return [member for member, fate in fates.items() if fate in (NEW, LONGER)]


def _lines(file: str, data: dict[str, Any]) -> list[str]:
    verb = "Would import" if data["dry_run"] else "Imported"
    coming = data[NEW] + data[LONGER]
    if coming:
        lines = [f"{verb} {_listed(_count(coming))} from {file}."]
    else:
        lines = [f"There is nothing in {file} that is missing here."]
    lines += [f"Goes on: {_called(member)}" for member in data[LONGER]]
    if data[SAME] and coming:
        lines.append(f"Here already: {_listed(_count(data[SAME]))}.")
    lines += [f"Kept as it is here: {_called(member)}" for member in data[KEPT]]
    if any(data["foreign"].values()):
        lines.append(f"Another user or machine wrote {_foreign(data['foreign'])}.")
    return lines


def _foreign(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def _count(members: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for member in members:
        collection, _ = parse_member(member)
        counts[collection] = counts.get(collection, 0) + 1
    return counts


def _called(member: str) -> str:
    collection, name = parse_member(member)
    return f"{_WORDS[collection]} {name}"
