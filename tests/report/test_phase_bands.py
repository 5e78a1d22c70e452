"""The phases of a session over time."""

from __future__ import annotations

import pytest

from lib.report import phase_bands

from .conftest import data_of, only

MINUTE = 60_000


def in_minutes(session: dict) -> list[list]:
    """A session's bands, in minutes since it started."""
    began = session["started"]
    return [
        [round((start - began) / MINUTE, 1), round((end - began) / MINUTE, 1), phase]
        for start, end, phase, _ in session["bands"]
    ]


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


def test_many_bands_become_coarser_and_keep_their_span(world, monkeypatch):
    monkeypatch.setattr(phase_bands, "BANDS", 10)
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
