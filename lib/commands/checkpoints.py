"""`checkpoint`, `checkpoints`, `restore`, `undo` and `diff`."""

from __future__ import annotations

import json

from ..terminal.output import table, when
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from .arguments import Answer


_CHECKPOINT = """\
A checkpoint is one file with every key and the state of the session. It never changes. The hooks
save one, session-ID, whenever Claude stops and before a compaction. Checkpoints that you name stay
until you delete them. If the name exists already, the new checkpoint replaces the old one.
"""
_CHECKPOINT_EXAMPLES = """\
examples:
  workflow-state checkpoint                       named by the time, and printed
  workflow-state checkpoint before-the-migration
"""
_RESTORE = """\
Sets keys, phase and list of files to exactly what the checkpoint holds, and removes newer keys. It
does not change your files: use git or /rewind. It saves the present state in a checkpoint first,
and `workflow-state undo` goes back to it. It refuses a checkpoint that another user or machine
wrote, until you adopt it with `workflow-state trust`.
"""
_UNDO = """\
Sets the state to what it was before the last `restore`, and saves the present state as a
checkpoint, too. Each further undo goes back one more restore, at most 20.
"""
_DIFF = """\
Prints one line for each difference in keys, files and phase: + added, - removed, ~ changed. With
one checkpoint, it compares with the present state.
"""
_DIFF_EXAMPLES = """\
examples:
  workflow-state diff before-the-migration
  workflow-state diff before-the-migration after-it --json
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    parser = add(
        commands,
        parents,
        "checkpoint",
        checkpoint,
        "save all keys and the session's state under a name",
        _CHECKPOINT,
        _CHECKPOINT_EXAMPLES,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="its name (default: the time)")
    add(commands, parents, "checkpoints", checkpoints, "list the checkpoints, newest first")
    parser = add(
        commands,
        parents,
        "restore",
        restore,
        "go back to exactly what a checkpoint holds; `undo` reverses it",
        _RESTORE,
    )
    parser.add_argument("name", metavar="CHECKPOINT", help="the checkpoint")
    add(commands, parents, "undo", undo, "take back the last restore", _UNDO)
    parser = add(
        commands,
        parents,
        "diff",
        diff,
        "show the difference between a checkpoint and another one, or now",
        _DIFF,
        _DIFF_EXAMPLES,
    )
    parser.add_argument("before", metavar="CHECKPOINT", help="a checkpoint")
    parser.add_argument("after", nargs="?", metavar="CHECKPOINT", help="another (default: now)")


def checkpoint(state: State, arguments: argparse.Namespace) -> Answer:
    """Make a checkpoint."""
    name = state.checkpoint(arguments.name)
    return {"name": name}, [f"Checkpoint {name}."]


def checkpoints(state: State, _arguments: argparse.Namespace) -> Answer:
    """All of them, with what they hold."""
    found = state.checkpoints()[::-1]
    if not found:
        return [], [
            f"No checkpoints yet in {state.directory}; the hooks make one whenever Claude stops."
        ]
    rows = [["NAME", "CREATED", "BY", "PHASE", "FILES", "KEYS"]]
    for about in found:
        files = str(about["files_processed"])
        keys = str(len(about["keys"]))
        phase = about["current_phase"] or "-"
        rows.append(
            [
                about["name"],
                when(about["created"], "minutes"),
                about["trigger"] or "-",
                phase,
                files,
                keys,
            ]
        )
    return found, table(rows)


def restore(state: State, arguments: argparse.Namespace) -> Answer:
    """Restore, and say how to take it back."""
    safety = state.restore_checkpoint(arguments.name)
    return {"restored": arguments.name, "safety": safety}, [
        f"Restored {arguments.name}. What was before is kept as {safety};",
        "`workflow-state undo` goes back to it.",
    ]


def undo(state: State, _arguments: argparse.Namespace) -> Answer:
    """Take back the last restore."""
    name = state.undo()
    return {"undone": name}, [f"Undone: the state is again what {name} had kept."]


def diff(state: State, arguments: argparse.Namespace) -> Answer:
    """Differences, a line each: + added, - removed, ~ changed."""
    found = state.diff(arguments.before, arguments.after)
    lines = []
    if found["current_phase"]:
        old, new = found["current_phase"]
        lines.append(f"~ phase  {old or 'none'} -> {new or 'none'}")
    keys = found["keys"]
    lines += [f"+ key    {key} = {json.dumps(keys['added'][key])}" for key in keys["added"]]
    lines += [f"- key    {key} = {json.dumps(keys['removed'][key])}" for key in keys["removed"]]
    for key, (old, new) in keys["changed"].items():
        lines.append(f"~ key    {key} = {json.dumps(old)} -> {json.dumps(new)}")
    lines += [f"+ file   {path}" for path in found["files_processed"]["added"]]
    lines += [f"- file   {path}" for path in found["files_processed"]["removed"]]
    return found, lines or [
        f"Nothing differs between {arguments.before} and {arguments.after or 'now'}."
    ]
