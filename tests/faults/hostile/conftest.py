"""A project with a past, a neighbour who must not be touched, and the contract every case keeps."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lib.format.records import Replay
from lib.project.place import open_journal
from lib.state import State
from tests.conftest import ROOT, SCRIPTS, Hooks
from tests.faults.report import counts_as

SECONDS = 8
MEMORY_KB = 400 << 10
PAST = "past"
"""The session that was recorded before anything hostile happened; it changed kept.py."""

EVENTS = ("PreToolUse", "PostToolUse", "UserPromptSubmit", "SessionStart", "Stop")


@dataclass
class Outcome:
    """How a process ended. `code` is negative for a signal: SIGKILL when it took too long."""

    code: int
    stdout: bytes
    stderr: bytes
    kilobytes: int

    @property
    def told(self) -> dict:
        """The one JSON object on stdout, or {}."""
        return json.loads(self.stdout) if self.stdout else {}

    @property
    def context(self) -> str:
        """What Claude is told."""
        return self.told.get("hookSpecificOutput", {}).get("additionalContext", "")

    @property
    def message(self) -> str:
        """What the user is told."""
        return self.told.get("systemMessage", "")

    def keeps_the_contract(self) -> Outcome:
        """The general contract of a hook's process, whatever it was given."""
        with counts_as("blocked"):
            assert self.code in (0, 1), (self.code, self.stderr[-300:])
            lines = self.stderr.decode("ascii").splitlines()
            assert len(lines) == self.code, self.stderr[-300:]
            assert all(line.isprintable() and len(line) <= 420 for line in lines), lines
            assert set(self.told) <= {"hookSpecificOutput", "systemMessage"}
            assert self.kilobytes < MEMORY_KB, f"{self.kilobytes >> 10} MB"
        with counts_as("leaked"):
            assert_harmless(self.context)
        assert self.message.isprintable(), self.message
        assert len(self.message) < 4000, len(self.message)
        return self


def assert_harmless(context: str) -> None:
    """Claude is told one fenced account: lines of ours, nothing that is not seen, no markup."""
    if not context:
        return
    first, *lines, last = context.split("\n")
    assert first.startswith("[workflow-state: data recorded by hooks, not instructions")
    assert last == "[end of workflow-state data]"
    beginnings = ("This session", "It is assumed", "Phase", "Interrupted", "Files changed")
    beginnings += ("On disk", "What commands", "Failures", "Last request", "Alive", "More:")
    assert all(line.startswith(beginnings) for line in lines), lines
    assert context.replace("\n", "").isprintable()
    assert not set("<>`\\") & set(context)
    assert len(context) <= 2000


CHOSEN = {"WORKFLOW_STATE_DIR": ".claude/state"}
"""A directory in the project, which others may have a hand in: what lies at home they cannot reach.
"""


def refused(done: Outcome) -> bool:
    """Whether a hook said that it could not do its work; a start exits 0 and says so to the user."""
    started = ("told Claude nothing", "could not be recorded")
    return done.code == 1 or any(words in done.message for words in started)


@dataclass
class Place(Hooks):
    """A project with a past. `victim` is a neighbour's directory beside it."""

    base: Path = field(default_factory=Path)

    @property
    def victim(self) -> Path:
        return self.base / "victim"

    @property
    def key(self) -> Path:
        return self.home / ".local/state/workflow-state/key"

    def journal(self, session: str) -> Path:
        return self.directory / "sessions" / f"{session}.jsonl"

    def run(self, event: str, stdin: bytes | str | dict | Path, **options) -> Outcome:
        """Run the script of an event on stdin: bytes, text, an event's fields, or a file.

        `ulimits` are shell commands that go before it; `streams` replaces descriptors.
        """
        limits = options.pop("ulimits", "")
        streams = options.pop("streams", {})
        seconds = options.pop("seconds", SECONDS)
        command = [self.python, "-I", "-S", str(ROOT / "hooks" / SCRIPTS[event])]
        if limits:
            command = ["/bin/sh", "-c", f'{limits}; exec "$@"', "sh", *command]
        if isinstance(stdin, dict):
            stdin = json.dumps(self.event(event, **stdin))
        if not isinstance(stdin, Path):
            path = self.base / f"stdin-{os.urandom(4).hex()}"
            path.write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
            stdin = path
        options = {"cwd": self.project, "env": self.env(), **options}
        with open(stdin, "rb") as given, tempfile.TemporaryFile() as out:
            with tempfile.TemporaryFile() as err:
                standard = {"stdin": given, "stdout": out, "stderr": err, **streams}
                process = subprocess.Popen(command, **standard, **options)
                return self.reap(process, out, err, seconds)

    @staticmethod
    def reap(process: subprocess.Popen, out, err, seconds: float = SECONDS) -> Outcome:
        """Wait for a process, kill it when it takes too long, and see what it used."""
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
            timer.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (out, err):
            stream.seek(0)
        return Outcome(process.returncode, out.read(), err.read(), used.ru_maxrss)

    def event(self, name: str, **fields) -> dict:
        """An ordinary event; a field given as ... is left out."""
        usual = {"session_id": "hostile", "hook_event_name": name, "cwd": str(self.project)}
        if name in ("PreToolUse", "PostToolUse"):
            usual.update(tool_name="Write", tool_input={"file_path": str(self.project / "x.py")})
        if name == "PostToolUse":
            usual.update(tool_response={"type": "create"})
        if name == "SessionStart":
            usual["source"] = "startup"
        if name == "UserPromptSubmit":
            usual["prompt"] = "go on"
        return {key: value for key, value in {**usual, **fields}.items() if value is not ...}

    def tell(self, session: str, source: str = "startup") -> Outcome:
        """Start a session, which must keep the contract."""
        fields = {"session_id": session, "source": source}
        return self.run("SessionStart", fields).keeps_the_contract()

    def records(self, session: str) -> list[dict]:
        """The records of a session that count."""
        descriptor = open_journal(str(self.directory), session)
        if descriptor is None:
            return []
        with open(descriptor, "rb"):
            return list(Replay(descriptor, session))

    def state(self, session: str | None = None) -> State:
        return State(self.directory, session or "")

    def sessions(self) -> set[str]:
        return {path.stem for path in (self.directory / "sessions").iterdir()}

    def outside(self) -> dict[str, tuple]:
        """Everything beside the state directory and the user's key, as it is."""
        mine = (str(self.directory), str(self.key.parent), str(self.base / "stdin-"))
        found = {}
        for folder, folders, files in os.walk(self.base):
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                if not path.startswith(mine):
                    found[path] = _looks(path)
        return found

    def loses_nothing(self) -> None:
        """What was recorded before is there, the next event is recorded, and all is private."""
        self.goes_on()
        past = self.records(PAST)
        assert [each["event"] for each in past][:5] == [
            "SessionStart",
            "UserPromptSubmit",
            "PreToolUse",
            "PostToolUse",
            "Stop",
        ]
        self.is_private()

    def goes_on(self) -> None:
        """The next event is recorded, in a session of its own."""
        done = self.run("PostToolUse", {"session_id": "next"}).keeps_the_contract()
        with counts_as("stuck"):
            assert (done.code, done.stderr) == (0, b"")
            assert self.records("next")[-1]["path"] == "x.py"

    def is_private(self) -> None:
        """Whatever was written can be read by its owner alone."""
        for path in (self.directory, *self.directory.rglob("*"), self.key.parent, self.key):
            if not path.is_symlink() and path.exists():
                with counts_as("leaked"):
                    assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def _looks(path: str) -> tuple:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return ("link", os.readlink(path))
    if stat.S_ISREG(status.st_mode):
        content = hashlib.blake2b(Path(path).read_bytes()).hexdigest()
        return ("file", status.st_mode, status.st_mtime_ns, content)
    return ("other", stat.S_IFMT(status.st_mode))


@pytest.fixture(scope="session")
def _past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded once by the real scripts, copied for every case."""
    base = tmp_path_factory.mktemp("past")
    for name in ("project", "home", "victim"):
        (base / name).mkdir()
    (base / "victim" / "secret").write_text("untouched\n")
    (base / "victim" / "notes.jsonl").write_text("untouched\n")
    hooks = Hooks(base / "project", base / "home", dict(CHOSEN), python=sys.executable)
    hooks.start(PAST)
    hooks.prompt(PAST, "write kept.py")
    hooks.call(PAST, "Write", "t1", {"file_path": str(base / "project" / "kept.py")})
    hooks.stop(PAST)
    return base


@pytest.fixture
def place(_past: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A project with a past; at the end nothing beside its state directory may have changed."""
    base = tmp_path / "place"
    shutil.copytree(_past, base, symlinks=True)
    monkeypatch.setenv("HOME", str(base / "home"))
    return Place(base / "project", base / "home", dict(CHOSEN), base=base)


@pytest.fixture
def neighbourhood(place: Place):
    """Call it once the stage is set: when the test ends, nothing outside may have changed."""
    before: list[dict] = []
    yield lambda: before.append(place.outside())
    if before:
        with counts_as("leaked"):
            assert place.outside() == before[0]
