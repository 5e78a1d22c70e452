"""`install` and `uninstall`: where, with which commands, and what a user should know."""

from __future__ import annotations

import os
from dataclasses import dataclass
from shlex import quote

from ..errors import StoreError
from ..project.git import is_ignored
from ..recording import journal
from . import hook_commands, settings_files
from .bundle_copy import BUNDLE, COPY
from .interpreter import interpreter
from .settings_files import options, registrations


@dataclass
class Place:
    """Where hooks are registered; `project` is "" for the user's own file, for all projects."""

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
        """The place of the project's own copy of the bundle."""
        return f"{self.project}/{COPY}"


def place(project: str | None, user: bool, shared: bool) -> Place:
    """The place that the options name, by default the current project. Raises StoreError."""
    if user:
        return Place("")
    if project is None:
        project = journal.find_project() or "/"
    elif not os.path.isdir(project):
        raise StoreError(f"{project or '(an empty name)'} is not a directory; nothing was changed")
    project = os.path.abspath(project)
    if not project.strip("/"):
        raise StoreError(
            "/ is not a project; nothing was changed: change to a project's directory, or name one "
            "with --project; for all your projects: --user"
        )
    return Place(project, shared)


def commands(where: Place) -> dict[str, str]:
    """The commands to register there. Raises StoreError."""
    if where.shared:
        return hook_commands.shared()
    python = interpreter()
    if not python:
        raise StoreError("the path of this Python is unknown; run this with another python3")
    for path in (BUNDLE, python):
        try:
            path.encode()
        except UnicodeEncodeError:
            raise StoreError(f"{path} is not UTF-8, and a settings file cannot name it") from None
    return hook_commands.personal(BUNDLE, python)


# --- what a user should know -------------------------------------------------------------------


def warnings(where: Place) -> list[str]:
    """What may make the hooks of this place run twice, or not at all."""
    project = where.project or journal.find_project()
    found = registrations(project)
    here = found.files.get(where.path)
    notes = [
        f"{path} registers the hooks too: they run twice, and each event counts once. Remove one: "
        f"workflow-state uninstall{options(path, project)}"
        for path, events in found.files.items()
        if path != where.path and events != here
    ]
    if found.plugin:
        notes.append(
            f"the plugin {found.plugin} is enabled too: the hooks run twice, and each event counts "
            f"once. Disable it: claude plugin disable {found.plugin}"
        )
    if found.off:
        notes.append(f'{found.off} sets "disableAllHooks": no hook runs')
    if found.only:
        notes.append(f'{found.only} sets "allowManagedHooksOnly": these hooks do not run')
    if where.project and where.project == journal.environment("HOME").rstrip("/"):
        notes.append(
            "this is your home directory: the hooks run only if Claude Code starts here. For all "
            "your projects: workflow-state install --user"
        )
    return notes + _git_warnings(where)


def runs(where: Place) -> bool:
    """Whether the settings let hooks run that are registered there."""
    found = registrations(where.project or journal.find_project())
    return not (found.off or found.only)


def _git_warnings(where: Place) -> list[str]:
    if not where.project:
        return []
    git = f"git -C {quote(where.project)}"
    if where.shared:
        probes = {where.path: where.path, where.copy: f"{where.copy}/lib/recording/journal.py"}
        hidden = [path for path, probe in probes.items() if is_ignored(where.project, probe)]
        return [
            f"git ignores {' and '.join(hidden)}, and your team does not get it: change the rule, "
            f"or: {git} add -f {' '.join(map(quote, hidden))}"
        ] * bool(hidden)
    if is_ignored(where.project, where.path) is False:
        return [
            f"git does not ignore {where.path}, which is for you alone; to keep it out of commits: "
            "echo '**/.claude/settings.local.json' >> "
            f'"$({git} rev-parse --path-format=absolute --git-path info/exclude)"'
        ]
    return []
