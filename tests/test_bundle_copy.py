"""A team's copy of the bundle: made, updated and removed, also after a kill."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.installing import (
    SHELL,
    Tree,
    World,
    commands,
    fire,
    install,
    struck,
    uninstall,
    worked,
)


@pytest.fixture
def copy(hooks) -> Path:
    return hooks.project / ".claude/workflow-state"


@pytest.fixture
def older(hooks, copy) -> Path:
    """A copy that an earlier version made, with a module that is no more in its place."""
    install(hooks, "--shared")
    (copy / "lib/recording/journal.py").rename(copy / "lib/journal.py")
    (copy / "lib/journal.py").write_text("# old\n")
    shutil.rmtree(copy / "lib/recording")
    return copy


def files(copy: Path) -> dict[str, bytes]:
    paths = [path for path in copy.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path.relative_to(copy)): path.read_bytes() for path in paths}


def bundle() -> dict[str, bytes]:
    """What a copy of this bundle holds."""
    parts = [ROOT / "hooks", ROOT / "lib", ROOT / "bin"]
    paths = [path for part in parts for path in part.rglob("*") if path.is_file()]
    paths = [*(path for path in paths if path.parent.name != "__pycache__"), ROOT / "LICENSE"]
    held = {str(path.relative_to(ROOT)): path.read_bytes() for path in paths}
    return {**held, ".gitignore": b"!*\n__pycache__/\n"}


# --- in and out --------------------------------------------------------------------------------


def test_it_comes_and_goes(hooks, copy):
    was = Tree(hooks.project)
    assert "Commit both" in install(hooks, "--shared")
    assert files(copy) == bundle()
    assert "Already registered" in install(hooks, "--shared")
    line = commands(hooks.project / ".claude/settings.json")["PreToolUse"][0]
    assert fire(hooks, line, "PreToolUse").returncode == 0
    shutil.rmtree(hooks.directory)
    assert list(copy.rglob("__pycache__")) != []
    uninstall(hooks, "--shared")
    assert Tree(hooks.project) == was


def test_it_names_no_path_of_this_machine(hooks):
    install(hooks, "--shared")
    text = (hooks.project / ".claude/settings.json").read_text()
    for path in (str(ROOT), str(hooks.home), str(hooks.project), sys.executable):
        assert path not in text


def test_it_is_brought_up_to_date(hooks, copy):
    install(hooks, "--shared")
    (copy / "lib/recording/journal.py").write_text("# old\n")
    (copy / "lib/gone.py").write_text("# no longer\n")
    told = install(hooks, "--shared")
    assert "2 files" in told
    assert "nothing was changed" not in told
    assert files(copy) == bundle()


def test_one_of_an_earlier_version_is_brought_up_to_date(hooks, older):
    assert "Copied to" in install(hooks, "--shared")
    assert files(older) == bundle()


def test_one_of_an_earlier_version_goes(hooks, older):
    uninstall(hooks, "--shared")
    assert list(hooks.project.iterdir()) == []


def test_a_dry_run_shows_what_becomes_of_it(hooks, copy):
    before = Tree(hooks.project, hooks.home)
    assert f"Would copy to {copy}: " in install(hooks, "--shared", "--dry-run")
    assert Tree(hooks.project, hooks.home) == before
    install(hooks, "--shared")
    before = Tree(hooks.project, hooks.home)
    assert f"Would remove {copy}." in uninstall(hooks, "--shared", "--dry-run")
    assert Tree(hooks.project, hooks.home) == before


# --- git ---------------------------------------------------------------------------------------


def test_a_team_has_all_of_it_whatever_the_project_ignores(hooks, copy):
    git = ["git", "-C", str(hooks.project)]
    subprocess.run([*git, "init", "-q"], check=True)
    (hooks.project / ".gitignore").write_text("lib/\nbin/\n*.html\nLICENSE\nreport*\n*.pyc\n")
    assert "Note:" not in install(hooks, "--shared")
    (copy / "lib/__pycache__").mkdir()
    (copy / "lib/__pycache__/x.pyc").touch()
    subprocess.run([*git, "add", ".claude"], check=True)
    listed = subprocess.run([*git, "ls-files"], check=True, capture_output=True, text=True).stdout
    assert "Note:" not in install(hooks, "--shared")
    assert {*listed.split()} == {f".claude/workflow-state/{name}" for name in bundle()} | {
        ".claude/settings.json"
    }


def test_that_git_ignores_it_is_told(hooks):
    git = ["git", "-C", str(hooks.project)]
    subprocess.run([*git, "init", "-q"], check=True)
    (hooks.project / ".gitignore").write_text(".claude/\n")
    (note,) = [line for line in install(hooks, "--shared").splitlines() if line.startswith("Note:")]
    assert "git ignores" in note
    subprocess.run([SHELL, "-c", note.partition("or: ")[2]], check=True)
    listed = subprocess.run([*git, "ls-files"], check=True, capture_output=True, text=True).stdout
    assert ".claude/workflow-state/lib/recording/journal.py" in listed.split()


# --- what is somebody else's is left -----------------------------------------------------------


@pytest.mark.parametrize("verb", ["install", "uninstall"])
@pytest.mark.parametrize("kind", ["a directory", "a link to a copy"])
def test_what_is_no_copy_is_left(hooks, copy, tmp_path, verb, kind):
    if kind == "a directory":
        copy.mkdir(parents=True)
        (copy / "notes").write_text("mine")
    else:
        install(hooks, "--shared")
        copy.rename(tmp_path / "copy")
        copy.symlink_to(tmp_path / "copy")
    was = Tree(hooks.project, tmp_path)
    told = install(hooks, "--shared", verb=verb, code=1)
    assert "is not a copy of workflow-state; nothing was changed" in told
    assert Tree(hooks.project, tmp_path) == was


@pytest.mark.parametrize("arguments", [("install",), ("uninstall",), ("uninstall", "--purge")])
def test_one_with_somebodys_file_in_it_is_left(hooks, older, arguments):
    worked(hooks)
    (older / "notes").write_text("mine")
    was = Tree(hooks.project)
    verb, *options = arguments
    told = install(hooks, "--shared", *options, verb=verb, code=1)
    assert "holds notes, which is not part of workflow-state; nothing was changed" in told
    assert Tree(hooks.project) == was


def test_the_one_that_runs_is_left(hooks, copy):
    install(hooks, "--shared")
    command = [sys.executable, str(copy / "bin/workflow-state"), "uninstall", "--shared"]
    options = {"cwd": hooks.project, "env": hooks.env(), "capture_output": True, "text": True}
    done = subprocess.run(command, check=False, timeout=60, **options)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{copy} is running; nothing was changed: rm -r {copy}" in done.stderr
    assert files(copy) == bundle()
    assert "Already registered" in install(hooks, "--shared")


# --- killed ------------------------------------------------------------------------------------

RENAMES = "mkdir rename link replace"


@pytest.mark.parametrize("former", ["none", "older"])
def test_killed_anywhere_it_is_whole_or_missing_and_the_next_install_makes_it(
    request, hooks, copy, tmp_path, former
):
    if former == "older":
        request.getfixturevalue("older")
    world = World(hooks, tmp_path / "kept")
    old, seen = files(copy), []
    for call in range(1, 400, 9):
        world.put_back()
        code = struck(hooks, call, "SIGKILL", "install", "--shared", calls=RENAMES)
        held = files(copy)
        assert held in (old, {}, bundle())
        seen.append(held == bundle())
        if code == 0:
            break
        install(hooks, "--shared")
        assert files(copy) == bundle()
        uninstall(hooks, "--shared")
        assert list(hooks.project.iterdir()) == []
    assert code == 0
    assert {*seen} == {True, False}


def test_killed_as_it_replaces_the_older_one_hooks_fail_and_the_doctor_tells(hooks, older):
    """Between the two renames."""
    code = struck(hooks, 2, "SIGKILL", "install", "--shared", calls="rename")
    assert code == -9
    assert not older.exists()
    line = commands(hooks.project / ".claude/settings.json")["PreToolUse"][0]
    assert fire(hooks, line, "PreToolUse").returncode == 1
    done = json.loads(hooks.cli("doctor", "--json").stdout)
    (scripts,) = [each for each in done["checks"] if each["check"] == "scripts"]
    assert f"{older}/hooks/session_start.py, which is missing" in scripts["said"]
    assert scripts["mend"] == "workflow-state install --shared"
    install(hooks, "--shared")
    assert files(older) == bundle()
    uninstall(hooks, "--shared")
    assert list(hooks.project.iterdir()) == []


def test_interrupted_as_it_replaces_the_older_one_the_older_one_comes_back(hooks, older):
    before = files(older)
    assert struck(hooks, 2, "SIGINT", "install", "--shared", calls="rename") == 130
    assert files(older) == before
    assert sorted(path.name for path in older.parent.iterdir()) == ["settings.json", older.name]


def test_killed_anywhere_it_still_goes(hooks, copy, tmp_path):
    install(hooks, "--shared")
    world = World(hooks, tmp_path / "kept")
    for call in range(1, 400, 25):
        world.put_back()
        code = struck(hooks, call, "SIGKILL", "uninstall", "--shared")
        uninstall(hooks, "--shared")
        assert list(hooks.project.iterdir()) == []
        if code == 0:
            break
    assert code == 0
    assert call > 25


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_what_a_killed_one_left_goes_and_what_others_made_stays(hooks, copy, verb):
    install(hooks, "--shared")
    (copy / "LICENSE").write_text("old\n")
    dead = copy.parent / ".tmp-0123456789abcdef"
    others = copy.parent / ".tmp-mine"
    for each in (dead, others):
        (each / "lib").mkdir(parents=True)
    install(hooks, "--shared", verb=verb)
    assert (dead.exists(), others.exists()) == (False, True)
