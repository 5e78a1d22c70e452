"""The list of protections and their table in docs/reliability.md say the same, and of this code."""

from __future__ import annotations

import re

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


def test_a_table_is_put_between_its_marks_and_read_from_there(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- it: begin -->\n<!-- it: end -->\nz\n")
    assert report.published("it", page) == ""
    for text in ("| one |\n", "| one |\n| two |\n"):
        report.publish(text, "it", page)
        assert report.published("it", page) == text.strip()
    assert re.sub(r"\|[^\n]*\n", "", page.read_text()) == (
        "a\n<!-- it: begin -->\n\n\n<!-- it: end -->\nz\n"
    )
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="lost the marks"):
        report.publish("x", "it", page)
