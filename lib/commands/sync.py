"""`sync`: exchange with other machines now, where a server holds what they share."""

from __future__ import annotations

from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from .arguments import Answer

SECONDS = 600.0
"""The time for all that is pending. A server that does not answer is given up far sooner."""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    add(commands, parents, "sync", sync, "exchange keys and checkpoints with other machines now")


def sync(state: State, _arguments: argparse.Namespace) -> Answer:
    """Send what is pending, pull what is new."""
    state.store.exchange(SECONDS)
    pending, others = state.store.pending(), len(state.store.elsewhere())
    what = f"{pending} document{'s are' if pending > 1 else ' is'}" if pending else "Nothing is"
    return {"pending": pending, "elsewhere": others}, [
        f"{what} pending; {others} checkpoints here are of other machines."
    ]
