"""A session's state: a dict, described in docs/format.md, that JSON can hold once it is `plain`.

Pure: no clock, no disk, no environment.
"""

from __future__ import annotations

from ..format.file_table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    State = dict[str, Any]
    Record = dict[str, Any]

KEPT = 20
"""How many failures and interrupted calls a state keeps: the newest."""

NEWEST = 2000
"""How many of the files changed last a state remembers, with their fingerprints."""

TURN = {"shell": False, "idle": False, "checked": None, "since": None}
"""Under "fold", about the turn: whether a command ran that may have changed files unseen, whether
nothing happened since the last stop, when that stop was, and when the one before."""


def empty(session: str) -> State:
    """The state of a session without records."""
    return {
        "session_id": session,
        "started": None,
        "last_active": None,
        "ended": None,
        "process": None,
        "client": None,
        "continues": None,
        "continues_how": None,
        "current_phase": None,
        "phase_since": None,
        "phase_pinned": False,
        "files_processed": Table(),
        "files_read": Table(),
        "in_flight": [],
        "interrupted": [],
        "failures": [],
        "last_request": None,
        "last_request_at": None,
        "last_stop": None,
        "background_tasks": 0,
        "last_checkpoint": None,
        "last_checkpoint_at": None,
        "counts": {"requests": 0, "calls": 0, "failed": 0, "interrupted": 0, "no_result": 0},
        "fold": {
            "recent": {},
            "background": {},
            "newest": {},
            "head": None,
            "prompt": None,
            "request_phase": None,
            "applied": {"Restore": None, "Files": None},
            **TURN,
        },
    }


def complete(saved: State) -> State:
    """A checkpoint's state. What it lacks, or has of another type, gets its empty value."""
    state = _like(empty(str(saved.get("session_id", ""))), saved, ("fold", "counts"))
    if state["files_processed"] and not state["fold"]["newest"]:
        files = sorted(state["files_processed"].items(), key=lambda file: file[1].get("last") or "")
        marks = {path: about.get("fingerprint", "") for path, about in files[-NEWEST:]}
        state["fold"] = {**state["fold"], "newest": marks}
    return state


def plain(state: State) -> State:
    """A state that JSON can hold, with dicts for tables."""
    return {
        name: dict(value) if isinstance(value, Table) else value for name, value in state.items()
    }


def _like(model: State, given: State, inner: tuple[str, ...] = ()) -> State:
    """`given`, with the members of `model` that it lacks or has as another kind of container."""
    merged = {**model, **given}
    for name, default in model.items():
        if isinstance(default, Table) and isinstance(merged[name], dict):
            merged[name] = Table(merged[name])
        elif isinstance(default, (dict, list, Table)) and not isinstance(
            merged[name], type(default)
        ):
            merged[name] = default
        elif name in inner:
            merged[name] = _like(default, merged[name])
    return merged


def newest(state: State, most: int) -> list[str]:
    """The files changed last, the last one first."""
    return [*state["fold"]["newest"]][: -most - 1 : -1]


def inherit(base: State, session: str) -> State:
    """The state with which `session` begins when it continues from `base`.

    Phase, files, failures and the last request carry over. Calls in flight become interrupted.
    """
    state = empty(session)
    for name in ("current_phase", "phase_since", "phase_pinned", "last_request", "last_request_at"):
        state[name] = base[name]
    for name in ("last_stop", "last_checkpoint", "last_checkpoint_at"):
        state[name] = base[name]
    for name in ("files_processed", "files_read"):
        state[name] = base[name].copy()
    state["failures"] = list(base["failures"])
    state["interrupted"] = list(base["interrupted"])
    for call in base["in_flight"]:
        add_newest(state["interrupted"], {**call, "at": base["last_active"]})
    state["fold"]["head"] = base["fold"]["head"]
    state["fold"]["newest"] = dict(base["fold"]["newest"])
    return state


def copy_of(state: State) -> State:
    """A copy as deep as the fold changes a state in place."""
    copy = dict(state)
    for name in ("files_processed", "files_read", "counts"):
        copy[name] = copy[name].copy()
    for name in ("in_flight", "interrupted", "failures"):
        copy[name] = list(copy[name])
    copy["fold"] = dict(copy["fold"])
    for name in ("recent", "background", "newest"):
        copy["fold"][name] = dict(copy["fold"][name])
    return copy


def add_newest(newest_last: list[Record], entry: Record) -> None:
    """Append to a list of which the KEPT newest stay."""
    newest_last.append(entry)
    del newest_last[:-KEPT]
