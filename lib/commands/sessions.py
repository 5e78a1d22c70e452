"""`sessions`: who works on this project, here and, where a server is shared, elsewhere."""

from __future__ import annotations

from ..session.lineage import fleet
from ..terminal.output import table, when
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from .arguments import Answer


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(
        commands, parents, "sessions", sessions, "list the sessions, the one active last first"
    )
    parser.add_argument(
        "--all", action="store_true", help="also those that ended, and those of other machines"
    )


def sessions(state: State, arguments: argparse.Namespace) -> Answer:
    """A line a session: how it stands, its phase, its files, its last checkpoint, its machine."""
    found = fleet(state.sessions, state.session, arguments.all)
    if not found:
        more = "" if arguments.all else "; --all lists those that ended too"
        return [], [f"No session is alive in {state.directory}{more}."]
    rows = [["SESSION", "STANDS", "PHASE", "FILES", "CHECKPOINT", "ACTIVE", "MACHINE"]]
    for each in found:
        rows.append(
            [
                each["session_id"],
                each["condition"],
                each["current_phase"] or "-",
                str(each["files_processed"]),
                when(each["last_checkpoint_at"], "minutes"),
                when(each["last_active"], "minutes"),
                each["machine"] or "-",
            ]
        )
    lines = table(rows)
    for each in found:
        for other, paths in each["shares"].items():
            lines.append(f"{each['session_id']} and {other} both work on: {', '.join(paths)}")
    return found, lines
