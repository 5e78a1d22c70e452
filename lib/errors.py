"""What can go wrong with the state: what, where, and what to do about it."""

from __future__ import annotations


class StoreError(Exception):
    """What went wrong, where, and what to do about it."""


class Busy(StoreError):
    """Another process kept the store locked for too long."""


class Damaged(StoreError):
    """A document was not what a store writes; its bytes have been kept under another name."""


class NewerVersion(StoreError):
    """A document was written by a later version of workflow-state; it is left as it is."""
