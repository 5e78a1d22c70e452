"""A terminal of its own for a process: what it shows is read, what it is typed is written."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from pathlib import Path

SECONDS = 30
"""How long anything may take before a test gives up on it."""


class Terminal:
    """A command that runs with a pseudo-terminal as its controlling terminal, until `wait`."""

    def __init__(
        self, command: list[str], cwd: Path, env: dict[str, str], columns: int = 80, lines: int = 24
    ) -> None:
        self.shown = ""
        self._status: int | None = None
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
                os.chdir(cwd)
                os.execve(command[0], command, env)  # noqa: S606
            finally:
                os._exit(127)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def until(self, pattern: str) -> str:
        """Read on until the pattern is in what was shown since the last call; gives that."""
        give_up = time.monotonic() + SECONDS
        while not re.search(pattern, self.shown, re.DOTALL):
            if not self._read(give_up):
                raise AssertionError(f"{pattern!r} never came; shown: {self.shown[-2000:]!r}")
        shown, self.shown = self.shown, ""
        return shown

    def _read(self, give_up: float) -> bool:
        if not select.select([self._terminal], [], [], max(0, give_up - time.monotonic()))[0]:
            return False
        try:
            chunk = os.read(self._terminal, 1 << 16)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.shown += chunk.decode("utf-8", "replace")
        return bool(chunk)

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._terminal, text.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Make the window another size; the process gets SIGWINCH."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def modes(self) -> list:
        """The terminal's settings, to be compared before and after."""
        return termios.tcgetattr(self._terminal)

    def set_modes(self, modes: list) -> None:
        """Give the terminal the settings that `modes` gave."""
        termios.tcsetattr(self._terminal, termios.TCSANOW, modes)

    def wait(self) -> int:
        """Read to the end; the exit status, negative for a signal."""
        give_up = time.monotonic() + SECONDS
        while self._read(give_up):
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self._terminal)
        self._status = os.waitstatus_to_exitcode(status)
        return self._status
