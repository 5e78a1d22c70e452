"""What a call does to a session's state: it runs, ends, fails, is interrupted, and changes files.

Hooks of parallel calls append in any order, so a call's end may come before its beginning. A hook
that is registered twice appends everything twice. The call's id shows both.
"""

from __future__ import annotations

from .states import NEWEST, add_newest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..format.types import About, Call, FileTables, Record, SessionState
    from .rules import Rules

RECENT = 512
"""How many ended calls a state remembers by id. A second hook on the same event sends a duplicate
within the time that a hook may take, not hundreds of calls later."""

_ABOUT = ("call", "tool", "path", "command", "description", "url", "agent", "agent_type")


def _about(record: Record) -> Call:
    facts: Any = record
    call: Any = {name: facts[name] for name in _ABOUT if name in record}
    about: Call = call
    return about


def _same_call(one: About, other: About) -> bool:
    """Whether two records are of one call: by its id, or without ids by tool and subject."""
    if "call" in one or "call" in other:
        return one.get("call") == other.get("call")
    return all(one.get(name) == other.get(name) for name in ("tool", "path", "command"))


def begin(state: SessionState, record: Record) -> None:
    """A call runs from now on, unless its end came first or a second hook reports it."""
    state["fold"]["idle"] = False
    call = _about(record)
    if call.get("call") in state["fold"]["recent"]:
        return
    if "call" in call and any(_same_call(call, other) for other in state["in_flight"]):
        return
    state["in_flight"].append({**call, "since": record["at"]})


def finish(state: SessionState, record: Record, rules: Rules) -> bool:
    """A call has ended. False when that adds nothing but files to a call that has ended before."""
    state["fold"]["idle"] = False
    call = record.get("call")
    recent = state["fold"]["recent"]
    changed = rules.changed(record)
    if record.get("more"):  # the rest of a call's list of files, which did not fit its record
        change(state, record, changed)
        return False
    if call in recent:
        return False
    if call is not None:
        recent[call] = 1
        if len(recent) > RECENT:
            del recent[next(iter(recent))]
    if not _take(state["in_flight"], record) and _take(state["interrupted"], record):
        # The call counted as interrupted, but its end came after all.
        state["counts"]["interrupted"] = max(0, state["counts"]["interrupted"] - 1)
    state["counts"]["calls"] += 1
    if "command" in record or str(record.get("tool")).startswith("mcp__"):
        state["fold"]["shell"] = True
    if record.get("launched"):
        state["fold"]["background"][record["launched"]] = 1
    if record["event"] == "PostToolUseFailure" or record.get("error") or record.get("interrupted"):
        _fail(state, record)
    else:
        _succeed(state, record, changed, rules)
    return True


def _take(calls: list[Call], call: About) -> bool:
    """Remove a call from a list of calls; whether it was there."""
    for index, other in enumerate(calls):
        if _same_call(other, call):
            del calls[index]
            return True
    return False


def _fail(state: SessionState, record: Record) -> None:
    entry: Call = {**_about(record), "error": record.get("error", ""), "at": record["at"]}
    if record.get("interrupted"):
        add_newest(state["interrupted"], entry)
        state["counts"]["interrupted"] += 1
        return
    state["counts"]["failed"] += 1
    add_newest(state["failures"], entry)


def _succeed(state: SessionState, record: Record, changed: dict[str, str], rules: Rules) -> None:
    for index, failure in enumerate(state["failures"]):
        subject = [name for name in ("path", "command") if name in failure]
        same = all(failure.get(name) == record.get(name) for name in ("tool", *subject))
        if subject and same and "resolved" not in failure:
            state["failures"][index] = {**failure, "resolved": record["at"]}
    change(state, record, changed)
    path = rules.read(record)
    if path:
        _touch(state, "files_read", path, record, "read")


def change(state: SessionState, record: Record, changed: dict[str, str]) -> None:
    """A call changed files: path -> "created", "changed" or "deleted"."""
    for path, outcome in changed.items():
        if _touch(state, "files_processed", path, record, outcome):
            remember(state, path, "")


def remember(state: SessionState, path: str, fingerprint: str) -> None:
    """Put a file last among the newest."""
    files = state["fold"]["newest"]
    files.pop(path, None)
    files[path] = fingerprint
    if len(files) > NEWEST:
        del files[next(iter(files))]


def _touch(state: SessionState, name: FileTables, path: str, record: Record, outcome: str) -> bool:
    """Note in a table of files what a call did to one. False for what is in the table already."""
    files = state[name]
    before = files.get(path)
    call = record.get("call")
    # A second report, unless it is of the session before, whose calls may have had the same ids.
    if before and call is not None and before.get("call") == call:
        if before["last"] >= (state["started"] or ""):
            return False
    files[path] = {
        "first": before["first"] if before else record["at"],
        "last": record["at"],
        "tool": record.get("tool"),
        "count": before["count"] + 1 if before else 1,
        "agent": record.get("agent"),
        "call": call,
        "outcome": outcome,
    }
    return True


def interrupt(state: SessionState, at: str, which: Callable[[Call], bool]) -> None:
    """Count those of the calls in flight as interrupted that `which` names."""
    running = []
    for call in state["in_flight"]:
        if which(call):
            add_newest(state["interrupted"], {**call, "at": at})
            state["counts"]["interrupted"] += 1
        else:
            running.append(call)
    state["in_flight"] = running
