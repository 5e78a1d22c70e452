"""What the settings give to hooks counts in a terminal as well, through the real command line."""

from __future__ import annotations

import json

import pytest


def choose(path, **variables: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"env": variables}))


@pytest.fixture
def stored(hooks):
    """A project whose state is in a database; a terminal is not told so."""
    hooks.environment["WORKFLOW_STATE_STORE"] = "sqlite"
    hooks.cli("set", "plan", "1")
    del hooks.environment["WORKFLOW_STATE_STORE"]
    assert hooks.cli("get", "plan").returncode == 1
    return hooks


@pytest.mark.parametrize(
    "file", ["project/.claude/settings.local.json", "home/.claude/settings.json"]
)
def test_what_the_users_own_files_say_counts(stored, file):
    choose(stored.project.parent / file, WORKFLOW_STATE_STORE="sqlite")
    done = stored.cli("get", "plan")
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_the_projects_own_beats_the_users_and_the_environment_both(stored):
    choose(stored.home / ".claude" / "settings.json", WORKFLOW_STATE_STORE="nowhere://")
    choose(stored.project / ".claude" / "settings.local.json", WORKFLOW_STATE_STORE="sqlite")
    assert stored.cli("get", "plan").stdout == "1\n"
    stored.environment["WORKFLOW_STATE_STORE"] = "json"
    assert stored.cli("get", "plan").returncode == 1


def test_what_came_with_the_repository_counts_when_its_folder_is_trusted(stored):
    choose(stored.project / ".claude" / "settings.json", WORKFLOW_STATE_STORE="sqlite")
    done = stored.cli("get", "plan")
    assert done.returncode == 1
    assert "sets WORKFLOW_STATE_STORE; this counts here once you have trusted" in done.stderr
    known = stored.home / ".claude.json"
    for folder in (stored.project, stored.project.parent):
        known.write_text(json.dumps({"projects": {str(folder): {"hasTrustDialogAccepted": True}}}))
        done = stored.cli("get", "plan")
        assert (done.stdout, done.stderr) == ("1\n", "")
    known.write_text(json.dumps({"projects": {str(stored.project): {}}}))
    assert stored.cli("get", "plan").returncode == 1


def test_a_command_of_claudes_has_them_already(stored):
    choose(stored.project / ".claude" / "settings.local.json", WORKFLOW_STATE_STORE="sqlite")
    stored.environment["CLAUDECODE"] = "1"
    assert stored.cli("get", "plan").returncode == 1


@pytest.mark.parametrize("env", ['{"WORKFLOW_STATE_STORE": 1}', "[]", '{"PATH": "/nowhere"}', "{"])
def test_what_is_none_of_ours_or_no_text_is_passed_over(stored, env):
    path = stored.project / ".claude" / "settings.local.json"
    path.write_text(f'{{"env": {env}}}')
    stored.environment["WORKFLOW_STATE_STORE"] = "sqlite"
    assert stored.cli("get", "plan").stdout == "1\n"
