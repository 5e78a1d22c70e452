"""The store that docs/stores.md shows is a whole one: it passes the contract as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

from tests.conftest import ROOT


def test_the_store_of_the_page_passes_what_the_others_pass(tmp_path):
    page = (ROOT / "docs" / "stores.md").read_text()
    store, line, test = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for folder in ("lib", "tests"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    (tmp_path / "lib" / "stores" / "folder.py").write_text(store)
    opening = tmp_path / "lib" / "stores" / "open.py"
    before, found, after = opening.read_text().partition("    kind = url")
    opening.write_text(before + line + found + after)
    (tmp_path / "tests" / "test_folder_store.py").write_text(test)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
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
