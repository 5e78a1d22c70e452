"""The check of the Python that runs the hooks, and how long it takes."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time

from ..bundle_copy import BUNDLE
from .command_line import python_of, python_on_path
from .finding import MEND, NOTE, OK, Finding, Subject

ROUNDS = 5
SLOW = 0.25
"""Seconds of a hook that a person notices at each tool call."""

OLDEST = (3, 9)
_WHO = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.executable)"


def check_python(subject: Subject) -> Finding:
    """Which Python runs the hooks, and how long does it take?"""
    pythons = {python_of(line, subject.project) for line in subject.commands()}
    findings = [
        _examine(python, subject.project) for python in sorted(pythons or {python_on_path()})
    ]
    for finding in findings:
        if finding.state != OK:
            return finding
    return Finding("python", OK, "; ".join(finding.said for finding in findings))


def _examine(python: str, project: str) -> Finding:
    if not python:
        mend = "install Python 3.9 or newer, then: workflow-state install"
        return Finding("python", MEND, "there is no python3 on PATH", mend)
    if not _may_run(python, project):
        said = f"{python} (not tried: it lies in the project, or its name is not that of a Python)"
        return Finding("python", OK, said)
    try:
        version, real = _ask(python)
        took = _time(python)
        is_shim = os.path.realpath(real) != os.path.realpath(python) and took > 2 * _time(real)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        said = f"{python} cannot run the hooks: {error}"
        return Finding("python", MEND, said, "workflow-state install")
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        said = f"{python} is Python {version}; the hooks need 3.9"
        return Finding("python", MEND, said, "run workflow-state install with a newer python3")
    said = f"Python {version}, {python}, {1000 * took:.0f} ms a hook"
    if is_shim:
        said += f": the shim before {real} takes most of that"
        return Finding("python", MEND, said, "workflow-state install")
    return Finding("python", NOTE if took > SLOW else OK, said + ", slow" * (took > SLOW))


def _may_run(python: str, project: str) -> bool:
    """Whether it is a Python by its name, and did not come with the project."""
    real = os.path.realpath(python)
    name = re.fullmatch(r"(python3?|pypy3?)(\.\d+)?", os.path.basename(real))
    shim = os.path.basename(python) == "python3"
    return bool(name or shim) and not real.startswith(os.path.realpath(project) + "/")


def _ask(python: str) -> tuple[str, str]:
    """The version and the path that an interpreter reports."""
    done = subprocess.run(
        [python, "-I", "-S", "-c", _WHO], capture_output=True, text=True, timeout=20, check=True
    )
    version, path = done.stdout.strip().split(" ", 1)
    return version, path


def _time(python: str) -> float:
    """The seconds that an interpreter takes for the smallest hook; it records nothing."""
    environment = {**os.environ, "WORKFLOW_STATE": "off"}
    command = [python, "-I", "-S", f"{BUNDLE}/hooks/pre_tool.py"]
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(
            command, input=b"{}", env=environment, capture_output=True, timeout=20, check=True
        )
        took.append(time.perf_counter() - began)
    return statistics.median(took)
