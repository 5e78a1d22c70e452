"""Check of git: can it be asked what commands change?"""

from __future__ import annotations

import time
from shlex import quote

from ...project import git
from .finding import MEND, NOTE, OK, Finding, Subject

_MENDS = (
    ("cannot be run", "install git, or put it on the PATH that Claude Code runs with"),
    ("dubious ownership", "if you trust it: git config --global --add safe.directory {path}"),
    ("longer than", "see what takes long, a filter or many untracked files: git -C {path} status"),
    ("", "see what git says: git -C {path} status"),
)
"""A part of the cause, and what to do about it."""


def check_git(subject: Subject) -> Finding:
    """Can git be asked, as a stop asks it, what commands changed?"""
    found = git.changed_since(subject.project, time.time())
    cause = found.get("unseen", "")
    if not cause:
        return Finding("git", OK, "git tells what commands change")
    said = f"git does not tell what commands change: {cause}"
    if cause == git.NO_REPOSITORY:
        return Finding("git", NOTE, said)
    path = quote(git.repository_of(subject.project))
    mend = next(mend for part, mend in _MENDS if part in cause).format(path=path)
    return Finding("git", NOTE if "head" in found else MEND, said, mend)
