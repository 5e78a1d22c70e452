"""The skills, by the model and by a person, and the status line, in the client."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from .messages import bash, use
from .terminal import Terminal


@pytest.fixture
def plugin(bare):
    """The bundle as a plugin, which brings its skills along, where the client asks before it acts."""
    bare.options = ["--plugin-dir", str(bare.bundle), "--permission-mode", "default"]
    return bare


def command(request) -> str:
    """The command that a skill's text, the last that the model was sent, says to run."""
    (shell,) = re.findall(r"```sh\n(.*?)\n```", "".join(request.texts()[-4:]), re.DOTALL)
    return shell


def run_it(request):
    """The model does what a skill's text says."""
    return bash(command(request).replace("NAME", "before-refactor"))


@pytest.mark.parametrize("skill", ["status", "checkpoint"])
def test_a_skill_that_the_model_uses_runs_without_being_asked(plugin, skill):
    claude = plugin
    claude.mock.script(use("Skill", skill=f"workflow-state:{skill}"), run_it, "Seen.")
    # Without this rule the client asks once whether the skill may be used.
    allowed = ["--allowedTools", f"Skill(workflow-state:{skill})"]
    done = claude.run("Where do we stand?", *allowed, unasked=False)

    output, failed = list(done.requests[-1].results().values())[-1]
    assert not failed, output
    assert ("before-refactor" if skill == "checkpoint" else done.session) in output
    if skill == "checkpoint":
        assert "before-refactor" in [each["name"] for each in claude.checkpoints()]


def test_a_skill_lets_no_other_place_through(plugin):
    """The client asks for what the skill's patterns do not cover, and nobody answers."""
    claude = plugin
    calls = []

    def elsewhere(request):
        allowed = command(request).replace("NAME", f"planted --dir {claude.top / 'elsewhere'}")
        calls.append(allowed)
        return bash(allowed)

    def without_here(request):
        calls.append(calls[0].replace(" here ", " "))
        return bash(calls[-1])

    skill = use("Skill", skill="workflow-state:checkpoint")
    claude.mock.script(skill, elsewhere, without_here, "I may not.")
    allowed = ["--allowedTools", "Skill(workflow-state:checkpoint)"]
    done = claude.run("Keep this", *allowed, unasked=False)
    refused = list(done.requests[-1].results().values())[-2:]
    assert [failed for _, failed in refused] == [True, True], refused
    assert "here takes no option" in refused[0][0]
    assert len(calls) == 2
    assert not (claude.top / "elsewhere").exists()


def test_the_model_may_not_restore_by_itself(plugin):
    claude = plugin
    claude.mock.script(use("Skill", skill="workflow-state:restore", args="first"), "I may not.")
    done = claude.run("Go back")
    ((output, failed),) = done.requests[-1].results().values()
    assert failed, output


@pytest.mark.interactive
def test_a_skill_is_typed_and_runs_without_a_dialog(plugin):
    claude = plugin
    claude.mock.script(claude.write("a.py"), "Made.")
    terminal = Terminal(claude, "--allowedTools", "Write", unasked=False)
    terminal.type("Make a.py")
    terminal.wait_for("Made.", idle=True)
    claude.mock.script(run_it, "One file.")
    terminal.type("/workflow-state:status")
    terminal.wait_for("One file.", idle=True)

    output, failed = list(claude.mock.requests[-1].results().values())[-1]
    assert not failed
    assert "1 changed" in output


@pytest.mark.interactive
def test_the_status_line_says_where_the_work_stands(claude):
    settings = claude.home / ".claude/settings.json"
    settings.parent.mkdir()
    line = f"{shutil.which('python3', path=claude.env()['PATH'])} -I -S {claude.bundle}/bin/workflow-state statusline"
    settings.write_text(json.dumps({"statusLine": {"type": "command", "command": line}}))
    claude.mock.script(claude.write("a.py"), "Made.")
    terminal = Terminal(claude)
    terminal.type("Make a.py")
    terminal.wait_for("Made.", idle=True)
    terminal.wait_for("build | 1 file")
