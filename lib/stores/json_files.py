"""The default store: one JSON file a document.

    <key>.json                {"value": ..., "timestamp": ..., "check": ...}
    checkpoints/<name>.json   one checkpoint, whole
    .restore.json             while all keys are being replaced: what they will be
    .lock                     locked by the one who writes; never deleted

A document is written beside its place under a name of its own, synced, and renamed over it, so a
reader sees the old one or the new. All keys at once are first written as one such document, the
intent: from the moment it is there it *is* the keys, for every reader, and whoever opens the
store next finishes the work, whatever became of the one who began it.

A file is read only if it is a plain file of one name, owned by this user. It is set aside, its
bytes kept, only on proof about its content; a failed call proves nothing about the file.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time

from .. import journal
from . import CHECKPOINTS, KEYS, Busy, Damaged, NewerVersion, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from . import Document

try:
    import fcntl
except ImportError:  # no locks on this platform: one writer at a time is the user's to keep
    fcntl = None  # type: ignore[assignment]

INTENT = ".restore.json"
LOCK = ".lock"
TEMPORARY = ".tmp-"
LOCK_SECONDS = 2.0
SIZE_LIMIT = 64 << 20
"""Bytes of one document; a larger one is not what this store writes."""

RETIRED = 3600
"""Seconds after which a temporary file's writer is taken for dead."""


class JsonFiles:
    """The store over a state directory, which is made at the first write."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.finish: Callable[[Document], None] = lambda note: None
        self._held = 0

    # --- reading ---

    def read(self, shelf: str, name: str) -> Document | None:
        """The document, or None when there is none. Raises Damaged, NewerVersion, StoreError."""
        if shelf == KEYS:
            intended = self._intent()
            if intended is not None:
                return intended.get(name)
        return self._read_file(shelf, journal.stem(name) + ".json")

    def names(self, shelf: str) -> list[str]:
        """The names on a shelf, sorted."""
        if shelf == KEYS:
            intended = self._intent()
            if intended is not None:
                return sorted(intended)
        descriptor = self._open_shelf(shelf)
        if descriptor is None:
            return []
        try:
            listed = os.listdir(descriptor)
        except OSError as error:
            raise self._failed(error, shelf) from error
        finally:
            os.close(descriptor)
        names = [entry[:-5].partition("~")[0] for entry in listed if entry.endswith(".json")]
        return sorted(name for name in names if journal.is_name(name))

    def _intent(self) -> dict[str, Document] | None:
        document = self._read_file(KEYS, INTENT)
        return None if document is None else document["keys"]

    def _open_shelf(self, shelf: str) -> int | None:
        try:
            return self._descend(journal.open_state(self.directory), shelf, 0)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error, shelf) from error

    def _make_shelf(self, shelf: str) -> int:
        try:
            descriptor = journal.open_state(self.directory, create=True)
            journal.furnish(descriptor)
            return self._descend(descriptor, shelf, 0o700)
        except OSError as error:
            raise self._failed(error, shelf) from error

    def _descend(self, descriptor: int, shelf: str, mode: int) -> int:
        return descriptor if shelf == KEYS else journal.descend(descriptor, shelf, mode)

    def _read_file(self, shelf: str, file: str) -> Document | None:
        parent = self._open_shelf(shelf)
        if parent is None:
            return None
        try:
            try:
                descriptor = os.open(file, journal.READ, dir_fd=parent)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise self._set_aside(parent, shelf, file, "is a symlink") from None
                raise
            try:
                status = os.fstat(descriptor)
                wrong = _wrong(status)
                data = b"" if wrong else _read_all(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._failed(error, shelf, file) from error
        else:
            if status.st_uid != os.geteuid():
                where = self._path(shelf, file)
                raise Damaged(f"{where} belongs to another user ({status.st_uid}); it is not read")
            if wrong:
                raise self._set_aside(parent, shelf, file, wrong)
            return self._parse(data, parent, shelf, file)
        finally:
            os.close(parent)

    def _parse(self, data: bytes, parent: int, shelf: str, file: str) -> Document:
        try:
            document = json.loads(data.decode())
        except (ValueError, RecursionError) as error:
            raise self._set_aside(parent, shelf, file, f"is not JSON ({error})") from None
        if not isinstance(document, dict):
            raise self._set_aside(parent, shelf, file, "is not an object")
        version = document.get("v", journal.VERSION)
        if version != journal.VERSION:
            raise NewerVersion(
                f"{self._path(shelf, file)} has format version {version!r}, this is version "
                f"{journal.VERSION}; it is left as it is: use the workflow-state that wrote it"
            )
        wanted = {KEYS: ("value",), CHECKPOINTS: ("keys", "created")}[shelf]
        if file == INTENT:
            wanted = ("keys",)
        if not all(name in document for name in wanted) or not isinstance(
            document.get("keys", {}), dict
        ):
            raise self._set_aside(parent, shelf, file, f"lacks {' or '.join(wanted)}")
        return document

    def _set_aside(self, parent: int, shelf: str, file: str, reason: str) -> Damaged:
        """Rename a file that is proven damaged, so that it is told once and its bytes are kept."""
        kept = (
            f"{file}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(2).hex()}"
        )
        where = self._path(shelf, file)
        try:
            os.rename(file, kept, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError as error:
            return Damaged(f"{where} {reason}, and could not be set aside: {error.strerror}")
        return Damaged(f"{where} {reason}; its bytes are kept in {kept}")

    # --- writing ---

    def write(self, shelf: str, name: str, document: Document) -> None:
        """Put the document in place of any older one, durably."""
        file = journal.stem(name) + ".json"
        with self.lock():
            try:
                self._read_file(shelf, file)  # a newer version's document is refused, not replaced
            except Damaged:
                pass
            self._write_file(shelf, file, document)

    def delete(self, shelf: str, name: str) -> bool:
        """Remove the document; False when there was none."""
        with self.lock():
            return self._delete_file(shelf, journal.stem(name) + ".json")

    def replace_keys(self, documents: dict[str, Document], note: Document) -> None:
        """Make KEYS hold exactly these; readers see the old ones or the new, never a mixture."""
        with self.lock():
            self._write_file(KEYS, INTENT, {"v": journal.VERSION, "keys": documents, "note": note})
            self._finish_intent()

    def pending(self) -> Document | None:
        """The note of a `replace_keys` that is not done yet, but seen by readers already."""
        intent = self._read_file(KEYS, INTENT)
        return None if intent is None else intent.get("note") or {}

    def _finish_intent(self) -> None:
        """Carry out an intent: harmless to repeat, so a crash in the middle costs nothing."""
        intent = self._read_file(KEYS, INTENT)
        if intent is None:
            return
        self.finish(intent.get("note") or {})
        intended = intent["keys"]
        wanted = {journal.stem(name) + ".json": document for name, document in intended.items()}
        for file, document in wanted.items():
            self._write_file(KEYS, file, document)
        parent = self._open_shelf(KEYS)
        if parent is None:
            return
        try:
            for entry in os.listdir(parent):
                if entry.endswith(".json") and entry not in wanted and entry[0] != ".":
                    self._delete_file(KEYS, entry)
        except OSError as error:
            raise self._failed(error, KEYS) from error
        finally:
            os.close(parent)
        self._delete_file(KEYS, INTENT)

    def _write_file(self, shelf: str, file: str, document: Document) -> None:
        text = layout(document)
        parent = self._make_shelf(shelf)
        temporary = TEMPORARY + os.urandom(8).hex()
        try:
            descriptor = os.open(temporary, journal.CREATE, 0o600, dir_fd=parent)
            try:
                try:
                    _write_all(descriptor, text.encode() + b"\n")
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                os.replace(temporary, file, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                os.unlink(temporary, dir_fd=parent)
                raise
            _sync_directory(parent)
        except OSError as error:
            raise self._failed(error, shelf, file) from error
        finally:
            os.close(parent)

    def _delete_file(self, shelf: str, file: str) -> bool:
        parent = self._open_shelf(shelf)
        if parent is None:
            return False
        try:
            os.unlink(file, dir_fd=parent)
            _sync_directory(parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._failed(error, shelf, file) from error
        finally:
            os.close(parent)
        return True

    def sweep(self) -> None:
        """Remove the temporary files of writers that were killed."""
        for shelf in (KEYS, CHECKPOINTS):
            parent = self._open_shelf(shelf)
            if parent is None:
                continue
            try:
                for entry in os.listdir(parent):
                    if entry.startswith(TEMPORARY):
                        status = os.stat(entry, dir_fd=parent, follow_symlinks=False)
                        if time.time() - status.st_mtime > RETIRED:
                            os.unlink(entry, dir_fd=parent)
            except FileNotFoundError:
                pass  # another sweep was there first
            except OSError as error:
                raise self._failed(error, shelf) from error
            finally:
                os.close(parent)

    # --- the lock ---

    def lock(self) -> JsonFiles:
        """Keep other writers out while the store is used as a context manager.

        A kernel lock: it goes with its owner however that dies. Raises Busy after LOCK_SECONDS.
        """
        return self

    def __enter__(self) -> JsonFiles:
        if self._held == 0:
            self._lock_descriptor = self._acquire()
            self._held = 1
            try:
                self._finish_intent()
            except BaseException:
                self.__exit__()
                raise
        else:
            self._held += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._held -= 1
        if self._held == 0:
            os.close(self._lock_descriptor)

    def _acquire(self) -> int:
        parent = self._make_shelf(KEYS)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(LOCK, flags, 0o600, dir_fd=parent)
        except OSError as error:
            raise self._failed(error, KEYS, LOCK) from error
        finally:
            os.close(parent)
        give_up = time.monotonic() + LOCK_SECONDS
        while fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    break  # a file system without locks: go on without, as documented
                if time.monotonic() > give_up:
                    os.close(descriptor)
                    raise Busy(
                        f"{self._path(KEYS, LOCK)} has been held by another process for "
                        f"{LOCK_SECONDS:g} seconds; nothing was changed, try again"
                    ) from None
                time.sleep(0.005)
        return descriptor

    # --- words ---

    def _path(self, shelf: str, file: str) -> str:
        return os.path.join(self.directory, *(() if shelf == KEYS else (shelf,)), file)

    def _failed(self, error: OSError, shelf: str, file: str = "") -> StoreError:
        return StoreError(
            f"{self._path(shelf, file)}: {error.strerror or error}; nothing was changed"
        )


def layout(value: object, depth: int = 3, indent: str = "") -> str:
    """`value` as JSON for people and line-wise tools.

    Members to a depth have lines of their own, but for small objects below the top.
    """
    if not isinstance(value, dict) or not value or depth == 0:
        return json.dumps(value, allow_nan=False)
    if depth < 3 and not any(isinstance(item, (dict, list)) for item in value.values()):
        line = json.dumps(value, allow_nan=False)
        if len(line) + len(indent) <= 88:
            return line
    inner = indent + "  "
    members = [
        f"{inner}{json.dumps(name)}: {layout(item, depth - 1, inner)}"
        for name, item in value.items()
    ]
    return "{\n" + ",\n".join(members) + f"\n{indent}}}"


def _wrong(status: os.stat_result) -> str:
    """What is wrong with a file that this store cannot have written; "" when nothing is."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    if status.st_nlink != 1:
        return "has more than one name"
    return f"has {status.st_size >> 20} MB" if status.st_size > SIZE_LIMIT else ""


def _read_all(descriptor: int) -> bytes:
    chunks: list[bytes] = []
    while True:
        chunk = os.read(descriptor, 1 << 20)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_directory(descriptor: int) -> None:
    """Make a rename durable. Some file systems cannot sync a directory, and say so."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
