"""The file of a project's whole state: its members' names, and how to read them.

The file is a tar archive (POSIX.1-2001) of plain files with the names they have in a state
directory. `.export.json`, the first, names the format; `.manifest.json`, the last, has the size and
digest of each. It is not compressed: the sizes in it are those on the disk.

A document keeps its bytes, because its signature covers them. So what another user or machine wrote
stays foreign, until `workflow-state trust` adopts it.
"""

from __future__ import annotations

import tarfile

from ..errors import BadName, Unreadable
from ..format import documents, records
from ..format.json_text import loads
from ..project.place import check_name, session_of
from ..recording import journal
from ..stores import CHECKPOINTS, KEYS
from ..stores.document_checks import SIZE_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO, Optional

    Document = dict[str, Any]
    Passed = Optional[Callable[[int, int], None]]

VERSION = 1
FORMAT = "workflow-state export"
HEAD = ".export.json"
MANIFEST = ".manifest.json"
"""Names that no key has: keys do not begin with a dot."""

SESSIONS = "sessions"
CHUNK = 1 << 20
LONGEST_HEADER = 1 << 16
"""Bytes of a member's extended header; ours hold a name."""

_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


# --- names -------------------------------------------------------------------------------------


def member_of(collection: str, name: str) -> str:
    """The name of a document or a journal in the file; the same as in a state directory."""
    if collection == SESSIONS:
        return f"{SESSIONS}/{name}.jsonl"
    return f"{'' if collection == KEYS else collection + '/'}{journal.stem(name)}.json"


def parse_member(member: str) -> tuple[str, str]:
    """Collection and name of a member. Raises Unreadable for any other text."""
    folder, _, file = member.rpartition("/")
    stem, _, _ = file.rpartition(".")
    if folder == SESSIONS:
        collection, name, known = SESSIONS, stem, bool(stem) and session_of(stem) == stem
    else:
        collection, name = folder or KEYS, stem.partition("~")[0]
        known = collection in (CHECKPOINTS, KEYS) and _is_name(name)
    if not known or member_of(collection, name) != member:  # an absolute path among them
        raise Unreadable(f"it has a member {member!r:.200}, which is not a file of a state")
    return collection, name


def _is_name(name: str) -> bool:
    try:
        check_name(name, "name")
    except BadName:
        return False
    return True


# --- reading -----------------------------------------------------------------------------------


class _Member(tarfile.TarInfo):
    """A member whose extended header is not read into memory, whatever size it claims."""

    def _proc_member(self, archive: Any) -> Any:
        plain = self.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        if not plain and (self.type != tarfile.XHDTYPE or self.size > LONGEST_HEADER):
            raise Unreadable(f"it has a member {self.name!r:.200} that is no plain file")
        return super()._proc_member(archive)  # type: ignore[misc]


_NOT_WHOLE = "it is cut, damaged or no export"


def _members(source: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, Content]]:
    """Members and their contents, in the order of the file. Raises Unreadable."""
    try:
        with tarfile.open(fileobj=source, mode="r|", tarinfo=_Member) as archive:
            for member in archive:
                if not member.isreg() or member.issparse():
                    raise Unreadable(f"it has a member {member.name!r:.200} that is no plain file")
                yield member, Content(archive.extractfile(member))
    except tarfile.TarError as error:
        raise Unreadable(f"{_NOT_WHOLE} ({error})") from None


class Content:
    """The content of a member, read once."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all. Raises Unreadable where the file ends before the member does."""
        try:
            data: bytes = self._file.read(size)
        except tarfile.TarError as error:
            raise Unreadable(f"{_NOT_WHOLE} ({error})") from None
        return data


def _head(member: tarfile.TarInfo, content: Content) -> None:
    """Check the first member, which names the format. Raises Unreadable."""
    about = None
    if member.name == HEAD and member.size < CHUNK:
        try:
            about = loads(content.read().decode())
        except (ValueError, RecursionError):
            pass
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise Unreadable("it is no export of workflow-state")
    if about.get("v") != VERSION:
        raise Unreadable(
            f"it is of version {about.get('v')!r:.20}, this is version {VERSION}: import it with "
            "the workflow-state that wrote it"
        )


def read_manifest(content: Content) -> dict[str, Document]:
    """The members that the last member lists. Raises Unreadable."""
    try:
        document = documents.opened(MANIFEST, content.read(SIZE_LIMIT))
        listed = document["members"]
        if document.trust != records.DAMAGED and all(
            type(about["size"]) is int for about in listed.values()
        ):
            return dict(listed)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise Unreadable(f"its {MANIFEST} is damaged")


def opened(source: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, Content]]:
    """The members of an export, after its first one was checked. Raises Unreadable and OSError."""
    peek = source.peek(8)[:8] if hasattr(source, "peek") else b""
    for magic, program in _COMPRESSED.items():
        if peek.startswith(magic):
            raise Unreadable(f"it is compressed; use: {program} -dc FILE | workflow-state import -")
    if not peek:
        raise Unreadable("it is empty")
    members = _members(source)
    first = next(members, None)
    if first is None:
        raise Unreadable("it is no export of workflow-state")
    _head(*first)
    return members
