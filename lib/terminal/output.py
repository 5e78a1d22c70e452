"""The output of a command: how it is written, and times and tables for people."""

from __future__ import annotations

import os
import sys
import time

from ..errors import StoreError
from ..format.records import seconds
from ..telling.context import ago


def write(text: str) -> None:
    """Write to stdout, and flush it, so that an error is this command's.

    Raises StoreError and OSError.
    """
    if sys.stdout is None:
        raise StoreError("stdout is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Python would flush again while it exits, and print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        error.filename = error.filename or "stdout"
        raise


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
