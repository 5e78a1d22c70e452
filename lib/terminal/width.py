"""The width of text on a terminal: its columns, text cut to so many, and its colour.

Expects printable text (`quoting.printable`), without anything that moves the cursor.
"""

from __future__ import annotations

RESET = "\x1b[0m"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum([_width(letter) for letter in text])


def cut(text: str, most: int) -> str:
    """A text, or the part of its head that fits so many columns, with "..." where there is room."""
    if columns(text) <= most:
        return text
    dots = "..." if most > 6 else ""
    return text[: _fitting(text, most - len(dots))] + dots


def cut_head(text: str, most: int) -> str:
    """The same of its tail, which matters more in a path."""
    if columns(text) <= most:
        return text
    dots = "..." if most > 6 else ""
    return dots + text[len(text) - _fitting(text[::-1], most - len(dots)) :]


def _fitting(text: str, room: int) -> int:
    """How many letters from the beginning fit."""
    for number, letter in enumerate(text):
        room -= _width(letter)
        if room < 0:
            return number
    return len(text)


def _width(letter: str) -> int:
    if letter.isascii():
        return 1
    from unicodedata import combining, east_asian_width

    if combining(letter):
        return 0
    return 2 if east_asian_width(letter) in "WF" else 1


def paint(text: str, colour: str) -> str:
    """A text in a colour, an SGR sequence (ECMA-48); without a colour as it is."""
    return f"\x1b[{colour}m{text}{RESET}" if colour and text else text


def wants_colour(choice: str, terminal: bool, variables: dict[str, str]) -> bool:
    """Whether to colour: by --color, else by the environment, else where stdout is a terminal.

    `choice` is "always", "never" or "auto". NO_COLOR, where it is not empty, wins over FORCE_COLOR
    and CLICOLOR_FORCE.
    """
    if choice != "auto":
        return choice == "always"
    if variables.get("NO_COLOR"):
        return False
    if any(variables.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return terminal and variables.get("TERM", "dumb") != "dumb"
