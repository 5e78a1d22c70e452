"""A power cut at any moment: what was acknowledged is there, what was durable stays.

The calls of a real process are carried out on a model of a disk; every world that a cut may leave
is made and looked at with the real code, and from some of them the work goes on.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from . import strace
from .disk import Disk, Tree, digest, materialise
from .striking import WORKERS
from .workloads import (
    IN_SESSION,
    STOP,
    WORKLOADS,
    Bench,
    Prepared,
    Step,
    Trouble,
    Workload,
    afterwards,
    forgive_torn_tails,
    judge,
    make_world,
    verb,
)

LOSS = "power loss, legal outcomes"

RESUMED = 30
"""From one outcome in so many the work goes on: that costs two processes, looking none."""

DURABLE = {
    "post_tool, each record synced",
    "post_tool, each record synced, the first call ever",
    "stop, the first",
    "stop, a later one",
    "save",
    "save, the first thing ever",
    "save over an old value",
    "delete",
    "checkpoint over an existing name",
    "restore",
    "restore in a session",
    "undo",
}
"""Whose exit 0 is a promise that the work is on the disk; a tool's record promises no such thing."""

VIEW = re.compile(r"project/\.claude/state/[^/]+\.json")
"""The plain copies of keys, phase and files, and their temporary files."""

ALONE = [name for name, workload in WORKLOADS.items() if not workload.git]
"""git writes in a process of its own, which is not recorded."""

LIFE = (
    *IN_SESSION,
    verb("checkpoint", "good", session="s1"),
    verb("restore", "good", session="s1"),
    verb("undo", session="s1"),
    verb("delete", "extra"),
    STOP,
)
"""A session from the first hook on, on a disk that holds nothing; each acknowledged step is kept."""


def recorded(step: Step, root: Path) -> list[strace.Call]:
    output = root.with_suffix(".strace")
    done, text = strace.record(step.command(), output, **step.options(root))
    output.unlink()
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return strace.parse(text, str(root))


def cuts(disk: Disk, calls: list[strace.Call]) -> Iterator[tuple[Tree, bool]]:
    """Every distinct world after a cut, and whether the process had said that it was done.

    Nothing is read from the view, so each of its states meets one of the rest, not all of them.
    """
    seen = set()

    def fresh(acknowledged: bool) -> Iterator[tuple[Tree, bool]]:
        for tree in disk.outcomes():
            view = {path: tree[path] for path in tree if VIEW.match(path)}
            rest = {path: tree[path] for path in tree if path not in view}
            marks = {("view", digest(view), acknowledged), ("rest", digest(rest), acknowledged)}
            if not marks <= seen:
                seen.update(marks)
                yield tree, acknowledged

    yield from fresh(False)
    for call in calls:
        if disk.carry_out(call):
            yield from fresh(False)
    yield from fresh(True)


def troubles_of(bench: Bench, prepared: Prepared, tree: Tree, promised: bool) -> list[Trouble]:
    with world(bench, prepared, tree) as root:
        seen = bench.look(root, prepared.workload.session)
    if not promised:
        forgive_torn_tails(seen)
    return judge(prepared, seen, promised) + judge_hidden(tree)


def judge_hidden(tree: Tree) -> list[Trouble]:
    """Where there are journals git must not see them: who finds their folder looks no further."""
    state = "project/.claude/state"
    if f"{state}/sessions" in tree and tree.get(f"{state}/.gitignore") != b"*\n":
        return [Trouble("leaked", "journals, and no .gitignore beside them")]
    return []


@contextmanager
def world(bench: Bench, prepared: Prepared, tree: Tree) -> Iterator[Path]:
    root = bench.place()
    try:
        materialise(tree, root, prepared.root)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def resumed(bench: Bench, prepared: Prepared, tree: Tree) -> list[Trouble]:
    """What is wrong with the next run in a world after a cut."""
    with world(bench, prepared, tree) as root:
        return afterwards(bench, prepared, root, bench.look(root, prepared.workload.session))


def try_all(
    bench: Bench, prepared: Prepared, worlds: Iterator[tuple[Tree, bool]], promised: bool, every=0
) -> tuple[int, list[Trouble]]:
    """How many worlds were looked at, and what was wrong with them.

    `promised`: what was acknowledged must be there. `every`: from one outcome in so many the work goes on.
    """

    def tried(case: tuple[int, tuple[Tree, bool]]) -> list[Trouble]:
        number, (tree, acknowledged) = case
        troubles = troubles_of(bench, prepared, tree, promised and acknowledged)
        if every and number % every == 0:
            troubles += resumed(bench, prepared, tree)
        return troubles

    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(tried, enumerate(worlds)))
    return len(found), [trouble for each in found for trouble in each]


def told(troubles: list[Trouble]) -> str:
    return "\n".join(dict.fromkeys(f"{each.kind}: {each.what}" for each in troubles))


@pytest.mark.parametrize("name", ALONE)
def test_a_power_cut_loses_nothing_that_was_promised(name, bench, tally, strace):
    prepared = bench.prepared(name)
    with bench.copy(prepared) as root:
        disk = Disk(root)
        calls = recorded(prepared.workload.strikes, root)
    promised = name in DURABLE
    count, troubles = try_all(bench, prepared, cuts(disk, calls), promised, RESUMED)
    tally.add(LOSS, name, count, [each.kind for each in troubles])
    assert count > 1
    assert not troubles, told(troubles)


def synced(step: Step) -> Step:
    return replace(step, environment=(*step.environment, ("WORKFLOW_STATE_FSYNC", "always")))


def test_a_power_cut_anywhere_in_a_session_loses_nothing(bench, tally, strace):
    root = bench.place()
    make_world(root)
    disk = Disk(root)
    before = bench.look(root, "s1")
    count, troubles = 0, []
    for step in map(synced, LIFE):
        calls = recorded(step, root)
        after = bench.look(root, "s1")
        whole = step.verb[:1] in {("restore",), ("undo",)}
        workload = Workload((), step, step, whole=whole, session="s1")
        prepared = Prepared(workload, root, before, after, after, b"")
        tried, found = try_all(bench, prepared, cuts(disk, calls), promised=True)
        count, troubles, before = count + tried, troubles + found, after
        disk.new_process()
    shutil.rmtree(root)
    tally.add(LOSS, "a session, from nothing", count, [each.kind for each in troubles])
    assert count > len(LIFE)
    assert not troubles, told(troubles)


def test_a_first_stop_makes_durable_what_tools_recorded_before(bench, tally, strace):
    """Their records were promised to nobody, until Stop promised them."""
    prepared = bench.prepared("stop, the first")
    root = bench.place()
    make_world(root)
    disk = Disk(root)
    for step in prepared.workload.before:
        for call in recorded(step, root):
            disk.carry_out(call)
        disk.new_process()
    calls = recorded(prepared.workload.strikes, root)
    shutil.rmtree(root)
    fresh = replace(prepared, before={**prepared.before, "sessions": {}})
    count, troubles = try_all(bench, fresh, cuts(disk, calls), promised=True)
    tally.add(LOSS, "stop, the first, from nothing", count, [each.kind for each in troubles])
    assert count > 1
    assert not troubles, told(troubles)
