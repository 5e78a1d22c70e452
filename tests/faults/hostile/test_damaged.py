"""Damage in every place of the state: quarantined or passed over, told, and the rest still served."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lib.errors import StoreError
from lib.recording import journal
from lib.state import Damaged, NewerVersion
from lib.stores import document_checks
from tests.faults.hostile.conftest import EVENTS, PAST, Place

ROW = "damaged files"

CONTENTS = {
    "E01 nothing": b"",
    "E02 null": b"null",
    "E03 a list": b"[]",
    "E04 a number": b"7",
    "E05 4,096 NULs": bytes(4096),
    "E06 a byte order mark alone": b"\xef\xbb\xbf",
    "E07 100,000 nested lists": b"[" * 100_000 + b"]" * 100_000,
    "E08 an integer of 1,000,000 digits": b"9" * 1_000_000,
    "E09 not a number": b"NaN",
    "E10 its members are of other types": b'{"value": {}, "keys": [1], "created": {}, "note": 7}',
    "E11 its members' members are": (
        b'{"v": 1, "value": 1, "keys": {"plan": 7}, "created": 1, "session": [1], "note": [1]}'
    ),
    "E13 conflict markers": b'<<<<<<< HEAD\n{"value": 1}\n=======\n{"value": 2}\n>>>>>>> x\n',
    "E15 invalid UTF-8": b'{"value": "\xff\xfe"}',
    "E16 line breaks of another system": b"\r\n\r\n",
    "E17 random bytes": bytes(range(256)) * 16,
}
PLACES = (
    "sessions/hostile.jsonl",
    "sessions/other.jsonl",
    "checkpoints/session-hostile.json",
    "checkpoints/named.json",
    "current_phase.json",
    "plan.json",
    ".restore.json",
    ".lock",
    "README",
    ".gitignore",
    "../workflow-state.json",
)


def _bytes_are_kept(place: Place, data: bytes) -> bool:
    """Under whatever name; a journal's go before the new records."""
    files = [path for path in place.directory.parent.rglob("*") if path.is_file()]
    return any(path.read_bytes().startswith(data) for path in files)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
def test_is_kept_and_told_at_most_once_and_the_hooks_go_on(place, neighbourhood, data, name):
    (place.directory / name).write_bytes(data)
    if not name.startswith(".."):  # the settings are the user's own file: it stays as it is
        neighbourhood()
    told = 0
    for _ in range(2):
        for event in ("SessionStart", "PostToolUse", "Stop"):
            told += place.run(event, {}).keeps_the_contract().code
    assert told <= 1
    assert place.records("hostile")[-1]["event"] in ("Stop", "Worktree")
    kept = json.loads((place.directory / "checkpoints/session-hostile.json").read_text())
    assert list(kept["session"]["files_processed"])[-1] == "x.py"
    if name != "current_phase.json" or data[:1] != b"{":  # a whole one is published over
        assert _bytes_are_kept(place, data)
    assert len(place.records(PAST)) >= 6
    place.goes_on()


@pytest.mark.parametrize("name", ["plan.json", ".restore.json", "checkpoints/other.json"])
@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
def test_the_api_serves_the_rest(place: Place, data, name):
    """By the second try: the first may tell. No exception but a StateError."""
    state = place.state()
    state.save_state("intact", 1)
    state.checkpoint("intact")
    state.save_state("intact", 2)
    (place.directory / name).write_bytes(data)
    for verb in (state.keys, state.checkpoints, lambda: state.diff("intact"), state.checkpoint):
        for attempt in (verb, verb):
            try:
                attempt()
            except (Damaged, NewerVersion):
                pass
        try:
            verb()
        except StoreError as error:
            pytest.fail(f"told for a third time: {error}")
    assert place.state().load_state("intact") == 2
    place.state().restore_checkpoint("intact")
    assert place.state().load_state("intact") == 1


def test_a_damaged_intent_hides_no_key(place: Place):
    """What it says is lost; what lies beside it is not, not even for one reader."""
    place.state().save_state("intact", 1)
    (place.directory / ".restore.json").write_bytes(b"")
    answers = []
    for _ in range(2):
        try:
            answers.append(place.state().load_state("intact"))
        except Damaged:
            pass
    assert 1 in answers
    assert set(answers) == {1}


def test_five_damaged_keys_cost_at_most_one_checkpoint(place: Place):
    for number in range(5):
        (place.directory / f"key{number}.json").write_bytes(b"{")
    codes = [place.run("Stop", {}).keeps_the_contract().code for _ in range(2)]
    assert codes in ([1, 0], [0, 0])
    assert (place.directory / "checkpoints/session-hostile.json").exists()


def _huge(path: Path, megabytes: int) -> None:
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(b"x" * (1 << 20))


@pytest.mark.parametrize("name", PLACES)
def test_e12_100_mb_in_bounded_time_and_memory(place: Place, neighbourhood, name):
    _huge(place.directory / name, 100)
    if not name.startswith(".."):
        neighbourhood()
    told = 0
    for event in ("SessionStart", "PostToolUse", "Stop", "Stop"):
        told += place.run(event, {}).keeps_the_contract().code
    assert told <= 1
    assert (place.directory / "checkpoints/session-hostile.json").stat().st_size < 1 << 20
    place.goes_on()


NEWER = json.dumps({"v": 999, "value": 1, "keys": {}, "created": "x", "check": "x"}).encode()


@pytest.mark.parametrize("name", ["plan.json", "checkpoints/session-hostile.json", ".restore.json"])
def test_e14_a_newer_versions_file_is_left_alone(place: Place, neighbourhood, name):
    (place.directory / name).write_bytes(NEWER)
    neighbourhood()
    for event in ("SessionStart", "PostToolUse", "Stop", "Stop"):
        place.run(event, {}).keeps_the_contract()
    assert (place.directory / name).read_bytes() == NEWER
    assert {each["event"] for each in place.records("hostile")} >= {"PostToolUse", "Stop"}
    place.goes_on()


def test_e14_a_newer_versions_key_keeps_no_checkpoint_from_being_made(place: Place):
    (place.directory / "plan.json").write_bytes(NEWER)
    for _ in range(2):
        place.run("Stop", {}).keeps_the_contract()
    assert (place.directory / "checkpoints/session-hostile.json").exists()


def test_e14_a_newer_versions_records_are_passed_over_and_told(place: Place):
    facts = {"v": 999, "at": journal.now(), "event": "PostToolUse", "path": "newer.py"}
    with place.journal(PAST).open("ab") as file:
        file.write(journal.sign(PAST, facts, journal.read_key()))
    done = place.tell("later")
    assert "kept.py" in done.context
    assert "newer.py" not in done.context
    assert "later version" in done.message


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _torn(data: bytes) -> bytes:
    return data[:-5]


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


DAMAGE = {
    "E20 cut in half": _cut,
    "E21 the last 5 bytes gone": _torn,
    "E22 a bit flipped": _flipped,
}
RECORDED = ("sessions/past.jsonl", "checkpoints/session-past.json", "current_phase.json")


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_was_recorded_survives_all_but_the_damage(place, neighbourhood, damage, name):
    path = place.directory / name
    whole = place.records(PAST)
    path.write_bytes(damage(path.read_bytes()))
    neighbourhood()
    left = place.records(PAST)
    assert all(record in whole for record in left)
    if name.startswith("sessions") and damage is not _cut:
        assert len(left) == len(whole) - 1
    codes = [place.run("PostToolUse", {"session_id": PAST}).keeps_the_contract().code]
    codes += [place.run("Stop", {"session_id": PAST}).keeps_the_contract().code for _ in range(2)]
    assert codes[0] == codes[2] == 0
    files = place.state().session_state(PAST)["files_processed"]
    assert "x.py" in files
    if not name.startswith("sessions"):
        assert "kept.py" in files
    told = place.tell(PAST, "resume")
    assert "x.py" in told.context
    place.goes_on()


def test_a_damaged_record_is_told_to_the_user(place: Place):
    path = place.journal(PAST)
    path.write_bytes(_flipped(path.read_bytes()))
    (place.directory / "checkpoints/session-past.json").unlink()
    assert "damaged" in place.tell("later").message


def test_a_journal_that_is_gone_leaves_its_checkpoint(place: Place):
    place.journal(PAST).unlink()
    assert "kept.py" in place.tell(PAST, "resume").context


def test_a_damaged_checkpoint_leaves_the_last_good_one(place: Place):
    state = place.state()
    for number, name in enumerate(("first", "second")):
        state.save_state("plan", number)
        state.checkpoint(name)
    path = place.directory / "checkpoints/second.json"
    path.write_bytes(_cut(path.read_bytes()))
    with pytest.raises(Damaged):
        state.restore_checkpoint("second")
    assert state.load_state("plan") == 1
    state.restore_checkpoint("first")
    assert state.load_state("plan") == 0


KEYS = {**CONTENTS, "E12 100 MB": None, "31 bytes": b"k" * 31, "33 bytes": b"k" * 33}


@pytest.mark.parametrize("data", KEYS.values(), ids=KEYS)
def test_a_damaged_user_key_costs_no_record_and_tells_claude_nothing(place, data, monkeypatch):
    """Whose records they are cannot be told any more, but they are all there.

    One that is too short was cut short while it was made, and is made anew.
    """
    if data is None:
        _huge(place.key, 100)
    else:
        place.key.write_bytes(data)
    for event in EVENTS:
        done = place.run(event, {}).keeps_the_contract()
        assert done.code == 0
        assert "kept.py" not in done.context
    assert data is None or len(data) < 32 or place.key.read_bytes() == data
    assert place.tell("later").message
    monkeypatch.setenv("WORKFLOW_STATE_TRUST", "all")
    assert {each["event"] for each in place.records("hostile")} >= set(EVENTS)
    assert len(place.records(PAST)) >= 6


@pytest.fixture
def _small_limit(monkeypatch) -> None:
    monkeypatch.setattr(document_checks, "SIZE_LIMIT", 1 << 20)


def test_a_value_that_was_saved_is_never_taken_for_damaged(place: Place, _small_limit):
    """However large: the limit on what is read is a limit on what is written too."""
    state = place.state()
    state.save_state("plan", "old")
    try:
        state.save_state("plan", "x" * (2 << 20))
    except StoreError:
        assert state.load_state("plan") == "old"
    else:
        assert len(state.load_state("plan")) == 2 << 20


def test_a_checkpoint_of_many_values_is_never_taken_for_damaged(place: Place, _small_limit):
    state = place.state()
    for number in range(3):
        state.save_state(f"k{number}", "x" * (400 << 10))
    try:
        state.checkpoint("large")
    except StoreError:
        return
    assert len(state.read_checkpoint("large")["keys"]) >= 3


@pytest.mark.parametrize("depth", [100, 300, 600, 900, 960, 980, 990, 995])
def test_a_nested_value_is_refused_or_kept_whole(place: Place, depth):
    state = place.state()
    value: object = 1
    for _ in range(depth):
        value = [value]
    try:
        state.save_state("deep", value)
    except StoreError:
        return
    assert state.load_state("deep") == value
    state.checkpoint("deep")
    state.restore_checkpoint("deep")
    assert state.load_state("deep") == value


def _far_down(depth: int, verb):
    return verb() if depth == 0 else _far_down(depth - 1, verb)


def test_a_reader_with_a_deep_stack_proves_nothing_about_a_file(place: Place):
    """What does not fit its stack is not damaged: the next reader has the value."""
    state = place.state()
    value: object = 1
    for _ in range(400):
        value = [value]
    state.save_state("deep", value)
    for depth in range(300, 960, 20):
        try:
            assert _far_down(depth, lambda: state.load_state("deep")) == value
        except (StoreError, RecursionError):
            pass
    assert state.load_state("deep") == value


def test_an_errno_proves_nothing_about_a_file(place: Place, monkeypatch):
    state = place.state()
    state.save_state("plan", 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "read", lambda *_: (_ for _ in ()).throw(OSError(5, "I/O error")))
        with pytest.raises(StoreError):
            state.load_state("plan")
    assert state.load_state("plan") == 1
