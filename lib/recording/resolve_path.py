"""Where a path leads that is crooked, or seems to lie outside the project."""

import posix  # not os.path: hooks use this, and its import alone costs an eighth of their time

LONGEST = 4096
"""Characters in the longest path that a file can have; to follow a longer one takes seconds."""


def resolve(path: str, project: str) -> str:
    """An absolute path relative to the project, "." for itself, absolute where it lies outside.

    Links on the way are followed, the file's own is not: /tmp may be /private/tmp.
    """
    path = _normal(path)
    names = [(project, path)]
    folder = path[: path.rfind("/")]
    if len(path) <= LONGEST and (_has_link(folder) or _has_link(project)):
        from os.path import basename, join, realpath

        names.append((realpath(project), join(realpath(folder or "/"), basename(path))))
    for root, name in names:
        if name == root:
            return "."
        if name.startswith(root + "/"):
            return name[len(root) + 1 :]
    return path


def _normal(path: str) -> str:
    """An absolute path without empty parts, "." and "..": `os.path.normpath`, but for a "//"."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part and part != ".":
            kept.append(part)
    return "/" + "/".join(kept)


def _has_link(path: str) -> bool:
    """Whether a symlink is among a path and its parents."""
    while path:
        try:
            posix.readlink(path)
        except OSError:
            path = path[: path.rfind("/")]
        except ValueError:
            return False  # a NUL or half a character in it: no file has such a name
        else:
            return True
    return False
