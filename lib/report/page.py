"""The page: `page.html`, which `make report-page` builds from report/, filled with data.

The page runs its one script by its hash and asks no network. The data lies in a script element
that no browser runs, as JSON in which nothing can end that element.
"""

from __future__ import annotations

import json
import os

from ..errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MARK = b"<!doctype html>\n<!-- workflow-state report -->\n"
"""What every report begins with, so that an older one is told from another file."""

_PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.html")
_PLACE = '<script type="application/json" id="data">'

# U+2028 and U+2029 are escaped by `dumps`, like all that is not ASCII.
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def as_json(data: Any) -> str:
    """`data` as JSON of ASCII characters that may stand in any element of a page."""
    return json.dumps(data, separators=(",", ":")).translate(_ESCAPES)


def page(data: Any) -> str:
    """The whole page, ASCII. Raises StoreError when the bundle has none."""
    try:
        with open(_PAGE, encoding="ascii") as file:
            empty = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{_PAGE}: {reason}; install workflow-state again") from None
    head, found, rest = empty.partition(_PLACE)
    if not found:
        raise StoreError(f"{_PAGE} has no place for data; install workflow-state again")
    return f"{head}{found}{as_json(data)}{rest}"
