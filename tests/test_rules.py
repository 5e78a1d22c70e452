"""What recorded calls mean: phases of tools and commands, files changed and read, settings."""

from __future__ import annotations

import json

import pytest

from lib.project import place
from lib.recording import journal
from lib.recording.heredocs import without_contents
from lib.session import fold, states
from lib.session.rules import PHASES, Rules, matches

TOOLS = {
    "reading is scouting": ("Read", "scout"),
    "searching is scouting": ("Grep", "scout"),
    "listing is scouting": ("Glob", "scout"),
    "looking in the web is scouting": ("WebSearch", "scout"),
    "an MCP reader is scouting": ("mcp__fs__read_text_file", "scout"),
    "an MCP search is scouting": ("mcp__github__search_code", "scout"),
    "entering plan mode is planning": ("EnterPlanMode", "plan"),
    "leaving plan mode is still planning": ("ExitPlanMode", "plan"),
    "writing is building": ("Write", "build"),
    "editing is building": ("Edit", "build"),
    "a notebook is building": ("NotebookEdit", "build"),
    "an MCP writer is building": ("mcp__fs__write_file", "build"),
    "a subagent alone means nothing": ("Agent", None),
    "a shell alone means nothing": ("Bash", None),
    "a list of things to do means nothing": ("TodoWrite", None),
    "an unknown tool means nothing": ("NoSuchTool", None),
    "names are case sensitive": ("write", None),
    "an MCP tool of another name means nothing": ("mcp__db__query", None),
    "a name that only contains a tool's name means nothing": ("ReadX", None),
}


@pytest.mark.parametrize(("tool", "phase"), TOOLS.values(), ids=TOOLS)
def test_the_phase_of_a_tool(tool, phase):
    assert Rules().phase_of_tool(tool) == phase


COMMANDS = {
    # plain
    "a test runner": ("pytest -q", "test"),
    "a listing": ("ls -la src", "scout"),
    "a search": ("rg 'def main' src", "scout"),
    "a build": ("make", "build"),
    "a build of one target": ("cargo build --release", "build"),
    "an installation": ("npm install left-pad", "build"),
    "a file removed": ("rm -r old", "build"),
    "a commit": ("git commit -m x", "ship"),
    "a push": ("git push origin main", "ship"),
    "a release": ("npm publish", "ship"),
    "a pull request": ("gh pr create --fill", "ship"),
    "an unknown command": ("frobnicate --now", None),
    "an unknown subcommand": ("git gc", None),
    "nothing": ("", None),
    "only operators": ("&& ; |", None),
    "words are not prefixes": ("pytests -q", None),
    "spaces do not matter": ("git   commit   -m x", "ship"),
    # targets and scripts by name
    "a test target": ("make test-unit", "test"),
    "a check target": ("make check", "test"),
    "a deploy target": ("make deploy-prod", "ship"),
    "a test script": ("npm run test:unit", "test"),
    "a build script": ("npm run build:prod", "build"),
    "another script": ("npm run lint", None),
    "npm's short form": ("npm t", "test"),
    "go's tests": ("go test ./...", "test"),
    "a wrapper script of gradle": ("./gradlew test", "test"),
    "maven with an option first": ("mvn -q test", "test"),
    "several goals of maven": ("mvn clean test", "test"),
    # how a program is started
    "by a path": (".venv/bin/pytest", "test"),
    "as a module": ("python -m pytest tests", "test"),
    "as a module of python3": ("python3 -m pytest", "test"),
    "as a module of a versioned python": ("python3.11 -m pytest", "test"),
    "as a module of an environment's python": (".venv/bin/python -m pytest -q", "test"),
    "unittest as a module": ("python -m unittest discover", "test"),
    "a script of the project": ("python manage.py test app", "test"),
    "any other script": ("python script.py", None),
    "by uv": ("uv run pytest -x", "test"),
    "by uv, as a module": ("uv run python -m pytest", "test"),
    "by poetry": ("poetry run pytest", "test"),
    "by npx": ("npx vitest run", "test"),
    "by npx without asking": ("npx -y jest", "test"),
    "by pnpm": ("pnpm exec vitest", "test"),
    "by bundler": ("bundle exec rspec", "test"),
    "by bash -lc": ('bash -lc "pytest -q"', "test"),
    "by bash -c, after cd": ("bash -c 'cd x && npm test'", "test"),
    "by a path to sh": ('/bin/sh -c "git push"', "ship"),
    "by sudo": ("sudo make install", "build"),
    "by time": ("time pytest", "test"),
    "by timeout": ("timeout 60 pytest", "test"),
    "by env with assignments": ("env A=1 pytest", "test"),
    "after assignments": ("A=1 B=2 pytest", "test"),
    "after a quoted assignment": ('FOO="a b" pytest', "test"),
    "after cd": ("cd app && npm test", "test"),
    "after cd, by a path": ("cd app && ../.venv/bin/pytest", "test"),
    "in a subshell": ("(cd app && pytest)", "test"),
    "in a command substitution": ("result=$(pytest -q)", "test"),
    "in backquotes": ("echo `pytest`", "test"),
    "in the background": ("npm test &", "test"),
    "in a loop": ("for f in *.py; do pytest $f; done", "test"),
    "in a condition": ("if pytest; then echo good; fi", "test"),
    # options before the word that tells
    "git elsewhere": ("git -C sub commit -m x", "ship"),
    "git with a setting": ("git -c user.name=t -c user.email=t@e commit -qm x", "ship"),
    "git without a pager": ("git --no-pager log", "scout"),
    "make elsewhere": ("make -C sub test", "test"),
    "npm elsewhere": ("npm --prefix web test", "test"),
    "an option that tells": ("node --test", "test"),
    "without that option": ("node app.js", None),
    "sed that prints": ("sed -n 1,20p f", "scout"),
    "sed that edits": ("sed -i s/a/b/ f", "build"),
    "sed that keeps a copy": ("sed -i.bak s/a/b/ f", "build"),
    "a stash": ("git stash", "build"),
    "a list of stashes": ("git stash list", "scout"),
    "a tag": ("git tag v1", "ship"),
    "a list of tags": ("git tag -l", "scout"),
    # several commands
    "looking after the tests": ("pytest && git status", "test"),
    "looking before the commit": ("git status && git diff && git commit -m x", "ship"),
    "the last that is more than looking": ("pytest && git commit -m x && git push", "ship"),
    "tests after a build": ("make && make test", "test"),
    "looking alone": ("git log | head -3; git status", "scout"),
    "the output shortened": ("pytest -q | tail -5", "test"),
    "the output searched": ("npm test 2>&1 | grep -i fail", "test"),
    "one a line": ("cd app\npytest -q", "test"),
    # output into files
    "output into a file": ("echo hi > a.txt", "build"),
    "output added to a file": ("echo hi>>a.txt", "build"),
    "a file copied by cat": ("cat a > b", "build"),
    "an unknown command's output": ("frobnicate > out.txt", "build"),
    "a test's output": ("pytest > out.txt 2>&1", "test"),
    "errors to the same place": ("ls 2>&1", "scout"),
    "errors thrown away": ("ls 2>/dev/null", "scout"),
    "all thrown away": ("ls > /dev/null 2>&1", "scout"),
    "all thrown away, the short way": ("ls &>/dev/null", "scout"),
    "input from a file": ("wc -l < a.txt", "scout"),
    # quotes hide what is in them
    "a redirection in quotes": ('echo "a > b"', None),
    "a command in quotes": ("echo 'pytest; git push'", None),
    "a message in double quotes": ('git commit -m "run pytest; rm x > y"', "ship"),
    "a message in single quotes": ("git commit -m 'add; git status > log'", "ship"),
    "a message with escaped quotes": ('git commit -m "say \\"hi\\"; pytest"', "ship"),
    "a message of several lines": ('git commit -m "one\nmake test pass"', "ship"),
    "a message that was cut off": ('git commit -m "one\nmake test pass', "ship"),
    "a search for a command": ('grep -r "git push" .', "scout"),
    "awk's comparison": ("awk '$1 > 3' f", None),
    "which is not what it looks for": ("which pytest", "scout"),
}


@pytest.mark.parametrize(("command", "phase"), COMMANDS.values(), ids=COMMANDS)
def test_the_phase_of_a_command(command, phase):
    assert Rules().phase_of_command(command) == phase


HEREDOCS = {
    "a file written": ("cat > run.sh <<'EOF'\npytest\ngit push\nEOF", "build"),
    "a file added to, the other way round": ("cat <<EOF >> notes.md\nmake test\nEOF", "build"),
    "a script for python": ("python3 - <<'PY'\nimport pytest\nPY", None),
    "a commit as Claude writes it": (
        "git commit -m \"$(cat <<'EOF'\nDon't break\n\npytest; ls > x\nEOF\n)\"",
        "ship",
    ),
    "a command after it": ("cat > t.py <<EOF\nx\nEOF\npytest t.py", "test"),
    "an indented end": ("cat <<-END > a\n\tgit push\n\tEND\nmake test", "test"),
}


@pytest.mark.parametrize(("command", "phase"), HEREDOCS.values(), ids=HEREDOCS)
def test_what_a_here_document_holds_is_no_command(command, phase):
    assert Rules().phase_of_command(without_contents(command)) == phase


MODES = {
    "reading in plan mode is planning": ({"mode": "plan", "tool": "Read"}, "plan"),
    "a test in plan mode is planning": (
        {"mode": "plan", "tool": "Bash", "command": "pytest"},
        "plan",
    ),
    "a request in plan mode is planning": ({"mode": "plan"}, "plan"),
    "a request in another mode means nothing": ({"mode": "acceptEdits"}, None),
    "other modes leave the tool to tell": ({"mode": "default", "tool": "Read"}, "scout"),
    "no mode leaves the tool to tell": ({"tool": "Write"}, "build"),
    "a command tells for its tool": ({"tool": "Bash", "command": "pytest"}, "test"),
    "an unknown command that changed files is building": (
        {"tool": "Bash", "command": "./gen", "created": ["a"]},
        "build",
    ),
    "a looking command that changed files is building": (
        {"tool": "Bash", "command": "find . -delete", "deleted": ["a"]},
        "build",
    ),
    "tests that change files are tests": (
        {"tool": "Bash", "command": "pytest", "created": ["snapshot"]},
        "test",
    ),
}


@pytest.mark.parametrize(("record", "phase"), MODES.values(), ids=MODES)
def test_the_phase_of_a_record(record, phase):
    assert Rules().phase(record) == phase


def test_the_phases_by_weight():
    assert list(PHASES) == ["scout", "plan", "build", "test", "ship"]


# --- settings ----------------------------------------------------------------------------------

SETTINGS = {
    "a tool is added": ({"phases": {"ship": ["mcp__jira__*"]}}, "mcp__jira__close", "ship"),
    "what was there stays": ({"phases": {"ship": ["mcp__jira__*"]}}, "Write", "build"),
    "a phase of one's own": (
        {"phases": {"review": ["mcp__x__*review*"]}},
        "mcp__x__review",
        "review",
    ),
    "a tool is moved": ({"phases": {"review": ["Read"]}}, "Read", "review"),
    "a tool is moved to an earlier phase": ({"phases": {"plan": ["Write"]}}, "Write", "plan"),
    "the longest pattern decides": (
        {"phases": {"a": ["mcp__x__*"], "b": ["mcp__x__do*"]}},
        "mcp__x__do_it",
        "b",
    ),
    "a command is added": ({"phases": {"build": ["$ zig build"]}}, "$ zig build", "build"),
    "a command is moved": ({"phases": {"review": ["$ make"]}}, "$ make", "review"),
    "a command in full beats one with a star": (
        {"phases": {"ship": ["$ make test"]}},
        "$ make test",
        "ship",
    ),
    "a command with a star": ({"phases": {"ops": ["$ kubectl get*"]}}, "$ kubectl get-all", "ops"),
    "output into files is moved": ({"phases": {"notes": ["$ >"]}}, "$ echo a > b", "notes"),
    "a mode is moved": ({"phases": {"think": ["mode:plan"]}}, "mode:plan", "think"),
    "any tool is no mode": ({"phases": {"work": ["*"]}}, "mode:default", None),
    "replaced: only the given": (
        {"extend": False, "phases": {"look": ["Read"], "do": ["Write"]}},
        "Grep",
        None,
    ),
    "replaced: the given": ({"extend": False, "phases": {"do": ["Write"]}}, "Write", "do"),
    "replaced: no built-in command": ({"extend": False, "phases": {"do": ["Write"]}}, "$ ls", None),
    "replaced by nothing is not replaced": ({"extend": False}, "Write", "build"),
}


@pytest.mark.parametrize(("settings", "asked", "phase"), SETTINGS.values(), ids=SETTINGS)
def test_a_project_changes_the_phases(settings, asked, phase):
    rules = Rules(settings)
    record = {"tool": asked}
    if asked[:2] == "$ ":
        record = {"tool": "Bash", "command": asked[2:]}
    elif asked[:5] == "mode:":
        record = {"mode": asked[5:]}
    assert rules.phase(record) == phase


def test_the_first_phase_of_a_replaced_table_is_the_weakest():
    rules = Rules({"extend": False, "phases": {"look": ["$ a"], "do": ["$ b"]}})
    assert rules.phase_of_command("b && a") == "do"


def test_a_phase_added_is_not_the_weakest():
    rules = Rules({"phases": {"review": ["$ review"]}})
    assert rules.phase_of_command("review && ls") == "review"


def test_tools_that_write_and_read_are_added():
    rules = Rules({"writes": ["mcp__db__put*"], "reads": ["mcp__db__fetch"]})
    assert rules.changed({"tool": "mcp__db__put_row", "path": "t"}) == {"t": "changed"}
    assert rules.read({"tool": "mcp__db__fetch", "path": "t"}) == "t"
    assert rules.changed({"tool": "Write", "path": "a"}) == {"a": "changed"}


MALFORMED = {
    "phases is a list": {"phases": ["Read"]},
    "phases is a text": {"phases": "scout"},
    "phases is a number": {"phases": 3},
    "a phase is a text": {"phases": {"scout": "Read"}},
    "a phase is null": {"phases": {"scout": None}},
    "patterns are numbers": {"phases": {"scout": [1, None, ["Read"]]}},
    "empty patterns": {"phases": {"scout": ["", "$", "$ ", " ", "mode:"]}},
    "a bracket never closed": {"phases": {"scout": ["[", "$ [", "$ [a"]}},
    "only options": {"phases": {"scout": ["$ -x", "$ --"]}},
    "replaced by no phase": {"extend": False, "phases": []},
    "writes is a text": {"writes": "Write"},
    "reads is an object": {"reads": {"Read": True}},
    "unknown settings": {"colour": "red", "v": 9},
}


@pytest.mark.parametrize("settings", MALFORMED.values(), ids=MALFORMED)
def test_malformed_settings_leave_the_built_in_rules(settings):
    rules = Rules(settings)
    asked = ("Read", "Write", "NoSuchTool")
    assert [rules.phase_of_tool(tool) for tool in asked] == ["scout", "build", None]
    assert rules.phase_of_command("pytest && ls -x > /dev/null") == "test"
    assert rules.changed({"tool": "Write", "path": "a"}) == {"a": "changed"}
    assert rules.read({"tool": "Read", "path": "a"}) == "a"


UNREADABLE = {
    "not JSON": b"{",
    "not an object": b"[]",
    "not text": b"\xff\xfe",
    "nested too deeply": b"[" * 100_000,
    "empty": b"",
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_settings_file_is_told_and_not_used(tmp_path, data):
    (tmp_path / ".claude").mkdir()
    (tmp_path / place.SETTINGS).write_bytes(data)
    settings, wrong = place.read_settings(str(tmp_path))
    assert settings == {}
    assert place.SETTINGS in wrong


def test_the_scripts_use_the_projects_settings(hooks):
    (hooks.project / ".claude").mkdir()
    settings = {"phases": {"review": ["mcp__x__look"]}, "writes": ["mcp__x__put"]}
    (hooks.project / place.SETTINGS).write_text(json.dumps(settings))
    hooks.call("one", "mcp__x__put", "c1", {"path": "kept.txt"})
    hooks.call("one", "mcp__x__look", "c2", {})
    state = hooks.show("one")
    assert state["current_phase"] == "review"
    assert list(state["files_processed"]) == ["kept.txt"]


# --- files -------------------------------------------------------------------------------------

DIFF = {
    "files": [
        {"filePath": "/p/new", "created": True},
        {"filePath": "/p/gone", "deleted": True},
        {"filePath": "/p/old"},
    ],
    "moreFiles": 1,
    "changedFiles": ["/p/new", "/p/gone", "/p/old", "/p/more"],
}
ALL_OF_DIFF = {"new": "created", "gone": "deleted", "old": "changed", "more": "changed"}

FILES = {
    # id: tool, its input, how it ended, files processed, files read
    "a file written anew": (
        "Write",
        {"file_path": "/p/a"},
        {"type": "create"},
        {"a": "created"},
        [],
    ),
    "a file written over": (
        "Write",
        {"file_path": "/p/a"},
        {"type": "update"},
        {"a": "changed"},
        [],
    ),
    "an edit": ("Edit", {"file_path": "/p/a"}, {}, {"a": "changed"}, []),
    "several edits": ("MultiEdit", {"file_path": "/p/a"}, {}, {"a": "changed"}, []),
    "a notebook": ("NotebookEdit", {"notebook_path": "/p/n.ipynb"}, {}, {"n.ipynb": "changed"}, []),
    "a notebook, no error": (
        "NotebookEdit",
        {"notebook_path": "/p/n.ipynb"},
        {"error": ""},
        {"n.ipynb": "changed"},
        [],
    ),
    "a notebook's error is a failure": (
        "NotebookEdit",
        {"notebook_path": "/p/n.ipynb"},
        {"error": "Cell not found"},
        {},
        [],
    ),
    "staged is not written": ("Write", {"file_path": "/p/a"}, {"staged": True}, {}, []),
    "a failure": ("Write", {"file_path": "/p/a"}, "File has not been read yet", {}, []),
    "a failure to read": ("Read", {"file_path": "/p/a"}, "File does not exist", {}, []),
    "denied, so nothing came after it": ("Write", {"file_path": "/p/a"}, None, {}, []),
    "read": ("Read", {"file_path": "/p/a"}, {"type": "text"}, {}, ["a"]),
    "a search reads no file": ("Grep", {"path": "/p/src", "pattern": "x"}, {}, {}, []),
    "a directory listed": ("LS", {"path": "/p/src"}, {}, {}, []),
    "an MCP file is written": (
        "mcp__fs__write_file",
        {"path": "/p/a", "content": "x"},
        [{"type": "text", "text": "ok"}],
        {"a": "changed"},
        [],
    ),
    "an MCP file is created": ("mcp__fs__create_file", {"path": "/p/a"}, [], {"a": "created"}, []),
    "an MCP file is deleted": ("mcp__fs__delete_file", {"path": "/p/a"}, [], {"a": "deleted"}, []),
    "an MCP file is read": ("mcp__fs__read_text_file", {"path": "/p/a"}, [], {}, ["a"]),
    "another MCP tool's path": ("mcp__sftp__upload", {"path": "/p/a"}, [], {}, []),
    "an MCP server's failure": ("mcp__fs__write_file", {"path": "/p/a"}, "isError", {}, []),
    "an unknown tool's path": ("NoSuchTool", {"file_path": "/p/a"}, {"type": "create"}, {}, []),
    "what Bash says that it changed": (
        "Bash",
        {"command": "./gen"},
        {"stdout": "", "bashEditDiff": DIFF},
        ALL_OF_DIFF,
        [],
    ),
    "Bash that changed nothing": ("Bash", {"command": "echo a > b"}, {"stdout": ""}, {}, []),
    "Bash that was interrupted": ("Bash", {"command": "x"}, {"interrupted": True}, {}, []),
    "only the list of names": (
        "Bash",
        {"command": "./gen"},
        {"bashEditDiff": {"changedFiles": ["/p/a"], "files": [], "moreFiles": 1}},
        {"a": "changed"},
        [],
    ),
    "a list of the wrong shape": (
        "Bash",
        {"command": "./gen"},
        {"bashEditDiff": {"changedFiles": [1, None, "", {}], "files": "many"}},
        {},
        [],
    ),
    "a file outside": ("Write", {"file_path": "/q/a"}, {"type": "create"}, {"/q/a": "created"}, []),
}


def _events(project: str, tool: str, given: dict, outcome: object) -> list[dict]:
    """The events of one call, told as if it happened in `project`."""
    about = {"session_id": "one", "tool_name": tool, "tool_use_id": "c1", "tool_input": given}
    about["cwd"] = "/p"
    events = [{**about, "hook_event_name": "PreToolUse"}]
    if isinstance(outcome, str):
        events.append({**about, "hook_event_name": "PostToolUseFailure", "error": outcome})
    elif outcome is not None:
        events.append({**about, "hook_event_name": "PostToolUse", "tool_response": outcome})
    return json.loads(json.dumps(events).replace('"/p', f'"{project}'))


def _outcomes(state: dict) -> tuple[dict, list]:
    files = state["files_processed"]
    return {path: about["outcome"] for path, about in files.items()}, list(state["files_read"])


@pytest.mark.parametrize(("tool", "given", "outcome", "changed", "read"), FILES.values(), ids=FILES)
def test_files_of_a_call(tool, given, outcome, changed, read):
    state = states.empty("one")
    for event in _events("/p", tool, given, outcome):
        facts = journal.facts_of(journal.Event(event, "PostToolUse"), "/p")
        records = [{"at": "2026-11-23T10:00:00.000Z", **fact} for fact in facts]
        state = fold.fold(state, records, Rules())
    assert _outcomes(state) == (changed, read)


@pytest.mark.parametrize(("tool", "given", "outcome", "changed", "read"), FILES.values(), ids=FILES)
def test_files_of_a_call_through_the_scripts(hooks, tool, given, outcome, changed, read):
    for event in _events(str(hooks.project), tool, given, outcome):
        hooks.send(event)
    assert _outcomes(hooks.show("one")) == (changed, read)


def test_a_long_list_of_changed_files_is_kept_whole(hooks):
    names = [f"a-directory-with-a-long-name/file-{number:04d}" for number in range(400)]
    difference = {"changedFiles": [f"{hooks.project}/{name}" for name in names], "files": []}
    hooks.call("one", "Bash", "c1", {"command": "./gen"}, {"bashEditDiff": difference})
    state = hooks.show("one")
    assert list(state["files_processed"]) == names
    assert {about["count"] for about in state["files_processed"].values()} == {1}
    assert state["counts"]["calls"] == 1


MATCHES = {
    ("Write", "Write"): True,
    ("Write", "Writ"): False,
    ("mcp__fs__write_file", "mcp__*__write_file"): True,
    ("mcp__write_file", "mcp__*__write_file"): False,
    ("anything", "*"): True,
    ("", "*"): True,
    ("ab", "a*b"): True,
    ("aba", "a*b"): False,
    ("abab", "ab*ab"): True,
    ("aba", "ab*ba"): False,
    ("a.b.c.d", "a*b*c*d"): True,
    ("a.c.b.d", "a*b*c*d"): False,
    ("a[b]", "a[b]"): True,
    ("ab", "a?"): False,
}


@pytest.mark.parametrize(("text", "pattern"), MATCHES, ids=str)
def test_a_star_stands_for_anything_and_nothing_else_does(text, pattern):
    assert matches(text, pattern) is MATCHES[text, pattern]
