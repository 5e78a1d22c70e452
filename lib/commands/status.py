"""`status` and `show`: where the work stands."""

from __future__ import annotations

from ..session.describe import describe, shortened
from ..session.lineage import condition
from ..state import UnknownSession
from ..terminal.output import table, when
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..format.types import Call, FileRow, SessionState
    from ..state import State
    from .arguments import Answer


FOLD_SECONDS = 3.0
"""How long `status` reads a journal."""

_STATUS = """\
Shows the session and whether it runs; its phase, numbers of files and calls, running calls, the
last checkpoint and request. `show` lists each file.
"""
_STATUS_EXAMPLES = """\
examples:
  workflow-state
  workflow-state status --json | jq -r .current_phase
"""
_SHOW = """\
Shows the files that were changed and read, running and interrupted calls, failures, and the last
request: of the session, or of a checkpoint. docs/format.md describes the JSON of --json.
"""
_SHOW_EXAMPLES = """\
examples:
  workflow-state show
  workflow-state show before-the-migration
  workflow-state show --json | jq -r '.files_processed | keys[]'
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    add(
        commands,
        parents,
        "status",
        status,
        "show where the work stands on one screen (the default)",
        _STATUS,
        _STATUS_EXAMPLES,
    )
    parser = add(
        commands,
        parents,
        "show",
        show,
        "show everything about a session or a checkpoint",
        _SHOW,
        _SHOW_EXAMPLES,
    )
    parser.add_argument(
        "name", nargs="?", metavar="CHECKPOINT", help="a checkpoint instead of the session"
    )


def status(state: State, arguments: argparse.Namespace) -> Answer:
    """The session in a few lines."""
    state.sessions.limit(FOLD_SECONDS, keep=False)
    try:
        live = state.live()
    except UnknownSession:
        if arguments.session:
            raise
        return {"directory": state.directory, "session_id": None}, [
            f"Nothing is recorded yet in {state.directory}.",
            "Once the hooks are registered, they record from the next tool call on; see "
            "`workflow-state doctor`, and `workflow-state install`.",
        ]
    rows = [
        ["session", f"{live['session_id']} ({condition(live)})"],
        ["phase", _phase(live)],
        ["files", f"{len(live['files_processed'])} changed, {len(live['files_read'])} read"],
        ["calls", _calls(live)],
        ["checkpoint", _checkpoint(live)],
        ["request", _request(live, 60)],
    ]
    unread = live["journal"].get("unread", 0)
    if unread:
        rows[2][1] = f"at least {rows[2][1]}"
        rows.append(["not read", f"{unread} records: `workflow-state show` reads all of them"])
    for call in live["in_flight"]:
        rows.append(["in flight", f"{describe(call, 100)} since {when(call['since'])}"])
    data: dict[str, Any] = {"session_id": live["session_id"]}
    data.update(
        current_phase=live["current_phase"],
        phase_since=live["phase_since"],
        phase_pinned=live["phase_pinned"],
        directory=state.directory,
        condition=condition(live),
        files_processed=len(live["files_processed"]),
        files_read=len(live["files_read"]),
        counts=live["counts"],
        in_flight=live["in_flight"],
        last_checkpoint=live["last_checkpoint"],
        last_checkpoint_at=live["last_checkpoint_at"],
        last_request=live["last_request"],
        unread=unread,
    )
    return data, table(rows)


def show(state: State, arguments: argparse.Namespace) -> Answer:
    """The whole of a session's state, or of a checkpoint."""
    if arguments.name is None:
        shown: Any = state.session_state()
        return shown, _session_lines(shown)
    document = state.read_checkpoint(arguments.name)
    lines = table(
        [
            ["checkpoint", document["name"]],
            ["created", f"{when(document['created'])} ({document.get('trigger')})"],
            ["keys", ", ".join(document["keys"]) or "none"],
        ]
    )
    if document.get("session"):
        lines += ["", *_session_lines(document["session"])]
    return document, lines


def _session_lines(live: SessionState) -> list[str]:
    lines = table(
        [
            ["session", live["session_id"]],
            ["continues", live["continues"] or "no other session"],
            ["phase", _phase(live)],
            ["active", f"{when(live['started'])}; last {when(live['last_active'])}"],
            ["calls", _calls(live)],
            ["checkpoint", _checkpoint(live)],
            ["request", _request(live, 300)],
        ]
    )
    for title, files in (
        ("Files changed", live["files_processed"]),
        ("Files read", live["files_read"]),
    ):
        if files:
            lines += ["", f"{title} ({len(files)}), in order of the first time:"]
            lines += ["  " + line for line in table([_file(path, files[path]) for path in files])]
    lines += _list("In flight", [(call["since"], call) for call in live["in_flight"]])
    lines += _list("Interrupted", [(call["at"], call) for call in live["interrupted"]])
    lines += _list("Failed", [(call["at"], call) for call in live["failures"]])
    return lines


def _list(title: str, calls: list[tuple[str, Call]]) -> list[str]:
    lines = [f"  {at[11:19]}  {describe(call, 100)}{_outcome(call)}" for at, call in calls]
    return ["", f"{title}:", *lines] if lines else []


def _file(path: str, about: FileRow) -> list[str]:
    agent = f"by subagent {about['agent']}" if about["agent"] else ""
    return [
        about["outcome"],
        f"x{about['count']}",
        about["tool"] or "-",
        about["last"][11:19],
        path,
        agent,
    ]


def _outcome(call: Call) -> str:
    error = f": {_line(call['error'], 120)}" if call.get("error") else ""
    return error + (" (has succeeded since)" if "resolved" in call else "")


def _phase(live: SessionState) -> str:
    if not live["current_phase"]:
        return "not known yet"
    how = "pinned" if live["phase_pinned"] else "inferred"
    return f"{live['current_phase']} ({how}, since {when(live['phase_since'])})"


def _checkpoint(live: SessionState) -> str:
    name = live["last_checkpoint"]
    return f"{name} ({when(live['last_checkpoint_at'])})" if name else "none yet"


def _request(live: SessionState, limit: int) -> str:
    text = live["last_request"]
    return f'"{_line(text, limit)}" ({when(live["last_request_at"])})' if text else "none yet"


def _calls(live: SessionState) -> str:
    counts = live["counts"]
    parts = [f"{counts['calls']} ended"]
    for count, word in (
        (counts["failed"], "failed"),
        (counts["interrupted"], "interrupted"),
        (counts["no_result"], "denied or refused"),
    ):
        if count:
            parts.append(f"{count} {word}")
    return ", ".join(parts)


def _line(text: str, limit: int) -> str:
    return shortened(" ".join(text.split()), limit)
