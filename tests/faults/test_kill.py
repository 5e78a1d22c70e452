"""SIGKILL at every call that writes: old or new, nothing lost, no help needed, no stale temporary files."""

from __future__ import annotations

import pytest

from .striking import recorded, struck, try_all
from .workloads import WORKLOADS, afterwards, judge

ROWS = "SIGKILL at a system call"


@pytest.mark.parametrize("name", WORKLOADS)
def test_killed_at_any_write_loses_nothing(name, bench, tally, strace):
    prepared = bench.prepared(name)

    def strike(fault):
        with bench.copy(prepared) as root:
            struck(bench, prepared, fault, root)
            seen = bench.look(root, prepared.workload.session)
            troubles = judge(prepared, seen, acknowledged=False)
            return troubles + afterwards(bench, prepared, root, seen)

    faults = [(call, "SIGKILL") for call in recorded(bench, prepared) if call.writes]
    try_all(ROWS, name, faults, strike, tally)
