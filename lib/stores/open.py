"""Which store an address means. Only the one that is chosen is loaded."""

from __future__ import annotations

from ..errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import Store

SHARED = ("redis://", "rediss://", "unix://")


def is_shared(url: str) -> bool:
    """Whether the store at an address is shared with other machines."""
    return url.startswith(SHARED)


def open_store(url: str, directory: str) -> Store:
    """The store that WORKFLOW_STATE_STORE names, over a state directory. Touches no disk."""
    if url in ("", "json"):
        from .json_files import JsonFiles

        return JsonFiles(directory)
    if url == "sqlite" or url.startswith("sqlite:///"):
        from .sqlite.store import Sqlite

        path = url[9:].lstrip("/")
        return Sqlite(directory, f"/{path}" if path else "")
    if is_shared(url):
        from .redis.store import Redis

        return Redis(directory, url)
    kind = url.partition("://")[0]  # the rest of an address may hold a password
    raise StoreError(
        f"WORKFLOW_STATE_STORE begins with {kind!r:.40}, which this version does not know; use "
        "json, sqlite, sqlite:///PATH, or redis://HOST"
    )
