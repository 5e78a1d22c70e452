"""Queries over all sessions: who touched a file, and what failed.

The result is exact up to the last record, in any store: sessions of this checkout count as they
stand now, others as their last checkpoints have them. A database finds the row of one file without
reading the others.
"""

from __future__ import annotations

from ..format.records import seconds
from ..project import place
from .lineage import host, lives
from .states import TABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..format.types import About, Call, Other
    from .live import Sessions


def touched(sessions: Sessions, session: str, path: str) -> list[dict[str, Any]]:
    """The sessions that are about to change a file, or have changed or read it; latest first.

    session  this one, "" for none
    path     as sessions record it: relative to the project, absolute outside it

    A dict each: "session_id", "condition", "machine", "at", "outcome" ("in flight", "changed",
    "created", "deleted", "read" and so on), "tool", "agent". What a session only inherited counts
    for the session before it. Raises StoreError.
    """
    found = []
    for live in lives(sessions, session):
        row = _row(live, path)
        if row:
            about = {"session_id": live["session_id"], "condition": live["was"]}
            found.append({**about, "machine": host(live), **row})
    return sorted(found, key=lambda about: str(about["at"]), reverse=True)


def _row(live: Other, path: str) -> dict[str, Any] | None:
    began = live["started"] or ""
    for call in live["in_flight"]:
        if call.get("path") == path:
            by = {"tool": call.get("tool"), "agent": call.get("agent")}
            return {"at": call["since"], "outcome": "in flight", **by}
    for table in TABLES:
        row = live[table].get(path)
        if row and row["last"] >= began:
            by = {"tool": row.get("tool"), "agent": row.get("agent")}
            return {"at": row["last"], "outcome": row.get("outcome"), **by}
    return None


def failures(sessions: Sessions, session: str, since: float) -> list[dict[str, Any]]:
    """What failed in any session since a time, the latest first.

    session  this one, "" for none
    since    seconds since the epoch

    A dict each: "session_id", "machine", "at", "tool" (None where the turn itself failed), "path"
    or "command" where it had one, "error", "agent", and "resolved": when the same succeeded later,
    as far as the session remembers, which it does of its newest. Raises StoreError.
    """
    found: list[dict[str, Any]] = []
    journals = place.journals(sessions.directory)
    recent = {name for changed, name in journals if changed >= since}
    for live in lives(sessions, session):
        name = live["session_id"]
        known = {(each.get("call"), each["at"]): each for each in live["failures"]}
        if not live.get("journal"):  # of another checkout, or another machine
            began = live["started"] or ""
            failed: Sequence[About] = [each for each in live["failures"] if each["at"] >= began]
        elif name in recent:
            failed = sessions.failures(name)
        else:
            continue
        for each in reversed(failed):
            if seconds(each["at"]) >= since:
                found.append(_failure(live, each, known.get((each.get("call"), each["at"]), {})))
    return sorted(found, key=lambda about: str(about["at"]), reverse=True)


def _failure(live: Other, record: About, known: Call) -> dict[str, Any]:
    about: dict[str, Any] = {"session_id": live["session_id"], "machine": host(live)}
    about.update(at=record["at"], tool=record.get("tool"))
    if "path" in record:
        about["path"] = record["path"]
    if "command" in record:
        about["command"] = record["command"]
    about.update(error=record.get("error", ""), agent=record.get("agent"))
    return {**about, "resolved": known.get("resolved")}
