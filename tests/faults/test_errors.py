"""Every call that touches a state fails once: told in one line, the old intact, the next run works."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from . import strace
from .test_kill import WORKERS, recorded
from .workloads import WORKLOADS, Trouble, afterwards, judge, judge_process, judge_words

ERRORS = {
    "openat": "EIO EACCES EMFILE EINTR",
    "openat that creates": "ENOSPC EIO EACCES EROFS EMFILE EINTR",
    "read": "EIO EINTR",
    "write": "ENOSPC EIO EINTR",
    "fsync": "EIO ENOSPC EINTR",
    "mkdir": "ENOSPC EIO EACCES EROFS",
    "mkdirat": "ENOSPC EIO EACCES EROFS",
    "rename": "ENOSPC EIO EACCES EROFS",
    "renameat": "ENOSPC EIO EACCES EROFS",
    "renameat2": "ENOSPC EIO EACCES EROFS",
    "link": "ENOSPC EIO EACCES EROFS",
    "unlink": "EIO EACCES EROFS",
    "unlinkat": "EIO EACCES EROFS",
    "newfstatat": "EIO EACCES",
    "fstat": "EIO",
    "getdents64": "EIO",
    "flock": "EINTR",
    "close": "EIO EINTR",
}
"""What each call may answer on a disk that is full, failing, forbidden, read-only or slow."""

ONLY_WRITES = {
    "stop, the first",
    "stop, the first in a repository",
    "stop, a later one in a repository",
    "save",
    "restore",
    "undo",
    "prune",
}
"""Workloads that read as another one does: of these only the calls that write fail."""


def faults(call: strace.Call) -> list[str]:
    creates = call.name == "openat" and call.writes
    return ERRORS.get("openat that creates" if creates else call.name, "").split()


def told(output: bytes) -> bytes:
    """What a start told Claude, less times and counts."""
    return re.sub(rb"\d+", b"#", output)


def struck(bench, prepared, call, error) -> list[Trouble]:
    step = prepared.workload.strikes
    with bench.copy(prepared) as root:
        output = root.with_suffix(".strace")
        done, fired = strace.inject(step.command(), call, error, output, **step.options(root))
        output.unlink()
        assert fired, f"{error} at {call} was not hit: {done}"
        troubles = judge_process(done)
        if error == "EINTR" and done.returncode:
            troubles.append(Trouble("blocked", f"interrupted, and gave up: {done.stderr.decode()}"))
        seen = bench.look(root, prepared.workload.session)
        # A notice to the user is an answer too: what it tells of may be missing.
        acknowledged = done.returncode == 0 and b"systemMessage" not in done.stdout
        if acknowledged and told(done.stdout) != told(prepared.output):
            troubles.append(Trouble("lost", f"told Claude only {done.stdout.decode()}"))
        troubles += judge(prepared, seen, acknowledged) + judge_words(prepared, seen, done)
        return troubles + afterwards(bench, prepared, root)


@pytest.mark.parametrize("name", WORKLOADS)
def test_an_error_at_any_call_is_told_and_harms_nothing(name, bench, tally, strace):
    prepared = bench.prepared(name)
    calls = [call for call in recorded(bench, prepared) if call.writes or name not in ONLY_WRITES]
    cases = [(call, error) for call in calls for error in faults(call)]
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = list(pool.map(lambda case: struck(bench, prepared, *case), cases))
    found = [(case, each) for case, outcome in zip(cases, outcomes) for each in outcome]
    tally.add("an error at a system call", name, len(cases), [each.kind for _, each in found])
    assert cases
    assert not found, "\n".join(
        f"{each.kind}: {case[1]} at {case[0]}: {each.what}" for case, each in found
    )
