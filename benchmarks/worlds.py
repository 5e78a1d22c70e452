"""What is measured on: projects with a session of any length, its events, and who is run on them.

Worlds share one home, and so one key, unless they ask for another. Their journals are the
beginnings of one tape of signed records: a million of them are made once.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from lib.recording import journal

from .timing import Command, run

ROOT = Path(__file__).resolve().parent.parent
SESSION = "3c1de1f0-5a0c-4c6e-9d0b-8e6a4f2b7a11"
NEXT = "9b7f6c52-0f3e-4d0a-8c55-1d2e3f4a5b6c"

_CHECKPOINT = """\
import sys
sys.path.insert(0, sys.argv[1])
from lib.state import State
State(sys.argv[2], sys.argv[3]).checkpoint_session("Stop")
"""

MAIN = "src/main.py"

_NUMBERS = itertools.count()

_TEXT = (ROOT / "lib" / "recording" / "journal.py").read_text()
"""What the events' files hold: code, with as many quotes and line ends as code has."""


@dataclass(frozen=True)
class Grounds:
    """Where worlds are made: in memory where no disk may be in the way, or on the disk."""

    path: Path
    kind: str


def grounds(memory: bool) -> Grounds:
    """A new folder, in memory if that is asked for and can be had; and its file system's name."""
    shared = Path("/dev/shm")
    roomy = os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 4 << 30
    path = Path(tempfile.mkdtemp(prefix="benchmarks-", dir=shared if memory and roomy else None))
    return Grounds(path, file_system(path))


def file_system(path: Path) -> str:
    """The file system that a path is on, as the kernel calls it; "" where it does not say."""
    best = ("", "")
    try:
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, place, kind, *_ = line.split()
            if (str(path) + "/").startswith(place.rstrip("/") + "/"):
                best = max(best, (place, kind), key=lambda found: len(found[0]))
    except OSError:
        pass
    return best[1]


# --- projects ----------------------------------------------------------------------------------


@dataclass
class World:
    """A project of its own, and the home it shares."""

    home: Path
    project: Path
    python: str
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.project.mkdir(parents=True)
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of what is run here."""
        path = {"PATH": os.defpath, "HOME": str(self.home)}
        return {**path, "CLAUDE_PROJECT_DIR": str(self.project), **self.extra}

    @property
    def state(self) -> Path:
        """The state directory, as the hooks find it."""
        path = os.path.realpath(self.project)
        name = f"{self.project.name}-{blake2b(os.fsencode(path), digest_size=8).hexdigest()}"
        return self.home / ".local/state/workflow-state/projects" / name

    @property
    def in_project(self) -> Path:
        """Where the other designs keep theirs."""
        return self.project / ".claude" / "state"

    @property
    def journal(self) -> Path:
        return self.state / "sessions" / f"{SESSION}.jsonl"

    def files_processed(self) -> int:
        """How many files the hooks' own checkpoint of the session lists."""
        checkpoint = self.state / "checkpoints" / f"session-{SESSION}.json"
        return len(json.loads(checkpoint.read_bytes())["session"]["files_processed"])

    def bare(self, stdin: str = os.devnull) -> Command:
        """The interpreter that does nothing: what every hook is compared to."""
        argv = (self.python, "-I", "-S", "-c", "pass")
        return Command(argv, self.environment, str(self.project), stdin)

    def script(
        self, path: Path, event: str, before: Callable[[], object] = lambda: None
    ) -> Command:
        """A script, run as the hooks are."""
        argv = (self.python, "-I", "-S", str(path))
        return Command(argv, self.environment, str(self.project), event, before)

    def hook(self, name: str, event: str, before: Callable[[], object] = lambda: None) -> Command:
        return self.script(ROOT / "hooks" / name, event, before)

    def status_line(self) -> Command:
        """The status line, run as the settings run it."""
        where = {"current_dir": str(self.project), "project_dir": str(self.project)}
        told = self._event("Status", workspace=where, version="2.1.330")
        argv = (self.python, "-I", "-S", str(ROOT / "bin" / "workflow-state"), "statusline")
        return Command(argv, {**self.environment, "COLUMNS": "120"}, str(self.project), told)

    def shell(self, command: str, event: str) -> Command:
        """A command as the client runs one that is registered."""
        return Command(("/bin/sh", "-c", command), self.environment, str(self.project), event)

    def checkpoint(self) -> Command:
        """The session's own checkpoint, made through the API."""
        argv = (self.python, "-I", "-c", _CHECKPOINT, str(ROOT), str(self.state), SESSION)
        return Command(argv, self.environment, str(self.project))

    # --- events ---

    def _event(self, name: str, **fields: object) -> str:
        """The file of an event that this world's session tells of."""
        about = {
            "session_id": SESSION,
            "transcript_path": f"{self.home}/.claude/projects/project/{SESSION}.jsonl",
            "cwd": str(self.project),
            "permission_mode": "acceptEdits",
            "hook_event_name": name,
            **fields,
        }
        file = self.home / f"event-{next(_NUMBERS)}.json"
        file.write_text(json.dumps(about))
        return str(file)

    def write_event(self, name: str, size: int, call: str = "toolu_01A09q90qw90lq91") -> str:
        """A Write of as much text as makes the event about `size` bytes long."""
        length = (size - 800) // (2 if name == "PostToolUse" else 1)
        text = (_TEXT * (length // len(_TEXT) + 1))[: int(length * 0.95)]
        where = f"{self.project}/{MAIN}"
        fields: dict[str, object] = {
            "tool_name": "Write",
            "tool_use_id": call,
            "tool_input": {"file_path": where, "content": text},
        }
        if name == "PostToolUse":
            fields["tool_response"] = {
                "type": "update",
                "filePath": where,
                "content": text,
                "structuredPatch": [],
            }
        return self._event(name, **fields)

    def shell_event(self, name: str, command: str) -> str:
        """A shell command, with ten lines of output when it has ended."""
        fields: dict[str, object] = {
            "tool_name": "Bash",
            "tool_use_id": "toolu_01B19q90qw90lq917835lq9",
            "tool_input": {"command": command, "description": "Run the tests"},
        }
        if name == "PostToolUse":
            fields["tool_response"] = {"stdout": _TEXT[:600], "stderr": "", "interrupted": False}
        return self._event(name, **fields)

    def prompt_event(self, identifier: str) -> str:
        return self._event("UserPromptSubmit", prompt="Go on.", prompt_id=identifier)

    def stop_event(self) -> str:
        return self._event("Stop", stop_hook_active=False)

    def end_event(self) -> str:
        return self._event("SessionEnd", reason="other")

    def start_event(self, session: str = NEXT) -> str:
        return self._event("SessionStart", session_id=session, source="startup")


# --- long sessions -----------------------------------------------------------------------------


class Tape:
    """Signed records of one long session, two to a call, each call writing a file of its own."""

    def __init__(self, path: Path, key: bytes, records: int) -> None:
        self.path = path
        self._at: list[int] = [0]
        """Where each thousandth record begins."""
        position = 0
        begin, end = _facts("PreToolUse"), _facts("PostToolUse")
        with open(path, "wb", buffering=1 << 20) as tape:
            for number in range(records):
                facts = end if number % 2 else begin
                call = number // 2
                named = {"call": f"toolu_{call:024d}", "path": file_name(call)}
                at = journal.now()
                signed = journal.sign(
                    SESSION, {"v": journal.VERSION, "at": at, **facts, **named}, key
                )
                position += tape.write(signed)
                if number % 1000 == 999:
                    self._at.append(position)

    def put(self, world: World, records: int) -> None:
        """Make the tape's first records, in thousands, a world's journal."""
        world.journal.parent.mkdir(parents=True, exist_ok=True)
        left = self._at[records // 1000]
        with open(self.path, "rb") as tape, open(world.journal, "wb") as copy:
            while left:
                left -= copy.write(tape.read(min(left, 1 << 24)))
        world.journal.chmod(0o600)
        world.state.chmod(0o700)


def _facts(name: str) -> dict[str, object]:
    """What a hook keeps of a call that writes a file."""
    fields = {
        "hook_event_name": name,
        "session_id": SESSION,
        "cwd": "/project",
        "permission_mode": "acceptEdits",
        "tool_name": "Write",
        "tool_use_id": "-",
        "tool_input": {"file_path": "/project/-"},
        "tool_response": {"type": "create"},
    }
    (facts,) = journal.facts_of(journal.Event(fields, name), "/project")
    return facts


def file_name(number: int) -> str:
    return f"src/part_{number // 500:04d}/module_{number:06d}.py"


def write_files(world: World, count: int) -> None:
    """The files themselves: a checkpoint looks at what is on the disk."""
    (world.project / MAIN).parent.mkdir(exist_ok=True)
    (world.project / MAIN).write_text(_TEXT)
    for number in range(count):
        path = world.project / file_name(number)
        if number % 500 == 0:
            path.parent.mkdir(parents=True)
        path.write_text(f"NUMBER = {number}\n")


def make_key(world: World) -> bytes:
    """The key of the home, made as the user's first hook makes it."""
    run(world.hook("pre_tool.py", world.shell_event("PreToolUse", "true")))
    return (world.home / ".local" / "state" / "workflow-state" / "key").read_bytes()
