"""The arguments of a command as people type them: its parser, and values with their checks."""

from __future__ import annotations

import argparse
import re
import sys
import time

from ..format.records import seconds
from ..telling.quoting import printable
from ..terminal.output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, Optional, Union

    Answer = Union[tuple[Any, list[str]], tuple[Any, list[str], int]]
    """Data for programs, lines for people; and the exit status where it is not 0."""
    Command = Callable[[Any, argparse.Namespace], Optional[Answer]]
    """Takes the State, or None for a `stateless` command; returns None when it has printed."""


_AGE = re.compile(r"([0-9]{1,6})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


class Help(argparse.HelpFormatter):
    """Paragraphs in the width of the terminal; one with an indented line keeps its layout."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            paragraph
            if "\n " in f"\n{paragraph}"
            else super(Help, self)._fill_text(paragraph, width, indent)
            for paragraph in text.strip("\n").split("\n\n")
        )


class Parser(argparse.ArgumentParser):
    """A parser that prints as the commands do; its errors name --help."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and file is sys.stdout:
            write(message)
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        self.exit(
            2,
            f"{self.format_usage()}{self.prog}: error: {printable(message)}; "
            f"see `{self.prog} --help`\n",
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

    text  its line in the list of commands, and the head of its --help
    more  what follows the head, with its layout
    end   what stands below the arguments, with its layout; main adds the common exit status
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
    """The name of a file as it is typed: not "", the value of an unset variable in a script."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty: name a file, or - for a pipe")
    return text


def since(text: str) -> float:
    """A time or an age as it is typed, in seconds since the epoch."""
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
