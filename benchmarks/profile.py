"""python -m benchmarks.profile [FILES]: where the time of a stop and of a start goes.

A session that processed FILES files (100,000 by default) is made, and the two hooks' work is done
under cProfile, in this process and with everything loaded: an interpreter's start is not in it.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import shutil
import sys
from collections.abc import Callable

from lib.events import session_start, stop
from lib.recording import journal

from . import rows, worlds
from .worlds import NEXT, SESSION, World


def main() -> None:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    disk = worlds.grounds(False)
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    setting = rows.Setting(rows.FULL, python, disk, disk)
    try:
        key = worlds.make_key(setting.world("first"))
        world = rows.stopped(setting, worlds.Tape(disk.path / "tape", key, 2 * files), files)
        _profile(world)
    finally:
        os.chdir("/")
        shutil.rmtree(disk.path, ignore_errors=True)


def _profile(world: World) -> None:
    os.environ.clear()
    os.environ.update(world.environment)
    os.chdir(world.project)
    about = {"session_id": SESSION, "cwd": str(world.project)}
    _work(about, "t1")
    stop.stop(journal.Event(about, "Stop"))  # the first stop takes fingerprints, once
    _work(about, "t2")
    _under("stop.py after a turn", lambda: stop.stop(journal.Event(about, "Stop")))
    fields = {**about, "session_id": NEXT, "source": "startup"}
    _under("session_start.py", lambda: session_start.start(journal.Event(fields, "SessionStart")))


def _work(about: dict[str, object], call: str) -> None:
    """A turn that writes a file."""
    facts = {**about, "tool_name": "Write", "tool_use_id": call, "tool_input": {"file_path": call}}
    for name, fields in (
        ("UserPromptSubmit", about),
        ("PreToolUse", facts),
        ("PostToolUse", facts),
    ):
        journal.record(journal.Event({**fields, "hook_event_name": name}, name))


def _under(what: str, work: Callable[[], object]) -> None:
    profile = cProfile.Profile()
    print(f"\n{what}")
    profile.runcall(work)
    pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
