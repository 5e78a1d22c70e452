"""A session killed with SIGKILL at any moment: the next one knows every call, each once.

A session with parallel calls, subagents, an interruption by Esc and several stops is run step by
step through the real scripts. At a seeded moment, between two steps or while hooks run, everything
is killed; then a session starts, and what Claude is told and `show --json` says is held against the
exit codes of the hooks. Runs of one kind share their beginning: the state before each step is kept.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lib.telling.quoting import ascii_quoted
from tests.conftest import ROOT, SCRIPTS, Hooks, payloads

MOMENTS = 44

DONE, MAYBE, NEVER = "done", "maybe", "never"
"""Of a hook: it ended well; it was killed, so that nobody knows; it never began."""

Step = list  # of events whose hooks run at the same time


# --- what happens ------------------------------------------------------------------------------


def _call(session: str, call: str, tool: str, given: dict, **fields) -> tuple[dict, dict]:
    """The two events of a call."""
    about = {"session_id": session, "tool_name": tool, "tool_use_id": call, "tool_input": given}
    about.update(fields)
    error = about.pop("error", None)
    ended: dict = {"hook_event_name": "PostToolUse", "tool_response": {}}
    if error:
        ended = {"hook_event_name": "PostToolUseFailure", "error": error}
    return {**about, "hook_event_name": "PreToolUse"}, {**about, **ended}


def _batch(session: str, project: Path, agent: str) -> tuple[list[Step], list[Step]]:
    """Work before and after the recorded session's first stop, much of it in parallel."""

    def prompt(text: str) -> Step:
        event = {"hook_event_name": "UserPromptSubmit", "session_id": session, "prompt": text}
        return [{**event, "prompt_id": text}]

    def path(name: str) -> dict:
        return {"file_path": str(project / name)}

    def write(call: str, name: str) -> list[Step]:
        begun, ended = _call(session, call, "Write", path(name))
        return [[begun], [ended]]

    reads = [_call(session, f"r{n}", "Read", path(f"src/r{n}.py")) for n in range(4)]
    others = [_call(session, f"s{n}", "Read", path(f"src/r{n}.py")) for n in range(2)]
    failed = _call(session, "f1", "Bash", {"command": "make all"}, error="Exit code 2")
    waiting = _call(
        session, "b1", "Read", path("long.md"), agent_id=agent, agent_type="general-purpose"
    )
    gone = _call(session, "e1", "Bash", {"command": "sleep 600"})
    stop = [{"hook_event_name": "Stop", "session_id": session}]
    before = [
        [begun for begun, _ in reads],
        [reads[2][1], reads[0][1], others[0][0]],
        [reads[1][1], others[0][1], others[1][0], reads[3][1]],
        [others[1][1]],
        *write("w1", "w.txt"),
        *write("w2", "w.txt"),
        [failed[0]],
        [failed[1]],
        [waiting[0]],
    ]
    after = [
        prompt("second"),
        [gone[0]],
        prompt("after Esc"),
        stop,  # of a turn that changed nothing, while the subagent waits
        prompt("fourth"),
        *write("w3", "w.txt"),
        *write("w4", "new.txt"),
        [waiting[1]],
    ]
    return before, after


def steps(project: Path) -> list[Step]:
    """The whole session, as hooks are run: a recording with the batch around its first stop."""
    recorded = [e for e in payloads("subagent", project) if e["hook_event_name"] in SCRIPTS]
    cut = next(n for n, event in enumerate(recorded) if event["hook_event_name"] == "Stop")
    agent = recorded[cut - 1]["tool_response"]["agentId"]
    before, after = _batch(recorded[0]["session_id"], project, agent)
    head, tail = [[event] for event in recorded[:cut]], [[event] for event in recorded[cut:]]
    return [*head, *before, tail[0], *after, *tail[1:]]


# --- how it is run and killed ------------------------------------------------------------------


def run_step(hooks: Hooks, events: Step, copies: int, kill_after: float | None = None) -> list[str]:
    """Run the hooks of a step at the same time; DONE or, where killed, MAYBE for each event."""
    running = []
    for event in events:
        script = str(ROOT / "hooks" / SCRIPTS[event["hook_event_name"]])
        for _ in range(copies):
            process = subprocess.Popen(
                [hooks.python, "-I", "-S", script],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=hooks.project,
                env=hooks.env(),
            )
            process.stdin.write(json.dumps(event).encode())
            process.stdin.close()
            running.append(process)
    if kill_after is not None:
        time.sleep(kill_after)
        for process in running:
            process.kill()
    codes = []
    for process in running:
        with process.stderr:
            told = process.stderr.read().decode()
        codes.append(process.wait())
        assert codes[-1] in ((0,) if kill_after is None else (0, -9)), told
    each = [codes[n * copies : (n + 1) * copies] for n in range(len(events))]
    return [DONE if 0 in of_event else MAYBE for of_event in each]


@dataclass
class Line:
    """One kind of run, kept as it was before each step."""

    hooks: Hooks
    copies: int
    kept: list[Path] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Run all steps undisturbed, with a client that lives meanwhile and is killed then."""
        client = subprocess.Popen(["sleep", "600"])
        try:
            self.hooks.environment["CLAUDE_PID"] = str(client.pid)
            for number, step in enumerate(steps(self.hooks.project)):
                self.kept.append(self._keep(number))
                began = time.monotonic()
                run_step(self.hooks, step, self.copies)
                self.seconds.append(time.monotonic() - began)
            self.kept.append(self._keep(len(self.kept)))
        finally:
            client.kill()
            client.wait()

    def _keep(self, number: int) -> Path:
        where = self.hooks.project.parent / "kept" / str(number)
        where.mkdir(parents=True)
        if self.hooks.directory.exists():
            shutil.copytree(self.hooks.directory, where, dirs_exist_ok=True)
        return where

    def again(self, number: int, where: Path) -> Hooks:
        """A project that stands where this one stood before a step."""
        where.mkdir()
        again = replace(self.hooks, project=where)
        if any(self.kept[number].iterdir()):
            shutil.copytree(self.kept[number], again.directory)
        return again


@dataclass
class Moment:
    """When everything is killed: before a step, or some time into it; and what starts then."""

    number: int
    copies: int
    step: int
    share: float | None
    source: str

    @classmethod
    def of(cls, number: int, last: int) -> Moment:
        chance = random.Random(number)  # noqa: S311  (a seed, so that a red moment is red again)
        turn, step = divmod(number, last + 1)  # each step once, with the sources in turn
        within = step < last and chance.random() < 0.75
        share = chance.uniform(0, 1.2) if within else None
        copies = 2 if chance.random() < 0.25 else 1
        return cls(number, copies, step, share, "resume" if (number + turn) % 2 else "startup")


# --- what is true ------------------------------------------------------------------------------


@dataclass
class Call:
    """A call by what is known of its hooks."""

    tool: str
    given: dict
    begun: str = NEVER
    ended: str = NEVER
    failed: bool = False
    passed: bool = False  # a stop may have come since its interruption: no news any more

    def path(self, project: Path) -> str | None:
        path = self.given.get("file_path")
        return path and path[len(str(project)) + 1 :]

    def words(self, project: Path) -> str:
        """How Claude is told of it."""
        subject = self.path(project) or self.given.get("command") or self.given["description"]
        return f"{self.tool} {ascii_quoted(subject, 100)}"


class Truth:
    """What the hooks' exit codes prove."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.requests: list[str] = [""]
        self.maybe_requests: list[str] = []
        self._escaped: list[Call] = []

    def learn(self, event: dict, outcome: str) -> None:
        name = event["hook_event_name"]
        if "tool_use_id" in event:
            made = Call(event["tool_name"], event["tool_input"])
            call = self.calls.setdefault(event["tool_use_id"], made)
            if name == "PreToolUse":
                call.begun = outcome
            else:
                call.ended, call.failed = outcome, name != "PostToolUse"
        elif name == "UserPromptSubmit" and not event["prompt"].startswith("<task"):
            (self.requests if outcome == DONE else self.maybe_requests).append(event["prompt"])
            self._escaped += [
                c for c in self.calls.values() if c.given.get("command") == "sleep 600"
            ]
        elif name == "Stop":
            for call in self._escaped:
                call.passed = True


def _tally(calls: list[Call], tool: str, project: Path) -> Counter:
    ended = [call for call in calls if call.tool == tool and not call.failed]
    return Counter(call.path(project) for call in ended)


def wrongs(truth: Truth, state: dict, text: str, source: str, project: Path) -> list[str]:
    """What is not as the truth has it: nothing."""
    found = []
    ids = Counter(call["call"] for call in state["interrupted"])
    ended, interrupted = [], []
    for name, call in truth.calls.items():
        allowed = {
            (DONE, DONE): {0},
            (DONE, MAYBE): {0, 1},
            (DONE, NEVER): {1},
            (MAYBE, NEVER): {0, 1},
            (NEVER, NEVER): {0},
        }[call.begun, call.ended]
        if ids[name] not in allowed:
            found.append(f"{name} is interrupted {ids[name]} times, {call}")
        if ids[name]:
            interrupted.append(call)
        elif call.ended != NEVER:
            ended.append(call)
    for kind, tool in (("files_processed", "Write"), ("files_read", "Read")):
        counts = {path: about["count"] for path, about in state[kind].items()}
        if counts != _tally(ended, tool, project):
            found.append(f"{kind} {counts}, not {_tally(ended, tool, project)}")
    failures = [call["tool"] for call in state["failures"]]
    if failures != [call.tool for call in ended if call.failed]:
        found.append(f"failures {failures}")
    if state["in_flight"]:
        found.append(f"still in flight: {state['in_flight']}")
    if source == "resume" and state["counts"]["calls"] != len(ended):
        found.append(f"{state['counts']['calls']} calls, not {len(ended)}")
    if (state["last_request"] or "") not in [truth.requests[-1], *truth.maybe_requests]:
        found.append(f"last request {state['last_request']}")
    return found + _untold(ended, interrupted, text, source, project)


def _untold(
    ended: list[Call], interrupted: list[Call], text: str, source: str, project: Path
) -> list[str]:
    """What Claude is not told, or told wrongly."""
    found = []
    lines = {line.partition(":")[0].partition(" (")[0]: line for line in text.split("\n")}
    files = lines.get("Files changed", "")
    for path, count in _tally(ended, "Write", project).items():
        words = f"{ascii_quoted(path)} (Write" + (f" x{count}" if count > 1 else "")
        if files.count(f"{words},") + files.count(f"{words}, created,") < 1:
            found.append(f"untold: {words}")
        if files.count(ascii_quoted(path)) != 1:
            found.append(f"told {files.count(ascii_quoted(path))} times: {path}")
    read = len(_tally(ended, "Read", project))
    if read and f"Files read: {read}." not in files:
        found.append(f"untold: {read} files read")
    said = lines.get("Interrupted", "")
    every = Counter(call.words(project) for call in interrupted)
    due = Counter(call.words(project) for call in interrupted if not call.passed)
    for words in every:
        if not due[words] <= said.count(words) <= every[words]:
            found.append(f"interrupted, told {said.count(words)} times: {words}")
    for call in ended:
        if call.words(project) in said and call.words(project) not in every:
            found.append(f"ended, yet told as interrupted: {call.words(project)}")
        failed = lines.get("Failures not seen to succeed since", "")
        if call.failed and failed.count(call.words(project)) != 1:
            found.append(f"failure untold: {call.words(project)}")
    if source == "resume" and ended and f"Calls ended in this session: {len(ended)}," not in text:
        found.append(f"untold: {len(ended)} calls ended")
    return found


# --- all of them -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Line]:
    """The session run whole, with hooks registered once and twice."""
    made = {}
    for copies in (1, 2):
        top = tmp_path_factory.mktemp(f"line{copies}")
        (top / "project").mkdir()
        (top / "home").mkdir()
        hooks = Hooks(top / "project", top / "home", {"WORKFLOW_STATE_CONTEXT": "9500"})
        made[copies] = Line(hooks, copies)
        made[copies].run()
    return made


def killed_at(moment: Moment, line: Line, where: Path) -> list[str]:
    """Kill at the moment, start again; what is wrong then."""
    hooks = line.again(moment.step, where)
    session = steps(where)
    truth = Truth()
    for step in session[: moment.step]:
        for event in step:
            truth.learn(event, DONE)
    if moment.share is not None:
        step = session[moment.step]
        outcomes = run_step(hooks, step, line.copies, line.seconds[moment.step] * moment.share)
        for event, outcome in zip(step, outcomes):
            truth.learn(event, outcome)
    hooks.environment = {**hooks.environment, "CLAUDE_PID": ""}
    new = session[0][0]["session_id"] if moment.source == "resume" else "new"
    text = hooks.start(new, moment.source)
    return wrongs(truth, hooks.show(new), text, moment.source, where)


def test_killed_at_any_moment_nothing_is_lost_and_nothing_counted_twice(lines, tmp_path):
    last = len(lines[1].seconds)
    moments = [Moment.of(number, last) for number in range(MOMENTS)]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda m: killed_at(m, lines[m.copies], tmp_path / str(m.number)), moments)
    wrong = [f"{moment}: {each}" for moment, each in zip(moments, found) if each]
    assert not wrong, "\n".join(wrong)


def test_the_moments_are_of_every_kind(lines):
    last = len(lines[1].seconds)
    moments = [Moment.of(number, last) for number in range(MOMENTS)]
    within = [moment for moment in moments if moment.share is not None]
    assert len(within) > MOMENTS // 2
    assert len(moments) - len(within) > MOMENTS // 8
    assert {moment.step for moment in moments} >= set(range(last))
    for source in ("startup", "resume"):
        assert sum(moment.source == source for moment in moments) == MOMENTS // 2
