"""The modules of lib import each other in no circle, those that wait or serve for types included.

That imports between packages go down only is for import-linter: see pyproject.toml.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.conftest import ROOT

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "lib").rglob("*.py")
}


def imported(module, text, known):
    """The modules of ours that the text of one imports, wherever in it that stands."""
    parts = module.split(".") if FILES[module].name == "__init__.py" else module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) + 1 - node.level] if node.level else []
            base = ".".join([*base, *filter(None, [node.module])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            # A name of a package is one of its modules, or is defined in its __init__.py.
            found.update(name if name in known else base for name in names)
    return found & set(known) - {module}


def circle(graph):
    """The modules of one circle; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: imported(name, path.read_text(), FILES) for name, path in FILES.items()}
    # A tool hook loads journal.py alone. What it hardly ever needs lies in files of its own, which
    # are pieces of it and use the rest of it.
    for piece in ("find_project", "first_use", "state_home"):
        graph["lib.recording.journal"].discard(f"lib.recording.{piece}")
    assert sum(map(len, graph.values())) > 300
    assert circle(graph) == []


@pytest.mark.parametrize(
    "line",
    [
        "from . import fold",
        "from .fold import advance",
        "from ..session.fold import advance",
        "import lib.session.fold",
        "def later():\n    from .fold import advance",
        "if TYPE_CHECKING:\n    from .fold import advance",
    ],
)
def test_a_circle_is_found_however_it_is_imported(line):
    graph = {
        "lib.session.fold": {"lib.session.calls"},
        "lib.session.calls": imported("lib.session.calls", line, FILES),
    }
    assert set(circle(graph)) == set(graph)
