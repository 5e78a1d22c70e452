"""Many at once: parallel hooks, readers and restores, and those among them that hang, stop or die."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lib.maintenance import retention
from tests.conftest import ROOT, SCRIPTS, Hooks

from .workers import is_whole, keys_in
from .workloads import HERE, PYTHON, Trouble

VERBS = str(HERE / "verbs.py")
WORKERS = str(HERE / "workers.py")

ROUNDS = 6
WORKING = 64
EACH = 20
SESSIONS = ("one", "two", "three")
AGED = 70
KILLS = 50
READING = 6
"""Seconds for which readers and restores go on together."""


@pytest.fixture
def hooks(hooks: Hooks) -> Hooks:
    """As everywhere, with an interpreter that starts without looking for its environment."""
    return replace(hooks, python=PYTHON)


def worker(hooks: Hooks, *words: str) -> subprocess.Popen:
    """A process of workers.py."""
    return subprocess.Popen(
        [PYTHON, "-I", "-S", WORKERS, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=hooks.env(),
        cwd=hooks.project,
        text=True,
    )


@contextmanager
def killed_in_the_end(*processes: subprocess.Popen) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def run_worker(hooks: Hooks, *words: str) -> None:
    """A process of workers.py, to its end."""
    process = worker(hooks, *words)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 0, told


def ours(keys: dict) -> dict:
    """Of all keys those that workers.py made."""
    return {key: value for key, value in keys.items() if key[:1] == "k"}


def verb(hooks: Hooks, *words: str) -> subprocess.CompletedProcess:
    """A verb of the API as a process, of no session."""
    return subprocess.run(
        [PYTHON, "-I", "-S", VERBS, *words],
        capture_output=True,
        check=False,
        timeout=60,
        env=hooks.env(),
        cwd=hooks.project,
        text=True,
    )


def write_events(hooks: Hooks, session: str, call: str) -> tuple[dict, dict]:
    """The beginning and the end of a call that writes a file of its own."""
    given = {"file_path": str(hooks.project / f"{call}.py")}
    about = {"session_id": session, "tool_name": "Write", "tool_use_id": call, "tool_input": given}
    ended = {"hook_event_name": "PostToolUse", "tool_response": {"type": "create"}}
    return {**about, "hook_event_name": "PreToolUse"}, {**about, **ended}


def send(hooks: Hooks, event: dict) -> subprocess.CompletedProcess[str]:
    return hooks.script(SCRIPTS[event["hook_event_name"]], json.dumps(event))


def held(done: subprocess.CompletedProcess) -> bool:
    """Whether a process said in one line that the lock was another's, and nothing else."""
    said = "has been held by another process" in done.stderr and done.stderr.count("\n") == 1
    return done.returncode == 1 and said and not done.stdout


def said(process: subprocess.Popen) -> tuple[int, list[Trouble]]:
    """A worker's rounds and the troubles that it met, once it is told to stop."""
    lines = process.communicate(timeout=60)[0].splitlines()
    rounds = lines.pop().split()[1] if lines and lines[-1].startswith("rounds ") else 0
    known = ("mixed", "lost", "untrue")
    troubles = [Trouble(*line.split(" ", 1)) for line in lines if line.split(" ")[0] in known]
    if process.returncode or len(troubles) != len(lines):
        troubles.append(Trouble("untrue", f"a worker ended: {lines[-5:]}"))
    return int(rounds), troubles


# --- the hammer --------------------------------------------------------------------------------


class Hammer:
    """64 at work in three sessions, and beside them all else that writes or reads."""

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks
        self.directory = str(hooks.directory)
        self.acknowledged: dict[str, Counter] = {session: Counter() for session in SESSIONS}
        self.checkpoints: list[str] = []
        self.troubles: list[Trouble] = []
        self.done: Counter = Counter()
        self._over = threading.Event()

    def trouble(self, kind: str, what: str) -> None:
        self.troubles.append(Trouble(kind, what))

    def run(self) -> None:
        readers = [worker(self.hooks, "read", self.directory) for _ in range(2)]
        with killed_in_the_end(*readers):
            others = [self._stop, self._start, self._change]
            with ThreadPoolExecutor(WORKING + len(others)) as pool:
                between = [pool.submit(self._until_over, each) for each in others]
                work = [pool.submit(self._work, number) for number in range(WORKING)]
                try:
                    for each in work:
                        each.result()
                finally:
                    self._over.set()
                for each in between:
                    each.result()
            for reader in readers:
                looked, troubles = said(reader)
                self.done["looks"] += looked
                self.troubles += troubles

    def _hook(self, event: dict) -> bool:
        done = send(self.hooks, event)
        if (done.returncode, done.stderr) == (0, ""):
            return True
        self.trouble("blocked", f"{event['hook_event_name']}: {done.returncode} {done.stderr}")
        return False

    def _work(self, number: int) -> None:
        """One worker: calls that begin and end, each hook a process of its own."""
        session = SESSIONS[number % len(SESSIONS)]
        for turn in range(EACH // 2):
            call = f"w{number}-{turn}"
            for event in write_events(self.hooks, session, call):
                if self._hook(event):
                    self.acknowledged[session][event["hook_event_name"], call] += 1

    def _until_over(self, action: Callable[[int], None]) -> None:
        turn = 0
        while not self._over.is_set():
            action(turn)
            turn += 1
            self.done[action.__name__] += 1

    def _stop(self, turn: int) -> None:
        """Like every writer of documents it waits two seconds for its turn, and may have to say so."""
        done = send(self.hooks, {"hook_event_name": "Stop", "session_id": SESSIONS[turn % 3]})
        self.done["stopped"] += done.returncode == 0
        if (done.returncode, done.stderr) != (0, "") and not held(done):
            self.trouble("blocked", f"Stop: {done.returncode} {done.stderr}")

    def _start(self, turn: int) -> None:
        """A new session, or one of the three after a compaction, in the middle of their calls."""
        session, source = (SESSIONS[turn % 3], "compact") if turn % 2 else (f"n{turn}", "startup")
        event = {"hook_event_name": "SessionStart", "session_id": session, "source": source}
        done = send(self.hooks, event)
        if done.returncode or "systemMessage" in done.stdout:
            said = done.stdout.partition("systemMessage")[2]
            self.trouble("untrue", f"a start said {said}{done.stderr}")

    def _change(self, turn: int) -> None:
        """What changes keys and checkpoints: of no session, so that what sessions show is known."""
        words = (("checkpoint", f"kept-{turn}"), ("restore", "old"), ("restore", "new"))
        words = (*words, ("undo",), ("prune",))[turn % 5]
        done = verb(self.hooks, *words)
        if done.returncode and not held(done):
            self.trouble("untrue", f"{words}: {done.stderr}")
        elif not done.returncode and words[0] == "checkpoint":
            self.checkpoints.append(words[1])

    def judge(self, seen: dict) -> None:
        """What is there must be what was acknowledged, and whole."""
        for session in SESSIONS:
            self._judge_session(session, seen)
        for what in seen["errors"]:
            self.trouble("untrue", what)
        found = {key: kept["value"] for key, kept in seen["keys"].items()}
        for name, keys in [("the keys", found)] + [
            (name, seen["checkpoints"].get(name, {"keys": {}})["keys"]) for name in self.checkpoints
        ]:
            if not is_whole(ours(keys)):
                self.trouble("mixed", f"{name}: {keys}")
        started = {f"n{turn}" for turn in range(0, self.done["_start"], 2)}
        if not started <= set(seen["sessions"]) or len(seen["sessions"]) != retention.NEWEST:
            self.trouble("lost", f"of {started} are left {sorted(seen['sessions'])}")
        for path in self.hooks.directory.rglob("*"):
            if ".tmp-" in path.name or ".damaged-" in path.name or path.name == ".restore.json":
                self.trouble("leaked", f"stale temporary files: {path.name}")

    def _judge_session(self, session: str, seen: dict) -> None:
        journal = seen["sessions"][session]
        records = Counter((r["event"], r["call"]) for r in journal["records"] if "tool" in r)
        if journal["problems"]:
            self.trouble("mixed", f"{session} has {journal['problems']}")
        if records != self.acknowledged[session]:
            lost, extra = self.acknowledged[session] - records, records - self.acknowledged[session]
            self.trouble("lost", f"{session} lacks {lost} and has {extra}")
        live = self.hooks.show(session)
        calls = [call for event, call in self.acknowledged[session] if event == "PostToolUse"]
        files = {path: about["count"] for path, about in live["files_processed"].items()}
        if files != {f"{call}.py": 1 for call in calls} or live["counts"]["calls"] != len(calls):
            self.trouble("lost", f"{session} shows {live['counts']} and {files}")
        if live["in_flight"] or live["failures"] or live["current_phase"] != "build":
            self.trouble("untrue", f"{session} shows {live['in_flight']}, {live['current_phase']}")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_all_at_once_lose_nothing(number, bench, tally, request):
    root = Path(tempfile.mkdtemp(dir=bench.base))
    hooks = Hooks(root / "project", root / "home", python=PYTHON)
    hooks.environment["WORKFLOW_STATE_DIR"] = ".claude/state"  # where the observer looks
    hooks.project.mkdir()
    hooks.home.mkdir()
    run_worker(hooks, "prepare", str(hooks.directory), str(AGED))
    hammer = Hammer(hooks)
    for session in SESSIONS:
        hooks.start(session)
    hammer.run()
    assert verb(hooks, "prune").returncode == 0
    hammer.judge(bench.look(root, ""))
    shutil.rmtree(root)
    records = sum(sum(counts.values()) for counts in hammer.acknowledged.values())
    tally.add(
        "parallel records", request.node.nodeid, records, [each.kind for each in hammer.troubles]
    )
    assert not hammer.troubles, "\n".join(f"{each.kind}: {each.what}" for each in hammer.troubles)
    assert records == WORKING * EACH
    assert hammer.done["looks"]
    assert hammer.done["stopped"]
    assert hammer.done["_change"] > 3, "no restore was undone"


# --- restores and their readers ----------------------------------------------------------------


def test_readers_never_see_half_a_restore(hooks, tally, request):
    """By each key, by the list of keys, and by `diff`, which reads all of them in one call."""
    directory = str(hooks.directory)
    run_worker(hooks, "prepare", directory)
    restorer = worker(hooks, "restore", directory)
    ways = ("look_at_each_key", "look_at_each_key", "look_at_all_keys")
    readers = [worker(hooks, "read", directory, way) for way in ways]
    with killed_in_the_end(restorer, *readers):
        assert restorer.stdout.readline() == "ready\n"
        time.sleep(READING)
        answers = [said(reader) for reader in readers]
        restored, troubles = said(restorer)
    troubles += [each for _, found in answers for each in found]
    looks = sum(looked for looked, _ in answers)
    tally.add(
        "a look during restores", request.node.nodeid, looks, [each.kind for each in troubles]
    )
    assert not troubles, "\n".join(f"{each.kind}: {each.what}" for each in troubles[:20])
    assert restored > 10
    assert all(looked > 10 for looked, _ in answers)


def test_a_restore_killed_at_any_moment_is_whole_for_the_next(hooks, tally, request, monkeypatch):
    monkeypatch.setenv("HOME", str(hooks.home))
    directory = str(hooks.directory)
    run_worker(hooks, "prepare", directory)
    chance = random.Random(1)  # noqa: S311  (a seed, so that a red moment is likelier red again)
    troubles, met = [], 0
    for _ in range(KILLS):
        restorer = worker(hooks, "restore", directory)
        with killed_in_the_end(restorer):
            assert restorer.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.005, 0.1))
        met += (hooks.directory / ".restore.json").exists()
        seen = keys_in(directory)
        if not is_whole(seen):
            troubles.append(Trouble("mixed", f"a reader sees {seen}"))
        saved = verb(hooks, "save", "next", "1")
        if saved.returncode or (hooks.directory / ".restore.json").exists():
            troubles.append(Trouble("stuck", f"the next writer: {saved.stderr}"))
        files = ours({path.stem: path for path in (hooks.directory / "keys").glob("*.json")})
        on_disk = {key: json.loads(path.read_text())["value"] for key, path in files.items()}
        if on_disk != seen:
            troubles.append(Trouble("mixed", f"{seen} became {on_disk}"))
    tally.add(
        "SIGKILL during a restore", request.node.nodeid, KILLS, [each.kind for each in troubles]
    )
    assert not troubles, "\n".join(f"{each.kind}: {each.what}" for each in troubles[:20])
    assert met, "no kill met a restore in the middle"


# --- hooks that hang, owners that stop or die --------------------------------------------------


def hanging(hooks: Hooks, name: str) -> subprocess.Popen:
    """A hook whose event has begun to come, and does not end."""
    process = subprocess.Popen(
        [PYTHON, "-I", "-S", str(ROOT / "hooks" / SCRIPTS[name])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=hooks.env(),
        cwd=hooks.project,
        text=True,
    )
    process.stdin.write('{"hook_event_name": ')
    process.stdin.flush()
    return process


@pytest.mark.parametrize("name", ["PreToolUse", "PostToolUse", "Stop", "SessionStart"])
def test_a_hook_that_hangs_keeps_nobody_waiting_and_gives_up(name, hooks):
    process = hanging(hooks, name)
    with killed_in_the_end(process):
        hooks.start("one")
        for event in write_events(hooks, "one", "call"):
            hooks.send(event)
        hooks.stop("one")
        assert list(hooks.show("one")["files_processed"]) == ["call.py"]
        assert process.poll() is None, "it did not hang"
        assert process.wait(timeout=60) == 1
        told = process.stderr.read()
        assert told.count("\n") == 1
        assert "gave up after" in told
        assert process.stdout.read() == ""


@pytest.fixture
def owner(hooks: Hooks) -> Iterator[subprocess.Popen]:
    """A process that holds the writers' lock of a session's state."""
    hooks.start("one")
    hooks.stop("one")
    process = worker(hooks, "hold", str(hooks.directory))
    with killed_in_the_end(process):
        assert process.stdout.readline() == "ready\n"
        yield process


def test_the_lock_of_an_owner_that_was_killed_is_free(hooks, owner):
    hooks.prompt("one", "go on")  # else the stop may see that it has nothing to do
    stop = {"hook_event_name": "Stop", "session_id": "one"}
    assert held(send(hooks, stop))
    owner.kill()
    owner.wait()
    hooks.send(stop)
    assert verb(hooks, "save", "plan", "1").returncode == 0


def test_a_stopped_owner_of_the_lock_holds_up_no_tool_and_no_stop_for_ever(hooks, owner):
    os.kill(owner.pid, signal.SIGSTOP)
    for event in write_events(hooks, "one", "meanwhile"):
        hooks.send(event)
    hooks.prompt("one", "go on")
    assert held(send(hooks, {"hook_event_name": "Stop", "session_id": "one"}))
    assert held(verb(hooks, "save", "plan", "1"))
    assert "meanwhile.py" in hooks.start("one", "compact")
    assert "meanwhile.py" in hooks.show("one")["files_processed"]
    assert owner.poll() is None
    os.kill(owner.pid, signal.SIGCONT)
    assert said(owner)[1] == []
    hooks.stop("one")
    kept = json.loads((hooks.directory / "checkpoints" / "session-one.json").read_text())
    assert list(kept["session"]["files_processed"]) == ["meanwhile.py"]
    assert verb(hooks, "save", "plan", "1").returncode == 0


# --- a clock that jumps ------------------------------------------------------------------------

HOUR = 3600
DAY = 24 * HOUR


def at(
    hooks: Hooks, seconds: int, script: Path | str, *words: str, event: dict | None = None
) -> str:
    """What a script says whose clock is so many seconds off; it must succeed."""
    done = subprocess.run(
        [PYTHON, "-I", "-S", WORKERS, "at", str(seconds), str(script), *words],
        input=json.dumps(event or {}),
        capture_output=True,
        check=False,
        timeout=60,
        env=hooks.env(),
        cwd=hooks.project,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def send_at(hooks: Hooks, seconds: int, event: dict) -> str:
    script = ROOT / "hooks" / SCRIPTS[event["hook_event_name"]]
    return at(hooks, seconds, script, event=event)


@pytest.fixture
def jumped(hooks: Hooks) -> Hooks:
    """A session that changed a.py, and b.py once the clock had gone back by an hour."""
    hooks.start("one")
    hooks.prompt("one", "make a")
    for event in write_events(hooks, "one", "a"):
        hooks.send(event)
    hooks.stop("one")
    send_at(
        hooks,
        -HOUR,
        {"hook_event_name": "UserPromptSubmit", "session_id": "one", "prompt": "test b"},
    )
    test = {"tool_name": "Bash", "tool_use_id": "t", "tool_input": {"command": "pytest"}}
    ended = {"hook_event_name": "PostToolUse", "session_id": "one", "tool_response": {}, **test}
    for event in (*write_events(hooks, "one", "b"), ended):
        send_at(hooks, -HOUR, event)
    return hooks


def test_records_after_a_clock_jumped_back_count_in_the_journals_order(jumped):
    stop = {"hook_event_name": "Stop", "session_id": "one"}
    for seconds in (None, -HOUR, 0):
        if seconds is not None:
            send_at(jumped, seconds, stop)
        live = jumped.show("one")
        assert list(live["files_processed"]) == ["a.py", "b.py"]
        assert (live["current_phase"], live["last_request"]) == ("test", "test b")
        assert (live["counts"]["calls"], live["in_flight"]) == (3, [])
    told = jumped.start("one", "resume")
    assert '"b.py"' in told
    assert "Phase: test" in told


@pytest.mark.parametrize("seconds", [0, -HOUR, -2 * HOUR])
def test_no_age_is_negative_when_a_clock_jumped_back(jumped, seconds):
    event = {"hook_event_name": "SessionStart", "session_id": "two", "source": "startup"}
    for text in (
        at(jumped, seconds, ROOT / "bin" / "workflow-state", "status"),
        at(jumped, seconds, ROOT / "bin" / "workflow-state", "show"),
        send_at(jumped, seconds, event),
    ):
        assert "b.py" in text or "test b" in text
        assert not re.search(r"-\d+ ?(s|min|h|d)\b", text), text


def test_restores_are_undone_in_their_order_when_a_clock_jumped_back(hooks):
    """The last restore is the one that came last, whatever the clocks said at each."""
    for value in ("1", "2", "3"):
        assert verb(hooks, "save", "plan", value).returncode == 0
        assert verb(hooks, "checkpoint", f"plan-{value}").returncode == 0
    at(hooks, 0, VERBS, "restore", "plan-1")
    at(hooks, -HOUR, VERBS, "restore", "plan-2")
    at(hooks, -HOUR, VERBS, "undo")
    assert hooks.cli("get", "plan").stdout == "1\n"
    at(hooks, -HOUR, VERBS, "undo")
    assert hooks.cli("get", "plan").stdout == "3\n"


def test_checkpoints_are_listed_by_their_time_when_a_clock_jumped_back(hooks):
    for name, seconds in (("now", 0), ("before", -HOUR), ("long-before", -DAY)):
        at(hooks, seconds, VERBS, "checkpoint", name)
    listed = json.loads(hooks.cli("checkpoints", "--json").stdout)
    assert [about["name"] for about in listed] == ["now", "before", "long-before"]


@pytest.mark.parametrize("seconds", [-100 * DAY, 100 * DAY])
def test_a_clock_that_is_off_prunes_no_session_that_works(hooks, seconds):
    hooks.start("one")
    for event in write_events(hooks, "one", "a"):
        hooks.send(event)
    run_worker(hooks, "prepare", str(hooks.directory), str(AGED))
    compact = {"hook_event_name": "SessionStart", "session_id": "one", "source": "compact"}
    assert "a.py" in send_at(hooks, seconds, compact)
    assert list(hooks.show("one")["files_processed"]) == ["a.py"]
