"""Checks of the state: recorded lately, private, and without damage."""

from __future__ import annotations

import os
import re
import stat
import time
from shlex import quote

from ...errors import Damaged
from ...format import records
from ...project.git import is_ignored
from ...project.place import journals
from ...project.view import View
from ...recording import journal
from ...recording.find_project import earlier_state
from ...session.lineage import CRASHED, EXAMINED, condition
from ...stores import CHECKPOINTS, KEYS
from ...stores.open import kind as kind_of
from ...telling.context import ago
from ..settings_files import user_directory
from .finding import MEND, NOTE, OK, Finding, Subject
from .fix import names, read_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...format.types import SessionState

SILENT = 3600
"""Seconds between the last record and Claude Code's own last write that are normal."""

_TRUST = (
    "trust this directory in Claude Code, start Claude Code where .claude/ is, and see /hooks for "
    "what it has loaded"
)


# --- sessions ----------------------------------------------------------------------------------


def check_recording(subject: Subject) -> Finding:
    """Did a hook run lately, and under which client?"""
    worked = _last_transcript(subject.project)
    last = _last(subject)
    if last is None:
        if subject.registered.ways and worked:
            said = f"nothing is recorded, but Claude Code worked here {_ago(worked)}"
            return Finding("recording", MEND, said, _TRUST)
        mend = "start Claude Code here" if subject.registered.ways else ""
        return Finding("recording", NOTE, "nothing is recorded here yet", mend)
    at = records.seconds(last["last_active"] or "")
    said = f"last record {_ago(at)}, by {last['client'] or 'an unknown client'}"
    if subject.registered.ways and worked > at + SILENT:
        said += f"; Claude Code worked here {_ago(worked)}, and no hook ran"
        return Finding("recording", MEND, said, _TRUST)
    return Finding("recording", OK, said)


def check_crash(subject: Subject) -> Finding:
    """Did the last session crash?"""
    last = _last(subject)
    if last and condition(last) == CRASHED and last["session_id"] != journal.MANUAL:
        at = _ago(records.seconds(last["last_active"] or ""))
        said = f"session {last['session_id']} crashed or was killed {at}"
        return Finding("crash", NOTE, f"{said}; the next start tells Claude where it was")
    return Finding("crash", OK, "the last session did not crash")


def _last(subject: Subject) -> SessionState | None:
    session = subject.state.sessions.last()
    return subject.state.sessions.glimpse(session) if session else None


def _ago(at: float) -> str:
    return ago(time.time() - at)


def _last_transcript(project: str) -> float:
    """When Claude Code last wrote a transcript of a session in this directory; 0 for never."""
    folder = user_directory() + "/projects/" + re.sub("[^A-Za-z0-9]", "-", project)
    try:
        with os.scandir(folder) as entries:
            times = [entry.stat().st_mtime for entry in entries if entry.name.endswith(".jsonl")]
    except OSError:
        return 0
    return max(times, default=0)


# --- the directory, and the key ----------------------------------------------------------------


def check_directory(subject: Subject) -> Finding:
    """Can the user write the state directory, and nobody else read it?"""
    path = subject.directory
    if not os.path.lexists(path):
        return Finding("directory", NOTE, f"the first hook makes {path}")
    try:
        descriptor = journal.open_state(path)
    except OSError as error:
        said = f"{path} cannot be opened: {error.strerror}"
        mend = (
            f"look at it: ls -ld {quote(path)}; or set WORKFLOW_STATE_DIR to a directory of yours"
        )
        return Finding("directory", MEND, said, mend)
    try:
        status = os.fstat(descriptor)
        writable = os.access(".", os.W_OK, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    if status.st_uid != os.geteuid():
        said = f"{path} belongs to another user ({status.st_uid}); Claude gets nothing of it"
        return Finding("directory", MEND, said, "set WORKFLOW_STATE_DIR to a directory of yours")
    home = journal.state_home() if journal.at_home(path) else path
    for each in dict.fromkeys((home, path)):
        mode = stat.S_IMODE(os.stat(each).st_mode)
        if mode & 0o077 or not writable or not mode & 0o200:
            said = f"{each} has mode {mode:o}: not writable, or not private"
            return Finding("directory", MEND, said, f"chmod 700 {quote(each)}")
    return Finding("directory", OK, f"{path} is writable, and private")


def check_view(subject: Subject) -> Finding:
    """Can the project hold the view, and does git leave it out of commits?"""
    view = View(subject.directory, subject.project)
    cause = view.obstacle()
    if cause:
        return Finding(
            "view", NOTE, f"{view.path} is left out: {cause}; the state does not need it"
        )
    if is_ignored(subject.project, view.path) is False:
        mend = f"echo '*' > {quote(view.path)}/.gitignore"
        return Finding("view", MEND, f"git does not ignore {view.path}", mend)
    if earlier_state(subject.project) and journal.at_home(subject.directory):
        said = f"{view.path} holds state of an earlier version that another user or machine wrote"
        return Finding("view", NOTE, f"{said}; it is not read")
    return Finding("view", OK, f"copies of the keys, phase and files are in {view.path}")


def check_key(subject: Subject) -> Finding:
    """Is there a key that signs the user's records, and is it private?"""
    path = journal.key_path()
    if journal.environment("WORKFLOW_STATE_KEY"):
        return Finding("key", OK, "WORKFLOW_STATE_KEY is set, and replaces the key file")
    if not path:
        return Finding("key", MEND, "you have no home directory for a key", _KEY)
    if not os.path.lexists(path):
        return Finding("key", NOTE, f"the first hook makes {path}")
    if not records.users_key():
        said = f"{path} is damaged, or others can read it: it signs nothing"
        is_needed = not records.is_believed(subject.directory)
        mend = f"chmod 600 {quote(path)}; or {_KEY}"
        return Finding("key", MEND if is_needed else NOTE, said, mend)
    return Finding("key", OK, f"{path} is private")


_KEY = "set WORKFLOW_STATE_KEY to a secret"


# --- the store ---------------------------------------------------------------------------------


def check_store(subject: Subject) -> Finding:
    """Can the store of keys and checkpoints be reached?"""
    subject.state.store.reach()
    keys = len(subject.state.store.names(KEYS))
    checkpoints = len(subject.state.store.names(CHECKPOINTS))
    kind = kind_of(journal.environment("WORKFLOW_STATE_STORE"))
    held = f"{keys} key{'s' * (keys != 1)}, {checkpoints} checkpoint{'s' * (checkpoints != 1)}"
    said = f"{kind}: {held}"
    pending = subject.state.store.pending()
    if pending:
        return Finding("store", NOTE, f"{said}; pending: {pending}", "workflow-state sync")
    newest = journals(subject.directory)[:1]
    live = subject.state.sessions.live(newest[0][1]) if newest else None
    files = len(live["files_processed"]) if live else 0
    advice = subject.state.store.advice(files)
    if advice:
        said += f"; each stop writes all {files} files of the session"
        return Finding("store", NOTE, said, advice)
    return Finding("store", OK, said)


def check_damage(subject: Subject) -> Finding:
    """Are there damaged files, or records that do not count?"""
    quarantined = _quarantine(subject)
    if quarantined:
        place, remove = quarantined[0]
        said = f"damaged files in quarantine: {len(quarantined)}, for example {place}"
        return Finding("damage", MEND, said, f"look at them, then: {remove}")
    problems: dict[str, int] = {}
    try:
        for collection, name in names(subject.state.store):
            read_whole(subject.state.store, collection, name)
    except Damaged as error:
        return Finding("damage", MEND, str(error), "workflow-state doctor --fix")
    for _, session in journals(subject.directory)[:EXAMINED]:
        live = subject.state.sessions.live(session)
        for kind, count in (live["journal"].get("problems", {}) if live else {}).items():
            problems[kind] = problems.get(kind, 0) + count
    if problems.get(records.FOREIGN):
        said = f"records that are not yours: {problems[records.FOREIGN]}; they do not count"
        return Finding("damage", MEND, said, "if you trust them: workflow-state trust")
    if problems.get(records.NEWER):
        said = f"records of a later version of workflow-state: {problems[records.NEWER]}"
        return Finding("damage", MEND, said, "update workflow-state")
    if problems:
        said = f"damaged records: {sum(problems.values())}; all others count"
        return Finding("damage", NOTE, said)
    return Finding("damage", OK, "no file is damaged")


def _quarantine(subject: Subject) -> list[tuple[str, str]]:
    """What is in quarantine, as files or in the store: its place, and how to remove it."""
    found = []
    for folder in ("", "keys/", "sessions/", "checkpoints/"):
        try:
            names = os.listdir(f"{subject.directory}/{folder}")
        except OSError:
            continue
        found += [f"{folder}{name}" for name in names if ".damaged-" in name]
    files = [(place, f"rm {quote(f'{subject.directory}/{place}')}") for place in sorted(found)]
    return files + subject.state.store.quarantined()
