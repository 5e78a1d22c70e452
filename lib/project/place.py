"""Where a project's state lives: its files found, its names checked, its owner asked for."""

from __future__ import annotations

import os
import stat

from ..errors import BadName, StateError, StoreError
from ..format.json_text import loads
from ..format.records import is_believed, trusts_all, users_key
from ..recording import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SETTINGS = ".claude/workflow-state.json"
SETTINGS_LIMIT = 1 << 18

_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "clock$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in range(10)]
)


def check_name(name: object, what: str) -> str:
    """`name` when it may name a key or a checkpoint. Raises BadName."""
    if not isinstance(name, str) or not journal.is_name(name):
        raise BadName(
            f"{name!r:.140} is no {what}: use 1 to 128 of A-Z a-z 0-9 . _ -, not . - at its head"
        )
    if name.partition(".")[0].lower() in _DEVICES:
        raise BadName(f"{name!r} is no {what}: Windows keeps the name for a device")
    return name


def session_of(text: str) -> str:
    """The stem of the session that a person names, by its id or by a stem that was printed."""
    head, tilde, digest = text.rpartition("~")
    printed = tilde and len(digest) == 16 and not set(digest) - set("0123456789abcdef")
    return text if printed and (not head or journal.is_name(head)) else journal.session_stem(text)


def project_of(directory: str) -> str:
    """The project whose state directory this is, resolved as the hooks resolve it."""
    if directory.endswith(journal.VIEW):
        return directory[: -len(journal.VIEW)] or "/"
    if journal.at_home(directory):
        from ..recording.project_file import read_about

        path = read_about(directory).get("path")
        if path:
            return str(path)
    return journal.find_project()


def read_settings(project: str) -> tuple[dict[str, Any], str]:
    """A project's `.claude/workflow-state.json`, and what is wrong with it: one is empty."""
    where = f"{project}/{SETTINGS}"
    try:
        descriptor = os.open(where, journal.READ)
    except (FileNotFoundError, NotADirectoryError):
        return {}, ""
    except OSError as error:
        return {}, f"{where}: {error.strerror}; the built-in rules are used"
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return {}, f"{where} is not a file; the built-in rules are used"
        data = os.read(descriptor, SETTINGS_LIMIT)
    except OSError as error:
        return {}, f"{where}: {error.strerror}; the built-in rules are used"
    finally:
        os.close(descriptor)
    try:
        settings = loads(data.decode())
    except (ValueError, RecursionError) as error:
        return {}, f"{where} is not JSON ({error}); the built-in rules are used"
    if not isinstance(settings, dict):
        return {}, f"{where} is not an object; the built-in rules are used"
    return settings, ""


def distrust(directory: str) -> str:
    """Why nothing in this directory is told to Claude; "" when there is no reason.

    At home the place shows that what it holds is this user's. Elsewhere, and where others can
    write at home, the key does.
    """
    if is_believed(directory) or users_key() or trusts_all():
        return ""
    home = journal.state_home()
    if not home:
        cause = "you have no home directory that you own and can write"
    elif _others_can_write(home):
        cause = f"other users can write in {home}"
    elif os.path.lexists(journal.key_path()):
        cause = f"{journal.key_path()} is no key that only you can read"
    else:
        return ""  # the first record makes the key
    return (
        f"{cause}, so nothing in {directory} is known to be yours; set WORKFLOW_STATE_KEY to a "
        "secret, or WORKFLOW_STATE_DIR and WORKFLOW_STATE_KEY"
    )


def _others_can_write(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & 0o022)
    except OSError:
        return False


def check_directory(directory: str) -> None:
    """Raise StateError for a directory that holds other things than a state."""
    if journal.at_home(directory):
        return
    from ..recording.first_use import refuse_other

    try:
        refuse_other(directory)
    except journal.Unusable as error:
        raise StateError(str(error)) from None


def journals(directory: str) -> list[tuple[float, str]]:
    """The sessions that have a journal, with the time of its last change, newest first.

    Times are seconds since the epoch. Raises StoreError.
    """
    try:
        descriptor = journal.descend(journal.open_state(directory), "sessions")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _failed(error, f"{directory}/sessions") from error
    found = []
    try:
        for entry in os.listdir(descriptor):
            if entry.endswith(".jsonl"):
                try:
                    status = os.stat(entry, dir_fd=descriptor, follow_symlinks=False)
                except FileNotFoundError:
                    continue  # retention took it meanwhile
                if stat.S_ISREG(status.st_mode):
                    found.append((status.st_mtime, entry[:-6]))
    except OSError as error:
        raise StoreError(f"{directory}/sessions: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return sorted(found, reverse=True)


def _failed(error: OSError, path: str) -> StoreError:
    """An error at a path, or above it where the error says so."""
    said = error.filename if isinstance(error.filename, str) else ""
    return StoreError(f"{said if said.startswith('/') else path}: {error.strerror}")


def open_journal(directory: str, session: str) -> int | None:
    """A session's journal, for reading; None when there is none. Raises StoreError."""
    try:
        sessions = journal.descend(journal.open_state(directory), "sessions")
        try:
            descriptor = os.open(session + ".jsonl", journal.READ, 0o600, dir_fd=sessions)
        finally:
            os.close(sessions)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _failed(error, f"{directory}/sessions/{session}.jsonl") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(descriptor)
        raise StoreError(
            f"{directory}/sessions/{session}.jsonl is no plain file that is yours; it is not read"
        )
    return descriptor


def remove_journal(directory: str, session: str) -> None:
    """Remove a session's journal, if it is there. Raises OSError."""
    sessions = journal.descend(journal.open_state(directory), "sessions")
    try:
        os.unlink(session + ".jsonl", dir_fd=sessions)
    except FileNotFoundError:
        pass
    finally:
        os.close(sessions)
