"""Which project this is, on whatever machine: its git remote, or WORKFLOW_STATE_PROJECT."""

from __future__ import annotations

import os

from .. import journal
from . import StoreError

LIMIT = 1 << 18
"""Bytes of a git configuration that are read."""


def project_name(directory: str) -> str:
    """The name under which machines share the project of a state directory. Raises StoreError."""
    given = journal.environment("WORKFLOW_STATE_PROJECT")
    name = given or normalised(_remote(directory[:-14] or "/"))
    if not name:
        raise StoreError(
            "machines know a project by its git remote `origin`, and this one has none: set "
            "WORKFLOW_STATE_PROJECT to a name of it, the same on each machine"
        )
    return "".join(
        [letter if letter.isprintable() and letter not in "{} " else "_" for letter in name]
    )


def normalised(remote: str) -> str:
    """One name for all forms of a remote's address, without a user, a password or a port."""
    rest = remote.strip()
    scheme, found, after = rest.partition("://")
    if found:
        if scheme == "file":
            return ""  # a path names nothing on another machine
        host, _, path = after.partition("/")
        host = host.rpartition("@")[2].partition(":")[0]
    elif ":" in rest.partition("/")[0]:  # git@host:owner/name
        host, _, path = rest.partition(":")
        host = host.rpartition("@")[2]
    else:
        return ""
    path = path.strip("/")
    path = path.removesuffix(".git")
    return f"{host.lower()}/{path}" if host and path else ""


def _remote(project: str) -> str:
    """The address of the remote `origin`, or of the only one, in a project's git configuration."""
    here = project.rstrip("/")
    while here:
        found = _configuration(here + "/.git")
        if found is not None:
            return _origin(found)
        here = here.rpartition("/")[0]
    return ""


def _configuration(git: str) -> str | None:
    if os.path.isfile(git):  # a linked worktree, or a submodule
        pointed = _read(git).partition("gitdir:")[2].strip()
        git = os.path.join(os.path.dirname(git), pointed)
        common = _read(git + "/commondir").strip()
        if common:
            git = os.path.join(git, common)
    return _read(git + "/config") if os.path.isdir(git) else None


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.read(descriptor, LIMIT).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
    except OSError:
        return ""


def _origin(configuration: str) -> str:
    urls: dict[str, str] = {}
    section = ""
    for line in configuration.splitlines():
        text = line.strip()
        if text.startswith("["):
            section = text
        name, equals, value = text.partition("=")
        if section.startswith('[remote "') and equals and name.strip() == "url":
            urls.setdefault(section[9:].partition('"')[0], value.strip().strip('"'))
    if "origin" in urls:
        return urls["origin"]
    return next(iter(urls.values())) if len(urls) == 1 else ""
