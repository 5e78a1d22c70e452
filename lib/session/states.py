"""A session's state: a dict, described in docs/format.md, that JSON can hold once it is `plain`.

Pure: no clock, no disk, no environment.
"""

from __future__ import annotations

from ..format.file_table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..format.types import Call, CallLists, FileTables, Fold, Inherited, SessionState

KEPT = 20
"""How many failures and interrupted calls a state keeps: the newest."""

NEWEST = 2000
"""How many of the files changed last a state remembers, with their fingerprints."""

TURN: Fold = {"shell": False, "idle": False, "checked": None, "since": None}
"""Under "fold", about the turn: whether a command ran that may have changed files unseen, whether
nothing happened since the last stop, when that stop was, and when the one before."""


TABLES: tuple[FileTables, ...] = ("files_processed", "files_read")
LISTS: tuple[CallLists, ...] = ("in_flight", "interrupted", "failures")

_INHERITED: tuple[Inherited, ...] = (
    "current_phase",
    "phase_since",
    "last_request",
    "last_request_at",
    "last_stop",
    "last_checkpoint",
    "last_checkpoint_at",
)

_ONGOING = (
    "ended",
    "current_phase",
    "phase_since",
    "phase_pinned",
    "in_flight",
    "interrupted",
    "failures",
    "last_request",
    "last_request_at",
    "last_stop",
    "background_tasks",
)


def empty(session: str) -> SessionState:
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
            "unseen": {},
            "prompt": None,
            "request_phase": None,
            "applied": {"Restore": None, "Files": None},
            **TURN,
        },
    }


def complete(saved: Mapping[str, Any]) -> SessionState:
    """A checkpoint's state. What it lacks, or has of another type, gets its empty value."""
    state: SessionState = _like(empty(str(saved.get("session_id", ""))), saved, ("fold", "counts"))
    if state["files_processed"] and not state["fold"]["newest"]:
        files = sorted(state["files_processed"].items(), key=lambda file: file[1].get("last") or "")
        marks = {path: about.get("fingerprint", "") for path, about in files[-NEWEST:]}
        state["fold"] = {**state["fold"], "newest": marks}
    return state


def plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state, or some of its members, that JSON can hold: with dicts for tables."""
    return {
        name: dict(value) if isinstance(value, Table) else value for name, value in state.items()
    }


def _like(model: Mapping[str, Any], given: Mapping[str, Any], inner: tuple[str, ...] = ()) -> Any:
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


def newest(state: SessionState, most: int) -> list[str]:
    """The files changed last, the last one first."""
    return [*state["fold"]["newest"]][: -most - 1 : -1]


def inherit(base: SessionState, session: str) -> SessionState:
    """The state with which `session` begins when it continues from `base`.

    Phase, files, failures and the last request carry over. Calls in flight become interrupted.
    """
    state = empty(session)
    state["phase_pinned"] = base["phase_pinned"]
    for name in _INHERITED:
        state[name] = base[name]
    for table in TABLES:
        state[table] = base[table].copy()
    state["failures"] = list(base["failures"])
    state["interrupted"] = list(base["interrupted"])
    for call in base["in_flight"]:
        add_newest(state["interrupted"], {**call, "at": base["last_active"] or ""})
    state["fold"]["head"] = base["fold"]["head"]
    state["fold"]["newest"] = dict(base["fold"]["newest"])
    state["fold"]["unseen"] = base["fold"]["unseen"]
    return state


def beyond_a_gap(state: SessionState) -> SessionState:
    """What is still so behind records that were not read: what was done, not what was going on."""
    kept = empty(state["session_id"])
    for name in _ONGOING:
        state = {**state, name: kept[name]}  # type: ignore[misc]
    inner = state["fold"]
    state["fold"] = {**kept["fold"], "newest": dict(inner["newest"]), "head": inner["head"]}
    return state


def copy_of(state: SessionState) -> SessionState:
    """A copy as deep as the fold changes a state in place."""
    copy: SessionState = {**state}
    for table in TABLES:
        copy[table] = copy[table].copy()
    for calls in LISTS:
        copy[calls] = list(copy[calls])
    copy["counts"] = {**copy["counts"]}
    inner: Fold = {**copy["fold"]}
    inner["recent"] = dict(inner["recent"])
    inner["background"] = dict(inner["background"])
    inner["newest"] = dict(inner["newest"])
    copy["fold"] = inner
    return copy


def add_newest(newest_last: list[Call], entry: Call) -> None:
    """Append to a list of which the KEPT newest stay."""
    newest_last.append(entry)
    del newest_last[:-KEPT]
