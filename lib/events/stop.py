"""What happens when Claude stops: the event is recorded, and the session checkpointed."""

from __future__ import annotations

from ..recording import journal
from . import nothing_new


def stop(event: journal.Event) -> str:
    """Stop, StopFailure and PreCompact checkpoint; SessionEnd, which gets 1.5 s, only marks.

    Returns what the user should be told though it was done, or "".
    """
    journal.record(event)
    if event.name == "SessionEnd":
        from ..stores.open import is_shared

        if not is_shared(journal.environment("WORKFLOW_STATE_STORE")):
            return ""
        from .checkpoint_turn import leave

        return "; ".join(leave(event))
    project = journal.find_project(event.cwd)
    if event.name == "Stop" and nothing_new.since_checkpoint(
        journal.find_state(project), event.session, project
    ):
        return ""
    from .checkpoint_turn import close  # what a stop that nothing preceded does not wait for

    return "; ".join(close(event, project))
