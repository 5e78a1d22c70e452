"""Old sessions go, so that a project's state does not grow for ever; named checkpoints stay."""

from __future__ import annotations

import os
import time

from . import journal, litter, workspace
from .founding import TEMPORARY
from .sessions import checkpoint_name
from .state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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
    _sweep(TEMPORARY, lambda: journal.descend(journal.open_state(state.directory), "sessions"))
    _sweep("key.", lambda: os.open(os.path.dirname(journal.key_path()), journal.DIRECTORY))
    return removed


def _sweep(beginning: str, opened: Callable[[], int]) -> None:
    """Sweep a folder that is no shelf of the store, where there is one."""
    try:
        folder = opened()
    except FileNotFoundError:
        return
    try:
        litter.sweep(folder, beginning)
    finally:
        os.close(folder)
