"""Which project an event is about, and where its state lies: repositories, moves, copies, users."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Hooks, absent, state_directory

BY_HAND = '{"tool_name": "Write", "tool_input": {"file_path": "a.py"}}'


def git(folder: Path, *arguments: str) -> None:
    settings = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    subprocess.run(
        ["git", *settings, "-c", "protocol.file.allow=always", *arguments],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(hooks: Hooks) -> Path:
    git(hooks.project, "init", "-q")
    git(hooks.project, "commit", "-q", "--allow-empty", "-m", "first")
    return hooks.project


def recorded(hooks: Hooks, folder: Path) -> list[str]:
    """The names of the projects that have a state, once an event came from a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    done = hooks.script(
        "post_tool.py", BY_HAND, env={**hooks.env(), "CLAUDE_PROJECT_DIR": str(folder)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    projects = hooks.home / ".local/state/workflow-state/projects"
    return sorted(
        json.loads((each / "project.json").read_text())["path"] for each in projects.iterdir()
    )


def test_a_submodule_has_a_state_of_its_own(hooks, repository, tmp_path):
    other = tmp_path / "library"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "first")
    git(repository, "submodule", "add", "-q", str(other), "vendor")
    assert recorded(hooks, repository / "src") == [str(repository)]
    assert recorded(hooks, repository / "vendor/deep") == [str(repository), f"{repository}/vendor"]


def test_a_linked_worktree_has_a_state_of_its_own_and_names_the_repository(hooks, repository):
    git(repository, "worktree", "add", "-q", ".claude/worktrees/f")
    tree = repository / ".claude/worktrees/f"
    assert recorded(hooks, tree / "src") == [str(tree)]
    about = json.loads((state_directory(hooks.home, tree) / "project.json").read_text())
    assert about["common"] == f"{repository}/.git"


def test_a_submodule_in_a_linked_worktree_has_a_state_of_its_own(hooks, repository, tmp_path):
    other = tmp_path / "library"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "first")
    git(repository, "submodule", "add", "-q", str(other), "vendor")
    git(repository, "commit", "-q", "-m", "vendor")
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    git(tmp_path / "tree", "submodule", "update", "-q", "--init")
    assert recorded(hooks, tmp_path / "tree/vendor") == [str(tmp_path / "tree/vendor")]


def test_a_bare_repository_is_a_project(hooks, tmp_path):
    bare = tmp_path / "bare.git"
    bare.mkdir()
    git(bare, "init", "-q", "--bare")
    assert recorded(hooks, bare) == [str(bare)]


def test_of_a_folder_of_repositories_each_has_its_own(hooks, tmp_path):
    code = tmp_path / "code"
    assert recorded(hooks, code) == [str(code)]
    for name in ("alpha", "beta"):
        (code / name).mkdir()
        git(code / name, "init", "-q")
    recorded(hooks, code / "alpha/src")
    found = recorded(hooks, code / "beta")
    assert found == [str(code), f"{code}/alpha", f"{code}/beta"]
    # What is no repository belongs to the folder, which has a state.
    assert recorded(hooks, code / "notes") == found


def test_a_link_to_a_project_is_the_project(hooks, repository, tmp_path):
    (tmp_path / "link").symlink_to(repository)
    assert recorded(hooks, tmp_path / "link") == [str(repository)]
    assert recorded(hooks, tmp_path / "link/src") == [str(repository)]


def test_another_users_repository_above_is_not_taken(hooks, tmp_path):
    if os.geteuid() != 0:
        absent("only root can give a directory away")
    share = tmp_path / "share"
    mine = share / "mine"
    mine.mkdir(parents=True)
    git(share, "init", "-q")
    os.chown(share, 65534, 65534)
    assert recorded(hooks, mine / "src") == [f"{mine}/src"]
    assert recorded(hooks, share) == [str(share), f"{mine}/src"]


class TestMoved:
    @pytest.fixture
    def moved(self, hooks, tmp_path) -> Path:
        (hooks.project / "a.py").write_text("")
        hooks.start("one")
        hooks.prompt("one", "port the parser")
        hooks.call("one", "Write", "t1", {"file_path": str(hooks.project / "a.py")})
        hooks.stop("one")
        hooks.project.rename(tmp_path / "moved")
        return tmp_path / "moved"

    def test_it_keeps_its_state(self, hooks, moved):
        old = hooks.directory
        hooks.project = moved
        assert "port the parser" in hooks.cli("log", "--session", "one").stdout
        assert old.is_dir()  # a command that reads moves nothing
        assert "port the parser" in hooks.start("two")
        assert hooks.directory.is_dir()
        assert json.loads((hooks.directory / "project.json").read_text())["path"] == str(moved)

    def test_a_session_of_the_old_path_goes_on_in_it(self, hooks, moved, tmp_path):
        old, hooks.project = hooks.project, moved
        hooks.start("two")
        hooks.project = old
        event = {"hook_event_name": "UserPromptSubmit", "session_id": "one", "prompt": "go on"}
        hooks.send({**event, "cwd": str(old)}, cwd=tmp_path)
        assert not old.exists()
        hooks.project = moved
        assert "go on" in hooks.cli("log", "--session", "one").stdout

    def test_a_new_project_at_the_old_path_starts_anew(self, hooks, moved):
        old, hooks.project = hooks.project, moved
        hooks.start("two")
        old.mkdir()
        hooks.project = old
        assert hooks.start("three") == ""
        hooks.prompt("three", "another thing")
        assert hooks.directory.is_dir()
        hooks.project = moved
        assert "another thing" not in hooks.cli("log", "--session", "three").stdout

    def test_a_copy_starts_anew(self, hooks, moved, tmp_path):
        moved.rename(hooks.project)
        shutil.copytree(hooks.project, tmp_path / "copy")
        hooks.project = tmp_path / "copy"
        assert hooks.start("two") == ""

    def test_a_new_directory_of_the_same_number_starts_anew(self, hooks, moved, tmp_path):
        """A number is used again: what is new has nothing older than the last record."""
        shutil.rmtree(moved)
        new = tmp_path / "new"
        new.mkdir()
        about = hooks.directory / "project.json"
        status = new.stat()
        known = json.loads(about.read_text())
        about.write_text(json.dumps({**known, "device": status.st_dev, "inode": status.st_ino}))
        (new / "b.py").write_text("")
        hooks.project = new
        assert hooks.start("two") == ""
