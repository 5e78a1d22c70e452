"""`workflow-state install` and the bundle's own marketplace, in the client that reads what they wrote."""

from __future__ import annotations

import json
import shlex
import shutil

import pytest

from .client import Claude
from .test_registration import works


@pytest.mark.parametrize("options", [[], ["--shared"], ["--user"]], ids=" ".join)
def test_installed_it_works_and_uninstalled_it_is_gone(bare, options):
    claude = bare
    done = claude.cli("install", *options)
    assert done.returncode == 0, done.stderr
    works(claude)
    assert claude.cli("doctor").returncode == 0

    done = claude.cli("uninstall", *options)
    assert done.returncode == 0, done.stderr
    claude.mock.script(claude.write("b.py"), "Done.")
    assert claude.run("Make b.py").hooks() == []


def test_as_a_plugin_from_the_bundles_own_marketplace(bare):
    claude = bare
    for command in (
        ["marketplace", "add", str(claude.bundle)],
        ["install", "workflow-state@workflow-state"],
    ):
        done = claude.inside(str(claude.program), "plugin", *command)
        assert done.returncode == 0, done.stdout + done.stderr
    works(claude)


def test_a_plugin_whose_place_has_gone_is_told_and_what_mends_it_mends_it(bare):
    claude = bare
    plugin = [str(claude.program), "plugin"]
    for command in (
        ["marketplace", "add", str(claude.bundle)],
        ["install", "workflow-state@workflow-state"],
    ):
        assert claude.inside(*plugin, *command).returncode == 0
    assert checks(claude)["scripts"]["state"] == "ok"

    claude.bundle = shutil.move(claude.bundle, claude.home / "moved here")
    claude.mock.script("Nothing is recorded.")
    assert claude.run("Go on").hooks() == []  # the client says nothing of it
    found = checks(claude)["scripts"]
    assert found["state"] == "mend"
    assert f"{claude.home}/.workflow-state, where" in found["said"]

    for command in found["mend"].split("; "):
        done = claude.inside(*plugin, *shlex.split(command)[2:])
        assert done.returncode == 0, done.stdout + done.stderr
    works(claude)
    assert checks(claude)["scripts"]["state"] == "ok"
    assert claude.cli("doctor").returncode == 0


def checks(claude: Claude) -> dict[str, dict[str, str]]:
    return {
        each["check"]: each for each in json.loads(claude.cli("doctor", "--json").stdout)["checks"]
    }
