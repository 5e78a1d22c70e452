"""Edit JSON as text: only what is added or removed changes, every other byte stays.

`parse` returns the value with the position of each part in the text. The functions below it insert
and cut there, in the file's own indentation and line ends. What is appended and removed again
leaves the same text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_OTHER = re.compile(r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)\b")
BOM = "\ufeff"
DEEPEST = 200
"""Levels of nesting; a settings file has six."""


class Malformed(ValueError):
    """The text is not JSON: what is expected where, with line and column."""


@dataclass
class Part:
    """A value and its position in the text; in an object, its key starts at `begins`.

    kind     "object", "array", "string" or "other"
    members  the values of an object or an array, in order; in an object with their `key`
    """

    kind: str
    start: int
    end: int = 0
    key: str = ""
    begins: int = 0
    value: Any = None
    members: list[Part] = field(default_factory=list)

    def get(self, key: str) -> Part | None:
        """The last member of this key: the one that counts for every reader of JSON."""
        found = [member for member in self.members if member.key == key]
        return found[-1] if found and self.kind == "object" else None


def position(text: str, at: int) -> str:
    """An offset for people: "line 3, column 7", with line ends as editors count them."""
    before = text[:at].replace("\r\n", "\n").replace("\r", "\n").lstrip(BOM)
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text

    def fail(self, at: int, wanted: str) -> Malformed:
        found = repr(self.text[at]) if at < len(self.text) else "the end of the file"
        return Malformed(f"{position(self.text, at)}: {found} where {wanted} should be")

    def space(self, at: int) -> int:
        return _SPACE.match(self.text, at).end()  # type: ignore[union-attr]

    def value(self, at: int, depth: int = 0) -> Part:
        letter = self.text[at : at + 1]
        if depth > DEEPEST:
            raise Malformed(f"{position(self.text, at)}: it nests too deeply")
        if letter == "{":
            return self.container(Part("object", at, begins=at), "}", depth)
        if letter == "[":
            return self.container(Part("array", at, begins=at), "]", depth)
        found = (_STRING if letter == '"' else _OTHER).match(self.text, at)
        if not found and letter == '"':
            where = position(self.text, at)
            raise Malformed(f"{where}: a string with no end, a line break or a wrong escape in it")
        if not found:
            raise self.fail(at, "a value")
        value = json.loads(found[0]) if letter == '"' else found[0]
        kind = "string" if letter == '"' else "other"
        return Part(kind, at, found.end(), begins=at, value=value)

    def container(self, part: Part, closing: str, depth: int) -> Part:
        at = self.space(part.start + 1)
        if self.text[at : at + 1] == closing:
            part.end = at + 1
            return part
        while True:
            part.members.append(self.member(at, part.kind, depth + 1))
            at = self.space(part.members[-1].end)
            letter = self.text[at : at + 1]
            if letter == closing:
                part.end = at + 1
                return part
            if letter != ",":
                raise self.fail(at, f"a comma or {closing!r}")
            at = self.space(at + 1)

    def member(self, at: int, kind: str, depth: int) -> Part:
        if kind == "array":
            return self.value(at, depth)
        found = _STRING.match(self.text, at)
        if not found:
            raise self.fail(at, "a key in double quotes")
        colon = self.space(found.end())
        if self.text[colon : colon + 1] != ":":
            raise self.fail(colon, "a colon")
        part = self.value(self.space(colon + 1), depth)
        part.key, part.begins = json.loads(found[0]), at
        return part


def parse(text: str) -> Part:
    """Parse a text, which may begin with a byte order mark. Raises Malformed."""
    parser = _Parser(text)
    part = parser.value(parser.space(len(text) - len(text.lstrip(BOM))))
    end = parser.space(part.end)
    if end != len(text):
        raise parser.fail(end, "the end of the file")
    return part


# --- the style of a file -----------------------------------------------------------------------


@dataclass(frozen=True)
class Style:
    """The layout of a file: `indent` is what one level adds, None for all in one line."""

    indent: str | None = "  "
    line_end: str = "\n"
    colon: str = ": "
    comma: str = ", "

    def write(self, value: Any, margin: str) -> str:
        """A value as text; its lines after the first begin with `margin`."""
        if self.indent is None:
            return json.dumps(value, ensure_ascii=False, separators=(self.comma, self.colon))
        separators = (",", self.colon)
        text = json.dumps(value, ensure_ascii=False, indent=self.indent, separators=separators)
        return text.replace("\n", self.line_end + margin)


def style_of(text: str, root: Part) -> Style:
    """The style of a file's text; two spaces if it shows none."""
    line_end = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    if not root.members:
        return Style(line_end=line_end)
    first = root.members[0]
    colon = ":" if text[first.begins : first.start].endswith(":") else ": "
    lead = text[root.start + 1 : first.begins]
    if "\n" in lead:
        return Style(lead.rpartition("\n")[2] or "  ", line_end, colon)
    return Style(None, line_end, colon, "," if colon == ":" else ", ")


# --- insert and cut ----------------------------------------------------------------------------


def append(text: str, container: Part, value: Any, style: Style, key: str = "") -> str:
    """Add a value behind all members of the container, in an object under a key."""
    head = json.dumps(key, ensure_ascii=False) + style.colon if container.kind == "object" else ""
    if container.members:
        end = container.members[-1].end
        margin = _margin_inside(text, container)
        if margin is None:
            in_line = Style(None, style.line_end, style.colon, style.comma)
            added = in_line.comma + head + in_line.write(value, "")
        else:
            added = f",{style.line_end}{margin}{head}{style.write(value, margin)}"
        return text[:end] + added + text[end:]
    if style.indent is None:
        added = head + style.write(value, "")
    else:
        outer = _margin(text, container.begins)
        inner = outer + style.indent
        added = f"{style.line_end}{inner}{head}{style.write(value, inner)}{style.line_end}{outer}"
    return text[: container.start + 1] + added + text[container.end - 1 :]


def replace(text: str, member: Part, value: Any, style: Style) -> str:
    """Replace a value that has no members."""
    return text[: member.start] + style.write(value, "") + text[member.end :]


def _margin_inside(text: str, container: Part) -> str | None:
    """The indentation of a member's line; None if members share the line of the bracket."""
    ends = [container.start + 1, *(member.end for member in container.members)]
    for end, member in zip(ends, container.members):
        before = text[end : member.begins]
        if "\n" in before:
            return before.rpartition("\n")[2]
    return None


def _margin(text: str, at: int) -> str:
    """The indentation of the line at this offset."""
    line = text[text.rfind("\n", 0, at) + 1 : at].lstrip(BOM)
    return line[: len(line) - len(line.lstrip(" \t"))]


def remove(text: str, container: Part, member: Part) -> str:
    """Remove a member of a container, and the comma beside it."""
    index = next(i for i, other in enumerate(container.members) if other is member)
    if index:
        return text[: container.members[index - 1].end] + text[member.end :]
    if len(container.members) > 1:
        return text[: member.begins] + text[container.members[1].begins :]
    return text[: container.start + 1] + text[container.end - 1 :]


def walk(part: Part, *above: Part) -> Iterator[tuple[Part, ...]]:
    """Every part, as the path to it from the outside."""
    path = (*above, part)
    yield path
    for member in part.members:
        yield from walk(member, *path)
