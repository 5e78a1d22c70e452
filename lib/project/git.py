"""What git and the disk say: files that Bash changed, fingerprints, drift.

Only at a checkpoint and at a start, never for a tool call. git is asked for at most GIT_SECONDS
and is kept from taking locks, so that it is never in the way of the user's own. Where there is no
git, or no answer in time, nothing is said: a file that is not listed is missed, a file that is
listed wrongly misleads.
"""

from __future__ import annotations

import os
import stat
import time
from _blake2 import blake2b

from ..format import records
from ..recording import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


GIT_SECONDS = 2.0

HASHED_BYTES = 1 << 20
"""The size up to which contents are part of a fingerprint."""

GONE = "gone"

KINDS = ("created", "changed", "deleted")

_TICK_NS = 20_000_000
"""File systems stamp changes with the kernel's tick, which may lie behind the clock by one."""


def repository_of(project: str) -> str:
    """The nearest ancestor-or-self with a `.git`, "" when there is none. Raises OSError."""
    here = project.rstrip("/")
    while here:
        try:
            os.lstat(here + "/.git")
        except (FileNotFoundError, NotADirectoryError):
            here = here.rpartition("/")[0]
        else:
            return here
    return ""


_ALONE = [
    part
    for setting in (
        "core.fsmonitor=false",  # it and the hooks are programs that the repository names
        "core.hooksPath=/dev/null",
        "protocol.allow=never",  # in a partial clone git would fetch what is missing
        "status.renames=false",
        "log.showSignature=false",
        "diff.orderFile=/dev/null",
    )
    for part in ("-c", setting)
]
"""Settings that keep git off the network, and the user's own from changing what it says."""


def _git(repository: str, arguments: list[str], seconds: float) -> bytes | None:
    """What git prints; None when it is not there, fails, or takes too long."""
    import subprocess  # as costly as the rest of a stop, and most turns need no git

    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment.update(GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0", LC_ALL="C")
    environment["GIT_NO_LAZY_FETCH"] = "1"
    # Where the `.git` found is none after all, git must not go on to a repository above it.
    environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(os.path.realpath(repository))
    command = ["git", "-C", repository, *_ALONE, *arguments]
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=max(seconds, 0.01),
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def main_checkout(project: str) -> str:
    """The main checkout of a linked worktree; "" where the project is none."""
    try:
        descriptor = os.open(f"{project}/.git", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            text = os.fsdecode(file.read(4096)).strip()
    except OSError:
        return ""
    main, found, _ = text.partition("gitdir: ")[2].partition("/.git/worktrees/")
    return os.path.normpath(os.path.join(project, main)) if found else ""


def remote_of(project: str) -> str | None:
    """The address of the remote `origin`, or of the only one, as git would use it.

    "" where there is none, None where git is not there, refuses, or takes too long. Raises OSError.
    """
    repository = repository_of(project)
    if not repository:
        return ""
    give_up = time.monotonic() + GIT_SECONDS
    found = _git(repository, ["remote", "get-url", "origin"], GIT_SECONDS)
    if found is None:
        names = _git(repository, ["remote"], give_up - time.monotonic())
        if names is None:
            return None
        only = os.fsdecode(names).splitlines()
        if len(only) != 1:
            return ""
        get = ["remote", "get-url", "--", *only]
        found = _git(repository, get, give_up - time.monotonic())
    return None if found is None else found.decode("utf-8", "replace").strip()


def is_ignored(project: str, path: str) -> bool | None:
    """Whether git leaves a file of the project, which is there, out; None where git cannot say."""
    if not os.path.lexists(f"{project}/.git"):
        return None
    arguments = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", path]
    found = _git(project, arguments, 10)
    return None if found is None else bool(found)


def parse_status(output: bytes) -> tuple[str, dict[str, str]]:
    """HEAD's commit, and each path's kind, of `git status --porcelain=v2 --branch -z`.

    git-status(1), "Porcelain Format Version 2". Kinds are created, changed and deleted; a rename
    is a deletion and a creation.
    """
    head = ""
    kinds: dict[str, str] = {}
    fields = iter(output.decode("utf-8", "surrogateescape").split("\0"))
    for field in fields:
        if field.startswith("# branch.oid "):
            head = field[13:]
        elif field.startswith("? "):
            kinds[field[2:]] = "created"
        elif field[:2] in ("1 ", "u "):
            *_, path = field.split(" ", 8 if field[0] == "1" else 10)
            codes = field[2:4]
            kinds[path] = "deleted" if "D" in codes else "created" if "A" in codes else "changed"
        elif field.startswith("2 "):
            *_, path = field.split(" ", 9)
            kinds[path] = "created"
            origin = next(fields, "")
            if "R" in field[2:4]:
                kinds[origin] = "deleted"
    return head, kinds


def changed_since(project: str, since: float, commands: str = "") -> dict[str, Any] | None:
    """What git says has changed since a time, in seconds since the epoch, when `commands` ran.

    Gives {"head": commit, "created": [paths], "changed": [...], "deleted": [...]}, paths as in the
    journal; None where git says nothing. What was committed since is found in the log. Raises
    OSError: what cannot be looked at is neither there nor gone.
    """
    repository = repository_of(project)
    if not repository:
        return None
    give_up = time.monotonic() + GIT_SECONDS
    status = ["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"]
    output = _git(repository, [*status, "--ignore-submodules=all"], GIT_SECONDS)
    if output is None:
        return None
    head, kinds = parse_status(output)
    log = ["log", f"--since=@{int(since)}", "--name-only", "-z", "--format=", "--no-renames"]
    committed = _git(repository, [*log, "HEAD", "--"], give_up - time.monotonic()) or b""
    for path in committed.decode("utf-8", "surrogateescape").split("\0"):
        kinds.setdefault(path.strip("\n"), "changed")
    found: dict[str, Any] = {"head": head}
    for path, kind in kinds.items():
        # A path that ends in a slash is a repository of its own: its work is not this project's.
        if not path or path.endswith("/") or f"/{path}".startswith("/.claude/state/"):
            continue
        outcome = _outcome_since(f"{repository}/{path}", kind, since)
        if outcome:
            found.setdefault(outcome, []).append(path)
    # Of a deleted file only its folder's time is left, which whatever came to the folder changes as
    # well: a command must have named the file.
    found["deleted"] = [path for path in found.get("deleted", ()) if _is_named(path, commands)]
    for kind in KINDS:
        paths = [f"{repository}/{path}" for path in found.get(kind, ())]
        found[kind] = [journal.locate(path, project, project) for path in paths]
    return found


def _is_named(path: str, commands: str) -> bool:
    """Whether commands name a path or a folder of it, or a pattern that may stand for it."""
    return "*" in commands or any(part in commands for part in path.split("/") if part)


def _outcome_since(path: str, kind: str, since: float) -> str:
    """What became of a path that git lists, if it was since a time; "" if it was before.

    The inode's change time tells, which a rename or a copied time stamp cannot hide. Of a deleted
    file only its directory can tell.
    """
    seen = path
    try:
        status = os.lstat(path)
        if kind == "deleted":
            kind = "changed"
    except (FileNotFoundError, NotADirectoryError):
        kind = "deleted"
        while True:
            seen = seen.rpartition("/")[0] or "/"
            try:
                status = os.lstat(seen)
                break
            except (FileNotFoundError, NotADirectoryError):
                pass
    if status.st_ctime_ns < since * 1e9 - _TICK_NS:
        return ""
    return kind


def fingerprint(path: str, key: bytes) -> str:
    """What a file looks like now: "size:mtime:digest", GONE, or "" when that cannot be told.

    The digest is keyed, of contents up to HASHED_BYTES, and empty for what is larger, or is not
    to be read.
    """
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return GONE
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return ""
    head = f"{status.st_size}:{status.st_mtime_ns}:"
    try:
        if stat.S_ISLNK(status.st_mode):
            return head + _digest(os.fsencode(os.readlink(path)), key)
        if not stat.S_ISREG(status.st_mode) or status.st_size > HASHED_BYTES:
            return head
        descriptor = os.open(path, journal.READ)
        try:
            return head + _digest(os.read(descriptor, HASHED_BYTES), key)
        finally:
            os.close(descriptor)
    except OSError:
        return head


def _digest(data: bytes, key: bytes) -> str:
    return blake2b(data, digest_size=8, key=key).hexdigest()


def looks_the_same(path: str, before: str) -> bool:
    """Whether size and time are those of a fingerprint, so that contents need not be read."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return before == GONE
    return before.startswith(f"{status.st_size}:{status.st_mtime_ns}:")


def fingerprints(project: str, files: dict[str, str]) -> dict[str, str]:
    """New fingerprints of those files that do not look like theirs, or have none yet."""
    key = records.users_key()
    found = {}
    for path, before in files.items():
        where = os.path.join(project, path)
        if not looks_the_same(where, before):
            found[path] = fingerprint(where, key)
    return {path: mark for path, mark in found.items() if mark}


def drift(project: str, files: dict[str, str]) -> dict[str, str]:
    """Files that are not as their fingerprints say, the last first: path -> "changed" or GONE."""
    key = records.users_key()
    drifted = {}
    for path, before in reversed([*files.items()]):
        where = os.path.join(project, path)
        if not before or looks_the_same(where, before):
            continue
        after = fingerprint(where, key)
        if not after:
            continue
        if GONE in (after, before):
            drifted[path] = GONE if after == GONE else "changed"
            continue
        # A new time with the same size and contents is a touch, or a branch switched and back.
        (size, _, digest), (old_size, _, old_digest) = after.split(":"), before.split(":")
        if not digest or (size, digest) != (old_size, old_digest):
            drifted[path] = "changed"
    return drifted
