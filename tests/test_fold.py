"""The fold: records in, state out, as named cases and as properties of any journal."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lib.session import calls, states
from lib.session import fold as session
from lib.session.rules import Rules

RULES = Rules()


def at(number: int) -> str:
    """The time of the record of that number."""
    return f"2026-11-23T10:{number // 60:02d}:{number % 60:02d}.000Z"


def timed(*records: dict) -> list[dict]:
    """Records as a journal gives them, one a second."""
    return [{"v": 1, "at": at(number), **record} for number, record in enumerate(records)]


def start(source: str = "startup", **facts) -> dict:
    return {"event": "SessionStart", "source": source, **facts}


def request(text: str = "go", **facts) -> dict:
    return {"event": "UserPromptSubmit", "text": text, **facts}


def pre(call: str, tool: str = "Read", **about) -> dict:
    return {"event": "PreToolUse", "tool": tool, "call": call, **about}


def post(call: str, tool: str = "Read", **about) -> dict:
    return {"event": "PostToolUse", "tool": tool, "call": call, **about}


def failure(call: str, tool: str = "Read", error: str = "no", **about) -> dict:
    return {"event": "PostToolUseFailure", "tool": tool, "call": call, "error": error, **about}


def files(part: int, of: int, *paths: str, of_set: str = "s") -> dict:
    return {"event": "Files", "set": of_set, "part": part, "of": of, "paths": list(paths)}


def restore(phase: str | None, of_set: str = "s", pinned: bool = False) -> dict:
    return {"event": "Restore", "set": of_set, "phase": phase, "pinned": pinned}


def read(call: str, path: str, **about) -> list[dict]:
    return [pre(call, path=path, **about), post(call, path=path, **about)]


def write(call: str, path: str, **about) -> list[dict]:
    return [pre(call, "Write", path=path, **about), post(call, "Write", path=path, **about)]


def run(call: str, command: str, **about) -> list[dict]:
    return [pre(call, "Bash", command=command), post(call, "Bash", command=command, **about)]


TASK = {"event": "UserPromptSubmit", "notification": True}
TOLD = request(prompt="p0")
STOP = {"event": "Stop"}
COMPACT = {"event": "PreCompact", "trigger": "auto"}
END = {"event": "SessionEnd", "reason": "other"}
LAUNCH = [pre("l", "Agent"), post("l", "Agent", result="async_launched", launched="bg")]
PIN = {"event": "Phase", "phase": "review", "pinned": True}
LET_GO = {"event": "Phase", "pinned": False}


def fold(records: list[dict], state: dict | None = None, **options) -> dict:
    return session.fold(state or states.empty("one"), records, RULES, **options)


def brief(state: dict) -> dict:
    """A state in few words: calls by id, files by path and count, counts only where not zero."""
    return {
        "phase": state["current_phase"],
        "pinned": state["phase_pinned"],
        "request": state["last_request"],
        "ended": state["ended"] and state["ended"]["reason"],
        "files": {path: about["count"] for path, about in state["files_processed"].items()},
        "outcomes": {path: about["outcome"] for path, about in state["files_processed"].items()},
        "read": {path: about["count"] for path, about in state["files_read"].items()},
        **{
            name: [call.get("call") for call in state[name]]
            for name in ("in_flight", "interrupted")
        },
        "failures": [call["call"] for call in state["failures"]],
        "open": [call["call"] for call in state["failures"] if "resolved" not in call],
        "counts": {name: count for name, count in state["counts"].items() if count},
    }


CASES = {
    # calls and files
    "nothing": ([], {"phase": None, "files": {}, "in_flight": [], "counts": {}}),
    "a call begins": (
        [pre("a", "Write", path="f")],
        {"in_flight": ["a"], "files": {}, "phase": None, "counts": {}},
    ),
    "a call ends": (write("a", "f"), {"in_flight": [], "files": {"f": 1}, "counts": {"calls": 1}}),
    "files stand in the order of their first change": (
        [*write("a", "z"), *write("b", "a"), *write("c", "z")],
        {"files": {"z": 2, "a": 1}},
    ),
    "a file read and then written is in both lists": (
        [*read("a", "f"), *write("b", "f")],
        {"read": {"f": 1}, "files": {"f": 1}},
    ),
    "one call that changes several files": (
        run("a", "./gen", created=["n"], changed=["m"], deleted=["o"]),
        {"outcomes": {"n": "created", "m": "changed", "o": "deleted"}},
    ),
    "a list of files in several records": (
        [*run("a", "./gen", created=["n"]), post("a", "Bash", more=True, created=["m"])],
        {"files": {"n": 1, "m": 1}, "counts": {"calls": 1}},
    ),
    "the rest of a list before the call's end": (
        [post("a", "Bash", more=True, created=["m"]), *run("a", "./gen", created=["n"])],
        {"files": {"m": 1, "n": 1}, "counts": {"calls": 1}},
    ),
    "the last outcome stands": (
        [*write("a", "f", result="create"), *run("b", "rm f", deleted=["f"])],
        {"outcomes": {"f": "deleted"}, "files": {"f": 2}},
    ),
    "staged counts as a call, not as a file": (
        [pre("a", "Write", path="f"), post("a", "Write", path="f", staged=True)],
        {"files": {}, "counts": {"calls": 1}},
    ),
    # the same thing told twice
    "each record twice": (
        [each for record in [TOLD, *write("a", "f"), STOP, END] for each in (record, record)],
        {"files": {"f": 1}, "counts": {"requests": 1, "calls": 1}, "in_flight": []},
    ),
    "both beginnings, then both ends": (
        [pre("a", path="f"), pre("a", path="f"), post("a", path="f"), post("a", path="f")],
        {"read": {"f": 1}, "in_flight": [], "counts": {"calls": 1}},
    ),
    "the second copy of a call's beginning comes after its end": (
        [*write("a", "f"), {**pre("a", "Write", path="f"), "at": at(0)}],
        {"files": {"f": 1}, "in_flight": []},
    ),
    "an id used again for another file": (
        [*write("a", "f"), *write("a", "g"), *write("a", "f"), pre("a", "Write", path="h")],
        {"files": {"f": 2, "g": 1}, "counts": {"calls": 3}, "in_flight": ["a"]},
    ),
    "an id used again for another tool while its call runs": (
        [pre("a", "Write", path="f"), *run("a", "make", created=["n"])],
        {"files": {"n": 1}, "counts": {"calls": 1}, "in_flight": ["a"]},
    ),
    "an id used again for the same, after its call has ended": (
        [*run("a", "make"), *run("a", "make"), pre("a", "Bash", command="make")],
        {"counts": {"calls": 2}, "in_flight": ["a"]},
    ),
    "an id used again in each request, without beginnings": (
        [request(), post("a", path="f"), request(), post("a", path="f"), post("a", path="f")],
        {"read": {"f": 2}, "counts": {"requests": 2, "calls": 2}},
    ),
    "an id used again for another file, without beginnings": (
        [post("a", path="f"), post("a", path="g"), post("a", path="g")],
        {"read": {"f": 1, "g": 1}, "counts": {"calls": 2}},
    ),
    "an id used again, each record twice": (
        [
            each
            for record in [TOLD, *write("a", "f"), request(prompt="p"), *write("a", "f")]
            for each in (record, record)
        ],
        {"files": {"f": 2}, "counts": {"requests": 2, "calls": 2}, "in_flight": []},
    ),
    "an id used again for a call with a long list of files": (
        [
            each
            for name in ("x", "y")
            for each in [*run("a", name), post("a", "Bash", more=True, created=["m"])]
        ],
        {"files": {"m": 2}, "counts": {"calls": 2}},
    ),
    "a late copy of an end does not end the call that runs under its id": (
        [*run("a", "make"), pre("a", "Bash", command="make"), {**run("a", "make")[1], "at": at(1)}],
        {"counts": {"calls": 1}, "in_flight": ["a"]},
    ),
    "another hook changes the command of a call": (
        [pre("a", "Bash", command="make"), post("a", "Bash", command="nice make")],
        {"counts": {"calls": 1}, "in_flight": []},
    ),
    "the second copy of a call's end comes after other calls": (
        [*write("a", "f"), *read("b", "g"), *write("c", "h"), post("a", "Write", path="f")],
        {"files": {"f": 1, "h": 1}, "counts": {"calls": 3}},
    ),
    "a failure recorded twice": (
        [pre("a", path="f"), failure("a", path="f"), failure("a", path="f")],
        {"failures": ["a"], "counts": {"calls": 1, "failed": 1}},
    ),
    "a request recorded twice": (
        [TOLD, TOLD],
        {"request": "go", "counts": {"requests": 1}},
    ),
    "a background subagent goes on between the copies of a request": (
        [request(), *LAUNCH, STOP, TOLD, pre("a", path="f", agent="bg"), TOLD],
        {"in_flight": ["a"], "counts": {"requests": 2, "calls": 1}},
    ),
    "the same words again are another request": (
        [request("go", prompt="p1"), request("go", prompt="p2")],
        {"request": "go", "counts": {"requests": 2}},
    ),
    "requests by hand have no id and all count": (
        [request("go"), request("go")],
        {"counts": {"requests": 2}},
    ),
    "a notification recorded twice": (
        [TOLD, {**TASK, "prompt": "p1"}, {**TASK, "prompt": "p1"}],
        {"counts": {"requests": 1}},
    ),
    "a stop recorded twice with a call open": (
        [request(), pre("a", "Write", path="f"), STOP, STOP],
        {"counts": {"requests": 1, "no_result": 1}, "in_flight": []},
    ),
    "a call's end comes before its beginning": (
        [post("a", path="f"), pre("a", path="f")],
        {"in_flight": [], "read": {"f": 1}, "counts": {"calls": 1}},
    ),
    "parallel calls end in another order": (
        [pre("a", path="f"), pre("b", path="g"), post("b", path="g"), post("a", path="f")],
        {"in_flight": [], "read": {"g": 1, "f": 1}},
    ),
    "events without ids match by what they are about": (
        [
            {"event": "PreToolUse", "tool": "Write", "path": "f"},
            {"event": "PreToolUse", "tool": "Write", "path": "g"},
            {"event": "PostToolUse", "tool": "Write", "path": "g"},
        ],
        {"files": {"g": 1}, "counts": {"calls": 1}},
    ),
    # calls that never end
    "Esc: the next request closes what was in flight": (
        [request(), pre("a", "Bash", command="sleep 9"), request("other")],
        {"in_flight": [], "interrupted": ["a"], "counts": {"requests": 2, "interrupted": 1}},
    ),
    "a late end heals an interruption": (
        [request(), pre("a", "Write", path="f"), request(), post("a", "Write", path="f")],
        {"interrupted": [], "files": {"f": 1}, "counts": {"requests": 2, "calls": 1}},
    ),
    "a late failure heals an interruption": (
        [request(), pre("a", path="f"), request(), failure("a", path="f")],
        {"interrupted": [], "failures": ["a"]},
    ),
    "a task's notification is no request and closes nothing": (
        [request("first"), pre("a", path="f"), TASK],
        {"in_flight": ["a"], "interrupted": [], "request": "first", "counts": {"requests": 1}},
    ),
    "a task's notification does not begin a new phase": (
        [request(), *write("a", "f"), TASK, *read("b", "g")],
        {"phase": "build"},
    ),
    "a background subagent's call survives a new request": (
        [request(), *LAUNCH, pre("a", path="f", agent="bg"), pre("b", path="g"), request()],
        {"in_flight": ["a"], "interrupted": ["b"]},
    ),
    "a background subagent's call survives a stop": (
        [request(), *LAUNCH, pre("a", path="f", agent="bg"), STOP],
        {"in_flight": ["a"], "interrupted": [], "counts": {"requests": 1, "calls": 1}},
    ),
    "a foreground subagent's call does not survive a new request": (
        [request(), pre("l", "Agent"), pre("a", path="f", agent="fg"), request()],
        {"in_flight": [], "interrupted": ["l", "a"]},
    ),
    "a background subagent dies with its session": (
        [request(), *LAUNCH, pre("a", path="f", agent="bg"), start("resume"), request()],
        {"in_flight": [], "interrupted": ["a"]},
    ),
    "a denied call counts nowhere as a file": (
        [request(), pre("a", "Write", path="f"), pre("b", path="g"), STOP],
        {
            "files": {},
            "read": {},
            "in_flight": [],
            "interrupted": [],
            "failures": [],
            "counts": {"requests": 1, "no_result": 2},
        },
    ),
    "an API failure ends the turn as a stop does": (
        [request(), *write("a", "f"), pre("b", path="g"), {"event": "StopFailure", "error": "x"}],
        {"files": {"f": 1}, "in_flight": [], "counts": {"requests": 1, "calls": 1, "no_result": 1}},
    ),
    "a call in flight when the session ends was interrupted": (
        [request(), pre("a", "Bash", command="make"), END],
        {"ended": "other", "in_flight": [], "interrupted": ["a"]},
    ),
    "a call in flight when the session crashed was interrupted": (
        [request(), pre("a", "Bash", command="make"), start("resume")],
        {"in_flight": [], "interrupted": ["a"], "ended": None},
    ),
    "a compaction interrupts nothing": (
        [request(), pre("a", path="f"), COMPACT, start("compact")],
        {"in_flight": ["a"], "interrupted": []},
    ),
    "a background subagent outlives a compaction": (
        [request(), *LAUNCH, pre("a", path="f", agent="bg"), COMPACT, start("compact"), request()],
        {"in_flight": ["a"], "interrupted": []},
    ),
    "the client says that the user interrupted": (
        [pre("a", "Bash", command="x"), failure("a", "Bash", command="x", interrupted=True)],
        {"interrupted": ["a"], "failures": [], "counts": {"calls": 1, "interrupted": 1}},
    ),
    "an interrupted command that says so itself": (
        run("a", "x", interrupted=True, created=["f"]),
        {"interrupted": ["a"], "files": {}, "counts": {"calls": 1, "interrupted": 1}},
    ),
    "a resumed session has not ended": ([request(), END, start("resume")], {"ended": None}),
    "a request means that the session has not ended": ([END, request()], {"ended": None}),
    # failures
    "a failure stays open": (
        [pre("a", "Bash", command="pytest"), failure("a", "Bash", command="pytest")],
        {"open": ["a"], "counts": {"calls": 1, "failed": 1}},
    ),
    "a later success resolves it": (
        [failure("a", "Bash", command="pytest"), *run("b", "pytest")],
        {"failures": ["a"], "open": []},
    ),
    "another command does not resolve it": (
        [failure("a", "Bash", command="pytest"), *run("b", "pytest -x")],
        {"open": ["a"]},
    ),
    "another tool does not resolve it": (
        [failure("a", "Edit", path="f"), *read("b", "f")],
        {"open": ["a"]},
    ),
    "an earlier success does not resolve it": (
        [*run("a", "pytest"), failure("b", "Bash", command="pytest")],
        {"open": ["b"]},
    ),
    "a failure about nothing in particular is not resolved": (
        [failure("a", "mcp__x__y"), pre("b", "mcp__x__y"), post("b", "mcp__x__y")],
        {"open": ["a"]},
    ),
    "a notebook's error is a failure": (
        [post("a", "NotebookEdit", path="n", error="Cell not found")],
        {"failures": ["a"], "files": {}, "counts": {"calls": 1, "failed": 1}},
    ),
    "a failed test run is testing": (
        [request(), failure("a", "Bash", command="pytest")],
        {"phase": "test"},
    ),
    # phases
    "reading is scouting": ([request(), *read("a", "f")], {"phase": "scout"}),
    "a call that only begins means no phase": ([request(), pre("a", "Write")], {"phase": None}),
    "reading does not end a build": (
        [request(), *write("a", "f"), *read("b", "f")],
        {"phase": "build"},
    ),
    "reading does not end a test": (
        [request(), *run("a", "pytest"), *run("b", "git diff")],
        {"phase": "test"},
    ),
    "reading in the next request is scouting": (
        [request(), *write("a", "f"), request(), *read("b", "f")],
        {"phase": "scout"},
    ),
    "a request alone ends no phase": (
        [request(), *write("a", "f"), STOP, request()],
        {"phase": "build"},
    ),
    "building again after a test": (
        [request(), *run("a", "pytest"), *write("b", "f")],
        {"phase": "build"},
    ),
    "a request in plan mode": ([request(mode="plan")], {"phase": "plan"}),
    "reading in plan mode": (
        [request(mode="plan"), *read("a", "f", mode="plan")],
        {"phase": "plan"},
    ),
    "out of plan mode into building": (
        [request(mode="plan"), post("a", "ExitPlanMode", mode="plan"), *write("b", "f")],
        {"phase": "build"},
    ),
    "a pinned phase beats inference": (
        [request(), PIN, *write("a", "f"), request(), *run("b", "pytest")],
        {"phase": "review", "pinned": True, "files": {"f": 1}},
    ),
    "let go, the phase stays till the next call": (
        [request(), PIN, LET_GO],
        {"phase": "review", "pinned": False},
    ),
    "let go, the next call decides": (
        [request(), PIN, LET_GO, *write("a", "f")],
        {"phase": "build"},
    ),
    "let go, the next call is a look into a build": (
        [request(), PIN, *write("a", "f"), LET_GO, *read("b", "f")],
        {"phase": "build"},
    ),
    "a pin is pinned anew": ([PIN, {**PIN, "phase": "ship"}], {"phase": "ship", "pinned": True}),
    # lists taken as given
    "a list as given": (
        [*write("a", "f"), files(1, 1, "x", "f")],
        {"files": {"x": 0, "f": 1}, "outcomes": {"x": "given", "f": "changed"}},
    ),
    "a list in parts": ([files(1, 2, "x"), files(2, 2, "y")], {"files": {"x": 0, "y": 0}}),
    "an empty list": ([*write("a", "f"), files(1, 1)], {"files": {}}),
    "the hooks go on from a given list": (
        [files(1, 1, "x"), *write("a", "x"), *write("b", "y")],
        {"files": {"x": 1, "y": 1}},
    ),
    "a list whose end is torn leaves the old": (
        [*write("a", "f"), files(1, 2, "x")],
        {"files": {"f": 1}},
    ),
    "a list whose beginning is damaged leaves the old": (
        [*write("a", "f"), files(2, 2, "x")],
        {"files": {"f": 1}},
    ),
    "a list whose middle is damaged leaves the old": (
        [*write("a", "f"), files(1, 3, "x"), files(3, 3, "z")],
        {"files": {"f": 1}},
    ),
    "parts of two lists are not mixed": (
        [*write("a", "f"), files(1, 2, "x", of_set="s"), files(2, 2, "y", of_set="u")],
        {"files": {"f": 1}},
    ),
    "a list after a torn one": (
        [files(1, 2, "x", of_set="s"), files(1, 1, "y", of_set="u")],
        {"files": {"y": 0}},
    ),
    "calls between the parts of a list": (
        [files(1, 2, "x"), *read("a", "g"), files(2, 2, "y")],
        {"files": {"x": 0, "y": 0}, "read": {"g": 1}},
    ),
    # restore
    "a restore takes the phase back": (
        [request(), *write("a", "f"), restore("plan")],
        {"phase": "plan", "pinned": False},
    ),
    "a restore takes the pin back": (
        [PIN, restore("test")],
        {"phase": "test", "pinned": False},
    ),
    "a restore to no phase": (
        [*write("a", "f"), restore(None), files(1, 1)],
        {"phase": None, "files": {}},
    ),
    "a restore told twice is done once": (
        [
            request(),
            restore("test"),
            files(1, 1, "x"),
            *write("a", "f"),
            restore("test"),
            files(1, 1, "x"),
        ],
        {"phase": "build", "files": {"x": 0, "f": 1}},
    ),
    "two restores": (
        [restore("test", "s"), *write("a", "f"), restore("test", "u")],
        {"phase": "test"},
    ),
    "reading after a restore does not end its phase": (
        [request(), restore("test"), *read("a", "f")],
        {"phase": "test"},
    ),
    # what git saw
    "what git saw counts as changed": (
        [request(), STOP, {"event": "Worktree", "head": "h", "call": at(0), "created": ["n"]}],
        {"outcomes": {"n": "created"}, "counts": {"requests": 1}},
    ),
    "what git saw twice counts once": (
        [{"event": "Worktree", "head": "h", "call": at(0), "changed": ["n"]}] * 2,
        {"files": {"n": 1}},
    ),
    "a fingerprint changes no count": (
        [*write("a", "f"), {"event": "Worktree", "fingerprints": {"f": "1-2-3", "g": "4-5-6"}}],
        {"files": {"f": 1}},
    ),
    # robustness
    "an unknown event is passed over": (
        [{"event": "Novelty"}, *write("a", "f")],
        {"files": {"f": 1}},
    ),
    "a record without an event is passed over": ([{}, {"event": 3}], {"files": {}, "counts": {}}),
}


@pytest.mark.parametrize(("records", "expected"), CASES.values(), ids=CASES)
def test_the_state_after(records, expected):
    state = brief(fold(timed(*records)))
    assert {name: state[name] for name in expected} == expected
    for name in ("files", "read"):  # the order counts too
        assert list(state[name]) == list(expected.get(name, state[name]))


def test_what_is_known_of_a_file():
    made = write("a", "f", agent="sub", result="create")
    state = fold(timed(request(), *made, *run("b", "./gen", changed=["f"])))
    assert state["files_processed"]["f"] == {
        "tool": "Bash",
        "count": 2,
        "agent": None,
        "call": "b",
        "first": at(2),
        "last": at(4),
        "outcome": "changed",
    }


def test_a_fingerprint_goes_with_the_next_change():
    seen = {"event": "Worktree", "fingerprints": {"f": "1-2-3"}}
    state = fold(timed(*write("a", "f"), seen))
    assert state["files_processed"]["f"]["fingerprint"] == "1-2-3"
    state = fold(timed(*write("b", "f")), state)
    assert "fingerprint" not in state["files_processed"]["f"]


def test_times():
    state = fold(timed(start(), request(), *write("a", "f"), *write("b", "g"), STOP))
    names = ("started", "last_request_at", "phase_since", "last_stop", "last_active")
    assert [state[name] for name in names] == [at(0), at(1), at(3), at(6), at(6)]


def test_what_is_known_of_a_call_in_flight():
    about = {"path": "f", "agent": "sub", "agent_type": "my-agent"}
    state = fold(timed(pre("a", "Write", mode="default", **about)))
    assert state["in_flight"] == [{"call": "a", "tool": "Write", "since": at(0), **about}]


def test_what_is_known_of_an_interrupted_call():
    state = fold(timed(pre("a", "Bash", command="make"), request()))
    call = {"call": "a", "tool": "Bash", "command": "make", "since": at(0), "at": at(1)}
    assert state["interrupted"] == [call]


def test_the_process_of_a_session():
    where = {"pid": 7, "host": "h", "started": 9}
    state = fold(timed(start(**where, client="claude"), request(), END))
    assert (state["process"], state["client"]) == (where, "claude")
    state = fold(timed(request(pid=8, host="h")), state)
    assert state["process"] == {"pid": 8, "host": "h"}


LEAVES_SHELL = {
    "a command": run("a", "./gen"),
    "a server's tool": [pre("a", "mcp__x__run"), post("a", "mcp__x__run")],
    "a background command that ended": [TASK],
    "a background command that ended in mid-turn, under the request's id": [
        TOLD,
        {**TASK, "prompt": TOLD["prompt"]},
    ],
    "a background command that goes on after the stop": [
        {**STOP, "background_tasks": 1},
        {"event": "Worktree", "head": "h"},
    ],
}


@pytest.mark.parametrize("records", LEAVES_SHELL.values(), ids=LEAVES_SHELL)
def test_git_is_asked_at_the_next_stop_after(records):
    assert fold(timed(request(), *records))["fold"]["shell"] is True


def test_git_is_not_asked_after_file_tools_alone():
    state = fold(timed(request(), *write("a", "f"), *read("b", "g")))
    assert state["fold"]["shell"] is False


UNSEEN = {"event": "Worktree", "call": "2026-01-01T10:00:00.000Z", "unseen": "no git"}


def test_what_could_not_be_seen_stays_until_a_look_that_reaches_as_far_back():
    """It comes with the files whose list it leaves open, and goes with `unlink`."""
    after = {**UNSEEN, "call": "2026-01-01T11:00:00.000Z", "unseen": "too slow"}
    state = fold(timed(request(), UNSEEN, after))
    kept = {"since": UNSEEN["call"], "cause": "too slow"}
    assert state["fold"]["unseen"] == kept
    state = fold(timed({"event": "Worktree", "head": "h", "call": after["call"]}), state)
    assert state["fold"]["unseen"] == states.inherit(state, "two")["fold"]["unseen"] == kept
    inherited = states.inherit(state, "two")
    assert fold(timed(request(), {"event": "Unlink"}), inherited)["fold"]["unseen"] == {}
    state = fold(timed({"event": "Worktree", "head": "h", "call": UNSEEN["call"]}), state)
    assert state["fold"]["unseen"] == {}


# --- bounds ------------------------------------------------------------------------------------


def test_the_newest_failures_are_kept():
    state = fold(timed(*(failure(f"c{number}", path=str(number)) for number in range(50))))
    assert [each["call"] for each in state["failures"]] == [f"c{n}" for n in range(30, 50)]
    assert len(state["failures"]) == states.KEPT
    assert state["counts"]["failed"] == 50


def test_the_newest_interrupted_calls_are_kept():
    begun = [pre(f"c{number}", path=str(number)) for number in range(50)]
    state = fold(timed(*begun, request()))
    assert [each["call"] for each in state["interrupted"]] == [f"c{n}" for n in range(30, 50)]
    assert state["counts"]["interrupted"] == 50


def test_the_memory_of_ended_calls_is_bounded():
    reads = [each for number in range(2000) for each in read(f"c{number}", "f")]
    state = fold(timed(*reads))
    assert len(state["fold"]["recent"]) == calls.RECENT
    assert state["counts"]["calls"] == 2000


def test_to_adopt_records_is_no_activity():
    work = write("a", "f")
    assert fold(timed(*work, {"event": "Adopted"})) == fold(timed(*work))


def test_the_ids_of_an_earlier_version_are_still_known():
    state = fold(timed(*write("a", "f")))
    state["fold"]["recent"] = {"a": 1}
    assert fold(timed(*write("a", "f"), pre("b")), state)["counts"]["calls"] == 1


def test_a_copy_within_the_memory_of_ended_calls_is_known():
    number = calls.RECENT - 1
    between = [each for index in range(number) for each in read(f"c{index}", "g")]
    state = fold(timed(*write("a", "f"), *between, post("a", "Write", path="f")))
    assert state["files_processed"]["f"]["count"] == 1


# --- lineage -----------------------------------------------------------------------------------

BEFORE = timed(
    request("the old request"),
    *write("a", "old.py"),
    *read("b", "read.py"),
    failure("c", "Bash", command="pytest"),
    STOP,
    request("the last request"),
    *run("d", "pytest -x"),
    pre("e", "Write", path="never.py"),
)
LINK = {"continues": {"session": "before", "offset": 10, "source": "startup", "was": "crashed"}}


def later(*records: dict) -> list[dict]:
    """Records after those of BEFORE."""
    return [{**record, "at": at(600 + number)} for number, record in enumerate(timed(*records))]


def continued(*records: dict, link: dict = LINK) -> dict:
    """The state of a session that continues the one of BEFORE."""
    before = fold(BEFORE, states.empty("before"))
    return fold(later(start(**link), *records), base_of=lambda _: before)


def test_a_session_inherits_where_the_work_stood():
    state = brief(continued())
    assert state["files"] == {"old.py": 1}
    assert state["read"] == {"read.py": 1}
    assert (state["phase"], state["request"]) == ("test", "the last request")
    assert state["open"] == ["c"]
    assert (state["in_flight"], state["interrupted"]) == ([], ["e"])
    assert state["counts"] == {}


def test_lineage_is_kept():
    state = continued()
    assert (state["session_id"], state["continues"]) == ("one", "before")
    assert state["continues_how"] == LINK["continues"]
    assert state["started"] == at(600)


def test_what_is_inherited_is_gone_on_with():
    state = brief(continued(request(), *write("f", "old.py"), *run("g", "pytest")))
    assert state["files"] == {"old.py": 2}
    assert (state["failures"], state["open"]) == (["c"], [])
    assert state["counts"] == {"requests": 1, "calls": 2}


def test_a_call_of_the_same_id_in_the_session_before_does_not_hide_this_ones():
    state = brief(continued(request(), *write("a", "old.py")))
    assert state["files"] == {"old.py": 2}


def test_a_start_told_twice_inherits_once():
    before = fold(BEFORE, states.empty("before"))
    twice = later(start(**LINK), start(**LINK))
    state = fold(twice, base_of=lambda _: before)
    assert brief(state) == brief(continued())


def test_a_later_start_does_not_inherit_again():
    state = continued(request(), *write("f", "new.py"), start(**LINK))
    assert list(state["files_processed"]) == ["old.py", "new.py"]


def test_nothing_is_inherited_from_a_session_that_is_gone():
    state = fold(later(start(**LINK), *write("a", "f")), base_of=lambda _: None)
    assert list(state["files_processed"]) == ["f"]
    assert state["continues"] == "before"


def test_a_session_that_continues_itself_inherits_nothing():
    itself = {"continues": {"session": "one", "offset": 10, "source": "resume"}}
    state = fold(later(start("resume", **itself), request()), base_of=lambda _: fold(BEFORE))
    assert (state["continues"], state["files_processed"]) == (None, {})


def test_a_pin_is_inherited():
    before = fold(timed(request(), PIN), states.empty("before"))
    state = fold(later(start(**LINK), *write("a", "f")), base_of=lambda _: before)
    assert brief(state)["phase"] == "review"


UNLINK = {"event": "Unlink"}


def test_unlink_lets_go_of_what_was_inherited():
    state = continued(UNLINK)
    left = brief(state)
    assert (left["files"], left["read"], left["failures"], left["interrupted"]) == ({}, {}, [], [])
    assert (left["phase"], left["request"], state["continues"]) == (None, None, None)


def test_unlink_keeps_what_the_session_did_itself():
    own = [request("mine"), *write("f", "old.py"), *write("g", "new.py"), pre("h", path="x")]
    left = brief(continued(*own, UNLINK))
    assert left["files"] == {"old.py": 2, "new.py": 1}
    assert (left["phase"], left["request"]) == ("build", "mine")
    assert left["in_flight"] == ["h"]
    assert left["counts"] == {"requests": 1, "calls": 2}


def test_unlink_keeps_a_phase_that_both_sessions_were_in():
    left = brief(continued(request(), *run("f", "pytest"), UNLINK))
    assert left["phase"] == "test"


# --- properties --------------------------------------------------------------------------------

PATHS = st.sampled_from(["a.py", "b.py", "src/c.py", "/outside/d"])
LOOKS = st.sampled_from(["ls", "git status", "rg x"])
WORK = st.sampled_from(["make", "pytest", "git commit -m x", "./unknown"])
OUTCOMES = st.sampled_from(["success"] * 4 + ["failure", "interrupted", "nothing"])


def _ended(begun: dict, outcome: str, facts: dict) -> list[dict]:
    """The records of a call's end: none when it was denied, or never ended."""
    done = {**begun, "event": "PostToolUse"}
    if outcome == "success":
        return [{**done, **facts}]
    if outcome == "failure":
        return [{**done, "event": "PostToolUseFailure", "error": "Exit code 1"}]
    return [{**done, "interrupted": True}] if outcome == "interrupted" else []


class Journals:
    """Draws journals as sessions write them, every call with an id of its own."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.calls = 0
        self.prompts = 0

    def call(self, reading: bool, **about) -> list[dict]:
        """The records of one call, its beginning first."""
        self.calls += 1
        facts: dict = {}
        tool = self.draw(
            st.sampled_from(["Read", "Bash"] if reading else ["Write", "Edit", "Bash"])
        )
        if tool == "Bash":
            about["command"] = self.draw(LOOKS if reading else WORK)
            for kind in () if reading else ("created", "changed", "deleted"):
                names = self.draw(st.lists(PATHS, max_size=2, unique=True))
                facts.update({kind: names} if names else {})
        else:
            about["path"] = self.draw(PATHS)
        begun = pre(f"c{self.calls}", tool, **about)
        ended = _ended(begun, self.draw(OUTCOMES), facts)
        if facts and ended and "error" not in ended[0] and self.draw(st.booleans()):
            ended.append(post(begun["call"], "Bash", more=True, created=["more.py"]))
        return [begun, *ended]

    def batch(self, **about) -> list[dict]:
        """Calls in parallel, which only read: each begins before it ends, in any order else."""
        waiting = [self.call(reading=True, **about) for _ in range(self.draw(st.integers(1, 4)))]
        records = []
        while waiting:
            records.append(self.draw(st.sampled_from(waiting)).pop(0))
            waiting = [call for call in waiting if call]
        return records

    def subagent(self) -> list[dict]:
        """A subagent's life; one in the background is launched before it does anything."""
        self.calls += 1
        name = f"agent{self.calls}"
        begun = pre(f"c{self.calls}", "Agent", description=name)
        work = [
            each for _ in range(self.draw(st.integers(0, 2))) for each in self.batch(agent=name)
        ]
        ended = {**begun, "event": "PostToolUse"}
        if self.draw(st.booleans()):
            return [begun, {**ended, "result": "async_launched", "launched": name}, *work]
        return [begun, *work, {**ended, "result": "completed"}]

    def given_list(self) -> list[dict]:
        """A list in two parts, as a set of its own."""
        self.calls += 1
        of_set = f"s{self.calls}"
        return [files(1, 2, "one.py", of_set=of_set), files(2, 2, "two.py", of_set=of_set)]

    def restored(self) -> list[dict]:
        """What a restore writes."""
        self.calls += 1
        of_set = f"s{self.calls}"
        return [restore("test", of_set), files(1, 1, "given.py", of_set=of_set)]

    def turn(self) -> list[dict]:
        """A request, what is done for it, and how that ends, if it does."""
        mode = {"mode": "plan"} if self.draw(st.integers(0, 5)) == 0 else {}
        self.prompts += 1
        begun = TASK if self.draw(st.integers(0, 5)) == 0 else request(**mode)
        records = [{**begun, "prompt": f"p{self.prompts}"}]
        for _ in range(self.draw(st.integers(0, 3))):
            kind = self.draw(st.sampled_from(["read", "read", "write", "write", "agent", "set"]))
            if kind == "read":
                records += self.batch()
            elif kind == "write":
                records += self.call(reading=False)
            elif kind == "agent":
                records += self.subagent()
            else:
                records += self.draw(
                    st.sampled_from(
                        [
                            [PIN],
                            [LET_GO],
                            self.restored(),
                            self.given_list(),
                            [COMPACT, start("compact")],
                        ]
                    )
                )
        seen = {"event": "Worktree", "head": "h", "fingerprints": {"a.py": "1-2-3"}}
        return records + self.draw(
            st.sampled_from(
                [
                    [],
                    [STOP],
                    [STOP, seen],
                    [{**STOP, "background_tasks": 1}],
                    [{"event": "StopFailure"}],
                    [COMPACT, start("compact"), STOP],
                ]
            )
        )

    def journal(self) -> list[dict]:
        """A session, perhaps ended and resumed, or killed and resumed."""
        records = [start(**(LINK if self.draw(st.booleans()) else {}))]
        for _ in range(self.draw(st.integers(1, 4))):
            records += self.turn()
            records += self.draw(
                st.sampled_from([[], [], [END], [start("resume")], [END, start("resume")]])
            )
        return later(*records)


@st.composite
def journals(draw) -> list[dict]:
    return Journals(draw).journal()


FOUND = fold(BEFORE, states.empty("before"))
thorough = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,  # the same journals for everybody: a red run is red again
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def whole(records: list[dict], state: dict | None = None) -> dict:
    return fold(records, state, base_of=lambda _: FOUND)


def kept(state: dict) -> dict:
    """A state as a checkpoint gives it back."""
    text = json.dumps(states.plain(state), allow_nan=False)
    return states.complete(json.loads(text))


@thorough
@given(journals(), st.data())
def test_any_split_of_a_journal_gives_the_same_state(records, data):
    cuts = data.draw(st.lists(st.integers(0, len(records)), max_size=5).map(sorted))
    state = states.empty("one")
    for begin, end in zip([0, *cuts], [*cuts, len(records)]):
        state = kept(whole(records[begin:end], state))
    assert state == whole(records)
    assert list(state["files_processed"]) == list(whole(records)["files_processed"])


@thorough
@given(journals())
def test_every_prefix_of_a_journal_folds_to_what_json_can_hold(records):
    state = states.empty("one")
    for record in records:
        state = whole([record], state)
        assert kept(state) == state


@thorough
@given(journals())
def test_every_record_twice_changes_nothing(records):
    assert whole([each for record in records for each in (record, record)]) == whole(records)


@thorough
@given(journals(), st.data())
def test_a_copy_of_a_calls_record_a_little_later_changes_nothing(records, data):
    copied = list(records)
    for index in sorted(data.draw(st.sets(st.integers(0, len(records) - 1), max_size=4)))[::-1]:
        record = records[index]
        if "call" not in record:
            continue
        # The client goes on to the next request, stop or write only when both hooks have ended.
        room = index
        while room + 1 < len(records) and _only_looks(records[room + 1]):
            room += 1
        copied.insert(data.draw(st.integers(index, room)) + 1, record)
    expected = whole(records)
    assert _without_order(whole(copied)) == _without_order({**expected})


def _only_looks(record: dict) -> bool:
    return record.get("tool") == "Read" or record.get("command") in ("ls", "git status", "rg x")


def _without_order(state: dict) -> dict:
    """The state, the order of calls and the moments within a batch aside."""
    plain = kept(state)
    for name in ("in_flight", "interrupted", "failures"):
        plain[name] = sorted(plain[name], key=lambda call: call["call"])
    plain["last_active"] = None
    return plain


@st.composite
def batches(draw) -> tuple[list[dict], list[dict], list[dict]]:
    """What comes before a batch of parallel calls that read, the batch, and what comes after.

    Of one moment, and about different things: else the order is a fact of its own.
    """
    drawn = Journals(draw)
    before, after = drawn.journal(), drawn.turn()
    batch = []
    for number in range(draw(st.integers(2, 5))):
        begun, *ended = drawn.call(reading=True)
        name = "path" if "path" in begun else "command"
        batch.append([{**each, name: f"{each[name]} {number}"} for each in (begun, *ended)])
    return before, batch, after


@thorough
@given(batches(), st.data())
def test_the_order_of_parallel_calls_changes_nothing(parts, data):
    before, batch, after = parts
    moment = len(before) + 700
    in_turn = [{**record, "at": at(moment)} for call in batch for record in call]
    if data.draw(st.booleans()):  # a hook may even overtake the one before it
        mixed = data.draw(st.permutations(in_turn))
    else:
        mixed = []
        waiting = [[{**record, "at": at(moment)} for record in call] for call in batch]
        while waiting:
            mixed.append(data.draw(st.sampled_from(waiting)).pop(0))
            waiting = [call for call in waiting if call]
    assume(mixed != in_turn)
    rest = [{**record, "at": at(moment + 1)} for record in timed(*after)]
    assert _without_order(whole([*before, *mixed, *rest])) == _without_order(
        whole([*before, *in_turn, *rest])
    )


@thorough
@given(journals(), st.data())
def test_the_fold_leaves_what_it_is_given_as_it_was(records, data):
    cut = data.draw(st.integers(0, len(records)))
    state = whole(records[:cut])
    before, rest, base = copy.deepcopy((state, records[cut:], FOUND))
    whole(records[cut:], state)
    assert (state, records[cut:], FOUND) == (before, rest, base)


@thorough
@given(journals())
def test_no_call_is_counted_in_two_places(records):
    state = whole(records)
    places = [call["call"] for name in ("in_flight", "interrupted") for call in state[name]]
    assert len(places) == len(set(places))
    counts = state["counts"]
    ended = {
        record["call"] for record in records if "call" in record and record["event"] != "PreToolUse"
    }
    assert counts["calls"] == len(ended)
    begun = {record["call"] for record in records if "call" in record}
    open_now = {call["call"] for call in state["in_flight"]}
    assert counts["calls"] + counts["no_result"] + len(open_now - ended) <= len(begun)
