"""`migrate`: copy keys and checkpoints to another store."""

from __future__ import annotations

from .answers import add
from .progress import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from .answers import Answer


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(
        commands,
        parents,
        "migrate",
        migrate,
        "copy keys and checkpoints to another store, and leave the one in use alone",
    )
    parser.add_argument(
        "--to",
        metavar="URL",
        required=True,
        help="json, sqlite, sqlite:///PATH, or redis://HOST (the user and the password from "
        "WORKFLOW_STATE_REDIS_USER and WORKFLOW_STATE_REDIS_PASSWORD)",
    )


def migrate(state: State, arguments: argparse.Namespace) -> Answer:
    """Copy, and say which setting to change."""
    from ..migration import migrate as move

    with Progress("migrate") as progress:
        found = move(state, arguments.to, progress.items)
    state.sessions.notices += found["left"]
    address, _, rest = arguments.to.rpartition("@")
    shown = f"{address.partition('://')[0]}://{rest}" if address else arguments.to
    lines = [
        f"{found['copied']} keys and checkpoints were copied, {found['there']} were there already; "
        "what is here is left as it is.",
        "From the next session on the new store is used once the settings have it under env:",
        f'  "env": {{"WORKFLOW_STATE_STORE": "{shown}"}}',
    ]
    return {**found, "setting": {"WORKFLOW_STATE_STORE": shown}}, lines
