"""Which project this is, on whatever machine: its git remote, or WORKFLOW_STATE_PROJECT."""

from __future__ import annotations

import os

from ...errors import StoreError
from ...project import place
from ...project.git import remote_of
from ...recording import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 1 << 18
"""Bytes of a git configuration that are read."""

_CASELESS = ("github.com", "gitlab.com", "bitbucket.org")
"""Hosts that find a repository whatever the case of its name."""


def project_name(directory: str) -> str:
    """The name under which machines share the project of a state directory. Raises StoreError."""
    given = journal.environment("WORKFLOW_STATE_PROJECT")
    name = given if given.strip() else normalised(_remote(place.project_of(directory)))
    if not name:
        raise StoreError(
            "machines know a project by its git remote `origin`, and this one has none: set "
            "WORKFLOW_STATE_PROJECT to a name of it, the same on each machine"
        )
    return "".join(map(_encoded, name))


def _encoded(letter: str) -> str:
    """A letter as it may stand in a key of the server; no two names become one."""
    if letter.isprintable() and letter not in "{} %":
        return letter
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))


def normalised(remote: str) -> str:
    """One name for all forms of a remote's address, without user, password, port, and query."""
    rest = remote.strip().partition("?")[0].partition("#")[0]
    scheme, found, after = rest.partition("://")
    if found:
        if scheme.lower() == "file":
            return ""  # a path names nothing on another machine
        host, _, path = after.partition("/")
        host = _without_port(host.rpartition("@")[2])
    else:  # git@host:owner/name
        host, path = _host_and_path(rest)
    host = host.lower()
    path = path.strip("/").removesuffix(".git").rstrip("/")
    if host in _CASELESS:
        path = path.lower()
    return f"{host}/{path}" if host and path else ""


def _without_port(host: str) -> str:
    address, closed, _ = host.partition("]")  # [::1]:22
    return address + "]" if closed else host.partition(":")[0]


def _host_and_path(address: str) -> tuple[str, str]:
    user, at, rest = address.partition("@")
    if not at or "/" in user or ":" in user:
        rest = address
    host, colon, path = rest.partition("]:" if rest.startswith("[") else ":")
    # A drive's letter is no host, nor is a helper's name: C:/x, ext::command.
    if not colon or "/" in host or (not at and len(host) == 1) or path.startswith(":"):
        return "", ""
    return (host + "]" if rest.startswith("[") else host), path


def _remote(project: str) -> str:
    """The address of the remote `origin`, or of the only one; git is asked, where there is one."""
    try:
        found = remote_of(project)
    except OSError:
        found = None
    return _read_remote(project) if found is None else found


def _read_remote(project: str) -> str:
    """The same, from the configuration of the repository alone."""
    here = project.rstrip("/")
    while here:
        text = _configuration(here + "/.git")
        if text is not None:
            return _origin(text)
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
    instead: dict[str, str] = {}
    for section, of, name, value in _settings(configuration):
        if (section, name) == ("remote", "url"):
            urls.setdefault(of, value)
        elif (section, name) == ("url", "insteadof"):
            instead[value] = of
    url = urls.get("origin") or (next(iter(urls.values())) if len(urls) == 1 else "")
    begins = max((each for each in instead if url.startswith(each)), key=len, default="")
    return instead[begins] + url[len(begins) :] if begins else url


def _settings(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Section, subsection, name and value of each line: git-config(1), "Syntax"."""
    import re

    header = re.compile(r"""\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]\s*(.*)""")
    section = of = ""
    for line in text.replace("\\\r\n", "").replace("\\\n", "").splitlines():
        rest = line.strip()
        found = header.match(rest)
        if found:
            section, _, of = found[1].lower().partition(".")  # [remote.origin], as of old
            of = re.sub(r"\\(.)", r"\1", found[2] or of)
            rest = found[3]
        name, equals, value = rest.partition("=")
        if equals and rest[0] not in "#;":
            yield section, of, name.strip().lower(), _value(value)


def _value(text: str) -> str:
    """What a value says: without quotes, and without a comment behind it."""
    letters = []
    quoted = False
    following = iter(text.strip())
    for letter in following:
        if letter == '"':
            quoted = not quoted
        elif letter == "\\":
            letters.append(next(following, ""))
        elif letter in "#;" and not quoted:
            break
        else:
            letters.append(letter)
    return "".join(letters).strip()
