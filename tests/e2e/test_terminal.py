"""The client in a terminal: what only a person at the keys can do."""

from __future__ import annotations

import shutil

import pytest

from tests.conftest import absent

from .client import Claude
from .messages import Refusal, bash
from .terminal import Terminal
from .test_sessions import SUMMARISE, SUMMARY

pytestmark = pytest.mark.interactive


@pytest.fixture(autouse=True)
def _tmux() -> None:
    if not shutil.which("tmux"):
        absent("tmux, which the client is typed into, is missing (Debian: tmux)")


def in_mid_tool(claude: Claude) -> Terminal:
    """A client in the middle of a command that takes long, after a file was made."""
    begun = claude.signal("begun")
    claude.mock.script(claude.write("a.py"), bash(f"{begun.command}; sleep 100"))
    terminal = Terminal(claude)
    terminal.type("Make a.py, then wait")
    begun.wait()
    return terminal


def last(claude: Claude) -> dict:
    """The state of the session that was active last."""
    return claude.show()


def test_escape_in_mid_tool_interrupts_the_call(claude):
    terminal = in_mid_tool(claude)
    terminal.press("Escape")
    terminal.wait_for("Interrupted", idle=True)
    # No event tells of Esc: the call counts as under way until the next request.
    assert [call["tool"] for call in last(claude)["in_flight"]] == ["Bash"]
    claude.mock.script("Going on.")
    terminal.type("Go on")
    terminal.wait_for("Going on.", idle=True)

    live = last(claude)
    assert (live["in_flight"], [call["tool"] for call in live["interrupted"]]) == ([], ["Bash"])
    assert live["counts"]["requests"] == 2
    terminal.exit()
    assert last(claude)["ended"]["reason"] == "prompt_input_exit"


def test_escape_and_exit_is_told_to_the_next_session(claude):
    terminal = in_mid_tool(claude)
    terminal.press("Escape")
    terminal.wait_for("Interrupted", idle=True)
    terminal.exit()
    claude.mock.script("Going on.")
    after = claude.run("Go on")

    assert 'Interrupted: Bash "echo' in after.told()
    assert 'Files changed (1): "a.py"' in after.told()


def test_a_terminal_closed_in_mid_tool_is_told_to_the_next_session(claude):
    in_mid_tool(claude).close()
    assert last(claude)["ended"]["reason"] == "other"
    claude.mock.script("Going on.")
    after = claude.run("Go on")

    assert 'Interrupted: Bash "echo' in after.told()
    assert 'Files changed (1): "a.py"' in after.told()
    assert 'Last request: "Make a.py, then wait"' in after.told()


def test_clear_goes_on_where_the_cleared_session_stood(claude):
    claude.mock.script(claude.write("a.py"), "Made.", "Going on.")
    terminal = Terminal(claude)
    terminal.type("Make a.py")
    terminal.wait_for("Made.", idle=True)
    first = last(claude)["session_id"]
    terminal.type("/clear")
    claude.wait_for(lambda: claude.events().count("SessionStart") == 2)
    terminal.type("Go on")
    terminal.wait_for("Going on.", idle=True)

    (told,) = claude.mock.requests[-1].told()
    assert f"continues session {first}, which was cleared." in told
    assert 'Files changed (1): "a.py"' in told
    assert "Made." not in claude.mock.requests[-1].texts()
    assert last(claude)["continues"] == first


def test_compact_tells_the_model_again(claude):
    claude.mock.script(claude.write("a.py"), "Made.", "Going on.")
    claude.mock.script(SUMMARY, to=SUMMARISE)
    terminal = Terminal(claude)
    terminal.type("Make a.py")
    terminal.wait_for("Made.", idle=True)
    first = last(claude)["session_id"]
    terminal.type("/compact")
    claude.wait_for(lambda: claude.events().count("SessionStart") == 2)
    terminal.wait_for("Compacted", idle=True)
    assert claude.checkpoint(first)["trigger"] == "PreCompact"
    terminal.type("Go on")
    terminal.wait_for("Going on.", idle=True)

    (told,) = claude.mock.requests[-1].told()
    assert 'Files changed (1): "a.py"' in told
    assert "continues session" not in told
    assert last(claude)["session_id"] == first
    assert last(claude)["counts"]["requests"] == 2


def test_a_call_refused_at_the_dialog_changed_nothing(claude):
    claude.mock.script(claude.write("a.py"), "Going on.")
    terminal = Terminal(claude, "--permission-mode", "manual", unasked=False)
    terminal.type("Make a.py")
    terminal.wait_for("Do you want to create a.py?")
    terminal.press("Escape")
    terminal.wait_for("Rejected", idle=True)
    terminal.type("Go on")
    terminal.wait_for("Going on.", idle=True)

    live = last(claude)
    assert (live["files_processed"], live["in_flight"]) == ({}, [])
    assert [call["tool"] for call in live["interrupted"]] == ["Write"]


def test_a_turn_that_ends_in_an_error_of_the_api_is_checkpointed(claude):
    # In print mode the client may leave before this event's hook has run.
    claude.environment["CLAUDE_CODE_MAX_RETRIES"] = "0"
    claude.mock.script(claude.write("a.py"), Refusal(400, "invalid_request_error"))
    terminal = Terminal(claude)
    terminal.type("Make a.py")
    claude.wait_for(lambda: [each["trigger"] for each in claude.checkpoints()] == ["StopFailure"])

    assert list(claude.checkpoints()[0]["session"]["files_processed"]) == ["a.py"]
    assert "StopFailure" in claude.events()


def test_a_command_of_the_users_own_is_not_claimed_as_claudes(claude):
    claude.git("init", "-q")
    claude.mock.script("Noted.", "Seen.", "Going on.")
    terminal = Terminal(claude)
    terminal.type("Look")
    terminal.wait_for("Noted.", idle=True)
    terminal.press("!")
    terminal.type("echo x > theirs.py")
    terminal.wait_for("Seen.", idle=True)
    assert (claude.project / "theirs.py").exists()
    terminal.type("Go on")
    terminal.wait_for("Going on.", idle=True)

    assert last(claude)["files_processed"] == {}
    assert last(claude)["counts"]["requests"] == 2


def test_resume_in_the_terminal_goes_on_in_the_session(claude):
    claude.mock.script(claude.write("a.py"), "Made.", "Going on.")
    first = claude.run("Make a.py")
    terminal = Terminal(claude, "--resume", first.session)
    terminal.type("Go on")
    terminal.wait_for("Going on.", idle=True)

    assert 'Files changed (1): "a.py"' in claude.mock.requests[-1].told()[-1]
    assert last(claude)["session_id"] == first.session
