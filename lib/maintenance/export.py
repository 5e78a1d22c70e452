"""Writing the whole state of a project to one file; archive_format.py describes it."""

from __future__ import annotations

import os
import tarfile
from hashlib import sha256

from ..errors import Damaged, NewerVersion, StoreError
from ..format.documents import data_of, signed
from ..format.json_text import dumps
from ..format.whole import whole
from ..project.place import journals, open_journal
from ..recording import journal
from ..stores import CHECKPOINTS, KEYS
from ..stores.document_checks import SIZE_LIMIT
from .archive_format import CHUNK, FORMAT, HEAD, MANIFEST, SESSIONS, VERSION, member_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from ..state import State
    from ..stores import Store
    from .archive_format import Document, Passed


class _Counted:
    """A file that is only written to, and reports how many bytes were."""

    def __init__(self, out: BinaryIO, passed: Passed) -> None:
        self._out = out
        self._passed = passed
        self._done = 0

    def tell(self) -> int:
        return self._done

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self._done += len(data)
        if self._passed:
            self._passed(self._done, 0)
        return len(data)


class _Writer:
    """An archive that is being written, with its members so far, for the manifest."""

    def __init__(self, out: BinaryIO, passed: Passed) -> None:
        # A stream of tarfile's own writes its rest a second time when it is destroyed.
        to: Any = _Counted(out, passed)
        self._tar = tarfile.TarFile(fileobj=to, mode="w", format=tarfile.PAX_FORMAT)
        self.members: dict[str, Document] = {}

    def add(self, name: str, data: bytes | bytearray) -> None:
        """Add what is in memory."""
        self._add(name, len(data), 0, iter([bytes(data)]))

    def add_journal(self, session: str, descriptor: int) -> None:
        """Add a journal as far as its last whole line."""
        status = os.fstat(descriptor)
        size = _whole_lines(descriptor, status.st_size)
        os.lseek(descriptor, 0, os.SEEK_SET)
        name = member_of(SESSIONS, session)
        self._add(name, size, int(status.st_mtime), _read(descriptor, size))
        self.members[name]["mtime_ns"] = status.st_mtime_ns

    def _add(self, name: str, size: int, mtime: int, chunks: Iterator[bytes]) -> None:
        about = tarfile.TarInfo(name)
        about.size, about.mtime, about.mode = size, max(0, mtime), 0o600
        pipe = _Digesting(chunks)
        self._tar.addfile(about, pipe)  # type: ignore[arg-type]  # it only reads
        self.members[name] = {"size": size, "sha256": pipe.digest.hexdigest()}

    def close(self) -> None:
        listed = {name: about for name, about in self.members.items() if name != HEAD}
        self.add(MANIFEST, data_of(signed(MANIFEST, {"members": listed})))
        self._tar.close()


class _Digesting:
    """Chunks as a file that is read once, and digested meanwhile."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self.digest = sha256()

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        data, self._rest = self._rest[:size], self._rest[size:]
        self.digest.update(data)
        return data


def _whole_lines(descriptor: int, size: int) -> int:
    """The size of a journal up to its last line feed: behind it a record is being written."""
    while size:
        start = max(0, size - CHUNK)
        found = os.pread(descriptor, size - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        size = start
    return 0


def _read(descriptor: int, size: int) -> Iterator[bytes]:
    while size:
        chunk = os.read(descriptor, min(CHUNK, size))
        if not chunk:
            raise StoreError("a journal became shorter while it was read; try again")
        size -= len(chunk)
        yield chunk


def write(state: State, out: BinaryIO, passed: Passed = None) -> dict[str, int]:
    """Write the whole state to `out`; returns the numbers of "keys", "checkpoints", "sessions".

    What cannot be read is left out, with a notice in `state.sessions`. The same state gives the
    same bytes. Raises StoreError and OSError.
    """
    try:
        os.close(journal.open_state(state.directory))
    except FileNotFoundError:
        raise StoreError(f"nothing is recorded in {state.directory}") from None
    store, notices = state.store, state.sessions.notices
    unreadable: list[str] = []
    keys = state.documents_at_once(unreadable)
    notices += [f"left out: {message}" for message in unreadable]
    counts = {KEYS: 0, CHECKPOINTS: 0, SESSIONS: 0}
    writer = _Writer(out, passed)
    writer.add(HEAD, dumps({"format": FORMAT, "v": VERSION}).encode() + b"\n")
    for name, document in sorted(keys.items()):
        counts[KEYS] += _add(writer, KEYS, name, document, notices)
    # Before the journals: a checkpoint must not reach beyond the journal in the same file.
    for name in store.names(CHECKPOINTS):
        checkpoint = _document(store, CHECKPOINTS, name, notices)
        counts[CHECKPOINTS] += _add(writer, CHECKPOINTS, name, checkpoint, notices)
    for session in sorted(session for _, session in journals(state.directory)):
        try:
            descriptor = open_journal(state.directory, session)
        except StoreError as error:
            notices.append(str(error))
            continue
        if descriptor is not None:  # else retention removed it meanwhile
            with open(descriptor, "rb"):
                writer.add_journal(session, descriptor)
            counts[SESSIONS] += 1
    writer.close()
    return counts


def _document(store: Store, collection: str, name: str, notices: list[str]) -> Document | None:
    try:
        document: Document | None = store.read(collection, name)
    except (Damaged, NewerVersion) as error:
        notices.append(f"left out: {error}")
        return None
    return document


def _add(
    writer: _Writer, collection: str, name: str, document: Document | None, notices: list[str]
) -> bool:
    if document is None:
        return False
    data = data_of(whole(name, document))
    if len(data) > SIZE_LIMIT:  # only from a store with rows; the journal has it all
        notices.append(f"left out: {member_of(collection, name)} has {len(data) >> 20} MB")
        return False
    writer.add(member_of(collection, name), data)
    return True
