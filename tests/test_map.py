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
    layers = [set(re.findall(r"\w+", line)) for line in re.findall(r'"([^"]+)"', contract)]
    there = {path.stem for path in (ROOT / "lib").iterdir()}
    checked = [layer & there for layer in layers if layer & there]  # some are only reserved
    assert list(told.values()) == checked


def test_every_module_has_a_test_of_its_name_or_a_row():
    paths = [path.relative_to(ROOT / "lib") for path in (ROOT / "lib").rglob("*.py")]
    modules = {str(path.with_suffix("")) for path in paths if path.name != "__init__.py"}
    files = [*(ROOT / "tests").glob("test_*.py"), *(ROOT / "tests" / "report").glob("test_*.py")]
    named = {path.stem.removeprefix("test_") for path in files}
    told = {test.strip("`"): re.findall(r"`([^`]+)`", cell) for test, cell in rows("Tests")}
    assert [test for test in told if not (ROOT / test).exists()] == []
    listed = [module for cell in told.values() for module in cell]
    assert len(listed) == len(set(listed))
    assert set(listed) == {each for each in modules if each.rpartition("/")[2] not in named}
