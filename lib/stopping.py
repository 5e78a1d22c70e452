"""What happens when Claude stops: note what git and the disk show, then checkpoint."""

from __future__ import annotations

from . import journal, replay, workspace, worktree
from .state import State, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


KINDS = ("created", "changed", "deleted")


def stop(event: journal.Event) -> None:
    """Stop, StopFailure and PreCompact checkpoint; SessionEnd, which gets 1.5 s, only marks."""
    journal.record(event)
    if event.name == "SessionEnd":
        return
    project = journal.find_project(event.cwd)
    state = State(journal.find_state(project), event.session)
    live = state.live()
    seen = _what_changed(state, project, live)
    prints = worktree.fingerprints(project, _with(live["files_processed"], seen))
    records = _records(seen, prints)
    if records:
        journal.write(state.directory, event.session, *records)
    state.checkpoint_session(event.name)
    if state.sessions.notices:  # the work is done, but this must be told
        raise StateError("; ".join(state.sessions.notices))


def _what_changed(state: State, project: str, live: dict[str, Any]) -> dict[str, Any]:
    """What git saw change in this turn, if a shell ran in it, less what others did."""
    if not live["fold"]["shell"]:
        return {}
    began = live["fold"]["since"] or live["started"]
    found = worktree.changed_since(project, replay.seconds(began), live["fold"]["head"])
    if found is None:
        return {}
    others = _changed_by_others(state, began)
    news: dict[str, Any] = {"head": found["head"], "since": began}
    for kind in KINDS:
        for path in found.get(kind, ()):
            known = live["files_processed"].get(path)
            told = known and (known["last"] >= began or known["outcome"] == kind == "deleted")
            if others is not None and path not in others and not told:
                outcome = "changed" if known and kind == "created" else kind
                news.setdefault(outcome, []).append(path)
    return news


def _changed_by_others(state: State, since: str) -> set[str] | None:
    """Paths that other sessions changed since a time.

    None when one of them ran a shell meanwhile: what that changed, git cannot tell from ours.
    """
    paths: set[str] = set()
    for changed, session in workspace.journals(state.directory):
        if changed < replay.seconds(since):
            break
        if session == state.session:
            continue
        records = state.sessions.records_since(session, since)
        if records is None or any("command" in record for record in records):
            return None
        for record in records:
            paths.update(state.sessions.rules.changed(record))
    return paths


def _with(files: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
    """The files processed once what was seen is among them."""
    return {
        **files,
        **{path: {"last": "~"} for kind in KINDS for path in seen.get(kind, ())},
    }


def _records(seen: dict[str, Any], prints: dict[str, str]) -> list[dict[str, Any]]:
    """The observations as records that each fit one."""
    changes = {kind: seen[kind] for kind in KINDS if kind in seen}
    records = []
    if seen:
        pieces = journal.in_pieces(changes)
        # With a turn's beginning as their call, a stop that two hooks tell of counts once.
        about = {"event": "Worktree", "head": seen["head"], "call": seen["since"]}
        records += [{**about, **piece} for piece in pieces]
    for piece in journal.in_pieces({"paths": list(prints)}, extra=60):
        if piece:
            marks = {path: prints[path] for path in piece["paths"]}
            records.append({"event": "Worktree", "fingerprints": marks})
    return records
