"""The timeline of a session: what it says is what the fold says."""

from __future__ import annotations

import os

import pytest

from lib.recording import journal
from lib.report import session_timeline
from lib.state import State
from tests.conftest import PAYLOADS, SCRIPTS, payloads

from .conftest import data_of, kinds, only
from .worlds import at

RECORDINGS = sorted(path.stem for path in PAYLOADS.glob("*.jsonl"))


def recorded(world, name: str, times: int = 1) -> None:
    """Play a recording through the code of the hooks, each event as often as it is registered."""
    for event in payloads(name, world.project):
        if event["hook_event_name"] not in SCRIPTS:
            continue
        world.clock += 1
        for _ in range(times):
            journal.record(journal.Event(event, event["hook_event_name"]))


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_told_as_the_fold_tells_it(world, name):
    recorded(world, name)
    data = data_of(world)
    assert data["sessions"]
    for session in data["sessions"]:
        live = State(world.directory).session_state(session["id"])
        assert session["counts"] == live["counts"]
        assert session["totals"]["request"] == live["counts"]["requests"]
        assert session["totals"]["failure"] >= live["counts"]["failed"]
        ended = [call for call in session["calls"] if call[5] <= session_timeline.INTERRUPTED]
        assert len(ended) >= live["counts"]["calls"]
        assert session["phase"] == live["current_phase"]
        working = [band for band in session["bands"] if band[2] is not None]
        assert (working[-1][2] if working else None) == live["current_phase"]
        files = {data["files"][number]["path"]: counts for number, *counts in session["files"]}
        for which, table in ((0, "files_processed"), (1, "files_read")):
            counted = {path: about["count"] for path, about in live[table].items()}
            assert {path: each[which] for path, each in files.items() if each[which]} == counted


@pytest.mark.parametrize("name", RECORDINGS)
def test_hooks_that_are_registered_twice_change_nothing(world, tmp_path, monkeypatch, name):
    recorded(world, name)
    once = data_of(world)
    world.directory = str(tmp_path / "twice")
    monkeypatch.setenv("WORKFLOW_STATE_DIR", world.directory)
    world.clock = at("2026-11-16 08:00")
    recorded(world, name, times=2)
    twice = data_of(world)
    for data in (once, twice):
        for session in data["sessions"]:
            del session["records"]
    assert twice["sessions"] == once["sessions"]
    assert twice["files"] == once["files"]


def test_the_state_after_the_last_record_is_the_live_state(week):
    for about in data_of(week)["sessions"]:
        state = week.state()
        *_, (_, last) = state.sessions.history(about["id"], {})
        live = week.state().sessions.live(about["id"])
        for name in ("journal", "last_checkpoint", "last_checkpoint_at"):
            live.pop(name), last.pop(name, None)  # what a checkpoint knows beside the journal
        for name in ("files_processed", "files_read"):
            assert list(live.pop(name)) == list(last.pop(name))
        live.pop("fold"), last.pop("fold")
        assert last == live


def test_a_call_that_esc_ended_is_marked_where_the_last_record_is(world):
    session = world.session("s").start().ask("go")
    session.begin("Bash", command="sleep 9")
    began = world.clock
    session.wait(400).ask("stop that").stop()
    told = only(data_of(world))
    assert kinds(told) == ["interruption", "checkpoint"]
    assert told["marks"][0]["at"] == began * 1000
    assert [call[5] for call in told["calls"]] == [session_timeline.INTERRUPTED]


def test_a_call_whose_end_comes_after_all_was_not_interrupted(world):
    session = world.session("s").start().ask("go")
    about = session.begin("Bash", command="make")
    session.wait(5).ask("and")
    session.send("PostToolUse", tool_response={}, **about)
    told = only(data_of(world))
    assert kinds(told) == []
    assert told["totals"]["interruption"] == 0
    assert [call[1:] for call in told["calls"]] == [[13_000, -1, 0, 1, session_timeline.SUCCEEDED]]


def test_a_clock_that_was_set_back_turns_no_session_around(world):
    session = world.session("s").start().ask("go").read("a.py")
    world.clock -= 86_400
    session.edit("b.py").stop()
    told = only(data_of(world))
    assert told["started"] < told["last_active"]
    assert all(start <= end for start, end, *_ in told["bands"])


def test_a_call_in_flight_of_a_session_that_crashed_was_interrupted(world):
    session = world.session("s").start().ask("go")
    session.begin("Bash", command="make")
    told = only(data_of(world))
    assert (told["condition"], kinds(told)) == ("crashed", ["interruption"])


def test_a_call_in_flight_of_a_session_that_lives_is_under_way(world, monkeypatch):
    monkeypatch.setenv("CLAUDE_PID", str(os.getpid()))
    session = world.session("s").start().ask("go")
    session.begin("Bash", command="make")
    told = only(data_of(world))
    assert (told["condition"], kinds(told)) == ("alive", [])
    assert [call[5] for call in told["calls"]] == [session_timeline.OPEN]


def test_a_call_that_was_denied_has_no_result(world):
    session = world.session("s").start().ask("go")
    session.begin("Bash", command="rm -rf /")
    session.stop()
    told = only(data_of(world))
    assert [call[5] for call in told["calls"]] == [session_timeline.NO_RESULT]
    assert kinds(told) == ["checkpoint"]


def test_a_failure_tells_when_the_same_succeeded(world):
    session = world.session("s").start().ask("go")
    session.run("make", 3, "Exit code 2").run("make lint", 3, "Exit code 1").run("make", 3)
    fine = world.clock - 2
    made, linted = only(data_of(world))["marks"]
    assert (made["text"], made["resolved"]) == ("Exit code 2", fine * 1000)
    assert "resolved" not in linted


def test_restores_and_checkpoints_are_marked(world):
    session = world.session("s").start().ask("go").edit("a.py").stop()
    world.state("s").checkpoint("mine")
    session.ask("more").edit("b.py").stop("PreCompact", trigger="auto")
    world.state("s").restore_checkpoint("mine")
    data = data_of(world)
    told = only(data)
    assert kinds(told) == ["checkpoint", "checkpoint", "restore"]
    assert told["marks"][1]["text"] == "before a compaction (auto)"
    assert told["marks"][2]["text"] == "mine"
    made = {each["name"].rpartition("-")[0] or each["name"]: each for each in data["checkpoints"]}
    assert made["mine"]["session"] == "s"
    assert made["before-restore"]["trigger"] == "restore"


def test_a_turn_that_ended_in_an_error_is_a_failure(world):
    world.session("s").start().ask("go").stop("StopFailure", error="rate_limit")
    told = only(data_of(world))
    assert [(mark["kind"], mark["text"]) for mark in told["marks"]][0] == ("failure", "rate_limit")


def test_subagents_have_lanes_of_their_own(world):
    session = world.session("s").start().ask("go")
    session.sub("a1", "general-purpose").read("a.py").edit("a.py")
    session.sub("b2", "").run("pytest -q", 30, "Exit code 1")
    told = only(data_of(world))
    one, two = told["agents"]
    assert (one["id"], one["type"], one["calls"]) == ("a1", "general-purpose", 2)
    assert [phase for _, _, phase, _ in one["bands"]][-1] == "build"
    assert [phase for _, _, phase, _ in two["bands"]][-1] == "test"
    assert [call[2] for call in told["calls"]] == [0, 0, 1]
    assert told["marks"][0]["agent"] == 1


def test_of_a_long_path_both_ends_are_kept_of_a_command_the_beginning(world):
    path = "deep/" * 100 + "name.py"
    world.session("s").start().ask("go").edit(path).run("echo " + "long " * 100)
    file, command = data_of(world)["texts"][1], data_of(world)["texts"][3]
    assert len(file) == len(command) == session_timeline.TEXT
    assert file.startswith("deep/deep/")
    assert file.endswith("/deep/name.py")
    assert command.startswith("echo long")
    assert command.endswith("...")
