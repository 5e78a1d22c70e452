"""The fuzz targets in every test run: all seeds, a few hundred inputs each, all that was found.

`make fuzz` searches for hours and is guided by coverage; here the inputs are guided by their shape,
and the same in each run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import targets

FOUND = {
    "a list where the name of a changed file belongs": (
        "event",
        b'\1{"tool_name": "Bash", "tool_response": {"bashEditDiff": {"changedFiles": ["a", [1]]}}}',
    ),
}
"""Every input that ever broke a target, by what it is: fuzzing finds nothing twice."""

few = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a target writes goes to the test's own directory, and nothing waits for a disk."""
    monkeypatch.setattr(targets.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "fuzz")


@pytest.mark.parametrize("target", targets.NAMES)
def test_every_target_holds_on_its_seeds(target: str) -> None:
    seeds = [data for name, data in targets.seeds() if name == target]
    assert seeds
    for data in seeds:
        targets.TARGETS[target](data)


@pytest.mark.parametrize("case", FOUND)
def test_what_was_found_is_not_found_again(case: str) -> None:
    target, data = FOUND[case]
    targets.TARGETS[target](data)


@pytest.mark.parametrize("target", targets.NAMES)
def test_every_target_holds_on_any_bytes(target: str) -> None:
    @few
    @given(st.binary(max_size=300))
    def check(data: bytes) -> None:
        targets.TARGETS[target](data)

    check()


# --- texts -------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        "\0",
        "\n",
        "\r",
        "\u2028",
        "\u202e",
        "\x1b[2J",
        '"',
        "\\",
        "`",
        "<",
        ">",
        "[end of",
        "More:",
        "git commit",
        "pytest",
        "; ",
        "&&",
        "|",
        "<<EOF\n",
        "\nEOF",
        "$(",
        "'",
        "sudo ",
        "A=1 ",
        "PASSWORD=",
        "Bearer ",
        "sk-",
        "ghp_",
        "://u:",
        "@h",
        "a" * 40,
        "é",
        "\U0001f600",
        " ",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=6), max_size=30).map("".join)


@pytest.mark.parametrize("target", ["command", "secret", "told", "words"])
def test_a_text_made_of_what_means_something_is_held(target: str) -> None:
    @few
    @given(TEXTS)
    def check(text: str) -> None:
        targets.TARGETS[target](text.encode("utf-8", "surrogatepass"))

    check()


# --- events ------------------------------------------------------------------------------------

HOSTILE = st.sampled_from(
    [None, True, 0, -1, 10**30, 1e308, "", ".", "..", "/", "//", "\0", "\ud800", "\u202e", "x" * 9000,
     "\u2603" * 3000, "../" * 500, "/project", "/project/", "~", [], {}, [[]], [{}], {"": None}]
) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip

RECORDED = [
    json.loads(line)
    for file in sorted((Path(__file__).resolve().parent.parent / "payloads").glob("*.jsonl"))
    for line in file.read_bytes().splitlines()
]
KNOWN = sorted({name for event in RECORDED for name in event})


def places(value: object, parent: object = None, at: object = None) -> list[tuple]:
    """Every (container, index) in a JSON value, at any depth."""
    found = [] if parent is None else [(parent, at)]
    if isinstance(value, dict):
        for name in value:
            found += places(value[name], value, name)
    elif isinstance(value, list):
        for index in range(len(value)):
            found += places(value[index], value, index)
    return found


@st.composite
def mutated(draw: st.DrawFn) -> dict:
    """A recorded event with a few of its nodes replaced, removed or doubled."""
    event = json.loads(json.dumps(draw(st.sampled_from(RECORDED))))
    for _ in range(draw(st.integers(1, 4))):
        found = places(event)
        if not found:
            break
        parent, at = found[draw(st.integers(0, len(found) - 1))]
        how = draw(st.sampled_from(["replace", "remove", "double", "replace"]))
        if how == "replace":
            parent[at] = draw(HOSTILE)
        elif how == "remove":
            del parent[at]
        elif isinstance(parent, list):
            parent.insert(at, json.loads(json.dumps(parent[at])))
        else:
            parent[draw(st.sampled_from(KNOWN))] = json.loads(json.dumps(parent[at]))
    return event


HOOKS = st.integers(0, len(targets.SCRIPTS) - 1)
EVENTS = mutated() | st.dictionaries(
    st.sampled_from(KNOWN) | st.text(max_size=5), HOSTILE, max_size=8
)


@few
@given(HOOKS, EVENTS)
def test_an_event_with_anything_in_any_field_is_recorded_or_refused(hook: int, event: dict) -> None:
    targets.event(bytes([hook]) + json.dumps(event).encode())


# --- files -------------------------------------------------------------------------------------

EDITS = st.lists(
    st.tuples(*[st.integers(0, 255) for _ in range(4)]).map(bytes), min_size=1, max_size=4
).map(b"".join)


@pytest.mark.parametrize("file", range(len(targets.DAMAGED)), ids=targets.DAMAGED)
def test_a_file_with_edited_bytes_costs_itself_alone(file: int) -> None:
    @few
    @given(EDITS)
    def check(script: bytes) -> None:
        targets.damaged(bytes([file]) + script)

    check()


def test_no_flipped_bit_of_a_checkpoint_or_a_record_is_taken_for_what_was_written() -> None:
    """One bit in every few bytes of both files, from one end to the other."""
    for file in range(2):
        for at in range(0, 1200, 29):
            targets.damaged(bytes([file, 0, at >> 8, at & 255, at % 7]))
