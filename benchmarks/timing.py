"""Processes timed in pairs: subject, base, subject, base ... and the median of the pairs' ratios.

A pair's two runs are milliseconds apart, so that what else the machine does meets both; a median
of ratios stands still where times taken one after the other drift by a tenth. Both the time that
passed and the processor's time are taken: on a machine that others use too, the first ratio
scatters by a fifth and the second by a thirtieth, but only the first has waits for a disk in it.
"""

# pyperf times one command to its end before the next one begins, so it cannot interleave a pair.
from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WARM_UP = 1
FEWEST = 3
"""Rounds of a pair, however long they take."""

MOST = 500


class Failed(Exception):
    """A command did not do its work, so that its time means nothing; or its tool is missing."""


@dataclass(frozen=True)
class Command:
    """A program to be run, with its whole environment; `before` is done first and not timed."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    stdin: str = os.devnull
    before: Callable[[], object] = lambda: None

    def __str__(self) -> str:
        return os.path.basename(self.argv[-1])  # a page that is kept names no folder of a machine


@dataclass(frozen=True)
class Spread:
    """The median of some ratios, and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, pairs: list[tuple[float, float]]) -> Spread:
        low, median, high = statistics.quantiles([one / other for one, other in pairs], n=4)
        return cls(median, low, high)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Ratio:
    """A subject over its base: in processor time, in time passed; and the base's milliseconds."""

    processor: Spread
    elapsed: Spread
    base: float


def run(command: Command) -> tuple[float, float]:
    """Run a command: its seconds of processor time, children included, and the seconds it took.

    From before it is spawned until it is gone. Raises Failed.
    """
    command.before()
    os.chdir(command.directory)
    files = [
        (os.POSIX_SPAWN_OPEN, 0, command.stdin, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ]
    began = time.perf_counter()
    process = os.posix_spawn(command.argv[0], command.argv, command.environment, file_actions=files)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - began
    if status:
        raise Failed(f"`{command}` ended with wait status {status}")
    return usage.ru_utime + usage.ru_stime, seconds


def compare(subject: Command, base: Command, seconds: float) -> Ratio:
    """How the two compare, in as many rounds as fit the seconds. Raises Failed."""
    for _ in range(WARM_UP):
        run(subject)
        run(base)
    give_up = time.monotonic() + seconds
    rounds: list[tuple[tuple[float, float], tuple[float, float]]] = []
    while len(rounds) < FEWEST or (len(rounds) < MOST and time.monotonic() < give_up):
        rounds.append((run(subject), run(base)))
    processor, elapsed = (
        Spread.of([(one[kind], other[kind]) for one, other in rounds]) for kind in (0, 1)
    )
    return Ratio(processor, elapsed, 1000 * statistics.median(base[1] for _, base in rounds))


# --- memory ------------------------------------------------------------------------------------

_REPORTER = (
    "import posix, sys\n"
    "process = posix.posix_spawn(sys.argv[1], sys.argv[1:], posix.environ)\n"
    "_, status, usage = posix.wait4(process, 0)\n"
    "print(status, usage.ru_maxrss)"
)
"""Spawns and asks in place of this process: the kernel counts what a process had before `exec`, its
parent's pages, towards its peak, so the parent must be no larger than a bare interpreter."""


def peak(python: str, command: Command) -> int:
    """The peak of a command's resident memory, in the kernel's unit. Raises Failed."""
    command.before()
    with open(command.stdin, "rb") as stdin:
        done = subprocess.run(
            [python, "-I", "-S", "-c", _REPORTER, *command.argv],
            env=command.environment,
            cwd=command.directory,
            stdin=stdin,
            stdout=subprocess.PIPE,
            check=True,
        )
    status, size = done.stdout.split()
    if int(status):
        raise Failed(f"`{command}` ended with wait status {int(status)}")
    return int(size)


def compare_peaks(python: str, subject: Command, base: Command, rounds: int) -> Spread:
    """How their peaks of memory compare. Raises Failed."""
    return Spread.of([(peak(python, subject), peak(python, base)) for _ in range(rounds)])


# --- system calls ------------------------------------------------------------------------------

_WRITE = re.compile(r"^p?write(?:v|64)?\(.*\) += (\d+)$", re.MULTILINE)


def kernel_work(command: Command, rounds: int = 3) -> tuple[int, int]:
    """How many system calls a command makes, and how many bytes it writes; the least of some runs.

    Where the kernel puts the heap is random, and may cost the allocator a call more.
    """
    strace = shutil.which("strace")
    if not strace:
        raise Failed("strace is not installed")
    counts = []
    with tempfile.TemporaryDirectory() as folder:
        trace = f"{folder}/trace"
        for _ in range(rounds):
            argv = (strace, "-qq", "-o", trace, *command.argv)
            run(Command(argv, command.environment, command.directory, command.stdin))
            with open(trace, encoding="utf-8", errors="replace") as lines:
                text = lines.read()
            counts.append((text.count("\n"), sum(int(size) for size in _WRITE.findall(text))))
    return min(counts)
