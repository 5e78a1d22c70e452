"""Which session a session continues from, and which others are alive beside it."""

from __future__ import annotations

import os

from . import workspace
from .policy import CONTINUES
from .process import process_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .state import State

EXAMINED = 25
"""How many sessions are looked at, the newest first: a start must not grow with a project's age."""

CLEARED = "cleared"
STOPPED = "stopped"
ALIVE = "alive"
CRASHED = "crashed"


def is_alive(process: dict[str, Any] | None) -> bool:
    """Whether the client's process of a session still runs here.

    A process id alone proves nothing, ids are used again: where the kernel tells when the process
    started, that must fit as well.
    """
    if not process or process.get("host") != os.uname().nodename:
        return False
    try:
        os.kill(process["pid"], 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return False
    started = process.get("started")
    return not started or process_start(process["pid"]) == started


def condition(live: dict[str, Any]) -> str:
    """How a session stands: CLEARED, STOPPED, ALIVE or CRASHED."""
    if live["ended"]:
        return CLEARED if live["ended"]["reason"] == "clear" else STOPPED
    return ALIVE if is_alive(live["process"]) else CRASHED


def is_running(state: State, session: str) -> bool:
    """Whether a session's client still runs, and may append to its journal at any time."""
    live = state.sessions.glimpse(session)
    return bool(live and live["last_active"]) and condition(live or {}) == ALIVE


def _has_content(live: dict[str, Any]) -> bool:
    counts = live["counts"]
    return bool(
        live["continues"]
        or counts["calls"]
        or counts["requests"]
        or live["in_flight"]
        or live["current_phase"]
    )


def choose(state: State, source: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """What the session of `state` continues, by the source of its start; and the sessions alive.

    The first is written into the journal: {"session": stem, "offset": how many bytes of its
    journal counted, "source", "was": its condition}, with "checkpoint" instead of "offset" where
    only that is left and "assumed" where nothing proves it; None when there is nothing.
    """
    rule = CONTINUES.get(source, CONTINUES["startup"])
    if rule == CONTINUES["resume"]:
        own = state.sessions.live(state.session)
        if own and own["last_active"]:
            kept = {"offset": own["journal"]["offset"]} if own["journal"] else {"checkpoint": True}
            others = [other for other in _others(state) if other["was"] == ALIVE]
            return {"session": state.session, **kept, "source": source}, others
        rule = CONTINUES["startup"]
    candidates = _others(state)
    alive = [other for other in candidates if other["was"] == ALIVE]
    fitting = [other for other in candidates if _has_content(other)]
    if rule == CONTINUES["clear"]:
        fitting = [other for other in fitting if other["was"] == CLEARED]
        fitting.sort(key=lambda other: str(other["ended"]["at"]), reverse=True)
    elif rule == CONTINUES["startup"]:
        fitting = [other for other in fitting if other["was"] != ALIVE]
    for chosen in fitting:
        whole = state.sessions.live(chosen["session_id"])
        if whole:
            continues = {
                "session": chosen["session_id"],
                "offset": whole["journal"]["offset"],
                "source": source,
                "was": chosen["was"],
            }
            if source == "fork":
                continues["assumed"] = True
            return continues, [other for other in alive if other is not chosen]
    return None, alive


def _others(state: State) -> list[dict[str, Any]]:
    """Glimpses of the project's other sessions, active last first; their condition is "was"."""
    found = []
    for _, session in workspace.journals(state.directory)[:EXAMINED]:
        other = state.sessions.glimpse(session) if session != state.session else None
        if other and other["last_active"]:
            found.append({**other, "was": condition(other)})
    return sorted(found, key=lambda other: str(other["last_active"]), reverse=True)
