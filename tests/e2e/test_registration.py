"""Every way to register the hooks that README offers, in the client that reads the files."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from .client import Claude


def works(claude: Claude, *options: str) -> None:
    """A first session is recorded, and the next is told of it."""
    claude.mock.script(claude.write("a.py"), "Done.", "Going on.")
    first = claude.run("Make a.py", *options)
    assert {hook["hook_event"] for hook in first.hooks()} == {
        "SessionStart",
        "UserPromptSubmit",
        "PreToolUse",
        "PostToolUse",
        "Stop",
    }
    assert claude.show(first.session)["ended"]["reason"] == "other"
    after = claude.run("Go on", *options)
    assert f"continues session {first.session}" in after.told()
    assert 'Files changed (1): "a.py" (Write, created' in after.told()


@pytest.mark.parametrize("file", ["settings.local.json", "settings.json"])
def test_in_the_projects_settings(bare, file):
    bare.register(f".claude/{file}")
    works(bare)


def test_in_the_users_settings(bare):
    bare.register(".claude/settings.json", bare.home)
    works(bare)


def test_the_bundle_may_be_elsewhere(bare):
    bare.bundle = shutil.move(bare.bundle, bare.home / "my bundle")
    bare.register()
    bare.environment["WORKFLOW_STATE_HOME"] = str(bare.bundle)
    works(bare)


def test_as_a_plugin_from_a_folder(bare):
    works(bare, "--plugin-dir", str(bare.bundle))


def test_as_a_plugin_from_a_marketplace(bare):
    market = bare.top / "market"
    shutil.copytree(bare.bundle, market / "workflow-state")
    shutil.rmtree(bare.bundle)
    catalogue = {
        "name": "local-market",
        "owner": {"name": "nobody"},
        "plugins": [{"name": "workflow-state", "source": "./workflow-state"}],
    }
    (market / ".claude-plugin").mkdir()
    (market / ".claude-plugin/marketplace.json").write_text(json.dumps(catalogue))
    plugin = [str(bare.program), "plugin"]
    for command in (
        ["marketplace", "add", str(market)],
        ["install", "workflow-state@local-market"],
    ):
        done = bare.inside(*plugin, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    bare.bundle = market / "workflow-state"
    works(bare)


def test_a_plugin_from_a_git_marketplace_takes_what_is_committed_later(bare):
    """Its commit is its version: a number in the manifest would hold every update back."""
    market = bare.top / "market.git"
    shutil.move(bare.bundle, market)
    name = "workflow-state@workflow-state"
    bare.git("init", "-q", str(market))

    def commit() -> None:
        bare.git("-C", str(market), "add", "-A")
        bare.git("-C", str(market), "commit", "-qm", "a change")

    def plugin(*command: str) -> None:
        done = bare.inside(str(bare.program), "plugin", *command)
        assert done.returncode == 0, done.stdout + done.stderr

    def installed():
        known = json.loads((bare.home / ".claude/plugins/installed_plugins.json").read_text())
        return Path(known["plugins"][name][-1]["installPath"])

    commit()
    url = "https://example.org/market.git"  # git finds it here
    bare.git("config", "--global", f"url.{market}.insteadOf", url)
    plugin("marketplace", "add", url)
    plugin("install", name)
    assert not (installed() / "lib/later.py").exists()
    (market / "lib/later.py").write_text("")
    commit()
    plugin("marketplace", "update", "workflow-state")
    plugin("update", name)
    assert (installed() / "lib/later.py").exists()
    bare.bundle = installed()
    works(bare)


def test_the_plugin_is_valid(bare):
    """But for the version, which it leaves out: the test above says why."""
    done = bare.inside(str(bare.program), "plugin", "validate", str(bare.bundle))
    assert done.returncode == 0, done.stdout + done.stderr
    warnings = re.findall(r"Found (\d+) warning", done.stdout)
    assert sum(map(int, warnings)) == done.stdout.count("No version specified"), done.stdout
