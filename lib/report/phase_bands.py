"""The phases of a session, or of a subagent, over time."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Row = list[Any]

BANDS = 2_000
"""How many bands a lane keeps; beyond twice as many it merges neighbours."""


class Bands:
    """Rows of start, end, phase or None, and whether it is pinned.

    rows    in order of their start, in milliseconds
    coarse  whether neighbours were merged
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.coarse = False
        self._open: Row | None = None
        self._ended = 0

    def add(
        self, at: int, phase: str | None, pinned: bool, working: bool, goes_on: bool, since: int
    ) -> None:
        """Add what holds from `at` on. `goes_on`: whether the work went on up to then.

        A phase is recorded when the call that means it ends. Its band begins with the call, at
        `since`, but not before the last record of the phase before.
        """
        row = self._open
        if row and goes_on:
            row[1] = max(row[1], at)
        if row and (not goes_on or not working or row[2:] != [phase, pinned]):
            self._open = None
        if working and self._open is None:
            begin = at
            if row and goes_on and row[2:] != [phase, pinned] and row[1] == at:
                begin = row[1] = min(at, max(since, row[0], self._ended))
                if row[0] == row[1]:
                    self.rows.pop()
            self._open = [begin, at, phase, pinned]
            self.rows.append(self._open)
            if len(self.rows) > 2 * BANDS:
                self._coarsen()
        if since < at:
            self._ended = at

    def _coarsen(self) -> None:
        """Merge pairs of neighbours; each pair gets the phase of the longer one."""
        self.coarse = True
        pairs = len(self.rows) // 2
        halved: list[Row] = []
        for one, other in zip(self.rows[::2], self.rows[1::2]):
            longer = max(one, other, key=lambda row: row[1] - row[0])
            halved.append([one[0], other[1], *longer[2:]])
        rows: list[Row] = []
        for row in (*halved, *self.rows[2 * pairs :]):
            if rows and rows[-1][1:] == [row[0], *row[2:]]:  # of one phase, and nothing between
                rows[-1][1] = row[1]
            else:
                rows.append(row)
        self.rows = rows
        self._open = rows[-1]
