"""`get`, `set` and `unset`: keys from the shell."""

from __future__ import annotations

import json

from ..state import StateError
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from .arguments import Answer

_MISSING = object()


_GET = """\
Prints a text as it is, and any other value as JSON. In a known session, current_phase and
files_processed come from what the hooks have recorded until now.
"""
_SET = """\
Replaces the whole old value; if anything fails, the old value stays. Use keys for what you, a
script or Claude want to find again: a plan, a ticket, a list of open steps.
"""
_SET_EXAMPLES = """\
examples:
  workflow-state set plan '{"step": 2, "of": 5}'
  workflow-state set ticket ABC-17                not JSON, so it is a text
  workflow-state set port '"8080"'                a text, though it looks like a number
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    parser = add(commands, parents, "get", get, "print the value of a key, or list the keys", _GET)
    parser.add_argument("key", nargs="?", metavar="KEY", help="the key (default: list them)")
    parser = add(commands, parents, "set", set_, "save a value under a key", _SET, _SET_EXAMPLES)
    parser.add_argument("key", metavar="KEY", help="1 to 128 of A-Z a-z 0-9 . _ -")
    parser.add_argument("value", metavar="VALUE", help="JSON; anything else is taken as a string")
    parser = add(commands, parents, "unset", unset, "remove a key")
    parser.add_argument("key", metavar="KEY", help="the key")


def get(state: State, arguments: argparse.Namespace) -> Answer:
    """A string as it is, anything else as JSON."""
    if arguments.key is None:
        return state.keys(), state.keys() or [f"No keys are saved in {state.directory}."]
    value = state.load_state(arguments.key, _MISSING)
    if value is _MISSING:
        raise StateError(f"there is no key {arguments.key} in {state.directory}")
    text = value if isinstance(value, str) else json.dumps(value, indent=2)
    return value, text.split("\n")


def set_(state: State, arguments: argparse.Namespace) -> Answer:
    """Save."""
    try:
        value = json.loads(arguments.value)
    except ValueError:
        value = arguments.value
    except RecursionError:
        raise StateError("the value nests too deeply to be read; nothing was saved") from None
    state.save_state(arguments.key, value)
    return {arguments.key: value}, [f"{arguments.key} = {json.dumps(value)}"]


def unset(state: State, arguments: argparse.Namespace) -> Answer:
    """Remove."""
    if not state.delete_state(arguments.key):
        raise StateError(f"there is no key {arguments.key} in {state.directory}")
    return {"removed": arguments.key}, [f"Removed {arguments.key}."]
