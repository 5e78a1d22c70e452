"""`install` and `uninstall`: register the hooks with Claude Code, and remove them again."""

from __future__ import annotations

import os

from ..errors import StoreError
from ..events.session_start import command_line
from ..recording import journal
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..install.install import Place
    from ..install.settings_change import Change
    from .arguments import Answer

_INSTALL = """\
Registers the hooks in a settings file of Claude Code. Every other byte of the file stays. By
default it registers them for you, in this project: in .claude/settings.local.json, with the paths
of this bundle and of the Python that runs this command.

--shared is for a team: it copies hooks/, lib/ and bin/ into .claude/workflow-state/ and registers
the hooks in .claude/settings.json. Commit both. Claude Code reads that file only if it starts in
the directory that holds .claude/.

To run it again is safe. It replaces older registrations of these hooks in the same file, also those
made by hand. Until `uninstall`, a backup of the file is in ~/.local/state/workflow-state/before/.
"""
_INSTALL_EXAMPLES = """\
examples:
  workflow-state install                    for you, in the project of the current directory
  workflow-state install --user             for you, in all projects
  workflow-state install --shared           for everyone who works on this project
  workflow-state install --dry-run          only show what would change

exit status: 0, also if there is nothing to do; 1 if a file cannot be changed, which then stays as
it is; 2 for wrong arguments
"""
_UNINSTALL = """\
Removes the hooks from the settings file that `install` uses with the same options. If nobody has
changed the file since, it becomes what it was before, byte for byte; else only the hooks are cut
out. The recorded state stays in .claude/state, unless --purge removes it.
"""
_UNINSTALL_EXAMPLES = """\
examples:
  workflow-state uninstall                  remove them from this project
  workflow-state uninstall --user --dry-run only show what would change
  workflow-state uninstall --purge          and remove what was recorded here

exit status: 0, also if there is nothing to do; 1 if something cannot be changed; 2 for wrong
arguments
"""


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser; `parents` are those of --json and of --dir."""
    parser = add(
        commands, parents[:1], "install", install, "register the hooks", _INSTALL, _INSTALL_EXAMPLES
    )
    _add_options(parser)
    parser = add(
        commands,
        parents,
        "uninstall",
        uninstall,
        "remove the hooks again",
        _UNINSTALL,
        _UNINSTALL_EXAMPLES,
    )
    _add_options(parser)
    parser.add_argument(
        "--purge", action="store_true", help="also remove the project's recorded state"
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(stateless=True)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--project", metavar="DIR", help="the project (default: the current one)")
    where.add_argument("--user", action="store_true", help="your settings for all projects")
    parser.add_argument(
        "--shared", action="store_true", help="for the project's team, with a copy of the bundle"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the changes, but make none")


def _place(arguments: argparse.Namespace) -> Place:
    from ..install import install as installing

    if arguments.user and arguments.shared:
        arguments.refuse("--user and --shared exclude each other")
    return installing.place(arguments.project, arguments.user, arguments.shared)


def install(_state: None, arguments: argparse.Namespace) -> Answer:
    """Register the hooks."""
    from ..install import bundle_copy, settings_change  # which no other command needs
    from ..install import install as installing

    where = _place(arguments)
    change = settings_change.registering(where.path, installing.commands(where))
    copied = bundle_copy.changed_files(where.copy) if where.shared else []
    if arguments.dry_run:
        more = [f"Would copy to {where.copy}: {len(copied)} files."] if copied else []
        return _would(change, more, copied=copied, warnings=[])
    if where.shared:
        change.apply(*bundle_copy.copying(where.copy))
    else:
        change.apply()
    warnings = installing.warnings(where)
    lines = [
        f"Already registered in {where.path}{'.' if copied else '; nothing was changed.'}"
        if change.is_none
        else f"Registered in {_named(change)}."
    ]
    if copied:
        lines.append(f"Copied to {where.copy}: {len(copied)} files. Commit both.")
    if not change.is_none and change.before is not None:
        lines.append(f"Backup of the file: {change.backup.stem}")
    if not change.is_none:
        if installing.runs(where):
            said = "Claude Code records from the next tool call on, in directories that it trusts."
            lines.append(said)
        lines.append(f"Check that it works: {command_line()} doctor")
    lines += [f"Note: {warning}" for warning in warnings]
    return {**_data(change), "copied": copied, "warnings": warnings}, lines


def uninstall(_state: None, arguments: argparse.Namespace) -> Answer:
    """Remove the hooks."""
    from ..install import bundle_copy, settings_change, settings_files
    from ..maintenance import purge

    where = _place(arguments)
    if arguments.purge and arguments.user:
        arguments.refuse("--purge removes one project's state: use it without --user")
    change = settings_change.unregistering(where.path)
    directory = ""
    if arguments.purge:
        directory = arguments.dir or journal.find_state(where.project)
        directory = os.path.abspath(directory)
    # First what can fail, then the registration, then the copy that it runs, then the state.
    recorded = purge.purge(directory, dry_run=True) if directory else {}
    if where.shared:
        bundle_copy.check_copy(where.copy)
        if os.path.realpath(where.copy) == bundle_copy.BUNDLE:
            raise StoreError(f"{where.copy} is running; nothing was changed: rm -r {where.copy}")
    copied = where.shared and os.path.isdir(where.copy)
    if arguments.dry_run:
        more = [f"Would remove {where.copy}."] if copied else []
        more += [f"Would remove {directory}: {_counted(recorded)}."] if recorded else []
        return _would(change, more, removed=recorded, still=[])
    change.apply()
    if copied:
        bundle_copy.remove_copy(where.copy)
    removed = purge.purge(directory) if directory else {}
    left = change.clear()
    lines = []
    if change.is_none:
        lines.append(f"The hooks are not registered in {where.path}; nothing was changed.")
    elif change.after is None:
        lines.append(f"Removed {_named(change)}, which held nothing else.")
    else:
        lines.append(f"Removed the hooks from {_named(change)}.")
    if removed:
        lines.append(f"Removed {directory}: {_counted(removed)}.")
    elif directory:
        lines.append(f"There is no state in {directory}.")
    else:
        kept = journal.find_state(where.project) if where.project else ""
        if kept and os.path.isdir(kept):
            lines.append(f"The recorded state stays in {kept}; --purge removes it.")
    others = settings_files.registrations(where.project or journal.find_project()).ways
    lines += [f"Note: the hooks are still registered by {way}" for way in others]
    if left:
        lines.append(f"Note: {left}")
    return {**_data(change), "removed": removed, "still": others}, lines


def _would(change: Change, more: list[str], **data: Any) -> Answer:
    """What a dry run shows: a unified diff."""
    import difflib

    from ..install import settings_files

    difference = list(
        difflib.unified_diff(
            settings_files.text_of(change.path, change.before).splitlines(),
            settings_files.text_of(change.path, change.after).splitlines(),
            change.path if change.before is not None else "/dev/null",
            change.path if change.after is not None else "/dev/null",
            lineterm="",
        )
    )
    lines = [line.expandtabs(4) for line in difference]
    if not lines:
        lines = [f"Nothing would change in {change.path}."]
    return {**_data(change), "dry_run": True, "diff": difference, **data}, [*lines, *more]


def _data(change: Change) -> dict[str, Any]:
    return {"settings": change.path, "changed": not change.is_none, "dry_run": False, "diff": []}


def _named(change: Change) -> str:
    linked = os.path.islink(change.path)
    return f"{change.path} (a link to {change.real})" if linked else change.path


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{count} {kind[:-1] if count == 1 else kind}" for kind, count in counts.items()
    )
