"""python -m benchmarks.stores [FILES ...]: the stores side by side, and many machines on one Redis.

Prints the tables of docs/stores.md. A stop is a real `stop.py` after a turn of one Write, a start
a real `session_start.py` of a new session; a listing is `workflow-state checkpoints`. Times are
medians in milliseconds, from before the process is spawned until it is gone. The Redis part runs
where redis-server is installed and the redis package can be imported.
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

from lib import journal, replay, worktree
from lib.session import NEWEST
from lib.state import State
from lib.table import Table

from .worlds import ROOT, file_name

FILES = (0, 1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 15
JSON_MOST = 250_000
"""Files beyond which a checkpoint is larger than the JSON store takes."""

MACHINES, WORKERS, STOPS = 200, 8, 5
SESSION = "s1"


def seed(project: Path, files: int) -> None:
    """A session that processed so many files and stopped, through the API."""
    directory = str(project / ".claude" / "state")
    for facts in ({"event": "SessionStart", "source": "startup"}, {"event": "Stop"}):
        journal.write(directory, SESSION, facts)
    state, key, rows = State(directory, SESSION), replay.users_key(), {}
    for number in range(files):
        path = file_name(number)
        clock = f"{number // 60_000 % 60:02d}:{number // 1000 % 60:02d}.{number % 1000:03d}Z"
        at = f"2026-11-23T10:{clock}"
        about = {"first": at, "last": at, "tool": "Write", "count": 1, "agent": None}
        about.update(call=f"toolu_{number:024d}", outcome="changed")
        if number >= files - NEWEST:  # those that a stop looks at
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(f"NUMBER = {number}\n")
            about["fingerprint"] = worktree.fingerprint(str(project / path), key)
        rows[path] = about
    live = state.live()
    live["files_processed"] = Table(rows)
    newest = list(rows)[-NEWEST:]
    live["fold"]["newest"] = {path: rows[path]["fingerprint"] for path in newest}
    with state.store.lock():
        state._keep(f"session-{SESSION}", "Stop", live, state._with({}, live))


def measure(store: str, files: int, place: Path) -> list[str]:
    """One line of the table."""
    project, home = place / f"{store}-{files}", place / "home"
    (project / "src").mkdir(parents=True)
    home.mkdir(exist_ok=True)
    environment = {"PATH": os.defpath, "HOME": str(home), "CLAUDE_PROJECT_DIR": str(project)}
    environment["WORKFLOW_STATE_STORE"] = store
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path\n"
        f"from benchmarks.stores import seed; seed(Path({str(project)!r}), {files})"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)

    def run(command: list[str], event: dict[str, object] | None = None) -> float:
        began = time.perf_counter()
        subprocess.run(
            command,
            input=json.dumps(
                {"session_id": SESSION, "cwd": str(project), **(event or {})}
            ).encode(),
            env=environment,
            cwd=project,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return 1000 * (time.perf_counter() - began)

    def hook(script: str, **event: object) -> float:
        return run([sys.executable, "-I", "-S", str(ROOT / "hooks" / script)], event)

    times: dict[str, list[float]] = {"bare": [], "stop": [], "start": [], "list": []}
    for number in range(ROUNDS):
        (project / "src" / "main.py").write_text(str(number))
        hook("user_prompt.py", prompt="go", prompt_id=f"p{number}")
        given = {"file_path": f"{project}/src/main.py"}
        hook("post_tool.py", tool_name="Write", tool_use_id=f"t{number}", tool_input=given)
        times["stop"].append(hook("stop.py", hook_event_name="Stop"))
        times["bare"].append(run([sys.executable, "-I", "-S", "-c", "pass"]))
    for number in range(ROUNDS):
        session = f"n{number}"
        times["start"].append(hook("session_start.py", session_id=session, source="startup"))
        (project / ".claude" / "state" / "sessions" / f"{session}.jsonl").unlink()
        command = [sys.executable, str(ROOT / "bin" / "workflow-state"), "checkpoints"]
        times["list"].append(run(command))
    return [store, f"{files:,}", *(f"{statistics.median(each):.0f}" for each in times.values())]


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
        sent = server.client().hlen("workflow-state:{bench}:documents")
    finally:
        server.kill()
    worst = statistics.quantiles(took, n=100)[98]
    return (
        f"{MACHINES} machines, {len(took):,} stops by {WORKERS} at a time: "
        f"{len(took) / seconds:.0f} checkpoints/s, of which a checkpoint takes to arrive "
        f"{1000 * statistics.median(took):.0f} ms in the median and {1000 * worst:.0f} ms in the "
        f"99th percentile; {sent} documents in the server, each write on its disk."
    )


def main() -> None:
    files = [int(each) for each in sys.argv[1:]] or list(FILES)
    place = Path(tempfile.mkdtemp(prefix="benchmarks-"))
    try:
        print("| store | files | interpreter alone | stop | start | listing |")
        print("|---|--:|--:|--:|--:|--:|")
        for store in ("json", "sqlite"):
            for count in files:
                if store == "sqlite" or count <= JSON_MOST:
                    print("|", " | ".join(measure(store, count, place)), "|", flush=True)
        if shutil.which("redis-server"):
            print("\n" + many_machines(place))
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
