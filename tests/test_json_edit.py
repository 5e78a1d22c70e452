"""JSON edited as text: the parser takes what JSON takes, and says where a text is malformed."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib.install import json_edit
from lib.install.json_edit import Malformed
from tests.test_registered import files


@given(st.text(max_size=30) | files())
@example("[1,2")
@example('{"a":1,}')
@example("\x00")
@example('"\\ud800"')
@example("-")
@example("1.e5")
@example("01")
@example('"\t"')
def test_the_parser_takes_what_json_takes(text):
    """NaN and the infinities aside, which are not JSON."""
    try:
        value = json.loads(text.lstrip("\ufeff"), parse_constant=_refuse)
    except ValueError:
        with pytest.raises(Malformed, match=r"^line \d+, column \d+: "):
            json_edit.parse(text)
    else:
        assert value_of(json_edit.parse(text), text) == value


def _refuse(name: str) -> None:
    raise ValueError(name)


def value_of(part: json_edit.Part, text: str) -> object:
    if part.kind == "object":
        return {member.key: value_of(member, text) for member in part.members}
    if part.kind == "array":
        return [value_of(member, text) for member in part.members]
    return json.loads(text[part.start : part.end])


MALFORMED = {
    '{\n  "a": 1,\n}': "line 3, column 1: '}' where a key in double quotes should be",
    '{\n  // mine\n  "a": 1\n}': "line 2, column 3: '/' where a key in double quotes should be",
    '\ufeff{\r\n"a" 1}': "line 2, column 5: '1' where a colon should be",
    '{"a": tru}': "line 1, column 7: 't' where a value should be",
    '{"a": "b}': "line 1, column 7: a string with no end",
    '{"a": 1': "line 1, column 8: the end of the file where a comma or '}' should be",
    "{} {}": "line 1, column 4: '{' where the end of the file should be",
    "[" * 300: "line 1, column 202: it nests too deeply",
}


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_malformed_is_told_with_line_and_column(text):
    with pytest.raises(Malformed) as caught:
        json_edit.parse(text)
    assert str(caught.value).startswith(MALFORMED[text])
