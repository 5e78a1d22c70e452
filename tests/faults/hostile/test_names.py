"""Names of checkpoints and keys: refused by the rule, or kept inside under the very same name."""

from __future__ import annotations

import pytest

from lib.state import BadName, UnknownCheckpoint
from tests.faults.hostile.conftest import Place

ROW = "hostile input"

REFUSED = {
    "C01 ../ traversal": "../x",
    "C02 an absolute path": "/tmp/x",
    "C03 empty": "",
    "C04 a dot": ".",
    "C05 two dots": "..",
    "C06 a slash inside": "a/b",
    "C07 NUL": "a\0b",
    "C08 300 bytes": "n" * 300,
    "C09 a list": ["x"],
    "C10 null": None,
    "C11 the name of an internal file": ".restore",
    "C12 hidden": ".git",
    "C13 a line break": "a\nb",
    "C14 a lookalike of a letter": "\u0430bc",
    "a Windows device": "con.json",
    "an option": "--force",
    "a line break at its end": "abc\n",
    "a backslash": "..\\x",
    "a stem of ours": "abc~0123456789abcdef",
    "bytes": b"abc",
    "a lone surrogate": "\ud800",
}


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_is_refused_by_every_verb_and_changes_nothing(place: Place, neighbourhood, name):
    neighbourhood()
    state = place.state()
    state.save_state("plan", 1)
    inside = sorted(place.directory.rglob("*"))
    verbs = [state.restore_checkpoint, state.delete_checkpoint, state.read_checkpoint, state.diff]
    verbs += [state.load_state, state.delete_state, lambda name: state.save_state(name, 2)]
    if name is not None:  # without a name a checkpoint gets one
        verbs.append(state.checkpoint)
    for verb in verbs:
        with pytest.raises(BadName) as refused:
            verb(name)
        assert isinstance(refused.value, ValueError)
        assert len(str(refused.value)) < 400
    assert sorted(place.directory.rglob("*")) == inside
    place.loses_nothing()


@pytest.mark.parametrize(
    "name", [name for name in REFUSED.values() if isinstance(name, str) and "\0" not in name]
)
def test_the_command_line_refuses_it_in_one_line(place: Place, neighbourhood, name):
    neighbourhood()
    name = name.encode("utf-8", "surrogatepass")
    for verb in (b"checkpoint", b"restore", b"show"):
        done = place.cli(verb, b"--", name)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert done.stderr[:-1].isprintable()


KEPT = {
    "C11 the name of a session's own checkpoint": "session-other",
    "C11 the name of another folder": "sessions",
    "C11 a key that the hooks publish": "files_processed",
    "C14 differing only in case from another": "REFACTOR",
    "128 characters": "n" * 128,
    "ends in .json": "x.json",
    "ends like a damaged file": "x.damaged-20260101T000000-abcd",
    "only digits": "0",
}


@pytest.mark.parametrize("name", KEPT.values(), ids=KEPT)
def test_is_kept_inside_and_restored_under_the_same_name(place: Place, neighbourhood, name):
    neighbourhood()
    state = place.state()
    state.checkpoint("refactor")
    state.save_state("plan", [name])
    assert state.checkpoint(name) == name
    state.save_state("plan", 0)
    state.save_state("newer", 1)
    state.restore_checkpoint(name)
    assert (state.load_state("plan"), state.load_state("newer")) == ([name], None)
    assert {"refactor", name} <= {each["name"] for each in state.checkpoints()}
    place.loses_nothing()


def test_c15_a_name_never_saved_restores_nothing(place: Place, neighbourhood):
    neighbourhood()
    state = place.state()
    state.save_state("plan", 1)
    before = sorted(place.directory.rglob("*"))
    with pytest.raises(UnknownCheckpoint, match="never"):
        state.restore_checkpoint("never")
    assert state.load_state("plan") == 1
    assert sorted(place.directory.rglob("*")) == before


def test_c16_a_second_checkpoint_under_one_name_replaces_the_first(place: Place):
    state = place.state()
    for value in (1, 2):
        state.save_state("plan", value)
        state.checkpoint("twice")
    state.save_state("plan", 3)
    state.restore_checkpoint("twice")
    assert state.load_state("plan") == 2
    assert [each["name"] for each in state.checkpoints()].count("twice") == 1


def test_c11_a_checkpoint_named_like_a_safety_one_is_not_taken_for_it(place: Place):
    """Undo takes back a restore; what a person named is theirs."""
    state = place.state()
    state.save_state("plan", "mine")
    state.checkpoint("before-restore-zzz")
    state.save_state("plan", "old")
    state.checkpoint("old")
    state.save_state("plan", "new")
    state.restore_checkpoint("old")
    state.undo()
    assert state.load_state("plan") == "new"
    assert "before-restore-zzz" in {each["name"] for each in state.checkpoints()}


def test_c11_a_checkpoint_named_like_another_sessions_does_not_stand_for_it(place: Place):
    """Its journal gone, nothing is left of that session: another's state is not it."""
    place.run("PostToolUse", {"session_id": "b"})
    state = place.state("b")
    state.checkpoint("session-a")
    assert state.sessions.live("a") is None
