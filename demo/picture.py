"""The terminal in README, drawn from what the commands print: `python3 demo/picture.py`.

Plays the demo's day up to the crash, and writes docs/terminal.svg.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import tempfile
from html import escape
from pathlib import Path

from run import BUNDLE, Client, World, crash, keep, subagents, work

TARGET = BUNDLE / "docs" / "terminal.svg"
COLUMNS = 100
ADVANCE, LEADING, MARGIN, BAR = 7.85, 19, 18, 34
"""Pixels: a letter's width at 13 px, a line's height, around the text, the window's head."""

STYLE = """\
.window { fill: #16191d } .bar { fill: #23272d } .light { fill: #4a515b }
text { font: 13px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: #d7dce2; white-space: pre }
.typed { fill: #fff; font-weight: 600 } .prompt { fill: #6cc08b }
"""


def scenes(world: World) -> list[tuple[str, list[str]]]:
    """Commands, and what they print after a day's work and a crash."""
    installed = world.ask("install", "--user")
    claude = Client(world)
    with contextlib.redirect_stdout(io.StringIO()):
        work(world, claude)
        subagents(world, claude)
        keep(world)
        crash(world, claude)
    told = [
        ("install --user", installed),
        ("", world.ask("status")),
        ("diff documented", world.ask("diff", "documented")),
        ("doctor", world.ask("doctor")),
    ]
    return [
        (
            f"workflow-state {command}".rstrip(),
            [_at_home(line, world) for line in text.splitlines()],
        )
        for command, text in told
    ]


def _at_home(line: str, world: World) -> str:
    line = re.sub(r"/\S+/bin/workflow-state", "workflow-state", line)
    return line.replace(str(world.top), "~").replace(str(Path.home()), "~")


def rows(played: list[tuple[str, list[str]]]) -> list[tuple[str, str]]:
    """Lines as a terminal breaks them, "typed" or not."""
    found: list[tuple[str, str]] = []
    for command, lines in played:
        found += [("", "")] if found else []
        found.append(("typed", command))
        for line in lines:
            for start in range(0, max(len(line), 1), COLUMNS):
                found.append(("", line[start : start + COLUMNS]))
    return found


def draw(lines: list[tuple[str, str]]) -> str:
    """The window as SVG."""
    width = round(2 * MARGIN + COLUMNS * ADVANCE)
    height = BAR + 2 * MARGIN + LEADING * len(lines)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="workflow-state in a terminal">',
        f"<style>{STYLE}</style>",
        f'<rect class="window" width="{width}" height="{height}" rx="8"/>',
        f'<path class="bar" d="M0 {BAR}V8a8 8 0 0 1 8-8H{width - 8}a8 8 0 0 1 8 8V{BAR}z"/>',
        *(f'<circle class="light" cx="{20 + 18 * n}" cy="{BAR // 2}" r="5.5"/>' for n in range(3)),
    ]
    for number, (kind, line) in enumerate(lines):
        at = f'x="{MARGIN}" y="{BAR + MARGIN + LEADING * number + 13}"'
        if kind == "typed":
            body = f'<tspan class="prompt">$ </tspan><tspan class="typed">{escape(line)}</tspan>'
        else:
            body = escape(line)
        parts.append(f"<text {at}>{body}</text>")
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Play, and draw."""
    top = Path(tempfile.mkdtemp(prefix="workflow-state-picture-")).resolve()
    try:
        TARGET.write_text(draw(rows(scenes(World(top)))), encoding="utf-8")
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
