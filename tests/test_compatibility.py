"""docs/compatibility.md names the scenarios that there are."""

from __future__ import annotations

import ast
import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "compatibility.md").read_text()


def scenarios() -> set[str]:
    """The names of the tests in tests/e2e, read and not run."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tests/e2e").glob("test_*.py")]
    functions = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {each.name for each in functions if each.name.startswith("test_")}


def test_every_scenario_stands_beside_what_it_would_notice():
    assert set(re.findall(r"`(test_\w+)`", PAGE)) == scenarios()


def test_what_noticed_a_no_op_is_a_scenario_and_every_script_was_tried():
    table = (ROOT / "docs" / "generated" / "no-ops.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+[.]py)` \| \d+: (.*) \|$", table, re.MULTILINE))
    assert rows.keys() == {path.name for path in (ROOT / "hooks").glob("*.py")}
    for named in rows.values():
        found = {f"test_{name}" for name in re.findall(r"`(\w+)`", named)}
        assert found
        assert found <= scenarios()
