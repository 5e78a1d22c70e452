"""Large events: what a record keeps of one, without making the long texts that it does not keep.

The contents of a file come with every call that writes it, twice when the call has ended. The
scanner makes an object of each piece of a string between two escapes: for 5 MB of code that takes
longer than the interpreter's start. Here the long strings are emptied first, by one search in C.

Inside a string every quote has a backslash before it. So a comma right before a quote is between
two strings, or at the end of one, and the search for the next `,"` (or `, "`, whichever the event
is written with) passes over any string in one call. Where that leaves a doubt, the event is read
whole: the answer is the same, only later.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LONG = 1024
"""Bytes of a string that are worth being passed over."""

_HEAD = 1024
"""Bytes of an event that show how it is written."""

_MOST, _MOST_LONG = 1000, 32
"""Strings after which this is given up: an event of many is sooner read whole."""

_LOOK_BACK = 64
"""Quotes before a long string's end that must be its own. Should somebody glue an event of pieces
written in two ways, and its last text have more quotes than these, members before it may be lost.
"""

_READ = frozenset(
    b"agentId agent_id agent_type backgroundTaskId command cwd description error file_path "
    b"hook_event_name notebook_path path permission_mode prompt prompt_id reason session_id source "
    b"status tool_name tool_use_id transcript_path trigger type url".split()
)
"""The members of which a record keeps something."""

_QUOTE, _BACKSLASH = b'"\\'


def scan(
    data: bytearray, parse: Callable[[str], dict[str, Any]], unusable: type[Exception]
) -> dict[str, Any]:
    """The event in `data`, but for strings of which no record keeps anything.

    `parse` returns the event in a text, and raises `unusable` where there is none.
    """
    kept = _without_long_strings(data)
    if kept:
        try:
            fields = parse(kept.decode("utf-8", "replace"))
        except unusable:
            pass  # the error is to be that of the whole
        else:
            if not _tells_of_lists(fields):
                return fields
    return parse(data.decode("utf-8", "replace"))


def _tells_of_lists(fields: dict[str, Any]) -> bool:
    """Whether a record keeps something of a list: between items a string's end may be mistaken."""
    response = fields.get("tool_response")
    return "background_tasks" in fields or (type(response) is dict and "bashEditDiff" in response)


def _without_long_strings(data: bytearray) -> bytes:
    """The event with its long strings empty; b"" where that is not certain, or would take long."""
    end = len(data)
    while data[end - 1] in b" \t\r\n":
        end -= 1
    spaced = data.find(b'": ', 0, _HEAD) >= 0
    comma = b', "' if spaced else b',"'
    if data.find(b"\n", 0, end) >= 0:  # laid out for people: more than a comma is between strings
        return b""
    pieces: list[bytearray] = []
    done = 0
    opener = data.find(b'"')
    for _ in range(_MOST):
        if opener < 0:
            break
        closer = _near_closer(data, opener)
        if closer < 0:
            closer = _far_closer(data, opener, comma, end)
            if closer < 0 or len(pieces) > _MOST_LONG:
                return b""
            if _member(data, opener) not in _READ:
                pieces.append(data[done : opener + 1])
                done = closer
        opener = data.find(b'"', closer + 1)
    else:
        return b""
    kept = b"".join([*pieces, data[done:]])
    return b"" if _is_mixed(kept, spaced) else kept


def _near_closer(data: bytearray, opener: int) -> int:
    """Where a short string ends; -1 when it is a long one."""
    end = opener + LONG
    closer = data.find(b'"', opener + 1, end)
    while closer >= 0 and _is_escaped(data, closer):
        closer = data.find(b'"', closer + 1, end)
    return closer


def _far_closer(data: bytearray, opener: int, comma: bytes, end: int) -> int:
    """Where a long string ends; -1 where that is in doubt."""
    behind = data.find(comma, opener + LONG)
    last = behind < 0
    behind = end if last else behind
    closer = behind - 1
    while data[closer] in b"}] ":
        closer -= 1
    if data[closer] != _QUOTE or _is_escaped(data, closer):
        if last:
            return -1
        closer = behind + len(comma) - 1  # the comma is the string's own last character
    # Had the string ended before, there would be the next one's opening quote, which has none.
    before = closer
    for _ in range(_LOOK_BACK):
        before = data.rfind(b'"', opener + 1, before)
        if before < 0:
            break
        if not _is_escaped(data, before):
            return -1
    return closer


def _is_escaped(data: bytearray, place: int) -> bool:
    """Whether an odd number of backslashes stands before a place."""
    before = place
    while data[before - 1] == _BACKSLASH:
        before -= 1
    return (place - before) % 2 == 1


def _member(data: bytearray, opener: int) -> bytes:
    """The name of the member whose value begins at `opener`; b"" for an item, or a long name."""
    before = bytes(data[max(0, opener - 40) : opener]).rstrip()
    if before[-1:] != b":":
        return b""
    return before[:-1].rstrip().rpartition(b'"')[0].rpartition(b'"')[2]


def _is_mixed(kept: bytes, spaced: bool) -> bool:
    """Whether strings are divided in more than one way, so that a search may have missed some."""
    if spaced:
        return b',"' in kept or kept.count(b'":') != kept.count(b'": ')
    return b', "' in kept or b'": ' in kept
