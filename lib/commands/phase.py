"""`phase` and `unlink`: what a person knows better than the rules."""

from __future__ import annotations

from ..terminal.output import when
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from .arguments import Answer


_PHASE = """\
The phase (scout, plan, build, test, ship, or one of the project's own) is inferred from what Claude
does. A phase that you name is pinned until you run `workflow-state phase auto`.
"""
_PHASE_EXAMPLES = """\
examples:
  workflow-state phase
  workflow-state phase review
  workflow-state phase auto
"""
_UNLINK = """\
A new session, a fork, and a session after /clear continue an earlier session. If that is wrong,
this command drops what the session inherited. It keeps only what it recorded itself.
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    parser = add(
        commands,
        parents,
        "phase",
        phase,
        "print the phase, pin it, or let go of it",
        _PHASE,
        _PHASE_EXAMPLES,
    )
    parser.add_argument(
        "name", nargs="?", metavar="PHASE", help="the phase to pin, or `auto` to infer it again"
    )
    add(
        commands,
        parents,
        "unlink",
        unlink,
        "drop what the session inherited from the previous one",
        _UNLINK,
    )


def phase(state: State, arguments: argparse.Namespace) -> Answer:
    """The phase, after pinning it or letting go of it."""
    if arguments.name is not None:
        if not state.session:
            state.session = "manual"
        state.set_phase(None if arguments.name == "auto" else arguments.name)
    live = state.live()
    name = live["current_phase"]
    data = {
        "current_phase": name,
        "phase_since": live["phase_since"],
        "phase_pinned": live["phase_pinned"],
    }
    if name is None:
        return data, ["not known yet"]
    how = "pinned" if live["phase_pinned"] else "inferred"
    return data, [f"{name} ({how}, since {when(live['phase_since'])})"]


def unlink(state: State, _arguments: argparse.Namespace) -> Answer:
    """Undo of the session's lineage."""
    before = state.live()["continues"]
    state.unlink()
    return {"session_id": state.session, "unlinked": before}, [
        f"Session {state.session} stands for itself now."
    ]
