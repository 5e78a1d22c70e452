"""Progress of long work: on a terminal, when it takes a while, and nowhere else."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager

import pytest

from lib.recording import journal
from lib.terminal import progress
from lib.terminal.progress import size
from tests.conftest import ROOT
from tests.terminal import Terminal

CLI = ROOT / "bin" / "workflow-state"

AT_ONCE = """
import sys
sys.path.insert(0, sys.argv[1])
from lib.commands.main import main
from lib.terminal import progress
progress.QUIET = float(sys.argv[2])
progress.EVERY = 0
sys.exit(main(sys.argv[3:]))
"""
"""Runs the command line with another time until a line appears: a test waits for none."""


@pytest.fixture
def long(hooks, monkeypatch):
    """A project whose journal is read in several pieces, and kept short by no checkpoint."""
    monkeypatch.setenv("HOME", str(hooks.home))
    hooks.prompt("s")
    key = (hooks.home / ".local/state/workflow-state/key").read_bytes()
    facts = {"v": 1, "at": journal.now(), "event": "PostToolUse", "tool": "Read"}
    lines = [journal.sign("s", {**facts, "call": f"t{n}"}, key) for n in range(20_000)]
    with (hooks.directory / "sessions" / "s.jsonl").open("ab") as file:
        file.write(b"".join(lines))
    return hooks


def command(hooks, quiet: float, *arguments: str) -> list[str]:
    return [hooks.python, "-c", AT_ONCE, str(ROOT), str(quiet), *arguments]


@contextmanager
def at_a_terminal(hooks, quiet: float, *arguments: str, columns: int = 80):
    given = command(hooks, quiet, *arguments)
    with Terminal(given, hooks.project, hooks.env(), columns=columns) as terminal:
        yield terminal


LONG = {
    "a fold": (("status",), r"reading the journal: \d+ % of 2\.\d MB"),
    "a log": (("log", "-n", "1"), r"reading the journal: \d+ % of 2\.\d MB"),
    "an export": (("export", "-o", "{top}/f"), r"exporting: [\d.]+ [kM]B"),
    "an import": (("import", "{top}/other", "--merge"), r"checking: \d+ %? ?"),
    "a prune": (("prune", "--older-than", "0h", "--keep", "0"), r"pruning: 0 of 1"),
}


@pytest.mark.parametrize(("arguments", "line"), LONG.values(), ids=LONG)
def test_is_shown_on_a_terminal_and_gone_at_the_end(long, tmp_path, arguments, line):
    if arguments[0] == "import":
        assert long.cli("export", "-o", str(tmp_path / "other")).returncode == 0
        (long.directory / "sessions" / "s.jsonl").unlink()
    arguments = [each.replace("{top}", str(tmp_path)) for each in arguments]
    with at_a_terminal(long, 0, *arguments) as terminal:
        assert terminal.wait() == 0
    shown = terminal.shown
    assert re.search(line, shown), shown
    last = shown.rpartition("\r\x1b[K")[2]
    assert not re.search(r"reading|exporting|checking|pruning", last)
    assert last.strip()  # what the command has to say


def test_watch_shows_it_before_its_screen_and_leaves_none(long):
    long.environment["TERM"] = "xterm"
    with at_a_terminal(long, 0, "watch") as terminal:
        before, _, screen = terminal.until("q quits").partition("\x1b[?1049h")
        assert re.search(r"reading the journal: \d+ % of 2\.\d MB", before)
        assert "reading" not in screen
        terminal.type("q")
        assert terminal.wait() == 0
    assert terminal.shown.endswith("\x1b[?1049l\r\x1b[K")  # the line is gone


def test_what_ends_at_once_shows_none(long):
    with at_a_terminal(long, 3600, "status") as terminal:
        assert terminal.wait() == 0
    assert "\x1b" not in terminal.shown
    assert "reading" not in terminal.shown


@pytest.mark.parametrize("arguments", [("status",), ("export",), ("prune",)], ids=" ".join)
def test_a_pipe_stays_silent(long, arguments):
    done = subprocess.run(
        command(long, 0, *arguments),
        cwd=long.project,
        env=long.env(),
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert b"reading" not in done.stdout


def test_a_terminal_for_stdout_alone_stays_silent(long):
    quoted = " ".join(f"'{part}'" for part in command(long, 0, "status"))
    with Terminal(["/bin/sh", "-c", f"{quoted} 2>/dev/null"], long.project, long.env()) as terminal:
        assert terminal.wait() == 0
    assert "\x1b" not in terminal.shown


def test_fits_a_narrow_terminal(long):
    with at_a_terminal(long, 0, "status", columns=20) as terminal:
        terminal.wait()
    lines = re.findall(r"\x1b\[K(reading[^\r\x1b]*)", terminal.shown)
    assert lines
    assert max(map(len, lines)) < 20


def test_an_interruption_takes_it_away(long):
    """Ctrl-C while a long journal is read."""
    path = long.directory / "sessions" / "s.jsonl"
    data = path.read_bytes()
    with path.open("ab") as file:
        for _ in range(20):
            file.write(data)
    with at_a_terminal(long, 0, "status") as terminal:
        terminal.until(r"reading the journal: [1-9]\d? %")
        terminal.type("\x03")
        assert terminal.wait() == 130
    assert terminal.shown.rpartition("\x1b[K")[2].replace("^C", "").strip() == ""


SIZES = {
    0: "0 B",
    999: "999 B",
    1000: "1.0 kB",
    1_549: "1.5 kB",
    99_400: "99.4 kB",
    123_456: "123 kB",
    999_600: "1.0 MB",
    5_000_000_000: "5.0 GB",
    7 * 10**15: "7000 TB",
}


@pytest.mark.parametrize(("count", "text"), SIZES.items())
def test_sizes_are_put_for_people(count, text):
    assert size(count) == text


def test_without_stderr_it_is_silent(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress.Progress("x") as shown:
        shown.bytes(1, 2)
