"""The status line as Claude Code runs it: what it says, how it fits, and that it is a guest."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from lib.recording import journal
from lib.session.states import empty
from lib.terminal import statusline
from lib.terminal import width as fitting
from tests.conftest import ROOT
from tests.terminal import Terminal

CLI = ROOT / "bin" / "workflow-state"
GIVEN = {
    "hook_event_name": "Status",
    "model": {"id": "claude-opus-5-5", "display_name": "Opus 5.5"},
    "version": "2.1.330",
    "cost": {"total_cost_usd": 0.1},
    "context_window": {"used_percentage": None},
}


def given(hooks, session: str = "s") -> str:
    """The JSON that the client gives, cut to what differs between projects."""
    where = {"current_dir": str(hooks.project), "project_dir": str(hooks.project)}
    about = {"session_id": session, "cwd": str(hooks.project), "workspace": where}
    return json.dumps({**GIVEN, **about})


def line(hooks, *arguments: str, stdin: str | None = None, code: int = 0, **variables: str) -> str:
    """What is printed, the way the client runs it: nothing on a terminal, COLUMNS in the air."""
    done = subprocess.run(
        [hooks.python, "-I", "-S", str(CLI), "statusline", *arguments],
        input=given(hooks) if stdin is None else stdin,
        cwd=hooks.project,
        env={**hooks.env(), "COLUMNS": "120", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


@pytest.fixture
def worked(hooks):
    """A session that wrote two files and stopped."""
    hooks.start("s")
    hooks.prompt("s", "go")
    for number, name in enumerate(("a.py", "b.py")):
        (hooks.project / name).write_text("1\n")
        path = str(hooks.project / name)
        hooks.call("s", "Write", str(number), {"file_path": path}, {"type": "create"})
    hooks.stop("s")
    return hooks


def begin(hooks, tool: str, given: dict, call: str = "t9") -> None:
    about = {"session_id": "s", "tool_name": tool, "tool_use_id": call, "tool_input": given}
    hooks.send({**about, "cwd": str(hooks.project), "hook_event_name": "PreToolUse"})


def same_ages(text: str) -> str:
    return re.sub(r"\d+( ?)s\b", r"N\1s", text)


# --- what it says ------------------------------------------------------------------------------


def test_says_phase_files_and_the_checkpoint_s_age(worked):
    assert same_ages(line(worked)) == "build | 2 files | checkpoint N s ago\n"


def test_says_what_is_running(worked):
    begin(worked, "Bash", {"command": "make\n  test"})
    assert same_ages(line(worked)).endswith(" | Bash make test (N s)\n")
    begin(worked, "Read", {"file_path": str(worked.project / "a.py")}, "t10")
    assert same_ages(line(worked)).endswith(" | Read a.py (N s) +1\n")


def test_says_what_changed_on_disk_since_the_checkpoint(worked):
    (worked.project / "a.py").write_text("somebody else\n")
    (worked.project / "b.py").unlink()
    assert " | 2 changed on disk\n" in line(worked)


def test_what_claude_changed_again_itself_is_no_drift(worked):
    (worked.project / "a.py").write_text("2\n")
    path = str(worked.project / "a.py")
    worked.call("s", "Write", "t9", {"file_path": path}, {"type": "update"})
    assert "on disk" not in line(worked)


def test_says_that_a_phase_is_pinned(worked):
    worked.cli("phase", "review", "--session", "s")
    assert line(worked).startswith("review (pinned) | ")


def test_speaks_of_the_client_s_session(worked):
    worked.prompt("t")
    worked.call("t", "Read", "1", {"file_path": str(worked.project / "a.py")}, {})
    assert line(worked).startswith("build | 2 files")
    assert line(worked, stdin=given(worked, "t")).startswith("scout | 0 files | no checkpoint yet")
    assert line(worked, "--session", "t").startswith("scout")
    assert line(worked, "--session=t").startswith("scout")


@pytest.mark.parametrize("variable", ["CLAUDE_PROJECT_DIR", "client"])
def test_finds_the_project_from_what_the_client_tells(worked, tmp_path, variable):
    environment = worked.env()
    if variable == "client":
        del environment["CLAUDE_PROJECT_DIR"]
    done = subprocess.run(
        [worked.python, "-I", "-S", str(CLI), "statusline"],
        input=given(worked),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("build | 2 files")


def test_a_directory_by_name(worked, tmp_path):
    where = str(worked.directory)
    elsewhere = {"CLAUDE_PROJECT_DIR": str(tmp_path)}
    assert line(worked, **elsewhere) == "nothing recorded yet\n"
    assert line(worked, "--dir", where, **elsewhere).startswith("build")


def test_a_segment_is_short_and_has_no_line_feed(worked):
    begin(worked, "Bash", {"command": "make test"})
    assert same_ages(line(worked, "--segment")) == "build 2f cp Ns Bash Ns"


def test_a_segment_of_nothing_is_nothing(hooks):
    assert line(hooks, "--segment") == ""
    assert line(hooks) == "nothing recorded yet\n"
    assert not hooks.directory.exists()
    assert list(hooks.home.iterdir()) == []


def test_says_when_recording_is_off(worked):
    assert line(worked, WORKFLOW_STATE="off") == "recording is off\n"
    assert line(worked, "--segment", WORKFLOW_STATE="off") == "off"


def test_changes_nothing_on_the_disk(worked):
    def listing():
        return {(str(path), path.lstat().st_mtime_ns) for path in worked.project.parent.rglob("*")}

    before = listing()
    line(worked)
    assert listing() == before


# --- how it fits -------------------------------------------------------------------------------


def full_state() -> dict:
    live = {**empty("s"), "current_phase": "build", "journal": {}}
    live["files_processed"] = {f"{number}.py": {} for number in range(12)}
    live["last_checkpoint_at"] = "2026-11-23T12:00:00.000Z"
    call = {"tool": "Bash", "command": "make test", "since": "2026-11-23T12:04:50.000Z"}
    live["in_flight"] = [call]
    return live


def rendered(width: int, segment: bool = False, **changes: object) -> str:
    now = 1795435502.0  # 2026-11-23T12:05:02Z
    said = statusline.pieces({**full_state(), **changes}, 3, now)
    return statusline.render(said, width, segment, coloured=False)


WIDTHS = {
    120: "build | 12 files | checkpoint 5 min ago | 3 changed on disk | Bash make test (12 s)",
    83: "build | 12 files | checkpoint 5 min ago | 3 changed on disk | Bash make test (12 s)",
    82: "build | 12 files | cp 5m | 3 changed on disk | Bash make test (12 s)",
    67: "build | 12f | cp 5m | 3 changed on disk | Bash make test (12 s)",
    60: "build | 12f | cp 5m | 3 drift | Bash make test (12 s)",
    40: "build | 12f | cp 5m | 3 drift | Bash 12s",
    39: "build | 12f | 3 drift | Bash 12s",
    31: "build | 3 drift | Bash 12s",
    25: "build | Bash 12s",
    15: "build",
    3: "bui",
}


@pytest.mark.parametrize(("width", "expected"), WIDTHS.items())
def test_what_matters_less_is_put_shorter_and_then_left_out(width, expected):
    assert rendered(width) == expected


PHASES = {
    "plain": "build",
    "long": "a-very-long-phase-of-my-own-making-that-goes-on-and-on",
    "wide": "構築中" * 15,
    "combining": "e\u0301" * 40,
}


@pytest.mark.parametrize("segment", [False, True])
@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)
def test_no_width_is_ever_passed(phase, segment):
    for width in range(1, 130):
        shown = rendered(width, segment, current_phase=phase)
        assert fitting.columns(shown) <= width
        assert shown or width == 1  # the half of a wide letter


def test_columns_are_those_of_a_terminal():
    assert fitting.columns("größe фаза") == 10
    assert fitting.columns("日本") == 4
    assert fitting.columns("e\u0301") == 1
    assert fitting.cut("日本語テキスト", 9) == "日本語..."
    assert fitting.cut("日本", 3) == "日"


def test_leaves_the_columns_that_the_client_keeps(worked):
    whole = len(line(worked).rstrip("\n"))
    assert len(line(worked, COLUMNS=str(whole + 4)).rstrip("\n")) == whole
    assert len(line(worked, COLUMNS=str(whole + 3)).rstrip("\n")) < whole


@pytest.mark.parametrize("columns", ["", "0", "-1", "x", "1" * 5000])
def test_columns_that_are_none_are_not_minded(worked, columns):
    assert same_ages(line(worked, COLUMNS=columns)) == "build | 2 files | checkpoint N s ago\n"


def test_what_a_name_holds_never_reaches_the_terminal_raw(worked):
    begin(worked, "Bash\x1b[2J", {"command": "echo \x1b[2J\u202e\u200b\r\x07"})
    worked.cli("phase", "review", "--session", "s")
    for arguments in ((), ("--segment",)):
        shown = line(worked, *arguments).rstrip("\n")
        assert shown.isprintable(), shown


# --- docs/live.md ------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "live.md").read_text()


def test_the_lines_that_are_printed_are_those_that_it_prints():
    (printed,) = [
        block for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if "cp 5m" in block
    ]
    assert [line for line in printed.splitlines() if line not in WIDTHS.values()] == []


def test_the_picture_shows_what_it_prints():
    drawn = (ROOT / "docs/statusline.svg").read_text()
    *_, row = [line for line in drawn.splitlines() if line.startswith("<text ")]
    shown = html.unescape(re.sub(r"<[^>]*>", "", row)).replace("\xa0", " ")
    call = ("Read src/config/parser.py (6 s) +1", "Read 6s +1", "33", 1)
    said = [
        ("build", "build", "1;36", 0),
        ("9 files", "9f", "", 3),
        ("checkpoint 3 min ago", "cp 3m", "", 4),
    ]
    said += [("2 changed on disk", "2 drift", "35", 2), call]
    assert shown == statusline.render(said, 84, segment=False, coloured=False)


def run_as_printed(hooks, command: str) -> str:
    """A shell command as the page prints it, for somebody who has the bundle in its place."""
    (hooks.home / ".workflow-state").symlink_to(ROOT)
    (hooks.home / "bin").mkdir()
    (hooks.home / "bin" / "python3").symlink_to(sys.executable)
    path = f"{hooks.home / 'bin'}:{os.defpath}"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        input=given(hooks),
        env={**hooks.env(), "PATH": path, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_settings_that_are_printed_work(worked):
    (settings,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    command = json.loads(settings)["statusLine"]["command"]
    assert run_as_printed(worked, command).startswith("build | 2 files | checkpoint ")


def test_the_segment_that_is_printed_works(worked):
    (command,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert same_ages(run_as_printed(worked, command)) == "my own | build 2f cp Ns\n"


# --- colour ------------------------------------------------------------------------------------

COLOURS = {
    "the client's": ((), {"TERM": "xterm"}, True),
    "the client's, without a terminal": ((), {}, False),
    "a dumb terminal": ((), {"TERM": "dumb"}, False),
    "NO_COLOR": ((), {"TERM": "xterm", "NO_COLOR": "1"}, False),
    "an empty NO_COLOR": ((), {"TERM": "xterm", "NO_COLOR": ""}, True),
    "FORCE_COLOR": ((), {"FORCE_COLOR": "1"}, True),
    "CLICOLOR_FORCE": ((), {"CLICOLOR_FORCE": "1"}, True),
    "FORCE_COLOR of 0": ((), {"FORCE_COLOR": "0"}, False),
    "both": ((), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    "never": (("--color", "never"), {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
    "always": (("--color=always",), {"NO_COLOR": "1"}, True),
}


@pytest.mark.parametrize(("arguments", "variables", "coloured"), COLOURS.values(), ids=COLOURS)
def test_colours_where_they_are_wanted(worked, arguments, variables, coloured):
    shown = line(worked, *arguments, **variables)
    assert ("\x1b[" in shown) is coloured
    bare = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert same_ages(bare) == "build | 2 files | checkpoint N s ago\n"
    if coloured:
        assert shown.count("\x1b[0m") * 2 == shown.count("\x1b[")


def test_no_colour_in_a_pipe_that_is_not_the_client_s(worked):
    assert "\x1b" not in line(worked, stdin="", TERM="xterm")


# --- a guest -----------------------------------------------------------------------------------

ODD = {
    "nothing": "",
    "no JSON": "{",
    "no object": "[1]",
    "numbers": '{"session_id": 5, "cwd": 7, "workspace": [], "version": null}',
    "relative": '{"session_id": "s", "cwd": "a/b", "workspace": {"project_dir": "x"}}',
    "a NUL": '{"session_id": "s", "cwd": "/a\\u0000b"}',
    "deep": "[" * 100_000,
    "no UTF-8": '{"session_id": "\ud800"}',
}


@pytest.mark.parametrize("stdin", ODD.values(), ids=ODD)
def test_whatever_stdin_holds_is_answered_with_one_line_and_0(worked, stdin):
    stdin = stdin.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    assert line(worked, stdin=stdin).count("\n") == 1


def test_without_a_stdin_it_speaks_of_the_last_session(worked):
    program = ["/bin/sh", "-c", '"$@" <&-', "sh"]
    program += [worked.python, str(ROOT / "bin/workflow-state"), "statusline"]
    options = {"cwd": worked.project, "env": worked.env(), "capture_output": True, "text": True}
    done = subprocess.run(program, check=False, **options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("build | ")


def test_of_an_unknown_session_nothing_is_recorded(worked):
    assert line(worked, stdin=given(worked, "other")) == "nothing recorded yet\n"


BROKEN = {
    "a journal that is a folder": lambda state: (
        (state / "sessions" / "s.jsonl").unlink(),
        (state / "sessions" / "s.jsonl").mkdir(),
    ),
    "a state that is a file": lambda state: (
        state.rename(state.parent / "gone"),
        state.write_text(""),
    ),
    "a store that is not known": None,
}


@pytest.mark.parametrize("how", BROKEN.values(), ids=BROKEN)
def test_what_goes_wrong_leaves_the_line_empty(worked, how):
    variables = {} if how else {"WORKFLOW_STATE_STORE": "no-such"}
    if how:
        how(worked.directory)
    assert line(worked, **variables) == "\n"
    assert line(worked, "--segment", **variables) == ""


def test_a_stdin_that_never_ends_is_given_up(worked):
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [worked.python, "-I", "-S", str(CLI), "statusline"],
            stdin=reader,
            env=worked.env(),
            capture_output=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\n", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_one_that_is_cancelled_says_nothing(worked, number):
    """The client ends one whose answer it does not need any more."""
    running = subprocess.Popen(
        [worked.python, "-I", "-S", str(CLI), "statusline"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=worked.env(),
    )
    running.stdin.write(b"{")
    running.stdin.flush()
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert out in (b"", b"\n")
    assert err == b"" or number == signal.SIGINT  # which may come before its first line is run


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "| true"])
def test_an_output_that_nobody_reads_is_no_error(worked, redirection):
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -I -S "{CLI}" statusline {redirection}'],
        input=given(worked),
        env=worked.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_long_turn_is_only_looked_at_from_its_end(worked, monkeypatch):
    monkeypatch.setenv("HOME", str(worked.home))
    monkeypatch.setattr(statusline, "UNREAD", 2000)
    path = str(worked.project / "c.py")
    begin(worked, "Write", {"file_path": path}, "begun long ago")
    for number in range(20):
        facts = {"event": "PostToolUse", "tool": "Write", "call": f"w{number}"}
        journal.write(str(worked.directory), "s", {**facts, "path": f"w{number}.py"})
    told = statusline._said(json.loads(given(worked)), None, str(worked.directory))
    files = re.fullmatch(r"(\d+)\+ files", told[1][0])
    assert files
    assert 2 < int(files[1]) < 22
    assert told[-1][0].startswith("checkpoint")  # nothing that may have ended long ago


# --- by hand -----------------------------------------------------------------------------------


def at_a_terminal(hooks, *arguments: str) -> tuple[int, str]:
    """Run on a terminal of its own; exit status and what it shows."""
    command = [hooks.python, str(CLI), "statusline", *arguments]
    with Terminal(command, hooks.project, {**hooks.env(), "TERM": "xterm"}) as terminal:
        return terminal.wait(), terminal.shown


def test_at_a_terminal_it_does_not_wait_for_json(worked):
    status, shown = at_a_terminal(worked)
    assert status == 0
    assert "\x1b[1;36mbuild\x1b[0m" in shown


def test_at_a_terminal_a_failure_is_told(worked):
    status, shown = at_a_terminal(worked, "--dir", "/dev/null/nowhere")
    assert status == 1
    assert "workflow-state: " in shown


def test_help_and_mistakes_are_the_command_line_s(hooks):
    assert hooks.cli("statusline", "--help").stdout.startswith("usage: workflow-state statusline")
    for wrong in (("--colour",), ("--color", "pink"), ("--session",), ("--dir", ""), ("more",)):
        done = hooks.cli("statusline", *wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage: workflow-state" in done.stderr


def test_as_json_it_is_the_line_alone(worked):
    done = worked.cli("statusline", "--json", input=given(worked))
    assert same_ages(json.loads(done.stdout)["line"]) == "build | 2 files | checkpoint N s ago"


def test_the_rest_of_the_command_line_takes_the_same_options(worked):
    options = ["--segment", "--color", "never"]
    slow = worked.cli("--session", "s", "statusline", *options, input="")
    assert same_ages(slow.stdout) == same_ages(line(worked, *options))
