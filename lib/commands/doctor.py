"""`doctor`: whether workflow-state works, and what to do if it does not."""

from __future__ import annotations

import os

from ..errors import StoreError
from ..recording import journal
from ..terminal.output import table
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .arguments import Answer

_MORE = """\
One line per check: ok, note (for you to know) or mend, with what to do behind an arrow. It runs
nothing that a project's files name. Of the network it asks only a server that you have chosen as
the store. It changes nothing; with --fix it first quarantines what is damaged, and takes from other
users what they could read of your state. It touches nothing that is not yours.
"""
_END = """\
examples:
  workflow-state doctor
  workflow-state doctor --fix
  workflow-state doctor --json | jq '.checks[] | select(.state == "mend")'

exit status: 0; 1 if something needs a fix; 2 for wrong arguments
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(
        commands, parents, "doctor", doctor, "check whether it works, and show how to fix it",
        _MORE, _END,
    )  # fmt: skip
    parser.set_defaults(stateless=True)
    parser.add_argument("--fix", action="store_true", help="quarantine what is damaged")
    parser.add_argument("--project", metavar="DIR", help="the project (default: the current one)")


def doctor(_state: None, arguments: argparse.Namespace) -> Answer:
    """All findings; 1 if one of them needs a fix."""
    # These take as long to load as all other commands together.
    from ..install.doctor.examine import examine
    from ..install.doctor.finding import MEND, Subject
    from ..install.doctor.fix import fix

    project = arguments.project
    if project is not None and not os.path.isdir(project):
        raise StoreError(f"{project or '(an empty name)'} is not a directory")
    project = os.path.abspath(project) if project is not None else journal.find_project()
    directory = os.path.abspath(arguments.dir or journal.find_state(project))
    subject = Subject(project, directory)
    fixed = fix(subject) if arguments.fix else []
    found = examine(subject)
    ill = [finding for finding in found if finding.state == MEND]
    rows = [
        [
            finding.state,
            finding.check,
            finding.said + (f" -> {finding.mend}" if finding.mend else ""),
        ]
        for finding in found
    ]
    lines = [f"fixed: {what}" for what in fixed] + table(rows)
    if ill:
        need = "needs" if len(ill) == 1 else "need"
        lines.append(f"{len(ill)} of {len(found)} checks {need} a fix.")
    else:
        lines.append("Nothing needs a fix.")
    checks = [vars(finding) for finding in found]
    data = {"ok": not ill, "project": project, "directory": directory, "checks": checks}
    data["fixed"] = fixed
    return data, lines, 1 if ill else 0
