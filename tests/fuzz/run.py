"""Coverage-guided fuzzing of targets.py: `make fuzz SECONDS=3600`.

    python -m tests.fuzz.run FOLDER SECONDS [TARGET ...]

Each target gets its share of the time in a process of its own. Its corpus is kept in
FOLDER/TARGET, seeded from the recorded events, and so is what libFuzzer says. A crash is kept
beside it, and belongs into FOUND of test_targets.py under a name that says what it is.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60
"""Seconds that libFuzzer may take beyond its time, to read its corpus and to end."""


def main(folder: Path, seconds: int, chosen: list[str]) -> int:
    """Fuzz the targets one after the other; print what each came to. 1 when one of them broke."""
    from tests.fuzz import targets

    names = chosen or targets.NAMES
    share = max(1, seconds // len(names))
    print(f"{'target':<10}{'executions':>12}{'corpus':>8}", flush=True)
    broken = []
    for name in names:
        log = run(name, folder.resolve(), share)
        executions = re.search(r"number_of_executed_units: *(\d+)", log)
        corpus = len(list((folder / name).iterdir()))
        print(f"{name:<10}{executions[1] if executions else '?':>12}{corpus:>8}", flush=True)
        if "DONE" not in log:
            broken.append(name)
    for name in broken:
        print(f"{name} broke: {folder}/{name}.log says how, {folder}/{name}-* is the input")
    return 1 if broken else 0


def run(name: str, folder: Path, seconds: int) -> str:
    """Fuzz one target in a process of its own; returns what libFuzzer said."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with (
        tempfile.TemporaryDirectory(dir=memory) as place,
        open(folder / f"{name}.log", "wb") as log,
    ):
        limits = [f"-max_total_time={seconds}", "-max_len=16384", "-timeout=10"]
        keeping = [f"-artifact_prefix={folder}/{name}-", "-print_final_stats=1"]
        try:
            subprocess.run(
                [sys.executable, "-m", __spec__.name, *limits, *keeping, str(folder / name)],
                cwd=ROOT,
                env={**os.environ, "TARGET": name, "HOME": place, "TMPDIR": place},
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=seconds + PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pass  # its log does not say that it is done
    return (folder / f"{name}.log").read_text(errors="replace")


def fuzz(name: str) -> None:
    """Seed the corpus, then be libFuzzer, which takes this process's arguments."""
    import atheris

    with atheris.instrument_imports(include=["lib"]):
        from tests.fuzz import targets
    for target, data in targets.seeds():
        if target == name:
            digest = hashlib.blake2b(data, digest_size=8).hexdigest()
            (Path(sys.argv[-1]) / f"seed-{digest}").write_bytes(data)
    atheris.Setup(sys.argv, targets.TARGETS[name])
    atheris.Fuzz()


def has_atheris() -> bool:
    """Whether what fuzzes is installed."""
    from importlib.util import find_spec

    return find_spec("atheris") is not None


if __name__ == "__main__":
    if not has_atheris():
        sys.exit(
            f"fuzz: atheris has no release for Python {platform.python_version()} on "
            f"{sys.platform} {platform.machine()}; choose one of 3.9 to 3.14 on Linux x86_64 with "
            "make fuzz PYTHON=..."
        )
    if "TARGET" in os.environ:
        fuzz(os.environ["TARGET"])
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
