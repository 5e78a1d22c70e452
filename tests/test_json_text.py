"""JSON without the json package: the same values and the same refusals as its plain twin."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.format.json_text import DIGITS, dumps, loads

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_writes_what_json_writes(value):
    assert dumps(value) == json.dumps(value)


@given(VALUES, st.sampled_from(["", " ", "\n\t\r "]), st.sampled_from([None, 2]))
def test_reads_what_json_reads(value, space, indent):
    assert loads(space + json.dumps(value, indent=indent) + space) == value


@given(st.text(st.sampled_from(list('[]{}:,"\\ \n0123456789.eE-+truefalsn\u00e9'))))
def test_refuses_what_json_refuses(text):
    try:
        wanted = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r".+"):
            loads(text)
    else:
        assert loads(text) == wanted


NO_JSON = ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[-1e999]", "9" * (DIGITS + 1)]


@pytest.mark.parametrize("text", NO_JSON, ids=lambda text: text[:12])
def test_refuses_numbers_that_are_none(text):
    with pytest.raises(ValueError, match=r".+"):
        loads(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf]])
def test_writes_no_number_that_is_none(value):
    with pytest.raises(ValueError, match=r".+"):
        dumps(value)


@pytest.mark.parametrize(
    "value", [{1, 2}, b"x", object(), {(1, 2): 3}], ids=lambda v: type(v).__name__
)
def test_writes_nothing_that_json_cannot_hold(value):
    with pytest.raises(TypeError):
        dumps(value)


def test_what_nests_too_deeply_is_refused_and_does_not_crash():
    with pytest.raises(RecursionError):
        loads("[" * 100_000 + "]" * 100_000)


def test_what_is_wrong_is_said_with_its_place():
    with pytest.raises(ValueError, match=r"line 2 column 8"):
        loads('{\n  "a": ]\n}')
