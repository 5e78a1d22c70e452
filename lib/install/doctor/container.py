"""The check of a container: is the home, where the key is, kept when it is made anew?"""

from __future__ import annotations

import os

from ...recording import journal
from .finding import NOTE, OK, Finding, Subject

MARKS = ("/.dockerenv", "/run/.containerenv")
MOUNTS = "/proc/self/mountinfo"
FIRST = "/proc/1/environ"

PASSING = ("overlay", "aufs", "tmpfs", "ramfs", "fuse.fuse-overlayfs")
"""Kinds of file systems that go with their container."""

WANTED = ("WORKFLOW_STATE_DIR", "WORKFLOW_STATE_KEY")


def check_container(_subject: Subject) -> Finding:
    """Does what is at home outlive the container?"""
    home = os.path.realpath(os.path.dirname(journal.key_path()) or journal.environment("HOME"))
    kind = file_system(_read(MOUNTS), home)
    if not _is_container() or kind not in PASSING:
        return Finding("container", OK, "this is no container whose home goes with it")
    missing = [name for name in WANTED if not journal.environment(name)]
    said = f"in this container {home} is on {kind}, and goes with it"
    if not missing:
        return Finding("container", OK, f"{said}; {' and '.join(WANTED)} are set")
    mend = {
        "WORKFLOW_STATE_DIR": "WORKFLOW_STATE_DIR to a directory that is kept",
        "WORKFLOW_STATE_KEY": "WORKFLOW_STATE_KEY to a secret that stays the same",
    }
    return Finding("container", NOTE, said, f"set {' and '.join(mend[name] for name in missing)}")


def _is_container() -> bool:
    marked = any(os.path.exists(mark) for mark in MARKS)
    return marked or any(each.startswith("container=") for each in _read(FIRST).split("\0"))


def file_system(mounts: str, path: str) -> str:
    """The kind of the file system that holds a path, by a mountinfo; "" if it does not say."""
    longest, kind = "", ""
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        fields, about = mount.split(" "), source.split(" ")
        if len(fields) < 5 or not about[0]:
            continue
        point = fields[4].encode().decode("unicode_escape", "replace").rstrip("/")
        if f"{path}/".startswith(f"{point}/") and len(point) >= len(longest):
            longest, kind = point, about[0]
    return kind


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
