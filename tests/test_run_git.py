"""git as a guest: its answers, what it may not do, and what is left behind."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from lib.project.run_git import MISSING, REFUSED, TOO_SLOW, Answer, run_git
from tests.conftest import absent
from tests.test_git import fake_git, git

STATUS = ["status", "--porcelain"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one file committed."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q")
    (root / "a.txt").write_text("one\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return root


def ask(root: Path, *arguments: str, seconds: float = 60) -> Answer:
    return run_git(str(root), [*(arguments or STATUS)], seconds)


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def is_there(pid: int) -> bool:
    """Whether a process runs, or is a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def await_file(path: Path) -> str:
    give_up = time.monotonic() + 30
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < give_up, f"{path} was not written"
        time.sleep(0.01)
    return path.read_text()


def test_nothing_is_an_answer(repository):
    answer = ask(repository)
    assert (answer.output, answer.failure, answer.cause) == (b"", "", "")


def test_what_git_prints_is_an_answer(repository):
    (repository / "b.txt").touch()
    assert ask(repository).output == b"?? b.txt\n"


def test_git_may_be_missing(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    answer = ask(repository)
    assert (answer.failure, answer.cause) == (
        MISSING,
        "git cannot be run: it is not on the PATH",
    )


def test_a_git_that_may_not_be_run_is_missing(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", "exit 0").partition(":")[0])
    (tmp_path / "bin/git").chmod(0)
    assert ask(repository).failure == MISSING


def test_the_reason_of_a_refusal_is_told_without_secrets(repository):
    (repository / ".git/HEAD").unlink()
    assert ask(repository).failure == REFUSED
    secret = "s3cr3tpassw0rd"
    answer = ask(repository, "ls-remote", f"https://me:{secret}@example.org/x\x1b[2J")
    assert answer.failure == REFUSED
    assert "git failed: " in answer.cause
    assert secret not in answer.cause
    assert answer.cause.isprintable()


def another_users(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a repository to another user; the user's own configuration is empty."""
    if os.geteuid():
        absent("root, which can give files to another user")
    for path in (root, *root.rglob("*")):
        os.chown(path, 4321, 4321, follow_symlinks=False)
    home = root.parent / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SUDO_UID", raising=False)


def test_another_users_repository_is_refused(repository, monkeypatch):
    another_users(repository, monkeypatch)
    answer = ask(repository)
    assert answer.failure == REFUSED
    assert "dubious ownership" in answer.cause


def trust_in_home(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root.parent / "home/.gitconfig").write_text(f"[safe]\ndirectory = {root}\n")


def trust_in_another_file(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root.parent / "elsewhere").write_text(f"[safe]\ndirectory = {root}\n")
    patch.setenv("GIT_CONFIG_GLOBAL", str(root.parent / "elsewhere"))


def trust_by_variables(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("GIT_CONFIG_COUNT", "2")
    patch.setenv("GIT_CONFIG_KEY_0", "status.showUntrackedFiles")
    patch.setenv("GIT_CONFIG_VALUE_0", "no")
    patch.setenv("GIT_CONFIG_KEY_1", "Safe.Directory")
    patch.setenv("GIT_CONFIG_VALUE_1", str(root))


@pytest.mark.parametrize("trust", [trust_in_home, trust_in_another_file, trust_by_variables])
def test_what_the_user_calls_safe_is_safe(repository, monkeypatch, trust):
    (repository / "b.txt").touch()
    another_users(repository, monkeypatch)
    trust(repository, monkeypatch)
    assert ask(repository).output == b"?? b.txt\n"


def test_a_repository_does_not_call_itself_safe(repository, monkeypatch):
    git(repository, "config", "safe.directory", "*")
    another_users(repository, monkeypatch)
    assert ask(repository).failure == REFUSED


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"])
def test_the_variables_of_a_git_hook_do_not_count(repository, tmp_path, monkeypatch, name):
    (repository / "b.txt").touch()
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "-q")
    monkeypatch.setenv(name, str(tmp_path / "other/.git"))
    assert ask(repository).output == b"?? b.txt\n"


# --- processes ---------------------------------------------------------------------------------


def with_filter(root: Path, text: str) -> Path:
    """Let a filter run over a file at the next status; returns where it writes its process."""
    pid = root.parent / "pid"
    (root / ".gitattributes").write_text("*.bin filter=own\n")
    (root / "a.bin").write_text("one\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "a filter's")
    git(root, "config", "filter.own.clean", script(root.parent / "filter", text.format(pid=pid)))
    os.utime(root / "a.bin", (5, 5))
    return pid


def test_a_filter_that_is_slow_and_its_child_are_ended(repository):
    pid = with_filter(repository, "sleep 600 & echo $! > {pid}; echo $$ >> {pid}; sleep 600")
    answer = ask(repository, seconds=2)
    assert (answer.failure, answer.output) == (TOO_SLOW, b"")
    processes = [int(line) for line in await_file(pid).splitlines()]
    assert [each for each in processes if is_there(each)] == []


def test_a_child_that_a_filter_leaves_is_ended_and_not_waited_for(repository):
    """It holds git's stderr open, and would keep the answer for as long as it runs."""
    pid = with_filter(repository, "sleep 600 > /dev/null & echo $! > {pid}; cat")
    answer = ask(repository)
    assert (answer.failure, answer.output) == ("", b"")
    child = int(await_file(pid))
    give_up = time.monotonic() + 30
    while is_there(child) and _state(child) != "Z":  # init waits for it when it likes
        assert time.monotonic() < give_up
        time.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_all_that_git_wrote_is_read_where_a_child_holds_its_output(
    repository, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", "sleep 600 & seq 10000"))
    assert ask(repository).output.splitlines()[-1] == b"10000"


def test_no_time_is_too_slow_without_a_process(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", f"touch {tmp_path}/ran"))
    assert ask(repository, seconds=0).failure == TOO_SLOW
    assert not (tmp_path / "ran").exists()


# --- the network -------------------------------------------------------------------------------


def test_nothing_that_a_partial_clone_lacks_is_fetched(repository, tmp_path):
    git(repository, "config", "uploadpack.allowFilter", "true")
    url = f"file://{repository}"
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", url, "clone")
    clone = tmp_path / "clone"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        git(clone, "config", "remote.origin.url", f"git://127.0.0.1:{server.getsockname()[1]}/x")
        assert ask(clone, "cat-file", "-p", "HEAD:a.txt").failure == REFUSED
        with pytest.raises(BlockingIOError):
            server.accept()
