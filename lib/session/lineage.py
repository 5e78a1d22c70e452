"""Which session a session continues from, and which others are alive beside it."""

from __future__ import annotations

import os

from ..project import place
from .rules import CONTINUES
from .states import newest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..format.types import Continues, Live, Other, Process, SessionState
    from .live import Sessions

EXAMINED = 25
"""How many sessions a start examines, the newest: its time must not grow with a project's age."""

ELSEWHERE = "elsewhere"
RECENT_FILES = 200
"""How many of a session's files to compare with those of others: the last that it changed."""

CLEARED = "cleared"
STOPPED = "stopped"
ALIVE = "alive"
CRASHED = "crashed"
AT_WORK = (ALIVE, ELSEWHERE)
"""The conditions of a session that runs, or may run: elsewhere only an end is visible."""


def is_alive(process: Process | None) -> bool:
    """Whether the client's process of a session still runs here.

    A process id alone proves nothing, because ids are used again. If the kernel reports when the
    process started, that must match too.
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
    if not started:
        return True
    from ..recording.client_process import process_start

    return bool(process_start(process["pid"]) == started)


def condition(live: SessionState) -> str:
    """The condition of a session: CLEARED, STOPPED, ALIVE or CRASHED."""
    if live["ended"]:
        return CLEARED if live["ended"]["reason"] == "clear" else STOPPED
    return ALIVE if is_alive(live["process"]) else CRASHED


def is_running(sessions: Sessions, session: str) -> bool:
    """Whether a session's client still runs, and may append to its journal at any time."""
    live = sessions.glimpse(session)
    return live is not None and bool(live["last_active"]) and condition(live) == ALIVE


def _has_content(live: SessionState) -> bool:
    counts = live["counts"]
    return bool(
        live["continues"]
        or counts["calls"]
        or counts["requests"]
        or live["in_flight"]
        or live["current_phase"]
    )


def choose(sessions: Sessions, session: str, source: str) -> tuple[Continues | None, list[Other]]:
    """What a session continues, by the source of its start; and the others that are AT_WORK.

    The first is written into the journal: {"session": stem, "offset": how many bytes of its
    journal counted, "source", "was": its condition}, with "checkpoint" instead of "offset" where
    only that is left and "assumed" where nothing proves it; None when there is nothing.
    """
    rule = CONTINUES.get(source, CONTINUES["startup"])
    if rule == CONTINUES["resume"]:
        own = sessions.live(session)
        if own and own["last_active"]:
            others = [other for other in _others(sessions, session) if other["was"] in AT_WORK]
            return {"session": session, **_reach(own), "source": source}, others
        rule = CONTINUES["startup"]
    candidates = _others(sessions, session)
    alive = [other for other in candidates if other["was"] in AT_WORK]
    fitting = [other for other in candidates if _has_content(other)]
    if rule == CONTINUES["clear"]:
        fitting = [other for other in fitting if other["was"] == CLEARED]
        fitting.sort(key=lambda other: other["ended"]["at"] if other["ended"] else "", reverse=True)
    elif rule == CONTINUES["startup"]:
        fitting = [other for other in fitting if other["was"] != ALIVE]
    # Who may still be at work elsewhere is somebody else, unless nobody worked here before.
    fitting.sort(key=lambda other: other["was"] == ELSEWHERE)
    for chosen in fitting:
        whole = sessions.live(chosen["session_id"])
        if whole:
            continues: Continues = {"session": chosen["session_id"], **_reach(whole)}
            continues["source"] = source
            continues["was"] = chosen["was"]
            if "machine" in chosen:
                continues["machine"] = chosen["machine"]
            if source == "fork":
                continues["assumed"] = True
            return continues, [other for other in alive if other is not chosen]
    return None, alive


def _reach(live: Live) -> Continues:
    """How far a session is continued: its journal, or the checkpoint where only that is left."""
    offset = live["journal"].get("offset")
    return {"checkpoint": True} if offset is None else {"offset": offset}


def _with(live: SessionState, facts: dict[str, str]) -> Other:
    other: Any = {**live, **facts}
    known: Other = other
    return known


def _others(sessions: Sessions, session: str) -> list[Other]:
    """Glimpses of the project's other sessions, active last first; their condition is "was"."""
    found = []
    for _, name in place.journals(sessions.directory)[:EXAMINED]:
        other = sessions.glimpse(name) if name != session else None
        if other and other["last_active"]:
            found.append(_with(other, {"was": condition(other)}))
    found += _elsewhere(sessions, session)
    return sorted(found, key=lambda other: str(other["last_active"]), reverse=True)


def running(sessions: Sessions) -> list[str]:
    """The sessions of this machine that are running, of those active last."""
    journals = place.journals(sessions.directory)[:EXAMINED]
    return [session for _, session in journals if is_running(sessions, session)]


def lives(sessions: Sessions, session: str = "", most: int | None = None) -> Iterator[Other]:
    """The project's sessions as they stand: those of this machine, then those of others.

    Each is a state as `Sessions.live` gives it, with its condition as "was" and, of another
    machine, with "machine". `session` is this one: it is not another machine's. At most `most` of
    each, the newest. Raises StoreError.
    """
    for _, name in place.journals(sessions.directory)[:most]:
        live = sessions.live(name)
        sessions.forget(name)  # all sessions together may not fit into the memory
        if live and live["last_active"]:
            yield _with(live, {"was": condition(live)})
    yield from _elsewhere(sessions, session, most)


def host(live: Other) -> str | None:
    """The machine that a session runs on, or ran."""
    return live.get("machine") or (live["process"] or {}).get("host")


def fleet(sessions: Sessions, session: str, everyone: bool) -> list[dict[str, Any]]:
    """The project's sessions, active last first: those alive here, or everyone.

    A dict each: "session_id", "condition", "machine", "current_phase", "files_processed" (how
    many), "last_active", "last_checkpoint", "last_checkpoint_at", and "shares": the others that
    are not known to have ended and that work on the same files, with these. Raises StoreError.
    """
    found, working = [], {}
    for live in lives(sessions, session, None if everyone else EXAMINED):
        if live["was"] in AT_WORK:
            working[live["session_id"]] = own_files(live)
        if everyone or live["was"] == ALIVE:
            about: dict[str, Any] = {"session_id": live["session_id"]}
            about["current_phase"] = live["current_phase"]
            about["last_active"] = live["last_active"]
            about.update(condition=live["was"], machine=host(live))
            about["files_processed"] = len(live["files_processed"])
            about["last_checkpoint"] = live["last_checkpoint"]
            about["last_checkpoint_at"] = live["last_checkpoint_at"]
            found.append(about)
    for about in found:
        name = about["session_id"]
        both = {other: working.get(name, set()) & theirs for other, theirs in working.items()}
        about["shares"] = {
            other: sorted(paths) for other, paths in both.items() if paths and other != name
        }
    return sorted(found, key=lambda about: str(about["last_active"]), reverse=True)


def own_files(live: SessionState) -> set[str]:
    """Files that a session is about to change, or has changed lately itself."""
    began = live["started"] or ""
    lately = newest(live, RECENT_FILES)
    files = live["files_processed"]
    changed = {path for path in lately if path in files and files[path]["last"] >= began}
    return changed | {call["path"] for call in live["in_flight"] if call.get("path")}


def _stands(other: SessionState) -> dict[str, str]:
    """The condition of another state directory's session, and its machine if that is not this."""
    machine = (other["process"] or {}).get("host")
    if machine == os.uname().nodename:  # another checkout on this machine
        return {"was": condition(other)}
    was = condition(other) if other["ended"] else ELSEWHERE
    return {"was": was, "machine": machine or "unknown"}


def _elsewhere(sessions: Sessions, session: str, most: int | None = EXAMINED) -> list[Other]:
    """The sessions of other machines as their last checkpoints have them.

    Nothing here shows whether one still runs there.
    """
    found, strange = [], 0
    names = [name for name in sessions.store.elsewhere() if name.startswith("session-")]
    for name in names[:most]:
        other = sessions.checkpointed(name)
        if other is None:
            strange += 1
        elif other["session_id"] != session:
            found.append(_with(other, _stands(other)))
    if strange:
        sessions.notices.append(
            f"{strange} checkpoints of other machines are signed with another key and were not "
            "told to Claude; give each machine the same WORKFLOW_STATE_KEY, or run "
            "`workflow-state trust`"
        )
    return found
