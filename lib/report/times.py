"""Times as the page has them: milliseconds since the epoch, and quarters of an hour, UTC."""

from __future__ import annotations

from functools import lru_cache

from ..format.records import seconds

QUARTER = 900
"""Seconds. The page counts by quarters of an hour: they add up to a day of any time zone."""


@lru_cache(maxsize=1024)  # a record's time is asked for a dozen times in a row
def milliseconds(at: str) -> int:
    """A recorded time in milliseconds since the epoch."""
    return round(seconds(at) * 1000)


def quarter_of(at: int) -> int:
    """The number of the quarter of an hour, since the epoch, that a time in milliseconds is in."""
    return at // (QUARTER * 1000)
