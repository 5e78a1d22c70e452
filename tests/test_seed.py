"""The page the project began as: its own test passes unchanged, however the module is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem_unittest import Patcher

import lib.state
from tests.conftest import ROOT, state_directory

SEED_TEST = """\
# Test save/load
save_state("test", {"data": 123})
assert load_state("test") == {"data": 123}

# Test default
assert load_state("nonexistent", "default") == "default"

# Test checkpoint
save_state("phase", "scout")
cp = checkpoint("test_cp")
save_state("phase", "build")  # Change it
restore_checkpoint(cp)
assert load_state("phase") == "scout"  # Restored!

print("✓ State management works")
"""

LOADED_BY_PATH = f"""\
import importlib.util
spec = importlib.util.spec_from_file_location("seed", {str(ROOT / "lib" / "state.py")!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
globals().update({{name: getattr(module, name) for name in module.__all__}})
"""

WAYS = {
    "with lib on sys.path": f"import sys; sys.path.append({str(ROOT / 'lib')!r})\n"
    "from state import *\n",
    "with lib before all": f"import sys; sys.path.insert(0, {str(ROOT / 'lib')!r})\n"
    "from state import *\n",
    "as lib.state": f"import sys; sys.path.append({str(ROOT)!r})\n"
    "from lib.state import save_state, load_state, checkpoint, restore_checkpoint\n",
    "by its path": LOADED_BY_PATH,
    "both ways at once": f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'lib')!r}]\n"
    "import lib.state\nfrom state import *\n",
}


@pytest.fixture
def run(tmp_path: Path):
    """Runs a script of a user's, from a folder of theirs, in a clean environment."""

    def run(
        code: str | None = None, cwd: Path = tmp_path, path: Path | None = None, **environment
    ) -> subprocess.CompletedProcess[str]:
        script = path or tmp_path / "script.py"
        if code is not None:
            script.write_text(code, encoding="utf-8")
        names = {"PATH": os.defpath, "HOME": str(tmp_path / "home"), "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=cwd,
            env={**names, **environment},
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done

    return run


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def way(request) -> str:
    return request.param


def test_passes_unchanged_on_a_fresh_state_and_on_the_old_one(run, tmp_path, way):
    for _ in range(2):
        assert run(way + SEED_TEST).stdout == "✓ State management works\n"
    assert (tmp_path / ".claude" / "state" / "phase.json").exists()


@pytest.mark.parametrize("folder", ["deep/er", "with space", "ünï", "-dash"])
def test_passes_from_any_directory(run, tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True)
    run(WAYS["with lib on sys.path"] + SEED_TEST, cwd=tmp_path / folder)
    assert (tmp_path / folder / ".claude" / "state" / "test.json").exists()


def test_passes_in_a_session_of_claude_code(run, way):
    run(way + SEED_TEST, CLAUDE_CODE_SESSION_ID="5d0b9a4e-0000-4000-8000-000000000000")


@pytest.mark.parametrize("case_sensitive", [True, False], ids=["like Linux", "like macOS"])
def test_passes_in_a_fake_file_system(case_sensitive, capsys):
    with Patcher() as patcher:
        patcher.fs.is_case_sensitive = case_sensitive
        patcher.fs.create_dir("/fake/project")
        os.chdir("/fake/project")
        for _ in range(2):
            exec(SEED_TEST, {name: getattr(lib.state, name) for name in lib.state.__all__})  # noqa: S102
        directory = state_directory(Path(os.environ["HOME"]), Path("/fake/project"))
        assert patcher.fs.exists(directory / "checkpoints/test_cp.json")
    assert capsys.readouterr() == ("✓ State management works\n" * 2, "")


def test_passes_where_state_dir_was_assigned(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lib.state, "STATE_DIR", tmp_path / "elsewhere")
    exec(SEED_TEST, {name: getattr(lib.state, name) for name in lib.state.__all__})  # noqa: S102
    assert capsys.readouterr().err == ""
    assert (tmp_path / "elsewhere" / "checkpoints" / "test_cp.json").exists()


def test_the_example_runs_and_leaves_nothing_behind(run, tmp_path):
    for name in ("work", "home", "tmp"):
        (tmp_path / name).mkdir()
    done = run(path=ROOT / "lib" / "state.py", cwd=tmp_path / "work", TMPDIR=str(tmp_path / "tmp"))
    assert done.stdout == "Current phase: building\nCreated checkpoint: before_build\n"
    assert [path for path in tmp_path.rglob("*") if path.parent != tmp_path] == []


SETTINGS = {
    "in a session": {"CLAUDE_CODE_SESSION_ID": "abc"},
    "with a state directory set": {"WORKFLOW_STATE_DIR": "/nonexistent/state"},
    "with a project set": {"CLAUDE_PROJECT_DIR": "/nonexistent"},
}


@pytest.mark.parametrize("environment", SETTINGS.values(), ids=SETTINGS)
def test_the_example_is_the_same(run, environment):
    done = run(path=ROOT / "lib" / "state.py", **environment)
    assert done.stdout == "Current phase: building\nCreated checkpoint: before_build\n"


NO_DISK = """\
import os, sys
# The import system has its own names for these calls: only what the modules do themselves is met.
import json, time
def touched(*arguments, **options):
    raise AssertionError(f"touched the disk: {arguments}")
for name in ("open", "stat", "mkdir", "listdir", "scandir", "getcwd", "unlink", "replace"):
    setattr(os, name, touched)
"""

IMPORTS = {
    "import state": f"sys.path.append({str(ROOT / 'lib')!r})\nimport state\n",
    "import lib.state": f"sys.path.append({str(ROOT)!r})\nimport lib.state\n",
    "from state import save_state": f"sys.path.append({str(ROOT / 'lib')!r})\n"
    "from state import save_state, load_state, checkpoint, restore_checkpoint, State\n",
}


@pytest.mark.parametrize("statement", IMPORTS.values(), ids=IMPORTS)
def test_importing_touches_no_disk(run, tmp_path, statement):
    run(NO_DISK + statement)
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def test_importing_with_a_star_makes_nothing(run, tmp_path):
    run(WAYS["with lib on sys.path"])
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def test_importing_works_where_the_current_directory_is_gone(run, tmp_path):
    gone = "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
    run(gone + WAYS["with lib on sys.path"] + "assert load_state.__doc__")


USERS_OWN = [
    "checkpoints",
    "session",
    "sessions",
    "context",
    "policy",
    "journal",
    "stores",
    "workspace",
    "replay",
]


@pytest.mark.parametrize("first", ["the users first", "state first"])
def test_modules_of_the_users_own_stay_theirs(run, tmp_path, first):
    for name in USERS_OWN:
        (tmp_path / f"{name}.py").write_text("mine = True\n")
    theirs = "".join(f"import {name}\nassert {name}.mine\n" for name in USERS_OWN)
    ours = WAYS["with lib on sys.path"] + SEED_TEST
    run(theirs + ours if first == "the users first" else ours + theirs)


def test_only_state_itself_takes_a_name(run):
    code = WAYS["with lib before all"] + SEED_TEST
    taken = "print(*(name for name in sys.modules if name in " + repr(USERS_OWN) + "))"
    assert run(code + taken).stdout == "✓ State management works\n\n"


def test_all_ways_write_the_same_state(run):
    run(WAYS["by its path"] + "save_state('Key', [1])")
    run(WAYS["as lib.state"] + "assert load_state('Key') == [1]")
    run(WAYS["with lib on sys.path"] + "assert load_state('Key') == [1]")


def test_loading_by_path_twice_gives_two_modules_that_agree(run):
    twice = LOADED_BY_PATH + "one = module\n" + LOADED_BY_PATH
    run(twice + "assert one is not module\none.save_state('key', 1)\nassert load_state('key') == 1")


def test_loading_gives_no_warning(run, way):
    """Who turns warnings into errors, as careful test suites do, can load it as well."""
    run(way + SEED_TEST, PYTHONWARNINGS="error")
