"""What `doctor` looks at: each check a function that gives one finding, and how to mend it.

Nothing that a project's files name is run: a clone's settings could name anything.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import statistics
import subprocess
import time
from dataclasses import dataclass, field, replace
from shlex import quote, split

from ..errors import StoreError
from ..format import records
from ..project.git import is_ignored
from ..project.place import journals
from ..recording import journal
from ..session.lineage import CRASHED, EXAMINED, condition
from ..state import State
from ..stores import CHECKPOINTS, KEYS
from ..stores.open import kind as kind_of
from ..telling.context import ago
from . import install, settings_files
from .registered import SCRIPTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..format.types import SessionState

OK = "ok"
NOTE = "note"
MEND = "mend"

ROUNDS = 5
SLOW = 0.25
"""Seconds of a hook that a person feels at every tool call."""

SILENT = 3600
"""Seconds that Claude Code may have worked after the last record before that is odd."""


@dataclass(frozen=True)
class Finding:
    """
    check   what was looked at, one word
    state   OK, NOTE (nothing to do, or only for you to know) or MEND
    said    what was found, and where
    mend    what to do about it; "" where nothing is to be done
    """

    check: str
    state: str
    said: str
    mend: str = ""


@dataclass
class Subject:
    """What is examined: a project, its state directory, and where hooks are registered in it."""

    project: str
    directory: str
    registered: install.Registered = field(init=False)

    def __post_init__(self) -> None:
        self.registered = install.registered(self.project)
        self._state: State | None = None

    @property
    def state(self) -> State:
        """The project's state. Raises StoreError where its store cannot be opened."""
        if self._state is None:
            self._state = State(self.directory, "")
        return self._state

    def commands(self) -> list[str]:
        """The commands of the settings files that are registered, each once."""
        found = [
            line
            for events in self.registered.files.values()
            for lines in events.values()
            for line in lines
        ]
        return list(dict.fromkeys(found))


def _install(path: str, subject: Subject) -> str:
    return f"workflow-state install{settings_files.options(path, subject.project)}"


# --- the registration --------------------------------------------------------------------------


def check_switch(subject: Subject) -> Finding:
    """Are the hooks switched off."""
    where = "the environment" if journal.environment("WORKFLOW_STATE") == "off" else ""
    for path in settings_files.places(subject.project).values():
        try:
            given = settings_files.values(path).get("env")
        except StoreError:
            continue  # the next check tells it
        if isinstance(given, dict) and given.get("WORKFLOW_STATE") == "off":
            where = path
    if where:
        said = f"WORKFLOW_STATE is off in {where}: the hooks do nothing"
        return Finding("switch", MEND, said, "remove it there")
    return Finding("switch", OK, "the hooks are not switched off")


def check_settings(subject: Subject) -> Finding:
    """Can Claude Code read its settings files, and do they let hooks run."""
    if subject.registered.broken:
        said = "; ".join(subject.registered.broken)
        return Finding("settings", MEND, said, "mend the file; Claude Code reads nothing of it")
    if subject.registered.off:
        said = f'{subject.registered.off} says "disableAllHooks"'
        return Finding("settings", MEND, said, "remove that, or no hook of anybody's runs")
    return Finding("settings", OK, "every settings file can be read, and lets hooks run")


def check_registration(subject: Subject) -> Finding:
    """Are the hooks registered: where, all of them, once."""
    ways = subject.registered.ways
    if not ways:
        said = f"the hooks are not registered for {subject.project}"
        return Finding("hooks", MEND, said, "workflow-state install")
    for path, events in subject.registered.files.items():
        missing = [event for event in SCRIPTS if event not in events]
        twice = [event for event, lines in events.items() if len(lines) > 1]
        if missing:
            said = f"{path} does not register {', '.join(missing)}"
            return Finding("hooks", MEND, said, _install(path, subject))
        if twice:
            said = f"{path} registers {', '.join(twice)} more than once"
            return Finding("hooks", MEND, said, _install(path, subject))
    if len(ways) > 1:
        said = f"registered {len(ways)} times: {', '.join(ways)}; it counts once and costs twice"
        if subject.registered.plugin:
            mend = f"claude plugin disable {subject.registered.plugin}"
        else:
            first = next(iter(subject.registered.files))
            mend = f"workflow-state uninstall{settings_files.options(first, subject.project)}"
        return Finding("hooks", MEND, said, mend)
    return Finding("hooks", OK, f"registered once, by {ways[0]}")


_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
_GIVEN = re.compile(r"p=('[^']*'(?:\"'\"'[^']*')*|\S+?); ")


def _word(word: str, subject: Subject) -> str:
    """A word of the shell as the hook's shell would have it."""
    if "'" in word:
        return "".join(split(word))
    plain = "".join(split(word))

    def value(found: re.Match[str]) -> str:
        name, default = found[1] or found[3], found[2] or ""
        if name == "CLAUDE_PROJECT_DIR":
            return subject.project
        return journal.environment(name) or _VARIABLE.sub(value, default)

    return os.path.expanduser(_VARIABLE.sub(value, plain))


def _script_of(line: str, subject: Subject) -> str:
    """The script that a registered command runs; "" where the command does not show it."""
    found = re.search(r"-I -S (.*?/hooks/[a-z_]+\.py[\"']?)", line, re.DOTALL) or re.search(
        r"(\S*/hooks/[a-z_]+\.py[\"']?)", line
    )
    try:
        return _word(found[1], subject) if found else ""
    except ValueError:
        return ""


_OF_A_PLUGIN = (
    ".claude-plugin/plugin.json",
    "hooks/hooks.json",
    *sorted({f"hooks/{script}" for script, _ in SCRIPTS.values()}),
    "lib/recording/journal.py",
)


def check_scripts(subject: Subject) -> Finding:
    """Do the registered scripts exist, a plugin's too."""
    plugin = subject.registered.plugin
    if plugin:
        folder = settings_files.plugin_folder(plugin)
        missing = [each for each in _OF_A_PLUGIN if not os.path.isfile(f"{folder}/{each}")]
        if not folder or missing:
            said = (
                f"the plugin {plugin} is {folder}, where {missing[0]} is not there"
                if folder
                else f"the plugin {plugin} is on, and installed nowhere"
            )
            market = plugin.partition("@")[2]
            mend = (
                f"claude plugin marketplace remove {market}; claude plugin marketplace add "
                f"{quote(install.BUNDLE)}; claude plugin install workflow-state@workflow-state"
            )
            return Finding("scripts", MEND, said, mend)
    for path, events in subject.registered.files.items():
        for lines in events.values():
            for line in lines:
                script = _script_of(line, subject)
                if script and not os.path.isfile(script):
                    said = f"{path} registers {script}, which is not there"
                    return Finding("scripts", MEND, said, _install(path, subject))
    if not subject.registered.ways:
        return Finding("scripts", NOTE, "none is registered")
    return Finding("scripts", OK, "every registered script is there")


def _python_of(line: str, subject: Subject) -> str:
    """The interpreter that a registered command would run, as it is found; "" for none."""
    found = _GIVEN.match(line)
    if found:
        try:
            given = _word(found[1], subject)
        except ValueError:
            given = ""
        if given.startswith("/") and os.access(given, os.X_OK):
            return given
    return _on_path()


def _on_path() -> str:
    """The `python3` that a hook's shell would find; "" for none."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    versions = os.environ.get("PYENV_ROOT", "") + "/versions/"
    if "PYENV_VERSION" in os.environ or "PYENV_DIR" in os.environ:
        # This very process came through the shim, which puts the version it chose before all.
        path = [folder for folder in path if not folder.startswith(versions)]
    return shutil.which("python3", path=os.pathsep.join(path)) or ""


def _may_run(python: str, subject: Subject) -> bool:
    """Only an interpreter by its name, and none that could have come with the project."""
    real = os.path.realpath(python)
    name = re.fullmatch(r"(python3?|pypy3?)(\.\d+)?", os.path.basename(real))
    shim = os.path.basename(python) == "python3"
    return bool(name or shim) and not real.startswith(os.path.realpath(subject.project) + "/")


_WHO = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.executable)"


def check_python(subject: Subject) -> Finding:
    """Which Python runs the hooks, and how long one takes."""
    pythons = {_python_of(line, subject) for line in subject.commands()} or {_on_path()}
    said = []
    for python in sorted(pythons):
        if not python:
            mend = "install Python 3.9 or newer, then: workflow-state install"
            return Finding("python", MEND, "there is no python3 on PATH", mend)
        if not _may_run(python, subject):
            said.append(f"{python} (not run here: it is the project's own, or no Python by name)")
            continue
        try:
            version, real = _ask(python)
            took = _time(python)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            words = f"{python} does not run the hooks: {error}"
            return Finding("python", MEND, words, "workflow-state install")
        if tuple(map(int, version.split(".")[:2])) < (3, 9):
            words = f"{python} is Python {version}; the hooks need 3.9"
            return Finding("python", MEND, words, "run workflow-state install with a newer python3")
        said.append(f"Python {version}, {python}, {1000 * took:.0f} ms a hook")
        if os.path.realpath(real) != os.path.realpath(python) and took > 2 * _time(real):
            words = f"{said[-1]}: a shim in front of {real} takes most of that"
            return Finding("python", MEND, words, "workflow-state install")
        if took > SLOW:
            return Finding("python", NOTE, f"{said[-1]}, which is slow")
    return Finding("python", OK, "; ".join(said))


def _ask(python: str) -> tuple[str, str]:
    """The version and the path that an interpreter says it has."""
    done = subprocess.run(
        [python, "-I", "-S", "-c", _WHO], capture_output=True, text=True, timeout=20, check=True
    )
    version, path = done.stdout.strip().split(" ", 1)
    return version, path


def _time(python: str) -> float:
    """Seconds that the smallest hook takes under an interpreter; it records nothing."""
    environment = {**os.environ, "WORKFLOW_STATE": "off"}
    command = [python, "-I", "-S", f"{install.BUNDLE}/hooks/pre_tool.py"]
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(
            command, input=b"{}", env=environment, capture_output=True, timeout=20, check=True
        )
        took.append(time.perf_counter() - began)
    return statistics.median(took)


# --- the record --------------------------------------------------------------------------------


def _last(subject: Subject) -> SessionState | None:
    session = subject.state.sessions.last()
    return subject.state.sessions.glimpse(session) if session else None


def check_recording(subject: Subject) -> Finding:
    """Did a hook fire lately, and under which client."""
    worked = _last_transcript(subject.project)
    last = _last(subject)
    if last is None:
        if subject.registered.ways and worked:
            said = f"nothing is recorded, though Claude Code worked here {_ago(worked)}"
            return Finding("recording", MEND, said, _TRUST)
        mend = "start Claude Code here" if subject.registered.ways else ""
        return Finding("recording", NOTE, "nothing is recorded here yet", mend)
    at = records.seconds(last["last_active"] or "")
    said = f"last record {_ago(at)}, by {last['client'] or 'an unknown client'}"
    if subject.registered.ways and worked > at + SILENT:
        said += f"; Claude Code worked here {_ago(worked)}, and no hook fired"
        return Finding("recording", MEND, said, _TRUST)
    return Finding("recording", OK, said)


_TRUST = (
    "trust this directory in Claude Code, start it where .claude/ is, and see /hooks for what it "
    "has loaded"
)


def _ago(at: float) -> str:
    return ago(time.time() - at)


def _last_transcript(project: str) -> float:
    """When Claude Code last wrote a transcript of a session in this directory; 0 for never."""
    folder = settings_files.user_directory() + "/projects/" + re.sub("[^A-Za-z0-9]", "-", project)
    try:
        with os.scandir(folder) as entries:
            times = [entry.stat().st_mtime for entry in entries if entry.name.endswith(".jsonl")]
    except OSError:
        return 0
    return max(times, default=0)


def check_crash(subject: Subject) -> Finding:
    """Did the last session end without a word."""
    last = _last(subject)
    if last and condition(last) == CRASHED and last["session_id"] != journal.MANUAL:
        at = _ago(records.seconds(last["last_active"] or ""))
        said = f"session {last['session_id']} crashed or was killed {at}"
        return Finding("crash", NOTE, f"{said}; the next start tells Claude where it stood")
    return Finding("crash", OK, "the last session did not crash")


def check_directory(subject: Subject) -> Finding:
    """Is the state directory writable, private, and one whose contents may be told."""
    path = subject.directory
    link = journal.link_in(path)
    if link:
        said, mend = install.linked(link)
        return Finding("directory", MEND, said, mend)
    if not os.path.lexists(path):
        return Finding("directory", NOTE, f"{path} is made when the first hook fires")
    try:
        descriptor = journal.open_state(path)
    except OSError as error:
        said = f"{path} cannot be opened: {error.strerror}"
        return Finding("directory", MEND, said, "put a directory of yours in its place")
    try:
        status = os.fstat(descriptor)
        writable = os.access(".", os.W_OK, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    if status.st_uid != os.geteuid():
        said = f"{path} belongs to another user ({status.st_uid}); Claude is told nothing of it"
        return Finding(
            "directory", MEND, said, f"remove it, or: chown -R {os.geteuid()} {quote(path)}"
        )
    if stat.S_IMODE(status.st_mode) & 0o077 or not writable or not status.st_mode & 0o200:
        said = f"{path} has mode {stat.S_IMODE(status.st_mode):o}, which is not writable or private"
        return Finding("directory", MEND, said, f"chmod 700 {quote(path)}")
    return Finding("directory", OK, f"{path} is writable, and yours alone")


def check_git(subject: Subject) -> Finding:
    """Does git leave the state out."""
    path = subject.directory
    ignored = is_ignored(subject.project, path) if os.path.isdir(path) else None
    if ignored is False:
        return Finding(
            "git", MEND, f"git does not ignore {path}", f"echo '*' > {quote(path)}/.gitignore"
        )
    said = "git ignores the state" if ignored else "there is no state in a git work tree"
    return Finding("git", OK if ignored else NOTE, said)


def check_key(_subject: Subject) -> Finding:
    """Is there a key that proves what is the user's own."""
    path = journal.key_path()
    if journal.environment("WORKFLOW_STATE_KEY"):
        return Finding("key", OK, "WORKFLOW_STATE_KEY stands in for it")
    if not path:
        mend = "set HOME, or WORKFLOW_STATE_KEY to a secret"
        return Finding("key", MEND, "there is no home directory for your key", mend)
    if not os.path.lexists(path):
        return Finding("key", NOTE, f"{path} is made when the first hook fires")
    if not records.users_key():
        said = f"{path} is damaged, or others can read it: nothing counts as yours"
        return Finding(
            "key", MEND, said, f"chmod 600 {quote(path)}; if that does not help, remove it"
        )
    return Finding("key", OK, f"{path} is yours alone")


EXCHANGE_SECONDS = 5.0
"""What a server that machines share is waited for."""


def check_store(subject: Subject) -> Finding:
    """Can keys and checkpoints be reached."""
    subject.state.store.exchange(EXCHANGE_SECONDS)
    keys = len(subject.state.store.names(KEYS))
    checkpoints = len(subject.state.store.names(CHECKPOINTS))
    kind = kind_of(journal.environment("WORKFLOW_STATE_STORE"))
    held = f"{keys} key{'s' * (keys != 1)}, {checkpoints} checkpoint{'s' * (checkpoints != 1)}"
    said = f"{kind}: {held}"
    pending = subject.state.store.pending()
    if pending:
        return Finding("store", NOTE, f"{said}; pending: {pending}", "workflow-state sync")
    newest = journals(subject.directory)[:1]
    live = subject.state.sessions.live(newest[0][1]) if newest else None
    files = len(live["files_processed"]) if live else 0
    advice = subject.state.store.advice(files)
    if advice:
        said += f"; each stop writes the {files} files of the session anew"
        return Finding("store", NOTE, said, advice)
    return Finding("store", OK, said)


def check_damage(subject: Subject) -> Finding:
    """Are there damaged files, or records that do not count."""
    quarantined = _quarantine(subject)
    if quarantined:
        place, remove = quarantined[0]
        said = f"damaged files quarantined: {len(quarantined)}, {place} for one"
        return Finding("damage", MEND, said, f"look at them, then: {remove}")
    problems: dict[str, int] = {}
    for collection in (KEYS, CHECKPOINTS):
        for name in subject.state.store.names(collection):
            subject.state.store.read(collection, name)
    for _, session in journals(subject.directory)[:EXAMINED]:
        live = subject.state.sessions.live(session)
        for kind, count in (live["journal"].get("problems", {}) if live else {}).items():
            problems[kind] = problems.get(kind, 0) + count
    if problems.get(records.FOREIGN):
        said = f"records that are not yours: {problems[records.FOREIGN]}; they do not count"
        return Finding("damage", MEND, said, "if you trust them: workflow-state trust")
    if problems.get(records.NEWER):
        said = f"records of a later version of workflow-state: {problems[records.NEWER]}"
        return Finding("damage", MEND, said, "update this one")
    if problems:
        said = f"damaged records passed over: {sum(problems.values())}; all others count"
        return Finding("damage", NOTE, said)
    return Finding("damage", OK, "no file is damaged")


def _quarantine(subject: Subject) -> list[tuple[str, str]]:
    """What was quarantined, in files or by the store: where it lies, and what removes it."""
    found = []
    for folder in ("", "sessions/", "checkpoints/"):
        try:
            names = os.listdir(f"{subject.directory}/{folder}")
        except OSError:
            continue
        found += [f"{folder}{name}" for name in names if ".damaged-" in name]
    files = [(place, f"rm {quote(f'{subject.directory}/{place}')}") for place in sorted(found)]
    return files + subject.state.store.quarantined()


CHECKS: tuple[Callable[[Subject], Finding], ...] = (
    check_switch,
    check_settings,
    check_registration,
    check_scripts,
    check_python,
    check_recording,
    check_crash,
    check_directory,
    check_git,
    check_key,
    check_store,
    check_damage,
)
"""In the order in which they are told; a further one is a function here."""


def examine(subject: Subject) -> list[Finding]:
    """Every finding: a check that fails is one that needs a hand, and costs no other."""
    found = {}
    for check in CHECKS:
        name = check.__name__[6:]
        try:
            found[name] = check(subject)
        except (StoreError, journal.Unusable) as error:
            found[name] = Finding(name, MEND, str(error))
        except OSError as error:
            said = f"{error.filename or subject.directory}: {error.strerror}"
            found[name] = Finding(name, MEND, said, "see whose it is, and who may read it")
    if found["directory"].state == MEND:
        for name, finding in found.items():
            if finding.state == MEND and not finding.mend:  # it could not be looked at
                found[name] = replace(finding, mend="mend the directory first")
    return list(found.values())
