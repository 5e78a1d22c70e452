"""Run git as a guest: with a deadline, off the network, and with no process left behind.

git reads the user's own configuration: filters, line ends, ignored files and `safe.directory` are
what make its answer true for this user. Settings that only change how it answers are overruled.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time

from ..recording import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = "refused"
MISSING = "missing"
TOO_SLOW = "too slow"

_SETTINGS = (
    "core.fsmonitor=false",  # it and the hooks are programs that the repository names
    "core.hooksPath=/dev/null",
    "protocol.allow=never",  # in a partial clone git would fetch what is missing
    "status.renames=false",
    "log.showRoot=true",
    "log.showSignature=false",
    "diff.orderFile=/dev/null",
)

_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
"""Variables that say where the user's configuration is. A git hook sets all others for itself."""

_SLICE = 0.05
"""Seconds after which git is looked at, while it or a child of it keeps its output open."""

_GRACE = 0.5
"""Seconds to wait for what was killed: a process that waits for a dead server cannot end."""

_CAUSE_BYTES = 200


class Answer:
    """What git said.

    failure  "", REFUSED, MISSING or TOO_SLOW
    cause    the failure in words; "" without one
    output   what git printed, which may be nothing; b"" after a failure
    """

    __slots__ = ("cause", "failure", "output")

    def __init__(self, output: bytes, failure: str = "", cause: str = "") -> None:
        self.output = output
        self.failure = failure
        self.cause = cause


def run_git(repository: str, arguments: list[str], seconds: float) -> Answer:
    """Run git in a repository for at most so many seconds.

    git leads a process group, which is killed at the end: filters would otherwise go on alone.
    """
    if seconds <= 0:
        return Answer(b"", TOO_SLOW, "git took too long")
    settings = [*_SETTINGS, *_safe_directories()]
    command = ["git", "-C", repository, *(part for each in settings for part in ("-c", each))]
    try:
        process = subprocess.Popen(
            [*command, *arguments],
            env=_environment(repository),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        why = "it is not on the PATH" if error.errno == errno.ENOENT else error.strerror
        return Answer(b"", MISSING, f"git cannot be run: {why}")
    try:
        output, errors, ended = _read(process, time.monotonic() + seconds)
    finally:
        _kill_group(process)
    if not ended:
        return Answer(b"", TOO_SLOW, f"git took longer than {seconds:.1f} seconds")
    if process.returncode:
        return Answer(b"", REFUSED, f"git failed: {_reason(errors) or process.returncode}")
    return Answer(output)


def _environment(repository: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT
    }
    return {
        **kept,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        # Where the `.git` found is none after all, git must not go on to a repository above it.
        "GIT_CEILING_DIRECTORIES": os.path.dirname(os.path.realpath(repository)),
        "LC_ALL": "C",
    }


def _safe_directories() -> Iterator[str]:
    """The `safe.directory` settings that the user gives by variables: git-config(1)."""
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    for number in range(int(count) if count.isdecimal() else 0):
        name = os.environ.get(f"GIT_CONFIG_KEY_{number}")
        if name is None:
            break
        if name.lower() == "safe.directory":
            yield "safe.directory=" + os.environ.get(f"GIT_CONFIG_VALUE_{number}", "")


def _read(process: subprocess.Popen[bytes], give_up: float) -> tuple[bytes, bytes, bool]:
    """stdout, stderr, and whether git has ended. A child that keeps them open is not waited for."""
    while True:
        ended = process.poll() is not None  # looked at first: all that git wrote is there to read
        over = ended or time.monotonic() > give_up
        try:
            wait = _SLICE if over else min(_SLICE, max(give_up - time.monotonic(), 0.001))
            return (*process.communicate(timeout=wait), True)
        except subprocess.TimeoutExpired as unfinished:
            if over:
                return unfinished.output or b"", unfinished.stderr or b"", ended


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()
    if process.returncode is None:
        _adopt_orphans()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        return  # nothing of it is left, or only what became another user's
    give_up = time.monotonic() + _GRACE
    try:
        while time.monotonic() < give_up:
            if os.waitpid(-process.pid, os.WNOHANG)[0] == 0:
                time.sleep(0.005)
    except ChildProcessError:
        pass  # all have ended
    if process.returncode is None:
        process.returncode = -signal.SIGKILL


def _adopt_orphans() -> None:
    """Become the parent of git's children when git ends, on Linux.

    The first process of a container often waits for none, and they would stay as zombies.
    """
    try:
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    except (ImportError, OSError, AttributeError):
        pass


def _reason(errors: bytes) -> str:
    """The last thing that git calls fatal or an error, without secrets."""
    lines = errors.decode("utf-8", "replace").splitlines()[::-1]
    for begin in ("fatal: ", "error: ", ""):
        for line in lines:
            if line.startswith(begin) and line.strip():
                text = "".join(letter if letter.isprintable() else "?" for letter in line)
                return journal.masked(text[len(begin) :], _CAUSE_BYTES)
    return ""
