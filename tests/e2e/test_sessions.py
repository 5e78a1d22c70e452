"""Sessions that begin, end, go on and are cut off: what Claude is told, and what is kept."""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.conftest import absent

from .client import Claude, Running, without_context
from .messages import Full, bash

SUMMARISE = "CRITICAL: Respond with TEXT ONLY"
"""What the client asks the model for a summary with, when it compacts."""

SUMMARY = "<analysis>Short.</analysis><summary>There was a request for files.</summary>"


def test_a_first_session_is_told_nothing_and_is_recorded(claude):
    claude.mock.script(claude.write("a.py"), "Done.")
    done = claude.run("Make a.py")

    assert [request.told() for request in done.requests] == [[], []]
    live = claude.show(done.session)
    assert list(live["files_processed"]) == ["a.py"]
    assert live["files_processed"]["a.py"]["outcome"] == "created"
    assert (live["current_phase"], live["last_request"]) == ("build", "Make a.py")
    assert live["ended"]["reason"] == "other"
    assert (live["counts"]["requests"], live["counts"]["calls"]) == (1, 1)
    kept = claude.checkpoint(done.session)
    assert kept["trigger"] == "Stop"
    assert list(kept["session"]["files_processed"]) == ["a.py"]
    assert [record["event"] for record in claude.records(done.session)] == [
        "SessionStart",
        "UserPromptSubmit",
        "PreToolUse",
        "PostToolUse",
        "Stop",
        "Worktree",
        "SessionEnd",
    ]


def test_continue_goes_on_in_the_same_session(claude):
    claude.mock.script(claude.write("a.py"), "Done.", "Going on.")
    first = claude.run("Make a.py")
    second = claude.run("Go on", "--continue")

    assert second.session == first.session
    assert second.printed() == [second.told()]
    assert "continues session" not in second.told()
    assert 'Files changed (1): "a.py" (Write, created' in second.told()
    assert 'Last request: "Make a.py"' in second.told()
    live = claude.show(first.session)
    assert (live["counts"]["requests"], live["last_request"]) == (2, "Go on")
    assert list(live["files_processed"]) == ["a.py"]


def test_resume_goes_on_in_the_session_that_is_named(claude):
    claude.mock.script(claude.write("a.py"), "Done.", claude.write("b.py"), "Done.", "Going on.")
    first = claude.run("Make a.py")
    claude.run("Make b.py")
    resumed = claude.run("Go on", "--resume", first.session)

    assert resumed.session == first.session
    assert 'Files changed (1): "a.py"' in resumed.told()
    assert "b.py" not in resumed.told()
    assert list(claude.show(first.session)["files_processed"]) == ["a.py"]


def test_a_fork_is_assumed_to_continue_the_session_active_last(claude):
    claude.mock.script(claude.write("a.py"), "Done.", claude.write("b.py"), "Done.")
    first = claude.run("Make a.py")
    fork = claude.run("Make b.py", "--resume", first.session, "--fork-session")

    assert fork.session != first.session
    assert f"It is assumed that this session continues session {first.session}" in fork.told()
    assert 'Files changed (1): "a.py"' in fork.told()
    assert claude.show(fork.session)["continues"] == first.session
    assert list(claude.show(fork.session)["files_processed"]) == ["a.py", "b.py"]
    assert list(claude.show(first.session)["files_processed"]) == ["a.py"]


def test_a_new_session_continues_the_last_one(claude):
    claude.mock.script(claude.write("a.py"), "Done.", claude.edit("a.py", "1", "2"), "Done.")
    first = claude.run("Make a.py")
    claude.project.joinpath("a.py").write_text("x = 1  # by hand\n")
    second = claude.run("Change it")

    assert second.session != first.session
    assert f"This session continues session {first.session}, which ended." in second.told()
    assert 'On disk since the checkpoint: "a.py" changed.' in second.told()
    assert claude.show(second.session)["continues"] == first.session


def test_the_next_day_a_new_session_is_told_how_old_it_all_is(claude):
    if not shutil.which("faketime"):
        absent("faketime, which moves the clock of the hooks, is missing (Debian: faketime)")
    claude.mock.script(claude.write("a.py"), "Done.", "Good morning.")
    claude.run("Make a.py")
    claude.use_python(f'exec faketime -f +1d {claude.interpreter} "$@"')
    morning = claude.run("What did we do?")

    assert "(1 d ago)" in morning.told()
    assert 'Files changed (1): "a.py"' in morning.told()
    assert "On disk since the checkpoint" not in morning.told()


# --- compaction and /clear ---------------------------------------------------------------------


def test_compact_checkpoints_first_and_claude_is_told_again(claude):
    claude.mock.script(claude.write("a.py"), "Done.", "Going on.")
    claude.mock.script(SUMMARY, to=SUMMARISE)
    first = claude.run("Make a.py")
    compacted = claude.run("/compact", "--continue")
    assert claude.checkpoint(first.session)["trigger"] == "PreCompact"
    after = claude.run("Go on", "--continue")

    assert compacted.session == after.session == first.session
    assert [request.told() for request in compacted.requests] == [[]]
    assert compacted.printed()[-1] in after.requests[-1].told()
    assert 'Files changed (1): "a.py"' in compacted.printed()[-1]
    sources = [r["source"] for r in claude.records(first.session) if r["event"] == "SessionStart"]
    assert sources == ["startup", "resume", "compact", "resume"]


def test_automatic_compaction_in_mid_turn_loses_nothing(claude):
    claude.mock.script(
        claude.write("a.py"), Full([claude.write("b.py")], 990_000), claude.write("c.py"), "Done."
    )
    claude.mock.script(SUMMARY, to=SUMMARISE)
    done = claude.run("Make three files")

    assert [len(request.told()) for request in done.requests] == [0, 0, 0, 1, 1]
    assert 'Files changed (2): "b.py" (Write, created' in done.told()
    assert '; "a.py" (Write, created' in done.told()
    assert 'Last request: "Make three files"' in done.told()
    assert "Interrupted" not in done.told()
    live = claude.show(done.session)
    assert list(live["files_processed"]) == ["a.py", "b.py", "c.py"]
    assert live["counts"]["requests"] == 1
    assert "PreCompact" in [record["event"] for record in claude.records(done.session)]


def test_clear_begins_a_session_that_continues_the_cleared_one(claude):
    claude.mock.script(claude.write("a.py"), "Done.", "Going on.")
    first = claude.run("Make a.py")
    cleared = claude.run("/clear", "--continue")
    after = claude.run("Go on", "--resume", cleared.session)

    assert cleared.session != first.session
    assert claude.show(first.session)["ended"]["reason"] == "clear"
    assert f"continues session {first.session}, which was cleared." in cleared.printed()[-1]
    assert claude.show(cleared.session)["continues"] == first.session
    assert after.session == cleared.session
    assert 'Files changed (1): "a.py"' in after.told()
    assert "Make a.py" not in "".join(without_context(after.requests[-1].texts()))


# --- clients that are killed -------------------------------------------------------------------


def in_mid_tool(claude: Claude) -> Running:
    """A client in the middle of a command that takes long, after a file was made."""
    begun = claude.signal("begun")
    claude.mock.script(claude.write("a.py"), bash(f"{begun.command}; sleep 100"))
    running = claude.start("Make a.py, then wait")
    begun.wait()
    return running


@pytest.mark.parametrize("options", [[], ["--continue"]], ids=["new session", "continue"])
def test_a_client_that_is_killed_in_mid_tool_left_everything(claude, options):
    running = in_mid_tool(claude)
    running.kill(signal.SIGKILL)
    killed = running.wait()
    assert killed.code == -signal.SIGKILL
    claude.mock.script("Going on.")
    after = claude.run("Go on", *options)

    assert 'Interrupted: Bash "echo' in after.told()
    assert "outcome unknown" in after.told()
    assert 'Files changed (1): "a.py"' in after.told()
    if options:
        assert after.session == killed.session
    else:
        assert f"continues session {killed.session}, which ended without a word" in after.told()
    live = claude.show(after.session)
    assert [call["tool"] for call in live["interrupted"]] == ["Bash"]


def test_a_client_that_is_terminated_in_mid_tool_left_everything(claude):
    running = in_mid_tool(claude)
    running.kill(signal.SIGTERM)
    ended = running.wait()
    assert ended.code == 128 + signal.SIGTERM
    claude.mock.script("Going on.")
    after = claude.run("Go on")

    assert f"continues session {ended.session}, which ended." in after.told()
    assert 'Interrupted: Bash "echo' in after.told()
    assert 'Files changed (1): "a.py"' in after.told()
    assert claude.show(ended.session)["ended"]["reason"] == "other"


def test_a_client_that_keeps_no_transcript_leaves_no_request(claude):
    claude.mock.script(claude.write("a.py"), "Done.", "Going on.")
    first = claude.run("Make a.py in confidence", "--no-session-persistence")
    assert [
        each for each in (claude.home / ".claude").rglob("*.jsonl") if first.session in each.name
    ] == []
    assert claude.show(first.session)["last_request"] in (None, "")
    after = claude.run("Go on")
    assert "a.py" in after.told()
    assert "in confidence" not in after.told()
