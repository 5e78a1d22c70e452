"""Commands that read write nothing: not a byte, not a name, not a time, on a sound state or not."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import ROOT, Hooks, absent

READING = (
    ("status",),
    ("show",),
    ("show", "good"),
    ("log",),
    ("sessions",),
    ("touched", "a.py"),
    ("failures",),
    ("checkpoints",),
    ("diff", "good"),
    ("get",),
    ("get", "plan"),
    ("phase",),
    ("prune", "--dry-run"),
    ("doctor",),
    ("statusline",),
    ("here", "status"),
    ("completion", "bash"),
    ("export", "--output", "-"),
    ("report", "--output", "-"),
)


def damage_nothing(_hooks: Hooks) -> None:
    pass


def damage_documents(hooks: Hooks) -> None:
    """Of a key and a checkpoint only the beginning is left."""
    if hooks.environment.get("WORKFLOW_STATE_STORE") == "sqlite":
        with closing(sqlite3.connect(hooks.directory / "state.sqlite3")) as database, database:
            database.execute("UPDATE documents SET data = x'7b' WHERE name IN ('plan', 'good')")
        return
    for file in ("keys/plan.json", "checkpoints/good.json"):
        (hooks.directory / file).write_text("{")


def damage_intent(hooks: Hooks) -> None:
    """A restore wrote what all keys are about to be, and was cut short."""
    if hooks.environment.get("WORKFLOW_STATE_STORE") == "sqlite":
        path = hooks.directory / "state.sqlite3"
        path.write_bytes(path.read_bytes()[:5000])
    else:
        (hooks.directory / ".restore.json").write_text("{")


def leave_to_the_next(hooks: Hooks) -> None:
    """Everything that a writer would tidy up: temporary files, a torn record, a log of SQLite."""
    (hooks.directory / ".tmp-0123456789abcdef").write_text("half")
    os.utime(hooks.directory / ".tmp-0123456789abcdef", (1, 1))
    with (hooks.directory / "sessions/one.jsonl").open("ab") as file:
        file.write(b'\n{"v":1,"at":')
    if hooks.environment.get("WORKFLOW_STATE_STORE") == "sqlite":
        code = (
            "import os, sqlite3, sys; database = sqlite3.connect(sys.argv[1]); "
            "database.execute(\"UPDATE facts SET value = 'earlier' WHERE name = 'boot'\"); "
            "database.commit(); os._exit(0)"
        )
        command = [hooks.python, "-c", code, str(hooks.directory / "state.sqlite3")]
        subprocess.run(command, check=True)
        assert (hooks.directory / "state.sqlite3-wal").stat().st_size


HARM = {
    "sound": damage_nothing,
    "damaged documents": damage_documents,
    "a damaged whole": damage_intent,
    "left by a killed writer": leave_to_the_next,
}


@pytest.fixture(params=["json", "sqlite"])
def worked(request, hooks: Hooks) -> Hooks:
    """A session that worked, saved, checkpointed and ended."""
    hooks.environment["WORKFLOW_STATE_STORE"] = request.param
    hooks.start("one")
    hooks.prompt("one", "make a")
    (hooks.project / "a.py").write_text("a = 1\n")
    hooks.call("one", "Write", "t1", {"file_path": str(hooks.project / "a.py")})
    hooks.stop("one")
    for words in (("set", "plan", "1"), ("checkpoint", "good"), ("set", "plan", "2")):
        assert hooks.cli(*words).returncode == 0
    return hooks


def told_apart(*tops: Path) -> dict[str, object]:
    """All that lies below: kinds, modes, owners, contents, and when each was changed.

    SQLite makes an index of its log beside it, which holds nothing; and it comes and goes in the
    directory, whose time says so.
    """
    found: dict[str, object] = {}
    for top in tops:
        for path in [top, *sorted(top.rglob("*"))]:
            if path.name.endswith("-shm"):
                continue
            status = path.lstat()
            data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            changed = 0 if path.is_dir() else status.st_mtime_ns
            found[str(path)] = status.st_mode, status.st_uid, status.st_ino, changed, data
    return found


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_no_command_that_reads_writes(worked, harm):
    harm(worked)
    before = told_apart(worked.project, worked.home)
    for words in READING:
        done = worked.cli(*words, input="{}")
        assert done.returncode in (0, 1), (words, done.stderr)
        assert "Traceback" not in done.stderr
        assert told_apart(worked.project, worked.home) == before, words


def test_root_looks_at_a_users_state_and_leaves_it(worked):
    """With the user's environment, as `sudo` keeps it on some systems."""
    if os.geteuid():
        absent("only root can give a directory away")
    damage_documents(worked)
    for top in (worked.project, worked.home):
        for path in [top, *top.rglob("*")]:
            os.lchown(path, 12345, 12345)
    before = told_apart(worked.project, worked.home)
    worked.environment["WORKFLOW_STATE_DIR"] = str(worked.directory)
    for words in (*READING, ("doctor", "--fix")):
        done = worked.cli(*words, input="{}")
        assert done.returncode in (0, 1), (words, done.stderr)
        assert told_apart(worked.project, worked.home) == before, words


def test_watch_writes_nothing(worked):
    damage_documents(worked)
    before = told_apart(worked.project, worked.home)
    process = subprocess.Popen(
        [worked.python, str(ROOT / "bin/workflow-state"), "watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=worked.env(),
        cwd=worked.project,
    )
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert told_apart(worked.project, worked.home) == before
