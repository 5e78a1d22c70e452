"""`install` and `uninstall` through the real process, in projects that have settings of their own."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import unittest.mock
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from lib.disk import cleanup
from lib.disk.swap import swap
from lib.install import install as installing
from lib.install import settings_files
from lib.install.registered import personal
from tests.conftest import ROOT, SCRIPTS, Hooks, absent
from tests.test_registering import files
from tests.test_registration import SHELL, recorded

THEIRS = """{
    "permissions": {"allow": ["Bash(npm run *)"]},
    "hooks": {
        "PostToolUse": [
            {
                "matcher": "Edit|Write",
                "hooks": [{"type": "command", "command": "npx prettier --write"}]
            }
        ],
        "Notification": [{"hooks": [{"type": "command", "command": "say done"}]}]
    },
    "env": {"TOKEN": "s\\u00e9cret"}
}
"""


class Tree:
    """All files below some folders, to the byte and the mode."""

    def __init__(self, *tops: Path) -> None:
        self.found = {}
        for top in tops:
            for path in top.rglob("*"):
                status = path.lstat()
                held = path.read_bytes() if path.is_file() else None
                self.found[path] = (stat.S_IMODE(status.st_mode), held)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and self.found == other.found

    def __repr__(self) -> str:
        return "\n".join(map(str, self.found))

    __hash__ = None


def install(hooks: Hooks, *arguments: str, code: int = 0, verb: str = "install") -> str:
    done = hooks.cli(verb, *arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    if code == 1:
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        return done.stderr
    assert done.stderr == ""
    return done.stdout


def uninstall(hooks: Hooks, *arguments: str, code: int = 0) -> str:
    return install(hooks, *arguments, code=code, verb="uninstall")


@pytest.fixture
def local(hooks) -> Path:
    return hooks.project / ".claude" / "settings.local.json"


@pytest.fixture
def theirs(local) -> Path:
    local.parent.mkdir()
    local.write_text(THEIRS)
    local.chmod(0o640)
    return local


def commands(file: Path) -> dict[str, list[str]]:
    said = json.loads(file.read_bytes().decode("utf-8-sig"))["hooks"]
    return {
        event: [hook["command"] for group in groups for hook in group["hooks"]]
        for event, groups in said.items()
    }


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
@pytest.mark.parametrize("out", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
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


@hypothesis_settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # it waits for the disk
@given(files())
def test_whatever_a_file_holds_it_comes_back(tmp_path, monkeypatch, text):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "settings.json"
    file.write_bytes(text.encode())
    lines = personal("/home/you/.workflow-state", "/usr/bin/python3")
    settings_files.registering(str(file), lines).apply()
    assert file.read_bytes() != text.encode()
    settings_files.registering(str(file), personal("/opt/elsewhere", "/usr/bin/python3")).apply()
    settings_files.unregistering(str(file)).apply()
    assert file.read_bytes() == text.encode()


def test_what_was_changed_meanwhile_stays(hooks, theirs):
    install(hooks)
    changed = (
        theirs.read_text().replace("say done", "say well done").replace('"env": {', '"env": { ')
    )
    theirs.write_text(changed)
    uninstall(hooks)
    expected = THEIRS.replace("say done", "say well done").replace('"env": {', '"env": { ')
    assert theirs.read_text() == expected


@pytest.mark.parametrize("harm", ["the file as it was", "the note"])
def test_without_what_was_kept_only_ours_is_cut(hooks, theirs, harm):
    install(hooks)
    for path in (hooks.home / ".local/state/workflow-state/before").iterdir():
        if path.name.endswith(".note") == (harm == "the note"):
            path.unlink()
    uninstall(hooks)
    assert theirs.read_text() == THEIRS


def test_what_was_kept_is_private(hooks, theirs):
    install(hooks)
    kept = list((hooks.home / ".local/state/workflow-state/before").iterdir())
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [0o600, 0o600]
    assert THEIRS.encode() in [path.read_bytes() for path in kept]


def test_settings_that_others_put_into_our_file_stay(hooks, local):
    install(hooks)
    said = json.loads(local.read_text())
    local.write_text(json.dumps({"model": "opus", **said}))
    uninstall(hooks)
    assert json.loads(local.read_text()) == {"model": "opus"}


# --- what is registered works ------------------------------------------------------------------


def fire(hooks: Hooks, line: str, event: str) -> subprocess.CompletedProcess[str]:
    data = recorded(event).replace("/home/dev/project", str(hooks.project))
    options = {"cwd": hooks.project, "env": hooks.env(), "capture_output": True, "timeout": 60}
    return subprocess.run([SHELL, "-c", line], input=data, text=True, check=False, **options)


def recorded_events(hooks: Hooks) -> set[str]:
    lines = [
        line
        for journal in (hooks.directory / "sessions").glob("*.jsonl")
        for line in journal.read_text().split("\n")
        if line
    ]
    return {json.loads(line)["event"] for line in lines}


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
    assert recorded_events(hooks) == SCRIPTS.keys()
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


def test_an_upgrade_still_comes_out_to_the_byte(hooks, theirs):
    install(hooks)
    older = theirs.read_text().replace(os.path.realpath(sys.executable), "/old/python3.9")
    theirs.write_text(older)
    install(hooks)
    uninstall(hooks)
    assert theirs.read_text() == THEIRS


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
    assert 'says "disableAllHooks"' in install(hooks)


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


def test_a_team_s_copy_comes_and_goes(hooks):
    was = Tree(hooks.project)
    assert "Commit both" in install(hooks, "--shared")
    copy = hooks.project / ".claude/workflow-state"
    assert (copy / "LICENSE").exists()
    assert "Already registered" in install(hooks, "--shared")
    line = commands(hooks.project / ".claude/settings.json")["PreToolUse"][0]
    assert fire(hooks, line, "PreToolUse").returncode == 0
    shutil.rmtree(hooks.directory)
    assert list(copy.rglob("__pycache__")) != []
    uninstall(hooks, "--shared")
    assert Tree(hooks.project) == was


def test_a_team_s_copy_names_no_path_of_this_machine(hooks):
    install(hooks, "--shared")
    text = (hooks.project / ".claude/settings.json").read_text()
    for path in (str(ROOT), str(hooks.home), str(hooks.project), sys.executable):
        assert path not in text


def test_a_team_has_all_of_it_whatever_the_project_ignores(hooks, tmp_path):
    git = ["git", "-C", str(hooks.project)]
    subprocess.run([*git, "init", "-q"], check=True)
    (hooks.project / ".gitignore").write_text("lib/\nbin/\n*.html\nLICENSE\nreport*\n*.pyc\n")
    assert "Note:" not in install(hooks, "--shared")
    copy = hooks.project / ".claude/workflow-state"
    (copy / "lib/__pycache__").mkdir()
    (copy / "lib/__pycache__/x.pyc").touch()
    subprocess.run([*git, "add", ".claude"], check=True)
    listed = subprocess.run([*git, "ls-files"], check=True, capture_output=True, text=True).stdout
    files = {str(path.relative_to(hooks.project)) for path in copy.rglob("*") if path.is_file()}
    assert "Note:" not in install(hooks, "--shared")
    assert {*listed.split()} == files - {".claude/workflow-state/lib/__pycache__/x.pyc"} | {
        ".claude/settings.json"
    }


def test_a_copy_that_git_ignores_is_told(hooks):
    git = ["git", "-C", str(hooks.project)]
    subprocess.run([*git, "init", "-q"], check=True)
    (hooks.project / ".gitignore").write_text(".claude/\n")
    (note,) = [line for line in install(hooks, "--shared").splitlines() if line.startswith("Note:")]
    assert "git ignores" in note
    subprocess.run([SHELL, "-c", note.partition("or: ")[2]], check=True)
    listed = subprocess.run([*git, "ls-files"], check=True, capture_output=True, text=True).stdout
    assert ".claude/workflow-state/lib/recording/journal.py" in listed.split()


def test_a_team_s_copy_is_brought_up_to_date(hooks):
    install(hooks, "--shared")
    copy = hooks.project / ".claude/workflow-state"
    (copy / "lib/recording/journal.py").write_text("# old\n")
    (copy / "lib/gone.py").write_text("# no longer\n")
    told = install(hooks, "--shared")
    assert "2 files" in told
    assert "nothing was changed" not in told
    assert (copy / "lib/recording/journal.py").read_bytes() == (
        ROOT / "lib/recording/journal.py"
    ).read_bytes()
    assert not (copy / "lib/gone.py").exists()


def test_what_is_no_copy_of_ours_is_left(hooks):
    copy = hooks.project / ".claude/workflow-state"
    copy.mkdir(parents=True)
    (copy / "notes").write_text("mine")
    was = Tree(hooks.project)
    assert "no copy of workflow-state" in install(hooks, "--shared", code=1)
    assert Tree(hooks.project) == was


def test_a_copy_with_somebody_s_file_in_it_is_left(hooks):
    install(hooks, "--shared")
    worked(hooks)
    (hooks.project / ".claude/workflow-state/notes").write_text("mine")
    was = Tree(hooks.project)
    assert "holds notes, which is not ours" in uninstall(hooks, "--shared", "--purge", code=1)
    assert Tree(hooks.project) == was


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


def worked(hooks: Hooks) -> None:
    hooks.prompt("one")
    hooks.stop("one")


def test_a_dry_run_says_what_becomes_of_a_copy(hooks):
    before = Tree(hooks.project, hooks.home)
    assert f"Would copy to {hooks.project}/.claude/workflow-state: " in install(
        hooks, "--shared", "--dry-run"
    )
    assert Tree(hooks.project, hooks.home) == before
    install(hooks, "--shared")
    before = Tree(hooks.project, hooks.home)
    assert f"Would remove {hooks.project}/.claude/workflow-state." in uninstall(
        hooks, "--shared", "--dry-run"
    )
    assert Tree(hooks.project, hooks.home) == before


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


@pytest.mark.parametrize("kind", ["a directory of something else", "a link"])
def test_a_directory_that_is_not_ours_is_not_purged(hooks, tmp_path, kind):
    install(hooks)
    worked(hooks)
    if kind == "a link":
        hooks.directory.rename(tmp_path / "state")
        hooks.directory.symlink_to(tmp_path / "state")
    else:
        (hooks.directory / "README").write_text("The state of Victoria\n")
    was = Tree(hooks.project, tmp_path)
    uninstall(hooks, "--purge", code=1)
    assert Tree(hooks.project, tmp_path) == was


# --- what cannot be changed is not -------------------------------------------------------------

REFUSED = {
    "malformed": ('{\n  "a": 1,\n}\n', "line 3, column 1: '}' where a key"),
    "comments": ("{\n  // mine\n}\n", "line 2, column 3: '/' where a key"),
    "a list": ("[]", "line 1, column 1: the settings must be an object"),
    "hooks of another shape": ('{"hooks": []}', "line 1, column 11"),
    "not UTF-8": (b'{\n"a": "\xff"}', "line 2: it is not UTF-8"),
    "UTF-16": ("{}".encode("utf-16"), "line 1: it is not UTF-8"),
}


@pytest.mark.parametrize("verb", ["install", "uninstall"])
@pytest.mark.parametrize(("held", "told"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_cannot_be_read_is_left_as_it_is(hooks, local, held, told, verb):
    local.parent.mkdir()
    local.write_bytes(held if isinstance(held, bytes) else held.encode())
    was = Tree(hooks.project, hooks.home)
    error = install(hooks, verb=verb, code=1)
    assert error.startswith(f"workflow-state: {local}: {told}")
    assert "nothing was changed" in error
    assert Tree(hooks.project, hooks.home) == was


def test_a_read_only_file_is_left_as_it_is(hooks, theirs):
    theirs.chmod(0o444)
    assert "is read-only; nothing was changed" in install(hooks, code=1)
    assert theirs.read_text() == THEIRS


def test_a_fifo_is_not_waited_for(hooks, local):
    local.parent.mkdir()
    os.mkfifo(local)
    assert "is not a file" in install(hooks, code=1)


def test_where_no_directory_can_be_made_it_is_told(hooks, local):
    local.parent.write_text("a file")
    assert f"{local}: Not a directory; nothing was changed" in install(hooks, code=1)
    hooks.environment["XDG_STATE_HOME"] = str(hooks.project / ".claude")
    assert "Not a directory" in install(hooks, "--user", code=1)
    assert not (hooks.home / ".claude").exists()


def test_a_link_is_written_through(hooks, local, tmp_path):
    target = tmp_path / "dotfiles.json"
    target.write_text(THEIRS)
    local.parent.mkdir()
    local.symlink_to(target)
    assert f"(a link to {target})" in install(hooks)
    assert local.is_symlink()
    assert commands(target).keys() >= SCRIPTS.keys()
    uninstall(hooks)
    assert local.is_symlink()
    assert target.read_text() == THEIRS


def test_a_link_that_leads_nowhere_yet_is_written_through(hooks, local, tmp_path):
    local.parent.mkdir()
    local.symlink_to(tmp_path / "dotfiles/claude.json")
    install(hooks)
    assert (tmp_path / "dotfiles/claude.json").exists()
    uninstall(hooks)
    assert local.is_symlink()
    assert not (tmp_path / "dotfiles").exists()


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
            assert "/ is no project; nothing was changed" in done.stderr
    assert not (hooks.home / ".claude").exists()
    assert hooks.cli("install", "--user", cwd="/").returncode == 0


@pytest.mark.parametrize("options", [[], ["--shared"], ["--user"]], ids=" ".join)
def test_of_what_failed_nothing_is_left(hooks, options):
    hooks.environment["PYTHONDONTWRITEBYTECODE"] = "1"  # or the half of it
    before = Tree(hooks.project, hooks.home)
    done = hooks.cli("install", *options, preexec_fn=small_files)
    assert (done.returncode, done.stdout) == (1, "")
    assert "File too large" in done.stderr
    assert "was not changed" in done.stderr
    assert ".tmp-" not in done.stderr
    left = Tree(hooks.project, hooks.home)
    assert {path for path in left.found if path not in before.found} <= {
        hooks.home / ".local",
        hooks.home / ".local/state",
        hooks.home / ".local/state/workflow-state",
    }


def test_an_upgrade_that_failed_still_comes_out_to_the_byte(hooks, local):
    local.parent.mkdir()
    local.write_text('{ "hooks": { } }')
    install(hooks)
    with unittest.mock.patch.object(
        settings_files, "_prepared", side_effect=OSError(5, "worn out")
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(hooks.home))
            with pytest.raises(settings_files.StoreError, match="worn out"):
                settings_files.registering(str(local), personal("/new", "/new/python3")).apply()
    uninstall(hooks)
    assert local.read_text() == '{ "hooks": { } }'


def small_files() -> None:
    """In a process to come: a disk on which no settings file finds room."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


@pytest.mark.parametrize("part", [".claude", ".claude/state"])
def test_a_link_that_no_hook_follows_is_told(hooks, part):
    there = hooks.home / "elsewhere"
    there.mkdir()
    (hooks.project / part).parent.mkdir(exist_ok=True)
    (hooks.project / part).symlink_to(there)
    assert f"Note: {hooks.project}/{part} is a link, which the hooks do not follow" in install(
        hooks
    )
    done = hooks.script("pre_tool.py", '{"session_id": "s"}')
    assert (done.returncode, done.stdout) == (1, "")
    assert f"it is a link, and none is followed here: {hooks.project}/{part}" in done.stderr
    done = hooks.cli("set", "a", "1")
    assert f"{hooks.project}/{part}: it is a link, and none is followed here" in done.stderr
    assert done.stderr == hooks.cli("status").stderr
    assert list(there.iterdir()) == (
        [] if part == ".claude/state" else [there / "settings.local.json"]
    )


def test_without_a_home_it_comes_out_all_the_same(hooks, theirs):
    install(hooks)
    hooks.environment["HOME"] = ""
    uninstall(hooks)
    assert theirs.read_text() == THEIRS


def test_what_was_kept_and_cannot_be_removed_is_told(hooks, theirs):
    install(hooks)
    kept = next((hooks.home / ".local/state/workflow-state/before").glob("*.note"))
    kept.unlink()
    kept.mkdir()
    assert f"Note: {kept}: " in uninstall(hooks)
    assert theirs.read_text() == THEIRS


def test_without_a_home_nothing_is_changed(hooks, theirs):
    hooks.environment["HOME"] = ""
    assert "set HOME" in install(hooks, code=1)
    assert theirs.read_text() == THEIRS


# --- interrupted, and not alone ----------------------------------------------------------------

STRIKE = """
import os, signal, sys
sys.path.insert(0, {root!r})
from lib.commands.main import main
left = int(sys.argv.pop(1))
number = signal.Signals[sys.argv.pop(1)]
def strike(real):
    def before(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)
        return real(*arguments, **options)
    return before
for name in "open write fsync mkdir rename replace link unlink rmdir fchmod".split():
    setattr(os, name, strike(getattr(os, name)))
sys.exit(main(sys.argv[1:]))
"""
"""Runs the command line, and sends this process a signal before one of its calls to the disk."""


def struck(hooks: Hooks, call: int, number: str, *arguments: str) -> int:
    command = [sys.executable, "-c", STRIKE.format(root=str(ROOT)), str(call), number, *arguments]
    options = {"cwd": hooks.project, "env": hooks.env(), "capture_output": True, "timeout": 60}
    return subprocess.run(command, check=False, **options).returncode


class World:
    """A project and its home as they are now, to go back to."""

    def __init__(self, hooks: Hooks, kept: Path) -> None:
        self.pairs = [(hooks.project, kept / "project"), (hooks.home, kept / "home")]
        for here, there in self.pairs:
            shutil.copytree(here, there)

    def put_back(self) -> None:
        for here, there in self.pairs:
            shutil.rmtree(here)
            shutil.copytree(there, here)


@pytest.mark.parametrize(("number", "step"), [("SIGKILL", 1), ("SIGINT", 5)])
@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_interrupted_anywhere_the_file_is_the_old_one_or_the_new(
    hooks, theirs, tmp_path, verb, number, step
):
    install(hooks)
    new = theirs.read_bytes()
    if verb == "install":
        uninstall(hooks)
    world = World(hooks, tmp_path / "kept")
    for call in range(1, 200, step):
        world.put_back()
        code = struck(hooks, call, number, verb)
        assert theirs.read_bytes() in (THEIRS.encode(), new)
        assert stat.S_IMODE(theirs.stat().st_mode) == 0o640
        if code == 0:
            break
        assert code == (-signal.SIGKILL if number == "SIGKILL" else 130)
        # Again, and whatever was left does no harm: all is as if it had not been interrupted.
        install(hooks, verb=verb)
        assert theirs.read_bytes() == (new if verb == "install" else THEIRS.encode())
        uninstall(hooks)
        assert theirs.read_text() == THEIRS
        assert list(theirs.parent.iterdir()) == [theirs]
        assert not (hooks.home / ".local/state/workflow-state/before").exists()
    assert 8 < call < 100


@pytest.mark.parametrize(("options", "step"), [([], 1), (["--shared"], 7)])
def test_interrupted_anywhere_nothing_is_left_or_all_is_done(hooks, options, step):
    kept = hooks.home / ".local/state/workflow-state/before"
    for call in range(1, 2000, step):
        code = struck(hooks, call, "SIGINT", "install", *options)
        if code == 0:
            break
        assert code == 130
        if (hooks.project / ".claude").exists():
            assert kept.exists()
            uninstall(hooks, *options)
        assert list(hooks.project.iterdir()) == []
        assert not kept.exists()
    assert code == 0
    assert call > 8


@pytest.mark.usefixtures("at_home")
def test_a_disk_that_fails_behind_the_change_still_lets_it_be_taken_back(hooks, local, monkeypatch):
    local.parent.mkdir()
    local.write_text('{ "hooks": { } }')
    change = settings_files.registering(str(local), personal("/bundle", "/python3"))
    with monkeypatch.context() as patch:
        patch.setattr(
            settings_files, "sync_directory", unittest.mock.Mock(side_effect=OSError(5, "worn out"))
        )
        with pytest.raises(settings_files.StoreError, match="worn out"):
            change.apply()
    uninstall(hooks)
    assert local.read_text() == '{ "hooks": { } }'


def test_killed_anywhere_a_copy_can_be_finished_and_taken_out(hooks):
    was = Tree(hooks.project)
    for call in range(1, 2000, 6):
        code = struck(hooks, call, "SIGKILL", "install", "--shared")
        if code == 0:
            break
        install(hooks, "--shared")
        assert not list((hooks.project / ".claude").glob(".tmp-*"))
        uninstall(hooks, "--shared")
        assert Tree(hooks.project) == was
    assert code == 0


MEANWHILE = """
import os, sys
sys.path.insert(0, {root!r})
from lib.install import settings_files
from lib.commands.main import main
real = settings_files._prepared
def meanwhile(folder, *rest):
    if folder.endswith(".claude"):
        with open(folder + "/settings.local.json", "w") as file:
            file.write("{{}}")
    return real(folder, *rest)
settings_files._prepared = meanwhile
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("there", [True, False])
def test_what_another_program_writes_meanwhile_is_not_lost(hooks, local, there):
    local.parent.mkdir()
    if there:
        local.write_text(THEIRS)
    command = [sys.executable, "-c", MEANWHILE.format(root=str(ROOT)), "install"]
    options = {"cwd": hooks.project, "env": hooks.env(), "capture_output": True, "text": True}
    done = subprocess.run(command, check=False, timeout=60, **options)
    assert done.returncode == 1
    assert "was changed by another program meanwhile" in done.stderr
    assert local.read_text() == "{}"
    assert list(local.parent.iterdir()) == [local]


@pytest.fixture
def at_home(hooks, monkeypatch) -> None:
    """This very process in the place of the command line's."""
    for name, value in hooks.env().items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("writes", [1, 2, 3])
def test_what_is_written_as_the_file_changes_places_is_not_lost(theirs, monkeypatch, writes):
    """Another program, between the last look and the exchange, and again at each that follows."""
    left = iter(range(writes))

    def meanwhile(one: str, other: str) -> bool:
        for number in left:
            theirs.write_text(f'{{"n": {number}}}')
            break
        return swap(one, other)

    monkeypatch.setattr(settings_files, "swap", meanwhile)
    change = settings_files.registering(str(theirs), personal("/bundle", "/python3"))
    if not swap_works(theirs.parent):
        absent("the file system cannot exchange two files")
    with pytest.raises(settings_files.StoreError, match="changed by another program meanwhile"):
        change.apply()
    assert theirs.read_text() == f'{{"n": {writes - 1}}}'
    assert list(theirs.parent.iterdir()) == [theirs]


@pytest.mark.usefixtures("at_home")
def test_where_two_files_cannot_be_exchanged_one_replaces_the_other(hooks, theirs, monkeypatch):
    monkeypatch.setattr(settings_files, "swap", lambda one, other: False)
    settings_files.registering(str(theirs), personal("/bundle", "/python3")).apply()
    assert commands(theirs).keys() >= SCRIPTS.keys()
    uninstall(hooks)
    assert theirs.read_text() == THEIRS


@pytest.mark.usefixtures("at_home")
def test_where_they_cannot_either_what_is_written_meanwhile_is_not_lost(theirs, monkeypatch):
    real = settings_files._prepared

    def meanwhile(folder: str, *rest: object) -> tuple[str, int]:
        if folder == str(theirs.parent):
            theirs.write_text("{}")
        return real(folder, *rest)

    monkeypatch.setattr(settings_files, "swap", lambda one, other: False)
    monkeypatch.setattr(settings_files, "_prepared", meanwhile)
    with pytest.raises(settings_files.StoreError, match="changed by another program meanwhile"):
        settings_files.registering(str(theirs), personal("/bundle", "/python3")).apply()
    assert theirs.read_text() == "{}"
    assert list(theirs.parent.iterdir()) == [theirs]


def swap_works(folder: Path) -> bool:
    for name in ("one", "other"):
        (folder / name).write_text(name)
    try:
        return swap(str(folder / "one"), str(folder / "other"))
    finally:
        (folder / "one").unlink()
        (folder / "other").unlink()


def test_two_paths_change_places(tmp_path):
    (tmp_path / "one").write_text("1")
    (tmp_path / "other").mkdir()
    if swap(str(tmp_path / "one"), str(tmp_path / "other")):
        assert (tmp_path / "one").is_dir()
        assert (tmp_path / "other").read_text() == "1"
        with pytest.raises(FileNotFoundError):
            swap(str(tmp_path / "one"), str(tmp_path / "none"))
    else:
        assert (tmp_path / "other").is_dir()
        assert (tmp_path / "one").read_text() == "1"


def older_copy(hooks: Hooks) -> Path:
    install(hooks, "--shared")
    copy = hooks.project / ".claude/workflow-state"
    (copy / "lib/recording/resolve_path.py").write_text("# old\n")
    return copy


def test_killed_anywhere_an_update_leaves_a_copy_that_works(hooks, tmp_path):
    """Neither missing for a moment nor half the old one and half the new."""
    copy = older_copy(hooks)
    if not swap_works(hooks.project):
        absent("the file system cannot exchange two directories")
    world = World(hooks, tmp_path / "kept")
    names = {path.relative_to(copy) for path in copy.rglob("*.py")}
    seen = set()
    for call in range(1, 2000, 3):
        world.put_back()
        code = struck(hooks, call, "SIGKILL", "install", "--shared")
        held = (copy / "lib/recording/resolve_path.py").read_text() == "# old\n"
        seen.add(held)
        assert {path.relative_to(copy) for path in copy.rglob("*.py")} == names
        if code == 0:
            break
    assert code == 0
    assert seen == {True, False}


@pytest.mark.usefixtures("at_home")
def test_a_copy_killed_where_nothing_can_be_exchanged_is_told_and_mended(hooks, monkeypatch):
    copy = older_copy(hooks)
    real = os.rename

    def rename(one: str, other: str) -> None:
        if other == str(copy):
            raise KeyboardInterrupt
        real(one, other)

    with monkeypatch.context() as patch:
        patch.setattr(installing, "swap", lambda one, other: False)
        patch.setattr(installing.os, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            installing.copy_bundle(str(copy))
    assert not copy.exists()
    assert f"{copy}/hooks/session_start.py, which is not there" in hooks.cli("doctor").stdout
    install(hooks, "--shared")
    uninstall(hooks, "--shared")
    assert list(hooks.project.iterdir()) == []


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_what_a_killed_copy_left_goes_and_what_another_makes_stays(hooks, verb):
    copy = older_copy(hooks)
    dead, alive = copy.parent / ".tmp-dead", copy.parent / ".tmp-alive"
    for each in (dead, alive):
        (each / "lib").mkdir(parents=True)
    lock = os.open(alive, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install(hooks, "--shared", verb=verb)
        assert (dead.exists(), alive.exists()) == (False, True)
    finally:
        os.close(lock)
    install(hooks, "--shared")
    assert not list(copy.parent.glob(".tmp-*"))


def test_installs_at_once_are_one(hooks, theirs):
    command = [sys.executable, str(ROOT / "bin/workflow-state"), "install"]
    options = {"cwd": hooks.project, "env": hooks.env(), "stderr": subprocess.PIPE}
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, **options) for _ in range(6)]
    for process in running:
        told = process.communicate(timeout=60)[1]
        assert process.returncode == 0 or b"meanwhile" in told
    assert [len(commands(theirs)[event]) for event in ("Stop", "PostToolUse")] == [1, 2]
    kept = hooks.home / ".local/state/workflow-state/before"
    assert [path.read_text() for path in kept.glob("*.json")] == [THEIRS]
    uninstall(hooks)
    assert theirs.read_text() == THEIRS


@pytest.mark.usefixtures("at_home")
def test_one_that_came_too_late_leaves_what_the_first_has_kept(hooks, theirs):
    theirs.write_text('{ "hooks": { } }')
    late = settings_files.registering(str(theirs), personal("/late", "/python3"))
    leaving = settings_files.unregistering(str(theirs))
    install(hooks)
    with pytest.raises(settings_files.StoreError, match="changed by another program meanwhile"):
        late.apply()
    leaving.clear()  # it had nothing to take out, and now there is something
    uninstall(hooks)
    assert theirs.read_text() == '{ "hooks": { } }'


@pytest.mark.usefixtures("at_home")
def test_one_that_another_process_keeps_waiting_gives_up(hooks, theirs, monkeypatch):
    place = hooks.home / ".local/state/workflow-state"
    place.mkdir(parents=True)
    monkeypatch.setattr(cleanup, "SECONDS", 0.0)
    change = settings_files.registering(str(theirs), personal("/bundle", "/python3"))
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(settings_files.StoreError, match="nothing was changed, try again"):
            change.apply()
    finally:
        os.close(descriptor)
    assert theirs.read_text() == THEIRS
    change.apply()
    uninstall(hooks)
    assert theirs.read_text() == THEIRS
