"""The data of a report: which sessions it has, what it passes over, and that it stays small."""

from __future__ import annotations

import json
import os
from pathlib import Path

from lib.report import file_heat, gather, session_timeline
from tests.conftest import absent

from .conftest import data_of, only
from .worlds import at


def test_what_others_wrote_and_what_is_damaged_is_counted_and_not_shown(world, monkeypatch):
    world.choose(monkeypatch)
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
    if os.geteuid():
        absent("only root can give a file away")
    os.chown(journal_of, 12345, 12345)
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


def test_what_is_beyond_a_limit_is_counted_and_said(world, monkeypatch):
    for name, limit in {"SESSION_CALLS": 5, "MARKS": 3, "REQUESTS": 2, "AGENTS": 1}.items():
        monkeypatch.setattr(session_timeline, name, limit)
    monkeypatch.setattr(file_heat, "FILES", 2)
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
