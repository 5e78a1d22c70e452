"""What git and the disk say: changes made by Bash, fingerprints, drift."""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib.project import git as worktree
from tests.conftest import Hooks


def git(directory: Path, *arguments: str, **more: str) -> bytes:
    """Run git as a user would, with no configuration but this, and `more` variables."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", **more}
    done = subprocess.run(
        ["git", *who, *arguments], cwd=directory, env=environment, capture_output=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.stdout


def settle() -> float:
    """The time, once every change so far lies before it: change times cannot be set, only awaited.

    They are stamped with the kernel's tick, and compared with a tick's grace.
    """
    time.sleep(0.05)
    return time.time()


FILES = ("a.txt", "b.txt", "dir/c.txt")


@pytest.fixture
def repository(hooks: Hooks) -> Path:
    """The hooks' project as a repository with a few files committed."""
    root = hooks.project
    git(root, "init", "-q")
    for name in FILES:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(f"one of {name}\n" * 5)
    git(root, "add", "-A")
    # git knows commits by the second: this one must not fall into that of a test
    git(root, "commit", "-qm", "first", GIT_COMMITTER_DATE="2020-01-01T00:00:00Z")
    settle()
    return root


# --- git's words -------------------------------------------------------------------------------


def rename_unstaged(root: Path) -> None:
    (root / "a.txt").rename(root / "z.txt")
    git(root, "add", "-N", "z.txt")


def copy(root: Path) -> None:
    git(root, "config", "status.renames", "copies")
    (root / "z.txt").write_text((root / "a.txt").read_text())
    (root / "a.txt").write_text((root / "a.txt").read_text() + "more\n")
    git(root, "add", "-A")


def conflict(root: Path) -> None:
    git(root, "checkout", "-qb", "other")
    (root / "a.txt").write_text("theirs\n")
    git(root, "commit", "-qam", "theirs")
    git(root, "checkout", "-q", "-")
    (root / "a.txt").write_text("ours\n")
    git(root, "commit", "-qam", "ours")
    git(root, "merge", "other")


def write(*names: str) -> object:
    return lambda root: [(root / name).write_text("new\n") for name in names]


STATUS = {
    "nothing": (lambda root: None, {}),
    "a file that is new": (write("new.txt"), {"new.txt": "created"}),
    "a file that is new and staged": (
        lambda root: (write("new.txt")(root), git(root, "add", "new.txt")),
        {"new.txt": "created"},
    ),
    "a file in a directory that is new": (
        lambda root: ((root / "d/e").mkdir(parents=True), write("d/e/f")(root)),
        {"d/e/f": "created"},
    ),
    "a file that changed": (write("a.txt"), {"a.txt": "changed"}),
    "a file that is gone": (lambda root: (root / "a.txt").unlink(), {"a.txt": "deleted"}),
    "a file removed by git": (lambda root: git(root, "rm", "-q", "a.txt"), {"a.txt": "deleted"}),
    "a rename": (
        lambda root: git(root, "mv", "a.txt", "z.txt"),
        {"a.txt": "deleted", "z.txt": "created"},
    ),
    "a rename of which git was told half": (
        rename_unstaged,
        {"a.txt": "deleted", "z.txt": "created"},
    ),
    "a copy": (copy, {"a.txt": "changed", "z.txt": "created"}),
    "a conflict": (conflict, {"a.txt": "changed"}),
    "a name with spaces": (write(" a b "), {" a b ": "created"}),
    "a name with quotes": (write("a\"b'c"), {"a\"b'c": "created"}),
    "a name in another script": (write("größe-日本"), {"größe-日本": "created"}),
    "a name with a line break": (write("a\nb"), {"a\nb": "created"}),
    "a name like a status line": (write("? x"), {"? x": "created"}),
    "a name that is no UTF-8": (write("a\udcff"), {"a\udcff": "created"}),
    "a change with spaces in its name": (
        lambda root: (write("x y z")(root), git(root, "add", "-A")),
        {"x y z": "created"},
    ),
}


@pytest.mark.parametrize(("change", "kinds"), STATUS.values(), ids=STATUS)
def test_the_status_of_a_real_repository_reads(repository, change, kinds):
    change(repository)
    output = git(repository, "status", "--porcelain=v2", "--branch", "-z", "-uall")
    head, found = worktree.parse_status(output)
    assert found == kinds
    assert head == git(repository, "rev-parse", "HEAD").decode().strip()


def test_the_status_of_a_repository_without_a_commit_reads(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a").touch()
    output = git(tmp_path, "status", "--porcelain=v2", "--branch", "-z", "-uall")
    assert worktree.parse_status(output)[1] == {"a": "created"}


# --- what changed since ------------------------------------------------------------------------


def changes(project: Path, since: float, commands: str = "") -> dict[str, list[str]]:
    """What changed since a time, by kind, all of it seen."""
    found = worktree.changed_since(str(project), since, commands)
    assert "unseen" not in found
    return {kind: sorted(found[kind]) for kind in worktree.KINDS if found[kind]}


def unseen(project: Path, since: float = 0) -> str:
    """Why nothing could be seen."""
    found = worktree.changed_since(str(project), since)
    assert list(found) == ["unseen"]
    return found["unseen"]


def test_only_what_changed_since_counts(repository):
    write("a.txt", "old.txt")(repository)
    since = settle()
    write("b.txt", "new.txt")(repository)
    assert changes(repository, since) == {"changed": ["b.txt"], "created": ["new.txt"]}


def test_the_time_stamp_of_a_file_is_not_believed(repository):
    since = settle()
    write("new.txt")(repository)
    os.utime(repository / "new.txt", (0, 0))
    assert changes(repository, since) == {"created": ["new.txt"]}


def test_a_deletion_before_is_not_a_deletion_since(repository):
    """What else happens in its directory says nothing about a file that was gone already."""
    (repository / "a.txt").unlink()
    since = settle()
    write("new.txt")(repository)
    assert changes(repository, since) == {"created": ["new.txt"]}


def test_a_commit_hides_no_change(repository):
    since = settle()
    write("a.txt", "new.txt")(repository)
    (repository / "b.txt").unlink()
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "second")
    found = changes(repository, since, "rm b.txt")
    assert found["deleted"] == ["b.txt"]
    assert sorted(found["changed"] + found.get("created", [])) == ["a.txt", "new.txt"]


def test_paths_are_relative_to_a_project_below_the_repository(repository):
    since = settle()
    write("dir/c.txt", "a.txt")(repository)
    found = changes(repository / "dir", since)
    assert found == {"changed": sorted(["c.txt", str(repository / "a.txt")])}


def test_a_linked_worktree_has_changes_of_its_own(repository, tmp_path):
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"))
    since = settle()
    write("a.txt")(tmp_path / "linked")
    assert changes(tmp_path / "linked", since) == {"changed": ["a.txt"]}
    assert changes(repository, since) == {}


def test_a_linked_worktree_inside_has_changes_of_its_own(repository):
    git(repository, "worktree", "add", "-q", "inner")
    since = settle()
    write("inner/a.txt")(repository)
    assert changes(repository, since) == {}


def inside(root: Path, how: str, where: str = "inner") -> None:
    """A repository inside another: cloned into it, added as it is, or a submodule."""
    git(root.parent, "clone", "-q", str(root), "library")
    if how == "a submodule":
        git(root, "submodule", "add", "-q", str(root.parent / "library"), where)
    else:
        git(root, "clone", "-q", str(root.parent / "library"), where)
    if how == "one added":
        git(root, "add", where)
    if how != "a clone":
        git(root, "commit", "-qm", "library")


INSIDE = ("a clone", "one added", "a submodule")


@pytest.mark.parametrize("how", INSIDE)
def test_a_repository_inside_is_no_file(repository, how):
    since = settle()
    inside(repository, how)
    assert "inner" not in str(changes(repository, since)).replace("inner/", "")


@pytest.mark.parametrize("how", INSIDE)
def test_what_changes_in_a_repository_inside_is_seen(repository, how):
    inside(repository, how)
    inside(repository / "inner", "a clone", "deep")
    since = settle()
    write("inner/new.txt", "inner/a.txt", "inner/deep/b.txt")(repository)
    found = {"created": ["inner/new.txt"], "changed": ["inner/a.txt", "inner/deep/b.txt"]}
    assert changes(repository, since) == found
    git(repository / "inner", "add", "new.txt", "a.txt")
    git(repository / "inner", "commit", "-qm", "second")
    found = {"changed": ["inner/a.txt", "inner/deep/b.txt", "inner/new.txt"]}
    assert changes(repository, since) == found


@pytest.mark.parametrize("how", INSIDE)
def test_what_cannot_be_seen_in_a_repository_inside_is_told_beside_the_rest(repository, how):
    inside(repository, how)
    since = settle()
    write("inner/a.txt", "b.txt")(repository)
    dot = repository / (".git/modules/inner" if how == "a submodule" else "inner/.git")
    (dot / "index").write_text("noise")
    found = worktree.changed_since(str(repository), since)
    assert found["changed"] == ["b.txt"]
    assert "inner" in found["unseen"]


def test_a_program_that_a_repository_inside_names_is_not_run(repository, tmp_path):
    """It may have come with an archive, settings and all."""
    inside(repository, "a clone")
    (tmp_path / "filter").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    (tmp_path / "filter").chmod(0o755)
    git(repository / "inner", "config", "filter.theirs.clean", str(tmp_path / "filter"))
    (repository / "inner/.git/info/attributes").write_text("* filter=theirs\n")
    since = settle()
    write("inner/a.txt", "b.txt")(repository)
    found = worktree.changed_since(str(repository), since)
    assert not (tmp_path / "ran").exists()
    assert found["changed"] == ["b.txt"]
    assert found["unseen"] == "inner/ has filters of its own, which were not run"


@pytest.mark.parametrize(("before", "is_unknown"), [(1, True), (3, False)])
def test_a_time_in_whole_seconds_just_before_is_unknown(
    repository, monkeypatch, before, is_unknown
):
    write("a.txt")(repository)
    since = float(int(time.time()))
    real = os.lstat

    def coarse(path: str) -> os.stat_result:
        status = real(path)
        if not path.endswith("a.txt"):
            return status
        known = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
        known["st_ctime"], known["st_ctime_ns"] = since - before, int(since - before) * 10**9
        return SimpleNamespace(**known)

    monkeypatch.setattr(worktree.os, "lstat", coarse)
    found = worktree.changed_since(str(repository), since)
    assert found["changed"] == []
    assert ("a.txt may be older" in found.get("unseen", "")) == is_unknown


def test_many_new_files_are_found(repository):
    since = settle()
    write(*(f"{number}.log" for number in range(500)))(repository)
    assert len(changes(repository, since)["created"]) == 500


def test_nothing_is_seen_outside_git(tmp_path):
    assert unseen(tmp_path) == worktree.NO_REPOSITORY


def test_nothing_is_seen_after_the_clock_was_set_back(repository):
    assert "clock" in unseen(repository, time.time() + 60)


@pytest.mark.parametrize("where", ["here", "named"])
def test_a_bare_repository_has_no_files_to_see(tmp_path, where):
    git(tmp_path, "init", "-q", "--bare", "bare")
    if where == "here":
        assert unseen(tmp_path / "bare") == worktree.NO_REPOSITORY
        return
    (tmp_path / ".git").write_text("gitdir: bare\n")
    assert "work tree" in unseen(tmp_path)


def test_before_the_first_commit_all_is_new(tmp_path):
    git(tmp_path, "init", "-q")
    since = settle()
    write("new.txt")(tmp_path)
    git(tmp_path, "add", "new.txt")
    assert changes(tmp_path, since) == {"created": ["new.txt"]}


@pytest.mark.parametrize("reflog", [True, False])
def test_the_first_commit_is_a_change(tmp_path, reflog):
    git(tmp_path, "init", "-q")
    git(tmp_path, "config", "core.logAllRefUpdates", str(reflog).lower())
    since = settle()
    write("new.txt")(tmp_path)
    git(tmp_path, "add", "new.txt")
    git(tmp_path, "commit", "-qm", "first")
    assert changes(tmp_path, since) == {"changed": ["new.txt"]}


def test_a_commit_on_a_detached_head_is_a_change(repository):
    git(repository, "checkout", "-q", "--detach")
    since = settle()
    write("a.txt")(repository)
    git(repository, "commit", "-qam", "second")
    git(repository, "commit", "-q", "--amend", "-m", "amended")
    assert changes(repository, since) == {"changed": ["a.txt"]}


def branch_off(root: Path) -> None:
    """A branch `theirs` that somebody commits to now, in a clone."""
    git(root.parent, "clone", "-q", str(root), "colleague")
    write("a.txt", "theirs.txt")(root.parent / "colleague")
    git(root.parent / "colleague", "add", "-A")
    git(root.parent / "colleague", "commit", "-qm", "theirs")
    git(root, "fetch", "-q", str(root.parent / "colleague"), "HEAD:theirs")


BROUGHT = {
    "a pull": ("pull", "-q", "--ff-only", ".", "theirs"),
    "a fast-forward": ("merge", "-q", "theirs"),
    "a merge": ("merge", "-q", "--no-ff", "-m", "merge", "theirs"),
    "a checkout": ("checkout", "-q", "theirs"),
    "a reset": ("reset", "-q", "--hard", "theirs"),
    "a rebase": ("rebase", "-q", "theirs"),
}


@pytest.mark.parametrize("arguments", BROUGHT.values(), ids=BROUGHT)
def test_what_others_committed_is_no_change_after(repository, arguments):
    since = settle()
    branch_off(repository)
    git(repository, *arguments)
    assert (repository / "theirs.txt").exists()
    assert changes(repository, since) == {}


def test_while_a_merge_goes_on_its_work_is_not_told_as_a_change(repository):
    branch_off(repository)
    write("b.txt")(repository)
    (repository / "a.txt").write_text("ours\n")
    git(repository, "commit", "-qam", "ours", GIT_COMMITTER_DATE="2020-01-02T00:00:00Z")
    since = settle()
    git(repository, "merge", "theirs")
    write("dir/c.txt", "new.txt")(repository)
    found = worktree.changed_since(str(repository), since)
    assert (found["created"], found["changed"]) == (["new.txt"], ["dir/c.txt"])
    assert "merge" in found["unseen"]
    (repository / "a.txt").write_text("both\n")
    git(repository, "commit", "-qam", "merged")
    assert changes(repository, since) == {
        "created": ["new.txt"],
        "changed": ["a.txt", "dir/c.txt"],
    }


BROKEN = {
    "an empty folder": lambda dot: dot.mkdir(),
    "an empty file": lambda dot: dot.touch(),
    "a link to nowhere": lambda dot: dot.symlink_to("nowhere"),
    "a file that names nothing": lambda dot: dot.write_text("gitdir: /nonexistent\n"),
    "noise": lambda dot: dot.write_bytes(b"\0\xff" * 99),
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("where", ["alone", "in another repository"])
def test_nothing_is_seen_where_git_is(repository, tmp_path, make, where):
    project = (repository if where != "alone" else tmp_path) / "broken"
    project.mkdir()
    make(project / ".git")
    (project / "new.txt").touch()
    (repository / "new.txt").touch()
    assert unseen(project).startswith("git failed: ")


def test_nothing_is_seen_without_a_git_binary(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert unseen(repository) == "git cannot be run: it is not on the PATH"


def test_a_lock_of_somebody_else_is_no_hindrance(repository):
    since = settle()
    write("a.txt")(repository)
    (repository / ".git/index.lock").touch()
    assert changes(repository, since) == {"changed": ["a.txt"]}


def fake_git(directory: Path, script: str) -> str:
    """A PATH with a git that is a shell script."""
    directory.mkdir()
    (directory / "git").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "git").chmod(0o755)
    return f"{directory}:{os.defpath}"


def test_git_is_asked_without_locks_prompts_or_the_callers_variables(
    repository, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", f"env > {tmp_path}/seen"))
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/elsewhere")
    worktree.changed_since(str(repository), 0)
    seen = (tmp_path / "seen").read_text().splitlines()
    assert "GIT_OPTIONAL_LOCKS=0" in seen
    assert "GIT_TERMINAL_PROMPT=0" in seen
    assert not [line for line in seen if line.startswith(("GIT_DIR", "GIT_INDEX_FILE"))]


def test_the_index_is_not_rewritten(repository):
    index = repository / ".git" / "index"
    (repository / "a.txt").touch()  # git would refresh what it knows of the file
    before = index.read_bytes(), index.stat().st_mtime_ns
    changes(repository, 0)
    assert (index.read_bytes(), index.stat().st_mtime_ns) == before


def test_a_program_that_the_configuration_names_does_not_run(repository, tmp_path):
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    monitor.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(monitor))
    since = settle()
    write("a.txt")(repository)
    assert changes(repository, since) == {"changed": ["a.txt"]}
    assert not (tmp_path / "ran").exists()


# --- fingerprints and drift --------------------------------------------------------------------


def big(path: Path) -> None:
    path.write_bytes(b"x" * (worktree.HASHED_BYTES + 1))


def same_size(path: Path) -> None:
    path.write_text("two")


def older(path: Path) -> None:
    os.utime(path, ns=(-5, -5))


def text(path: Path) -> None:
    path.write_text("one")


DRIFT = {
    "a touch is none": (text, Path.touch, {}),
    "nothing is none": (text, lambda path: None, {}),
    "an edit of the same size is": (text, same_size, {"f": "changed"}),
    "an edit is": (text, lambda path: path.write_text("three"), {"f": "changed"}),
    "a deletion is": (text, Path.unlink, {"f": "gone"}),
    "a time before 1970 is none": (text, older, {}),
    "an edit after a time before 1970 is": (
        lambda path: (text(path), older(path)),
        same_size,
        {"f": "changed"},
    ),
    "a deletion that was known is none": (lambda path: None, lambda path: None, {}),
    "a file that came back is": (lambda path: None, text, {"f": "changed"}),
    "a large file left alone is none": (big, lambda path: None, {}),
    "an edit of a large file is": (
        big,
        lambda path: path.write_bytes(b"y" * (worktree.HASHED_BYTES + 9)),
        {"f": "changed"},
    ),
    "a file become a directory is": (
        text,
        lambda path: (path.unlink(), path.mkdir()),
        {"f": "changed"},
    ),
    "a file become a FIFO is": (
        text,
        lambda path: (path.unlink(), os.mkfifo(path)),
        {"f": "changed"},
    ),
    "a file become a symlink is": (
        text,
        lambda path: (path.unlink(), path.symlink_to("o")),
        {"f": "changed"},
    ),
    "a symlink left alone is none": (
        lambda path: path.symlink_to("nowhere"),
        lambda path: None,
        {},
    ),
    "a symlink to elsewhere is": (
        lambda path: path.symlink_to("here"),
        lambda path: (path.unlink(), path.symlink_to("away")),
        {"f": "changed"},
    ),
    "a FIFO left alone is none": (os.mkfifo, lambda path: None, {}),
    "a directory left alone is none": (Path.mkdir, lambda path: None, {}),
}


@pytest.mark.parametrize(("before", "after", "found"), DRIFT.values(), ids=DRIFT)
def test_of_drift(tmp_path, before, after, found):
    path = tmp_path / "f"
    before(path)
    files = worktree.fingerprints(str(tmp_path), {"f": ""})
    after(path)
    assert worktree.drift(str(tmp_path), files) == found


def test_a_file_that_cannot_be_read_is_neither_gone_nor_changed(tmp_path, monkeypatch):
    (tmp_path / "f").write_text("one")

    def refuse(*_arguments: object, **_options: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(worktree.journal, "read_key", lambda make=False: b"")
        patch.setattr(os, "open", refuse)
        files = worktree.fingerprints(str(tmp_path), {"f": ""})
        assert files["f"] != worktree.GONE
        assert worktree.drift(str(tmp_path), files) == {}


def test_fingerprints_are_taken_of_what_has_none_or_looks_different(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text("one")
    files = {"a": "", "c": "3:0:old", **worktree.fingerprints(str(tmp_path), {"b": ""})}
    assert sorted(worktree.fingerprints(str(tmp_path), files)) == ["a", "c"]


def test_a_fingerprint_tells_nobody_else_what_a_file_holds(tmp_path):
    (tmp_path / "f").write_text("secret")
    one, two = (worktree.fingerprint(str(tmp_path / "f"), key * 32) for key in (b"a", b"b"))
    assert one != two


# --- through the scripts -----------------------------------------------------------------------


def bash(hooks: Hooks, change: object, session: str = "s", call: str = "b1") -> None:
    """A call of Bash that does something on the disk, of which its response says nothing."""
    about = {"session_id": session, "tool_name": "Bash", "tool_use_id": call}
    about["tool_input"] = {"command": "./do.sh a.txt"}
    hooks.send({**about, "hook_event_name": "PreToolUse"})
    change(hooks.project)
    hooks.send({**about, "hook_event_name": "PostToolUse", "tool_response": {"stdout": ""}})


def outcomes(hooks: Hooks, session: str = "s") -> dict[str, str]:
    return {
        path: about["outcome"] for path, about in hooks.show(session)["files_processed"].items()
    }


@pytest.fixture
def turn(hooks: Hooks, repository: Path) -> Hooks:
    """A session that has been asked for something."""
    hooks.start("s")
    hooks.prompt("s")
    return hooks


BASH = {
    "created": (write("new.txt"), {"new.txt": "created"}),
    "changed": (write("a.txt"), {"a.txt": "changed"}),
    "deleted": (lambda root: (root / "a.txt").unlink(), {"a.txt": "deleted"}),
    "renamed": (
        lambda root: (root / "a.txt").rename(root / "z.txt"),
        {"a.txt": "deleted", "z.txt": "created"},
    ),
    "renamed in git": (
        lambda root: git(root, "mv", "a.txt", "z.txt"),
        {"a.txt": "deleted", "z.txt": "created"},
    ),
    "changed and committed": (
        lambda root: (write("a.txt")(root), git(root, "commit", "-qam", "second")),
        {"a.txt": "changed"},
    ),
    "ignored by git": (
        lambda root: ((root / ".git/info/exclude").write_text("*.log\n"), write("a.log")(root)),
        {},
    ),
    "looked at": (lambda root: (root / "a.txt").read_text(), {}),
}


@pytest.mark.parametrize(("change", "found"), BASH.values(), ids=BASH)
def test_a_file_that_bash(turn, change, found):
    bash(turn, change)
    turn.stop("s")
    assert outcomes(turn) == found


def test_a_commit_in_a_later_turn_hides_no_change(turn):
    bash(turn, write("a.txt"))
    turn.stop("s")
    turn.prompt("s")
    bash(turn, lambda root: (write("b.txt")(root), git(root, "commit", "-qam", "2nd")), call="b2")
    turn.stop("s")
    assert outcomes(turn) == {"a.txt": "changed", "b.txt": "changed"}


def test_a_command_that_failed_may_have_changed_files(turn):
    about = {"session_id": "s", "tool_name": "Bash", "tool_use_id": "1"}
    about["tool_input"] = {"command": "./do.sh && false"}
    turn.send({**about, "hook_event_name": "PreToolUse"})
    write("a.txt")(turn.project)
    turn.send({**about, "hook_event_name": "PostToolUseFailure", "error": "Exit code 1"})
    turn.stop("s")
    assert outcomes(turn) == {"a.txt": "changed"}


def test_what_was_dirty_before_the_session_is_not_its_work(hooks, repository):
    write("a.txt", "new.txt")(repository)
    (repository / "b.txt").unlink()
    settle()
    hooks.start("s")
    hooks.prompt("s")
    bash(hooks, write("dir/c.txt", "dir/d.txt"))
    hooks.stop("s")
    assert outcomes(hooks) == {"dir/c.txt": "changed", "dir/d.txt": "created"}


def test_what_was_deleted_before_the_session_is_not_its_work(hooks, repository):
    (repository / "b.txt").unlink()
    settle()
    hooks.start("s")
    hooks.prompt("s")
    bash(hooks, write("new.txt"))
    hooks.stop("s")
    assert outcomes(hooks) == {"new.txt": "created"}


def test_what_the_user_does_while_claude_is_idle_is_not_its_work(turn):
    bash(turn, write("a.txt"))
    turn.stop("s")
    settle()
    write("b.txt", "users.txt")(turn.project)
    settle()
    turn.prompt("s")
    bash(turn, write("dir/c.txt"), call="b2")
    turn.stop("s")
    assert outcomes(turn) == {"a.txt": "changed", "dir/c.txt": "changed"}


NO_SHELL = {
    "Read": {"file_path": "a.txt"},
    "Write": {"file_path": "w.txt"},
    "Grep": {"pattern": "x"},
    "Glob": {"pattern": "*"},
    "TodoWrite": {"todos": []},
    "WebSearch": {"query": "x"},
}


@pytest.mark.parametrize("tool", NO_SHELL)
def test_what_the_user_does_in_a_turn_without_a_shell_is_not_its_work(turn, tool):
    turn.call("s", tool, "1", NO_SHELL[tool])
    write("b.txt")(turn.project)
    turn.stop("s")
    assert "b.txt" not in outcomes(turn)


def test_a_write_that_is_recorded_is_not_counted_again(turn):
    path = turn.project / "new.txt"
    turn.call("s", "Write", "1", {"file_path": str(path)}, {"type": "create"})
    bash(turn, lambda root: path.write_text("new"))
    turn.stop("s")
    about = turn.show("s")["files_processed"]["new.txt"]
    assert (about["tool"], about["count"], about["outcome"]) == ("Write", 1, "created")


def test_a_stop_told_twice_at_once_counts_once(turn):
    bash(turn, write("a.txt"))
    stop = {"hook_event_name": "Stop", "session_id": "s"}
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(turn.send, [stop, stop]))
    turn.prompt("s")
    turn.stop("s")
    assert turn.show("s")["files_processed"]["a.txt"]["count"] == 1


def test_a_file_changed_in_two_turns_counts_twice(turn):
    bash(turn, write("a.txt"))
    turn.stop("s")
    settle()
    turn.prompt("s")
    bash(turn, write("a.txt"), call="b2")
    turn.stop("s")
    assert turn.show("s")["files_processed"]["a.txt"]["count"] == 2


def test_what_a_compaction_interrupts_is_counted_once(turn):
    bash(turn, write("a.txt"))
    turn.send({"hook_event_name": "PreCompact", "session_id": "s", "trigger": "auto"})
    turn.start("s", "compact")
    bash(turn, write("b.txt"), call="b2")
    turn.stop("s")
    files = turn.show("s")["files_processed"]
    assert {path: about["count"] for path, about in files.items()} == {"a.txt": 1, "b.txt": 1}


def test_outside_git_a_stop_says_nothing_of_bash(hooks):
    hooks.start("s")
    hooks.prompt("s")
    bash(hooks, write("a.txt"))
    hooks.stop("s")
    assert outcomes(hooks) == {}
    hooks.processes = True  # no two stops within one tick of the clock
    hooks.stop("s")
    checkpoint = hooks.directory / "checkpoints" / "session-s.json"
    before = checkpoint.stat().st_ino
    hooks.stop("s")  # nothing is left to be seen, and nothing has happened
    assert checkpoint.stat().st_ino == before


def test_what_could_not_be_seen_is_told_once_and_looked_for_at_the_next_stop(turn, tmp_path):
    path, turn.processes = fake_git(tmp_path / "bin", "exit 1"), True
    bash(turn, write("a.txt"))
    for times in range(2):  # the keys and the checkpoint may be written in one tick of the clock
        turn.environment["PATH"] = path
        done = turn.script("stop.py", json.dumps({"hook_event_name": "Stop", "session_id": "s"}))
        assert done.stderr.count("could not be seen: git failed: 1") == (times == 0)
        assert outcomes(turn) == {}
    told = turn.start("s2")
    assert "Files changed (0): unknown." in told
    assert 'could not be seen in full: "git failed: 1".' in told
    del turn.environment["PATH"]
    turn.stop("s")
    assert outcomes(turn) == {"a.txt": "changed"}
    assert "could not be seen" not in turn.start("s3")


def test_outside_git_a_start_says_what_is_unknown_and_a_stop_nothing(hooks):
    hooks.start("s")
    hooks.prompt("s")
    bash(hooks, write("a.txt"))
    hooks.stop("s")
    assert worktree.NO_REPOSITORY in hooks.start("s2")


def test_a_git_that_is_slow_does_not_keep_a_stop_from_its_checkpoint(turn, tmp_path):
    turn.environment["PATH"] = fake_git(tmp_path / "bin", "sleep 30")
    bash(turn, write("a.txt"))
    turn.processes = True
    done = turn.script("stop.py", json.dumps({"hook_event_name": "Stop", "session_id": "s"}))
    assert "could not be seen: git took longer than 2.0 seconds" in done.stderr
    assert outcomes(turn) == {}
    assert (turn.directory / "checkpoints" / "session-s.json").exists()


def test_a_huge_untracked_tree_fits_the_journal(turn):
    bash(turn, write(*(f"{'n' * 60}{number}.log" for number in range(3000))))
    turn.stop("s")
    journal = (turn.directory / "sessions" / "s.jsonl").read_bytes()
    assert max(map(len, journal.split(b"\n"))) <= 4096
    assert len(outcomes(turn)) == 3000


def test_a_session_leaves_nothing_new_in_git(turn):
    turn.call("s", "Write", "1", {"file_path": "a.txt"})
    turn.stop("s")
    turn.end("s")
    assert git(turn.project, "status", "--porcelain", "-uall") == b""


def test_names_that_are_no_utf_8_pass_through_everything(turn):
    bash(turn, write("a\udcff.txt"))
    turn.stop("s")
    published = json.loads((turn.directory / "keys/files_processed.json").read_text())
    assert published["value"] == ["a\udcff.txt"]
    assert '"a%ED%B3%BF.txt"' in turn.start("new")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("diff.orderFile", "/nowhere/order"),
        ("log.showSignature", "true"),
        ("status.renames", "copies"),
        ("color.ui", "always"),
    ],
)
def test_no_setting_of_the_users_changes_what_is_found(turn, monkeypatch, name, value):
    """Each is in the user's own configuration, which git reads from the home directory."""
    monkeypatch.setenv("HOME", str(turn.home))
    monkeypatch.setattr(worktree, "GIT_SECONDS", 60)
    (turn.project / "new.txt").write_text("n")
    write("a.txt")(turn.project)
    git(turn.project, "commit", "-qam", "second")
    since = time.time() - 3600
    before = worktree.changed_since(str(turn.project), since)
    assert before["created"] == ["new.txt"]
    assert before["changed"] != []
    section, _, key = name.partition(".")
    (turn.home / ".gitconfig").write_text(f"[{section}]\n{key} = {value}\n")
    assert worktree.changed_since(str(turn.project), since) == before
