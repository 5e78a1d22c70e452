"""The deadline of a statement in the database engine."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

STEPS = 10_000
"""Instructions of the engine between two checks: a part of a millisecond."""


class Deadline:
    """Handles signals during a long statement, and ends the statement at a time.

    The engine runs outside of Python, where no signal is handled. Without this, a hook would not
    give up in its time, nor a command at Ctrl-C, while a statement runs.

    give_up  when statements end, by the monotonic clock
    raised   what a signal's handler raised meanwhile, which the engine forgets
    """

    def __init__(self) -> None:
        self.give_up = float("inf")
        self.raised: BaseException | None = None

    def over(self, connection: Any) -> None:
        """Watch over a connection."""
        checks = self._checks()
        next(checks)
        connection.set_progress_handler(checks.__next__, STEPS)

    def _checks(self) -> Iterator[bool]:
        """Whether to end the statement, each time the engine asks.

        A generator stays inside its `try` between two checks; a function would enter it anew, and
        a signal could be handled before it does.
        """
        ends = False
        while True:
            try:
                while True:  # a signal is handled at any step, the one back to here included
                    yield ends
                    ends = time.monotonic() > self.give_up
            except GeneratorExit:
                return
            except BaseException as error:  # noqa: BLE001
                self.raised, ends = error, True

    def reraise(self) -> None:
        """Raise what a signal's handler raised, if one did."""
        raised, self.raised = self.raised, None
        if raised is not None:
            raise raised
