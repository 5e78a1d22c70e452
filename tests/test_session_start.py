"""When a session starts: what is printed, for Claude and for the user."""

from __future__ import annotations

import json
import resource

import pytest

from lib.recording import journal


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


def limited(hooks, number: int, session: str = "new") -> dict:
    """A start that may write no more than so many bytes into a file, and ends well all the same."""
    event = {"hook_event_name": "SessionStart", "session_id": session, "source": "startup"}
    done = hooks.script(
        "session_start.py",
        json.dumps({**event, "cwd": str(hooks.project)}),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (number, number)),
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("store", ["json", "sqlite"])
@pytest.mark.parametrize("number", [0, 40], ids=["nothing", "a part"])
def test_a_start_that_cannot_be_recorded_tells_all_the_same(worked, store, number):
    worked.environment["WORKFLOW_STATE_STORE"] = store
    worked.stop("old")
    output = limited(worked, number)
    told = output["hookSpecificOutput"]["additionalContext"]
    assert "continues session old" in told
    assert '"a.py"' in told
    assert "could not be recorded" in output["systemMessage"]
    assert "sessions/new.jsonl" in output["systemMessage"]
    assert "To mend it: " in output["systemMessage"]
    assert '"a.py"' in start(worked, session_id="later")["hookSpecificOutput"]["additionalContext"]


def test_a_resume_that_cannot_be_recorded_tells_what_was_cut_off(worked):
    told = limited(worked, 0, "old")["hookSpecificOutput"]["additionalContext"]
    assert "Interrupted: Bash" in told


def test_a_start_where_nothing_can_be_made_says_so(hooks):
    hooks.home.joinpath(".local").write_text("in the way")
    assert "could not be recorded" in limited(hooks, 0)["systemMessage"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ""),
        (b'\n{"v":1,"at":"2026-11-30T21:0', ""),
        (b"\n" + bytes(64) + b"\n", "all records of 1 other sessions in {} are damaged"),
        (b"later", "all records of 1 other sessions are of a later version"),
        (b"foreign", "all records of 1 other sessions in {} were not written by this user"),
    ],
    ids=["empty", "torn", "zeroes", "later", "foreign"],
)
def test_a_journal_without_records_is_told_as_what_it_is(hooks, content, said):
    hooks.choose()
    hooks.start("one")
    if content in (b"later", b"foreign"):
        key = b"" if content == b"foreign" else users_key(hooks)
        facts = {"v": 1 + (content == b"later"), "at": journal.now(), "event": "Stop"}
        content = journal.sign("two", facts, key)
    (hooks.directory / "sessions" / "two.jsonl").write_bytes(content)
    told = start(hooks).get("systemMessage", "")
    assert told.startswith("workflow-state: " + said.format(hooks.directory) if said else "")
    assert bool(told) == bool(said)


def test_where_no_key_can_be_had_nobody_else_is_said_to_have_written_it(worked):
    worked.choose()
    worked.prompt("mine", "port it")
    key = worked.home / ".local/state/workflow-state/key"
    key.chmod(0o644)  # such a key is not used
    told = start(worked)["systemMessage"]
    assert f"{key} is no key that only you can read" in told
    assert "not written by this user" not in told


def users_key(hooks) -> bytes:
    return (hooks.home / ".local/state/workflow-state/key").read_bytes()


def test_off_is_off(hooks):
    hooks.environment["WORKFLOW_STATE"] = "off"
    assert start(hooks) == {}
    hooks.stop("new")
    assert not hooks.directory.exists()
