"""Two sessions alive in one directory, worktrees and subdirectories: to each its own."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Hooks


def git(directory: Path, *arguments: str) -> None:
    """Run git with no configuration but this."""
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, *arguments], cwd=directory, env=environment, check=True)


@pytest.fixture
def pair(hooks: Hooks) -> Hooks:
    """Sessions a and b, both of this living process, in a real repository."""
    git(hooks.project, "init", "-q")
    git(hooks.project, "commit", "-q", "--allow-empty", "-m", "first")
    hooks.environment["CLAUDE_PID"] = str(os.getpid())
    for session in "ab":
        hooks.start(session)
        hooks.prompt(session, f"work of {session}")
    time.sleep(0.05)  # change times are compared with a tick's grace
    return hooks


def files(hooks: Hooks, session: str) -> list[str]:
    return sorted(hooks.show(session)["files_processed"])


def begin_bash(hooks: Hooks, session: str, path: str, call: str = "bash") -> dict:
    """A command of Bash that has begun and written a file, and has not ended."""
    event = {"session_id": session, "tool_name": "Bash", "tool_use_id": f"{session}-{call}"}
    event["tool_input"] = {"command": f"./generate {path}"}
    hooks.send({**event, "hook_event_name": "PreToolUse"})
    (hooks.project / path).write_text(session)
    return event


def bash(hooks: Hooks, session: str, path: str, call: str = "bash") -> None:
    """A command of Bash that writes a file, of which its response says nothing."""
    event = begin_bash(hooks, session, path, call)
    hooks.send({**event, "hook_event_name": "PostToolUse", "tool_response": {"stdout": ""}})


def write(hooks: Hooks, session: str, path: str) -> None:
    hooks.call(session, "Write", f"{session}-{path}", {"file_path": str(hooks.project / path)})
    (hooks.project / path).write_text(session)


def test_interleaved_events_stay_apart(pair):
    for number in range(3):
        write(pair, "a", f"a{number}")
        pair.call("b", "Read", f"b{number}", {"file_path": str(pair.project / f"b{number}")})
        pair.stop("a" if number % 2 else "b")
    a, b = pair.show("a"), pair.show("b")
    assert list(a["files_processed"]) == ["a0", "a1", "a2"]
    assert list(b["files_read"]) == ["b0", "b1", "b2"]
    assert (a["files_read"], b["files_processed"]) == ({}, {})
    assert (a["current_phase"], b["current_phase"]) == ("build", "scout")
    assert (a["last_request"], b["last_request"]) == ("work of a", "work of b")


def test_the_same_call_id_in_two_sessions_is_two_calls(pair):
    for session in "ab":
        given = {"file_path": str(pair.project / f"{session}.py")}
        pair.call(session, "Write", "same", given)
    assert (files(pair, "a"), files(pair, "b")) == (["a.py"], ["b.py"])


def test_what_bash_did_in_a_session_is_its_own(pair):
    bash(pair, "a", "by-a")
    pair.stop("b")
    pair.stop("a")
    assert (files(pair, "a"), files(pair, "b")) == (["by-a"], [])


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_write_of_one_is_not_the_bash_of_the_other(pair, first):
    bash(pair, "a", "by-a")
    write(pair, "b", "by-b")
    pair.stop(first)
    pair.stop("b" if first == "a" else "a")
    assert (files(pair, "a"), files(pair, "b")) == (["by-a"], ["by-b"])


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_two_sessions_with_a_shell_neither_takes_the_others_files(pair, first):
    """Which of them changed what git cannot tell: a file missed is better than one mistaken."""
    bash(pair, "a", "by-a")
    bash(pair, "b", "by-b")
    pair.stop(first)
    pair.stop("b" if first == "a" else "a")
    assert "by-b" not in files(pair, "a")
    assert "by-a" not in files(pair, "b")


def test_a_command_that_still_runs_in_the_other_keeps_its_files(pair):
    bash(pair, "a", "by-a")
    begin_bash(pair, "b", "by-b")
    pair.stop("a")
    assert "by-b" not in files(pair, "a")


def test_a_command_that_began_before_this_turn_keeps_its_files(pair):
    pair.stop("a")
    event = begin_bash(pair, "b", "early")
    pair.prompt("a")
    time.sleep(0.05)
    bash(pair, "a", "by-a")
    (pair.project / "late").write_text("b")
    pair.stop("a")
    pair.send({**event, "hook_event_name": "PostToolUse"})
    assert "late" not in files(pair, "a")
    assert "early" not in files(pair, "a")


def test_a_write_that_still_runs_in_the_other_is_its_own(pair):
    bash(pair, "a", "by-a")
    event = {"session_id": "b", "tool_name": "Write", "tool_use_id": "w"}
    event["tool_input"] = {"file_path": str(pair.project / "by-b")}
    pair.send({**event, "hook_event_name": "PreToolUse"})
    (pair.project / "by-b").write_text("b")
    pair.stop("a")
    assert files(pair, "a") == ["by-a"]


def test_the_checkpoints_are_two(pair):
    write(pair, "a", "by-a")
    write(pair, "b", "by-b")
    pair.stop("a")
    pair.stop("b")
    names = sorted(path.name for path in (pair.directory / "checkpoints").iterdir())
    assert names == ["session-a.json", "session-b.json"]


def test_a_third_session_is_told_of_both_and_inherits_neither(pair):
    write(pair, "a", "by-a")
    write(pair, "b", "by-b")
    told = pair.start("c")
    assert "session b " in told
    assert "; a " in told
    assert "by-" not in told
    assert files(pair, "c") == []


def test_a_compaction_of_one_says_nothing_of_the_other(pair):
    write(pair, "a", "by-a")
    write(pair, "b", "by-b")
    told = pair.start("a", "compact")
    assert '"by-a"' in told
    assert "by-b" not in told
    assert "Alive in this project, with work of its own: session b" in told


# --- worktrees and subdirectories --------------------------------------------------------------


@pytest.mark.parametrize("where", ["../sibling", ".claude/worktrees/below"])
def test_a_linked_worktree_has_state_of_its_own(pair, where):
    write(pair, "a", "by-a")
    pair.stop("a")
    git(pair.project, "worktree", "add", "-q", where)
    linked = Hooks((pair.project / where).resolve(), pair.home)
    assert linked.start("c") == ""
    write(linked, "c", "by-c")
    linked.stop("c")
    assert linked.directory.is_dir()
    assert files(linked, "c") == ["by-c"]
    assert not (pair.directory / "sessions" / "c.jsonl").exists()


def test_work_in_a_worktree_below_is_not_that_of_the_project(pair):
    git(pair.project, "worktree", "add", "-q", ".claude/worktrees/below")
    pair.prompt("a")
    bash(pair, "a", "by-a")
    linked = Hooks(pair.project / ".claude/worktrees/below", pair.home)
    linked.start("c")
    bash(linked, "c", "by-c")
    pair.stop("a")
    assert files(pair, "a") == ["by-a"]


def test_a_subdirectory_shares_the_state_of_its_project(pair):
    write(pair, "a", "by-a")
    below = pair.project / "src" / "deep"
    below.mkdir(parents=True)
    inside = Hooks(below, pair.home)
    write(inside, "a", "here")
    assert not (below / ".claude").exists()
    assert files(pair, "a") == ["by-a", "src/deep/here"]


@pytest.mark.parametrize("variable", [True, False], ids=["by variable", "by event"])
def test_a_first_start_in_a_subdirectory_is_of_the_repository(hooks, variable):
    git(hooks.project, "init", "-q")
    below = hooks.project / "src"
    below.mkdir()
    hooks.environment["CLAUDE_PROJECT_DIR"] = str(below) if variable else ""
    hooks.start("a", cwd=str(below))
    assert (hooks.directory / "sessions" / "a.jsonl").exists()
    assert not (below / ".claude").exists()


def test_two_projects_know_nothing_of_each_other(hooks, tmp_path):
    (tmp_path / "other").mkdir()
    other = Hooks(tmp_path / "other", hooks.home)
    write(hooks, "a", "by-a")
    assert other.start("b") == ""
    assert not (other.directory / "sessions" / "a.jsonl").exists()
