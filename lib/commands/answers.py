"""What a command answers, and how times and lists are put for people."""

from __future__ import annotations

import argparse
import re
import time

from ..context import ago
from ..replay import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Optional, Union

    Answer = Union[tuple[Any, list[str]], tuple[Any, list[str], int]]
    """Data for programs, lines for people; and the exit status where it is not 0."""
    Command = Callable[[Any, argparse.Namespace], Optional[Answer]]
    """Takes the State, or None where `stateless` asked for none; gives None when it has printed."""


_AGE = re.compile(r"([0-9]{1,6})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


class Help(argparse.HelpFormatter):
    """Paragraphs in the terminal's width; those with an indented line stay as they are laid out."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            paragraph
            if "\n " in paragraph
            else super(Help, self)._fill_text(paragraph, width, indent)
            for paragraph in text.strip().split("\n\n")
        )


def add(
    commands: Any,
    parents: list[argparse.ArgumentParser],
    name: str,
    run: Command,
    text: str,
    more: str = "",
    end: str = "",
) -> argparse.ArgumentParser:
    """Add a command to the parser.

    `text` is its line in the list, and the head of its --help; `more` is what follows there, and
    `end` what stands below the arguments, both as they are laid out.
    """
    head = text[0].upper() + text[1:] + "."
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{head}\n\n{more}".rstrip(),
        epilog=end or None,
        formatter_class=Help,
        parents=parents,
    )
    parser.set_defaults(run=run, refuse=parser.error)
    return parser


def file_name(text: str) -> str:
    """The name of a file as it is typed: not "", which an unset variable of a script is."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty: name a file, or - for a pipe")
    return text


def when(at: str | None, to: str = "seconds") -> str:
    """A recorded time for people: "2026-11-23 14:31:05 UTC, 5 min ago"."""
    if not at:
        return "never"
    clock = f"{at[11:16]}" if to == "minutes" else f"{at[11:19]} UTC"
    return f"{at[:10]} {clock}, {ago(time.time() - seconds(at))}"


def since(text: str) -> float:
    """A time as it is typed, or so long ago, in seconds since the epoch."""
    age = _AGE.fullmatch(text)
    if age:
        return time.time() - int(age[1]) * _HOURS[age[2]] * 3600
    day, _, clock = text.rstrip("Z").partition("T")
    full = {0: "00:00:00", 5: f"{clock}:00"}.get(len(clock), clock)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", day) and re.fullmatch(r"\d\d:\d\d:\d\d(\.\d+)?", full):
        try:
            time.strptime(f"{day} {full[:8]}", "%Y-%m-%d %H:%M:%S")
        except ValueError:
            pass
        else:
            return seconds(f"{day}T{full}Z")
    raise argparse.ArgumentTypeError(
        f"{text!r} is no time: use a date (2026-11-23, UTC) or an age (12h, 7d, 2w)"
    )


def table(rows: list[list[str]]) -> list[str]:
    """Rows as lines, columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
