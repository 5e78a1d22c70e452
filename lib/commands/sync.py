"""`sync`: exchange with other machines now, where a server holds what they share."""

from __future__ import annotations

from ..terminal.output import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from ..terminal.output import Answer

SECONDS = 600.0
"""All that is pending is sent: a server that does not answer is given up far sooner."""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    add(commands, parents, "sync", sync, "exchange keys and checkpoints with other machines now")


def sync(state: State, _arguments: argparse.Namespace) -> Answer:
    """Give what is pending, take what is new."""
    state.store.exchange(SECONDS)
    others = len(state.store.elsewhere())
    return {"elsewhere": others}, [
        f"Nothing is pending; {others} checkpoints here are of other machines."
    ]
