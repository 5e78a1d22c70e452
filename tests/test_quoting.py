"""Recorded text made harmless: one short line of what can be seen, in quotes it cannot end."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib.telling.quoting import ascii_quoted, printable, quoted

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=600)
"""Any text at all: file names that are no UTF-8 come as lone surrogates."""

NEVER = '"\\<>`\n\r'

QUOTED = {
    "a path as it is": ("src/lib/a-b_c.py", "src/lib/a-b_c.py"),
    "an empty text": ("", ""),
    "spaces": ("my file.txt", "my file.txt"),
    "a quotation mark": ('a"b', "a%22b"),
    "a percent sign": ("100%", "100%25"),
    "a backslash": ("a\\b", "a%5Cb"),
    "a line feed": ("a\nb", "a%0Ab"),
    "a carriage return": ("a\rb", "a%0Db"),
    "a tab": ("a\tb", "a%09b"),
    "a tag": ("</system-reminder>", "%3C/system-reminder%3E"),
    "backticks": ("`rm -rf ~`", "%60rm -rf ~%60"),
    "a terminal escape": ("\x1b[31mred\a", "%1B[31mred%07"),
    "a C1 control": ("a\x9bb", "a%C2%9Bb"),
    "an accent": ("é", "%C3%A9"),
    "a bidirectional override": ("a\u202eb", "a%E2%80%AEb"),
    "a tag character": ("\U000e0041", "%F3%A0%81%81"),
    "a space of no width": ("a\u200bb", "a%E2%80%8Bb"),
    "a line separator": ("a\u2028b", "a%E2%80%A8b"),
    "a byte that is no UTF-8": ("a\udcffb", "a%ED%B3%BFb"),
    "a NUL": ("a\0b", "a%00b"),
}


@pytest.mark.parametrize(("text", "inside"), QUOTED.values(), ids=QUOTED)
def test_ascii_quoted_shows(text, inside):
    assert ascii_quoted(text) == f'"{inside}"'


@given(ANY_TEXT, st.integers(20, 200))
@example("\U0010ffff" * 4000, 120)
@example("a" * 4000, 120)
def test_ascii_quoted_is_printable_ascii_and_short(text, limit):
    inside = ascii_quoted(text, limit)[1:-1]
    assert len(inside) <= limit
    assert inside.isascii()
    assert inside.isprintable() or not inside
    assert not set(inside) & set(NEVER)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_what_is_not_cut_can_be_read_back(text):
    assert unquote(ascii_quoted(text, 200)[1:-1]) == text


def test_a_long_text_keeps_both_its_ends():
    shown = ascii_quoted("head/" + "x" * 500 + "/tail.py", 60)
    assert shown.startswith('"head/xxx')
    assert shown.endswith('/tail.py"')
    assert "..." in shown


SEEN = {
    "an accent": ("é", "é"),
    "another script": ("日本語 и кириллица", "日本語 и кириллица"),
    "an emoji": ("🚀 go", "🚀 go"),
    "line breaks as spaces": ("one\n\ttwo\r\n three", "one two three"),
    "line separators as spaces": ("one\u2028two\u2029three", "one two three"),
    "a tag, escaped": ("<b>", "%3Cb%3E"),
    "a terminal escape, escaped": ("\x1b[2J", "%1B[2J"),
    "a bidirectional override, escaped": ("a\u202eb", "a%E2%80%AEb"),
}


@pytest.mark.parametrize(("text", "inside"), SEEN.values(), ids=SEEN)
def test_quoted_shows(text, inside):
    assert quoted(text) == f'"{inside}"'


UNSEEN = {
    "tag characters": "\U000e0041",
    "a space of no width": "\u200b",
    "a byte order mark": "\ufeff",
    "a bidirectional isolate": "\u2066",
    "a soft hyphen": "\u00ad",
    "a variation selector that carries a byte": "\U000e0148",
    "a Hangul filler": "\u3164",
    "a Hangul filler of half width": "\uffa0",
    "a Hangul initial filler": "\u115f",
    "a grapheme joiner": "\u034f",
    "a private character": "\ue000",
    "a lone surrogate": "\ud800",
}


@pytest.mark.parametrize("letter", UNSEEN.values(), ids=UNSEEN)
@pytest.mark.parametrize("quote", [quoted, ascii_quoted])
def test_what_is_not_seen_is_not_passed_on(quote, letter):
    assert letter not in quote(f"a{letter}b")


@given(ANY_TEXT, st.integers(20, 400))
@example("\n" * 5000, 300)
@example("\U0010ffff" * 4000, 300)
def test_quoted_is_one_short_printable_line(text, limit):
    shown = quoted(text, limit)
    inside = shown[1:-1]
    assert shown == f'"{inside}"'
    assert len(inside) <= limit
    assert len(shown.splitlines()) == 1
    assert inside.isprintable() or not inside
    assert not set(inside) & set(NEVER)


@given(ANY_TEXT)
def test_printable_is_one_line_that_moves_no_cursor(text):
    assert printable(text).isprintable() or not text
    assert len(printable(text).splitlines()) <= 1


def test_printable_leaves_what_a_person_can_read():
    assert printable('naïve "path" <b>') == 'naïve "path" <b>'
