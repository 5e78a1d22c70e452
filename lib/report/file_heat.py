"""How often the files of a project were changed and read, and when."""

from __future__ import annotations

from .times import milliseconds, quarter_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Document = dict[str, Any]

FILES = 2_000
SESSION_FILES = 500
"""How many files the page has, and how many of each session."""

CHANGES, READS = 0, 1
"""The two counts of a file."""


class Heat:
    """What all sessions did to one file."""

    def __init__(self) -> None:
        self.quarters: dict[int, list[int]] = {}
        self.last = ""
        self.outcome = ""
        self.sessions = 0

    def touch(self, which: int, at: str, outcome: str) -> None:
        """Count a change or a read."""
        self.quarters.setdefault(quarter_of(milliseconds(at)), [0, 0])[which] += 1
        self.last = max(self.last, at)
        if which == CHANGES:
            self.outcome = outcome

    def document(self, path: str) -> Document:
        """The file as the page has it."""
        counts = self.quarters.values()
        return {
            "path": path,
            "changes": sum(changed for changed, _ in counts),
            "reads": sum(read for _, read in counts),
            "sessions": self.sessions,
            "last": milliseconds(self.last),
            "outcome": self.outcome or "read",
            "quarters": [[quarter, *counted] for quarter, counted in sorted(self.quarters.items())],
        }


def hottest(heat: dict[str, Heat], sessions: list[Document], notes: list[str]) -> list[Document]:
    """The files, the most touched first. Each session gets their numbers instead of paths."""

    def touches(path: str) -> int:
        return sum(map(sum, heat[path].quarters.values()))

    order = sorted(heat, key=lambda path: (-touches(path), path))
    if len(order) > FILES:
        notes.append(f"{len(order) - FILES:,} files that were touched least are left out.")
        order = order[:FILES]
    numbers = {path: number for number, path in enumerate(order)}
    for about in sessions:
        files = about["files"]
        about["files_touched"] = len(files)
        ranked = sorted(files, key=lambda path: -sum(files[path]))
        shown = [path for path in ranked if path in numbers][:SESSION_FILES]
        about["files"] = [[numbers[path], *files[path]] for path in shown]
    return [heat[path].document(path) for path in order]
