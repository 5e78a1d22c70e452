"""What a call does to a session's state: it runs, ends, fails, is interrupted, and changes files.

Hooks of parallel calls append in any order, so a call's end may come before its beginning. A hook
that is registered twice appends everything twice. The call's id shows both. But some gateways
number the calls of each answer anew, and a client may try again under the same id: the same id with
another tool or subject is another call, and so is one that begins after its end.
"""

from __future__ import annotations

from _blake2 import blake2b

from .states import NEWEST, add_newest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..format.types import About, Call, EndedCall, FileTables, Record, SessionState
    from .rules import Rules

RECENT = 512
"""How many ended calls a state remembers by id. A second hook on the same event sends a duplicate
within the time that a hook may take, not hundreds of calls later."""

_SUBJECT = ("tool", "path", "command", "url", "description")
_ABOUT = ("call", "tool", "path", "command", "description", "url", "agent", "agent_type")


def _about(record: Record) -> Call:
    facts: Any = record
    call: Any = {name: facts[name] for name in _ABOUT if name in record}
    about: Call = call
    return about


def _same_call(one: About, other: About) -> bool:
    """Whether two records are of one call: of the same id, or none, and about the same."""
    one_facts: Any = one
    other_facts: Any = other
    return all(one_facts.get(name) == other_facts.get(name) for name in ("call", *_SUBJECT))


def _subject(record: Record) -> str:
    facts: Any = record
    text = "\n".join([str(facts.get(name, "")) for name in _SUBJECT])
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def _ended(state: SessionState, record: Record) -> EndedCall | None:
    """The last call of a record's id that ended, if it was about the same."""
    known = state["fold"]["recent"].get(record.get("call", ""))
    if known is None or (isinstance(known, list) and known[0] != _subject(record)):
        return None
    # An earlier version noted nothing but the id: whatever has that id is the same call.
    return known if isinstance(known, list) else ["", True, "~", state["counts"]["requests"]]


def begin(state: SessionState, record: Record) -> None:
    """A call runs from now on, unless its end came first or a second hook reports it."""
    state["fold"]["idle"] = False
    ended = _ended(state, record)
    if ended:
        subject, begun, at, request = ended
        if not begun and request == state["counts"]["requests"]:
            state["fold"]["recent"][record["call"]] = [subject, True, at, request]
            return
        if record["at"] <= at:
            return
    call = _about(record)
    if "call" in call and any(_same_call(call, other) for other in state["in_flight"]):
        return
    state["in_flight"].append({**call, "since": record["at"]})


def finish(state: SessionState, record: Record, rules: Rules) -> bool:
    """A call has ended. False when that adds nothing but files to a call that has ended before."""
    state["fold"]["idle"] = False
    changed = rules.changed(record)
    ended = _ended(state, record)
    if record.get("more"):  # the rest of a call's list of files, which did not fit its record
        change(state, record, changed)
        return False
    begun = _end(state["in_flight"], record, ended is not None)
    if ended and not begun:
        if ended[3] == state["counts"]["requests"] or record["at"] <= ended[2]:
            return False
    if not begun and _take(state["interrupted"], record):
        # The call counted as interrupted, but its end came after all.
        begun = True
        state["counts"]["interrupted"] = max(0, state["counts"]["interrupted"] - 1)
    _remember_end(state, record, begun)
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


def _end(running: list[Call], record: Record, again: bool) -> bool:
    """Remove the call that a record ends from those that run; whether it was there.

    `again`: a call of the same id and subject has ended before. Then a record that is older than
    the beginning of the one that runs tells of that end once more.
    """
    for index, call in enumerate(running):
        if _same_call(call, record) and not (again and record["at"] < call["since"]):
            del running[index]
            return True
    if "call" in record:  # another hook may have changed what the call is about
        named = [
            index
            for index, call in enumerate(running)
            if call.get("call") == record["call"] and call.get("tool") == record.get("tool")
        ]
        if named and not again:
            del running[named[0]]
            return True
    return False


def _remember_end(state: SessionState, record: Record, begun: bool) -> None:
    call = record.get("call")
    if call is not None:
        recent = state["fold"]["recent"]
        recent.pop(call, None)
        recent[call] = [_subject(record), begun, record["at"], state["counts"]["requests"]]
        if len(recent) > RECENT:
            del recent[next(iter(recent))]


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
    for path, outcome in changed.items():
        _touch(state, "files_processed", path, record, outcome)
        remember(state, path, "")
    seen = rules.read(record)
    if seen:
        _touch(state, "files_read", seen, record, "read")


def change(state: SessionState, record: Record, changed: dict[str, str]) -> None:
    """A record tells of changed files, perhaps twice: path -> "created", "changed", "deleted"."""
    files = state["files_processed"]
    ended = state["fold"]["recent"].get(record.get("call", ""))
    # The session before, or a call before this one, may have had the same id.
    since = ended[2] if isinstance(ended, list) else state["started"] or ""
    for path, outcome in changed.items():
        before = files.get(path)
        call = record.get("call")
        if before and call is not None and before.get("call") == call and before["last"] >= since:
            continue
        _touch(state, "files_processed", path, record, outcome)
        remember(state, path, "")


def remember(state: SessionState, path: str, fingerprint: str) -> None:
    """Put a file last among the newest."""
    files = state["fold"]["newest"]
    files.pop(path, None)
    files[path] = fingerprint
    if len(files) > NEWEST:
        del files[next(iter(files))]


def _touch(state: SessionState, name: FileTables, path: str, record: Record, outcome: str) -> None:
    """Note in a table of files what a call did to one."""
    files = state[name]
    before = files.get(path)
    files[path] = {
        "first": before["first"] if before else record["at"],
        "last": record["at"],
        "tool": record.get("tool"),
        "count": before["count"] + 1 if before else 1,
        "agent": record.get("agent"),
        "call": record.get("call"),
        "outcome": outcome,
    }


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
