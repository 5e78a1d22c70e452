"""What is asked of all sessions at once: who touched a file, and what failed.

Whatever the store, the answer is exact up to the last record: sessions of this checkout are seen as
they stand now, those of others as their last checkpoints have them. In a database the row of one
file is found without reading the others.
"""

from __future__ import annotations

from ..format.records import seconds
from ..project import place
from .lineage import host, lives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .live import Sessions


def touched(sessions: Sessions, session: str, path: str) -> list[dict[str, Any]]:
    """The sessions that are about to change a file, or have changed or read it; latest first.

    session  this one, "" for none
    path     as sessions record it: relative to the project, absolute outside it

    A dict each: "session_id", "condition", "machine", "at", "outcome" ("in flight", "changed",
    "created", "deleted", "read" and so on), "tool", "agent". What a session only inherited from the
    one before it is the other's. Raises StoreError.
    """
    found = []
    for live in lives(sessions, session):
        row = _row(live, path)
        if row:
            about = {"session_id": live["session_id"], "condition": live["was"]}
            about["machine"] = host(live)
            found.append({**about, **row})
    return sorted(found, key=lambda about: str(about["at"]), reverse=True)


def _row(live: dict[str, Any], path: str) -> dict[str, Any] | None:
    began = live["started"] or ""
    for call in live["in_flight"]:
        if call.get("path") == path:
            about = {name: call.get(name) for name in ("tool", "agent")}
            return {"at": call["since"], "outcome": "in flight", **about}
    for name in ("files_processed", "files_read"):
        row = live[name].get(path)
        if row and row["last"] >= began:
            about = {name: row.get(name) for name in ("outcome", "tool", "agent")}
            return {"at": row["last"], **about}
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
            failed = [each for each in live["failures"] if each["at"] >= began]
        elif name in recent:
            failed = sessions.failures(name)
        else:
            continue
        for each in reversed(failed):
            if seconds(each["at"]) >= since:
                found.append(_failure(live, each, known.get((each.get("call"), each["at"]), {})))
    return sorted(found, key=lambda about: str(about["at"]), reverse=True)


def _failure(live: dict[str, Any], record: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    about = {"session_id": live["session_id"], "machine": host(live), "at": record["at"]}
    about["tool"] = record.get("tool")
    about.update({name: record[name] for name in ("path", "command") if name in record})
    about.update(error=record.get("error", ""), agent=record.get("agent"))
    return {**about, "resolved": known.get("resolved")}
