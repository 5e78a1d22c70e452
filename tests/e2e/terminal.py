"""The client in a terminal: typed into and read by tmux, every screen kept as text."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .client import API_KEY, UNASKED, Claude

WIDTH, HEIGHT = 120, 40

KEEP = ["set-option", "remain-on-exit", "on"]
"""So that what a client said last is still seen."""

BUSY = "esc to interrupt"
"""What the client shows while a turn goes on."""


class Terminal:
    """An interactive client of a place, with the dialogs of a first start answered before."""

    def __init__(self, claude: Claude, *options: str, unasked: bool = True) -> None:
        self._claude = claude
        self._screens = claude.top / "screens"
        self._screens.mkdir(exist_ok=True)
        answered = {
            "hasCompletedOnboarding": True,
            "customApiKeyResponses": {"approved": [API_KEY[-20:]], "rejected": []},
            "projects": {str(claude.project): {"hasTrustDialogAccepted": True}},
        }
        _add(claude.home / ".claude.json", answered)
        _add(claude.home / ".claude/settings.json", {"skipDangerousModePermissionPrompt": True})
        command = [str(claude.program), *(UNASKED if unasked else []), *claude.options, *options]
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, *command, ";", *KEEP)

    def _tmux(self, *arguments: str) -> str:
        done = self._claude.inside("tmux", "-S", "/tmp/tmux", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self) -> str:
        """What is seen now."""
        return self._tmux("capture-pane", "-p")

    def wait_for(self, *texts: str, idle: bool = False) -> str:
        """The screen once it shows all the texts, and that nothing goes on if that is asked."""
        screen = self._until(
            lambda screen: all(text in screen for text in texts) and not (idle and BUSY in screen)
        )
        number = len(list(self._screens.iterdir()))
        (self._screens / f"{number:02}.txt").write_text(screen)
        return screen

    def _until(self, holds: Callable[[str], bool], seconds: float = 30) -> str:
        """The screen once it is so."""
        end = time.monotonic() + seconds
        while True:
            screen = self.screen()
            if holds(screen):
                return screen
            assert time.monotonic() < end, f"the screen stays so:\n{screen}"
            time.sleep(0.05)

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names for them."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a line into the prompt and send it."""
        self._until(lambda screen: _prompt(screen) == "")
        self._tmux("send-keys", "-l", text)
        self._until(lambda screen: _prompt(screen) == text)
        # While it is starting, the client takes text but no Enter.
        for patience in (1, 1, 1, 2, 5, 10):
            self.press("Enter")
            try:
                self._until(lambda screen: _prompt(screen) != text, patience)
            except AssertionError:
                continue
            return
        raise AssertionError(f"Enter is not taken:\n{self.screen()}")

    def exit(self) -> None:
        """Leave the client as a person does, and wait until it has gone."""
        self.type("/exit")
        self._wait_until_gone()

    def close(self) -> None:
        """Close the terminal's window under the client, and wait until it has gone."""
        self._tmux("kill-server")
        self._wait_until_gone()

    def _wait_until_gone(self) -> None:
        program = str(self._claude.program)
        self._claude.wait_for(
            lambda: (
                not any(
                    line.startswith(program) for line in self._claude.sandbox.processes().values()
                )
            )
        )


def _add(path: Path, members: dict[str, Any]) -> None:
    """Set members of a JSON file that may be there already."""
    known = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**known, **members}))


def _prompt(screen: str) -> str | None:
    """What stands in the prompt, between two lines across the screen; None where there is none."""
    lines = screen.splitlines()
    edges = [number for number, line in enumerate(lines) if line.startswith("\u2500" * 9)]
    if len(edges) < 2 or lines[edges[-2] + 1][:1] not in ("\u276f", "!"):
        return None
    return lines[edges[-2] + 1][1:].strip()
