"""What is asked of all sessions at once, through the real command line, on each store."""

from __future__ import annotations

import json
import os

import pytest

from lib.recording import journal
from tests.conftest import Hooks
from tests.redis_server import Server


@pytest.fixture(params=["json", "sqlite", "redis"])
def stored(request, hooks, tmp_path):
    """A project whose store is each of them."""
    hooks.environment["WORKFLOW_STATE_STORE"] = request.param
    if request.param != "redis":
        yield hooks
        return
    server = Server(tmp_path / "server")
    hooks.environment.update(WORKFLOW_STATE_STORE=server.url, WORKFLOW_STATE_PROJECT="asked")
    yield hooks
    server.kill()


def answer(hooks, *arguments, **options):
    done = hooks.cli(*arguments, "--json", **options)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def write(hooks, session: str, path: str, call: str, tool: str = "Write") -> None:
    hooks.call(session, tool, call, {"file_path": f"{hooks.project}/{path}"})


def fail(hooks, session: str, call: str, command: str, error: str, **fields) -> None:
    event = {"hook_event_name": "PostToolUseFailure", "session_id": session, "tool_name": "Bash"}
    event.update(tool_use_id=call, tool_input={"command": command}, error=error, **fields)
    hooks.send({**event, "cwd": str(hooks.project)})


class TestTouched:
    def test_tells_who_changed_and_who_read_it(self, stored):
        write(stored, "one", "a.py", "t1")
        stored.stop("one")
        write(stored, "two", "a.py", "t2", "Read")
        write(stored, "two", "b.py", "t3")
        stored.stop("two")
        write(stored, "three", "a.py", "t4", "Edit")  # not checkpointed yet
        found = answer(stored, "touched", "a.py")
        assert [(each["session_id"], each["outcome"], each["tool"]) for each in found] == [
            ("three", "changed", "Edit"),
            ("two", "read", "Read"),
            ("one", "changed", "Write"),
        ]
        assert found[0]["at"] > found[1]["at"] > found[2]["at"]
        assert answer(stored, "touched", "c.py") == []
        assert "No session" in stored.cli("touched", "c.py").stdout
        lines = stored.cli("touched", "a.py").stdout.splitlines()
        assert [line.split()[0] for line in lines[:1]] == ["WHEN"]
        assert {"Edit", "three", "crashed"} <= set(lines[1].split())

    def test_what_was_inherited_is_the_others(self, stored):
        stored.start("one")
        stored.prompt("one")
        write(stored, "one", "a.py", "t1")
        stored.stop("one")
        stored.end("one")
        assert "a.py" in stored.start("two")
        stored.stop("two")
        assert "a.py" in stored.show("two")["files_processed"]
        assert [each["session_id"] for each in answer(stored, "touched", "a.py")] == ["one"]

    def test_a_call_that_began_is_about_to(self, hooks):
        event = {"hook_event_name": "PreToolUse", "session_id": "one", "tool_name": "Write"}
        event.update(tool_use_id="t1", tool_input={"file_path": f"{hooks.project}/a.py"})
        hooks.send({**event, "cwd": str(hooks.project)})
        assert [each["outcome"] for each in answer(hooks, "touched", "a.py")] == ["in flight"]

    @pytest.mark.parametrize("name", ["a.py", "./a.py", "../src/a.py", "{project}/src/a.py"])
    def test_the_path_is_from_where_one_is(self, hooks, name):
        (hooks.project / "src").mkdir()
        write(hooks, "one", "src/a.py", "t1")
        name = name.format(project=hooks.project)
        found = answer(hooks, "touched", name, cwd=hooks.project / "src")
        assert [each["session_id"] for each in found] == ["one"]

    def test_more_sessions_than_a_start_looks_at(self, hooks, monkeypatch):
        monkeypatch.setenv("HOME", str(hooks.home))
        facts = {"event": "PostToolUse", "tool": "Write", "call": "t", "path": "a.py"}
        for number in range(40):
            journal.write(str(hooks.directory), f"s{number}", facts)
        assert len(answer(hooks, "touched", "a.py")) == 40
        assert len(answer(hooks, "sessions", "--all")) == 40


class TestFailures:
    def test_tells_what_failed_and_what_went_well_since(self, stored):
        fail(stored, "one", "t1", "make test", "Exit code 2")
        fail(stored, "one", "t2", "make lint", "Exit code 1")
        stored.stop("one")
        stored.call("one", "Bash", "t3", {"command": "make lint"})
        fail(stored, "two", "t4", "make", "Exit code 3", is_interrupt=True)
        write(stored, "two", "error.py", "t5")
        stored.stop("two")
        found = answer(stored, "failures")
        assert [(each["session_id"], each["command"], each["error"]) for each in found] == [
            ("one", "make lint", "Exit code 1"),
            ("one", "make test", "Exit code 2"),
        ]
        assert [each["resolved"] is not None for each in found] == [True, False]
        lines = stored.cli("failures").stdout.splitlines()
        assert lines[0].endswith("Bash make lint (well since)")
        assert lines[3] == "    Exit code 2  [session one]"

    def test_a_turn_that_failed(self, hooks):
        event = {"hook_event_name": "StopFailure", "session_id": "one", "error": "rate_limit"}
        hooks.send({**event, "cwd": str(hooks.project)})
        found = answer(hooks, "failures")
        assert [(each["tool"], each["error"]) for each in found] == [(None, "rate_limit")]
        assert "the turn" in hooks.cli("failures").stdout

    def test_all_of_them_and_each_once(self, hooks, monkeypatch):
        """More than a session remembers, told by two registrations of a hook."""
        monkeypatch.setenv("HOME", str(hooks.home))
        facts = {"event": "PostToolUseFailure", "tool": "Bash", "command": "make"}
        for number in range(3000):  # of more than a piece of the journal that is read at once
            ended = {**facts, "call": f"t{number}", "error": f"Exit code {number}" + "." * 200}
            journal.write(str(hooks.directory), "one", ended, ended)
        found = answer(hooks, "failures")
        assert [each["error"].split(".")[0] for each in found] == [
            f"Exit code {number}" for number in reversed(range(3000))
        ]

    def test_an_id_used_again_in_another_request_or_for_another_command(self, hooks):
        for turn in ("one", "two"):
            hooks.prompt("one", turn, prompt_id=turn)
            for command in ("make", "make", "make test"):  # the second is told by another hook
                fail(hooks, "one", "call_0", command, "Exit code 1")
        assert [each["command"] for each in answer(hooks, "failures")] == ["make test", "make"] * 2

    def test_what_others_wrote_is_not_told(self, hooks):
        hooks.choose()
        journal.write(str(hooks.directory), "one", {"event": "StopFailure", "error": "planted"})
        assert answer(hooks, "failures") == []

    def test_since_when(self, hooks, monkeypatch):
        monkeypatch.setenv("HOME", str(hooks.home))
        for at in ("2026-01-01", "2026-01-03"):
            monkeypatch.setattr(journal, "now", lambda at=at: f"{at}T00:00:00.000Z")
            journal.write(str(hooks.directory), "one", {"event": "StopFailure", "error": at})
        monkeypatch.undo()
        assert [each["error"] for each in answer(hooks, "failures", "--since", "2026-01-02")] == [
            "2026-01-03"
        ]
        assert answer(hooks, "failures") == []
        done = hooks.cli("failures", "--since", "yesterday")
        assert done.returncode == 2
        assert "'yesterday' is no time" in done.stderr


@pytest.mark.parametrize("of_this_machine", [False, True], ids=["machine", "checkout"])
def test_those_of_other_machines_are_listed_too(tmp_path, of_this_machine):
    server = Server(tmp_path / "server")
    try:
        machines = []
        for name in ("one", "two"):
            project, home = tmp_path / name / "project", tmp_path / name / "home"
            project.mkdir(parents=True)
            home.mkdir()
            environment = {"WORKFLOW_STATE_STORE": server.url, "WORKFLOW_STATE_PROJECT": "asked"}
            machines.append(Hooks(project, home, {**environment, "WORKFLOW_STATE_KEY": "shared"}))
        one, two = machines
        if of_this_machine:
            one.environment["CLAUDE_PID"] = str(os.getpid())
            one.prompt("one")
        write(one, "one", "a.py", "t1")
        fail(one, "one", "t2", "make test", "Exit code 2")
        one.stop("one")
        assert one.cli("sync").returncode == 0
        assert two.cli("sync").returncode == 0
        condition = "alive" if of_this_machine else "elsewhere"
        assert [each["condition"] for each in answer(two, "touched", "a.py")] == [condition]
        assert [each["error"] for each in answer(two, "failures")] == ["Exit code 2"]
        server.kill()
        assert "one" in two.cli("touched", "a.py").stdout
    finally:
        server.kill()
