"""What a call is about, in words. The caller quotes: for Claude, for a terminal, for a page."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SUBJECT = ("path", "command", "description", "url")
"""What distinguishes a call from others of its tool, the best first."""


def subject(call: Mapping[str, object], limit: int = 0) -> str:
    """What a call is about: its path, command, description or URL. "" when it has none.

    At most `limit` characters, or all of them when that is 0.
    """
    for name in _SUBJECT:
        if call.get(name):
            # The end of a path matters most, and the beginning of all else.
            return shortened(str(call[name]), limit, limit // 2 if name == "path" else 0)
    return ""


def describe(call: Mapping[str, object], limit: int = 0, unnamed: str = "?") -> str:
    """A call on one line: its tool, or `unnamed`, and its subject."""
    return " ".join(f"{call.get('tool') or unnamed} {subject(call, limit)}".split())


def shortened(text: str, limit: int, tail: int = 0) -> str:
    """At most `limit` characters of a text, the last `tail` among them; with 0, all of them."""
    if not limit or len(text) <= limit:
        return text
    return text[: limit - 3 - tail] + "..." + text[len(text) - tail :]
