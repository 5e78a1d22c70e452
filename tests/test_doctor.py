"""`doctor`: each fault is found with what mends it, and gone once that is done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.install import settings_files
from lib.install.doctor.examine import CHECKS
from lib.install.doctor.finding import Subject
from lib.install.doctor.hooks import check_settings
from lib.install.install import Place, runs, warnings
from tests.conftest import ROOT, Hooks
from tests.installing import SHELL


def examined(hooks: Hooks, *arguments: str) -> dict[str, dict]:
    """The findings by check; the exit status must go with them."""
    done = hooks.cli("doctor", "--json", *arguments)
    assert done.stderr == ""
    said = json.loads(done.stdout)
    found = {finding["check"]: finding for finding in said["checks"]}
    ill = [finding["check"] for finding in said["checks"] if finding["state"] == "mend"]
    assert (said["ok"], done.returncode) == (not ill, 1 if ill else 0)
    return found


def ill(hooks: Hooks) -> list[str]:
    return [check for check, finding in examined(hooks).items() if finding["state"] == "mend"]


@pytest.fixture
def well(hooks) -> Hooks:
    """A project where all is as it should be, and a session has worked and ended."""
    (hooks.home / "bin").mkdir()
    (hooks.home / "bin/python3").symlink_to(os.path.realpath(sys.executable))
    (hooks.home / "bin/workflow-state").symlink_to(ROOT / "bin/workflow-state")
    hooks.environment["PATH"] = f"{hooks.home / 'bin'}:{os.environ['PATH']}"
    subprocess.run(["git", "init", "-q", str(hooks.project)], check=True)
    assert hooks.cli("install").returncode == 0
    hooks.environment["AI_AGENT"] = "claude-code_2-1-330_agent"
    hooks.start("one")
    hooks.prompt("one")
    hooks.stop("one")
    hooks.end("one")
    assert ill(hooks) == []
    return hooks


def local(hooks: Hooks) -> Path:
    return hooks.project / ".claude/settings.local.json"


def edit(file: Path, change) -> None:
    said = json.loads(file.read_text()) if file.exists() else {}
    change(said)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(said))


def user_settings(hooks: Hooks) -> Path:
    return hooks.home / ".claude/settings.json"


def drop(event: str):
    return lambda said: said["hooks"].pop(event)


def double(said: dict) -> None:
    group = said["hooks"]["Stop"][0]
    hook = group["hooks"][0]
    second = {**hook, "command": hook["command"].replace("|| exit 1", "||  exit 1")}
    group["hooks"].append({**second, "command": f"{hook['command']} "})


def transcript(hooks: Hooks) -> None:
    name = "".join(letter if letter.isalnum() else "-" for letter in str(hooks.project))
    file = hooks.home / ".claude/projects" / name / "1.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("{}\n")
    os.utime(file, (time.time() + 7200, time.time() + 7200))


def shim(hooks: Hooks) -> None:
    """The real interpreter behind a slow `python3` on PATH, and hooks registered by hand."""
    python = hooks.home / "bin/python3"
    python.unlink()
    python.write_text(f'#!/bin/sh\nsleep 0.2\nexec {os.path.realpath(sys.executable)} "$@"\n')
    python.chmod(0o755)
    shutil.rmtree(hooks.home / ".local/state/workflow-state")
    (hooks.home / ".workflow-state").symlink_to(ROOT)
    shutil.copy(ROOT / "settings.example.json", local(hooks))


def damaged_key(hooks: Hooks) -> None:
    hooks.choose()
    (hooks.home / ".local/state/workflow-state/key").chmod(0o644)


def foreign(hooks: Hooks) -> None:
    hooks.choose()
    hooks.environment["WORKFLOW_STATE_KEY"] = "another's"
    hooks.prompt("two")
    del hooks.environment["WORKFLOW_STATE_KEY"]


def damaged_file(hooks: Hooks) -> None:
    (hooks.directory / "keys/plan.json").write_text("{")


def quarantined_file(hooks: Hooks) -> None:
    damaged_file(hooks)
    assert "plan.json" in hooks.cli("doctor", "--fix").stdout


PLUGIN = "workflow-state@market"


def plugin(hooks: Hooks) -> Path:
    """The plugin on, and nothing else registered; the folder of what the client knows of it."""
    assert hooks.cli("uninstall").returncode == 0
    edit(user_settings(hooks), lambda said: said.update(enabledPlugins={PLUGIN: True}))
    folder = hooks.home / ".claude/plugins"
    folder.mkdir()
    return folder


def bundle(target: Path) -> Path:
    for part in (".claude-plugin", "hooks", "lib"):
        shutil.copytree(ROOT / part, target / part)
    return target


def marketplace(hooks: Hooks) -> Path:
    """As the client has it after `claude plugin marketplace add` of a directory, and `install`."""
    known, top = plugin(hooks), hooks.home / "market"
    catalogue = {"plugins": [{"name": "workflow-state", "source": "./sub"}]}
    bundle(top / "sub")
    (top / ".claude-plugin").mkdir()
    (top / ".claude-plugin/marketplace.json").write_text(json.dumps(catalogue))
    source = {"source": "directory", "path": str(top)}
    market = {"market": {"source": source, "installLocation": str(top)}}
    (known / "known_marketplaces.json").write_text(json.dumps(market))
    assert examined(hooks)["scripts"]["state"] == "ok"
    return top


def copied(hooks: Hooks) -> Path:
    """The same after a marketplace that is no directory."""
    known, copy = plugin(hooks), bundle(hooks.home / "copy")
    market = {"market": {"source": {"source": "github", "repo": "a/b"}}}
    (known / "known_marketplaces.json").write_text(json.dumps(market))
    installed = {"version": 2, "plugins": {PLUGIN: [{"scope": "user", "installPath": str(copy)}]}}
    (known / "installed_plugins.json").write_text(json.dumps(installed))
    assert examined(hooks)["scripts"]["state"] == "ok"
    return copy


FAULTS = {
    "switched off in the settings": (
        lambda hooks: edit(user_settings(hooks), lambda said: said.update(env={"WORKFLOW_STATE": "off"})),
        "switch", "WORKFLOW_STATE is off in", None,
    ),
    "a malformed settings file": (
        lambda hooks: (hooks.project / ".claude/settings.json").write_text("{\n,}"),
        "settings", "settings.json: line 2, column 1: ','", None,
    ),
    "all hooks off": (
        lambda hooks: edit(user_settings(hooks), lambda said: said.update(disableAllHooks=True)),
        "settings", "disableAllHooks", None,
    ),
    "not registered": (lambda hooks: local(hooks).unlink(), "hooks", "not registered", "run"),
    "an event is missing": (
        lambda hooks: edit(local(hooks), drop("StopFailure")), "hooks", "does not register StopFailure", "run",
    ),
    "twice in one file": (lambda hooks: edit(local(hooks), double), "hooks", "Stop more than once", "run"),
    "in two files": (lambda hooks: hooks.cli("install", "--shared"), "hooks", "registered 2 times", "run"),
    "a plugin too": (
        lambda hooks: edit(user_settings(hooks), lambda said: said.update(enabledPlugins={"workflow-state@w": True})),
        "hooks", "plugin workflow-state@w", None,
    ),
    "the scripts are gone": (
        lambda hooks: local(hooks).write_text(local(hooks).read_text().replace(str(ROOT), "'/no where'/workflow-state")),
        "scripts", "/no where/workflow-state/hooks/session_start.py, which is missing", "run",
    ),
    "a plugin that is nowhere": (plugin, "scripts", "is enabled, but installed nowhere", None),
    "a plugin whose marketplace has gone": (
        lambda hooks: shutil.rmtree(marketplace(hooks)), "scripts", "plugin.json is missing", None,
    ),
    "a plugin whose script has gone": (
        lambda hooks: (marketplace(hooks) / "sub/hooks/stop.py").unlink(),
        "scripts", "/market/sub, where hooks/stop.py is missing", None,
    ),
    "a plugin whose copy has gone": (
        lambda hooks: (copied(hooks) / "lib/recording/journal.py").unlink(),
        "scripts", "/copy, where lib/recording/journal.py is missing", None,
    ),
    "a shim": (shim, "python", "the shim before ", "run"),
    "no hook fires": (transcript, "recording", "no hook ran", None),
    "a directory that others can read": (
        lambda hooks: hooks.directory.chmod(0o755), "directory", "has mode 755", "run",
    ),
    "a file in its place": (
        lambda hooks: (shutil.rmtree(hooks.directory), hooks.directory.write_text("")),
        "directory", "cannot be opened: Not a directory", None,
    ),
    "git sees it": (
        lambda hooks: (hooks.view / ".gitignore").unlink(), "view", "git does not ignore", "run",
    ),
    "a key that others can read": (damaged_key, "key", "others can read it", None),
    "a store that is not there": (
        lambda hooks: hooks.environment.update(WORKFLOW_STATE_STORE="nowhere://"), "store", "nowhere", None,
    ),
    "another's records": (foreign, "damage", "records that are not yours: 1", None),
    "a damaged file": (damaged_file, "damage", "plan.json", None),
    "a damaged file in quarantine": (quarantined_file, "damage", "in quarantine: 1", None),
}  # fmt: skip


@pytest.mark.parametrize(("harm", "check", "said", "cure"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_found_and_what_mends_it_mends_it(well, harm, check, said, cure):
    harm(well)
    finding = examined(well)[check]
    assert finding["state"] == "mend"
    assert said in finding["said"]
    assert finding["mend"] or check == "store"
    if cure:
        options = {"cwd": well.project, "env": well.env(), "timeout": 60}
        subprocess.run([SHELL, "-c", finding["mend"]], check=True, capture_output=True, **options)
        assert check not in ill(well)


GIT = {
    "none on the PATH": ("it is not on the PATH", "install git"),
    "a repository of another user": ("dubious ownership", "--add safe.directory"),
    "too slow": ("longer than 2.0 seconds", "what takes long"),
    "one that names no repository": ("not a git repository", "see what git says"),
}


@pytest.mark.parametrize("cause", GIT)
def test_why_git_does_not_tell_what_commands_change_is_named(well, cause):
    said, mend = GIT[cause]
    path = well.home / "bin/git"
    if cause == "none on the PATH":
        well.environment["PATH"] = str(well.home / "bin")
    elif cause == "too slow":
        path.write_text("#!/bin/sh\nsleep 60\n")
        path.chmod(0o755)
    elif cause == "one that names no repository":
        shutil.rmtree(well.project / ".git")
        (well.project / ".git").write_text("gitdir: /nowhere\n")
    else:
        path.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 {shutil.which("git")} "$@"')
        path.chmod(0o755)
    finding = examined(well)["git"]
    assert finding["state"] == "mend"
    assert said in finding["said"]
    assert mend in finding["mend"]


def test_with_fix_it_quarantines_what_is_damaged_and_hides_what_others_could_read(well):
    damaged_file(well)
    well.directory.chmod(0o755)
    well.cli("set", "other", "1")
    done = well.cli("doctor", "--fix", "--json")
    fixed = json.loads(done.stdout)["fixed"]
    assert [str(well.directory) in fixed[0], "keys/plan.json" in fixed[1]] == [True, True]
    assert well.directory.stat().st_mode & 0o777 == 0o700
    (kept,) = (well.directory / "keys").glob("plan.json.damaged-*")
    assert kept.read_text() == "{"
    assert well.cli("get", "other").stdout == "1\n"
    assert json.loads(well.cli("doctor", "--fix", "--json").stdout)["fixed"] == []


@pytest.mark.parametrize("file", ["managed-settings.json", "managed-settings.d/10.json", "remote"])
@pytest.mark.parametrize("setting", ["allowManagedHooksOnly", "disableAllHooks"])
def test_an_administrator_who_switches_hooks_off_is_named(well, monkeypatch, file, setting):
    """In this process: the administrator's directory is the machine's."""
    folder = well.home / "etc"
    path = folder / file
    if file == "remote":
        path = user_settings(well).with_name("remote-settings.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("HOME", str(well.home))
    monkeypatch.setattr(settings_files, "MANAGED", str(folder))
    monkeypatch.setattr(settings_files, "MANAGED_MACOS", str(folder))
    where, subject = Place(str(well.project)), (str(well.project), str(well.directory))

    def finding():
        return check_settings(Subject(*subject))

    path.write_text(json.dumps({setting: False}))
    assert (finding().state, runs(where)) == ("ok", True)
    path.write_text(json.dumps({setting: True}))
    assert finding().state == "mend"
    assert f'{path} sets "{setting}"' in finding().said
    assert "administrator" in finding().mend
    assert not runs(where)
    assert any(f'{path} sets "{setting}"' in said for said in warnings(where))
    path.write_text(json.dumps({setting: True, "enabledPlugins": {PLUGIN: True}}))
    edit(user_settings(well), lambda said: said.update(enabledPlugins={PLUGIN: True}))
    assert runs(where) is (setting == "allowManagedHooksOnly")


def test_a_plugin_of_an_earlier_version_is_whole(well):
    copy = copied(well)
    (copy / "lib/recording/journal.py").rename(copy / "lib/journal.py")
    assert examined(well)["scripts"]["state"] == "ok"


def test_a_python_that_does_not_run_is_told(well):
    (well.home / "bin/python3").unlink()
    (well.home / "bin/python3").write_text("#!/bin/sh\nexit 3\n")
    (well.home / "bin/python3").chmod(0o755)
    edit(local(well), lambda said: said.pop("hooks"))
    assert "cannot run the hooks" in examined(well)["python"]["said"]


def test_which_python_and_which_client_are_told(well):
    found = examined(well)
    assert (
        f"{'.'.join(map(str, sys.version_info[:3]))}, {os.path.realpath(sys.executable)}"
        in (found["python"]["said"])
    )
    assert "by claude-code_2-1-330_agent" in found["recording"]["said"]


def test_a_crash_is_told_and_needs_no_hand(well):
    well.start("two")
    finding = examined(well)["crash"]
    assert (finding["state"], "session two crashed" in finding["said"]) == ("note", True)


def test_nothing_that_a_project_names_is_run(well):
    """A clone's settings may name anything; it only has to look like ours."""
    mark = well.project / "ran"
    evil = well.project / "python3"
    evil.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    evil.chmod(0o755)
    script = well.project / "workflow-state/hooks/pre_tool.py"
    script.parent.mkdir(parents=True)
    script.write_text(f"open({str(mark)!r}, 'w')\n")
    lines = [
        f'p={evil}; [ -x "/$p" ] || p=python3; "$p" -I -S {script} || exit 1',
        f"touch {mark}; python3 -I -S {script} || exit 1",
        f"$(touch {mark}) -I -S `touch {mark}`/workflow-state/hooks/pre_tool.py || exit 1",
        f"p='$(touch {mark})'; -I -S '/hooks/stop.py || exit 1",
        f"p=/bin/sh; -I -S {script} || exit 1",
    ]
    groups = [{"hooks": [{"type": "command", "command": line} for line in lines]}]
    (well.project / ".claude/settings.json").write_text(json.dumps({"hooks": {"Stop": groups}}))
    assert "hooks" in ill(well)
    assert not mark.exists()


def test_it_changes_nothing(well):
    def snapshot() -> dict:
        paths = [path for top in (well.project, well.home) for path in top.rglob("*")]
        return {path: path.read_bytes() for path in paths if path.is_file()}

    before = snapshot()
    examined(well)
    assert snapshot() == before


def test_a_project_without_anything_is_looked_at_without_making_anything(hooks):
    assert ill(hooks)[:1] == ["hooks"]
    assert list(hooks.project.iterdir()) == []
    assert list(hooks.home.iterdir()) == []


def test_another_project_can_be_named(well, tmp_path):
    (tmp_path / "other").mkdir()
    assert examined(well, "--project", str(tmp_path / "other"))["hooks"]["state"] == "mend"
    assert well.cli("doctor", "--project", "nowhere").returncode == 1


def test_for_people_it_is_a_line_a_check(well):
    well.directory.chmod(0o755)
    done = well.cli("doctor")
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (1, len(CHECKS) + 1)
    assert lines[-1] == f"1 of {len(CHECKS)} checks needs a fix."
    (mend,) = [line for line in lines if line.startswith("mend")]
    assert mend.endswith(f"-> chmod 700 {well.directory}")


def test_a_check_that_fails_costs_no_other(well):
    (well.directory / "sessions").rename(well.directory / "gone")
    (well.directory / "sessions").write_text("")
    assert len(examined(well)) == len(CHECKS)


def test_interrupted_it_says_nothing(well):
    command = [sys.executable, str(ROOT / "bin/workflow-state"), "doctor"]
    python = well.home / "bin/python3"
    python.unlink()
    os.mkfifo(well.home / "fifo")
    python.write_text(f"#!/bin/sh\necho > '{well.home / 'fifo'}'\nexec sleep 60\n")
    python.chmod(0o755)
    edit(local(well), lambda said: said.pop("hooks"))
    running = subprocess.Popen(
        command, cwd=well.project, env=well.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    (well.home / "fifo").read_text()  # it waits for the interpreter now
    running.send_signal(2)
    assert running.communicate(timeout=60) == (b"", b"")
    assert running.returncode == 130
