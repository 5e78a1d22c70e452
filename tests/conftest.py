"""What every test may use: a project of its own, the hooks as real processes, recorded events.

No test sees this machine's home, its Claude Code variables or any real state directory.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

from lib.events.session_start import start
from lib.events.stop import stop
from lib.recording import journal
from tests import warm

ROOT = Path(__file__).resolve().parent.parent
PAYLOADS = ROOT / "tests" / "payloads"

# make fuzz looks for longer; how long an example takes depends on what else the machine does.
hypothesis.settings.register_profile(
    "quick", hypothesis.settings(), max_examples=40, deadline=None, database=None
)
hypothesis.settings.load_profile("quick")

SCRIPTS = {
    "PreToolUse": "pre_tool.py",
    "PostToolUse": "post_tool.py",
    "PostToolUseFailure": "post_tool.py",
    "UserPromptSubmit": "user_prompt.py",
    "SessionStart": "session_start.py",
    "Stop": "stop.py",
    "StopFailure": "stop.py",
    "PreCompact": "stop.py",
    "SessionEnd": "stop.py",
}
"""The script that is registered for each event; other events of the recordings reach no hook."""

HANDLERS = {
    "pre_tool.py": ("PreToolUse", journal.record),
    "post_tool.py": ("PostToolUse", journal.record),
    "user_prompt.py": ("UserPromptSubmit", journal.record),
    "session_start.py": ("SessionStart", start),
    "stop.py": ("Stop", stop),
}
"""What each script hands to `journal.run`."""


def pytest_configure() -> None:
    """What a shell starts in the background ignores SIGINT, and so would all that the tests start.

    A signal that is caught is not ignored after an exec: the children of the tests have the default.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: tests wait for disks and servers, too."""
    return (os.cpu_count() or 1) + 1


def absent(what: str) -> NoReturn:
    """A test needs what is not here: in CI it fails, elsewhere it is passed over."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


@contextmanager
def _as_a_process(cwd: Path, env: dict[str, str]) -> Iterator[list[str]]:
    """With this directory and environment; gives a list that holds what went to stdout, after."""
    before, back, shown, output = dict(os.environ), os.getcwd(), os.dup(1), []
    with tempfile.TemporaryFile() as written:
        os.environ.clear()
        os.environ.update(env)
        os.dup2(written.fileno(), 1)
        try:
            os.chdir(cwd)
            yield output
        finally:
            os.chdir(back)
            os.dup2(shown, 1)
            os.close(shown)
            os.environ.clear()
            os.environ.update(before)
        written.seek(0)
        output.append(written.read().decode())


@dataclass
class Hooks:
    """The hooks in a project of their own.

    `script` runs a script as the client runs it. An event that a test sends in preparation is
    handled in this process by what the script calls, unless `processes` asks for the script.
    """

    project: Path
    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable
    processes: bool = False

    def env(self) -> dict[str, str]:
        """The whole environment of a hook: nothing of the test runner's leaks in."""
        return {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "CLAUDE_PROJECT_DIR": str(self.project),
            **self.environment,
        }

    def script(self, name: str, stdin: bytes | str, **options) -> subprocess.CompletedProcess[str]:
        """Run one script on whatever stdin holds; its output as text."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        options = {"cwd": self.project, "env": self.env(), "timeout": 60, **options}
        done = subprocess.run(
            [self.python, "-I", "-S", str(ROOT / "hooks" / name)],
            input=data,
            capture_output=True,
            check=False,
            **options,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def send(self, event: dict, **options) -> str:
        """Hand an event to its hook, which must succeed; returns its stdout."""
        script, data = SCRIPTS[event["hook_event_name"]], json.dumps(event)
        # A connection to a store ends with its process.
        lasting = self.environment.keys() & {"WORKFLOW_STATE", "WORKFLOW_STATE_STORE"}
        alone = threading.current_thread() is threading.main_thread()
        if options or self.processes or lasting or self.python != sys.executable or not alone:
            done = self.script(script, data, **options)
            output, message, code = done.stdout, done.stderr, done.returncode
        else:
            name, handle = HANDLERS[script]
            with _as_a_process(self.project, self.env()) as written:
                event = journal.Event(journal.fields_of(bytearray(data.encode())), name)
                message = handle(event) or ""
            output, code = written[0], 0
        assert (code, message) == (0, ""), message
        ended = journal.now()
        while journal.now() == ended:
            pass  # no two events in one millisecond: times tell them apart
        return output

    def start(self, session: str, source: str = "startup", **fields) -> str:
        """Start a session; returns what Claude is told, "" for nothing."""
        event = {"hook_event_name": "SessionStart", "session_id": session, "source": source}
        output = self.send({**event, "cwd": str(self.project), **fields})
        return json.loads(output)["hookSpecificOutput"]["additionalContext"] if output else ""

    def prompt(self, session: str, text: str = "go", **fields) -> None:
        """The user's request."""
        event = {"hook_event_name": "UserPromptSubmit", "session_id": session, "prompt": text}
        self.send({**event, "cwd": str(self.project), **fields})

    def call(
        self, session: str, tool: str, call: str, given: dict, response: object = None, **fields
    ) -> None:
        """A tool call that begins and succeeds; `response` None makes one that ends in nothing."""
        about = {"session_id": session, "tool_name": tool, "tool_use_id": call, "tool_input": given}
        about = {**about, "cwd": str(self.project), **fields}
        self.send({**about, "hook_event_name": "PreToolUse"})
        self.send({**about, "hook_event_name": "PostToolUse", "tool_response": response or {}})

    def stop(self, session: str, **fields) -> None:
        """Claude stops."""
        self.send(
            {"hook_event_name": "Stop", "session_id": session, "cwd": str(self.project), **fields}
        )

    def end(self, session: str, reason: str = "other") -> None:
        """The session ends."""
        event = {"hook_event_name": "SessionEnd", "session_id": session, "reason": reason}
        self.send({**event, "cwd": str(self.project)})

    def cli(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        """Run the command line as a person would, from the project."""
        options = {"cwd": self.project, "env": self.env(), "timeout": 60, **options}
        command = [str(ROOT / "bin" / "workflow-state"), *arguments]
        if self.python == sys.executable and warm.will_do(options):
            return warm.run(command, **options)
        return subprocess.run(
            [self.python, *command],
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def show(self, session: str | None = None) -> dict:
        """The live state, through `show --json`."""
        chosen = ["--session", session] if session else []
        done = self.cli("show", "--json", *chosen)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def directory(self) -> Path:
        """The project's state directory."""
        chosen = self.environment.get("WORKFLOW_STATE_DIR")
        return self.project / chosen if chosen else state_directory(self.home, self.project)

    def choose(self) -> None:
        """From now on the state lies in a directory of the user's choice: there the key decides."""
        self.environment["WORKFLOW_STATE_DIR"] = str(self.home.parent / "chosen")

    @property
    def view(self) -> Path:
        """The project's view: plain copies of its keys, phase and files."""
        return self.project / ".claude" / "state"


def state_directory(home: Path, project: Path) -> Path:
    """Where the hooks keep the state of a project, for the user with this home."""
    real = Path(os.path.realpath(project))
    digest = hashlib.blake2b(os.fsencode(real), digest_size=8).hexdigest()
    return home / ".local/state/workflow-state/projects" / f"{real.name}-{digest}"


def payloads(name: str, project: Path) -> list[dict]:
    """The events of a recording, as they would be in `project`."""
    text = (PAYLOADS / f"{name}.jsonl").read_text().replace("/home/dev/project", str(project))
    return [json.loads(line) for line in text.strip().split("\n")]


@pytest.fixture(scope="session")
def _places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names for directories; pytest, which looks for a free one, is slower with each test."""
    top = tmp_path_factory.mktemp("places")
    return (top / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_environment(_places: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of Claude Code or of ours from outside, an empty home, no project above."""
    for name in list(os.environ):
        if name.startswith(("CLAUDE", "WORKFLOW_STATE", "XDG_", "GIT_", "AI_AGENT")):
            monkeypatch.delenv(name)
    home, elsewhere = next(_places), next(_places)
    home.mkdir(0o700)
    elsewhere.mkdir(0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)


@pytest.fixture(scope="session", autouse=True)
def _real_home_stays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process without HOME takes the one of the password database: no test may start such one."""
    yield
    real = Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".local/state/workflow-state/projects"
    recorded = [json.loads(file.read_text())["path"] for file in real.glob("*/project.json")]
    assert not [path for path in recorded if path.startswith(str(tmp_path_factory.getbasetemp()))]


class RealStateDirectory(AssertionError):
    """A test was about to touch a state directory outside its temporary one."""


@pytest.fixture(autouse=True)
def _only_temporary_state(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every state directory is opened through one function: let it open only temporary ones."""
    real = journal.open_state
    allowed = str(tmp_path_factory.getbasetemp())

    def guarded(directory: str, create: bool = False) -> int:
        if not os.path.realpath(directory).startswith((allowed, "/fake/")):
            raise RealStateDirectory(f"{directory}: use tmp_path, or /fake/ in a fake file system")
        return real(directory, create)

    monkeypatch.setattr(journal, "open_state", guarded)


@pytest.fixture
def hooks(tmp_path: Path) -> Hooks:
    """The scripts over an empty project."""
    project = tmp_path / "project"
    home = tmp_path / "home"
    project.mkdir()
    home.mkdir()
    return Hooks(project, home)


def pytest_terminal_summary(terminalreporter) -> None:
    """How many cases of the stores' contract each store passed."""
    counts: dict[str, int] = {}
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "contract":
                counts[value] = counts.get(value, 0) + 1
    for store, count in sorted(counts.items()):
        terminalreporter.write_line(f"store contract: {store} passed {count} cases")
