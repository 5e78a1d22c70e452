"""What the settings give to hooks counts in a terminal as well, through the real command line."""

from __future__ import annotations

import json
import os

import pytest

from tests.installing import trust


def choose(path, **variables: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"env": variables}))


OWN = "home/.claude/settings.json"
FILES = ["project/.claude/settings.local.json", "project/.claude/settings.json"]


@pytest.fixture
def stored(hooks):
    """A project whose state is in a database; a terminal is not told so."""
    hooks.environment["WORKFLOW_STATE_STORE"] = "sqlite"
    hooks.cli("set", "plan", "1")
    del hooks.environment["WORKFLOW_STATE_STORE"]
    assert hooks.cli("get", "plan").returncode == 1
    return hooks


def test_what_the_users_own_file_says_counts(stored):
    choose(stored.project.parent / OWN, WORKFLOW_STATE_STORE="sqlite")
    done = stored.cli("get", "plan")
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_the_projects_own_beats_the_users_and_the_environment_both(stored):
    trust(stored)
    choose(stored.project.parent / OWN, WORKFLOW_STATE_STORE="nowhere://")
    choose(stored.project / ".claude" / "settings.local.json", WORKFLOW_STATE_STORE="sqlite")
    assert stored.cli("get", "plan").stdout == "1\n"
    stored.environment["WORKFLOW_STATE_STORE"] = "json"
    done = stored.cli("get", "plan")
    assert (done.returncode, "settings" in done.stderr) == (1, False)


@pytest.mark.parametrize("file", FILES)
def test_a_projects_file_counts_when_its_folder_is_trusted(stored, file):
    choose(stored.project.parent / file, WORKFLOW_STATE_STORE="sqlite")
    done = stored.cli("get", "plan")
    assert done.returncode == 1
    assert "sets WORKFLOW_STATE_STORE; this counts here once you have trusted" in done.stderr
    for folder in (stored.project, stored.project.parent):
        trust(stored, folder)
        done = stored.cli("get", "plan")
        assert (done.stdout, done.stderr) == ("1\n", "")
    trust(stored, stored.project / "sub")
    assert stored.cli("get", "plan").returncode == 1


def test_a_link_in_a_trusted_folder_is_not_trusted_for_it(stored):
    choose(stored.project / ".claude" / "settings.local.json", WORKFLOW_STATE_STORE="sqlite")
    trusted = stored.home / "trusted"
    trusted.mkdir()
    (trusted / "link").symlink_to(stored.project)
    trust(stored, trusted)
    stored.environment["CLAUDE_PROJECT_DIR"] = str(trusted / "link")
    assert stored.cli("get", "plan").returncode == 1


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", ["WORKFLOW_STATE_KEY", "WORKFLOW_STATE_TRUST"])
def test_what_is_believed_is_never_a_projects_to_say(hooks, file, name):
    hooks.choose()
    trust(hooks)
    hooks.environment["WORKFLOW_STATE_KEY"] = "another's"
    hooks.cli("set", "plan", "1")
    hooks.cli("checkpoint", "planted")
    del hooks.environment["WORKFLOW_STATE_KEY"]
    value = {"WORKFLOW_STATE_KEY": "another's", "WORKFLOW_STATE_TRUST": "all"}[name]
    choose(hooks.project.parent / file, **{name: value})
    done = hooks.cli("restore", "planted")
    assert done.returncode == 1
    assert f"sets {name}, which a project's file cannot set" in done.stderr
    choose(hooks.project.parent / OWN, **{name: value})
    assert hooks.cli("restore", "planted").returncode == 0


@pytest.mark.parametrize("way", ["{outside}", "../outside", "link", ".", ""])
@pytest.mark.parametrize("file", FILES)
def test_a_projects_file_names_no_place_outside_it(hooks, tmp_path, file, way):
    trust(hooks)
    outside = hooks.project.parent / "outside"
    outside.mkdir()
    (hooks.project / "link").symlink_to(outside)
    choose(hooks.project.parent / file, WORKFLOW_STATE_DIR=way.format(outside=outside))
    done = hooks.cli("set", "plan", "1")
    assert done.returncode == 0
    assert "WORKFLOW_STATE_DIR" in done.stderr
    assert os.listdir(outside) == []
    assert not (hooks.project / "plan.json").exists()


def test_a_trusted_projects_file_names_a_place_in_it(hooks):
    trust(hooks)
    choose(hooks.project / ".claude" / "settings.json", WORKFLOW_STATE_DIR="notes/state")
    assert hooks.cli("set", "plan", "1").stderr == ""
    assert (hooks.project / "notes/state/plan.json").exists()


def test_where_home_is_the_project_its_file_is_the_users_own(hooks):
    choose(hooks.project / ".claude" / "settings.json", WORKFLOW_STATE_STORE="sqlite")
    environment = {**hooks.env(), "HOME": str(hooks.project)}
    done = hooks.cli("get", "plan", env=environment)
    assert (done.returncode, "trusted" in done.stderr) == (1, False)


def test_a_command_of_claudes_has_them_already(stored):
    trust(stored)
    choose(stored.project / ".claude" / "settings.local.json", WORKFLOW_STATE_STORE="sqlite")
    stored.environment["CLAUDECODE"] = "1"
    assert stored.cli("get", "plan").returncode == 1


@pytest.mark.parametrize("env", ['{"WORKFLOW_STATE_STORE": 1}', "[]", '{"PATH": "/nowhere"}', "{"])
def test_what_is_none_of_ours_or_no_text_is_passed_over(stored, env):
    path = stored.project / ".claude" / "settings.local.json"
    path.write_text(f'{{"env": {env}}}')
    stored.environment["WORKFLOW_STATE_STORE"] = "sqlite"
    assert stored.cli("get", "plan").stdout == "1\n"
