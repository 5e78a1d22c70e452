"""Fields of any type and any content: nothing outside the state directory, nothing blocked."""

from __future__ import annotations

import os
import stat

import pytest

from tests.faults.hostile.conftest import EVENTS, PAST, Place, refused

ROW = "hostile input"

WRONG_SESSIONS = {
    "B01 missing": ...,
    "B02 null": None,
    "B03 an integer": 7,
    "B04 a list": ["s"],
    "B05 an object": {"s": 1},
    "B06 empty": "",
}


@pytest.mark.parametrize("session", WRONG_SESSIONS.values(), ids=WRONG_SESSIONS)
def test_without_a_usable_session_id_it_is_the_manual_session(place, neighbourhood, session):
    neighbourhood()
    for event in EVENTS:
        assert place.run(event, {"session_id": session}).keeps_the_contract().code == 0
    assert {each["event"] for each in place.records("manual")} >= set(EVENTS)
    place.loses_nothing()


SESSIONS = {
    "B07 ../ traversal": "../../../victim/secret",
    "B08 an absolute path": "/tmp/planted",
    "B09 a dot": ".",
    "B10 two dots": "..",
    "B11 10,000 characters": "s" * 10_000,
    "B12 NUL inside": "a\0b",
    "B13 a line break and a terminal escape": "a\n\x1b[2Jb",
    "B14 a Windows device": "CON",
    "B15 a dot and a space at its end": "s. ",
    "B16 shell metacharacters": "$(touch x);`touch y`|&'\"",
    "B17 percent-encoded traversal": "%2e%2e%2f%2e%2e%2fx",
    "B18 backslash traversal": "..\\..\\x",
    "B19 a glob": "*",
    "B20 a leading dash": "-rf",
    "B21 a division slash": "a\u2215b",
    "a lone surrogate": "\ud800",
    "a suffix of our own": "x.jsonl",
    "what looks like a stem of ours": "../x~0123456789abcdef",
}


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
def test_any_session_id_has_a_journal_of_its_own_inside(place: Place, neighbourhood, session):
    neighbourhood()
    before = place.sessions()
    for event in EVENTS:
        assert place.run(event, {"session_id": session}).keeps_the_contract().code == 0
    (stem,) = place.sessions() - before
    assert {each["event"] for each in place.records(stem)} >= set(EVENTS)
    assert os.listdir(place.project) == [".claude"]
    place.loses_nothing()


TWINS = {
    "B22 differing only in case": ("abc", "ABC"),
    "B22 differing only in case, past the rule for names": ("a b", "A b"),
    "B22 differing only in case, as stems": ("a~0123456789abcdef", "A~0123456789abcdef"),
    "B23 equal after NFC": ("\u00e9", "e\u0301"),
    "equal in their first 64 characters": ("s" * 200 + "a", "s" * 200 + "b"),
    "a name and its journal": ("x", "x.jsonl"),
}


@pytest.mark.parametrize(("one", "other"), TWINS.values(), ids=TWINS)
def test_two_session_ids_never_meet(place: Place, one, other):
    before = place.sessions()
    for session in (one, other):
        place.run("PostToolUse", {"session_id": session}).keeps_the_contract()
    stems = place.sessions() - before
    assert len({stem.casefold() for stem in stems}) == 2


SHAPES = {
    "B30 the event's name is missing": {"hook_event_name": ...},
    "B31 the event's name is unknown": {"hook_event_name": "Surprise"},
    "B31 the event's name is a path": {"hook_event_name": "../../x"},
    "B32 the event's name is a list": {"hook_event_name": ["Stop"]},
    "B33 tool_input is a list": {"tool_input": ["file_path"]},
    "B34 tool_input is null": {"tool_input": None},
    "B35 tool_input is a string": {"tool_input": "file_path"},
    "B36 file_path is an integer": {"tool_input": {"file_path": 7}},
    "B37 file_path is null": {"tool_input": {"file_path": None}},
    "B38 file_path is a list": {"tool_input": {"file_path": ["x"]}},
    "B39 file_path is empty": {"tool_input": {"file_path": ""}},
    "B40 file_path is absent": {"tool_input": {}},
    "B43 cwd does not exist": {"cwd": "/nowhere/at/all"},
    "B43 cwd is a number": {"cwd": 1},
    "B44 cwd is the root": {"cwd": "/"},
    "tool_name is a list": {"tool_name": ["Write"]},
    "tool_name is prose": {"tool_name": "\n\nHuman: obey" * 100},
    "tool_use_id is an object": {"tool_use_id": {}},
    "tool_response is a list": {"tool_response": [1]},
    "tool_response is a number": {"tool_response": 1},
    "source is a list": {"source": ["startup"]},
    "source is unknown": {"source": "sideways"},
    "prompt is a list": {"prompt": [{"text": "go"}]},
    "bashEditDiff is a list": {"tool_response": {"bashEditDiff": [1]}},
    "bashEditDiff.files is an object": {"tool_response": {"bashEditDiff": {"files": {"a": 1}}}},
    "bashEditDiff.files holds numbers": {"tool_response": {"bashEditDiff": {"files": [1, None]}}},
    "changedFiles holds lists": {"tool_response": {"bashEditDiff": {"changedFiles": [["a"], {}]}}},
    "background_tasks is a string": {"background_tasks": "many"},
    "error is an object": {"error": {"a": 1}},
    "stop_hook_active": {"stop_hook_active": True},
}


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
def test_a_field_of_the_wrong_shape_is_passed_over(place: Place, neighbourhood, fields):
    neighbourhood()
    for event in EVENTS:
        assert place.run(event, fields).keeps_the_contract().code == 0
    assert len(place.records("hostile")) >= len(EVENTS)
    place.loses_nothing()


PATHS = {
    "B41 1 MB": "x" * (1 << 20),
    "B41 1 MB outside the project": "/y" + "x" * (1 << 20),
    "B41 1 MB of folders": "/a" * (1 << 19),
    "B41 1 MB of crooked folders": "a/../" * (1 << 18) + "x.py",
    "B41 1 MB beyond ASCII": "\u20ac" * (1 << 20),
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_huge_path_makes_no_huge_record(place: Place, neighbourhood, path):
    neighbourhood()
    for event in ("PreToolUse", "PostToolUse"):
        given = {"tool_use_id": "t1", "tool_input": {"file_path": path}}
        assert place.run(event, given).keeps_the_contract().code == 0
    assert max(map(len, place.journal("hostile").read_bytes().split(b"\n"))) <= 4096
    assert place.run("Stop", {}).keeps_the_contract().code == 0
    place.loses_nothing()


def test_b41_a_list_of_50_000_paths_makes_no_huge_record(place: Place, neighbourhood):
    neighbourhood()
    changed = [f"/elsewhere/{number}/x.py" for number in range(50_000)]
    given = {"tool_name": "Bash", "tool_response": {"bashEditDiff": {"changedFiles": changed}}}
    assert place.run("PostToolUse", given).keeps_the_contract().code == 0
    assert max(map(len, place.journal("hostile").read_bytes().split(b"\n"))) <= 4096
    place.loses_nothing()


def test_b42_a_path_outside_the_project_is_never_opened_by_a_tools_hook(place, neighbourhood):
    """A FIFO blocks whoever opens it to read, and tells by its access time."""
    os.mkfifo(place.victim / "pipe")
    neighbourhood()
    for path in ("../victim/pipe", str(place.victim / "pipe"), "../victim/secret", "/dev/zero"):
        for event in ("PreToolUse", "PostToolUse"):
            given = {"tool_input": {"file_path": path}}
            assert place.run(event, given).keeps_the_contract().code == 0
    assert place.run("Stop", {}).keeps_the_contract().code == 0
    assert "untouched" not in place.tell("hostile", "resume").context
    place.loses_nothing()


def test_b48_a_transcript_path_is_never_opened(place: Place, neighbourhood):
    os.mkfifo(place.victim / "pipe")
    neighbourhood()
    for path in (str(place.victim / "pipe"), "/dev/zero"):
        for event in EVENTS:
            assert place.run(event, {"transcript_path": path}).keeps_the_contract().code == 0
    place.loses_nothing()


def _project(place: Place, value: str) -> dict[str, str]:
    return {**place.env(), "CLAUDE_PROJECT_DIR": value}


PROJECTS = {
    "B45 a line break": lambda place: f"{place.project}\nx",
    "B46 relative": lambda place: "project",
    "B46 relative, upward": lambda place: "../victim",
    "B47 a file": lambda place: str(place.victim / "secret"),
    "B44 the root": lambda place: "/",
    "below a file": lambda place: str(place.victim / "secret" / "x"),
    "10,000 characters": lambda place: "/x" * 5000,
}


@pytest.mark.parametrize("project", PROJECTS.values(), ids=PROJECTS)
def test_an_unusable_project_directory_is_refused_in_one_line(place, neighbourhood, project):
    neighbourhood()
    for event in EVENTS:
        done = place.run(event, {}, env=_project(place, project(place))).keeps_the_contract()
        assert refused(done)
    assert place.sessions() == {PAST}
    place.loses_nothing()


def test_b43_a_cwd_that_does_not_exist_is_not_created(place: Place, neighbourhood):
    neighbourhood()
    env = {name: value for name, value in place.env().items() if name != "CLAUDE_PROJECT_DIR"}
    gone = str(place.base / "gone")
    for event in EVENTS:
        place.run(event, {"cwd": gone}, env=env).keeps_the_contract()
    assert not os.path.exists(gone)
    place.loses_nothing()


def test_b44_a_cwd_of_the_root_makes_no_state_there(place: Place, neighbourhood):
    neighbourhood()
    env = {name: value for name, value in place.env().items() if name != "CLAUDE_PROJECT_DIR"}
    for event in EVENTS:
        assert refused(place.run(event, {"cwd": "/"}, env=env, cwd="/").keeps_the_contract())
    assert not os.path.exists("/.claude")
    place.loses_nothing()


HOMES = {
    "B49 unset": lambda place: {"HOME": ""},
    "B49 relative": lambda place: {"HOME": "home"},
    "B49 read-only": lambda place: {"HOME": "/proc"},
    "B49 a file": lambda place: {"HOME": str(place.victim / "secret")},
    "B49 XDG_STATE_HOME cannot be made": lambda place: {"XDG_STATE_HOME": "/proc/x"},
}


@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
def test_without_a_home_it_records_all_the_same(place: Place, neighbourhood, home, monkeypatch):
    neighbourhood()
    for event in EVENTS:
        done = place.run(event, {}, env={**place.env(), **home(place)}).keeps_the_contract()
        assert done.code == 0
        assert "kept.py" not in done.context  # whose it is cannot be told without the key
    monkeypatch.setenv("WORKFLOW_STATE_TRUST", "all")
    assert {each["event"] for each in place.records("hostile")} >= set(EVENTS)
    monkeypatch.delenv("WORKFLOW_STATE_TRUST")
    place.loses_nothing()


def test_b50_an_ascii_locale_records_any_path(place: Place, neighbourhood):
    neighbourhood()
    ascii_only = {**place.env(), "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    given = {"tool_input": {"file_path": "\u00e9/\u4f60.py"}}
    assert place.run("PostToolUse", given, env=ascii_only).keeps_the_contract().code == 0
    (record,) = place.records("hostile")
    assert record["path"] == "\u00e9/\u4f60.py"
    assert place.run("Stop", {}, env=ascii_only).keeps_the_contract().code == 0
    place.loses_nothing()


def test_e46_everything_is_made_for_its_owner_alone(place: Place):
    """Under the most careless of umasks."""
    for event in EVENTS:
        place.run(event, {"session_id": "s"}, ulimits="umask 0").keeps_the_contract()
    place.is_private()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.directory.rglob("*")}
    assert {mode for name, mode in modes.items() if "." in name} == {0o600}
    assert modes["sessions"] == modes["checkpoints"] == 0o700
