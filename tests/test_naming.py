"""Any text may name a session: its files stay inside, and no two ids share one."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.project import place
from lib.recording import journal

QUICK = settings(max_examples=100, deadline=None, database=None)
UUID = "39e7a3d4-7fc0-48a7-bd61-12f5c5c7cc20"


def stem_of(identifier: str) -> str:
    """The stem of the session that an event names."""
    return journal.Event({"session_id": identifier}, "Stop").session


ITSELF = {
    "an id of the client's": UUID,
    "a word": "manual",
    "dots and dashes inside": "a.b-c_d",
    "the longest": "a" * 100,
}

REDUCED = {
    "the directory above": "..",
    "a walk upwards": "../../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "a path": "a/b",
    "a backslash": "..\\..\\a",
    "one dot": ".",
    "a hidden file": ".hidden",
    "an option": "-rf",
    "a NUL": "a\0b",
    "a line break": "a\nb",
    "an escape": "\x1b[31mred",
    "a space": "a b",
    "a space alone": " ",
    "capitals": "ABC",
    "accents composed": "caf\u00e9",
    "accents decomposed": "cafe\u0301",
    "Chinese": "\u4e2d\u6587",
    "half a character": "a\ud800",
    "text that runs backwards": "a\u202eb",
    "10,000 letters": "a" * 10_000,
    "10,000 emoji": "\U0001f600" * 10_000,
    "101 letters": "a" * 101,
    "128 letters and the digest of a reduced id": "a" * 128 + "~0123456789abcdef",
    "a percent sign": "%2e%2e%2f",
    "the name of a reduced id": "abc~0123456789abcdef",
    "a shell's words": "$(touch x);`id`",
    "the file's suffix after a slash": "/.jsonl",
}

LOOKALIKES = {
    "capitals": ["abc", "ABC", "Abc", "aBC"],
    "accents": ["caf\u00e9", "cafe\u0301", "cafe", "CAF\u00c9"],
    "separators": ["a/b", "a\\b", "a b", "a:b", "ab", "a\0b", "a\nb"],
    "dots": ["a", "a.", "a..", ".a", "..a", "a.jsonl"],
    "spaces around": ["a", " a", "a ", "a\t", "a\n"],
    "long ones": ["x" * 100, "x" * 101, "x" * 128, "x" * 129, "x" * 10_000, "x" * 10_000 + "y"],
    "long capitals": ["X" * 100, "X" * 101, "X" * 127, "X" * 128, "X" * 129],
    "long reduced ones": ["/" + "x" * 100, "//" + "x" * 100, "~" + "x" * 101, "x" * 101],
    "an id and its own reduction": ["ABC", stem_of("ABC")],
    "a long id and its own reduction": ["x" * 200, stem_of("x" * 200)],
    "reductions that differ in case": ["ABC~0123456789abcdef", "abc~0123456789abcdef"],
    "half characters": ["\ud800", "\udc00", "\ufffd", "?"],
    "letters that fold to others": ["k", "K", "\u212a", "s", "\u017f", "\u0131", "i", "I"],
}

IDS = st.text(st.characters(exclude_categories=()), min_size=1) | st.text(
    "aA.-_~/\\ \n\0", min_size=1, max_size=8
)


def is_harmless(stem: str) -> bool:
    """Whether a stem is one file's name anywhere, with room for `session-` and a suffix."""
    letters = set("abcdefghijklmnopqrstuvwxyz0123456789._-~")
    return bool(stem) and set(stem.lower()) <= letters and stem[0] not in ".-" and len(stem) <= 120


@pytest.mark.parametrize("identifier", ITSELF.values(), ids=ITSELF)
def test_a_plain_id_is_its_own_stem(identifier):
    assert stem_of(identifier) == identifier


@pytest.mark.parametrize("identifier", REDUCED.values(), ids=REDUCED)
def test_any_other_id_is_reduced_to_a_harmless_stem(identifier):
    stem = stem_of(identifier)
    assert stem != identifier
    assert is_harmless(stem)


@pytest.mark.parametrize("identifiers", LOOKALIKES.values(), ids=LOOKALIKES)
def test_no_two_of_these_share_a_file_even_where_case_is_ignored(identifiers):
    stems = {stem_of(identifier).lower() for identifier in identifiers}
    assert len(stems) == len(identifiers)


@pytest.mark.parametrize("identifier", REDUCED.values(), ids=REDUCED)
def test_a_stem_that_was_printed_is_taken_back_as_it_is(identifier):
    stem = stem_of(identifier)
    assert place.session_of(stem) == stem


def test_no_id_means_the_manual_session():
    assert stem_of("") == "manual"
    for given_id in (None, 7, [], {}):
        assert journal.Event({"session_id": given_id}, "Stop").session == "manual"


@QUICK
@given(IDS)
@example("../" * 100)
@example("~" + "a" * 100)
def test_every_stem_is_harmless(identifier):
    assert is_harmless(stem_of(identifier))


@QUICK
@given(IDS, IDS)
def test_two_ids_never_share_a_file(one, other):
    if one != other:
        stems = [stem_of(identifier).lower() for identifier in (one, other)]
        assert stems[0] != stems[1]


@QUICK
@given(IDS)
def test_an_id_and_its_case_swapped_never_share_a_file(identifier):
    other = identifier.swapcase()
    if other != identifier:
        assert stem_of(identifier).lower() != stem_of(other).lower()


@QUICK
@given(st.text("abAB.-", min_size=1, max_size=4), st.text("abAB.-", min_size=1, max_size=4))
def test_two_names_never_share_a_file(one, other):
    if one != other:
        assert journal.stem(one).lower() != journal.stem(other).lower()


@pytest.mark.parametrize(
    "identifier", [*ITSELF.values(), *REDUCED.values()], ids=[*ITSELF, *REDUCED]
)
def test_a_session_of_any_id_is_recorded_inside(hooks, identifier, tmp_path):
    hooks.prompt(identifier)
    file = hooks.directory / "sessions" / f"{stem_of(identifier)}.jsonl"
    assert json.loads(file.read_text())["event"] == "UserPromptSubmit"
    assert {path.name for path in hooks.directory.iterdir()} == {
        *(".gitignore", "README", "keys", "project.json", "sessions")
    }
    assert list((hooks.directory / "sessions").iterdir()) == [file]
    assert {path.name for path in tmp_path.iterdir()} == {"project", "home"}


@pytest.mark.parametrize("identifiers", LOOKALIKES.values(), ids=LOOKALIKES)
def test_lookalikes_have_a_journal_each(hooks, identifiers):
    for identifier in identifiers:
        hooks.prompt(identifier)
    found = list((hooks.directory / "sessions").iterdir())
    assert len({file.name.lower() for file in found}) == len(identifiers)
    assert all(file.read_bytes().count(b'"check"') == 1 for file in found)


@pytest.mark.parametrize("identifier", ["ABC", "../../x", "x" * 10_000, "caf\u00e9"])
def test_a_session_of_any_id_has_a_checkpoint_at_its_stop(hooks, identifier):
    hooks.prompt(identifier)
    hooks.stop(identifier)
    assert len(list((hooks.directory / "checkpoints").iterdir())) == 1
    assert len(list((hooks.directory / "sessions").iterdir())) == 1
