"""Claude Code's settings files: where they are, and what they say about hooks and plugins."""

from __future__ import annotations

import json
import os
import shlex
import stat
from dataclasses import dataclass, field

from ..errors import StoreError
from ..project.git import main_checkout
from ..recording import journal
from . import registered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MANAGED = "/etc/claude-code"
MANAGED_MACOS = "/Library/Application Support/ClaudeCode"

LIMIT = 16 << 20
"""The largest settings file that is read, in bytes."""


# --- where they are ----------------------------------------------------------------------------


def user_directory() -> str:
    """Where Claude Code keeps a user's settings; "" where the user has no home directory."""
    given = journal.environment("CLAUDE_CONFIG_DIR")
    home = journal.environment("HOME")
    return os.path.abspath(given) if given else home and home.rstrip("/") + "/.claude"


def places(project: str) -> dict[str, str]:
    """The files that Claude Code reads in a project, by their kind; later ones win."""
    directory = user_directory()
    found = {"user": f"{directory}/settings.json"} if directory else {}
    found["project"] = f"{project}/.claude/settings.json"
    main = main_checkout(project)
    if main:  # in a linked worktree, Claude Code reads this file and the worktree's own
        found["main"] = f"{main}/.claude/settings.local.json"
    found["local"] = f"{project}/.claude/settings.local.json"
    for number, path in enumerate(managed()):
        found[f"managed {number}" if number else "managed"] = path
    return found


def managed() -> list[str]:
    """The administrator's files: of this machine, and what Claude Code has got from a server."""
    folder = MANAGED_MACOS if os.uname().sysname == "Darwin" else MANAGED
    try:
        names = sorted(os.listdir(f"{folder}/managed-settings.d"))
    except OSError:
        names = []
    more = [name for name in names if name.endswith(".json") and name[0] != "."]
    found = [f"{folder}/managed-settings.json"]
    found += [f"{folder}/managed-settings.d/{name}" for name in more]
    directory = user_directory()
    return [*found, *([f"{directory}/remote-settings.json"] if directory else [])]


def options(path: str, project: str) -> str:
    """The options of `install` and `uninstall` for this file, a space before each."""
    kinds = {file: kind for kind, file in places(project).items()}
    main = f" --project {shlex.quote(main_checkout(project))}"
    return {"user": " --user", "project": " --shared", "main": main}.get(kinds.get(path, ""), "")


# --- read --------------------------------------------------------------------------------------


def read(path: str) -> bytes | None:
    """A settings file's bytes, None if there is no file. Raises StoreError."""
    try:
        # O_NONBLOCK: do not wait for the writer of a FIFO.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError(f"{path} is not a file")
            data = file.read(LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    if len(data) > LIMIT:
        raise StoreError(f"{path} is larger than {LIMIT >> 20} MB")
    return data


def text_of(path: str, data: bytes | None) -> str:
    """A settings file's text, "" if there is no file. Raises StoreError."""
    try:
        return (data or b"").decode()
    except UnicodeDecodeError as error:
        line = (data or b"")[: error.start].count(b"\n") + 1
        raise StoreError(f"{path}: line {line}: it is not UTF-8") from None


def hooks_in(path: str, data: bytes | None) -> dict[str, list[str]]:
    """Our commands in a settings file's bytes, by event. Raises StoreError."""
    try:
        return registered.registered(text_of(path, data))
    except ValueError as error:
        raise StoreError(f"{path}: {error}") from None


def values(path: str) -> dict[str, Any]:
    """The settings in a file; {} if there is no file. Raises StoreError."""
    text = text_of(path, read(path)).lstrip("\ufeff")
    try:
        settings = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is not JSON ({error})") from None
    return settings if isinstance(settings, dict) else {}


# --- where our hooks are registered ------------------------------------------------------------


@dataclass
class Registrations:
    """Where our hooks are registered in a project.

    files    path of a settings file -> event -> commands, for files with hooks of ours
    plugin   our plugin if it is enabled, with its marketplace; else ""
    broken   what is wrong with a file that Claude Code cannot read
    off      the file that switches all hooks off; else ""
    only     the administrator's file that lets no hooks run but its own, and ours are not; else ""
    """

    files: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    plugin: str = ""
    broken: list[str] = field(default_factory=list)
    off: str = ""
    only: str = ""

    @property
    def ways(self) -> list[str]:
        """Each way in which Claude Code calls a hook: one is right.

        Files with equal commands are one way: Claude Code runs equal commands once.
        """
        alike: dict[str, list[str]] = {}
        for path, events in self.files.items():
            alike.setdefault(repr(sorted(events.items())), []).append(path)
        ways = [" and ".join(paths) for paths in alike.values()]
        return [*ways, *([f"plugin {self.plugin}"] if self.plugin else [])]


def registrations(project: str) -> Registrations:
    """Where our hooks are registered in this project, the user's own file included."""
    found = Registrations(plugin=enabled_plugin(project))
    off: tuple[Any, str] = (False, "")
    administrators = managed()
    for path in dict.fromkeys(places(project).values()):
        try:
            ours = hooks_in(path, read(path))
            settings = values(path)
        except StoreError as error:
            found.broken.append(str(error))
            continue
        if ours:
            found.files[path] = ours
        if "disableAllHooks" in settings:
            off = settings["disableAllHooks"], path
        if path in administrators and settings.get("allowManagedHooksOnly") is True:
            found.only = path
    found.off = off[1] if off[0] is True else ""
    registering = [path for path in administrators if path in found.files]
    if registering or _enabled(administrators).get(found.plugin):
        found.only = ""
    return found


# --- our plugin --------------------------------------------------------------------------------


def enabled_plugin(project: str) -> str:
    """Our plugin if it is enabled here, with its marketplace; else ""."""
    on = _enabled(places(project).values())
    return next((name for name, value in on.items() if value), "")


def _enabled(paths: Iterable[str]) -> dict[str, bool]:
    """What settings files say of our plugin, by its name with its marketplace."""
    on: dict[str, bool] = {}
    for path in paths:
        try:
            plugins = values(path).get("enabledPlugins")
        except StoreError:
            continue
        for name, value in plugins.items() if isinstance(plugins, dict) else ():
            if name.partition("@")[0] == "workflow-state":
                on[name] = bool(value)
    return on


def plugin_folder(plugin: str) -> str:
    """The folder from which Claude Code runs a plugin, which is named with its marketplace, or "".

    If the marketplace is a directory, Claude Code 2.1.330 runs the plugin there; else a copy.
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


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
