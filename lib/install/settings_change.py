"""A change of a settings file: as a whole or not at all, and taken back to the byte.

Before its first change, a file is backed up in the directory of the user's key. Beside the file
itself somebody could commit the backup by mistake, and settings hold secrets. A note beside the
backup has the digest of what we wrote: if the file still has that digest, `uninstall` puts back the
backup, byte for byte; else it cuts out our hooks and leaves all other bytes.

Just before a file is replaced, it is compared with what was read before. If another program has
changed it, the change is refused. What another program writes between this comparison and the
rename behind it, a matter of microseconds, is lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from errno import ENOTSUP, EOPNOTSUPP, EPERM

from ..disk.cleanup import alone, remove_temporary
from ..disk.durable import TEMPORARY, create, make_directories, remove, replace, write_all
from ..errors import StoreError
from ..recording import journal
from . import registered
from .settings_files import hooks_in, read, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


# --- the backup --------------------------------------------------------------------------------


@dataclass
class Backup:
    """A settings file as it was before our hooks: its bytes, and a note beside them.

    stem    path of the bytes, and with ".note" of the note; "" where there is no home directory
    made    what did not exist before: the file, and directories for it
    before  digest of the bytes, "" where there was no file
    after   digest of what we wrote last
    """

    stem: str
    made: list[str] = field(default_factory=list)
    before: str = ""
    after: str = ""

    @classmethod
    def of(cls, path: str) -> Backup:
        """The backup of the file at this path, an empty one if there is none."""
        key = journal.key_path()
        if not key:
            return cls("")
        digest = hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
        backup = cls(f"{os.path.dirname(key)}/before/{digest}-{os.path.basename(path)}")
        note = _note(f"{backup.stem}.note")
        if note:  # else the file is edited as it is
            backup.made, backup.before, backup.after = note["made"], note["before"], note["after"]
        return backup

    @property
    def folder(self) -> str:
        """The directory of all backups."""
        return os.path.dirname(self.stem)

    @property
    def place(self) -> str:
        """The directory of the user's key, which lasts; "" where there is no home directory."""
        return os.path.dirname(self.folder)

    def original(self, data: bytes | None) -> bytes | None:
        """What to edit if the file holds `data`: the file before our hooks, None if there was none.

        If somebody has changed the file since we wrote it, that is `data` itself.
        """
        held = read(self.stem) if self.stem else None
        is_whole = self.before == ("" if held is None else _digest(held))
        return held if is_whole and data is not None and self.after == _digest(data) else data

    def write(self, path: str, original: bytes | None, after: bytes) -> None:
        """Back up the file at a path before it changes to `after`. Raises OSError."""
        make_directories(self.folder, 0o700)
        remove_temporary(self.folder)
        if original is None:
            remove(self.stem)
        else:
            replace(self.stem, original)
        self.made = list(dict.fromkeys([*self.made, *_missing(path), *self._made_above(path)]))
        self.before = "" if original is None else _digest(original)
        self.write_note(path, _digest(after))

    def write_note(self, path: str, after: str) -> None:
        """Write down the digest of what we wrote last. Raises OSError."""
        self.after = after
        digests = {"before": self.before, "after": self.after}
        note = {"v": 1, "path": path, "made": self.made, **digests}
        replace(f"{self.stem}.note", json.dumps(note).encode() + b"\n")

    def _made_above(self, path: str) -> list[str]:
        """Directories of this path that we made for other files: the last file removes them."""
        notes = [name for name in sorted(os.listdir(self.folder)) if name.endswith(".note")]
        made = [each for name in notes for each in _note(f"{self.folder}/{name}").get("made", [])]
        return [each for each in made if path.startswith(f"{each}/")]

    def remove(self) -> None:
        """Remove the backup. Raises OSError."""
        if not self.stem:
            return
        remove(self.stem)
        remove(f"{self.stem}.note")
        try:
            os.rmdir(self.folder)
        except OSError:
            pass  # it holds backups of other files, or never existed


def _note(path: str) -> dict[str, Any]:
    """A note; {} if there is none, or a damaged one."""
    try:
        with open(path, encoding="utf-8") as file:
            note = json.load(file)
        return {
            "made": list(map(str, note["made"])),
            "before": str(note["before"]),
            "after": str(note["after"]),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _missing(path: str) -> list[str]:
    """The file and its directories, as far as they do not exist."""
    found = []
    while path and not os.path.lexists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found


# --- a change ----------------------------------------------------------------------------------


@dataclass
class Change:
    """A settings file as it is, and as it will be; `apply` makes the change.

    path      the file as it was named; `real` is the file behind links
    before    its bytes now, None if there is no file
    after     its bytes after the change, None to remove the file
    original  its bytes before our hooks
    """

    path: str
    real: str
    before: bytes | None
    after: bytes | None
    backup: Backup
    original: bytes | None

    @property
    def is_none(self) -> bool:
        """Whether there is nothing to change."""
        return self.before == self.after

    def apply(
        self,
        prepare: Callable[[], None] = lambda: None,
        undo: Callable[[], None] = lambda: None,
    ) -> None:
        """Change the file as a whole, if it is still as it was. Raises StoreError.

        `prepare` makes what the hooks need before they are registered, also if nothing changes in
        the file. If the hooks cannot be registered, `undo` removes it.
        """
        registers = not self.is_none and self.after is not None and _has_hooks(self.after)
        with alone(self.backup.place, make=registers):
            if not self.is_none:
                self._check_unchanged()
            former = self.backup.after
            try:
                if registers and self.after is not None:
                    self._back_up(self.after)
                prepare()
                if not self.is_none:
                    self._put()
            except BaseException as error:
                is_unchanged = self._is_unchanged()
                if is_unchanged:
                    self._take_back(former, undo)
                if not isinstance(error, OSError):
                    raise
                where = str(error.filename or self.real).partition(f"/{TEMPORARY}")[0]
                said = f"{where}: {error.strerror}"
                said += f"; {self.path} was not changed" if is_unchanged else ""
                raise StoreError(said) from error

    def _check_unchanged(self) -> None:
        if read(self.real) != self.before:
            raise self._changed_meanwhile()

    def _changed_meanwhile(self) -> StoreError:
        return StoreError(
            f"another program has changed {self.path} in the meantime; nothing was changed: run "
            "this again"
        )

    def _back_up(self, after: bytes) -> None:
        if not self.backup.stem:
            raise StoreError(
                "there is no home directory for a backup of the settings; nothing was changed: "
                "set HOME"
            )
        self.backup.write(self.real, self.original, after)

    def _put(self) -> None:
        if self.after is None:
            self._check_unchanged()
            remove(self.real)
            return
        folder = os.path.dirname(self.real)
        make_directories(folder, 0o777)
        remove_temporary(folder)
        if self.before is not None:
            replace(self.real, self._write, check=self._check_unchanged)
            return
        try:
            create(self.real, self.after, mode=0o666)
        except FileExistsError:
            raise self._changed_meanwhile() from None
        except OSError as error:
            if error.errno not in (EPERM, ENOTSUP, EOPNOTSUPP):
                raise
            # The file system has no hard links.
            replace(self.real, self.after, mode=0o666, check=self._check_unchanged)

    def _write(self, descriptor: int) -> None:
        """Write the new file, with the owner and the mode of the old one."""
        write_all(descriptor, self.after or b"")
        old = os.stat(self.real)
        if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
            try:
                os.fchown(descriptor, old.st_uid, old.st_gid)
            except PermissionError:
                pass  # then it belongs to the user, who may write it
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))

    def _is_unchanged(self) -> bool:
        try:
            return read(self.real) == self.before
        except StoreError:
            return False

    def _take_back(self, former: str, undo: Callable[[], None]) -> None:
        """After a failure that changed nothing: make all else as it was."""
        if not _has_hooks(self.before or b""):
            undo()
            self._clear()
        elif self.backup.after != former:
            try:
                self.backup.write_note(self.real, former)
            except OSError:
                pass  # then `uninstall` cuts our hooks out of the file as it is

    def clear(self) -> str:
        """Once our hooks are out: remove the backup, and the directories made for the file.

        Returns a note for the user if the backup cannot be removed, else "". Raises StoreError.
        """
        with alone(self.backup.place, make=False):
            again = _has_hooks(read(self.real) or b"")  # another process has registered them
            return "" if again else self._clear()

    def _clear(self) -> str:
        try:
            for folder in (os.path.dirname(self.real), self.backup.folder):
                if os.path.isdir(folder):
                    remove_temporary(folder)
            for path in sorted(self.backup.made, reverse=True):
                try:
                    os.rmdir(path)
                except OSError:
                    pass  # the file itself, or a directory that still holds something
            self.backup.remove()
        except OSError as error:
            return f"{error.filename}: {error.strerror}; remove it: it may hold old settings"
        return ""


def _has_hooks(data: bytes) -> bool:
    try:
        return bool(registered.registered(data.decode()))
    except ValueError:
        return False


# --- the changes -------------------------------------------------------------------------------


def registering(path: str, commands: dict[str, str]) -> Change:
    """The change that registers these commands, and no other of ours. Raises StoreError."""

    def edit(text: str) -> str:
        return registered.with_hooks(registered.without(text), commands)

    real, data, backup = _open(path)
    if _hooks_in(path, data) == {event: [line] for event, line in commands.items()}:
        return Change(path, real, data, data, backup, None)
    original = backup.original(data)
    return Change(path, real, data, _edited(path, original, edit), backup, original)


def editing(path: str, edit: Callable[[str], str]) -> Change:
    """The change that an edit makes to a file's text. Raises StoreError.

    Our hooks still come out to the byte afterwards.
    """
    real, data, backup = _open(path)
    return Change(path, real, data, _edited(path, data, edit), backup, backup.original(data))


def unregistering(path: str) -> Change:
    """The change that removes all of our hooks from a file. Raises StoreError."""
    real, data, backup = _open(path)
    if not _hooks_in(path, data):
        return Change(path, real, data, data, backup, None)
    original = backup.original(data)
    after: bytes | None = _edited(path, original, registered.without)
    was_there = backup.after and real not in backup.made
    if not was_there and not registered.parse((after or b"{}").decode()).members:
        after = None  # we made the file, and nothing else is in it
    return Change(path, real, data, after, backup, original)


def _open(path: str) -> tuple[str, bytes | None, Backup]:
    real = os.path.realpath(path)
    try:
        data = read(real)
    except StoreError as error:
        raise _unchanged(error) from None
    if data is not None and not (os.stat(real).st_mode & 0o222 and os.access(real, os.W_OK)):
        raise StoreError(f"{path} is read-only; nothing was changed: allow writing, or edit {real}")
    return real, data, Backup.of(real)


def _hooks_in(path: str, data: bytes | None) -> dict[str, list[str]]:
    try:
        return hooks_in(path, data)
    except StoreError as error:
        raise _unchanged(error) from None


def _edited(path: str, data: bytes | None, edit: Callable[[str], str]) -> bytes:
    try:
        return edit(text_of(path, data)).encode()
    except (StoreError, ValueError) as error:
        told = error if isinstance(error, StoreError) else f"{path}: {error}"
        raise _unchanged(told) from None


def _unchanged(error: object) -> StoreError:
    return StoreError(f"{error}; nothing was changed")
