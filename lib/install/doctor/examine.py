"""All checks, in the order in which `doctor` prints them; a new check joins CHECKS."""

from __future__ import annotations

from dataclasses import replace

from ...errors import StoreError
from ...recording import journal
from . import container, git, hooks, published, python, state
from .finding import MEND, Finding, Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHECKS: tuple[Callable[[Subject], Finding], ...] = (
    hooks.check_switch,
    hooks.check_settings,
    hooks.check_registration,
    hooks.check_scripts,
    python.check_python,
    state.check_recording,
    state.check_crash,
    state.check_directory,
    state.check_view,
    git.check_git,
    state.check_key,
    state.check_store,
    state.check_damage,
    published.check_published,
    container.check_container,
)


def examine(subject: Subject) -> list[Finding]:
    """All findings. If a check fails, that is its finding; the other checks still run."""
    found = {}
    for check in CHECKS:
        name = check.__name__[6:]
        try:
            found[name] = check(subject)
        except (StoreError, journal.Unusable) as error:
            found[name] = Finding(name, MEND, str(error))
        except OSError as error:
            said = f"{error.filename or subject.directory}: {error.strerror}"
            found[name] = Finding(name, MEND, said, "see who owns it, and who may read it")
    subject.close()
    if found["directory"].state == MEND:
        for name, finding in found.items():
            if finding.state == MEND and not finding.mend:  # the check could not run
                found[name] = replace(finding, mend="fix the directory first")
    return list(found.values())
