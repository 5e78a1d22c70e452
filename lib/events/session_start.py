"""The start of a session: link it to the session it continues, and report where that stood."""

from __future__ import annotations

import errno
import os
import time

from ..errors import DamagedRows
from ..format.json_text import dumps
from ..format.records import DAMAGED, FOREIGN, NEWER, users_key
from ..install.interpreter import link_interpreter
from ..maintenance import retention, settle
from ..project import git, place
from ..recording import journal
from ..session import lineage
from ..session.states import NEWEST, newest
from ..state import State, StateError
from ..telling.context import LIMIT, Context
from ..telling.quoting import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..format.types import Continues, Live, Other, Record, SessionState

FOLD_SECONDS = 1.5
"""How long a start reads journals forwards: the user waits, and the next start or stop goes on."""

EXCHANGE_SECONDS = 2.0
"""How long a start waits for other machines' checkpoints, where a server holds them."""


def start(event: journal.Event) -> str:
    """SessionStart: record, restore, and print one JSON object, or nothing.

    Returns "": notices for the user are in that object, also that of a start that cannot be
    recorded.
    """
    state = None
    try:
        state = _opened(event)
        context, notice = _told(event, state)
    except (StateError, journal.Unusable, OSError) as error:
        context = ""
        cause = str(error)[:400]  # a path may be as long as the environment
        notice = f"this start told Claude nothing: {cause}; `workflow-state doctor` looks further"
    _print(context, notice)
    try:
        if state:
            retention.tidy(state)
    except (StateError, OSError):
        pass  # it will be tried again at the next start; the user waits for this one
    return ""


def _opened(event: journal.Event) -> State:
    try:
        link_interpreter()
    except OSError:
        pass  # the other hooks find their interpreter without it, if more slowly
    project = journal.find_project(event.cwd)
    try:
        offered = settle.settle(project)
    except (StateError, OSError) as error:
        offered = f"the state of an earlier version stays in {project}/.claude/state: {error}"
    state = State(journal.find_state(project), event.session, project=project)
    if offered:
        state.sessions.notices.append(offered)
    return state


def _told(event: journal.Event, state: State) -> tuple[str, str]:
    """What Claude is told, and what the user is, once this start has been recorded if it can be."""
    notices = state.sessions.notices
    reason = place.distrust(state.directory)
    if reason:
        notices.append(f"{reason}. Claude was told nothing of what is there")
        _record(event, state)
        return "", "; ".join(notices)
    state.sessions.limit(FOLD_SECONDS, keep=True)
    state.sessions.without_store = True  # the journals are enough for a start
    source = str(event.fields.get("source") or "startup")
    try:
        state.store.exchange(EXCHANGE_SECONDS)
    except StateError as error:
        notices.append(str(error))  # what is here still counts
    continues, alive = lineage.choose(state.sessions, state.session, source)
    unwritten = _record(event, state, **({"continues": continues} if continues else {}))
    try:
        return _render(state, continues, alive, unwritten)
    except DamagedRows as error:
        state.sessions.go_on_without(error)
        return _render(state, continues, alive, unwritten)


def _render(
    state: State, continues: Continues | None, alive: list[Other], unwritten: list[Record]
) -> tuple[str, str]:
    live = state.sessions.with_records(state.session, unwritten) if unwritten else state.live()
    drifted = git.drift(state.project, live["fold"]["newest"])
    context = Context(
        live, continues, _with_shares(state, live, alive), drifted, time.time(), command_line()
    )
    return context.render(_limit()), _notice(state, live, continues)


def _record(event: journal.Event, state: State, **facts: Any) -> list[Record]:
    """Record the event; the records where that fails, for this start to go by. Adds notices."""
    try:
        journal.record(event, **facts)
    except (OSError, journal.Unusable) as error:
        state.sessions.notices.append(_unrecorded(error, state))
        first, *rest = journal.facts_of(event, state.project)
        at = journal.now()
        unwritten: Any = [
            {"v": journal.VERSION, "at": at, **each} for each in ({**first, **facts}, *rest)
        ]
        records: list[Record] = unwritten
        return records
    return []


_REMEDIES = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "free space: your quota there is used up",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EROFS: "make that disk writable, or set WORKFLOW_STATE_DIR to a directory that is",
    errno.EACCES: "let this user write there, or set WORKFLOW_STATE_DIR to a directory of yours",
}
"""What to do about an error of the system. EPERM is taken for EACCES."""


def _unrecorded(error: OSError | journal.Unusable, state: State) -> str:
    where, reason, number = f"{state.directory}/sessions/{state.session}.jsonl", str(error), 0
    if isinstance(error, OSError):
        number, reason = error.errno or 0, error.strerror or str(error)
        if isinstance(error.filename, str) and error.filename[:1] == "/":
            where = error.filename
    remedy = _REMEDIES.get(errno.EACCES if number == errno.EPERM else number)
    return (
        f"this start could not be recorded ({where}: {reason}), and the hooks that follow will not "
        "be either. To mend it: " + (remedy or "`workflow-state doctor` looks for the cause")
    )


def _with_shares(state: State, live: Live, others: list[Other]) -> list[Other]:
    """Other sessions with the files that both change; on other machines only sessions with any."""
    ours = newest(live, NEWEST)
    for other in others:
        here = None if "machine" in other else state.sessions.live(other["session_id"])
        whole: SessionState = here or other
        theirs = lineage.own_files(whole)
        other["shares"] = [path for path in ours if path in theirs]
    return [other for other in others if "machine" not in other or other["shares"]]


def command_line() -> str:
    """How to run the command line from anywhere."""
    path = os.path.join(
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))),
        "bin/workflow-state",
    )
    return path if path.isprintable() and not set(path) & set(" \"'`$\\<>") else "workflow-state"


def _limit() -> int:
    given = journal.environment("WORKFLOW_STATE_CONTEXT")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 6 else LIMIT


def _notice(state: State, live: Live, continues: Continues | None) -> str:
    """Notices for the user and not for Claude: records of others, damage, bad settings."""
    problems = dict(live["journal"].get("problems", {}))
    if continues and continues["session"] != state.session:
        before = state.sessions.live(continues["session"])
        for kind, count in (before["journal"].get("problems", {}) if before else {}).items():
            problems[kind] = problems.get(kind, 0) + count
    sessions = _unreadable_sessions(state)
    notices = list(state.sessions.notices)
    foreign = _counted(problems, sessions, FOREIGN)
    if foreign and not users_key():
        notices.append(
            f"{foreign} in {state.directory} were not told to Claude, because no key of yours can "
            f"be used ({journal.key_path() or 'there is no home directory'}): let this user write "
            "there, or set WORKFLOW_STATE_KEY to a secret"
        )
    elif foreign:
        notices.append(
            f"{foreign} in {state.directory} were not written by this user on this machine, or "
            "with a key that is lost, and were not told to Claude; `workflow-state trust` adopts "
            "them, and a WORKFLOW_STATE_KEY that stays the same keeps them yours"
        )
    newer = _counted(problems, sessions, NEWER)
    if newer:
        notices.append(f"{newer} are of a later version of workflow-state; update it")
    damaged = _counted({}, sessions, DAMAGED)
    if damaged:
        notices.append(f"{damaged} in {state.directory} are damaged: nothing in them can be read")
    wrong = place.read_settings(state.project)[1]
    if wrong:
        notices.append(wrong)
    return "; ".join(notices)


def _counted(records: dict[str, int], sessions: dict[str, int], kind: str) -> str:
    """The numbers of a kind in words: "3 records and all records of 2 sessions"; "" for none."""
    said = [f"{records[kind]} records"] if records.get(kind) else []
    said += [f"all records of {sessions[kind]} other sessions"] if sessions.get(kind) else []
    return " and ".join(said)


def _unreadable_sessions(state: State) -> dict[str, int]:
    """How many other sessions hold no record that counts, by what they hold instead.

    They came with a clone, say. A journal that is empty, or whose only record was cut off, holds
    nothing of anybody's: its hook was killed.
    """
    found: dict[str, int] = {}
    for _, session in place.journals(state.directory)[: lineage.EXAMINED]:
        if session == state.session:
            continue
        problems = state.sessions.problems_of_unknown(session)
        for kind in (FOREIGN, NEWER, DAMAGED):
            if problems.get(kind):
                found[kind] = found.get(kind, 0) + 1
                break
    return found


def _print(context: str, notice: str) -> None:
    output: dict[str, Any] = {}
    if context:
        output["hookSpecificOutput"] = {
            "hookEventName": "SessionStart",
            "additionalContext": context,
        }
    if notice:
        output["systemMessage"] = f"workflow-state: {printable(notice)}"
    if output:
        data = dumps(output).encode() + b"\n"
        try:
            while data:
                written = os.write(1, data)
                if not written:
                    raise journal.Unusable("stdout was closed early; Claude got only a part")
                data = data[written:]
        except BrokenPipeError:
            pass  # the client has gone; what was recorded stands
