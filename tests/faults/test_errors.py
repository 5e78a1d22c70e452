"""Every call on a state fails once: told in one line, the old intact, the next run works."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from .striking import recorded, struck, try_all
from .workloads import WORKLOADS, Trouble, afterwards, alike, judge, judge_process, judge_words

ROWS = "an error at a system call"

ERRORS = {
    "openat": "EIO EACCES EMFILE",
    "openat that creates": "ENOSPC EIO EACCES EROFS EMFILE EINTR",
    "read": "EIO EINTR",
    "write": "ENOSPC EIO EINTR 0",
    "fsync": "EIO ENOSPC EINTR",
    "fsync of a directory": "EIO ENOSPC EINTR EINVAL EOPNOTSUPP",
    "mkdir": "ENOSPC EIO EACCES EROFS",
    "mkdirat": "ENOSPC EIO EACCES EROFS",
    "rename": "ENOSPC EIO EACCES EROFS",
    "renameat": "ENOSPC EIO EACCES EROFS",
    "renameat2": "ENOSPC EIO EACCES EROFS",
    "link": "ENOSPC EIO EACCES EROFS",
    "unlink": "EIO EACCES EROFS",
    "unlinkat": "EIO EACCES EROFS",
    "utimensat": "EIO EACCES EROFS",
    "newfstatat": "EIO EACCES",
    "fstat": "EIO",
    "getdents64": "EIO",
    "flock": "EINTR",
    "close": "EIO EINTR",
    "close of what was read": "EIO",
}
"""What each call may answer on a disk that is full, failing, forbidden, read-only or slow.

A write may also answer 0 and have written nothing, which is what it says. To answer that it has
written a part, and not to have, would be a lie that no kernel tells: see `answers`.
"""

FORBIDDEN = ("EACCES", "EROFS")
"""Not tried on the user's key: that it cannot be had then is a state of its own, with its tests."""

TOLERATED = ("EINVAL", "EOPNOTSUPP")
"""How a file system says that it syncs no directory (the second is also called ENOTSUP)."""

ONLY_WRITES = {
    "stop, the first",
    "stop, a later one",
    "stop, the first in a repository",
    "stop before a compaction",
    "restore",
    "undo",
}
"""Workloads that read as another one does: of these only the calls that write fail."""


ALL_ANSWERS = 2
"""So many calls that do the same to files of one kind are each tried with every answer."""


def answers(call) -> list[str]:
    """What a call answers instead of doing its work.

    A write whose every byte is the caller's one try, a record's, is also told that all but one
    byte was written: it must take that for a failure, and no later write hides the lie.
    """
    variant = {("openat", True): "openat that creates", ("close", False): "close of what was read"}
    kind = variant.get((call.name, call.writes), call.name)
    told = ERRORS.get(f"{kind} of a directory" * call.directory, ERRORS.get(kind, "")).split()
    if re.search(r'/home(/.local|", )', call.given):
        told = [error for error in told if error not in FORBIDDEN]
    elif call.name == "newfstatat" and '"", ' in call.given:
        told.remove("EACCES")  # of an open file: nothing to forbid
    one_try = call.name == "write" and not re.match(r"\d+<[^>]*(\.tmp-|/key>)|1<", call.given)
    return [*told, str(call.result - 1)] if one_try else told


def faults_of(calls) -> Iterator[tuple]:
    """Each call with each of its answers; of calls that do the same to files of one kind, the third
    and later ones with one answer each, in turn.
    """
    seen: Counter = Counter()
    for call in calls:
        paths = [one or two for one, two in re.findall(r'<([^>]*)>|"([\w./~-]+)"', call.given)]
        where = [(os.path.dirname(path), os.path.splitext(path)[1]) for path in paths]
        kind = call.name, call.writes, call.directory, str(where)
        told = answers(call)
        if seen[kind] >= ALL_ANSWERS and told:
            told = [told[seen[kind] % len(told)]]
        seen[kind] += 1
        yield from ((call, error) for error in told)


def telling(output: bytes) -> bytes:
    """What a start told Claude, less times and counts."""
    return re.sub(rb"\d+( (s|min|h|d) ago)?", b"#", output)


@pytest.mark.parametrize("name", WORKLOADS)
def test_an_error_at_any_call_is_told_and_harms_nothing(name, bench, tally, strace):
    prepared = bench.prepared(name)
    known: dict[str, list[Trouble]] = {}

    def strike(fault):
        with bench.copy(prepared) as root:
            done = struck(bench, prepared, fault, root)
            troubles = judge_process(done)
            # An interrupted call is made again; a close cannot be, and is told.
            again = fault[1] == "EINTR" and fault[0].name != "close"
            if (again or fault[1] in TOLERATED) and done.returncode:
                troubles.append(Trouble("blocked", f"gave up: {done.stderr.decode()}"))
            seen = bench.look(root, prepared.workload.session)
            # A notice to the user is an answer too: what it tells of may be missing.
            acknowledged = done.returncode == 0 and b"systemMessage" not in done.stdout
            if acknowledged and telling(done.stdout) != telling(prepared.output):
                troubles.append(Trouble("lost", f"told Claude only {done.stdout.decode()}"))
            troubles += judge(prepared, seen, acknowledged) + judge_words(prepared, seen, done)
            world = alike(root, seen)
            if world not in known:
                known[world] = afterwards(bench, prepared, root, seen)
            return troubles + known[world]

    calls = [call for call in recorded(bench, prepared) if call.writes or name not in ONLY_WRITES]
    try_all(ROWS, name, faults_of(calls), strike, tally)
