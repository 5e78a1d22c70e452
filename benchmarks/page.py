"""docs/performance.md: the figures of one run, what they were taken on, and how to repeat it."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from .rivals import Curve
from .rows import Row, Setting

HEAD = """\
# Performance

Every hook is a process that the user waits for, twice per tool call. This page was written by

```sh
make bench          # all of it, in ten minutes; PYTHON=python3.9 picks the interpreter
make bench-quick    # less of it, in two minutes; this page stays as it is
```

A figure is what a hook takes over what `python3 -I -S -c pass` takes, the interpreter that starts
and does nothing, or over what its row names. The two run in turn, each a process of its own with
the same standard input; the median of the rounds' ratios is shown, with the quartiles. Projects and
home are made for the run, and the environment from nothing.

`processor` is the processor's time, `elapsed` the time that passed. A tool's hook waits for
nothing, so it is judged by the first, which other work on the machine hardly disturbs; a start and
a stop wait for the disk and are judged by the second. What comes first is what is judged.

What a session of 200 calls waits for in the client itself is in
[compatibility.md](compatibility.md#what-the-user-waits-for).
"""

STORES = "## The stores\n"
"""What begins the part that benchmarks/stores.py writes, the page's last."""


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| what | target | measured | met |", "|---|---|---|---|"]
    marks = {True: "yes", False: "**no**", None: ""}
    for row in rows:
        lines.append(f"| {row.what} | {row.target} | {row.measured} | {marks[row.met]} |")
    return "\n".join(lines) + "\n"


def _comparison(curves: dict[str, Curve]) -> str:
    sizes = list(max(curves.values(), key=len))
    lines = [f"| records already there | {' | '.join(f'{size:,}' for size in sizes)} |"]
    lines.append("|---|" + "--:|" * len(sizes))
    for name, curve in curves.items():
        cells = [f"{curve[size].processor.median:.2f}" if size in curve else "" for size in sizes]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine(setting: Setting) -> str:
    """What the figures were taken on; nothing that names the machine or its owner."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {python}, {system} on {platform.machine()}, "
        f"{_processor()}, {os.cpu_count()} processors. Tool hooks run on "
        f"{setting.memory.kind or 'a file system unknown'}, so that no disk is in their way; "
        f"starts and stops, which sync what they write, on {setting.disk.kind or 'one unknown'}."
    )


def write(
    path: Path, setting: Setting, rows: list[Row], curves: dict[str, Curve], bare: float
) -> None:
    judged = [row for row in rows if row.met is not None]
    met = sum(bool(row.met) for row in judged)
    parts = [
        HEAD,
        f"{machine(setting)} The bare interpreter took {bare:.1f} ms.\n",
        f"## Targets\n\n{met} of {len(judged)} are met.\n",
        table(rows),
        "## One call, by what was recorded before\n",
        "![One call's cost by the number of records: this bundle stays at the interpreter's own "
        "start, designs that rewrite a file grow with it](performance.svg)\n",
        _comparison(curves),
        "The others are in `benchmarks/naive` and `benchmarks/usual`. They record less, run with "
        "the same options of the interpreter, and have their files in memory too. Figures are "
        "processor time over the bare interpreter's.\n",
    ]
    path.write_text("\n".join(parts) + _stores(path))


def _stores(path: Path) -> str:
    _, mark, rest = path.read_text().partition(STORES) if path.exists() else ("", "", "")
    return f"\n{mark}{rest}" if mark else ""


def write_stores(path: Path, text: str) -> None:
    """Put the stores' part in the place of the one that is there."""
    before = path.read_text().partition(STORES)[0].rstrip("\n")
    path.write_text(f"{before}\n\n{STORES}\n{text}")
