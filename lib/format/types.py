"""docs/format.md as types: what records, states, keys and checkpoints hold.

For the type checker only: nothing imports this when it runs. A class that is not `total` has
members that may be absent.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any, Literal, TypedDict


class Continues(TypedDict, total=False):
    """What a session continues."""

    session: str
    source: str
    offset: int
    checkpoint: bool
    was: str
    machine: str
    assumed: bool


class About(TypedDict, total=False):
    """What a call is about, in a record and in a list of calls."""

    at: str
    tool: str
    call: str
    agent: str
    agent_type: str
    path: str
    command: str
    description: str
    url: str
    error: str


class Record(About, total=False):
    """A line of a journal, whatever its event."""

    v: int
    event: str
    check: str
    # of the client's events
    mode: str
    result: str
    staged: bool
    interrupted: bool
    background: bool
    launched: str
    created: list[str]
    changed: list[str]
    deleted: list[str]
    more: bool
    prompt: str
    text: str
    notification: bool
    source: str
    client: str
    pid: int
    host: str
    started: int
    continues: Continues
    trigger: str
    reason: str
    background_tasks: int
    # of our own
    head: str
    unseen: str
    fingerprints: dict[str, str]
    phase: str | None
    pinned: bool
    set: str
    part: int
    of: int
    paths: list[str]
    checkpoint: str


class Call(About, total=False):
    """A call in a list of a session's state."""

    since: str
    resolved: str


class FileRow(TypedDict, total=False):
    """What a session did to a file."""

    first: str
    last: str
    tool: str | None
    count: int
    agent: str | None
    call: str | None
    outcome: str
    fingerprint: str


class Files(MutableMapping[str, FileRow]):
    """Path -> about the file; file_table.py has the one that there is."""

    def copy(self) -> Files:
        raise NotImplementedError

    def added_to(self, base: Files) -> list[str] | None:
        raise NotImplementedError

    def paths(self) -> Sequence[str]:
        raise NotImplementedError


class Process(TypedDict, total=False):
    """The client's process."""

    pid: int
    host: str
    started: int


class Ended(TypedDict):
    """How and when a session ended."""

    reason: str
    at: str


class Counts(TypedDict):
    """How often what happened in a session."""

    requests: int
    calls: int
    failed: int
    interrupted: int
    no_result: int


class Applied(TypedDict):
    """The sets of records that have taken effect."""

    Restore: str | None
    Files: str | None


class Parts(TypedDict):
    """The parts of a list of files that have come so far."""

    set: str | None
    part: int
    paths: list[str]


EndedCall = list[Any]
"""A call that has ended: its subject's digest, whether its beginning was seen, when it ended, and
in which request."""


class Unseen(TypedDict, total=False):
    """Since when what commands changed could not be seen, and why; empty where all was seen."""

    since: str
    cause: str


class Fold(TypedDict, total=False):
    """What the next fold needs to go on."""

    recent: dict[str, EndedCall | int]
    background: dict[str, int]
    newest: dict[str, str]
    head: str | None
    unseen: Unseen
    prompt: str | None
    request_phase: str | None
    applied: Applied
    shell: bool
    idle: bool
    checked: str | None
    since: str | None
    pending: Parts


class SessionState(TypedDict):
    """The fold of a session's journal."""

    session_id: str
    started: str | None
    last_active: str | None
    ended: Ended | None
    process: Process | None
    client: str | None
    continues: str | None
    continues_how: Continues | None
    current_phase: str | None
    phase_since: str | None
    phase_pinned: bool
    files_processed: Files
    files_read: Files
    in_flight: list[Call]
    interrupted: list[Call]
    failures: list[Call]
    last_request: str | None
    last_request_at: str | None
    last_stop: str | None
    background_tasks: int
    last_checkpoint: str | None
    last_checkpoint_at: str | None
    counts: Counts
    fold: Fold


class Mark(TypedDict, total=False):
    """How far into a journal a state reaches.

    skipped  the bytes that a short read left out
    unread   how many records a fold left out that ran out of time
    anew     as far as this offset, records that were adopted counted from the beginning
    """

    session: str
    offset: int
    last: str
    problems: dict[str, int]
    shell: bool
    skipped: int
    unread: int
    anew: int


class Live(SessionState):
    """A session as it stands now; `journal` is empty where only a checkpoint is left."""

    journal: Mark


class Other(SessionState, total=False):
    """A session beside this one, with what is in no file.

    was      its condition
    machine  its machine, where that is another
    shares   the files that this session changes too
    """

    journal: Mark
    was: str
    machine: str
    shares: list[str]


class KeyDocument(TypedDict, total=False):
    """A key."""

    value: Any
    timestamp: str
    check: str


class Checkpoint(TypedDict, total=False):
    """A checkpoint."""

    v: int
    name: str
    created: str
    trigger: str
    journal: Mark
    keys: dict[str, KeyDocument]
    session: SessionState | None
    check: str


CallLists = Literal["in_flight", "interrupted", "failures"]
FileTables = Literal["files_processed", "files_read"]
Inherited = Literal[
    "current_phase",
    "phase_since",
    "last_request",
    "last_request_at",
    "last_stop",
    "last_checkpoint",
    "last_checkpoint_at",
]
"""Members of a state that hold the same."""
