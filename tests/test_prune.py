"""`prune` as a person runs it: what goes, what stays, what is only said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lib.recording import journal
from tests.conftest import ROOT
from tests.test_retention import age, checkpoints, kept, names, project, seed  # noqa: F401

CLI = ROOT / "bin" / "workflow-state"


@pytest.fixture
def ten(project):  # noqa: F811
    """Ten sessions: s000 was active 100 days ago, s009 10."""
    for number in range(10):
        seed(project, f"s{number:03d}", 100 - 10 * number)
    return project


def run(hooks, *arguments: str, code: int = 0, **options) -> str:
    done = hooks.cli("prune", *arguments, **options)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_what_is_older_and_beyond_the_newest_goes(ten):
    shown = run(ten, "--older-than", "65d", "--keep", "3")
    assert kept(ten) == names(4, 10)
    assert checkpoints(ten) == [f"session-{name}" for name in names(4, 10)]
    assert shown.startswith("Removed 4 sessions (")
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [
        ["session", name] for name in names(0, 4)
    ]


@pytest.mark.parametrize(
    ("older", "keep", "left"),
    [("65d", "10", 10), ("65d", "8", 8), ("200d", "0", 10), ("15w", "0", 10), ("24h", "0", 0)],
)
def test_both_limits_must_be_passed(ten, older, keep, left):
    run(ten, "--older-than", older, "--keep", keep)
    assert len(kept(ten)) == left


def test_by_default_it_goes_by_the_rule_of_a_start(ten):
    assert run(ten) == "Nothing was that old.\n"
    assert len(kept(ten)) == 10


def test_a_dry_run_removes_nothing_and_tells_the_same(ten):
    told = json.loads(run(ten, "--older-than", "65d", "--keep", "0", "--dry-run", "--json"))
    assert kept(ten) == names(0, 10)
    assert run(ten, "--older-than", "65d", "--keep", "0", "--dry-run").startswith("Would remove 4")
    done = json.loads(run(ten, "--older-than", "65d", "--keep", "0", "--json"))
    assert [each["session_id"] for each in done["sessions"]] == names(0, 4)
    assert {**told, "dry_run": False} == done


def test_a_running_session_stays_however_old(ten):
    alive = {"event": "SessionStart", "pid": os.getpid(), "host": os.uname().nodename}
    journal.write(str(ten.directory), "s001", alive)
    age(ten, "s001", 90)
    shown = run(ten, "--older-than", "65d", "--keep", "0")
    assert "Session s001 is still running, and stays." in shown
    assert kept(ten) == ["s001", *names(4, 10)]


def test_the_session_it_is_called_from_stays(ten):
    environment = {**ten.env(), "CLAUDE_CODE_SESSION_ID": "s000"}
    run(ten, "--older-than", "65d", "--keep", "0", env=environment)
    assert kept(ten) == ["s000", *names(4, 10)]
    run(ten, "--older-than", "65d", "--keep", "0", "--session", "s004")
    assert kept(ten) == names(4, 10)


def old_checkpoint(hooks, name: str, days: float) -> None:
    hooks.cli("checkpoint", name)
    path = hooks.directory / "checkpoints" / f"{name}.json"
    created = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - days * 86400))
    document = json.loads(path.read_text())
    path.write_text(
        json.dumps({"v": 1, "name": name, "created": created, "keys": document["keys"]})
    )


def test_checkpoints_made_by_hand_go_only_when_asked_for_and_old(ten):
    old_checkpoint(ten, "old", 70)
    old_checkpoint(ten, "young", 60)
    run(ten, "--older-than", "65d", "--keep", "0")
    assert {"old", "young"} <= set(checkpoints(ten))
    shown = run(ten, "--older-than", "65d", "--keep", "0", "--checkpoints")
    assert shown.startswith("Removed 1 checkpoint:\n  checkpoint  old")
    assert checkpoints(ten) == [f"session-{name}" for name in names(4, 10)] + ["young"]


def test_keys_stay(ten):
    ten.cli("set", "plan", "1")
    run(ten, "--older-than", "0h", "--keep", "0", "--checkpoints")
    assert ten.cli("get", "plan").stdout == "1\n"


def test_an_empty_project_is_no_error_and_stays_empty(project):  # noqa: F811
    assert run(project, "--older-than", "0h", "--keep", "0") == "Nothing was that old.\n"
    assert not project.directory.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--older-than", "30"),
        ("--older-than", "-1d"),
        ("--older-than", "d"),
        ("--older-than", "1m"),
        ("--older-than", "9999999d"),
        ("--keep", "-1"),
        ("--keep", "many"),
        ("now",),
    ],
    ids=" ".join,
)
def test_wrong_arguments_remove_nothing(ten, arguments):
    run(ten, *arguments, code=2)
    assert kept(ten) == names(0, 10)


def test_a_session_that_cannot_be_removed_is_told_in_one_line(ten):
    (ten.directory / "checkpoints" / "session-s000.json").unlink()
    (ten.directory / "checkpoints" / "session-s000.json").mkdir()
    told = run(ten, "--older-than", "65d", "--keep", "0", code=1)
    assert told.startswith("workflow-state: ")
    assert told.count("\n") == 1
    assert kept(ten) == names(0, 10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_every_session_whole_or_gone(ten, number):
    """Stopped at its first removal, by a lock that somebody holds."""
    import fcntl

    with open(ten.directory / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = subprocess.Popen(
            [sys.executable, CLI, "prune", "--older-than", "65d", "--keep", "0"],
            cwd=ten.project,
            env=ten.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_until_it_waits(running.pid)
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert running.returncode == (130 if number == signal.SIGINT else -number)
    assert (out, err) == (b"", b"")
    assert kept(ten) == names(0, 10)
    run(ten, "--older-than", "65d", "--keep", "0")
    assert kept(ten) == names(4, 10)


def wait_until_it_waits(pid: int) -> None:
    """Until a process has the lock's file open, which it tries to lock again and again."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        try:
            links = [
                os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd")
            ]
        except FileNotFoundError:
            continue
        if any(link.endswith("/.lock") for link in links):
            return
    raise AssertionError("it never came to the lock")
