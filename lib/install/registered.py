"""Our hooks in the text of a settings file: find them, add them, remove them.

Pure functions: text in, text out. New hooks go behind those of others. We recognize a hook by what
its command runs, so also one that was written by hand, copied from settings.example.json or
registered by an earlier version. If a hook may be somebody else's, we leave it alone.
"""

from __future__ import annotations

import json
import re

from . import json_edit
from .hook_commands import SCRIPTS
from .json_edit import Part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from typing import Any

_SCRIPT = "/hooks/(?:pre_tool|post_tool|session_start|stop|user_prompt)[.]py"
_OURS = re.compile(
    # In a folder of our name, or run by the words that only `hook_commands.command` writes.
    rf"(?<![\w-])workflow-state[\"'}}]*{_SCRIPT}"
    rf'|\[ -x "/\$p" \] \|\| p=python3; "\$p" -I -S .*{_SCRIPT}["\']? \|\| exit 1',
    re.DOTALL,
)
_BUNDLE = re.compile(rf"-I -S [\"']?(.*){_SCRIPT}[\"']? \|\| exit 1", re.DOTALL)


class Unfit(ValueError):
    """The settings file is JSON, but not of the form that Claude Code reads."""


# --- read --------------------------------------------------------------------------------------


def parse(text: str) -> Part:
    """Parse a settings file, and check the form of its hooks. Raises ValueError."""
    root = json_edit.parse(text)
    _expect(text, root, "object", "the settings")
    hooks = root.get("hooks")
    if hooks:
        _expect(text, hooks, "object", '"hooks"')
        for event in hooks.members:
            _expect(text, event, "array", f'"hooks"."{event.key}"')
    return root


def _expect(text: str, part: Part, kind: str, what: str) -> None:
    if part.kind != kind:
        article = "an" if kind[0] in "ao" else "a"
        where = json_edit.position(text, part.start)
        raise Unfit(f"{where}: {what} must be {article} {kind}, or Claude Code ignores the file")


def hooks_of(text: str, root: Part) -> Iterator[tuple[str, str, tuple[Part, ...]]]:
    """Each hook in the file: its event, its command with arguments, and the path to it."""
    for path in json_edit.walk(root):
        if len(path) == 6 and path[1].key == "hooks" and path[4].key == "hooks":
            given = json.loads(text[path[5].start : path[5].end])
            if isinstance(given, dict):
                words = given.get("args")
                words = words if isinstance(words, list) else []
                line = " ".join(map(str, [given.get("command", ""), *words]))
                yield path[2].key, line, path


def is_ours(line: str, bundles: Container[str] = ()) -> bool:
    """Whether a hook's command runs one of our scripts, as far as the command shows it.

    A start's plain `python3 -I -S` in a folder of any name could be anybody's. It is ours if other
    hooks of ours run in the same folder, one of `bundles`.
    """
    return bool(_OURS.search(line)) or _bundle(line) in bundles


def _bundle(line: str) -> str:
    """The folder of the script that a command runs the way we do, in the shell's words; or ""."""
    found = _BUNDLE.search(line)
    return found[1] if found else ""


def _bundles(text: str, root: Part) -> set[str]:
    found = {_bundle(line) for _, line, _ in hooks_of(text, root) if is_ours(line)}
    return found - {""}


def registered(text: str) -> dict[str, list[str]]:
    """Our commands in a settings file's text, by event. Raises ValueError."""
    if not text.strip():
        return {}
    found: dict[str, list[str]] = {}
    root = parse(text)
    bundles = _bundles(text, root)
    for event, line, _ in hooks_of(text, root):
        if is_ours(line, bundles):
            found.setdefault(event, []).append(line)
    return found


# --- change ------------------------------------------------------------------------------------


def without(text: str) -> str:
    """The text without our hooks, and without the lists that held nothing else.

    Raises ValueError.
    """
    bundles: set[str] = set()
    while text.strip():
        root = parse(text)
        bundles |= _bundles(text, root)
        ours = (path for _, line, path in hooks_of(text, root) if is_ours(line, bundles))
        path = next(ours, None)
        if not path:
            break
        for depth in (4, 2, 1, 0):  # the hook; else its group, its event, all hooks
            if len(path[depth].members) > 1 or depth == 0:
                text = json_edit.remove(text, path[depth], path[depth + 1])
                break
    return text


def with_hooks(text: str, commands: dict[str, str]) -> str:
    """Add our hooks to a text that has none of them. Raises ValueError."""
    groups = {
        event: {"hooks": [{"type": "command", "command": line, "timeout": SCRIPTS[event][1]}]}
        for event, line in commands.items()
    }
    if not text.strip():
        whole: dict[str, Any] = {"hooks": {event: [group] for event, group in groups.items()}}
        return json_edit.Style().write(whole, "") + "\n"
    root = parse(text)
    style = json_edit.style_of(text, root)
    for event, group in groups.items():
        hooks = parse(text).get("hooks")
        if hooks is None:
            whole = {event: [group] for event, group in groups.items()}
            return json_edit.append(text, root, whole, style, "hooks")
        there = hooks.get(event)
        if there:
            text = json_edit.append(text, there, group, style)
        else:
            text = json_edit.append(text, hooks, [group], style, event)
    return text
