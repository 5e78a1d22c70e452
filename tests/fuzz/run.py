"""Coverage-guided fuzzing of targets.py: `make fuzz SECONDS=3600`.

Needs atheris. Arguments are libFuzzer's; a directory among them is the corpus, which is seeded
from the recorded events and kept. A crash is written to a file beside it, and belongs into
`found/` with a name that says what it is.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["lib"]):
    from tests.fuzz import targets


def main() -> None:
    """Seed the corpus, then fuzz until libFuzzer is told to stop."""
    os.environ["HOME"] = tempfile.mkdtemp(prefix="fuzz-home-")
    chosen = os.environ.get("TARGET", "")
    for folder in [argument for argument in sys.argv[1:] if not argument.startswith("-")]:
        for target, data in targets.seeds():
            if chosen in ("", target):
                whole = data if chosen else bytes([targets.NAMES.index(target)]) + data
                name = hashlib.blake2b(whole, digest_size=8).hexdigest()
                (Path(folder) / f"seed-{name}").write_bytes(whole)
    atheris.Setup(sys.argv, targets.TARGETS[chosen] if chosen else targets.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
