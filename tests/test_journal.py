"""What is kept of an event, how a record is framed and signed, and how an event is parsed."""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import re
import subprocess
import sys
from _blake2 import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.recording import first_use, journal
from lib.recording.heredocs import without_contents
from lib.state import State, StateError
from tests.conftest import PAYLOADS, ROOT, SCRIPTS, payloads

P = "/home/dev/project"
"""The project of the recordings and of the cases below; a test puts its own in its place."""

SIGN = {"v", "at", "check"}


def recorded(name: str, event: str, tool: str = "", **wanted) -> dict:
    """The first such event of a recording, to be put into a table."""
    for line in (PAYLOADS / f"{name}.jsonl").read_text().split("\n")[:-1]:
        fields = json.loads(line)
        about = {**fields, **fields.get("tool_response", {})} if wanted else fields
        fits = all(about.get(field) == value for field, value in wanted.items())
        if fields["hook_event_name"] == event and fields.get("tool_name", "") == tool and fits:
            return fields
    raise LookupError(f"{name} holds no such {event}")


def pre(tool: str, given: object, **fields) -> dict:
    """A call that begins."""
    return {"hook_event_name": "PreToolUse", "tool_name": tool, "tool_input": given, **fields}


def post(tool: str, given: object, response: object, **fields) -> dict:
    """A call that succeeded."""
    about = {"hook_event_name": "PostToolUse", "tool_name": tool, "tool_input": given}
    return {**about, "tool_response": response, **fields}


def failed(tool: str, given: object, error: object, **fields) -> dict:
    """A call that failed."""
    about = {"hook_event_name": "PostToolUseFailure", "tool_name": tool, "tool_input": given}
    return {**about, "error": error, **fields}


def prompt(text: object, **fields) -> dict:
    """A request."""
    return {"hook_event_name": "UserPromptSubmit", "prompt": text, **fields}


BEGIN = {"event": "PreToolUse"}
END = {"event": "PostToolUse"}
FAIL = {"event": "PostToolUseFailure"}
BASH_BEGIN = {**BEGIN, "tool": "Bash"}
BASH = {**END, "tool": "Bash"}
MODE = {"mode": "bypassPermissions"}


def call(number: int) -> dict:
    """The facts that every recorded call shares."""
    return {"call": f"toolu_mock_{number:06d}", **MODE}


def diff(*paths: str, **files: list[str]) -> dict:
    """What the client tells of a Bash command's changes."""
    listed = [
        {"filePath": path, **({kind: True} if kind != "changed" else {}), "hunks": []}
        for kind, names in files.items()
        for path in names
    ]
    return {"bashEditDiff": {"files": listed, "moreFiles": 0, "changedFiles": list(paths)}}


RECORDED = {
    "a session starts": (
        recorded("basic", "SessionStart"),
        {"event": "SessionStart", "source": "startup"},
    ),
    "a request": (
        recorded("basic", "UserPromptSubmit"),
        {
            "event": "UserPromptSubmit",
            **MODE,
            "prompt": "0bc7c4b1-7002-4cae-b0f7-25a5946dccae",
            "text": "please do the work MARK-PROMPT",
        },
    ),
    "Claude stops": (recorded("basic", "Stop"), {"event": "Stop", **MODE}),
    "Claude stops at an error": (
        recorded("failures", "StopFailure"),
        {"event": "StopFailure", "error": "rate_limit"},
    ),
    "a compaction begins": (
        recorded("failures", "PreCompact"),
        {"event": "PreCompact", "trigger": "auto"},
    ),
    "a session ends": (
        recorded("basic", "SessionEnd"),
        {"event": "SessionEnd", "reason": "other"},
    ),
    "a write begins": (
        recorded("basic", "PreToolUse", "Write"),
        {**BEGIN, "tool": "Write", **call(1), "path": "a.txt"},
    ),
    "a file is written": (
        recorded("basic", "PostToolUse", "Write"),
        {**END, "tool": "Write", **call(1), "path": "a.txt", "result": "create"},
    ),
    "a read begins": (
        recorded("basic", "PreToolUse", "Read"),
        {**BEGIN, "tool": "Read", **call(3), "path": "a.txt"},
    ),
    "a file is read": (
        recorded("basic", "PostToolUse", "Read"),
        {**END, "tool": "Read", **call(3), "path": "a.txt", "result": "text"},
    ),
    "a read fails": (
        recorded("basic", "PostToolUseFailure", "Read"),
        {
            **FAIL,
            "tool": "Read",
            **call(15),
            "path": "missing.txt",
            "error": f"File does not exist. Note: your current working directory is {P}",
        },
    ),
    "an edit begins": (
        recorded("basic", "PreToolUse", "Edit"),
        {**BEGIN, "tool": "Edit", **call(5), "path": "a.txt"},
    ),
    "a file is edited": (
        recorded("basic", "PostToolUse", "Edit"),
        {**END, "tool": "Edit", **call(5), "path": "a.txt"},
    ),
    "a notebook's edit begins": (
        recorded("tools", "PreToolUse", "NotebookEdit"),
        {**BEGIN, "tool": "NotebookEdit", **call(5), "path": "n.ipynb"},
    ),
    "a notebook is edited": (
        recorded("tools", "PostToolUse", "NotebookEdit"),
        {**END, "tool": "NotebookEdit", **call(5), "path": "n.ipynb"},
    ),
    "a command begins": (
        recorded("bashdiff", "PreToolUse", "Bash"),
        {**BASH_BEGIN, **call(1), "command": "echo x > ignored.log", "description": "b"},
    ),
    "a command ends": (
        recorded("bashdiff", "PostToolUse", "Bash"),
        {**BASH, **call(1), "command": "echo x > ignored.log", "description": "b"},
    ),
    "a command fails": (
        recorded("bashdiff", "PostToolUseFailure", "Bash"),
        {
            **FAIL,
            "tool": "Bash",
            **call(15),
            "command": "echo y >> README.md; exit 7",
            "description": "b",
            "error": "Exit code 7",
        },
    ),
    "a command goes to the background": (
        recorded("tools", "PostToolUse", "Bash", backgroundTaskId="b95yaagor"),
        {
            **BASH,
            **call(25),
            "command": "sleep 1; echo bg > bg.txt",
            "description": "b",
            "background": True,
        },
    ),
    "a subagent begins": (
        recorded("subagent", "PreToolUse", "Agent"),
        {**BEGIN, "tool": "Agent", **call(1), "description": "d SUB-ONE"},
    ),
    "a subagent ends": (
        recorded("subagent", "PostToolUse", "Agent"),
        {**END, "tool": "Agent", **call(1), "description": "d SUB-ONE", "result": "completed"},
    ),
    "a subagent goes to the background": (
        recorded("subagent", "PostToolUse", "Agent", isAsync=True),
        {
            **END,
            "tool": "Agent",
            **call(15),
            "description": "d SUB-BG",
            "result": "async_launched",
            "launched": "a7de635a4f60a5807",
        },
    ),
    "a search for tools begins": (
        recorded("tools", "PreToolUse", "ToolSearch"),
        {**BEGIN, "tool": "ToolSearch", **call(1)},
    ),
    "a search for tools ends": (
        recorded("tools", "PostToolUse", "ToolSearch"),
        {**END, "tool": "ToolSearch", **call(1)},
    ),
    "a skill begins": (
        recorded("tools", "PreToolUse", "Skill"),
        {**BEGIN, "tool": "Skill", **call(9)},
    ),
    "a skill ends": (
        recorded("tools", "PostToolUse", "Skill"),
        {**END, "tool": "Skill", **call(9)},
    ),
}

MADE_UP = {
    "a file in a subagent": (
        pre("Edit", {"file_path": f"{P}/a.py"}, agent_id="a1", agent_type="general-purpose"),
        {
            **BEGIN,
            "tool": "Edit",
            "agent": "a1",
            "agent_type": "general-purpose",
            "path": "a.py",
        },
    ),
    "a file given relative to the working directory": (
        pre("Edit", {"file_path": "a.py"}, cwd=f"{P}/src"),
        {**BEGIN, "tool": "Edit", "path": "src/a.py"},
    ),
    "a file without a working directory": (
        {**pre("Edit", {"file_path": "a.py"}), "cwd": None},
        {**BEGIN, "tool": "Edit", "path": "a.py"},
    ),
    "a file by a crooked path": (
        pre("Edit", {"file_path": f"{P}/src/./../src//a.py"}),
        {**BEGIN, "tool": "Edit", "path": "src/a.py"},
    ),
    "a file outside the project": (
        pre("Edit", {"file_path": "/etc/hosts"}),
        {**BEGIN, "tool": "Edit", "path": "/etc/hosts"},
    ),
    "a file beside the project": (
        pre("Edit", {"file_path": f"{P}/../neighbour.py"}),
        {**BEGIN, "tool": "Edit", "path": "/home/dev/neighbour.py"},
    ),
    "a directory whose name begins like the project's": (
        pre("Edit", {"file_path": f"{P}-two/a.py"}),
        {**BEGIN, "tool": "Edit", "path": f"{P}-two/a.py"},
    ),
    "the project itself": (
        pre("Glob", {"pattern": "*", "path": P}),
        {**BEGIN, "tool": "Glob", "path": "."},
    ),
    "a file with a line break in its name": (
        pre("Edit", {"file_path": f"{P}/a\nb.py"}),
        {**BEGIN, "tool": "Edit", "path": "a\nb.py"},
    ),
    "a file with half a character in its name": (
        pre("Edit", {"file_path": f"{P}/a\ud800.py"}),
        {**BEGIN, "tool": "Edit", "path": "a\ud800.py"},
    ),
    "a file outside with half a character in its name": (
        pre("Edit", {"file_path": "/etc/a\ud800/b.py"}),
        {**BEGIN, "tool": "Edit", "path": "/etc/a\ud800/b.py"},
    ),
    "a file outside with a NUL in its name": (
        failed("Edit", {"file_path": "/etc/a\0/b.py"}, "no such file"),
        {**FAIL, "tool": "Edit", "path": "/etc/a\0/b.py", "error": "no such file"},
    ),
    "a tool nobody knows": (
        post("FrobnicateV2", {"file_path": f"{P}/a.py", "content": "no"}, {"ok": True}),
        {**END, "tool": "FrobnicateV2", "path": "a.py"},
    ),
    "a tool's input that is text": (
        post("Odd", "just text", "just text"),
        {**END, "tool": "Odd"},
    ),
    "a tool's input that is missing": (
        {"hook_event_name": "PreToolUse", "tool_name": "Odd"},
        {**BEGIN, "tool": "Odd"},
    ),
    "an MCP tool answers with text": (
        post("mcp__files__read_file", {"path": f"{P}/a.py"}, "contents"),
        {**END, "tool": "mcp__files__read_file", "path": "a.py"},
    ),
    "an MCP tool answers with blocks": (
        post("mcp__x__y", {"path": "a.py"}, [{"type": "text", "text": "contents"}]),
        {**END, "tool": "mcp__x__y", "path": "a.py"},
    ),
    "an MCP tool answers with an object": (
        post("mcp__x__y", {"id": 7}, {"content": [{"text": "contents"}]}),
        {**END, "tool": "mcp__x__y"},
    ),
    "an MCP tool fails": (
        failed("mcp__x__y", {}, "boom\nand the rest"),
        {**FAIL, "tool": "mcp__x__y", "error": "boom"},
    ),
    "a notebook's edit that fails in its answer": (
        post("NotebookEdit", {"notebook_path": f"{P}/n.ipynb"}, {"error": "Cell not found"}),
        {**END, "tool": "NotebookEdit", "path": "n.ipynb", "error": "Cell not found"},
    ),
    "a write that is only staged": (
        post("Write", {"file_path": f"{P}/a.py"}, {"type": "create", "staged": True}),
        {**END, "tool": "Write", "path": "a.py", "result": "create", "staged": True},
    ),
    "a command that was interrupted": (
        post("Bash", {"command": "sleep 9"}, {"interrupted": True}),
        {**BASH, "command": "sleep 9", "interrupted": True},
    ),
    "a call that the user interrupted": (
        failed("Read", {"file_path": f"{P}/a.py"}, "Interrupted", is_interrupt=True),
        {**FAIL, "tool": "Read", "path": "a.py", "interrupted": True, "error": "Interrupted"},
    ),
    "a page is fetched": (
        pre("WebFetch", {"url": "https://example.com/a", "prompt": "what is it?"}),
        {**BEGIN, "tool": "WebFetch", "url": "https://example.com/a"},
    ),
    "a command creates, changes and deletes": (
        post(
            "Bash",
            {"command": "make"},
            diff(f"{P}/a", f"{P}/b", f"{P}/c", created=[f"{P}/a"], deleted=[f"{P}/b"]),
        ),
        {**BASH, "command": "make", "created": ["a"], "deleted": ["b"], "changed": ["c"]},
    ),
    "a command's change that is only among the files": (
        post("Bash", {"command": "make"}, diff(changed=[f"{P}/a"])),
        {**BASH, "command": "make", "changed": ["a"]},
    ),
    "a command's changes of odd types": (
        post(
            "Bash",
            {"command": "make"},
            {"bashEditDiff": {"files": [7, None, {"filePath": []}], "changedFiles": [7, f"{P}/a"]}},
        ),
        {**BASH, "command": "make", "changed": ["a"]},
    ),
    "a command's changes that are no text": (
        post("Bash", {"command": "make"}, {"bashEditDiff": {"changedFiles": [["a"], {"b": 1}]}}),
        {**BASH, "command": "make"},
    ),
    "a request of 301 characters": (
        prompt("x" * 301),
        {"event": "UserPromptSubmit", "text": "x" * 300},
    ),
    "a request of 301 Chinese characters": (
        prompt("\u4e2d" * 301),
        {"event": "UserPromptSubmit", "text": "\u4e2d" * 300},
    ),
    "a request of 301 emoji": (
        prompt("\U0001f600" * 301),
        {"event": "UserPromptSubmit", "text": "\U0001f600" * 300},
    ),
    "a request that is no text": (prompt(["go"]), {"event": "UserPromptSubmit", "text": ""}),
    "a request that the client keeps no transcript of": (
        prompt("in confidence", transcript_path=""),
        {"event": "UserPromptSubmit"},
    ),
    "a request before the client made its transcript": (
        prompt("go", transcript_path="/nowhere/s.jsonl"),
        {"event": "UserPromptSubmit", "text": "go"},
    ),
    "a background task that ended": (
        prompt("<task-notification>\n<task-id>b1</task-id>\n</task-notification>"),
        {"event": "UserPromptSubmit", "notification": True},
    ),
    "Claude stops with tasks in the background": (
        {"hook_event_name": "Stop", "background_tasks": [{"id": "b1"}, {"id": "b2"}]},
        {"event": "Stop", "background_tasks": 2},
    ),
    "every field of a wrong type": (
        {
            "hook_event_name": "PostToolUse",
            "tool_name": "Write",
            "tool_use_id": 7,
            "agent_id": [],
            "permission_mode": {},
            "tool_input": ["file_path"],
            "tool_response": 7,
            "error": {},
            "is_interrupt": "yes",
            "background_tasks": "many",
        },
        {**END, "tool": "Write"},
    ),
    "a tool without a name": (
        {"hook_event_name": "PostToolUse", "tool_name": 7, "tool_input": {"file_path": "a"}},
        END,
    ),
}

HEREDOCS = {
    "one": "cat > a.txt <<EOF\nBODY\nEOF\necho done",
    "a quoted one": "cat > a.txt <<'EOF'\nBODY $x\nEOF\necho done",
    "one in double quotes": 'cat > a.txt <<"END"\nBODY\nEND\necho done',
    "one with a backslash": "cat > a.txt <<\\EOF\nBODY\nEOF\necho done",
    "an indented one": "cat <<-EOF > a.txt\n\tBODY\n\tEOF\necho done",
    "one after a space": "cat << EOF > a.txt\nBODY\nEOF\necho done",
    "one that is piped": "cat <<EOF | tee a.txt\nBODY\nEOF\necho done",
    "one right before a pipe": "cat <<EOF|tee a.txt\nBODY\nEOF\necho done",
    "one right before a file": "cat <<EOF>a.txt\nBODY\nEOF\necho done",
    "one in a substitution": 'git commit -m "$(cat <<EOF\nBODY\nEOF\n)"\necho done',
    "two in one line": "cat <<A <<B > a.txt\nBODY\nA\nBODY\nB\necho done",
    "two after each other": "cat <<A > a\nBODY\nA\ncat <<B > b\nBODY\nB\necho done",
    "one that holds its own name indented": "cat > x <<'EOF'\n  EOF\nBODY\nEOF\necho done",
    "one that holds its own name and a space": "cat > x <<'EOF'\nEOF \nBODY\nEOF\necho done",
    "one that ends at an empty line": "cat > a.txt <<''\nBODY\n\necho done",
    "one whose end has two words": "cat > a.txt <<'END OF IT'\nBODY\nEND OF IT\necho done",
    "one after a here-string": "cat <<<'x' <<EOF > a.txt\nBODY\nEOF\necho done",
    "a patch of apply_patch": "echo done; cat; apply_patch '*** Begin Patch\n*** Update File: a\n@@\n-BODY\n+BODY\n*** End Patch'",
    "a patch in one": "cat; apply_patch <<'EOF'\n*** Begin Patch\n+BODY\n*** End Patch\nEOF\necho done",
    "a patch on one line": 'echo done; cat; ["apply_patch", "*** Begin Patch\\\\n+BODY\\\\n*** End Patch"]',
    "a patch without an end": "echo done; cat; apply_patch '*** Begin Patch\n+BODY\n BODY",
    "a diff for git apply": "cat; git apply <<E\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-BODY\nE\necho done",
    "a diff for patch": "cat; patch -p1 <<'E'\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n+BODY\nE\necho done",
    "a diff in quotes": "cat; echo '--- a/x\n+++ b/x\n@@ -1 +1 @@\n-BODY\n BODY\n\n' | patch -p1; echo done".replace(
        "\n\n'", "\n+BODY\n'"
    ),
    "one without an end": "echo done; cat > a.txt <<EOF\nBODY\nBODY",
}

CASES = {**RECORDED, **MADE_UP}


def in_project(value, project: Path):
    """The same, with the paths of a test's own project."""
    text = json.dumps(value).replace(P, str(project))
    return json.loads(text.replace("/home/dev/", f"{project.parent}/"))


def facts_of(event: dict, project: Path) -> list[dict]:
    """What the pure function makes of an event."""
    fields = journal.parse(json.dumps(event))
    return journal.facts_of(journal.Event(fields, "none"), str(project))


def kept(hooks, session: str = "s1") -> list[dict]:
    """The records of a session's journal, each of them checked for its frame."""
    data = (hooks.directory / "sessions" / f"{session}.jsonl").read_bytes()
    lines = re.findall(rb"\n([^\n]*)\n", data)
    assert b"".join(b"\n%b\n" % line for line in lines) == data
    assert data.isascii()
    assert all(0 < len(line) + 2 <= 4096 for line in lines), max(map(len, lines))
    return [json.loads(line) for line in lines]


def bare(records: list[dict]) -> list[dict]:
    """Records without what every record has."""
    assert all(set(record) >= SIGN for record in records)
    return [{name: record[name] for name in record if name not in SIGN} for record in records]


# --- what is kept of an event ------------------------------------------------------------------


def test_the_table_has_every_recorded_event_that_reaches_a_hook():
    there = {
        (event["hook_event_name"], event.get("tool_name", ""))
        for file in PAYLOADS.glob("*.jsonl")
        for event in payloads(file.stem, Path(P))
        if event["hook_event_name"] in SCRIPTS
    }
    assert there == {
        (event["hook_event_name"], event.get("tool_name", "")) for event, _ in RECORDED.values()
    }


@pytest.mark.parametrize(("event", "expected"), CASES.values(), ids=CASES)
def test_what_is_kept(event, expected, tmp_path, monkeypatch):
    project = tmp_path / "project"
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(project))
    event = in_project({"cwd": P, **event}, project)
    assert facts_of(event, project) == [in_project(expected, project)]


@pytest.mark.parametrize(
    ("event", "expected"),
    [case for case in CASES.values() if case[0]["hook_event_name"] != "SessionStart"],
    ids=[name for name, (event, _) in CASES.items() if event["hook_event_name"] != "SessionStart"],
)
def test_what_is_on_disk(hooks, event, expected):
    hooks.send(in_project({"cwd": P, **event, "session_id": "s1"}, hooks.project))
    records = [each for each in bare(kept(hooks)) if each["event"] != "Worktree"]  # a stop's look
    assert records == [in_project(expected, hooks.project)]


@pytest.mark.parametrize("name", sorted(file.stem for file in PAYLOADS.glob("*.jsonl")))
def test_every_recorded_tool_call_and_request_is_on_disk(hooks, name, monkeypatch):
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(hooks.project))
    quick = {"PreToolUse", "PostToolUse", "PostToolUseFailure", "UserPromptSubmit"}
    events = [e for e in payloads(name, hooks.project) if e["hook_event_name"] in quick]
    expected: dict[str, list[dict]] = {}
    for event in events:
        hooks.send(event)
        expected.setdefault(event["session_id"], []).extend(facts_of(event, hooks.project))
    for session, facts in expected.items():
        assert bare(kept(hooks, session)) == facts


@pytest.mark.parametrize("command", HEREDOCS.values(), ids=HEREDOCS)
def test_a_heredoc_is_kept_without_its_body(command):
    text = without_contents(command)
    assert "BODY" not in text
    assert "cat" in text
    assert "echo done" in text


def test_a_command_without_a_heredoc_is_kept_whole():
    for command in ("cat <<<'one line' && ls", "ls -la\nmake test", "git commit -m 'a < b'"):
        assert without_contents(command) == command


def test_no_heredocs_body_is_on_disk(hooks):
    for number, command in enumerate(HEREDOCS.values()):
        hooks.call("s1", "Bash", f"t{number}", {"command": command})
    assert len(kept(hooks)) == 2 * len(HEREDOCS)
    assert_nowhere(hooks, "BODY")


def assert_nowhere(hooks, *texts: str) -> None:
    """None of the texts is in any file or name of the state directory, or of the user's."""
    for root in (hooks.directory, hooks.home):
        for file in root.rglob("*"):
            data = file.read_bytes() if file.is_file() else b""
            for text in texts:
                assert text.encode() not in data, file
                assert text not in file.name


CANARY = "CANARY-7f3a"
CONTENTS = {
    "a written file": post(
        "Write",
        {"file_path": f"{P}/a", "content": CANARY},
        {"type": "update", "content": CANARY, "originalFile": CANARY, "structuredPatch": [CANARY]},
    ),
    "an edited file": post(
        "Edit",
        {"file_path": f"{P}/a", "old_string": CANARY, "new_string": CANARY},
        {"oldString": CANARY, "newString": CANARY, "originalFile": CANARY},
    ),
    "a file with many edits": post(
        "MultiEdit",
        {"file_path": f"{P}/a", "edits": [{"old_string": CANARY, "new_string": CANARY}]},
        {"originalFileContents": CANARY},
    ),
    "a read file": post(
        "Read",
        {"file_path": f"{P}/a"},
        {"type": "text", "file": {"filePath": f"{P}/a", "content": CANARY}},
    ),
    "a notebook": post(
        "NotebookEdit",
        {"notebook_path": f"{P}/n.ipynb", "new_source": CANARY},
        {"new_source": CANARY, "old_source": CANARY, "original_file": CANARY, "error": ""},
    ),
    "a command's output": post(
        "Bash",
        {"command": "cat a"},
        {
            "stdout": CANARY,
            "stderr": CANARY,
            "bashEditDiff": {
                "files": [{"filePath": f"{P}/a", "hunks": [{"lines": [f"+{CANARY}"]}]}],
                "changedFiles": [f"{P}/a"],
            },
        },
    ),
    "a failed command's output": failed("Bash", {"command": "cat a"}, f"Exit code 1\n{CANARY}"),
    "a failed command's output after a carriage return": failed(
        "Bash", {"command": "cat a"}, f"Exit code 1\r\n{CANARY}"
    ),
    "a failed edit": failed(
        "Edit",
        {"file_path": f"{P}/a", "old_string": CANARY},
        f"String to replace not found in file.\nString: {CANARY}",
    ),
    "an MCP tool's text": post("mcp__x__y", {"text": CANARY}, CANARY),
    "an MCP tool's blocks": post("mcp__x__y", {}, [{"type": "text", "text": CANARY}]),
    "an MCP tool's object": post("mcp__x__y", {"body": CANARY}, {"result": CANARY}),
    "a subagent's work": post(
        "Agent",
        {"description": "look", "prompt": CANARY},
        {"status": "completed", "prompt": CANARY, "content": [{"type": "text", "text": CANARY}]},
    ),
    "Claude's last words": {
        "hook_event_name": "Stop",
        "last_assistant_message": CANARY,
        "background_tasks": [{"id": "b", "description": CANARY}],
    },
    "Claude's last words at an error": {
        "hook_event_name": "StopFailure",
        "error": "rate_limit",
        "last_assistant_message": CANARY,
    },
    "a compaction's instructions": {
        "hook_event_name": "PreCompact",
        "trigger": "manual",
        "custom_instructions": CANARY,
    },
    "a request beyond its first 300 characters": prompt("x " * 150 + CANARY),
}


@pytest.mark.parametrize("event", CONTENTS.values(), ids=CONTENTS)
def test_contents_are_never_on_disk(hooks, event):
    event = in_project({"cwd": P, "session_id": "s1", **event}, hooks.project)
    if "tool_name" in event:
        hooks.send({**event, "hook_event_name": "PreToolUse"})
    hooks.send(event)
    hooks.stop("s1")
    assert len(kept(hooks)) >= 2
    assert_nowhere(hooks, CANARY)


def test_a_write_of_five_megabytes_is_recorded_in_a_few_bytes(hooks):
    content = f"{CANARY} \u00e9\u4e2d\n" * 250_000
    given = {"file_path": str(hooks.project / "big.txt"), "content": content}
    response = {"type": "create", "content": content, "originalFile": None}
    hooks.call("s1", "Write", "t1", given, response)
    assert [record["path"] for record in kept(hooks)] == ["big.txt", "big.txt"]
    assert_nowhere(hooks, CANARY)
    assert (hooks.directory / "sessions" / "s1.jsonl").stat().st_size < 1000


# --- the frame ---------------------------------------------------------------------------------

LONG = "l" * 5000
HEAVY = {
    "a path of 10,000 characters": post("Write", {"file_path": f"{P}/" + "d/" * 5000}, {}),
    "a path of 10,000 Chinese characters": post("Write", {"file_path": f"{P}/" + "中" * 9999}, {}),
    "a path of 10,000 emoji outside the project": post(
        "Write", {"file_path": "/" + "😀" * 9999}, {}
    ),
    "a path of 10,000 half characters": post("Write", {"file_path": f"{P}/" + "\ud83d" * 9999}, {}),
    "a command of 10,000 control characters": pre("Bash", {"command": "\x01" * 10_000}),
    "a prompt of 10,000 emoji": prompt("😀" * 10_000),
    "a prompt of 10,000 quotes": prompt('"' * 10_000),
    "everything a call can have at its longest": failed(
        LONG,
        {"file_path": f"/{LONG}", "command": LONG, "description": LONG, "url": LONG},
        LONG,
        tool_use_id=LONG,
        agent_id=LONG,
        agent_type=LONG,
        permission_mode=LONG,
        source=LONG,
        trigger=LONG,
        reason=LONG,
        tool_response={"type": LONG, "isAsync": True, "agentId": LONG, "staged": True},
    ),
    "a long command with many changes in a subagent": post(
        "Bash",
        {"command": "sed -i s/a/b/ " + "f " * 2000, "description": "change " * 100},
        diff(*[f"{P}/src/module_{number:03d}/index.ts" for number in range(200)]),
        tool_use_id="toolu_" + "0" * 24,
        agent_id="a7de635a4f60a5807",
        agent_type="general-purpose",
        permission_mode="bypassPermissions",
    ),
    "changes of long paths": post(
        "Bash",
        {"command": "x" * 5000, "description": "y" * 500},
        diff(*[f"{P}/{number}/" + "é" * 2000 for number in range(20)]),
    ),
    "Claude stops at an error of 10,000 characters": {
        "hook_event_name": "StopFailure",
        "error": "中" * 10_000,
    },
}


@pytest.mark.parametrize("event", HEAVY.values(), ids=HEAVY)
def test_no_record_is_longer_than_four_kilobytes(event, tmp_path, monkeypatch):
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", P)
    for facts in facts_of(event, Path(P)):
        signed = {"v": 1, "at": journal.now(), **facts}
        assert len(journal.sign("s" * 128, signed, b"k" * 32)) <= 4096


@pytest.mark.parametrize("event", HEAVY.values(), ids=HEAVY)
def test_no_record_on_disk_is_longer_than_four_kilobytes(hooks, event):
    hooks.send(in_project({"cwd": P, **event, "session_id": "s1"}, hooks.project))
    assert kept(hooks)


def test_long_paths_keep_their_head_and_stay_different():
    heads = "/p/" + "directory/" * 500
    one, other = (journal.locate(heads + name, "/p", "/p") for name in ("a.py", "b.py"))
    assert one != other
    assert one.startswith("directory/directory/")
    assert len(one) <= 1500


def test_many_changes_are_one_write_of_several_records(hooks, monkeypatch):
    paths = [f"{P}/src/module_{number:03d}/index.ts" for number in range(200)]
    event = in_project(
        post("Bash", {"command": "make"}, diff(*paths), tool_use_id="t1", agent_id="a1"),
        hooks.project,
    )
    hooks.send({**event, "session_id": "s1", "cwd": str(hooks.project)})
    first, *rest = kept(hooks)
    assert len(rest) >= 2
    changed = [path for record in (first, *rest) for path in record["changed"]]
    assert changed == [path[len(P) + 1 :] for path in paths]
    assert "more" not in first
    for record in rest:
        assert (record["more"], record["tool"], record["call"]) == (True, "Bash", "t1")
        assert "command" not in record
    assert len({record["at"] for record in (first, *rest)}) == 1


def test_records_that_belong_together_are_appended_by_one_write(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "k")
    writes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(data) or real(fd, data))
    state = str(tmp_path / ".claude" / "state")
    journal.write(state, "s1", {"event": "A"}, {"event": "B"}, {"event": "C"})
    assert len([data for data in writes if b'"event"' in data]) == 1


def test_a_record_says_its_version_time_and_check_and_begins_with_the_event(hooks):
    hooks.prompt("s1")
    (record,) = kept(hooks)
    assert record["v"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["at"])
    assert re.fullmatch(r"[0-9a-f]{8}\.[0-9a-f]{16}", record["check"])
    assert list(record) == ["v", "at", "event", "text", "check"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON_VALUES, min_size=1))
def test_a_signed_record_is_one_ascii_line_that_json_reads_back(facts):
    facts = {"v": 1, **facts}
    facts.pop("check", None)
    line = journal.sign("s1", facts, b"k" * 32)
    assert (line[:1], line[-1:]) == (b"\n", b"\n")
    assert line.isascii()
    assert b"\n" not in line[1:-1]
    record = json.loads(line)
    del record["check"]
    assert record == facts


@pytest.mark.parametrize("write", [0, 1], ids=[".gitignore", "README"])
def test_what_initializes_the_directory_is_whole_though_its_writer_was_killed(tmp_path, write):
    (tmp_path / "project").mkdir()
    directory = tmp_path / "project" / ".claude" / "state"
    child = os.fork()
    if child == 0:
        real, calls = os.write, itertools.count()
        os.write = lambda *a: os._exit(9) if next(calls) == write else real(*a)
        os.close(journal.open_sessions(str(directory)))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    os.close(journal.open_sessions(str(directory)))
    assert (directory / ".gitignore").read_bytes() == first_use.GITIGNORE
    assert (directory / "README").read_bytes() == first_use.README


# --- the key and the check ---------------------------------------------------------------------


def test_the_check_is_a_digest_of_the_session_and_the_record():
    line = journal.sign("s1", {"v": 1}, b"k" * 32)
    digest = blake2b(b's1\n{"v":1', digest_size=32).digest()
    keyed = blake2b(digest, digest_size=8, key=b"k" * 32).hexdigest()
    assert json.loads(line)["check"] == f"{digest.hex()[:8]}.{keyed}"


def test_the_check_differs_by_session_key_and_content():
    body, key = b'{"v":1', b"k" * 32
    checks = {
        journal.check("s1", body, key),
        journal.check("s2", body, key),
        journal.check("s1", body + b" ", key),
        journal.check("s1", body, b"l" * 32),
    }
    assert len(checks) == 4


def key_file(hooks) -> Path:
    """Where the key lies when nothing says otherwise."""
    return hooks.home / ".local" / "state" / "workflow-state" / "key"


HOME = [".gitignore", "README", "key"]


def unkeyed(state: Path, session: str = "s1") -> bool:
    """Whether a session's records are whole and signed without a key."""
    text = (state / "sessions" / f"{session}.jsonl").read_bytes()
    parts = [line.rpartition(b',"check":"') for line in text.split(b"\n") if line]
    return bool(parts) and all(
        check == journal.check(session, body, b"").encode() + b'"}' for body, _, check in parts
    )


def checks(hooks, session: str = "s1") -> list[str]:
    """The check values of a session's records."""
    return [record["check"] for record in kept(hooks, session)]


def test_the_key_is_made_at_first_use_for_its_user_alone(hooks):
    hooks.prompt("s1")
    status = key_file(hooks).stat()
    assert (status.st_size, status.st_mode & 0o777) == (32, 0o600)
    assert key_file(hooks).parent.stat().st_mode & 0o777 == 0o700
    before = key_file(hooks).read_bytes()
    hooks.prompt("s1")
    assert key_file(hooks).read_bytes() == before


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EINTR])
def test_a_key_that_cannot_be_read_now_is_not_taken_for_none(number, tmp_path, monkeypatch):
    """Or what the user recorded would be foreign, and a checkpoint made of it empty."""
    state = State(str(tmp_path / "state"), "s1")
    journal.write(state.directory, "s1", {"event": "Phase", "phase": "build", "pinned": True})
    state.checkpoint_session("Stop")
    real, key = os.open, journal.key_path()

    def failing(path, *given, **named):
        if path == key:
            raise OSError(number, os.strerror(number), path)
        return real(path, *given, **named)

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(journal.Unusable, match=os.strerror(number)):
        journal.write(state.directory, "s1", {"event": "Unlink"})
    with pytest.raises(StateError, match=os.strerror(number)):
        state.checkpoint_session("Stop")
    monkeypatch.setattr(os, "open", real)
    assert State(state.directory, "").load_state("current_phase") == "build"
    assert state.session_state()["current_phase"] == "build"


def test_a_relative_state_home_is_not_used(hooks):
    hooks.environment["XDG_STATE_HOME"] = "xdg"
    hooks.prompt("s1")
    assert key_file(hooks).exists()
    assert not (hooks.project / "xdg").exists()


def test_the_record_on_disk_is_keyed_with_the_key_on_disk(hooks):
    hooks.prompt("s1")
    line = (hooks.directory / "sessions" / "s1.jsonl").read_bytes().strip()
    body, _, rest = line.rpartition(b',"check":"')
    key = key_file(hooks).read_bytes()
    assert rest == journal.check("s1", body, key).encode() + b'"}'


def test_a_key_from_the_environment_stands_in_for_the_file(hooks):
    hooks.environment["WORKFLOW_STATE_KEY"] = "of a container"
    hooks.prompt("s1")
    assert not key_file(hooks).exists()
    line = (hooks.directory / "sessions" / "s1.jsonl").read_bytes().strip()
    key = blake2b(b"of a container", digest_size=32).digest()
    body, _, rest = line.rpartition(b',"check":"')
    assert rest == journal.check("s1", body, key).encode() + b'"}'


def test_without_a_key_events_are_recorded_all_the_same(hooks):
    state = hooks.project / "chosen"
    # No key can be made there.
    hooks.environment.update(WORKFLOW_STATE_DIR=str(state), HOME="/proc/self/fdinfo")
    hooks.prompt("s1")
    assert unkeyed(state)


def test_a_state_has_the_same_name_in_every_locale(monkeypatch):
    path = "/w/pr\u00f6jekt \u4e2d"
    expected = journal.project_entry(path)
    assert "/pr_jekt__-" in expected
    monkeypatch.setattr(journal, "FILE_SYSTEM", "ascii")
    assert journal.project_entry(journal.native(path)) == expected


def spoil_key(how: str, path: Path) -> None:
    """Put something at the key's place that is not a key of this user's alone."""
    good = path.parent / "good"
    good.write_bytes(b"k" * 32)
    good.chmod(0o600)
    if how == "readable by all":
        good.chmod(0o644)
        good.rename(path)
    elif how == "writable by the group":
        good.chmod(0o620)
        good.rename(path)
    elif how == "a symlink":
        path.symlink_to(good)
    elif how == "a FIFO":
        os.mkfifo(path, 0o600)
    elif how == "a directory":
        path.mkdir(mode=0o700)
    elif how == "too long":
        path.touch(0o600)
        path.write_bytes(b"k" * 33)


@pytest.mark.parametrize(
    "how",
    [
        "readable by all",
        "writable by the group",
        "a symlink",
        "a FIFO",
        "a directory",
        "too long",
    ],
)
def test_a_key_that_is_not_the_users_alone_is_not_used(hooks, how):
    path = key_file(hooks)
    path.parent.mkdir(parents=True)
    spoil_key(how, path)
    hooks.prompt("s1")
    assert unkeyed(hooks.directory)


def test_a_home_on_a_read_only_disk_gives_no_key(monkeypatch):
    def read_only(*_arguments, **_options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "mkdir", read_only)
    assert journal.read_key(make=True) == b""


def test_twenty_hooks_at_once_agree_on_one_key(hooks):
    event = json.dumps({"prompt": "go", "session_id": "s1"}).encode()
    command = [hooks.python, "-I", "-S", str(ROOT / "hooks" / "user_prompt.py")]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, env=hooks.env(), cwd=hooks.project)
        for _ in range(20)
    ]
    # All have started and wait for their event before the first one gets it.
    for process in processes:
        process.stdin.write(event)
    for process in processes:
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0] * 20
    key = key_file(hooks).read_bytes()
    assert sorted(os.listdir(key_file(hooks).parent)) == [*HOME, "projects"]
    lines = (hooks.directory / "sessions" / "s1.jsonl").read_bytes().split(b"\n")[1::2]
    assert len(lines) == 20
    for line in lines:
        body, _, rest = line.rpartition(b',"check":"')
        assert rest == journal.check("s1", body, key).encode() + b'"}'


# --- the parser --------------------------------------------------------------------------------

NUMBERS = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=()))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)
SPACES = st.text(" \t\n\r", max_size=3)


@given(
    st.dictionaries(TEXTS, VALUES),
    st.sampled_from([None, 0, 1, "\t"]),
    st.booleans(),
    SPACES,
    SPACES,
    st.sampled_from(["", "\ufeff"]),
)
def test_an_object_is_parsed_as_json_parses_it(value, indent, ascii_only, before, after, mark):
    text = before + json.dumps(value, indent=indent, ensure_ascii=ascii_only) + after
    assert journal.parse(mark + text) == json.loads(text) == value


def test_a_deadline_in_the_middle_of_parsing_is_no_fault_of_the_event(monkeypatch):
    def give_up(_settings):
        raise journal.Unusable("gave up after 5 seconds")

    monkeypatch.setattr(journal, "make_scanner", give_up)
    with pytest.raises(journal.Unusable, match="gave up after 5 seconds"):
        journal.parse("{}")


@given(st.dictionaries(TEXTS, VALUES), st.data())
def test_what_json_refuses_is_refused(value, data):
    text = json.dumps(value)
    at = data.draw(st.integers(0, len(text)))
    broken = text[:at] + data.draw(st.sampled_from(list('{}[]",:x0-\\\x01'))) + text[at + 1 :]
    try:
        expected = json.loads(broken)
    except ValueError:
        expected = None
    if type(expected) is dict:
        assert journal.parse(broken) == expected
    else:
        with pytest.raises(journal.Unusable):
            journal.parse(broken)


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "replace")))
def test_any_text_is_an_object_or_refused(text):
    try:
        assert type(journal.parse(text)) is dict
    except journal.Unusable:
        pass


DROPPED = {
    "a number of 20 digits": ("1" * 20, None),
    "a number of a million digits": ("1" * 1_000_000, None),
    "a negative number of a million digits": ("-" + "1" * 1_000_000, None),
    "NaN": ("NaN", None),
    "an infinity": ("-Infinity", None),
    "a number beyond all floats": ("1e999", math.inf),
    "a number of 18 digits": ("9" * 18, 10**18 - 1),
}


@pytest.mark.parametrize(("number", "expected"), DROPPED.values(), ids=DROPPED)
def test_numbers_that_no_event_needs_are_dropped(number, expected):
    assert journal.parse(f'{{"a": {number}, "b": 1}}') == {"a": expected, "b": 1}


def test_the_last_of_two_equal_names_counts():
    assert journal.parse('{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize(
    ("options", "value", "kept"),
    [
        ([], "", True),
        (["-p", "x --no-session-persistence"], "0", True),
        (["-p", "x", "--no-session-persistence"], "", False),
        ([], "1", False),
    ],
)
def test_a_client_that_keeps_nothing_leaves_no_request(hooks, options, value, kept):
    """Its events are like any other's: its command line and its environment tell."""
    client = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        client.stdout.readline()  # it has its command line now
        hooks.environment["CLAUDE_PID"] = str(client.pid)
        hooks.environment["CLAUDE_CODE_SKIP_PROMPT_HISTORY"] = value
        hooks.prompt("s", "in confidence", prompt_id="1")
        hooks.call("s", "Write", "1", {"file_path": f"{hooks.project}/a.py"})
        hooks.stop("s", last_assistant_message="in confidence")
    finally:
        client.communicate(b"\n")
    state = b"".join(path.read_bytes() for path in hooks.directory.rglob("*") if path.is_file())
    assert (b"in confidence" in state) is kept
    assert list(hooks.show("s")["files_processed"]) == ["a.py"]
