"""strace as a tool: what a process asked of the kernel, and the same run with one call failing.

Only the process itself is traced, not its children, so that the n-th call of a name is its own.
A run that was to be hit and was not proves nothing: whoever injects asserts that it fired.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

TRACED = (
    "openat,close,read,write,mkdir,mkdirat,newfstatat,fstat,fsync,fdatasync,rename,renameat,"
    "renameat2,link,linkat,unlink,unlinkat,rmdir,ftruncate,pwrite64,lseek,flock,getdents64,"
    "utimensat,fchmodat,exit_group"
)

ALWAYS_WRITES = frozenset(
    "write pwrite64 mkdir mkdirat fsync fdatasync rename renameat renameat2 link linkat unlink "
    "unlinkat rmdir ftruncate flock utimensat fchmodat".split()
)

_LINE = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|\?)(?:<|\s|$)")
_HERE = re.compile(r'-100<[^>]*>, "(?=/)')
"""The current directory, where the path does not start from it."""

_STREAM = re.compile(r"[01]<")
_CREATES = 0o100
_DIRECTORY = os.O_DIRECTORY
_ACCESS = 3


@dataclass(frozen=True)
class Call:
    """One system call: the `nth` of its name, what it was given and what it gave.

    writes     whether it may change a file
    directory  whether it is about an open directory
    """

    name: str
    nth: int
    given: str
    result: int
    writes: bool
    directory: bool = False

    def __str__(self) -> str:
        return f"{self.name}#{self.nth}({self.given[:160]})"


def missing() -> str:
    """Why nothing can be injected here; "" when it can."""
    if not shutil.which("strace"):
        return "strace is not installed"
    probe = ["strace", "-o", os.devnull, "-e", "inject=close:error=EIO:when=1", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode > 1:
        return "strace may not trace here (ptrace is forbidden)"
    return ""


def _flags(given: str) -> int:
    """The flags of an openat, printed raw."""
    numbers = re.findall(r", (0x[0-9a-f]+|0)(?=,|$)", given)
    return int(numbers[0], 16) if numbers else 0


def parse(text: str, place: str) -> list[Call]:
    """The calls of a recording that concern files below `place`, and the end of the process.

    The reading of standard input and the writing of standard output are among them.

    A call that only reads has `writes` False: so has the close of a file that was only read.
    """
    counts: dict[str, int] = {}
    written: set[str] = set()
    directories: set[str] = set()
    calls = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        name, given, result = match[1], match[2], match[3]
        counts[name] = counts.get(name, 0) + 1
        stream = name in ("read", "write") and _STREAM.match(given)
        if not stream and place not in _HERE.sub('"', given) and name != "exit_group":
            continue
        writes = name in ALWAYS_WRITES or name == "exit_group"
        descriptor = given.partition("<")[0]
        if name == "openat" and _flags(given) & (_CREATES | _ACCESS):
            writes = True
            written.add(result)
        elif name == "openat":
            written.discard(result)
        elif name == "close" and descriptor in written:
            writes = True
            written.discard(descriptor)
        number = int(result) if result != "?" else 0
        if name == "openat":
            (directories.add if _flags(given) & _DIRECTORY else directories.discard)(result)
        calls.append(Call(name, counts[name], given, number, writes, descriptor in directories))
    return calls


def strace(command: list[str], output: Path, *options: str, **given) -> subprocess.CompletedProcess:
    """Run a command under strace, with options of subprocess.run."""
    return subprocess.run(
        ["strace", "-o", str(output), *options, *command],
        capture_output=True,
        check=False,
        timeout=60,
        **given,
    )


def record(command: list[str], output: Path, **given) -> tuple[subprocess.CompletedProcess, str]:
    """A run with the calls it made, paths of descriptors and whole data included."""
    options = ["-y", "-X", "raw", "-s", "1000000", "-xx", "-e", f"trace={TRACED}"]
    done = strace(command, output, *options, **given)
    return done, readable(output.read_text())


def readable(text: str) -> str:
    """Hex strings as text where they are names; data of calls stays hex."""

    def name(match: re.Match[str]) -> str:
        raw = bytes.fromhex(match[1].replace("\\x", ""))
        return raw.decode("utf-8", "replace")

    lines = []
    for line in text.splitlines():
        plain = re.sub(r"(?<=<)((?:\\x[0-9a-f]{2})+)(?=>)", name, line)
        if not plain.startswith(("write(", "read(", "pwrite64(", "getdents64(")):
            plain = re.sub(r'(?<=")((?:\\x[0-9a-f]{2})+)(?=")', name, plain)
        lines.append(plain)
    return "\n".join(lines)


def inject(
    command: list[str], call: Call, fault: str, output: Path, children: bool = True, **given
) -> tuple[subprocess.CompletedProcess, bool]:
    """Run a command with one of its calls failing; whether it was hit.

    fault     "SIGKILL", which comes before the call is carried out; the name of an errno; or a
              number, which the call answers without having done anything
    children  whether the command may start others. Without, the kernel passes by the calls that
              are not traced, in a third less time; a kill would never come that way.
    """
    kill = fault == "SIGKILL"
    how = "signal=SIGKILL" if kill else f"retval={fault}" if fault.isdigit() else f"error={fault}"
    options = ["-e", f"trace={call.name}", "-e", f"inject={call.name}:{how}:when={call.nth}"]
    if not children and not kill:
        options = ["-f", "--seccomp-bpf", *options]
    done = strace(command, output, *options, **given)
    fired = done.returncode == -9 if kill else "(INJECTED)" in output.read_text()
    return done, fired
