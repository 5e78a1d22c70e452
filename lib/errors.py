"""What can go wrong with the state: what happened, where, and what to do about it."""

from __future__ import annotations


class StateError(Exception):
    """What happened, where, and what to do about it: the base of every error here."""


StoreError = StateError
"""What a store raises; callers of the API catch StateError."""


class Busy(StateError):
    """Another process kept the store locked for too long."""


class Damaged(StateError):
    """A document was not what a store writes. Its bytes are kept, in its place or in quarantine."""


class DamagedRows(Damaged):
    """Rows of a document were, and they are read later than it. Asked again, it is none."""


class NewerVersion(StateError):
    """A document was written by a later version of workflow-state; it is left as it is."""


class BadName(StateError, ValueError):
    """A name that no key and no checkpoint can have."""


class BadValue(StateError, ValueError):
    """A value that JSON cannot hold exactly, or that the key does not take."""


class Untrusted(StateError):
    """A checkpoint that this user has not written; `workflow-state trust` adopts it."""


class UnknownCheckpoint(StateError, LookupError):
    """There is no checkpoint of that name."""


class UnknownSession(StateError, LookupError):
    """There is no session of that id, or none at all."""


class Unreadable(StateError):
    """The file is not an export, is damaged, or of a later version; nothing was changed."""
