"""A project's state as one file, out and in: keys, checkpoints and journals, byte for byte.

The file is a tar archive (POSIX.1-2001) of plain files under the names they have in a state
directory, between `.export.json`, which says what this is, and `.manifest.json`, which has each
one's size and digest. It is not compressed: what comes in is as large as it says it is.

Bytes are kept because check values cover them: what another user or machine has written is theirs
after the journey as well, until `workflow-state trust` adopts it.

What comes in is written to a folder of its own, checked there whole, and put in place from there:
from the moment that folder is called PENDING it will be, whatever becomes of the process.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import time
from hashlib import sha256

from ..disk.durable import CREATE, RETIRED, sync_directory
from ..disk.quarantine import quarantine
from ..errors import BadName, Damaged, NewerVersion, StoreError, Unreadable
from ..format import documents, records
from ..format.documents import data_of, signed, verdict_on
from ..format.json_text import dumps, loads
from ..format.whole import whole
from ..project.place import check_name, journals, open_journal, session_of
from ..recording import journal
from ..recording.first_use import initialize
from ..session.lineage import is_running
from ..session.live import checkpoint_name
from ..stores import CHECKPOINTS, KEYS
from ..stores.document_checks import SIZE_LIMIT
from ..stores.json_files import JsonFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO, Optional

    from ..state import State

    Document = dict[str, Any]
    Passed = Optional[Callable[[int, int], None]]

VERSION = 1
FORMAT = "workflow-state export"
HEAD = ".export.json"
MANIFEST = ".manifest.json"
"""Names that no key has: keys do not begin with a dot."""

PENDING = ".import"
STAGED = ".import-"
PLAN = ".plan.json"

SESSIONS = "sessions"
CHUNK = 1 << 20
LONGEST_HEADER = 1 << 16
"""Bytes of a member's extended header; ours have a name in them."""

_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}

NEW, LONGER, SAME, KEPT = "new", "longer", "same", "kept"
"""What becomes of a member here: it is added; it goes on where the journal here ends; it is here
already; it is not what is here, which stays."""


# --- names -------------------------------------------------------------------------------------


def member_of(collection: str, name: str) -> str:
    """The name of a document or a journal in the file; the same as in a state directory."""
    if collection == SESSIONS:
        return f"{SESSIONS}/{name}.jsonl"
    return f"{'' if collection == KEYS else collection + '/'}{journal.stem(name)}.json"


def parse_member(member: str) -> tuple[str, str]:
    """Collection and name of a member. Raises Unreadable for any other text."""
    folder, _, file = member.rpartition("/")
    stem, _, _ = file.rpartition(".")
    if folder == SESSIONS:
        collection, name, known = SESSIONS, stem, bool(stem) and session_of(stem) == stem
    else:
        collection, name = folder or KEYS, stem.partition("~")[0]
        known = collection in (CHECKPOINTS, KEYS) and _is_name(name)
    if not known or member_of(collection, name) != member:  # an absolute path among them
        raise Unreadable(f"it has a member {member!r:.200}, which is no file of a state")
    return collection, name


def _is_name(name: str) -> bool:
    try:
        check_name(name, "name")
    except BadName:
        return False
    return True


# --- out ---------------------------------------------------------------------------------------


class _Counted:
    """A file that is only written to: how far that is, and whoever wants to know is told."""

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
    """An archive under way: its members so far, for the manifest."""

    def __init__(self, out: BinaryIO, passed: Passed) -> None:
        # tarfile's own streams write what is left of them once more when they are let go of.
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
    """Chunks as a file that is read once, digested on the way."""

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
    """How many bytes of a journal end in a line feed: what is behind it is being written."""
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
    """Write the whole state to `out`; how many "keys", "checkpoints" and "sessions" it was.

    What cannot be read is left out, and told in the notices of `state.sessions`. The same state
    gives the same bytes. Raises StoreError and OSError.
    """
    try:
        os.close(journal.open_state(state.directory))
    except FileNotFoundError:
        raise StoreError(f"nothing is recorded in {state.directory}") from None
    store, notices = state.store, state.sessions.notices
    with store.lock():  # a restore changes all keys at once
        keys = {name: _document(store, KEYS, name, notices) for name in store.names(KEYS)}
    counts = {KEYS: 0, CHECKPOINTS: 0, SESSIONS: 0}
    writer = _Writer(out, passed)
    writer.add(HEAD, dumps({"format": FORMAT, "v": VERSION}).encode() + b"\n")
    for name, document in sorted(keys.items()):
        counts[KEYS] += _add(writer, KEYS, name, document, notices)
    # Before the journals: a checkpoint must not reach further than the journal it comes with.
    for name in store.names(CHECKPOINTS):
        document = _document(store, CHECKPOINTS, name, notices)
        counts[CHECKPOINTS] += _add(writer, CHECKPOINTS, name, document, notices)
    for session in sorted(session for _, session in journals(state.directory)):
        try:
            descriptor = open_journal(state.directory, session)
        except StoreError as error:
            notices.append(str(error))
            continue
        if descriptor is not None:  # retention may take it meanwhile
            with open(descriptor, "rb"):
                writer.add_journal(session, descriptor)
            counts[SESSIONS] += 1
    writer.close()
    return counts


def _document(store: Any, collection: str, name: str, notices: list[str]) -> Document | None:
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
    if len(data) > SIZE_LIMIT:  # only of a store that keeps its rows apart; the journal has it all
        notices.append(f"left out: {member_of(collection, name)} has {len(data) >> 20} MB")
        return False
    writer.add(member_of(collection, name), data)
    return True


# --- in: the file ------------------------------------------------------------------------------


class _Member(tarfile.TarInfo):
    """A member whose extended header is not read into memory, however long it says it is."""

    def _proc_member(self, archive: Any) -> Any:
        plain = self.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        if not plain and (self.type != tarfile.XHDTYPE or self.size > LONGEST_HEADER):
            raise Unreadable(f"it has a member {self.name!r:.200} that is no plain file")
        return super()._proc_member(archive)  # type: ignore[misc]


def _members(source: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, _Content]]:
    """Members and their contents, in the order of the file. Raises Unreadable."""
    try:
        with tarfile.open(fileobj=source, mode="r|", tarinfo=_Member) as archive:
            for member in archive:
                if not member.isreg() or member.issparse():
                    raise Unreadable(f"it has a member {member.name!r:.200} that is no plain file")
                yield member, _Content(archive.extractfile(member))
    except tarfile.TarError as error:
        raise Unreadable(f"{_NOT_WHOLE} ({error})") from None


_NOT_WHOLE = "it is cut, damaged or no export"


class _Content:
    """What a member holds, read once."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all. Raises Unreadable where the file ends before the member does."""
        try:
            data: bytes = self._file.read(size)
        except tarfile.TarError as error:
            raise Unreadable(f"{_NOT_WHOLE} ({error})") from None
        return data


def _head(member: tarfile.TarInfo, content: _Content) -> None:
    """The first member: what this is. Raises Unreadable."""
    about = None
    if member.name == HEAD and member.size < CHUNK:
        try:
            about = loads(content.read().decode())
        except (ValueError, RecursionError):
            pass
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise Unreadable("it is no export of workflow-state")
    if about.get("v") != VERSION:
        raise Unreadable(
            f"it is of version {about.get('v')!r:.20}, this is version {VERSION}: import it with "
            "the workflow-state that wrote it"
        )


def _manifest(content: _Content) -> dict[str, Document]:
    try:
        document = documents.opened(MANIFEST, content.read(SIZE_LIMIT))
        listed = document["members"]
        if document.trust != records.DAMAGED and all(
            type(about["size"]) is int for about in listed.values()
        ):
            return dict(listed)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise Unreadable(f"its {MANIFEST} is damaged")


def opened(source: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, _Content]]:
    """The members of an export, once it is known to be one. Raises Unreadable and OSError."""
    peek = source.peek(8)[:8] if hasattr(source, "peek") else b""
    for magic, program in _COMPRESSED.items():
        if peek.startswith(magic):
            raise Unreadable(f"it is compressed; use: {program} -dc FILE | workflow-state import -")
    if not peek:
        raise Unreadable("it is empty")
    members = _members(source)
    first = next(members, None)
    if first is None:
        raise Unreadable("it is no export of workflow-state")
    _head(*first)
    return members


class Staging:
    """What came in, in a folder of its own that has the shape of a state directory."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._made_by_us = not os.path.lexists(state.directory)
        self._committed = False
        self._name = STAGED + os.urandom(8).hex()
        self.directory = os.path.join(state.directory, self._name)
        self.store = JsonFiles(self.directory)
        self.members: dict[str, Document] = {}
        try:
            folder = journal.open_state(state.directory, create=True)
            try:
                initialize(folder)
                os.mkdir(self._name, 0o700, dir_fd=folder)
            finally:
                os.close(folder)
            for collection in (CHECKPOINTS, SESSIONS):
                os.mkdir(os.path.join(self.directory, collection), 0o700)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)  # not there any more when all went well
        if self._made_by_us and not self._committed:
            _unmake(self._state.directory)

    def fill(self, members: Iterator[tuple[tarfile.TarInfo, _Content]], passed: Passed) -> None:
        """Write all members, and prove them against the manifest. Raises Unreadable, OSError."""
        found: dict[str, Document] = {}
        listed: dict[str, Document] | None = None
        done = 0
        for member, content in members:
            if listed is not None:
                raise Unreadable(f"it goes on behind its {MANIFEST}")
            if member.name == MANIFEST:
                listed = _manifest(content)
                continue
            collection, _ = parse_member(member.name)
            if member.name in found:
                raise Unreadable(f"it has {member.name} twice")
            if collection != SESSIONS and member.size > SIZE_LIMIT:
                raise Unreadable(f"{member.name} has {member.size >> 20} MB")
            self._need(member.size)
            digest = sha256()
            for chunk in self._write(member, content):
                digest.update(chunk)
                done += len(chunk)
                if passed:
                    passed(done, 0)
            found[member.name] = {"size": member.size, "sha256": digest.hexdigest()}
        if listed is None:
            raise Unreadable("it is cut: its end is missing")
        for name in sorted({*found, *listed}):
            message = listed.get(name, {})
            if found.get(name) != {"size": message.get("size"), "sha256": message.get("sha256")}:
                raise Unreadable(f"{name} is not what its {MANIFEST} says")
        self._set_times(listed)
        self._read_documents(found)
        self.members = found

    def _need(self, size: int) -> None:
        place = os.statvfs(self.directory)
        if size > place.f_bavail * place.f_frsize:
            raise StoreError(
                f"{self._state.directory} has no room for it: {size >> 20} MB more are needed"
            )

    def _write(self, member: tarfile.TarInfo, content: _Content) -> Iterator[bytes]:
        path = os.path.join(self.directory, member.name)
        with open(os.open(path, CREATE, 0o600), "wb") as file:
            while True:
                chunk = content.read(CHUNK)
                if not chunk:
                    break
                file.write(chunk)
                yield chunk
            file.flush()
            os.fsync(file.fileno())

    def _set_times(self, listed: dict[str, Document]) -> None:
        """A journal's time tells when its session was active last."""
        now = time.time_ns()
        for name, about in listed.items():
            at = about.get("mtime_ns")
            if type(at) is int and at >= 0:
                os.utime(os.path.join(self.directory, name), ns=(min(at, now),) * 2)

    def _read_documents(self, found: dict[str, Document]) -> None:
        """Every document must be one that the store would read. Raises Unreadable."""
        for member in found:
            collection, name = parse_member(member)
            if collection != SESSIONS:
                try:
                    document = self.store.read(collection, name)
                except StoreError as error:
                    message = str(error).replace(self.directory + "/", "")
                    raise Unreadable(message.partition("; its bytes")[0]) from None
                if collection == CHECKPOINTS and document and document.get("name") != name:
                    raise Unreadable(f"{member} calls itself {document.get('name')!r:.140}")

    def foreign(self, members: list[str], passed: Passed = None) -> dict[str, int]:
        """How many records, checkpoints and keys among these another user or machine wrote."""
        counts = {"records": 0, CHECKPOINTS: 0, KEYS: 0}
        for member in members:
            collection, name = parse_member(member)
            if collection == SESSIONS:
                size = self.members[member]["size"]
                tell = (lambda at, size=size: passed(at, size)) if passed else None
                with open(os.path.join(self.directory, member), "rb") as file:
                    reading = records.Replay(file.fileno(), name, passed=tell)
                    for _ in reading:
                        pass
                counts["records"] += reading.problems.get(records.FOREIGN, 0)
            else:
                document = self.store.read(collection, name)
                counts[collection] += verdict_on(name, document or {}) == records.FOREIGN
        return counts

    def commit(self, members: list[str]) -> None:
        """Make these members pending: from here on they come in. Raises StoreError, OSError."""
        if not records.users_key():
            where = journal.key_path() or "no home directory"
            raise StoreError(
                f"there is no key to prove that this is yours ({where}); nothing was changed: set "
                "HOME to a directory of yours, or WORKFLOW_STATE_KEY to a secret"
            )
        plan = {"v": VERSION, "members": {name: self.members[name] for name in members}}
        for name in set(self.members) - set(members):
            os.unlink(os.path.join(self.directory, name))
        path = os.path.join(self.directory, PLAN)
        with open(os.open(path, CREATE, 0o600), "wb") as file:
            file.write(data_of(signed(PLAN, plan)))
            file.flush()
            os.fsync(file.fileno())
        for collection in (CHECKPOINTS, SESSIONS, ""):
            _sync(os.path.join(self.directory, collection))
        folder = journal.open_state(self._state.directory)
        try:
            os.rename(self._name, PENDING, src_dir_fd=folder, dst_dir_fd=folder)
            self._committed = True
            sync_directory(folder)
        finally:
            os.close(folder)


def _unmake(directory: str) -> None:
    """Remove a state directory that was made for nothing, and its folder, if they are empty."""
    try:
        left = os.listdir(directory)
        if set(left) - {".gitignore", "README", ".lock"}:
            return
        for name in left:
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)
        if directory.endswith("/.claude/state"):
            os.rmdir(os.path.dirname(directory))
    except OSError:
        pass  # somebody has put something there


def _sync(path: str) -> None:
    descriptor = os.open(path, journal.DIRECTORY)
    try:
        sync_directory(descriptor)
    finally:
        os.close(descriptor)


# --- in: the state -----------------------------------------------------------------------------


def decide(state: State, directory: str, member: str) -> str:
    """What becomes of a staged member here: NEW, LONGER, SAME or KEPT. Raises StoreError."""
    collection, name = parse_member(member)
    if collection == SESSIONS:
        return _decide_journal(state, os.path.join(directory, member), name)
    try:
        there = state.store.read(collection, name)
    except NewerVersion:
        return KEPT
    if there is None:
        return NEW
    staged = JsonFiles(directory).read(collection, name)
    if staged is None or data_of(whole(name, there)) == data_of(staged):
        return SAME
    if collection == KEYS:
        return SAME if there["value"] == staged["value"] else KEPT
    # A session's own checkpoint goes with its journal: it only saves reading that.
    session = (staged.get("session") or {}).get("session_id")
    if isinstance(session, str) and name == checkpoint_name(session):
        path = os.path.join(directory, member_of(SESSIONS, session))
        if os.path.exists(path) and _decide_journal(state, path, session) == LONGER:
            return LONGER
    return KEPT


def _decide_journal(state: State, path: str, session: str) -> str:
    """By the bytes: a journal only grows, so of two of a session one begins the other."""
    descriptor = open_journal(state.directory, session)
    if descriptor is None:
        return NEW
    with open(descriptor, "rb") as here, open(path, "rb") as staged:
        while True:
            one, other = here.read(CHUNK), staged.read(CHUNK)
            if one == other:
                if not one:
                    return SAME
                continue
            if len(one) < len(other) and other.startswith(one):
                return LONGER
            # What is here goes on where the file ends, or is another journal of that name.
            return SAME if one.startswith(other) else KEPT


def is_empty(state: State) -> bool:
    """Whether nothing is recorded here that an import could come into conflict with."""
    return not (
        journals(state.directory) or state.store.names(CHECKPOINTS) or state.store.names(KEYS)
    )


def finish(state: State, passed: Callable[[int, int], None] | None = None) -> bool:
    """Put in place what a committed import left pending; False when there is nothing.

    Harmless to repeat. What was written here in the meantime stays: only what is missing here, and
    journals that go on where those here end, are taken. Raises StoreError.
    """
    directory = os.path.join(state.directory, PENDING)
    if not os.path.lexists(directory):
        return False
    try:
        with state.store.lock():
            members = _planned(directory)
            if members is None:
                folder = journal.open_state(state.directory)
                try:
                    message = quarantine(PENDING, folder)
                finally:
                    os.close(folder)
                raise Damaged(f"{directory} is no import of this user's; {message}")
            # Checkpoints first: theirs depends on whether the journal has yet to go on.
            for count, member in enumerate(sorted(members), 1):
                if os.path.lexists(os.path.join(directory, member)):
                    _put(state, directory, member, members[member])
                if passed:
                    passed(count, len(members))
            # Renamed first: without its plan, a half of it would be taken for somebody else's.
            done = os.path.join(state.directory, STAGED + os.urandom(8).hex())
            os.rename(directory, done)
            shutil.rmtree(done, ignore_errors=True)
    except OSError as error:
        where = error.filename or directory
        raise StoreError(
            f"{where}: {error.strerror or error}; the import is not done, the next command goes on"
        ) from error
    return True


def _planned(directory: str) -> dict[str, Document] | None:
    """What a pending import is about to do; None when this user has not written it."""
    if not stat.S_ISDIR(os.lstat(directory).st_mode):
        return None
    try:
        with open(os.open(os.path.join(directory, PLAN), journal.READ), "rb") as file:
            document = _signed_by_us(file.read(SIZE_LIMIT))
    except OSError:
        return None
    return document and document["members"]


def _signed_by_us(data: bytes) -> Document | None:
    try:
        document = documents.opened(PLAN, data)
    except (ValueError, RecursionError):
        return None
    return document if document.trust == records.OURS else None


def _put(state: State, directory: str, member: str, about: Document) -> None:
    """Put one member in place, or leave it, and take it out of the folder."""
    path = os.path.join(directory, member)
    if _digest(path) != about["sha256"]:
        raise Damaged(f"{path} has changed since it was checked; remove {directory}")
    collection, name = parse_member(member)
    fate = decide(state, directory, member)
    if fate == LONGER and collection == SESSIONS and is_running(state.sessions, name):
        fate = KEPT
    if fate == KEPT:
        state.sessions.notices.append(f"{member} was left out: it went on here meanwhile")
    if fate in (NEW, LONGER):
        if collection == SESSIONS:
            sessions = journal.open_sessions(state.directory)
            try:
                os.rename(path, f"{name}.jsonl", dst_dir_fd=sessions)
                sync_directory(sessions)
            finally:
                os.close(sessions)
            return
        document = JsonFiles(directory).read(collection, name)
        if document is not None:
            state.store.write(collection, name, document)
    os.unlink(path)


def _digest(path: str) -> str:
    digest = sha256()
    with open(os.open(path, journal.READ), "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def clean_up(state: State) -> None:
    """Remove the folders of imports that were killed before they had checked their file."""
    for entry in os.listdir(state.directory):
        path = os.path.join(state.directory, entry)
        if entry.startswith(STAGED) and time.time() - os.lstat(path).st_mtime > RETIRED:
            shutil.rmtree(path, ignore_errors=True)
