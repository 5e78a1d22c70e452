"""The same hook in three designs, by how much was recorded before the call.

All run with the same options of the interpreter, so that what differs is what they do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .rows import SMALL, Setting
from .timing import Ratio, compare
from .worlds import Tape, World, file_name

HERE = Path(__file__).resolve().parent
SIZES = (0, 1_000, 10_000, 100_000, 1_000_000)

OURS = "this bundle"
NAIVE = "a JSON file, read and rewritten"
USUAL = "a JSON file, locked and replaced"

Curve = dict[int, Ratio]


def curves(setting: Setting, tape: Tape) -> dict[str, Curve]:
    """Each design's curve: the number of records there, and the ratio to the bare interpreter."""
    return {
        OURS: _curve(setting, OURS, setting.scale.records, partial(_ours, tape)),
        USUAL: _curve(setting, USUAL, setting.scale.rivals, _usual),
        NAIVE: _curve(setting, NAIVE, setting.scale.rivals, _naive),
    }


def _curve(setting: Setting, name: str, most: int, prepare: Callable[[World, int], Path]) -> Curve:
    found = {}
    for size in SIZES:
        if size <= most:
            world = setting.world(f"{name} {size}")
            world.in_project.mkdir(parents=True, mode=0o700)
            script = prepare(world, size)
            hook = world.script(script, world.write_event("PostToolUse", SMALL))
            found[size] = compare(hook, world.bare(), setting.scale.seconds)
    return found


def _ours(tape: Tape, world: World, size: int) -> Path:
    tape.put(world, size)
    return HERE.parent / "hooks" / "post_tool.py"


def _entries(size: int) -> list[dict[str, str]]:
    at = "2026-01-01T00:00:00.000000+00:00"
    names = ("PreToolUse", "PostToolUse")
    return [
        {
            "at": at,
            "event": names[number % 2],
            "tool": "Write",
            "call": f"toolu_{number // 2:024d}",
            "path": file_name(number // 2),
        }
        for number in range(size)
    ]


def _naive(world: World, size: int) -> Path:
    state = {"value": _entries(size), "timestamp": None}
    (world.in_project / "records.json").write_text(json.dumps(state))
    return HERE / "naive" / "hook.py"


def _usual(world: World, size: int) -> Path:
    (world.in_project / "records.json").write_text(json.dumps({"records": _entries(size)}))
    return HERE / "usual" / "hook.py"
