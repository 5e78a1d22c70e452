"""The counts of a run of the faults: kept as JSON, printed and written to the docs as one table.

python3 -m tests.faults.report    prints what the last run found; exit 1 unless all of it is 0
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
GENERATED = ROOT / "docs" / "generated"

COLUMNS = {
    "lost": "lost",
    "mixed": "mixed",
    "blocked": "blocked the tool",
    "leaked": "leaked",
    "stuck": "needed help",
    "untrue": "said otherwise",
}
"""What a fault must never do: {kind: its column's title}.

lost     something that was there before, or was acknowledged, is not there
mixed    neither the old state nor the new one
blocked  an exit code or an output that could keep a tool from running, or a traceback
leaked   something outside was touched or read, stale temporary files stays, or a text reached Claude or the disk
stuck    the next run did not do its work by itself
untrue   what was said is not what is
"""

Counts = dict[str, int]


def place() -> Path:
    """Where the counts are kept between the tests and the table."""
    return Path(os.environ.get("FAULTS_REPORT") or ROOT / ".pytest_cache" / "faults.json")


@contextmanager
def counts_as(kind: str) -> Iterator[None]:
    """An assertion that fails inside is counted in this column."""
    try:
        yield
    except AssertionError as error:
        error.kind = kind  # type: ignore[attr-defined]
        raise


class Tally:
    """Counts by what was done (a row) and to what (a case); a case that is run again replaces."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Counts]] = {}

    def add(self, row: str, case: str, runs: int, kinds: list[str]) -> None:
        """`runs` faults of one case, and the kind of each trouble they made."""
        counts = {kind: kinds.count(kind) for kind in COLUMNS}
        self.rows.setdefault(row, {})[case] = {"runs": runs, **counts}

    def save(self) -> None:
        """Add the counts to those that are kept, one worker of the tests after the other."""
        place().parent.mkdir(parents=True, exist_ok=True)
        with open(f"{place()}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = load()
            for row, cases in self.rows.items():
                kept.setdefault(row, {}).update(cases)
            place().write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def load() -> dict[str, dict[str, Counts]]:
    try:
        return json.loads(place().read_text())
    except FileNotFoundError:
        return {}


def table(rows: dict[str, dict[str, Counts]]) -> tuple[str, int]:
    """The counts as a Markdown table, and how many troubles there are in all."""
    lines = [f"| fault | tried | {' | '.join(COLUMNS.values())} |"]
    lines.append("|---|" + "--:|" * (len(COLUMNS) + 1))
    total = 0
    for row, cases in rows.items():
        counts = [sum(case[kind] for case in cases.values()) for kind in ("runs", *COLUMNS)]
        total += sum(counts[1:])
        lines.append(f"| {row} | {' | '.join(f'{count:,}' for count in counts)} |")
    return "\n".join(lines) + "\n", total


def publish(text: str, name: str, title: str, command: str) -> None:
    """Write a table to a page of its own in docs/generated."""
    page = GENERATED / f"{name}.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(f"# {title}\n\n`{command}` writes this page. Do not edit it.\n\n{text}")


def published(name: str) -> list[str]:
    """The rows of the table in such a page, without its head; [] when there is none yet."""
    try:
        lines = (GENERATED / f"{name}.md").read_text().split("\n")
    except FileNotFoundError:
        return []
    return [line for line in lines if line.startswith("| ")][1:]


if __name__ == "__main__":
    counted = load()
    if not counted:
        sys.exit("no faults have been tried yet: run make faults")
    shown, troubles = table(counted)
    sys.stdout.write(shown)
    publish(shown, "faults", "Faults that were tried", "make faults")
    sys.exit(1 if troubles else 0)
