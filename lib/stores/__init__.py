"""Where keys and checkpoints are: the port, JSON files, SQLite, Redis.

It may import `project` and the layers below. This module is the port. A store holds documents,
dicts that JSON can hold, in two collections: KEYS and CHECKPOINTS.
Every store raises `StoreError` and its kinds, and returns None for what is absent: absent is never
mistaken for broken. A store that shares nothing with other machines inherits from `Unshared`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    Document = dict[str, Any]

    class Store(Protocol):
        """What a store can do. Every method may raise StoreError; each change is all or nothing."""

        def read(self, collection: str, name: str) -> Document | None:
            """The document, or None when there is none. Raises Damaged.

            Under the lock it is quarantined first. A reader leaves it as it is, with LEFT.
            """

        def write(self, collection: str, name: str, document: Document) -> None:
            """Put the document in place of any older one, durably."""

        def sign(self, name: str, document: Document) -> Document:
            """The document as `write` takes it from the one who is to be known as its writer.

            `staticmethod(format.documents.signed)` in a store that keeps whole documents.
            """

        def delete(self, collection: str, name: str) -> bool:
            """Remove the document; False when there was none."""

        def names(self, collection: str) -> list[str]:
            """The names in a collection, sorted."""

        home: str
        """Where the documents lie on this machine: two stores of one home have the same."""

        server: str
        """The address of what shares them with other machines; "" for nothing."""

        notices: list[str]
        """What went wrong without keeping an answer back, for people to be told."""

        finish: Callable[[Document], None]
        """Called with the note of a `replace_keys` before it is done, by whoever finishes it."""

        def replace_keys(self, wanted: dict[str, Document], note: Document) -> None:
            """Make KEYS hold exactly these; readers see the old ones or the new, no mixture.

            Finished by another process when this one dies, with `finish(note)` called once or,
            after a crash, more than once.
            """

        def unfinished(self) -> Document | None:
            """The note of a `replace_keys` that is not done yet, but seen by readers already."""

        def exchange(self, seconds: float, take: bool = True) -> None:
            """Give other machines what they lack, and take what they have, in so many seconds.

            In 0 seconds another process does it. Nothing where nobody shares the store. Not under
            the lock.
            """

        def elsewhere(self) -> list[str]:
            """The names of the checkpoints that other machines made, the latest first."""

        def quarantined(self) -> list[tuple[str, str]]:
            """Documents quarantined where no file shows it: the place, and what removes it."""

        def reach(self) -> None:
            """Raise StoreError where the server does not answer."""

        def shared_keys(self) -> set[str]:
            """The keys here that other machines have too."""

        def pending(self) -> int:
            """How many documents here the server is not known to have."""

        def unsent(self) -> list[str]:
            """The documents here that the server has not, as it reports itself; for people."""

        def advice(self, files: int) -> str:
            """The command to a store that suits a session of so many files better; "" for none."""

        def clean_up(self) -> None:
            """Remove what killed writers left behind."""

        def close(self) -> None:
            """Let go of what is open, before the process ends; a later call opens it again."""

        def lock(self, seconds: float | None = None) -> Any:
            """A context manager that keeps other writers out. Raises Busy when they are long.

            That is longer than so many seconds, or what the store thinks long.
            """


KEYS = "keys"
CHECKPOINTS = "checkpoints"

LEFT = (
    "it was left as it is; workflow-state doctor --fix quarantines it, as does the next save of it"
)
"""What a reader says of a damaged document."""

FILES = ("", "json")
"""The addresses of the store whose documents are files in the state directory, the default."""


class Unshared:
    """The part of the port that only a store with a server has to write itself."""

    server = ""

    def exchange(self, seconds: float, take: bool = True) -> None:
        """Nothing: no other machine shares this store."""

    def elsewhere(self) -> list[str]:
        """No checkpoint: no other machine shares this store."""
        return []

    def reach(self) -> None:
        """Nothing: there is no server."""

    def shared_keys(self) -> set[str]:
        """No key: no other machine shares this store."""
        return set()

    def pending(self) -> int:
        """No document: there is no server."""
        return 0

    def unsent(self) -> list[str]:
        """No document: there is no server."""
        return []

    def advice(self, files: int) -> str:  # noqa: ARG002
        """No other store: a checkpoint costs what its turn changed."""
        return ""

    def quarantined(self) -> list[tuple[str, str]]:
        """None: what is quarantined is a file beside its place."""
        return []

    def close(self) -> None:
        """Nothing: no file stays open."""
