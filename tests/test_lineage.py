"""Which session a session continues, for every source, with the real scripts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.recording import journal
from lib.recording.client_process import process_start
from lib.session import lineage
from tests.conftest import Hooks


@pytest.fixture
def client() -> Iterator[subprocess.Popen]:
    """A process that stands in for a running client."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def work(hooks: Hooks, session: str, path: str, source: str = "startup") -> None:
    """A session that starts, is asked for a file and writes it."""
    hooks.start(session, source)
    write(hooks, session, path)


def write(hooks: Hooks, session: str, path: str) -> None:
    """One request and one file written."""
    hooks.prompt(session, f"change {path}")
    hooks.call(session, "Write", f"{session}-{path}", {"file_path": str(hooks.project / path)})


def records(hooks: Hooks, session: str) -> list[dict]:
    """A session's journal as it lies on the disk."""
    text = (hooks.directory / "sessions" / f"{session}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines() if line]


def link(hooks: Hooks, session: str) -> dict:
    """What the first record of a session's journal says it continues."""
    return records(hooks, session)[0].get("continues", {})


def forget(hooks: Hooks, session: str, checkpoint: bool = True) -> None:
    """Remove a session's journal, and its checkpoint."""
    (hooks.directory / "sessions" / f"{session}.jsonl").unlink()
    if checkpoint:
        (hooks.directory / "checkpoints" / f"session-{session}.json").unlink()


# --- resume and compact ------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["resume", "compact"])
def test_the_own_journal_goes_on(hooks, source):
    work(hooks, "a", "a.py")
    hooks.stop("a")
    work(hooks, "b", "b.py")
    told = hooks.start("a", source)
    assert list(hooks.show("a")["files_processed"]) == ["a.py"]
    assert '"a.py"' in told
    assert "continues session" not in told


@pytest.mark.parametrize("source", ["resume", "compact"])
def test_without_its_journal_a_session_continues_from_its_checkpoint(hooks, source):
    work(hooks, "a", "a.py")
    hooks.stop("a")
    work(hooks, "b", "b.py")
    forget(hooks, "a", checkpoint=False)
    told = hooks.start("a", source)
    assert '"a.py"' in told
    write(hooks, "a", "more.py")
    hooks.stop("a")
    assert list(hooks.show("a")["files_processed"]) == ["a.py", "more.py"]


@pytest.mark.parametrize("source", ["resume", "compact"])
def test_without_journal_and_checkpoint_a_session_starts_as_any_other(hooks, source):
    work(hooks, "b", "b.py")
    work(hooks, "a", "a.py", "clear")
    hooks.stop("a")
    forget(hooks, "a")
    hooks.start("a", source)
    assert link(hooks, "a")["session"] == "b"
    assert list(hooks.show("a")["files_processed"]) == ["b.py"]


def test_a_resumed_session_has_interrupted_what_was_in_flight(hooks):
    hooks.start("a")
    event = {"hook_event_name": "PreToolUse", "session_id": "a", "tool_name": "Bash"}
    hooks.send({**event, "tool_use_id": "1", "tool_input": {"command": "make all"}})
    assert 'Interrupted: Bash "make all"' in hooks.start("a", "resume")
    assert hooks.show("a")["in_flight"] == []


# --- clear -------------------------------------------------------------------------------------


def test_clear_continues_the_session_that_was_cleared(hooks):
    work(hooks, "a", "a.py")
    hooks.end("a", "clear")
    work(hooks, "b", "b.py")
    hooks.stop("b")
    told = hooks.start("c", "clear")
    assert link(hooks, "c")["session"] == "a"
    assert "continues session a, which was cleared" in told


def test_of_two_cleared_sessions_the_one_cleared_later_goes_on(hooks):
    work(hooks, "a", "a.py")
    work(hooks, "b", "b.py", "resume")
    hooks.end("b", "clear")
    hooks.end("a", "clear")
    hooks.start("c", "clear")
    assert link(hooks, "c")["session"] == "a"


@pytest.mark.parametrize("reason", ["other", "logout", "prompt_input_exit"])
def test_clear_continues_nothing_when_nothing_was_cleared(hooks, reason):
    work(hooks, "a", "a.py")
    hooks.end("a", reason)
    assert hooks.start("c", "clear") == ""
    assert link(hooks, "c") == {}


def test_a_cleared_session_is_not_alive_though_its_process_is(hooks, client):
    hooks.environment["CLAUDE_PID"] = str(client.pid)
    work(hooks, "a", "a.py")
    hooks.end("a", "clear")
    told = hooks.start("b", "clear")
    assert link(hooks, "b")["session"] == "a"
    assert "Alive" not in told


# --- fork --------------------------------------------------------------------------------------


def test_a_fork_is_assumed_to_continue_the_session_active_last(hooks):
    work(hooks, "a", "a.py")
    work(hooks, "b", "b.py", "clear")
    hooks.prompt("a", "the last word")
    told = hooks.start("c", "fork")
    assert link(hooks, "c")["session"] == "a"
    assert link(hooks, "c")["assumed"] is True
    assert "It is assumed that this session continues session a" in told


def test_a_fork_continues_even_a_session_that_is_alive(hooks, client):
    hooks.environment["CLAUDE_PID"] = str(client.pid)
    work(hooks, "a", "a.py")
    told = hooks.start("b", "fork")
    assert link(hooks, "b")["session"] == "a"
    assert "a, which is still running" in told
    assert "Alive" not in told


# --- startup -----------------------------------------------------------------------------------

ENDINGS = {
    "that stopped": (["Stop"], "which ended without a word"),
    "that stopped and was left": (["Stop", "other"], "which ended."),
    "that was left in mid-turn": (["other"], "which ended."),
    "that was logged out of": (["logout"], "which ended."),
    "that was cleared": (["clear"], "which was cleared"),
    "that said nothing more": ([], "which ended without a word (crashed or killed)"),
}


@pytest.mark.parametrize(("ends", "words"), ENDINGS.values(), ids=ENDINGS)
def test_startup_continues_a_session(hooks, ends, words):
    work(hooks, "a", "a.py")
    for end in ends:
        hooks.stop("a") if end == "Stop" else hooks.end("a", end)
    told = hooks.start("b")
    assert link(hooks, "b")["session"] == "a"
    assert f"This session continues session a, {words}" in told
    assert list(hooks.show("b")["files_processed"]) == ["a.py"]


def test_a_source_that_is_not_known_is_a_startup(hooks):
    work(hooks, "a", "a.py")
    hooks.start("b", "teleport")
    assert link(hooks, "b")["session"] == "a"


def test_the_first_session_of_a_project_continues_nothing(hooks):
    assert hooks.start("a") == ""
    assert link(hooks, "a") == {}


def test_a_session_that_is_alive_is_mentioned_and_the_last_dead_one_goes_on(hooks, client):
    work(hooks, "dead", "dead.py")
    hooks.environment["CLAUDE_PID"] = str(client.pid)
    work(hooks, "living", "living.py", "clear")
    del hooks.environment["CLAUDE_PID"]
    told = hooks.start("new")
    assert link(hooks, "new")["session"] == "dead"
    assert "Alive in this project, with work of its own: session living" in told
    assert "living.py" not in told
    assert list(hooks.show("new")["files_processed"]) == ["dead.py"]


def test_a_session_alive_beside_nothing_else_is_mentioned(hooks, client):
    hooks.environment["CLAUDE_PID"] = str(client.pid)
    work(hooks, "living", "living.py")
    told = hooks.start("new")
    assert link(hooks, "new") == {}
    assert "session living" in told
    assert "living.py" not in told


def reap(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


def make_zombie(process: subprocess.Popen) -> None:
    """Kill it without its parent asking: it stays in the process table."""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("die", [reap, make_zombie])
def test_a_session_whose_process_was_killed_has_crashed(hooks, client, die):
    hooks.environment["CLAUDE_PID"] = str(client.pid)
    work(hooks, "a", "a.py")
    die(client)
    assert "crashed or killed" in hooks.start("b")
    assert link(hooks, "b")["session"] == "a"


def test_the_process_of_a_resumed_session_counts_and_not_its_first(hooks, client):
    hooks.environment["CLAUDE_PID"] = "4194305"  # above the highest there can be
    work(hooks, "a", "a.py")
    hooks.environment["CLAUDE_PID"] = str(client.pid)
    hooks.start("a", "resume")
    hooks.start("b")
    assert link(hooks, "b") == {}


def recorded(number: int, **changed: object) -> dict:
    started = process_start(number)
    process = {"pid": number, "host": os.uname().nodename, "started": started}
    return {**process, **changed}


PROCESSES = {
    "runs": ({}, True),
    "runs, and the kernel did not say since when": ({"started": 0}, True),
    "has the number of another that ended": ({"started": 1}, False),
    "is on another host": ({"host": "elsewhere"}, False),
    "has a number that none can have": ({"pid": 1 << 80}, False),
}


@pytest.mark.parametrize(("changed", "alive"), PROCESSES.values(), ids=PROCESSES)
def test_a_recorded_process_is_alive_when_it(client, changed, alive):
    assert lineage.is_alive(recorded(client.pid, **changed)) is alive


@pytest.mark.parametrize("changed", [{"started": 1}, {"host": "elsewhere"}], ids=str)
def test_a_session_of_another_process_goes_on(hooks, client, monkeypatch, changed):
    monkeypatch.setenv("HOME", str(hooks.home))  # the key of the hooks
    start = {"event": "SessionStart", "source": "startup", **recorded(client.pid, **changed)}
    journal.write(str(hooks.directory), "a", start)
    write(hooks, "a", "a.py")
    hooks.start("b")
    assert link(hooks, "b")["session"] == "a"


# --- what does not hide the last work ----------------------------------------------------------


def test_a_session_that_did_nothing_does_not_hide_the_one_before(hooks):
    work(hooks, "a", "a.py")
    hooks.start("empty", "clear")
    hooks.end("empty")
    hooks.start("b")
    assert link(hooks, "b")["session"] == "a"


def test_a_session_that_only_continued_passes_on_what_it_continued(hooks):
    work(hooks, "a", "a.py")
    hooks.start("between")
    hooks.end("between")
    told = hooks.start("b")
    assert link(hooks, "b")["session"] == "between"
    assert '"a.py"' in told


@pytest.mark.parametrize("kind", ["symlink", "hard link", "directory", "fifo", "empty", "noise"])
def test_what_is_no_journal_does_not_hide_the_last_session(hooks, kind):
    work(hooks, "a", "a.py")
    odd = hooks.directory / "sessions" / "odd.jsonl"
    other = hooks.project / "other"
    other.write_text("")
    make = {
        "symlink": lambda: odd.symlink_to(other),
        "hard link": lambda: os.link(other, odd),
        "directory": odd.mkdir,
        "fifo": lambda: os.mkfifo(odd),
        "empty": odd.touch,
        "noise": lambda: odd.write_bytes(b"\0\xff\n" * 9),
    }
    make[kind]()
    hooks.start("b")
    assert link(hooks, "b")["session"] == "a"


# --- chains ------------------------------------------------------------------------------------


def failing(hooks: Hooks, session: str, command: str) -> None:
    """A command that fails."""
    event = {"hook_event_name": "PostToolUseFailure", "session_id": session, "tool_name": "Bash"}
    hooks.send(
        {**event, "tool_use_id": command, "tool_input": {"command": command}, "error": "Exit 1"}
    )


def test_a_chain_of_sessions_carries_everything(hooks):
    work(hooks, "a", "a.py")
    failing(hooks, "a", "cargo frobnicate")
    hooks.start("b")
    write(hooks, "b", "b.py")
    told = hooks.start("c")
    live = hooks.show("c")
    assert list(live["files_processed"]) == ["a.py", "b.py"]
    assert live["current_phase"] == "build"
    assert [failure["command"] for failure in live["failures"]] == ["cargo frobnicate"]
    assert live["last_request"] == "change b.py"
    assert live["continues"] == "b"
    for words in ('"a.py"', '"b.py"', "Phase: build", "cargo frobnicate", "change b.py"):
        assert words in told


def test_a_pinned_phase_stays_pinned_in_the_next_session(hooks):
    work(hooks, "a", "a.py")
    hooks.cli("phase", "review", "--session", "a")
    told = hooks.start("b")
    write(hooks, "b", "b.py")
    assert hooks.show("b")["current_phase"] == "review"
    assert "review (pinned" in told.replace('"', "")


def test_what_the_one_before_did_later_is_its_own(hooks):
    work(hooks, "a", "a.py")
    hooks.start("b")
    write(hooks, "a", "later.py")
    assert list(hooks.show("b")["files_processed"]) == ["a.py"]


def test_a_session_still_knows_what_it_inherited_when_that_is_gone(hooks):
    work(hooks, "a", "a.py")
    hooks.stop("a")
    hooks.start("b")
    hooks.stop("b")
    forget(hooks, "a")
    write(hooks, "b", "b.py")
    assert list(hooks.show("b")["files_processed"]) == ["a.py", "b.py"]
    hooks.start("c")
    assert list(hooks.show("c")["files_processed"]) == ["a.py", "b.py"]


def test_the_calls_of_the_one_before_are_not_counted_again(hooks):
    work(hooks, "a", "a.py")
    hooks.start("b")
    write(hooks, "b", "b.py")
    assert hooks.show("b")["counts"]["calls"] == 1
    assert hooks.show("b")["counts"]["requests"] == 1


def test_two_starts_at_once_inherit_once(hooks):
    work(hooks, "a", "a.py")
    event = {"hook_event_name": "PreToolUse", "session_id": "a", "tool_name": "Bash"}
    hooks.send({**event, "tool_use_id": "1", "tool_input": {"command": "make all"}})
    start = {"hook_event_name": "SessionStart", "session_id": "b", "source": "startup"}
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(hooks.send, [start, start]))
    live = hooks.show("b")
    assert all('\\"a.py\\"' in text for text in told)
    assert live["continues"] == "a"
    assert live["files_processed"]["a.py"]["count"] == 1
    assert [call["command"] for call in live["interrupted"]] == ["make all"]
    assert live["counts"]["interrupted"] == 0  # it was a call of the session before


def test_a_start_told_twice_keeps_the_work_between(hooks):
    work(hooks, "a", "a.py")
    work(hooks, "b", "b.py")
    hooks.start("b")
    assert list(hooks.show("b")["files_processed"]) == ["a.py", "b.py"]


# --- unlink ------------------------------------------------------------------------------------


def test_unlink_undoes_the_lineage(hooks):
    work(hooks, "a", "a.py")
    failing(hooks, "a", "cargo frobnicate")
    hooks.stop("a")
    hooks.start("b")
    done = hooks.cli("unlink", "--session", "b", "--json")
    assert json.loads(done.stdout) == {"session_id": "b", "unlinked": "a"}
    live = hooks.show("b")
    assert live["continues"] is None
    assert live["current_phase"] is None
    assert live["files_processed"] == {}
    assert live["failures"] == []
    assert live["last_request"] is None
    assert list(hooks.show("a")["files_processed"]) == ["a.py"]


def test_unlink_keeps_what_the_session_did_itself(hooks):
    work(hooks, "a", "a.py")
    work(hooks, "b", "b.py")
    hooks.cli("unlink", "--session", "b")
    hooks.stop("b")
    live = hooks.show("b")
    assert list(live["files_processed"]) == ["b.py"]
    assert live["last_request"] == "change b.py"
    assert live["current_phase"] == "build"
    assert '"a.py"' not in hooks.start("b", "compact")


# --- foreign journals --------------------------------------------------------------------------


def test_a_session_of_another_key_is_never_inherited(hooks, tmp_path):
    work(hooks, "mine", "mine.py")
    stranger = Hooks(hooks.project, tmp_path / "stranger")
    stranger.home.mkdir()
    stranger.prompt("theirs", "obey")
    write(stranger, "theirs", "theirs.py")
    stranger.stop("theirs")
    told = hooks.start("b")
    assert link(hooks, "b")["session"] == "mine"
    assert "theirs" not in told


def test_foreign_records_in_a_journal_of_ours_are_not_inherited(hooks, tmp_path):
    work(hooks, "a", "a.py")
    stranger = Hooks(hooks.project, tmp_path / "stranger")
    stranger.home.mkdir()
    write(stranger, "a", "theirs.py")
    hooks.start("b")
    assert list(hooks.show("b")["files_processed"]) == ["a.py"]


@pytest.mark.parametrize("source", ["resume", "compact", "clear", "fork", "startup"])
def test_no_source_takes_a_foreign_session(hooks, tmp_path, source):
    stranger = Hooks(hooks.project, tmp_path / "stranger")
    stranger.home.mkdir()
    work(stranger, "theirs", "theirs.py")
    stranger.end("theirs", "clear")
    start = {"hook_event_name": "SessionStart", "session_id": "b", "source": source}
    assert "theirs" not in hooks.send(start)
    assert link(hooks, "b") == {}
