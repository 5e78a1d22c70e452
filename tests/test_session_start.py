"""When a session starts: what is printed, for Claude and for the user."""

from __future__ import annotations

import json

import pytest


def start(hooks, **fields) -> dict:
    event = {"hook_event_name": "SessionStart", "session_id": "new", "source": "startup"}
    return json.loads(hooks.send({**event, "cwd": str(hooks.project), **fields}) or "{}")


def settings(hooks, text: str) -> None:
    (hooks.project / ".claude").mkdir()
    (hooks.project / ".claude" / "workflow-state.json").write_text(text)


@pytest.fixture
def worked(hooks):
    """A session that wrote a file and was killed in the middle of a call."""
    hooks.start("old")
    hooks.prompt("old", "add a parser")
    hooks.call("old", "Write", "1", {"file_path": str(hooks.project / "a.py")}, {"type": "create"})
    about = {"session_id": "old", "tool_name": "Bash", "tool_use_id": "2"}
    about["tool_input"] = {"command": "make"}
    hooks.send({**about, "hook_event_name": "PreToolUse"})
    return hooks


def test_says_nothing_when_there_is_nothing_to_say(hooks):
    assert start(hooks) == {}


def test_tells_claude_where_the_work_stood(worked):
    output = start(worked)
    assert set(output) == {"hookSpecificOutput"}
    assert output["hookSpecificOutput"]["hookEventName"] == "SessionStart"
    told = output["hookSpecificOutput"]["additionalContext"]
    for words in ("continues session old", "Phase: build", '"a.py"', '"make"', "add a parser"):
        assert words in told
    assert len(told) <= 2000


def test_bad_settings_are_told_to_the_user_and_cost_nothing(worked):
    settings(worked, "{")
    output = start(worked)
    assert "workflow-state.json is not JSON" in output["systemMessage"]
    assert "Phase: build" in output["hookSpecificOutput"]["additionalContext"]


def test_a_projects_own_phases_are_told(worked):
    settings(worked, '{"phases": {"craft": ["Write"]}}')
    told = start(worked)["hookSpecificOutput"]["additionalContext"]
    assert "Phase: craft (inferred)" in told


def test_off_is_off(hooks):
    hooks.environment["WORKFLOW_STATE"] = "off"
    assert start(hooks) == {}
    hooks.stop("new")
    assert not hooks.directory.exists()
