"""The Tab key: in the real shells, and what the parser tells them."""

from __future__ import annotations

import argparse
import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest

from lib.commands.completion import candidates
from lib.commands.parser import build
from tests.conftest import ROOT, Hooks, absent

SHELLS = ("bash", "zsh", "fish")
WAIT = 60
"""Seconds after which a shell that says nothing is taken for one that hangs."""


def shell_named(name: str) -> str:
    found = shutil.which(name)
    if not found:
        absent(f"{name} is not installed (Debian: {name})")
    return found


@pytest.fixture
def worked(hooks, tmp_path) -> Hooks:
    """A project with a session, keys and checkpoints; the command on PATH, under this Python."""
    hooks.prompt("s1")
    for arguments in (
        ("set", "plan", "1"),
        ("checkpoint", "before_refactor"),
        ("checkpoint", "b2"),
    ):
        assert hooks.cli(*arguments).returncode == 0
    (hooks.project / "docs here").mkdir()
    (hooks.project / "dull.txt").touch()
    bundle = tmp_path / "it's here"
    for part in ("bin", "lib"):
        shutil.copytree(ROOT / part, bundle / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "path").mkdir()
    (tmp_path / "path/workflow-state").symlink_to(bundle / "bin/workflow-state")
    (tmp_path / "path/python3").symlink_to(sys.executable)
    hooks.environment["PATH"] = f"{tmp_path / 'path'}:{os.environ['PATH']}"
    return hooks


# --- in the shells -----------------------------------------------------------------------------

START = {
    "bash": (("--norc", "--noprofile", "-i"), 'eval "$(workflow-state completion bash)"'),
    "zsh": (
        ("-f", "-i"),
        "autoload -U compinit; compinit -u -D; source <(workflow-state completion zsh)",
    ),
    "fish": (("--private", "-i"), "workflow-state completion fish | source"),
}


class Terminal:
    """A shell in a terminal of its own, as a person types into it."""

    def __init__(self, hooks: Hooks, shell: str) -> None:
        options, load = START[shell]
        program = shell_named(shell)
        env = {**hooks.env(), "TERM": "vt100", "PS1": "", "LC_ALL": "C.UTF-8"}
        self.shown = b""
        self.process, self.terminal = pty.fork()
        if not self.process:
            os.chdir(hooks.project)
            os.execve(program, [program, *options], env)  # noqa: S606
        self.types(f"{load}; echo rea''dy\n")
        self.wait_for(b"ready")

    def types(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def wait_for(self, text: bytes) -> None:
        """Read until a text is shown; what was shown before it is forgotten then."""
        end = time.monotonic() + WAIT
        while text not in self.shown:
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            assert ready, self.shown.decode(errors="replace")
            self.shown += os.read(self.terminal, 4096)
        self.shown = self.shown.partition(text)[2]

    def close(self) -> None:
        os.close(self.terminal)
        os.kill(self.process, 9)
        os.waitpid(self.process, 0)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_tab_key_completes(worked, shell):
    terminal = Terminal(worked, shell)
    try:
        for typed, completed in (
            ("workflow-state resto", b"re"),
            ("bef", b"ore_refactor"),
            ("\nworkflow-state install --sha", b"red"),
            ("\nworkflow-state unset p", b"lan"),
            ("\nworkflow-state doctor --project doc", b"s\\ here"),
        ):
            terminal.types(typed)
            terminal.wait_for(typed.strip("\n").encode())
            terminal.types("\t")
            terminal.wait_for(completed)
    finally:
        terminal.close()


ASKED = {
    "workflow-state resto": ["restore"],
    "workflow-state restore b": ["b2", "before_refactor"],
    "workflow-state --session s1 diff before": ["before_refactor"],
    "workflow-state install --sh": ["--shared"],
    "workflow-state unset ": ["plan"],
    "workflow-state phase sh": ["ship"],
    "workflow-state --session ": ["s1"],
    "workflow-state doctor --project d": ["docs here"],
    "workflow-state completion f": ["fish"],
    "workflow-state set plan ": [],
    "workflow-state undo ": [],
}


def offered(hooks: Hooks, command: list[str]) -> dict[str, list[str]]:
    """What a shell that asks for each of the lines, after a colon, is offered."""
    options = {"cwd": hooks.project, "env": hooks.env(), "text": True, "timeout": WAIT}
    shown = subprocess.check_output(command, **options).split(":\n")[1:]
    return {line: sorted(filter(None, rows.split("\n"))) for line, rows in zip(ASKED, shown)}


def test_fish_offers(worked):
    asking = "".join(f'; echo :; complete -C "{line}"' for line in ASKED)
    script = f"workflow-state completion fish | source{asking}"
    found = offered(worked, [shell_named("fish"), "--private", "-c", script])
    for line, rows in found.items():
        assert [row.partition("\t")[0].rstrip("/").replace("\\ ", " ") for row in rows] == ASKED[
            line
        ]
    assert found.keys() == ASKED.keys()


def test_bash_offers(worked):
    script = 'eval "$(workflow-state completion bash)"'
    for line in ASKED:
        *words, last = line.split(" ")
        script += (
            f"; echo :; COMP_WORDS=({' '.join(words)} '{last}'); COMP_CWORD={len(words)}; "
            '_workflow_state; printf "%s\\n" "${COMPREPLY[@]}"'
        )
    assert offered(worked, [shell_named("bash"), "--norc", "-c", script]) == ASKED


def test_a_value_behind_an_equals_sign_as_bash_parts_it(worked):
    done = worked.cli("completion", "bash", "--words", ".--session", ".=", ".s")
    assert done.stdout == "s1\n"
    done = worked.cli("completion", "fish", "--words", ".--session=s")
    assert done.stdout == "--session=s1\n"


# --- what the parser tells ---------------------------------------------------------------------


def parsers(parser: argparse.ArgumentParser, *words: str):
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, choice in action.choices.items():
                yield from parsers(choice, *words, name)


def test_every_command_and_option_is_offered_with_its_help():
    root = build()
    for words, parser in parsers(root):
        offered = dict(candidates(root, [*words, "-"]))
        known = {
            option: action.help
            for action in parser._actions
            for option in action.option_strings
            if option.startswith("--") and action.help != argparse.SUPPRESS
        }
        assert offered == known
    commands = dict(candidates(root, [""]))
    assert {words[0] for words, _ in parsers(root) if words} == commands.keys()
    assert all(commands.values())


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_what_its_shell_reads(worked, shell):
    script = worked.cli("completion", shell).stdout
    subprocess.run([shell_named(shell), "-n"], input=script, text=True, check=True, timeout=WAIT)


def test_nothing_is_offered_where_nothing_can_be_read(worked):
    worked.environment["WORKFLOW_STATE_STORE"] = "nowhere://"
    done = worked.cli("completion", "bash", "--words", ".restore", ".")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_nothing_is_made_by_asking(hooks):
    hooks.cli("completion", "bash", "--words", ".restore", ".")
    assert [*hooks.project.iterdir(), *hooks.home.iterdir()] == []


def test_another_shell_is_wrong_usage(hooks):
    done = hooks.cli("completion", "tcsh")
    assert done.returncode == 2
    assert "choose from" in done.stderr


def test_a_reader_that_leaves_is_no_failure(worked):
    pipe = f"'{sys.executable}' '{ROOT / 'bin/workflow-state'}' completion zsh | head -1"
    done = subprocess.run(
        [shell_named("bash"), "-c", f"set -o pipefail; {pipe}"], env=worked.env(), cwd=worked.project,
        capture_output=True, text=True, timeout=WAIT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "#compdef workflow-state\n", "")
