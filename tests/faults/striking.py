"""A workload's process struck by one fault at a time, over copies of one world."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from . import strace
from .report import Tally
from .workloads import Bench, Prepared, Trouble

# Of one test; where tests run side by side, one is enough.
WORKERS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2

Fault = tuple[strace.Call, str]
Strike = Callable[[Bench, Prepared, strace.Call, str], list[Trouble]]


def recorded(bench: Bench, prepared: Prepared) -> list[strace.Call]:
    """The calls of an undisturbed run."""
    step = prepared.workload.strikes
    with bench.copy(prepared) as root:
        output = root.with_suffix(".strace")
        done, text = strace.record(step.command(), output, **step.options(root))
        output.unlink()
        assert done.returncode == 0, done.stderr
        return strace.parse(text, str(root))


def struck(bench: Bench, prepared: Prepared, fault: Fault, root):
    """The process once it has met the fault; a fault that missed is an error."""
    step, (call, kind) = prepared.workload.strikes, fault
    output = root.with_suffix(".strace")
    children = prepared.workload.git
    done, fired = strace.inject(step.command(), call, kind, output, children, **step.options(root))
    output.unlink()
    assert fired, f"{kind} at {call} was not hit: {done}"
    return done


def try_all(
    row: str,
    name: str,
    faults: Iterable[Fault],
    strike: Callable[[Fault], list[Trouble]],
    tally: Tally,
) -> None:
    """Strike once with each fault, count them, and fail with all that went wrong."""
    faults = list(faults)
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = list(pool.map(strike, faults))
    found = [(fault, each) for fault, outcome in zip(faults, outcomes) for each in outcome]
    tally.add(row, name, len(faults), [each.kind for _, each in found])
    assert faults, "nothing was tried"
    lines = [f"{each.kind}: {kind} at {call}: {each.what}" for (call, kind), each in found]
    assert not lines, "\n".join(lines)
