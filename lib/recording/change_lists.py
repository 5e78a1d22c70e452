"""Lists of changed files: what the client says a shell command did, and their cut into records."""

from _json import encode_basestring_ascii  # not json: hooks use this

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIST_BYTES = 2500
"""What the paths of one record may take, so that a record is one write of less than 4 KB."""


def reported(difference: "dict[str, Any]") -> "dict[str, list[str]]":
    """The paths in a `bashEditDiff`, by what became of them; a wrong type counts as absent."""
    files = difference.get("files")
    names = difference.get("changedFiles")
    kinds: dict[str, str] = {}
    for name in names if isinstance(names, list) else []:
        if isinstance(name, str) and name:
            kinds[name] = "changed"
    for file in files if isinstance(files, list) else []:
        name = file.get("filePath") if isinstance(file, dict) else None
        if isinstance(name, str) and name:
            created, deleted = file.get("created") is True, file.get("deleted") is True
            kinds[name] = "created" if created else "deleted" if deleted else "changed"
    changes: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        changes.setdefault(kind, []).append(name)
    return changes


def with_changes(
    facts: "dict[str, Any]",
    size: int,
    difference: "dict[str, Any]",
    locate: "Callable[[str], str]",
) -> "list[dict[str, Any]]":
    """A call's record of `size` bytes with the files that its shell command was seen to change.

    More than fit it go into records of their own.
    """
    changes = {
        kind: [locate(path) for path in paths] for kind, paths in reported(difference).items()
    }
    first, *rest = in_pieces(changes, first=max(0, LIST_BYTES - size))
    more = {name: facts[name] for name in ("event", "tool", "call", "agent") if name in facts}
    return [{**facts, **first}, *({**more, "more": True, **piece} for piece in rest)]


def in_pieces(
    changes: "dict[str, list[str]]", extra: int = 1, first: int = LIST_BYTES
) -> "list[dict[str, list[str]]]":
    """The same lists of paths in pieces that each fit a record with `extra` bytes a path.

    `first` is the room in the first, which may be no more than an empty piece.
    """
    pieces: list[dict[str, list[str]]] = [{}]
    room = first
    for kind, paths in changes.items():
        for path in paths:
            size = len(encode_basestring_ascii(path)) + extra
            if size > room and (pieces[-1] or room < LIST_BYTES):
                pieces.append({})
                room = LIST_BYTES
            room -= size
            pieces[-1].setdefault(kind, []).append(path)
    return pieces
