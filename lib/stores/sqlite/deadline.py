"""What ends a statement of the database engine's that goes on for too long."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

STEPS = 10_000
"""Instructions of the engine's between two looks: a part of a millisecond."""


class Deadline:
    """Lets signals into long statements, and ends them at a time.

    The engine runs outside of Python, where no signal is handled: a hook would not give up in its
    time, nor a command at Ctrl-C, while a statement goes on.

    give_up  when statements end, by the monotonic clock
    raised   what a signal's handler raised meanwhile, which the engine forgets
    """

    def __init__(self) -> None:
        self.give_up = float("inf")
        self.raised: BaseException | None = None

    def over(self, connection: Any) -> None:
        """Watch over a connection."""
        answers = self._answers()
        next(answers)
        connection.set_progress_handler(answers.__next__, STEPS)

    def _answers(self) -> Iterator[bool]:
        """Whether to end the statement, each time the engine asks.

        A generator, as it goes on within its `try`, where a function would only begin: signals
        are handled at once.
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

    def tell(self) -> None:
        """Raise what a signal's handler raised, if one did."""
        raised, self.raised = self.raised, None
        if raised is not None:
            raise raised
