"""The API for people and scripts: keys, checkpoints, and the live state of sessions.

    from state import save_state, load_state, checkpoint, restore_checkpoint

    save_state("plan", {"step": 2})       # True; .claude/state/plan.json
    load_state("plan")                    # {'step': 2}
    name = checkpoint("before_refactor")
    restore_checkpoint(name)              # exactly as it was; undo with State(...).undo()

The functions never raise for what the disk does: they tell it in one line on stderr and give
False or the default. `State(directory)` is the same with exceptions, and has the further verbs.
Importing touches no disk.
"""

from __future__ import annotations

import json
import os
import sys
import time

if not __package__:
    # Imported from its own folder, loaded by path, or run as a script: the files beside it are
    # reached through a package of our own name, so that a user's `session.py` stays the user's.
    _package = type(sys)("workflow_state")
    _package.__path__ = [os.path.dirname(os.path.realpath(__file__))]
    sys.modules.setdefault("workflow_state", _package)
    __package__ = "workflow_state"

from . import journal, replay, workspace
from . import session as sessions
from .policy import Rules
from .stores import CHECKPOINTS, KEYS, Busy, Damaged, NewerVersion, StoreError, open_store
from .workspace import BadName

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
    "checkpoint",
    "load_state",
    "restore_checkpoint",
    "save_state",
]

StateError = StoreError
"""What every error of this module is; BadName and BadValue are ValueErrors as well."""

PHASE = "current_phase"
FILES = "files_processed"

GLIMPSE = 16384
"""Bytes of each end of a journal that a glimpse reads."""

SAFETY = "before-restore-"
UNDONE = "before-undo-"
SAFETY_KEPT = 20


class BadValue(StateError, ValueError):
    """A value that JSON cannot hold exactly, or that the key does not take."""


class UnknownCheckpoint(StateError, LookupError):
    """There is no checkpoint of that name."""


class UnknownSession(StateError, LookupError):
    """There is no session of that id, or none at all."""


def session_checkpoint(session: str) -> str:
    """The name of the checkpoint that the hooks keep for a session."""
    return "session-" + session.replace("~", ".")


def _stamp() -> str:
    seconds = time.time()
    return (
        time.strftime("%Y%m%d_%H%M%S", time.gmtime(seconds)) + f"_{int(seconds * 1000) % 1000:03d}"
    )


def _exactly(value: Any) -> Any:
    """`value` as JSON gives it back. Raises BadValue where that is not what was given."""
    try:
        text = json.dumps(value, allow_nan=False)
        text.encode("ascii")
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadValue(f"the value cannot be held by JSON ({error}); nothing was saved") from None


class State:
    """The state of one project.

    directory  the state directory; found from the current directory when not given
    session    the session whose live state PHASE and FILES mean; by default the one that Claude
               Code names in CLAUDE_CODE_SESSION_ID. "" for none.
    """

    def __init__(
        self, directory: str | os.PathLike[str] | None = None, session: str | None = None
    ) -> None:
        if directory is None:
            self.project = journal.find_project()
            self.directory = journal.find_state(self.project)
        else:
            self.directory = os.path.abspath(os.fspath(directory))
            self.project = workspace.project_of(self.directory)
        if session is None:
            session = journal.environment("CLAUDE_CODE_SESSION_ID")
        self.session = session if not session or "~" in session else journal.session_stem(session)
        self.store: Store = open_store(journal.environment("WORKFLOW_STATE_STORE"), self.directory)
        self._rules: Rules | None = None

    @property
    def rules(self) -> Rules:
        """The tables of policy.py with the project's own additions."""
        if self._rules is None:
            self._rules = Rules(workspace.read_settings(self.project)[0])
        return self._rules

    # --- keys ---

    def save_state(self, key: str, value: Any) -> None:
        """Save a value that JSON can hold under a key; atomic and durable.

        In a known session PHASE is pinned and FILES taken as given, in its journal. Raises
        BadName, BadValue and StateError; the old value is intact then.
        """
        workspace.check_name(key, "key")
        value = _exactly(value)
        if self.session and key == PHASE:
            self.set_phase(value)
        elif self.session and key == FILES:
            self._write(*_files_records(value))
        else:
            self.store.write(KEYS, key, _sealed(key, {"value": value, "timestamp": journal.now()}))

    def load_state(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` when there is none. Raises BadName and StateError."""
        workspace.check_name(key, "key")
        if self.session and key in (PHASE, FILES):
            live = self._live(self.session)
            value = live and _published(live)[key]
        else:
            document = self.store.read(KEYS, key)
            if document is not None:
                return document["value"]
            value = None
        return default if value is None else value

    def delete_state(self, key: str) -> bool:
        """Remove a key; False when there was none. Raises BadName and StateError."""
        return self.store.delete(KEYS, workspace.check_name(key, "key"))

    def keys(self) -> list[str]:
        """The names of the saved keys, sorted."""
        return self.store.names(KEYS)

    def _documents(self) -> dict[str, Document]:
        """All keys as they stand; in a known session with its live phase and files among them."""
        documents: dict[str, Document] = {}
        for key in self.store.names(KEYS):
            document = self.store.read(KEYS, key)
            if document is not None:
                documents[key] = document
        live = self._live(self.session) if self.session else None
        if live:
            for key, value in _published(live).items():
                documents.pop(key, None)
                if value is not None:
                    documents[key] = _sealed(
                        key, {"value": value, "timestamp": live["last_active"]}
                    )
        return documents

    # --- checkpoints ---

    def checkpoint(self, name: str | None = None, trigger: str = "manual") -> str:
        """Keep all keys and the session's state under a name, which is returned.

        Without a name it gets the time, made unique; an existing name is replaced, atomically.
        Raises BadName and StateError.
        """
        if name is not None:
            workspace.check_name(name, "checkpoint name")
        store = self.store
        with store.lock():
            if name is None:
                name = self._unused("")
            session = self.session or self.last_session()
            document = self._checkpoint_document(name, trigger, session, self._documents())
            store.write(CHECKPOINTS, name, document)
        return name

    def checkpoint_session(self, trigger: str) -> str:
        """What the hooks do when Claude stops: publish PHASE and FILES, checkpoint the session.

        The journal is synced first, so that nothing is durable that rests on what is not.
        """
        store = self.store
        name = session_checkpoint(self.session)
        with store.lock():
            live = self._live(self.session, sync=True)
            if live is None:
                raise UnknownSession(f"no journal of session {self.session} in {self.directory}")
            for key, value in _published(live).items():
                document = store.read(KEYS, key) or {}
                if value is not None and document.get("value") != value:
                    document = _sealed(key, {"value": value, "timestamp": journal.now()})
                    store.write(KEYS, key, document)
            document = self._checkpoint_document(name, trigger, self.session, self._documents())
            store.write(CHECKPOINTS, name, document)
        return name

    def _checkpoint_document(
        self, name: str, trigger: str, session: str, documents: dict[str, Document]
    ) -> Document:
        created = journal.now()
        live = self._live(session) if session else None
        document: Document = {
            "v": journal.VERSION,
            "name": name,
            "created": created,
            "trigger": trigger,
        }
        document["keys"] = documents
        document["session"] = live and {
            **live,
            "last_checkpoint": name,
            "last_checkpoint_at": created,
        }
        if live:
            document["session"].pop("journal")
            document["journal"] = {"session": session, **live["journal"]}
        return _sealed(name, document)

    def _unused(self, prefix: str) -> str:
        taken = set(self.store.names(CHECKPOINTS))
        name = base = prefix + _stamp()
        count = 1
        while name in taken:
            count += 1
            name = f"{base}-{count}"
        return name

    def checkpoints(self) -> list[Document]:
        """Every checkpoint's name, created, trigger, phase and number of files, oldest first."""
        found = []
        for name in self.store.names(CHECKPOINTS):
            document = self.store.read(CHECKPOINTS, name)
            if document is not None:
                session = document.get("session") or {}
                found.append(
                    {
                        "name": name,
                        "created": document["created"],
                        "trigger": document.get("trigger"),
                        "session_id": session.get("session_id"),
                        "current_phase": session.get("current_phase"),
                        "files_processed": len(session.get("files_processed", ())),
                        "keys": sorted(document["keys"]),
                    }
                )
        return sorted(found, key=lambda about: (about["created"], about["name"]))

    def read_checkpoint(self, name: str) -> Document:
        """A checkpoint, whole. Raises BadName, UnknownCheckpoint and StateError."""
        document = self.store.read(CHECKPOINTS, workspace.check_name(name, "checkpoint name"))
        if document is None:
            raise UnknownCheckpoint(f"there is no checkpoint {name} in {self.directory}")
        return document

    def delete_checkpoint(self, name: str) -> bool:
        """Remove a checkpoint; False when there was none. Raises BadName and StateError."""
        return self.store.delete(CHECKPOINTS, workspace.check_name(name, "checkpoint name"))

    def diff(self, before: str, after: str | None = None) -> Document:
        """What differs between a checkpoint and another, or now.

        A dict: "keys" with "added", "removed" and "changed" ({key: [old, new]}), "current_phase"
        ([old, new], or None when equal), "files_processed" with "added" and "removed".
        """
        old = self.read_checkpoint(before)
        if after is None:
            session = self.session or self.last_session()
            live = self._live(session) if session else None
            new: Document = {"keys": self._documents(), "session": live}
        else:
            new = self.read_checkpoint(after)
        one, two = (
            {key: kept["value"] for key, kept in each["keys"].items()} for each in (old, new)
        )
        was, now = (each.get("session") or sessions.empty("") for each in (old, new))
        return {
            "from": before,
            "to": after,
            "keys": {
                "added": {key: two[key] for key in two if key not in one},
                "removed": {key: one[key] for key in one if key not in two},
                "changed": {
                    key: [one[key], two[key]] for key in one if key in two and one[key] != two[key]
                },
            },
            PHASE: None if was[PHASE] == now[PHASE] else [was[PHASE], now[PHASE]],
            FILES: {
                "added": [path for path in now[FILES] if path not in was[FILES]],
                "removed": [path for path in was[FILES] if path not in now[FILES]],
            },
        }

    def sweep(self) -> None:
        """Remove what killed writers left behind. Raises StateError."""
        self.store.sweep()

    # --- restore and undo ---

    def restore_checkpoint(self, name: str) -> str:
        """Set the keys to exactly what a checkpoint holds; newer ones go.

        In a known session its phase and files go back too. First everything is kept in a safety
        checkpoint, whose name is returned; `undo` goes back to it. Raises BadName,
        UnknownCheckpoint and StateError.
        """
        with self.store.lock():
            document = self.read_checkpoint(name)
            safety = self.checkpoint(self._unused(SAFETY), trigger="restore")
            self._put_back(document)
            self._forget_old_safety()
        return safety

    def undo(self) -> str:
        """Take back the last restore that has not been taken back; returns what it went back to.

        What it leaves behind is kept as a checkpoint too. Raises UnknownCheckpoint when there is
        nothing to undo, and StateError.
        """
        with self.store.lock():
            safeties = [name for name in self.store.names(CHECKPOINTS) if name.startswith(SAFETY)]
            if not safeties:
                raise UnknownCheckpoint(f"no restore to undo in {self.directory}")
            document = self.read_checkpoint(safeties[-1])
            self.checkpoint(self._unused(UNDONE), trigger="undo")
            self._put_back(document)
            self.store.delete(CHECKPOINTS, safeties[-1])
        return safeties[-1]

    def _put_back(self, document: Document) -> None:
        documents = {
            key: kept if kept.get("check") else _sealed(key, kept)
            for key, kept in document["keys"].items()
        }
        self.store.replace_keys(documents)
        if self.session and workspace.journals(self.directory):
            phase = documents.get(PHASE, {}).get("value")
            was = document.get("session") or {}
            pinned = bool(was.get("phase_pinned")) and was.get(PHASE) == phase
            restored = {
                "event": "Restore",
                "checkpoint": document["name"],
                "phase": phase,
                "pinned": pinned,
            }
            self._write(restored, *_files_records(documents.get(FILES, {}).get("value", [])))

    def _forget_old_safety(self) -> None:
        for prefix in (SAFETY, UNDONE):
            kept = [name for name in self.store.names(CHECKPOINTS) if name.startswith(prefix)]
            for name in kept[:-SAFETY_KEPT]:
                self.store.delete(CHECKPOINTS, name)

    # --- sessions ---

    def session_state(self, session: str | None = None) -> Document:
        """The live state of a session: of this one, or else of the one active last.

        The keys are described in docs/format.md. Raises UnknownSession and StateError.
        """
        if session is not None and "~" not in session:
            session = journal.session_stem(session)
        session = session or self.session or self.last_session()
        live = self._live(session) if session else None
        if live is None:
            which = f"session {session}" if session else "any session"
            raise UnknownSession(f"no record of {which} in {self.directory}")
        return {name: value for name, value in live.items() if name not in ("fold", "journal")}

    def live(self) -> Document:
        """The session's state with what the fold needs to go on. Raises UnknownSession."""
        live = self._live(self.session)
        if live is None:
            raise UnknownSession(f"no journal of session {self.session} in {self.directory}")
        return live

    def live_or_none(self, session: str | None = None) -> Document | None:
        """`live` of this or another session's stem; None when nothing is known of it."""
        return self._live(session or self.session)

    def glimpse(self, session: str) -> Document | None:
        """Who a session is and when it was active last, from the ends of its journal alone.

        Costs the same however long the journal is; what lies between is not in it.
        """
        descriptor = workspace.open_journal(self.directory, session)
        if descriptor is None:
            return None
        try:
            size = os.fstat(descriptor).st_size
            tail = max(0, size - GLIMPSE)
            live = sessions.empty(session)
            for start, end in ((0, min(tail, GLIMPSE)), (tail, size)):
                live = sessions.fold(
                    live, replay.Replay(descriptor, session, start, end), self.rules
                )
            return live
        except OSError as error:
            raise StateError(
                f"{self.directory}/sessions/{session}.jsonl: {error.strerror}"
            ) from error
        finally:
            os.close(descriptor)

    def set_phase(self, phase: str | None) -> None:
        """Pin the session's phase, or let go of it with None. Raises BadValue, UnknownSession."""
        if phase is None:
            self._write({"event": "Phase", "pinned": False})
            return
        if not isinstance(phase, str) or not 0 < len(phase) <= 64 or not phase.isprintable():
            raise BadValue(f"{phase!r:.80} is no phase: use 1 to 64 printable characters")
        self._write({"event": "Phase", "phase": phase, "pinned": True})

    def unlink(self) -> None:
        """Let go of what the session inherited: undo of its lineage. Raises UnknownSession."""
        self._write({"event": "Unlink"})

    def _write(self, *records: Document) -> None:
        if not self.session:
            raise UnknownSession(f"no session is known in {self.directory}: name one")
        try:
            journal.write(self.directory, self.session, *records)
        except journal.Unusable as error:
            raise StateError(str(error)) from None
        except OSError as error:
            raise StateError(
                f"{self.directory}/sessions/{self.session}.jsonl: {error.strerror}"
            ) from error

    def last_session(self) -> str:
        """The session of this project that was active last, "" when none is this user's."""
        for _, session in workspace.journals(self.directory):
            live = self.glimpse(session)
            if live and live["last_active"]:
                return session
        return ""

    def _live(
        self, session: str, sync: bool = False, end: int | None = None, above: tuple[str, ...] = ()
    ) -> Document | None:
        """A session's state: its checkpoint, when it is whole and ours, and the records since.

        With `end`, as it was when its journal had that many bytes. None when nothing is known.
        "journal" in it says how far into the journal it reaches.
        """
        if session in above:
            return None
        saved, mark = self._saved(session)
        descriptor = workspace.open_journal(self.directory, session)
        if descriptor is None:
            return {**saved, "journal": {}} if saved else None
        try:
            if sync:
                os.fsync(descriptor)
            first = replay.first_check(descriptor)
            reach = mark.get("offset", 0)
            size = os.fstat(descriptor).st_size if end is None else end
            if not saved or mark.get("first") != first or not 0 <= reach <= size:
                saved, reach = None, 0
            records = replay.Replay(descriptor, session, reach, end)
            state = sessions.fold(
                saved or sessions.empty(session),
                records,
                self.rules,
                lambda continues: self._base(continues, (*above, session)),
            )
            passed_over = {kind: mark.get("problems", {}).get(kind, 0) for kind in records.problems}
            problems = {**mark.get("problems", {})} if saved else {}
            for kind, count in records.problems.items():
                problems[kind] = count + (passed_over[kind] if saved else 0)
            state["journal"] = {"offset": records.offset, "first": first, "problems": problems}
            return state
        except OSError as error:
            raise StateError(
                f"{self.directory}/sessions/{session}.jsonl: {error.strerror}"
            ) from error
        finally:
            os.close(descriptor)

    def _saved(self, session: str) -> tuple[Document | None, Document]:
        name = session_checkpoint(session)
        try:
            document = self.store.read(CHECKPOINTS, name)
        except (Damaged, NewerVersion):
            return None, {}  # the journal is the truth; a checkpoint only saves reading it
        if document is None or not is_ours(name, document):
            return None, {}
        return document.get("session"), document.get("journal") or {}

    def _base(self, continues: Document, above: tuple[str, ...]) -> Document | None:
        """The state that a session's first record says it continues from."""
        if continues.get("checkpoint"):
            return self._saved(continues["session"])[0]
        return self._live(continues["session"], end=continues.get("offset"), above=above)


def _published(live: Document) -> Document:
    """A session's PHASE and FILES as keys."""
    return {PHASE: live[PHASE], FILES: list(live[FILES])}


def _files_records(paths: Any) -> list[Document]:
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise BadValue(f"{FILES} takes a list of paths; nothing was saved")
    pieces = [piece.get("paths", []) for piece in journal.in_pieces({"paths": paths})]
    token = os.urandom(4).hex()
    return [
        {"event": "Files", "set": token, "part": number, "of": len(pieces), "paths": piece}
        for number, piece in enumerate(pieces, 1)
    ]


def _body(document: Document) -> bytes:
    whole = {name: value for name, value in document.items() if name != "check"}
    return json.dumps(whole, separators=(",", ":")).encode()


def _sealed(name: str, document: Document) -> Document:
    """The document with a check value that tells whose it is and whether it is whole."""
    return {**document, "check": journal.check(name, _body(document), journal.read_key())}


def is_ours(name: str, document: Document) -> bool:
    """Whether a document was sealed under this user's key, or all are trusted."""
    given = document.get("check")
    if not isinstance(given, str):
        return replay.trusts_all()
    return replay.verdict(name, _body(document), given, journal.read_key()) == replay.OURS


# --- the functions of the module ---------------------------------------------------------------

_found: Path | None = None


def __getattr__(name: str) -> Any:
    """STATE_DIR is found anew at each call, until it is assigned."""
    global _found
    if name != "STATE_DIR":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pathlib import Path

    _found = Path(journal.find_state(journal.find_project()))
    return _found


def _state() -> State:
    assigned = globals().get("STATE_DIR")
    # What __getattr__ handed out is not an assignment, even when a monkeypatch puts it back.
    return State(None if assigned is None or assigned is _found else assigned)


def _tell(error: Exception) -> None:
    print(f"workflow-state: {' '.join(str(error).split())}", file=sys.stderr)


def save_state(key: str, value: Any) -> bool:
    """Save a value under a key. False, and a line on stderr, when that fails; the old one stays."""
    try:
        _state().save_state(key, value)
    except (StateError, journal.Unusable, OSError) as error:
        _tell(error)
        return False
    return True


def load_state(key: str, default: Any = None) -> Any:
    """The value of a key; `default` when there is none, or, with a line on stderr, on failure."""
    try:
        return _state().load_state(key, default)
    except (StateError, journal.Unusable, OSError) as error:
        _tell(error)
        return default


def checkpoint(name: str | None = None) -> str:
    """Keep all keys, and the session's state, under a name; returns it. Raises StateError.

    Without a name it gets the time, made unique. A bad name raises ValueError.
    """
    return _state().checkpoint(name)


def restore_checkpoint(name: str) -> bool:
    """Set the keys to exactly what a checkpoint holds, after a safety checkpoint.

    False for an unknown name; False, and a line on stderr, when it fails.
    """
    try:
        _state().restore_checkpoint(name)
    except UnknownCheckpoint:
        return False
    except (StateError, journal.Unusable, OSError) as error:
        _tell(error)
        return False
    return True


def main() -> None:
    """The small example, in a throw-away directory."""
    global STATE_DIR
    import shutil
    import tempfile

    STATE_DIR = tempfile.mkdtemp(prefix="workflow-state-")
    os.environ.pop("CLAUDE_CODE_SESSION_ID", None)
    try:
        save_state("current_phase", "building")
        save_state("files_processed", ["file1.py", "file2.py"])
        print(f"Current phase: {load_state('current_phase')}")
        print(f"Created checkpoint: {checkpoint('before_build')}")
    finally:
        shutil.rmtree(STATE_DIR)


if __name__ == "__main__":
    main()
