"""`trust`: adopt state that came with a clone, or from another machine."""

from __future__ import annotations

from ..maintenance.trust import adopt
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..state import State
    from .arguments import Answer


_MORE = """\
Records, checkpoints and keys are signed with your key, which lies outside every repository. What
came with a clone, or from another machine, has another signature: Claude does not see it, and it is
not restored. This command signs all of it with your key. Read it first: Claude will see its texts.
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(
        commands, parents, "trust", trust, "adopt what another user or machine wrote", _MORE
    )
    parser.add_argument("--dry-run", action="store_true", help="only say how many there are")


def trust(state: State, arguments: argparse.Namespace) -> Answer:
    """Adopt, or count."""
    counts = adopt(state, arguments.dry_run)
    if not any(counts.values()):
        return counts, [f"Everything in {state.directory} that is whole is yours already."]
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return counts, [f"{'To adopt' if arguments.dry_run else 'Adopted'}: {said}."]
