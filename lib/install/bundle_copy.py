"""A team's copy of the bundle, in the project: made, updated and removed.

The new copy is made beside the old one; then two renames put it in place. Between the two there is
no copy, and after a kill there is none until the next `install --shared`. A hook that runs then
fails, and a failing hook blocks nothing. The files are not synced: if a power cut damages one, the
next `install --shared` replaces it.
"""

from __future__ import annotations

import os
import shutil

from ..disk.cleanup import remove_temporary, temporary
from ..errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
"""The running bundle."""

COPY = ".claude/workflow-state"
"""The place of the copy in a project."""

PARTS = ("hooks", "lib", "bin", "LICENSE")
IGNORE = b"!*\n__pycache__/\n"
"""Many projects ignore every `lib/` and `bin/`: without this, git would take half of the copy."""

JOURNALS = ("lib/recording/journal.py", "lib/journal.py")
"""The file that shows a bundle: its place now, and in earlier versions."""


def is_bundle(path: str) -> bool:
    """Whether a directory holds a bundle, of this version or an earlier one."""
    return any(os.path.isfile(f"{path}/{journal}") for journal in JOURNALS)


def check_copy(path: str) -> None:
    """Raise StoreError if there is something at the path that must not be replaced or removed."""
    if not os.path.lexists(path):
        return
    if os.path.islink(path) or not is_bundle(path):
        raise StoreError(f"{path} is not a copy of workflow-state; nothing was changed")
    others = sorted({*_below(path)} - {*_files(path), ".gitignore"})
    if others:
        raise StoreError(
            f"{path} holds {others[0]}, which is not part of workflow-state; nothing was changed: "
            "move that file, then run this again"
        )


def changed_files(target: str) -> list[str]:
    """The files in which `target` differs from this bundle. Raises StoreError."""
    if os.path.realpath(target) == BUNDLE:
        return []
    check_copy(target)
    changed = [name for name in _files(BUNDLE) if not _same(f"{BUNDLE}/{name}", f"{target}/{name}")]
    changed += [] if _read(f"{target}/.gitignore") == IGNORE else [".gitignore"]
    return changed + [name for name in _files(target) if not os.path.exists(f"{BUNDLE}/{name}")]


def copy_bundle(target: str) -> None:
    """Make `target` a copy of this bundle. Raises OSError and StoreError."""
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    remove_temporary(folder)
    if not changed_files(target):
        return
    fresh, old = temporary(folder), temporary(folder)
    try:
        for name in _files(BUNDLE):
            os.makedirs(os.path.dirname(f"{fresh}/{name}"), exist_ok=True)
            shutil.copy(f"{BUNDLE}/{name}", f"{fresh}/{name}")
        with open(f"{fresh}/.gitignore", "wb") as file:
            file.write(IGNORE)
        if os.path.lexists(target):
            os.rename(target, old)
        os.rename(fresh, target)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(target):
            os.rename(old, target)
        raise
    finally:
        for path in (fresh, old):
            shutil.rmtree(path, ignore_errors=True)


def copying(target: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """Two functions: one makes the copy, one removes it again if there was none before."""
    was_there = os.path.lexists(target)

    def undo() -> None:
        if not was_there:
            remove_copy(target)

    return lambda: copy_bundle(target), undo


def remove_copy(target: str) -> None:
    """Remove a copy. If the process is killed, the rest goes with the next cleanup."""
    if os.path.lexists(target):
        old = temporary(os.path.dirname(target))
        os.rename(target, old)
        shutil.rmtree(old)


def _files(top: str) -> list[str]:
    """The bundle's files below `top`, relative to it."""
    found = []
    for part in PARTS:
        found += [f"{part}/{name}" for name in _below(f"{top}/{part}")]
        if os.path.isfile(f"{top}/{part}"):
            found.append(part)
    return sorted(found)


def _below(top: str) -> list[str]:
    """The files below a directory, relative to it, without those that Python caches."""
    found = []
    for folder, _, names in os.walk(top):
        if not folder.endswith("__pycache__"):
            found += [os.path.relpath(f"{folder}/{name}", top) for name in names]
    return found


def _same(one: str, other: str) -> bool:
    held = _read(one)
    return held is not None and held == _read(other)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
