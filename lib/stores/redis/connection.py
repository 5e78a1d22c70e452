"""The connection to the server that machines share: its address, its client, and its errors.

The client's messages may quote the address, and so a password: none of them leaves this file.
"""

from __future__ import annotations

from ...errors import NewerVersion, StoreError
from ...recording import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def place_of(url: str) -> str:
    """The server for people, without the user and the password, and without what may be theirs."""
    scheme, _, rest = url.partition("://")
    address, _, query = rest.replace("#", "?").partition("?")
    place = address.rpartition("@")[2]
    host, _, path = place.partition("/")
    _, colon, port = host.rpartition(":")
    # Where @, ? or / stand as they are in a password it ends elsewhere than it seems.
    is_doubtful = (
        "@" in query
        or (colon and not port.isdigit() and not host.endswith("]"))
        or (scheme != "unix" and path and not path.isdigit())
    )
    return f"{scheme}://{'...' if is_doubtful else place}"


_HARMLESS = frozenset(
    """db username protocol client_name max_connections health_check_interval retry_on_timeout
    socket_timeout socket_connect_timeout socket_keepalive ssl_ca_certs ssl_ca_path ssl_certfile
    ssl_keyfile ssl_cert_reqs ssl_check_hostname ssl_min_version""".split()
)
"""Options in an address that hold no secret."""


def holds_password(url: str) -> bool:
    """Whether an address holds a password, or what may be one."""
    from urllib.parse import parse_qsl, unquote, urlsplit

    if "://" not in url or url.startswith("sqlite:///"):
        return False
    try:
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return True
    user, at, _ = parts.netloc.rpartition("@")
    names = {name for name, _ in options}
    values = "".join(value for _, value in options)
    return (
        ":" in unquote(user)
        or "@" in user + parts.path + parts.query + parts.fragment
        or not names <= _HARMLESS
        or "=" in values
        or bool(parts.fragment)
        or (not at and not (parts.netloc.endswith("]") or _is_host(parts.netloc)))
    )


def _is_host(place: str) -> bool:
    _, colon, port = place.partition(":")
    return not colon or port.isdigit() or place.startswith("[")


SILENCE = 5.0
"""Seconds that a server may take to accept a connection, and for each reply."""


def connect(url: str, seconds: float) -> Any:
    """A client of the server at a URL. It waits for each reply so long, and SILENCE at most.

    Raises StoreError.
    User and password may be in WORKFLOW_STATE_REDIS_USER and WORKFLOW_STATE_REDIS_PASSWORD.
    """
    redis = _package()
    user = journal.environment("WORKFLOW_STATE_REDIS_USER")
    password = journal.environment("WORKFLOW_STATE_REDIS_PASSWORD")
    given = {"username": user or None, "password": password or None}
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=min(seconds, SILENCE),
            socket_connect_timeout=min(seconds, SILENCE),
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
            **{name: value for name, value in given.items() if value},
        )
    except Exception:  # noqa: BLE001
        # Its message may quote a part of the address, and so of the password.
        raise StoreError(
            "the address in WORKFLOW_STATE_STORE cannot be used; it is redis://[USER:PASSWORD@]"
            "HOST[:PORT][/NUMBER], rediss:// for TLS, or unix://PATH"
        ) from None


class ServerErrors:
    """A server's refusal in it becomes a StoreError, without a word of the address's secrets."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        redis = _package()
        if not isinstance(error, (redis.RedisError, OSError)):
            return
        word, _, rest = str(error).partition(" ")
        if word == "FORMAT":
            raise NewerVersion(
                f"{self._place} has format version {rest!r:.40}; it is left as it is: update "
                "workflow-state"
            ) from None
        # Only the kind of trouble: the client's own words may quote a password.
        kind = type(error).__name__
        raise StoreError(f"{self._place}: {kind}; what is pending stays pending") from None


def _package() -> Any:
    try:
        import redis
    except ImportError:
        # Hooks run without the site's packages: to load them costs more than a hook.
        import site

        site.main()
        try:
            import redis
        except ImportError:
            raise StoreError(
                "the redis store needs the redis package in the Python that runs it: "
                "python3 -m pip install redis"
            ) from None
    return redis


def bounded(act: Callable[[], None], seconds: float, place: str) -> None:
    """Act for at most so long. A name that does not resolve, for one, heeds no timeout."""
    import threading

    failed: list[StoreError] = []

    def run() -> None:
        try:
            act()
        except StoreError as error:
            failed.append(error)
        except Exception as error:  # noqa: BLE001
            # A session starts whatever replies at an address, and no message of that is shown.
            message = f"{place} does not reply as a Redis server ({type(error).__name__})"
            failed.append(StoreError(message))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if thread.is_alive():
        raise StoreError(
            f"{place} has not answered within {seconds:g} seconds; the next exchange sends what "
            "is pending"
        )
