"""Real Redis servers for tests: on a free port of the loopback, each in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.conftest import absent

PROGRAM = os.environ.get("REDIS_SERVER") or next(
    filter(None, map(shutil.which, ("redis-server", "valkey-server"))), ""
)


def need() -> None:
    """Skip where there is no server; in CI that is a failure."""
    if not PROGRAM:
        absent("redis-server is not installed (Debian: redis-server)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server that writes everything to its disk before it answers, and can be mistreated."""

    def __init__(self, folder: Path, *options: str) -> None:
        need()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        begun = (self.folder / "log").stat().st_size if (self.folder / "log").exists() else 0
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        durable += ["--repl-diskless-sync-delay", "0"]  # a replica waits for no other
        port = [] if "--port" in self.options else ["--port", str(self.port)]
        command = [PROGRAM, "--bind", "127.0.0.1", *port, "--dir", str(self.folder), *durable]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([*command, *self.options], stdout=log, stderr=log)
        while b"Ready to accept" not in (self.folder / "log").read_bytes()[begun:]:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.005)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would end it."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def client(self, **options):
        """A client of it, for looking into it as nobody else does."""
        import redis

        return redis.Redis(port=self.port, **options)
