"""What is registered with Claude Code: the commands of the hooks, in the text of a settings file.

Pure: text in, text out. A registration is added behind the hooks that are there, and found again by
what its command runs, however it was written: by hand, from settings.example.json, by an earlier
version. A hook that may be somebody else's is taken for theirs.
"""

from __future__ import annotations

import json
import re
import shlex

from . import json_edit
from .json_edit import Part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from typing import Any

SCRIPTS = {
    "SessionStart": ("session_start.py", 15),
    "UserPromptSubmit": ("user_prompt.py", 10),
    "PreToolUse": ("pre_tool.py", 10),
    "PostToolUse": ("post_tool.py", 10),
    "PostToolUseFailure": ("post_tool.py", 10),
    "PreCompact": ("stop.py", 15),
    "Stop": ("stop.py", 15),
    "StopFailure": ("stop.py", 15),
    "SessionEnd": ("stop.py", 15),
}
"""The script of each event, and the seconds after which the client ends it."""

LINKED = "${XDG_STATE_HOME:-$HOME/.local/state}/workflow-state/python3"
"""The link of interpreter.py, for the shell."""

IN_PROJECT = '"$CLAUDE_PROJECT_DIR"/.claude/workflow-state'
"""The bundle's place in a project that shares it, for the shell."""

_SCRIPT = "/hooks/(?:pre_tool|post_tool|session_start|stop|user_prompt)[.]py"
_OURS = re.compile(
    # In a folder of our name, or run by the words that only `command` puts before it.
    rf"(?<![\w-])workflow-state[\"'}}]*{_SCRIPT}"
    rf'|\[ -x "/\$p" \] \|\| p=python3; "\$p" -I -S .*{_SCRIPT}["\']? \|\| exit 1',
    re.DOTALL,
)
_BUNDLE = re.compile(rf"-I -S [\"']?(.*){_SCRIPT}[\"']? \|\| exit 1", re.DOTALL)


class Unfit(ValueError):
    """A settings file that holds something else than Claude Code would take there."""


def command(event: str, bundle: str, python: str) -> str:
    """The command line of an event's hook; `bundle` and `python` are words of the shell.

    Where the interpreter is not there (any more) it is `python3`. The shell turns every failure
    into 1: Python exits with 2 when the script is missing, and that would block the tool.
    """
    script = SCRIPTS[event][0]
    return f'p={python}; [ -x "/$p" ] || p=python3; "$p" -I -S {bundle}/hooks/{script} || exit 1'


def personal(bundle: str, python: str) -> dict[str, str]:
    """The commands for one machine: both paths as they are here."""
    quoted = shlex.quote(bundle), shlex.quote(python)
    return {event: command(event, *quoted) for event in SCRIPTS}


def shared() -> dict[str, str]:
    """The commands for everyone who has the project, wherever it lies and Python with it."""
    commands = {event: command(event, IN_PROJECT, LINKED) for event in SCRIPTS}
    script = SCRIPTS["SessionStart"][0]
    # By PATH always: a start is what mends the link.
    commands["SessionStart"] = f"python3 -I -S {IN_PROJECT}/hooks/{script} || exit 1"
    return commands


# --- a settings file ---------------------------------------------------------------------------


def parse(text: str) -> Part:
    """A settings file's text, checked as far as hooks go. Raises ValueError."""
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
    """Each hook that a file registers: its event, its command with arguments, and where it is."""
    for path in json_edit.walk(root):
        if len(path) == 6 and path[1].key == "hooks" and path[4].key == "hooks":
            given = json.loads(text[path[5].start : path[5].end])
            if isinstance(given, dict):
                words = given.get("args")
                words = words if isinstance(words, list) else []
                line = " ".join(map(str, [given.get("command", ""), *words]))
                yield path[2].key, line, path


def is_ours(line: str, bundles: Container[str] = ()) -> bool:
    """Whether a hook's command runs one of our scripts, as far as that shows.

    A start's plain `python3 -I -S` in a folder of any name could be anybody's: it is ours where
    other hooks of ours run in that folder, one of `bundles`.
    """
    return bool(_OURS.search(line)) or _bundle(line) in bundles


def _bundle(line: str) -> str:
    """The folder whose script a command runs as ours are run, in the shell's words; or ""."""
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


def without(text: str) -> str:
    """The text without our hooks, and without what held nothing else. Raises ValueError."""
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
    """The text, which has none of our hooks, with them. Raises ValueError."""
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
