"""The fold: records -> session state. Pure: no clock, no disk, no environment.

A session state is a dict, described in docs/format.md, that JSON can hold once it is `plain`.
`fold` may be given a journal whole or in any pieces; what it needs to go on is in the state, under
"fold".

The order of records is the order of the journal. Hooks of parallel calls append in any order, so
a call's end may come before its beginning, and a hook registered twice appends everything twice:
both are told by the call's id.
"""

from __future__ import annotations

from ..format.file_table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .rules import Rules

    State = dict[str, Any]
    Record = dict[str, Any]

RECENT = 512
"""How many ended calls are remembered by id. A duplicate comes from a second hook on the same
event, so within the time that a hook may take, not hundreds of calls later."""

KEPT = 20
"""How many failures and interrupted calls are kept: the newest."""

NEWEST = 2000
"""How many files are remembered as the last that were changed, with their fingerprints."""


_TURN = {"shell": False, "idle": False, "checked": None, "since": None}
"""Under "fold", about the turn: whether anything ran that may change files unseen, whether nothing
happened since the last stop, when that was, and when the one before."""


def empty(session: str) -> State:
    """The state of a session of which nothing is known."""
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
            **_TURN,
        },
    }


def complete(saved: State) -> State:
    """A state as a checkpoint has it, with what it lacks or has of another kind."""
    state = _like(empty(str(saved.get("session_id", ""))), saved, ("fold", "counts"))
    if state["files_processed"] and not state["fold"]["newest"]:
        files = sorted(state["files_processed"].items(), key=lambda file: file[1].get("last") or "")
        marks = {path: about.get("fingerprint", "") for path, about in files[-NEWEST:]}
        state["fold"] = {**state["fold"], "newest": marks}
    return state


def plain(state: State) -> State:
    """A state that JSON can hold: its tables as dicts."""
    return {
        name: dict(value) if isinstance(value, Table) else value for name, value in state.items()
    }


def _like(model: State, given: State, inner: tuple[str, ...] = ()) -> State:
    """`given` with what `model` has of other members, or of another kind of container."""
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
    """The files that were changed last, the last one first."""
    return [*state["fold"]["newest"]][: -most - 1 : -1]


def inherit(base: State, session: str) -> State:
    """The state with which `session` begins when it continues from `base`.

    Phase, files, failures and the last request carry over; what was in flight was interrupted.
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
        _add(state["interrupted"], {**call, "at": base["last_active"]})
    state["fold"]["head"] = base["fold"]["head"]
    state["fold"]["newest"] = dict(base["fold"]["newest"])
    return state


def fold(
    state: State,
    records: Iterable[Record],
    rules: Rules,
    base_of: Callable[[Record], State | None] = lambda continues: None,
) -> State:
    """The state after `records`. `state` itself is not changed.

    `base_of` gives the state that a session continues from, for the "continues" of its first
    record; None when it is not to be had any more.
    """
    state = _copy(state)
    for record in records:
        state = advance(state, record, rules, base_of)
    return state


def advance(
    state: State,
    record: Record,
    rules: Rules,
    base_of: Callable[[Record], State | None] = lambda continues: None,
) -> State:
    """One step of the fold: `state` itself, changed in place, or the one it inherits here."""
    event = record.get("event")
    if event == "SessionStart" and _begins(state, record):
        base = base_of(record["continues"])
        if base:
            state = inherit(base, state["session_id"])
    state["last_active"] = record["at"]
    state["started"] = state["started"] or record["at"]
    step = _STEPS.get(event) if isinstance(event, str) else None
    if step:
        step(state, record, rules)
    return state


def _begins(state: State, record: Record) -> bool:
    """Whether a session begins here and continues another: not when its start came twice."""
    fresh = (
        state["continues"] is None and not state["counts"]["calls"] + state["counts"]["requests"]
    )
    continues = record.get("continues")
    if not fresh or not continues:
        return False
    return bool(continues.get("checkpoint")) or continues["session"] != state["session_id"]


def _copy(state: State) -> State:
    """A copy as deep as what the fold changes in place."""
    copy = dict(state)
    for name in ("files_processed", "files_read", "counts"):
        copy[name] = copy[name].copy()
    for name in ("in_flight", "interrupted", "failures"):
        copy[name] = list(copy[name])
    copy["fold"] = dict(copy["fold"])
    for name in ("recent", "background", "newest"):
        copy["fold"][name] = dict(copy["fold"][name])
    return copy


def _add(newest_last: list[Record], entry: Record) -> None:
    newest_last.append(entry)
    del newest_last[:-KEPT]


# --- requests, turns and sessions --------------------------------------------------------------


def _start(state: State, record: Record, _rules: Rules) -> None:
    if record.get("source") != "compact":  # a compaction is in mid-turn: nothing ends with it
        _interrupt(state, record["at"], lambda call: True)
        state["fold"].update(
            _TURN, background={}, idle=True, checked=record["at"], since=record["at"]
        )
    state["ended"] = None
    state["client"] = record.get("client", state["client"])
    _see_process(state, record)
    continues = record.get("continues")
    if continues and (continues["session"] != state["session_id"] or continues.get("checkpoint")):
        state["continues"] = continues["session"]
        state["continues_how"] = continues


def _see_process(state: State, record: Record) -> None:
    if "pid" in record:
        state["process"] = {
            name: record[name] for name in ("pid", "host", "started") if name in record
        }


def _request(state: State, record: Record, rules: Rules) -> None:
    _see_process(state, record)
    state["ended"] = None
    inner = state["fold"]
    if inner["idle"] and not state["background_tasks"]:
        inner["checked"] = record["at"]  # what changed while Claude was idle, others changed
    inner["idle"] = False
    if record.get("notification"):
        inner["shell"] = True  # a background command ended, and may have changed files
        return
    if record.get("prompt") and record["prompt"] == inner["prompt"]:
        return
    inner["prompt"] = record.get("prompt")
    # Nothing tells that the user pressed Esc; but who can type a request is waiting for no call,
    # save those of subagents in the background.
    _interrupt(state, record["at"], lambda call: call.get("agent") not in inner["background"])
    state["counts"]["requests"] += 1
    state["last_request"] = record.get("text", "")
    state["last_request_at"] = record["at"]
    inner["request_phase"] = None
    _enter(state, rules.phase(record), record["at"], rules)


def _stop(state: State, record: Record, _rules: Rules) -> None:
    # A turn ends when all its calls have: those without a result were denied, or were refused
    # before they ran, of which no event tells.
    _checkpoint(state, record, _rules)
    background = state["fold"]["background"]
    waiting = [call for call in state["in_flight"] if call.get("agent") in background]
    state["counts"]["no_result"] += len(state["in_flight"]) - len(waiting)
    state["in_flight"] = waiting
    state["last_stop"] = record["at"]
    state["background_tasks"] = record.get("background_tasks", 0)
    if state["background_tasks"]:
        state["fold"]["shell"] = True  # what goes on in the background may change files


def _checkpoint(state: State, record: Record, _rules: Rules) -> None:
    inner = state["fold"]
    if not inner["idle"]:  # else the same stop, told by a second registration of the hook
        inner.update(idle=True, since=inner["checked"], checked=record["at"])


def _end(state: State, record: Record, _rules: Rules) -> None:
    _interrupt(state, record["at"], lambda call: True)
    state["ended"] = {"reason": record.get("reason", "other"), "at": record["at"]}


def _interrupt(state: State, at: str, which: Callable[[Record], bool]) -> None:
    still = []
    for call in state["in_flight"]:
        if which(call):
            _add(state["interrupted"], {**call, "at": at})
            state["counts"]["interrupted"] += 1
        else:
            still.append(call)
    state["in_flight"] = still


# --- calls -------------------------------------------------------------------------------------

_ABOUT = ("call", "tool", "path", "command", "description", "url", "agent", "agent_type")


def _about(record: Record) -> Record:
    return {name: record[name] for name in _ABOUT if name in record}


def _same_call(one: Record, other: Record) -> bool:
    """By id; events piped in by hand may have none, and match by tool and subject."""
    if "call" in one or "call" in other:
        return one.get("call") == other.get("call")
    return all(one.get(name) == other.get(name) for name in ("tool", "path", "command"))


def _begin(state: State, record: Record, _rules: Rules) -> None:
    state["fold"]["idle"] = False
    call = _about(record)
    if call.get("call") in state["fold"]["recent"]:
        return
    if "call" in call and any(_same_call(call, other) for other in state["in_flight"]):
        return
    state["in_flight"].append({**call, "since": record["at"]})


def _finish(state: State, record: Record, rules: Rules) -> None:
    state["fold"]["idle"] = False
    call = record.get("call")
    recent = state["fold"]["recent"]
    changed = rules.changed(record)
    if record.get("more"):  # the rest of a call's list of files, which did not fit its record
        _change(state, record, changed)
        return
    if call in recent:
        return
    if call is not None:
        recent[call] = 1
        if len(recent) > RECENT:
            del recent[next(iter(recent))]
    if not _take(state["in_flight"], record) and _take(state["interrupted"], record):
        # It was taken for interrupted, but its end came after all.
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
    _enter(state, rules.phase(record), record["at"], rules)


def _take(calls: list[Record], call: Record) -> bool:
    """Remove a call from a list of calls; whether it was there."""
    for index, other in enumerate(calls):
        if _same_call(other, call):
            del calls[index]
            return True
    return False


def _fail(state: State, record: Record) -> None:
    entry = {**_about(record), "error": record.get("error", ""), "at": record["at"]}
    if record.get("interrupted"):
        _add(state["interrupted"], entry)
        state["counts"]["interrupted"] += 1
        return
    state["counts"]["failed"] += 1
    _add(state["failures"], entry)


def _succeed(state: State, record: Record, changed: dict[str, str], rules: Rules) -> None:
    for index, failure in enumerate(state["failures"]):
        subject = [name for name in ("path", "command") if name in failure]
        same = all(failure.get(name) == record.get(name) for name in ("tool", *subject))
        if subject and same and "resolved" not in failure:
            state["failures"][index] = {**failure, "resolved": record["at"]}
    _change(state, record, changed)
    path = rules.read(record)
    if path:
        _touch(state, "files_read", path, record, "read")


def _change(state: State, record: Record, changed: dict[str, str]) -> None:
    for path, outcome in changed.items():
        if _touch(state, "files_processed", path, record, outcome):
            _remember(state, path, "")


def _remember(state: State, path: str, fingerprint: str) -> None:
    """Put a file last among the newest."""
    files = state["fold"]["newest"]
    files.pop(path, None)
    files[path] = fingerprint
    if len(files) > NEWEST:
        del files[next(iter(files))]


def _touch(state: State, name: str, path: str, record: Record, outcome: str) -> bool:
    """Note in a table of files what a call did to one; False when it was noted already."""
    files = state[name]
    before = files.get(path)
    call = record.get("call")
    # Told twice, unless by the session before this one, whose calls may have had the same ids.
    if before and call is not None and before.get("call") == call:
        if before["last"] >= state["started"]:
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


def _enter(state: State, phase: str | None, at: str, rules: Rules) -> None:
    """Go to a phase by inference: looking around never ends a phase that this request is in."""
    if phase is None:
        return
    inner = state["fold"]
    if phase == rules.phases[0] and inner["request_phase"] not in (None, phase):
        return
    inner["request_phase"] = phase
    if not state["phase_pinned"] and state["current_phase"] != phase:
        state["current_phase"] = phase
        state["phase_since"] = at


# --- what is set by hand, and what is seen at a checkpoint -------------------------------------


def _set_phase(state: State, record: Record, _rules: Rules) -> None:
    """`phase NAME` pins; `phase auto` (no phase) lets go: back to what this request means."""
    state["phase_pinned"] = bool(record.get("pinned"))
    inferred = state["fold"]["request_phase"] or state["current_phase"]
    phase = record.get("phase") if "phase" in record else inferred
    if phase != state["current_phase"]:
        state["current_phase"] = phase
        state["phase_since"] = record["at"]


def _set_files(state: State, record: Record, _rules: Rules) -> None:
    """The list as given, in parts: it takes effect with the last, so a torn one leaves the old."""
    inner = state["fold"]
    if record.get("set") == inner["applied"]["Files"]:
        return
    pending = inner.pop("pending", None)
    if record.get("part") != 1:
        if (
            not pending
            or pending["set"] != record.get("set")
            or pending["part"] != record["part"] - 1
        ):
            return
    paths = [
        *(pending["paths"] if pending and record["part"] != 1 else []),
        *record.get("paths", ()),
    ]
    if record["part"] < record["of"]:
        inner["pending"] = {"set": record.get("set"), "part": record["part"], "paths": paths}
        return
    inner["applied"] = {**inner["applied"], "Files": record.get("set")}
    known, newest = state["files_processed"], inner["newest"]
    as_given = {
        "first": record["at"],
        "last": record["at"],
        "tool": None,
        "count": 0,
        "agent": None,
        "call": None,
    }
    state["files_processed"] = Table(
        {path: known.get(path) or {**as_given, "outcome": "given"} for path in paths}
    )
    given = dict.fromkeys(paths, "")
    inner["newest"] = {path: mark for path, mark in newest.items() if path in given}
    for path in given:
        if path not in known:
            _remember(state, path, "")


def _see_worktree(state: State, record: Record, rules: Rules) -> None:
    """What git saw changed since the last checkpoint, and fingerprints of what was processed."""
    inner = state["fold"]
    if "head" in record:
        going_on = bool(state["background_tasks"])
        inner.update(head=record["head"], shell=going_on, checked=record["at"])
    _change(state, {**record, "tool": "Bash"}, rules.changed(record))
    for path, mark in record.get("fingerprints", {}).items():
        about = state["files_processed"].get(path)
        if about:
            state["files_processed"][path] = {**about, "fingerprint": mark}
            if path in inner["newest"]:
                inner["newest"][path] = mark


def _restore(state: State, record: Record, rules: Rules) -> None:
    """A restore's phase; once, however often a restore that was killed has been finished."""
    inner = state["fold"]
    if record.get("set") != inner["applied"]["Restore"]:
        inner["applied"] = {**inner["applied"], "Restore": record.get("set")}
        inner["request_phase"] = record.get("phase")
        _set_phase(state, record, rules)


def _unlink(state: State, _record: Record, _rules: Rules) -> None:
    """Undo of lineage: the session lets go of what it inherited and keeps what it did itself."""
    began = state["started"] or ""
    state["continues"] = state["continues_how"] = None
    if (state["phase_since"] or "") < began:
        # A phase that it entered itself while it was in it already is its own all the same.
        state["current_phase"] = state["fold"]["request_phase"]
        state["phase_since"] = began if state["current_phase"] else None
        state["phase_pinned"] = False
    if (state["last_request_at"] or "") < began:
        state["last_request"] = state["last_request_at"] = None
    for name in ("files_processed", "files_read"):
        own = {path: about for path, about in state[name].items() if about["last"] >= began}
        state[name] = Table(own)
    newest, files = state["fold"]["newest"], state["files_processed"]
    state["fold"]["newest"] = {path: mark for path, mark in newest.items() if path in files}
    for name in ("interrupted", "failures"):
        state[name] = [entry for entry in state[name] if entry["at"] >= began]


_STEPS: dict[str, Callable[[State, Record, Rules], None]] = {
    "SessionStart": _start,
    "UserPromptSubmit": _request,
    "PreToolUse": _begin,
    "PostToolUse": _finish,
    "PostToolUseFailure": _finish,
    "Stop": _stop,
    "StopFailure": _stop,
    "PreCompact": _checkpoint,
    "SessionEnd": _end,
    "Phase": _set_phase,
    "Files": _set_files,
    "Worktree": _see_worktree,
    "Restore": _restore,
    "Unlink": _unlink,
}
