"""Removing old sessions, so that a state does not grow for ever. Named checkpoints stay."""

from __future__ import annotations

import os
import time

from ..disk import durable
from ..errors import Damaged, NewerVersion
from ..format.records import seconds
from ..project import place
from ..recording import journal
from ..session import partial
from ..session.lineage import is_running
from ..session.live import checkpoint_name
from ..state import State
from ..stores import CHECKPOINTS
from . import settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

DAYS = 30
NEWEST = 50
SECONDS = 0.5
"""How long a start may take for this; the next start does the rest."""


def tidy(state: State, now: float | None = None) -> list[str]:
    """Remove sessions older than DAYS, except the NEWEST, and what killed writers left.

    Returns the sessions removed. Raises StateError and OSError.
    """
    give_up = time.monotonic() + SECONDS
    removed = []
    for session in outdated(state, DAYS * 86400, NEWEST, now):
        if time.monotonic() > give_up:
            break
        if not is_running(state.sessions, session):
            forget(state, session)
            removed.append(session)
    for name in outdated_elsewhere(state, DAYS * 86400, NEWEST, now):
        if time.monotonic() > give_up:
            break
        state.delete_checkpoint(name)
    settle.forget_deleted(DAYS * 86400, give_up)
    clean_up(state)
    return removed


def outdated(state: State, older: float, newest: int, now: float | None = None) -> Iterator[str]:
    """Sessions unchanged for more than `older` seconds and beyond the `newest`, the oldest first.

    Never the session of `state`. Raises StateError.
    """
    moment = time.time() if now is None else now
    for changed, session in reversed(place.journals(state.directory)[newest:]):
        if moment - changed <= older:
            return
        if session != state.session:
            yield session


def outdated_elsewhere(
    state: State, older: float, newest: int, now: float | None = None
) -> Iterator[str]:
    """The checkpoints of other machines' outdated sessions, the oldest first.

    Each machine removes its own, but a container may never start again.
    """
    names = [name for name in state.store.elsewhere() if name.startswith(checkpoint_name(""))]
    latest = _made(state, names[0]) if len(names) > newest else 0.0
    # Their clocks count too: a machine whose clock is a month ahead must not remove new ones.
    moment = min(time.time() if now is None else now, latest)
    for name in reversed(names[newest:]):
        made = _made(state, name)
        if made and moment - made <= older:
            return
        if made:
            yield name


def _made(state: State, name: str) -> float:
    """When a checkpoint was made, in seconds since the epoch; 0.0 if it cannot be read."""
    try:
        about = state.store.read(CHECKPOINTS, name)
    except (Damaged, NewerVersion):
        return 0.0
    return seconds(about["created"]) if about is not None else 0.0


def forget(state: State, session: str) -> None:
    """Remove a session: its checkpoint, then its journal. Raises StateError and OSError."""
    state.delete_checkpoint(checkpoint_name(session))
    place.remove_journal(state.directory, session)
    partial.discard(state.directory, session)


def old_checkpoints(state: State, older: float, now: float | None = None) -> list[dict[str, Any]]:
    """Checkpoints older than `older` seconds that people or restores made, not a session's hooks.

    In the form of `State.checkpoints`. Raises StateError.
    """
    moment = time.time() if now is None else now
    own = {checkpoint_name(session) for _, session in place.journals(state.directory)}
    return [
        about
        for about in state.checkpoints()
        if about["name"] not in own and moment - seconds(about["created"]) > older
    ]


def clean_up(state: State) -> None:
    """Remove the old files that killed writers left. Raises StateError and OSError."""
    state.store.clean_up()
    _clean_up(lambda: journal.descend(journal.open_state(state.directory), "sessions"))
    _clean_up(lambda: os.open(os.path.dirname(journal.key_path()), journal.DIRECTORY))


def _clean_up(opened: Callable[[], int]) -> None:
    """Clean up a folder outside the store, if it is there."""
    try:
        folder = opened()
    except FileNotFoundError:
        return
    try:
        durable.clean_up(folder)
    finally:
        os.close(folder)
