"""Each hook turned into a no-op, and the scenarios that notice: `make e2e-no-ops`.

A hook that can be missing unnoticed is one that nothing proves, and fails the run. What noticed goes
into docs/generated/no-ops.md.

python3 -m tests.e2e.no_ops [SCRIPT...]    only these; the page is written when all were tried
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults.report import publish

from .client import ROOT

PARTS = ("lib", "hooks", "bin", "skills", "tests", ".claude-plugin")
FILES = ("pyproject.toml", "settings.example.json")

NO_OP = """import sys

sys.stdin.buffer.read()
"""


def noticed_by(script: str) -> list[str]:
    """The scenarios that fail when a hook script does nothing, in the order that they ran."""
    with tempfile.TemporaryDirectory() as place:
        for part in PARTS:
            if (ROOT / part).exists():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / part, Path(place, part), ignore=ignored)
        for file in FILES:
            shutil.copy2(ROOT / file, place)
        Path(place, "hooks", script).write_text(NO_OP)
        command = [sys.executable, "-m", "pytest", "-q", "-m", "e2e or interactive", "tests/e2e"]
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", "--tb=no"],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (0, 1):
            sys.exit(f"{script}: pytest ended with {done.returncode}\n{done.stdout[-600:]}")
        found = re.findall(r"^FAILED tests/e2e/test_\w+[.]py::(\w+)", done.stdout, re.MULTILINE)
        return list(dict.fromkeys(found))


def main() -> int:
    scripts = sorted(path.name for path in (ROOT / "hooks").glob("*.py"))
    chosen = [script for script in scripts if script in (sys.argv[1:] or scripts)]
    lines = ["| does nothing | scenarios that fail |", "|---|---|"]
    missed = 0
    for script in chosen:
        scenarios = noticed_by(script)
        missed += not scenarios
        names = ", ".join(f"`{name.removeprefix('test_')}`" for name in scenarios)
        lines.append(f"| `{script}` | {len(scenarios)}: {names or '**none**'} |")
        print(lines[-1], flush=True)
    if chosen == scripts:
        title = "Each hook turned into a no-op, and the scenarios that fail"
        publish("\n".join(lines) + "\n", "no-ops", title, "make e2e-no-ops")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
