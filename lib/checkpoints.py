"""Checkpoints: all keys and the live state of a session, kept under a name and put back."""

from __future__ import annotations

import os
import time

from .errors import (
    BadValue,
    Busy,
    Damaged,
    NewerVersion,
    StoreError,
    UnknownCheckpoint,
    UnknownSession,
    Untrusted,
)
from .format.documents import is_refused, verdict_on
from .format.file_table import Paths, listed
from .format.json_text import dumps
from .format.records import OURS
from .project import place
from .recording import journal
from .session import states
from .session.live import Sessions, checkpoint_name
from .stores import CHECKPOINTS, KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, TypeVar

    from .format.types import Live
    from .project.view import View
    from .stores import Document, Store

    Read = TypeVar("Read")

PHASE: Final = "current_phase"
FILES: Final = "files_processed"

TURN_SECONDS = 6.0
"""How long a hook's checkpoint waits for the lock: many sessions may stop at once, and a hook has
10 seconds."""

SAFETY = "before-restore-"
UNDONE = "before-undo-"
SAFETY_KEPT = 20
READINGS = 50
STAMP = len("20261123_142100_123")


def time_stamp() -> str:
    """The current time as the names of checkpoints have it, to the millisecond."""
    seconds = time.time()
    return (
        time.strftime("%Y%m%d_%H%M%S", time.gmtime(seconds)) + f"_{int(seconds * 1000) % 1000:03d}"
    )


def put_off(live: Live) -> str:
    """What a hook says that had no time to read a whole journal, and made no checkpoint."""
    return (
        f"the checkpoint is put off: {live['journal']['unread']} records of the journals are not "
        "read yet; the next stop goes on, and nothing is lost"
    )


class Checkpoints:
    """The checkpoints of a project, and its keys all at once: the lower half of `State`."""

    directory: str
    session: str
    store: Store
    sessions: Sessions
    view: View

    # --- what is kept ---

    def live(self, session: str | None = None) -> Live:
        """The live state of a session, with what the next fold needs; its tables are read lazily.

        Raises UnknownSession and StateError.
        """
        session = place.session_of(session) if session else self.session or self.sessions.last()
        live = self.sessions.live(session) if session else None
        if live is None:
            which = f"session {session}" if session else "any session"
            raise UnknownSession(f"no record of {which} in {self.directory}")
        return live

    def _documents(self, unreadable: list[str] | None = None) -> dict[str, Document]:
        """All keys as their store holds them, under the lock as of one moment.

        Messages about keys that are damaged, or of a later version, go to `unreadable`. Without it
        the error of the first one is raised, with all messages.
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

    def documents_at_once(self, unreadable: list[str]) -> dict[str, Document]:
        """All keys as of one moment, for who only reads. Raises Busy."""

        def read() -> tuple[dict[str, Document], list[str]]:
            said: list[str] = []
            return self._documents(said), said

        documents, said = self._at_once(read)
        unreadable += said
        return documents

    def _at_once(self, read: Callable[[], Read]) -> Read:
        """What `read` returns twice, one after the other: so it was at a moment between.

        A restore changes all keys, and a reader takes no lock.
        """
        before = None
        for _ in range(READINGS):
            found = read()
            if found == before:
                return found
            before = found
        raise Busy(f"what is in {self.directory} changes all the time: try again")

    def _with(self, documents: dict[str, Document], live: Live | None) -> dict[str, Document]:
        """Add the phase and files of a live session to the documents."""
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

    def _listed(self, live: Live, published: Document | None) -> Sequence[str]:
        """The paths of a session's files: those it published last, and those added since."""
        added = None
        # Edited by hand, it has no check value, or another.
        if published and published.get("check") and verdict_on(FILES, published) == OURS:
            added = self.sessions.added_since_published(live, published["check"])
        if published is None or added is None:
            files: Sequence[str] = live[FILES].paths()
            return files
        paths: list[str] = published["value"]
        return paths + added if added else paths

    def _is_value(self, document: Document, value: Any) -> bool:
        old = document.get("value")
        if isinstance(value, Paths):  # comparing any other reads all of it
            return isinstance(old, Paths) and old.mark == value.mark
        try:
            return bool(old == value)
        except Damaged as error:  # the rows of the list have changed in the store
            self.sessions.notices.append(str(error))
            return False

    def _known(self) -> Live | None:
        """The live state of this session, if there is one."""
        return self.sessions.live(self.session) if self.session else None

    # --- make, list, compare ---

    def checkpoint(self, name: str | None = None, trigger: str = "manual") -> str:
        """Keep all keys and the session's state under a name, which is returned.

        Without a name it gets the time, made unique. An existing checkpoint of the name is
        replaced, atomically. Raises BadName and StateError.
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
        """Publish PHASE and FILES as keys, and checkpoint the session: at every stop of Claude.

        The journal is synced first: a durable checkpoint must not depend on a record that is not.
        """
        name = checkpoint_name(self.session)
        with self.store.lock(TURN_SECONDS):
            self.sessions.sync(self.session)
            live = self.live()
            if live["journal"].get("unread"):
                raise StoreError(put_off(live))
            before = self._documents(self.sessions.notices)
            documents = self._with(dict(before), live)
            changed = {
                key: documents[key]
                for key in (PHASE, FILES)
                if key in documents and documents[key] is not before.get(key)
            }
            for key, document in changed.items():
                self._publish(key, document)
            if changed:
                self.view.publish(changed)
            self._keep(name, trigger, live, documents)
            self.sessions.checkpointed_whole(self.session)
        return name

    def _publish(self, key: str, document: Document) -> None:
        """Save a key of the session; one of a later version is left, and reported already."""
        try:
            self.store.write(KEYS, key, document)
        except NewerVersion:
            pass

    def _keep(
        self, name: str, trigger: str, live: Live | None, documents: dict[str, Document]
    ) -> None:
        created = journal.now()
        document: Document = {"v": journal.VERSION, "name": name, "created": created}
        document["trigger"] = trigger
        session: Document | None = None
        if live:
            session = {**live, "last_checkpoint": name, "last_checkpoint_at": created}
            # Before the keys, so that it is in the head of the file.
            document["journal"] = {"session": live["session_id"], **session.pop("journal")}
            if live["fold"]["shell"]:
                document["journal"]["shell"] = True  # git has not yet shown what it changed
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
                self.sessions.notices.append(str(error))  # the others are listed all the same
                continue
            if document is None:
                continue
            session = states.complete(document.get("session") or {})
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
        """A checkpoint with all its lists. Raises BadName, UnknownCheckpoint and StateError."""
        document = self._read_checkpoint(name)
        if document.get("session"):
            document["session"] = states.plain(document["session"])
        keys = {
            key: {**kept, "value": listed(kept["value"])} for key, kept in document["keys"].items()
        }
        return {**document, "keys": keys}

    def _read_checkpoint(self, name: str) -> Document:
        """A checkpoint as its store holds it, with its trust."""
        document = self.store.read(CHECKPOINTS, place.check_name(name, "checkpoint name"))
        if document is None:
            raise UnknownCheckpoint(f"there is no checkpoint {name} in {self.directory}")
        return document

    def delete_checkpoint(self, name: str) -> bool:
        """Remove a checkpoint; False when there was none. Raises BadName and StateError."""
        return self.store.delete(CHECKPOINTS, place.check_name(name, "checkpoint name"))

    def diff(self, before: str, after: str | None = None) -> Document:
        """The differences between a checkpoint and another, or the current state.

        A dict: "keys" with "added", "removed" and "changed" ({key: [old, new]}), "current_phase"
        ([old, new], or None when equal), "files_processed" with "added" and "removed".
        """
        old = self.read_checkpoint(before)
        if after is None:
            session = self.session or self.sessions.last()

            def read() -> Document:
                live = self.sessions.live(session) if session else None
                return {"keys": self._with(self._documents(), self._known()), "session": live}

            new = self._at_once(read)
        else:
            new = self.read_checkpoint(after)
        sessions = bool(old.get("session") and new.get("session"))
        one, two = (
            {
                key: listed(kept["value"])
                for key, kept in each["keys"].items()
                if not (sessions and key in (PHASE, FILES))  # the sessions show them
            }
            for each in (old, new)
        )
        was, now = (states.complete(each.get("session") or {}) for each in (old, new))
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
        """Set the keys to exactly what a checkpoint holds; newer keys are removed.

        In a known session its phase and files are restored too. Everything is first kept in a
        safety checkpoint, whose name is returned; `undo` restores that. Raises BadName, Untrusted,
        UnknownCheckpoint and StateError.
        """
        with self.store.lock():
            document = self._read_checkpoint(name)
            if is_refused(name, document):
                raise Untrusted(
                    f"checkpoint {name} in {self.directory} was not restored: another user wrote "
                    "it, or it was changed by hand; `workflow-state trust` adopts what others wrote"
                )
            safety = self.checkpoint(self._next(SAFETY, "restore"), trigger="restore")
            self._put_back(document)
            self._forget_old_safeties()
        return safety

    def undo(self) -> str:
        """Undo the last restore that was not undone yet; returns the safety checkpoint's name.

        The current state is first kept in a checkpoint too. Raises UnknownCheckpoint when there is
        nothing to undo, and StateError.
        """
        with self.store.lock():
            safeties = self._safeties(SAFETY, "restore")
            if not safeties:
                raise UnknownCheckpoint(f"there is no restore to undo in {self.directory}")
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
            restored["phase"] = masked_phase(phase)
            files = files_records(listed(documents.get(FILES, {}).get("value", [])))
            restored.update(pinned=pinned, set=files[0]["set"])
            at = journal.now()
            records = [{**each, "at": at} for each in (restored, *files)]
            note = {"session": self.session, "records": records}
        gone = dict.fromkeys(self.store.names(KEYS))
        self.store.replace_keys(documents, note)
        self.view.publish({**gone, **documents})

    def _next(self, prefix: str, trigger: str) -> str:
        """A name that sorts after the earlier ones, even if the clock was set back."""
        last = self._safeties(prefix, trigger)[-1:]
        return self._unused(
            max([prefix + time_stamp(), *(name[: len(prefix) + STAMP] for name in last)])
        )

    def _safeties(self, prefix: str, trigger: str) -> list[str]:
        """The names of the checkpoints that restores or undos made, sorted.

        A user may choose such a name too, so the checkpoint's trigger decides.
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


def masked_phase(phase: Any) -> Any:
    return journal.masked(phase, 12 * 64)[:64] if isinstance(phase, str) else phase


def files_records(paths: Any) -> list[Document]:
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise BadValue(f"{FILES} takes a list of paths; nothing was saved")
    if len(set(paths)) != len(paths):
        raise BadValue(f"{FILES} names a path twice; nothing was saved")
    paths = [*dict.fromkeys(map(journal.masked_path, paths))]
    from .recording.change_lists import in_pieces  # no hook saves a list

    pieces = [piece.get("paths", []) for piece in in_pieces({"paths": paths})]
    token = os.urandom(4).hex()
    return [
        {"event": "Files", "set": token, "part": number, "of": len(pieces), "paths": piece}
        for number, piece in enumerate(pieces, 1)
    ]
