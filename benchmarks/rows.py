"""The table: what each part of the bundle may cost, and what it was measured to cost.

Every function here is one group of rows, and gives them as they are measured.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import worlds
from .timing import Command, Failed, Ratio, Spread, compare, compare_peaks, kernel_work, run
from .worlds import ROOT, Tape, World

TOOL_HOOKS = {"PreToolUse": "pre_tool.py", "PostToolUse": "post_tool.py"}
SMALL, ORDINARY = 2 << 10, 16 << 10


@dataclass(frozen=True)
class Scale:
    """How much is measured. Seconds are those of one row; slow commands get three rounds anyway."""

    seconds: float
    records: int
    files: tuple[int, ...]
    rivals: int
    """As many records as the other designs are measured with."""


FULL = Scale(3, 1_000_000, (0, 1_000, 10_000, 100_000), 1_000_000)
QUICK = Scale(1.5, 100_000, (0, 1_000, 10_000), 10_000)


@dataclass(frozen=True)
class Row:
    """One line of the table; a row without a target has nothing to meet."""

    what: str
    target: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class Setting:
    """What the groups are measured on."""

    scale: Scale
    python: str
    memory: worlds.Grounds
    disk: worlds.Grounds

    def world(self, name: str, on_disk: bool = False, home: str = "home", **extra: str) -> World:
        place = self.disk if on_disk else self.memory
        return World(self.memory.path / home, place.path / name, self.python, extra)


def row(
    what: str,
    measure: Callable[[], Ratio],
    most: float | None = None,
    least: float = 0,
    waits: bool = False,
) -> Row:
    """A ratio against its limits: of processor time, or, where the disk is waited for, of time.

    What failed or is missing is a target missed, and says so.
    """
    target = _limits(most, least)
    try:
        ratio = measure()
    except Failed as error:
        return Row(what, target, f"not measured: {error}", False)
    processor, elapsed = f"processor {ratio.processor}", f"elapsed {ratio.elapsed}"
    judged = ratio.elapsed if waits else ratio.processor
    measured = f"{elapsed}; {processor}" if waits else f"{processor}; {elapsed}"
    return Row(what, target, measured, _is_met(judged, most, least))


def _limits(most: float | None, least: float) -> str:
    if most is None:
        return ""
    return f"{least:.2f} to {most:.2f}" if least else f"at most {most:.2f}"


def _is_met(found: Spread, most: float | None, least: float = 0) -> bool | None:
    """Whether the figure, as it is shown, is within its limits."""
    return None if most is None else least <= round(found.median, 2) <= most


def _ordinary_limit(version: tuple[int, ...]) -> float:
    return 1.00 if version >= (3, 10) else 1.05


# --- the hooks of tool calls -------------------------------------------------------------------


def tool_hooks(setting: Setting) -> Iterator[Row]:
    """Ordinary events; commands too, of which one with a sign of a secret loads the patterns."""
    world = setting.world("ordinary")
    limit = _ordinary_limit(sys.version_info[:2])
    for event, script in TOOL_HOOKS.items():
        cases = [
            ("a Write, 2 KB", world.write_event(event, SMALL), limit),
            ("a Write, 16 KB", world.write_event(event, ORDINARY), limit),
            ("a shell command", world.shell_event(event, "make test ARGS='-k journal'"), limit),
            (
                "a shell command that may hold a secret",
                world.shell_event(event, "curl -u ci:hunter2 https://example.org/status"),
                None,
            ),
        ]
        for about, file, most in cases:
            yield _against_bare(setting, world, f"`{script}`, {about}", script, file, most)


def _against_bare(
    setting: Setting, world: World, what: str, script: str, event: str, most: float | None
) -> Row:
    hook, bare = world.hook(script, event), world.bare(event)
    return row(what, lambda: compare(hook, bare, setting.scale.seconds), most)


def other_pythons(setting: Setting) -> Iterator[Row]:
    """The same on every other version of Python that is here."""
    for version, python in sorted(_pythons().items()):
        if version == sys.version_info[:2]:
            continue
        number = ".".join(map(str, version))
        world = World(setting.memory.path / "home", setting.memory.path / number, python)
        for event, script in TOOL_HOOKS.items():
            what = f"`{script}`, a Write, 2 KB, on Python {number}"
            file = world.write_event(event, SMALL)
            yield _against_bare(setting, world, what, script, file, _ordinary_limit(version))


_WHO = "import sys; print(*sys.version_info[:2], sys.executable)"


def _pythons() -> dict[tuple[int, ...], str]:
    """An interpreter of each version from 3.9 on: behind the names on PATH, or pyenv's."""
    on_path = [shutil.which(f"python3.{minor}") for minor in range(9, 20)]
    named = [*filter(None, on_path), *Path.home().glob(".pyenv/versions/*/bin/python3")]
    found = {}
    for candidate in named:
        try:
            command = [candidate, "-I", "-S", "-c", _WHO]
            major, minor, python = subprocess.check_output(
                command, text=True, stderr=subprocess.DEVNULL
            ).split()
        except (OSError, subprocess.CalledProcessError):
            continue
        if (int(major), int(minor)) >= (3, 9):
            found.setdefault((int(major), int(minor)), os.path.realpath(python))
    return found


def large_events(setting: Setting) -> Iterator[Row]:
    world = setting.world("large")
    for megabytes, most in ((1, 1.3), (5, 2.5)):
        for event, script in TOOL_HOOKS.items():
            file = world.write_event(event, megabytes << 20)
            what = f"`{script}`, an event of {megabytes} MB"
            yield _against_bare(setting, world, what, script, file, most)


def peak_memory(setting: Setting) -> Iterator[Row]:
    world = setting.world("memory")
    for event, script in TOOL_HOOKS.items():
        file = world.write_event(event, ORDINARY)
        hook, bare = world.hook(script, file), world.bare(file)
        found = compare_peaks(setting.python, hook, bare, rounds=20)
        what = f"`{script}`, a Write, 16 KB: peak memory"
        yield Row(what, _limits(1.1, 0), str(found), _is_met(found, 1.1))


UNREAD = 200
"""Times the bare interpreter, which takes 20 ms: a start gives up reading well before 5 seconds."""


def long_journals(setting: Setting, tape: Tape) -> Iterator[Row]:
    """What a call costs does not depend on how many were recorded before it."""
    empty, long = setting.world("empty"), setting.world("long")
    tape.put(long, setting.scale.records)
    tape.put(empty, 0)
    records = f"{setting.scale.records:,} records"
    for event, script in TOOL_HOOKS.items():
        few, many = (world.hook(script, world.write_event(event, SMALL)) for world in (empty, long))
        yield row(
            f"`{script}`, {records} in the journal against none",
            lambda few=few, many=many: compare(many, few, 2 * setting.scale.seconds),
            1.03,
            0.97,
        )
        yield _same_work(f"`{script}`, {records} against none: system calls, bytes", many, few)
    start = _start(long)
    yield row(
        f"`session_start.py`, the first one after {records} without a checkpoint",
        lambda: compare(start, long.bare(), setting.scale.seconds),
        UNREAD,
        waits=True,
    )


def _same_work(what: str, one: Command, other: Command) -> Row:
    try:
        (calls, size), (other_calls, other_size) = kernel_work(one), kernel_work(other)
    except Failed as error:
        return Row(what, "the same", f"not measured: {error}", False)
    measured = f"{calls} against {other_calls} calls, {size} against {other_size} bytes"
    return Row(what, "the same", measured, (calls, size) == (other_calls, other_size))


# --- as registered -----------------------------------------------------------------------------


def _registered(file: str, event: str) -> str:
    """The command that is registered for an event."""
    hooks = json.loads((ROOT / file).read_text())["hooks"]
    return hooks[event][0]["hooks"][0]["command"]


def _variables(path: str) -> dict[str, str]:
    root = str(ROOT)
    return {"PATH": path, "WORKFLOW_STATE_HOME": root, "CLAUDE_PLUGIN_ROOT": root}


def _first_on_path(setting: Setting) -> str:
    """A PATH on which `python3` is the interpreter that is measured."""
    folder = setting.memory.path / "bin"
    folder.mkdir(exist_ok=True)
    if not (folder / "python3").exists():
        (folder / "python3").symlink_to(setting.python)
    return f"{folder}:{os.defpath}"


def registered(setting: Setting) -> Iterator[Row]:
    world = setting.world("registered", **_variables(_first_on_path(setting)))
    for file in ("settings.example.json", "hooks/hooks.json"):
        for event, script in TOOL_HOOKS.items():
            stdin = world.write_event(event, SMALL)
            hook = world.shell(_registered(file, event), stdin)
            bare = world.shell("python3 -I -S -c pass", stdin)
            yield row(
                f"`{script}` as registered in `{file}`, against `sh` and the interpreter",
                lambda hook=hook, bare=bare: compare(hook, bare, setting.scale.seconds),
                1.05,
            )


_STAND_IN = """#!/usr/bin/env bash
set -e
program="${0##*/}"
exec "%s" "$@"
"""


def _shim(setting: Setting) -> tuple[str, dict[str, str]]:
    """The folder of a shim of `python3`, and the variables that make it choose our interpreter."""
    shims = Path.home() / ".pyenv" / "shims"
    chosen = Path(setting.python).parent.parent
    if (shims / "python3").exists() and chosen.parent.name == "versions":
        return str(shims), {"PYENV_VERSION": chosen.name}
    folder = setting.memory.path / "shims"
    folder.mkdir(exist_ok=True)
    (folder / "python3").write_text(_STAND_IN % setting.python)
    (folder / "python3").chmod(0o755)
    return str(folder), {}


def behind_shim(setting: Setting) -> Iterator[Row]:
    """Where `python3` is a version manager's shim; a session has started through it before."""
    shims, chosen = _shim(setting)
    named = "pyenv's shim" if chosen else "a stand-in for pyenv's shim (it is not installed)"
    variables = {**_variables(f"{shims}:{os.defpath}"), **chosen}
    # Each has its own home, and so the link that its own start leaves.
    shimmed = setting.world("shimmed", home="home-shimmed", **variables)
    plain = setting.world("plain", home="home-plain", **_variables(_first_on_path(setting)))
    file = "settings.example.json"
    for world in (shimmed, plain):
        start, stop = _registered(file, "SessionStart"), _registered(file, "Stop")
        for session in ("first", "second"):
            run(world.shell(start, world.start_event(session)))
            run(world.shell(stop, world.stop_event()))
    for event, script in TOOL_HOOKS.items():
        hook, base = (
            world.shell(_registered(file, event), world.write_event(event, SMALL))
            for world in (shimmed, plain)
        )
        yield row(
            f"`{script}` as registered behind {named}, against the same without it",
            lambda hook=hook, base=base: compare(hook, base, setting.scale.seconds),
            1.15,
        )


# --- starts and stops --------------------------------------------------------------------------

STATUS_LINE = 3
LIMITS = {0: 3, 1_000: 4, 10_000: 8, 100_000: 40}


def starts_and_stops(setting: Setting, tape: Tape) -> Iterator[Row]:
    """And status lines. git is left out: the projects are no repositories, and ran no shell."""
    ready = {files: stopped(setting, tape, files) for files in setting.scale.files}
    for files, world in ready.items():
        hook = _stop_after_a_turn(world)
        yield row(
            f"`stop.py` after a turn, {files:,} files processed",
            lambda hook=hook, world=world: compare(hook, world.bare(), setting.scale.seconds),
            LIMITS[files],
            waits=True,
        )
    yield from _idle_stops(setting, ready)
    for files, world in ready.items():
        hook = _start(world)
        yield row(
            f"`session_start.py`, {files:,} files processed",
            lambda hook=hook, world=world: compare(hook, world.bare(), setting.scale.seconds),
            LIMITS[files],
            waits=True,
        )
    for files, world in ready.items():
        yield row(
            f"`workflow-state statusline`, {files:,} files processed",
            lambda world=world: compare(world.status_line(), world.bare(), setting.scale.seconds),
            STATUS_LINE if files <= 1_000 else None,
        )


def stopped(setting: Setting, tape: Tape, files: int) -> World:
    """A session that processed so many files and was checkpointed; the files are there.

    Through the API, which takes its time: no hook ever has to read so much at once.
    Raises Failed.
    """
    world = setting.world(f"files-{files}", on_disk=True)
    tape.put(world, 2 * files)
    worlds.write_files(world, files)
    run(world.checkpoint())
    listed = world.files_processed()
    if listed != files:  # what the hooks do not believe costs them nothing
        raise Failed(f"a checkpoint of {files} files lists {listed}")
    return world


def _idle_stops(setting: Setting, stopped: dict[int, World]) -> Iterator[Row]:
    none, *more = stopped
    idle = {files: world.hook("stop.py", world.stop_event()) for files, world in stopped.items()}
    for files in more:
        yield row(
            f"`stop.py` when nothing happened, {files:,} files processed against {none}",
            lambda files=files: compare(idle[files], idle[none], setting.scale.seconds),
            1.1,
            waits=True,
        )


def _start(world: World) -> Command:
    """A new session that continues the one there is; what the round before made is removed."""
    begun = world.journal.with_name(f"{worlds.NEXT}.jsonl")

    def forget() -> None:
        begun.unlink(missing_ok=True)
        world.journal.with_suffix(".fold").unlink(missing_ok=True)

    return world.hook("session_start.py", world.start_event(), forget)


def _stop_after_a_turn(world: World) -> Command:
    """A stop when, since the last one, the user asked for something and a file was written."""

    numbers = itertools.count()

    def turn() -> None:
        number = next(numbers)
        run(world.hook("user_prompt.py", world.prompt_event(f"prompt-{number}")))
        for event, script in TOOL_HOOKS.items():
            run(world.hook(script, world.write_event(event, SMALL, call=f"turn-{number}")))

    return world.hook("stop.py", world.stop_event(), turn)
