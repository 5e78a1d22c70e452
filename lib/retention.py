"""Old sessions go, so that a project's state does not grow for ever; named checkpoints stay."""

from __future__ import annotations

import time

from . import workspace
from .sessions import checkpoint_name
from .state import State

DAYS = 30
NEWEST = 50
SECONDS = 0.5
"""A start is waited for: what is not done in this time is left for the next."""


def tidy(state: State, now: float | None = None) -> list[str]:
    """Remove sessions older than DAYS and beyond the NEWEST, and litter of killed writers.

    Returns the sessions removed. Raises StateError and OSError.
    """
    give_up = time.monotonic() + SECONDS
    removed = []
    for changed, session in reversed(workspace.journals(state.directory)[NEWEST:]):
        old = (time.time() if now is None else now) - changed > DAYS * 86400
        if not old or time.monotonic() > give_up:
            break
        if session != state.session:
            state.delete_checkpoint(checkpoint_name(session))
            workspace.remove_journal(state.directory, session)
            removed.append(session)
    state.store.sweep()
    return removed
