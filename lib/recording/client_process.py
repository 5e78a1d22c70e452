"""Which process of the client this is: a number alone may be another's tomorrow."""

import posix  # not os: hooks use this

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def process_facts(number: str) -> "dict[str, Any]":
    """The process with this number, on this host, now; {} where that is no process's number."""
    if not (number.isascii() and number.isdigit()) or len(number) > 10:
        return {}
    facts: dict[str, Any] = {"pid": int(number), "host": posix.uname().nodename[:128]}
    started = process_start(facts["pid"])
    if started:
        facts["started"] = started
    return facts


def keeps_no_transcript(fields: "dict[str, Any]", environment: "Callable[[str], str]") -> bool:
    """Whether the client was started to keep nothing of what is said.

    The event of a request looks like any other, so the client's own command line is read.
    """
    if "transcript_path" in fields and not fields["transcript_path"]:
        return True
    skips = environment("CLAUDE_CODE_SKIP_PROMPT_HISTORY").strip().lower()
    if skips in ("1", "true", "yes", "on"):
        return True
    return b"--no-session-persistence" in _arguments(environment("CLAUDE_PID"))


def _arguments(number: str) -> "list[bytes]":
    """A process's arguments; [] where /proc does not say."""
    try:
        descriptor = posix.open(f"/proc/{int(number)}/cmdline", posix.O_RDONLY | posix.O_CLOEXEC)
        data = bytearray()
        try:
            while True:
                chunk = posix.read(descriptor, 65536)
                if not chunk:
                    return bytes(data).split(b"\0")
                data += chunk
        finally:
            posix.close(descriptor)
    except (OSError, ValueError):
        return []


def process_start(pid: int) -> int:
    """When a process started, in the kernel's ticks since it booted.

    0 where /proc does not say, and for a process that has ended and waits for its parent.
    """
    try:
        descriptor = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            fields = posix.read(descriptor, 1024).rpartition(b")")[2].split()
        finally:
            posix.close(descriptor)
        # proc(5): state is the 3rd field, the first after the command's name; starttime the 22nd
        return 0 if fields[0] == b"Z" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return 0
