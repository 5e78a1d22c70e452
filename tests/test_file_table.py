"""The table of files: a mapping like any other, whose text is what JSON would write."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib.format.file_table import Table

TEXTS = st.text() | st.text(st.sampled_from(list('\\": {},\n"last" ')))
ROWS = st.fixed_dictionaries({"last": TEXTS, "tool": TEXTS, "count": st.integers()})
FILES = st.dictionaries(TEXTS, ROWS)


def text_of(table: Table) -> bytes:
    return b"".join(table.pieces())


def read_back(table: Table) -> Table:
    """The same as it is found in the midst of a document."""
    text = text_of(table)
    return Table.of_text(b'{"x": %b, "y": 1}' % text, 6, 6 + len(text))


@given(FILES)
@example({'a": {"last': {"last": 'x": "', "tool": '"last": "', "count": 1}})
@example({"\\": {"last": "\\", "tool": '\\"', "count": 1}})
@example({'\\":  ': {"last": "", "tool": ",\n", "count": 1}})
@example({"a": {"last": '":  ', "tool": '":  {', "count": 1}})
def test_is_read_back_from_its_text_which_is_json(files):
    table = read_back(Table(files))
    assert list(table) == list(files)
    assert dict(table) == files
    assert json.loads(text_of(table)) == files
    assert text_of(table) == text_of(Table(files))


@given(FILES, FILES, st.lists(TEXTS))
@example({}, {":  {": {"last": "", "tool": "", "count": 0}}, [])
@example({}, {'\\":  {': {"last": "", "tool": "", "count": 0}}, [])
def test_changes_as_a_dict_does(files, changes, gone):
    table, plain = read_back(Table(files)), dict(files)
    table.update(changes)
    plain.update(changes)
    for path in gone:
        assert (path in table) == (path in plain)
        table.pop(path, None)
        plain.pop(path, None)
    assert dict(table) == plain
    assert list(table) == list(plain)
    assert len(table) == len(plain)
    assert dict(read_back(table)) == plain


def test_a_copy_is_a_table_of_its_own():
    table = Table({"a": {"last": "1"}})
    copy = table.copy()
    copy["b"] = {"last": "2"}
    del copy["a"]
    assert list(table) == ["a"]


def test_what_is_not_there_is_told():
    with pytest.raises(KeyError):
        Table()["a"]
    with pytest.raises(KeyError):
        del Table()["a"]


def test_another_layout_is_refused():
    with pytest.raises(ValueError, match="laid out"):
        Table.of_text(b'{\n      "a": {}\n    }', 0, 21)


@given(FILES, FILES)
def test_what_was_added_is_told(files, changes):
    base = read_back(Table(files))
    table = base.copy()
    table.update(changes)
    assert table.added_to(base) == [path for path in changes if path not in files]


def test_what_was_taken_away_is_no_addition():
    base = read_back(Table({"a": {}, "b": {}}))
    table = base.copy()
    del table["a"]
    assert table.added_to(base) is None
    assert Table({"a": {}, "b": {}}).added_to(base) is None


def test_is_empty_when_nothing_is_in_it():
    assert not Table()
    assert not read_back(Table())
    assert read_back(Table({"a": {}}))


@pytest.mark.parametrize("number", [0, 1, 500, 998, 999])
def test_a_row_is_found_however_often_it_is_searched_for(number):
    table = read_back(Table({f"{each}": {"count": each} for each in range(999)}))
    for _ in range(20):
        assert (str(number) in table) == (number < 999)
        assert len(table) == 999
        table["more"] = {}
        assert len(table) == 1000
        del table["more"]
    assert list(table) == [str(each) for each in range(999)]
