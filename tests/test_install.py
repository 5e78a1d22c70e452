"""`install` and `uninstall` through the real process, in projects that have settings of their own."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lib.install.hook_commands import personal
from tests.conftest import ROOT, SCRIPTS, absent
from tests.installing import (
    SHELL,
    THEIRS,
    Tree,
    commands,
    fire,
    install,
    local_settings,
    recorded_events,
    their_settings,
    uninstall,
    worked,
)


@pytest.fixture
def local(hooks) -> Path:
    return local_settings(hooks)


@pytest.fixture
def theirs(hooks) -> Path:
    return their_settings(hooks)


# --- in and out --------------------------------------------------------------------------------

SETTINGS = {
    "other people's": THEIRS.encode(),
    "tabs and CRLF": THEIRS.replace("    ", "\t").replace("\n", "\r\n").encode(),
    "a byte order mark": b"\xef\xbb\xbf" + THEIRS.encode(),
    "one line": b'{"model":"opus","hooks":{"Stop":[{"hooks":[]}]}}',
    "no line end at its end": THEIRS.rstrip().encode(),
    "empty object": b"{}",
    "empty lists": b'{\n  "hooks": {\n    "Stop": []\n  }\n}\n',
    "no hooks in it": b'{ "hooks": { } }',
    "empty": b"",
    "blank": b"\n \n",
    "a key twice": b'{"a": 1, "hooks": {}, "a": 2, "hooks": {"Stop": []}}\n',
}


@pytest.mark.parametrize("before", SETTINGS.values(), ids=SETTINGS)
def test_uninstalling_leaves_the_file_as_it_was(hooks, local, before):
    local.parent.mkdir()
    local.write_bytes(before)
    local.chmod(0o640)
    was = Tree(hooks.project)
    install(hooks)
    assert all(len(lines) for event, lines in commands(local).items() if event in SCRIPTS)
    assert stat.S_IMODE(local.stat().st_mode) == 0o640
    uninstall(hooks)
    assert Tree(hooks.project) == was
    left = hooks.home / ".local/state/workflow-state"
    assert list(left.iterdir()) == []


def test_where_there_was_nothing_nothing_is_left(hooks):
    install(hooks)
    uninstall(hooks)
    assert list(hooks.project.iterdir()) == []


@pytest.mark.parametrize("order", list(itertools.permutations(["", "--shared", "--user"])))
@pytest.mark.parametrize(
    "out", [(0, 1, 2), (2, 1, 0)], ids=["first in first out", "last in first out"]
)
def test_in_and_out_of_several_files_in_any_order(hooks, order, out):
    for each in order:
        install(hooks, *each.split())
    for each in out:
        uninstall(hooks, *order[each].split())
    assert list(hooks.project.iterdir()) == []
    assert list((hooks.home / ".local/state/workflow-state").iterdir()) == []
    assert not (hooks.home / ".claude").exists()


def test_a_directory_with_files_of_others_in_it_stays(hooks, local):
    install(hooks)
    install(hooks, "--shared")
    (local.parent / "commands").mkdir()
    uninstall(hooks)
    uninstall(hooks, "--shared")
    assert [path.name for path in local.parent.iterdir()] == ["commands"]


def test_an_empty_directory_that_was_there_stays(hooks, local):
    local.parent.mkdir()
    install(hooks)
    uninstall(hooks)
    assert list(hooks.project.iterdir()) == [local.parent]


# --- what is registered works ------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True])
def test_every_event_is_recorded(hooks, theirs, shared):
    install(hooks, *(["--shared"] if shared else []))
    file = theirs.with_name("settings.json") if shared else theirs
    for event in SCRIPTS:
        done = fire(hooks, commands(file)[event][-1], event)
        assert (done.returncode, done.stderr) == (0, "")
    assert recorded_events(hooks) == SCRIPTS.keys()


def test_the_interpreter_is_named_by_its_own_path(hooks, local):
    install(hooks)
    assert f"p={os.path.realpath(sys.executable)};" in commands(local)["Stop"][0]


def test_without_that_interpreter_the_one_on_path_is_taken(hooks, local, tmp_path):
    install(hooks)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(sys.executable)
    hooks.environment["PATH"] = f"{tmp_path / 'bin'}:{os.defpath}"
    for event, (line,) in commands(local).items():
        gone = line.replace(os.path.realpath(sys.executable), "/nowhere/python3.9")
        assert gone != line
        assert fire(hooks, gone, event).returncode == 0


@pytest.mark.parametrize(
    "place", ["my bundle", 'it\'s $HOME "here" \\n', "-dash; exit 2", "päth 里"]
)
def test_a_bundle_may_lie_anywhere(hooks, tmp_path, local, place):
    bundle = tmp_path / place
    for part in ("hooks", "lib", "bin"):
        shutil.copytree(ROOT / part, bundle / part, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, str(bundle / "bin/workflow-state"), "install"]
    subprocess.run(command, cwd=hooks.project, env=hooks.env(), check=True, capture_output=True)
    for event, (line,) in commands(local).items():
        assert fire(hooks, line, event).returncode == 0
    assert recorded_events(hooks) >= SCRIPTS.keys()
    assert "Already registered" not in install(hooks)
    assert str(ROOT) in commands(local)["Stop"][0]
    assert [len(lines) for lines in commands(local).values()] == [1] * len(SCRIPTS)


def test_a_bundle_whose_path_no_settings_file_can_hold_is_told(hooks, tmp_path, local):
    bundle = os.path.join(os.fsencode(tmp_path), b"b\xff")
    try:
        shutil.copytree(ROOT / "lib", os.fsdecode(bundle + b"/lib"))
    except OSError:
        absent("this file system takes UTF-8 only")
    (Path(os.fsdecode(bundle)) / "bin").mkdir()
    shutil.copy(ROOT / "bin/workflow-state", os.fsdecode(bundle + b"/bin"))
    command = [sys.executable, bundle + b"/bin/workflow-state", "install"]
    options = {"cwd": hooks.project, "env": hooks.env(), "capture_output": True, "timeout": 60}
    done = subprocess.run(command, check=False, **options)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"is not UTF-8, and a settings file cannot name it" in done.stderr
    assert not local.exists()


def test_a_missing_bundle_blocks_no_tool(hooks, local):
    install(hooks)
    for event, (line,) in commands(local).items():
        done = fire(hooks, line.replace(str(ROOT), "/nowhere"), event)
        assert (done.returncode, done.stdout) == (1, "")


# --- twice, older, elsewhere -------------------------------------------------------------------


def test_twice_is_once(hooks, theirs):
    install(hooks)
    once = Tree(hooks.project, hooks.home)
    assert "Already registered" in install(hooks)
    assert Tree(hooks.project, hooks.home) == once


def test_twice_is_once_though_others_were_added_behind(hooks, local):
    install(hooks)
    said = json.loads(local.read_text())
    said["hooks"]["Stop"].append({"hooks": [{"type": "command", "command": "say stop"}]})
    local.write_text(json.dumps(said))
    assert "Already registered" in install(hooks)


OLDER = {
    "settings.example.json": (ROOT / "settings.example.json").read_text(),
    "an earlier form": '{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": '
    '"python3 -I -S \\"$HOME/.workflow-state/hooks/stop.py\\" || exit 1"}]}]}}',
    "exec form": '{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "python3", '
    '"args": ["-I", "-S", "/home/you/workflow-state/hooks/stop.py"]}]}]}}',
    "another place and interpreter": json.dumps(
        {"hooks": {event: [{"hooks": [{"type": "command", "command": line}]}]
                   for event, line in personal("/old/place", "/old/python3.9").items()}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("older", OLDER.values(), ids=OLDER)
def test_older_registrations_are_replaced(hooks, local, older):
    local.parent.mkdir()
    local.write_text(older)
    install(hooks)
    assert commands(local) == {
        event: [line]
        for event, line in personal(str(ROOT), os.path.realpath(sys.executable)).items()
    }
    uninstall(hooks)
    assert not local.exists() or json.loads(local.read_text()) == {}


def test_being_registered_elsewhere_too_is_told(hooks):
    install(hooks, "--shared")
    told = install(hooks)
    assert f"{hooks.project}/.claude/settings.json registers the hooks too" in told
    assert "uninstall --shared" in told
    assert "still registered by" in uninstall(hooks)


def test_equal_commands_in_two_files_run_once(hooks):
    install(hooks, "--user")
    assert "Note:" not in install(hooks)
    assert "still registered by" in uninstall(hooks)


def test_a_linked_worktree_goes_by_its_main_checkout_too(hooks, tmp_path):
    main, linked = str(hooks.project), str(tmp_path / "linked")
    git = ["git", "-C", main, "-c", "user.name=t", "-c", "user.email=@"]
    for arguments in (
        ["init", "-q"],
        ["commit", "-qm1", "--allow-empty"],
        ["worktree", "add", linked],
    ):
        subprocess.run([*git, *arguments], check=True, capture_output=True)
    (hooks.project / ".claude").mkdir()
    (hooks.project / ".claude/settings.local.json").write_text(OLDER["settings.example.json"])
    told = install(hooks, "--project", linked)
    assert f"{main}/.claude/settings.local.json registers the hooks too" in told
    assert f"uninstall --project {main}" in told
    uninstall(hooks, "--project", linked)
    done = hooks.cli("doctor", "--json", "--project", linked)
    (said,) = (
        each["said"] for each in json.loads(done.stdout)["checks"] if each["check"] == "hooks"
    )
    assert said == f"registered once, by {main}/.claude/settings.local.json"


@pytest.mark.parametrize("where", ["project", "home"])
def test_a_plugin_that_is_on_too_is_told(hooks, where):
    folder = getattr(hooks, where) / ".claude"
    folder.mkdir()
    on = {"enabledPlugins": {"workflow-state@workflow-state": True, "other@x": True}}
    (folder / "settings.json").write_text(json.dumps(on))
    assert "claude plugin disable workflow-state@workflow-state" in install(hooks)


def test_a_plugin_that_is_off_here_is_not_told(hooks, local):
    for folder, on in ((hooks.home, True), (hooks.project, False)):
        (folder / ".claude").mkdir()
        said = {"enabledPlugins": {"workflow-state@workflow-state": on}}
        (folder / ".claude/settings.json").write_text(json.dumps(said))
    assert "claude plugin" not in install(hooks)


def test_hooks_that_are_switched_off_are_told(hooks, local):
    local.parent.mkdir()
    local.write_text('{"disableAllHooks": true}')
    assert 'sets "disableAllHooks"' in install(hooks)


def test_the_home_directory_as_a_project_is_told(hooks):
    assert "workflow-state install --user" in install(hooks, "--project", str(hooks.home))
    assert "install --user" not in install(hooks)


def test_a_file_that_git_would_commit_is_told(hooks):
    subprocess.run(["git", "init", "-q", str(hooks.project)], check=True)
    assert "git does not ignore" in install(hooks)
    exclude = hooks.project / ".git/info/exclude"
    exclude.parent.mkdir(exist_ok=True)
    with exclude.open("a") as file:
        file.write(".claude/settings.local.json\n")
    assert "git does not ignore" not in install(hooks)


def test_what_keeps_a_file_out_of_commits_works_in_a_linked_worktree_too(hooks, tmp_path):
    linked = tmp_path / "linked work tree"
    commit = ["-c", "user.name=t", "-c", "user.email=@", "commit", "-q", "--allow-empty", "-m", "x"]
    for arguments in (["init", "-q"], commit, ["worktree", "add", "-qb", "b", str(linked)]):
        subprocess.run(["git", *arguments], cwd=hooks.project, check=True)
    for project in (hooks.project, linked):
        (note,) = [
            line
            for line in install(hooks, "--project", str(project)).splitlines()
            if "git does not ignore" in line
        ]
        command = note.partition("out of commits: ")[2]
        subprocess.run([SHELL, "-c", command], cwd="/", check=True)
        assert "git does not ignore" not in install(hooks, "--project", str(project))
        exclude = hooks.project / ".git/info/exclude"
        exclude.write_text(exclude.read_text().replace("**/.claude", "# "))


# --- where -------------------------------------------------------------------------------------


def test_the_user_s_own_file(hooks):
    assert f"{hooks.home}/.claude/settings.json" in install(hooks, "--user")
    assert commands(hooks.home / ".claude/settings.json").keys() == SCRIPTS.keys()
    assert list(hooks.project.iterdir()) == []
    uninstall(hooks, "--user")
    assert not (hooks.home / ".claude").exists()


def test_the_user_s_own_file_where_claude_code_has_it(hooks, tmp_path):
    hooks.environment["CLAUDE_CONFIG_DIR"] = str(tmp_path / "config")
    install(hooks, "--user")
    assert (tmp_path / "config/settings.json").exists()


def test_a_project_by_name_and_from_below_it(hooks, tmp_path, local):
    (tmp_path / "other").mkdir()
    install(hooks, "--project", str(tmp_path / "other"))
    assert (tmp_path / "other/.claude/settings.local.json").exists()
    del hooks.environment
    hooks.environment = {"CLAUDE_PROJECT_DIR": ""}
    (hooks.project / ".git").mkdir()
    (hooks.project / "src").mkdir()
    assert hooks.cli("install", cwd=hooks.project / "src").returncode == 0
    assert local.exists()


def test_a_dry_run_shows_a_diff_and_changes_nothing(hooks, theirs):
    was = Tree(hooks.project, hooks.home)
    shown = install(hooks, "--dry-run").splitlines()
    assert shown[:2] == [f"--- {theirs}", f"+++ {theirs}"]
    assert [line for line in shown if "say done" in line][0][0] == "-"  # a comma comes behind it
    assert sum(line[0] == "-" for line in shown[2:]) == 1
    assert Tree(hooks.project, hooks.home) == was
    install(hooks)
    was = Tree(hooks.project, hooks.home)
    assert "Would remove" not in uninstall(hooks, "--dry-run", "--purge")
    assert Tree(hooks.project, hooks.home) == was


def test_the_diff_applies(hooks, theirs, tmp_path):
    diff = json.loads(install(hooks, "--dry-run", "--json"))["diff"]
    (tmp_path / "patch").write_text("\n".join(diff) + "\n")
    applied = [
        "git",
        "apply",
        "--unsafe-paths",
        "-p1",
        f"--directory={'/'}",
        str(tmp_path / "patch"),
    ]
    subprocess.run(applied, cwd=tmp_path, check=True)
    by_hand = theirs.read_text()
    theirs.write_text(THEIRS)
    install(hooks)
    assert theirs.read_text() == by_hand


def test_json_says_what_was_done(hooks, local):
    said = json.loads(install(hooks, "--json"))
    done = {"settings": str(local), "changed": True, "dry_run": False, "diff": []}
    assert said == {**done, "copied": [], "warnings": []}
    said = json.loads(uninstall(hooks, "--json"))
    assert said == {**done, "removed": {}, "still": []}


# --- what was recorded -------------------------------------------------------------------------


def test_what_was_recorded_stays(hooks):
    install(hooks)
    worked(hooks)
    assert "stays in" in uninstall(hooks)
    assert hooks.directory.exists()


def test_what_was_recorded_goes_when_asked(hooks):
    install(hooks)
    worked(hooks)
    assert "1 session, 1 checkpoint, 1 key" in uninstall(hooks, "--purge")
    assert list(hooks.project.iterdir()) == []


def test_a_directory_that_is_not_ours_is_not_purged(hooks, tmp_path):
    install(hooks)
    worked(hooks)
    (hooks.directory / "README").write_text("The state of Victoria\n")
    was = Tree(hooks.project, tmp_path)
    uninstall(hooks, "--purge", code=1)
    assert Tree(hooks.project, tmp_path) == was


@pytest.mark.parametrize(
    "arguments", [("--user", "--project", "."), ("--user", "--shared"), ("x",)]
)
def test_what_excludes_each_other_is_wrong_usage(hooks, arguments):
    done = hooks.cli("install", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: workflow-state" in done.stderr


def test_a_project_that_is_not_there_is_told(hooks):
    assert "nowhere is not a directory" in install(hooks, "--project", "nowhere", code=1)


def test_the_root_of_the_disk_is_no_project(hooks):
    hooks.environment["CLAUDE_PROJECT_DIR"] = ""
    for verb in ("install", "uninstall"):
        for options in ([], ["--project", "/"], ["--shared"]):
            done = hooks.cli(verb, *options, cwd="/")
            assert (done.returncode, done.stdout) == (1, "")
            assert "/ is not a project; nothing was changed" in done.stderr
    assert not (hooks.home / ".claude").exists()
    assert hooks.cli("install", "--user", cwd="/").returncode == 0
