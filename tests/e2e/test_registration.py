"""Every way to register the hooks that README offers, in the client that reads the files."""

from __future__ import annotations

import json
import shutil

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


def test_the_plugin_is_valid(bare):
    done = bare.inside(str(bare.program), "plugin", "validate", "--strict", str(bare.bundle))
    assert done.returncode == 0, done.stdout + done.stderr
