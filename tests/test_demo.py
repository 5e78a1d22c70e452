"""`make demo` runs anywhere, shows what it promises, leaves nothing behind, and can fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import test_readme as readme
from tests.conftest import ROOT


def run(bundle: Path, top: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The demo, with a home and a temporary directory of its own under `top`."""
    for name in ("home", "temporary"):
        (top / name).mkdir()
    return subprocess.run(
        [sys.executable, str(bundle / "demo" / "run.py")],
        cwd=top,
        env={
            "PATH": os.environ["PATH"],
            "HOME": f"{top}/home",
            "TMPDIR": f"{top}/temporary",
            **environment,
        },
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def shown(top: Path) -> str:
    """What the demo prints, in an environment that would lead it astray if it looked."""
    (top / "elsewhere").mkdir()
    elsewhere = f"{top}/elsewhere"
    done = run(
        ROOT,
        top,
        WORKFLOW_STATE="off",
        WORKFLOW_STATE_DIR=elsewhere,
        WORKFLOW_STATE_HOME=elsewhere,
        WORKFLOW_STATE_STORE="nowhere",
        CLAUDE_PROJECT_DIR=elsewhere,
        CLAUDE_CODE_SESSION_ID="mine",
        XDG_STATE_HOME=elsewhere,
        GIT_DIR=elsewhere,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


LINES = {
    "the session is alive while it works": "d6a969a8-3d03-4b09-8fb5-4f59bd4c306c (alive)",
    "a test command makes the phase": "phase       test (inferred",
    "parallel calls and failures are counted": "10 ended, 2 failed",
    "a subagent is named": "docs.md    by subagent a973b386e72f52169",
    "what a shell command made is found": "created  x1  Bash",
    "the crash is told from an end": "d6a969a8-3d03-4b09-8fb5-4f59bd4c306c (crashed)",
    "the call that was killed is in flight": "in flight   Bash touch half-migrated",
    "the next session is told of it": '| Interrupted: Bash "touch half-migrated; sleep 60"',
    "a file that changed meanwhile is told": '"lexer.py" changed',
    "a file that is gone is told": '"tokens.py" gone',
    "the request is told after a compaction": '| Last request: "Go on."',
    "a restore is exact": "Nothing differs between documented and now.",
    "an undo is told": "Undone: the state is again what before-restore-",
}


@pytest.mark.parametrize("line", LINES)
def test_the_demo_shows_that(shown, line):
    assert LINES[line] in shown


def test_claude_is_told_something_twice_and_at_the_first_start_nothing(shown):
    parts = shown.split("\n====")
    told = [number for number, part in enumerate(parts) if "Claude is told:\n" in part]
    assert told == [5, 6]


def test_what_readme_says_that_claude_is_told_is_what_the_demo_shows(shown):
    (told,) = readme.blocks("text", readme.section("What Claude is told"))
    assert readme.same_moment(told) in readme.same_moment(shown)


def test_it_fits_a_terminal(shown):
    assert max(map(len, shown.splitlines())) <= 100
    assert "\x1b" not in shown


def test_nothing_is_left_behind_or_touched(top, shown):
    for name in ("home", "temporary", "elsewhere"):
        assert list((top / name).iterdir()) == []


QUIET = "import sys; sys.stdin.buffer.read()\n"

BROKEN = {
    "calls are not recorded": ("hooks/post_tool.py", QUIET),
    "nothing is checkpointed": ("hooks/stop.py", QUIET),
    "nothing is told": ("hooks/session_start.py", QUIET),
    "a tool hook prints": ("hooks/pre_tool.py", QUIET + "print('{}')\n"),
    "a tool hook fails": ("hooks/pre_tool.py", QUIET + "raise SystemExit('not recorded')\n"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_the_demo_fails_when_the_product_does(tmp_path, fault):
    for part in ("bin", "demo", "hooks", "lib"):
        shutil.copytree(ROOT / part, tmp_path / "bundle" / part)
    shutil.copy(ROOT / "settings.example.json", tmp_path / "bundle")
    script, text = BROKEN[fault]
    (tmp_path / "bundle" / script).write_text(text)
    done = run(tmp_path / "bundle", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("demo: ")
    assert len(done.stderr.splitlines()) == 1
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_picture_in_readme_shows_what_the_commands_print(tmp_path):
    """But for times, versions and the width at which lines broke."""
    code = "import picture; picture.TARGET = picture.Path('new.svg'); picture.main()"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "demo"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=True, timeout=120)
    drawn, kept = (
        same_moment(path.read_text()) for path in (tmp_path / "new.svg", ROOT / "docs/terminal.svg")
    )
    assert drawn == kept


def same_moment(svg: str) -> str:
    text = "".join(re.findall(r"<text [^>]*>(.*?)</text>", svg))
    text = re.sub(r"<[^>]*>|\s", "", text)
    text = re.sub(r"\d{4}-\d\d-\d\d\d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"\d+(s|min)ago", "AGO", text)
    text = re.sub(r"project-[0-9a-f]{16}", "PROJECT", text)
    return re.sub(r"Python[\d.]+,.*?,\d+msahook", "PYTHON", text)
