"""README says what is: its commands run as printed, its examples are real, its tables complete."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lib.commands.parser import VERSION
from lib.maintenance import retention
from lib.recording import journal
from lib.session import fold, states
from lib.session.rules import PHASES, Rules
from lib.telling import context
from tests.conftest import PAYLOADS, ROOT, SCRIPTS, payloads, state_directory

README, HOOKS, CONFIGURATION, PYTHON, FORMAT = (
    (ROOT / page).read_text()
    for page in (
        "README.md",
        "docs/hooks.md",
        "docs/configuration.md",
        "docs/python.md",
        "docs/format.md",
    )
)
PAGES = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]


def section(title: str, page: str = README) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ", 1)[0]


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def first_cells(title: str, page: str = README) -> list[str]:
    """The first cell of each row of a section's table, its head aside."""
    rows = [line for line in section(title, page).splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\)\|", row)[1].strip() for row in rows[1:]]


# --- as printed, by a new user -----------------------------------------------------------------

MARKED = r"<!-- tested -->\n```sh\n(.*?)```"
INSTALL, ASK, MAKE, REMOVE = re.findall(MARKED, README, re.DOTALL)
(BY_HAND,) = re.findall(MARKED, HOOKS, re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds this tree, as somebody would have it from a clone."""
    copy = tmp_path_factory.mktemp("readme") / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, copy, ignore=ignored)
    git = ["git", "-c", "user.name=t", "-c", "user.email=@", "-c", "commit.gpgsign=false"]
    for verb in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *verb], cwd=copy, check=True, stderr=subprocess.DEVNULL)
    return copy


class User:
    """Somebody with a home of their own who types what README says."""

    def __init__(self, home: Path, checkout: Path) -> None:
        self.home = home
        self.project = home / "my-project"
        self.state = state_directory(home, self.project)
        self.checkout = checkout
        (home / "bin").mkdir()
        python = home / "bin" / "python3"
        python.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
        python.chmod(0o755)
        path = f"{home / 'bin'}:{home / '.local/bin'}:{os.environ['PATH']}"
        self.env = {"PATH": path, "HOME": str(home)}

    def types(self, block: str) -> str:
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", block],
            cwd=self.checkout,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture
def user(tmp_path: Path, checkout: Path) -> User:
    user = User(tmp_path, checkout)
    user.types(INSTALL)
    return user


def test_every_shell_block_is_tested():
    assert blocks("sh") == [INSTALL, ASK, MAKE, REMOVE]


def test_the_commands_work_in_the_order_printed(tmp_path, checkout):
    user = User(tmp_path, checkout)
    # The tests are not run within the tests: their target is only looked up.
    make = MAKE.replace("make -C ~/.workflow-state test", "make -n -C ~/.workflow-state test")
    assert make != MAKE
    shown = user.types(f"{INSTALL}{ASK}{make}{REMOVE}")
    assert "Nothing is recorded yet" in shown
    assert "Nothing needs a fix." in shown
    assert "-m pytest" in shown
    assert list(user.project.iterdir()) == []


def test_each_way_to_register_is_a_command_that_is_there(user):
    ways = re.findall(r"\| `(workflow-state install[^`]*)`", section("Install"))
    assert len(ways) == 3
    for way in ways:
        user.types(f"cd ~/my-project; {way} --dry-run")


def test_the_hooks_are_registered_where_readme_says(user):
    local = user.project / ".claude" / "settings.local.json"
    registered = json.loads(local.read_text())["hooks"]
    assert registered.keys() == SCRIPTS.keys()
    for event, groups in registered.items():
        given = f'{{"hook_event_name": "{event}"}}'
        user.types(f"cd ~/my-project; echo '{given}' | ({groups[0]['hooks'][0]['command']})")
        recorded = (user.state / "sessions/manual.jsonl").read_text()
        assert f'"event":"{event}"' in recorded


def test_what_is_tried_by_hand_shows_the_file_and_the_phase(user):
    shown = user.types(BY_HAND)
    assert "a.py" in shown
    assert "build (inferred" in shown


def test_the_checkpoint_is_the_one_that_the_commands_make(user):
    user.types(BY_HAND)
    made = (user.state / "checkpoints/first.json").read_text()
    (printed,) = blocks("json", section("A checkpoint, whole", FORMAT))
    assert same_times(printed) == same_times(made)


def same_times(text: str) -> str:
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    return re.sub(r"[0-9a-f]{8}\.[0-9a-f]{16}", "CHECK", text)


def test_every_file_in_the_tree_is_made(user):
    user.types(BY_HAND)
    user.types("echo '{}' | python3 ~/.workflow-state/hooks/session_start.py")
    inside = [""] * 3
    for line in blocks("text", FORMAT)[0].splitlines()[:-1]:
        depth = (len(line) - len(line.lstrip())) // 4
        if depth > 2 or any(rare in line for rare in ("only while", "only once", "quarantined")):
            continue
        name = line.strip().partition("  ")[0].replace("<project>", "my-project")
        inside[depth:] = [name.replace("~/", "")] + [""] * (2 - depth)
        path = "/".join(inside[: depth + 1])
        assert list(user.home.glob(re.sub(r"<\w+>", "*", path))), path


def test_the_python_block_gives_what_its_comments_say(user):
    user.types(BY_HAND)
    (block,) = blocks("python", PYTHON)
    lines = [line.partition("  # ") for line in block.splitlines()]
    checks = [
        f"assert ({code.strip()}) == {comment.strip()}, {code.strip()!r}" if comment else code
        for code, _, comment in lines
    ]
    assert sum(line.startswith("assert") for line in checks) == 7
    assert ast.parse(block)
    (user.home / "example.py").write_text("\n".join(checks))
    user.types("cd ~/my-project; python3 ~/example.py")


def test_nothing_is_left_after_taking_it_out(user):
    user.types(BY_HAND)
    user.types(REMOVE)
    assert list(user.project.iterdir()) == []
    left = [path for path in user.home.rglob("*") if path.is_file() or path.is_symlink()]
    assert left == [user.home / "bin/python3"]


# --- what Claude is told -----------------------------------------------------------------------


def same_moment(text: str) -> str:
    """Text without its times, its line breaks, and the names that differ between two runs."""
    text = " ".join(text.replace("  | ", "").split())
    text = re.sub(r"(\d{4}-)?\d\d-\d\d \d\d:\d\d", "TIME", text)
    text = re.sub(r"\d+ s ago", "AGO", text)
    text = re.sub(r"-\w{8}/project", "-RANDOM/project", text)
    return re.sub(r"More: \S+/bin/workflow-state", "More: workflow-state", text)


def test_the_numbers_are_those_of_the_code():
    assert f"at most {context.LIMIT:,} characters" in README
    assert f"default {context.LIMIT}, highest {context.HIGHEST}, 0 for nothing" in CONFIGURATION
    assert f"older than {retention.DAYS} days" in HOOKS
    assert f"the newest {retention.NEWEST};" in HOOKS


@pytest.mark.parametrize(("limit", "told"), [("0", False), ("300", True)])
def test_the_context_s_limit_can_be_nothing(hooks, limit, told):
    hooks.prompt("one")
    hooks.environment["WORKFLOW_STATE_CONTEXT"] = limit
    assert bool(hooks.start("two")) is told


# --- tables and links --------------------------------------------------------------------------


def test_every_event_is_listed_with_its_script():
    rows = re.findall(r"^\| ([\w, ]+) \| `hooks/(\w+\.py)` \|", HOOKS, re.MULTILINE)
    assert {event: script for events, script in rows for event in events.split(", ")} == SCRIPTS


def test_every_verb_of_the_command_line_is_listed_and_the_other_way_round(hooks):
    listed = [re.match(r"`([\w-]+)", cell)[1] for cell in first_cells("The command line")]
    known = re.findall(r"^    ([a-z-]+)\b", hooks.cli("--help").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(known)


def test_every_verb_takes_the_arguments_that_are_listed(hooks):
    for cell in first_cells("The command line"):
        verb, *arguments = cell.strip("`").replace("\\|auto", "").replace("\\|", "|").split()
        usage = " ".join(hooks.cli(verb, "--help").stdout.partition("\n\n")[0].split())
        for common in ("[-h]", "[--json]", "[--session ID]", "[--dir DIR]"):
            usage = usage.replace(common, "")
        assert usage.split()[3:] == arguments, cell


def test_every_environment_variable_is_listed_and_the_other_way_round():
    code = "".join(path.read_text() for path in (ROOT / "lib").rglob("*.py"))
    code += (ROOT / "settings.example.json").read_text()
    read = set(re.findall(r'environment\("(\w+)"\)|\{(WORKFLOW_STATE\w*)', code))
    ours = {one or other for one, other in read if "WORKFLOW_STATE" in one + other}
    listed = {cell.strip("`") for cell in first_cells("Environment variables", CONFIGURATION)}
    assert listed == ours | {"CLAUDE_CODE_SESSION_ID"}


def test_the_phases_are_the_built_in_ones():
    assert ", ".join(f"`{name}`" for name in [*PHASES][:4]) + f" and `{[*PHASES][4]}`" in HOOKS
    assert len(PHASES) == 5


def test_the_phases_example_means_what_it_says():
    (example,) = blocks("json", section("Phases", HOOKS))
    rules = Rules(json.loads(example))
    assert rules.phase_of_command("gh pr review 5 --approve") == "review"
    assert rules.phase_of_tool("mcp__github__create_review") == "review"
    assert rules.phase_of_command("bazel build //...") == "build"
    assert rules.phase_of_command("bazel test //...") == "test"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_there(page):
    here = (ROOT / page).parent
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (here / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_named_in_a_page_is_there(page):
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:lib|hooks|bin|tests|demo|docs)/[\w./-]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_changelog_has_this_version():
    assert f"\n## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()


# --- docs/format.md ----------------------------------------------------------------------------


@pytest.mark.parametrize("recording", sorted(path.stem for path in PAYLOADS.glob("*.jsonl")))
def test_every_field_that_is_recorded_is_described(recording, tmp_path):
    events = [
        event for event in payloads(recording, tmp_path) if event["hook_event_name"] in SCRIPTS
    ]
    facts = [journal.facts_of(journal.Event(event, ""), str(tmp_path)) for event in events]
    fields = {name for records in facts for record in records for name in record}
    assert fields
    assert [name for name in fields if f"`{name}`" not in FORMAT] == []


def test_every_member_of_a_session_s_state_is_described():
    state = states.empty("any")
    names = [*state, *state["counts"]]
    assert [name for name in names if f"`{name}`" not in FORMAT] == []


def test_every_record_of_our_own_is_described():
    ours = [event for event in fold._STEPS if event not in SCRIPTS]
    assert ours
    assert [event for event in ours if f"| `{event}` |" not in FORMAT] == []
