"""CONTRIBUTING's map and recipes are those of the tree."""

from __future__ import annotations

import ast
import re

from tests.conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
PACKAGES = sorted(path.parent for path in (ROOT / "lib").glob("*/__init__.py"))


def rows(title: str) -> list[list[str]]:
    """The cells of the tables in a section, without heads."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if re.match(r"\| (`|\d)", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_package_is_on_the_map_in_its_own_words():
    told = {cells[1].strip("`"): cells[2] for cells in rows("The map") if len(cells) == 3}
    for package in PACKAGES:
        docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
        first = " ".join(docstring.split("\n\n")[0].split()).rstrip(".")
        row = told[f"lib/{package.name}/"]
        assert first.replace("`", "").lower() == row.replace("`", "").lower(), package.name
    assert sum(name.endswith("/") for name in told) == len(PACKAGES)


def test_the_map_has_every_directory():
    told = {name for cells in rows("The map") for name in re.findall(r"`([^`]+/)`", cells[0])}
    tracked = {f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
    assert told == (tracked - {"node_modules/"}) | {".claude-plugin/"}


def test_the_layers_of_the_map_are_those_that_lint_checks():
    told: dict[str, set[str]] = {}
    for cells in rows("The map"):
        if cells[0].isdigit():
            told.setdefault(cells[0], set()).update(re.findall(r"`lib/(\w+)(?:/|\.py)`", cells[1]))
    contract = (ROOT / "pyproject.toml").read_text().split("layers = [")[1].split("]")[0]
    checked = [set(re.findall(r"\w+", line)) for line in re.findall(r'"([^"]+)"', contract)]
    assert list(told.values()) == checked


def test_every_module_has_a_test_of_its_name_or_a_row():
    modules = {path for path in (ROOT / "lib").rglob("*.py") if path.name != "__init__.py"}
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests").rglob("test_*.py")}
    told = dict(cells[:2] for cells in rows("Tests"))
    without = {str(path.relative_to(ROOT)) for path in modules if path.stem not in tests}
    assert {name.strip("`") for name in told} == without
    for test in told.values():
        for name in test.split(", "):
            assert (ROOT / name.strip("`")).exists(), name
