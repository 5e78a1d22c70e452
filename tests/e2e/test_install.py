"""`workflow-state install` and the bundle's own marketplace, in the client that reads what they wrote."""

from __future__ import annotations

import pytest

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
