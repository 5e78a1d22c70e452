"""The state that the first version kept in a project comes home.

It is copied whole, then gets its name, and then leaves the project: a killed move begins again.
Only what the user's key signed is moved; what others wrote stays where it is, and is not read.
"""

from __future__ import annotations

import os
import shutil
import time

from ..disk import durable
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
        # Under the lock of the old place, so what is there was left by a move that was killed.
        target = f"{projects}/.moving-{os.path.basename(entry)}" if is_new else entry
        if is_new:
            shutil.rmtree(target, ignore_errors=True)
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
    """Copy the documents that the user signed; returns the collection and name of each.

    What is there already, because a move was killed, counts as copied where it is the same.
    """
    copied = []
    for collection in (KEYS, CHECKPOINTS):
        there = set(new.names(collection))
        for name in old.names(collection):
            try:
                document = old.read(collection, name)
            except StoreError:
                continue  # damaged, or of a later version: it stays
            if document is None or verdict_on(name, document) != records.OURS:
                continue
            if name not in there:
                new.write(collection, name, document)
            elif new.read(collection, name) != document:
                continue
            copied.append((collection, name))
    return copied


def _copy_journals(earlier: str, target: str) -> dict[str, int]:
    """Append the journals that the user signed; returns how many bytes of each were there.

    A journal with records of others stays. Only its own records are copied, and once.
    """
    key = records.users_key()
    copied = {}
    for file in os.listdir(earlier + "/sessions"):
        if not file.endswith(".jsonl"):
            continue
        with open(f"{earlier}/sessions/{file}", "rb") as source:
            ours, others = _separate(source.read(), file[:-6], key)
            length = source.tell()
            times = os.fstat(source.fileno())
        path = f"{target}/sessions/{file}"
        is_there = os.path.lexists(path)
        if others and (is_there or not ours):
            continue
        if not (is_there and _begins_with(path, ours)):  # else a move was killed after this
            _append(path, ours)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        if not others:
            copied[file] = length
    return copied


def _begins_with(path: str, data: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(data)) == data


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
    """Copy the database of the SQLite or Redis store; whether the old one has no more use.

    One that is there already, because a move was killed, stays as it is.
    """
    old, new = f"{earlier}/{DATABASE}", f"{target}/{DATABASE}"
    if not os.path.isfile(old):
        return False
    import sqlite3

    is_there = os.path.lexists(new)
    try:
        source, copy = sqlite3.connect(old), sqlite3.connect(new)
        try:
            if is_there:
                return not _named(source) - _named(copy)
            source.backup(copy)
        finally:
            copy.close()
            source.close()
    except sqlite3.Error as error:
        if not is_there:
            durable.discard(new)
        raise StoreError(f"{old} cannot be copied: {error}") from None
    os.chmod(new, 0o600)
    return True


def _named(database: Any) -> set[tuple[str, str]]:
    return set(database.execute("SELECT shelf, name FROM documents"))


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
    JsonFiles(earlier).clean_up()
    _clean_up_journals(earlier)
    try:
        os.rmdir(f"{earlier}/{CHECKPOINTS}")
    except OSError:
        pass  # there was none, or what others wrote stays there
    if not os.listdir(f"{earlier}/sessions"):
        os.rmdir(f"{earlier}/sessions")  # after all that is moved: it shows that something is left
        durable.discard(f"{earlier}/.lock")
        _remove_readme(f"{earlier}/README")


def _clean_up_journals(earlier: str) -> None:
    folder = os.open(f"{earlier}/sessions", journal.DIRECTORY)
    try:
        durable.clean_up(folder)
    finally:
        os.close(folder)


def _remove_readme(path: str) -> None:
    """Remove the first version's README: the view writes its own."""
    try:
        with open(path, "rb") as file:
            is_ours = file.read(len(SIGN)) == SIGN
    except OSError:
        return
    if is_ours:
        durable.discard(path)
