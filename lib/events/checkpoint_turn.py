"""The end of a turn: record what git and the disk show, then checkpoint the session."""

from __future__ import annotations

from ..checkpoints import put_off
from ..format.records import NEVER, seconds
from ..project import git, place
from ..recording import journal
from ..recording.change_lists import in_pieces
from ..session import lineage
from ..session.states import NEWEST
from ..state import State, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..format.types import About, Live

FOLD_SECONDS = 4.0
"""How long a stop reads journals: a hook has 10 seconds, and git needs some."""

LEAVE_SECONDS = 0.8
"""How long the end of a session waits for a server; the client gives it 1.5 s."""

_OTHERS = "another session ran commands at the same time"


def close(event: journal.Event, project: str) -> list[str]:
    """Record what changed unseen, and checkpoint. Returns notices for the user.

    Raises StateError.
    """
    state = State(journal.find_state(project), event.session, project=project)
    state.sessions.limit(FOLD_SECONDS, keep=True)
    live = state.live()
    if live["journal"].get("unread"):
        return [*state.sessions.notices, put_off(live)]
    state.sessions.limit(NEVER, keep=False)  # what comes now is short
    seen = _what_changed(state, project, live)
    prints = git.fingerprints(project, _newest(live, seen))
    records = _records(seen, prints)
    if records:
        journal.write(state.directory, event.session, *records)
    state.checkpoint_session(event.name)
    state.store.exchange(0, take=False)
    return state.sessions.notices


def leave(event: journal.Event) -> list[str]:
    """Report a session's end to other machines, and send what is pending: a container may go.

    Returns notices for the user. Raises StateError.
    """
    project, directory = journal.find_place(event.cwd)
    state = State(directory, event.session, project=project)
    state.sessions.limit(LEAVE_SECONDS / 2, keep=True)
    state.checkpoint_session(event.name)
    try:
        state.store.exchange(LEAVE_SECONDS, take=False)
    except StateError:
        pass  # it stays pending
    return state.sessions.notices


def _what_changed(state: State, project: str, live: Live) -> dict[str, Any]:
    """What git found changed in this turn if a shell ran in it, without what others changed."""
    if not live["fold"]["shell"]:
        return {}
    began = live["fold"]["since"] or live["started"] or ""
    try:
        found = git.changed_since(project, seconds(began), _commands(state, began))
    except OSError as error:
        found = {"unseen": f"{error.filename or 'a journal'}: {error.strerror}"}
    news: dict[str, Any] = {"since": began}
    if "head" in found:
        news["head"] = found["head"]
    others: set[str] | None = set()
    if any(found.get(kind) for kind in git.KINDS):
        others = _changed_by_others(state, began)
    cause = found.get("unseen") or ("" if others is not None else _OTHERS)
    if cause and cause != live["fold"]["unseen"].get("cause"):
        news["unseen"] = cause
        if "head" not in found and cause != git.NO_REPOSITORY:
            state.sessions.notices.append(
                f"what the commands of this turn changed could not be seen: {cause}; "
                "`workflow-state doctor` looks further"
            )
    if others is None:
        return news
    for kind in git.KINDS:
        for path in found.get(kind, ()):
            known = live["files_processed"].get(path)
            message = known and (known["last"] >= began or known["outcome"] == kind == "deleted")
            if path in others or message:
                continue
            outcome = "changed" if known and kind == "created" else kind
            news.setdefault(outcome, []).append(path)
    return news


def _commands(state: State, since: str) -> str:
    records = state.sessions.calls_since(state.session, since) or []
    return "\n".join([str(record.get("command", "")) for record in records])


def _changed_by_others(state: State, since: str) -> set[str] | None:
    """Paths that other sessions changed since a time, or are about to.

    None when one of them ran a shell meanwhile, or runs one: git cannot separate what that changes
    from what this session changes.
    """
    paths: set[str] = set()
    rules = state.sessions.rules
    for changed, session in place.journals(state.directory)[: lineage.EXAMINED]:
        if session == state.session:
            continue
        calls: list[About] = []
        if changed >= seconds(since):
            try:
                known = state.sessions.calls_since(session, since)
            except OSError:
                return None
            if known is None:
                return None
            calls += known
        other = state.sessions.glimpse(session)
        if other and lineage.condition(other) == lineage.ALIVE:
            calls += other["in_flight"]
        if any("command" in call for call in calls):
            return None
        for call in calls:
            paths.update(rules.changed(call))
    return paths


def _newest(live: Live, seen: dict[str, Any]) -> dict[str, str]:
    """The files changed last, as they will be when the changes found are recorded."""
    files = dict(live["fold"]["newest"])
    for kind in git.KINDS:
        for path in seen.get(kind, ()):
            files.pop(path, None)
            files[path] = ""
    return dict([*files.items()][-NEWEST:])


def _records(seen: dict[str, Any], prints: dict[str, str]) -> list[dict[str, Any]]:
    """The observations as records that each fit one."""
    changes = {kind: seen[kind] for kind in git.KINDS if kind in seen}
    records = []
    if seen:
        pieces = in_pieces(changes)
        # With a turn's beginning as their call, a stop that two hooks tell of counts once.
        about = {"event": "Worktree", "call": seen["since"]}
        if "head" in seen:
            head = {"head": seen["head"]}
            records += [{**about, **head, **piece} for piece in pieces]
        if "unseen" in seen:
            records.append({**about, "unseen": seen["unseen"]})
    for piece in in_pieces({"paths": list(prints)}, extra=60):
        if piece:
            marks = {path: prints[path] for path in piece["paths"]}
            records.append({"event": "Worktree", "fingerprints": marks})
    return records
