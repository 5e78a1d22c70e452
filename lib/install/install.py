"""What `install` and `uninstall` do: which settings file, which commands, a team's copy."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from shlex import quote

from ..disk.cleanup import remove_unlocked
from ..disk.durable import TEMPORARY
from ..disk.locks import lock
from ..disk.swap import swap
from ..errors import StoreError
from ..project.git import is_ignored
from ..recording import journal
from ..recording.first_use import GITIGNORE, README
from . import registered as registration
from . import settings_files
from .interpreter import interpreter
from .settings_files import options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BUNDLE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
"""The bundle that this is."""

COPY = ".claude/workflow-state"
"""A project's own copy of it."""

PARTS = ("hooks", "lib", "bin", "LICENSE")
IGNORE = b"!*\n__pycache__/\n"
"""Projects often ignore every `lib/` and `bin/`: without this a team would have half of a copy."""


@dataclass
class Place:
    """Where hooks are registered: `project` is "" for the user's own file, for all projects."""

    project: str
    shared: bool = False

    @property
    def path(self) -> str:
        """The settings file. Raises StoreError."""
        if self.project:
            return settings_files.places(self.project)["project" if self.shared else "local"]
        if not settings_files.user_directory():
            raise StoreError("there is no home directory: set HOME, or name a project")
        return settings_files.places("")["user"]

    @property
    def copy(self) -> str:
        """Where the project's own copy of the bundle lies."""
        return f"{self.project}/{COPY}"


def place(project: str | None, user: bool, shared: bool) -> Place:
    """The place that a person means: by default the project of the current directory."""
    if user:
        return Place("")
    if project is None:
        project = journal.find_project() or "/"
    elif not os.path.isdir(project):
        raise StoreError(f"{project or '(an empty name)'} is not a directory; nothing was changed")
    project = os.path.abspath(project)
    if not project.strip("/"):
        raise StoreError(
            "/ is no project; nothing was changed: change to a directory of your own, or name one "
            "with --project; for all your projects: --user"
        )
    return Place(project, shared)


def commands(where: Place) -> dict[str, str]:
    """The commands to register there. Raises StoreError."""
    if where.shared:
        return registration.shared()
    python = interpreter()
    if not python:
        raise StoreError("the path of this Python is not known; run this with another python3")
    for path in (BUNDLE, python):
        try:
            path.encode()
        except UnicodeEncodeError:
            raise StoreError(f"{path} is not UTF-8, and a settings file cannot name it") from None
    return registration.personal(BUNDLE, python)


# --- the copy ----------------------------------------------------------------------------------


def _files(top: str) -> list[str]:
    """The bundle's files below `top`, relative to it."""
    found = []
    for part in PARTS:
        for folder, _, names in os.walk(f"{top}/{part}"):
            if not folder.endswith("__pycache__"):
                found += [os.path.relpath(f"{folder}/{name}", top) for name in names]
        if os.path.isfile(f"{top}/{part}"):
            found.append(part)
    return sorted(found)


def to_copy(target: str) -> list[str]:
    """The files in which `target` is not this bundle. Raises StoreError where it is no copy."""
    if os.path.realpath(target) == BUNDLE:
        return []
    if os.path.lexists(target) and not is_copy(target):
        raise StoreError(f"{target} is there and no copy of workflow-state; nothing was changed")
    changed = [name for name in _files(BUNDLE) if not _same(f"{BUNDLE}/{name}", f"{target}/{name}")]
    changed += [] if _read(f"{target}/.gitignore") == IGNORE else [".gitignore"]
    return changed + [name for name in _files(target) if not os.path.exists(f"{BUNDLE}/{name}")]


def copy_bundle(target: str) -> list[str]:
    """Make `target` hold this bundle and nothing older of it; the files that changed.

    The new copy is made beside it and takes its place at once. Raises OSError and StoreError.
    """
    changed = to_copy(target)
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    remove_unlocked(folder)
    if not changed:
        return []
    fresh, descriptor = _claimed(folder)
    try:
        for name in _files(BUNDLE):
            os.makedirs(os.path.dirname(f"{fresh}/{name}"), exist_ok=True)
            shutil.copy(f"{BUNDLE}/{name}", f"{fresh}/{name}")
        with open(f"{fresh}/.gitignore", "wb") as file:
            file.write(IGNORE)
        _take_place(fresh, target)
    finally:
        os.close(descriptor)
        shutil.rmtree(fresh, ignore_errors=True)
    return changed


def copying(target: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """What makes the copy, and what takes it away again if there was none."""
    was_there = os.path.lexists(target)

    def undo() -> None:
        if not was_there:
            shutil.rmtree(target, ignore_errors=True)

    return lambda: copy_bundle(target), undo


def _claimed(folder: str) -> tuple[str, int]:
    """A new directory for a copy, locked as long as its descriptor is open: its maker lives."""
    while True:
        path = f"{folder}/{TEMPORARY}{os.urandom(8).hex()}"
        os.mkdir(path)
        descriptor = os.open(path, journal.DIRECTORY)
        if lock(descriptor, otherwise=True) and os.path.isdir(path):  # no cleanup was faster
            return path, descriptor
        os.close(descriptor)


def _take_place(fresh: str, target: str) -> None:
    """Put the new copy in the place of the old one, of which `fresh` is then the name.

    At once where the system can; else a hook that runs just then may miss a file and fail, which
    blocks nothing, and `doctor` tells when it was left so.
    """
    if os.path.lexists(target):
        if swap(fresh, target):
            return
        os.rename(target, f"{fresh}-old")
        os.rename(fresh, target)
        shutil.rmtree(f"{fresh}-old", ignore_errors=True)
    else:
        os.rename(fresh, target)


def _same(one: str, other: str) -> bool:
    held = _read(one)
    return held is not None and held == _read(other)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def is_copy(path: str) -> bool:
    """Whether a directory is a copy of the bundle that we made, reached through no symlink."""
    return os.path.isfile(f"{path}/lib/recording/journal.py") and not os.path.islink(path)


def check_copy(path: str) -> None:
    """Raise StoreError where a copy of the bundle cannot be removed: it holds what is not ours."""
    if not os.path.lexists(path):
        return
    if not is_copy(path):
        raise StoreError(f"{path} is no copy of workflow-state; it was left as it is")
    if os.path.realpath(path) == BUNDLE:
        raise StoreError(f"{path} is what is running; it was left: rm -r {path}")
    strangers = sorted({*_entries(path)} - {*_files(path), ".gitignore"})
    if strangers:
        raise StoreError(f"{path} holds {strangers[0]}, which is not ours; it was left as it is")


def _entries(top: str) -> list[str]:
    found = []
    for folder, _, names in os.walk(top):
        if not folder.endswith("__pycache__"):
            found += [os.path.relpath(f"{folder}/{name}", top) for name in names]
    return found


# --- the state ---------------------------------------------------------------------------------


def purge(directory: str, dry_run: bool = False) -> dict[str, int]:
    """Remove a state directory; how many files of each kind it held. {} when there is none.

    Raises StoreError for what is not a state directory of this user's, and OSError.
    """
    try:
        descriptor = journal.open_state(directory)
    except FileNotFoundError:
        return {}
    try:
        if os.fstat(descriptor).st_uid != os.geteuid() or not _is_state(descriptor):
            raise StoreError(
                f"{directory} does not look like a state directory of yours; it was left as it is"
            )
    finally:
        os.close(descriptor)
    counts = {"sessions": 0, "checkpoints": 0, "keys": 0}
    for folder, ending in (("sessions", ".jsonl"), ("checkpoints", ".json"), ("", ".json")):
        try:
            names = os.listdir(f"{directory}/{folder}")
        except FileNotFoundError:
            names = []
        counts[folder or "keys"] = sum(name.endswith(ending) for name in names)
    if not dry_run:
        shutil.rmtree(directory)
    return counts


def remove_emptied(directory: str) -> None:
    """Remove the `.claude` that a purged state lay in, if nothing else is in it."""
    folder, name = os.path.split(directory)
    if name == "state" and os.path.basename(folder) == ".claude":
        try:
            os.rmdir(folder)
        except OSError:
            pass  # settings and the like


def _is_state(directory: int) -> bool:
    """Whether an open directory holds the two files that a state directory begins with."""
    for name, text in ((".gitignore", GITIGNORE), ("README", README)):
        try:
            descriptor = os.open(name, journal.READ, dir_fd=directory)
        except OSError:
            return False
        with open(descriptor, "rb") as file:
            if file.read(len(text) + 1)[:32] != text[:32]:
                return False
    return True


# --- what a person should know -----------------------------------------------------------------


@dataclass
class Registered:
    """Where our hooks are registered in a project.

    files    path of a settings file -> event -> commands, for those that have any of ours
    plugin   the plugin that is on, with its marketplace, or ""
    broken   what is wrong with a file that Claude Code cannot read
    off      the file that switches all hooks off, or ""
    """

    files: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    plugin: str = ""
    broken: list[str] = field(default_factory=list)
    off: str = ""

    @property
    def ways(self) -> list[str]:
        """Each way in which a hook is called: once is right.

        Files that say the same are one way: Claude Code runs equal commands once.
        """
        alike: dict[str, list[str]] = {}
        for path, events in self.files.items():
            alike.setdefault(repr(sorted(events.items())), []).append(path)
        ways = [" and ".join(paths) for paths in alike.values()]
        return [*ways, *([f"plugin {self.plugin}"] if self.plugin else [])]


def registered(project: str) -> Registered:
    """Where our hooks are registered in this project, the user's own file included."""
    found = Registered(plugin=settings_files.enabled_plugin(project))
    off: tuple[Any, str] = (False, "")
    for path in dict.fromkeys(settings_files.places(project).values()):
        try:
            text = settings_files.text_of(path, settings_files.read(path))
            ours = registration.registered(text)
            said = settings_files.values(path)
        except (StoreError, ValueError) as error:
            words = str(error).replace("; nothing was changed", "")
            found.broken.append(words if words.startswith(path) else f"{path}: {words}")
            continue
        if ours:
            found.files[path] = ours
        if "disableAllHooks" in said:
            off = said["disableAllHooks"], path
    found.off = off[1] if off[0] is True else ""
    return found


def warnings(where: Place) -> list[str]:
    """What may make a registration at this place count twice, or not at all."""
    project = where.project or journal.find_project()
    found = registered(project)
    said = []
    here = found.files.get(where.path)
    for path, events in found.files.items():
        if path != where.path and events != here:
            said.append(
                f"{path} registers the hooks too, so that everything is recorded twice; it is "
                f"counted once. Take one out: workflow-state uninstall{options(path, project)}"
            )
    if found.plugin:
        said.append(
            f"the plugin {found.plugin} is on too, so that everything is recorded twice; it is "
            f"counted once. Switch it off: claude plugin disable {found.plugin}"
        )
    if found.off:
        said.append(f'{found.off} says "disableAllHooks", so that no hook runs')
    if where.project and where.project == journal.environment("HOME").rstrip("/"):
        said.append(
            "this is your home directory, so that it works when Claude Code is started here; for "
            "all your projects: workflow-state install --user"
        )
    link = journal.link_in(f"{where.project}/.claude/state") if where.project else ""
    if link:
        said.append(": ".join(linked(link)))
    if where.shared:
        probes = {where.path: where.path, where.copy: f"{where.copy}/lib/recording/journal.py"}
        hidden = [path for path, probe in probes.items() if is_ignored(project, probe)]
        if hidden:
            said.append(
                f"git ignores {' and '.join(hidden)}, so that your team would not have it: change "
                f"the rule, or: git -C {quote(project)} add -f {' '.join(map(quote, hidden))}"
            )
    local = bool(where.project) and not where.shared
    if local and is_ignored(project, where.path) is False:
        git = f"git -C {quote(project)}"
        said.append(
            f"git does not ignore {where.path}, which is yours alone; to keep it out of commits: "
            "echo '**/.claude/settings.local.json' >> "
            f'"$({git} rev-parse --path-format=absolute --git-path info/exclude)"'
        )
    return said


def linked(link: str) -> tuple[str, str]:
    """That nothing is recorded below a link, which could be a repository's; and what to do."""
    return (
        f"{link} is a link, which the hooks do not follow, so that they record nothing",
        "make it a directory (its files may be links), or set WORKFLOW_STATE_DIR",
    )
