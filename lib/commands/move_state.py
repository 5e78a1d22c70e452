"""`move-state`: give this project the state that lies elsewhere."""

from __future__ import annotations

import os

from ..errors import StateError
from ..maintenance import settle
from ..recording import find_project, journal
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .arguments import Answer


_MORE = """\
DIR is a directory in which an earlier version of workflow-state kept a state (DIR/.claude/state),
perhaps for all projects below it; or the old path of a project that was moved to another disk. The
project that you are in gets that state. What it has already stays as it is.
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    text = "give this project the state of an earlier version, or of its old path"
    parser = add(commands, parents, "move-state", move_state, text, _MORE)
    parser.add_argument("old", metavar="DIR", help="the directory that the state is of")
    parser.set_defaults(stateless=True)


def move_state(_state: None, arguments: argparse.Namespace) -> Answer:
    """Move it, and say what came."""
    if journal.environment("WORKFLOW_STATE_DIR") or arguments.dir:
        raise StateError("move-state moves into your home: use it without a directory of your own")
    project = journal.find_project()
    entry = journal.project_entry(project)
    old = os.path.abspath(arguments.old)
    old = old.removesuffix(journal.VIEW)
    if find_project.earlier_state(old):
        from ..maintenance.move_home import move

        counts = move(old + journal.VIEW, entry, project)
        said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        return {"moved": counts, "to": entry}, [f"Moved {said} from {old} to {entry}."]
    moved = journal.project_entry(old)
    if os.path.lexists(old) or not os.path.isdir(moved):
        raise StateError(
            f"{old} has no state of an earlier version, and is no project that is gone; nothing "
            "was changed"
        )
    if os.path.isdir(entry):
        raise StateError(
            f"this project has a state of its own ({entry}); nothing was changed: use `export` and "
            "`import --merge`"
        )
    settle.rename(moved, entry, project)
    return {"moved": {}, "to": entry}, [f"Moved the state of {old} to {entry}."]
