"""Recorded text made harmless: for Claude, and for a terminal.

A file's name, a command or a request may hold anything: line breaks, terminal escapes, tags,
characters that are not seen. What is quoted here is one short line of printable text and cannot
end the quotation it stands in.
"""

from __future__ import annotations

_PLAIN = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$&'()*+,-./:;=?@[]^_{|}~"
)

_UNSEEN = frozenset("\u034f\u115f\u1160\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks that `isprintable` lets through though nobody sees them: fillers, joiners and
the variation selectors, which can carry a hidden text."""


def _percent(letter: str) -> str:
    return "".join([f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass")])


def _is_selector(letter: str) -> bool:
    return letter in _UNSEEN or "\ufe00" <= letter <= "\ufe0f" or letter >= "\U000e0000"


def _is_seen(letter: str) -> bool:
    return letter.isprintable() and not letter.isascii() and not _is_selector(letter)


def _shorten(text: str, limit: int) -> str:
    """Head and tail of a text: both ends of a path or a command tell the most."""
    if len(text) <= limit:
        return text
    tail = limit // 3
    return f"{text[: limit - tail - 3]}...{text[-tail:]}"


def ascii_quoted(text: str, limit: int = 120) -> str:
    """`text` in double quotes: printable ASCII only, the rest percent-encoded as in a URL."""
    ends = _shorten(text, limit * 4)
    kept = "".join([letter if letter in _PLAIN else _percent(letter) for letter in ends])
    return f'"{_shorten(kept, limit)}"'


def word(text: str, limit: int = 60) -> str:
    """A name as it is when it is one plain word, else `ascii_quoted`."""
    plain = text.replace("_", "a").replace("-", "a").replace(".", "a")
    if plain.isascii() and plain.isalnum() and len(text) <= limit:
        return text
    return ascii_quoted(text, limit)


def quoted(text: str, limit: int = 300) -> str:
    """`text` in double quotes, in the user's own script: every character that is seen, one line."""
    spaced = " ".join(text[: limit * 4].split())
    kept = [
        letter if letter in _PLAIN or (_is_seen(letter)) else _percent(letter) for letter in spaced
    ]
    return f'"{_shorten("".join(kept), limit)}"'


def printable(text: str) -> str:
    """`text` for a terminal: what would move the cursor or hide itself is percent-encoded."""
    return "".join([letter if letter.isprintable() else _percent(letter) for letter in text])
