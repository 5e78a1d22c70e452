"""The API for people and scripts: keys, checkpoints, and the live state of sessions.

    from state import save_state, load_state, checkpoint, restore_checkpoint

    save_state("plan", {"step": 2})       # True; a copy is in .claude/state/plan.json
    load_state("plan")                    # {'step': 2}
    name = checkpoint("before_refactor")
    restore_checkpoint(name)              # exactly as it was; undo with State(...).undo()

The functions never raise for what the disk does: they print one line to stderr, and return False or
the default. `State(directory)` raises instead, and has more methods; those for checkpoints are in
`checkpoints.py`. Importing touches no disk.
"""

from __future__ import annotations

import os
import sys

if not __package__:
    # Imported from its own folder, loaded by path, or run as a script: this file reaches the files
    # beside it through a package `workflow_state`, so a user's `session.py` stays the user's.
    _package = type(sys)("workflow_state")
    _package.__path__ = [os.path.dirname(os.path.realpath(__file__))]
    sys.modules.setdefault("workflow_state", _package)
    _given = __package__, __spec__
    __package__ = "workflow_state"
    __spec__ = type(sys.__spec__)("workflow_state.state", None)

from .checkpoints import FILES, PHASE, Checkpoints, files_records, masked_phase
from .errors import (
    BadName,
    BadValue,
    Busy,
    Damaged,
    NewerVersion,
    StateError,
    UnknownCheckpoint,
    UnknownSession,
    Untrusted,
)
from .format.file_table import listed
from .format.records import users_key
from .project import place
from .project.view import View
from .recording import journal
from .session import states
from .session.live import Sessions
from .stores import KEYS
from .stores.open import open_store

if __package__ == "workflow_state":
    __package__, __spec__ = _given  # reloading goes by these

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from .stores import Document, Store

    STATE_DIR: Path | str

__all__ = [
    "STATE_DIR",
    "BadName",
    "BadValue",
    "Busy",
    "Damaged",
    "NewerVersion",
    "State",
    "StateError",
    "UnknownCheckpoint",
    "UnknownSession",
    "Untrusted",
    "checkpoint",
    "load_state",
    "restore_checkpoint",
    "save_state",
]


def _no_pair_lost(pairs: list[tuple[str, Any]]) -> Document:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("two of its keys would become one")
    return members


def _exactly(value: Any) -> Any:
    """`value` as JSON gives it back: tuples as lists, keys as strings. Raises BadValue."""
    import json  # it checks more than ours; here, because no hook saves a key

    try:
        return json.loads(json.dumps(value, allow_nan=False), object_pairs_hook=_no_pair_lost)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadValue(f"JSON cannot hold the value ({error}); nothing was saved") from None


class State(Checkpoints):
    """The state of one project.

    directory  the state directory; found from the current directory when not given
    session    the session whose live state PHASE and FILES mean; by default the one that Claude
               Code names in CLAUDE_CODE_SESSION_ID. "" for none.
    store      where keys and checkpoints lie; by default the one that WORKFLOW_STATE_STORE names
    project    the project whose state a given directory is, where the caller has found it
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        session: str | None = None,
        store: Store | None = None,
        project: str | None = None,
    ) -> None:
        if directory is None:
            self.project, self.directory = journal.find_place()
        else:
            self.directory = os.path.abspath(os.fspath(directory))
            self.project = place.project_of(self.directory) if project is None else project
        place.check_directory(self.directory)
        if session is None:
            session = journal.environment("CLAUDE_CODE_SESSION_ID")
        self.session = session and place.session_of(session)
        self.store: Store = store or open_store(
            journal.environment("WORKFLOW_STATE_STORE"), self.directory
        )
        self.sessions = Sessions(self.directory, self.project, self.store)
        self.view = View(self.directory, self.project)

    # --- keys ---

    def save_state(self, key: str, value: Any) -> None:
        """Save a value that JSON can hold under a key; atomic and durable.

        In a known session PHASE and FILES go to its journal: PHASE is pinned, FILES replaces the
        list, and secrets are masked. Raises BadName, BadValue and StateError, and leaves the old
        value intact.
        """
        place.check_name(key, "key")
        value = _exactly(value)
        if self.session and key == PHASE and value is None:
            self._write({"event": "Phase", "phase": None, "pinned": False})
        elif self.session and key == PHASE:
            self.set_phase(value)
        elif self.session and key == FILES:
            self._write(*files_records(value))
        else:
            document = {"value": value, "timestamp": journal.now()}
            with self.store.lock():
                self.store.write(KEYS, key, self.store.sign(key, document))
                self.view.publish({key: document})

    def load_state(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` when there is none. Raises BadName and StateError."""
        place.check_name(key, "key")
        if self.session and key in (PHASE, FILES):
            live = self._known()
            value = live and (live[PHASE] if key == PHASE else listed(live[FILES].paths()))
        else:
            document = self.store.read(KEYS, key)
            document = self.view.edited(key, document) or document
            if document is not None:
                return listed(document["value"])
            value = None
        return default if value is None else value

    def delete_state(self, key: str) -> bool:
        """Remove a key; False when there was none. Raises BadName and StateError."""
        if self.session and key in (PHASE, FILES):
            raise StateError(
                f"{key} cannot be removed: session {self.session} recorded it; "
                "`workflow-state phase auto` undoes a phase that was set"
            )
        place.check_name(key, "key")
        with self.store.lock():
            there = self.store.delete(KEYS, key)
            self.view.publish({key: None})
        return there

    def keys(self) -> list[str]:
        """The names of the saved keys, sorted."""
        return self.store.names(KEYS)

    # --- sessions ---

    def session_state(self, session: str | None = None) -> Document:
        """The live state of a session: of this one, or else of the one active last.

        The keys are described in docs/format.md. Raises UnknownSession and StateError.
        """
        live = self.live(session)
        plain = states.plain(live)
        return {name: plain[name] for name in plain if name not in ("fold", "journal")}

    def set_phase(self, phase: str | None) -> None:
        """Pin the session's phase; None unpins it. Raises BadValue, UnknownSession."""
        if phase is None:
            self._write({"event": "Phase", "pinned": False})
            return
        if not isinstance(phase, str) or not 0 < len(phase) <= 64 or not phase.isprintable():
            raise BadValue(f"{phase!r:.80} is not a phase: use 1 to 64 printable characters")
        self._write({"event": "Phase", "phase": masked_phase(phase), "pinned": True})

    def unlink(self) -> None:
        """Drop what the session inherited from an earlier one. Raises UnknownSession."""
        self._write({"event": "Unlink"})

    def _write(self, *records: Document) -> None:
        if not self.session:
            raise UnknownSession(f"no session is known in {self.directory}: name one")
        users_key(make=True)
        reason = place.distrust(self.directory)
        if reason:  # the record would never be read back: it would look like another user's
            raise StateError(f"{reason}; nothing was saved")
        # The lock first finishes a restore that was killed, which would otherwise win over this.
        with self.store.lock():
            self.sessions.write(self.session, *records)


# --- the functions of the module ---------------------------------------------------------------

_found: Path | None = None


def __getattr__(name: str) -> Any:
    """STATE_DIR is found again at each access, until it is assigned."""
    global _found
    if name != "STATE_DIR":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pathlib import Path

    try:
        _found = Path(journal.find_place()[1])
    except (OSError, journal.Unusable):
        _found = Path(".claude/state")  # the current directory is gone; using it raises
    return _found


def _state() -> State:
    assigned = globals().get("STATE_DIR")
    if assigned is not None and assigned is _found:
        # A value of __getattr__ is not an assignment, even when a monkeypatch puts it back.
        del globals()["STATE_DIR"]
        assigned = None
    return State(assigned)


class _Reporting:
    """The state as a context manager; at its end the notices are printed to stderr."""

    def __enter__(self) -> State:
        self._state = _state()
        return self._state

    def __exit__(self, *_: object) -> None:
        for notice in self._state.sessions.notices:
            _report(notice)


def _report(error: object) -> None:
    if sys.stderr is not None:  # else print would take it to stdout
        try:
            print(f"workflow-state: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        except (OSError, ValueError):
            pass  # stderr is full or closed: the return value reports it too


def save_state(key: str, value: Any) -> bool:
    """Save a value under a key. False, and a line on stderr, when that fails.

    The old value stays, unless the line says that the new one is in place but not durable.
    """
    try:
        with _Reporting() as state:
            state.save_state(key, value)
    except (StateError, journal.Unusable, OSError) as error:
        _report(error)
        return False
    return True


def load_state(key: str, default: Any = None) -> Any:
    """The value of a key; `default` when there is none, or, with a line on stderr, on failure."""
    try:
        with _Reporting() as state:
            return state.load_state(key, default)
    except (StateError, journal.Unusable, OSError) as error:
        _report(error)
        return default


def checkpoint(name: str | None = None) -> str:
    """Keep all keys, and the session's state, under a name; returns it. Raises StateError.

    Without a name it gets the time, made unique. A bad name raises ValueError.
    """
    with _Reporting() as state:
        return state.checkpoint(name)


def restore_checkpoint(name: str) -> bool:
    """Set the keys to exactly what a checkpoint holds, after a safety checkpoint.

    False for an unknown name; False, and a line on stderr, when it fails.
    """
    try:
        with _Reporting() as state:
            state.restore_checkpoint(name)
    except UnknownCheckpoint:
        return False
    except (StateError, journal.Unusable, OSError) as error:
        _report(error)
        return False
    return True


def main() -> None:
    """The small example, in a throw-away directory."""
    global STATE_DIR
    import shutil
    import tempfile

    STATE_DIR = tempfile.mkdtemp(prefix="workflow-state-")
    os.environ.pop("CLAUDE_CODE_SESSION_ID", None)
    os.environ["WORKFLOW_STATE_KEY"] = "example"  # no key is made in the home directory
    try:
        save_state("current_phase", "building")
        save_state("files_processed", ["file1.py", "file2.py"])
        print(f"Current phase: {load_state('current_phase')}")
        print(f"Created checkpoint: {checkpoint('before_build')}")
    finally:
        shutil.rmtree(STATE_DIR)


if __name__ == "__main__":
    main()
