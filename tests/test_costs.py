"""What a hook costs where it can be counted: the modules it loads and what it asks of the kernel.

Neither depends on how busy the machine is, so both are held exactly. Times are for `make bench`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from lib import journal
from tests.conftest import ROOT, SCRIPTS

# --- modules -----------------------------------------------------------------------------------

LISTING = """
import posix, sys
before, leave = set(sys.modules), posix._exit
def list_and_leave(code):
    posix.write(2, " ".join(set(sys.modules) - before).encode())
    leave(code)
posix._exit = list_and_leave
path = sys.argv[1]
script = posix.open(path, posix.O_RDONLY)
exec(compile(posix.read(script, 1 << 16), path, "exec"), {"__file__": path, "__name__": "__main__"})
"""
"""Runs a hook script in a bare interpreter, and lists at its end what was loaded for it."""

TOOL = {"_blake2", "_json", "lib", "lib.journal"}
STANDARD = set("__future__ _collections_abc _stat errno fcntl genericpath os os.path".split())
STATE = (
    TOOL
    | STANDARD
    | {"posixpath", "stat"}
    | set(
        "lib.aside lib.changes lib.founding lib.jsontext lib.lineage lib.policy lib.process "
        "lib.replay lib.sealing lib.session lib.sessions lib.state lib.stores "
        "lib.stores.json_files lib.litter lib.table lib.workspace lib.worktree".split()
    )
)

CALL = {"tool_name": "Write", "tool_input": {"file_path": "{project}/src/a.py", "content": "1\n"}}
LOADED = {
    "PreToolUse": (CALL, TOOL),
    "PostToolUse": ({**CALL, "tool_response": {"type": "create"}}, TOOL),
    "PostToolUseFailure": ({**CALL, "error": "it did not work"}, TOOL),
    "UserPromptSubmit": ({"prompt": "Please add a page"}, TOOL | {"lib.process"}),
    "Stop": ({}, STATE | {"lib.stopping", "lib.idle", "lib.turn"}),
    "SessionStart": (
        {"source": "startup"},
        STATE
        | set("lib.starting lib.context lib.quoting lib.retention encodings.utf_16_le".split()),
    ),
}


def event(hooks, name, fields, session="s1"):
    text = json.dumps(
        {"hook_event_name": name, "session_id": session, "cwd": "{project}", **fields}
    )
    return text.replace("{project}", str(hooks.project))


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
    assert set(done.stderr.split()) - set(sys.builtin_module_names) == expected - set(
        sys.builtin_module_names
    )


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


# --- the kernel --------------------------------------------------------------------------------

RECORDS = 100_000
_WRITTEN = re.compile(r"^p?write(?:64|v)?\(.*= (\d+)$", re.MULTILINE)


def traced(hooks, name, session):
    """The system calls that a hook makes for a Write, by name, and the bytes that it writes."""
    log = hooks.home / "trace"
    script = str(ROOT / "hooks" / SCRIPTS[name])
    subprocess.run(
        ["strace", "-qq", "-o", str(log), hooks.python, "-I", "-S", script],
        input=event(hooks, name, CALL, session).encode(),
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
    if not shutil.which("strace"):
        assert not os.environ.get("CI"), "strace is not installed (Debian: strace)"
        pytest.skip("strace is not installed (Debian: strace)")
    hooks.prompt("few")
    hooks.prompt("lot")
    key = (hooks.home / ".local/state/workflow-state/key").read_bytes()
    facts = {"v": journal.VERSION, "at": journal.now(), "event": "PostToolUse", "tool": "Write"}
    lines = [
        journal.seal("lot", {**facts, "call": f"t{number}", "path": f"src/{number}.py"}, key)
        for number in range(RECORDS)
    ]
    with (hooks.directory / "sessions" / "lot.jsonl").open("ab") as file:
        file.write(b"".join(lines))
    calls, written = traced(hooks, name, "few")
    assert traced(hooks, name, "lot") == (calls, written)
    assert written < 300
