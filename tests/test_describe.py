"""What a call is about, in words: session/describe.py."""

from __future__ import annotations

import pytest

from lib.session.describe import describe, shortened, subject

FIELDS = {
    "path": "src/a.py",
    "command": "make",
    "description": "Build it",
    "url": "https://example.org",
}


@pytest.mark.parametrize("first", FIELDS)
def test_the_first_field_that_a_call_has_is_its_subject(first):
    names = list(FIELDS)
    call = {name: FIELDS[name] for name in reversed(names[names.index(first) :])}
    assert subject(call) == FIELDS[first]
    assert subject({"path": "", **call}) == FIELDS[first] or first == "path"
    assert describe({"tool": "Any", **call}) == f"Any {FIELDS[first]}"


def test_a_call_without_a_subject_is_its_tool():
    assert subject({"tool": "LSP"}) == ""
    assert describe({"tool": "LSP"}) == "LSP"


@pytest.mark.parametrize("tool", [{}, {"tool": None}, {"tool": ""}])
def test_a_call_without_a_tool_is_called_what_the_caller_calls_it(tool):
    assert describe({**tool, "command": "make"}) == "? make"
    assert describe({**tool, "command": "make"}, unnamed="the turn") == "the turn make"


def test_a_description_is_one_line():
    call = {"tool": "Bash", "command": "\n make \\\n\t all\r\n"}
    assert describe(call) == "Bash make \\ all"
    assert subject(call) == call["command"]


def test_a_limit_cuts_the_end_of_a_command_and_the_middle_of_a_path():
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert subject({"command": letters}, 10) == "abcdefg..."
    assert subject({"path": letters}, 10) == "ab...vwxyz"
    assert describe({"tool": "Read", "path": letters}, 10) == "Read ab...vwxyz"
    for name in FIELDS:
        assert subject({name: letters}, 26) == subject({name: letters}) == letters


@pytest.mark.parametrize("limit", range(3, 12))
@pytest.mark.parametrize("tail", [0, 1])
def test_a_shortened_text_has_as_many_characters_as_it_may(limit, tail):
    assert len(shortened("abcdefghijk", limit, min(tail, limit - 3))) == min(limit, 11)
