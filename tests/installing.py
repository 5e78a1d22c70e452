"""What the tests of `install` share: a project with settings of its own, and ways to interrupt."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from tests import warm
from tests.conftest import PAYLOADS, ROOT, Hooks

FILES = {"settings": "settings.example.json", "plugin": "hooks/hooks.json"}
"""What users copy by hand, and what the plugin registers."""

SHELL = shutil.which("dash") or "/bin/sh"
"""The client runs commands with /bin/sh, which is dash on Debian: no bash in a command."""

THEIRS = """{
    "permissions": {"allow": ["Bash(npm run *)"]},
    "hooks": {
        "PostToolUse": [
            {
                "matcher": "Edit|Write",
                "hooks": [{"type": "command", "command": "npx prettier --write"}]
            }
        ],
        "Notification": [{"hooks": [{"type": "command", "command": "say done"}]}]
    },
    "env": {"TOKEN": "s\\u00e9cret"}
}
"""


def local_settings(hooks: Hooks) -> Path:
    """The settings file that `install` changes."""
    return hooks.project / ".claude" / "settings.local.json"


def their_settings(hooks: Hooks) -> Path:
    """The same with hooks and a secret of the user's own."""
    local = local_settings(hooks)
    local.parent.mkdir()
    local.write_text(THEIRS)
    local.chmod(0o640)
    return local


# --- the command line --------------------------------------------------------------------------


def install(hooks: Hooks, *arguments: str, code: int = 0, verb: str = "install") -> str:
    done = hooks.cli(verb, *arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    if code == 1:
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        return done.stderr
    assert done.stderr == ""
    return done.stdout


def uninstall(hooks: Hooks, *arguments: str, code: int = 0) -> str:
    return install(hooks, *arguments, code=code, verb="uninstall")


STRIKE = """
import os, signal, sys
sys.path.insert(0, {root!r})
from lib.commands.main import main
left = int(sys.argv.pop(1))
number = signal.Signals[sys.argv.pop(1)]
calls = sys.argv.pop(1).split()
def strike(real):
    def before(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)
        return real(*arguments, **options)
    return before
for name in calls:
    setattr(os, name, strike(getattr(os, name)))
sys.exit(main(sys.argv[1:]))
"""
"""Runs the command line, and sends this process a signal before one of its calls to the disk."""

CALLS = "open write fsync mkdir rename replace link unlink rmdir fchmod"


def struck(hooks: Hooks, call: int, number: str, *arguments: str, calls: str = CALLS) -> int:
    code = STRIKE.format(root=str(ROOT))
    command = ["-c", code, str(call), number, calls, *arguments]
    return warm.run(command, hooks.project, hooks.env()).returncode


def small_files() -> None:
    """In a process to come: a disk on which no settings file finds room."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


# --- files -------------------------------------------------------------------------------------


class Tree:
    """All files below some folders, to the byte and the mode."""

    def __init__(self, *tops: Path) -> None:
        self.found = {}
        for top in tops:
            for path in top.rglob("*"):
                status = path.lstat()
                held = path.read_bytes() if path.is_file() else None
                self.found[path] = (stat.S_IMODE(status.st_mode), held)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and self.found == other.found

    def __repr__(self) -> str:
        return "\n".join(map(str, self.found))

    __hash__ = None


class World:
    """A project and its home as they are now, to go back to."""

    def __init__(self, hooks: Hooks, kept: Path) -> None:
        self.pairs = [(hooks.project, kept / "project"), (hooks.home, kept / "home")]
        for here, there in self.pairs:
            shutil.copytree(here, there)

    def put_back(self) -> None:
        for here, there in self.pairs:
            shutil.rmtree(here)
            shutil.copytree(there, here)


# --- hooks that run ----------------------------------------------------------------------------


def commands(file: Path) -> dict[str, list[str]]:
    """The commands that a settings file registers, by event."""
    hooks = json.loads(file.read_bytes().decode("utf-8-sig"))["hooks"]
    return {
        event: [hook["command"] for group in groups for hook in group["hooks"]]
        for event, groups in hooks.items()
    }


def recorded(event: str) -> str:
    """The first event of that name in the recordings."""
    for file in sorted(PAYLOADS.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            if json.loads(line)["hook_event_name"] == event:
                return line
    raise LookupError(event)


def fire(hooks: Hooks, line: str, event: str) -> subprocess.CompletedProcess[str]:
    """Run a registered command as the client does."""
    data = recorded(event).replace("/home/dev/project", str(hooks.project))
    options = {"cwd": hooks.project, "env": hooks.env(), "capture_output": True, "timeout": 60}
    return subprocess.run([SHELL, "-c", line], input=data, text=True, check=False, **options)


def recorded_events(hooks: Hooks) -> set[str]:
    lines = [
        line
        for journal in (hooks.directory / "sessions").glob("*.jsonl")
        for line in journal.read_text().split("\n")
        if line
    ]
    return {json.loads(line)["event"] for line in lines}


def worked(hooks: Hooks) -> None:
    hooks.prompt("one")
    hooks.stop("one")


class Installed:
    """A copy of the bundle where a user would have it, and a project to use it in."""

    def __init__(self, top: Path, place: str = ".workflow-state") -> None:
        self.home = top / "home"
        self.project = top / "project"
        self.bundle = self.home / place
        for directory in (self.home, self.project, top / "bin"):
            directory.mkdir(parents=True)
        for part in ("hooks", "lib"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, self.bundle / part, ignore=ignored)
        self.put_python(top / "bin", f"exec '{sys.executable}' \"$@\"")
        self.env = {
            "PATH": f"{top / 'bin'}:{os.defpath}",
            "HOME": str(self.home),
            "CLAUDE_PROJECT_DIR": str(self.project),
            "CLAUDE_PLUGIN_ROOT": str(self.bundle),
        }

    @staticmethod
    def put_python(directory: Path, does: str) -> None:
        python = directory / "python3"
        python.write_text(f"#!/bin/sh\n{does}\n")
        python.chmod(0o755)

    def run(self, command: str, event: str) -> subprocess.CompletedProcess[str]:
        data = recorded(event).replace("/home/dev/project", str(self.project))
        return subprocess.run(
            [SHELL, "-c", command],
            input=data,
            env=self.env,
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def link(self) -> Path:
        """What a session's start leaves, and the commands of the other events go by."""
        return self.home / ".local/state/workflow-state/python3"

    def recorded_events(self) -> set[str]:
        journals = self.home.parent.rglob("sessions/*.jsonl")
        lines = [line for journal in journals for line in journal.read_text().split("\n") if line]
        return {json.loads(line)["event"] for line in lines}


def trust(hooks: Hooks, folder: Path | None = None) -> None:
    """What Claude Code notes when the user accepts its question."""
    about = {str(folder or hooks.project): {"hasTrustDialogAccepted": True}}
    (hooks.home / ".claude.json").write_text(json.dumps({"projects": about}))
