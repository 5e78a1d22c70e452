"""SIGKILL at every call that writes: old or new, nothing lost, no help needed, no litter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from . import strace
from .workloads import WORKLOADS, Trouble, afterwards, judge

WORKERS = 2


def recorded(bench, prepared) -> list[strace.Call]:
    """The calls of an undisturbed run."""
    step = prepared.workload.strikes
    with bench.copy(prepared) as root:
        output = root.with_suffix(".strace")
        done, text = strace.record(step.command(), output, **step.options(root))
        output.unlink()
        assert done.returncode == 0, done.stderr
        return strace.parse(text, str(root))


def struck(bench, prepared, call) -> list[Trouble]:
    step = prepared.workload.strikes
    with bench.copy(prepared) as root:
        output = root.with_suffix(".strace")
        done, fired = strace.inject(step.command(), call, "SIGKILL", output, **step.options(root))
        output.unlink()
        assert fired, f"{call} was not hit: {done}"
        seen = bench.look(root, prepared.workload.session)
        return judge(prepared, seen, acknowledged=False) + afterwards(bench, prepared, root)


@pytest.mark.parametrize("name", WORKLOADS)
def test_killed_at_any_write_loses_nothing(name, bench, tally, strace):
    prepared = bench.prepared(name)
    calls = [call for call in recorded(bench, prepared) if call.writes]
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = list(pool.map(lambda call: struck(bench, prepared, call), calls))
    found = [(call, each) for call, outcome in zip(calls, outcomes) for each in outcome]
    tally.add("SIGKILL at a system call", name, len(calls), [each.kind for _, each in found])
    assert calls
    assert not found, "\n".join(f"{each.kind}: {call}: {each.what}" for call, each in found)
