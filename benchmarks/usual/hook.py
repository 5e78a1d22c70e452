"""The same with care: one JSON file, changed under a lock and replaced. For comparison only."""

import fcntl
import json
import os
import sys
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

STATE = Path(os.environ["CLAUDE_PROJECT_DIR"]) / ".claude" / "state"
FILE = STATE / "records.json"


@contextmanager
def locked():
    STATE.mkdir(parents=True, exist_ok=True)
    with open(STATE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def load():
    try:
        return json.loads(FILE.read_bytes())
    except FileNotFoundError:
        return {"records": []}


def save(state):
    temporary = FILE.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(state, separators=(",", ":")))
    temporary.replace(FILE)


def main():
    event = json.load(sys.stdin)
    record = {
        "at": datetime.now(timezone.utc).isoformat(),
        "event": event["hook_event_name"],
        "tool": event["tool_name"],
        "call": event["tool_use_id"],
        "path": event["tool_input"].get("file_path"),
    }
    with locked():
        state = load()
        state["records"].append(record)
        save(state)


if __name__ == "__main__":
    main()
