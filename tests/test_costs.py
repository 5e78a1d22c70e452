"""What a hook costs where it can be counted: the modules it loads and what it asks of the kernel.

Neither depends on how busy the machine is, so both are held exactly. Times are for `make bench`.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from lib.recording import journal
from tests.conftest import ROOT, SCRIPTS, absent

# --- modules -----------------------------------------------------------------------------------

LISTING = """
import posix, sys
before, leave = set(sys.modules), posix._exit
def list_and_leave(code):
    posix.write(2, " ".join(set(sys.modules) - before).encode())
    leave(code)
posix._exit = list_and_leave
del sys.argv[0]
path = sys.argv[0]
script = posix.open(path, posix.O_RDONLY)
exec(compile(posix.read(script, 1 << 16), path, "exec"), {"__file__": path, "__name__": "__main__"})
"""
"""Runs a script in a bare interpreter, and lists at its end what was loaded for it."""

TOOL = {"_blake2", "_json", "lib.recording.journal"}
STANDARD = set("__future__ _collections_abc _stat errno fcntl genericpath os os.path".split())
STATE = (
    TOOL
    | STANDARD
    | {"posixpath", "stat"}
    | set(
        """lib.disk.locks lib.errors lib.disk.durable lib.format.documents
lib.format.file_table lib.format.json_text lib.format.records lib.project.git
lib.project.place lib.project.view lib.recording.find_project lib.recording.project_file
lib.session.calls lib.session.fold lib.session.lineage
lib.session.live lib.session.partial lib.session.rules lib.session.states lib.checkpoints lib.state lib.stores
lib.stores.document_checks
lib.stores.json_files lib.stores.open
""".split()
    )
)

CALL = {"tool_name": "Write", "tool_input": {"file_path": "{project}/src/a.py", "content": "1\n"}}
LOADED = {
    "PreToolUse": (CALL, TOOL),
    "PostToolUse": ({**CALL, "tool_response": {"type": "create"}}, TOOL),
    "PostToolUseFailure": ({**CALL, "error": "it did not work"}, TOOL),
    "UserPromptSubmit": ({"prompt": "Please add a page"}, TOOL | {"lib.recording.client_process"}),
    "Stop": (
        {},
        STATE
        | set(
            """lib.events.stop lib.events.nothing_new lib.events.checkpoint_turn
lib.recording.change_lists lib.recording.first_use lib.stores.checkpoint_head
""".split()
        ),
    ),
    "SessionStart": (
        {"source": "startup"},
        STATE
        | set(
            """encodings.utf_16_le lib.events.session_start lib.install.interpreter
lib.maintenance.retention lib.maintenance.settle
lib.recording.client_process lib.session.describe lib.telling.context lib.telling.quoting
""".split()
        ),
    ),
}


def with_packages(modules, more=()):
    """Modules of ours, and the packages that they lie in."""
    packages = {name.rpartition(".")[0] for name in modules if name.startswith("lib.")}
    return modules | packages | {"lib"} | {f"lib{name}" for name in more}


def event(hooks, name, fields, session="s1"):
    text = json.dumps(
        {"hook_event_name": name, "session_id": session, "cwd": "{project}", **fields}
    )
    return text.replace("{project}", str(hooks.project))


@pytest.mark.parametrize("name", journal.PACKAGES)
def test_a_package_that_no_hook_reads_holds_nothing_but_its_docstring(name):
    tree = ast.parse((ROOT / f"lib{name.replace('.', '/')}" / "__init__.py").read_text())
    assert [node for node in tree.body if not isinstance(node, ast.Expr)] == []


@pytest.mark.parametrize("name", LOADED)
def test_a_hook_loads_these_modules_and_no_other(hooks, name):
    fields, expected = LOADED[name]
    hooks.prompt("s1")  # what is made once is there
    hooks.call("s1", "Write", "t1", {"file_path": f"{hooks.project}/src/a.py"})
    done = subprocess.run(
        [hooks.python, "-I", "-S", "-c", LISTING, str(ROOT / "hooks" / SCRIPTS[name])],
        input=event(hooks, name, fields),
        capture_output=True,
        text=True,
        env=hooks.env(),
        check=True,
        timeout=60,
    )
    # what is built into this interpreter costs nothing to load, and differs between builds
    assert set(done.stderr.split()) - set(sys.builtin_module_names) == with_packages(
        expected, journal.PACKAGES
    ) - set(sys.builtin_module_names)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"tool_name": "Bash", "tool_input": {"command": "git status"}}, id="shell"),
        pytest.param(
            {"tool_name": "Write", "tool_input": {"file_path": "/tmp/../tmp/plan.md"}},
            id="outside the project",
        ),
        pytest.param(
            {"tool_name": "Bash", "tool_input": {"command": "cat <<E > a\nx\nE"}}, id="heredoc"
        ),
        pytest.param({"tool_name": "Read", "tool_input": {"content": "x" * 200_000}}, id="large"),
    ],
)
def test_no_ordinary_call_loads_what_takes_as_long_as_the_start(hooks, fields):
    hooks.prompt("s1")
    done = subprocess.run(
        [hooks.python, "-I", "-S", "-X", "importtime", str(ROOT / "hooks" / "post_tool.py")],
        input=event(hooks, "PostToolUse", fields),
        capture_output=True,
        text=True,
        env=hooks.env(),
        check=True,
        timeout=60,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()[1:]}
    assert not loaded & {"os", "re", "json", "pathlib", "typing", "hashlib", "collections.abc"}


def test_the_status_line_loads_these_modules_and_no_other(hooks):
    hooks.prompt("s1")
    hooks.call("s1", "Write", "t1", {"file_path": f"{hooks.project}/src/a.py"})
    hooks.stop("s1")
    told = {"session_id": "s1", "workspace": {"project_dir": str(hooks.project)}}
    script = str(ROOT / "bin" / "workflow-state")
    done = subprocess.run(
        [hooks.python, "-I", "-S", "-c", LISTING, script, "statusline"],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        env=hooks.env(),
        check=True,
        timeout=60,
    )
    assert "1 file" in done.stdout
    line = set(
        """lib.session.describe lib.telling.context lib.telling.quoting lib.terminal.statusline lib.terminal.width
""".split()
    )
    expected = (STATE | line) - {"lib.session.lineage"}
    assert set(done.stderr.split()) - set(sys.builtin_module_names) == with_packages(
        expected
    ) - set(sys.builtin_module_names)


# --- the kernel --------------------------------------------------------------------------------

RECORDS = 100_000
_WRITTEN = re.compile(r"^p?write(?:64|v)?\(.*= (\d+)$", re.MULTILINE)


def needs(program):
    """Skip where a program is missing; in CI that is a failure."""
    if not shutil.which(program):
        absent(f"{program} is not installed (Debian: {program})")


def traced(hooks, name, session):
    """The system calls that a hook makes for a call or a stop, by name, and the bytes it writes."""
    needs("strace")
    log = hooks.home / "trace"
    script = str(ROOT / "hooks" / SCRIPTS[name])
    subprocess.run(
        ["strace", "-qq", "-o", str(log), hooks.python, "-I", "-S", script],
        input=event(hooks, name, {} if name == "Stop" else CALL, session).encode(),
        env=hooks.env(),
        check=True,
        timeout=60,
    )
    text = log.read_text(errors="replace")
    # How often the heap has to grow depends on where the kernel put it, which is random.
    names = [line.split("(")[0] for line in text.splitlines()]
    return (
        [name for name in names if name not in ("brk", "mmap", "munmap")],
        sum(map(int, _WRITTEN.findall(text))),
    )


@pytest.mark.parametrize("name", ["PreToolUse", "PostToolUse"])
def test_a_tool_hook_does_the_same_at_any_number_of_records(hooks, name):
    hooks.prompt("few")
    hooks.prompt("lot")
    record_writes(hooks, "lot", RECORDS)
    calls, written = traced(hooks, name, "few")
    assert traced(hooks, name, "lot") == (calls, written)
    assert written < 300


def record_writes(hooks, session, number):
    """Append records of so many calls, each of which wrote a file of its own."""
    key = (hooks.home / ".local/state/workflow-state/key").read_bytes()
    facts = {"v": journal.VERSION, "at": journal.now(), "event": "PostToolUse", "tool": "Write"}
    lines = [
        journal.sign(session, {**facts, "call": f"t{each}", "path": f"src/{each}.py"}, key)
        for each in range(number)
    ]
    with (hooks.directory / "sessions" / f"{session}.jsonl").open("ab") as file:
        file.write(b"".join(lines))


def test_a_stop_when_nothing_happened_does_the_same_at_any_number_of_files(hooks):
    hooks.processes, found = True, []
    for session, files in (("few", 1), ("lot", 20_000)):
        hooks.prompt(session)
        record_writes(hooks, session, files)
        hooks.stop(session)
        hooks.stop(session)  # were the keys and the checkpoint written in one tick of the clock
        found.append(traced(hooks, "Stop", session))
    few, lot = found
    assert few == lot
    assert few[1] < 200


# --- instructions ------------------------------------------------------------------------------


CALLGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")


def instructions(hooks, name, *command):
    """How many instructions the processor executes for a command."""
    done = subprocess.run(
        [*CALLGRIND, hooks.python, "-I", "-S", *command],
        input=event(hooks, name, CALL),
        capture_output=True,
        text=True,
        env=hooks.env(),
        check=True,
        timeout=120,
    )
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1))


def test_a_tool_hook_takes_no_more_instructions_than_an_interpreter_that_does_nothing(hooks):
    needs("valgrind")
    hooks.python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    hooks.prompt("s1")  # what is made once is there, compiled modules among it
    bare = instructions(hooks, "PreToolUse", "-c", "pass")
    for name in ("PreToolUse", "PostToolUse"):
        hooks.send(json.loads(event(hooks, name, CALL)))
        assert instructions(hooks, name, str(ROOT / "hooks" / SCRIPTS[name])) <= bare
