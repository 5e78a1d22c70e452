"""The link to the interpreter: hooks go by it past a version manager's shim, and nobody else's."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from tests.conftest import ROOT, SCRIPTS
from tests.installing import FILES, Installed
from tests.test_hook_commands import commands


@pytest.fixture(params=FILES)
def source(request) -> str:
    return request.param


@pytest.fixture
def installed(tmp_path) -> Installed:
    return Installed(tmp_path)


def behind_shim(installed: Installed) -> None:
    """From here on `python3` on PATH leaves a mark: what a shim's time is lost in."""
    does = f"touch '{installed.home}/shim-ran'; exec '{sys.executable}' \"$@\""
    installed.put_python(installed.home.parent / "bin", does)


def goes_through_shim(installed: Installed, command: str, event: str = "PreToolUse") -> bool:
    """Run a command, which must do its work either way."""
    mark = installed.home / "shim-ran"
    mark.unlink(missing_ok=True)
    done = installed.run(command, event)
    assert (done.returncode, done.stderr) == (0, "")
    assert event in installed.recorded_events()
    return mark.exists()


@pytest.fixture
def shimmed(installed, source) -> Installed:
    """Behind a shim, a session has started before."""
    behind_shim(installed)
    assert goes_through_shim(installed, commands(source)["PreToolUse"])
    assert goes_through_shim(installed, commands(source)["SessionStart"], "SessionStart")
    return installed


@pytest.mark.parametrize("event", [event for event in SCRIPTS if event != "SessionStart"])
def test_behind_a_shim_every_hook_goes_past_it_once_a_session_has_started(shimmed, source, event):
    assert not goes_through_shim(shimmed, commands(source)[event], event)


def test_the_link_leads_to_the_interpreter_itself(shimmed):
    assert os.readlink(shimmed.link) == os.path.realpath(sys.executable)
    assert stat.S_IMODE(shimmed.link.parent.stat().st_mode) == 0o700
    assert {".gitignore", "README", "key", "projects", "python3"} == set(
        os.listdir(shimmed.link.parent)
    )


def test_an_interpreter_that_was_removed_since_is_done_without_until_the_next_start(
    shimmed, source
):
    shimmed.link.unlink()
    shimmed.link.symlink_to(shimmed.home / "versions/3.9/bin/python3.9")
    assert goes_through_shim(shimmed, commands(source)["PreToolUse"])
    shimmed.run(commands(source)["SessionStart"], "SessionStart")
    assert not goes_through_shim(shimmed, commands(source)["PreToolUse"])


def test_an_interpreter_that_is_broken_is_replaced_at_the_next_start(shimmed, source):
    broken = shimmed.home / "broken"
    broken.write_text("#!/bin/sh\nexit 2\n")
    broken.chmod(0o755)
    shimmed.link.unlink()
    shimmed.link.symlink_to(broken)
    assert shimmed.run(commands(source)["PreToolUse"], "PreToolUse").returncode == 1
    shimmed.run(commands(source)["SessionStart"], "SessionStart")
    assert not goes_through_shim(shimmed, commands(source)["PreToolUse"])


def test_an_interpreter_that_the_user_put_there_stays(shimmed, source):
    shimmed.link.unlink()
    shimmed.link.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    shimmed.link.chmod(0o755)
    shimmed.run(commands(source)["SessionStart"], "SessionStart")
    assert not shimmed.link.is_symlink()
    assert not goes_through_shim(shimmed, commands(source)["PreToolUse"])


def test_no_link_is_left_where_others_could_replace_it(installed, source):
    installed.link.parent.mkdir(parents=True)
    installed.link.parent.chmod(0o770)
    installed.run(commands(source)["SessionStart"], "SessionStart")
    assert "SessionStart" in installed.recorded_events()
    assert not os.path.lexists(installed.link)


def test_where_no_link_can_be_left_a_session_starts_all_the_same(installed, source):
    installed.link.mkdir(parents=True)
    (installed.link.parent / "key").mkdir()  # nor a key
    installed.env["WORKFLOW_STATE_KEY"] = "another"
    done = installed.run(commands(source)["SessionStart"], "SessionStart")
    assert (done.returncode, done.stderr) == (0, "")
    assert installed.recorded_events() == {"SessionStart"}


def test_the_link_lies_under_xdg_state_home(installed, source, tmp_path):
    behind_shim(installed)
    installed.env["XDG_STATE_HOME"] = str(tmp_path / "my state")
    installed.run(commands(source)["SessionStart"], "SessionStart")
    assert (tmp_path / "my state/workflow-state/python3").is_symlink()
    assert not goes_through_shim(installed, commands(source)["PreToolUse"])


def test_a_directory_of_the_repository_is_no_place_for_an_interpreter(shimmed, source):
    """A relative XDG_STATE_HOME means nothing; were it followed, a clone could bring a program."""
    planted = shimmed.project / "cache/workflow-state/python3"
    planted.parent.mkdir(parents=True)
    planted.write_text("#!/bin/sh\nexit 3\n")
    planted.chmod(0o755)
    shimmed.env["XDG_STATE_HOME"] = "cache"
    assert goes_through_shim(shimmed, commands(source)["PreToolUse"])


def test_the_plugin_without_a_home_goes_by_path(shimmed):
    del shimmed.env["HOME"]
    shimmed.env.update(WORKFLOW_STATE_DIR="here", WORKFLOW_STATE_KEY="secret")
    assert goes_through_shim(shimmed, commands("plugin")["PreToolUse"])


@pytest.mark.parametrize("kind", ["--symlinks", "--copies"])
def test_an_environment_s_interpreter_is_known_by_its_base(tmp_path, kind):
    base = os.path.realpath(sys.executable)
    subprocess.run([base, "-m", "venv", "--without-pip", kind, tmp_path / "venv"], check=True)
    command = [tmp_path / "venv/bin/python", "-S", "-c"]
    command += ["from lib.install.interpreter import interpreter; print(interpreter())"]
    found = subprocess.check_output(command, cwd=ROOT, text=True).strip()
    ask = "import sys; print(sys.prefix, sys.version)"
    assert found.startswith(sys.base_prefix)
    assert subprocess.check_output([found, "-I", "-S", "-c", ask]) == subprocess.check_output(
        [base, "-I", "-S", "-c", ask]
    )
