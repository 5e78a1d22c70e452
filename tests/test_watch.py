"""`watch` on a real terminal: what it shows, as it goes on, in any size, and how it leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from lib.commands.watch import Watched
from lib.format import records
from lib.format.file_table import Table
from lib.recording import journal
from lib.session.states import empty
from lib.state import State
from lib.terminal import width as fitting
from lib.terminal.watch_view import View
from tests.conftest import ROOT, absent
from tests.terminal import Terminal

CLI = ROOT / "bin" / "workflow-state"
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"


@contextmanager
def watching(hooks, *arguments: str, columns: int = 80, lines: int = 24, **variables: str):
    environment = {**hooks.env(), "TERM": "xterm", "NO_COLOR": "1", **variables}
    command = [hooks.python, str(CLI), "watch", *arguments]
    with Terminal(command, hooks.project, environment, columns, lines) as terminal:
        yield terminal


@pytest.fixture
def worked(hooks):
    """A session that wrote a file and stopped."""
    hooks.start("s")
    hooks.prompt("s", "add a parser")
    given = {"file_path": str(hooks.project / "a.py")}
    hooks.call("s", "Write", "1", given, {"type": "create"})
    hooks.stop("s")
    return hooks


def begin(hooks, session: str, call: str, command: str) -> None:
    about = {"session_id": session, "tool_name": "Bash", "tool_use_id": call}
    event = {**about, "tool_input": {"command": command}, "cwd": str(hooks.project)}
    hooks.send({**event, "hook_event_name": "PreToolUse"})


# --- on a terminal -----------------------------------------------------------------------------


def test_shows_the_session_and_goes_on_with_it(worked):
    worked.environment["CLAUDE_PID"] = str(os.getpid())
    worked.prompt("s", "add a parser")
    with watching(worked) as terminal:
        shown = terminal.until(r"a\.py.*q quits")
        assert "session   s (alive)" in shown
        assert "phase     build (inferred" in shown
        assert "calls     1 ended" in shown
        assert re.search(r"saved     \d+ s ago", shown)
        assert "add a parser" in shown
        begin(worked, "s", "2", "make test")
        assert "Running" in terminal.until(r"\d s  Bash make test")
        about = {"session_id": "s", "tool_name": "Bash", "tool_use_id": "2"}
        ended = {**about, "tool_input": {"command": "make test"}, "error": "Exit code 2"}
        worked.send({**ended, "hook_event_name": "PostToolUseFailure"})
        terminal.until(r"Failed, not seen to succeed since.*Bash make test: Exit code 2")
        terminal.type("q")
        assert terminal.wait() == 0


def test_shows_a_checkpoint_that_is_made_meanwhile(hooks):
    hooks.prompt("s", "go")
    with watching(hooks) as terminal:
        terminal.until("saved     none yet")
        hooks.stop("s")
        terminal.until(r"saved     \d+ s ago")


def test_follows_the_session_that_was_active_last(worked):
    with watching(worked) as terminal:
        terminal.until(r"session   s \(")
        worked.prompt("t", "something else")
        terminal.until(r"session   t \(")


@pytest.mark.parametrize("how", ["--session", "CLAUDE_CODE_SESSION_ID"])
def test_stays_with_a_session_that_is_named(worked, how):
    worked.prompt("t", "something else")
    named = (("--session", "s"), {}) if how == "--session" else ((), {how: "s"})
    with watching(worked, *named[0], **named[1]) as terminal:
        terminal.until(r"session   s \(.*q quits")
        worked.prompt("t", "and more")
        begin(worked, "s", "2", "make")
        assert "session   t" not in terminal.until("Bash make")


def test_of_a_session_that_is_not_there_it_says_so_until_it_is(worked):
    with watching(worked, "--session", "later") as terminal:
        terminal.until("Nothing is recorded yet of session later")
        worked.prompt("later", "here it is")
        terminal.until(r"session   later \(.*here it is")


def test_shows_other_sessions_that_are_alive(worked):
    worked.environment["CLAUDE_PID"] = str(os.getpid())
    worked.prompt("other", "something else")
    del worked.environment["CLAUDE_PID"]
    worked.prompt("s", "go on")
    with watching(worked) as terminal:
        terminal.until(r"session   s \(.*Other sessions.*\d s  other")


def test_begins_before_anything_is_recorded(hooks):
    with watching(hooks) as terminal:
        terminal.until("Nothing is recorded yet")
        hooks.prompt("s", "the first request")
        terminal.until("the first request")
        terminal.type("q")
        assert terminal.wait() == 0


def test_what_cannot_be_read_is_shown_until_it_can(worked):
    sessions = worked.directory / "sessions"
    with watching(worked) as terminal:
        terminal.until(r"session   s \(")
        sessions.rename(worked.directory / "elsewhere")
        sessions.symlink_to("elsewhere")
        terminal.until("/sessions: Not a directory")
        sessions.unlink()
        (worked.directory / "elsewhere").rename(sessions)
        worked.prompt("s", "it is back")
        terminal.until("it is back")


def test_fits_a_window_that_changes_its_size(worked):
    with watching(worked) as terminal:
        terminal.until("q quits")
        terminal.resize(30, 8)
        frame = terminal.until("q quits").rpartition("\x1b[H")[2]
        rows = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", frame).replace("\r", "").split("\n")
        assert len(rows) == 8
        assert max(map(len, rows)) <= 30


# --- how it leaves -----------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "status"), [("q", 0), ("Q", 0), ("\x03", 130)])
def test_a_key_ends_it_and_the_terminal_is_as_before(worked, key, status):
    with watching(worked) as terminal:
        before = terminal.modes()
        terminal.until("q quits")
        assert terminal.modes() != before
        terminal.type(key)
        shown = terminal.until(re.escape(LEAVE))
        after = terminal.modes()
        assert terminal.wait() == status
        assert shown.endswith(LEAVE)
        assert terminal.shown == ""
        assert after == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_a_signal_ends_it_and_the_terminal_is_as_before(worked, number):
    with watching(worked) as terminal:
        before = terminal.modes()
        terminal.until("q quits")
        os.kill(terminal.pid, number)
        terminal.until(re.escape(LEAVE))
        assert terminal.modes() == before
        assert terminal.wait() == -number


def test_after_a_stop_from_outside_it_hears_keys_again(worked):
    """SIGSTOP cannot be met: meanwhile a shell has given the terminal modes of its own."""
    with watching(worked) as terminal:
        before = terminal.modes()
        terminal.until("q quits")
        os.kill(terminal.pid, signal.SIGSTOP)
        os.waitpid(terminal.pid, os.WUNTRACED)
        terminal.set_modes(before)
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.until("q quits")
        terminal.type("q")
        terminal.until(re.escape(LEAVE))
        assert terminal.modes() == before
        assert terminal.wait() == 0


def test_ctrl_z_while_it_draws_is_heard(worked):
    with watching(worked) as terminal:
        terminal.until("q quits")
        for _ in range(50):
            os.kill(terminal.pid, signal.SIGTSTP)  # without a shell above it, it goes on at once
            terminal.until(re.escape(ENTER))
        terminal.type("q")
        assert terminal.wait() == 0


def test_keys_that_mean_nothing_do_nothing(worked):
    with watching(worked) as terminal:
        terminal.until("q quits")
        terminal.type("x\x1b[A\n")
        begin(worked, "s", "2", "make")
        terminal.until("Bash make")


# --- where nobody looks on ---------------------------------------------------------------------


@pytest.mark.parametrize("variables", [{}, {"TERM": "xterm"}])
def test_in_a_pipe_it_is_the_status_once(worked, variables):
    environment = {**worked.env(), **variables}
    assert worked.cli("watch", env=environment).stdout.startswith("session     s (crashed)")
    told = json.loads(worked.cli("watch", "--json").stdout)
    assert told["session_id"] == "s"


def test_on_a_dumb_terminal_it_is_the_status_once(worked):
    with watching(worked, TERM="dumb") as terminal:
        assert terminal.wait() == 0
        assert "\x1b" not in terminal.shown
        assert "session     s (crashed)" in terminal.shown


def test_bad_input_is_told(worked):
    assert worked.cli("watch", "--color", "pink").returncode == 2
    assert worked.cli("--session", "nope", "watch").returncode == 1


# --- what it reads -----------------------------------------------------------------------------


def test_only_what_the_journal_grew_by_is_read(worked, monkeypatch):
    monkeypatch.setenv("HOME", str(worked.home))
    state = State(worked.directory, "")
    watched = Watched(state, "")
    watched.read(time.time())
    watched._due = None
    read = []
    real = records.read_line

    def counted(line: bytes, session: str, key: bytes):
        read.append(line)
        return real(line, session, key)

    monkeypatch.setattr(records, "read_line", counted)
    watched.read(time.time())
    assert read == []
    watched._glimpses = {"s": (0.0, None)}
    watched._named = "s"
    path = worked.directory / "sessions" / "s.jsonl"
    for number in range(1, 4):
        facts = {"event": "PreToolUse", "tool": "Bash", "call": f"c{number}"}
        journal.write(str(worked.directory), "s", facts)
        os.utime(path, (0, path.stat().st_mtime + number))
        read.clear()
        view = watched.read(time.time())
        assert len(read) == 1
        assert len(view.live["in_flight"]) == number


def test_a_fold_that_goes_on_is_the_fold_from_the_start(worked, monkeypatch):
    monkeypatch.setenv("HOME", str(worked.home))
    sessions = State(worked.directory, "").sessions
    before = sessions.live("s")
    worked.prompt("s", "more")
    given = {"file_path": str(worked.project / "b.py")}
    worked.call("s", "Write", "2", given, {"type": "create"})
    assert sessions.live("s", before=before) == State(worked.directory, "").sessions.live("s")
    (worked.directory / "sessions" / "s.jsonl").write_bytes(b"")
    journal.write(str(worked.directory), "s", {"event": "UserPromptSubmit", "text": "anew"})
    assert sessions.live("s", before=before)["last_request"] == "anew"


# --- how it fits -------------------------------------------------------------------------------

NOW = 1795435502.0  # 2026-11-23T12:05:02Z
AT = "2026-11-23T12:04:50.000Z"


def view(
    files: int = 40, calls: int = 3, failures: int = 4, others: int = 2, text: str = "a"
) -> View:
    live = {**empty("3c1de1f0-5a0c-4c6e-9d0b-8e6a4f2b7a11"), "current_phase": text}
    live.update(phase_since=AT, last_checkpoint_at=AT, last_request=text * 300, last_request_at=AT)
    about = {"outcome": "created", "last": AT}
    paths = [f"src/{text}/{number}.py" for number in range(files)]
    live["files_processed"] = Table(dict.fromkeys(paths, about))
    live["fold"]["newest"] = dict.fromkeys(paths, "")
    call = {"tool": "Bash", "command": f"make {text}", "since": AT, "at": AT}
    live["in_flight"] = [{**call, "agent_type": text}] * calls
    live["failures"] = [{**call, "error": text * 50}] * failures
    other = {"session_id": "other", "current_phase": text, "last_active": AT}
    return View(f"/home/dev/{text}", live, "alive", [other] * others, NOW)


@pytest.mark.parametrize("text", ["a", "日本", "e\u0301", "\x1b[2J\r\n\u202e"], ids=ascii)
@pytest.mark.parametrize("height", [1, 2, 5, 8, 16, 24, 60])
@pytest.mark.parametrize("width", [1, 5, 12, 40, 80, 120, 300])
def test_never_more_than_the_window(text, width, height):
    for shown in (view(text=text), view(0, 0, 0, 0, text), view(500, 50, 20, 20, text)):
        lines = shown.lines(width, height, coloured=False)
        assert len(lines) == height
        assert all(fitting.columns(line) <= width for line in lines)
        assert all(line.isprintable() for line in lines), lines


def test_every_section_is_there_before_any_is_long():
    shown = "\n".join(view(500, 50, 20, 20).lines(80, 24, coloured=False))
    for title in ("Running (", "Failed, not seen to succeed since (", "Files: 500 changed (5 of"):
        assert title in shown
    assert "Other sessions (1 of 20 shown)" in shown


def test_what_a_crash_cut_off_does_not_run():
    live = view().live
    shown = "\n".join(View("/p", live, "crashed", [], NOW).lines(80, 24, coloured=False))
    assert "Cut off by a crash" in shown
    assert "Running" not in shown


def test_a_path_keeps_its_tail_and_a_command_its_head():
    live = view().live
    path = "a/" * 50 + "end.py"
    live["files_processed"] = Table({path: {"outcome": "changed", "last": AT}})
    live["fold"]["newest"] = {path: ""}
    live["in_flight"][0]["command"] = "begin " + "x" * 100
    lines = View("/p", live, "alive", [], NOW).lines(40, 24, coloured=False)
    assert any(line.endswith("/end.py") and "~ ..." in line for line in lines)
    assert any("Bash begin x" in line and line.endswith("...") for line in lines)


def test_colour_adds_no_column():
    plain = view().lines(60, 24, coloured=False)
    painted = view().lines(60, 24, coloured=True)
    assert [re.sub(r"\x1b\[[\d;]*m", "", line) for line in painted] == plain
    assert any("\x1b[33m" in line for line in painted)


# --- in tmux -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "lines"), [(40, 16), (120, 40)])
def test_in_tmux_at_every_width(worked, tmp_path, columns, lines):
    """A real terminal emulator: what is on its screen, and what is left there afterwards."""
    if not shutil.which("tmux"):
        absent("tmux is not installed (Debian: tmux)")
    begin(worked, "s", "2", "make test")
    base = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
    environment = {**worked.env(), "LANG": "C.UTF-8", "TERM": "xterm", "PATH": os.environ["PATH"]}
    shell = ["env", "PS1=$ ", "/bin/sh", ";", "set", "status", "off"]
    command = [shutil.which("tmux"), *base[1:], "new-session", *shell]

    def tmux(*arguments: str) -> str:
        return subprocess.run(
            [*base, *arguments], env=environment, capture_output=True, text=True, check=True
        ).stdout

    with Terminal(command, worked.project, environment, columns, lines) as terminal:

        def until(pattern: str, typing: str = "") -> str:
            """The screen, once it is so; what is typed is typed until then."""
            while True:
                terminal.until(".")  # something changed
                screen = tmux("capture-pane", "-p")
                if re.search(pattern, screen, re.DOTALL):
                    return screen
                if typing:
                    terminal.type(typing)

        until(r"\$")
        terminal.type(f'{sys.executable} "{CLI}" watch\r')
        screen = until(r"a\.py.*\nq quits")
        rows = screen.rstrip("\n").split("\n")
        assert len(rows) == lines
        assert rows[0].startswith("workflow-state: project")
        assert rows[0].endswith(" UTC")
        assert len(rows[0]) == columns
        assert "Bash make test" in screen
        terminal.type("\x1a")
        assert "session   s" not in until("Stopped")
        terminal.type("bg\r")  # where it may not have the terminal: stopped again
        until(r"tty output", typing="jobs\r")
        terminal.type("fg\r")
        until(r"a\.py.*\nq quits")
        terminal.type("q")
        until(r"\$ fg\n.*\n\$\s*$")  # the screen of before
        terminal.type('stty -a | grep -c " echo "\r')
        assert "session   s" not in until(r"\n1\n")
        tmux("kill-server")
