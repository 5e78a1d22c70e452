"""Large events: a record keeps the same of one as of what json.loads makes of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib.recording import journal, large_events
from tests.conftest import PAYLOADS

PROJECT = "/home/dev/project"
PIECES = st.sampled_from(
    [
        '"',
        "\\",
        ",",
        '",',
        ', "',
        '":',
        '": ',
        "}",
        "]",
        "{",
        "[",
        " ",
        "\n",
        "a",
        "\u00e9",
        '"},{"',
    ]
)
SHORT = st.lists(PIECES, max_size=12).map("".join)
TEXTS = SHORT | st.tuples(SHORT, st.just("x" * 40), SHORT).map("".join)
NAMES = st.sampled_from(
    """file_path path command description url content text type status error staged agentId
    backgroundTaskId isAsync prompt tool_use_id bashEditDiff edits""".split()
)
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXTS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
EVENTS = st.fixed_dictionaries(
    {"hook_event_name": st.sampled_from(["PreToolUse", "PostToolUse", "Stop", "UserPromptSubmit"])},
    optional={
        "session_id": TEXTS,
        "cwd": TEXTS,
        "prompt": TEXTS,
        "error": VALUES,
        "tool_name": TEXTS,
        "tool_input": OBJECTS,
        "tool_response": OBJECTS | VALUES,
        "tool_use_id": TEXTS,
        "background_tasks": st.lists(OBJECTS, max_size=3),
    },
)
COMPACT, SPACED = (",", ":"), (", ", ": ")
STYLES = st.sampled_from([COMPACT, SPACED, (",", ": "), (", ", ":"), (" ,", " : ")])


@pytest.fixture(autouse=True, scope="module")
def _short_is_long():
    """A line is a long string, so that those of a small event are passed over; names are shorter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_events, "LONG", 24)
        yield


def kept(fields: dict) -> list:
    event = journal.Event(fields, "PostToolUse")
    return [event.name, event.session, event.cwd, journal.facts_of(event, PROJECT)]


def scan(text: str) -> dict:
    data = bytearray(text.encode())
    return large_events.scan(data, journal.parse, journal.Unusable)


def same(text: str) -> None:
    assert kept(scan(text)) == kept(json.loads(text))


@given(
    EVENTS, STYLES, st.booleans(), st.sampled_from([None, None, 0, 2]), st.sampled_from(["", "\n"])
)
@example(
    {"hook_event_name": "Stop", "tool_input": {"content": "x" * 20 + '\\"},'}},
    COMPACT,
    True,
    None,
    "",
)
@example(
    {"hook_event_name": "Stop", "background_tasks": [{"a": "x" * 9}, {"b": 'y"'}]},
    COMPACT,
    True,
    None,
    "",
)
def test_a_record_keeps_what_it_would_of_the_whole(event, style, ascii_only, indent, end):
    same(json.dumps(event, separators=style, ensure_ascii=ascii_only, indent=indent) + end)


@given(EVENTS, OBJECTS, STYLES, STYLES, st.booleans())
def test_also_of_an_event_put_together_from_pieces(event, given_input, outer, inner, first):
    """Such as a template that another program's JSON was pasted into."""
    event.pop("tool_input", None)
    head = json.dumps(event, separators=outer)
    pasted = f'"tool_input"{outer[1]}{json.dumps(given_input, separators=inner)}'
    if first:
        same("{" + pasted + outer[0] + head[1:])
    else:
        same(head[:-1] + outer[0] + pasted + "}")


LONG = "x" * 40
MIXED = {
    "a space before a member": '"content":"%s", "file_path":"/a"',
    "a space before a member with a quote": '"content":"%s", "url":"a \\"b\\" c"',
    "spaces within an object": '"content": "%s", "url": "a \\"b\\" c"',
    "spaces within an object, and many quotes": '"content": "%s", "url": "' + '\\"' * 80 + '"',
}


@pytest.mark.parametrize("inner", MIXED.values(), ids=MIXED)
@pytest.mark.parametrize("text", [LONG, LONG + ",", LONG + "\\\\", LONG + '\\"', LONG + '\\"},'])
def test_nothing_is_lost_between_pieces_written_in_two_ways(inner, text):
    given_input = "{" + inner % text + "}"
    same('{"tool_name":"Write","tool_input":' + given_input + ',"tool_use_id":"t"}')
    same('{"tool_name": "Write", "tool_input": ' + given_input + ', "tool_use_id": "t"}')
    head = '{"tool_name":"Write",' + '"cwd":"/a",' * 100  # longer than what tells how it is written
    same(head + '"tool_input":' + given_input + ',"tool_use_id":"t"}')


@given(EVENTS, STYLES, st.data())
def test_what_is_no_json_is_refused_or_kept_as_what_it_was_meant_to_be(event, style, data):
    """Damage inside a string that nobody reads may go unseen; it never becomes something else."""
    text = json.dumps(event, separators=style)
    where = data.draw(st.integers(0, len(text) - 1))
    broken = (
        text[:where] + data.draw(st.sampled_from(["", "\x00", '"', "\\", "}"])) + text[where + 1 :]
    )
    try:
        json.loads(broken)
    except ValueError:
        try:
            found = scan(broken)
        except journal.Unusable:
            return
        assert type(found) is dict
    else:
        return


@pytest.mark.parametrize("name", sorted(path.stem for path in PAYLOADS.glob("*.jsonl")))
def test_of_every_recorded_event(name):
    for line in (PAYLOADS / f"{name}.jsonl").read_text().strip().split("\n"):
        same(line)


def passes_over(text: str) -> int:
    """How many bytes of an event are left."""
    return len(large_events._without_long_strings(bytearray(text.encode())))


@pytest.mark.parametrize("style", [COMPACT, SPACED])
def test_what_the_client_sends_is_passed_over(style, monkeypatch):
    monkeypatch.setattr(large_events, "LONG", 1024)
    code = 'print("a, b", "c\\n", {"d": [1]}, "e",)\n' * 20_000
    response = {"type": "update", "filePath": "/a", "content": code, "originalFile": code + ","}
    event = {"tool_input": {"file_path": "/a", "content": code}, "tool_response": response}
    text = json.dumps({**event, "tool_use_id": "t"}, separators=style)
    assert passes_over(text) < 400
    same(text)


def test_a_long_command_is_read_to_its_end(monkeypatch):
    monkeypatch.setattr(large_events, "LONG", 1024)
    command = "cat <<E > a\n" + "x\n" * 9000 + "E\nmake test"
    event = {"tool_name": "Bash", "tool_input": {"command": command}, "tool_use_id": "t"}
    (facts,) = journal.facts_of(journal.Event(scan(json.dumps(event)), ""), PROJECT)
    assert facts["command"].endswith("make test")
