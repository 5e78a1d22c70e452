"""Which store an address means. Only the one that is chosen is loaded."""

from __future__ import annotations

from ..errors import StoreError
from . import FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import Store

SHARED = ("redis://", "rediss://", "unix://")


def is_shared(url: str) -> bool:
    """Whether the store at an address is shared with other machines."""
    return url.startswith(SHARED)


def kind(url: str) -> str:
    """The first word of an address: what follows may hold a password."""
    return url.partition(":")[0] or FILES[-1]


def holds_password(url: str) -> bool:
    """Whether an address holds a password, or what may be one."""
    from .redis import connection

    return connection.holds_password(url)


def without_password(url: str) -> str:
    """An address for people: without what may be a password."""
    from .redis import connection

    return connection.place_of(url) if connection.holds_password(url) else url


def open_store(url: str, directory: str) -> Store:
    """The store that WORKFLOW_STATE_STORE names, over a state directory. Touches no disk."""
    if url in FILES:
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
