"""Journals read back: what is ours counts, and nothing that is wrong costs its neighbours."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.format import records
from lib.recording import journal

KEY = b"k" * 32
OTHER = b"o" * 32
AT = "2026-11-23T10:00:00.000Z"


def facts(number: int, **more) -> dict:
    """What the record of that number holds."""
    return {"v": 1, "at": AT, "event": "PostToolUse", "number": number, **more}


def line(number: int, key: bytes = KEY, session: str = "one", **more) -> bytes:
    """A record as a hook appends it."""
    return journal.sign(session, facts(number, **more), key)


@contextmanager
def opened(data: bytes, path: str):
    """A descriptor of a file that holds `data`."""
    with open(path, "wb") as file:
        file.write(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's key is KEY."""
    monkeypatch.setattr(journal, "read_key", lambda make=False: KEY)


@pytest.fixture
def reading(tmp_path, keyed):
    """Reads a journal's bytes: the numbers of its records, and the finished pass."""

    def read(data: bytes, offset: int = 0, end: int | None = None):
        with opened(data, str(tmp_path / "one.jsonl")) as descriptor:
            replayed = records.Replay(descriptor, "one", offset, end)
            return [record["number"] for record in replayed], replayed

    return read


def test_records_come_back_as_they_were(tmp_path, keyed):
    given_facts = facts(1, path="a\n\u2028é\ud800", count=2, ok=True, none=None, list=["x"])
    with opened(journal.sign("one", given_facts, KEY), str(tmp_path / "j")) as descriptor:
        (record,) = records.Replay(descriptor, "one")
    assert record == given_facts


GOOD = [line(0), line(1), line(2)]

BETWEEN = {
    "nothing": (b"", {}),
    "empty lines": (b"\n\n\n", {}),
    "garbage": (b"garbage\n", {"damaged": 1}),
    "zero bytes, as after a power cut": (b"\0" * 4096 + b"\n", {"damaged": 1}),
    "zero bytes without an end": (b"\0" * 4096, {"damaged": 1}),
    "the first half of a record": (line(9)[: len(line(9)) // 2], {"damaged": 1}),
    "the second half of a record": (line(9)[len(line(9)) // 2 :], {"damaged": 1}),
    "JSON without a check": (b'{"v":1,"at":"x","number":9}\n', {"damaged": 1}),
    "JSON that is no object": (b"[1,2]\n", {"damaged": 1}),
    "an empty check": (b'{"v":1,"number":9,"check":""}\n', {"damaged": 1}),
    "a check that is not ASCII": (b'{"v":1,"number":9,"check":"\xc3\xa9"}\n', {"damaged": 1}),
    "bytes that are not UTF-8": (b'{"v":1,"number":"\xff","check":"00"}\n', {"damaged": 1}),
    "another user's record": (line(9, OTHER), {"foreign": 1}),
    "a record under no key": (line(9, b""), {"foreign": 1}),
    "a record of another session": (line(9, session="two"), {"damaged": 1}),
    "a record of a later version": (line(9, v=2), {"newer": 1}),
    "a record without a version": (
        journal.sign("one", {"at": AT, "number": 9}, KEY),
        {"newer": 1},
    ),
    "a record without a time": (journal.sign("one", {"v": 1, "number": 9}, KEY), {"damaged": 1}),
    "two different ones": (b"garbage\n" + line(9, OTHER), {"damaged": 1, "foreign": 1}),
    "a conflict left by a merge": (
        b"<<<<<<< HEAD\n" + b"=======\n" + b">>>>>>> theirs\n",
        {"damaged": 3},
    ),
}


@pytest.mark.parametrize(("wrong", "problems"), BETWEEN.values(), ids=BETWEEN)
def test_between_good_records_it_costs_only_itself(reading, wrong, problems):
    numbers, replayed = reading(GOOD[0] + wrong + GOOD[1] + GOOD[2])
    assert (numbers, replayed.problems) == ([0, 1, 2], problems)


@pytest.mark.parametrize(("wrong", "problems"), BETWEEN.values(), ids=BETWEEN)
def test_at_the_head_it_costs_only_itself(reading, wrong, problems):
    numbers, replayed = reading(wrong + b"".join(GOOD))
    assert (numbers, replayed.problems) == ([0, 1, 2], problems)


def test_a_tail_torn_at_any_byte_loses_only_itself(reading):
    data = b"".join(GOOD)
    ends = [len(b"".join(GOOD[:count])) for count in (1, 2, 3)]
    for size in range(len(data) + 1):
        numbers, replayed = reading(data[:size])
        assert numbers == list(range(sum(end <= size for end in ends)))
        assert replayed.problems == {}  # not told: a hook may be writing it this moment


def test_a_record_appended_after_a_torn_tail_counts(reading):
    for size in range(1, len(GOOD[1]) + 1):
        numbers, _ = reading(GOOD[0] + GOOD[1][:size] + GOOD[2])
        whole = size >= len(GOOD[1]) - 1  # the next record's line feed stands in for a lost one
        assert numbers == ([0, 1, 2] if whole else [0, 2])


def test_any_flipped_bit_loses_at_most_its_record(tmp_path, keyed):
    data = b"".join(GOOD)
    (tmp_path / "j").write_bytes(data)
    descriptor = os.open(tmp_path / "j", os.O_RDWR)
    try:
        for place, byte in enumerate(data):
            hit = place // len(GOOD[0])  # they are of one length
            for bit in range(8):
                os.pwrite(descriptor, bytes([byte ^ 1 << bit]), place)
                found = list(records.Replay(descriptor, "one"))
                assert found in (
                    [facts(n) for n in range(3) if n != hit],
                    list(map(facts, range(3))),
                )
            os.pwrite(descriptor, bytes([byte]), place)
    finally:
        os.close(descriptor)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    parts=st.lists(
        st.one_of(
            st.integers(0, 99).map(lambda number: (number, line(number))),
            st.binary(max_size=80).map(lambda junk: (None, junk)),
            st.integers(0, 99).flatmap(
                lambda number: st.integers(0, len(line(number)) - 3).map(
                    lambda size: (None, line(number)[:size])
                )
            ),
            st.integers(0, 99).map(lambda number: (None, line(number, OTHER))),
        ),
        max_size=12,
    )
)
def test_whole_records_among_anything_are_all_found(tmp_path_factory, parts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "read_key", lambda make=False: KEY)
        where = tmp_path_factory.getbasetemp() / "property.jsonl"
        with opened(b"".join(data for _, data in parts), str(where)) as descriptor:
            found = [record["number"] for record in records.Replay(descriptor, "one")]
    assert found == [number for number, _ in parts if number is not None]


# --- whose it is -------------------------------------------------------------------------------

MINE, THEIRS, PLAIN = line(1), line(2, OTHER), line(3, b"")

WHOSE = {
    # id: the reader's key, WORKFLOW_STATE_TRUST, numbers, problems
    "with a key, one's own": (KEY, "", [1], {"foreign": 2}),
    "with another key": (OTHER, "", [2], {"foreign": 2}),
    "without a key, nothing proves anything": (b"", "", [], {"foreign": 3}),
    "trusting all": (KEY, "all", [1, 2, 3], {}),
    "trusting all without a key": (b"", "all", [1, 2, 3], {}),
    "another word is not trust": (KEY, "1", [1], {"foreign": 2}),
}


@pytest.mark.parametrize(("key", "trust", "numbers", "problems"), WHOSE.values(), ids=WHOSE)
def test_whose_records_count(reading, monkeypatch, key, trust, numbers, problems):
    monkeypatch.setattr(journal, "read_key", lambda make=False: key)
    monkeypatch.setenv("WORKFLOW_STATE_TRUST", trust)
    found, replayed = reading(MINE + THEIRS + PLAIN)
    assert (found, replayed.problems) == (numbers, problems)


def test_trust_does_not_extend_to_damage(reading, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_TRUST", "all")
    numbers, replayed = reading(THEIRS.replace(b"Post", b"Pre_") + line(4, session="two"))
    assert (numbers, replayed.problems) == ([], {"damaged": 2})


def test_a_check_cannot_be_shortened_to_the_part_without_a_key(reading):
    forged = line(1).rpartition(b".")[0] + b'"}\n'
    numbers, replayed = reading(forged)
    assert (numbers, replayed.problems) == ([], {"damaged": 1})


def test_a_later_versions_record_is_told_apart_whatever_it_holds(reading):
    numbers, replayed = reading(line(1, v="2.0") + line(2, v=None) + line(3, v=0) + line(4))
    assert (numbers, replayed.problems) == ([4], {"newer": 3})


def test_through_the_scripts_a_copied_journal_is_not_ours(hooks):
    hooks.call("one", "Write", "c1", {"file_path": f"{hooks.project}/a"})
    sessions = hooks.directory / "sessions"
    (sessions / "two.jsonl").write_bytes((sessions / "one.jsonl").read_bytes())
    hooks.call("two", "Write", "c2", {"file_path": f"{hooks.project}/b"})
    assert list(hooks.show("two")["files_processed"]) == ["b"]


@pytest.mark.parametrize(("place", "ours"), [("", ["a", "b"]), ("chosen", ["b"])])
def test_through_the_scripts_another_users_journal_is_not_ours_but_at_home(hooks, place, ours):
    hooks.environment.update(WORKFLOW_STATE_DIR=place, WORKFLOW_STATE_KEY="theirs")
    hooks.call("one", "Write", "c1", {"file_path": f"{hooks.project}/a"})
    hooks.environment["WORKFLOW_STATE_KEY"] = "mine"
    hooks.call("one", "Write", "c2", {"file_path": f"{hooks.project}/b"})
    assert list(hooks.show("one")["files_processed"]) == ours
    hooks.environment["WORKFLOW_STATE_TRUST"] = "all"
    assert list(hooks.show("one")["files_processed"]) == ["a", "b"]


# --- from where, and how far -------------------------------------------------------------------


def test_the_offset_is_behind_the_last_whole_line(reading):
    whole = b"".join(GOOD)
    assert reading(whole)[1].offset == len(whole)
    assert reading(whole + b'\n{"torn')[1].offset == len(whole) + 1
    assert reading(b"")[1].offset == 0
    assert reading(b"torn")[1].offset == 0


def test_a_pass_goes_on_where_the_last_one_ended(reading):
    torn, rest = GOOD[1][:30], GOOD[1][30:]
    numbers, first = reading(GOOD[0] + torn)
    assert numbers == [0]
    numbers, second = reading(GOOD[0] + torn + rest + GOOD[2], offset=first.offset)
    assert (numbers, second.problems) == ([1, 2], {})


def test_a_pass_may_end_early(reading):
    data = b"".join(GOOD)
    numbers, replayed = reading(data, end=len(GOOD[0] + GOOD[1]))
    assert (numbers, replayed.offset) == ([0, 1], len(GOOD[0] + GOOD[1]))
    assert reading(data, end=len(GOOD[0]) + 20)[0] == [0]
    assert reading(data, end=0)[0] == []
    assert reading(data, end=len(data) * 2)[0] == [0, 1, 2]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 100, 1000])
def test_records_across_chunks(reading, monkeypatch, chunk):
    monkeypatch.setattr(records, "CHUNK", chunk)
    data = GOOD[0] + b"\0garbage\n" + GOOD[1] + GOOD[2] + b"torn"
    numbers, replayed = reading(data)
    assert (numbers, replayed.problems) == ([0, 1, 2], {"damaged": 1})
    assert replayed.offset == len(data) - 4
    assert reading(data, offset=len(GOOD[0]), end=len(data) - 10)[0] == [1]


def test_any_two_passes_find_what_one_finds(reading):
    data = GOOD[0] + b"garbage\n" + GOOD[1] + GOOD[2]
    for end in range(len(data) + 1):
        first, replayed = reading(data, end=end)
        second, rest = reading(data, offset=replayed.offset)
        assert first + second == [0, 1, 2]
        assert sum(each.problems.get("damaged", 0) for each in (replayed, rest)) == 1


def test_a_journal_of_more_than_a_chunk(reading):
    count = records.CHUNK // len(GOOD[0]) + 100
    numbers, replayed = reading(b"".join([line(number) for number in range(count)]))
    assert (numbers, replayed.problems) == (list(range(count)), {})


BEFORE = {
    "a record": (GOOD[0] + GOOD[1], len(GOOD[0]), json.loads(GOOD[0])["check"]),
    "the last record": (GOOD[0] + GOOD[1], len(GOOD[0] + GOOD[1]), json.loads(GOOD[1])["check"]),
    "nothing": (GOOD[0], 0, ""),
    "garbage": (GOOD[0] + b"garbage\n", len(GOOD[0]) + 8, ""),
    "the middle of a record": (GOOD[0] + GOOD[1], len(GOOD[0]) + 40, ""),
}


@pytest.mark.parametrize(("data", "offset", "told"), BEFORE.values(), ids=BEFORE)
def test_the_check_before_an_offset_tells_what_ends_there(tmp_path, data, offset, told):
    with opened(data, str(tmp_path / "j")) as descriptor:
        assert records.check_before(descriptor, offset) == told


TIMES = {
    "1970-01-01T00:00:00.000Z": 0,
    "1970-01-01T00:00:01.250Z": 1.25,
    "2026-11-23T14:31:05.123Z": 1795444265.123,
    "2026-11-23T14:31:05Z": 1795444265,
}


@pytest.mark.parametrize(("at", "seconds"), TIMES.items(), ids=TIMES)
def test_times_in_seconds(at, seconds):
    assert records.seconds(at) == pytest.approx(seconds, abs=1e-6)


def test_a_line_without_an_end_is_not_gathered_and_costs_only_itself(reading):
    numbers, replayed = reading(GOOD[0] + b"x" * (3 * records.LONGEST) + b"\n" + GOOD[1])
    assert numbers == [0, 1]
    assert set(replayed.problems) == {"damaged"}
