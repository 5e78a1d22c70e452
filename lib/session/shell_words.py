"""A shell command taken apart: the simple commands in it, without what merely wraps them.

Not a shell: enough of its grammar to tell what is run from what is quoted. In a file of its own
because it needs `re`, which a session that runs no command does not wait for.
"""

from __future__ import annotations

import re

_WRAPPERS = frozenset(
    "sudo time env nohup command exec nice timeout then do else if while ! ( {".split()
)
_RUNNERS = frozenset(
    "uv run,poetry run,pipenv run,pdm run,hatch run,rye run,pixi run,bundle exec,pnpm exec,"
    "yarn exec,npm exec,npx -y,npx --yes,bunx --bun".split(",")
)
_SHORT_RUNNERS = frozenset("npx bunx uvx".split())
_PYTHON = re.compile(r"python[0-9.]*")
_INLINE_SHELL = re.compile(r"""\b(?:ba|z|da)?sh\s+-l?c\s+(?:"([^"]*)"|'([^']*)')""")
_QUOTED = re.compile(r"'[^']*(?:'|$)|\"(?:[^\"\\]|\\.)*(?:\"|$)")
_SEPARATORS = re.compile(r"&&|\|\||[;|\n()`]|(?<![>&])&(?![>&])")
_INTO_FILE = re.compile(r"(?<![0-9&<>-])>{1,2}\s*(?!&|/dev/|\s)")


def segments(command: str) -> list[list[str]]:
    """The simple commands of a shell command, as words, without what merely wraps them."""
    command = _INLINE_SHELL.sub(lambda match: " ; " + (match[1] or match[2] or ""), command)
    found = []
    for part in _SEPARATORS.split(_QUOTED.sub("''", command)):
        words = ["$>"] if _INTO_FILE.search(part) else []
        words += _unwrapped(part.split())
        if words:
            found.append(words)
    return found


def _unwrapped(words: list[str]) -> list[str]:
    """A simple command without what merely starts it: assignments, sudo, runners, python -m."""
    while words and (words[0] in _WRAPPERS or "=" in words[0] or words[0].isdigit()):
        words = words[1:]
    if words:
        words = [words[0].rpartition("/")[2], *words[1:]]
    while " ".join(words[:2]) in _RUNNERS:
        words = words[2:]
    if len(words) > 1 and _PYTHON.fullmatch(words[0]):
        words = words[2:] if words[1] == "-m" else [words[1].rpartition("/")[2], *words[2:]]
    elif len(words) > 1 and words[0] in _SHORT_RUNNERS:
        words = words[1:]
    return words
