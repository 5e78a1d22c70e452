"""What a command answers, and how times and lists are put for people."""

from __future__ import annotations

import time

from ..context import ago
from ..replay import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any, Optional

    from ..state import State

    Answer = tuple[Any, list[str]]
    """Data for programs, and lines for people; None from who has printed by itself."""

    Command = Callable[[State, argparse.Namespace], Optional[Answer]]


def add(
    commands: Any, parents: list[argparse.ArgumentParser], name: str, run: Command, text: str
) -> argparse.ArgumentParser:
    """Add a command to the parser; `text` is its help, and the head of its --help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", parents=parents
    )
    parser.set_defaults(run=run)
    return parser


def when(at: str | None, to: str = "seconds") -> str:
    """A recorded time for people: "2026-11-23 14:31:05 UTC, 5 min ago"."""
    if not at:
        return "never"
    clock = f"{at[11:16]}" if to == "minutes" else f"{at[11:19]} UTC"
    return f"{at[:10]} {clock}, {ago(time.time() - seconds(at))}"


def table(rows: list[list[str]]) -> list[str]:
    """Rows as lines, columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
