"""A fold that has not the time for a whole journal: what it tells, and that the next goes on."""

from __future__ import annotations

import json

import pytest

from lib.format import records
from lib.maintenance import retention
from lib.maintenance.trust import adopt
from lib.recording import journal
from lib.session import live
from lib.state import State
from tests.conftest import Hooks

CALLS = 600
CHUNK = 1 << 13


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A fold with no time reads so much, and the end of so much."""
    monkeypatch.setattr(records, "CHUNK", CHUNK)
    monkeypatch.setattr(live, "TAIL", CHUNK)


@pytest.fixture
def long(hooks, monkeypatch):
    """A project with a session of many calls that was never checkpointed."""
    monkeypatch.setenv("HOME", str(hooks.home))
    hooks.start("one")
    record(hooks, "one", *calls(0, CALLS))
    hooks.prompt("one", "the last request")
    return hooks


def calls(first: int, end: int) -> list[dict]:
    return [
        {"event": event, "tool": "Write", "call": f"c{number}", "path": f"{number}.py"}
        for number in range(first, end)
        for event in ("PreToolUse", "PostToolUse")
    ]


def record(hooks: Hooks, session: str, *facts: dict) -> None:
    journal.write(str(hooks.directory), session, *facts)


def hurried(hooks: Hooks, session: str = "one", keep: bool = True) -> dict:
    """The state as a process has it that has no time."""
    state = State(hooks.directory, session)
    state.sessions.limit(0, keep)
    return state.live()


def whole(hooks: Hooks, session: str = "one") -> dict:
    (hooks.directory / "sessions" / f"{session}.fold").unlink(missing_ok=True)
    return State(hooks.directory, session).session_state()


def plain(live: dict) -> dict:
    return {name: live[name] for name in live if name not in ("fold", "journal")}


def until_all_is_read(hooks: Hooks, session: str = "one") -> list[dict]:
    seen = [hurried(hooks, session)]
    while seen[-1]["journal"].get("unread"):
        seen.append(hurried(hooks, session))
        assert seen[-1]["journal"].get("unread", 0) < seen[-2]["journal"]["unread"]
    return seen


def test_each_fold_goes_on_where_the_last_one_stood(long):
    seen = until_all_is_read(long)
    assert len(seen) > 5
    assert dict(seen[-1]["files_processed"]) == dict(whole(long)["files_processed"])
    assert json.dumps(plain(seen[-1]), default=dict) == json.dumps(whole(long), default=dict)


def test_what_was_not_read_is_counted_and_the_end_is_known(long):
    first = hurried(long)
    read = len(first["files_processed"])
    assert 0 < read < CALLS
    assert abs(first["journal"]["unread"] - 2 * (CALLS - read)) <= 1  # the last may be in two parts
    assert f"{CALLS - 1}.py" in first["files_processed"]
    assert first["last_request"] == "the last request"


def test_what_went_on_before_a_gap_is_not_told_as_going_on(hooks, monkeypatch):
    monkeypatch.setenv("HOME", str(hooks.home))
    hooks.start("one")
    hooks.prompt("one", "the first request")
    about = {"tool": "Bash", "command": "make"}
    record(hooks, "one", {"event": "PreToolUse", "call": "a", **about})
    failure = {"event": "PostToolUseFailure", "call": "b", "error": "no", **about}
    record(hooks, "one", failure, *calls(0, CALLS))
    first = hurried(hooks)
    assert (first["in_flight"], first["failures"], first["last_request"]) == ([], [], None)
    assert first["started"]
    last = until_all_is_read(hooks)[-1]
    assert [call["call"] for call in last["in_flight"]] == ["a"]
    assert last["last_request"] == "the first request"


def test_a_session_that_continues_it_goes_on_too(long):
    long.end("one")
    event = {"hook_event_name": "SessionStart", "session_id": "two", "source": "startup"}
    long.send({**event, "cwd": str(long.project)})
    (long.directory / "sessions" / "one.fold").unlink(missing_ok=True)
    record(long, "two", *calls(CALLS, 2 * CALLS))
    first = hurried(long, "two")
    assert first["journal"]["unread"]
    assert not (long.directory / "sessions" / "two.fold").exists()  # it would lack what it inherits
    seen = until_all_is_read(long, "two")
    assert len(seen) > 3
    assert len(seen[-1]["files_processed"]) == 2 * CALLS


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[", None], ids=["empty", "none", "no", "foreign"]
)
def test_a_mark_that_is_not_ours_is_not_believed(long, content, monkeypatch):
    if content is None:
        monkeypatch.setenv("WORKFLOW_STATE_KEY", "theirs")
        hurried(long)
        monkeypatch.delenv("WORKFLOW_STATE_KEY")
        assert hurried(long)["files_processed"]  # where theirs stands, nothing counted
        content = (long.directory / "sessions" / "one.fold").read_bytes()
        content = content.replace(b"0.py", b"x.py", 1)
    path = long.directory / "sessions" / "one.fold"
    path.write_bytes(content)
    path.chmod(0o600)
    assert "x.py" not in hurried(long)["files_processed"]
    assert len(until_all_is_read(long)[-1]["files_processed"]) == CALLS


def test_one_who_only_reads_writes_nothing(long):
    before = sorted(long.directory.rglob("*"))
    assert hurried(long, keep=False)["journal"]["unread"]
    assert sorted(long.directory.rglob("*")) == before


def test_a_stop_without_the_time_puts_its_checkpoint_off(long, monkeypatch):
    from lib.events import checkpoint_turn

    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(long.project))
    monkeypatch.setattr(checkpoint_turn, "FOLD_SECONDS", 0)
    event = journal.Event({"hook_event_name": "Stop", "session_id": "one"}, "Stop")
    said = checkpoint_turn.close(event, str(long.project))
    assert "the checkpoint is put off: " in said[-1]
    assert not list(long.directory.glob("checkpoints/*"))
    for _ in range(200):
        if not checkpoint_turn.close(event, str(long.project)):
            break
    checkpoint = json.loads((long.directory / "checkpoints" / "session-one.json").read_text())
    assert len(checkpoint["session"]["files_processed"]) == CALLS
    assert not (long.directory / "sessions" / "one.fold").exists()


def test_a_fold_in_parts_counts_what_is_adopted_meanwhile(long, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "theirs")
    record(long, "one", *calls(CALLS, 2 * CALLS))
    monkeypatch.delenv("WORKFLOW_STATE_KEY")
    record(long, "one", *calls(2 * CALLS, 3 * CALLS))
    for _ in range(30):
        hurried(long)
    adopt(State(long.directory, ""))
    hurried(long)  # it starts over, once
    seen = until_all_is_read(long)
    assert len(seen) > 5
    assert len(seen[-1]["files_processed"]) == 3 * CALLS


def test_it_goes_with_its_session(long):
    hurried(long)
    assert (long.directory / "sessions" / "one.fold").exists()
    retention.forget(State(long.directory, ""), "one")
    assert not list(long.directory.glob("sessions/*"))


def test_it_is_told_to_claude_and_in_the_status(long, monkeypatch, capsys):
    from lib.commands import status
    from lib.telling.context import Context

    told = Context(hurried(long), None, [], {}, 0.0, "workflow-state").render()
    assert "Not all is known: at least " in told
    assert " records not read." in told
    monkeypatch.setattr(status, "FOLD_SECONDS", 0)
    data, lines = status.status(State(long.directory, "one"), None)
    assert data["unread"]
    assert any("at least" in line for line in lines)
    assert any(line.startswith("not read") for line in lines)
