"""Commands that start warm: forked from an interpreter that has loaded the command line already.

Each is a process of its own, with the arguments, the environment, the directory and the descriptors
that it is given; only the start of the interpreter, nine tenths of what a command takes, is over.
Where the start itself matters, or a resource limit, or a variable that Python reads at its start, a
test runs the program.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class _Server:
    """The interpreter that the processes are forked from; it ends with whoever started it."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="warm-")
        atexit.register(shutil.rmtree, folder)
        self.address = f"{folder}/socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen(64)
            process = subprocess.Popen(
                [sys.executable, __file__, str(listener.fileno())],
                env={"PATH": os.defpath},
                pass_fds=[listener.fileno()],
                # Nothing is written to any: streams over pipes are what its children go on with,
                # and the end of its input is the end of this process.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        atexit.register(process.communicate)


_server: _Server | None = None


def will_do(options: dict[str, Any]) -> bool:
    """Whether a process with these options of subprocess.run can start warm."""
    read_at_start = ("PYTHON", "LC_", "LANG")
    return options.keys() == {"cwd", "env", "timeout"} and not any(
        name.startswith(read_at_start) for name in options["env"]
    )


def run(
    arguments: list[str], cwd: Path, env: dict[str, str], timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run `python arguments`: a script, or -c and code. Nothing is on its standard input."""
    global _server
    _server = _server or _Server()
    out, err = os.pipe(), os.pipe()
    read = {out[0]: b"", err[0]: b""}
    given = [os.fsdecode(each) for each in arguments]
    request = json.dumps([given, str(cwd), env]).encode()
    with socket.socket(socket.AF_UNIX) as channel, selectors.DefaultSelector() as selector:
        channel.connect(_server.address)
        sent = socket.send_fds(channel, [request], [out[1], err[1]])
        channel.sendall(request[sent:])
        channel.shutdown(socket.SHUT_WR)
        for written in (out[1], err[1]):
            os.close(written)
        pid = int.from_bytes(channel.recv(4), "big")
        assert pid, "the server has ended"
        for each in read:
            selector.register(each, selectors.EVENT_READ)
        end = time.monotonic() + timeout
        while selector.get_map():
            ready = selector.select(max(0, end - time.monotonic()))
            if not ready:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(arguments, timeout)
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                read[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
        channel.settimeout(timeout)
        status = int.from_bytes(channel.recv(4), "big")
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    texts = [data.decode().replace("\r\n", "\n") for data in read.values()]
    return subprocess.CompletedProcess([sys.executable, *arguments], code, *texts)


def _serve(listener: socket.socket) -> tuple[list[str], str, dict[str, str], list[int]]:
    """Fork for each request; the forked process returns with it, the server never does."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while True:
            if any(key.fd == 0 for key, _ in selector.select()):
                os._exit(0)
            channel, _ = listener.accept()
            if not os.fork():
                break
            channel.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listener.close()
    data, descriptors, _, _ = socket.recv_fds(channel, 1 << 20, 2)
    while more := channel.recv(1 << 20):
        data += more
    pid = os.fork()
    if pid:
        for each in descriptors:
            os.close(each)
        channel.sendall(pid.to_bytes(4, "big"))
        channel.sendall(os.waitpid(pid, 0)[1].to_bytes(4, "big"))
        os._exit(0)
    channel.close()
    return (*json.loads(data), descriptors)


def _become(arguments: list[str], cwd: str, env: dict[str, str], descriptors: list[int]) -> None:
    """Be the process that was asked for, up to the end of the interpreter."""
    for number, each in enumerate([os.open(os.devnull, os.O_RDONLY), *descriptors]):
        os.dup2(each, number)
        os.close(each)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    module = sys.modules["__main__"] = type(sys)("__main__")
    if arguments[0] == "-c":
        sys.argv[:] = ["-c", *arguments[2:]]
        sys.path[0] = ""
        code = compile(arguments[1], "<string>", "exec")
    else:
        sys.argv[:] = arguments
        sys.path[0] = os.path.dirname(arguments[0])
        module.__file__ = arguments[0]
        code = compile(Path(arguments[0]).read_bytes(), arguments[0], "exec")
    try:
        exec(code, module.__dict__)  # noqa: S102  # it is what the interpreter does
    except SystemExit as ended:
        # Without tearing the interpreter down, which takes as long as the rest; a database is
        # closed by it.
        if type(ended.code) is int and "_sqlite3" not in sys.modules:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code)
        raise


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    import lib.commands.main  # noqa: F401  # what it is all about

    _become(*_serve(socket.socket(fileno=int(sys.argv[1]))))
