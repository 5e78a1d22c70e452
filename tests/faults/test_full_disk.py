"""No room left: on a disk that is really full, under the limits of the system, on a read-only mount.

Each is told in one line, harms nothing that was there, and is over when there is room again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from .striking import WORKERS
from .test_errors import telling
from .workloads import (
    ROOT,
    WORKLOADS,
    Bench,
    Prepared,
    Trouble,
    afterwards,
    forgive_torn_tails,
    judge,
    judge_process,
    judge_words,
)

Done = subprocess.CompletedProcess
FULL = "full disk, file-size limit"

LIMITS = [
    *(("--fsize", number) for number in (0, 1, 40, 150, 170, *range(200, 4200, 250))),
    *(("--nofile", number) for number in range(5, 13)),
]
"""Bytes that a file may have, so that a write is cut short, then fails; open files at a time."""

ALONE = [name for name, workload in WORKLOADS.items() if not workload.git]
"""git meets a limit too, and where it fails nothing is said of what it might have seen."""

ROOM = [
    *(("pages", number) for number in range(11)),
    *(("files", number) for number in range(7)),
    ("read-only", 0),
]
"""What a small disk has left: 4 KB pages (0 to 40 KB), files, or nothing at all to write on."""


def attempt(bench: Bench, prepared: Prepared, root: Path, done: Done) -> list[Trouble]:
    """What is wrong after a process that had no room, and after the next one that has."""
    seen = bench.look(root, prepared.workload.session)
    acknowledged = done.returncode == 0 and b"systemMessage" not in done.stdout
    troubles = judge_process(done) + judge_words(prepared, seen, done)
    if acknowledged and telling(done.stdout) != telling(prepared.output):
        troubles.append(Trouble("lost", f"told Claude only {done.stdout.decode()}"))
    if not acknowledged:
        forgive_torn_tails(seen)
    troubles += judge(prepared, seen, acknowledged)
    return troubles + afterwards(bench, prepared, root, seen)


# --- the limits of the system ------------------------------------------------------------------


def limited(bench: Bench, prepared: Prepared, option: str, number: int) -> list[Trouble]:
    step = prepared.workload.strikes
    with bench.copy(prepared) as root:
        command = ["prlimit", f"{option}={number}:{number}", *step.command()]
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=60, **step.options(root)
        )
        return attempt(bench, prepared, root, done)


@pytest.mark.parametrize("name", ALONE)
def test_a_limit_is_told_and_harms_nothing(name, bench, tally):
    assert shutil.which("prlimit"), "prlimit is not installed (util-linux)"
    prepared = bench.prepared(name)
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = list(pool.map(lambda limit: limited(bench, prepared, *limit), LIMITS))
    found = [(limit, each) for limit, outcome in zip(LIMITS, outcomes) for each in outcome]
    tally.add(FULL, f"{name}, limited", len(LIMITS), [each.kind for _, each in found])
    assert not found, "\n".join(f"{each.kind}: {limit}: {each.what}" for limit, each in found)


# --- a small disk, in a mount namespace of its own ---------------------------------------------


def namespace() -> list[str]:
    """A command that gives its arguments a mount namespace to themselves."""
    for options in (["-m"], ["-Urm"]):
        command = ["unshare", *options, "--propagation", "private"]
        probe = [*command, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"]
        if shutil.which("unshare") and not subprocess.run(probe, check=False).returncode:
            return command
    pytest.fail("no mount namespace: needs util-linux's unshare, and root or user namespaces")


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_full_disk_is_told_and_harms_nothing(name, tally, tmp_path):
    guest = [sys.executable, "-m", "tests.faults.test_full_disk", name, str(tmp_path)]
    done = subprocess.run(
        [*namespace(), *guest], cwd=ROOT, capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    tally.add(FULL, f"{name}, small disk", len(ROOM), [kind for _, kind, _ in found])
    assert not found, "\n".join(f"{kind}: {room}: {what}" for room, kind, what in found)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@contextmanager
def small_disk(place: Path, room: str, left: int) -> Iterator[None]:
    """What is mounted at `place` has only so much left inside."""
    if room == "read-only":
        mount("-o", "remount,bind,ro", str(place))
    else:
        option, unit = {"pages": ("size", 4096), "files": ("nr_inodes", 1)}[room]
        total = taken(place)[room] + left
        mount("-o", f"remount,{option}={total * unit}", str(place))
    try:
        yield
    finally:
        mount("-o", "remount,bind,rw", str(place))
        mount("-o", "remount,size=16m,nr_inodes=4096", str(place))


def taken(place: Path) -> dict[str, int]:
    status = os.statvfs(place)
    return {
        "pages": (status.f_blocks - status.f_bfree) * status.f_frsize // 4096,
        "files": status.f_files - status.f_ffree,
    }


def squeezed(bench: Bench, prepared: Prepared, room: str, left: int) -> list[Trouble]:
    with bench.copy(prepared) as root:
        with small_disk(bench.base, room, left):
            done = prepared.workload.strikes.run(root)
        return attempt(bench, prepared, root, done)


def guest(name: str, place: str) -> None:
    """Try a workload at each ROOM of a disk mounted at `place`; tells the troubles as JSON."""
    mount("-t", "tmpfs", "-o", "size=16m,nr_inodes=4096", "tmpfs", place)
    Path(place, "ballast").write_bytes(b"x")  # a disk of 0 pages would be one without a limit
    bench = Bench(Path(place))
    prepared = bench.prepared(name)
    found = [
        (room, each.kind, each.what) for room in ROOM for each in squeezed(bench, prepared, *room)
    ]
    bench.close()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    guest(*sys.argv[1:])
