"""docs/generated: the figures of one run, and the machine that they were taken on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from .rivals import Curve
from .rows import Row, Setting


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
        f"{_processor()}, {os.cpu_count()} processors. Tool hooks ran on "
        f"{setting.memory.kind or 'an unknown file system'}, without a disk; starts and stops, "
        f"which sync what they write, on {setting.disk.kind or 'an unknown one'}."
    )


def write(
    path: Path, setting: Setting, rows: list[Row], curves: dict[str, Curve], bare: float
) -> None:
    judged = [row for row in rows if row.met is not None]
    met = sum(bool(row.met) for row in judged)
    parts = [
        head("What the hooks cost", "make bench"),
        f"{machine(setting)} The bare interpreter took {bare:.1f} ms.\n",
        f"## Targets\n\n{met} of {len(judged)} are met.\n",
        table(rows),
        "## One call, by the records before it\n",
        "Processor time over the bare interpreter's.\n",
        _comparison(curves),
    ]
    path.write_text("\n".join(parts))


def head(title: str, command: str) -> str:
    """How a generated page begins."""
    return f"# {title}\n\n`{command}` writes this page. Do not edit it.\n"
