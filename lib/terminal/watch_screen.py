"""The screen of `watch`: it takes over the terminal, and leaves it as it was."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys

from ..errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
"""xterm's private modes: the alternate screen, no cursor, no wrapping; and back."""

_HOME, _ERASE_LINE = "\x1b[H", "\x1b[2K"


class Screen:
    """The alternate screen of the terminal, with no cursor, and keys one by one.

    All of it is restored, however the process ends: by Ctrl-C, by a signal, also while it is
    suspended. Only SIGKILL leaves the terminal as it is.
    """

    _ENDING = (signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._keys = sys.stdin is not None and sys.stdin.isatty()
        self._modes: list[Any] = []
        self._shown: list[str] | None = None
        self._ended_by = 0

    def __enter__(self) -> Screen:
        self._reader, self._writer = os.pipe()
        for descriptor in (self._reader, self._writer):
            os.set_blocking(descriptor, False)
        # Signals come through a pipe too, so that none is lost between a reading and the wait.
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
        signal.signal(signal.SIGTSTP, lambda _number, _frame: self._suspend())
        signal.signal(signal.SIGCONT, lambda _number, _frame: self._resume())
        for number in self._ENDING:
            signal.signal(number, self._end)
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)
        if self._ended_by:  # the parent process is to see which signal ended this one
            signal.signal(self._ended_by, signal.SIG_DFL)
            os.kill(os.getpid(), self._ended_by)

    def _end(self, number: int, _frame: object) -> None:
        self._ended_by = number
        raise KeyboardInterrupt

    def _suspend(self) -> None:
        """Ctrl-Z: restore the terminal, stop, and take the terminal over again on SIGCONT."""
        self._close()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, lambda _number, _frame: self._suspend())
        self._open()

    def _resume(self) -> None:
        """SIGCONT: after SIGSTOP, which no process can handle, a shell has used the terminal."""
        if self._modes:
            self._take_keys()
        self._shown = None

    def _open(self) -> None:
        self._shown = None
        if self._keys:
            import termios

            self._modes = termios.tcgetattr(0)
            self._take_keys()
        self._write(_ENTER)

    def _take_keys(self) -> None:
        """Read keys one by one. In the background the system stops the process here."""
        import termios
        import tty

        while True:
            try:
                tty.setcbreak(0)
            except termios.error as error:
                if error.args[0] != errno.EINTR:  # by SIGCONT
                    raise
            else:
                return

    def _close(self) -> None:
        import termios

        try:
            if self._modes:
                termios.tcsetattr(0, termios.TCSANOW, self._modes)
                self._modes = []
            self._write(_LEAVE)
        except (StoreError, termios.error):
            pass  # the terminal is closed

    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        try:
            size = os.get_terminal_size(1)
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def draw(self, lines: list[str]) -> None:
        """Show these lines, unless they are shown already."""
        if lines != self._shown:
            self._shown = lines
            # Erase first: after a line as wide as the screen, this would erase its last letter.
            text = "\r\n".join([_ERASE_LINE + line for line in lines])
            self._write(f"{_HOME}{text}")

    def wait(self, seconds: float) -> str:
        """Wait for a key, for a signal, or for so long; the key, or "" without one."""
        watched = [self._reader, *([0] if self._keys else [])]
        ready = select.select(watched, [], [], seconds)[0]
        if self._reader in ready:
            os.read(self._reader, 512)
            self._shown = None  # the size may have changed
        if 0 not in ready:
            return ""
        typed = os.read(0, 64)
        if not typed:
            return "q"  # the terminal is closed
        return typed[:1].decode("ascii", "replace").lower()

    def _write(self, text: str) -> None:
        # Not through sys.stdout, which a signal's handler may not enter while a drawing is in it.
        data = text.encode(sys.stdout.encoding, "backslashreplace")
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError as error:
            raise StoreError(f"the terminal cannot be written to: {error.strerror}") from None
