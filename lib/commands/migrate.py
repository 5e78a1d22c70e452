"""`migrate`: copy keys and checkpoints to another store, and use that from then on."""

from __future__ import annotations

import os

from .. import settings
from ..lineage import running
from ..migration import migrate as move
from ..variables import setting
from .answers import add
from .progress import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from .answers import Answer

_MORE = """\
The store in use is only read, and stays as it is. What is there already is passed over, so a
migration that was ended goes on where it was, and one that is repeated copies what is new.

Then your settings for the project choose the new store, from the next session on. A password is
never written there: give it in WORKFLOW_STATE_REDIS_PASSWORD.
"""
_END = """\
examples:
  workflow-state migrate --to sqlite
  workflow-state migrate --to redis://cache.example.org --shared
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(
        commands,
        parents,
        "migrate",
        migrate,
        "copy keys and checkpoints to another store, and use that one from then on",
        _MORE,
        _END,
    )
    parser.add_argument(
        "--to", metavar="URL", required=True, help="json, sqlite, sqlite:///PATH, or redis://HOST"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--shared", action="store_true", help="choose it in .claude/settings.json, for a team"
    )
    where.add_argument(
        "--copy-only", action="store_true", help="leave the settings and the store in use"
    )


def migrate(state: State, arguments: argparse.Namespace) -> Answer:
    """Copy, then choose: a migration that failed chooses nothing."""
    variables = {"WORKFLOW_STATE_STORE": arguments.to}
    if not arguments.to.startswith(("json", "sqlite")) and os.environ.get("WORKFLOW_STATE_PROJECT"):
        variables["WORKFLOW_STATE_PROJECT"] = os.environ["WORKFLOW_STATE_PROJECT"]
    change = None
    if not arguments.copy_only and not _holds_password(arguments.to):
        place = settings.places(state.project)["project" if arguments.shared else "local"]
        change = setting(place, variables)  # a file that cannot be changed is told of first
    with Progress("migrate") as progress:
        found = move(state, arguments.to, progress.items)
    state.sessions.notices += found["left"]
    lines = [
        f"{found['copied']} keys and checkpoints were copied, {found['there']} were there already; "
        "what is here is left as it is."
    ]
    if change:
        change.apply()
        lines.append(f"{change.path} chooses it, from the next session on.")
    elif not arguments.copy_only:
        lines.append(
            "The settings were left: an address with a password is written to no file. Give it in "
            "WORKFLOW_STATE_STORE, or the password in WORKFLOW_STATE_REDIS_PASSWORD."
        )
    still = [] if arguments.copy_only else running(state)
    if still:
        lines.append(
            f"Running now, and in the old store until they end: {', '.join(still)}. Run this "
            "again then, for what they save meanwhile."
        )
    return {**found, "settings": change.path if change else None, "running": still}, lines


def _holds_password(url: str) -> bool:
    user, _, _ = url.partition("://")[2].rpartition("@")
    return ":" in user or "password=" in url
