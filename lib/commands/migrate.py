"""`migrate`: copy keys and checkpoints to another store, and use that from then on."""

from __future__ import annotations

import os

from ..install import settings_files
from ..install.environment import is_trusted, setting
from ..maintenance.migration import migrate as move
from ..recording.journal import environment
from ..session.lineage import running
from ..stores.open import holds_password, is_shared, kind, without_password
from ..terminal.progress import Progress
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from .arguments import Answer

_MORE = """\
Copies from the store in use, and does not change it. The new store gets the same keys and no
others. Documents that were saved later there stay. What is replaced or removed there is saved
first, in its checkpoint before-migrate-TIME. On a server that machines share, nothing is removed.
Documents that are there already are skipped: if a migration is interrupted, run it again.

Then it sets the new store in your settings of the project, for the next session, unless something
could not be copied. It writes no password there: give it in WORKFLOW_STATE_REDIS_PASSWORD.

With --from, it copies what is new in another store than the one in use. It removes nothing and does
not change the settings.
"""
_END = """\
examples:
  workflow-state migrate --to sqlite
  workflow-state migrate --to redis://cache.example.org --shared
  workflow-state migrate --from json --to sqlite
"""
_TOLD = 5
"""Names that are printed of many."""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(
        commands,
        parents,
        "migrate",
        migrate,
        "copy keys and checkpoints to another store, and use it from then on",
        _MORE,
        _END,
    )
    parser.add_argument(
        "--to", metavar="URL", required=True, help="json, sqlite, sqlite:///PATH, or redis://HOST"
    )
    parser.add_argument(
        "--from", dest="source", metavar="URL", help="copy what is new in this store (default: all)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--shared", action="store_true", help="set it in .claude/settings.json, for a team"
    )
    where.add_argument(
        "--copy-only", action="store_true", help="leave the settings and the store in use"
    )


def migrate(state: State, arguments: argparse.Namespace) -> Answer:
    """Copy, then choose: a migration that failed, or left something, chooses nothing."""
    if arguments.source and arguments.shared:
        arguments.refuse("--from does not change the settings, and --shared does: use one of them")
    new, old = arguments.to, environment("WORKFLOW_STATE_STORE") or kind("")
    variables = {"WORKFLOW_STATE_STORE": new}
    if is_shared(new) and os.environ.get("WORKFLOW_STATE_PROJECT"):
        variables["WORKFLOW_STATE_PROJECT"] = os.environ["WORKFLOW_STATE_PROJECT"]
    change = None
    chooses = not (arguments.copy_only or arguments.source)
    place = settings_files.places(state.project)["project" if arguments.shared else "local"]
    if chooses and not holds_password(new):
        change = setting(place, variables)  # fails before anything is copied
    with Progress("migrate") as progress:
        found = move(state, new, progress.items, arguments.source or "")
    state.sessions.notices += found["left"]
    lines = _messages(found)
    if found["left"]:
        change = None
        lines.append(
            "Something was left, which is told beside this, so the settings stay as they are: mend "
            f"it and run this again, or set WORKFLOW_STATE_STORE in {place} to go without it."
        )
    elif change:
        change.apply()
        lines.append(f"{change.path} chooses it, from the next session on.")
        if not is_trusted(state.project):
            lines.append(
                "In a terminal that counts once you have trusted the folder in Claude Code."
            )
    elif chooses:
        lines.append(
            "The settings were left: an address with a password is written to no file. Give it in "
            "WORKFLOW_STATE_STORE, or the password in WORKFLOW_STATE_REDIS_PASSWORD."
        )
    still = running(state.sessions) if chooses and not found["left"] else []
    if still:
        lines += [
            f"Running now, and in the old store until they end: {', '.join(still)}. For what they "
            "save meanwhile run then:",
            f"  workflow-state migrate --from {_shown(old)} --to {_shown(new)}",
        ]
    answer = {**found, "settings": change.path if change else None, "running": still}
    return answer, lines, 1 if found["left"] else 0


def _messages(found: dict[str, Any]) -> list[str]:
    lines = [
        f"{found['copied']} keys and checkpoints were copied, {found['there']} were there already; "
        "what is here is left as it is."
    ]
    if found["later"]:
        lines.append(f"Saved later there, and left so: {_named(found['later'])}.")
    for verb in ("replaced", "removed"):
        if found[verb]:
            lines.append(f"Keys {verb} there: {_named(found[verb])}.")
    if found["kept"]:
        kept = " and ".join(found["kept"])
        lines.append(f"As they were before, keys are in the checkpoint {kept} of the new store.")
    return lines


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more


def _shown(url: str) -> str:
    from shlex import quote

    return quote(without_password(url))
