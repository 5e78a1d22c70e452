"""Progress of long work: one line on stderr, removed when the work is done.

It shows nothing where stderr is no terminal, and nothing for work that ends at once.
"""

from __future__ import annotations

import os
import sys
import time

from .width import cut

QUIET = 0.5
"""Seconds before a line appears: most work is done by then."""

EVERY = 0.1

_LINE = "\r\x1b[K"
"""To the first column, and erase from there."""


class Progress:
    """What is being done, and how far it is. At the end of a `with` it removes its line."""

    def __init__(self, what: str = "") -> None:
        self.what = what
        self._shows = sys.stderr is not None and sys.stderr.isatty()
        self._next = time.monotonic() + QUIET
        self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def bytes(self, done: int, of: int = 0) -> None:
        """Show how many bytes are done, and of how many where that is known."""
        if of > 0:
            self.show(f"{min(100, done * 100 // of)} % of {size(of)}")
        else:
            self.show(size(done))

    def items(self, done: int, of: int) -> None:
        """Show how many of so many are done."""
        self.show(f"{done} of {of}")

    def show(self, how_far: str) -> None:
        """Show the line anew, at most every EVERY seconds."""
        now = time.monotonic()
        if not self._shows or now < self._next:
            return
        self._next = now + EVERY
        self._shown = True
        try:
            width = os.get_terminal_size(2).columns or 80
        except OSError:
            width = 80
        self._write(_LINE + cut(f"{self.what}: {how_far}", width - 1))

    def clear(self) -> None:
        """Remove the line: something else is about to be printed."""
        if self._shown:
            self._shown = False
            self._write(_LINE)

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            self._shows = False  # the terminal is closed; the work goes on


def size(count: int) -> str:
    """A number of bytes for people: "1.5 MB"."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.5 or unit == "TB":
            break
    return f"{amount:.0f} {unit}" if amount >= 99.5 else f"{amount:.1f} {unit}"
