"""Removing a whole state, and what of it stands in the project."""

from __future__ import annotations

import os
import shutil

from ..errors import StoreError
from ..project import place
from ..project.view import View
from ..recording import first_use, journal
from ..recording.find_project import moved_link


def purge(directory: str, dry_run: bool = False) -> dict[str, int]:
    """Remove a state directory, and its view in the project.

    Returns how many files of each kind it held, {} if there is none. Raises OSError, and StoreError
    if it is not a state directory of this user.
    """
    try:
        descriptor = journal.open_state(directory)
    except FileNotFoundError:
        return {}
    try:
        is_ours = os.fstat(descriptor).st_uid == os.geteuid()
    finally:
        os.close(descriptor)
    # What is removed whole must show by its README that it is ours.
    if not is_ours or not first_use.begins(f"{directory}/README", first_use.SIGN):
        raise StoreError(
            f"{directory} does not look like a state directory of yours; nothing was changed"
        )
    counts = {"sessions": 0, "checkpoints": 0, "keys": 0}
    for folder, ending in (("sessions", ".jsonl"), ("checkpoints", ".json"), ("keys", ".json")):
        where = f"{directory}/{folder}"
        names = os.listdir(where) if os.path.isdir(where) else []
        if folder == "keys" and not os.path.isdir(where):  # the first version's
            names = os.listdir(directory)
        counts[folder] = sum(name.endswith(ending) for name in names)
    if not dry_run:
        View(directory, place.project_of(directory)).remove()
        remove(directory)
    return counts


def remove(directory: str) -> None:
    """Remove a state directory, and the links that lead to it. Raises OSError."""
    shutil.rmtree(directory)
    if not journal.at_home(directory):
        return
    links = os.path.dirname(moved_link(directory))
    for name in os.listdir(links) if os.path.isdir(links) else ():
        if os.readlink(f"{links}/{name}") == os.path.basename(directory):
            os.unlink(f"{links}/{name}")
