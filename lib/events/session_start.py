"""The start of a session: link it to the session it continues, and report where that stood."""

from __future__ import annotations

import os
import time

from ..format.json_text import dumps
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

    from ..format.types import Continues, Live, Other, SessionState

EXCHANGE_SECONDS = 2.0
"""How long a start waits for other machines' checkpoints, where a server holds them."""


def start(event: journal.Event) -> str:
    """SessionStart: record, restore, and print one JSON object, or nothing.

    Returns "": notices for the user are in that object.
    """
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
    reason = place.distrust(state.directory)
    if reason:
        message = journal.record(event)
        notice = f"{reason}. Claude was told nothing of it"
        _print("", "; ".join(filter(None, [notice, message])))
        return ""
    state.sessions.without_store = True  # the journals are enough for a start
    source = str(event.fields.get("source") or "startup")
    try:
        state.store.exchange(EXCHANGE_SECONDS)
    except StateError as error:
        state.sessions.notices.append(str(error))  # what is here still counts
    continues, alive = lineage.choose(state.sessions, state.session, source)
    message = journal.record(event, **({"continues": continues} if continues else {}))
    if message:
        state.sessions.notices.append(message)
    live = state.live()
    drifted = git.drift(project, live["fold"]["newest"])
    context = Context(
        live, continues, _with_shares(state, live, alive), drifted, time.time(), command_line()
    )
    _print(context.render(_limit()), _notice(state, live, continues))
    try:
        retention.tidy(state)
    except (StateError, OSError):
        pass  # it will be tried again at the next start; the user waits for this one
    return ""


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
    notices = list(state.sessions.notices)
    foreign = problems.get("foreign", 0) + _foreign_sessions(state)
    if foreign:
        notices.append(
            f"{foreign} records in {state.directory} were not written by this user on this machine "
            "and were not told to Claude; `workflow-state trust` adopts them"
        )
    if problems.get("newer"):
        notices.append(
            f"{problems['newer']} records are of a later version of workflow-state; update it"
        )
    wrong = place.read_settings(state.project)[1]
    if wrong:
        notices.append(wrong)
    return "; ".join(notices)


def _foreign_sessions(state: State) -> int:
    """How many sessions hold nothing of ours at all: they came with a clone, say."""
    return sum(
        1
        for _, session in place.journals(state.directory)[: lineage.EXAMINED]
        if session != state.session
        and (state.sessions.glimpse(session) or {"last_active": 1})["last_active"] is None
    )


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
