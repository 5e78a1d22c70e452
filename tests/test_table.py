"""The table of files: a mapping like any other, whose text is what JSON would write."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib.table import Table

TEXTS = st.text() | st.text(st.sampled_from(list('\\": {},\n"last" ')))
ROWS = st.fixed_dictionaries({"last": TEXTS, "tool": TEXTS, "count": st.integers()})
FILES = st.dictionaries(TEXTS, ROWS)
INDENT = "    "


def text_of(table: Table) -> str:
    return "".join(table.pieces(INDENT))


def read_back(table: Table) -> Table:
    return Table.of_text(text_of(table), INDENT)


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


def test_the_newest_come_first_whether_they_are_text_yet_or_not():
    stamp = "2026-11-23T14:31:0{}.000Z".format
    files = {
        f"{number}\n": {"first": stamp(9 - number), "last": stamp(number), "tool": '"last": "9'}
        for number in (3, 1, 4)
    }
    table = read_back(Table(files))
    table["5"] = {"last": stamp(5)}
    assert table.newest(3) == ["5", "4\n", "3\n"]
