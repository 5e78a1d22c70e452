"""A power cut at any moment: what was acknowledged is there, what was durable stays.

The calls of a real process are carried out on a model of a disk; every world that a cut may leave
is made and looked at with the real code, and from some of them the work goes on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from . import strace
from .disk import Disk, Tree, digest, materialise
from .workloads import WORKLOADS, Bench, Prepared, Step, Trouble, afterwards, judge, make_world

LOSS = "power loss, legal outcomes"
WORKERS = 2

RESUMED = 25
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

ALONE = [name for name, workload in WORKLOADS.items() if not workload.git]
"""git writes in a process of its own, which is not recorded."""

FROM_NOTHING = [
    "stop, the first",
    "save over an old value",
    "checkpoint over an existing name",
    "restore",
]
"""Workloads that are run with all that made their world, on a disk that held nothing of it."""


def recorded(step: Step, root) -> list[strace.Call]:
    output = root.with_suffix(".strace")
    done, text = strace.record(step.command(), output, **step.options(root))
    output.unlink()
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return strace.parse(text, str(root))


def cuts(disk: Disk, calls: list[strace.Call]) -> Iterator[tuple[Tree, bool]]:
    """Every distinct world after a cut, and whether the process had said that it was done."""
    seen = set()

    def fresh(acknowledged: bool) -> Iterator[tuple[Tree, bool]]:
        for tree in disk.outcomes():
            mark = digest(tree), acknowledged
            if mark not in seen:
                seen.add(mark)
                yield tree, acknowledged

    yield from fresh(False)
    for call in calls:
        if disk.carry_out(call):
            yield from fresh(False)
    yield from fresh(True)


def troubles_of(bench: Bench, prepared: Prepared, tree: Tree, promised: bool, resumed: bool):
    root = bench.place()
    try:
        materialise(tree, root, prepared.root)
        seen = bench.look(root, prepared.workload.session)
        if not promised:
            forgive_torn_tails(seen)
        troubles = judge(prepared, seen, promised)
        if resumed:
            shutil.rmtree(root)
            materialise(tree, root, prepared.root)
            troubles += afterwards(bench, prepared, root)
        return troubles
    finally:
        shutil.rmtree(root, ignore_errors=True)


def forgive_torn_tails(seen: dict) -> None:
    """What was appended and never synced may be cut or zeros: one line that nobody can read."""
    for session in seen["sessions"].values():
        if session["problems"].get("damaged") == 1:
            del session["problems"]["damaged"]


def try_all(bench, prepared, name, disk, calls) -> tuple[int, list[Trouble]]:
    """How many worlds were looked at, and what was wrong with them."""

    def tried(case: tuple[int, tuple[Tree, bool]]) -> list[Trouble]:
        number, (tree, acknowledged) = case
        promised = acknowledged and name in DURABLE
        return troubles_of(bench, prepared, tree, promised, number % RESUMED == 0)

    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(tried, enumerate(cuts(disk, calls))))
    return len(found), [trouble for each in found for trouble in each]


def told(troubles: list[Trouble]) -> str:
    return "\n".join(dict.fromkeys(f"{each.kind}: {each.what}" for each in troubles))


@pytest.mark.parametrize("name", ALONE)
def test_a_power_cut_loses_nothing_that_was_promised(name, bench, tally, strace):
    prepared = bench.prepared(name)
    with bench.copy(prepared) as root:
        disk = Disk(root)
        calls = recorded(prepared.workload.strikes, root)
    count, troubles = try_all(bench, prepared, name, disk, calls)
    tally.add(LOSS, name, count, [each.kind for each in troubles])
    assert count > 1
    assert not troubles, told(troubles)


@pytest.mark.parametrize("name", FROM_NOTHING)
def test_a_power_cut_soon_after_all_was_made_loses_nothing_either(name, bench, tally, strace):
    prepared = bench.prepared(name)
    root = bench.place()
    make_world(root)
    disk = Disk(root)
    for step in prepared.workload.before:
        for call in recorded(step, root):
            disk.carry_out(call)
        disk.new_process()
    calls = recorded(prepared.workload.strikes, root)
    shutil.rmtree(root)
    # The records of tools were promised to nobody yet; keys and checkpoints were.
    fresh = replace(prepared, before={**prepared.before, "sessions": {}})
    count, troubles = try_all(bench, fresh, name, disk, calls)
    tally.add(LOSS, f"{name}, from nothing", count, [each.kind for each in troubles])
    assert count > 1
    assert not troubles, told(troubles)
