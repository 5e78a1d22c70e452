"""What `doctor --fix` does, and only to what is this user's and of our shape."""

from __future__ import annotations

import os
import stat

from ...errors import Damaged, StoreError
from ...format.whole import whole
from ...recording import journal
from ...stores import CHECKPOINTS, KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...stores import Store
    from .finding import Subject


TRIES = 3
"""A database, then an intent, then the documents."""


def fix(subject: Subject) -> list[str]:
    """Fix what can be fixed here; what was done. Raises StoreError, Unusable and OSError."""
    try:
        status = os.stat(subject.directory)
    except FileNotFoundError:
        return []
    if status.st_uid != os.geteuid():
        raise StoreError(f"{subject.directory} belongs to another user: nothing was changed")
    return _hide(subject.directory) + _quarantine(subject.state.store)


def _hide(directory: str) -> list[str]:
    """Take from other users what they may do with the state and the key."""
    done = []
    home = journal.state_home()
    for path in dict.fromkeys((home, directory, home and journal.key_path())):
        try:
            status = os.lstat(path)
        except OSError:
            continue
        kind = stat.S_IFMT(status.st_mode)
        if kind in (stat.S_IFREG, stat.S_IFDIR) and status.st_uid == os.geteuid():
            if status.st_mode & 0o077:
                os.chmod(path, 0o700 if kind == stat.S_IFDIR else 0o600)
                done.append(f"no other user may read {path} any more")
    return done


def _quarantine(store: Store) -> list[str]:
    """Have the store quarantine, document by document, what is damaged, or all of its database."""
    done: list[str] = []
    for _ in range(TRIES):
        try:
            with store.lock():
                for collection, name in names(store):
                    try:
                        read_whole(store, collection, name)
                    except Damaged as error:
                        done.append(str(error))
            break
        except Damaged as error:  # the whole database, or the intent: what is left is read next
            done.append(str(error))
    return done


def names(store: Store) -> list[tuple[str, str]]:
    """The collection and the name of each document."""
    return [(each, name) for each in (KEYS, CHECKPOINTS) for name in store.names(each)]


def read_whole(store: Store, collection: str, name: str) -> None:
    """Read a document and its rows. Raises Damaged."""
    document = store.read(collection, name)
    if document is not None:
        whole(name, document)
