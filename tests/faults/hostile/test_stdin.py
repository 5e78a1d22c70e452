"""Whatever stdin holds: an event is recorded or refused in one line, and the next one is recorded."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, SCRIPTS
from tests.faults.hostile.conftest import EVENTS, Place

ROW = "hostile input"

GOOD = (
    '{"session_id": "hostile", "tool_name": "Write", "tool_use_id": "t1", %s'
    '"tool_input": {"file_path": "x.py"}, "prompt": "go", "source": "startup"}'
)
PLAIN = (GOOD % "").encode()

REFUSED = {
    "A01 empty": b"",
    "A02 whitespace only": b" \n\t\r\n ",
    "A03 plain text": b"hello, hook\n",
    "A04 truncated JSON": PLAIN[:-20],
    "A05 null": b"null",
    "A06 a number": b"42",
    "A07 a string": b'"str"',
    "A08 a list": b"[]",
    "A09 true": b"true",
    "A11 UTF-16 with a byte order mark": PLAIN.decode().encode("utf-16"),
    "A13 NUL bytes between tokens": PLAIN.replace(b", ", b",\0 "),
    "A14 100,000 nested lists": b"[" * 100_000 + b"]" * 100_000,
    "A15 100,000 nested objects in tool_input": (
        b'{"tool_input": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
    ),
    "A27 two documents": PLAIN + b"\n" + PLAIN,
    "A28 trailing garbage": PLAIN + b" garbage",
}

RECORDED = {
    "A10 a byte order mark before JSON": b"\xef\xbb\xbf" + PLAIN,
    "A12 invalid UTF-8 in a string": (GOOD % '"extra": "\\u00e9", ')
    .encode("latin-1")
    .replace(b"\\u00e9", b"\xff\xfe"),
    "A16 an integer of 1,000,000 digits": (GOOD % f'"n": {"9" * 1_000_000}, ').encode(),
    "A17 not a number and the infinities": (
        GOOD % '"a": NaN, "b": Infinity, "c": -Infinity, '
    ).encode(),
    "A18 1e999": (GOOD % '"n": 1e999, ').encode(),
    "A19 a lone surrogate in a field": (GOOD % '"agent_type": "\\ud800", ').encode(),
    "A20 session_id twice, the last one wins": (GOOD % "")
    .replace("{", '{"session_id": "other", ', 1)
    .encode(),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_is_refused_in_one_line(place: Place, neighbourhood, data):
    neighbourhood()
    before = place.sessions()
    for event in EVENTS:
        done = place.run(event, data).keeps_the_contract()
        assert (done.code, done.stdout) == (1, b"")
    assert place.sessions() == before
    place.loses_nothing()


@pytest.mark.parametrize("data", RECORDED.values(), ids=RECORDED)
def test_is_recorded(place: Place, neighbourhood, data):
    neighbourhood()
    for event in ("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"):
        assert place.run(event, data).keeps_the_contract().code == 0
    recorded = [each["event"] for each in place.records("hostile") if each["event"] != "Worktree"]
    assert recorded == ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"]
    assert b"NaN" not in place.journal("hostile").read_bytes()
    place.loses_nothing()


SURROGATES = {
    "inside the project": "\ud800.py",
    "outside the project": "/elsewhere/\ud800/x.py",
    "crooked": "a/../\udfff/../\ud800/x.py",
    "with NUL": "a\0b/c.py",
    "with NUL, outside the project": "/elsewhere/a\0b/c.py",
}


@pytest.mark.parametrize(
    "path", SURROGATES.values(), ids=[f"A19 path {name}" for name in SURROGATES]
)
def test_a_path_that_no_disk_can_hold_is_recorded_and_stops_nothing(place, neighbourhood, path):
    neighbourhood()
    given = {"tool_input": {"file_path": path}}
    assert place.run("PostToolUse", given).keeps_the_contract().code == 0
    assert place.run("Stop", {}).keeps_the_contract().code == 0
    done = place.run("SessionStart", {"source": "resume"}).keeps_the_contract()
    assert "Files changed (1)" in done.context
    place.loses_nothing()


def _grown(path: Path, head: bytes, unit: bytes, count: int, tail: bytes) -> Path:
    """A large file written in pieces: the test's own memory would count as the hook's."""
    with path.open("wb") as file:
        file.write(head)
        for _ in range(count):
            file.write(unit)
        file.write(tail)
    return path


LARGE = {
    "A21 30 MB of valid JSON": (30, b"x" * (1 << 20), 0),
    "A22 100 MB of valid JSON": (100, b"x" * (1 << 20), 1),
}


@pytest.mark.parametrize(("count", "unit", "code"), LARGE.values(), ids=LARGE)
def test_a_large_event_takes_bounded_memory(place: Place, neighbourhood, count, unit, code):
    head = PLAIN[:-1] + b', "tool_response": {"content": "'
    data = _grown(place.base / "stdin-large", head, unit, count, b'"}}')
    neighbourhood()
    assert place.run("PostToolUse", data).keeps_the_contract().code == code
    assert len(place.records("hostile")) == 1 - code
    assert sum(path.stat().st_size for path in place.directory.rglob("*.jsonl")) < 10_000
    data.unlink()
    place.loses_nothing()


def test_a29_a_million_keys_in_one_object(place: Place, neighbourhood):
    keys = b",".join(b'"k%d":1' % number for number in range(1_000_000))
    neighbourhood()
    place.run("PostToolUse", PLAIN[:-1] + b"," + keys + b"}").keeps_the_contract()
    place.loses_nothing()


@pytest.fixture(scope="module")
def _endless(tmp_path_factory, request) -> Iterator[dict[str, tuple]]:
    """Hooks whose stdin never ends, started before the first test and met by the last ones."""
    base = tmp_path_factory.mktemp("endless")
    (base / "project").mkdir()
    (base / "home").mkdir()
    place = Place(base / "project", base / "home", base=base)
    silent, ours = socket.socketpair()
    started = {}
    with silent, ours, open("/dev/zero", "rb") as zero:
        for name, stdin in (("A23", silent), ("A26", zero)):
            out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
            command = [place.python, "-I", "-S", str(ROOT / "hooks" / SCRIPTS["PreToolUse"])]
            streams = {"stdin": stdin, "stdout": out, "stderr": err}
            process = subprocess.Popen(command, **streams, env=place.env())
            started[name] = (process, out, err)
        yield started
        for process, out, err in started.values():
            process.kill()
            process.wait()
            out.close()
            err.close()


@pytest.fixture(autouse=True)
def _early(_endless) -> None:
    """The endless ones run while the other cases do."""


def test_a24_stdin_is_closed(place: Place, neighbourhood):
    neighbourhood()
    for event in EVENTS:
        done = place.run(event, b"", ulimits="exec <&-").keeps_the_contract()
        assert done.code == 1
    place.loses_nothing()


def test_a25_stdin_is_a_directory(place: Place, neighbourhood):
    """The interpreter itself refuses it, in more words than one line, but not with 2."""
    neighbourhood()
    for event in EVENTS:
        assert place.run(event, b"", ulimits="exec </").code == 1
    place.loses_nothing()


STREAMS = {
    "A30 the reader of stdout has gone": ("exec 1>&-", (0, 1)),
    "A30 stdout is full": ("exec 1>/dev/full", (0, 1)),
    "A30 stderr is closed": ("exec 2>&-", (0,)),
    "A30 all but stdin is closed": ("exec 1>&- 2>&-", (0, 1)),
}


@pytest.mark.parametrize(("limits", "codes"), STREAMS.values(), ids=STREAMS)
def test_without_its_streams_a_hook_still_records(place: Place, neighbourhood, limits, codes):
    neighbourhood()
    for event in EVENTS:
        assert place.run(event, {}, ulimits=limits).code in codes
    recorded = {each["event"] for each in place.records("hostile")}
    assert recorded >= set(EVENTS)
    place.loses_nothing()


def test_a30_a_pipe_that_nobody_reads_is_no_failure(place: Place):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as gone:
        done = place.run("SessionStart", {}, streams={"stdout": gone}).keeps_the_contract()
    assert done.code == 0
    place.loses_nothing()


@pytest.mark.parametrize("row", ["A23", "A26"], ids=["A23 silent for ever", "A26 /dev/zero"])
def test_a_stdin_without_an_end_is_given_up_by_the_hooks_own_deadline(_endless, row):
    process, out, err = _endless[row]
    done = Place.reap(process, out, err).keeps_the_contract()
    assert done.code == 1
    assert b"gave up" in done.stderr
