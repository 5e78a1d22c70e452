"""What is run under faults: the real hooks and API verbs, each with its before, its like and its check.

A world is one project and one home below one directory, made from nothing. A workload says how
its world is prepared, which process the fault strikes, and which process must do the same work
afterwards without help.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lib.install.interpreter import LINK

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PYTHON = os.path.realpath(sys.executable)
"""Not through the environment's link: its start would only add calls that are not ours."""

SCRIPTS = {
    "PreToolUse": "pre_tool.py",
    "PostToolUse": "post_tool.py",
    "UserPromptSubmit": "user_prompt.py",
    "SessionStart": "session_start.py",
    "Stop": "stop.py",
    "PreCompact": "stop.py",
    "SessionEnd": "stop.py",
}


@dataclass(frozen=True)
class Step:
    """One process: a hook with its event, or a verb of the API with its arguments."""

    event: dict | None = None
    verb: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    def command(self) -> list[str]:
        if self.event is None:
            return [PYTHON, "-I", "-S", str(HERE / "verbs.py"), *self.verb]
        return [PYTHON, "-I", "-S", str(ROOT / "hooks" / SCRIPTS[self.event["hook_event_name"]])]

    def options(self, root: Path) -> dict:
        """cwd, env and input of the process, for subprocess.run."""
        project = str(root / "project")
        env = {"PATH": os.defpath, "HOME": str(root / "home"), "CLAUDE_PROJECT_DIR": project}
        # A world is copied from place to place, and at home a state is named after the place.
        env["WORKFLOW_STATE_DIR"] = ".claude/state"
        data = json.dumps({**self.event, "cwd": "{project}"}) if self.event else ""
        return {
            "cwd": project,
            "env": {**env, **dict(self.environment)},
            "input": data.replace("{project}", project).encode(),
        }

    def run(self, root: Path) -> subprocess.CompletedProcess:
        """The process, undisturbed."""
        return subprocess.run(
            self.command(), capture_output=True, check=False, timeout=60, **self.options(root)
        )


def hook(name: str, session: str = "s1", environment: dict | None = None, **fields) -> Step:
    event = {"hook_event_name": name, "session_id": session, **fields}
    return Step(event=event, environment=tuple((environment or {}).items()))


def verb(*words: str, session: str = "") -> Step:
    known = (("CLAUDE_CODE_SESSION_ID", session),) if session else ()
    return Step(verb=words, environment=known)


def under(key: str, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps, made by somebody who has another key."""
    signed_by = (("WORKFLOW_STATE_KEY", key),)
    return tuple(replace(step, environment=(*step.environment, *signed_by)) for step in steps)


def write_of(path: str, call: str, name: str = "PostToolUse", session: str = "s1", **more) -> Step:
    """A tool call that writes a file: its beginning or its end."""
    given = {"file_path": f"{{project}}/{path}"}
    response = {} if name == "PreToolUse" else {"tool_response": {"type": "create"}}
    about = {"tool_name": "Write", "tool_use_id": call, "tool_input": given, **response, **more}
    return hook(name, session, **about)


def bash(command: str, call: str) -> Step:
    given = {"tool_input": {"command": command}, "tool_response": {"stdout": ""}}
    return hook("PostToolUse", tool_name="Bash", tool_use_id=call, **given)


def prompt(text: str) -> Step:
    return hook("UserPromptSubmit", prompt=text)


def start(session: str, source: str = "startup") -> Step:
    return hook("SessionStart", session, source=source)


STOP = hook("Stop")
WORKED = (start("s1"), prompt("make a"), write_of("a.py", "t1", "PreToolUse"))
WORKED = (*WORKED, write_of("a.py", "t1"))
SAVED = (verb("save", "plan", '{"step": 1}'), verb("save", "note", "first"))
RESTORABLE = (
    *SAVED,
    verb("checkpoint", "good"),
    verb("save", "plan", "second"),
    verb("save", "extra", "only now"),
    verb("delete", "note"),
)
IN_SESSION = (
    *WORKED,
    *SAVED,
    verb("phase", "build", session="s1"),
    STOP,
    verb("checkpoint", "good", session="s1"),
    write_of("b.py", "t2"),
    verb("phase", "test", session="s1"),
    verb("save", "plan", "second"),
    verb("save", "extra", "only now"),
    STOP,
)


@dataclass(frozen=True)
class Workload:
    """
    before    what makes the world
    strikes   the process that meets the fault
    again     the one that comes after it, in another process, with the same work
    whole     all keys and the session's phase and files belong together: all old or all new
    session   the session whose live state belongs to them
    in_parts  what a fault cuts short may be done in part, and the same again does the rest
    """

    before: tuple[Step, ...]
    strikes: Step
    again: Step
    whole: bool = False
    session: str = ""
    git: bool = False
    aged: int = 0
    in_parts: bool = False


WORKLOADS = {
    "pre_tool": Workload(
        WORKED, write_of("b.py", "t2", "PreToolUse"), write_of("b.py", "t3", "PreToolUse")
    ),
    "post_tool": Workload(WORKED, write_of("b.py", "t2"), write_of("b.py", "t3")),
    "post_tool, the first call ever": Workload((), write_of("a.py", "t1"), write_of("a.py", "t2")),
    "post_tool, each record synced": Workload(
        WORKED,
        hook("PostToolUse", environment={"WORKFLOW_STATE_FSYNC": "always"}, tool_use_id="t2"),
        write_of("b.py", "t3"),
    ),
    "post_tool, each record synced, the first call ever": Workload(
        (),
        hook("PostToolUse", environment={"WORKFLOW_STATE_FSYNC": "always"}, tool_use_id="t1"),
        write_of("a.py", "t2"),
    ),
    "user_prompt": Workload(WORKED, prompt("now b"), prompt("now c")),
    "session_start with a predecessor": Workload((*IN_SESSION,), start("s2"), start("s2")),
    "stop, the first": Workload(WORKED, STOP, STOP),
    "stop, a later one": Workload((*IN_SESSION, prompt("more")), STOP, STOP),
    "stop, the first in a repository": Workload(
        (*WORKED, bash("touch made.txt", "t2")), STOP, STOP, git=True
    ),
    "stop, a later one in a repository": Workload(
        (*WORKED, STOP, prompt("more"), bash("touch made.txt", "t2")), STOP, STOP, git=True
    ),
    "stop before a compaction": Workload(
        IN_SESSION, hook("PreCompact", trigger="auto"), hook("PreCompact", trigger="auto")
    ),
    "the end of a session": Workload(
        IN_SESSION, hook("SessionEnd", reason="other"), hook("SessionEnd", reason="other")
    ),
    "publish": Workload(
        WORKED, verb("publish", session="s1"), verb("publish", session="s1"), session="s1"
    ),
    "save": Workload(WORKED, verb("save", "plan", "new"), verb("save", "plan", "new")),
    "save, the first thing ever": Workload(
        (), verb("save", "plan", "new"), verb("save", "plan", "new")
    ),
    "save over an old value": Workload(
        SAVED, verb("save", "plan", "new"), verb("save", "plan", "new")
    ),
    "checkpoint over an existing name": Workload(
        RESTORABLE, verb("checkpoint", "good"), verb("checkpoint", "good")
    ),
    "restore": Workload(RESTORABLE, verb("restore", "good"), verb("restore", "good"), whole=True),
    "restore in a session": Workload(
        IN_SESSION,
        verb("restore", "good", session="s1"),
        verb("restore", "good", session="s1"),
        whole=True,
        session="s1",
    ),
    "undo": Workload(
        (*IN_SESSION, *2 * (verb("restore", "good", session="s1"),)),
        verb("undo", session="s1"),
        verb("undo", session="s1"),
        whole=True,
        session="s1",
    ),
    "delete": Workload(SAVED, verb("delete", "note"), verb("delete", "note")),
    "trust": Workload(
        under("of another", (*WORKED, *SAVED, verb("checkpoint", "good"))),
        verb("trust"),
        verb("trust"),
        in_parts=True,
    ),
    "prune": Workload((*WORKED, STOP), verb("prune"), verb("prune"), aged=3),
}


@dataclass
class Trouble:
    """What a fault did that it must not: `kind` is a column of the report."""

    kind: str
    what: str


@dataclass
class Prepared:
    """A workload's world before it, and what is seen before, after, and after doing it again."""

    workload: Workload
    root: Path
    before: dict
    after: dict
    twice: dict
    output: bytes
    sent: list[str] = field(default_factory=list)


class Bench:
    """Where worlds are made and looked at; worlds lie side by side under paths of one length."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._count = 0
        self._guard = threading.Lock()
        self._idle: list[subprocess.Popen] = []
        self._prepared: dict[str, Prepared] = {}

    def close(self) -> None:
        for observer in self._idle:
            observer.stdin.close()
            observer.wait()
            observer.stdout.close()

    def place(self) -> Path:
        """A path for one more world."""
        with self._guard:
            self._count += 1
            return self.base / f"w{self._count:06}"

    def look(self, root: Path, session: str = "") -> dict:
        """What the real code finds in a world."""
        with self._guard:
            observer = self._idle.pop() if self._idle else self._observer()
        observer.stdin.write(json.dumps({"root": str(root), "session": session}) + "\n")
        observer.stdin.flush()
        seen = json.loads(observer.stdout.readline())
        with self._guard:
            self._idle.append(observer)
        return seen

    def _observer(self) -> subprocess.Popen:
        command = [PYTHON, "-I", "-S", str(HERE / "observer.py")]
        env = {"PATH": os.defpath}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)

    @contextmanager
    def copy(self, prepared: Prepared) -> Iterator[Path]:
        """A world of its own, as the workload finds it; gone afterwards."""
        root = self.place()
        copy_world(prepared.root, root)
        try:
            yield root
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def prepared(self, name: str) -> Prepared:
        """A workload's world; made once."""
        if name not in self._prepared:
            self._prepared[name] = self._prepare(WORKLOADS[name])
        return self._prepared[name]

    def _prepare(self, workload: Workload) -> Prepared:
        root = self.place()
        make_world(root, workload.git)
        for step in workload.before:
            succeed(step, root)
        if workload.git:
            (root / "project" / "made.txt").write_text("made")
        age(root, workload.aged)
        before = self.look(root, workload.session)
        trial = self.place()
        copy_world(root, trial)
        done = succeed(workload.strikes, trial)
        after = self.look(trial, workload.session)
        succeed(workload.again, trial)
        twice = self.look(trial, workload.session)
        shutil.rmtree(trial)
        for seen in (before, after, twice):
            assert not seen["errors"], seen["errors"]
        return Prepared(workload, root, before, after, twice, done.stdout)


def succeed(step: Step, root: Path) -> subprocess.CompletedProcess:
    done = step.run(root)
    assert (done.returncode, done.stderr) == (0, b""), (step, done)
    return done


def make_world(root: Path, git: bool = False) -> None:
    """An empty project and an empty home."""
    (root / "home").mkdir(parents=True)
    (root / "project").mkdir()
    if git:
        env = {"PATH": os.defpath, "HOME": str(root / "home"), "GIT_CONFIG_GLOBAL": os.devnull}
        command = ["git", "init", "--quiet", "--template=", str(root / "project")]
        subprocess.run(command, check=True, env=env)


def copy_world(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)


def age(root: Path, count: int) -> None:
    """Old sessions that retention takes, beyond as many new ones as it keeps."""
    if not count:
        return
    sessions = root / "project" / ".claude" / "state" / "sessions"
    for number in range(49 + count):
        (sessions / f"old{number:02}.jsonl").write_text("")
        stamp = time.time() - (40 * 86400 if number < count else 60)
        os.utime(sessions / f"old{number:02}.jsonl", (stamp, stamp))


# --- what must hold ----------------------------------------------------------------------------


def judge(prepared: Prepared, seen: dict, acknowledged: bool) -> list[Trouble]:
    """What is wrong with a world after a fault: each thing old or new, nothing old lost.

    `acknowledged`: the process said that it did its work, so that all of it must be there.
    """
    before, after, workload = prepared.before, prepared.after, prepared.workload
    troubles = [Trouble("lost", f"unreadable: {error}") for error in seen["errors"]]
    for collection in ("keys", "checkpoints"):
        for name in {**before[collection], **after[collection], **seen[collection]}:
            was, new, now = (each[collection].get(name) for each in (before, after, seen))
            if now not in (was, new):
                kind = "lost" if now is None else "mixed"
                troubles.append(Trouble(kind, f"{collection} {name}: {now} is neither old nor new"))
            elif acknowledged and now != new:
                troubles.append(Trouble("lost", f"{collection} {name}: acknowledged, but is {now}"))
    if workload.whole and belonging(seen, workload) not in (
        belonging(before, workload),
        belonging(after, workload),
    ):
        troubles.append(Trouble("mixed", f"half restored: {belonging(seen, workload)}"))
    for stem in {**before["sessions"], **after["sessions"]}:
        troubles += judge_session(prepared, seen, stem, acknowledged)
    return troubles


def belonging(seen: dict, workload: Workload) -> tuple:
    """What a restore must change at once: the keys, and in a session its phase and files."""
    return seen["keys"], seen["live"].get(workload.session) if workload.session else None


def added(before: dict, after: dict, stem: str) -> list[dict]:
    """What a session's journal has more, less what differs from run to run."""
    empty: dict = {"records": []}
    old = before["sessions"].get(stem, empty)["records"]
    return told_of(after["sessions"].get(stem, empty)["records"][len(old) :])


def told_of(records: list[dict]) -> list[dict]:
    """Records less what differs from run to run.

    Those of fingerprints alone are left out: what cannot be read now is read at the next stop. So
    is what says that a look failed.
    """
    marks = {"v", "at", "event", "fingerprints"}
    counted = [each for each in records if each["event"] != "Adopted" and "unseen" not in each]
    return [kept(record) for record in counted if record.keys() != marks]


def forgive_torn_tails(seen: dict) -> None:
    """A record that nobody acknowledged may be cut or zeros: one line that is passed over."""
    for session in seen["sessions"].values():
        if session["problems"].get("damaged") == 1:
            del session["problems"]["damaged"]


def judge_session(prepared: Prepared, seen: dict, stem: str, acknowledged: bool) -> list[Trouble]:
    empty: dict = {"records": [], "problems": {}}
    old, new = (each["sessions"].get(stem, empty) for each in (prepared.before, prepared.after))
    now = seen["sessions"].get(stem)
    if now is None:
        gone = stem not in prepared.after["sessions"] or stem not in prepared.before["sessions"]
        if gone and not (acknowledged and stem in prepared.after["sessions"]):
            return []
        return [Trouble("lost", f"journal of {stem}")]
    troubles = []
    records = now["records"]
    if records[: len(old["records"])] != old["records"]:
        troubles.append(Trouble("lost", f"{stem}: records that were there before"))
    added = told_of(records[len(old["records"]) :])
    wanted = told_of(new["records"][len(old["records"]) :])
    if not acknowledged and added and "continues" not in added[0] and wanted:
        # A start that could not read what it would continue says so, and begins anew.
        wanted[0].pop("continues", None)
    if prepared.workload.in_parts and not acknowledged:
        return [] if all(each in wanted for each in added) else troubles  # the same again does all
    if added != wanted[: len(added)]:
        troubles.append(Trouble("mixed", f"{stem}: {added} is no beginning of {wanted}"))
    if acknowledged and added != wanted:
        troubles.append(Trouble("lost", f"{stem}: acknowledged, but has only {added}"))
    if now["problems"] not in (old["problems"], new["problems"]):
        troubles.append(Trouble("lost", f"{stem}: unusable lines {now['problems']}"))
    return troubles


def kept(record: dict) -> dict:
    """A record less what differs from one run to the next."""
    volatile = ("at", "since", "head", "set", "fingerprints", "call", "continues", "checkpoint")
    told = {name: value for name, value in record.items() if name not in volatile}
    if "continues" in record:
        told["continues"] = record["continues"]["session"]
    if record.get("tool"):
        told["call"] = record.get("call")
    return told


def judge_process(done: subprocess.CompletedProcess) -> list[Trouble]:
    """Whether a process that met an error behaved: exit 0 or 1, a line with 1, no traceback."""
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    if done.returncode not in (0, 1):
        return [Trouble("blocked", f"exit {done.returncode}: {lines[:3]}")]
    if done.returncode != (1 if lines else 0) or len(lines) > 1:
        return [Trouble("blocked", f"exit {done.returncode} with {lines[-3:]}")]
    return []


def judge_words(prepared: Prepared, seen: dict, done: subprocess.CompletedProcess) -> list[Trouble]:
    """Who says that nothing was changed must not have changed anything."""
    if b"nothing was changed" not in done.stderr:
        return []
    before = prepared.before
    same = seen["keys"] == before["keys"] and all(
        seen["checkpoints"].get(name) == was for name, was in before["checkpoints"].items()
    )
    return [] if same else [Trouble("untrue", f"changed, and says: {done.stderr.decode()[:200]}")]


def alike(root: Path, seen: dict) -> str:
    """What tells a world from others, as far as the next process can see, less random and time.

    Worlds that hold files of the same names and sizes, in which the same is seen, have one future.
    """
    files = []
    for parent, _, names in os.walk(root):
        for name in names:
            path = os.path.join(parent, name)
            shown = re.sub("[0-9a-f]{8,}|[0-9]{8}_[0-9]{6}_[0-9]{3}", "#", path[len(str(root)) :])
            files.append((shown, os.path.getsize(path)))
    return json.dumps([sorted(files), seen], sort_keys=True)


def afterwards(bench: Bench, prepared: Prepared, root: Path, seen: dict) -> list[Trouble]:
    """The work is done again without help; the next session's start leaves no stale temporary files.

    `seen` is what the fault left, so that what the next run adds is known from it.
    """
    workload = prepared.workload
    done = workload.again.run(root)
    if (done.returncode, done.stderr) != (0, b""):
        return [Trouble("stuck", f"the next run: {done.returncode} {done.stderr.decode()[:300]}")]
    troubles = []
    now = bench.look(root, workload.session)
    if now["keys"] not in (prepared.after["keys"], prepared.twice["keys"]):
        troubles.append(Trouble("stuck", f"the next run did not do its work: {now['keys']}"))
    for stem in prepared.twice["sessions"]:
        first = added(prepared.before, prepared.after, stem)
        second = added(prepared.after, prepared.twice, stem)
        did = added(seen, now, stem)
        if not any(all(record in did for record in wanted) for wanted in (first, second)):
            troubles.append(Trouble("stuck", f"{stem}: the next run recorded only {did}"))
    backdate(root)
    done = start("later").run(root)
    if (done.returncode, done.stderr) != (0, b""):
        troubles.append(Trouble("stuck", f"the next start: {done.stderr.decode()[:300]}"))
    troubles += [Trouble("leaked", f"{path} stays") for path in stale(root)]
    last = bench.look(root, workload.session)
    troubles += [Trouble("lost", f"after the next start: {error}") for error in last["errors"]]
    for stem, session in prepared.before["sessions"].items():
        now = last["sessions"].get(stem)
        if stem in prepared.after["sessions"] and (
            now is None or now["records"][: len(session["records"])] != session["records"]
        ):
            troubles.append(Trouble("lost", f"{stem}: old records, after the next start"))
    return troubles


def backdate(root: Path) -> None:
    """As if the killed writer's files had been there for two hours."""
    stamp = time.time() - 7200
    for parent, _, files in os.walk(root):
        for name in files:
            if ".tmp" in name:
                os.utime(os.path.join(parent, name), (stamp, stamp))


def stale(root: Path) -> list[str]:
    """Files that no document describes, and those that should say something and are empty."""
    found = []
    state = root / "project" / ".claude" / "state"
    known = {".gitignore", "README", ".lock"}
    for parent, _, files in os.walk(state):
        for name in files:
            path = Path(parent, name)
            document = name.endswith(".json") and not name.startswith(".")
            if not (name in known or document or name.endswith(".jsonl")):
                found.append(str(path.relative_to(root)))
    for parent, _, files in os.walk(root / "home"):
        kept = ("key", LINK, ".gitignore", "README")
        found += [os.path.join(parent, name) for name in files if name not in kept]
    for name in (".gitignore", "README"):
        if not (state / name).read_bytes().endswith(b"\n"):
            found.append(f"{name}, cut short,")
    return found
