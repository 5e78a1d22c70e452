"""The files of a report: how often they were changed and read, and when."""

from __future__ import annotations

from .conftest import data_of
from .worlds import at


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
