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


_NEVER = ("WORKFLOW_STATE_KEY", "WORKFLOW_STATE_TRUST")
"""What a project's file cannot set: which records are the user's own, and which others count."""


def adopt(project: str) -> list[str]:
    """Set the variables that hooks get in this project, except those that are set already.

    As in Claude Code, a file of a project counts only after the user has trusted its folder:
    it may have come with the repository, whatever its name. Returns notes for the user.
    """
    if "CLAUDECODE" in os.environ:  # Claude runs this command, and it has the variables
        return []
    found: dict[str, str] = {}
    notes = []
    for kind, path in _files(project).items():
        try:
            given = _of(settings_files.values(path))
        except StoreError:
            continue  # `install` and `doctor` report it
        if kind.partition(" ")[0] not in ("user", "managed"):
            given, said = _of_project(path, given)
            notes += said
        found.update(given)
    for name, value in found.items():
        os.environ.setdefault(name, value)
    return notes


def _files(project: str) -> dict[str, str]:
    """The settings files by their kind, each once: the home directory may be the project."""
    found: dict[str, str] = {}
    for kind, path in settings_files.places(project).items():
        if path not in found.values():
            found[kind] = path
    return found


def _of(settings: dict[str, Any]) -> dict[str, str]:
    given = settings.get("env")
    return {
        name: value
        for name, value in (given.items() if isinstance(given, dict) else ())
        if name.startswith(PREFIX) and isinstance(value, str) and "\0" not in value
    }


def _of_project(path: str, given: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """What counts of the variables in a project's file, and notes on the others."""
    given = {name: value for name, value in given.items() if name not in os.environ}
    if not given:
        return {}, []
    project = path.rpartition("/.claude/")[0]
    if not is_trusted(project):
        said = f"{path} sets {', '.join(sorted(given))}"
        return {}, [f"{said}; this counts here once you have trusted the folder in Claude Code"]
    refused = [
        name
        for name, value in sorted(given.items())
        if name in _NEVER or (name == "WORKFLOW_STATE_DIR" and not _is_within(value, project))
    ]
    notes = [
        f"{path} sets {name}, which a project's file cannot set"
        f"{' to a place outside the project' if name == 'WORKFLOW_STATE_DIR' else ''}; set it in "
        "your own settings or in the environment"
        for name in refused
    ]
    return {name: value for name, value in given.items() if name not in refused}, notes


def _is_within(path: str, project: str) -> bool:
    """Whether a path, which may lead through links, lies below the project."""
    top = os.path.realpath(project)
    return os.path.realpath(os.path.join(top, path)).startswith(top.rstrip("/") + "/")


def is_trusted(project: str) -> bool:
    """Whether the user has trusted this folder, or one above it, in Claude Code."""
    directory = os.environ.get("CLAUDE_CONFIG_DIR") or os.environ.get("HOME", "")
    try:
        known = settings_files.values(f"{directory}/.claude.json").get("projects")
    except StoreError:
        return False
    folder = os.path.realpath(project)
    while isinstance(known, dict) and folder:
        about = known.get(folder)
        if isinstance(about, dict) and about.get("hasTrustDialogAccepted") is True:
            return True
        folder = folder.rpartition("/")[0]
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
