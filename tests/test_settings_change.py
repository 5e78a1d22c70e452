"""A settings file changed as a whole, put back to the byte, and never at another's cost."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
from errno import EPERM
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from lib.disk import cleanup
from lib.disk.durable import NotDurable
from lib.errors import StoreError
from lib.install import settings_change
from lib.install.hook_commands import personal
from tests.conftest import ROOT, SCRIPTS
from tests.installing import (
    THEIRS,
    Tree,
    World,
    commands,
    install,
    local_settings,
    small_files,
    struck,
    their_settings,
    uninstall,
)
from tests.test_registered import files

OURS = personal("/bundle", "/python3")


@pytest.fixture
def local(hooks) -> Path:
    return local_settings(hooks)


@pytest.fixture
def theirs(hooks) -> Path:
    return their_settings(hooks)


@pytest.fixture
def at_home(hooks, monkeypatch) -> None:
    """This very process in the place of the command line's."""
    for name, value in hooks.env().items():
        monkeypatch.setenv(name, value)


# --- back to the byte --------------------------------------------------------------------------


@hypothesis_settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # it waits for the disk
@given(files())
def test_whatever_a_file_holds_it_comes_back(tmp_path, monkeypatch, text):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "settings.json"
    file.write_bytes(text.encode())
    lines = personal("/home/you/.workflow-state", "/usr/bin/python3")
    settings_change.registering(str(file), lines).apply()
    assert file.read_bytes() != text.encode()
    settings_change.registering(str(file), personal("/opt/elsewhere", "/usr/bin/python3")).apply()
    settings_change.unregistering(str(file)).apply()
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


def test_an_upgrade_still_comes_out_to_the_byte(hooks, theirs):
    install(hooks)
    older = theirs.read_text().replace(os.path.realpath(sys.executable), "/old/python3.9")
    theirs.write_text(older)
    install(hooks)
    uninstall(hooks)
    assert theirs.read_text() == THEIRS


def test_a_backup_of_an_earlier_version_still_counts(hooks, theirs):
    """It made `.claude` for one file, and the other one's note does not know."""
    theirs.unlink()
    theirs.parent.rmdir()
    install(hooks)
    install(hooks, "--shared")
    for note in (hooks.home / ".local/state/workflow-state/before").glob("*-settings.json.note"):
        said = json.loads(note.read_text())
        said["made"] = [said["path"]]
        note.write_text(json.dumps(said))
    uninstall(hooks, "--shared")
    uninstall(hooks)
    assert list(hooks.project.iterdir()) == []


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


def test_what_was_kept_and_cannot_be_removed_is_told(hooks, theirs):
    install(hooks)
    kept = next((hooks.home / ".local/state/workflow-state/before").glob("*.note"))
    kept.unlink()
    kept.mkdir()
    assert f"Note: {kept}: " in uninstall(hooks)
    assert theirs.read_text() == THEIRS


# --- a disk that fails -------------------------------------------------------------------------


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


@pytest.fixture
def spaced(local):
    """Settings of which our hooks leave no trace but in the backup."""
    local.parent.mkdir()
    local.write_text('{ "hooks": { } }')
    return local


@pytest.mark.usefixtures("at_home")
def test_an_upgrade_that_failed_still_comes_out_to_the_byte(hooks, spaced, monkeypatch):
    real = settings_change.replace

    def fail(name: str, *rest: object, **options: object) -> None:
        if name == str(spaced):
            raise OSError(5, "worn out", name)
        real(name, *rest, **options)

    install(hooks)
    with monkeypatch.context() as patch:
        patch.setattr(settings_change, "replace", fail)
        with pytest.raises(StoreError, match=r"worn out; .*settings.local.json was not changed"):
            settings_change.registering(str(spaced), OURS).apply()
    uninstall(hooks)
    assert spaced.read_text() == '{ "hooks": { } }'


@pytest.mark.usefixtures("at_home")
def test_a_disk_that_fails_behind_the_change_still_lets_it_be_taken_back(
    hooks, spaced, monkeypatch
):
    real = settings_change.replace

    def fail_behind(name: str, *rest: object, **options: object) -> None:
        real(name, *rest, **options)
        if name == str(spaced):
            raise NotDurable(5, "worn out", name)

    with monkeypatch.context() as patch:
        patch.setattr(settings_change, "replace", fail_behind)
        with pytest.raises(StoreError, match=r"worn out$"):
            settings_change.registering(str(spaced), OURS).apply()
    assert commands(spaced).keys() == SCRIPTS.keys()
    uninstall(hooks)
    assert spaced.read_text() == '{ "hooks": { } }'


# --- interrupted -------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "step"), [("SIGKILL", 3), ("SIGINT", 5)])
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


@pytest.mark.parametrize(("options", "step"), [([], 3), (["--shared"], 11)])
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


# --- not alone ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("links", [True, False])
def test_what_another_program_writes_meanwhile_is_not_lost(theirs, monkeypatch, there, links):
    if not there:
        theirs.unlink()
    if not links:
        monkeypatch.setattr(os, "link", Mock(side_effect=OSError(EPERM, "no hard links here")))

    def meanwhile(folder: str) -> None:
        if folder == str(theirs.parent):
            theirs.write_text("{}")

    monkeypatch.setattr(settings_change, "remove_temporary", meanwhile)
    with pytest.raises(StoreError, match="another program has changed"):
        settings_change.registering(str(theirs), OURS).apply()
    assert theirs.read_text() == "{}"
    assert list(theirs.parent.iterdir()) == [theirs]


@pytest.mark.usefixtures("at_home")
def test_where_a_file_system_has_no_hard_links_a_new_file_is_made_all_the_same(
    hooks, theirs, monkeypatch
):
    theirs.unlink()
    monkeypatch.setattr(os, "link", Mock(side_effect=OSError(EPERM, "no hard links here")))
    settings_change.registering(str(theirs), OURS).apply()
    assert commands(theirs).keys() == SCRIPTS.keys()
    uninstall(hooks)
    assert list(hooks.project.iterdir()) == [theirs.parent]


def test_installs_at_once_are_one(hooks, theirs):
    command = [sys.executable, str(ROOT / "bin/workflow-state"), "install"]
    options = {"cwd": hooks.project, "env": hooks.env(), "stderr": subprocess.PIPE}
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, **options) for _ in range(6)]
    for process in running:
        told = process.communicate(timeout=60)[1]
        assert process.returncode == 0 or b"another program has changed" in told
    assert [len(commands(theirs)[event]) for event in ("Stop", "PostToolUse")] == [1, 2]
    kept = hooks.home / ".local/state/workflow-state/before"
    assert [path.read_text() for path in kept.glob("*.json")] == [THEIRS]
    uninstall(hooks)
    assert theirs.read_text() == THEIRS


@pytest.mark.usefixtures("at_home")
def test_one_that_came_too_late_leaves_what_the_first_has_kept(hooks, theirs):
    theirs.write_text('{ "hooks": { } }')
    late = settings_change.registering(str(theirs), personal("/late", "/python3"))
    leaving = settings_change.unregistering(str(theirs))
    install(hooks)
    with pytest.raises(StoreError, match="another program has changed"):
        late.apply()
    leaving.clear()  # it had nothing to take out, and now there is something
    uninstall(hooks)
    assert theirs.read_text() == '{ "hooks": { } }'


@pytest.mark.usefixtures("at_home")
def test_one_that_another_process_keeps_waiting_gives_up(hooks, theirs, monkeypatch):
    place = hooks.home / ".local/state/workflow-state"
    place.mkdir(parents=True)
    monkeypatch.setattr(cleanup, "SECONDS", 0.0)
    change = settings_change.registering(str(theirs), OURS)
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="nothing was changed, try again"):
            change.apply()
    finally:
        os.close(descriptor)
    assert theirs.read_text() == THEIRS
    change.apply()
    uninstall(hooks)
    assert theirs.read_text() == THEIRS
