"""The list of protections and their table in docs/generated say the same, and of this code."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tests.faults import mutations, report

MUTATIONS = mutations.MUTATIONS


def test_the_table_has_the_protections_of_the_list_and_what_noticed_each():
    told = mutations.table()
    names = [each.what for each in MUTATIONS]
    assert len(set(names)) == len(names)
    missing = set(names) - set(told)
    assert not missing, f"run make mutations ARGS='...' for {missing}"
    assert list(told) == names
    assert [name for name, test in told.items() if test == "**none**"] == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.what)
def test_a_mutation_is_one_of_the_code_as_it_is(mutation):
    assert mutation.before in (ROOT / mutation.file).read_text()
    assert mutation.before != mutation.after


@pytest.mark.parametrize("test", sorted(set(mutations.table().values())))
def test_the_tests_that_are_named_are_there(test):
    path, *_, name = test.strip("`").split("::")
    # Those of a store are of the contract that every store is held to.
    places = [ROOT / "tests" / each for each in (path, "store_contract.py")]
    assert any(f"def {name}(" in place.read_text() for place in places)


def test_a_table_has_a_page_of_its_own_and_is_read_from_there(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "GENERATED", tmp_path / "generated")
    assert report.published("it") == []
    for rows in (["| a | b |"], ["| a | b |", "| c | d |"]):
        report.publish("\n".join(["| one | two |", "|---|---|", *rows, ""]), "it", "It", "make it")
        assert report.published("it") == rows
    assert (tmp_path / "generated" / "it.md").read_text().startswith("# It\n\n`make it` writes")
