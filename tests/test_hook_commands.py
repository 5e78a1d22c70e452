"""What settings.example.json and hooks/hooks.json register works, and cannot stand in the way."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, SCRIPTS
from tests.installing import FILES, Installed

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


@pytest.fixture(params=FILES)
def source(request) -> str:
    return request.param


@pytest.fixture
def installed(tmp_path) -> Installed:
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
    assert manifest["license"] == "MIT"
    assert "hooks" not in manifest


def test_the_marketplace_lists_the_plugin_that_lies_beside_it():
    manifest = json.loads((ROOT / ".claude-plugin/plugin.json").read_text())
    marketplace = json.loads((ROOT / ".claude-plugin/marketplace.json").read_text())
    (plugin,) = marketplace["plugins"]
    assert plugin["source"] == "./"
    for name in ("name", "description", "license"):
        assert plugin[name] == manifest[name]
    # With a version, an update comes only when it changes; without one, with each commit.
    assert "version" not in {**plugin, **manifest}


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
    installed.env.update(WORKFLOW_STATE_DIR="here", WORKFLOW_STATE_KEY="secret")
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
