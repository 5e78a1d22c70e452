"""What a check gets, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...state import State
from .. import settings_files
from ..settings_files import Registrations, registrations

OK = "ok"
NOTE = "note"
MEND = "mend"


@dataclass(frozen=True)
class Finding:
    """
    check   what was checked, one word
    state   OK, NOTE (nothing to do, or only for you to know) or MEND
    said    what was found, and where
    mend    what to do about it; "" if there is nothing to do
    """

    check: str
    state: str
    said: str
    mend: str = ""


@dataclass
class Subject:
    """What is checked: a project, its state directory, and where hooks are registered for it."""

    project: str
    directory: str
    registered: Registrations = field(init=False)

    def __post_init__(self) -> None:
        self.registered = registrations(self.project)
        self._state: State | None = None

    @property
    def state(self) -> State:
        """The project's state. Raises StoreError if its store cannot be opened."""
        if self._state is None:
            self._state = State(self.directory, "")
        return self._state

    def close(self) -> None:
        """Let go of what the state holds open."""
        if self._state:
            self._state.store.close()

    def commands(self) -> list[str]:
        """The commands that settings files register, each once."""
        found = [
            line
            for events in self.registered.files.values()
            for lines in events.values()
            for line in lines
        ]
        return list(dict.fromkeys(found))

    def install(self, path: str) -> str:
        """The command that registers the hooks in a settings file again."""
        return f"workflow-state install{settings_files.options(path, self.project)}"
