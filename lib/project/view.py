"""The view: keys, phase and files as plain JSON in the project, for people and scripts.

It is a copy. The state at home does not need it, and nothing in it is believed, but that
`load_state` returns a value that a person edited there. Files of other tools and of other users
are left alone; where the project cannot hold the view, it is left out.
"""

from __future__ import annotations

import os
import stat
from _blake2 import blake2b

from ..disk import durable
from ..format.documents import layout
from ..format.file_table import listed
from ..format.json_text import dumps, loads
from ..recording import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

README = (
    b"Written by workflow-state: the saved keys, the phase and the files of this project's\n"
    b"Claude Code sessions, for people and scripts. The state itself is in your home directory.\n"
    b"You may delete this directory, and `load_state` returns the values that you edit here.\n"
)
SIZE_LIMIT = 16 << 20
"""Bytes of a file that is read; ours with a hundred thousand files has 5 MB."""

WRITTEN = "view.json"
"""The file of the state directory with the digests of the copies."""

KEPT = 8
"""Digests of one copy: a reader may have read a copy that was replaced since."""

_MEMBERS = {"value", "timestamp"}


class View:
    """The view of one state: in its project, or in the state directory that the user chose."""

    def __init__(self, directory: str, project: str) -> None:
        self.directory = directory
        self.project = project if journal.at_home(directory) else ""
        self.path = project + journal.VIEW if self.project else directory
        # Where the first version's state lies, the keys themselves have these names.
        has_keys = os.path.isdir(directory + "/keys") or not os.path.lexists(directory + "/README")
        self._is_possible = bool(self.project) or has_keys

    def publish(self, documents: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Write these keys, and remove those that are None; what cannot be written is left out."""
        if not self._is_possible:
            return
        try:
            folder = self._open(make=any(documents.values()))
        except OSError:
            return
        if folder is None:
            return
        try:
            self._publish(folder, documents)
        except OSError:
            pass  # a full disk: what is there stays a copy that is known
        finally:
            os.close(folder)

    def _publish(self, folder: int, documents: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Note what the copies will be, then write them: a reader between takes none for an edit.

        The caller holds the store's lock.
        """
        written = self._written()
        copies: dict[str, bytes] = {}
        for key, document in documents.items():
            file = journal.stem(key) + ".json"
            if _is_there(folder, file) and not _is_copy(folder, file):
                continue  # another tool's
            copies[file] = b""
            if document is not None:
                copy = {"value": listed(document["value"]), "timestamp": document.get("timestamp")}
                copies[file] = layout(copy).encode() + b"\n"
                written[key] = [*written.get(key, ()), _digest(copies[file])][-KEPT:]
        noted = dumps(written).encode() + b"\n"
        durable.replace(f"{self.directory}/{WRITTEN}", noted, sync=False)
        for file, data in copies.items():
            try:
                if data:
                    durable.replace(file, data, folder, sync=False)
                else:
                    durable.remove(file, folder)
            except OSError:
                pass  # a directory of that name: the others may do

    def obstacle(self) -> str:
        """Why the project cannot hold the view; "" where it can."""
        if not self.project:
            return ""
        try:
            if os.stat(self.project).st_uid != os.geteuid():
                return "the project belongs to another user"
        except OSError as error:
            return f"{self.project}: {error.strerror}"
        for path in (os.path.dirname(self.path), self.path):
            if os.path.islink(path):
                return f"{path} is a link"
            if not os.path.lexists(path):
                return "" if os.access(os.path.dirname(path), os.W_OK) else "it cannot be written"
            if not os.path.isdir(path):
                return f"{path} is no directory"
        if os.stat(self.path).st_uid != os.geteuid():
            return "it belongs to another user"
        return "" if os.access(self.path, os.W_OK) else "it cannot be written"

    def remove(self) -> None:
        """Remove the copies that nobody edited, and then what is left of us in the project."""
        written = self._written()
        try:
            folder = self._open(make=False) if self.project else None
        except OSError:
            return
        if folder is None:
            return
        try:
            for key, digests in written.items():
                file = journal.stem(key) + ".json"
                found = _read(folder, file)
                if found is not None and found[1] in digests:
                    durable.discard(file, folder)
            if set(os.listdir(folder)) == {".gitignore", "README"} and _is_readme(folder):
                for name in (".gitignore", "README"):
                    durable.discard(name, folder)
        finally:
            os.close(folder)
        for path in (self.path, os.path.dirname(self.path)):
            try:
                os.rmdir(path)
            except OSError:
                return  # settings and the like

    def _written(self) -> dict[str, list[str]]:
        """The digests of each copy as it was written here, or is about to be, the last ones."""
        try:
            with open(f"{self.directory}/{WRITTEN}", "rb") as file:
                found = loads(file.read().decode())
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {key: each for key, each in found.items() if isinstance(each, list)}

    def edited(self, key: str, document: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """What a person wrote in the place of a key's copy; None for nothing.

        A copy that is as it was written here is no edit, however old it is. Where none was written,
        the key's own `document` counts.
        """
        if not self._is_possible:
            return None
        try:
            folder = self._open(make=False)
            if folder is None:
                return None
            try:
                found = _read(folder, journal.stem(key) + ".json")
            finally:
                os.close(folder)
        except OSError:
            return None
        if found is None:
            return None
        value, digest = found
        before = self._written().get(key)
        is_edit = digest not in before if before else document is None
        return value if is_edit else None

    def _open(self, make: bool) -> int | None:
        """The open folder of the view; None where there is none. Raises OSError.

        Never through a link below the project, and never in another user's project.
        """
        if not self.project:
            return os.open(self.path, journal.DIRECTORY)
        descriptor = os.open(self.project or "/", journal.DIRECTORY)
        try:
            if os.fstat(descriptor).st_uid != os.geteuid():
                os.close(descriptor)
                return None
            for name, mode in ((".claude", 0o777), ("state", 0o700)):
                is_new = make and not _is_there(descriptor, name)
                if is_new and name == "state" and self._may_be_stashed():
                    os.close(descriptor)
                    return None
                descriptor = journal.descend(descriptor, name, mode if make else 0)
        except FileNotFoundError:
            return None
        if os.fstat(descriptor).st_uid != os.geteuid():
            os.close(descriptor)
            return None
        if make:
            from ..recording.first_use import GITIGNORE

            for name, text in ((".gitignore", GITIGNORE), ("README", README)):
                if not _is_there(descriptor, name):
                    durable.replace(name, text, descriptor, sync=False)
        return descriptor

    def _may_be_stashed(self) -> bool:
        """Whether git holds a stash: `git stash --all` takes the view, and a new one would be in
        the way of `git stash pop`.
        """
        from ..recording.project_file import common_directory

        common = common_directory(self.project)
        return bool(common) and os.path.lexists(common + "/refs/stash")


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_readme(folder: int) -> bool:
    descriptor = os.open("README", journal.READ, dir_fd=folder)
    with open(descriptor, "rb") as file:
        return file.read() == README


def _is_copy(folder: int, file: str) -> bool:
    """Whether a file is a copy that was written here: a person may have edited its value."""
    found = _read(folder, file)
    return found is not None and set(found[0]) == _MEMBERS


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


def _read(folder: int, file: str) -> tuple[dict[str, Any], str] | None:
    """What a file of this user's holds, if it is a value, and its digest; None for any other."""
    try:
        descriptor = os.open(file, journal.READ, dir_fd=folder)
    except OSError:
        return None
    with open(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return None
        if status.st_size > SIZE_LIMIT:
            return None
        data = opened.read()
    try:
        found = loads(data.decode())
    except (ValueError, RecursionError):
        return None
    return (found, _digest(data)) if isinstance(found, dict) and "value" in found else None
