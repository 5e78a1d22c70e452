"""The data of a report: what it says is what the fold says, and it stays small."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lib.recording import journal
from lib.report import gather
from lib.state import State
from tests.conftest import PAYLOADS, SCRIPTS, payloads

from .conftest import data_of
from .worlds import at

MINUTE = 60_000


def in_minutes(session: dict) -> list[list]:
    """A session's bands, in minutes since it started."""
    began = session["started"]
    return [
        [round((start - began) / MINUTE, 1), round((end - began) / MINUTE, 1), phase]
        for start, end, phase, _ in session["bands"]
    ]


def kinds(session: dict) -> list[str]:
    return [mark["kind"] for mark in session["marks"]]


def only(data: dict) -> dict:
    (session,) = data["sessions"]
    return session


# --- the same as the fold ----------------------------------------------------------------------

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
        ended = [call for call in session["calls"] if call[5] <= gather.INTERRUPTED]
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


# --- phases ------------------------------------------------------------------------------------


def test_a_phase_is_drawn_from_the_call_that_means_it(world):
    session = world.session("s").start().ask("go")
    session.wait(46).read("a.py").wait(57).run("pytest -q", 600).stop()
    told = only(data_of(world))
    assert in_minutes(told) == [[0.1, 1.0, None], [1.0, 2.0, "scout"], [2.0, 12.0, "test"]]
    assert told["phase"] == "test"


def test_a_call_that_runs_beside_others_does_not_take_their_time(world):
    session = world.session("s").start().ask("go").wait(46)
    about = session.begin("Bash", command="pytest -q")
    session.wait(60).edit("a.py").wait(234)
    session.send("PostToolUse", tool_response={}, **about)
    session.stop()
    assert in_minutes(only(data_of(world)))[1:] == [[2.0, 2.1, "build"], [2.1, 6.0, "test"]]


def test_between_a_stop_and_the_next_request_nothing_is_drawn(world):
    session = world.session("s").start().ask("go").edit("a.py").stop()
    session.wait(300).ask("more").edit("a.py").stop()
    told = only(data_of(world))
    one, two = (band for band in told["bands"] if band[3] is False and band[2] == "build")
    assert two[0] - one[1] > 300_000


@pytest.mark.parametrize(("silence", "bands"), [(599, 1), (700, 2)])
def test_silence_is_work_only_for_as_long_as_that_is_likely(world, silence, bands):
    session = world.session("s").start().ask("go").edit("a.py").edit("a.py")
    session.wait(silence - 2).edit("a.py").stop()
    told = [band for band in only(data_of(world))["bands"] if band[2] == "build"]
    assert len(told) == bands


def test_a_long_call_is_work_from_its_beginning_to_its_end(world):
    world.session("s").start().ask("go").edit("a.py").run("make", 7200).stop()
    assert in_minutes(only(data_of(world)))[-1][1] > 120


def test_a_crash_ends_a_band_at_the_last_record(world):
    session = world.session("s").start().ask("go").edit("a.py")
    session.begin("Bash", command="make")
    last = world.clock
    session.wait(300).start("resume")
    told = only(data_of(world))
    assert told["bands"][-1][1] == last * 1000
    (mark,) = [mark for mark in told["marks"] if mark["kind"] == "interruption"]
    assert (mark["at"], mark["subject"]) == (last * 1000, "make")


def test_a_pinned_phase_is_inherited_and_stays(world):
    one = world.session("one").start().ask("go")
    world.state("one").set_phase("review")
    one.edit("a.py").stop().end()
    world.session("two").start().ask("go").edit("b.py").stop()
    _, two = data_of(world)["sessions"]
    assert {(phase, pinned) for _, _, phase, pinned in two["bands"]} == {("review", True)}
    assert two["continues"]["session"] == "one"


# --- marks -------------------------------------------------------------------------------------


def test_a_call_that_esc_ended_is_marked_where_the_last_record_is(world):
    session = world.session("s").start().ask("go")
    session.begin("Bash", command="sleep 9")
    began = world.clock
    session.wait(400).ask("stop that").stop()
    told = only(data_of(world))
    assert kinds(told) == ["interruption", "checkpoint"]
    assert told["marks"][0]["at"] == began * 1000
    assert [call[5] for call in told["calls"]] == [gather.INTERRUPTED]


def test_a_call_whose_end_comes_after_all_was_not_interrupted(world):
    session = world.session("s").start().ask("go")
    about = session.begin("Bash", command="make")
    session.wait(5).ask("and")
    session.send("PostToolUse", tool_response={}, **about)
    told = only(data_of(world))
    assert kinds(told) == []
    assert told["totals"]["interruption"] == 0
    assert [call[1:] for call in told["calls"]] == [[13_000, -1, 0, 1, gather.SUCCEEDED]]


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
    assert [call[5] for call in told["calls"]] == [gather.OPEN]


def test_a_call_that_was_denied_has_no_result(world):
    session = world.session("s").start().ask("go")
    session.begin("Bash", command="rm -rf /")
    session.stop()
    told = only(data_of(world))
    assert [call[5] for call in told["calls"]] == [gather.NO_RESULT]
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


# --- subagents and files -----------------------------------------------------------------------


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


def test_files_are_counted_over_all_sessions_by_quarters_of_an_hour(world):
    world.clock = at("2026-11-16 08:05")
    one = world.session("one").start().ask("go").read("a.py").edit("a.py", "a.py").stop()
    one.end()
    world.clock = at("2026-11-16 09:20")
    world.session("two").start().ask("go").edit("a.py").read("b.py").stop()
    data = data_of(world)
    hot, cold = data["files"]
    first = int(at("2026-11-16 08:00")) // 900
    assert (hot["path"], hot["changes"], hot["reads"], hot["sessions"]) == ("a.py", 3, 1, 2)
    assert hot["quarters"] == [[first, 2, 1], [first + 5, 1, 0]]
    assert (cold["path"], cold["changes"], cold["reads"]) == ("b.py", 0, 1)
    assert data["sessions"][1]["files"] == [[0, 1, 0], [1, 0, 1]]


def test_a_call_that_failed_touches_no_file_that_was_inherited(world):
    world.session("one").start().ask("go").edit("a.py").stop().end()
    two = world.session("two").start().ask("go")
    two.call("Edit", 1, "String to replace not found", file_path=two.path("a.py"))
    data = data_of(world)
    assert [file["changes"] for file in data["files"]] == [1]
    assert data["sessions"][1]["files"] == []


# --- what does not count -----------------------------------------------------------------------


def test_what_others_wrote_and_what_is_damaged_is_counted_and_not_shown(world, monkeypatch):
    world.session("s").start().ask("go").edit("mine.py")
    journal_of = Path(world.directory) / "sessions" / "s.jsonl"
    with journal_of.open("ab") as file:
        file.write(b'\n{"v":1,"at":"2026-11-16T08:00:00.000Z","event":"Stop","check":"x"}\n')
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "another")
    world.session("s").edit("theirs.py")
    world.session("t").start().ask("all of it is theirs")
    monkeypatch.delenv("WORKFLOW_STATE_KEY")
    data = data_of(world)
    assert [file["path"] for file in data["files"]] == ["mine.py"]
    assert data["problems"] == {
        "foreign": 4, "damaged": 1, "newer": 0, "unreadable": 0, "empty": 1,
    }  # fmt: skip
    assert "theirs" not in json.dumps(data)
    assert any("4 records were written by another user" in note for note in data["notes"])


def test_a_journal_that_cannot_be_read_does_not_hide_the_others(world):
    world.session("one").start().ask("go")
    world.session("two").start().ask("go")
    journal_of = Path(world.directory) / "sessions" / "one.jsonl"
    os.link(journal_of, world.project / "second name")
    state = world.state()
    data = gather.gather(state)
    assert [session["id"] for session in data["sessions"]] == ["two"]
    assert data["problems"]["unreadable"] == 1
    assert all("one.jsonl" in notice for notice in state.sessions.notices)


def test_since_and_session_choose(week):
    everything = data_of(week)["sessions"]
    later = data_of(week, since=at("2026-11-19 00:00"))["sessions"]
    assert [each["id"] for each in later] == [each["id"] for each in everything[-3:]]
    one = data_of(week, session=everything[2]["id"])
    assert [each["id"] for each in one["sessions"]] == [everything[2]["id"]]
    assert {each["session"] for each in one["checkpoints"]} == {everything[2]["id"]}


def test_a_journal_copied_later_is_no_later_session(week):
    for path in Path(week.directory).glob("sessions/*.jsonl"):
        os.utime(path, (2e9, 2e9))
    later = data_of(week, since=at("2026-11-19 00:00"))["sessions"]
    assert len(later) == 3


# --- limits ------------------------------------------------------------------------------------


def test_what_is_beyond_a_limit_is_counted_and_said(world, monkeypatch):
    for name, limit in {"SESSION_CALLS": 5, "MARKS": 3, "REQUESTS": 2, "AGENTS": 1}.items():
        monkeypatch.setattr(gather, name, limit)
    monkeypatch.setattr(gather, "FILES", 2)
    session = world.session("s").start()
    for number in range(4):
        session.ask(f"request {number}").read(f"{number}.py", "hot.py")
        session.run("false", 1, "Exit code 1")
    session.sub("a", "x").read("hot.py")
    session.sub("b", "x").read("hot.py")
    data = data_of(world)
    told = only(data)
    assert len(told["calls"]) == 5
    assert sum(count for _, count, _ in told["earlier_calls"]) == 9
    assert sum(failed for _, _, failed in told["earlier_calls"]) == 3
    assert [request["text"] for request in told["requests"]] == ["request 2", "request 3"]
    assert len(told["marks"]) == 3
    assert told["totals"]["failure"] == 4
    assert [agent["id"] for agent in told["agents"]] == ["a"]
    assert [file["path"] for file in data["files"]][0] == "hot.py"
    assert told["files_touched"] == 5
    assert data["notes"] == [
        "3 files that were touched least are left out.",
        "Session s: 9 older calls are counted by the quarter of an hour.",
        "Session s: 1 older marks are left out.",
        "Session s: 2 older requests are left out.",
        "Session s: 1 more subagents have no lane of their own.",
    ]


def test_many_bands_become_coarser_and_keep_their_span(world, monkeypatch):
    monkeypatch.setattr(gather, "BANDS", 10)
    session = world.session("s").start().ask("go")
    for _ in range(60):
        session.edit("a.py").run("pytest", 9)
    told = only(data_of(world))
    assert len(told["bands"]) <= 20
    assert told["bands"][-1][1] == told["last_active"]
    assert told["bands"] == sorted(told["bands"])
    neighbours = list(zip(told["bands"], told["bands"][1:]))
    assert all(one[2:] != other[2:] or one[1] < other[0] for one, other in neighbours)
    assert "Session s: its phases are drawn coarser than they were." in data_of(world)["notes"]


def test_older_sessions_beyond_the_limit_are_said(world, monkeypatch):
    monkeypatch.setattr(gather, "SESSIONS", 2)
    for number in range(4):
        world.session(f"s{number}").start().ask("go").wait(60)
    data = data_of(world)
    assert [session["id"] for session in data["sessions"]] == ["s2", "s3"]
    assert data["notes"] == ["2 older sessions are left out: a report shows 2."]


def test_the_calls_of_all_sessions_share_a_limit_the_newest_first(world, monkeypatch):
    monkeypatch.setattr(gather, "CALLS", 5)
    for number in range(3):
        world.session(f"s{number}").start().ask("go").read("a.py", "b.py", "c.py").wait(60)
    told = [len(session["calls"]) for session in data_of(world)["sessions"]]
    assert told == [0, 2, 3]


def test_how_far_the_reading_is_can_be_told(week):
    told = []
    state = week.state()
    state.sessions.progress = lambda done, of: told.append((done, of))
    data = gather.gather(state)
    sizes = [path.stat().st_size for path in Path(week.directory).glob("sessions/*.jsonl")]
    assert len(data["sessions"]) == len(sizes) <= len(told)
    assert told == sorted(told)  # never back, from one journal to the next
    assert {of for _, of in told} == {sum(sizes)}
    assert told[-1][0] == sum(sizes)


def test_of_a_long_path_both_ends_are_kept_of_a_command_the_beginning(world):
    path = "deep/" * 100 + "name.py"
    world.session("s").start().ask("go").edit(path).run("echo " + "long " * 100)
    file, command = data_of(world)["texts"][1], data_of(world)["texts"][3]
    assert len(file) == len(command) == gather.TEXT
    assert file.startswith("deep/deep/")
    assert file.endswith("/deep/name.py")
    assert command.startswith("echo long")
    assert command.endswith("...")
