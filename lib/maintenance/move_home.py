"""The state that the first version kept in a project comes home.

It is copied whole, then gets its name, and then leaves the project: a killed move begins again.
Only what the user's key signed is moved; what others wrote stays where it is, and is not read.
"""

from __future__ import annotations

import os
import time

from ..disk import durable
from ..disk.cleanup import remove_temporary, temporary
from ..errors import StoreError
from ..format import records
from ..format.documents import verdict_on
from ..project.view import View
from ..recording import journal
from ..recording.first_use import SIGN, initialize
from ..recording.project_file import PROJECTS
from ..state import State
from ..stores import CHECKPOINTS, KEYS
from ..stores.json_files import JsonFiles
from . import pending_import

DATABASE = "state.sqlite3"

LATE = 0.05
"""Seconds in which a hook that opened a journal has written to it."""


def move(earlier: str, entry: str, project: str) -> dict[str, int]:
    """Move the state of the first version in `earlier` to `entry`; returns the numbers moved.

    These are "sessions", "checkpoints" and "keys". What `entry` has already stays as it is there.
    Raises StoreError, OSError and Unusable.
    """
    old = JsonFiles(earlier)
    with old.lock():  # a restore that was killed is finished first
        pending_import.finish(State(earlier, "", project=project))
        is_new = not os.path.isdir(entry)
        projects = os.path.dirname(entry)
        if is_new:
            durable.make_directories(projects, 0o700)
            remove_temporary(projects)
        target = temporary(projects) if is_new else entry
        PROJECTS[target] = project
        initialize(target)
        documents = _copy_documents(old, JsonFiles(target))
        journals = _copy_journals(earlier, target)
        has_database = _copy_database(earlier, target)
        if is_new:
            os.rename(target, entry)
            durable.sync_parent(entry)
        for collection, name in documents:
            old.delete(collection, name)
        _remove_journals(earlier, entry, journals)
        if has_database:
            for ending in ("", "-wal", "-shm"):
                durable.remove(f"{earlier}/{DATABASE}{ending}")
        _remove_emptied(earlier)
        new = JsonFiles(entry)
        keys = {name: new.read(KEYS, name) for kind, name in documents if kind == KEYS}
        View(entry, project).publish(keys)
    kinds = [collection for collection, _ in documents]
    return {
        "sessions": len(journals),
        "checkpoints": kinds.count(CHECKPOINTS),
        "keys": kinds.count(KEYS),
    }


def _copy_documents(old: JsonFiles, new: JsonFiles) -> list[tuple[str, str]]:
    """Copy the documents that the user signed; returns the collection and name of each."""
    copied = []
    for collection in (KEYS, CHECKPOINTS):
        there = set(new.names(collection))
        for name in old.names(collection):
            try:
                document = old.read(collection, name)
            except StoreError:
                continue  # damaged, or of a later version: it stays
            if document is not None and verdict_on(name, document) == records.OURS:
                if name not in there:
                    new.write(collection, name, document)
                    copied.append((collection, name))
    return copied


def _copy_journals(earlier: str, target: str) -> dict[str, int]:
    """Append the journals that the user signed; returns how many bytes of each were there.

    A journal with records of others stays. Only its own records are copied, and once: a state at
    home that has the journal already has those.
    """
    key = records.users_key()
    copied = {}
    for file in os.listdir(earlier + "/sessions"):
        if not file.endswith(".jsonl"):
            continue
        there = os.path.lexists(f"{target}/sessions/{file}")
        with open(f"{earlier}/sessions/{file}", "rb") as source:
            ours, others = _separate(source.read(), file[:-6], key)
            length = source.tell()
            times = os.fstat(source.fileno())
        if others and (there or not ours):
            continue
        _append(f"{target}/sessions/{file}", ours)
        os.utime(f"{target}/sessions/{file}", ns=(times.st_atime_ns, times.st_mtime_ns))
        if not others:
            copied[file] = length
    return copied


def _separate(data: bytes, session: str, key: bytes) -> tuple[bytes, bool]:
    """A journal's lines without those of others, and whether there are any."""
    lines = data.split(b"\n")
    kept = [line for line in lines if records.read_line(line, session, key)[0] != records.FOREIGN]
    return b"\n".join(kept), len(kept) != len(lines)


def _append(path: str, data: bytes) -> None:
    descriptor = os.open(path, journal.APPEND, 0o600)
    try:
        durable.write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_database(earlier: str, target: str) -> bool:
    """Copy the database of the SQLite or Redis store, if there is one and the target has none."""
    if not os.path.isfile(f"{earlier}/{DATABASE}") or os.path.lexists(f"{target}/{DATABASE}"):
        return False
    import sqlite3

    try:
        source = sqlite3.connect(f"{earlier}/{DATABASE}")
        copy = sqlite3.connect(f"{target}/{DATABASE}")
        try:
            source.backup(copy)
        finally:
            copy.close()
            source.close()
    except sqlite3.Error as error:
        durable.discard(f"{target}/{DATABASE}")
        raise StoreError(f"{earlier}/{DATABASE} cannot be copied: {error}") from None
    os.chmod(f"{target}/{DATABASE}", 0o600)
    return True


def _remove_journals(earlier: str, entry: str, copied: dict[str, int]) -> None:
    """Remove the journals that were copied, once what hooks appended meanwhile is copied too."""
    sources = {file: open(f"{earlier}/sessions/{file}", "rb") for file in copied}  # noqa: SIM115
    try:
        for file in sources:
            os.unlink(f"{earlier}/sessions/{file}")
        time.sleep(LATE if sources else 0)
        for file, source in sources.items():
            source.seek(copied[file])
            late = source.read()
            if late:
                _append(f"{entry}/sessions/{file}", late)
    finally:
        for source in sources.values():
            source.close()


def _remove_emptied(earlier: str) -> None:
    """Remove what the first version's state has no more use for."""
    for folder in ("sessions", CHECKPOINTS):
        try:
            os.rmdir(f"{earlier}/{folder}")
        except OSError:
            pass  # what others wrote stays there
    if not os.path.lexists(f"{earlier}/sessions"):
        durable.discard(f"{earlier}/.lock")
        _remove_readme(f"{earlier}/README")


def _remove_readme(path: str) -> None:
    """Remove the first version's README: the view writes its own."""
    try:
        with open(path, "rb") as file:
            is_ours = file.read(len(SIGN)) == SIGN
    except OSError:
        return
    if is_ours:
        durable.discard(path)
