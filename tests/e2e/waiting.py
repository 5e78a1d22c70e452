"""What the user waits for: a session of 200 tool calls, with the hooks, without, and with `true`.

python3 -m tests.e2e.waiting [ROUNDS]    prints the table and puts it into docs/compatibility.md

The three run in turn, in an order that changes from round to round, each in a place of its own; what is
shown are medians, and quartiles, of the differences within a round.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.report import publish

from . import package
from .client import Claude
from .messages import Block, bash

CALLS = 200
KINDS = ("none", "true", "ours")
ROUNDS = 10


def session(kind: str, program: Path) -> tuple[float, float]:
    """Seconds from the first request to the last, in which the calls are made, and of all."""
    with tempfile.TemporaryDirectory() as top:
        claude = Claude(Path(top, "place"), program, output=["--output-format", "json"])
        try:
            claude.git("init", "-q")
            claude.register()
            settings = claude.project / ".claude/settings.local.json"
            if kind == "none":
                settings.unlink()
            elif kind == "true":
                hooks = json.loads(settings.read_text())
                for groups in hooks["hooks"].values():
                    groups[0]["hooks"][0]["command"] = "true"
                settings.write_text(json.dumps(hooks))
            (claude.project / "a.py").write_text("x = 0\n")
            claude.mock.script(claude.read("a.py"), *calls(claude), "Done.")
            began = time.monotonic()
            done = claude.run("Work")
            took = time.monotonic() - began
            assert len(done.requests) == CALLS + 1
            recorded = claude.show()["counts"]["calls"] if kind == "ours" else CALLS
            assert recorded == CALLS
            return done.requests[-1].at - done.requests[0].at, took
        finally:
            claude.close()


def calls(claude: Claude) -> list[Block]:
    """The calls after the first, which read the file that every fourth of them edits."""
    return [
        [
            claude.edit("a.py", f"x = {number // 4}\n", f"x = {number // 4 + 1}\n"),
            claude.read("a.py"),
            bash(f"ls > /dev/null  # {number}"),
            claude.write(f"{number}.py"),
        ][number % 4]
        for number in range(CALLS - 1)
    ]


def quartiles(values: list[float], digits: int) -> str:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    program = package.client(package.cache())
    found: list[dict[str, tuple[float, float]]] = []
    for number in range(rounds):
        order = [KINDS[(number + place) % 3] for place in range(3)]
        found.append({kind: session(kind, program) for kind in order})
        print(number + 1, {kind: round(took[1], 2) for kind, took in found[-1].items()}, flush=True)
    lines = [
        "| the same session | per call, ms | the whole session, s | added per call, ms | added in all, s |",
        "|---|--:|--:|--:|--:|",
    ]
    names = {"none": "without hooks", "true": "hooks that run `true`", "ours": "these hooks"}
    for kind in KINDS:
        each = [took[kind][0] / CALLS * 1000 for took in found]
        whole = [took[kind][1] for took in found]
        added = [(took[kind][0] - took["none"][0]) / CALLS * 1000 for took in found]
        in_all = [took[kind][1] - took["none"][1] for took in found]
        more = [quartiles(added, 1), quartiles(in_all, 2)] if kind != "none" else ["", ""]
        cells = [names[kind], quartiles(each, 1), quartiles(whole, 2), *more]
        lines.append(f"| {' | '.join(cells)} |")
    about = (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, client {package.version()}, CPython "
        f"{platform.python_version()}, {platform.system()} {platform.release()} on "
        f"{platform.machine()}, {os.cpu_count()} processors that {os.getloadavg()[2]:.0f} processes "
        f"wanted on average: {rounds} rounds of {CALLS} calls. "
        "In brackets the quartiles."
    )
    text = "\n".join([about, "", *lines]) + "\n"
    print(text)
    publish(text, "waiting", "What the user waits for", "make e2e-waiting")
    return 0


if __name__ == "__main__":
    sys.exit(main())
