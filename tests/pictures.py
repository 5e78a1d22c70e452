"""The pictures of docs/live.md: `make live-pictures` takes them in tmux, at a time that stands still.

The status line is what the real client shows below its prompt, `watch` what a terminal shows.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from lib.events import checkpoint_turn
from tests.conftest import ROOT
from tests.e2e import package, terminal
from tests.e2e.client import Claude
from tests.report.worlds import World, at

DOCS = ROOT / "docs"
NOW = "2026-11-23 09:12:40"
SESSION = "3c1de1f0-5a0c-4c6e-9d0b-8e6a4f2b7a11"
COLUMNS, LINES = 88, 24

THEME = TerminalTheme(
    (22, 25, 29),
    (215, 220, 226),
    [
        *((74, 81, 91), (232, 110, 110), (108, 192, 139), (226, 180, 90)),
        *((110, 160, 232), (200, 130, 220), (90, 195, 205), (215, 220, 226)),
    ],
)

FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" aria-label="@LABEL@">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, "SF Mono", Menlo, Consolas, \
"DejaVu Sans Mono", monospace; line-height: {line_height}px; white-space: pre }}
{styles}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#16191d"/>
<g transform="translate({terminal_x}, 14)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""rich's own, without its window and without the font that it has loaded from the network."""


def work(world: World) -> None:
    """A morning of two sessions; when it ends, a test and a subagent run, and two files drift."""
    world.clock = at("2026-11-23 08:30")
    other = world.session("9f0c3c1e-77aa-4c1e-8f5e-0a6b1c2d3e4f")
    other.start().ask("Find out how tides are forecast.").read("src/tides.py").stop()

    world.clock = at("2026-11-23 08:52")
    one = world.session(SESSION).start().ask("Write a parser for the harbour's configuration.")
    one.read("README.md", "src/main.py", "src/tides.py")
    for name in ("docs/config.md", "src/config/errors.py", "src/config/lexer.py"):
        one.wait(60).write(name)
    one.wait(40).write("src/config/tokens.py", "src/config/parser.py").wait(70)
    one.write("tests/test_lexer.py", "tests/test_parser.py").edit("src/main.py")
    world.clock = at("2026-11-23 09:06")
    one.run("pytest -q tests/test_parser.py", 21, "Exit code 1").edit("README.md")
    world.clock = at("2026-11-23 09:09") + 20
    one.send("Stop")
    checkpoint_turn.close(one.event("Stop"), str(world.project))
    for name in ("src/config/lexer.py", "src/main.py"):  # by somebody else
        (world.project / name).write_text("# changed in an editor\n")
    world.clock = at("2026-11-23 09:12") - 5
    one.ask("Now make the tests pass.")
    world.clock = at("2026-11-23 09:12") + 25
    one.begin("Bash", command="make test ARGS='-k parser'")
    world.clock += 9
    one.sub("a1", "Explore").begin("Read", file_path=one.path("src/config/parser.py"))


def frozen(*command: str) -> list[str]:
    """The command, at NOW and for as long as it runs."""
    return ["env", "TZ=UTC", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", NOW, *command]


def status_line(claude: Claude) -> str:
    """What the client shows: its prompt, and the line below."""
    python = [claude.interpreter, "-I", "-S", str(claude.bundle / "bin/workflow-state")]
    line = {
        "type": "command",
        "command": " ".join([*map(shlex.quote, frozen(*python)), "statusline"]),
    }
    (claude.home / ".claude").mkdir(exist_ok=True)
    (claude.home / ".claude/settings.json").write_text(json.dumps({"statusLine": line}))
    terminal.WIDTH = COLUMNS
    shown = terminal.Terminal(claude, "--session-id", SESSION)
    shown.wait_for("9 files |", "changed on disk")
    screen = shown._tmux("capture-pane", "-pe").rstrip().splitlines()
    edges = [number for number, text in enumerate(screen) if "\u2500" * 9 in text]
    return "\n".join(screen[edges[-2] : edges[-1] + 2])


def watch(claude: Claude, top: Path) -> str:
    """What `watch` shows."""
    environment = {**claude.env(), "CLAUDE_PROJECT_DIR": str(claude.project)}

    def tmux(*arguments: str) -> str:
        command = ["tmux", "-S", str(top / "tmux"), "-f", "/dev/null", *arguments]
        options = {"env": environment, "capture_output": True, "text": True}
        return subprocess.run(command, check=True, **options).stdout

    command = [claude.interpreter, str(ROOT / "bin/workflow-state"), "watch"]
    tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), *frozen(*command))
    try:
        for _ in range(200):
            shown = tmux("capture-pane", "-pe")
            if "q quits" in shown:
                return shown
            time.sleep(0.05)
        raise SystemExit(f"pictures: watch shows only {shown!r}")
    finally:
        tmux("kill-server")


def draw(name: str, label: str, shown: str) -> None:
    """Write docs/NAME.svg."""
    text = Text.from_ansi(shown.rstrip())
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(text, no_wrap=True, overflow="ignore", crop=False, end="")
    frame = FRAME.replace("@LABEL@", label)
    svg = console.export_svg(theme=THEME, code_format=frame, unique_id=name)
    # Every piece has its length, so that none needs to be clipped; line feeds are no pieces.
    svg = re.sub(r' clip-path="[^"]*"', "", svg)
    svg = re.sub(r"<text [^>]*>\n</text>", "\n", svg)
    svg = re.sub(r"^ +|[ \t]+$", "", svg, flags=re.MULTILINE)
    (DOCS / f"{name}.svg").write_text(svg, encoding="utf-8")


def main() -> None:
    for tool in ("faketime", "tmux"):
        if not shutil.which(tool):
            raise SystemExit(f"pictures: {tool} is not installed (Debian: {tool})")
    program = package.client(package.cache())
    with tempfile.TemporaryDirectory() as top, pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("CLAUDE", "WORKFLOW_STATE", "XDG_", "AI_AGENT")):
                patch.delenv(name)
        claude = Claude(Path(top) / "place", program)
        claude.project = claude.top / "harbour"
        try:
            patch.setenv("CLAUDE_PID", str(os.getpid()))  # the sessions are alive
            work(World(claude.project, claude.home, patch))
            draw("watch", "workflow-state watch in a terminal", watch(claude, Path(top)))
            draw("statusline", "The status line below Claude Code's prompt", status_line(claude))
        finally:
            claude.close()


if __name__ == "__main__":
    main()
