"""Tool calls of every kind, as the client makes them: what is recorded of each."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from .messages import bash, use


def test_a_call_that_fails_is_told_until_it_succeeds(claude):
    command = "echo broken >&2; cp repaired elsewhere"
    claude.mock.script(bash(command), "It fails.", claude.write("repaired"), bash(command), "Good.")
    first = claude.run("Try it")
    assert claude.show(first.session)["failures"][0]["error"] == "Exit code 1"
    assert claude.show(first.session)["counts"]["failed"] == 1
    second = claude.run("Repair it")
    assert 'Failures not seen to succeed since: Bash "echo broken' in second.told()
    claude.mock.script("Nothing to do.")
    third = claude.run("What is left?")
    assert "Failures" not in third.told()


def test_a_call_that_is_not_permitted_changed_nothing(claude):
    claude.mock.script(claude.write("a.py"), "I may not.", "Going on.")
    # Some versions begin in a mode that permits by itself.
    first = claude.run("Make a.py", "--permission-mode", "default", unasked=False)
    (result,) = first.requests[-1].results().values()
    assert "you haven't granted it" in result[0]
    live = claude.show(first.session)
    assert (live["files_processed"], live["in_flight"], live["interrupted"]) == ({}, [], [])
    assert live["counts"]["no_result"] == 1
    second = claude.run("Go on")
    assert "Files changed (0): none." in second.told()
    assert "Interrupted" not in second.told()


def test_a_call_that_is_denied_by_a_rule_is_not_even_recorded(claude):
    settings = claude.home / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"permissions": {"deny": ["Write"]}}))
    claude.mock.script(claude.write("a.py"), "I may not.")
    done = claude.run("Make a.py")
    (result,) = done.requests[-1].results().values()
    assert "Write is disabled for this session" in result[0]
    assert claude.show(done.session)["files_processed"] == {}
    assert claude.show(done.session)["counts"]["calls"] == 0


def test_a_call_that_fails_validation_changed_nothing(claude):
    wrong = [
        claude.edit("a.py", "not there", "x"),
        use("Write", content="for no path"),
        use("NoSuchTool", file_path=str(claude.project / "b.py")),
    ]
    claude.mock.script(claude.write("a.py"), wrong, "Done.")
    done = claude.run("Edit a.py")

    assert [error for _, error in done.requests[-1].results().values()] == [False, True, True, True]
    live = claude.show(done.session)
    assert list(live["files_processed"]) == ["a.py"]
    assert live["files_processed"]["a.py"]["count"] == 1
    assert (live["in_flight"], live["failures"], live["counts"]["calls"]) == ([], [], 1)


def test_14_parallel_reads_are_14_reads(claude):
    names = [f"{number}.py" for number in range(14)]
    for name in names:
        (claude.project / name).write_text("x = 1\n")
    claude.mock.script([claude.read(name) for name in names], "Done.")
    done = claude.run("Read them all")

    live = claude.show(done.session)
    assert sorted(live["files_read"]) == sorted(names)
    assert all(about["count"] == 1 for about in live["files_read"].values())
    assert not live["files_processed"]
    assert (live["counts"]["calls"], live["counts"]["no_result"]) == (14, 0)
    assert live["current_phase"] == "scout"


def agent(task: str, **given: object) -> dict:
    return use("Agent", description=task, prompt=task, subagent_type="general-purpose", **given)


def test_parallel_subagents_work_for_their_session(claude):
    things = ["spoons", "forks", "knives"]
    calls = [agent(f"count the {thing}", run_in_background=False) for thing in things]
    claude.mock.script(calls, "All counted.")
    for thing in things:
        claude.mock.script(claude.write(thing), f"See {thing}.", to=f"count the {thing}")
    done = claude.run("Count the cutlery")
    print([(r["event"], r.get("tool"), r.get("agent_type")) for r in claude.records(done.session)])

    live = claude.show(done.session)
    assert sorted(live["files_processed"]) == sorted(things)
    assert len({about["agent"] for about in live["files_processed"].values()}) == 3
    assert (live["counts"]["calls"], live["in_flight"]) == (6, [])
    assert live["last_request"] == "Count the cutlery"
    claude.mock.script("Going on.")
    after = claude.run("Go on")
    assert '"forks" (Write, created, by a subagent' in after.told()


def test_a_subagent_in_the_background_goes_on_after_a_stop(claude):
    stopped = threading.Event()

    def write_once_stopped(_request):
        assert stopped.wait(60)
        return claude.write("spoons")

    claude.mock.script(agent("count the spoons", run_in_background=True), "Under way.")
    claude.mock.script("They are counted.", to="<task-notification>")
    claude.mock.script(write_once_stopped, "See spoons.", to="count the spoons")
    running = claude.start("Count the spoons")
    claude.wait_for(lambda: "Stop" in claude.events())
    stopped.set()
    done = running.wait()

    assert claude.events().count("Stop") == 2
    live = claude.show(done.session)
    assert list(live["files_processed"]) == ["spoons"]
    assert live["files_processed"]["spoons"]["agent"]
    assert (live["in_flight"], live["interrupted"], live["background_tasks"]) == ([], [], 0)
    # That a task has ended comes as a prompt, but is not the user's request.
    assert (live["last_request"], live["counts"]["requests"]) == ("Count the spoons", 1)


def test_what_a_command_in_the_background_changes_is_seen_at_the_next_stop(claude):
    claude.git("init", "-q")
    go_on = claude.top / "go_on"
    os.mkfifo(go_on)
    slow = bash(f"cat '{go_on}'; echo x > made.txt", run_in_background=True)
    claude.mock.script(slow, "Under way.", "It has ended.")
    running = claude.start("Do it slowly")
    claude.wait_for(lambda: (claude.checkpoints() or [{}])[0].get("trigger") == "Stop")
    assert claude.show()["background_tasks"] == 1
    go_on.write_text("")
    done = running.wait()

    assert claude.events().count("Stop") == 2
    live = claude.show(done.session)
    assert list(live["files_processed"]) == ["made.txt"]
    assert (live["background_tasks"], live["counts"]["requests"]) == (0, 1)


def test_a_notebook_edit_changes_the_notebook(claude):
    cell = {
        "cell_type": "code",
        "id": "one",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": ["1"],
    }
    notebook = claude.project / "n.ipynb"
    notebook.write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    claude.mock.script(
        use("ToolSearch", query="select:NotebookEdit", max_results=1),
        use("Read", file_path=str(notebook)),
        use(
            "NotebookEdit",
            notebook_path=str(notebook),
            cell_id="one",
            new_source="2",
            edit_mode="replace",
        ),
        "Done.",
    )
    done = claude.run("Edit the notebook")

    assert json.loads(notebook.read_text())["cells"][0]["source"] in ("2", ["2"])
    live = claude.show(done.session)
    assert list(live["files_processed"]) == ["n.ipynb"]
    assert live["files_processed"]["n.ipynb"]["tool"] == "NotebookEdit"


def test_an_mcp_tool_that_writes_counts_as_a_writer(claude):
    server = {"command": sys.executable, "args": [str(Path(__file__).with_name("mcp_server.py"))]}
    config = claude.top / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"notes": server}}))
    note = claude.project / "note.txt"
    claude.mock.script(
        use("ToolSearch", query="select:mcp__notes__write_file", max_results=1),
        use("mcp__notes__write_file", path=str(note), text="hello"),
        "Done.",
    )
    done = claude.run("Write a note", "--mcp-config", str(config))
    print(done.requests[-1].results())
    assert note.read_text() == "hello"
    live = claude.show(done.session)
    assert list(live["files_processed"]) == ["note.txt"]
    assert live["files_processed"]["note.txt"]["tool"] == "mcp__notes__write_file"
    assert live["current_phase"] == "build"


def test_a_file_of_a_megabyte_is_recorded_in_a_line(claude):
    content = "0123456789abcde\n" * (1 << 16)
    claude.mock.script(claude.write("big.txt", content), "Done.")
    done = claude.run("Write a big file")

    assert (claude.project / "big.txt").stat().st_size == 1 << 20
    assert list(claude.show(done.session)["files_processed"]) == ["big.txt"]
    journal = claude.state() / f"sessions/{done.session}.jsonl"
    assert "abcde" not in journal.read_text()
    assert journal.stat().st_size < 4096
