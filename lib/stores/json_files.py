"""The default store: one JSON file a document.

    keys/<key>.json           {"value": ..., "timestamp": ..., "check": ...}
    checkpoints/<name>.json   one checkpoint, whole
    .restore.json             while all keys are being replaced: what they will be
    .lock                     locked by the one who writes; never deleted

A document is written beside its place under a name of its own, synced, and renamed over it, so a
reader sees the old one or the new. All keys at once are first written as one such document, the
intent: from the moment it is there it *is* the keys, for every reader, and whoever opens the
store next finishes the work, whatever became of the one who began it.

A file is used only if it is a plain file of this user; any other thing is left
as it is. A writer quarantines a file, its bytes kept, on proof about its content only: a failed
call proves nothing about it. A reader changes nothing.
"""

from __future__ import annotations

import errno
import os
import stat

from ..disk import durable
from ..disk.locks import LOCK, acquire, release
from ..errors import Damaged, NewerVersion, StoreError
from ..format.documents import data_of, signed
from ..recording import journal
from . import CHECKPOINTS, KEYS, LEFT, Unshared, document_checks
from .document_checks import INTENT, examine, refuse_large

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from . import Document

MOVE = "; in the sqlite store its files do not count: workflow-state migrate --to sqlite"


TOP = ""
"""The state directory itself, where the lock and an intent lie."""

MANY = 10_000
"""Files of a session from which on the SQLite store is the faster one (docs/stores.md)."""


class _Folder:
    """A collection's open folder as a context; what the system refuses in it becomes a StoreError.

    The descriptor, or None where there is no such folder and it is not to be made.
    """

    def __init__(self, store: JsonFiles, collection: str, create: bool = False) -> None:
        self._store, self._collection, self._create = store, collection, create

    def __enter__(self) -> int | None:
        try:
            descriptor = journal.open_state(self._store.directory, self._create)
            folder = self._store.folder(self._collection)
            if folder:
                mode = 0o700 if self._create else 0
                descriptor = journal.descend(descriptor, folder, mode)
        except FileNotFoundError as error:
            if self._create:
                raise self._store.failed(error, self._collection) from error
            self._descriptor = None
        except OSError as error:
            raise self._store.failed(error, self._collection) from error
        except journal.Unusable as error:
            raise StoreError(str(error)) from None
        else:
            self._descriptor = descriptor
        return self._descriptor

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._descriptor is not None:
            release(self._descriptor)
        if isinstance(error, OSError):
            raise self._store.failed(error, self._collection) from error


class JsonFiles(Unshared):
    """The store over a state directory, which is made at the first write."""

    sign = staticmethod(signed)

    def __init__(self, directory: str) -> None:
        self.directory = self.home = directory
        self.notices: list[str] = []
        self.finish: Callable[[Document], None] = lambda note: None
        self._held = 0
        self._patience: float | None = None
        self._read: dict[tuple[str, str], tuple[int, ...]] = {}

    # --- reading ---

    def read(self, collection: str, name: str) -> Document | None:
        """The document, or None when there is none. Raises Damaged, NewerVersion, StoreError."""
        if collection == KEYS:
            intent = self._intent()
            if intent is not None:
                document: Document | None = intent["keys"].get(name)
                return document
        return self._read_file(collection, journal.stem(name) + ".json")

    def names(self, collection: str) -> list[str]:
        """The names in a collection, sorted."""
        before = None
        while True:
            intent = self._intent() if collection == KEYS else None
            if intent is not None:
                return sorted(intent["keys"])
            listed = self._list(collection)
            if collection != KEYS or listed == before:
                return listed
            before = listed  # once more: all keys may have been replaced during the listing

    def _list(self, collection: str) -> list[str]:
        with _Folder(self, collection) as folder:
            entries = [] if folder is None else os.listdir(folder)
        names = {entry[:-5].partition("~")[0] for entry in entries if entry.endswith(".json")}
        there = set(entries)
        ours = [name for name in names if journal.is_name(name)]
        return sorted(name for name in ours if journal.stem(name) + ".json" in there)

    def unfinished(self) -> Document | None:
        """The note of a `replace_keys` that is not done yet, but seen by readers already."""
        intent = self._intent()
        return None if intent is None else intent.get("note") or {}

    def _intent(self) -> Document | None:
        """What all keys are about to be; None where they are what they are, or it is damaged."""
        try:
            return self._read_file(TOP, INTENT)
        except Damaged as error:
            if self._held:
                raise
            if str(error) not in self.notices:
                self.notices.append(str(error))
            return None

    def _read_file(self, collection: str, file: str) -> Document | None:
        """A file's document; under the lock a damaged file is quarantined. Raises Damaged."""
        document, wrong = self._examine(collection, file)
        if not wrong:
            return document
        kept = self._quarantine_file(collection, file) if self._held else LEFT
        raise Damaged(f"{self._path(collection, file)} {wrong}; {kept}")

    def _examine(self, collection: str, file: str) -> tuple[Document | None, str]:
        """A file's document, and what proves that this store has not written it; "" for nothing."""
        with _Folder(self, collection) as folder:
            if folder is None:
                return None, ""
            try:
                descriptor = os.open(file, journal.READ, 0o600, dir_fd=folder)
            except FileNotFoundError:
                return None, ""
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise self._refused(collection, file, "is a symlink") from None
                raise
            try:
                status = os.fstat(descriptor)
                self._refuse_strange(collection, file, status)
                if status.st_size > document_checks.SIZE_LIMIT:
                    return None, f"has {status.st_size >> 20} MB"
                data = _read_all(descriptor, status.st_size)
            finally:
                release(descriptor)
        # A stem is its name, with a digest behind it where the name has capitals.
        name = INTENT if file == INTENT else file[:-5].partition("~")[0]
        of = INTENT if file == INTENT else collection
        document, wrong = examine(data, of, name, self._path(collection, file), self.directory)
        if not wrong:
            self._read[collection, file] = _identity(status)
        return document, wrong

    def _refuse_strange(self, collection: str, file: str, status: os.stat_result) -> None:
        """Raise StoreError for what this store does not make: it is somebody else's."""
        wrong = _wrong_kind(status)
        if wrong:
            raise self._refused(collection, file, wrong)

    def _refused(self, collection: str, file: str, wrong: str) -> StoreError:
        where = self._path(collection, file)
        return StoreError(f"{where} {wrong}; it was left as it is: move it away")

    def _quarantine_file(self, collection: str, file: str) -> str:
        from ..disk.quarantine import quarantine

        with _Folder(self, collection) as folder:
            return quarantine(file, folder)

    # --- writing ---

    def write(self, collection: str, name: str, document: Document) -> None:
        """Put the document in place of any older one, durably."""
        file = journal.stem(name) + ".json"
        with self.lock():
            self._refuse_newer(collection, file)
            self._write_file(collection, file, document)

    def _refuse_newer(self, collection: str, file: str) -> None:
        """Raise NewerVersion for what must not be replaced; what is damaged is quarantined.

        A file that has been read, and is still the same, is neither: a large one is not read twice.
        """
        try:
            with _Folder(self, collection) as folder:
                if folder is not None and (collection, file) in self._read:
                    status = os.stat(file, dir_fd=folder, follow_symlinks=False)
                    if self._read[collection, file] == _identity(status):
                        return
        except StoreError:
            pass  # whatever it is, reading it tells it better
        try:
            self._read_file(collection, file)
        except Damaged:
            pass

    def delete(self, collection: str, name: str) -> bool:
        """Remove the document; False when there was none."""
        with self.lock():
            return self._delete_file(collection, journal.stem(name) + ".json")

    def replace_keys(self, wanted: dict[str, Document], note: Document) -> None:
        """Make KEYS hold exactly these; readers see the old ones or the new, never a mixture."""
        with self.lock():
            for name in wanted:
                self._refuse_newer(KEYS, journal.stem(name) + ".json")
            intent = {"v": journal.VERSION, "keys": wanted, "note": note}
            self._write_file(TOP, INTENT, signed(INTENT, intent))
            self._finish_intent()

    def _finish_intent(self) -> None:
        """Carry out an intent: harmless to repeat, so a crash in the middle costs nothing."""
        intent = self._read_file(TOP, INTENT)
        if intent is None:
            return
        self.finish(intent.get("note") or {})
        wanted = {journal.stem(name) + ".json": kept for name, kept in intent["keys"].items()}
        for file, document in wanted.items():
            self._write_file(KEYS, file, document)
        for name in self._list(KEYS):
            file = journal.stem(name) + ".json"
            if file not in wanted and not self._is_newer(file):
                self._delete_file(KEYS, file)
        self._delete_file(TOP, INTENT)

    def _is_newer(self, file: str) -> bool:
        """Whether a key's file is of a later version, whose data are not ours to remove."""
        try:
            self._examine(KEYS, file)
        except NewerVersion:
            return True
        return False

    def _write_file(self, collection: str, file: str, document: Document) -> None:
        data = data_of(document)
        refuse_large(data, self._path(collection, file), MOVE if collection == CHECKPOINTS else "")
        with _Folder(self, collection, create=True) as folder:
            durable.replace(file, data, folder)

    def _delete_file(self, collection: str, file: str) -> bool:
        with _Folder(self, collection) as folder:
            if folder is None:
                return False
            try:
                status = os.stat(file, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return False
            self._refuse_strange(collection, file, status)
            return durable.remove(file, folder)

    def advice(self, files: int) -> str:
        """The command to SQLite, where each checkpoint writes many files anew."""
        return "workflow-state migrate --to sqlite" if files > MANY else ""

    def clean_up(self) -> None:
        """Remove the temporary files of writers that were killed."""
        for collection in (TOP, KEYS, CHECKPOINTS):
            with _Folder(self, collection) as folder:
                if folder is not None:
                    durable.clean_up(folder)

    # --- the lock ---

    def lock(self, seconds: float | None = None) -> JsonFiles:
        """Keep other writers out while the store is used as a context manager.

        A kernel lock: it goes with its owner however that dies. Raises Busy after so many seconds,
        by default LOCK_SECONDS.
        """
        self._patience = seconds
        return self

    def __enter__(self) -> JsonFiles:
        self._held += 1
        if self._held == 1:
            try:
                self._lock_descriptor = self._acquire()
            except BaseException:
                self._held = 0
                raise
            try:
                self._finish_intent()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._held -= 1
        if self._held == 0:
            release(self._lock_descriptor)

    def _acquire(self) -> int:
        with _Folder(self, TOP, create=True) as folder:
            return acquire(folder, LOCK, self._path(TOP, LOCK), self._patience)

    # --- words ---

    def folder(self, collection: str) -> str:
        """The folder of a collection; "" for the state directory itself. Raises OSError."""
        if collection != KEYS:
            return collection
        try:
            os.stat(f"{self.directory}/{KEYS}")
        except (FileNotFoundError, NotADirectoryError):
            if os.path.lexists(f"{self.directory}/README"):
                return ""  # the first version kept the keys beside its README
        return KEYS

    def _path(self, collection: str, file: str) -> str:
        try:
            folder = self.folder(collection)
        except OSError:
            folder = collection  # the path is for a message about that
        return os.path.join(self.directory, folder, file)

    def failed(self, error: OSError, collection: str) -> StoreError:
        """The error of a call in a collection's folder, in this family's words."""
        where = self._path(collection, error.filename if isinstance(error.filename, str) else "")
        return StoreError(f"{where}: {error.strerror or error}")


def _wrong_kind(status: os.stat_result) -> str:
    """What shows that a file is not one that this store wrote; "" when nothing does."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    if status.st_uid != os.geteuid():
        return f"belongs to another user ({status.st_uid})"
    return ""


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """What no two states of a file have in common."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read_all(descriptor: int, size: int) -> bytes:
    """A file of about `size` bytes, in one piece where it can be: joining many is slow."""
    chunks: list[bytes] = []
    while True:
        chunk = os.read(descriptor, size + 1 if not chunks else 1 << 20)
        if not chunk:
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.append(chunk)
