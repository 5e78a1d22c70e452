"""python -m benchmarks [--quick]: measure everything, print the table, write the page.

exit    0 when every target is met, 1 when one is missed or could not be measured
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator

from . import page, rivals, rows, worlds
from .rows import Row, Setting
from .timing import Failed
from .worlds import ROOT

SEPARATOR = " | "


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of it, and write no page")
    quick = parser.parse_args().quick
    # Neither the environment this was started from nor its virtual environment is measured.
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    setting = Setting(
        rows.QUICK if quick else rows.FULL, python, worlds.grounds(True), worlds.grounds(False)
    )
    try:
        return _measure(setting, quick)
    finally:
        os.chdir("/")
        for each in (setting.memory, setting.disk):
            shutil.rmtree(each.path, ignore_errors=True)


def _measure(setting: Setting, quick: bool) -> int:
    began = time.monotonic()
    found = []
    home = setting.world("first")
    tape = worlds.Tape(setting.memory.path / "tape", worlds.make_key(home), setting.scale.records)
    for row in _rows(setting, tape):
        found.append(row)
        mark = {True: "met", False: "MISSED", None: ""}[row.met]
        print(row.what, row.target, row.measured, mark, sep=SEPARATOR, flush=True)
    curves = rivals.curves(setting, tape)
    for name, curve in curves.items():
        cells = [f"{size:,}: {ratio.processor.median:.2f}" for size, ratio in curve.items()]
        print(name, *cells, sep=SEPARATOR, flush=True)
    judged = [row.met for row in found if row.met is not None]
    print(f"{sum(judged)} of {len(judged)} targets met, in {time.monotonic() - began:.0f} seconds.")
    if not quick:
        from .chart import draw

        bare = curves[rivals.OURS][0].base
        page.write(ROOT / "docs" / "generated" / "performance.md", setting, found, curves, bare)
        draw(curves, ROOT / "docs" / "performance.svg")
    return 0 if all(judged) else 1


def _rows(setting: Setting, tape: worlds.Tape) -> Iterator[Row]:
    """Every group's rows; a group whose worlds cannot be made is a target missed."""
    groups = (
        rows.tool_hooks(setting),
        rows.registered(setting),
        rows.behind_shim(setting),
        rows.large_events(setting),
        rows.long_journals(setting, tape),
        rows.peak_memory(setting),
        rows.other_pythons(setting),
        rows.starts_and_stops(setting, tape),
    )
    for group in groups:
        try:
            yield from group
        except Failed as error:
            yield Row(group.__name__, "", f"not measured: {error}", False)


if __name__ == "__main__":
    sys.exit(main())
