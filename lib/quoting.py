"""Recorded text made harmless: for Claude, and for a terminal.

A file's name, a command or a request may hold anything: line breaks, terminal escapes, tags,
characters that are not seen. What is quoted here is one short line of printable text and cannot
end the quotation it stands in.
"""

from __future__ import annotations

_PLAIN = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$&'()*+,-./:;=?@[]^_{|}~"
)


def _percent(letter: str) -> str:
    return "".join([f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass")])


def _shorten(text: str, limit: int) -> str:
    """Head and tail of a text: both ends of a path or a command tell the most."""
    if len(text) <= limit:
        return text
    tail = limit // 3
    return f"{text[: limit - tail - 3]}...{text[-tail:]}"


def ascii_quoted(text: str, limit: int = 120) -> str:
    """`text` in double quotes: printable ASCII only, the rest percent-encoded as in a URL."""
    kept = "".join(
        [letter if letter in _PLAIN else _percent(letter) for letter in text[: limit * 4]]
    )
    return f'"{_shorten(kept, limit)}"'


def quoted(text: str, limit: int = 300) -> str:
    """`text` in double quotes, in the user's own script: every character that is seen, one line."""
    spaced = " ".join(text[: limit * 4].split())
    kept = [
        letter
        if letter in _PLAIN or (letter.isprintable() and not letter.isascii())
        else _percent(letter)
        for letter in spaced
    ]
    return f'"{_shorten("".join(kept), limit)}"'


def printable(text: str) -> str:
    """`text` for a terminal: what would move the cursor or hide itself is percent-encoded."""
    return "".join([letter if letter.isprintable() else _percent(letter) for letter in text])
