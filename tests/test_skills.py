"""The plugin's skills: short, calls of the command line that exist, and safe to be left to Claude."""

from __future__ import annotations

import re

import pytest

from lib.commands.parser import HERE
from tests.conftest import ROOT

SKILLS = sorted(path.parent.name for path in (ROOT / "skills").glob("*/SKILL.md"))
CALL = '"${CLAUDE_PLUGIN_ROOT}"/bin/workflow-state '

ASKED_FOR = {"restore"}
"""What only the user may ask for: it changes what is recorded as true."""


def read(skill: str) -> tuple[dict[str, str], str]:
    """The members of a skill's head, which are all of one line, and its body."""
    text = (ROOT / "skills" / skill / "SKILL.md").read_text()
    _, head, body = text.split("---\n", 2)
    return dict(line.split(": ", 1) for line in head.splitlines()), body


def commands(text: str) -> list[str]:
    return [line[len(CALL) :].split() for line in text.splitlines() if line.startswith(CALL)]


def test_there_are_these():
    assert SKILLS == ["checkpoint", "phase", "restore", "status"]


@pytest.mark.parametrize("skill", SKILLS)
def test_the_head_says_what_the_client_reads(skill):
    head, body = read(skill)
    known = {"name", "description", "argument-hint", "allowed-tools", "disable-model-invocation"}
    assert set(head) <= known
    assert head["name"] == skill
    assert 40 < len(head["description"]) < 400
    assert len(body.split()) < 150
    assert ("$ARGUMENTS" in body) is ("argument-hint" in head)


@pytest.mark.parametrize("skill", SKILLS)
def test_claude_may_use_by_itself_what_is_safe(skill):
    head, _ = read(skill)
    assert (head.get("disable-model-invocation") == "true") is (skill in ASKED_FOR)


@pytest.mark.parametrize("skill", SKILLS)
def test_what_runs_unasked_is_one_verb_of_this_command_line(skill):
    """No pattern begins with a wildcard: it would let any command through that ends so.

    Its verb is behind `here`, which takes no option: `--dir` would lead to any place.
    """
    allowed = read(skill)[0]["allowed-tools"]
    rules = re.findall(r"Bash\((.*?)\)", allowed)
    assert " ".join(f"Bash({rule})" for rule in rules) == allowed
    verbs = [rule[len(CALL) :] for rule in rules if rule.startswith(CALL)]
    assert len(verbs) == len(rules)
    assert {verb[:5] for verb in verbs} == {"here "}
    assert {verb[5:] for verb in verbs} <= {f"{name} *" for name in HERE}
    assert not {"restore", "undo", "prune", "import", "trust"} & set(HERE)


@pytest.mark.parametrize("option", ["--dir=X", "--dir", "--di=X", "--session=t", "--json", "-o"])
@pytest.mark.parametrize("verb", [*HERE, "export", "report", "set"])
def test_what_runs_unasked_takes_no_option(hooks, verb, option):
    for words in ((verb, option, "X"), (option, "X", verb), (verb, "n", option, "X")):
        done = hooks.cli("here", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "here takes no option" in done.stderr


@pytest.mark.parametrize("words", [[], ["export"], ["set", "k", "1"], ["restore", "n"], ["here"]])
def test_what_runs_unasked_is_no_other_verb(hooks, words):
    done = hooks.cli("here", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "here takes one of these commands: status" in done.stderr


@pytest.mark.parametrize("skill", SKILLS)
def test_every_command_in_it_is_understood(hooks, skill):
    """By the real command line, in a project with a session and a checkpoint."""
    hooks.prompt("s")
    assert hooks.cli("checkpoint", "NAME").returncode == 0
    called = commands(read(skill)[1])
    assert called
    for command in called:
        done = hooks.cli(*[word for word in command if word not in ("[NAME", "|", "auto]")])
        assert (done.returncode, done.stderr) == (0, ""), command


def test_a_session_is_the_one_that_the_client_names(hooks):
    hooks.prompt("s")
    hooks.prompt("t")
    environment = {**hooks.env(), "CLAUDE_CODE_SESSION_ID": "s"}
    assert "session     s (" in hooks.cli("status", env=environment).stdout
