"""What an import of the first version left when it was killed: `.import`, with a signed plan.

That version promised that the next command would finish it. Now the next import does so.
"""

from __future__ import annotations

import os
import shutil
import stat
from hashlib import sha256

from ..disk.quarantine import quarantine
from ..format import documents, records
from ..recording import journal
from ..stores.document_checks import SIZE_LIMIT
from .archive_format import CHUNK
from .importing import put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..state import State
    from .archive_format import Document

PENDING = ".import"
PLAN = ".plan.json"


def finish(state: State) -> None:
    """Put in place what the plan lists and the folder still has. The caller holds the lock.

    Leaves a notice. A folder without a plan of this user's is quarantined. Raises StoreError and
    OSError.
    """
    directory = os.path.join(state.directory, PENDING)
    if not os.path.lexists(directory):
        return
    members = _planned(directory)
    if members is None:
        folder = journal.open_state(state.directory)
        try:
            message = quarantine(PENDING, folder)
        finally:
            os.close(folder)
        state.sessions.notices.append(f"{directory} is not an import of this user's; {message}")
        return
    left = [each for each in members if os.path.lexists(os.path.join(directory, each))]
    changed = [each for each in left if _digest(directory, each) != members[each]["sha256"]]
    put(state, directory, [each for each in left if each not in changed])
    if changed:
        state.sessions.notices.append(
            f"{directory} has files that changed since they were verified: {', '.join(changed)}; "
            "they were left there: remove it when you do not need them"
        )
        return
    shutil.rmtree(directory)
    state.sessions.notices.append("finished an import that an earlier version had begun")


def _planned(directory: str) -> dict[str, Document] | None:
    """The members that a pending import lists; None when this user has not signed the list."""
    if not stat.S_ISDIR(os.lstat(directory).st_mode):
        return None
    try:
        with open(os.open(os.path.join(directory, PLAN), journal.READ), "rb") as file:
            document = documents.opened(PLAN, file.read(SIZE_LIMIT))
    except (OSError, ValueError, RecursionError):
        return None
    return document["members"] if document.trust == records.OURS else None


def _digest(directory: str, member: str) -> str:
    digest = sha256()
    with open(os.open(os.path.join(directory, member), journal.READ), "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
