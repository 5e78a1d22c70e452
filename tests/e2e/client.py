"""The real client in a place of its own: a home, a project, the bundle, and a model that is scripted."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import state_directory

from .messages import CONTEXT, Block, Mock, Request, use
from .sandbox import Sandbox, children

ROOT = Path(__file__).resolve().parent.parent.parent
BUNDLE = ("bin", "hooks", "lib", "skills", ".claude-plugin", "settings.example.json")
API_KEY = "sk-ant-none-of-this-is-secret"

PRINT = ["--output-format", "stream-json", "--verbose", "--include-hook-events"]
UNASKED = ["--dangerously-skip-permissions"]
LIMIT = 120
"""Seconds that one run of the client may take; the longest takes a tenth of it."""


@dataclass
class Run:
    """A run of the client in print mode that has ended."""

    code: int
    stderr: str
    events: list[dict[str, Any]]
    requests: list[Request]
    """What the model was asked in this run."""

    @property
    def session(self) -> str:
        """The session that the run ended in; its first events may name one that never was."""
        return str(next(e["session_id"] for e in reversed(self.events) if "session_id" in e))

    def hooks(self, event: str = "") -> list[dict[str, Any]]:
        """What hooks answered, all or those of an event; a stream ends before SessionEnd's."""
        answers = [each for each in self.events if each.get("subtype") == "hook_response"]
        return [each for each in answers if event in ("", each["hook_event"])]

    def noise(self) -> list[dict[str, Any]]:
        """Answers of hooks that failed or said anything, but for what a start tells Claude."""
        return [
            each
            for each in self.hooks()
            if each["outcome"] != "success"
            or each["stderr"]
            or (each["stdout"] and each["hook_event"] != "SessionStart")
        ]

    def printed(self) -> list[str]:
        """What the hooks of this run's starts gave to tell Claude."""
        outputs = [
            json.loads(each["stdout"]) for each in self.hooks("SessionStart") if each["stdout"]
        ]
        return [
            output["hookSpecificOutput"]["additionalContext"]
            for output in outputs
            if "hookSpecificOutput" in output
        ]

    def told(self) -> str:
        """What the model was told by the last of workflow-state's contexts; "" for nothing."""
        contexts = self.requests[-1].told()
        return contexts[-1] if contexts else ""


class Running:
    """A run of the client that goes on."""

    def __init__(self, claude: Claude, process: subprocess.Popen[str]) -> None:
        self._claude = claude
        self._process = process
        self._first = len(claude.mock.requests)

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to the client, and to nothing that it started."""
        os.kill(children(self._process.pid)[0], number)

    def wait(self) -> Run:
        """The run, once it has ended; one that takes too long is ended, and that is an error."""
        try:
            output, errors = self._process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self._claude.sandbox.close()
            output, errors = self._process.communicate()
            raise AssertionError(f"the client did not end: {output[-3000:]}\n{errors}") from None
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        requests = self._claude.mock.requests[self._first :]
        return Run(self._process.returncode, errors, lines, requests)


@dataclass
class Claude:
    """Where the client is run.

    top         a folder of this place alone
    program     the client
    """

    top: Path
    program: Path
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of the client's, added to those that it has anyway."""

    options: list[str] = field(default_factory=list)
    """Given to the client in every run."""

    output: list[str] = field(default_factory=lambda: PRINT)
    """What the client prints in print mode; a run's `events` and `hooks` come from it."""

    def __post_init__(self) -> None:
        self.home = self.top / "home"
        self.project = self.top / "project"
        self.bundle = self.home / ".workflow-state"
        for name in ("home", "project", "tmp", "bin"):
            (self.top / name).mkdir(parents=True)
        for part in BUNDLE:
            if (ROOT / part).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / part, self.bundle / part, ignore=ignored)
            elif (ROOT / part).exists():
                shutil.copy2(ROOT / part, self.bundle / part)
        self.interpreter = os.path.realpath(sys.executable)
        os.symlink(self.interpreter, self.top / "bin" / "python3")
        visible = [self.top, ROOT, self.program.parent, Path(sys.prefix), Path(sys.base_prefix)]
        self.sandbox = Sandbox(self.top / "tmp", visible)
        self.mock = Mock(self.sandbox.listener)

    def close(self) -> None:
        """End whatever runs here; what the model was asked stays for those who look."""
        self.sandbox.close()
        self.mock.close()
        log = "".join(json.dumps(request.body) + "\n" for request in self.mock.requests)
        (self.top / "requests.jsonl").write_text(log)

    def use_python(self, does: str) -> None:
        """Make `python3`, which the hooks run on, a shell script that does this."""
        python = self.top / "bin" / "python3"
        python.unlink()
        python.write_text(f"#!/bin/sh\n{does}\n")
        python.chmod(0o755)

    def register(self, file: str = ".claude/settings.local.json", top: Path | None = None) -> None:
        """Register the hooks as README says first: by a copy of the settings."""
        path = (top or self.project) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.bundle / "settings.example.json", path)

    def env(self) -> dict[str, str]:
        """The whole environment: nothing of the test runner's leaks in."""
        return {
            "PATH": f"{self.top / 'bin'}:{os.defpath}",
            "HOME": str(self.home),
            "USER": "user",
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "ANTHROPIC_API_KEY": API_KEY,
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{self.mock.port}",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_ERROR_REPORTING": "1",
            # Without it the client refuses to run unasked as root, which a sandbox's user is.
            "IS_SANDBOX": "1",
            **self.environment,
        }

    def inside(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command here, in the project; its output as text."""
        return subprocess.run(
            self.sandbox.inside([*command], cwd or self.project),
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    def start(
        self,
        prompt: str,
        *options: str,
        cwd: Path | None = None,
        unasked: bool = True,
    ) -> Running:
        """Start the client in print mode. `unasked` lets it use tools without permission."""
        # Right after -p, because options that take several values would swallow the prompt.
        command = [str(self.program), "-p", prompt, *self.output, *(UNASKED if unasked else [])]
        process = subprocess.Popen(
            self.sandbox.inside([*command, *self.options, *options], cwd or self.project),
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Running(self, process)

    def run(self, prompt: str, *options: str, **given: Any) -> Run:
        """Run the client in print mode to its end, which must be a good one, the hooks quiet."""
        done = self.start(prompt, *options, **given).wait()
        assert done.code == 0, (done.stderr, done.events[-1:])
        assert done.noise() == []
        return done

    # --- tool calls for the script -------------------------------------------------------------

    def write(self, path: str, content: str = "x = 1\n") -> Block:
        """The model writes a file of the project."""
        return use("Write", file_path=str(self.project / path), content=content)

    def edit(self, path: str, old: str, new: str) -> Block:
        """The model edits a file of the project."""
        return use("Edit", file_path=str(self.project / path), old_string=old, new_string=new)

    def read(self, path: str) -> Block:
        """The model reads a file of the project."""
        return use("Read", file_path=str(self.project / path))

    # --- what is there afterwards --------------------------------------------------------------

    def cli(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line as a person would, from the project."""
        command = self.bundle / "bin" / "workflow-state"
        return self.inside(str(self.top / "bin" / "python3"), str(command), *arguments, cwd=cwd)

    def show(self, session: str | None = None, cwd: Path | None = None) -> dict[str, Any]:
        """The state of a session, or of the last, through `show --json`."""
        done = self.cli("show", "--json", *(["--session", session] if session else []), cwd=cwd)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def state(self, project: Path | None = None) -> Path:
        """The state directory of a project, by default of this one."""
        return state_directory(self.home, project or self.project)

    def checkpoints(self) -> list[dict[str, Any]]:
        """The project's checkpoints, whole."""
        files = self.state().glob("checkpoints/*.json")
        return [json.loads(path.read_text()) for path in sorted(files)]

    def checkpoint(self, session: str) -> dict[str, Any]:
        """The checkpoint that the hooks made of a session."""
        return next(each for each in self.checkpoints() if each["name"] == f"session-{session}")

    def records(self, session: str, project: Path | None = None) -> list[dict[str, Any]]:
        """The records of a session's journal."""
        journal = self.state(project) / "sessions" / f"{session}.jsonl"
        return [json.loads(line) for line in journal.read_text().splitlines() if line]

    def events(self) -> list[str]:
        """The names of all events recorded in the project so far, by session and in order."""
        journals = self.state().glob("sessions/*.jsonl")
        return [record["event"] for each in sorted(journals) for record in self.records(each.stem)]

    def wait_for(self, holds: Callable[[], bool], otherwise: str = "it did not come to be") -> None:
        """Return once something is so that nothing else tells of; `otherwise` is the error."""
        end = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end, otherwise
            time.sleep(0.02)

    def git(self, *arguments: str) -> str:
        """Run git in the project."""
        who = ["-c", "user.name=User", "-c", "user.email=user@example.org"]
        done = self.inside("git", *who, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def signal(self, name: str) -> Signal:
        """Something that a command of the model's can tell the test by."""
        return Signal(self.top / name)


class Signal:
    """A FIFO: a command inside writes to it, and waits until the test has read."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.command = f"echo > '{path}'"
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait(self, seconds: float = 60) -> None:
        """Return once a command has given the signal."""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        os.close(self._descriptor)
        assert ready, "no command gave the signal"


def without_context(texts: list[str]) -> list[str]:
    """Texts of a conversation without what workflow-state tells."""
    return [CONTEXT.sub("", text) for text in texts]
