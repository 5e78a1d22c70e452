"""What settings.example.json and hooks/hooks.json register works, and cannot stand in the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lib.commands.main import VERSION
from tests.conftest import PAYLOADS, ROOT, SCRIPTS

FILES = {"settings": "settings.example.json", "plugin": "hooks/hooks.json"}

SHELL = shutil.which("dash") or "/bin/sh"
"""The client runs commands with /bin/sh, which is dash on Debian: no bash in a command."""

CLIENT_EVENTS = frozenset(
    "PreToolUse PostToolUse PostToolUseFailure PostToolBatch Notification UserPromptSubmit "
    "UserPromptExpansion SessionStart SessionEnd Stop StopFailure SubagentStart SubagentStop "
    "PreCompact PostCompact PreModelSwitch PostModelSwitch PermissionRequest PermissionDenied "
    "Setup TeammateIdle TaskCreated TaskCompleted Elicitation ElicitationResult ConfigChange "
    "WorktreeCreate WorktreeRemove InstructionsLoaded CwdChanged FileChanged DirectoryAdded "
    "MessageDisplay".split()
)


def entries(source: str) -> dict[str, list[dict]]:
    return json.loads((ROOT / FILES[source]).read_text())["hooks"]


def commands(source: str) -> dict[str, str]:
    return {event: groups[0]["hooks"][0]["command"] for event, groups in entries(source).items()}


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
        journals = (self.project / ".claude/state/sessions").glob("*.jsonl")
        lines = [line for journal in journals for line in journal.read_text().split("\n") if line]
        return {json.loads(line)["event"] for line in lines}


def recorded(event: str) -> str:
    """The first event of that name in the recordings."""
    for file in sorted(PAYLOADS.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            if json.loads(line)["hook_event_name"] == event:
                return line
    raise LookupError(event)


@pytest.fixture(params=FILES)
def source(request) -> str:
    return request.param


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


# --- what the files say ------------------------------------------------------------------------


def test_every_event_goes_to_its_script_and_no_other_event_is_named(source):
    named = {
        event: re.findall(r"/hooks/(\w+[.]py)", command)
        for event, command in commands(source).items()
    }
    assert named == {event: [script] for event, script in SCRIPTS.items()}
    assert named.keys() <= CLIENT_EVENTS


def test_every_script_that_exists_is_registered_and_the_other_way_round():
    assert {path.name for path in (ROOT / "hooks").glob("*.py")} == set(SCRIPTS.values())


def test_each_event_has_one_hook_without_a_matcher_and_with_a_short_timeout(source):
    for groups in entries(source).values():
        assert [group.keys() for group in groups] == [{"hooks"}]
        (hook,) = groups[0]["hooks"]
        assert hook.keys() == {"type", "command", "timeout"}
        assert hook["type"] == "command"
        # longer than the scripts' own limits of 5 and 10 seconds: they give up by themselves
        own = 10 if "stop.py" in hook["command"] or "session_start.py" in hook["command"] else 5
        assert own < hook["timeout"] <= 15


def test_the_plugin_says_the_same_as_the_settings_but_for_the_place():
    place = '"${WORKFLOW_STATE_HOME:-$HOME/.workflow-state}/hooks/'
    as_plugin = {
        event: command.replace(place, '"${CLAUDE_PLUGIN_ROOT}"/hooks/').replace('.py"', ".py")
        for event, command in commands("settings").items()
    }
    assert commands("plugin") == as_plugin


def test_the_manifest_names_no_hooks_file_because_the_default_one_loads_by_itself():
    manifest = json.loads((ROOT / ".claude-plugin/plugin.json").read_text())
    assert manifest["name"] == "workflow-state"
    assert manifest["version"] == VERSION
    assert manifest["license"] == "MIT"
    assert "hooks" not in manifest


def test_the_marketplace_lists_the_plugin_that_lies_beside_it():
    manifest = json.loads((ROOT / ".claude-plugin/plugin.json").read_text())
    marketplace = json.loads((ROOT / ".claude-plugin/marketplace.json").read_text())
    (plugin,) = marketplace["plugins"]
    assert plugin["source"] == "./"
    for name in ("name", "description", "license"):
        assert plugin[name] == manifest[name]
    assert "version" not in plugin  # the manifest's counts


# --- what the commands do ----------------------------------------------------------------------


@pytest.mark.parametrize("event", SCRIPTS)
def test_each_command_records_its_event(installed, source, event):
    done = installed.run(commands(source)[event], event)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert event in installed.recorded_events()


@pytest.mark.parametrize("place", ["my bundle", 'it\'s $HOME "here"', "-dash ; exit 2"])
def test_a_bundle_may_lie_anywhere(tmp_path, source, place):
    installed = Installed(tmp_path / "a b", place)
    installed.env["WORKFLOW_STATE_HOME"] = str(installed.bundle)
    done = installed.run(commands(source)["PostToolUse"], "PostToolUse")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert installed.recorded_events() == {"PostToolUse"}


def test_settings_without_a_home_fail_without_blocking(installed):
    del installed.env["HOME"]
    for event, command in commands("settings").items():
        done = installed.run(command, event)
        assert (done.returncode, done.stdout) == (1, "")


def test_the_plugin_needs_no_home(installed):
    del installed.env["HOME"]
    done = installed.run(commands("plugin")["PostToolUse"], "PostToolUse")
    assert (done.returncode, done.stdout) == (0, "")
    assert installed.recorded_events() == {"PostToolUse"}


def each_script(bundle: Path, change) -> None:
    for script in (bundle / "hooks").glob("*.py"):
        change(script)


def loop(script: Path) -> None:
    script.unlink()
    script.symlink_to(script.name)


FAULTS = {
    "the bundle is gone": lambda top: shutil.rmtree(top.bundle),
    "the scripts are gone": lambda top: each_script(top.bundle, Path.unlink),
    # python3 exits 2 for it as it does for a file without read permission, which root has always
    "a script cannot be opened": lambda top: each_script(top.bundle, loop),
    "a script is a directory": lambda top: each_script(
        top.bundle, lambda script: (script.unlink(), script.mkdir())
    ),
    "a script has a syntax error": lambda top: each_script(
        top.bundle, lambda script: script.write_text("def (:\n")
    ),
    "a script exits 2": lambda top: each_script(
        top.bundle, lambda script: script.write_text("raise SystemExit(2)\n")
    ),
    "lib is gone": lambda top: shutil.rmtree(top.bundle / "lib"),
    "lib has a syntax error": lambda top: (top.bundle / "lib/recording/journal.py").write_text(
        "def (:\n"
    ),
    "python3 is gone from PATH": lambda top: top.env.update(PATH=str(top.home)),
    "python3 is something that exits 2": lambda top: top.put_python(
        top.home.parent / "bin", "exit 2"
    ),
    "python3 was killed": lambda top: top.put_python(top.home.parent / "bin", "kill -9 $$"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_is_broken_a_hook_exits_1_in_silence(installed, source, fault):
    FAULTS[fault](installed)
    for event in ("PreToolUse", "PostToolUse", "UserPromptSubmit", "SessionStart", "Stop"):
        done = installed.run(commands(source)[event], event)
        assert (event, done.returncode, done.stdout) == (event, 1, "")


# --- past a version manager's shim ---------------------------------------------------------------


def behind_shim(installed: Installed) -> None:
    """From here on `python3` on PATH leaves a mark: what a shim's time is lost in."""
    does = f"touch '{installed.home}/shim-ran'; exec '{sys.executable}' \"$@\""
    installed.put_python(installed.home.parent / "bin", does)


def goes_through_shim(installed: Installed, command: str, event: str = "PreToolUse") -> bool:
    """Run a command, which must do its work either way."""
    mark = installed.home / "shim-ran"
    mark.unlink(missing_ok=True)
    done = installed.run(command, event)
    assert (done.returncode, done.stderr) == (0, "")
    assert event in installed.recorded_events()
    return mark.exists()


@pytest.fixture
def shimmed(installed, source) -> Installed:
    """Behind a shim, a session has started before."""
    behind_shim(installed)
    assert goes_through_shim(installed, commands(source)["PreToolUse"])
    assert goes_through_shim(installed, commands(source)["SessionStart"], "SessionStart")
    return installed


@pytest.mark.parametrize("event", [event for event in SCRIPTS if event != "SessionStart"])
def test_behind_a_shim_every_hook_goes_past_it_once_a_session_has_started(shimmed, source, event):
    assert not goes_through_shim(shimmed, commands(source)[event], event)


def test_the_link_leads_to_the_interpreter_itself(shimmed):
    assert os.readlink(shimmed.link) == os.path.realpath(sys.executable)
    assert stat.S_IMODE(shimmed.link.parent.stat().st_mode) == 0o700
    assert {path.name for path in shimmed.link.parent.iterdir()} == {"key", "python3"}


def test_an_interpreter_that_was_removed_since_is_done_without_until_the_next_start(
    shimmed, source
):
    shimmed.link.unlink()
    shimmed.link.symlink_to(shimmed.home / "versions/3.9/bin/python3.9")
    assert goes_through_shim(shimmed, commands(source)["PreToolUse"])
    shimmed.run(commands(source)["SessionStart"], "SessionStart")
    assert not goes_through_shim(shimmed, commands(source)["PreToolUse"])


def test_an_interpreter_that_is_broken_is_replaced_at_the_next_start(shimmed, source):
    broken = shimmed.home / "broken"
    broken.write_text("#!/bin/sh\nexit 2\n")
    broken.chmod(0o755)
    shimmed.link.unlink()
    shimmed.link.symlink_to(broken)
    assert shimmed.run(commands(source)["PreToolUse"], "PreToolUse").returncode == 1
    shimmed.run(commands(source)["SessionStart"], "SessionStart")
    assert not goes_through_shim(shimmed, commands(source)["PreToolUse"])


def test_an_interpreter_that_the_user_put_there_stays(shimmed, source):
    shimmed.link.unlink()
    shimmed.link.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    shimmed.link.chmod(0o755)
    shimmed.run(commands(source)["SessionStart"], "SessionStart")
    assert not shimmed.link.is_symlink()
    assert not goes_through_shim(shimmed, commands(source)["PreToolUse"])


def test_no_link_is_left_where_others_could_replace_it(installed, source):
    installed.link.parent.mkdir(parents=True)
    installed.link.parent.chmod(0o770)
    installed.run(commands(source)["SessionStart"], "SessionStart")
    assert "SessionStart" in installed.recorded_events()
    assert not os.path.lexists(installed.link)


def test_where_no_link_can_be_left_a_session_starts_all_the_same(installed, source):
    installed.link.mkdir(parents=True)
    (installed.link.parent / "key").mkdir()  # nor a key
    installed.env["WORKFLOW_STATE_KEY"] = "another"
    done = installed.run(commands(source)["SessionStart"], "SessionStart")
    assert (done.returncode, done.stderr) == (0, "")
    assert installed.recorded_events() == {"SessionStart"}


def test_the_link_lies_under_xdg_state_home(installed, source, tmp_path):
    behind_shim(installed)
    installed.env["XDG_STATE_HOME"] = str(tmp_path / "my state")
    installed.run(commands(source)["SessionStart"], "SessionStart")
    assert (tmp_path / "my state/workflow-state/python3").is_symlink()
    assert not goes_through_shim(installed, commands(source)["PreToolUse"])


def test_a_directory_of_the_repository_is_no_place_for_an_interpreter(shimmed, source):
    """A relative XDG_STATE_HOME means nothing; were it followed, a clone could bring a program."""
    planted = shimmed.project / "cache/workflow-state/python3"
    planted.parent.mkdir(parents=True)
    planted.write_text("#!/bin/sh\nexit 3\n")
    planted.chmod(0o755)
    shimmed.env["XDG_STATE_HOME"] = "cache"
    assert goes_through_shim(shimmed, commands(source)["PreToolUse"])


def test_the_plugin_without_a_home_goes_by_path(shimmed):
    del shimmed.env["HOME"]
    assert goes_through_shim(shimmed, commands("plugin")["PreToolUse"])


@pytest.mark.parametrize("kind", ["--symlinks", "--copies"])
def test_an_environment_s_interpreter_is_known_by_its_base(tmp_path, kind):
    base = os.path.realpath(sys.executable)
    subprocess.run([base, "-m", "venv", "--without-pip", kind, tmp_path / "venv"], check=True)
    command = [tmp_path / "venv/bin/python", "-S", "-c"]
    command += ["from lib.install.interpreter import interpreter; print(interpreter())"]
    found = subprocess.check_output(command, cwd=ROOT, text=True).strip()
    ask = "import sys; print(sys.prefix, sys.version)"
    assert found.startswith(sys.base_prefix)
    assert subprocess.check_output([found, "-I", "-S", "-c", ask]) == subprocess.check_output(
        [base, "-I", "-S", "-c", ask]
    )
