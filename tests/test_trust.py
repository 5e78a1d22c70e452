"""State that others wrote: told to nobody until the user adopts it."""

from __future__ import annotations

import json
import os
import tracemalloc

import pytest

from lib.recording import journal
from lib.state import State, StateError
from tests.conftest import Hooks


@pytest.fixture
def cloned(hooks):
    """A project whose state somebody else has recorded: two files, a stop, a key."""
    hooks.choose()
    hooks.environment["WORKFLOW_STATE_KEY"] = "theirs"
    work(hooks)
    hooks.cli("set", "plan", '"theirs"')
    del hooks.environment["WORKFLOW_STATE_KEY"]
    return hooks


def work(hooks: Hooks) -> None:
    hooks.start("one")
    hooks.prompt("one", "obey")
    for number, name in enumerate(["a.py", "b.py"]):
        path = {"file_path": str(hooks.project / name)}
        hooks.call("one", "Write", str(number), path, {"type": "create"})
    hooks.stop("one")
    hooks.end("one")


def start(hooks: Hooks, session: str) -> dict:
    event = {"hook_event_name": "SessionStart", "session_id": session, "source": "startup"}
    return json.loads(hooks.send({**event, "cwd": str(hooks.project)}) or "{}")


def adopt(hooks: Hooks, *options: str) -> str:
    done = hooks.cli("trust", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_clone_is_not_told_to_claude_but_to_the_user(cloned):
    output = start(cloned, "two")
    assert "hookSpecificOutput" not in output
    assert "workflow-state trust" in output["systemMessage"]
    assert "obey" not in json.dumps(output)
    assert cloned.show("two")["files_processed"] == {}


def test_what_was_adopted_is_told_and_inherited(cloned):
    assert "To adopt: " in adopt(cloned, "--dry-run")
    assert "hookSpecificOutput" not in start(cloned, "two")
    assert adopt(cloned).startswith("Adopted: ")
    assert "yours already" in adopt(cloned)
    told = start(cloned, "three")["hookSpecificOutput"]["additionalContext"]
    assert '"a.py"' in told
    assert '"b.py"' in told
    assert list(cloned.show("three")["files_processed"]) == ["a.py", "b.py"]


def test_records_without_a_key_are_adopted_with_what_continues_them(hooks):
    """Where a session began in another's journal is counted in bytes: adopting must keep them."""
    hooks.choose()
    del_home = {**hooks.env(), "WORKFLOW_STATE_TRUST": "all"}
    del del_home["HOME"]
    hooks.env = lambda: del_home
    work(hooks)
    start(hooks, "two")
    hooks.prompt("two")
    before = hooks.show("two")["files_processed"]
    del hooks.env
    adopt(hooks)
    assert list(before) == list(hooks.show("two")["files_processed"]) == ["a.py", "b.py"]


def test_a_damaged_record_is_not_adopted(cloned):
    journal = cloned.directory / "sessions" / "one.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"path":"b.py"', b'"path":"x.py"'))
    (cloned.directory / "checkpoints" / "session-one.json").unlink()
    adopt(cloned)
    assert list(cloned.show("one")["files_processed"]) == ["a.py"]


def test_the_checkpoint_of_another_is_not_restored(cloned):
    done = cloned.cli("restore", "session-one")
    assert (done.returncode, done.stdout) == (1, "")
    assert "workflow-state trust" in done.stderr


def test_a_planted_restore_is_not_finished(cloned):
    intent = {"v": 1, "keys": {"plan": {"value": "planted"}}, "note": {}}
    (cloned.directory / ".restore.json").write_text(json.dumps(intent))
    with pytest.raises(StateError, match="not written by this user"):
        State(cloned.directory, "").save_state("mine", 1)
    State(cloned.directory, "").save_state("mine", 1)
    assert State(cloned.directory, "").load_state("plan") == "theirs"


def test_nothing_that_is_appended_meanwhile_is_lost(cloned, monkeypatch):
    """The running session's hooks know nothing of it: they append while signatures are written."""
    sign, appended = journal.signature, []

    def and_append(scope: str, body: bytes, key: bytes) -> str:
        if len(appended) < 50:
            appended.append(str(len(appended)))
            about = {"event": "PostToolUse", "tool": "Write", "path": f"n{appended[-1]}.py"}
            journal.write(str(cloned.directory), scope, {**about, "call": f"n{appended[-1]}"})
        return sign(scope, body, key)

    before = (cloned.directory / "sessions" / "one.jsonl").stat().st_mtime_ns
    monkeypatch.setattr("lib.format.records.journal.signature", and_append)
    adopting(cloned, monkeypatch)
    monkeypatch.undo()
    assert len(appended) == 50
    files = set(cloned.show("one")["files_processed"])
    assert files == {"a.py", "b.py", *(f"n{number}.py" for number in appended)}
    assert (cloned.directory / "sessions" / "one.jsonl").stat().st_mtime_ns > before


def test_a_journal_keeps_its_time_and_its_length_but_for_what_tells_of_it(cloned):
    path = cloned.directory / "sessions" / "one.jsonl"
    before, data = path.stat(), path.read_bytes()
    adopt(cloned)
    after = path.read_bytes()
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    assert [line[:-19] for line in after[: len(data)].split(b"\n")] == [
        line[:-19] for line in data.split(b"\n")
    ]
    assert after[len(data) :].count(b'"event":"Adopted"') == 2
    last = cloned.show("one")["last_active"]
    assert last < json.loads(after.split(b"\n")[-2])["at"]


def test_what_was_adopted_counts_where_the_session_went_on_under_this_key(cloned):
    """A checkpoint of this user's reaches past the records that did not count when it was made."""
    start(cloned, "one")
    cloned.call("one", "Write", "c", {"file_path": str(cloned.project / "c.py")}, {})
    cloned.stop("one")
    start(cloned, "two")  # it continues one, and its own checkpoint has what one was then
    cloned.stop("two")
    assert list(cloned.show("two")["files_processed"]) == ["c.py"]
    adopt(cloned)
    for session in ("one", "two"):
        assert list(cloned.show(session)["files_processed"]) == ["a.py", "b.py", "c.py"]
        cloned.stop(session)
        assert list(cloned.show(session)["files_processed"]) == ["a.py", "b.py", "c.py"]
    assert "yours already" in adopt(cloned)
    assert "systemMessage" not in start(cloned, "three")


def test_one_who_is_killed_is_followed_by_one_who_adopts_the_rest(cloned, monkeypatch):
    with monkeypatch.context() as patch:
        written = []

        def pwrite(*given: object) -> int:
            written.append(given)
            if len(written) == 3:
                raise KeyboardInterrupt
            return os_pwrite(*given)

        os_pwrite = os.pwrite
        patch.setattr("os.pwrite", pwrite)
        with pytest.raises(KeyboardInterrupt):
            adopting(cloned, patch)
    assert adopt(cloned).startswith("Adopted: ")
    assert list(cloned.show("one")["files_processed"]) == ["a.py", "b.py"]
    assert "yours already" in adopt(cloned)


def test_a_long_journal_is_not_held_in_memory(cloned, monkeypatch):
    path = cloned.directory / "sessions" / "one.jsonl"
    data = path.read_bytes()
    path.write_bytes(data * ((7 << 20) // len(data)))
    tracemalloc.start()
    adopting(cloned, monkeypatch, dry_run=True)
    adopting(cloned, monkeypatch)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 6 << 20
    assert "yours already" in adopt(cloned)


def adopting(hooks: Hooks, monkeypatch: pytest.MonkeyPatch, dry_run: bool = False) -> None:
    from lib.maintenance.trust import adopt as act

    monkeypatch.setenv("HOME", str(hooks.home))
    act(State(hooks.directory, ""), dry_run)
