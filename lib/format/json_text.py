"""JSON text, read and written by the C parts of the json package without the package.

`import json` brings `re` and `enum` and takes as long as the interpreter's start, which every stop
and every start of a session would wait for. What is read and written here is what `json.loads` and
`json.dumps` read and write, except that what is not JSON is refused both ways: NaN, the infinities,
and numbers of more digits than Python would read back.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DIGITS = 4300
"""The longest integer, in digits: as `sys.int_info.default_max_str_digits` of newer Pythons."""

_SPACE = " \t\n\r"


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0:
        _refuse(digits)
    return number


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


class _Strict:
    """What the scanner of `json.loads` is given."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = staticmethod(_finite)
    parse_int = staticmethod(_integer)
    parse_constant = staticmethod(_refuse)


_scan = make_scanner(_Strict)  # type: ignore[arg-type]


def loads(text: str) -> Any:
    """The value that `text` is the JSON of. Raises ValueError and RecursionError."""
    start = len(text) - len(text.lstrip(_SPACE))
    try:
        value, end = _scan(text, start)
    except (StopIteration, SystemError):
        import json  # for its words: what is wrong, and where

        json.loads(text)
        raise ValueError("it does not parse") from None
    if text[end:].strip(_SPACE):
        raise ValueError(f"extra data after character {end}")
    return value


def _unknown(value: object) -> None:
    raise TypeError(f"a {type(value).__name__} is no JSON")


def dumps(value: object) -> str:
    """The JSON of a value, in ASCII and on one line. Raises TypeError and ValueError."""
    encode: Any = make_encoder
    encoder = encode({}, _unknown, encode_basestring_ascii, None, ": ", ", ", False, False, False)
    return "".join(encoder(value, 0))
