"""What is fuzzed: each target takes any bytes and fails only where the code breaks a promise.

`run.py` drives them under atheris, `test_targets.py` with a few inputs in every test run. Nothing
here needs either. What a target writes goes where `tempfile` says.
"""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from lib.errors import StoreError, Unreadable
from lib.format.records import OURS, Replay, check_before, read_line
from lib.maintenance import export
from lib.maintenance.archive_format import opened
from lib.maintenance.importing import Staging
from lib.recording import journal
from lib.recording.first_use import SIGN
from lib.recording.masking import patterns
from lib.session import fold as folding
from lib.session import rules, shell_words, states
from lib.state import State, StateError
from lib.stores import CHECKPOINTS, KEYS
from lib.stores.json_files import JsonFiles
from lib.telling.context import Context
from lib.telling.quoting import ascii_quoted, printable, quoted

KEY = bytes(range(32))
SCRIPTS = ("PreToolUse", "PostToolUse", "SessionStart", "Stop", "UserPromptSubmit")
MASKED_BYTES = 8192
"""What the hooks hand to the mask at most."""


def event(data: bytes) -> None:
    """Stdin -> records: refused in words, or read back as they were, folded, and told."""
    name = SCRIPTS[data[0] % len(SCRIPTS)] if data else "Stop"
    try:
        given = journal.Event(journal.parse(data[1:].decode("utf-8", "replace")), name)
    except journal.Unusable:
        return
    assert "/" not in given.session
    assert 0 < len(given.session.encode()) <= 160
    records = []
    for facts in journal.facts_of(given, "/project"):
        facts = {"v": journal.VERSION, "at": "2026-11-23T14:31:05.123Z", **facts}
        line = journal.sign(given.session, facts, KEY)
        assert line.count(b"\n") == 2
        assert len(line) <= 8192, len(line)
        trust, record = read_line(line.strip(b"\n"), given.session, KEY)
        assert trust == OURS
        assert {**record, "v": 1} == {**json.loads(json.dumps(facts)), "v": 1}
        records.append(record)
    live = folding.fold(states.empty(given.session), records, rules.Rules())
    json.dumps(states.plain(live), allow_nan=False)
    account = Context(live, None, [], {}, 1795444265.0, "workflow-state")
    assert len(account.render(2000)) <= 2000


def line(data: bytes) -> None:
    """A journal's line of anybody's: never ours, never an exception."""
    trust, record = read_line(data, "session", KEY)
    assert trust != OURS
    assert record == {}


def torn(data: bytes) -> None:
    """Garbage around a record costs the record nothing."""
    os.environ["WORKFLOW_STATE_KEY"] = "fuzz"
    kept = journal.sign("session", {"v": 1, "at": "2026-11-23T14:31:05.123Z"}, journal.read_key())
    with tempfile.TemporaryFile() as file:
        file.write(data + kept + data)
        file.flush()
        reading = Replay(file.fileno(), "session")
        found = list(reading)
        assert len(found) == 1
        assert reading.offset <= len(data + kept + data)
        assert isinstance(check_before(file.fileno(), reading.offset), str)


def document(data: bytes) -> None:
    """A file in a key's place, or a checkpoint's, or an intent's: a document, or told."""
    place = Path(tempfile.mkdtemp())
    try:
        for folder in ("keys", "checkpoints"):
            (place / folder).mkdir()
        (place / "README").write_bytes(SIGN)
        for file in ("keys/key.json", "checkpoints/key.json", ".restore.json"):
            (place / file).write_bytes(data)
        store = JsonFiles(str(place))
        for act in (
            store.unfinished,
            lambda: store.read(KEYS, "key"),
            lambda: store.read(CHECKPOINTS, "key"),
            lambda: store.names(KEYS),
            lambda: store.write(KEYS, "other", {"value": 1}),
        ):
            try:
                act()
            except StoreError as error:
                assert str(error)
    finally:
        shutil.rmtree(place)


def command(data: bytes) -> None:
    """A shell command: words, and a phase of the table or none."""
    text = data.decode("utf-8", "replace")[:1000]
    assert all(shell_words.segments(text))
    assert rules.Rules().phase_of_command(text) in {*rules.PHASES, None}


def secret(data: bytes) -> None:
    """A text to mask: its tokens go, and masking what is masked changes nothing of them."""
    text = data.decode("utf-8", "replace")[:MASKED_BYTES]
    masked = patterns.mask(text)
    assert patterns.mask_tokens(masked) == masked


def words(data: bytes) -> None:
    """What Claude and a terminal are shown of any text: seen characters, on one line."""
    text = data.decode("utf-8", "replace")
    for shown in (ascii_quoted(text), quoted(text)):
        assert shown[0] == shown[-1] == '"'
        inside = shown[1:-1]
        assert inside.isprintable()
        assert not set('"\\<>`') & set(inside)
    assert ascii_quoted(text).isascii()
    assert printable(text).isprintable()


def told(data: bytes) -> None:
    """A whole account for Claude: fenced, within its limit, of lines that begin as ours do."""
    texts = data.decode("utf-8", "replace").split("\0")
    at = iter(
        f"2026-11-23T14:{count // 60 % 60:02d}:{count % 60:02d}.000Z" for count in range(9999)
    )
    records = list(_records(texts, at))
    live = folding.fold(states.empty("session"), records, rules.Rules())
    drifted = {text: "changed" for text in texts[:3] if text}
    account = Context(live, None, [], drifted, 1795444265.0, "workflow-state")
    limit = 300 + 41 * len(texts) % 2000
    text = account.render(limit)
    first, *lines, last = text.split("\n") if text else ("[workflow-state:", "[end of")
    assert first.startswith("[workflow-state:")
    assert last.startswith("[end of")
    beginnings = ("Phase", "Interrupted", "Files", "On disk", "Failures", "Last request", "More:")
    assert all(each.startswith(beginnings) for each in lines), lines
    assert text.replace("\n", "").isprintable()
    assert not set("<>`\\") & set(text)
    assert len(text) <= limit


def _records(texts: list[str], at: Iterator[str]) -> Iterator[dict]:
    for number, text in enumerate(texts[:200]):
        about = {"at": next(at), "call": str(number), "tool": text[:40] or "Write"}
        yield {"event": "UserPromptSubmit", "at": next(at), "text": text}
        yield {"event": "PreToolUse", **about, "path": text, "command": text}
        if number % 3:
            ended = "PostToolUseFailure" if number % 3 == 1 else "PostToolUse"
            yield {"event": ended, **about, "path": text, "error": text, "agent_type": text}
        yield {"event": "PostToolUse", "at": next(at), "tool": "Write", "path": text}


@functools.lru_cache(maxsize=1)
def _good_files() -> dict[str, bytes]:
    """A small state directory as it should be: file -> bytes."""
    with tempfile.TemporaryDirectory() as place:
        for number, path in enumerate(("a.py", "b.py", "c.py")):
            about = {"tool": "Write", "call": str(number), "path": path}
            journal.write(place, "one", {"event": "PostToolUse", **about})
        state = State(place, "one")
        state.save_state("other", "untouched")
        state.save_state("plan", {"step": 2})
        state.checkpoint("first")
        state.checkpoint("second")
        state.checkpoint_session("Stop")
        state.save_state("plan", {"step": 3})
        files = [file for file in Path(place).rglob("*") if file.is_file()]
        return {str(file.relative_to(place)): file.read_bytes() for file in files}


DAMAGED = (
    "sessions/one.jsonl",
    "checkpoints/first.json",
    "checkpoints/session-one.json",
    "keys/plan.json",
)
"""What `damaged` edits; the other files stay as they are."""


def edited(good: bytes, script: bytes) -> bytes:
    """`good` after edits, four bytes each: a bit flipped, a cut, a piece moved, doubled or lost."""
    data = bytearray(good)
    for start in range(0, len(script) - 3, 4):
        kind, high, low, more = script[start : start + 4]
        at = (high << 8 | low) % (len(data) + 1)
        piece = good[at : at + more]
        if kind % 5 == 0:
            data[at : at + 1] = bytes(byte ^ 1 << more % 8 for byte in data[at : at + 1])
        elif kind % 5 == 1:
            del data[at:]
        elif kind % 5 == 2:
            data[at:at] = piece
        elif kind % 5 == 3:
            data[at : at + more] = piece[::-1]
        else:
            del data[at : at + more]
    return bytes(data)


def damaged(data: bytes) -> None:
    """A good state directory, one file of it edited: what was not touched is served as it was.

    No error but a StateError, and nothing that was edited passes for the user's own. A key is the
    exception: a person may edit its file, and then it is what that says.
    """
    os.environ["WORKFLOW_STATE_KEY"] = "fuzz"
    files = _good_files()
    touched = DAMAGED[data[0] % len(DAMAGED)] if data else DAMAGED[0]
    changed = edited(files[touched], data[1:])
    with tempfile.TemporaryDirectory() as place:
        for file, good in files.items():
            (Path(place) / file).parent.mkdir(exist_ok=True)
            (Path(place) / file).write_bytes(changed if file == touched else good)
        state = State(place, "one")
        try:
            live = state.session_state()
        except StateError:
            assert touched == DAMAGED[0]  # not a record was left
            live = {"files_processed": {}}
        paths = [
            path
            for path, lone in _lines(files[DAMAGED[0]])
            if touched != DAMAGED[0] or lone in changed
        ]
        assert set(paths) <= set(live["files_processed"]) <= {"a.py", "b.py", "c.py"}
        assert state.load_state("other") == "untouched"
        assert state.read_checkpoint("second")["keys"]["plan"]["value"] == {"step": 2}
        if touched != "keys/plan.json":
            assert state.load_state("plan") == {"step": 3}
            _restore(state)
            assert state.load_state("plan") in ({"step": 2}, {"step": 3})
            assert state.load_state("other") == "untouched"
        else:
            try:
                state.load_state("plan")
            except StateError as error:
                assert "plan.json" in str(error)
        state.save_state("other", "saved")
        assert state.load_state("other") == "saved"


def exported(data: bytes) -> None:
    """An export, edited: refused in words, or what comes in is what went out; nothing stays of it."""
    os.environ["WORKFLOW_STATE_KEY"] = "fuzz"
    good, files = _good_export()
    changed = _summed(edited(good, data))
    with tempfile.TemporaryDirectory() as place:
        state = State(f"{place}/state", "")
        try:
            members = opened(io.BufferedReader(io.BytesIO(changed)))
            with Staging(state) as staging:
                staging.fill(members, None)
                found = {
                    name: (Path(staging.directory) / name).read_bytes() for name in staging.members
                }
                assert found == {
                    name.replace("keys/", ""): text for name, text in files.items() if "/" in name
                }
        except Unreadable:
            assert changed != good
        assert os.listdir(place) == []


@functools.lru_cache(maxsize=1)
def _good_export() -> tuple[bytes, dict[str, bytes]]:
    """The small state directory as an export, and its files."""
    files = _good_files()
    with tempfile.TemporaryDirectory() as place:
        for file, content in files.items():
            (Path(place) / file).parent.mkdir(exist_ok=True)
            (Path(place) / file).write_bytes(content)
        out = io.BytesIO()
        export.write(State(place, ""), out)
    return out.getvalue(), files


def _summed(data: bytes) -> bytes:
    """The archive with the sums of its headers made right, so that more than those is looked at."""
    blocks = [data[start : start + 512] for start in range(0, len(data), 512)]
    for number, block in enumerate(blocks):
        if len(block) == 512 and block[257:262] == b"ustar":
            total = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
            blocks[number] = block[:148] + b"%06o\0 " % total + block[156:]
    return b"".join(blocks)


def _lines(good: bytes) -> list[tuple[str, bytes]]:
    """The records of a journal: the path in each, and its bytes with both its line feeds."""
    lines = [line for line in good.split(b"\n") if line]
    return [(json.loads(line)["path"], b"\n" + line + b"\n") for line in lines]


def _restore(state: State) -> None:
    try:
        state.restore_checkpoint("first")
    except StateError as error:
        assert "first" in str(error)


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (event, line, torn, document, damaged, exported, command, secret, words, told)
}
NAMES = sorted(TARGETS)


def seeds() -> Iterator[tuple[str, bytes]]:
    """A small corpus out of the recorded events: (target, input)."""
    recorded = Path(__file__).resolve().parent.parent / "payloads"
    for file in sorted(recorded.glob("*.jsonl")):
        lines = file.read_bytes().splitlines()
        for each in lines[:: max(1, len(lines) // 12)]:
            yield "event", b"\0" + each
            fields = json.loads(each)
            facts = {"v": 1, "at": "2026-11-23T14:31:05.123Z", "event": "Stop"}
            signed = journal.sign("session", facts, b"")
            yield "line", signed.strip()
            yield "torn", signed
            given = fields.get("tool_input")
            shell_words = given.get("command", "") if isinstance(given, dict) else ""
            for target in ("command", "secret", "words"):
                yield target, (shell_words or str(fields.get("prompt", ""))).encode()
            yield "told", b"\0".join(str(value).encode() for value in fields.values())
    for number in range(len(DAMAGED)):
        for edit in range(5):
            yield "damaged", bytes([number, edit, 0, 60, 7])
    good, _ = _good_export()
    for start in range(0, len(good), 512):
        for edit, within in enumerate((2, 124, 156, 257, 345)):  # name, size, kind, magic, prefix
            yield "exported", bytes([edit, start + within >> 8, start + within & 255, 7])
    yield "exported", b""
    whole = {"v": 1, "value": 1, "timestamp": "x", "created": "x", "keys": {}, "note": {}}
    yield "document", json.dumps(whole).encode()
    for text in ("curl -H 'Authorization: Bearer abcdefgh'", "PASSWORD=hunter2 make", "a://u:p@h"):
        yield "secret", text.encode()
