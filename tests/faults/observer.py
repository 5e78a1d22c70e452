"""A process that looks at state directories with the real code: one request a line, one answer.

It stays, so that looking costs a millisecond and not an interpreter's start.
"""

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from lib.format.documents import verdict_on
from lib.format.records import Replay
from lib.project import place
from lib.state import State, StateError


def numbered(names):
    """Checkpoints with the time in their names, as before-restore-1, -2 ...; {name: new name}."""
    renamed = {}
    for prefix in ("before-restore-", "before-undo-"):
        stamped = sorted(name for name in names if name.startswith(prefix))
        renamed.update((name, f"{prefix}{count}") for count, name in enumerate(stamped, 1))
    return {name: renamed.get(name, name) for name in names}


def look(root, session):
    """Everything that a state holds, less what differs from run to run; errors are told."""
    directory = f"{root}/project/.claude/state"
    state = State(directory, session)
    seen = {"keys": {}, "checkpoints": {}, "sessions": {}, "live": {}, "errors": []}

    def attempt(what, action):
        try:
            return action()
        except (StateError, OSError, ValueError, KeyError, TypeError) as error:
            seen["errors"].append(f"{what}: {type(error).__name__}: {error}")
            return None

    for key in attempt("keys", State(directory, "").keys) or ():
        document = attempt(key, lambda: state.store.read("keys", key))
        if document is not None:
            whose = verdict_on(key, document)
            seen["keys"][key] = {"value": document["value"], "whose": whose}
    names = attempt("checkpoints", lambda: state.store.names("checkpoints")) or ()
    for name, shown in numbered(names).items():
        document = attempt(name, lambda: state.read_checkpoint(name))
        if document is not None:
            about = document.get("session") or {}
            seen["checkpoints"][shown] = {
                "keys": {key: kept["value"] for key, kept in document["keys"].items()},
                "phase": about.get("current_phase"),
                "files": sorted(about.get("files_processed", ())),
                "whose": verdict_on(name, document),
            }
    for _, stem in attempt("sessions", lambda: place.journals(directory)) or ():
        records = attempt(stem, lambda: read(directory, stem))
        if records is not None:
            seen["sessions"][stem] = records
        live = attempt(stem, lambda: state.sessions.live(stem))
        if live is not None:
            files = sorted(live["files_processed"])
            seen["live"][stem] = {"phase": live["current_phase"], "files": files}
    seen["errors"] += state.sessions.notices
    return seen


def read(directory, stem):
    """A journal's own records in order, and how many lines were passed over, by reason."""
    descriptor = place.open_journal(directory, stem)
    try:
        found = Replay(descriptor, stem)
        return {"records": list(found), "problems": found.problems}
    finally:
        os.close(descriptor)


def looked_at(request):
    """`look` in the home of the project, and without leaving a trace in it."""
    root = request["root"]
    home = f"{root}/home"
    os.environ.update({"HOME": home, "CLAUDE_PROJECT_DIR": f"{root}/project"})
    # Looking makes a key where there is none, which would spare the next run the making.
    fresh = not os.path.lexists(f"{home}/.local/state/workflow-state/key")
    before = set(walk(home)) if fresh else set()
    seen = look(root, request.get("session", ""))
    if fresh:
        for path in sorted(set(walk(home)) - before, reverse=True):
            (shutil.rmtree if os.path.isdir(path) else os.unlink)(path)
    return seen


def walk(top):
    """Every path below a directory, with those of directories before their contents'."""
    for parent, directories, files in os.walk(top):
        for name in (*directories, *files):
            yield os.path.join(parent, name)


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(looked_at(json.loads(line))) + "\n")
        sys.stdout.flush()
