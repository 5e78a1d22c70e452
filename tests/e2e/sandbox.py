"""Where a client runs: no network but loopback, a /tmp and processes of its own, Linux only.

A sandbox ends with whoever made it, and everything in it ends with the sandbox.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

PRIVATE_TMP = """
tmp=$1; shift
while [ "$1" != -- ]; do
  mkdir -p "$tmp${1#/tmp}"
  mount --bind "$1" "$tmp${1#/tmp}"
  shift
done
shift
mount --rbind "$tmp" /tmp
exec "$@"
"""
"""What of /tmp is needed inside stays where it is; everything else there is out of sight."""


class Unavailable(Exception):
    """No sandbox can be had here; the text says why."""


class Sandbox:
    """Namespaces of their own for the network, mounts and processes, and a listening socket there.

    tmp       a folder that is /tmp inside
    visible   folders that must be seen inside although they may lie in /tmp
    """

    def __init__(self, tmp: Path, visible: list[Path]) -> None:
        for tool, package in (("unshare", "util-linux"), ("nsenter", "util-linux")):
            if not shutil.which(tool):
                raise Unavailable(f"{tool} is missing (Debian: {package})")
        ours, theirs = socket.socketpair()
        in_tmp = [str(path) for path in visible if Path("/tmp") in path.parents]
        # Root needs no user namespace, and in a container may not get one.
        command = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        command += ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += ["sh", "-euc", PRIVATE_TMP, "sh", str(tmp), *in_tmp, "--"]
        command += [sys.executable, "-I", str(HERE / "holder.py"), str(theirs.fileno())]
        self._holder = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        self._outside = ours
        ours.settimeout(60)
        try:
            data, descriptors, _, _ = socket.recv_fds(ours, 5, 1)
        except OSError as error:
            data, descriptors = str(error).encode(), []
        if not descriptors:
            told = self.close() or data.decode()
            raise Unavailable(f"namespaces cannot be made here: {told}")
        self.listener = socket.socket(fileno=descriptors[0])
        """Closed by whoever serves on it."""

        self.pid = children(self._holder.pid)[0]

    def inside(self, command: list[str], directory: Path) -> list[str]:
        """The command that runs `command` in the sandbox, in a directory of it."""
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        entering = ["nsenter", f"--target={self.pid}", *user, "--net", "--mount", "--pid"]
        return [*entering, "--", "env", f"--chdir={directory}", *command]

    def processes(self) -> dict[int, str]:
        """The command lines of what runs inside but for process 1, by process id seen outside."""
        namespace = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = {}
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                    line = Path("/proc", entry, "cmdline").read_bytes()
                    found[int(entry)] = line.replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue  # it has ended, or is somebody else's
        found.pop(self.pid, None)
        return {pid: line for pid, line in found.items() if line}  # a zombie has no command line

    def close(self) -> str:
        """End everything inside; returns what the making of it said on stderr."""
        self._outside.close()
        try:
            _, told = self._holder.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            _, told = self._holder.communicate()
        return told.strip()


def children(pid: int) -> list[int]:
    """The children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
