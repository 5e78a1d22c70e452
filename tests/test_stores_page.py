"""The store that docs/stores.md shows is a whole one: it passes the contract as it stands there."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys

import pytest

from lib.maintenance.migration import content
from lib.recording import journal
from lib.state import State
from tests.conftest import ROOT
from tests.store_contract import call

PAGE = (ROOT / "docs" / "stores.md").read_text()
STORE, LINE, MOVE, TEST = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("url", ["json", "sqlite"])
def test_the_store_of_the_page_is_migrated_to_and_from(tmp_path, monkeypatch, url):
    monkeypatch.setenv("WORKFLOW_STATE_STORE", url)
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "lib" / "stores" / "folder.py").write_text(STORE)
    (tmp_path / "project").mkdir()
    state = State(tmp_path / "project" / ".claude" / "state", "s")
    for number in range(20):
        journal.write(state.directory, "s", call(number))
    state.save_state("plan", {"step": 1})
    state.save_state("other", [1])
    state.checkpoint_session("Stop")
    state.checkpoint("one")
    before = {name: content(state.read_checkpoint(name)) for name in ("one", "session-s")}
    there = tmp_path / "elsewhere"
    script = MOVE.replace("/srv/state/my-project", str(there)).replace('"json"', f'"{url}"')
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path / "project",
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    out, back = map(ast.literal_eval, done.stdout.splitlines())
    documents = ["one", "other", "plan", "session-s"]
    assert {*documents} <= {path.stem for path in there.rglob("*.document")}
    assert out["copied"] == len(list(there.rglob("*.document"))) >= len(documents)
    assert (out["there"], out["left"], back["left"]) == (0, [], [])
    assert (back["copied"], back["replaced"], back["removed"]) == (1, ["plan"], [])
    after = State(state.directory, "s")
    assert after.load_state("plan") == {"step": 2}
    assert {name: content(after.read_checkpoint(name)) for name in before} == before


def test_the_store_of_the_page_passes_what_the_others_pass(tmp_path):
    for folder in ("lib", "tests"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    (tmp_path / "lib" / "stores" / "folder.py").write_text(STORE)
    opening = tmp_path / "lib" / "stores" / "open.py"
    before, found, after = opening.read_text().partition("    kind = url")
    opening.write_text(before + LINE + found + after)
    (tmp_path / "tests" / "test_folder_store.py").write_text(TEST)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--assert=plain",
            "-pno:cacheprovider",
            "tests/test_folder_store.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    passed = re.search(r"TestFolder passed (\d+) cases", done.stdout)
    contract = (ROOT / "tests" / "store_contract.py").read_text()
    assert int(passed[1]) >= contract.count("    def test_")
