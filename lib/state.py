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

import os
import sys
import time

if not __package__:
    # Imported from its own folder, loaded by path, or run as a script: the files beside it are
    # reached through a package of our own name, so that a user's `session.py` stays the user's.
    _package = type(sys)("workflow_state")
    _package.__path__ = [os.path.dirname(os.path.realpath(__file__))]
    sys.modules.setdefault("workflow_state", _package)
    _given = __package__, __spec__
    __package__ = "workflow_state"
    __spec__ = type(sys.__spec__)("workflow_state.state", None)

from .errors import Busy, Damaged, NewerVersion, StoreError
from .format.documents import is_refused, verdict_on
from .format.file_table import Paths, listed
from .format.json_text import dumps
from .format.records import OURS, trusts_all, users_key
from .project import place
from .project.place import BadName
from .recording import journal
from .recording.change_lists import in_pieces
from .session import fold as folding
from .session.live import Sessions, checkpoint_name
from .stores import CHECKPOINTS, KEYS
from .stores.open import open_store

if __package__ == "workflow_state":
    __package__, __spec__ = _given  # reloading goes by these

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
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

StateError = StoreError
"""What every error of this module is; BadName and BadValue are ValueErrors as well."""

PHASE = "current_phase"
FILES = "files_processed"

TURN_SECONDS = 6.0
"""What a hook's checkpoint waits for its turn: many may stop at once, and a hook has 10 seconds."""

SAFETY = "before-restore-"
UNDONE = "before-undo-"
SAFETY_KEPT = 20
STAMP = len("20261123_142100_123")


class BadValue(StateError, ValueError):
    """A value that JSON cannot hold exactly, or that the key does not take."""


class Untrusted(StateError):
    """A checkpoint that this user has not written; `workflow-state trust` adopts it."""


class UnknownCheckpoint(StateError, LookupError):
    """There is no checkpoint of that name."""


class UnknownSession(StateError, LookupError):
    """There is no session of that id, or none at all."""


def time_stamp() -> str:
    """The time as it stands in the names of checkpoints, to the millisecond."""
    seconds = time.time()
    return (
        time.strftime("%Y%m%d_%H%M%S", time.gmtime(seconds)) + f"_{int(seconds * 1000) % 1000:03d}"
    )


def _no_pair_lost(pairs: list[tuple[str, Any]]) -> Document:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("two of its keys would become one")
    return members


def _exactly(value: Any) -> Any:
    """`value` as JSON gives it back: tuples as lists, keys as strings. Raises BadValue."""
    import json  # for what it checks on the way; the hooks, which start anew each time, save none

    try:
        return json.loads(json.dumps(value, allow_nan=False), object_pairs_hook=_no_pair_lost)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadValue(f"the value cannot be held by JSON ({error}); nothing was saved") from None


class State:
    """The state of one project.

    directory  the state directory; found from the current directory when not given
    session    the session whose live state PHASE and FILES mean; by default the one that Claude
               Code names in CLAUDE_CODE_SESSION_ID. "" for none.
    store      where keys and checkpoints lie; by default the one that WORKFLOW_STATE_STORE names
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        session: str | None = None,
        store: Store | None = None,
    ) -> None:
        if directory is None:
            self.project = journal.find_project()
            self.directory = journal.find_state(self.project)
        else:
            self.directory = os.path.abspath(os.fspath(directory))
            self.project = place.project_of(self.directory)
        if session is None:
            session = journal.environment("CLAUDE_CODE_SESSION_ID")
        self.session = session and place.session_of(session)
        self.store: Store = store or open_store(
            journal.environment("WORKFLOW_STATE_STORE"), self.directory
        )
        self.sessions = Sessions(self.directory, self.project, self.store)

    # --- keys ---

    def save_state(self, key: str, value: Any) -> None:
        """Save a value that JSON can hold under a key; atomic and durable.

        In a known session PHASE is pinned and FILES taken as given, in its journal, where secrets
        are masked as those of tool calls are. Raises BadName, BadValue and StateError; the old
        value is intact then.
        """
        place.check_name(key, "key")
        value = _exactly(value)
        if self.session and key == PHASE and value is None:
            self._write({"event": "Phase", "phase": None, "pinned": False})
        elif self.session and key == PHASE:
            self.set_phase(value)
        elif self.session and key == FILES:
            self._write(*_files_records(value))
        else:
            document = {"value": value, "timestamp": journal.now()}
            self.store.write(KEYS, key, self.store.sign(key, document))

    def load_state(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` when there is none. Raises BadName and StateError."""
        place.check_name(key, "key")
        if self.session and key in (PHASE, FILES):
            live = self._known()
            value = live and (live[PHASE] if key == PHASE else listed(live[FILES].paths()))
        else:
            document = self.store.read(KEYS, key)
            if document is not None:
                return listed(document["value"])
            value = None
        return default if value is None else value

    def delete_state(self, key: str) -> bool:
        """Remove a key; False when there was none. Raises BadName and StateError."""
        if self.session and key in (PHASE, FILES):
            raise StateError(
                f"{key} is what session {self.session} recorded, and cannot be removed; "
                "`workflow-state phase auto` lets go of a phase that was set"
            )
        return self.store.delete(KEYS, place.check_name(key, "key"))

    def keys(self) -> list[str]:
        """The names of the saved keys, sorted."""
        return self.store.names(KEYS)

    def _documents(self, unreadable: list[str] | None = None) -> dict[str, Document]:
        """All keys as they stand.

        The lock must be held: keys are read one by one, and a restore changes all of them at once.
        Keys that are damaged, or of a later version, are told of in `unreadable`; without it they
        raise the first one's error, which tells of all of them.
        """
        documents: dict[str, Document] = {}
        errors: list[StoreError] = []
        for key in self.store.names(KEYS):
            try:
                document = self.store.read(KEYS, key)
            except (Damaged, NewerVersion) as error:
                errors.append(error)
                continue
            if document is not None:
                documents[key] = document
        message = [str(error) for error in errors]
        if errors and unreadable is None:
            raise type(errors[0])("; ".join(message))
        if unreadable is not None:
            unreadable.extend(message)
        return documents

    def _with(self, documents: dict[str, Document], live: Document | None) -> dict[str, Document]:
        """Documents with the phase and files of a live session among them."""
        if not live:
            return documents
        paths = self._listed(live, documents.get(FILES))
        for key, value in ((PHASE, live[PHASE]), (FILES, paths)):
            document = documents.pop(key, {})
            if value is not None:
                about = {"value": value, "timestamp": live["last_active"]}
                fits = self._is_value(document, value)
                documents[key] = document if fits else self.store.sign(key, about)
        return documents

    def _listed(self, live: Document, published: Document | None) -> Sequence[str]:
        """The paths of a session's files: those that it published last, and what was added."""
        added = None
        if published and verdict_on(FILES, published) == OURS:  # not edited by hand, say
            added = self.sessions.added_since_published(live, published["check"])
        if published is None or added is None:
            files: Sequence[str] = live[FILES].paths()
            return files
        paths: list[str] = published["value"]
        return paths + added if added else paths

    def _is_value(self, document: Document, value: Any) -> bool:
        old = document.get("value")
        if isinstance(value, Paths):  # any other is looked at as a whole at each comparison
            return isinstance(old, Paths) and old.mark == value.mark
        try:
            return bool(old == value)
        except Damaged as error:  # a list whose rows in the store are not what they were
            self.sessions.notices.append(str(error))
            return False

    def _known(self) -> Document | None:
        """The live state of this session, if there is one."""
        return self.sessions.live(self.session) if self.session else None

    # --- checkpoints ---

    def checkpoint(self, name: str | None = None, trigger: str = "manual") -> str:
        """Keep all keys and the session's state under a name, which is returned.

        Without a name it gets the time, made unique; an existing name is replaced, atomically.
        Raises BadName and StateError.
        """
        if name is not None:
            place.check_name(name, "checkpoint name")
        store = self.store
        with store.lock():
            if name is None:
                name = self._unused(time_stamp())
            known = self._known()
            last = self.sessions.last() if known is None else ""
            live = self.sessions.live(last) if last else known
            self._keep(name, trigger, live, self._with(self._documents(), known))
        return name

    def checkpoint_session(self, trigger: str) -> str:
        """What the hooks do when Claude stops: publish PHASE and FILES, checkpoint the session.

        The journal is synced first, so that nothing is durable that rests on what is not.
        """
        name = checkpoint_name(self.session)
        with self.store.lock(TURN_SECONDS):
            self.sessions.sync(self.session)
            live = self.live()
            before = self._documents(self.sessions.notices)
            documents = self._with(dict(before), live)
            for key in (PHASE, FILES):
                if key in documents and documents[key] is not before.get(key):
                    self._publish(key, documents[key])
            self._keep(name, trigger, live, documents)
        return name

    def _publish(self, key: str, document: Document) -> None:
        """Save what a session shows; what a later version saved there is told of already."""
        try:
            self.store.write(KEYS, key, document)
        except NewerVersion:
            pass

    def _keep(
        self, name: str, trigger: str, live: Document | None, documents: dict[str, Document]
    ) -> None:
        created = journal.now()
        document: Document = {"v": journal.VERSION, "name": name, "created": created}
        document["trigger"] = trigger
        session = None
        if live:
            session = {**live, "last_checkpoint": name, "last_checkpoint_at": created}
            # Before what grows, so that it is found in the file's head.
            document["journal"] = {"session": live["session_id"], **session.pop("journal")}
            if live["fold"]["shell"]:
                document["journal"]["shell"] = True  # what it changed is still to be seen
        document.update(keys=documents, session=session)
        self.store.write(CHECKPOINTS, name, self.store.sign(name, document))

    def _unused(self, base: str) -> str:
        taken = set(self.store.names(CHECKPOINTS))
        name = base
        count = 1
        while name in taken:
            count += 1
            name = f"{base}-{count}"
        return name

    def checkpoints(self) -> list[Document]:
        """Every checkpoint's name, created, trigger, phase and number of files, oldest first."""
        found = []
        for name in self.store.names(CHECKPOINTS):
            try:
                document = self.store.read(CHECKPOINTS, name)
            except (Damaged, NewerVersion) as error:
                self.sessions.notices.append(str(error))  # one does not hide the others
                continue
            if document is None:
                continue
            session = folding.complete(document.get("session") or {})
            found.append(
                {
                    "name": name,
                    "created": document["created"],
                    "trigger": document.get("trigger"),
                    "session_id": session["session_id"] or None,
                    "current_phase": session["current_phase"],
                    "files_processed": len(session["files_processed"]),
                    "keys": sorted(document["keys"]),
                }
            )
        return sorted(found, key=lambda about: (about["created"], about["name"]))

    def read_checkpoint(self, name: str) -> Document:
        """A checkpoint, whole. Raises BadName, UnknownCheckpoint and StateError."""
        document = self._read_checkpoint(name)
        if document.get("session"):
            document["session"] = folding.plain(document["session"])
        keys = {
            key: {**kept, "value": listed(kept["value"])} for key, kept in document["keys"].items()
        }
        return {**document, "keys": keys}

    def _read_checkpoint(self, name: str) -> Document:
        """The same as its store holds it, with what it is worth."""
        document = self.store.read(CHECKPOINTS, place.check_name(name, "checkpoint name"))
        if document is None:
            raise UnknownCheckpoint(f"there is no checkpoint {name} in {self.directory}")
        return document

    def delete_checkpoint(self, name: str) -> bool:
        """Remove a checkpoint; False when there was none. Raises BadName and StateError."""
        return self.store.delete(CHECKPOINTS, place.check_name(name, "checkpoint name"))

    def diff(self, before: str, after: str | None = None) -> Document:
        """What differs between a checkpoint and another, or now.

        A dict: "keys" with "added", "removed" and "changed" ({key: [old, new]}), "current_phase"
        ([old, new], or None when equal), "files_processed" with "added" and "removed".
        """
        old = self.read_checkpoint(before)
        if after is None:
            with self.store.lock():  # else a restore could change the keys while they are read
                known = self._known()
                session = self.session or self.sessions.last()
                live = self.sessions.live(session) if session else None
                new: Document = {"keys": self._with(self._documents(), known), "session": live}
        else:
            new = self.read_checkpoint(after)
        sessions = bool(old.get("session") and new.get("session"))
        one, two = (
            {
                key: listed(kept["value"])
                for key, kept in each["keys"].items()
                if not (sessions and key in (PHASE, FILES))  # told once, by the sessions
            }
            for each in (old, new)
        )
        was, now = (folding.complete(each.get("session") or {}) for each in (old, new))
        return {
            "from": before,
            "to": after,
            "keys": {
                "added": {key: two[key] for key in two if key not in one},
                "removed": {key: one[key] for key in one if key not in two},
                "changed": {
                    key: [one[key], two[key]]
                    for key in one
                    if key in two and dumps(one[key]) != dumps(two[key])
                },
            },
            PHASE: None if was[PHASE] == now[PHASE] else [was[PHASE], now[PHASE]],
            FILES: {
                "added": [path for path in now[FILES] if path not in was[FILES]],
                "removed": [path for path in was[FILES] if path not in now[FILES]],
            },
        }

    # --- restore and undo ---

    def restore_checkpoint(self, name: str) -> str:
        """Set the keys to exactly what a checkpoint holds; newer ones go.

        In a known session its phase and files go back too. First everything is kept in a safety
        checkpoint, whose name is returned; `undo` goes back to it. Raises BadName,
        UnknownCheckpoint and StateError.
        """
        with self.store.lock():
            document = self._read_checkpoint(name)
            if is_refused(name, document):
                raise Untrusted(
                    f"checkpoint {name} in {self.directory} was written by another user or changed "
                    "by hand; `workflow-state trust` adopts what others wrote"
                )
            safety = self.checkpoint(self._next(SAFETY, "restore"), trigger="restore")
            self._put_back(document)
            self._forget_old_safeties()
        return safety

    def undo(self) -> str:
        """Take back the last restore that has not been taken back; returns what it went back to.

        What it leaves behind is kept as a checkpoint too. Raises UnknownCheckpoint when there is
        nothing to undo, and StateError.
        """
        with self.store.lock():
            safeties = self._safeties(SAFETY, "restore")
            if not safeties:
                raise UnknownCheckpoint(f"no restore to undo in {self.directory}")
            document = self._read_checkpoint(safeties[-1])
            self.checkpoint(self._next(UNDONE, "undo"), trigger="undo")
            self._put_back(document)
            self.store.delete(CHECKPOINTS, safeties[-1])
        return safeties[-1]

    def _put_back(self, document: Document) -> None:
        documents = {
            key: kept if kept.get("check") else self.store.sign(key, kept)
            for key, kept in document["keys"].items()
        }
        note: Document = {}
        if self.session and place.journals(self.directory):
            phase = documents.get(PHASE, {}).get("value")
            was = document.get("session") or {}
            pinned = bool(was.get("phase_pinned")) and was.get(PHASE) == phase
            restored = {"event": "Restore", "checkpoint": document["name"]}
            restored["phase"] = _masked_phase(phase)
            files = _files_records(listed(documents.get(FILES, {}).get("value", [])))
            restored.update(pinned=pinned, set=files[0]["set"])
            at = journal.now()
            records = [{**each, "at": at} for each in (restored, *files)]
            note = {"session": self.session, "records": records}
        self.store.replace_keys(documents, note)

    def _next(self, prefix: str, trigger: str) -> str:
        """A name behind those of before, though the clock may have gone back since."""
        last = self._safeties(prefix, trigger)[-1:]
        return self._unused(
            max([prefix + time_stamp(), *(name[: len(prefix) + STAMP] for name in last)])
        )

    def _safeties(self, prefix: str, trigger: str) -> list[str]:
        """The checkpoints that restores and undos made by themselves, in the order of their names.

        A user may choose a name like theirs: what made a checkpoint is in it.
        """
        found = []
        for name in self.store.names(CHECKPOINTS):
            document = self.store.read(CHECKPOINTS, name) if name.startswith(prefix) else None
            if document is not None and document.get("trigger") == trigger:
                found.append((name[: len(prefix) + STAMP], len(name), name))
        return [name for _, _, name in sorted(found)]

    def _forget_old_safeties(self) -> None:
        for prefix, trigger in ((SAFETY, "restore"), (UNDONE, "undo")):
            for name in self._safeties(prefix, trigger)[:-SAFETY_KEPT]:
                self.store.delete(CHECKPOINTS, name)

    # --- sessions ---

    def session_state(self, session: str | None = None) -> Document:
        """The live state of a session: of this one, or else of the one active last.

        The keys are described in docs/format.md. Raises UnknownSession and StateError.
        """
        live = self.live(session)
        return folding.plain({name: live[name] for name in live if name not in ("fold", "journal")})

    def live(self, session: str | None = None) -> Document:
        """The same with what the fold needs to go on, and with tables that are read when asked."""
        session = place.session_of(session) if session else self.session or self.sessions.last()
        live = self.sessions.live(session) if session else None
        if live is None:
            which = f"session {session}" if session else "any session"
            raise UnknownSession(f"no record of {which} in {self.directory}")
        return live

    def set_phase(self, phase: str | None) -> None:
        """Pin the session's phase, or let go of it with None. Raises BadValue, UnknownSession."""
        if phase is None:
            self._write({"event": "Phase", "pinned": False})
            return
        if not isinstance(phase, str) or not 0 < len(phase) <= 64 or not phase.isprintable():
            raise BadValue(f"{phase!r:.80} is no phase: use 1 to 64 printable characters")
        self._write({"event": "Phase", "phase": _masked_phase(phase), "pinned": True})

    def unlink(self) -> None:
        """Let go of what the session inherited: undo of its lineage. Raises UnknownSession."""
        self._write({"event": "Unlink"})

    def _write(self, *records: Document) -> None:
        if not self.session:
            raise UnknownSession(f"no session is known in {self.directory}: name one")
        if not users_key() and not trusts_all():
            # It would be written and never read back: nothing would tell it from another's.
            where = journal.key_path() or "no home directory"
            raise StateError(
                f"there is no key to prove that this is yours ({where}); nothing was saved: set "
                "HOME to a directory of yours, or WORKFLOW_STATE_KEY to a secret"
            )
        # Under the lock, which finishes a restore that was killed: later it would win over this.
        with self.store.lock():
            self.sessions.write(self.session, *records)


def _masked_phase(phase: Any) -> Any:
    return journal.masked(phase, 12 * 64)[:64] if isinstance(phase, str) else phase


def _files_records(paths: Any) -> list[Document]:
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise BadValue(f"{FILES} takes a list of paths; nothing was saved")
    if len(set(paths)) != len(paths):
        raise BadValue(f"{FILES} names a path twice; nothing was saved")
    paths = [*dict.fromkeys(map(journal.masked_path, paths))]
    pieces = [piece.get("paths", []) for piece in in_pieces({"paths": paths})]
    token = os.urandom(4).hex()
    return [
        {"event": "Files", "set": token, "part": number, "of": len(pieces), "paths": piece}
        for number, piece in enumerate(pieces, 1)
    ]


# --- the functions of the module ---------------------------------------------------------------

_found: Path | None = None


def __getattr__(name: str) -> Any:
    """STATE_DIR is found anew at each call, until it is assigned."""
    global _found
    if name != "STATE_DIR":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pathlib import Path

    try:
        _found = Path(journal.find_state(journal.find_project()))
    except (OSError, journal.Unusable):
        _found = Path(".claude/state")  # the current directory is gone; using it will tell
    return _found


def _state() -> State:
    assigned = globals().get("STATE_DIR")
    if assigned is not None and assigned is _found:
        # What __getattr__ handed out is no assignment, even when a monkeypatch puts it back.
        del globals()["STATE_DIR"]
        assigned = None
    return State(assigned)


class _Reported:
    """The state as a context; what went wrong in it without keeping an answer back is told."""

    def __enter__(self) -> State:
        self._state = _state()
        return self._state

    def __exit__(self, *_: object) -> None:
        for notice in self._state.sessions.notices:
            _tell(notice)


def _tell(error: object) -> None:
    if sys.stderr is not None:  # else print would take it to stdout
        try:
            print(f"workflow-state: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        except (OSError, ValueError):
            pass  # stderr is full or closed: what is returned tells it too


def save_state(key: str, value: Any) -> bool:
    """Save a value under a key. False, and a line on stderr, when that fails.

    The old value stays then, unless the line says that the new one is in place but not durable.
    """
    try:
        with _Reported() as state:
            state.save_state(key, value)
    except (StateError, journal.Unusable, OSError) as error:
        _tell(error)
        return False
    return True


def load_state(key: str, default: Any = None) -> Any:
    """The value of a key; `default` when there is none, or, with a line on stderr, on failure."""
    try:
        with _Reported() as state:
            return state.load_state(key, default)
    except (StateError, journal.Unusable, OSError) as error:
        _tell(error)
        return default


def checkpoint(name: str | None = None) -> str:
    """Keep all keys, and the session's state, under a name; returns it. Raises StateError.

    Without a name it gets the time, made unique. A bad name raises ValueError.
    """
    with _Reported() as state:
        return state.checkpoint(name)


def restore_checkpoint(name: str) -> bool:
    """Set the keys to exactly what a checkpoint holds, after a safety checkpoint.

    False for an unknown name; False, and a line on stderr, when it fails.
    """
    try:
        with _Reported() as state:
            state.restore_checkpoint(name)
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
