"""The command line of each hook, for the shell that Claude Code runs it with.

No command can block a tool: the shell turns every failure into exit status 1. Python alone exits
with 2 when the script is missing, and Claude Code then blocks the tool.
"""

from __future__ import annotations

import shlex

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
"""The script of each event, and the seconds after which Claude Code ends it."""

LINKED = "${XDG_STATE_HOME:-$HOME/.local/state}/workflow-state/python3"
"""The link of interpreter.py, for the shell."""

IN_PROJECT = '"$CLAUDE_PROJECT_DIR"/.claude/workflow-state'
"""The copy of the bundle in a project that shares it, for the shell."""


def command(event: str, bundle: str, python: str) -> str:
    """The command line of an event's hook; `bundle` and `python` are words of the shell.

    If the interpreter no longer exists, the shell runs `python3` instead.
    """
    script = SCRIPTS[event][0]
    return f'p={python}; [ -x "/$p" ] || p=python3; "$p" -I -S {bundle}/hooks/{script} || exit 1'


def personal(bundle: str, python: str) -> dict[str, str]:
    """The commands for one machine: both paths as they are here."""
    quoted = shlex.quote(bundle), shlex.quote(python)
    return {event: command(event, *quoted) for event in SCRIPTS}


def shared() -> dict[str, str]:
    """The commands for a team: the project and Python may lie anywhere."""
    commands = {event: command(event, IN_PROJECT, LINKED) for event in SCRIPTS}
    script = SCRIPTS["SessionStart"][0]
    # A start always uses PATH: it repairs the link.
    commands["SessionStart"] = f"python3 -I -S {IN_PROJECT}/hooks/{script} || exit 1"
    return commands
