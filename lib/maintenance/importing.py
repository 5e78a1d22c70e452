"""Adding the state in an export to the state of a project.

All members are first written to a staging folder and verified there. Then each is put in place,
whole, by a rename. An import only adds: what is here and differs stays. So an import that was
interrupted has added some members, and the same import, run again, adds the others.
"""

from __future__ import annotations

import os
import shutil
import time
from hashlib import sha256

from ..disk import durable
from ..errors import NewerVersion, StoreError, Unreadable
from ..format import records
from ..format.documents import data_of, verdict_on
from ..format.whole import whole
from ..project.place import journals, open_journal
from ..recording import journal
from ..session.lineage import is_running
from ..session.live import checkpoint_name
from ..stores import CHECKPOINTS, KEYS
from ..stores.document_checks import SIZE_LIMIT, examine
from .archive_format import CHUNK, MANIFEST, SESSIONS, member_of, parse_member, read_manifest
from .migration import content

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator

    from ..state import State
    from .archive_format import Content, Document, Passed

STAGED = ".import-"
"""The beginning of a staging folder's name, before random digits."""

NEW, LONGER, SAME, KEPT = "new", "longer", "same", "kept"
"""What happens to a member: it is added; it is a journal that begins with the one here, and
replaces it; it is here already; it differs from what is here, which stays."""


# --- staging -----------------------------------------------------------------------------------


class Staging:
    """The members of an export, in a folder that is laid out as a state directory."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._is_first = not os.path.lexists(state.directory)
        self.directory = os.path.join(state.directory, STAGED + os.urandom(8).hex())
        self.members: dict[str, Document] = {}
        try:
            os.close(journal.open_state(state.directory, create=True))
            for path in ("", CHECKPOINTS, SESSIONS):
                os.mkdir(os.path.join(self.directory, path), 0o700)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._is_first:
            _remove_if_empty(self._state.directory)

    def fill(self, members: Iterator[tuple[tarfile.TarInfo, Content]], passed: Passed) -> None:
        """Write all members, and verify them by the manifest. Raises Unreadable, OSError."""
        found: dict[str, Document] = {}
        listed: dict[str, Document] | None = None
        done = 0
        for member, inside in members:
            if listed is not None:
                raise Unreadable(f"it goes on behind its {MANIFEST}")
            if member.name == MANIFEST:
                listed = read_manifest(inside)
                continue
            collection, _ = parse_member(member.name)
            if member.name in found:
                raise Unreadable(f"it has {member.name} twice")
            if collection != SESSIONS and member.size > SIZE_LIMIT:
                raise Unreadable(f"{member.name} has {member.size >> 20} MB")
            self._require(member.size)
            digest = self._write(member.name, inside, done, passed)
            done += member.size
            found[member.name] = {"size": member.size, "sha256": digest}
        if listed is None:
            raise Unreadable("it is cut: its end is missing")
        for name in sorted({*found, *listed}):
            about = listed.get(name, {})
            if found.get(name) != {"size": about.get("size"), "sha256": about.get("sha256")}:
                raise Unreadable(f"{name} is not what its {MANIFEST} says")
        self._set_times(listed)
        self._check_documents(found)
        self.members = found

    def _require(self, size: int) -> None:
        """Raise StoreError where the disk has no room for so many bytes."""
        place = os.statvfs(self.directory)
        if size > place.f_bavail * place.f_frsize:
            raise StoreError(
                f"{self._state.directory} has no room for it: {size >> 20} MB more are needed"
            )

    def _write(self, member: str, inside: Content, done: int, passed: Passed) -> str:
        """Write one member; returns its digest."""
        digest = sha256()

        def write(descriptor: int) -> None:
            for chunk in iter(lambda: inside.read(CHUNK), b""):
                digest.update(chunk)
                durable.write_all(descriptor, chunk)
                if passed:
                    passed(done + os.lseek(descriptor, 0, os.SEEK_CUR), 0)

        durable.write_new(os.path.join(self.directory, member), write)
        return digest.hexdigest()

    def _set_times(self, listed: dict[str, Document]) -> None:
        """Give each journal its time, which shows when its session was last active."""
        now = time.time_ns()
        for name, about in listed.items():
            at = about.get("mtime_ns")
            if type(at) is int and at >= 0:
                os.utime(os.path.join(self.directory, name), ns=(min(at, now),) * 2)

    def _check_documents(self, members: dict[str, Document]) -> None:
        """Raise Unreadable for a document that no store would read."""
        for member in members:
            collection, name = parse_member(member)
            if collection != SESSIONS:
                document = read_staged(self.directory, member)
                if collection == CHECKPOINTS and document.get("name") != name:
                    raise Unreadable(f"{member} calls itself {document.get('name')!r:.140}")

    def foreign(self, members: list[str], passed: Passed = None) -> dict[str, int]:
        """The numbers of records, checkpoints and keys that another user or machine wrote."""
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
                document = read_staged(self.directory, member)
                counts[collection] += verdict_on(name, document) == records.FOREIGN
        return counts


def read_staged(directory: str, member: str) -> Document:
    """A document of a staging folder. Raises Unreadable and OSError."""
    collection, name = parse_member(member)
    with open(os.open(os.path.join(directory, member), journal.READ), "rb") as file:
        data = file.read()
    try:
        document, wrong = examine(data, collection, name, member)
    except StoreError as error:
        raise Unreadable(str(error)) from None
    if document is None or wrong:
        raise Unreadable(f"{member} {wrong}")
    return document


def _remove_if_empty(directory: str) -> None:
    """Remove a state directory that was made for this import, if nothing is recorded there."""
    made = {".gitignore", "README", ".lock", "project.json", SESSIONS, KEYS}
    try:
        if set(os.listdir(directory)) - made:
            return
        for folder in (SESSIONS, KEYS):
            os.rmdir(os.path.join(directory, folder))
        shutil.rmtree(directory)
    except OSError:
        pass  # another process has put something there


def clean_up(state: State) -> None:
    """Remove the staging folders of imports that were killed, once they are old."""
    for entry in os.listdir(state.directory):
        path = os.path.join(state.directory, entry)
        if entry.startswith(STAGED) and time.time() - os.lstat(path).st_mtime > durable.RETIRED:
            shutil.rmtree(path, ignore_errors=True)


# --- merging -----------------------------------------------------------------------------------


def decide(state: State, directory: str, member: str) -> str:
    """What happens to a staged member here: NEW, LONGER, SAME or KEPT. Raises StoreError."""
    collection, name = parse_member(member)
    if collection == SESSIONS:
        return _decide_journal(state, os.path.join(directory, member), name)
    try:
        here = state.store.read(collection, name)
    except NewerVersion:
        return KEPT
    if here is None:
        return NEW
    staged = read_staged(directory, member)
    if data_of(whole(name, here)) == data_of(staged) or content(here) == content(staged):
        return SAME
    if collection == KEYS:
        return SAME if here["value"] == staged["value"] else KEPT
    # A session's own checkpoint goes with its journal: it only saves reading that.
    session = (staged.get("session") or {}).get("session_id")
    if isinstance(session, str) and name == checkpoint_name(session):
        path = os.path.join(directory, member_of(SESSIONS, session))
        if os.path.exists(path) and _decide_journal(state, path, session) == LONGER:
            return LONGER
    return KEPT


def _decide_journal(state: State, path: str, session: str) -> str:
    """Compare bytes: a journal only grows, so an older one of a session begins a newer one."""
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
            # The journal here continues behind the file's end, or is another of that name.
            return SAME if one.startswith(other) else KEPT


def is_part(state: State, fates: dict[str, str]) -> bool:
    """Whether all that is recorded here is the same in the file.

    True for an empty state, and for what an interrupted import of the file has added.
    """
    here = [member_of(SESSIONS, session) for _, session in journals(state.directory)]
    for collection in (KEYS, CHECKPOINTS):
        here += [member_of(collection, name) for name in state.store.names(collection)]
    return all(fates.get(member) == SAME for member in here)


def put(state: State, directory: str, members: list[str], passed: Passed = None) -> None:
    """Put staged members in place, those that are NEW or LONGER. The caller holds the lock.

    Raises StoreError and OSError; what is in place by then stays.
    """
    # Checkpoints before journals: whether one is LONGER depends on the journal that is here.
    for count, member in enumerate(sorted(members), 1):
        collection, name = parse_member(member)
        fate = decide(state, directory, member)  # once more: hooks write journals without the lock
        if collection == SESSIONS and fate == LONGER and is_running(state.sessions, name):
            fate = KEPT
        if fate == KEPT:
            state.sessions.notices.append(f"{member} was left out: it differs from what is here")
        elif fate != SAME and collection == SESSIONS:
            _put_journal(state, os.path.join(directory, member), name)
        elif fate != SAME:
            state.store.write(collection, name, read_staged(directory, member))
        if passed:
            passed(count, len(members))


def _put_journal(state: State, path: str, session: str) -> None:
    sessions = journal.open_sessions(state.directory)
    try:
        os.rename(path, f"{session}.jsonl", dst_dir_fd=sessions)
        durable.sync_directory(sessions)
    finally:
        os.close(sessions)
