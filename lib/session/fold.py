"""The fold: records -> a session's state. Pure: no clock, no disk, no environment.

`fold` takes a journal whole or in any pieces, in the order of its lines. What it needs to go on is
in the state, under "fold". A new event gets a step here, in the table at the end; what a call does
is in calls.py.
"""

from __future__ import annotations

from ..format.file_table import Table
from . import calls
from .states import LISTS, TABLES, TURN, copy_of, inherit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..format.types import Continues, FileRow, Process, Record, SessionState
    from .rules import Rules


ADOPTED = "Adopted"
"""The event of a record behind others that were signed anew, and had not counted before."""


def fold(
    state: SessionState,
    records: Iterable[Record],
    rules: Rules,
    base_of: Callable[[Continues], SessionState | None] = lambda continues: None,
) -> SessionState:
    """The state after `records`. `state` itself is not changed.

    `base_of` takes the "continues" of a session's first record. It returns the state that the
    session continues from, or None when that state is gone.
    """
    state = copy_of(state)
    for record in records:
        state = advance(state, record, rules, base_of)
    return state


def advance(
    state: SessionState,
    record: Record,
    rules: Rules,
    base_of: Callable[[Continues], SessionState | None] = lambda continues: None,
) -> SessionState:
    """One step of the fold: `state` itself, changed in place, or the one it inherits here."""
    event = record.get("event")
    if event == ADOPTED:
        return state  # no activity of the session's
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


def _begins(state: SessionState, record: Record) -> bool:
    """Whether a session begins here and continues another: not when its start came twice."""
    fresh = (
        state["continues"] is None and not state["counts"]["calls"] + state["counts"]["requests"]
    )
    continues = record.get("continues")
    if not fresh or not continues:
        return False
    return bool(continues.get("checkpoint")) or continues["session"] != state["session_id"]


# --- requests, turns and sessions --------------------------------------------------------------


def _start(state: SessionState, record: Record, _rules: Rules) -> None:
    if record.get("source") != "compact":  # a compaction is in mid-turn: nothing ends with it
        calls.interrupt(state, record["at"], lambda call: True)
        at = record["at"]
        state["fold"].update({**TURN, "background": {}, "idle": True, "checked": at, "since": at})
    state["ended"] = None
    state["client"] = record.get("client", state["client"])
    _see_process(state, record)
    continues = record.get("continues")
    if continues and (continues["session"] != state["session_id"] or continues.get("checkpoint")):
        state["continues"] = continues["session"]
        state["continues_how"] = continues


def _see_process(state: SessionState, record: Record) -> None:
    if "pid" in record:
        process: Process = {"pid": record["pid"]}
        if "host" in record:
            process["host"] = record["host"]
        if "started" in record:
            process["started"] = record["started"]
        state["process"] = process


def _request(state: SessionState, record: Record, rules: Rules) -> None:
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
    # No event reports that the user pressed Esc. But a user who types a request waits for no call,
    # save those of subagents in the background.
    calls.interrupt(state, record["at"], lambda call: call.get("agent") not in inner["background"])
    state["counts"]["requests"] += 1
    state["last_request"] = record.get("text", "")
    state["last_request_at"] = record["at"]
    inner["request_phase"] = None
    _enter(state, rules.phase(record), record["at"], rules)


def _stop(state: SessionState, record: Record, _rules: Rules) -> None:
    # A turn ends when all its calls have ended. Those without a result were denied, or refused
    # before they ran: no event reports that.
    _checkpoint(state, record, _rules)
    background = state["fold"]["background"]
    waiting = [call for call in state["in_flight"] if call.get("agent") in background]
    state["counts"]["no_result"] += len(state["in_flight"]) - len(waiting)
    state["in_flight"] = waiting
    state["last_stop"] = record["at"]
    state["background_tasks"] = record.get("background_tasks", 0)
    if state["background_tasks"]:
        state["fold"]["shell"] = True  # what goes on in the background may change files


def _checkpoint(state: SessionState, record: Record, _rules: Rules) -> None:
    inner = state["fold"]
    if not inner["idle"]:  # else the same stop, from a second registration of the hook
        inner.update({"idle": True, "since": inner["checked"], "checked": record["at"]})


def _end(state: SessionState, record: Record, _rules: Rules) -> None:
    calls.interrupt(state, record["at"], lambda call: True)
    state["ended"] = {"reason": record.get("reason", "other"), "at": record["at"]}


# --- calls -------------------------------------------------------------------------------------


def _begin(state: SessionState, record: Record, _rules: Rules) -> None:
    calls.begin(state, record)


def _finish(state: SessionState, record: Record, rules: Rules) -> None:
    if calls.finish(state, record, rules):
        _enter(state, rules.phase(record), record["at"], rules)


# --- phases ------------------------------------------------------------------------------------


def _enter(state: SessionState, phase: str | None, at: str, rules: Rules) -> None:
    """Enter an inferred phase. Reading never ends the phase that this request is in."""
    if phase is None:
        return
    inner = state["fold"]
    if phase == rules.phases[0] and inner["request_phase"] not in (None, phase):
        return
    inner["request_phase"] = phase
    if not state["phase_pinned"] and state["current_phase"] != phase:
        state["current_phase"] = phase
        state["phase_since"] = at


def _set_phase(state: SessionState, record: Record, _rules: Rules) -> None:
    """`phase NAME` pins; `phase auto` (no phase) lets go: back to what this request means."""
    state["phase_pinned"] = bool(record.get("pinned"))
    inferred = state["fold"]["request_phase"] or state["current_phase"]
    phase = record.get("phase") if "phase" in record else inferred
    if phase != state["current_phase"]:
        state["current_phase"] = phase
        state["phase_since"] = record["at"]


# --- what people set, and what a checkpoint sees -----------------------------------------------


def _set_files(state: SessionState, record: Record, _rules: Rules) -> None:
    """The list of files as given. It comes in parts and takes effect with the last of them."""
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
    as_given: FileRow = {
        "first": record["at"],
        "last": record["at"],
        "tool": None,
        "count": 0,
        "agent": None,
        "call": None,
        "outcome": "given",
    }
    state["files_processed"] = Table({path: known.get(path) or {**as_given} for path in paths})
    given = dict.fromkeys(paths, "")
    inner["newest"] = {path: mark for path, mark in newest.items() if path in given}
    for path in given:
        if path not in known:
            calls.remember(state, path, "")


def _see_worktree(state: SessionState, record: Record, rules: Rules) -> None:
    """What git found changed since the last checkpoint, and fingerprints of changed files."""
    inner = state["fold"]
    if "head" in record:
        going_on = bool(state["background_tasks"])
        inner.update({"head": record["head"], "shell": going_on, "checked": record["at"]})
        if record.get("call", "") <= inner["unseen"].get("since", ""):
            inner["unseen"] = {}  # a later look saw what an earlier one could not
    if "unseen" in record:
        since = inner["unseen"].get("since") or record.get("call", "")
        inner["unseen"] = {"cause": record["unseen"], "since": since}
    calls.change(state, {**record, "tool": "Bash"}, rules.changed(record))
    for path, mark in record.get("fingerprints", {}).items():
        about = state["files_processed"].get(path)
        if about:
            state["files_processed"][path] = {**about, "fingerprint": mark}
            if path in inner["newest"]:
                inner["newest"][path] = mark


def _restore(state: SessionState, record: Record, rules: Rules) -> None:
    """A restore's phase. It counts once, however often a killed restore was finished."""
    inner = state["fold"]
    if record.get("set") != inner["applied"]["Restore"]:
        inner["applied"] = {**inner["applied"], "Restore": record.get("set")}
        inner["request_phase"] = record.get("phase")
        _set_phase(state, record, rules)


def _unlink(state: SessionState, _record: Record, _rules: Rules) -> None:
    """The session drops what it inherited, and keeps what it did itself."""
    began = state["started"] or ""
    state["continues"] = state["continues_how"] = None
    if (state["phase_since"] or "") < began:
        # The phase is its own if its own calls mean that phase too.
        state["current_phase"] = state["fold"]["request_phase"]
        state["phase_since"] = began if state["current_phase"] else None
        state["phase_pinned"] = False
    if (state["last_request_at"] or "") < began:
        state["last_request"] = state["last_request_at"] = None
    if state["fold"]["unseen"].get("since", began) < began:
        state["fold"]["unseen"] = {}
    for name in TABLES:
        own = {path: about for path, about in state[name].items() if about["last"] >= began}
        state[name] = Table(own)
    newest, files = state["fold"]["newest"], state["files_processed"]
    state["fold"]["newest"] = {path: mark for path, mark in newest.items() if path in files}
    for calls_of in LISTS[1:]:
        state[calls_of] = [call for call in state[calls_of] if call["at"] >= began]


_STEPS: dict[str, Callable[[SessionState, Record, Rules], None]] = {
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
