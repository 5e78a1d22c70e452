"""Which script and which interpreter a registered command runs, as far as the command shows it.

The command is read, not run: the settings of a clone may hold any command.
"""

from __future__ import annotations

import os
import re
import shutil
from shlex import split

from ...recording import journal

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
_GIVEN = re.compile(r"p=('[^']*'(?:\"'\"'[^']*')*|\S+?); ")


def script_of(line: str, project: str) -> str:
    """The script that a command runs; "" if the command does not show it."""
    found = re.search(r"-I -S (.*?/hooks/[a-z_]+\.py[\"']?)", line, re.DOTALL) or re.search(
        r"(\S*/hooks/[a-z_]+\.py[\"']?)", line
    )
    try:
        return _word(found[1], project) if found else ""
    except ValueError:
        return ""


def python_of(line: str, project: str) -> str:
    """The interpreter that a command would run; "" if there is none."""
    found = _GIVEN.match(line)
    if found:
        try:
            given = _word(found[1], project)
        except ValueError:
            given = ""
        if given.startswith("/") and os.access(given, os.X_OK):
            return given
    return python_on_path()


def python_on_path() -> str:
    """The `python3` that a hook's shell would find; "" if there is none."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    versions = os.environ.get("PYENV_ROOT", "") + "/versions/"
    if "PYENV_VERSION" in os.environ or "PYENV_DIR" in os.environ:
        # This process came through the shim, which puts its choice of a version first.
        path = [folder for folder in path if not folder.startswith(versions)]
    return shutil.which("python3", path=os.pathsep.join(path)) or ""


def _word(word: str, project: str) -> str:
    """A word of the shell, expanded as the hook's shell would do it. Raises ValueError."""
    plain = "".join(split(word))
    if "'" in word:
        return plain

    def value(found: re.Match[str]) -> str:
        name, default = found[1] or found[3], found[2] or ""
        if name == "CLAUDE_PROJECT_DIR":
            return project
        return journal.environment(name) or _VARIABLE.sub(value, default)

    return os.path.expanduser(_VARIABLE.sub(value, plain))
