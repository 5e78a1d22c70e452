"""When Claude stops: what is checkpointed and published, and what a failing disk costs."""

from __future__ import annotations

import json
import os
import resource

import pytest

from lib.state import State

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def worked(hooks):
    """A session that has written a file."""
    hooks.start("s")
    hooks.prompt("s")
    hooks.call("s", "Write", "1", {"file_path": str(hooks.project / "a.py")}, {"type": "create"})
    return hooks


def saved(hooks) -> dict:
    return json.loads((hooks.directory / "checkpoints" / "session-s.json").read_text())


@pytest.mark.parametrize("name", ["Stop", "StopFailure", "PreCompact"])
def test_checkpoints_the_session(worked, name):
    assert worked.send({"hook_event_name": name, "session_id": "s"}) == ""
    kept = saved(worked)
    assert (kept["v"], kept["name"], kept["trigger"]) == (1, "session-s", name)
    assert list(kept["session"]["files_processed"]) == ["a.py"]
    assert kept["keys"]["files_processed"]["value"] == ["a.py"]


def test_the_end_is_only_marked(worked):
    worked.end("s")
    assert not (worked.directory / "checkpoints").exists()
    assert worked.show("s")["ended"]["reason"] == "other"


def test_publishes_phase_and_files(worked):
    worked.stop("s")
    for key, value in (("current_phase", "build"), ("files_processed", ["a.py"])):
        published = json.loads((worked.view / f"{key}.json").read_text())
        assert published["value"] == value
        assert set(published) >= {"value", "timestamp"}
    elsewhere = State(worked.directory, "")
    assert elsewhere.load_state("current_phase") == "build"


def test_a_checkpoint_is_what_the_whole_journal_folds_to(worked):
    worked.stop("s")
    worked.prompt("s", "more")
    worked.call("s", "Write", "2", {"file_path": str(worked.project / "b.py")}, {"type": "create"})
    worked.stop("s")
    incremental = worked.show("s")
    (worked.directory / "checkpoints" / "session-s.json").unlink()
    whole = worked.show("s")
    for about in (incremental, whole):
        del about["last_checkpoint"], about["last_checkpoint_at"]
    assert whole == incremental


@pytest.fixture
def idle(worked):
    """A session whose last stop was preceded by nothing, and what its checkpoint is then."""
    worked.processes = True  # no two within one tick of a file system's clock
    worked.stop("s")
    worked.stop("s")  # were the keys and the checkpoint written in one tick, say
    worked.processes = False
    return worked


def identity(hooks) -> tuple[int, int]:
    """What tells a checkpoint from one that was put in its place."""
    status = (hooks.directory / "checkpoints" / "session-s.json").stat()
    return status.st_ino, status.st_mtime_ns


def test_a_stop_when_nothing_happened_writes_no_checkpoint(idle):
    before = identity(idle)
    stopped = idle.show("s")["last_stop"]
    idle.stop("s")
    assert identity(idle) == before
    assert idle.show("s")["last_stop"] > stopped


SINCE = {
    "a request": lambda hooks: hooks.prompt("s", "more"),
    "a call": lambda hooks: hooks.call("s", "Read", "2", {"file_path": "a.py"}),
    "a call that began": lambda hooks: hooks.send(
        {"hook_event_name": "PreToolUse", "session_id": "s", "tool_name": "Bash"}
    ),
    "a resumption": lambda hooks: hooks.start("s", "resume"),
    "a stop with tasks in the background": lambda hooks: hooks.stop("s", background_tasks=[{}]),
    "a phase": lambda hooks: hooks.cli("phase", "ship", "--session", "s"),
    "a key": lambda hooks: hooks.cli("set", "plan", "1"),
    "a key that went": lambda hooks: hooks.cli("unset", "before"),
    "a key edited by hand": lambda hooks: (hooks.directory / "keys/before.json").write_text(
        '{"value": 2, "timestamp": "2026-11-23T14:31:05.123Z"}'
    ),
    "a list of files edited by hand": lambda hooks: (
        hooks.directory / "keys/files_processed.json"
    ).write_text('{"value": [], "timestamp": "2026-11-23T14:31:05.123Z"}'),
    "a restore": lambda hooks: hooks.cli("restore", "session-s", "--session", "s"),
    "a compaction": lambda hooks: hooks.send({"hook_event_name": "PreCompact", "session_id": "s"}),
    "a checkpoint's end": lambda hooks: (
        hooks.directory / "checkpoints" / "session-s.json"
    ).unlink(),
    "a checkpoint's damage": lambda hooks: (
        hooks.directory / "checkpoints" / "session-s.json"
    ).write_text("{}"),
    "a checkpoint of another session": lambda hooks: (
        hooks.directory / "checkpoints" / "session-s.json"
    ).write_text(saved_text(hooks).replace('"session": "s"', '"session": "t"')),
    "damage in the journal": lambda hooks: append(hooks, b"no record\n"),
    "a journal cut short": lambda hooks: cut(hooks, 40),
    "a journal begun anew": lambda hooks: cut(hooks, 10**9),
}


def saved_text(hooks) -> str:
    return (hooks.directory / "checkpoints" / "session-s.json").read_text()


def append(hooks, data: bytes) -> None:
    with (hooks.directory / "sessions" / "s.jsonl").open("ab") as file:
        file.write(data)


def cut(hooks, size: int) -> None:
    journal = hooks.directory / "sessions" / "s.jsonl"
    os.truncate(journal, max(0, journal.stat().st_size - size))


@pytest.mark.parametrize("since", SINCE)
def test_a_stop_writes_a_checkpoint_after(idle, since):
    idle.cli("set", "before", "1")
    idle.stop("s")
    before = identity(idle)
    idle.stop("s")
    assert identity(idle) == before
    SINCE[since](idle)
    idle.script("stop.py", '{"hook_event_name": "Stop", "session_id": "s"}')
    assert identity(idle) != before


def test_a_damaged_checkpoint_is_told_once_and_made_anew(worked):
    worked.stop("s")
    (worked.directory / "checkpoints" / "session-s.json").write_bytes(b"\0" * 4096)
    event = json.dumps({"hook_event_name": "Stop", "session_id": "s"})
    done = worked.script("stop.py", event)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "session-s.json" in done.stderr
    (kept,) = (worked.directory / "checkpoints").glob("session-s.json.damaged-*")
    assert kept.read_bytes() == b"\0" * 4096
    worked.stop("s")
    assert list(saved(worked)["session"]["files_processed"]) == ["a.py"]


def test_a_full_disk_leaves_the_old_checkpoint_and_the_next_stop_heals(worked):
    worked.stop("s")
    before = saved(worked)
    worked.call("s", "Write", "2", {"file_path": str(worked.project / "b.py")}, {"type": "create"})

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))

    event = json.dumps({"hook_event_name": "Stop", "session_id": "s"})
    done = worked.script("stop.py", event, preexec_fn=full)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert saved(worked) == before
    worked.stop("s")
    assert list(saved(worked)["session"]["files_processed"]) == ["a.py", "b.py"]


def test_a_state_directory_that_is_a_file_is_told(hooks):
    hooks.directory.parent.mkdir(parents=True)
    hooks.directory.write_text("mine")
    done = hooks.script("stop.py", '{"hook_event_name": "Stop", "session_id": "s"}')
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert hooks.directory.read_text() == "mine"
