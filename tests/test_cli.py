"""The command line as a person runs it: every verb, bad input, and whatever a name may hold."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys

import pytest

from lib.commands.main import main
from lib.commands.parser import build
from lib.format import records
from tests.conftest import ROOT

CLI = ROOT / "bin" / "workflow-state"
VERBS = {
    each.dest
    for action in build()._actions
    if isinstance(action, argparse._SubParsersAction)
    for each in action._choices_actions
}
NEEDED = {
    "completion": ["bash"],
    "diff": ["a"],
    "import": ["f"],
    "migrate": ["--to", "json"],
    "move-state": ["f"],
    "restore": ["a"],
    "set": ["a", "b"],
    "touched": ["f"],
    "unset": ["a"],
}
"""What a verb cannot do without."""


@pytest.fixture
def worked(hooks):
    """A session that wrote a file, failed at a test and stopped."""
    hooks.start("s")
    hooks.prompt("s", "add a parser")
    hooks.call("s", "Write", "1", {"file_path": str(hooks.project / "a.py")}, {"type": "create"})
    about = {"session_id": "s", "tool_name": "Bash", "tool_use_id": "2"}
    about["tool_input"] = {"command": "pytest -q"}
    hooks.send({**about, "hook_event_name": "PreToolUse"})
    hooks.send({**about, "hook_event_name": "PostToolUseFailure", "error": "Exit code 1\nbody"})
    hooks.stop("s")
    return hooks


def run(hooks, *arguments: str, code: int = 0, **options) -> str:
    done = hooks.cli(*arguments, **options)
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    if code == 1:
        assert done.stdout == ""
        assert done.stderr.startswith("workflow-state: ")
        assert done.stderr.count("\n") == 1
        return done.stderr
    return done.stdout


SAYS = {
    "no verb": ((), ["s (crashed)", "test (inferred", "1 changed", "2 ended, 1 failed"]),
    "status": (("status",), ["add a parser", "session-s"]),
    "show": (("show",), ["created  x1  Write", "a.py", "Bash pytest -q: Exit code 1"]),
    "show CHECKPOINT": (("show", "session-s"), ["checkpoint  session-s", "(Stop)", "a.py"]),
    "log": (("log",), ["SessionStart", "startup", "Write a.py", "error=Exit code 1"]),
    "log -n": (("log", "-n", "3"), ["Stop"]),
    "checkpoint": (("checkpoint", "mine"), ["Checkpoint mine."]),
    "checkpoints": (("checkpoints",), ["session-s", "Stop", "test"]),
    "restore": (("restore", "session-s"), ["Restored session-s", "before-restore-", "undo"]),
    "diff": (("diff", "session-s"), ["Nothing differs"]),
    "set": (("set", "plan", '{"step": 1}'), ['plan = {"step": 1}']),
    "set text": (("set", "note", "not JSON"), ['note = "not JSON"']),
    "get": (("get", "files_processed"), ["a.py"]),
    "get lists the keys": (("get",), ["current_phase", "files_processed"]),
    "phase": (("phase",), ["test (inferred"]),
    "phase NAME": (("phase", "review"), ["review (pinned"]),
    "phase auto": (("phase", "auto"), ["test (inferred"]),
    "unlink": (("unlink",), ["stands for itself"]),
    "trust": (("trust",), ["yours already"]),
    "a session by name": (("--session", "s", "phase"), ["test"]),
    "a session after the verb": (("phase", "--session", "s"), ["test"]),
}


@pytest.mark.parametrize(("arguments", "words"), SAYS.values(), ids=SAYS)
def test_says(worked, arguments, words):
    shown = run(worked, *arguments)
    assert [word for word in words if word not in shown] == [], shown


@pytest.mark.parametrize("arguments", [each[0] for each in SAYS.values()], ids=SAYS)
def test_prints_json(worked, arguments):
    json.loads(run(worked, *arguments, "--json"))


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help(hooks, verb):
    shown = run(hooks, verb, "--help")
    assert shown.startswith(f"usage: workflow-state {verb}")
    assert verb in run(hooks, "--help")


DOCUMENTS = dict(
    re.findall(r"^\| `([^`]*)` \| (.*) \|$", (ROOT / "docs/json.md").read_text(), re.MULTILINE)
)


DOCUMENTED = {
    "status": ["status"],
    "sessions": ["sessions", "--all"],
    "touched": ["touched", "a.py"],
    "checkpoint": ["checkpoint", "one"],
    "checkpoints": ["checkpoints"],
    "restore": ["restore", "one"],
    "undo": ["undo"],
    "diff": ["diff", "one"],
    "unset": ["unset", "k"],
    "phase": ["phase"],
    "unlink": ["unlink"],
    "sync": ["sync"],
    "trust": ["trust", "--dry-run"],
    "statusline": ["statusline"],
    "export": ["export", "-o", "x.tar"],
    "import": ["import", "--merge", "x.tar"],
    "prune": ["prune"],
    "install": ["install", "--dry-run"],
    "uninstall": ["uninstall"],
    "doctor": ["doctor"],
    "completion": ["completion", "bash"],
    "migrate": ["migrate", "--to", "sqlite", "--copy-only"],
}
ELSEWHERE = {
    "failures",
    "show",
    "show CHECKPOINT",
    "log",
    "get",
    "get KEY",
    "set",
    "move-state",
    "report",
    "watch",
}
"""Lists, values, and what another page describes."""


def test_every_command_s_document_is_described():
    verbs = {name.partition(" ")[0] for name in DOCUMENTS} - {"command"}
    assert verbs == VERBS
    assert {*DOCUMENTS} - {"command"} == {*DOCUMENTED, *ELSEWHERE}


def test_each_document_has_the_keys_that_are_described(worked):
    run(worked, "set", "k", "1")
    for name, arguments in DOCUMENTED.items():
        done = worked.cli(*arguments, "--json")
        assert done.stderr == ""
        document = json.loads(done.stdout)
        first = document[0] if isinstance(document, list) else document
        # What stands behind a name in brackets belongs to its value.
        told = re.sub(r"\([^()]*\)", "", DOCUMENTS[name].partition("; ")[0])
        told = re.sub(r"^.*objects: ", "", told) if isinstance(document, list) else told
        told = told.partition("objects with")[0]
        assert [*first] != []
        assert {*first} == {*re.findall(r"`([a-z_]+)`", told)} - {"null", "-o"}, name


def test_a_dry_run_has_the_keys_of_the_real_one(worked):
    for verb in ("install", "uninstall"):
        dry = json.loads(run(worked, verb, "--dry-run", "--json"))
        assert json.loads(run(worked, verb, "--json")).keys() == dry.keys()
        assert dry["dry_run"]


def test_show_as_json_has_the_keys_of_the_contract(worked):
    shown = json.loads(run(worked, "show", "--json"))
    wanted = "current_phase files_processed files_read in_flight failures last_request session_id"
    assert set(f"{wanted} continues last_checkpoint".split()) <= set(shown)
    assert shown["files_processed"]["a.py"]["count"] == 1


BAD = {
    "an unknown checkpoint": ("show", "nope"),
    "a restore of nothing": ("restore", "nope"),
    "a bad checkpoint name": ("checkpoint", "../x"),
    "nothing to undo": ("undo",),
    "a diff with nothing": ("diff", "nope"),
    "an absent key": ("get", "nope"),
    "an absent key to remove": ("unset", "nope"),
    "a bad key": ("set", "a/b", "1"),
    "a phase of no letters": ("phase", ""),
    "an unknown session": ("--session", "nope", "show"),
    "the log of an unknown session": ("--session", "nope", "log"),
}


@pytest.mark.parametrize("arguments", BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line(worked, arguments):
    run(worked, *arguments, code=1)
    assert "a.py" in run(worked, "show")


@pytest.mark.parametrize("arguments", [("nope",), ("restore",), ("set", "a"), ("log", "-n", "x")])
def test_wrong_usage_is_2(hooks, arguments):
    assert "usage: workflow-state" in hooks.cli(*arguments).stderr
    assert hooks.cli(*arguments).returncode == 2


@pytest.mark.parametrize(
    "arguments", [("export", "-o"), ("import",), ("report", "-o")], ids=" ".join
)
def test_an_empty_name_is_no_file(worked, arguments):
    """`-o "$UNSET"`: nothing is written anywhere."""
    before = sorted(worked.project.rglob("*"))
    done = worked.cli(*arguments, "")
    assert done.returncode == 2
    assert "it is empty: name a file" in done.stderr
    assert sorted(worked.project.rglob("*")) == before


def test_the_status_reads_a_journal_once(worked, monkeypatch, capsys):
    """It may be a day's: each pass over it is waited for."""
    passes = []
    real = records.Replay.__iter__

    def counted(self):
        passes.append(self._session)
        return real(self)

    for name, value in worked.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(records.Replay, "__iter__", counted)
    assert main(["--session", "s", "status"]) == 0
    assert "session     s (crashed)" in capsys.readouterr().out
    assert passes == ["s"]


def test_a_session_of_keys_checkpoints_and_undo(worked):
    run(worked, "set", "plan", "1")
    run(worked, "checkpoint", "one")
    run(worked, "set", "plan", "2")
    run(worked, "set", "newer", "3")
    run(worked, "phase", "review")
    assert run(worked, "diff", "one").splitlines() == [
        "~ phase  test -> review",
        "+ key    newer = 3",
        "~ key    plan = 1 -> 2",
    ]
    run(worked, "restore", "one")
    assert run(worked, "get", "plan") == "1\n"
    run(worked, "get", "newer", code=1)
    assert run(worked, "phase").startswith("test (inferred")
    run(worked, "undo")
    assert run(worked, "get", "newer") == "3\n"
    assert run(worked, "phase").startswith("review (pinned")


def test_an_empty_project_is_no_error(hooks):
    assert "Nothing is recorded yet" in run(hooks)
    assert "No checkpoints yet" in run(hooks, "checkpoints")
    assert "No keys are saved" in run(hooks, "get")
    assert not hooks.directory.exists()


@pytest.mark.parametrize("verb", ["show", "log", "status"])
def test_what_a_name_holds_never_reaches_the_terminal_raw(hooks, verb):
    hostile = "a\x1b[2J\u202e\u200b\nb.py"
    hooks.call("s", "Write", "1", {"file_path": str(hooks.project / hostile)}, {"type": "create"})
    hooks.prompt("s", hostile)
    shown = run(hooks, verb)
    assert not [letter for letter in shown if not letter.isprintable() and letter != "\n"]


def test_a_name_in_another_script_is_readable(hooks):
    hooks.call("s", "Write", "1", {"file_path": str(hooks.project / "größe.py")}, {})
    assert "größe.py" in run(hooks, "show", env={**hooks.env(), "PYTHONIOENCODING": "utf-8"})


def test_a_terminal_without_the_letters_is_no_error(worked):
    worked.prompt("s", "größe 日本")
    environment = {**worked.env(), "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    assert "a.py" in run(worked, "show", env=environment)


def test_a_reader_that_has_seen_enough_is_no_error(worked):
    command = f'"{sys.executable}" "{CLI}" log | head -1; '
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=worked.project,
        env=worked.env(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stderr, done.stdout.count("\n")) == ("", 1)


def test_runs_through_a_symlink_and_from_a_subdirectory(worked, tmp_path):
    link = tmp_path / "ws"
    link.symlink_to(CLI)
    below = worked.project / "src"
    below.mkdir()
    environment = {**worked.env()}
    del environment["CLAUDE_PROJECT_DIR"]
    done = subprocess.run(
        [sys.executable, str(link), "phase"],
        cwd=below,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("test (inferred")


def test_damage_is_told_without_a_traceback(worked):
    (worked.directory / "checkpoints" / "session-s.json").write_bytes(b"{")
    assert "a.py" in run(worked, "show")
    (worked.directory / "sessions" / "s.jsonl").unlink()
    os.mkfifo(worked.directory / "sessions" / "s.jsonl")
    run(worked, "--session", "s", "show", code=1)


ARGUMENTS = {
    "show": ["CHECKPOINT"],
    "log": ["-n", "--lines N"],
    "checkpoint": ["NAME"],
    "restore": ["CHECKPOINT", "undo"],
    "diff": ["CHECKPOINT", "examples:"],
    "get": ["KEY"],
    "set": ["KEY", "VALUE", "JSON"],
    "unset": ["KEY"],
    "phase": ["PHASE", "auto"],
}


@pytest.mark.parametrize("verb", ARGUMENTS)
def test_help_tells_the_arguments_and_the_common_options(hooks, verb):
    shown = run(hooks, verb, "--help")
    wanted = [*ARGUMENTS[verb], "--json", "--session", "--dir"]
    assert [word for word in wanted if word not in shown] == []


def test_another_directory_by_name(hooks, tmp_path):
    run(hooks, "--dir", str(tmp_path / "other"), "set", "key", "1")
    assert run(hooks, "get", "key", "--dir", str(tmp_path / "other")) == "1\n"
    run(hooks, "get", "key", code=1)
    assert (tmp_path / "other" / "key.json").exists()


def test_no_directory_is_not_the_current_one(hooks):
    """`--dir "$UNSET"` must not strew keys over somebody's project."""
    hooks.cli("--dir", "", "set", "key", "1")
    assert not (hooks.project / "key.json").exists()
    assert not (hooks.project / ".gitignore").exists()


def test_of_two_sessions_the_one_named_is_meant(worked):
    worked.call("t", "Write", "1", {"file_path": str(worked.project / "b.py")}, {"type": "create"})
    run(worked, "--session", "s", "phase", "review")
    assert json.loads(run(worked, "get", "files_processed", "--json", "--session", "s")) == ["a.py"]
    assert json.loads(run(worked, "get", "files_processed", "--json", "--session", "t")) == ["b.py"]
    assert run(worked, "--session", "t", "phase").startswith("build (inferred")


def test_the_session_of_claude_code_is_meant_before_the_last(worked):
    worked.call("t", "Write", "1", {"file_path": str(worked.project / "b.py")}, {"type": "create"})
    environment = {**worked.env(), "CLAUDE_CODE_SESSION_ID": "s"}
    assert "a.py" in run(worked, "get", "files_processed", env=environment)


VALUES = ["null", "true", "-5", "1.5", '""', '"text"', "[]", '{"a": [1, {"b": null}]}']


@pytest.mark.parametrize("value", VALUES)
def test_what_is_set_is_got(hooks, value):
    run(hooks, "set", "key", value)
    assert json.loads(run(hooks, "get", "key", "--json")) == json.loads(value)


DEEP = "[" * 60_000 + "]" * 60_000


@pytest.mark.parametrize("value", ["NaN", "[1e999]", DEEP], ids=["NaN", "infinity", "deep"])
def test_a_value_that_json_cannot_hold_is_told_in_one_line(hooks, value):
    run(hooks, "set", "key", "1")
    run(hooks, "set", "key", value, code=1)
    assert run(hooks, "get", "key") == "1\n"


@pytest.mark.parametrize("key", ["current_phase", "files_processed"])
def test_what_is_unset_is_gone_or_the_unsetting_is_refused(worked, key):
    if worked.cli("unset", key).returncode == 0:
        run(worked, "get", key, code=1)


HOSTILE = "a\x1b[2J\x9b\u202e\u2066\x07\r\nx"


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", HOSTILE, "1"),
        ("get", HOSTILE),
        ("show", HOSTILE),
        ("restore", HOSTILE),
        ("diff", HOSTILE),
        ("phase", HOSTILE),
        ("--session", HOSTILE, "show"),
        ("--dir", f"/nonexistent/{HOSTILE}", "get", "key"),
    ],
    ids=lambda arguments: " ".join(arguments).partition(HOSTILE[:2])[0],
)
def test_what_an_argument_holds_never_reaches_the_terminal_raw(worked, arguments):
    told = run(worked, *arguments, code=1)
    assert told[:-1].isprintable()


def test_what_a_value_or_a_checkpoint_holds_never_reaches_the_terminal_raw(worked):
    run(worked, "set", "key", HOSTILE)
    run(worked, "checkpoint", "one")
    run(worked, "set", "key", HOSTILE + "2")
    for arguments in (("get", "key"), ("diff", "one"), ("show", "one"), ("set", "key", HOSTILE)):
        shown = run(worked, *arguments)
        assert all(line.isprintable() for line in shown.split("\n")), shown


STDOUT = {"closed": ">&-", "full": ">/dev/full"}


@pytest.mark.parametrize("redirection", STDOUT.values(), ids=STDOUT)
def test_an_output_that_cannot_be_written_is_told_in_one_line(worked, redirection):
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" "{CLI}" show {redirection}'],
        cwd=worked.project,
        env=worked.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("workflow-state: ")
    assert done.stderr.count("\n") == 1


def test_a_number_of_records_below_zero_is_wrong_usage(worked):
    assert worked.cli("log", "-n", "-3").returncode == 2


# --- every verb --------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_an_unknown_option_is_refused_by_its_verb(hooks, verb):
    done = hooks.cli(verb, *NEEDED.get(verb, []), "--no\x1b[31msuch")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: workflow-state {verb} ")
    assert f"workflow-state {verb}: error: unrecognized arguments: --no%1B[31msuch" in done.stderr
    assert f"see `workflow-state {verb} --help`\n" in done.stderr
    assert list(hooks.project.iterdir()) == []


@pytest.mark.parametrize("verb", ["", *sorted(VERBS)])
def test_help_fits_and_tells_the_exit_status(hooks, verb):
    hooks.environment["COLUMNS"] = "60"
    said = run(hooks, *verb.split(), "--help")
    assert "exit status:" in said
    long = [line for line in said.splitlines() if len(line) > 60]
    assert [line for line in long if line[:1] != " "] == []  # but for what stands as it is typed


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["prune", "--help"]])
def test_help_goes_where_everything_goes(hooks, arguments):
    command = [sys.executable, str(CLI), *arguments]
    reader, writer = os.pipe()
    os.close(reader)
    options = {"env": hooks.env(), "stderr": subprocess.PIPE}
    done = subprocess.run(command, check=False, stdout=writer, **options)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    command = ["/bin/sh", "-c", '"$@" >&-', "sh", *command]
    done = subprocess.run(command, check=False, **options)
    assert (done.returncode, done.stderr) == (1, b"workflow-state: stdout is closed\n")


def test_a_session_without_a_name_is_not_the_last_one(worked):
    for verb in ("status", "show", "checkpoint"):
        done = worked.cli(verb, "--session", "")
        assert (done.returncode, done.stdout) == (2, "")
        assert "--session is empty" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "none"],
        ["get", "none"],
        ["log", "--session", "none"],
        ["doctor", "--project", "no"],
    ],
    ids=" ".join,
)
def test_a_failure_is_a_document_too(worked, arguments):
    done = worked.cli(*arguments, "--json")
    assert done.returncode == 1
    assert done.stderr == f"workflow-state: {json.loads(done.stdout)['error']}\n"


@pytest.mark.parametrize("verb", ["status", "statusline", "install"])
def test_interrupted_before_it_has_begun_it_says_nothing(hooks, tmp_path, verb):
    strike = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    for name in ("argparse", "json"):  # what a command loads, and the status line
        (tmp_path / f"{name}.py").write_text(strike)
    (tmp_path / "textwrap.py").write_text(strike)
    hooks.environment["PYTHONPATH"] = str(tmp_path)
    done = hooks.cli(verb, "--json")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
