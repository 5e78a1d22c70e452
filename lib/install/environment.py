"""The variables that settings files give to hooks: read for a terminal, set by a command.

Hooks get WORKFLOW_STATE_STORE and the like from "env" in Claude Code's settings files. A command in
a terminal reads them there, so that it works on the same state.
"""

from __future__ import annotations

import os

from ..errors import StoreError
from . import json_edit, registered, settings_change, settings_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PREFIX = "WORKFLOW_STATE_"


def adopt(project: str) -> list[str]:
    """Set the variables that hooks get in this project, except those that are set already.

    As in Claude Code, a file from a repository counts only after the user has trusted its folder.
    Returns notes for the user.
    """
    if "CLAUDECODE" in os.environ:  # Claude runs this command, and it has the variables
        return []
    found: dict[str, str] = {}
    notes = []
    for kind, path in settings_files.places(project).items():
        try:
            given = _of(settings_files.values(path))
        except StoreError:
            continue  # `install` and `doctor` report it
        if given and kind == "project" and not _is_trusted(project):
            notes.append(
                f"{path} sets {', '.join(sorted(given))}; this counts here once you have trusted "
                "the folder in Claude Code"
            )
        else:
            found.update(given)
    for name, value in found.items():
        os.environ.setdefault(name, value)
    return notes


def _of(settings: dict[str, Any]) -> dict[str, str]:
    given = settings.get("env")
    return {
        name: value
        for name, value in (given.items() if isinstance(given, dict) else ())
        if name.startswith(PREFIX) and isinstance(value, str) and "\0" not in value
    }


def _is_trusted(project: str) -> bool:
    """Whether the user has trusted this folder, or one above it, in Claude Code."""
    directory = os.environ.get("CLAUDE_CONFIG_DIR") or os.environ.get("HOME", "")
    try:
        known = settings_files.values(f"{directory}/.claude.json").get("projects")
    except StoreError:
        return False
    while isinstance(known, dict) and project:
        about = known.get(project)
        if isinstance(about, dict) and about.get("hasTrustDialogAccepted") is True:
            return True
        project = project.rpartition("/")[0]
    return False


def setting(path: str, variables: dict[str, str]) -> settings_change.Change:
    """The change that sets variables for hooks in a settings file. Raises StoreError."""
    return settings_change.editing(path, lambda text: _with(text, variables))


def _with(text: str, variables: dict[str, str]) -> str:
    if not text.strip():
        return json_edit.Style().write({"env": variables}, "") + "\n"
    style = json_edit.style_of(text, registered.parse(text))
    for name, value in variables.items():
        root = registered.parse(text)
        there = root.get("env")
        member = there and there.get(name)
        if there is None:
            text = json_edit.append(text, root, {name: value}, style, "env")
        elif there.kind != "object":
            where = json_edit.position(text, there.start)
            raise registered.Unfit(f'{where}: "env" must be an object')
        elif member:
            text = json_edit.replace(text, member, value, style)
        else:
            text = json_edit.append(text, there, value, style, name)
    return text
