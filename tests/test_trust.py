"""State that others wrote: told to nobody until the user adopts it."""

from __future__ import annotations

import json

import pytest

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


def test_a_living_session_is_left_alone(cloned, monkeypatch):
    monkeypatch.setattr("lib.maintenance.trust.is_running", lambda state, session: True)
    cloned.prompt("one")
    with pytest.raises(StateError, match="session one is running"):
        adopting(cloned, monkeypatch)


def adopting(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib.maintenance.trust import adopt as act

    monkeypatch.setenv("HOME", str(hooks.home))
    act(State(hooks.directory, ""))
