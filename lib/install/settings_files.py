"""Claude Code's settings files: read, changed as a whole or not at all, and put back.

Before a file is changed it is kept as it was, in the directory of the user's key: beside the file
it could be committed by mistake, and settings hold secrets. A note there says what was written, so
that a file that nobody has changed since can be put back to the byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import stat
from dataclasses import dataclass, field
from errno import ENOTSUP, EOPNOTSUPP, EPERM

from ..disk.cleanup import alone, remove_unlocked
from ..disk.durable import TEMPORARY, make_directories, sync_directory
from ..disk.locks import lock
from ..disk.swap import swap
from ..errors import StoreError
from ..project.git import main_checkout
from ..recording import journal
from . import registered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIMIT = 16 << 20
"""Bytes of a settings file that are read."""


def user_directory() -> str:
    """Where Claude Code keeps a user's settings; "" where the user has no home."""
    given = journal.environment("CLAUDE_CONFIG_DIR")
    home = journal.environment("HOME")
    return os.path.abspath(given) if given else home and home.rstrip("/") + "/.claude"


def places(project: str) -> dict[str, str]:
    """The files that Claude Code reads in this project, by who they are for; later ones win."""
    directory = user_directory()
    found = {"user": f"{directory}/settings.json"} if directory else {}
    found["project"] = f"{project}/.claude/settings.json"
    main = main_checkout(project)
    if main:  # Claude Code reads a linked worktree's own, and this
        found["main"] = f"{main}/.claude/settings.local.json"
    found["local"] = f"{project}/.claude/settings.local.json"
    found["managed"] = "/etc/claude-code/managed-settings.json"
    if os.uname().sysname == "Darwin":
        found["managed"] = "/Library/Application Support/ClaudeCode/managed-settings.json"
    return found


def options(path: str, project: str) -> str:
    """The options with which `install` and `uninstall` mean this file, a space before each."""
    kinds = {file: kind for kind, file in places(project).items()}
    main = f" --project {shlex.quote(main_checkout(project))}"
    return {"user": " --user", "project": " --shared", "main": main}.get(kinds.get(path, ""), "")


def read(path: str) -> bytes | None:
    """A settings file's bytes, None when there is none. Raises StoreError."""
    try:
        # Not to wait for a FIFO that nobody writes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError(f"{path} is not a file; nothing was changed")
            data = file.read(LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; nothing was changed") from error
    if len(data) > LIMIT:
        raise StoreError(f"{path} is larger than {LIMIT >> 20} MB; nothing was changed")
    return data


def text_of(path: str, data: bytes | None) -> str:
    """A settings file's text, "" for none. Raises StoreError."""
    try:
        return (data or b"").decode()
    except UnicodeDecodeError as error:
        line = (data or b"")[: error.start].count(b"\n") + 1
        raise StoreError(f"{path}: line {line}: it is not UTF-8; nothing was changed") from None


def values(path: str) -> dict[str, Any]:
    """What a settings file says; {} when there is none. Raises StoreError."""
    text = text_of(path, read(path)).lstrip("\ufeff")
    try:
        said = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is not JSON ({error})") from None
    return said if isinstance(said, dict) else {}


def enabled_plugin(project: str) -> str:
    """The plugin of this name that is on here, with its marketplace; "" for none."""
    on: dict[str, bool] = {}
    for path in places(project).values():
        try:
            said = values(path).get("enabledPlugins")
        except StoreError:
            continue
        for name, value in said.items() if isinstance(said, dict) else ():
            if name.partition("@")[0] == "workflow-state":
                on[name] = bool(value)
    return next((name for name, value in on.items() if value), "")


def plugin_folder(plugin: str) -> str:
    """Where Claude Code runs a plugin from, by its name with its marketplace; "" where nowhere.

    From a marketplace that is a directory in place, as 2.1.330 does; else from its own copy.
    """
    try:
        catalogues = f"{user_directory()}/plugins"
        name, _, market = plugin.partition("@")
        known = _at(values(f"{catalogues}/known_marketplaces.json"), market)
        if _at(known, "source", "source") == "directory":
            top = str(_at(known, "installLocation") or _at(known, "source", "path") or "")
            offered = _at(values(f"{top}/.claude-plugin/marketplace.json"), "plugins")
            offers = offered if isinstance(offered, list) else []
            sources = [_at(each, "source") for each in offers if _at(each, "name") == name]
            source = next((each for each in sources if isinstance(each, str)), "")
            return os.path.normpath(f"{top}/{source}") if source[:1] == "." else top
        installed = _at(values(f"{catalogues}/installed_plugins.json"), "plugins", plugin)
        copies = installed if isinstance(installed, list) else []
        return next((str(_at(copy, "installPath") or "") for copy in copies[-1:]), "")
    except StoreError:
        return ""


def _at(said: Any, *keys: str) -> Any:
    for key in keys:
        said = said.get(key) if isinstance(said, dict) else None
    return said


# --- what was there before ---------------------------------------------------------------------


@dataclass
class Memory:
    """What is known of a file from before it was changed: its bytes, and a note beside them.

    path    the file
    made    paths that were not there: the file, and the directories for it
    before  digest of the bytes kept, "" where there was no file
    after   digest of what was written last
    """

    stem: str
    path: str = ""
    made: list[str] = field(default_factory=list)
    before: str = ""
    after: str = ""

    @property
    def place(self) -> str:
        """The directory in which what is known of files lies; "" where there is no home."""
        return os.path.dirname(os.path.dirname(self.stem))

    @classmethod
    def of(cls, path: str) -> Memory:
        """What is known of the file at this path: nothing where there is no home directory."""
        key = journal.key_path()
        if not key:
            return cls("")
        digest = hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
        memory = cls(f"{os.path.dirname(key)}/before/{digest}-{os.path.basename(path)}")
        memory._read()
        return memory

    def _read(self) -> None:
        try:
            with open(self.stem + ".note", encoding="utf-8") as file:
                said = json.load(file)
            self.path, self.made = str(said["path"]), list(map(str, said["made"]))
            self.before, self.after = str(said["before"]), str(said["after"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none, or none that helps: the file is then edited as it is

    def base(self, data: bytes | None) -> bytes | None:
        """What to edit where the file holds `data`; None for a file of nothing.

        The file as it was, when nobody has changed it since it was written; else as it is.
        """
        kept = read(self.stem) if self.stem else None
        whole = self.before == ("" if kept is None else _digest(kept))
        return kept if whole and data is not None and self.after == _digest(data) else data

    def keep(self, path: str, before: bytes | None, after: bytes) -> None:
        """Keep what is there, before it is changed. Raises OSError."""
        folder = os.path.dirname(self.stem)
        make_directories(folder, 0o700)
        remove_unlocked(folder)
        if before is None:
            _remove(self.stem)
        else:
            _write(self.stem, before, 0o600)
        self.path = path
        self.before = "" if before is None else _digest(before)
        self.write_note(_digest(after))

    def write_note(self, after: str) -> None:
        """Keep in mind what was written last. Raises OSError."""
        self.after = after
        digests = {"before": self.before, "after": self.after}
        note = {"v": 1, "path": self.path, "made": self.made, **digests}
        _write(self.stem + ".note", json.dumps(note).encode() + b"\n", 0o600)

    def others(self, directory: str) -> list[Memory]:
        """What is known of the other files below a directory."""
        folder = os.path.dirname(self.stem)
        try:
            names = sorted(os.listdir(folder or "/nowhere"))
        except OSError:
            return []
        known = [Memory(f"{folder}/{name[:-5]}") for name in names if name.endswith(".note")]
        for memory in known:
            memory._read()
        return [
            memory
            for memory in known
            if memory.stem != self.stem and memory.path.startswith(directory + "/")
        ]

    def leave_to(self, other: Memory, directory: str) -> None:
        """Let what is known of another file say that this directory was made. Raises OSError."""
        if directory not in other.made:
            other.made.append(directory)
            other.write_note(other.after)

    def forget(self) -> None:
        """Keep nothing any more. Raises OSError."""
        if not self.stem:
            return
        _remove(self.stem)
        _remove(self.stem + ".note")
        try:
            os.rmdir(os.path.dirname(self.stem))
        except OSError:
            pass  # it holds what is known of other files, or was never made


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _in_folder(folder: str, do: Callable[[int], None]) -> None:
    descriptor = os.open(folder, journal.DIRECTORY)
    try:
        do(descriptor)
    finally:
        os.close(descriptor)


def _write(path: str, data: bytes, mode: int) -> None:
    temporary, descriptor = _prepared(os.path.dirname(path), data, mode)
    try:
        os.replace(temporary, path)
    finally:
        os.close(descriptor)


def _prepared(
    folder: str, data: bytes, mode: int, like: os.stat_result | None = None
) -> tuple[str, int]:
    """A whole, durable temporary file in a folder, and its descriptor, locked until it is closed.

    Raises OSError.
    """
    path = f"{folder}/{TEMPORARY}{os.urandom(8).hex()}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        lock(descriptor, otherwise=True)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
            if like:
                if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                    try:
                        os.fchown(descriptor, like.st_uid, like.st_gid)
                    except PermissionError:
                        pass  # it is then the user's, who may write it
                os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        os.close(descriptor)
        os.unlink(path)
        raise
    return path, descriptor


# --- a change ----------------------------------------------------------------------------------


@dataclass
class Change:
    """What a settings file is and what it would become; `apply` makes it so.

    path    as it was named; `real` is the file that it leads to
    before  its bytes as they are, None when it is not there
    after   its bytes as they would be, None when it would go
    """

    path: str
    real: str
    before: bytes | None
    after: bytes | None
    memory: Memory
    _kept: bytes | None

    @property
    def is_none(self) -> bool:
        """Whether there is nothing to do."""
        return self.before == self.after

    def apply(
        self,
        prepare: Callable[[], object] = lambda: None,
        undo: Callable[[], object] = lambda: None,
    ) -> None:
        """Change the file: as a whole, and only if it is still as it was. Raises StoreError.

        What the hooks need comes by `prepare`, before they are registered, and even where the file
        is as it should be; it goes by `undo` where they could not be registered.
        """
        registers = not self.is_none and self.after is not None and _ours(self.after)
        with alone(self.memory.place, make=registers):
            if not self.is_none:
                self._check_unchanged()
            former = self.memory.after
            try:
                if registers and self.after is not None:
                    self._keep(self.after)
                prepare()
                if not self.is_none and self.after is None:
                    self._check_unchanged()
                    os.unlink(self.real)
                elif not self.is_none and self.after is not None:
                    self._put(self.after)
            except BaseException as error:
                if self._is_unchanged():
                    if not _ours(self.before or b""):
                        undo()
                    self._keep_no_more(former)
                if not isinstance(error, OSError):
                    raise
                where = str(error.filename or self.real).partition(f"/{TEMPORARY}")[0]
                said = f"{where}: {error.strerror}; {self.path} was not changed"
                raise StoreError(said) from error

    def _keep(self, after: bytes) -> None:
        if not self.memory.stem:
            raise StoreError(
                "there is no home directory to keep the settings in as they were; nothing was "
                "changed: set HOME"
            )
        self.memory.keep(self.real, self._kept, after)

    def _keep_no_more(self, former: str) -> None:
        """What was not changed is as it was: nothing is known of it, or what was before."""
        if not _ours(self.before or b""):
            self._clear()
        elif self.memory.after != former:
            try:
                self.memory.write_note(former)
            except OSError:
                pass  # what is ours is then cut from the file as it is

    def _put(self, after: bytes) -> None:
        folder = os.path.dirname(self.real)
        make_directories(folder, 0o777)
        remove_unlocked(folder)
        status = os.stat(self.real) if self.before is not None else None
        temporary, descriptor = _prepared(folder, after, 0o666, status)
        try:
            if self.before is not None or not _links(temporary, self.real):
                self._check_unchanged()
                self._take_place(temporary, after)
        except FileExistsError:
            raise self._changed_meanwhile() from None
        finally:
            _remove(temporary)
            os.close(descriptor)
        _in_folder(folder, sync_directory)

    def _take_place(self, temporary: str, after: bytes) -> None:
        """Put a file in the place of what is there, if that is still what it was.

        The two change places, so that what was written since it was looked at is not lost: it is
        then put back, and so is what may have been written since that.
        """
        if self.before is None or not swap(temporary, self.real):
            os.replace(temporary, self.real)
            return
        put, found = after, read(temporary)
        while found != self.before:
            swap(temporary, self.real)
            taken = read(temporary)
            if taken == put:
                raise self._changed_meanwhile()
            put, found = found or b"", taken

    def _is_unchanged(self) -> bool:
        """False, too, for what failed behind the change: that can be taken back like any other."""
        try:
            return read(self.real) == self.before
        except StoreError:
            return False

    def _check_unchanged(self) -> None:
        if read(self.real) != self.before:
            raise self._changed_meanwhile()

    def _changed_meanwhile(self) -> StoreError:
        return StoreError(
            f"{self.path} was changed by another program meanwhile; it is as that left it: run "
            "this again"
        )

    def clear(self) -> str:
        """Once all is out: forget the file as it was, and remove directories made for it.

        Gives a note for people where what was kept cannot be removed; else "". Raises StoreError.
        """
        with alone(self.memory.place, make=False):
            again = _ours(read(self.real) or b"")  # by another process, meanwhile
            return "" if again else self._clear()

    def _clear(self) -> str:
        try:
            for folder in (os.path.dirname(self.real), os.path.dirname(self.memory.stem)):
                if os.path.isdir(folder):
                    remove_unlocked(folder)
            for path in sorted(self.memory.made, reverse=True):
                self._remove_made(path)
            self.memory.forget()
        except OSError as error:
            return f"{error.filename}: {error.strerror}; it holds the file as it was"
        return ""

    def _remove_made(self, directory: str) -> None:
        try:
            os.rmdir(directory)
        except NotADirectoryError:
            pass  # the file itself, kept
        except OSError:
            # What others have put there; or we, for whose other files it has to stay for now.
            for other in self.memory.others(directory):
                self.memory.leave_to(other, directory)


def _ours(data: bytes) -> bool:
    try:
        return bool(registered.registered(data.decode()))
    except ValueError:
        return False


def _open(path: str) -> tuple[str, bytes | None, Memory]:
    real = os.path.realpath(path)
    data = read(real)
    if data is not None and not (os.stat(real).st_mode & 0o222 and os.access(real, os.W_OK)):
        raise StoreError(f"{path} is read-only; nothing was changed: allow writing, or edit {real}")
    return real, data, Memory.of(real)


def _links(temporary: str, path: str) -> bool:
    """Give a new file its name, unless another has it: FileExistsError.

    False where the file system has no hard links.
    """
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (EPERM, ENOTSUP, EOPNOTSUPP):
            raise
        return False
    return True


def _missing(path: str) -> list[str]:
    """The paths that would have to be made, the file's own among them."""
    found = []
    while path and not os.path.lexists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found


def _edited(path: str, data: bytes | None, edit: Callable[[str], str]) -> bytes:
    try:
        return edit(text_of(path, data)).encode()
    except ValueError as error:
        raise StoreError(f"{path}: {error}; nothing was changed") from None


def registering(path: str, commands: dict[str, str]) -> Change:
    """The change that puts these commands, and no other of ours, into a file. Raises StoreError."""
    real, data, memory = _open(path)
    there = _registered(path, data)
    if there == {event: [line] for event, line in commands.items()}:
        return Change(path, real, data, data, memory, None)
    kept = memory.base(data)
    memory.made += [made for made in _missing(real) if made not in memory.made]

    def edit(text: str) -> str:
        return registered.with_hooks(registered.without(text), commands)

    return Change(path, real, data, _edited(path, kept, edit), memory, kept)


def editing(path: str, edit: Callable[[str], str]) -> Change:
    """The change that an edit makes of a file's text. Raises StoreError.

    With our hooks in it the file still becomes what it was before them when they go.
    """
    real, data, memory = _open(path)
    return Change(path, real, data, _edited(path, data, edit), memory, memory.base(data))


def unregistering(path: str) -> Change:
    """The change that takes all of ours out of a file. Raises StoreError."""
    real, data, memory = _open(path)
    if not _registered(path, data):
        return Change(path, real, data, data, memory, None)
    kept = memory.base(data)
    after: bytes | None = _edited(path, kept, registered.without)
    was_there = memory.after and real not in memory.made
    if not was_there and not registered.parse((after or b"{}").decode()).members:
        after = None  # it held nothing else, and was made for us
    return Change(path, real, data, after, memory, kept)


def _registered(path: str, data: bytes | None) -> dict[str, list[str]]:
    try:
        return registered.registered(text_of(path, data))
    except ValueError as error:
        raise StoreError(f"{path}: {error}; nothing was changed") from None
