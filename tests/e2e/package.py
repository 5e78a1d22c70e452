"""The real client: fetched once from the npm registry into a cache outside the repository.

python3 -m tests.e2e.package    fetches it where it is not there yet, verifies it, prints its place

CLAUDE_VERSION chooses another version than the one that is pinned here.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PINNED = "2.1.330"

SHA256 = {
    ("linux-x64", "2.1.330"): "f390eaa0814e6a1bff74cbb47acb74cb9c89d30ced809fe0af5af00c7bfe8ebb",
}
"""The program of each platform and version that was tried; of others, npm checks the registry's
own checksum when it fetches them."""


class Missing(Exception):
    """The client, or what it takes to run it, is not to be had; the text says what and why."""


def version() -> str:
    """The version that is asked for."""
    return os.environ.get("CLAUDE_VERSION") or PINNED


def _platform() -> str:
    if sys.platform != "linux":
        raise Missing(f"the client runs in Linux namespaces, and this is {sys.platform}")
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine())
    if not machine:
        raise Missing(f"there is no build of the client for {platform.machine()}")
    return f"linux-{machine}" + ("" if platform.libc_ver()[0] == "glibc" else "-musl")


def cache() -> Path:
    """Where clients are kept: found before the tests take the user's home away."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "workflow-state"


def client(folder: Path) -> Path:
    """The client's program in a cache, verified; fetched first where it is not there.

    Raises Missing when it cannot be fetched or is not the one that was asked for.
    """
    wanted = version()
    system = _platform()
    place = folder / f"claude-code-{system}-{wanted}"
    program = place / "claude"
    if not program.exists():
        _fetch(f"@anthropic-ai/claude-code-{system}", wanted, place)
    digest = SHA256.get((system, wanted))
    if digest and _sha256(program) != digest:
        raise Missing(f"{program} is not the one that was tried; delete {place} to fetch it again")
    # The wrapper's environment says nothing that the program needs to tell its version.
    done = subprocess.run(
        [str(program), "--version"],
        env={"HOME": str(place), "PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.stdout.split()[:1] != [wanted]:
        raise Missing(f"{program} --version says {done.stdout or done.stderr!r}, not {wanted}")
    return program


def _fetch(package: str, wanted: str, place: Path) -> None:
    """Install the platform's package beside the cache, and rename it in: whole or not at all."""
    npm = shutil.which("npm")
    if not npm:
        raise Missing("npm, which fetches the client, is missing (Debian: npm)")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as beside:
        Path(beside, "package.json").write_text('{"private": true}\n')
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
        done = subprocess.run(
            [*command, f"{package}@{wanted}"],
            cwd=beside,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            raise Missing(f"npm could not fetch {package}@{wanted}: {done.stderr.strip()[-800:]}")
        try:
            os.rename(Path(beside, "node_modules", package), place)
        except OSError:
            if not place.exists():  # else another run was faster
                raise


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    try:
        print(client(cache()))
    except Missing as missing:
        sys.exit(f"{missing}")
