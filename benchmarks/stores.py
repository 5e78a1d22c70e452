"""python -m benchmarks.stores [FILES ...]: the stores side by side, and many machines on one Redis.

Writes docs/generated/stores.md; with numbers of files it measures these, and only prints. A stop is
a real `stop.py` after a turn of one Write, a start a real `session_start.py` of a new session; a
listing is `workflow-state checkpoints`. Times are medians in milliseconds, from before the process
is spawned until it is gone. Needs redis-server, and the redis package in the Python that runs it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lib.format import records
from lib.format.file_table import Table
from lib.project import git
from lib.recording import journal
from lib.session.states import NEWEST
from lib.state import State

from . import page
from .worlds import ROOT, file_name

FILES = (0, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000)
ROUNDS = 15
JSON_MOST = 250_000
"""Files beyond which a checkpoint is larger than the JSON store takes."""

HEAD = """\
Milliseconds, medians of 15. A stop ends a turn of one Write; a start begins a new session; a
listing is `workflow-state checkpoints`. Redis runs on the same machine and syncs before it answers.
[stores.md](../stores.md) tells which store to choose.
"""

MACHINES, WORKERS, STOPS = 200, 8, 5
SESSION = "s1"


def seed(project: Path, files: int) -> None:
    """A session that processed so many files and stopped, through the API."""
    directory = str(project / ".claude" / "state")
    for facts in ({"event": "SessionStart", "source": "startup"}, {"event": "Stop"}):
        journal.write(directory, SESSION, facts)
    state, key, rows = State(directory, SESSION), records.users_key(), {}
    for number in range(files):
        path = file_name(number)
        clock = f"{number // 60_000 % 60:02d}:{number // 1000 % 60:02d}.{number % 1000:03d}Z"
        at = f"2026-11-23T10:{clock}"
        about = {"first": at, "last": at, "tool": "Write", "count": 1, "agent": None}
        about.update(call=f"toolu_{number:024d}", outcome="changed")
        if number >= files - NEWEST:  # those that a stop looks at
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(f"NUMBER = {number}\n")
            about["fingerprint"] = git.fingerprint(str(project / path), key)
        rows[path] = about
    live = state.live()
    live["files_processed"] = Table(rows)
    newest = list(rows)[-NEWEST:]
    live["fold"]["newest"] = {path: rows[path]["fingerprint"] for path in newest}
    with state.store.lock():
        state._keep(f"session-{SESSION}", "Stop", live, state._with({}, live))


class Project:
    """A project with a session of so many files in a store, and what is run in it."""

    def __init__(self, store: str, files: int, place: Path) -> None:
        self.path, home = place / f"{store.partition(':')[0]}-{files}", place / "home"
        (self.path / "src").mkdir(parents=True)
        home.mkdir(exist_ok=True)
        self.environment = {"PATH": os.defpath, "HOME": str(home)}
        self.environment.update(CLAUDE_PROJECT_DIR=str(self.path), WORKFLOW_STATE_STORE=store)
        self.environment["WORKFLOW_STATE_PROJECT"] = self.path.name
        code = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path\n"
            f"from benchmarks.stores import seed; seed(Path({str(self.path)!r}), {files})"
        )
        self.run([sys.executable, "-c", code])

    def run(self, command: list[str], event: dict[str, object] | None = None) -> float:
        """How many milliseconds a command takes."""
        event = {"session_id": SESSION, "cwd": str(self.path), **(event or {})}
        began = time.perf_counter()
        subprocess.run(
            command,
            input=json.dumps(event).encode(),
            env=self.environment,
            cwd=self.path,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return 1000 * (time.perf_counter() - began)

    def hook(self, script: str, **event: object) -> float:
        """The same of a hook."""
        return self.run([sys.executable, "-I", "-S", str(ROOT / "hooks" / script)], event)

    def cli(self, *arguments: str) -> float:
        """The same of the command line."""
        return self.run([sys.executable, str(ROOT / "bin" / "workflow-state"), *arguments])


def measure(store: str, files: int, place: Path) -> dict[str, float]:
    """What each thing takes, as medians in milliseconds."""
    project = Project(store, files, place)
    shared = store.startswith("redis")
    if shared:
        project.cli("sync")
    times: dict[str, list[float]] = {"bare": [], "stop": [], "start": [], "list": []}
    for number in range(ROUNDS):
        (project.path / "src" / "main.py").write_text(str(number))
        project.hook("user_prompt.py", prompt="go", prompt_id=f"p{number}")
        given = {"file_path": f"{project.path}/src/main.py"}
        project.hook("post_tool.py", tool_name="Write", tool_use_id=f"t{number}", tool_input=given)
        times["stop"].append(project.hook("stop.py", hook_event_name="Stop"))
        if shared:
            project.cli("sync")  # else what is sent in the background would be measured as well
        times["bare"].append(project.run([sys.executable, "-I", "-S", "-c", "pass"]))
    for number in range(ROUNDS):
        session = f"n{number}"
        times["start"].append(
            project.hook("session_start.py", session_id=session, source="startup")
        )
        (project.path / ".claude" / "state" / "sessions" / f"{session}.jsonl").unlink()
        times["list"].append(project.cli("checkpoints"))
    return {name: statistics.median(each) for name, each in times.items()}


def crossover(stops: dict[tuple[str, int], float]) -> str:
    """From how many files on the SQLite store's stop is the faster one."""
    sizes = sorted({files for store, files in stops if store == "json"})
    faster = [files for files in sizes if stops["sqlite", files] < stops["json", files]]
    always = [files for files in faster if all(each in faster for each in sizes if each >= files)]
    if not always:
        return "JSON's stop was the faster one at every size that was measured."
    before = [files for files in sizes if files < always[0]]
    since = f"between {before[-1]:,} and {always[0]:,} files on" if before else "the first file on"
    return f"SQLite's stop was the faster one from {since}."


def _machines(url: str, place: str, first: int) -> list[float]:
    """Some machines' stops, one after the other: how long each checkpoint took to arrive, in s."""
    os.environ.update(WORKFLOW_STATE_STORE=url, WORKFLOW_STATE_PROJECT="bench")
    took = []
    for step in range(STOPS):
        for number in range(first, MACHINES, WORKERS):
            directory = f"{place}/m{number}/.claude/state"
            os.makedirs(directory[:-14], exist_ok=True)
            facts = {"event": "PostToolUse", "tool": "Write", "call": f"t{step}"}
            journal.write(directory, f"s{number}", {**facts, "path": f"f{step}.py"})
            State(directory, f"s{number}").checkpoint_session("Stop")
            began = time.perf_counter()
            State(directory, f"s{number}").store.exchange(60, take=False)
            took.append(time.perf_counter() - began)
    return took


def many_machines(place: Path) -> str:
    """What one server takes of them."""
    from tests.redis_server import Server

    server = Server(place / "server")
    try:
        os.environ["WORKFLOW_STATE_KEY"] = "bench"
        began = time.perf_counter()
        work = [(server.url, str(place), first) for first in range(WORKERS)]
        with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
            took = [each for part in pool.starmap(_machines, work) for each in part]
        seconds = time.perf_counter() - began
        sent = server.client().hlen("workflow-state:{bench}:texts")
    finally:
        server.kill()
    worst = statistics.quantiles(took, n=100)[98]
    return (
        f"{MACHINES} machines on one Redis, {len(took):,} stops by {WORKERS} at a time on these "
        f"processors: {len(took) / seconds:.0f} checkpoints a second; one arrived after "
        f"{1000 * statistics.median(took):.0f} ms in the median, {1000 * worst:.0f} ms in the 99th "
        f"percentile. {sent} documents were in the server at the end."
    )


def _tables(files: list[int], place: Path) -> str:
    from tests.redis_server import Server

    lines = ["| store | files | interpreter alone | stop | start | listing |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    stops = {}
    server = Server(place / "shared")
    try:
        for name, store in (("json", "json"), ("sqlite", "sqlite"), ("redis", server.url)):
            for count in files:
                if name == "json" and count > JSON_MOST:
                    cells = ["", "refused: over 64 MB", "", ""]
                else:
                    found = measure(store, count, place)
                    stops[name, count] = found["stop"]
                    cells = [f"{each:.0f}" for each in found.values()]
                lines.append(f"| {name} | {count:,} | {' | '.join(cells)} |")
                print(lines[-1], flush=True)
    finally:
        server.kill()
    said = [crossover(stops)]
    smaller, larger = stops.get(("sqlite", 1_000)), stops.get(("sqlite", 1_000_000))
    if smaller and larger:
        said.append(f"At 1,000,000 files it took {larger / smaller:.2f} times what at 1,000.")
    return "\n".join([*lines, "", " ".join(said)])


def main() -> None:
    chosen = [int(each) for each in sys.argv[1:]]
    place = Path(tempfile.mkdtemp(prefix="benchmarks-"))
    try:
        tables = _tables(chosen or list(FILES), place)
        machines = many_machines(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print(f"{tables}\n\n{machines}")
    if not chosen:
        parts = [page.head("What the stores cost", "make bench-stores"), HEAD, tables, machines]
        text = "\n".join(parts[:2]) + "\n" + "\n\n".join(parts[2:]) + "\n"
        (ROOT / "docs" / "generated" / "stores.md").write_text(text)


if __name__ == "__main__":
    main()
