"""The scripts as processes: bad input, where state lives, what is planted there, what they load."""

from __future__ import annotations

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Hooks, absent, state_directory

QUICK = {
    "pre_tool.py": "PreToolUse",
    "post_tool.py": "PostToolUse",
    "user_prompt.py": "UserPromptSubmit",
}
ALL = [*QUICK, "session_start.py", "stop.py"]
BY_HAND = '{"tool_name": "Write", "tool_input": {"file_path": "a.py"}}'
"""The event that the design page pipes into a script by hand."""


def records(state: Path, session: str = "manual") -> list[dict]:
    """What a session's journal holds."""
    lines = (state / "sessions" / f"{session}.jsonl").read_bytes().split(b"\n")
    return [json.loads(line) for line in lines if line]


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a script which could not do its job leaves."""
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("\n")
    line = done.stderr[:-1]
    assert line.startswith("workflow-state: ")
    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= 400
    return line


def tree(directory: Path) -> list[str]:
    """Every name below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def recorded(hooks: Hooks) -> dict[str, Path]:
    """The projects that something was recorded of, and the state directory of each."""
    journals = hooks.home.glob(".local/state/workflow-state/projects/*/sessions")
    abouts = [path.parent / "project.json" for path in journals]
    return {json.loads(about.read_text())["path"]: about.parent for about in abouts}


# --- bad input ---------------------------------------------------------------------------------

DEEP = b"[" * 100_000
BAD = {
    "nothing": b"",
    "white space": b" \n\t\r\n ",
    "a byte order mark alone": b"\xef\xbb\xbf",
    "text": b"hello there\n",
    "a line break and text": b"\nnot json: \x1b[31m\n\n",
    "a truncated object": b'{"session_id": "s1", "tool_na',
    "a truncated escape": b'{"session_id": "\\u12',
    "null": b"null",
    "a number": b"42",
    "a string": b'"str"',
    "an array": b'[{"session_id": "s1"}]',
    "true": b"true",
    "UTF-16": '{"session_id": "s1"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"session_id": "s1"}'.encode("utf-16-le"),
    "NULs": b"\0" * 1000,
    "an object between NULs": b'\0{"session_id": "s1"}\0',
    "arrays 100,000 deep": b'{"a": ' + DEEP + b"]" * 100_000 + b"}",
    "objects 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "arrays that never close": DEEP,
    "two objects": b'{"session_id": "s1"}{"session_id": "s2"}',
    "two lines": b'{"session_id": "s1"}\n{"session_id": "s2"}\n',
    "garbage after the object": b'{"session_id": "s1"} garbage',
    "a comma too many": b'{"session_id": "s1",}',
    "names without quotes": b"{session_id: 1}",
    "single quotes": b"{'session_id': 's1'}",
    "a control character in a string": b'{"session_id": "s\x011"}',
    "a line break in a string": b'{"session_id": "s\n1"}',
    "a number that is none": b'{"a": 01}',
    "a word that is none": b'{"a": nul}',
}

GOOD = {
    "an empty object": b"{}",
    "a byte order mark": b"\xef\xbb\xbf" + BY_HAND.encode(),
    "white space around": b"\r\n\t " + BY_HAND.encode() + b" \n\n",
    "a number of a million digits": b'{"a": ' + b"1" * 1_000_000 + b"}",
    "a fraction of a million digits": b'{"a": 0.' + b"1" * 1_000_000 + b"}",
    "NaN": b'{"a": NaN, "b": -Infinity}',
    "a number beyond all floats": b'{"a": 1e999}',
    "many names": b"{" + b",".join(b'"%d":0' % number for number in range(200_000)) + b"}",
    "equal names": b'{"tool_name": "Read", "tool_name": "Write"}',
    "bytes that are no UTF-8": b'{"a": "\xff\xfe\xc0"}',
    "escapes that are half a character": b'{"prompt": "\\ud800 \\udc00", "cwd": "/\\ud800"}',
    "every field of a wrong type": b'{"hook_event_name": [], "session_id": {}, "cwd": 1,'
    b' "tool_name": null, "tool_input": [], "tool_response": 7, "prompt": {}, "error": []}',
    "an event of a name nobody knows": b'{"hook_event_name": "Frobnicated"}',
    "an event's name that is a path": b'{"hook_event_name": "../../x"}',
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line_and_loses_nothing(hooks, data):
    told(hooks.script("post_tool.py", data))
    assert tree(hooks.project) == tree(hooks.home) == []
    assert hooks.script("post_tool.py", BY_HAND).returncode == 0
    assert len(records(hooks.directory)) == 1


@pytest.mark.parametrize("script", ALL)
@pytest.mark.parametrize(
    "data", [b"", b"text", b"null", b'{"a"'], ids=["no", "text", "null", "cut"]
)
def test_every_script_tells_bad_input_in_one_line(hooks, script, data):
    told(hooks.script(script, data))
    assert tree(hooks.project) == tree(hooks.home) == []


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_odd_input_is_recorded(hooks, data):
    done = hooks.script("post_tool.py", data)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(records(hooks.directory)) == 1


@pytest.mark.parametrize("script", ALL)
def test_a_closed_stdin_is_told_in_one_line(hooks, script):
    command = 'exec "$0" -I -S "$1" <&-'
    done = subprocess.run(
        ["sh", "-c", command, hooks.python, str(ROOT / "hooks" / script)],
        capture_output=True,
        text=True,
        env=hooks.env(),
        cwd=hooks.project,
        check=False,
        timeout=60,
    )
    told(done)
    assert tree(hooks.project) == tree(hooks.home) == []


def test_closed_outputs_do_not_keep_an_event_from_being_recorded(hooks):
    done = subprocess.run(
        [
            "sh",
            "-c",
            'exec "$0" -I -S "$1" >&- 2>&-',
            hooks.python,
            ROOT / "hooks" / "post_tool.py",
        ],
        input=BY_HAND.encode(),
        env=hooks.env(),
        cwd=hooks.project,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert len(records(hooks.directory)) == 1


def test_a_failure_with_stderr_closed_writes_into_no_file(hooks):
    hooks.script("post_tool.py", BY_HAND)
    before = (hooks.directory / "sessions" / "manual.jsonl").read_bytes()
    done = subprocess.run(
        [
            "sh",
            "-c",
            'exec "$0" -I -S "$1" >&- 2>&-',
            hooks.python,
            ROOT / "hooks" / "post_tool.py",
        ],
        input=b"text",
        env=hooks.env(),
        cwd=hooks.project,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert (hooks.directory / "sessions" / "manual.jsonl").read_bytes() == before


def test_bytes_that_are_no_utf8_do_not_lose_the_event(hooks):
    event = b'{"session_id": "s1", "tool_name": "Bash", "tool_input": {"command": "cat caf\xe9"}}'
    assert hooks.script("post_tool.py", event).returncode == 0
    assert [record["command"] for record in records(hooks.directory, "s1")] == ["cat caf\ufffd"]


def test_an_event_comes_through_a_socket_in_pieces(hooks):
    ours, theirs = socket.socketpair()
    with (
        ours,
        subprocess.Popen(
            [hooks.python, "-I", "-S", str(ROOT / "hooks" / "post_tool.py")],
            stdin=theirs,
            env=hooks.env(),
            cwd=hooks.project,
        ) as process,
    ):
        theirs.close()
        for byte in BY_HAND.encode():
            ours.send(bytes([byte]))
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(60) == 0
    assert records(hooks.directory)[0]["path"] == "a.py"


def test_stdin_is_read_to_its_end_even_when_nothing_comes_of_it(hooks):
    hooks.environment["WORKFLOW_STATE"] = "off"
    with subprocess.Popen(
        [hooks.python, "-I", "-S", str(ROOT / "hooks" / "post_tool.py")],
        stdin=subprocess.PIPE,
        env=hooks.env(),
        cwd=hooks.project,
    ) as process:
        process.stdin.write(b"x" * 5_000_000)  # a reader that stops early breaks the pipe
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_stdin_that_never_ends_is_given_up(hooks):
    code = "from lib.recording.journal import run; run('Stop', seconds=0.1)"
    with subprocess.Popen(
        [hooks.python, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=hooks.env(),
        cwd=ROOT,
    ) as process:
        code = process.wait(60)
        told(subprocess.CompletedProcess([], code, process.stdout.read(), process.stderr.read()))


def test_an_event_beyond_all_measure_is_told_in_one_line(hooks):
    head, tail = b'{"a": "', b'"}'
    line = told(hooks.script("post_tool.py", head + b"x" * (64 << 20) + tail))
    assert "MB" in line


# --- by hand -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "event"), QUICK.items(), ids=QUICK)
def test_an_event_piped_in_by_hand_goes_to_the_manual_session(hooks, script, event):
    command = f"echo '{BY_HAND}' | {sys.executable} {ROOT / 'hooks' / script}"
    environment = hooks.env()
    del environment["CLAUDE_PROJECT_DIR"]
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        env=environment,
        cwd=hooks.project,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (record,) = records(hooks.directory)
    assert (record["event"], record["tool"], record["path"]) == (event, "Write", "a.py")


def run_script(hooks, script: Path, *flags: str, cwd: Path | None = None):
    """One event by hand through a script at some path."""
    return subprocess.run(
        [hooks.python, *flags, str(script)],
        input=BY_HAND,
        capture_output=True,
        text=True,
        env=hooks.env(),
        cwd=cwd or hooks.project,
        check=False,
        timeout=60,
    )


def copy(target: Path) -> Path:
    """A copy of the scripts and what they import."""
    for part in ("hooks", "lib"):
        shutil.copytree(
            ROOT / part, target / part, ignore=shutil.ignore_patterns("__pycache__", "*.json")
        )
    return target / "hooks" / "post_tool.py"


def linked(directory: Path, how: str) -> Path:
    """A path to the script that leads through links, or has letters that shells dislike."""
    real = ROOT / "hooks" / "post_tool.py"
    link = directory / "links" / "hook.py"
    link.parent.mkdir()
    if how == "an absolute link":
        link.symlink_to(real)
    elif how == "a relative link":
        link.symlink_to(os.path.relpath(real, link.parent))
    elif how == "a link to a link":
        (directory / "second.py").symlink_to(real)
        link.symlink_to("../second.py")
    elif how == "a link to the directory of scripts":
        (directory / "links" / "hooks").symlink_to(real.parent)
        link = directory / "links" / "hooks" / "post_tool.py"
    elif how == "a link to the whole bundle":
        (directory / "links" / "bundle").symlink_to(ROOT)
        link = directory / "links" / "bundle" / "hooks" / "post_tool.py"
    elif how == "a path with spaces":
        link = copy(directory / "links" / "my  hooks")
    elif how == "a path with letters of all kinds":
        link = copy(directory / "links" / "h\u00f6\u00f6ks '\"$x\u4e2d")
    return link


@pytest.mark.parametrize("flags", [("-I", "-S"), ()], ids=["isolated", "plain"])
@pytest.mark.parametrize(
    "how",
    [
        "an absolute link",
        "a relative link",
        "a link to a link",
        "a link to the directory of scripts",
        "a link to the whole bundle",
        "a path with spaces",
        "a path with letters of all kinds",
    ],
)
def test_a_script_runs_through(hooks, tmp_path, how, flags):
    done = run_script(hooks, linked(tmp_path, how), *flags)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(records(hooks.directory)) == 1


def test_a_script_runs_by_a_relative_path_from_its_own_directory(hooks):
    done = run_script(hooks, Path("post_tool.py"), cwd=ROOT / "hooks")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(records(hooks.directory)) == 1


@pytest.mark.parametrize("flags", [("-I", "-S"), ()], ids=["isolated", "plain"])
def test_modules_of_the_project_are_not_imported(hooks, flags):
    (hooks.project / "lib" / "recording").mkdir(parents=True)
    for name in (
        "lib/__init__.py",
        "lib/recording/__init__.py",
        "lib/recording/journal.py",
        "time.py",
        "os.py",
        "json.py",
        "_json.py",
    ):
        (hooks.project / name).write_text("raise SystemExit(2)")
    assert run_script(hooks, ROOT / "hooks" / "post_tool.py", *flags).returncode == 0


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_letters_of_a_path_are_kept_in_every_locale(hooks, tmp_path, locale):
    project = tmp_path / "pr\u00f6jekt \u4e2d"
    project.mkdir()
    hooks.environment.update(CLAUDE_PROJECT_DIR=str(project), LC_ALL=locale)
    event = {"tool_name": "Edit", "tool_input": {"file_path": f"{project}/\u00e4.py"}}
    assert hooks.script("post_tool.py", json.dumps(event)).returncode == 0
    assert records(recorded(hooks)[str(project)])[0]["path"] == "\u00e4.py"


# --- where state lives -------------------------------------------------------------------------


def directory(path: Path, _: Path) -> None:
    path.mkdir(parents=True)


def worktree(path: Path, _: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("gitdir: /home/dev/main/.git/worktrees/feature\n")


def submodule(path: Path, _: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("gitdir: ../.git/modules/part\n")


def state(path: Path, home: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    state_directory(home, path).mkdir(parents=True)


# What there is below the home directory, where the event comes from, and whose state it then is.
PLACES = {
    "nothing around": ({}, "w/a", "w/a"),
    "a repository": ({"w/.git": directory}, "w", "w"),
    "a directory of a repository": ({"w/.git": directory}, "w/a/b", "w"),
    "a repository in a repository": ({"w/.git": directory, "w/a/.git": directory}, "w/a/b", "w/a"),
    "a submodule": ({"w/.git": directory, "w/a/.git": submodule}, "w/a/b", "w/a"),
    "a linked worktree": (
        {"w/.git": directory, "w": state, "w/.claude/worktrees/f/.git": worktree},
        "w/.claude/worktrees/f/a",
        "w/.claude/worktrees/f",
    ),
    "a state": ({"w": state}, "w/a/b", "w"),
    "the nearest of two states": ({"w": state, "w/a": state}, "w/a/b", "w/a"),
    "a state below the repository": ({"w/.git": directory, "w/a": state}, "w/a/b", "w/a"),
    "a state above the repository": ({"w": state, "w/a/.git": directory}, "w/a/b", "w/a"),
    "a view without a state": ({"w/.git": directory, "w/a/.claude/state": directory}, "w/a/b", "w"),
    "the home directory": ({}, "", ""),
    "below a home directory with a state": ({"": state}, "w/a", "w/a"),
    "below a home directory that is a repository": ({".git": directory}, "w/a", "w/a"),
    "below a repository that the home directory is in": ({"../.git": directory}, "w/a", "w/a"),
    "in a home directory that is in a repository": ({"../.git": directory}, "", ""),
}


@pytest.mark.parametrize("told_by", ["CLAUDE_PROJECT_DIR", "the event", "the current directory"])
@pytest.mark.parametrize(("there", "start", "expected"), PLACES.values(), ids=PLACES)
def test_state_lives_in(hooks, there, start, expected, told_by):
    for name, make in there.items():
        make(hooks.home / name, hooks.home)
    place = hooks.home / start
    place.mkdir(parents=True, exist_ok=True)
    event = json.loads(BY_HAND)
    environment = hooks.env()
    del environment["CLAUDE_PROJECT_DIR"]
    cwd = hooks.project
    if told_by == "CLAUDE_PROJECT_DIR":
        environment["CLAUDE_PROJECT_DIR"] = str(place)
        event["cwd"] = str(hooks.project)
    elif told_by == "the event":
        event["cwd"] = str(place)
    else:
        cwd = place
    done = hooks.script("post_tool.py", json.dumps(event), env=environment, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(recorded(hooks)) == [str(hooks.home / expected)]
    assert tree(hooks.project) == []


def git(hooks, *arguments: str) -> str:
    """Run git in the project as somebody without settings of their own."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *who, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=hooks.project,
        env={"PATH": os.environ["PATH"], "HOME": str(hooks.home)},
    ).stdout


REFUSED = {
    "the root": {"CLAUDE_PROJECT_DIR": "/"},
    "the root by many slashes": {"CLAUDE_PROJECT_DIR": "///"},
    "a relative path": {"CLAUDE_PROJECT_DIR": "project"},
    "a dot": {"CLAUDE_PROJECT_DIR": "."},
    "a state directory that is a file": {"WORKFLOW_STATE_DIR": "{project}/file"},
    "a state directory below a file": {"WORKFLOW_STATE_DIR": "{project}/file/below"},
}


@pytest.mark.parametrize("environment", REFUSED.values(), ids=REFUSED)
def test_a_place_that_cannot_hold_state_is_told(hooks, environment):
    file = hooks.project / "file"
    file.write_text("mine")
    for name, value in environment.items():
        hooks.environment[name] = value.replace("{project}", str(hooks.project))
    told(hooks.script("post_tool.py", BY_HAND))
    assert file.read_text() == "mine"
    assert tree(hooks.project) == ["file"]


def test_the_root_is_refused_as_the_current_directory(hooks):
    environment = hooks.env()
    del environment["CLAUDE_PROJECT_DIR"]
    assert "/ is no project" in told(
        hooks.script("post_tool.py", BY_HAND, env=environment, cwd="/")
    )


def test_a_current_directory_that_is_gone_is_told(hooks, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    command = 'cd "$2" && rmdir "$2" && exec "$0" -I -S "$1"'
    environment = hooks.env()
    del environment["CLAUDE_PROJECT_DIR"]
    done = subprocess.run(
        ["sh", "-c", command, hooks.python, ROOT / "hooks" / "post_tool.py", gone],
        input=BY_HAND,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=60,
    )
    told(done)
    assert not gone.exists()


def test_a_project_with_a_slash_at_its_end_is_the_same(hooks):
    hooks.environment["CLAUDE_PROJECT_DIR"] = f"{hooks.project}//"
    hooks.script("post_tool.py", BY_HAND)
    assert records(hooks.directory)[0]["path"] == "a.py"


def test_a_project_reached_through_a_symlink_is_the_same(hooks, tmp_path):
    (tmp_path / "link").symlink_to(hooks.project)
    hooks.environment["CLAUDE_PROJECT_DIR"] = str(tmp_path / "link")
    event = {"tool_name": "Write", "tool_input": {"file_path": str(hooks.project / "a.py")}}
    hooks.script("post_tool.py", json.dumps(event))
    assert records(hooks.directory)[0]["path"] == "a.py"


DIRECTORIES = {
    "an absolute path": ("{tmp}/else/where", "else/where"),
    "a path with a slash at its end": ("{tmp}/else/", "else"),
    "a path relative to the project": ("state here", "project/state here"),
}


@pytest.mark.parametrize(("given", "expected"), DIRECTORIES.values(), ids=DIRECTORIES)
def test_the_state_directory_can_be_chosen(hooks, tmp_path, given, expected):
    hooks.environment["WORKFLOW_STATE_DIR"] = given.replace("{tmp}", str(tmp_path))
    assert hooks.script("post_tool.py", BY_HAND).returncode == 0
    assert len(records(tmp_path / expected)) == 1
    assert (tmp_path / expected / ".gitignore").read_text() == "*\n"
    assert recorded(hooks) == {}


@pytest.mark.parametrize("script", ALL)
def test_switched_off_a_script_writes_and_says_nothing(hooks, script):
    hooks.environment["WORKFLOW_STATE"] = "off"
    done = hooks.script(script, BY_HAND)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert tree(hooks.project) == tree(hooks.home) == []


# --- what is on disk ---------------------------------------------------------------------------


def test_what_is_made_is_private_and_says_what_it_is(hooks):
    hooks.script("post_tool.py", BY_HAND)
    place = hooks.home / ".local/state/workflow-state"
    files = [".gitignore", "README", "keys", "project.json", "sessions", "sessions/manual.jsonl"]
    assert tree(hooks.directory) == files
    assert sorted(os.listdir(place)) == [".gitignore", "README", "key", "projects"]
    for directory in (place, hooks.directory):
        assert (directory / ".gitignore").read_text() == "*\n"
    for path in (place, *place.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_an_open_umask_opens_nothing(hooks):
    command = ["sh", "-c", 'umask 0; exec "$0" -I -S "$1"', hooks.python]
    subprocess.run(
        [*command, ROOT / "hooks" / "post_tool.py"],
        input=BY_HAND.encode(),
        env=hooks.env(),
        check=True,
        cwd=hooks.project,
    )
    for path in (hooks.directory, *hooks.directory.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_git_status_shows_nothing_after_events(hooks):
    git(hooks, "init", "-q")
    for script in ALL:
        assert hooks.script(script, BY_HAND).returncode == 0
    assert git(hooks, "status", "--porcelain", "--untracked-files=all") == ""


def test_a_gitignore_of_the_users_own_stays(hooks):
    hooks.directory.mkdir(parents=True)
    (hooks.directory / ".gitignore").write_text("sessions\n")
    assert hooks.script("post_tool.py", BY_HAND).returncode == 0
    assert (hooks.directory / ".gitignore").read_text() == "sessions\n"


def test_every_record_can_be_made_durable(hooks):
    hooks.environment["WORKFLOW_STATE_FSYNC"] = "always"
    assert hooks.script("post_tool.py", BY_HAND).returncode == 0
    assert len(records(hooks.directory)) == 1


def test_a_record_that_fits_only_in_part_is_told_and_swallows_nothing(hooks):
    hooks.script("post_tool.py", BY_HAND)
    journal = hooks.directory / "sessions" / "manual.jsonl"
    limited = 'ulimit -f 1; exec "$0" -I -S "$1"'  # in blocks of 512 or 1024 bytes
    codes = []
    for _ in range(12):
        done = subprocess.run(
            ["sh", "-c", limited, hooks.python, ROOT / "hooks" / "post_tool.py"],
            input=BY_HAND,
            capture_output=True,
            text=True,
            env=hooks.env(),
            cwd=hooks.project,
            check=False,
            timeout=60,
        )
        codes.append(done.returncode)
        if done.returncode:
            told(done)
    assert set(codes) == {0, 1}
    assert hooks.script("post_tool.py", BY_HAND).returncode == 0
    whole = [line for line in journal.read_bytes().split(b"\n") if line.endswith(b'"}')]
    assert len([json.loads(line) for line in whole]) == codes.count(0) + 2


# --- what is planted there ---------------------------------------------------------------------


def plant(how: str, path: Path, victim: Path) -> None:
    """Put something at a path that leads elsewhere, or that would hang who opens it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "a symlink to a directory":
        path.symlink_to(victim)
    elif how == "a symlink to a file":
        path.symlink_to(victim / "file")
    elif how == "a dangling symlink":
        path.symlink_to(victim / "not there")
    elif how == "a symlink to itself":
        path.symlink_to(path.name)
    elif how == "a FIFO":
        os.mkfifo(path)
    elif how == "a socket":
        with socket.socket(socket.AF_UNIX) as listener:
            here = os.getcwd()
            os.chdir(path.parent)  # the name of a socket may have 107 letters only
            listener.bind(path.name)
            os.chdir(here)
    elif how == "a hard link":
        os.link(victim / "file", path)
    elif how == "a directory":
        (path / "below").mkdir(parents=True)
    elif how == "a file":
        path.write_text("a file of the user's")


@pytest.mark.parametrize(
    "how",
    [
        "a symlink to a directory",
        "a symlink to a file",
        "a dangling symlink",
        "a symlink to itself",
        "a FIFO",
        "a socket",
        "a hard link",
        "a file",
    ],
)
def test_what_is_planted_is_told_and_its_victim_untouched(hooks, tmp_path, how):
    victim = tmp_path / "victim"
    (victim / "state" / "sessions").mkdir(parents=True)
    (victim / "file").write_text("mine")
    state = hooks.project / "chosen"
    hooks.environment["WORKFLOW_STATE_DIR"] = str(state)
    hooks.script("post_tool.py", BY_HAND)
    shutil.rmtree(state / "sessions")
    plant(how, state / "sessions", victim)
    before = tree(hooks.project), tree(victim)
    for script in ("post_tool.py", "user_prompt.py", "stop.py"):
        told(hooks.script(script, BY_HAND))
    assert (tree(hooks.project), tree(victim)) == before
    assert (victim / "file").read_text() == "mine"


PLANTED_JOURNALS = (
    "a symlink to a directory",
    "a symlink to a file",
    "a dangling symlink",
    "a symlink to itself",
    "a FIFO",
    "a socket",
    "a hard link",
    "a directory",
)


@pytest.mark.parametrize("how", PLANTED_JOURNALS)
def test_a_planted_journal_is_told_and_left_as_it_is(hooks, tmp_path, how):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")
    hooks.choose()
    hooks.prompt("other")
    path = hooks.directory / "sessions" / "manual.jsonl"
    plant(how, path, victim)
    kept = os.lstat(path)
    for script in ("post_tool.py", "user_prompt.py", "stop.py"):
        assert "manual.jsonl" in told(hooks.script(script, BY_HAND))
    assert os.lstat(path) == kept
    assert tree(victim) == ["file"]
    assert (victim / "file").read_text() == "mine"


def test_a_backup_made_of_hard_links_keeps_no_hook_from_recording(hooks, tmp_path):
    hooks.prompt("one")
    os.link(hooks.directory / "sessions/one.jsonl", tmp_path / "backup.jsonl")
    hooks.prompt("one")
    assert len(records(hooks.directory, "one")) == 2


@pytest.mark.parametrize("how", ["a symlink to a file", "a dangling symlink", "a directory"])
def test_a_planted_lock_is_told_and_left_as_it_is(hooks, tmp_path, how):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")
    assert hooks.script("post_tool.py", BY_HAND).returncode == 0
    plant(how, hooks.directory / ".lock", victim)
    kept = os.lstat(hooks.directory / ".lock")
    assert ".lock" in told(hooks.script("stop.py", BY_HAND))
    assert os.lstat(hooks.directory / ".lock") == kept
    assert tree(victim) == ["file"]


@pytest.mark.parametrize("name", [".gitignore", "README"])
@pytest.mark.parametrize("how", ["a symlink to a file", "a dangling symlink", "a FIFO"])
def test_a_planted_side_file_is_left_alone(hooks, tmp_path, name, how):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")
    plant(how, hooks.directory / name, victim)
    assert hooks.script("post_tool.py", BY_HAND).returncode == 0
    assert len(records(hooks.directory)) == 1
    assert tree(victim) == ["file"]
    assert (victim / "file").read_text() == "mine"


def test_a_journal_of_another_user_is_not_written(hooks):
    if os.geteuid() != 0:
        absent("only root can give a file away")
    hooks.script("post_tool.py", BY_HAND)
    journal = hooks.directory / "sessions" / "manual.jsonl"
    before = journal.read_bytes()
    os.chown(journal, 12345, 12345)
    assert "is yours" in told(hooks.script("post_tool.py", BY_HAND))
    assert journal.read_bytes() == before


# --- a Python that cannot run them -------------------------------------------------------------

LACKS = {
    "no module of C": "sys.path[-1] = '/nowhere'; sys.modules['_json'] = None",
    "no BLAKE2": "sys.path[-1] = '/nowhere'; sys.modules['_blake2'] = None",
    "3.8": "sys.hexversion = 0x030812F0",
}


@pytest.mark.parametrize("lack", LACKS.values(), ids=LACKS)
@pytest.mark.parametrize("script", ALL)
def test_a_python_that_cannot_run_a_hook_is_told_in_one_line(hooks, script, lack):
    code = f"import sys; {lack}; __file__ = {str(ROOT / 'hooks' / script)!r}; "
    code += "exec(compile(open(__file__).read(), __file__, 'exec'))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        input="{}",
        env=hooks.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "needs Python 3.9 or later (CPython); this is 3." in done.stderr
    assert "fails with: " in done.stderr


@pytest.mark.parametrize(
    "script",
    [*(f"hooks/{name}" for name in ALL), "lib/recording/journal.py", "lib/install/other_python.py"],
)
def test_a_python_that_cannot_run_a_hook_can_parse_it(script):
    ast.parse((ROOT / script).read_text(), feature_version=(3, 6))
