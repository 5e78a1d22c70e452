"""What git and the disk say: files that Bash changed, fingerprints, drift.

Only at a checkpoint and at a start, never for a tool call. git is asked for at most GIT_SECONDS
and is kept from taking locks, so that it is never in the way of the user's own. What git cannot
tell is unknown, with its cause: a file that is listed wrongly misleads.
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

    from .run_git import Answer


GIT_SECONDS = 2.0

HASHED_BYTES = 1 << 20
"""The size up to which contents are part of a fingerprint."""

GONE = "gone"

KINDS = ("created", "changed", "deleted")

NO_REPOSITORY = "there is no git repository"

_STATUS = ["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"]
_UNBORN = "(initial)"
_MERGING = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")

_TICK_NS = 20_000_000
"""File systems stamp changes with the kernel's tick, which may lie behind the clock by one."""


_COARSE = 2.0
"""Seconds by which a file system's times may be cut: FAT counts by two, others by one."""

UNKNOWN = "unknown"


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


def _ask(repository: str, arguments: list[str], seconds: float) -> Answer:
    from .run_git import run_git  # as costly as the rest of a stop, and most turns need no git

    return run_git(repository, arguments, seconds)


def git_directory(repository: str) -> str:
    """Where git keeps its files of a repository: `.git`, or what a file `.git` names."""
    path = f"{repository}/.git"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            named = os.fsdecode(file.read(4096)).strip().partition("gitdir: ")[2]
    except OSError:
        return path
    return os.path.normpath(os.path.join(repository, named)) if named else path


def main_checkout(project: str) -> str:
    """The main checkout of a linked worktree; "" where the project is none."""
    main, found, _ = git_directory(project).partition("/.git/worktrees/")
    return main if found else ""


def remote_of(project: str) -> str | None:
    """The address of the remote `origin`, or of the only one, as git would use it.

    "" where there is none, None where git is not there, refuses, or takes too long. Raises OSError.
    """
    repository = repository_of(project)
    if not repository:
        return ""
    give_up = time.monotonic() + GIT_SECONDS
    found = _ask(repository, ["remote", "get-url", "origin"], GIT_SECONDS)
    if found.failure:
        names = _ask(repository, ["remote"], give_up - time.monotonic())
        if names.failure:
            return None
        only = os.fsdecode(names.output).splitlines()
        if len(only) != 1:
            return ""
        get = ["remote", "get-url", "--", *only]
        found = _ask(repository, get, give_up - time.monotonic())
    return None if found.failure else found.output.decode("utf-8", "replace").strip()


def is_ignored(project: str, path: str) -> bool | None:
    """Whether git leaves a file of the project, which is there, out; None where git cannot say."""
    if not os.path.lexists(f"{project}/.git"):
        return None
    arguments = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", path]
    found = _ask(project, arguments, 10)
    return None if found.failure else bool(found.output)


def parse_status(output: bytes, merging: bool = False) -> tuple[str, dict[str, str]]:
    """HEAD's commit, and each path's kind, of `git status --porcelain=v2 --branch -z`.

    git-status(1), "Porcelain Format Version 2". Kinds are created, changed and deleted; a rename
    is a deletion and a creation. The path of a repository ends in a slash. While git is `merging`,
    what is staged or in conflict may be the merge's work, and is left out.
    """
    head = ""
    kinds: dict[str, str] = {}
    fields = iter(output.decode("utf-8", "surrogateescape").split("\0"))
    for field in fields:
        codes = field[2:4]
        is_merges = merging and (field[:2] == "u " or codes[1:] == ".")
        if field.startswith("# branch.oid "):
            head = field[13:]
        elif field.startswith("? "):
            kinds[field[2:]] = "created"
        elif field.startswith("2 "):
            *_, path = field.split(" ", 9)
            origin = next(fields, "")
            if not is_merges:
                kinds[path] = "created"
                if "R" in codes:
                    kinds[origin] = "deleted"
        elif field[:2] in ("1 ", "u ") and not is_merges:
            *_, path = field.split(" ", 8 if field[0] == "1" else 10)
            path += "/" * (field[5:6] == "S")
            kinds[path] = "deleted" if "D" in codes else "created" if "A" in codes else "changed"
    return head, kinds


def changed_since(project: str, since: float, commands: str = "") -> dict[str, Any]:
    """What git says has changed since a time, in seconds since the epoch, when `commands` ran.

    Gives {"head": commit, "created": [paths], "changed": [...], "deleted": [...]}, paths as in the
    journal, and "unseen": the cause, where something could not be seen; without "head" nothing was.
    What a merge, a checkout, a reset or a pull brought is not part of it. Raises OSError: what
    cannot be looked at is neither there nor gone.
    """
    repository = repository_of(project)
    if not repository:
        return {"unseen": NO_REPOSITORY}
    if since > time.time() + 1:
        return {"unseen": "the clock was set back, and the times of files tell nothing"}
    look = _Look(since, time.monotonic() + GIT_SECONDS)
    head = look.at(repository, "")
    found: dict[str, Any] = {"unseen": look.unseen} if look.unseen else {}
    if not head:
        return found
    found["head"] = head
    for path, kind in look.kinds.items():
        outcome = _outcome_since(f"{repository}/{path}", kind, since)
        if outcome == UNKNOWN:
            found.setdefault("unseen", f"times are in whole seconds here, and {path} may be older")
        elif outcome and not f"/{path}".startswith("/.claude/state/"):
            found.setdefault(outcome, []).append(path)
    # Of a deleted file only its folder's time is left, which whatever came to the folder changes as
    # well: a command must have named the file.
    found["deleted"] = [path for path in found.get("deleted", ()) if _is_named(path, commands)]
    for kind in KINDS:
        paths = [f"{repository}/{path}" for path in found.get(kind, ())]
        found[kind] = [journal.locate(path, project, project) for path in paths]
    return found


class _Look:
    """Asks git about a repository and those inside it, until the time is up.

    kinds   path from the first repository -> kind
    unseen  the first cause why something could not be seen; "" without one
    """

    def __init__(self, since: float, give_up: float) -> None:
        self.since = since
        self.give_up = give_up
        self.kinds: dict[str, str] = {}
        self.unseen = ""

    def at(self, repository: str, prefix: str) -> str:
        """Look at a repository, whose paths get a prefix. Returns its HEAD; "" if git fails."""
        merging = any(os.path.lexists(f"{git_directory(repository)}/{name}") for name in _MERGING)
        status = self._ask(repository, prefix, [*_STATUS, "--ignore-submodules=none"])
        if not status:  # one submodule that git refuses makes all of it fail
            status = self._ask(repository, prefix, [*_STATUS, "--ignore-submodules=all"])
        if not status:
            return ""
        if merging:
            self._miss(prefix, "a merge or rebase goes on, and what it changed is not told apart")
        head, kinds = parse_status(status, merging)
        if head != _UNBORN:
            # Only commits made here: the log of HEAD has also those that a pull brought.
            made = ["-g", "--grep-reflog=^commit", "--grep-reflog=^revert", "--cc"]
            if not os.path.lexists(f"{git_directory(repository)}/logs/HEAD"):
                made = []  # core.logAllRefUpdates is off
            log = ["log", *made, f"--since=@{int(self.since)}", "--name-only", "-z", "--format="]
            committed = self._ask(repository, prefix, [*log, "--no-renames", "HEAD", "--"])
            for path in committed.decode("utf-8", "surrogateescape").split("\0"):
                kinds.setdefault(path.strip("\n"), "changed")
        for path, kind in kinds.items():
            inner = f"{repository}/{path}".rstrip("/")
            if not os.path.lexists(f"{inner}/.git") or not path:
                self.kinds[prefix + path] = kind
            elif not main_checkout(inner):  # a linked worktree has a state of its own
                self._enter(inner, prefix + path.rstrip("/") + "/")
        return head

    def _enter(self, repository: str, prefix: str) -> None:
        """Look at a repository inside, unless its settings name programs to run.

        It may have come with an archive, settings and all, and nobody was asked to trust it.
        """
        settings = ["config", "--local", "--includes", "--name-only", "-z", "--list"]
        names = self._ask(repository, prefix, settings).lower().split(b"\0")
        if any(name.startswith(b"filter.") for name in names):
            self._miss(prefix, "has filters of its own, which were not run")
        else:
            self.at(repository, prefix)

    def _ask(self, repository: str, prefix: str, arguments: list[str]) -> bytes:
        answer = _ask(repository, arguments, self.give_up - time.monotonic())
        if answer.failure:
            self._miss(prefix, answer.cause)
        return answer.output

    def _miss(self, prefix: str, cause: str) -> None:
        self.unseen = self.unseen or (f"{prefix} {cause}" if prefix else cause)


def _is_named(path: str, commands: str) -> bool:
    """Whether commands name a path or a folder of it, or a pattern that may stand for it."""
    return "*" in commands or any(part in commands for part in path.split("/") if part)


def _outcome_since(path: str, kind: str, since: float) -> str:
    """What became of a path that git lists, if it was since a time; "" if before, or UNKNOWN.

    The inode's change time tells, which a rename or a copied time stamp cannot hide. Of a deleted
    file only its directory can tell.
    """
    seen = path
    try:
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):  # git lists files; this took the place of one, or is empty
            kind = "deleted" if kind == "deleted" else ""
        elif kind == "deleted":
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
    if status.st_ctime_ns >= since * 1e9 - _TICK_NS:
        return kind
    whole_seconds = not status.st_ctime_ns % 1_000_000_000
    return UNKNOWN if whole_seconds and status.st_ctime >= since - _COARSE else ""


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
