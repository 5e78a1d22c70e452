"""What of a value is redacted from other machines: the secrets in it, wherever they are.

Where it is unclear whether something is a secret, it is redacted. The value itself stays as it is.
"""

from __future__ import annotations

from ...recording import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MASK = "***"

WINDOW = 4096
"""Letters that are looked at as a whole; a label and its secret are always within so many."""

_TAIL = 400
"""Letters at the end of a text that tell whether a secret would follow it."""

_PORTION = 32
"""Elements of a list that are looked at together first."""

_NEXT = "s0me7Hing9Qx2vKp4Rt6 something' something\" something"
"""What no pattern takes for a secret but for what is before it: a label, or an open quote."""


def redact(value: Any, name: str = "") -> Any:
    """A value that JSON holds, which stands under a name, without the secrets in it.

    Whatever stands under a secret's name goes, of whatever type and however deep.
    """
    if name and _is_label(name):
        return _whole(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return _list(value)
    if isinstance(value, dict):
        return _dict(value)
    return value


def _whole(value: Any) -> Any:
    nothing = value is None or isinstance(value, bool) or value in ("", [], {})
    return value if nothing else MASK


def _dict(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    counts: dict[str, int] = {}
    # {"name": "API_KEY", "value": ...}, as lists of variables have it
    is_pair = _is_name(value.get("name")) or _is_name(value.get("key"))
    for key, each in value.items():
        shown = name = _text(key)
        while shown in found or (shown in value and shown != key):
            # Two that differed in their secrets only stay two.
            counts[name] = counts.get(name, 1) + 1
            shown = f"{name} {counts[name]}"
        found[shown] = _whole(each) if is_pair and key == "value" else redact(each, key)
    return found


def _list(value: list[Any]) -> list[Any]:
    """Elements may be words of a command, or lines of a text: what is before each counts."""
    found: list[Any] = []
    before = ""
    in_key = is_named = False
    for start in range(0, len(value), _PORTION):
        portion = value[start : start + _PORTION]
        if not in_key and not is_named and all(isinstance(each, str) for each in portion):
            joined = " ".join([before, *portion])
            if not journal.has_secret_sign(joined):
                found += portion  # as nearly all are: lists of paths may be long
                before = joined[-_TAIL:]
                continue
        for each in portion:
            shown = redact(each)
            if in_key or is_named or (before and _follows_label(before, each, shown)):
                shown = _whole(each)
            found.append(shown)
            is_named = _is_name(each)
            if not isinstance(each, str):
                before = ""
                continue
            before = f"{before} {each}"[-_TAIL:]
            in_key = "-----END" not in each if in_key else _opens_key(each)
    return found


def _is_label(name: str) -> bool:
    """Whether what stands under a name is a secret."""
    from ...recording.masking.patterns import names_secret

    return names_secret(name) or (" " in name and _dangles(name[-_TAIL:], " "))


def _is_name(text: Any) -> bool:
    """Whether a text is nothing but the name of a secret, as in ["password", ...]."""
    return (
        isinstance(text, str)
        and len(text) <= 200
        and text.replace("-", "_").isidentifier()
        and _is_label(text)
    )


def _dangles(text: str, between: str) -> bool:
    """Whether what follows a text would be a secret, or a part of one."""
    return not _masked(text + between + _NEXT).endswith(between + _NEXT)


def _follows_label(before: str, each: Any, shown: Any) -> bool:
    if _dangles(before, " "):
        return True
    if not isinstance(each, str) or len(each) > WINDOW:
        return False
    return not _masked(f"{before} {each}").endswith(f" {shown}")


def _opens_key(text: str) -> bool:
    """Whether a private key begins in a text and does not end in it."""
    if "-----BEGIN" not in text:
        return False
    from ...recording.masking.patterns import mask_private_keys

    return not mask_private_keys(text + "\0").endswith("\0")


def _text(text: str) -> str:
    if "-----BEGIN" in text:
        from ...recording.masking.patterns import mask_private_keys

        text = mask_private_keys(text)
    pieces = []
    start = 0
    while start < len(text):
        end = _cut(text, start)
        pieces.append(_piece(text[start:end]))
        start = end
    return "".join(pieces)


def _cut(text: str, start: int) -> int:
    """Where the piece of a text ends that is looked at next: at a line's end, behind no label."""
    if len(text) - start <= WINDOW:
        return len(text)
    end = text.rfind("\n", start + 1, start + WINDOW)
    while end > 0 and _dangles(text[max(start, end - _TAIL) : end], "\n"):
        end = text.rfind("\n", start + 1, end)
    if end > 0:
        return end
    end = text.find("\n", start + WINDOW)
    while end > 0 and _dangles(text[max(start, end - _TAIL) : end], "\n"):
        end = text.find("\n", end + 1)
    return end if end > 0 else len(text)


def _piece(piece: str) -> str:
    """A piece without secrets; a line too long to be looked at as a whole goes when it has one."""
    if len(piece) <= WINDOW:
        return _masked(piece)
    for start in range(0, len(piece), WINDOW):
        window = piece[start : start + 2 * WINDOW]
        if _masked(window) != window:
            return MASK
    return piece


def _masked(text: str) -> str:
    return journal.masked(text, 24 * WINDOW + 24 * _TAIL)  # which cuts nothing off
